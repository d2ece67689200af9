"""The pump's exit status says how a conversation ended, and a stopped daemon is spoken of within seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.daemon.launch.test_farewell import EXIT, framed, lines, request
from tests.daemon.running import environment_set_to, private_settings, running_daemon

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "daemon"]
INITIALIZE = request("initialize", processId=None, rootUri=None, capabilities={})
SHUTDOWN = {"jsonrpc": "2.0", "id": 2, "method": "shutdown"}
LONG = request("generate_and_capture", prompt="Once", max_tokens=240, temperature=100, top_k=0, stream=True)


@pytest.fixture(scope="module")
def process():
    with running_daemon() as process, environment_set_to(process.environment):
        process.call("load_model", {"source": "demo"})
        yield process


def talk(said: bytes, *words: str, **options) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, "stdio", *words], input=said, cwd=ROOT, capture_output=True, timeout=60, **options)


@pytest.mark.parametrize("way", [[], ["--private"]])
@pytest.mark.parametrize(
    ("said", "status"),
    [
        (framed(INITIALIZE, SHUTDOWN, EXIT), 0),
        (framed(INITIALIZE, EXIT), 1),
        (framed(EXIT), 1),
        (framed(INITIALIZE), 1),
        (framed(INITIALIZE, SHUTDOWN), 0),
        (lines(request("get_status")), 0),
        (b"", 0),
    ],
)
def test_the_status_is_as_lsp_has_it(process, way, said, status):
    done = talk(said, *way)
    assert done.returncode == status
    assert done.stderr == b"" or way  # then it is the model's notice


@pytest.mark.parametrize("input_ended", [True, False])
def test_what_is_no_message_is_told_of(process, input_ended):
    with subprocess.Popen(
        [*COMMAND, "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as pump:
        assert pump.stdin and pump.stderr
        pump.stdin.write(b"not a frame\r\n\r\n")
        pump.stdin.flush()
        if input_ended:
            pump.stdin.close()
        assert pump.wait(20) == 1
        told = pump.stderr.read()
        assert b"hung up" in told or b"went away" in told
        assert told.count(b"\n") == 1
    assert talk(b"not a frame\r\n\r\n", "--private").returncode == 1


@pytest.fixture
def own():
    with running_daemon() as process, environment_set_to(process.environment):
        process.call("load_model", {"source": "demo"})
        yield process


@pytest.mark.parametrize("input_ended", [True, False])
def test_a_daemon_that_dies_is_told_of(own, input_ended):
    with subprocess.Popen(
        [*COMMAND, "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as pump:
        assert pump.stdin and pump.stdout and pump.stderr
        pump.stdin.write(lines(request("get_status"), LONG | {"id": 3}))
        pump.stdin.flush()
        assert any(b"generation_progress" in line for line in pump.stdout)
        if input_ended:
            pump.stdin.close()
        psutil.Process(own.pid).kill()
        assert pump.wait(20) == 1
        assert b"went away" in (told := pump.stderr.read()) or b"hung up" in told
        assert told.count(b"\n") == 1


ENDING = request("workspace/executeCommand", command="nanoscope.shutdown", arguments=[{"force": True}])


@pytest.mark.parametrize("said", [lines(request("shutdown", force=True)), framed(INITIALIZE, ENDING | {"id": 2})])
@pytest.mark.parametrize("input_ended", [True, False])
def test_who_ends_the_daemon_is_not_told_that_it_ended(own, said, input_ended):
    with subprocess.Popen(
        [*COMMAND, "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as pump:
        assert pump.stdin and pump.stdout and pump.stderr
        pump.stdin.write(said)
        pump.stdin.flush()
        if input_ended:
            pump.stdin.close()
        assert (pump.wait(20), pump.stderr.read()) == (0, b"")


def test_answers_that_cannot_be_written_are_a_failure(process):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "stdio"], input=lines(request("get_status")), stdout=full, stderr=subprocess.PIPE, cwd=ROOT,
            timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"cannot be written (No space left on device)" in done.stderr


@pytest.fixture(scope="module")
def stopped(process):
    """The daemon while it is stopped."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield process
    finally:
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    "words",
    [["stdio"], ["list"], ["status"], ["sessions"], ["start"], ["capture", "One"], ["doctor"], ["models"], ["stop"],
     ["load", "demo"], ["stdio", "--source", "demo"]],
    ids=" ".join,
)  # fmt: skip
def test_a_stopped_daemon_is_spoken_of_within_seconds(stopped, words):
    begun = time.monotonic()
    done = subprocess.run(
        [*COMMAND, *words], input=lines(request("get_status")), cwd=ROOT, capture_output=True, timeout=60
    )
    assert time.monotonic() - begun < 9  # on a busy machine
    said = (done.stderr + done.stdout).decode()
    assert done.returncode == 1, said
    assert "nanoscope stop --force" in said
    assert words == ["stop"] or f"kill -CONT {stopped.pid}" in said


def test_it_can_be_ended_by_force():
    with running_daemon() as process, environment_set_to(process.environment):
        os.kill(process.pid, signal.SIGSTOP)
        done = subprocess.run([*COMMAND, "stop", "--force"], cwd=ROOT, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert process.settings.log_file.read_text().endswith("ended\n")


def test_where_it_cannot_be_started_the_pump_says_why(tmp_path):
    with private_settings() as (settings, environment):
        settings.runtime_dir.write_text("a file")
        done = talk(lines(request("get_status")), env=environment)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.count(b"\n") == 1
        assert json.dumps(str(settings.runtime_dir))[1:-1].encode() in done.stderr
