"""What may be wrong around a real daemon: folders, sockets, the disk, limits, checkpoints; and that it goes on."""

import contextlib
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.run_folder import RunFolder
from daemon.settings import Settings
from nanochat.trace_storage import TraceStorage
from protocol.errors import RpcError
from tests.daemon.running import DaemonProcess, daemons_in, environment_set_to, private_settings, running_daemon
from tests.stress.wire_client import WireClient

SECONDS = 60.0
LISTING = b'{"jsonrpc": "2.0", "id": 1, "method": "list_traces"}\n'
CAPTURE = {"prompt": "The disk is", "max_tokens": 8, "format": "json"}


def listed_through_the_pump(environment: dict[str, str], *flags: str) -> subprocess.CompletedProcess[bytes]:
    """What `nanoscope stdio` brings for a listing."""
    command = [sys.executable, "-m", "daemon", "stdio", *flags]
    return subprocess.run(command, input=LISTING, capture_output=True, env=environment, timeout=SECONDS, check=False)


def test_a_socket_path_that_is_too_long_is_refused_with_what_to_do():
    with private_settings() as (settings, environment):
        long = settings.runtime_dir / ("x" * 100)
        refused = listed_through_the_pump(environment, "--runtime-dir", str(long))
        assert refused.returncode == 1
        assert refused.stdout == b""
        assert b"too long" in refused.stderr
        assert b"NANOSCOPE_RUNTIME_DIR" in refused.stderr
        assert not long.exists()
        assert listed_through_the_pump(environment).returncode == 0


def test_a_folder_that_others_can_write_is_refused_and_the_daemon_in_it_left_alone(daemon_process):
    folder = daemon_process.folder.path
    with WireClient(daemon_process.connect()) as bystander:
        folder.chmod(0o777)
        refused = listed_through_the_pump(daemon_process.environment)
        assert refused.returncode == 1
        assert b"chmod 700" in refused.stderr
        folder.chmod(0o700)
        assert listed_through_the_pump(daemon_process.environment).returncode == 0
        assert bystander.call("get_status")["pid"] == daemon_process.pid
    assert len(daemons_in(folder)) == 1


def test_a_stale_socket_and_stale_locks_need_no_hand():
    with private_settings() as (settings, environment):
        folder = RunFolder(settings.runtime_dir)
        folder.path.mkdir(mode=0o700)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(folder.socket))
        for left in (folder.start_lock, folder.lifetime_lock):
            left.write_text("12345")
        folder.token.write_text('{"port": 9, "token": "of one that died"}')
        folder.token.chmod(0o600)
        done = listed_through_the_pump(environment)
        assert (done.returncode, done.stderr) == (0, b"")
        assert b'"traces":[]' in done.stdout


def test_a_file_that_may_not_grow_makes_an_error_and_nothing_else(daemon_process):
    """As on a full disk: the limit on the size of files, which anybody may set, refuses what is written."""
    limits = resource.prlimit(daemon_process.pid, resource.RLIMIT_FSIZE)
    with WireClient(daemon_process.connect()) as client:
        first = client.call("generate_and_capture", CAPTURE)["trace_id"]
        resource.prlimit(daemon_process.pid, resource.RLIMIT_FSIZE, (50_000, limits[1]))
        check_that_it_is_full(client, first)
        resource.prlimit(daemon_process.pid, resource.RLIMIT_FSIZE, limits)
        client.call("generate_and_capture", CAPTURE)
        check_only_whole_traces(client, daemon_process.settings, 2)


def check_that_it_is_full(client: WireClient, first: str) -> None:
    """A capture is refused with what to do; what was there is there, and everything else is answered."""
    with pytest.raises(RpcError) as refused:
        client.call("generate_and_capture", CAPTURE)
    assert refused.value.name == "STORAGE_FULL"
    assert "Free some space" in refused.value.message
    assert first in [row["trace_id"] for row in client.call("list_traces")["traces"]]
    assert client.call("get_summary", {"trace_id": first})["prompt"] == CAPTURE["prompt"]
    assert client.call("get_status")["model"]["state"] == "ready"


def check_only_whole_traces(client: WireClient, settings: Settings, count: int) -> None:
    """So many are listed, all readable, and nothing is left of those that were refused."""
    rows = client.call("list_traces")["traces"]
    assert (len(rows), all(row["readable"] for row in rows)) == (count, True)
    assert not [name for name in os.listdir(settings.traces_dir) if name.startswith(".")]


def unshare(*flags: str) -> list[str]:
    """The words that run a command in a user namespace of its own, where its user is root; skips where none is let."""
    words = ["unshare", "--user", "--map-root-user", *flags]
    if not shutil.which("unshare") or subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    return words


@contextmanager
def daemon_in(words: list[str], script: str) -> Iterator[DaemonProcess]:
    """A daemon that a shell becomes after a script that prepares its namespace; the script knows its settings."""
    with private_settings() as (settings, environment), environment_set_to(environment):
        for folder in (settings.traces_dir, settings.log_file.parent, Path(environment["XDG_CACHE_HOME"])):
            folder.mkdir(parents=True)
        reading, writing = os.pipe()
        command = [*words, "sh", "-ec", f'{script}\nexec "$0" -m daemon serve --ready-fd {writing}', sys.executable]
        process = subprocess.Popen(command, env=environment, pass_fds=(writing,))
        try:
            os.close(writing)
            with open(reading, "rb") as report:
                assert report.read().strip() == b"READY"
            yield DaemonProcess(settings, environment, process.pid)
        finally:
            process.terminate()
            process.wait(SECONDS)


SMALL_DISK = """
mount -t tmpfs -o size=2m small "$NANOSCOPE_TRACES_DIR"
mount --bind "$NANOSCOPE_TRACES_DIR" "$XDG_CACHE_HOME"
mount --bind "$NANOSCOPE_TRACES_DIR" "$(dirname "$NANOSCOPE_LOG_FILE")"
"""


def test_a_full_disk_makes_an_error_and_deleting_makes_room():
    """Traces, catalogue and log are all on it."""
    with daemon_in(unshare("--mount"), SMALL_DISK) as process, WireClient(process.connect()) as client:
        first = client.call("generate_and_capture", CAPTURE)["trace_id"]
        kept = []
        with contextlib.suppress(RpcError):
            while len(kept) < 50:
                kept.append(client.call("generate_and_capture", CAPTURE)["trace_id"])
        check_that_it_is_full(client, first)
        for trace_id in kept:
            client.call("delete_trace", {"trace_id": trace_id})
        client.call("generate_and_capture", CAPTURE)
        rows = client.call("list_traces")["traces"]
        assert (len(rows), all(row["readable"] for row in rows)) == (2, True)


def test_without_inotify_traces_are_found_all_the_same(tmp_path):
    """A namespace whose users may have no inotify instance at all."""
    script = "echo 0 > /proc/sys/user/max_inotify_instances"
    with daemon_in(unshare(), script) as process, WireClient(process.connect()) as client:
        client.introduce("watching")
        watcher = client.call("get_status")["watchers"][0]
        while watcher["method"] != "polling":  # once it has tried
            watcher = client.call("get_status")["watchers"][0]
        assert "fs.inotify.max_user_instances" in watcher["note"]
        storage = TraceStorage(process.settings.traces_dir, catalogue=tmp_path / "catalogue.sqlite3")
        trace_id = storage.create_trace({"prompt": "copied", "response": ""}, {})
        assert client.notification("traces_changed", SECONDS)["added"] == [trace_id]
        assert client.call("list_traces")["total"] == 1


def test_a_checkpoint_that_does_not_load_is_told_and_reads_go_on(tmp_path):
    broken = tmp_path / "checkpoint"
    broken.mkdir()
    (broken / "model_000001.pt").write_bytes(b"nothing")
    (broken / "meta_000001.json").write_text('{"model_config": {}}')
    with running_daemon(source=str(broken)) as process, WireClient(process.connect()) as client:
        with pytest.raises(RpcError) as refused:
            client.call("generate_and_capture", CAPTURE)
        assert refused.value.name == "CHECKPOINT_INVALID"
        assert str(broken) in refused.value.message
        model = client.call("get_status")["model"]
        assert model["state"] == "failed"
        assert str(broken) in model["error"]
        assert client.call("list_traces")["total"] == 0
        assert client.call("load_model", {"source": "demo"})["model"]["state"] == "ready"
        trace_id = client.call("generate_and_capture", CAPTURE)["trace_id"]
        with pytest.raises(RpcError):
            client.call("load_model", {"source": str(broken)})
        assert client.call("get_status")["model"]["source"] == "demo"
        assert client.call("get_summary", {"trace_id": trace_id})["prompt"] == CAPTURE["prompt"]
