"""The commands about the daemon itself."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from daemon.client.sync import Client
from daemon.launch import stop as stopping
from daemon.launch.dial import answers
from daemon.launch.stop import stop_daemon
from protocol.errors import RpcError
from protocol.types import GetStatusResult, HelloResult, SessionInfo
from tests.daemon.commands import COMMAND, ROOT, Terminal, in_terminal, run, started
from tests.daemon.running import DaemonProcess, daemons_in, environment_set_to, private_settings, running_daemon
from tests.daemon.waiting import until


@pytest.fixture(scope="module")
def shared() -> Iterator[DaemonProcess]:
    """One daemon for the tests that leave it as it is."""
    with running_daemon() as process:
        yield process


def test_start_status_stop() -> None:
    with private_settings() as (settings, environment), environment_set_to(environment):
        assert run("status").status == 1
        assert run("status", "--json").out == "null\n"
        assert run("sessions").status == 1
        assert run("stop").err == "No daemon runs.\n"
        assert daemons_in(settings.runtime_dir) == []
        begun = run("start")
        assert begun.err.startswith("Started the daemon, pid ")
        (process,) = daemons_in(settings.runtime_dir)
        assert run("start").err.startswith(f"The daemon runs already, pid {process.pid}.\nIts model: ")
        assert msgspec.json.decode(run("start", "--json").out, type=HelloResult).pid == process.pid
        assert f"pid {process.pid}, up " in run("status").out
        stopped = run("stop")
        assert (stopped.status, stopped.err) == (0, "The daemon has ended.\n")
        assert not process.is_running()


def test_a_daemon_in_use_goes_on_unless_forced(daemon_process: DaemonProcess) -> None:
    with Client(daemon_process.settings) as client:
        refused = run("stop")
        assert (refused.status, refused.err.startswith("error: 1 other session still uses the daemon")) == (1, True)
        assert client.get_status().pid == daemon_process.pid
        assert run("stop", "--force").status == 0
    assert not psutil.pid_exists(daemon_process.pid)


def test_a_daemon_that_does_not_answer_is_ended_by_force(
    daemon_process: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANSWER_SECONDS", "END_SECONDS"):
        monkeypatch.setattr(stopping, name, 0.2)
    os.kill(daemon_process.pid, signal.SIGSTOP)
    with pytest.raises(RpcError, match="does not answer: run `nanoscope stop --force`"):
        stop_daemon(daemon_process.settings.runtime_dir)
    assert stop_daemon(daemon_process.settings.runtime_dir, force=True)
    daemon_process.wait()
    assert not stop_daemon(daemon_process.settings.runtime_dir, force=True)


def test_status_says_how_it_is(shared: DaemonProcess) -> None:
    with Client(shared.settings, name="notebook") as client:
        client.generate_and_capture("Hello", max_tokens=1)
        text = run("status").out
        for fact in (f"pid {shared.pid}", "demo", "1.3M parameters", "nothing runs, 0 of at most 64 wait",
                     str(shared.settings.traces_dir), "by events", str(shared.settings.log_file)):  # fmt: skip
            assert fact in text
        assert "sessions    1 open" in text
        status = msgspec.json.decode(run("status", "--json").out, type=GetStatusResult)
        assert [session.name for session in status.sessions] == ["notebook"]
        assert in_terminal("status").out.startswith(f"daemon      pid {shared.pid}")


def test_status_counts_the_clients_that_are_gone(daemon_process: DaemonProcess) -> None:
    assert answers(daemon_process.folder)
    with Client(daemon_process.settings) as client:
        assert client.greeting.pid == daemon_process.pid  # a hello, and no more
    for words in (("status",), ("sessions",), ("start",), ("--version",)):
        assert run(*words).status == 0
    assert "sessions    none open\n" in run("status").out
    assert run("capture", "Hello", "-n", "1").status == 0
    until(lambda: "sessions    none open, 1 gone\n" in run("status").out, "it is not counted")
    with Client(daemon_process.settings) as client:
        client.list_traces()
        assert "sessions    1 open, 1 gone\n" in run("status").out
        assert client.get_status().sessions_ended == 1
    until(lambda: json.loads(run("status", "--json").out)["sessions_ended"] == 2, "it is not counted")


def test_status_shows_where_each_setting_came_from(shared: DaemonProcess, tmp_path: Path) -> None:
    rows = {row[0]: row[1:] for row in run("status", "--settings").rows if len(row) == 3}
    assert rows["source"] == ["demo", "environment NANOSCOPE_SOURCE"]
    assert rows["traces_dir"][0] == str(shared.settings.traces_dir)
    assert {"idle_timeout", "queue_limit", "tcp", "polling", "device"} <= rows.keys()
    other = run("status", "--settings", "--runtime-dir", str(tmp_path / "none"))
    assert other.status == 1
    assert ["runtime_dir", str(tmp_path / "none"), "flag"] in other.rows


def test_sessions(shared: DaemonProcess) -> None:
    assert run("sessions").err == "Nobody but this command is connected.\n"
    with Client(shared.settings, name="notebook") as client:
        (row,) = run("sessions").rows
        assert (row[0], row[1], row[2]) == (str(client.greeting.session), "notebook", "line")
        assert row[5] == client.greeting.traces_dir
        (session,) = msgspec.json.decode(run("sessions", "--json").out, type=list[SessionInfo])
        assert session.session == client.greeting.session
        assert "notebook" in in_terminal("sessions").out


def test_logs(shared: DaemonProcess) -> None:
    log = shared.settings.log_file
    assert f"pid {shared.pid}" in run("logs").out
    assert run("logs", "-n", "1").out == log.read_text().splitlines(keepends=True)[-1]
    with started("logs", "--follow", "-n", "0") as process:
        assert process.stdout is not None
        until(lambda: _reads(process.pid, log), "the log is not read")
        with log.open("a") as file:
            file.write("something new\n")
        assert process.stdout.readline() == "something new\n"
        log.rename(log.with_suffix(".1"))
        log.write_text("a new file\n")
        assert process.stdout.readline() == "a new file\n"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    missing = run("logs", "--log-file", "/no/such/log")
    assert (missing.status, missing.err.startswith("error: ")) == (1, True)


def _reads(pid: int, path: Path) -> bool:
    return str(path) in [file.path for file in psutil.Process(pid).open_files()]


def test_serve_in_a_terminal_ends_by_ctrl_c() -> None:
    with private_settings() as (_, environment), environment_set_to(environment), Terminal("serve") as terminal:
        terminal.until(lambda shown: "ready in" in shown)
        assert run("status").status == 0
        terminal.type("\x03")
        assert terminal.end() == 0


def test_stdio_speaks_json(shared: DaemonProcess) -> None:
    import subprocess

    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "get_status"}) + "\n"
    done = subprocess.run([*COMMAND, "stdio"], input=request, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["result"]["pid"] == shared.pid


def test_an_interrupt_in_an_import_has_the_status_of_any_other(tmp_path: Path) -> None:
    """Python runs text for a dataclass, and remembers that an interrupt came through it."""
    program = tmp_path / "program.py"
    program.write_text("""
import sys
from daemon.cli import main

def interrupted(**_):
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        raise SystemExit(130) from None

main.app = interrupted
sys.exit(main.main())
""")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "program"]
    assert subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode == 130
