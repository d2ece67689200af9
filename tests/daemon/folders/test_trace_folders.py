"""Every change of a traces folder shows in its listing, whole, soon, and is told once."""

import contextlib
import os
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from daemon.folders import trace_folders, unsettled
from daemon.folders.trace_folders import TraceFolders
from nanochat.errors import StorageError
from nanochat.trace_storage import TraceStorage
from nanochat.traces import listing as trace_listing
from tests.daemon.waiting import Notes, until
from tests.nanochat.trace_examples import older_document, small_trace, write_json


@pytest.fixture
def told():
    return Notes()


@pytest.fixture
def folders(tmp_path, told):
    def note(folder, change):
        told.add({"added": change.added, "changed": change.changed, "removed": change.removed})

    folders = TraceFolders(tmp_path / "traces", "json", False, note)
    yield folders
    folders.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


@pytest.fixture
def folder(folders, tmp_path):
    (tmp_path / "traces").mkdir()
    folder = folders.default
    assert folder.entries() == []
    until(lambda: folder.watch._events.alive(folder.path), "the folder is watched")
    return folder


@pytest.fixture
def older(tmp_path):
    write_json(tmp_path / "older.json", older_document())
    return tmp_path / "older.json"


def ids(folder):
    return [entry.trace_id for entry in folder.entries()]


def change(added=(), changed=(), removed=()):
    return {"added": list(added), "changed": list(changed), "removed": list(removed)}


def shell(command, *paths):
    subprocess.run(["sh", "-c", command, "sh", *map(str, paths)], check=True)


DEEDS = {
    "cp": ("cp $1 $2/new.json", change(added=["new"])),
    "mv in": ("mv $1 $2/new.json", change(added=["new"])),
    "hard link": ("ln $1 $2/new.json", change(added=["new"])),
    "slow copy": ("(head -c 300 $1; sleep 0.3; tail -c +301 $1) > $2/new.json", change(added=["new"])),
    "edit in place": ("cat $1 > $2/there.json; echo >> $2/there.json", change(changed=["there"])),
    "edit by rename": ("cp $1 $2/.there.json.swp; echo >> $2/.there.json.swp; mv $2/.there.json.swp $2/there.json",
                       change(changed=["there"])),
    "edit with a backup": ("mv $2/there.json $2/there.json~; cp $1 $2/there.json; echo >> $2/there.json; "
                           "rm $2/there.json~", change(changed=["there"])),
    "rename": ("mv $2/there.json $2/then.json", change(added=["then"], removed=["there"])),
    "rm": ("rm $2/there.json", change(removed=["there"])),
    "mv out": ("mv $2/there.json $1", change(removed=["there"])),
    "hide": ("mv $2/there.json $2/.there.json", change(removed=["there"])),
}  # fmt: skip


@pytest.mark.parametrize("deed", DEEDS)
def test_what_any_program_does_is_told_once_and_listed(folder, told, older, deed):
    shutil.copy(older, folder.path / "there.json")
    told.wait(lambda notes: notes == [change(added=["there"])])
    command, expected = DEEDS[deed]
    shell(command, older, folder.path)
    assert told.wait(lambda notes: len(notes) >= 2)[1:] == [expected]
    present = {path.stem for path in folder.path.glob("*.json") if not path.name.startswith(".")}
    assert set(ids(folder)) == present
    write_json(folder.path / "last.json", older_document())
    assert told.wait(lambda notes: len(notes) >= 3)[2:] == [change(added=["last"])]


def test_a_trace_saved_here_is_listed_at_once_and_told_once(folder, told):
    first = folder.storage.create_trace(*small_trace())
    assert ids(folder) == [first]
    second = folder.storage.create_trace(*small_trace(), format="safetensors")
    assert ids(folder) == [second, first]
    folder.storage.delete_trace(first)
    assert ids(folder) == [second]
    told.wait(lambda notes: change(added=[second]) in notes)
    third = folder.storage.create_trace({}, {})
    assert ids(folder) == [third, second]
    assert told.wait(lambda notes: len(notes) >= 2) == [change(added=[second]), change(added=[third])]


def test_a_trace_saved_while_a_scan_ends_stays_listed(folder, told, older, monkeypatch):
    saved = []
    original = folder.storage.scan

    def scan(seconds):
        found = original(seconds)
        if not saved:
            saved.append(folder.storage.create_trace({}, {}))
        return found

    monkeypatch.setattr(folder.storage, "scan", scan)
    shutil.copy(older, folder.path / "there.json")
    told.wait(lambda notes: any("there" in note["added"] for note in notes))
    assert set(ids(folder)) == {"there", *saved}
    told.wait(lambda notes: [name for note in notes for name in note["added"]].count(saved[0]) == 1)


def test_own_changes_are_told_where_nothing_else_tells_of_them(tmp_path, told, monkeypatch):
    monkeypatch.setattr("daemon.folders.watch.POLL_SECONDS", 100.0)
    monkeypatch.setattr("daemon.folders.watch.LOOK_SECONDS", 100.0)
    with contextlib.closing(TraceFolders(tmp_path, "json", True, lambda folder, change: told.add(change.added))) as all:
        assert all.default.entries() == []
        trace_id = all.default.storage.create_trace({}, {})
        told.wait(lambda notes: notes == [[trace_id]])


def test_own_traces_have_their_place_among_others(folder, told, tmp_path):
    write_json(folder.path / "future.json", older_document(timestamp="2999-01-01T00:00:00Z"))
    told.wait(lambda notes: len(notes) == 1)
    write_json(folder.path / "past.json", older_document(timestamp="1999-01-01T00:00:00Z"))
    told.wait(lambda notes: len(notes) == 2)
    trace_id = folder.storage.create_trace({}, {})
    assert ids(folder) == ["future", trace_id, "past"]


def test_a_trace_saved_by_another_process_is_told(folder, told, tmp_path):
    other = TraceStorage(folder.path, catalogue=tmp_path / "other")
    trace_id = other.create_trace(*small_trace())
    assert told.wait(lambda notes: len(notes) >= 1) == [change(added=[trace_id])]
    other.delete_trace(trace_id)
    assert told.wait(lambda notes: len(notes) >= 2)[1:] == [change(removed=[trace_id])]


def test_half_a_file_is_held_back_until_it_is_whole(folder, told, older):
    text = older.read_bytes()
    with (folder.path / "half.json").open("wb", buffering=0) as file:
        for part in range(4):
            file.write(text[part * 100 : part * 100 + 100])
            shutil.copy(older, folder.path / f"sign{part}.json")
            told.wait(lambda notes, part=part: any(f"sign{part}" in note["added"] for note in notes))
            assert "half" not in ids(folder)
        file.write(text[400:])
    notes = told.wait(lambda notes: any("half" in note["added"] for note in notes))
    assert [note for note in notes if "half" in note["changed"] + note["removed"]] == []
    (entry,) = [entry for entry in folder.entries() if entry.trace_id == "half"]
    assert entry.readable


def test_a_trace_being_overwritten_is_listed_as_it_was(folder, told, older):
    shutil.copy(older, folder.path / "there.json")
    told.wait(lambda notes: len(notes) == 1)
    (before,) = folder.entries()
    text = older.read_bytes()
    with (folder.path / "there.json").open("wb", buffering=0) as file:
        file.write(text[:200])
        shutil.copy(older, folder.path / "sign.json")
        told.wait(lambda notes: notes[1:] == [change(added=["sign"])])
        assert before in folder.entries()
        file.write(text[200:] + b"\n")
    told.wait(lambda notes: notes[2:] == [change(changed=["there"])])


def test_a_file_that_stays_broken_is_listed_with_the_reason(folder, told, monkeypatch):
    monkeypatch.setattr(unsettled, "PATIENCE", 0.5)
    (folder.path / "broken.json").write_text('{"trace_id": ')
    told.wait(lambda notes: notes == [change(added=["broken"])])
    (entry,) = folder.entries()
    assert not entry.readable
    assert entry.reason


@pytest.fixture
def held_reads(monkeypatch):
    """Holds up every read of a file for a listing: `reading` is set when one begins, `go_on` lets them go."""

    class Gate:
        reading, go_on = threading.Event(), threading.Event()

    original = trace_listing.read_row

    def read_row(file):
        Gate.reading.set()
        assert Gate.go_on.wait(10)
        return original(file)

    monkeypatch.setattr(trace_listing, "read_row", read_row)
    yield Gate
    Gate.go_on.set()


def test_nobody_waits_for_a_long_scan(folder, told, older, held_reads):
    first = folder.storage.create_trace({}, {})
    shutil.copy(older, folder.path / "there.json")
    assert held_reads.reading.wait(8)
    assert ids(folder) == [first]
    second = folder.storage.create_trace({}, {})
    folder.storage.delete_trace(first)
    assert ids(folder) == [second]
    held_reads.go_on.set()
    told.wait(lambda notes: any("there" in note["added"] for note in notes))
    assert set(ids(folder)) == {second, "there"}
    assert {name for note in told.all for name in note["added"]} - {first} == {second, "there"}


def test_the_first_listing_waits_for_the_first_scan(folders, tmp_path, told, older, held_reads):
    (tmp_path / "traces").mkdir()
    shutil.copy(older, tmp_path / "traces" / "there.json")
    os.utime(tmp_path / "traces" / "there.json", (1, 1))
    folder = folders.default
    with ThreadPoolExecutor() as pool:
        listing = pool.submit(folder.entries)
        assert held_reads.reading.wait(8)
        assert not folder.first_scan.done()
        own = folder.storage.create_trace({}, {})
        assert not listing.done()
        held_reads.go_on.set()
        assert {entry.trace_id for entry in listing.result(8)} == {"there", own}
    assert told.wait(lambda notes: notes) == [change(added=[own])]  # not what the scan found


def test_a_trace_saved_here_before_the_first_scan_is_told(tmp_path, told, older, monkeypatch):
    (tmp_path / "traces").mkdir()
    shutil.copy(older, tmp_path / "traces" / "there.json")
    may_scan, original = threading.Event(), TraceStorage.scan

    def scan(storage, seconds):
        assert may_scan.wait(10)
        return original(storage, seconds)

    monkeypatch.setattr(TraceStorage, "scan", scan)
    folders = TraceFolders(tmp_path / "traces", "json", False, lambda folder, news: told.add(news.added))
    with contextlib.closing(folders):
        own, gone = (folders.default.storage.create_trace(*small_trace()) for _ in range(2))
        folders.default.storage.delete_trace(gone)
        may_scan.set()
        assert told.wait(lambda notes: notes) == [[own]]
        assert set(ids(folders.default)) == {"there", own}


def test_many_new_files_are_shown_in_parts(folder, told, older, monkeypatch):
    monkeypatch.setattr(trace_folders, "SCAN_SECONDS", 0.0)
    elsewhere = folder.path.parent / "elsewhere"
    elsewhere.mkdir()
    for number in range(5):
        write_json(elsewhere / f"t{number}.json", older_document())
        os.utime(elsewhere / f"t{number}.json", (number, number))
    for path in elsewhere.iterdir():
        path.rename(folder.path / path.name)
    notes = told.wait(lambda notes: sum(len(note["added"]) for note in notes) == 5)
    assert all(len(note["added"]) == 1 for note in notes)
    assert notes[-1] == change(added=["t0"])  # the newest come first


def test_a_first_listing_is_never_a_part(folders, tmp_path, told, older, monkeypatch):
    monkeypatch.setattr(trace_folders, "SCAN_SECONDS", 0.0)
    (tmp_path / "traces").mkdir()
    for number in range(5):
        shutil.copy(older, tmp_path / "traces" / f"t{number}.json")
        os.utime(tmp_path / "traces" / f"t{number}.json", (1, 1))
    assert len(folders.default.entries()) == 5
    shutil.copy(older, tmp_path / "traces" / "new.json")
    assert told.wait(lambda notes: len(notes) >= 1) == [change(added=["new"])]  # who lists needs not be told


def test_a_folder_that_cannot_be_read_for_a_while_is_read_again(folder, monkeypatch):
    monkeypatch.setattr(trace_folders, "AGAIN_SECONDS", 0.05)
    original = trace_listing.os.scandir

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(trace_listing.os, "scandir", refuse)
        folder.watch.hint()
        until(lambda: not folder.describe().healthy, "it cannot be read")
        with pytest.raises(StorageError, match="Permission denied"):
            folder.entries()
    assert trace_listing.os.scandir is original
    until(lambda: folder.describe().healthy, "it was read again")
    assert folder.entries() == []


def test_nobody_waits_for_a_scan_that_broke(folders, tmp_path, monkeypatch):
    """For a fault of the daemon's own too: a listing would wait until the next regular rescan."""
    monkeypatch.setattr(trace_folders, "AGAIN_SECONDS", 0.05)
    (tmp_path / "traces").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(TraceStorage, "scan", lambda self, seconds: 1 / 0)
        with ThreadPoolExecutor() as pool, pytest.raises(StorageError, match="nanoscope logs"):
            pool.submit(folders.default.entries).result(5)
    until(lambda: folders.default.describe().healthy, "it was looked at again")
    assert folders.default.entries() == []


def test_a_folder_that_is_replaced_is_followed(folder, told, older):
    shutil.copy(older, folder.path / "there.json")
    told.wait(lambda notes: len(notes) == 1)
    folder.path.rename(folder.path.parent / "before")
    folder.path.mkdir()
    told.wait(lambda notes: notes[1:] == [change(removed=["there"])])
    shutil.copy(older, folder.path / "new.json")
    told.wait(lambda notes: notes[2:] == [change(added=["new"])])
    trace_id = folder.storage.create_trace({}, {})
    assert trace_id in ids(folder)


def test_polling_finds_the_same(tmp_path, told, older):
    def note(folder, change):
        told.add(change.added, change.changed, change.removed)

    with contextlib.closing(TraceFolders(tmp_path / "traces", "json", True, note)) as folders:
        folder = folders.default
        assert folder.entries() == []
        assert folder.describe().method == "polling"
        (tmp_path / "traces").mkdir()
        shutil.copy(older, tmp_path / "traces" / "there.json")
        told.wait(lambda notes: notes == [(["there"], [], [])])
        with (tmp_path / "traces" / "there.json").open("a") as file:
            file.write("\n")
        told.wait(lambda notes: notes[1:] == [([], ["there"], [])])


def test_something_else_in_the_folders_place_is_said_until_it_is_gone(folders, tmp_path, older):
    (tmp_path / "traces").write_text("in the way")
    folder = folders.default
    with pytest.raises(StorageError, match="is not a folder"):
        folder.entries()
    assert not folder.describe().healthy
    assert "is not a folder" in folder.describe().note
    (tmp_path / "traces").unlink()
    (tmp_path / "traces").mkdir()
    until(lambda: folder.describe().healthy, "it is a folder now")
    assert folder.entries() == []


def test_only_whole_paths_of_folders_can_be_opened(folders, tmp_path):
    with pytest.raises(StorageError, match="whole path"):
        folders.open(Path("traces"))
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is not a folder"):
        folders.open(tmp_path / "file")
    assert folders.describe() == []


def test_a_folder_is_watched_as_long_as_somebody_uses_it(folders, tmp_path, told):
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "other")
    first, second = folders.open(tmp_path / "other"), folders.open(tmp_path / "link")
    assert first is second
    folders.close_one(first)
    assert [info.traces_dir for info in folders.describe()] == [str(tmp_path / "other")]
    (tmp_path / "other" / "a.json").write_text("[]")
    folders.close_one(second)
    assert folders.describe() == []
    until(lambda: not first.watch.running(), "the watch has ended")
    default = folders.default
    assert folders.open(default.path) is default
    folders.close_one(default)
    assert default.watch.running()


def test_whoever_waits_for_a_folder_that_is_closed_waits_no_more(folders, tmp_path, older, held_reads):
    (tmp_path / "other").mkdir()
    shutil.copy(older, tmp_path / "other" / "there.json")
    folder = folders.open(tmp_path / "other")
    with ThreadPoolExecutor() as pool:
        listing = pool.submit(folder.entries)
        assert held_reads.reading.wait(8)
        folders.close_one(folder)
        assert listing.result(8) == ()
        held_reads.go_on.set()


def test_folders_share_what_is_known_of_files(folders, tmp_path, older, monkeypatch):
    names = []
    original = trace_listing.read_row
    monkeypatch.setattr(trace_listing, "read_row", lambda file: names.append(file.path.name) or original(file))
    (tmp_path / "other").mkdir()
    shutil.copy(older, tmp_path / "other" / "there.json")
    os.utime(tmp_path / "other" / "there.json", (1, 1))
    for _ in range(2):
        folder = folders.open(tmp_path / "other")
        assert ids(folder) == ["there"]
        folders.close_one(folder)
        until(lambda folder=folder: not folder.watch.running(), "the watch has ended")
    assert names == ["there.json"]


def test_a_listing_costs_nothing_when_nothing_has_changed(folder, told, older):
    shutil.copy(older, folder.path / "t.json")
    for number in range(2_000):
        os.link(folder.path / "t.json", folder.path / f"t{number}.json")
    until(lambda: len(folder.entries()) == 2_001, "all are listed")
    assert folder.entries() is folder.entries()


def test_a_folder_given_back_after_the_end_is_no_fault(folders, tmp_path):
    mine = folders.open(tmp_path / "mine")
    folders.close()
    folders.close_one(mine)
    assert folders.describe() == []
