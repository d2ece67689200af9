"""The daemon process, `nanoscope serve`: takes the lifetime lock, listens, says READY, and ends in good order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from daemon.launch.dial import answers
from daemon.launch.surroundings import UMASK, take_own
from daemon.log import log_to_file
from daemon.run_folder import RunFolder, private_folder
from daemon.server.lifetime_lock import LifetimeLock
from daemon.server.open_files import check_limit
from daemon.settings import Settings, load_settings, read_flags
from nanochat.system.standard_streams import STDERR, notice
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.server.address import Address
    from daemon.server.state import ServerState

READY = "READY"
READY_FLAG = "--ready-fd"
DEADLINE_SECONDS = 10.0  # for work under way when the daemon is told to end
REPLACED_SECONDS = 120.0  # the same when another serves already, so that nobody waits for its end
LAST_SECONDS = 2.0  # after that, for threads that do not end
LOCK_SECONDS = 15.0  # a predecessor that is ending holds the lifetime lock as long as it may
SIGNALS = ("SIGTERM", "SIGINT", "SIGBREAK")
log = logging.getLogger("nanoscope.serving")


def main(words: list[str]) -> int:
    """Run the daemon until it is told to end, or nobody has used it for long.

    Args:
        words: settings as flags; `--ready-fd N` from a client that starts it: a descriptor for READY or an error.

    Returns:
        The exit status: 0 when it ended in good order, 1 when it could not start.
    """
    ready_fd = int(words.pop(words.index(READY_FLAG) + 1)) if READY_FLAG in words else None
    report = _reporter(ready_fd)
    try:
        settings, origins = load_settings(read_flags([word for word in words if word != READY_FLAG]))
        os.umask(UMASK)  # before the first file
        log_to_file(settings.log_file, takes_outputs=ready_fd is not None)
        take_own()
        folder = private_folder(settings.runtime_dir)
        check_limit()
        with _lifetime_lock(folder) as lock:
            asyncio.run(_serve(settings, origins, folder, lock, report))
    except RpcError as error:
        if ready_fd is not None:  # else it is read where it was started
            log.error("%s", one_line(error))
        report(one_line(error))
        return 1
    except Exception as error:
        log.exception("the daemon cannot go on")
        report(one_line(error))
        return 1
    log.info("ended")
    return 0


def one_line(error: Exception) -> str:
    """An error in one line: its name first, where it has one."""
    text = f"{error.name} {error}" if isinstance(error, RpcError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def _reporter(ready_fd: int | None) -> Callable[[str], None]:
    """What tells the client that waits for the start how it went, once; later words go nowhere."""
    waiting = [] if ready_fd is None else [ready_fd]
    if ready_fd is not None:
        os.set_inheritable(ready_fd, False)

    def report(words: str) -> None:
        if not waiting:
            if ready_fd is None and words != READY:
                notice(f"nanoscope serve: {words}")
            return
        descriptor = waiting.pop()
        with contextlib.suppress(OSError):  # it may have gone
            os.write(descriptor, words.encode(errors="replace"))
        if descriptor > STDERR:
            os.close(descriptor)
        else:
            os.dup2(STDERR, descriptor)

    return report


@contextlib.contextmanager
def _lifetime_lock(folder: RunFolder) -> Iterator[LifetimeLock]:
    lock = LifetimeLock(folder.lifetime_lock)
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            lock.acquire(LOCK_SECONDS / 100)
            break
        except Timeout:
            if answers(folder):
                raise RpcError("DAEMON_NOT_STARTED", f"A daemon already runs in {folder.path}.") from None
            if time.monotonic() > deadline:
                raise RpcError(
                    "DAEMON_NOT_STARTED",
                    f"Another process holds {folder.lifetime_lock} and does not answer. Run `nanoscope stop --force`.",
                ) from None
    try:
        yield lock
    finally:
        lock.release()


async def _serve(
    settings: Settings,
    origins: Mapping[str, str],
    folder: RunFolder,
    lock: LifetimeLock,
    report: Callable[[str], None],
) -> None:
    from daemon.server.address import Address
    from daemon.server.state import ServerState

    asyncio.get_running_loop().set_exception_handler(log_exception)
    state = ServerState(settings, origins)
    end_on_signals(state.stopping)
    address, deadline = Address(state, folder, lock), DEADLINE_SECONDS
    try:
        await state.start()
        await address.open()
        log.info("ready in %s, pid %d", folder.path, os.getpid())
        report(READY)
        if not await _until_the_end(state, address):
            deadline = REPLACED_SECONDS
    finally:
        set_last_limit(deadline)
        address.close()  # first: new clients start the next daemon, which waits for our lock
        await state.stop(deadline)


def log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.error("%s", context.get("message"), exc_info=context.get("exception"))


def end_on_signals(stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name)):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))


async def _until_the_end(state: ServerState, address: Address) -> bool:
    """Until somebody says so, nobody has used the daemon for the idle timeout, or another has its place: False."""
    limit = state.settings.idle_timeout
    stop_asked, replaced = asyncio.ensure_future(state.stopping.wait()), asyncio.ensure_future(address.keep())
    try:
        while True:
            rest = limit - state.idle_seconds() if limit else None
            if rest is not None and rest <= 0:
                log.info("nobody has used the daemon for %g s", limit)
                return True
            await asyncio.wait((stop_asked, replaced), timeout=rest, return_when=asyncio.FIRST_COMPLETED)
            if stop_asked.done():
                log.info("told to end")
                return True
            if replaced.done():
                replaced.result()
                log.info("another daemon has its place")
                return False
    finally:
        stop_asked.cancel()
        replaced.cancel()
        await asyncio.wait((stop_asked, replaced))


def set_last_limit(deadline: float) -> None:
    """However stuck a thread is, the process ends; the work of its clients was cancelled before."""

    def end() -> None:
        log.warning("threads did not end in time")
        logging.shutdown()
        os._exit(0)

    timer = threading.Timer(deadline + LAST_SECONDS, end)
    timer.daemon = True
    timer.start()
