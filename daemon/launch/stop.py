"""Ending the daemon from outside: asked first, then told by signals; found by its lock where it does not answer."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from daemon.launch.dial import ask, connect
from daemon.run_folder import RunFolder, private_folder
from protocol.errors import RpcError

ANSWER_SECONDS = 5.0
END_SECONDS = 20.0  # longer than the daemon's own deadline
KILL_SECONDS = 5.0


def stop_daemon(runtime_dir: Path, *, force: bool = False) -> bool:
    """End the daemon of a run folder, and wait until it has ended.

    Args:
        force: though others use it; and if it does not answer, by signals.

    Returns:
        False where none ran.

    Raises:
        RpcError: IN_USE; DAEMON_NOT_STARTED where it neither answers nor ends; RUN_FOLDER_UNSAFE.
    """
    folder = private_folder(runtime_dir)
    asked, pid = _ask(folder, force)
    if asked and _ended(folder, END_SECONDS):
        _await(pid)
        return True
    if not asked and _ended(folder, 0):
        return False
    if not force:
        raise RpcError(
            "DAEMON_NOT_STARTED",
            f"The daemon in {folder.path} does not {'end' if asked else 'answer'}: run `nanoscope stop --force`.",
        )
    for process in holders(folder):
        _end(process)
    if not _ended(folder, KILL_SECONDS):
        raise RpcError(
            "DAEMON_NOT_STARTED",
            f"A process that is not to be found holds {folder.lifetime_lock}: end it, or restart the machine.",
        )
    return True


def _ask(folder: RunFolder, force: bool) -> tuple[bool, int | None]:
    """Whether the daemon took the request, and its process, if it says. Raises RpcError IN_USE."""
    pid = None
    try:
        with connect(folder) as connection:
            pid = ask(connection, "hello", {"notifications": False}, ANSWER_SECONDS).get("result", {}).get("pid")
            response = ask(connection, "shutdown", {"force": force}, ANSWER_SECONDS)
    except OSError:
        return False, pid
    if "error" in response:
        error = RpcError.from_json(response["error"])
        if error.name == "IN_USE":
            raise error
    return True, pid


def _await(pid: int | None) -> None:
    """The lock is free, and the process has nothing left to do but to end."""
    if pid is not None:
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).wait(KILL_SECONDS)


def _ended(folder: RunFolder, seconds: float) -> bool:
    """Whether nobody holds the lifetime lock, at the latest after so many seconds."""
    lock = FileLock(folder.lifetime_lock, is_singleton=False)
    try:
        with lock.acquire(timeout=seconds, poll_interval=0.02):
            return True
    except Timeout:
        return False


def holders(folder: RunFolder) -> list[psutil.Process]:
    """This user's processes that have the lifetime lock's file open, this one excepted."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            opened = [file.path for file in process.open_files()]
            if process.pid != os.getpid() and str(folder.lifetime_lock) in opened:
                found.append(process)
    return found


def _end(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        process.resume()  # one that is stopped ends in good order too
        try:
            process.wait(END_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(KILL_SECONDS)
