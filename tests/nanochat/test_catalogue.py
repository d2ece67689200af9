"""The catalogue forgets nothing that it may know, and loses nothing but time when it is lost."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nanochat.catalogue import Catalogue, FileKey, Row, default_path
from nanochat.trace_storage import TraceStorage
from tests.nanochat.trace_examples import small_trace

KEY = FileKey(10, 20, 30)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "traces").mkdir()
    return os.fsencode(tmp_path / "traces")


@pytest.fixture
def catalogue(tmp_path):
    catalogue = Catalogue(tmp_path / "cache" / "catalogue.sqlite3")
    yield catalogue
    catalogue.close()


def row(name: str, key: FileKey = KEY, entry: bytes = b"entry") -> Row:
    return Row(name, key, entry, b"summary", b"tensors")


def test_rows_are_kept_by_folder_name_and_state(catalogue, folder):
    catalogue.put(folder, [row("a"), row("b")])
    catalogue.put(folder, [row("a", FileKey(11, 20, 30), b"new")])
    catalogue.put(folder + b"2", [row("a")])
    assert sorted((found.name, found.key.size, found.entry) for found in catalogue.rows(folder)) == [
        ("a", 11, b"new"), ("b", 10, b"entry"),
    ]  # fmt: skip
    assert catalogue.row(folder, "b", KEY) == row("b")
    for other in (FileKey(11, 20, 30), FileKey(10, 21, 30), FileKey(10, 20, 31)):
        assert catalogue.row(folder, "b", other) is None
    catalogue.remove(folder, ["b", "c"])
    assert [found.name for found in catalogue.rows(folder)] == ["a"]


def test_another_process_sees_the_rows_and_odd_names_survive(catalogue, folder):
    name = os.fsdecode(b"odd\xff\xc3\xa9.json")
    catalogue.put(folder, [row(name, FileKey(2**62, -1, 2**63 - 1))])
    other = Catalogue(catalogue.path)
    assert other.row(folder, name, FileKey(2**62, -1, 2**63 - 1)) is not None
    other.close()


def test_the_key_of_any_file_fits_the_database(tmp_path):
    status = os.stat_result((0, 2**64 - 1, *[0] * 4, 5, *[0] * 3), {"st_mtime_ns": 7})
    assert FileKey.of(status) == FileKey(5, 7, 2**63 - 1)


@pytest.mark.parametrize("damage", ["noise", "cut", "header", "empty", "version", "table", "deleted"])
def test_a_damaged_catalogue_is_made_anew(tmp_path, damage):
    path = tmp_path / "catalogue.sqlite3"
    storage = TraceStorage(tmp_path / "traces", catalogue=path)
    ids = [storage.create_trace(*small_trace()) for _ in range(20)]
    storage.catalogue.close()
    _damage(path, damage)
    fresh = TraceStorage(tmp_path / "traces", catalogue=path)
    assert fresh.list_traces() == ids[::-1]
    for trace_id in ids:
        assert fresh.get_trace_summary(trace_id)["prompt"] == "The capital of France is"
        with fresh.open_trace(trace_id) as trace:
            assert trace.embeddings().shape == (6, 5)
    fresh.catalogue.close()
    with sqlite3.connect(path) as db:  # it is a good file again
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM files").fetchone() == (20,)
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()


def _damage(path: Path, damage: str) -> None:
    content = path.read_bytes()
    match damage:
        case "noise":
            path.write_bytes(content[:100] + bytes(range(256)) * (len(content) // 256))
        case "cut":
            path.write_bytes(content[: len(content) // 2])
        case "empty":
            path.write_bytes(b"")
        case "header":
            path.write_bytes(content[:100])
        case "deleted":
            path.unlink()
        case _:
            with sqlite3.connect(path) as db:
                db.execute("PRAGMA user_version = 99" if damage == "version" else "DROP TABLE files")
            db.close()


def test_deleting_it_while_it_is_in_use_does_no_harm(tmp_path):
    path = tmp_path / "cache" / "catalogue.sqlite3"
    storage = TraceStorage(tmp_path / "traces", catalogue=path)
    first = storage.create_trace({}, {})
    for file in path.parent.iterdir():
        file.unlink()
    second = storage.create_trace({}, {})
    assert storage.list_traces() == [second, first]
    fresh = TraceStorage(tmp_path / "traces", catalogue=path)
    assert fresh.list_traces() == [second, first]


def test_where_no_file_can_be_it_lives_in_memory(tmp_path, folder):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "catalogue.sqlite3", tmp_path):
        catalogue = Catalogue(path)
        catalogue.put(folder, [row("a")])
        assert [found.name for found in catalogue.rows(folder)] == ["a"]
    assert (tmp_path / "file").read_text() == "x"
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "file" / "c")
    trace_id = storage.create_trace({}, {})
    assert storage.list_traces() == [trace_id]


def test_a_busy_catalogue_is_done_without(catalogue, folder, monkeypatch):
    monkeypatch.setattr("nanochat.catalogue._BUSY_SECONDS", 0.01)
    catalogue.put(folder, [row("a")])
    catalogue.close()
    holder = sqlite3.connect(catalogue.path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    catalogue.put(folder, [row("b")])
    assert [found.name for found in catalogue.rows(folder)] == ["a"]
    holder.execute("ROLLBACK")
    holder.close()
    catalogue.put(folder, [row("b")])
    assert len(catalogue.rows(folder)) == 2


def test_rows_of_folders_that_are_gone_are_forgotten(catalogue, folder, tmp_path):
    catalogue.put(folder, [row("a")])
    catalogue.put(os.fsencode(tmp_path / "gone"), [row("a")])
    catalogue.close()
    assert len(catalogue.rows(os.fsencode(tmp_path / "gone"))) == 0
    assert len(catalogue.rows(folder)) == 1


MANY = """
import sys
from nanochat.catalogue import Catalogue, FileKey, Row
path, folder, me = sys.argv[1:]
catalogue = Catalogue(path)
for number in range(50):
    catalogue.put(folder.encode(), [Row(f"{me}_{number}", FileKey(1, 2, 3), b"e")])
    assert f"{me}_{number}" in {row.name for row in catalogue.rows(folder.encode())}
"""


AT_ONCE = """
import multiprocessing, sys
from nanochat.catalogue import Catalogue, FileKey, Row

def put(path, folder, me, gate):
    catalogue = Catalogue(path)
    gate.wait()
    catalogue.put(folder.encode(), [Row(me, FileKey(1, 2, 3), b"e")])

path, folder = sys.argv[1:]
for number in range(10):
    gate = multiprocessing.Barrier(8)
    several = [multiprocessing.Process(target=put, args=(f"{path}{number}", folder, str(me), gate)) for me in range(8)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    print(*sorted(row.name for row in Catalogue(f"{path}{number}").rows(folder.encode())))
"""


def test_processes_that_make_it_at_the_same_moment_make_one(folder, tmp_path):
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "catalogue"), folder.decode()]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0 1 2 3 4 5 6 7"] * 10


def test_several_processes_and_threads_may_use_it_at_once(catalogue, folder):
    command = [sys.executable, "-c", MANY, str(catalogue.path), folder.decode()]
    root = Path(__file__).parents[2]
    processes = [subprocess.Popen([*command, str(number)], cwd=root) for number in range(3)]

    def put(me: int) -> None:
        for number in range(50):
            catalogue.put(folder, [row(f"thread{me}_{number}")])

    threads = [threading.Thread(target=put, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert len(catalogue.rows(folder)) == 300


def test_a_forked_child_opens_its_own(catalogue, folder):
    catalogue.put(folder, [row("a")])
    mine = catalogue._connection
    catalogue._process = -1  # as it is in a child
    assert [found.name for found in catalogue.rows(folder)] == ["a"]
    assert catalogue._connection is not mine
    assert mine is not None
    mine.close()


def test_it_lies_in_the_cache_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Catalogue().path == default_path()
    if sys.platform == "linux":
        assert default_path() == tmp_path / "nanoscope" / "catalogue.sqlite3"
    assert not default_path().exists()  # nothing is made before it is used


def test_many_rows_are_changed_without_keeping_others_out(catalogue, folder, monkeypatch):
    monkeypatch.setattr("nanochat.catalogue._AT_ONCE", 3)
    transactions = []
    original = catalogue._run
    monkeypatch.setattr(catalogue, "_run", lambda work, otherwise: transactions.append(1) or original(work, otherwise))
    catalogue.put(folder, [row(str(number)) for number in range(7)])
    assert len(transactions) == 3
    catalogue.remove(folder, [str(number) for number in range(6)])
    assert len(transactions) == 5
    assert [found.name for found in catalogue.rows(folder)] == ["6"]
