"""What holds people's text is closed to others, and what was deleted is nowhere any more."""

import os
import random
import re
import secrets
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nanochat.system.private_files import close_to_others, make_folder
from nanochat.trace_storage import TraceStorage
from nanochat.traces.catalogue import Catalogue, FileKey, Row, default_path
from tests.nanochat.trace_examples import older_document, write_json

ROOT = Path(__file__).parents[3]
SECRET = "a prompt that is nobody else's business"


@pytest.fixture(params=[0, 0o022, 0o077])
def _umask(request) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The platform's cache folder; this program's own in it is not there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nanoscope"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def holders(folder: Path, text: str = SECRET) -> list[str]:
    """Files in which a text can be read."""
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_whatever_is_made_is_closed_to_others(tmp_path, cache, format):
    storage = TraceStorage(tmp_path / "a" / "b" / "traces", format=format)
    trace_id = storage.create_trace({"prompt": SECRET}, {})
    with storage.open_trace(trace_id) as trace:
        trace.to_safetensors(tmp_path / "out.safetensors")
    assert [mode(path) for path in (tmp_path / "a", tmp_path / "a" / "b", storage.directory)] == [0o700] * 3
    assert [mode(path) for path in (storage.path_of(trace_id), tmp_path / "out.safetensors")] == [0o600] * 2
    assert [mode(cache.parent), mode(cache)] == [0o700, 0o700]
    assert {path.name: mode(path) for path in cache.iterdir()} == {
        "catalogue.sqlite3": 0o600, "catalogue.sqlite3-wal": 0o600, "catalogue.sqlite3-shm": 0o600,
    }  # fmt: skip


def test_what_was_open_to_others_is_closed_when_it_is_used(cache, tmp_path):
    storage = TraceStorage(tmp_path / "traces")
    storage.create_trace({"prompt": SECRET}, {})
    cache.chmod(0o755)
    for path in cache.iterdir():
        path.chmod(0o644)
    other = Catalogue()
    other.rows(b"anything")
    assert mode(cache) == 0o700
    assert {mode(path) for path in cache.iterdir()} == {0o600}


def test_folders_that_are_not_this_programs_stay_as_they_are(tmp_path, cache):
    for name in ("mine", "traces"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o755)
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "mine" / "catalogue")
    storage.create_trace({"prompt": SECRET}, {})
    assert [mode(tmp_path / name) for name in ("mine", "traces")] == [0o755, 0o755]
    assert {mode(path) for path in (tmp_path / "mine").iterdir()} == {0o600}


def test_only_what_is_this_users_own_is_closed(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "pipe"):
        (tmp_path / name).chmod(0o666)
    for path in (tmp_path / "link", tmp_path / "pipe", tmp_path / "nowhere", Path("/dev/null")):
        close_to_others(path)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    close_to_others(tmp_path / "file")
    assert [mode(tmp_path / name) for name in ("file", "pipe")] == [0o666, 0o666]
    assert mode(Path("/dev/null")) & 0o006
    monkeypatch.undo()
    close_to_others(tmp_path / "file")
    assert mode(tmp_path / "file") == 0o600


def test_a_folder_cannot_be_made_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises((FileExistsError, NotADirectoryError)):
            make_folder(path)
    make_folder(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    make_folder(tmp_path / "link" / "new")
    assert mode(tmp_path / "new") == 0o700


@pytest.mark.parametrize("size", [1, 1000, 100_000])
@pytest.mark.parametrize("how", ["delete", "rm", "changed", "folder"])
def test_what_was_deleted_can_be_read_nowhere(tmp_path, cache, how, size):
    """Short and long prompts: sqlite keeps them in different places."""
    storage = TraceStorage(tmp_path / "traces")
    for number in range(20):
        storage.create_trace({"prompt": f"one that stays {number} " * size}, {})
    trace_id = storage.create_trace({"prompt": SECRET * size}, {})
    storage.list_entries()
    with storage.open_trace(trace_id):  # which adds to its row
        assert holders(cache)
    path = storage.path_of(trace_id)
    match how:
        case "delete":
            storage.delete_trace(trace_id)
        case "rm":
            path.unlink()
        case "changed":
            write_json(path, older_document(prompt="another"))
        case "folder":
            storage.directory.rename(tmp_path / "elsewhere")
    if how != "delete":
        storage.scan()
    assert holders(cache) == []
    assert bool(holders(cache, "one that stays 7 ")) == (how != "folder")


def test_another_process_that_has_the_catalogue_open_is_no_hindrance(tmp_path, cache):
    storage = TraceStorage(tmp_path / "traces")
    trace_id = storage.create_trace({"prompt": SECRET}, {})
    others = [Catalogue() for _ in range(3)]
    for other in others:
        assert other.rows(os.fsencode(storage.directory))
    storage.delete_trace(trace_id)
    assert holders(cache) == []
    assert [other.rows(os.fsencode(storage.directory)) for other in others] == [[], [], []]


def test_what_a_reader_keeps_from_being_wiped_is_wiped_with_the_next_look(tmp_path, cache, monkeypatch):
    storage = TraceStorage(tmp_path / "traces")
    trace_id = storage.create_trace({"prompt": SECRET}, {})
    with closing(sqlite3.connect(default_path(), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM files").fetchone() == (1,)
        storage.delete_trace(trace_id)
        assert storage.list_entries() == []
    storage.scan()
    assert holders(cache) == []


KILLED = """
import os, sys
from nanochat.traces.catalogue import Catalogue
catalogue = Catalogue()
catalogue._wipe = lambda db: os._exit(0)
catalogue.remove(os.fsencode(sys.argv[1]), [sys.argv[2]])
"""


def test_a_process_killed_before_it_could_wipe_leaves_that_to_the_next(tmp_path, cache):
    storage = TraceStorage(tmp_path / "traces")
    trace_id = storage.create_trace({"prompt": SECRET}, {})
    storage.catalogue.close()
    command = [sys.executable, "-c", KILLED, str(storage.directory), f"{trace_id}.json"]
    subprocess.run(command, cwd=ROOT, check=True)
    assert holders(cache)
    assert Catalogue().rows(os.fsencode(storage.directory)) == []
    assert holders(cache) == []


OLD_SCHEMA = """
CREATE TABLE files (
    folder BLOB NOT NULL, name BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
    entry BLOB NOT NULL, summary BLOB, tensors BLOB, PRIMARY KEY (folder, name)
) WITHOUT ROWID
"""


def old_catalogue(path: Path, folder: Path) -> None:
    """As the first edition left it: prompts of traces that are there, and of one that was deleted."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA secure_delete = OFF")  # as most systems have it
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(OLD_SCHEMA)
        db.execute("PRAGMA user_version = 1")
        for name in range(50):
            values = (os.fsencode(folder), f"{name}.json".encode(), 1, 2, 3, SECRET.encode() * 50, b"", b"")
            db.execute("INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        db.execute("DELETE FROM files WHERE name != X'312e6a736f6e'")


def test_the_first_editions_catalogue_is_taken_over_and_wiped(tmp_path, cache):
    old_catalogue(default_path(), tmp_path)
    assert holders(cache)
    storage = TraceStorage(tmp_path / "traces")
    trace_id = storage.create_trace({"prompt": "new"}, {})
    assert holders(cache) == []
    storage.catalogue.close()
    assert TraceStorage(tmp_path / "traces").list_traces() == [trace_id]
    assert len(Catalogue().rows(os.fsencode(storage.directory))) == 1  # on the disk


def test_nothing_stays_where_sqlite_moved_rows_about(tmp_path, cache):
    """Rows of all sizes, put, changed and removed in any order, on pages that are split and joined."""
    catalogue, chance, folder = Catalogue(), random.Random(0), os.fsencode(tmp_path)
    there: dict[str, bytes] = {}
    for _ in range(60):
        for name in chance.sample([str(number) for number in range(150)], 12):
            text = b"<%b>" % secrets.token_hex(8).encode()
            if chance.random() < 0.5:
                there[name] = text
                entry = text * chance.choice([1, 5, 40, 400])
                catalogue.put(folder, [Row(name, FileKey(1, chance.getrandbits(60), 3), entry, entry[:100])])
            elif there.pop(name, None):
                catalogue.remove(folder, [name])
        found = {text for path in cache.iterdir() for text in re.findall(rb"<[0-9a-f]{16}>", path.read_bytes())}
        assert found - set(there.values()) == set()


def foreign_database(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.executescript(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE files (x); INSERT INTO files VALUES ('mine');",
        "CREATE TABLE notes (x); INSERT INTO notes VALUES ('mine'); PRAGMA user_version = 1;",
        "CREATE TABLE notes (x); PRAGMA application_id = 12345; PRAGMA user_version = 2;",
        OLD_SCHEMA + "; CREATE TABLE notes (x); PRAGMA user_version = 1;",
        "PRAGMA journal_mode = WAL; CREATE TABLE files (x); INSERT INTO files VALUES ('mine');",
        "PRAGMA application_id = 7;",
    ],
)
def test_a_database_of_anothers_is_left_as_it_is(tmp_path, sql):
    path = tmp_path / "mine" / "database"
    path.parent.mkdir()
    foreign_database(path, sql)
    path.chmod(0o644)
    check_untouched(path)


@pytest.mark.parametrize(
    "content", [b"mine", b"SQLite format 3\0" + b"mine" * 5000, b"\0" * 8192, b"no database" * 999]
)
def test_a_file_that_is_no_catalogue_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "mine" / "thesis.tex"
    path.parent.mkdir()
    path.write_bytes(content)
    path.chmod(0o644)
    check_untouched(path)


def check_untouched(path: Path) -> None:
    before = {file.name: (file.read_bytes(), mode(file)) for file in path.parent.iterdir()}
    storage = TraceStorage(path.parent.parent / "traces", catalogue=path)
    ids = [storage.create_trace({"prompt": SECRET}, {}) for _ in range(3)]
    storage.delete_trace(ids.pop())
    assert storage.list_traces() == ids[::-1]
    assert storage.catalogue.row(os.fsencode(storage.directory), "x", FileKey(1, 2, 3)) is None
    storage.catalogue.close()
    assert {file.name: (file.read_bytes(), mode(file)) for file in path.parent.iterdir()} == before


def test_a_catalogue_of_ours_whose_pages_are_noise_is_made_anew(tmp_path, cache):
    catalogue = Catalogue()
    catalogue.put(os.fsencode(tmp_path), [Row(f"{n}", FileKey(1, 2, 3), b"entry" * 100) for n in range(100)])
    catalogue.close()
    content = default_path().read_bytes()
    default_path().write_bytes(content[:100] + os.urandom(len(content) - 100))
    catalogue.put(os.fsencode(tmp_path), [Row("new", FileKey(1, 2, 3), b"entry")])
    catalogue.close()
    assert [row.name for row in Catalogue().rows(os.fsencode(tmp_path))] == ["new"]
