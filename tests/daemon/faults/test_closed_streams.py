"""Whichever standard descriptors are closed, full or not read: the work is done, and stdout says nothing but it."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.launch.dial import answers
from daemon.run_folder import RunFolder
from tests.daemon.running import daemons_in, private_settings
from tests.daemon.waiting import until

ROOT = Path(__file__).parents[3]
PYTHON = [sys.executable, "-m"]
SECONDS = 60
CAPTURE = (
    b'{"jsonrpc": "2.0", "id": 1, "method": "generate_and_capture", "params": {"prompt": "One", "max_tokens": 2}}\n'
)
COMBINATIONS = [
    closed for count in (1, 2, 3) for closed in itertools.combinations(("<&-", ">&-", "2>&-"), count)
]  # fmt: skip
MOST = [(">&-",), ("2>&-",), ("<&-", ">&-", "2>&-")]  # where each takes seconds


@pytest.fixture(scope="module")
def ground():
    with private_settings() as (settings, environment):
        yield settings, environment


def shell(ground, words: list[str], redirections: str, **options) -> subprocess.CompletedProcess[bytes]:
    """A command in a shell, which closes or redirects what is said; its output is buffered, as a user's is."""
    command = ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *PYTHON, *words]
    given = {"input": b"", "capture_output": True, "timeout": SECONDS} | options
    environment = {name: value for name, value in ground[1].items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, env=environment, cwd=ROOT, **given)


def traces(ground) -> set[str]:
    folder = ground[0].traces_dir
    return set(os.listdir(folder)) if folder.exists() else set()


@pytest.mark.parametrize("way", [[], ["--private"]])
@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2</dev/null"])
def test_a_capture_over_stdio_with_a_stderr_that_takes_nothing(ground, way, stderr):
    before = traces(ground)
    done = shell(ground, ["daemon", "stdio", *way], stderr, input=CAPTURE)
    (answer,) = map(json.loads, done.stdout.splitlines())
    assert "result" in answer, answer
    assert done.returncode == 0
    assert len(traces(ground) - before) == 1


@pytest.mark.parametrize("closed", COMBINATIONS, ids=" ".join)
@pytest.mark.parametrize("way", [[], ["--private"]])
def test_stdio_says_the_protocol_alone(ground, closed, way):
    done = shell(ground, ["daemon", "stdio", *way], " ".join(closed), input=CAPTURE)
    assert b"Traceback" not in done.stderr
    if ">&-" in closed:
        assert (done.returncode, done.stdout) == (1, b"")
        assert "2>&-" in closed or b"stdout is closed" in done.stderr
    elif "<&-" in closed:  # nothing was asked
        assert (done.returncode, done.stdout) == (0, b"")
    else:
        (answer,) = map(json.loads, done.stdout.splitlines())
        assert "result" in answer


@pytest.mark.parametrize("closed", COMBINATIONS, ids=" ".join)
def test_a_command_does_its_work(ground, closed):
    before = traces(ground)
    done = shell(ground, ["daemon", "capture", "One", "-n", "2", "-q"], " ".join(closed))
    assert done.returncode == 0, done.stderr
    assert len(traces(ground) - before) == 1
    assert b"Traceback" not in done.stdout + done.stderr
    assert bool(done.stdout) == (">&-" not in closed)
    assert b"trace_" not in done.stdout  # the notice is stderr's


@pytest.mark.parametrize("closed", MOST, ids=" ".join)
def test_a_daemon_is_started_and_serves(closed):
    with private_settings() as fresh:
        done = shell(fresh, ["daemon", "start"], " ".join(closed))
        assert done.returncode == 0, done.stderr
        (process,) = daemons_in(fresh[0].runtime_dir)
        opened = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in range(3)]
        assert opened == ["/dev/null", str(fresh[0].log_file), str(fresh[0].log_file)]
        listed = shell(fresh, ["daemon", "list", "--json"], "")
        assert json.loads(listed.stdout) is not None


@pytest.mark.parametrize("closed", MOST, ids=" ".join)
def test_serve_by_hand_works(closed):
    with private_settings() as fresh:
        command = ["/bin/sh", "-c", f'exec "$@" {" ".join(closed)}', "sh", *PYTHON, "daemon", "serve"]
        with subprocess.Popen(command, env=fresh[1], cwd=ROOT, stdout=subprocess.PIPE) as process:
            try:
                until(lambda: answers(RunFolder(fresh[0].runtime_dir)), "it serves")  # else stdio would start another
                done = shell(fresh, ["daemon", "stdio"], "", input=CAPTURE)
                assert "result" in json.loads(done.stdout)
                assert process.poll() is None
            finally:
                process.terminate()
                assert process.stdout is not None
                assert process.stdout.read() == b""
        assert process.returncode == 0


@pytest.mark.parametrize("closed", MOST, ids=" ".join)
def test_the_demo_keeps_its_trace(ground, closed, tmp_path):
    words = ["scripts.interpretability_demo", "-i", "demo", "--max-tokens", "2", "--traces-dir", str(tmp_path), "-q"]
    done = shell(ground, words, " ".join(closed))
    assert done.returncode == 0, done.stderr
    (trace,) = [path for path in tmp_path.iterdir() if path.suffix == ".json"]
    assert json.loads(trace.read_text())["prompt"]
    assert bool(done.stdout) == (">&-" not in closed)
    assert b"Loaded" not in done.stdout


def test_the_demo_does_not_need_its_notices(ground, tmp_path):
    words = ["scripts.interpretability_demo", "-i", "demo", "--max-tokens", "2", "--traces-dir", str(tmp_path)]
    assert shell(ground, words, "2>/dev/full").returncode == 0
    full = shell(ground, words, ">/dev/full")
    assert full.returncode == 1
    assert b"error: The output cannot be used" in full.stderr
    assert b"Exception ignored" not in full.stderr


@pytest.mark.parametrize("words", [["list"], ["--help"], ["status"], ["capture", "One", "-n", "1", "-q"]])
def test_an_output_that_is_full_is_said_in_a_sentence(ground, words):
    shell(ground, ["daemon", "capture", "One", "-n", "1", "-q"], "")
    full = shell(ground, ["daemon", *words], ">/dev/full")
    assert full.returncode == 1
    assert b"error: The output cannot be written (No space left on device)" in full.stderr
    assert b"Exception ignored" not in full.stderr
    assert b"Traceback" not in full.stderr


@pytest.mark.parametrize("words", [["list"], ["list", "--nonsense"], ["show", "nothing"], ["stop"]])
def test_a_stderr_that_is_full_changes_no_status(words):
    with private_settings() as fresh:
        assert (
            shell(fresh, ["daemon", *words], "2>/dev/full").returncode
            == shell(fresh, ["daemon", *words], "").returncode
        )


def test_a_log_on_a_full_disk_costs_no_capture():
    with private_settings(log_file="/dev/full") as fresh:
        for _ in range(2):
            done = shell(fresh, ["daemon", "stdio"], "", input=CAPTURE)
            assert "result" in json.loads(done.stdout), done.stdout


LIBRARY = """
import contextlib, os, sys
from nanochat.checkpoint_manager import load_model
model, tokenizer, _ = load_model("demo", "cpu", "eval")
file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
assert file > 2
with contextlib.suppress(OSError):
    os.write(2, b"what C++ says")
"""


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-", "2</dev/null"])
def test_a_program_of_ones_own_loads_a_model_all_the_same(ground, tmp_path, redirection):
    command = ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", LIBRARY, str(tmp_path / "file")]
    done = subprocess.run(command, env=ground[1], cwd=ROOT, capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (0, b""), done.stderr
    assert (tmp_path / "file").read_bytes() == b""


UNREAD = """
import sys
from nanochat.system.standard_streams import prepare
prepare()
for _ in range(100):
    print("a notice" * 1000, file=sys.stderr)
print("done")
"""


def test_a_pipe_that_nobody_reads_stops_nothing():
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNREAD], stderr=writing, stdout=subprocess.PIPE, cwd=ROOT, timeout=20
        )
    finally:
        os.close(reading)
        os.close(writing)
    assert done.stdout == b"done\n"
