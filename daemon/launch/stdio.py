"""`nanoscope stdio`: bytes from stdin to the daemon and back to stdout, whatever they say. It imports little."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable

from daemon.launch.connect import connect_or_start
from daemon.launch.farewell import Farewell
from daemon.peer import Peer, peer_of
from daemon.settings import load_settings, own_folder, read_flags, settings_of_a_daemon
from daemon.wire.introduction import introduction_line
from nanochat.system.standard_streams import STDIN, notice
from protocol.errors import RpcError

CHUNK = 256 * 1024
PIPE_CLOSED = 141
LAST_WORDS_SECONDS = 0.5  # where it has closed its end of stdin as well, they are read at once
EXITING = 0x4  # Linux: a process that is ending


def main(words: list[str], output: int) -> int:
    """Serve one client on stdin and on the descriptor `output`, by the daemon.

    Returns:
        The exit status: 0 when the conversation ended in good order, 1 when there was none or it was cut off, 2 for a
        wrong flag, 141 where nobody reads the answers.
    """
    try:
        flags = read_flags(words)
        settings, origins = load_settings(flags)
        of_daemon = settings_of_a_daemon(flags)
    except RpcError as error:
        return fail(error, 2)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where it is ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with connect_or_start(of_daemon, "stdio") as connection:
            with contextlib.suppress(OSError):  # it has hung up, as the pump will tell
                connection.sendall(introduction_line(settings, own_folder(settings, origins)))
            return pump(connection, STDIN, output)
    except RpcError as error:
        return fail(error, 1)


def fail(problem: object, status: int) -> int:
    """Say on stderr why there is no conversation; the exit status."""
    notice(f"nanoscope stdio: {problem}")
    return status


def pump(connection: socket.socket, source: int, target: int, hung_up: Callable[[], int] | None = None) -> int:
    """Copy bytes both ways until the daemon hangs up; at the end of `source` the sending half alone is closed.

    Args:
        connection: to the daemon, blocking.
        source: a descriptor to read.
        target: a descriptor to write; if nobody reads it any more, the conversation ends.
        hung_up: the exit status where the daemon hangs up though it was not its turn; default: 1, said on stderr.

    Returns:
        0 when the client had ended the conversation, as LSP has it where it speaks that; 141 when nobody reads
        `target` before that; 1 in all other cases.
    """
    daemon, farewell, ended = peer_of(connection), Farewell(), threading.Event()
    sending = (connection, source, farewell, ended)
    sender = threading.Thread(target=_send, args=sending, name="stdin", daemon=True)
    sender.start()
    try:
        while chunk := connection.recv(CHUNK):
            _write(target, chunk)
    except BrokenPipeError:  # once it has ended the conversation, it need not read what others do meanwhile
        sender.join(LAST_WORDS_SECONDS)  # its goodbye may lie unread
        return 0 if farewell.is_proper else PIPE_CLOSED
    except ConnectionError as error:
        return fail(f"The daemon went away ({error.strerror}): ask again, which starts a new one.", 1)
    except OSError as error:
        return fail(f"The answer cannot be written ({error.strerror}).", 1)
    said_all = ended.is_set() and not farewell.lost
    if farewell.is_proper:
        return 0
    if farewell.exit or (farewell.editor and said_all):
        return 0 if farewell.shutdown else 1
    if said_all and not _is_dying(daemon):
        return 0
    return hung_up() if hung_up else fail("The daemon hung up: ask again; `nanoscope logs` may say why.", 1)


def _is_dying(peer: Peer | None) -> bool:
    """Whether a process is gone, or on its way: the kernel hangs up for one that was killed before that shows."""
    if peer is None or peer.process <= 0 or not os.path.isdir("/proc/self"):
        return False
    try:
        with open(f"/proc/{peer.process}/stat", "rb") as file:
            state, *fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return True
    return state in (b"Z", b"X") or bool(int(fields[5]) & EXITING)


def _send(connection: socket.socket, source: int, farewell: Farewell, ended: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while chunk := _read(source):
            farewell.feed(chunk)
            connection.sendall(chunk)
        ended.set()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def _read(descriptor: int) -> bytes:
    while True:
        try:
            return os.read(descriptor, CHUNK)
        except BlockingIOError:  # whoever started us shares its end with us and does not wait itself
            select.select([descriptor], [], [])
        except OSError:  # as of a socket whose other end was closed with answers unread
            return b""


def _write(descriptor: int, chunk: bytes) -> None:
    """Write all of it. Raises BrokenPipeError if nobody reads any more, OSError if it cannot be written."""
    rest = memoryview(chunk)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])
