"""Files appear whole or not at all, and dead writers' files are cleared away."""

import errno
import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nanochat.atomic_file import Output, publish, remove_dead_files, replace, storage_error, temporary_file
from nanochat.errors import StorageError, StorageFullError
from nanochat.trace_storage import TraceStorage

LONG_AGO = time.time() - 3600


def publish_text(folder: Path, name: str, text: bytes, **options) -> bool:
    with temporary_file(folder, name) as (output, temporary):
        output.write(text)
        return publish(output, temporary, folder / name, **options)


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    with temporary_file(tmp_path, "x.json") as (output, temporary):
        output.write(b"ab")
        output.write(memoryview(b"cd"))
        assert output.position == 4
        (name,) = os.listdir(tmp_path)
        assert name == temporary.name
        assert name.startswith(".x.json.")
        assert publish(output, temporary, tmp_path / "x.json")
    assert os.listdir(tmp_path) == ["x.json"]
    assert (tmp_path / "x.json").read_bytes() == b"abcd"


def test_a_taken_name_is_left_alone(tmp_path):
    assert publish_text(tmp_path, "x", b"first")
    assert not publish_text(tmp_path, "x", b"second")
    assert (tmp_path / "x").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_links_is_served_too(tmp_path, code):
    def refuse(source: Path, target: Path) -> None:
        raise OSError(code, "no links here")

    assert publish_text(tmp_path, "x", b"first", link=refuse)
    assert not publish_text(tmp_path, "x", b"second", link=refuse)
    assert (tmp_path / "x").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["x"]


def test_replace_takes_the_place_of_what_is_there(tmp_path):
    (tmp_path / "x").write_text("old")
    with temporary_file(tmp_path, "x") as (output, temporary):
        output.write(b"new")
        replace(output, temporary, tmp_path / "x")
    assert (tmp_path / "x").read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


def test_whatever_goes_wrong_leaves_no_file(tmp_path):
    def fail(error: Exception) -> None:
        with temporary_file(tmp_path, "x") as (output, _):
            output.write(b"half")
            output.flush()
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
    monkeypatch.setattr("nanochat.atomic_file._FLUSH_BYTES", 10)
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


def test_only_old_files_of_dead_writers_are_removed(tmp_path):
    for name in (".dead.1.tmp", ".young.1.tmp", ".living.1.tmp", "visible.tmp", ".other", "x.json"):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (LONG_AGO, LONG_AGO))
    os.utime(tmp_path / ".young.1.tmp")
    (tmp_path / ".folder.tmp").mkdir()
    (tmp_path / ".link.tmp").symlink_to(tmp_path / "x.json")
    os.mkfifo(tmp_path / ".pipe.tmp")
    os.utime(tmp_path / ".pipe.tmp", (LONG_AGO, LONG_AGO))
    with open(tmp_path / ".living.1.tmp") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        assert remove_dead_files(tmp_path) == 1
    assert sorted(os.listdir(tmp_path)) == sorted(
        [".young.1.tmp", ".living.1.tmp", "visible.tmp", ".other", "x.json", ".folder.tmp", ".link.tmp", ".pipe.tmp"]
    )
    assert remove_dead_files(tmp_path / "nowhere") == 0


HOLD = """
import sys
from pathlib import Path
from nanochat.atomic_file import temporary_file
with temporary_file(Path(sys.argv[1]), "x") as (output, temporary):
    output.write(b"half")
    output.flush()
    print(temporary.name, flush=True)
    sys.stdin.read()
"""


def test_a_writer_holds_its_file_until_it_dies(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as writer:
        assert writer.stdout is not None
        name = writer.stdout.readline().strip()
        os.utime(tmp_path / name, (LONG_AGO, LONG_AGO))
        assert remove_dead_files(tmp_path) == 0
        writer.kill()
        writer.wait()
        assert os.listdir(tmp_path) == [name]
        storage = TraceStorage(tmp_path, catalogue=tmp_path / ".c")  # clears away at its start
        assert name not in os.listdir(tmp_path)
        assert storage.list_entries() == []
