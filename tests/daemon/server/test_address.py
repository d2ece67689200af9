"""Whatever becomes of the socket or the run folder, clients find one daemon again within seconds."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from daemon.launch.connect import connect_or_start
from daemon.launch.dial import ask, connect, connect_tcp, connect_unix
from daemon.run_folder import RunFolder
from tests.daemon.running import DaemonProcess, daemons_in, environment_set_to, running_daemon
from tests.daemon.waiting import until

SOON = 6.0  # seconds; a busy machine's
LONG = {"prompt": "Once upon a time", "max_tokens": 1000, "temperature": 100, "top_k": 0}


@pytest.fixture
def process():
    with running_daemon(tcp="true") as process, environment_set_to(process.environment):
        yield process


def replaced_by_another_socket(folder: RunFolder) -> None:
    folder.socket.unlink()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(folder.socket))


def made_anew(folder: RunFolder) -> None:
    shutil.rmtree(folder.path)
    folder.path.mkdir(mode=0o700)


def all_files_removed(folder: RunFolder) -> None:
    for path in folder.path.iterdir():
        path.unlink()


DEEDS: dict[str, Callable[[RunFolder], object]] = {
    "socket removed": lambda folder: folder.socket.unlink(),
    "socket renamed": lambda folder: folder.socket.rename(folder.path / "old.sock"),
    "socket replaced by another": replaced_by_another_socket,
    "socket closed to all": lambda folder: folder.socket.chmod(0),
    "folder removed": lambda folder: shutil.rmtree(folder.path),
    "folder renamed": lambda folder: folder.path.rename(folder.path.parent / "elsewhere"),
    "folder made anew": made_anew,
    "everything in it removed": all_files_removed,
    "lock removed": lambda folder: folder.lifetime_lock.unlink(),
    "token removed": lambda folder: folder.token.unlink(),
}


def is_whole(process: DaemonProcess) -> bool:
    """Whether the daemon is found by both ways, and nobody else could take its place."""
    folder = process.folder
    try:
        with connect_unix(folder) as unix, connect_tcp(folder) as tcp:
            found = [ask(one, "get_status", {})["result"]["pid"] for one in (unix, tcp)]
        lock = os.stat(folder.lifetime_lock).st_ino
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder.path, folder.socket, folder.token)]
    except OSError:
        return False
    holders = {
        os.stat(file.path).st_ino
        for file in psutil.Process(process.pid).open_files()
        if "daemon.lock" in file.path and os.path.exists(file.path)
    }
    return found == [process.pid] * 2 and lock in holders and modes == [0o700, 0o600, 0o600]


@pytest.mark.parametrize("deed", DEEDS)
def test_the_daemon_makes_its_address_anew(process, deed):
    with process.connect() as before:
        ask(before, "hello", {})
        DEEDS[deed](process.folder)
        begun = time.monotonic()
        until(lambda: is_whole(process), "it is found again")
        assert time.monotonic() - begun < SOON
        assert ask(before, "get_status", {})["result"]["pid"] == process.pid  # who was connected, stays
    process.call("shutdown", {"force": True})
    process.wait()
    assert not process.folder.socket.exists()
    assert not process.folder.token.exists()


@pytest.mark.parametrize("name", ["socket", "token"])
def test_a_file_of_anothers_in_its_place_stays_and_when_it_is_gone_the_daemon_is_found_again(process, name):
    path = getattr(process.folder, name)
    path.unlink()
    path.write_text("mine")
    log = Path(process.settings.log_file)
    until(lambda: "cannot be reached" in log.read_text(), "it is said")
    assert path.read_text() == "mine"
    path.unlink()
    until(lambda: is_whole(process), "it is found again")


@pytest.mark.parametrize("deed", ["socket removed", "folder removed", "everything in it removed"])
def test_who_comes_in_that_moment_gets_a_daemon_and_there_is_one(process, deed):
    DEEDS[deed](process.folder)
    begun = time.monotonic()
    pids = {ask_pid(process) for _ in range(3)}
    assert time.monotonic() - begun < 3 * SOON
    until(lambda: len(daemons_in(process.settings.runtime_dir)) == 1, "one daemon is left")
    (left,) = daemons_in(process.settings.runtime_dir)
    assert ask_pid(process) == left.pid
    assert left.pid in pids


def ask_pid(process: DaemonProcess) -> int:
    with connect_or_start(process.settings) as client:
        return ask(client, "get_status", {})["result"]["pid"]


def test_a_daemon_whose_place_was_taken_finishes_its_work_and_ends(process):
    other = process.folder
    with process.connect() as client, client.makefile("rb") as lines:
        client.settimeout(60)
        request = {"jsonrpc": "2.0", "id": 9, "method": "generate_and_capture", "params": LONG | {"stream": True}}
        client.sendall(json.dumps(request).encode() + b"\n")
        next(line for line in lines if b"generation_progress" in line)  # it is at work
        os.kill(process.pid, 19)  # SIGSTOP: so that the other is there before it looks
        try:
            shutil.rmtree(other.path)
            second = subprocess.Popen([sys.executable, "-m", "daemon", "serve"], stderr=subprocess.DEVNULL)
            until(lambda: connects(other), "the second listens")
        finally:
            os.kill(process.pid, 18)
        try:
            answer = next(line for line in lines if b'"id":9' in line)
            assert b'"result"' in answer or b"SHUTTING_DOWN" in answer or b"CANCELLED" in answer
            process.wait()
            assert not psutil.pid_exists(process.pid)
            assert ask_pid(process) == second.pid  # its socket was left alone
        finally:
            second.terminate()
            second.wait(30)


def connects(folder: RunFolder) -> bool:
    try:
        connect(folder).close()
    except OSError:
        return False
    return True


def test_what_cannot_be_made_anew_is_said_once_and_tried_again(process):
    process.folder.path.rename(process.folder.path.parent / "elsewhere")
    process.folder.path.write_text("a file")
    log = Path(process.settings.log_file)
    until(lambda: "cannot be reached" in log.read_text(), "it is said")
    process.folder.path.unlink()
    until(lambda: is_whole(process), "it is found again")
    assert log.read_text().count("cannot be reached") == 1
