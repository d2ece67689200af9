"""Files appear whole or not at all, and dead writers' files are cleared away."""

import errno
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nanochat.errors import StorageError, StorageFullError
from nanochat.system.temporary_names import remove_dead_files
from nanochat.traces.atomic_file import Output, draft_in, publish, replace, storage_error, write_file

LONG_AGO = time.time() - 3600


@pytest.fixture(params=["nameless", "named"])
def way(request, monkeypatch):
    """How files are written: without a name, and as it is done where there are no such files."""
    if request.param == "named":
        monkeypatch.setattr("nanochat.traces.atomic_file._open_nameless", lambda folder: -1)
    return request.param


def publish_text(folder: Path, name: str, text: bytes) -> bool:
    with draft_in(folder, name) as draft:
        draft.write(text)
        return publish(draft, folder / name)


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path, way):
    with draft_in(tmp_path, "x.json") as draft:
        draft.write(b"ab")
        draft.write(memoryview(b"cd"))
        assert draft.position == 4
        draft.flush()
        names = os.listdir(tmp_path)
        assert len(names) == (way == "named")
        assert all(name.startswith(".") and name.endswith(".nanoscope-tmp") for name in names)
        assert publish(draft, tmp_path / "x.json")
    assert os.listdir(tmp_path) == ["x.json"]
    assert (tmp_path / "x.json").read_bytes() == b"abcd"


def test_others_may_not_read_it(tmp_path, way):
    before = os.umask(0)
    try:
        publish_text(tmp_path, "x", b"private")
        write_file(tmp_path / "y", b"private")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "xy"] == [0o600, 0o600]


def test_a_taken_name_is_left_alone(tmp_path, way):
    assert publish_text(tmp_path, "x", b"first")
    assert not publish_text(tmp_path, "x", b"second")
    (tmp_path / "link").symlink_to("nowhere")
    assert not publish_text(tmp_path, "link", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"
    assert sorted(os.listdir(tmp_path)) == ["link", "x"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_links_is_served_too(tmp_path, monkeypatch, code):
    def refuse(source: Path, target: Path) -> None:
        raise OSError(code, "no links here")

    monkeypatch.setattr("nanochat.traces.atomic_file._open_nameless", lambda folder: -1)
    monkeypatch.setattr("os.link", refuse)
    assert publish_text(tmp_path, "x", b"first")
    assert not publish_text(tmp_path, "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["x"]


def test_replace_takes_the_place_of_what_is_there(tmp_path, way):
    (tmp_path / "x").write_text("old")
    for name in ("x", "new"):
        with draft_in(tmp_path, name) as draft:
            draft.write(b"new")
            replace(draft, tmp_path / name)
        assert (tmp_path / name).read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["new", "x"]


def test_a_file_is_written_anew_only_where_that_is_wanted(tmp_path, way):
    (tmp_path / "x").write_bytes(b"mine")
    (tmp_path / "link").symlink_to("x")
    for name in ("x", "link"):
        with pytest.raises(StorageError, match="is there already"):
            write_file(tmp_path / name, b"new")
    assert (tmp_path / "x").read_bytes() == b"mine"
    write_file(tmp_path / "link", b"new", replacing=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "x").read_bytes() == b"new"
    with pytest.raises(StorageError, match="not a regular file"):
        write_file(tmp_path, b"new", replacing=True)


def test_whatever_goes_wrong_leaves_no_file(tmp_path, way):
    def fail(error: Exception) -> None:
        with draft_in(tmp_path, "x") as draft:
            draft.write(b"half")
            draft.flush()
            raise error

    with pytest.raises(KeyError):
        fail(KeyError())
    with pytest.raises(StorageError, match="Cannot write"):
        fail(OSError(errno.EIO, "I/O error"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_what_means_that_there_is_no_room_says_what_to_do(code):
    error = storage_error(OSError(code, os.strerror(code)), "/traces/x")
    assert isinstance(error, StorageFullError)
    assert "/traces/x" in str(error)
    assert "delete traces" in str(error)
    assert "The safetensors format with captures of dtype float16" in str(error)  # true whichever format it was
    assert not isinstance(storage_error(OSError(errno.EACCES, "no"), "/x"), StorageFullError)


def test_large_output_is_written_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("nanochat.traces.atomic_file._FLUSH_BYTES", 10)
    descriptor = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    output = Output(descriptor)
    for number in range(100):
        output.write(b"%03d" % number)
        assert output.position == 3 * number + 3
        assert output.position - os.fstat(descriptor).st_size < 10
    output.flush()
    output.flush()
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == b"".join(b"%03d" % number for number in range(100))


HOLD = """
import sys
from pathlib import Path
import nanochat.traces.atomic_file as atomic_file
if sys.argv[2] == "named":
    atomic_file._open_nameless = lambda folder: -1
with atomic_file.draft_in(Path(sys.argv[1]), "x") as draft:
    draft.write(b"half")
    draft.flush()
    print(draft.named().name, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["nameless", "named"])
def test_a_writer_holds_its_file_until_it_dies(tmp_path, how):
    command = [sys.executable, "-c", HOLD, str(tmp_path), how]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        assert writer.stdout is not None
        name = writer.stdout.readline().strip()
        os.utime(tmp_path / name, (LONG_AGO, LONG_AGO))
        assert remove_dead_files(tmp_path) == 0
        writer.kill()
        writer.wait()
        assert os.listdir(tmp_path) == [name]
        assert remove_dead_files(tmp_path) == 1
        assert os.listdir(tmp_path) == []
        assert remove_dead_files(tmp_path / "nowhere") == 0
