"""Where a daemon may have few open files it keeps some for its work, and turns clients away in words."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from daemon.launch.connect import connect_or_start
from daemon.launch.dial import ask, connect
from daemon.run_folder import RunFolder
from protocol.errors import RpcError
from tests.daemon.running import daemons_in, environment_set_to, private_settings
from tests.daemon.waiting import until

ROOT = Path(__file__).parents[3]
CLIENTS = 64


@contextlib.contextmanager
def limited(open_files: int, **flags: str) -> Iterator[tuple]:
    """A daemon that may never have more open files than so many."""
    with private_settings(**flags) as (settings, environment), environment_set_to(environment):
        words = [sys.executable, "-m", "daemon", "start"]
        shell = ["/bin/sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", *words]
        started = subprocess.run(shell, cwd=ROOT, capture_output=True, text=True, timeout=60)
        yield settings, started


def crowd(folder: RunFolder, stack: contextlib.ExitStack) -> list[socket.socket]:
    return [stack.enter_context(connect(folder)) for _ in range(CLIENTS)]


@pytest.mark.parametrize("tcp", ["false", "true"])
def test_a_crowd_stops_no_work(tcp):
    with limited(CLIENTS, tcp=tcp) as (settings, started):
        assert started.returncode == 0, started.stderr
        (process,) = daemons_in(settings.runtime_dir)
        folder = RunFolder(settings.runtime_dir)
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(connect(folder))
            ask(first, "hello", {})
            crowd(folder, stack)
            with pytest.raises(RpcError, match="open files") as caught:
                connect_or_start(settings)
            assert caught.value.name == "QUEUE_FULL"
            loaded = ask(first, "load_model", {"source": "demo"}, 60)
            assert loaded["result"]["model"]["state"] == "ready"
            made = ask(first, "generate_and_capture", {"prompt": "One", "max_tokens": 2}, 60)["result"]["trace_id"]
            assert ask(first, "analyze_trace", {"trace_id": made}, 60)["result"]["trace_id"] == made
            assert [row["trace_id"] for row in ask(first, "list_traces", {}, 60)["result"]["traces"]] == [made]
            used = process.cpu_times()
            with pytest.raises(psutil.TimeoutExpired):
                process.wait(1.5)
            assert sum(process.cpu_times()[:2]) - sum(used[:2]) < 0.5
        until(lambda: can_be_reached(folder), "there is room again")
        said = settings.log_file.read_text()
        assert "Traceback" not in said
        assert said.count("open files") == 1
        assert len(said) < 3000


def can_be_reached(folder: RunFolder) -> bool:
    with contextlib.suppress(OSError), connect(folder) as client:
        return "result" in ask(client, "get_status", {})
    return False


def test_where_there_are_too_few_from_the_start_it_says_how_many_it_needs():
    with limited(20) as (settings, started):
        assert started.returncode == 1
        assert "ulimit -n" in started.stderr
        assert "Traceback" not in started.stderr
        assert daemons_in(settings.runtime_dir) == []


def test_a_client_that_is_turned_away_is_told_in_words_by_the_pump():
    with limited(CLIENTS) as (settings, started):
        assert started.returncode == 0, started.stderr
        with contextlib.ExitStack() as stack:
            crowd(RunFolder(settings.runtime_dir), stack)
            status = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "get_status"}).encode() + b"\n"
            pump = subprocess.run(
                [sys.executable, "-m", "daemon", "stdio"], input=status, cwd=ROOT, capture_output=True, timeout=60
            )
            assert (pump.returncode, pump.stdout) == (1, b"")
            assert b"open files" in pump.stderr
            assert pump.stderr.count(b"\n") == 1
