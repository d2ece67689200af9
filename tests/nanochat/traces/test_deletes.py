"""Nothing is removed that this program did not write; what a killed writer of its own left goes with the next save."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nanochat.errors import StorageError, TraceUnreadableError
from nanochat.system.temporary_names import remove_dead_files, temporary_name
from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from tests.nanochat.trace_examples import small_trace

ROOT = Path(__file__).parents[3]
LONG_AGO, YESTERDAY, LATER = time.time() - 3600, time.time() - 90_000, time.time() + 900_000
HEAD = b"what a temporary file begins with, which its name tells in short, and more than its name looks at"
OTHERS = (
    ".viminfo.tmp", ".x.json.tmp", ".trace_20260101_120000_000000.0123456789ab.tmp", ".tmp", "x.nanoscope-tmp",
    ".nanoscope-tmp", ".0123.nanoscope-tmp",
)  # fmt: skip


@pytest.fixture
def storage(tmp_path):
    return TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")


def put(folder: Path, name: str, content: bytes = b"mine") -> Path:
    """A file as somebody left it an hour ago."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    os.utime(folder / name, (LONG_AGO, LONG_AGO))
    return folder / name


def own_leftover(folder: Path) -> Path:
    return put(folder, temporary_name(HEAD), HEAD)


@pytest.mark.parametrize("name", OTHERS)
def test_what_others_own_outlives_reads_and_saves(storage, name):
    path = put(storage.directory, name)
    storage.list_entries()
    storage.create_trace({}, {})
    TraceStorage(storage.directory, catalogue=storage.catalogue).create_trace({}, {})
    assert path.read_bytes() == b"mine"


def test_reads_remove_nothing_not_even_our_own(storage):
    path = own_leftover(storage.directory)
    before = os.stat(storage.directory).st_mtime_ns
    again = TraceStorage(storage.directory, catalogue=storage.catalogue)
    assert again.list_entries() == []
    again.scan()
    assert path.exists()
    assert os.stat(storage.directory).st_mtime_ns == before


def test_the_next_save_removes_what_a_dead_writer_left(storage):
    path = own_leftover(storage.directory)
    storage.create_trace({}, {})
    assert not path.exists()


def test_a_save_that_fails_leaves_a_folder_without_traces_as_it_is(storage):
    path = own_leftover(storage.directory)
    with pytest.raises(Exception, match="of the type object"):
        storage.create_trace({"metadata": {"x": object()}}, {})
    assert path.exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (temporary_name(HEAD), b"somebody else's text, long enough to be compared with what the name tells of it"),
        (temporary_name(HEAD), b""),
        (temporary_name(HEAD), HEAD[:10]),
        (temporary_name(HEAD).upper(), HEAD),
        (temporary_name(HEAD) + "~", HEAD),
        (temporary_name(HEAD)[1:], HEAD),
        (temporary_name(HEAD) + "\n", HEAD),
        ("." + "0" * 8 + temporary_name(HEAD)[9:], HEAD[::-1]),
    ],
    ids=["others", "empty", "half", "capitals", "backup", "visible", "line", "reversed"],  # names are drawn anew
)
def test_a_name_like_ours_is_not_enough(tmp_path, name, content):
    path = put(tmp_path, name, content)
    assert remove_dead_files(tmp_path, 0) == 0
    assert path.read_bytes() == content


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o1644, 0o700])
def test_nor_is_that_a_file_is_empty(tmp_path, mode):
    path = put(tmp_path, temporary_name(HEAD), b"")
    path.chmod(mode)
    assert remove_dead_files(tmp_path, 0) == 0
    assert path.exists()


def test_nor_are_a_drafts_rights_for_what_has_content(tmp_path):
    path = put(tmp_path, temporary_name(HEAD), b"mine")
    path.chmod(0o1600)
    assert remove_dead_files(tmp_path, 0) == 0
    assert path.exists()


def test_nor_is_anything_but_a_file_of_our_own(tmp_path):
    target = put(tmp_path, "target", HEAD)
    (tmp_path / temporary_name(HEAD)).symlink_to(target)
    (tmp_path / temporary_name(HEAD)).mkdir()
    os.mkfifo(tmp_path / temporary_name(HEAD))
    before = sorted(os.listdir(tmp_path))
    assert remove_dead_files(tmp_path, -1e9) == 0
    assert sorted(os.listdir(tmp_path)) == before


def test_nor_is_one_of_another_user(tmp_path, monkeypatch):
    path = own_leftover(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: path.stat().st_uid + 1)
    assert remove_dead_files(tmp_path, 0) == 0
    assert path.exists()


def test_a_young_file_and_one_from_the_future_stay(tmp_path):
    young, future = own_leftover(tmp_path), own_leftover(tmp_path)
    os.utime(young)
    os.utime(future, (LATER, LATER))
    assert remove_dead_files(tmp_path) == 0
    os.utime(young, (LONG_AGO, LONG_AGO))
    assert remove_dead_files(tmp_path) == 1


def test_a_writer_on_another_host_is_given_a_day(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.node", lambda: "another host")
    path = own_leftover(tmp_path)
    monkeypatch.undo()
    assert remove_dead_files(tmp_path) == 0
    os.utime(path, (YESTERDAY, YESTERDAY))
    assert remove_dead_files(tmp_path) == 1


def test_where_there_are_no_locks_a_writer_is_given_a_day(tmp_path, monkeypatch):
    def no_locks(descriptor: int, how: int) -> None:
        raise OSError(95, "no locks here")

    path = own_leftover(tmp_path)
    monkeypatch.setattr("fcntl.flock", no_locks)
    assert remove_dead_files(tmp_path) == 0
    os.utime(path, (YESTERDAY, YESTERDAY))
    assert remove_dead_files(tmp_path) == 1


WRITE = """
import os, sys
from pathlib import Path
import nanochat.traces.atomic_file as atomic_file
from nanochat.trace_storage import TraceStorage
way = sys.argv[2]
if way != "nameless":
    atomic_file._open_nameless = lambda folder: -1
def hold(*arguments):
    print("writing", flush=True)
    sys.stdin.read()
setattr(os, "write" if way == "unwritten" else "fsync", hold)
TraceStorage(sys.argv[1], catalogue=":memory:").create_trace({"prompt": "p" * 100}, {})
"""


@pytest.mark.parametrize("way", ["nameless", "named", "unwritten"])
def test_what_a_killed_writer_leaves_goes_with_the_next_save(storage, way):
    command = [sys.executable, "-c", WRITE, str(storage.directory), way]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        there = os.listdir(storage.directory)
        assert len(there) == (way != "nameless")
        for name in there:
            os.utime(storage.directory / name, (LONG_AGO, LONG_AGO))
        storage.create_trace({}, {})
        assert set(there) <= set(os.listdir(storage.directory))  # its writer lives
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    fresh = TraceStorage(storage.directory, catalogue=storage.catalogue)
    assert set(there) <= set(os.listdir(storage.directory))
    last = fresh.create_trace({}, {})
    assert sorted(os.listdir(storage.directory)) == sorted(f"{name}.json" for name in fresh.list_traces())
    assert last in fresh.list_traces()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("package.json", b'{"name": "x"}'),
        ("list.json", b'["trace_id"]'),
        ("empty.json", b""),
        ("noise.json", b"\x00\xff" * 100),
        ("half.json", b'{"name": "somebody'),
        ("weights.safetensors", b"\x02\0\0\0\0\0\0\0{}"),
        ("noise.safetensors", b"\x00\xff" * 100),
        ("empty.safetensors", b""),
    ],
)
def test_what_is_no_trace_cannot_be_deleted(storage, name, content):
    path = put(storage.directory, name, content)
    with pytest.raises(TraceUnreadableError) as refused:
        storage.get_trace_summary(path.stem)
    with pytest.raises(TraceUnreadableError, match="Nothing was deleted") as kept:
        storage.delete_trace(path.stem)
    assert path.read_bytes() == content
    assert str(refused.value).rstrip(".") in str(kept.value)


@pytest.mark.parametrize("name", ["pipe.json", "folder.json", "nowhere.json", "linked.json"])
def test_nor_what_is_no_file(storage, name):
    storage.directory.mkdir()
    other = put(storage.directory.parent, "other.json", b'{"name": "x"}')
    path = storage.directory / name
    makers = {"pipe": os.mkfifo, "folder": os.mkdir}
    makers.get(path.stem, lambda path: os.symlink({"linked": other}.get(path.stem, "nothing"), path))(path)
    with pytest.raises(TraceUnreadableError, match="Nothing was deleted"):
        storage.delete_trace(path.stem)
    assert os.path.lexists(path)


@pytest.mark.parametrize("format", ["json", "safetensors"])
@pytest.mark.parametrize("left", [0.9, 0.05])
def test_a_damaged_trace_can_be_deleted(storage, format, left):
    path = storage.path_of(storage.create_trace(*small_trace(), format=format))
    os.truncate(path, int(left * path.stat().st_size))
    storage.delete_trace(path.stem)
    assert not path.exists()


def test_a_file_of_anothers_beside_a_trace_stays(storage):
    trace_id = storage.create_trace(*small_trace(), format="safetensors")
    other = put(storage.directory, f"{trace_id}.json", b'{"name": "x"}')
    storage.delete_trace(trace_id)
    assert os.listdir(storage.directory) == [other.name]
    assert other.read_bytes() == b'{"name": "x"}'


@pytest.mark.parametrize("content", [b"mine", b'{"name": "x"}', b""])
def test_an_export_replaces_nothing_but_the_same_trace(storage, tmp_path, content):
    with storage.open_trace(storage.create_trace(*small_trace())) as trace:
        target = put(tmp_path, "out.json", content)
        with pytest.raises(StorageError, match="is there already"):
            trace.to_json(target)
        assert target.read_bytes() == content
        target.unlink()
        first = trace.to_json(target).read_bytes()
        assert trace.to_json(target).read_bytes() == first  # the same trace
        with storage.open_trace(storage.create_trace(*small_trace())) as other:
            with pytest.raises(StorageError, match="is there already"):
                other.to_json(target)
            assert target.read_bytes() == first
            other.to_json(target, overwrite=True)
            assert target.read_bytes() != first


def test_an_export_never_takes_the_place_of_what_is_no_file(storage, tmp_path):
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "link.json").symlink_to(put(tmp_path, "linked", b"mine"))
    with storage.open_trace(storage.create_trace(*small_trace())) as trace:
        with pytest.raises(StorageError, match="not a regular file"):
            trace.to_json(tmp_path / "pipe.json", overwrite=True)
        trace.to_json(tmp_path / "link.json", overwrite=True)
    assert (tmp_path / "link.json").is_symlink()
    with Trace.open(tmp_path / "link.json") as through:
        assert through.document["prompt"] == "The capital of France is"
