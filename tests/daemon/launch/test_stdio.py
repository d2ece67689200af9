"""The pump copies bytes both ways, ends when it should, and starts fast; stdout is the protocol's alone."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from daemon.launch.stdio import pump
from tests.daemon.running import private_settings

STDIO = [sys.executable, "-m", "daemon", "stdio"]
ROOT = Path(__file__).parents[3]
STATUS = b'{"jsonrpc": "2.0", "id": 7, "method": "get_status", "params": {}}\n'
SLOW_MODULES = {
    "asyncio", "filelock", "jsonrpcserver", "logging", "msgspec", "multiprocessing", "numpy", "psutil", "pygls", "rich",
    "subprocess", "tomllib", "torch", "typer", "watchdog",
}  # fmt: skip


class Pumped:
    """A pump in a thread between two pipes and a socket pair."""

    def __init__(self, *, blocking: bool = True):
        source, self.stdin = os.pipe()
        self.stdout, target = os.pipe()
        self.daemon, connection = socket.socketpair()
        self.daemon.settimeout(10)
        self.status: list[int] = []
        os.set_blocking(source, blocking)
        os.set_blocking(target, blocking)

        def run() -> None:
            with connection:
                self.status.append(pump(connection, source, target))
            os.close(target)

        self._opened = [self.stdin, self.stdout]
        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def close(self, descriptor: int) -> None:
        self._opened.remove(descriptor)
        os.close(descriptor)

    def ended(self) -> int:
        self.thread.join(10)
        (status,) = self.status
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.close()
        for descriptor in self._opened:
            os.close(descriptor)
        self.thread.join(10)


def read_all(read, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := read(min(size, 65536))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@pytest.mark.parametrize("blocking", [True, False])
def test_megabytes_go_both_ways_at_once_unchanged(blocking):
    data, back = secrets.token_bytes(3_000_000), secrets.token_bytes(3_000_000)
    with Pumped(blocking=blocking) as pumped:
        writers = [
            threading.Thread(target=write_all, args=(pumped.stdin, data), daemon=True),
            threading.Thread(target=pumped.daemon.sendall, args=(back,), daemon=True),
        ]
        for writer in writers:
            writer.start()
        assert read_all(pumped.daemon.recv, len(data)) == data
        assert read_all(lambda size: os.read(pumped.stdout, size), len(back)) == back
        for writer in writers:
            writer.join()


def test_at_the_end_of_input_the_answers_still_come():
    with Pumped() as pumped:
        os.write(pumped.stdin, b"[question]")
        pumped.close(pumped.stdin)
        assert read_all(pumped.daemon.recv, 100) == b"[question]"  # and the end
        pumped.daemon.sendall(b"answer")
        assert os.read(pumped.stdout, 100) == b"answer"
        assert not pumped.status
        pumped.daemon.close()
        assert os.read(pumped.stdout, 100) == b""
        assert pumped.ended() == 0


def test_a_socket_closed_with_answers_unread_is_the_end_of_input(capfd):
    (client, source), (daemon, connection) = socket.socketpair(), socket.socketpair()
    daemon.settimeout(10)
    source.sendall(b"an answer")
    client.close()
    with source, daemon, connection:
        status: list[int] = []
        pumping = threading.Thread(target=lambda: status.append(pump(connection, source.fileno(), source.fileno())))
        pumping.start()
        assert daemon.recv(100) == b""
        daemon.close()
        pumping.join(10)
    assert status == [0]
    assert capfd.readouterr().err == ""


def test_it_ends_when_the_daemon_hangs_up_though_input_stays_open(capfd):
    with Pumped() as pumped:
        pumped.daemon.close()
        assert pumped.ended() == 1
    assert capfd.readouterr().err.count("\n") == 1


def test_it_ends_quietly_when_nobody_reads_its_output(capfd):
    with Pumped() as pumped:
        pumped.close(pumped.stdout)
        pumped.daemon.sendall(b"answer")
        assert pumped.ended() == 141
    assert capfd.readouterr().err == ""


def test_a_goodbye_that_lies_unread_while_nobody_reads_the_output_is_heard(capfd):
    with Pumped() as pumped:
        pumped.close(pumped.stdout)
        pumped.daemon.sendall(b"what others do meanwhile")
        time.sleep(0.1)
        os.write(pumped.stdin, b'{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}\n')
        pumped.close(pumped.stdin)
        assert pumped.ended() == 0
    assert capfd.readouterr().err == ""


def test_who_ended_the_daemon_and_closed_its_end_is_in_good_order(capfd):
    with Pumped() as pumped:
        os.write(pumped.stdin, b'{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}\n')
        assert pumped.daemon.recv(100)
        pumped.close(pumped.stdout)
        pumped.daemon.sendall(b"what others do meanwhile")
        assert pumped.ended() == 0
    assert capfd.readouterr().err == ""


def test_a_broken_connection_is_a_failure_in_one_line(capfd):
    with Pumped() as pumped:
        os.write(pumped.stdin, b"never read")
        assert pumped.daemon.recv(1) == b"n"
        pumped.daemon.close()  # with bytes unread: a reset
        assert pumped.ended() == 1
    assert capfd.readouterr().err.count("\n") == 1


def test_a_conversation_by_the_command(daemon_process):
    asked = subprocess.run(
        STDIO, input=STATUS, env=daemon_process.environment, cwd=ROOT, capture_output=True, timeout=20
    )
    assert asked.stderr == b""
    assert asked.returncode == 0
    answer = json.loads(asked.stdout)
    assert answer["id"] == 7
    assert answer["result"]["pid"] == daemon_process.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_quietly(daemon_process, number):
    with subprocess.Popen(
        STDIO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=daemon_process.environment,
        cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(STATUS)
        process.stdin.flush()
        assert b'"result"' in process.stdout.readline()
        process.send_signal(number)
        assert process.wait(10) == -number
        assert process.stderr.read() == b""


def test_where_there_can_be_no_daemon_it_says_so_in_one_line():
    with private_settings() as (settings, environment):
        settings.runtime_dir.mkdir(mode=0o755)
        settings.runtime_dir.chmod(0o755)
        asked = subprocess.run(STDIO, input=STATUS, env=environment, cwd=ROOT, capture_output=True, timeout=20)
    assert asked.returncode == 1
    assert asked.stdout == b""
    assert asked.stderr.startswith(b"nanoscope stdio: Others can enter")
    assert asked.stderr.count(b"\n") == 1


def test_a_wrong_flag_is_named():
    asked = subprocess.run([*STDIO, "--colour"], input=b"", cwd=ROOT, capture_output=True, timeout=20)
    assert (asked.returncode, asked.stdout) == (2, b"")
    assert b"--colour" in asked.stderr


@pytest.mark.parametrize("piped", [True, False])
def test_private_serves_one_client_without_a_daemon(tmp_path, piped):
    (tmp_path / "input").write_bytes(STATUS)
    with private_settings() as (settings, environment), open(tmp_path / "input", "rb") as file:
        options: dict[str, Any] = {"env": environment, "cwd": ROOT, "capture_output": True, "timeout": 30}
        given: dict[str, Any] = {"input": STATUS} if piped else {"stdin": file}
        asked = subprocess.run([*STDIO, "--private"], **options, **given)
        assert asked.returncode == 0, asked.stderr
        (line,) = asked.stdout.splitlines()
        assert json.loads(line)["result"]["pid"]
        assert not settings.runtime_dir.exists()


PRINTS = """
import os, sys
sys.argv = ["nanoscope", "stdio"]
class Loud:
    def find_spec(self, name, *_):
        if name == "daemon.launch.stdio":
            print("printed by an import", flush=True)
            os.system("echo printed by a child")
sys.meta_path.insert(0, Loud())
from daemon.__main__ import main
sys.exit(main())
"""


def test_what_imports_print_never_reaches_stdout(daemon_process):
    asked = subprocess.run(
        [sys.executable, "-c", PRINTS], input=STATUS, env=daemon_process.environment, cwd=ROOT, capture_output=True,
        timeout=20,
    )  # fmt: skip
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["id"] == 7
    assert b"printed by an import" in asked.stderr
    assert b"printed by a child" in asked.stderr


def test_nothing_slow_is_imported_on_the_way(daemon_process):
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", *STDIO[1:]], input=STATUS, env=daemon_process.environment, cwd=ROOT,
        capture_output=True, timeout=20,
    )  # fmt: skip
    imported = {line.split("|")[-1].strip() for line in asked.stderr.decode().splitlines() if "|" in line}
    assert "daemon.launch.stdio" in imported
    assert not SLOW_MODULES & {name.split(".")[0] for name in imported}
    ours = {name for name in imported if name.startswith("nanochat")}
    assert ours == {
        "nanochat",
        "nanochat.system",
        "nanochat.system.standard_streams",
        "nanochat.system.current_folder",
        "nanochat.system.private_files",
    }
