"""How a client starts the daemon: one at a time, as a process of its own that says when it is ready."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from daemon.launch.dial import answers
from daemon.launch.surroundings import environment_for_a_daemon
from daemon.log import open_log
from daemon.run_folder import HAS_UNIX_SOCKETS, RunFolder, private_folder
from daemon.settings import PREFIX, TABLE, Settings, environment_of
from nanochat.system.current_folder import explained
from protocol.errors import ERRORS, RpcError

START_SECONDS = 60.0  # a dying predecessor's deadline and a slow disk's imports included
END_SECONDS = 5.0  # for one that has reported an error
LOCK_SECONDS = 0.05  # between two looks at the lock and the socket
READY = "READY"
ROOT = Path(os.path.abspath(__file__)).parents[2]  # not resolve: it may be a tree of links


def start(settings: Settings, folder: RunFolder) -> bool:
    """Start the daemon unless another process does so first; whether it was this one.

    Raises:
        RpcError: what the daemon reported, or DAEMON_NOT_STARTED.
    """
    deadline = time.monotonic() + START_SECONDS
    lock = FileLock(folder.start_lock, is_singleton=False, thread_local=False)
    while time.monotonic() < deadline:
        private_folder(folder.path)  # the lock would make a folder that is gone, open to others
        with contextlib.suppress(Timeout), lock.acquire(timeout=0):
            return not answers(folder) and _spawn(settings, folder)
        time.sleep(LOCK_SECONDS)
        if answers(folder):
            return False
    raise RpcError(
        "DAEMON_NOT_STARTED",
        f"Another process has held {folder.start_lock} for {START_SECONDS:.0f} s. Run `nanoscope doctor`.",
    )


def _spawn(settings: Settings, folder: RunFolder) -> bool:
    """Start the daemon and wait until it is ready. It removes a stale socket itself, under the lifetime lock."""
    with _open_outputs(settings.log_file) as outputs:
        begun = outputs.tell()
        try:
            report, process = _popen(settings, outputs)
        except FileNotFoundError as error:  # some path in the environment is relative
            raise RpcError("DAEMON_NOT_STARTED", explained(error) or str(error)) from error
    with report:
        too_long = threading.Timer(START_SECONDS, process.kill)
        too_long.start()
        try:
            report_text = report.read().decode(errors="replace").strip()
        finally:
            too_long.cancel()
    if report_text == READY:
        # Whoever starts a process has to take note of its end, or it stays as a zombie.
        threading.Thread(target=process.wait, name="reaper", daemon=True).start()
        return True
    _end(process)
    if answers(folder):  # somebody ran `nanoscope serve` in the same moment
        return False
    raise _failure(report_text, settings.log_file, begun)


def _end(process: subprocess.Popen[Any]) -> None:
    """Wait for a process that has failed, with some patience."""
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _open_outputs(log_file: Path) -> IO[Any]:
    try:
        return open_log(log_file)
    except OSError:
        return open(os.devnull, "w")


def _popen(settings: Settings, outputs: IO[Any]) -> tuple[IO[bytes], subprocess.Popen[Any]]:
    command = [sys.executable, "-P", "-m", "daemon", "serve", "--ready-fd"]
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": outputs, "env": child_environment(settings)}
    if not HAS_UNIX_SOCKETS:  # nor descriptors to pass: standard output is the pipe, until the daemon is ready
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP  # pyright: ignore[reportAttributeAccessIssue]
        process = subprocess.Popen([*command, "1"], stdout=subprocess.PIPE, creationflags=flags, **options)
        assert process.stdout is not None
        return process.stdout, process
    reading, writing = os.pipe()
    report = os.fdopen(reading, "rb")
    try:
        process = subprocess.Popen(
            [*command, str(writing)], stdout=outputs, pass_fds=(writing,), cwd="/", start_new_session=True, **options
        )
    except BaseException:
        report.close()
        raise
    finally:
        os.close(writing)
    return report, process


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of a daemon with these settings: what is relative to our folder made absolute."""
    ours = {row.variable for row in TABLE.values()}
    others = {name: value for name, value in os.environ.items() if name not in ours}
    environment = environment_for_a_daemon(others) | environment_of(settings)
    assert all(name.startswith(PREFIX) for name in ours)
    if environment.get("NANOCHAT_BASE_DIR"):
        environment["NANOCHAT_BASE_DIR"] = os.path.abspath(os.path.expanduser(environment["NANOCHAT_BASE_DIR"]))
    paths = [os.path.abspath(path) for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    paths = [str(ROOT), *(path for path in paths if path != str(ROOT))]  # others have packages of the same names
    return environment | {"PYTHONPATH": os.pathsep.join(paths)}


def _failure(report_text: str, log_file: Path, begun: int) -> RpcError:
    name, _, message = report_text.partition(" ")
    if name in ERRORS:
        return RpcError(name, message)
    last = report_text or _last_line(log_file, begun) or "it ended without a word"
    return RpcError(
        "DAEMON_NOT_STARTED", f"The daemon did not start: {last}. See {log_file}, or run `nanoscope doctor`."
    )


def _last_line(log_file: Path, begun: int) -> str:
    with contextlib.suppress(OSError), open(log_file, "rb") as file:
        file.seek(begun)
        lines = file.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "").rstrip(".")
    return ""
