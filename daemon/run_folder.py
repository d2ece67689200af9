"""The daemon's private folder: its socket, its locks, its TCP token, and nobody else's access."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from nanochat.system.private_files import make_folder
from protocol.errors import RpcError

HAS_UNIX_SOCKETS = sys.platform != "win32"
LONGEST_SOCKET_PATH = 106  # bytes: sockaddr_un has 108 on Linux and 104 on macOS, the ending zero included
if sys.platform == "darwin":
    LONGEST_SOCKET_PATH = 103
SOCKET_NAME = "daemon.sock"
LONGEST_TOKEN = 4096  # bytes of its file


@dataclass(frozen=True)
class RunFolder:
    """Where the files of one user's daemon lie."""

    path: Path

    @property
    def socket(self) -> Path:
        """The Unix socket; there while the daemon takes clients."""
        return self.path / SOCKET_NAME

    @property
    def start_lock(self) -> Path:
        """Held by the client that starts a daemon, until it is ready."""
        return self.path / "start.lock"

    @property
    def lifetime_lock(self) -> Path:
        """Held by the daemon as long as it lives."""
        return self.path / "daemon.lock"

    @property
    def token(self) -> Path:
        """Port and token of the loopback TCP listener, as JSON; there while it listens."""
        return self.path / "tcp.json"


def default_folder() -> Path:
    """`$XDG_RUNTIME_DIR/nanoscope`; else in the cache folder; where both are too long, in the temporary folder."""
    return next((path for path in _candidates() if _fits(path)), _short_folder())


def _candidates() -> list[Path]:
    cache = platformdirs.user_cache_path("nanoscope", appauthor=False) / "run"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return [Path(runtime) / "nanoscope", cache] if _is_own_folder(runtime) else [cache]


def _is_own_folder(path: str) -> bool:
    """Whether the session's folder is really there and ours: `su` and containers hand down others' names."""
    return os.path.isabs(path) and os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK) and _is_own(os.stat(path))


def _is_own(status: os.stat_result) -> bool:
    return not HAS_UNIX_SOCKETS or status.st_uid == os.geteuid()


def _fits(path: Path) -> bool:
    return not HAS_UNIX_SOCKETS or len(os.fsencode(path / SOCKET_NAME)) <= LONGEST_SOCKET_PATH


def _short_folder() -> Path:
    user = os.geteuid() if HAS_UNIX_SOCKETS else os.getlogin()
    wanted = Path(tempfile.gettempdir()) / f"nanoscope-{user}"
    return wanted if _fits(wanted) else Path("/tmp") / wanted.name


def private_folder(path: Path) -> RunFolder:
    """The run folder at `path`, made with mode 0700 if it is missing.

    Raises:
        RpcError: RUN_FOLDER_UNSAFE: it is a link or no folder, somebody else's, open to others, cannot be made, or
            its name is too long for a socket.
    """
    path = Path(os.path.abspath(path))
    if not _fits(path):
        raise _unsafe(f"{path} is too long a name: a socket in it may have {LONGEST_SOCKET_PATH} bytes.", path)
    try:
        make_folder(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = os.lstat(path)
    except OSError as error:
        raise _unsafe(f"{path} cannot be made ({error.strerror}).", path) from error
    if not stat.S_ISDIR(status.st_mode):
        raise _unsafe(f"{path} is {'a link' if stat.S_ISLNK(status.st_mode) else 'not a folder'}.", path)
    if not _is_own(status):
        raise _unsafe(f"{path} belongs to user {status.st_uid}.", path)
    if HAS_UNIX_SOCKETS and status.st_mode & 0o077:
        raise _unsafe(f"Others can enter {path}. Look at what is in it, then run `chmod 700 {path}`.", path)
    folder = RunFolder(path)
    for own, is_ours in ((folder.socket, _is_socket), (folder.token, _is_token)):
        if os.path.lexists(own) and not is_ours(own):  # the daemon would remove it
            raise _unsafe(f"{own} is no file of the daemon's.", path)
    return folder


def _is_socket(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    return True  # gone meanwhile


def _is_token(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return False
        with contextlib.suppress(ValueError), open(path, "rb") as file:
            content = json.loads(file.read(LONGEST_TOKEN))
            return isinstance(content, dict) and content.keys() == {"port", "token"}
        return False
    return True


def _unsafe(fault: str, path: Path) -> RpcError:
    message = (
        f"{fault} The daemon needs a folder of its own: set NANOSCOPE_RUNTIME_DIR to another, such as ~/.nanoscope."
    )
    return RpcError("RUN_FOLDER_UNSAFE", message, {"path": str(path)})


def write_token(folder: RunFolder, port: int, token: str) -> None:
    """Write the port and token of the TCP listener for this user's eyes alone, whole or not at all."""
    from nanochat.traces.atomic_file import write_file  # the pump, which imports this module, has no use for it

    write_file(folder.token, json.dumps({"port": port, "token": token}).encode(), replacing=True)


def read_token(folder: RunFolder) -> tuple[int, str]:
    """Port and token of the TCP listener.

    Raises:
        FileNotFoundError: there is no such listener.
        PermissionError: others can read or have written the file.
    """
    with open(folder.token, encoding="utf-8") as file:
        status = os.fstat(file.fileno())
        if HAS_UNIX_SOCKETS and (status.st_mode & 0o077 or not _is_own(status)):
            raise PermissionError(f"{folder.token} is open to others: remove it, and run `nanoscope stop`.")
        try:
            content = json.load(file)
            return int(content["port"]), str(content["token"])
        except (ValueError, KeyError, TypeError) as error:
            raise FileNotFoundError(f"{folder.token} is not what a daemon writes.") from error
