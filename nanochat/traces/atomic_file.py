"""Files that appear whole or not at all: written without a name, made durable, then given theirs."""

import contextlib
import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from nanochat.errors import StorageError, StorageFullError
from nanochat.system.current_folder import DELETED, is_deleted
from nanochat.system.temporary_names import MARKED_BYTES, UNFINISHED_MODE, lock, temporary_name

_FLUSH_BYTES = 4 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL}
_SYNC_FILE_RANGE_WRITE = 2
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_NO_NAMELESS = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOSYS}


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """The error that a person should see for an OSError while writing `path`."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageFullError(
            f"No room for {path} ({reason}): nothing of it was kept. Free some space, delete traces, raise the limit, "
            "or choose another folder. The safetensors format with captures of dtype float16 takes the least, a "
            "fifth of JSON's room or less."
        )
    if not Path(path).is_absolute() and is_deleted():
        return StorageError(DELETED)
    return StorageError(f"Cannot write {path} ({reason}). Choose a folder that exists and can be written.")


class Output:
    """Gathers pieces into large writes and knows its position."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.position = 0
        self._pieces: list[bytes | memoryview] = []
        self._pending = 0

    def write(self, piece: bytes | memoryview) -> None:
        self._pieces.append(piece)
        self._pending += len(piece)
        self.position += len(piece)
        if self._pending >= _FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        rest = memoryview(b"".join(self._pieces))
        self._pieces.clear()
        start, self._pending = self.position - len(rest), 0
        while rest:
            rest = rest[os.write(self.descriptor, rest) :]
        _start_writeback(self.descriptor, start, self.position - start)


def _start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Let the disk work while the next piece is encoded; a hint, so failures do not matter."""
    if _sync_file_range is not None and length >= _FLUSH_BYTES:
        _sync_file_range(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


def _find_sync_file_range() -> Callable[..., int] | None:
    try:
        function = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


_sync_file_range = _find_sync_file_range()


class Draft(Output):
    """A file on its way: it has no name yet, or a temporary one where the system knows no files without."""

    def __init__(self, folder: Path) -> None:
        super().__init__(_open_nameless(folder))
        self.folder = folder
        self.temporary: Path | None = None

    def flush(self) -> None:
        if self.descriptor < 0:  # its name tells what it begins with, so it has to wait for that
            head = b"".join(bytes(piece[:MARKED_BYTES]) for piece in self._pieces)
            path = self.folder / temporary_name(head)
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _CLOSE_ON_EXEC | _BINARY
            self.descriptor, self.temporary = os.open(path, flags, UNFINISHED_MODE), path
            lock(self.descriptor)
        super().flush()

    def finish(self) -> None:
        """Write what is left and make all of it durable."""
        self.flush()
        if self.temporary is not None and os.fstat(self.descriptor).st_mode & stat.S_ISVTX:
            os.fchmod(self.descriptor, 0o600)
        os.fsync(self.descriptor)

    def named(self) -> Path:
        """The temporary name, given now if there is none."""
        if self.temporary is None:
            path = self.folder / temporary_name(os.pread(self.descriptor, MARKED_BYTES, 0))
            self.link(path)
            self.temporary = path
        return self.temporary

    def link(self, final: Path) -> None:
        """Give it a name that is free, beside its temporary one."""
        if self.temporary is not None:
            os.link(self.temporary, final)
        else:  # the descriptor's own entry, not the link that it is: Python follows it only when given a folder
            os.link(f"/proc/self/fd/{self.descriptor}", final, src_dir_fd=self.descriptor, follow_symlinks=True)

    def close(self) -> None:
        """Let go of it; what has no name but a temporary one is gone."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
        if self.temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(self.temporary)


def _open_nameless(folder: Path) -> int:
    """A locked file that goes with its writer unless it is given a name; -1 where the system has no such files."""
    if not hasattr(os, "O_TMPFILE"):
        return -1
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | _CLOSE_ON_EXEC, 0o600)
    except OSError as error:
        if error.errno in _NO_NAMELESS:
            return -1
        raise
    if not os.path.exists(f"/proc/self/fd/{descriptor}"):  # by which it is given its name
        os.close(descriptor)
        return -1
    lock(descriptor)
    return descriptor


@contextlib.contextmanager
def draft_in(folder: Path, name: str) -> Iterator[Draft]:
    """A file for its owner's eyes alone, to be published in `folder` as `name`; else gone at the end, whatever happens.

    Raises StorageFullError or StorageError for what goes wrong in the body with the file system.
    """
    try:
        draft = Draft(folder)
    except OSError as error:
        raise storage_error(error, folder) from error
    try:
        yield draft
    except OSError as error:
        raise storage_error(error, folder / name) from error
    finally:
        draft.close()


def publish(draft: Draft, final: Path) -> bool:
    """Make a written file durable and give it its name; False, and nothing done, if the name is taken."""
    draft.finish()
    try:
        draft.link(final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS or draft.temporary is None:
            raise
        if os.path.lexists(final):
            return False
        os.rename(draft.temporary, final)
        draft.temporary = None
    sync_folder(final.parent)
    return True


def replace(draft: Draft, final: Path) -> None:
    """Make a written file durable and put it in the place of the file `final`, whether that exists or not."""
    draft.finish()
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(final).st_mode):
            raise StorageError(f"{final} is not a regular file; name another one.")
    os.replace(draft.named(), final)
    draft.temporary = None
    sync_folder(final.parent)


def write_file(path: Path, content: bytes | memoryview, *, replacing: bool = False) -> None:
    """Write a whole file for its owner's eyes alone.

    Raises StorageFullError or StorageError, the latter also where something is there already that is not to be
    replaced; through a link to a file that is.
    """
    final = Path(os.path.realpath(path)) if replacing else path
    with draft_in(final.parent, final.name) as draft:
        draft.write(content)
        if replacing:
            replace(draft, final)
        elif not publish(draft, final):
            raise StorageError(f"{path} is there already; name another file.")


def write_through(path: Path, content: bytes | memoryview) -> None:
    """Write to what is no file, such as /dev/stdout or a pipe that somebody reads. Raises StorageError."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_NONBLOCK), "wb") as pipe:
            os.set_blocking(pipe.fileno(), True)
            pipe.write(content)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise StorageError(f"{path} is not a regular file but a pipe, and nobody reads from it.") from error
        raise storage_error(error, path) from error


def sync_folder(folder: Path) -> None:
    """Make names in the folder durable, where the file system can."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows opens no folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _CLOSE_ON_EXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)
