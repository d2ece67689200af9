"""The daemon on the disk: closed to others, no word of what was deleted, nothing of others' touched."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.log import open_log
from daemon.own_log import FIRST_LINE, is_log
from daemon.run_folder import private_folder, read_token, write_token
from daemon.settings import Settings
from protocol.errors import RpcError
from tests.daemon.running import DaemonProcess, environment_set_to, private_settings, running_daemon
from tests.daemon.waiting import until

ROOT = Path(__file__).parents[3]
SECRET = "nobody else's business"
OLD_LINE = "2026-01-02 03:04:05,678 INFO nanoscope.serving: ready in /run/nanoscope, pid 17\n"


@pytest.fixture(scope="module")
def permissive() -> Iterator[DaemonProcess]:
    """A daemon that was started where everything is made for all to read."""
    before = os.umask(0)
    try:
        with running_daemon(tcp="yes") as daemon:
            yield daemon
    finally:
        os.umask(before)


def everything(daemon: DaemonProcess) -> list[Path]:
    """All that there is of a daemon on the disk."""
    root = daemon.settings.runtime_dir.parent
    return [root, *(path for path in root.rglob("*") if not path.is_symlink())]


def holders(daemon: DaemonProcess) -> list[Path]:
    return [path for path in everything(daemon) if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_all_that_it_makes_is_closed_to_others(permissive):
    for format in ("json", "safetensors"):
        permissive.call("generate_and_capture", {"prompt": SECRET, "max_tokens": 1, "format": format})
    assert holders(permissive)
    files = [path for path in everything(permissive) if path.is_file() and path.stat().st_size]
    assert len(files) >= 6  # traces, catalogue and its log, token, log
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    folders = [path for path in everything(permissive) if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


@pytest.mark.parametrize("how", ["delete_trace", "rm"])
def test_what_was_deleted_is_nowhere_any_more(permissive, how):
    for row in permissive.call("list_traces")["traces"]:
        permissive.call("delete_trace", {"trace_id": row["trace_id"]})
    kept = permissive.call("generate_and_capture", {"prompt": "another", "max_tokens": 1})
    made = permissive.call("generate_and_capture", {"prompt": SECRET, "max_tokens": 1})
    permissive.call("get_tokens", {"trace_id": made["trace_id"]})
    assert len(holders(permissive)) >= 2  # the trace and the catalogue
    if how == "rm":
        os.unlink(made["path"])
        until(lambda: len(permissive.call("list_traces")["traces"]) == 1, "the trace is no longer listed")
    else:
        permissive.call("delete_trace", {"trace_id": made["trace_id"]})
    until(lambda: not holders(permissive), "it is wiped")
    assert [row["trace_id"] for row in permissive.call("list_traces")["traces"]] == [kept["trace_id"]]


@pytest.fixture
def settings() -> Iterator[Settings]:
    with private_settings() as (settings, environment), environment_set_to(environment):
        settings.runtime_dir.mkdir(mode=0o700)
        yield settings


@pytest.mark.parametrize("name", ["daemon.sock", "tcp.json"])
@pytest.mark.parametrize("content", ["mine", '{"port": 1}', "[]", ""])
def test_a_run_folder_that_holds_others_files_is_refused(settings, name, content):
    path = settings.runtime_dir / name
    path.write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "serve"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert f"{path} is no file of the daemon's" in done.stderr
    assert "NANOSCOPE_RUNTIME_DIR" in done.stderr
    assert path.read_text() == content


def test_a_link_or_a_folder_in_the_tokens_place_is_refused(settings):
    token = settings.runtime_dir / "tcp.json"
    for make in (lambda: token.symlink_to("/etc/passwd"), lambda: token.unlink() or token.mkdir()):
        make()
        with pytest.raises(RpcError, match="no file of the daemon's"):
            private_folder(settings.runtime_dir)


def test_a_token_of_a_daemon_that_died_is_replaced(settings):
    folder = private_folder(settings.runtime_dir)
    for port in (1, 2):
        write_token(folder, port, "secret")
        assert read_token(private_folder(settings.runtime_dir)) == (port, "secret")
    assert os.listdir(settings.runtime_dir) == ["tcp.json"]


@pytest.mark.parametrize("content", ["mine\n", "2026 was a good year\n" * 9999, "[nanoscope]\nnanoscope.x = 1\n"])
def test_a_file_of_anothers_is_not_logged_to(settings, content):
    settings.log_file.parent.mkdir()
    settings.log_file.write_text(content)
    settings.log_file.chmod(0o644)
    with pytest.raises(FileExistsError, match="no log of the daemon's"):
        open_log(settings.log_file)
    with environment_set_to(os.environ | {"NANOSCOPE_LOG_FILE": str(settings.log_file)}):
        command = [sys.executable, "-m", "daemon"]
        done = subprocess.run([*command, "list"], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0  # the daemon runs all the same
        done = subprocess.run([*command, "doctor"], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert "no log of the daemon's" in done.stdout
    assert settings.log_file.read_text() == content
    assert stat.S_IMODE(settings.log_file.stat().st_mode) == 0o644


@pytest.mark.parametrize("content", [OLD_LINE, "Traceback: no start\n" + OLD_LINE, FIRST_LINE.decode(), ""])
def test_a_log_of_ours_is_gone_on_with_and_closed_to_others(tmp_path, content):
    path = tmp_path / "daemon.log"
    path.write_text(content)
    path.chmod(0o644)
    with open_log(path) as file:
        file.write("more\n")
    assert path.read_text() == content + "more\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_device_may_be_logged_to_and_stays_open_to_others():
    before = os.stat("/dev/null").st_mode
    with open_log(Path("/dev/null")) as file:
        file.write("nobody reads this\n")
    assert os.stat("/dev/null").st_mode == before


ROTATES = """
import logging, sys
from pathlib import Path
from daemon import log
log.LARGEST_BYTES = 1000
log.log_to_file(Path(sys.argv[1]), takes_outputs=False)
for number in range(60):
    logging.getLogger("nanoscope.test").info("line %d", number)
"""


@pytest.mark.parametrize("number", [1, 2])
def test_a_full_log_takes_no_others_place(tmp_path, number):
    mine = tmp_path / f"daemon.log.{number}"
    mine.write_text("mine")
    subprocess.run(
        [sys.executable, "-c", ROTATES, str(tmp_path / "daemon.log")], cwd=ROOT, check=True, stderr=subprocess.DEVNULL
    )
    assert mine.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["daemon.log", mine.name]
    text = (tmp_path / "daemon.log").read_text()
    assert [line.split()[-1] for line in text.splitlines()[1:]] == [str(number) for number in range(60)]


def test_looking_for_a_log_is_quick_in_any_file(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"2026-01-01 00:00:00,000 INFO " * 40_000)
    assert not is_log(path)
