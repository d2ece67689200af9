"""The daemon process: one a folder, ready when it says so, ended by signals, by idleness, and in any case."""

import asyncio
import contextlib
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from daemon.launch.dial import answers, ask, connect
from daemon.run_folder import RunFolder, private_folder
from daemon.server import serving
from tests.daemon.running import private_settings, running_daemon

ROOT = Path(__file__).parents[3]
SERVE = [sys.executable, "-m", "daemon", "serve"]


class Served:
    """A daemon started by hand, its report read from a pipe of ours."""

    def __init__(self, environment: dict[str, str]):
        self.report, writing = os.pipe()
        self.process = subprocess.Popen(
            [*SERVE, "--ready-fd", str(writing)], env=environment, pass_fds=(writing,), cwd=ROOT,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(writing)

    def says(self, seconds: float = 20.0) -> bytes | None:
        """What it reports; None if nothing comes in time."""
        ready, _, _ = select.select([self.report], [], [], seconds)
        return os.read(self.report, 4096) if ready else None


@contextlib.contextmanager
def served(environment: dict[str, str]) -> Iterator[Served]:
    one = Served(environment)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        os.close(one.report)


def test_it_reports_ready_once_it_answers_and_closes_the_pipe():
    with private_settings() as (settings, environment), served(environment) as one:
        assert one.says() == b"READY"
        assert answers(RunFolder(settings.runtime_dir))
        assert one.says() == b""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(number):
    with private_settings(tcp="true") as (settings, environment), served(environment) as one:
        assert one.says() == b"READY"
        folder = RunFolder(settings.runtime_dir)
        assert folder.token.exists()
        with connect(folder) as client:
            assert "result" in ask(client, "get_status", {})
            one.process.send_signal(number)
            assert one.process.wait(serving.DEADLINE_SECONDS) == 0
            assert client.recv(100) == b""
        assert not folder.socket.exists()
        assert not folder.token.exists()
        assert settings.log_file.read_text().splitlines()[-1].endswith("ended")


def test_a_second_one_says_that_one_runs(daemon_process):
    done = subprocess.run(SERVE, env=daemon_process.environment, cwd=ROOT, capture_output=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        f"nanoscope serve: DAEMON_NOT_STARTED A daemon already runs in {daemon_process.settings.runtime_dir}.\n"
    )
    assert daemon_process.call("get_status")["pid"] == daemon_process.pid


def test_it_waits_for_a_predecessor_that_is_ending():
    with private_settings() as (settings, environment):
        lock = FileLock(private_folder(settings.runtime_dir).lifetime_lock, is_singleton=False)
        with lock, served(environment) as one:
            assert one.says(0.5) is None
            lock.release()
            assert one.says() == b"READY"


def test_a_wrong_setting_is_reported():
    with private_settings() as (_, environment), served(environment | {"NANOSCOPE_STEP": "x"}) as one:
        assert (one.says() or b"").startswith(b"SETTING_INVALID step cannot be 'x'")
        assert one.process.wait(20) == 1


def test_nobody_uses_it_so_it_ends():
    with running_daemon(idle_timeout="0.3") as process:
        process.wait()
        assert not process.folder.socket.exists()
        assert "nobody has used the daemon for 0.3 s" in process.settings.log_file.read_text()


def test_while_somebody_is_connected_it_stays():
    with private_settings(idle_timeout="1") as (settings, environment), served(environment) as one:
        assert one.says() == b"READY"
        with connect(RunFolder(settings.runtime_dir)) as client:
            assert "result" in ask(client, "get_status", {})
            with pytest.raises(subprocess.TimeoutExpired):
                one.process.wait(1.5)
            assert "result" in ask(client, "get_status", {})
        assert one.process.wait(20) == 0


def test_zero_means_never():
    with private_settings(idle_timeout="0") as (_, environment), served(environment) as one:
        assert one.says() == b"READY"
        with pytest.raises(subprocess.TimeoutExpired):
            one.process.wait(0.5)


def test_what_escapes_into_the_event_loop_is_logged_and_no_more(caplog):
    async def fail() -> str:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(serving.log_exception)
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        return "alive"

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(fail()) == "alive"
    assert "division by zero" in caplog.text


STUCK = """
import threading
from daemon.server import serving
serving.DEADLINE_SECONDS, serving.LAST_SECONDS = 0.1, 0.1
serving.set_last_limit(serving.DEADLINE_SECONDS)
threading.Event().wait()
"""


def test_a_stuck_thread_does_not_keep_it():
    done = subprocess.run([sys.executable, "-c", STUCK], cwd=ROOT, timeout=10)
    assert done.returncode == 0
