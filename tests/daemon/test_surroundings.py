"""The daemon has surroundings of its own, whoever starts it; and a deleted working folder is said in a sentence."""

import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from daemon.surroundings import environment_for_a_daemon
from tests.daemon.running import daemons_in, environment_set_to, private_settings, running_daemon

ROOT = Path(__file__).parents[2]
SECONDS = 60
ODD = "umask 000; ulimit -S -f 8; ulimit -S -n 60; trap '' INT TERM PIPE XFSZ HUP; "
ODD_VARIABLES = {
    "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONSTARTUP": "/nowhere", "PYTHONIOENCODING": "ascii",
    "PYTHONDEVMODE": "1", "LC_ALL": "C", "TMPDIR": "/nowhere",
}  # fmt: skip


WRITES_NO_CACHE = {"PYTHONDONTWRITEBYTECODE": "1"}  # Python 3.11 cuts its own files off at a limit on their size


def command(environment: dict[str, str], *words: str, before: str = "", **more: str):
    """A command in a shell that does something first."""
    return subprocess.run(
        ["/bin/sh", "-c", f'{before} exec "$@"', "sh", sys.executable, "-m", "daemon", *words],
        env=environment | {"PYTHONPATH": str(ROOT)} | WRITES_NO_CACHE | more,
        cwd=ROOT, capture_output=True, text=True, timeout=SECONDS,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def odd():
    """A daemon that was started from a shell with the oddest surroundings; its settings, environment and process."""
    with private_settings() as (settings, environment):
        started = command(environment, "start", before=ODD + "cd /tmp; ", **ODD_VARIABLES)
        assert started.returncode == 0, started.stderr
        (process,) = daemons_in(settings.runtime_dir)
        yield settings, environment, process


def test_a_daemon_has_its_own_umask_limits_and_signals(odd):
    settings, environment, process = odd
    status = dict(
        line.split(":\t") for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if ":\t" in line
    )
    assert int(status["Umask"], 8) == 0o077
    assert int(status["SigBlk"], 16) == 0
    assert process.rlimit(psutil.RLIMIT_FSIZE) == (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    assert process.rlimit(psutil.RLIMIT_NOFILE)[0] >= min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert process.nice() == 0
    captured = command(environment, "capture", "Ünï", "-n", "4", "-q")
    assert captured.returncode == 0, captured.stderr
    (trace,) = settings.traces_dir.glob("*.json")
    assert not stat.S_IMODE(trace.stat().st_mode) & 0o022
    assert not stat.S_IMODE(settings.log_file.stat().st_mode) & 0o077
    process.send_signal(signal.SIGINT)
    process.wait(20)


def test_a_daemons_environment_is_not_its_first_clients(odd):
    _, environment, process = odd
    kept = process.environ()
    assert not {name for name in ODD_VARIABLES if name in kept} - {"LC_ALL"}
    assert kept["PYTHONUTF8"] == "1"
    listed = command(environment, "list", "--json", "--traces-dir", "/tmp/nanoscope-ä-nowhere")
    assert listed.returncode == 0, listed.stderr


def test_a_nice_client_has_no_nice_daemon():
    with private_settings() as (settings, environment):
        started = subprocess.run(
            ["nice", "-n", "5", sys.executable, "-m", "daemon", "start"], env=environment, cwd=ROOT, timeout=SECONDS,
            capture_output=True, text=True,
        )  # fmt: skip
        assert started.returncode == 0, started.stderr
        (process,) = daemons_in(settings.runtime_dir)
        said = settings.log_file.read_text()
        assert process.nice() == 0 or "nice is 5" in said  # only some users may take it back


def test_a_limit_that_cannot_be_raised_is_said_in_the_log():
    with private_settings() as (settings, environment):
        started = command(environment, "start", before="ulimit -f 40;")
        assert started.returncode == 0, started.stderr
        assert "ulimit -f is" in settings.log_file.read_text()
        captured = command(environment, "capture", "One", "-n", "8")
        assert captured.returncode == 1
        assert "No room for" in captured.stderr
        assert "Traceback" not in captured.stderr
        assert command(environment, "list", "--json").returncode == 0


def test_what_says_where_pythons_files_lie_is_kept():
    given = {"PYTHONPATH": "/a", "PYTHONHOME": "/b", "PYTHONWARNINGS": "error", "TMPDIR": "/c", "HOME": "/d"}
    assert environment_for_a_daemon(given) == {
        "PYTHONPATH": "/a", "PYTHONHOME": "/b", "HOME": "/d", "PYTHONUTF8": "1"
    }  # fmt: skip


@pytest.fixture(scope="module")
def served():
    with running_daemon() as process, environment_set_to(process.environment):
        yield process


GONE = 'd=$(mktemp -d); cd "$d"; rmdir "$d"; '
WORK = [
    ["list", "--json"], ["status"], ["sessions"], ["start"], ["models"], ["capture", "One", "-n", "1", "-q"],
    ["show", "latest"], ["summary", "latest"], ["logs"], ["doctor"],
]  # fmt: skip
NEED_A_FOLDER = [
    ["export", "latest", "--to", "json"], ["list", "--traces-dir", "here"], ["stdio", "--traces-dir", "here"],
    ["load", "./model"], ["tensor", "latest", "attention_weights", "--layer", "0", "--out", "x.npy"],
    ["start", "--source", "./model"],
    ["stdio", "--private", "--runtime-dir", "here"], ["serve", "--log-file", "here"],
]  # fmt: skip


@pytest.mark.parametrize("words", WORK, ids=" ".join)
def test_commands_work_in_a_folder_that_was_deleted(served, words):
    command(served.environment, "capture", "One", "-n", "1", "-q")
    done = command(served.environment, *words, before=GONE)
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stderr.startswith("error")) == (0, False), done.stderr


@pytest.mark.parametrize("words", NEED_A_FOLDER, ids=" ".join)
def test_one_that_needs_the_folder_says_so(served, words):
    command(served.environment, "capture", "One", "-n", "1", "-q")
    done = command(served.environment, *words, before=GONE)
    assert done.returncode in (1, 2)
    assert "the current folder has been deleted" in done.stderr.lower(), done.stderr
    assert "Traceback" not in done.stderr


def test_a_daemon_is_started_from_a_folder_that_was_deleted():
    with private_settings() as (settings, environment):
        done = command(environment, "capture", "One", "-n", "1", "-q", before=GONE)
        assert done.returncode == 0, done.stderr
        (process,) = daemons_in(settings.runtime_dir)
        assert str(ROOT) in process.environ()["PYTHONPATH"]
    with private_settings() as (settings, environment):
        done = command(environment, "start", before=GONE, NANOCHAT_BASE_DIR="here")
        assert done.returncode == 1
        assert "current folder has been deleted" in done.stderr


def test_the_demo_says_so_too(served):
    done = subprocess.run(
        ["/bin/sh", "-c", f'{GONE} exec "$@"', "sh", sys.executable, "-m", "scripts.interpretability_demo"],
        env=served.environment | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 1
    assert "current folder has been deleted" in done.stderr
    assert "Traceback" not in done.stderr
