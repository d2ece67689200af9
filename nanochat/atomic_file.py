"""Files that appear whole or not at all: written under a hidden name, made durable, then given their name."""

import contextlib
import ctypes
import errno
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nanochat.errors import StorageError, StorageFullError

try:
    import fcntl
except ImportError:  # Windows has no such locks: clean-up goes by age alone, and cannot remove a file in use
    fcntl = None

TEMPORARY_SUFFIX = ".tmp"
DEAD_AFTER_SECONDS = 60.0
_FLUSH_BYTES = 4 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EINVAL}
_SYNC_FILE_RANGE_WRITE = 2
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_BINARY = getattr(os, "O_BINARY", 0)
_JUST_LOOK = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0) | _CLOSE_ON_EXEC | _BINARY


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """The error that a person should see for an OSError while writing `path`."""
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageFullError(
            f"No room for {path} ({reason}): nothing of it was kept. Free some space, delete traces, raise the limit, "
            "or choose another folder. The safetensors format with captures of dtype float16 takes the least, a "
            "fifth of JSON's room or less."
        )
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


@contextlib.contextmanager
def temporary_file(folder: Path, stem: str) -> Iterator[tuple[Output, Path]]:
    """A hidden, locked file in `folder`; removed at the end, whatever happens.

    Raises StorageFullError or StorageError for what goes wrong in the body with the file system.
    """
    path = folder / f".{stem[:180]}.{secrets.token_hex(6)}{TEMPORARY_SUFFIX}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _CLOSE_ON_EXEC | _BINARY, 0o666)
    except OSError as error:
        raise storage_error(error, folder) from error
    try:
        with contextlib.suppress(OSError):  # no locks on this file system: clean-up then goes by age alone
            _lock(descriptor)
        yield Output(descriptor), path
    except OSError as error:
        raise storage_error(error, folder / stem) from error
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(path)


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def publish(output: Output, temporary: Path, final: Path, *, link: Callable[[Path, Path], None] = os.link) -> bool:
    """Make a written temporary file durable and give it its name; False, and nothing done, if the name is taken."""
    output.flush()
    os.fsync(output.descriptor)
    try:
        link(temporary, final)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(final):
            return False
        os.rename(temporary, final)
    sync_folder(final.parent)
    return True


def replace(output: Output, temporary: Path, final: Path) -> None:
    """Make a written temporary file durable and put it in the place of `final`, whether that exists or not."""
    output.flush()
    os.fsync(output.descriptor)
    os.replace(temporary, final)
    sync_folder(final.parent)


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


def remove_dead_files(folder: Path, dead_after: float = DEAD_AFTER_SECONDS) -> int:
    """Remove temporary files whose writers died; the number removed. What cannot be removed stays."""
    removed = 0
    try:
        names = [name for name in os.listdir(folder) if name.startswith(".") and name.endswith(TEMPORARY_SUFFIX)]
    except OSError:
        return 0
    for name in names:
        with contextlib.suppress(OSError):
            removed += _remove_if_dead(folder / name, dead_after)
    return removed


def _remove_if_dead(path: Path, dead_after: float) -> bool:
    descriptor = os.open(path, os.O_RDONLY | _JUST_LOOK)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or time.time() - status.st_mtime < dead_after:
            return False
        _lock(descriptor)  # fails while its writer lives
    finally:
        os.close(descriptor)
    os.unlink(path)  # its name was drawn at random: no other writer takes it
    return True
