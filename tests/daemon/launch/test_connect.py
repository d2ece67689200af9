"""Clients find the daemon that fits, replace one that does not and that nobody uses, and say what is wrong."""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from daemon.launch import connect as connecting
from daemon.launch.connect import connect_or_start
from daemon.launch.dial import answers, ask, connect, connect_tcp, connect_unix
from daemon.run_folder import private_folder, write_token
from protocol.errors import RpcError
from tests.daemon.running import environment_set_to, private_settings, running_daemon


@pytest.fixture
def folder():
    with private_settings() as (settings, _):
        yield private_folder(settings.runtime_dir)


@pytest.fixture
def listening(folder):
    """A Unix socket that nobody accepts from yet, as a daemon's would be."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(10)
        listener.bind(str(folder.socket))
        listener.listen(1)
        yield listener


def pid_of(connection: socket.socket) -> int:
    with connection:
        return ask(connection, "get_status", {})["result"]["pid"]


def test_without_a_daemon_there_is_nothing_to_connect_to(folder):
    with pytest.raises(FileNotFoundError):
        connect(folder)
    assert not answers(folder)


def test_a_stale_socket_refuses(folder, listening):
    assert answers(folder)
    listening.close()
    with pytest.raises(ConnectionRefusedError):
        connect(folder)
    assert not answers(folder)


def test_a_socket_of_another_users_process_is_refused(folder, listening, monkeypatch):
    with connect_unix(folder) as connection:
        assert connection.gettimeout() is None
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(PermissionError, match=f"belongs to user {os.getuid()}"):
        connect_unix(folder)


def test_a_crowded_socket_is_waited_for(folder, listening):
    waiting, connected = [], threading.Event()

    def connect_at_last() -> None:
        connect_unix(folder).close()
        connected.set()

    thread = threading.Thread(target=connect_at_last, daemon=True)
    try:
        while not waiting or waiting[-1].connect_ex(str(folder.socket)) == 0:  # until its backlog is full
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
        thread.start()
        assert not connected.wait(0.2)
        listening.settimeout(0.1)  # the last one may be in before it says so
        while not connected.is_set():
            with suppress(TimeoutError):
                listening.accept()[0].close()
        thread.join(10)
    finally:
        for one in waiting:
            one.close()


def test_by_tcp_the_token_goes_first(folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        write_token(folder, listener.getsockname()[1], "secret")
        with connect_tcp(folder) as connection, connect(folder):  # there is no Unix socket
            accepted, _ = listener.accept()
            with accepted:
                connection.sendall(b"hello")
                connection.close()
                with accepted.makefile("rb") as lines:
                    assert lines.read() == b"secret\nhello"
    with pytest.raises(ConnectionRefusedError):
        connect(folder)


def test_a_daemon_is_started_and_then_found():
    with private_settings() as (settings, environment), environment_set_to(environment):
        pids = {pid_of(connect_or_start(settings)) for _ in range(3)}
        assert len(pids) == 1
        assert oct(os.stat(private_folder(settings.runtime_dir).socket).st_mode)[-3:] == "600"


def test_a_stale_socket_is_replaced(listening, folder):
    listening.close()
    with private_settings() as (settings, environment), environment_set_to(environment):
        settings = replace(settings, runtime_dir=folder.path)
        pid = pid_of(connect_or_start(settings))
        assert psutil.Process(pid).is_running()
        psutil.Process(pid).terminate()
        psutil.Process(pid).wait(20)


def test_a_killed_daemon_leaves_nothing_that_needs_a_hand(daemon_process):
    with environment_set_to(daemon_process.environment):
        for process in (psutil.Process(daemon_process.pid),):
            process.kill()
            process.wait(20)
        assert daemon_process.folder.socket.exists()
        assert pid_of(connect_or_start(daemon_process.settings)) != daemon_process.pid


def test_another_model_needs_no_other_daemon(daemon_process):
    other = replace(daemon_process.settings, dtype="float16")
    with environment_set_to(daemon_process.environment), daemon_process.connect() as client:
        assert "result" in ask(client, "hello", {})
        assert pid_of(connect_or_start(other)) == daemon_process.pid


def test_a_client_of_the_first_edition_is_told_of_another_model_as_ever(daemon_process):
    theirs = replace(daemon_process.settings, dtype="float16").fingerprint()
    with pytest.raises(RpcError, match="model settings") as caught:
        daemon_process.call("hello", {"fingerprint": theirs})
    assert caught.value.name == "VERSION_MISMATCH"


@pytest.mark.parametrize("used", [False, True])
def test_a_daemon_that_knows_of_no_named_models_is_replaced_if_nobody_uses_it(folder, listening, used):
    def serve() -> None:
        refused = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "unknown field `base_dir`"}}\n'
        accepted, _ = listening.accept()
        with accepted, accepted.makefile("rb") as requests:
            assert b"hello" in requests.readline()
            accepted.sendall(refused)
            assert b"shutdown" in requests.readline()
            in_use = b'"error": {"code": -31019, "message": "in use"}'
            accepted.sendall(b'{"jsonrpc": "2.0", "id": 1, %s}\n' % (in_use if used else b'"result": null'))
            listening.close()

    thread = threading.Thread(target=serve, daemon=True)
    with private_settings() as (settings, environment), environment_set_to(environment):
        settings = replace(settings, runtime_dir=folder.path)
        thread.start()
        if used:
            with pytest.raises(RpcError, match="nanoscope stop --force") as caught:
                connect_or_start(settings)
            assert caught.value.name == "VERSION_MISMATCH"
        else:
            pid = pid_of(connect_or_start(settings))
            psutil.Process(pid).terminate()
            psutil.Process(pid).wait(20)
    thread.join(10)


def test_another_version_replaces_a_daemon_that_nobody_uses(daemon_process, monkeypatch):
    monkeypatch.setattr(connecting, "PROTOCOL_VERSION", "another")
    with environment_set_to(daemon_process.environment):
        pid = pid_of(connect_or_start(daemon_process.settings))
    assert pid != daemon_process.pid
    daemon_process.wait()


def answer_with(listener: socket.socket, *lines: bytes) -> threading.Thread:
    """Accept clients, answer each request with the next line, and hang up after the last."""

    def serve() -> None:
        accepted, _ = listener.accept()
        with accepted, accepted.makefile("rb") as requests:
            for line in lines:
                requests.readline()
                accepted.sendall(line)
        listener.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize(
    "lines", [[b""], [b"HTTP/1.1 400\r\n"], [b'{"id": 1, "error": {"code": -31018, "message": "ending"}}\n']]
)
def test_a_daemon_that_ends_while_we_ask_is_replaced(daemon_process, lines):
    daemon_process.call("shutdown")
    daemon_process.wait()
    with socket.socket(socket.AF_UNIX) as listener, environment_set_to(daemon_process.environment):
        listener.bind(str(daemon_process.folder.socket))
        listener.listen()
        thread = answer_with(listener, *lines)
        assert pid_of(connect_or_start(daemon_process.settings)) != daemon_process.pid
        thread.join(10)


def test_what_a_daemon_says_instead_of_serving_is_told(folder, listening):
    answer = b'{"jsonrpc": "2.0", "id": null, "error": {"code": -31011, "message": "too many clients"}}\n'
    thread = threading.Thread(target=answer_one, args=(listening, answer), daemon=True)
    with private_settings() as (settings, environment), environment_set_to(environment):
        thread.start()
        with pytest.raises(RpcError, match="too many clients") as caught:
            connect_or_start(replace(settings, runtime_dir=folder.path))
    assert caught.value.name == "QUEUE_FULL"
    thread.join(10)


def test_a_daemon_that_does_not_know_hello_is_reported(folder, listening):
    answer = b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such method"}}\n'
    thread = threading.Thread(target=answer_one, args=(listening, answer), daemon=True)
    with private_settings() as (settings, environment), environment_set_to(environment):
        thread.start()
        with pytest.raises(RpcError, match="no such method") as caught:
            connect_or_start(replace(settings, runtime_dir=folder.path))
        assert caught.value.name == "VERSION_MISMATCH"
        assert "nanoscope stop" in str(caught.value)
    thread.join(10)


def answer_one(listener: socket.socket, answer: bytes) -> None:
    accepted, _ = listener.accept()
    with accepted, accepted.makefile("rb") as requests:
        requests.readline()
        accepted.sendall(b'{"jsonrpc": "2.0", "method": "status_changed"}\n' + answer)


def test_a_daemon_that_does_not_answer_is_reported(folder, listening, monkeypatch):
    monkeypatch.setattr(ask, "__defaults__", (0.1,))
    with private_settings() as (settings, environment), environment_set_to(environment):
        begun = time.monotonic()
        with pytest.raises(RpcError, match="does not answer: run") as caught:
            connect_or_start(replace(settings, runtime_dir=folder.path))
        assert time.monotonic() - begun < 5
    assert caught.value.name == "DAEMON_NOT_STARTED"


def test_by_tcp_everything_works_the_same():
    with running_daemon(tcp="true") as process:
        with connect_tcp(process.folder) as connection:
            connection.settimeout(10)
            assert pid_of(connection) == process.pid
        process.folder.socket.unlink()
        with environment_set_to(process.environment):
            assert pid_of(connect_or_start(process.settings)) == process.pid


AS_ON_WINDOWS = """
import sys, os, signal, socket, subprocess, threading, platformdirs, tempfile, pathlib, select, logging.handlers
sys.modules["fcntl"] = None
sys.platform = "win32"
for module, names in (
    (os, "geteuid getuid set_blocking O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK O_TMPFILE"),
    (socket, "AF_UNIX SO_PEERCRED"),
    (select, "poll epoll"),
):
    for name in names.split():
        delattr(module, name)
import daemon.launch.connect, daemon.launch.dial, daemon.launch.stdio, daemon.settings, daemon.log
from daemon.run_folder import RunFolder, private_folder
folder = private_folder(pathlib.Path(sys.argv[1]))
assert not daemon.launch.dial.answers(folder)
settings = daemon.settings.Settings(folder.path, folder.path, folder.path)
assert settings.tcp
import nanochat.traces.atomic_file as atomic_file
with atomic_file.draft_in(folder.path, "x") as draft:
    draft.write(b"whole")
    assert atomic_file.publish(draft, folder.path / "x")
assert os.listdir(folder.path) == ["x"]
from nanochat.system.temporary_names import remove_dead_files
assert remove_dead_files(folder.path, 0.0) == 0
"""


def test_it_imports_where_there_are_no_unix_sockets(tmp_path):
    command = [sys.executable, "-c", AS_ON_WINDOWS, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
