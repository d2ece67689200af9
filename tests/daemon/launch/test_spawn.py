"""However many clients start at once, one daemon comes of it; what it cannot do is told in its own words."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from daemon.launch import spawn
from daemon.launch.connect import connect_or_start
from daemon.launch.dial import answers
from daemon.run_folder import private_folder
from daemon.settings import load_settings
from protocol.errors import RpcError
from tests.daemon.running import daemons_in, environment_set_to, private_settings

ROOT = Path(__file__).parents[3]
COLD_STARTS = int(os.environ.get("STRESS_COLD_STARTS", "10"))  # 30 is what the specification asks for
STATUS = b'{"jsonrpc": "2.0", "id": 1, "method": "get_status", "params": {}}\n'


@pytest.fixture
def prepared():
    with private_settings() as (settings, environment), environment_set_to(environment):
        yield settings


def test_many_cold_starts_at_once_give_one_daemon():
    with private_settings() as (settings, environment), contextlib.ExitStack() as stack:
        command = [sys.executable, "-m", "daemon", "stdio"]
        clients = [
            stack.enter_context(
                subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                    cwd=ROOT,
                )
            )
            for _ in range(COLD_STARTS)
        ]  # fmt: skip
        said = [client.communicate(STATUS, timeout=60) for client in clients]
        assert {errors for _, errors in said} == {b""}
        pids = {json.loads(answer)["result"]["pid"] for answer, _ in said}
        assert len(pids) == 1
        assert [process.pid for process in daemons_in(settings.runtime_dir)] == list(pids)
        log = settings.log_file.read_text()
        assert log.count("ready in") == 1
        assert "already runs" not in log  # nor was a second one tried


def test_it_belongs_to_no_terminal_and_no_folder(prepared):
    connect_or_start(prepared).close()
    (process,) = daemons_in(prepared.runtime_dir)
    assert process.cwd() == "/"
    assert os.getsid(process.pid) == process.pid
    descriptors = {number: os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)}
    assert descriptors == {0: "/dev/null", 1: str(prepared.log_file), 2: str(prepared.log_file)}
    assert oct(prepared.log_file.stat().st_mode)[-3:] == "600"


def failing(settings, *, match: str) -> RpcError:
    with pytest.raises(RpcError, match=match) as caught:
        connect_or_start(settings)
    assert daemons_in(settings.runtime_dir) == []
    return caught.value


def test_the_daemons_own_error_is_told(prepared):
    private_folder(prepared.runtime_dir).lifetime_lock.mkdir()
    error = failing(prepared, match=r"IsADirectoryError.*daemon\.lock")
    assert error.name == "DAEMON_NOT_STARTED"
    assert str(prepared.log_file) in str(error)


def test_a_named_error_keeps_its_name(prepared, monkeypatch):
    monkeypatch.setattr(spawn, "environment_of", lambda settings: {"NANOSCOPE_STEP": "first"})
    assert failing(prepared, match="NANOSCOPE_STEP").name == "SETTING_INVALID"


@pytest.mark.parametrize(
    ("text", "match"),
    [("exit 3", "without a word"), ("echo older >&2; echo no module >&2; exit 1", "did not start: no module. See")],
)
def test_a_daemon_that_dies_unheard_is_reported_with_its_last_words(prepared, tmp_path, monkeypatch, text, match):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    assert failing(prepared, match=match).name == "DAEMON_NOT_STARTED"


def test_one_that_does_not_become_ready_is_ended(prepared, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text(f"#!{sys.executable}\nimport time\ntime.sleep(100)\n")  # `serve` stays among its words
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(spawn, "START_SECONDS", 0.2)
    assert failing(prepared, match="did not start").name == "DAEMON_NOT_STARTED"


def test_a_program_that_is_not_there_is_reported(prepared, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert failing(prepared, match="/nowhere/python").name == "DAEMON_NOT_STARTED"


def test_the_start_lock_is_waited_for_and_the_socket_looked_at_meanwhile(prepared, monkeypatch):
    folder = private_folder(prepared.runtime_dir)
    results = []
    with FileLock(folder.start_lock, is_singleton=False, thread_local=False):
        thread = threading.Thread(target=lambda: results.append(spawn.start(prepared, folder)), daemon=True)
        thread.start()
        assert not answers(folder)
        assert spawn._spawn(prepared, folder)  # what the holder of the lock does
        thread.join(20)
        assert results == [False]
        monkeypatch.setattr(spawn, "START_SECONDS", 0.1)
        monkeypatch.setattr(spawn, "answers", lambda folder: False)
        with pytest.raises(RpcError, match="has held"):
            spawn.start(prepared, folder)


def test_with_the_lock_taken_the_socket_is_looked_at_once_more(daemon_process):
    with environment_set_to(daemon_process.environment):
        assert not spawn.start(daemon_process.settings, daemon_process.folder)
    assert "already runs" not in daemon_process.settings.log_file.read_text()  # as a second one would say


def test_the_daemon_finds_our_files_though_its_folder_is_another(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(("vendored", "", "/absolute")))
    monkeypatch.setenv("NANOCHAT_BASE_DIR", "checkpoints")
    monkeypatch.setenv("NANOSCOPE_STEP", "9")
    monkeypatch.setenv("NANOSCOPE_UNRELATED", "kept")
    monkeypatch.chdir(tmp_path)
    settings, _ = load_settings({"source": "./model"}, {}, tmp_path / "none")
    environment = spawn.child_environment(settings)
    assert environment["PYTHONPATH"].split(os.pathsep) == [str(ROOT), str(tmp_path / "vendored"), "/absolute"]
    assert environment["NANOCHAT_BASE_DIR"] == str(tmp_path / "checkpoints")
    assert environment["NANOSCOPE_SOURCE"] == str(tmp_path / "model")
    assert environment["NANOSCOPE_UNRELATED"] == "kept"
    assert "NANOSCOPE_STEP" not in environment
    monkeypatch.delenv("PYTHONPATH")
    assert spawn.child_environment(settings)["PYTHONPATH"] == str(ROOT)  # others have packages of the same names
