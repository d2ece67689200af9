"""Listings follow the folder, whoever changes it, and read each file once."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nanochat.trace_storage import TraceStorage
from nanochat.traces import listing
from tests.nanochat.trace_examples import older_document, small_trace, write_json


@pytest.fixture
def storage(tmp_path):
    return TraceStorage(tmp_path / "traces", catalogue=tmp_path / "c.sqlite3")


def settle(*paths: Path, seconds: float = 10) -> None:
    """Make files and folders look as if they had last changed a while ago."""
    then = time.time_ns() - int(seconds * 1e9)
    for path in paths:
        os.utime(path, ns=(then, then))


@pytest.fixture
def read(monkeypatch):
    """Names of the files that listings read."""
    names: list[str] = []

    def read_row(file):
        names.append(file.path.name)
        return original(file)

    original = listing.read_row
    monkeypatch.setattr(listing, "read_row", read_row)
    return names


@pytest.fixture
def scans(monkeypatch):
    """How often the folder is scanned."""
    count: list[object] = []

    def scandir(path):
        count.append(path)
        return original(path)

    original = os.scandir
    monkeypatch.setattr("nanochat.traces.listing.os.scandir", scandir)
    return count


def test_a_saved_trace_is_never_read_for_listing(storage, read):
    ids = [storage.create_trace(*small_trace(), format=format) for format in ("json", "safetensors")]
    assert storage.list_traces() == ids[::-1]
    again = TraceStorage(storage.directory, catalogue=storage.catalogue)
    assert again.list_traces() == ids[::-1]
    assert read == []


def test_files_of_others_are_read_once_and_again_after_a_change(storage, read):
    storage.directory.mkdir()
    path = storage.directory / "old.json"
    write_json(path, older_document())
    settle(path)
    for _ in range(3):
        (entry,) = TraceStorage(storage.directory, catalogue=storage.catalogue).list_entries()
        assert entry.prompt == "The capital of France is"
    assert read == ["old.json"]
    write_json(path, older_document(prompt="changed"))
    settle(path, seconds=9)
    (entry,) = TraceStorage(storage.directory, catalogue=storage.catalogue).list_entries()
    assert entry.prompt == "changed"
    assert read == ["old.json"] * 2


def test_a_file_that_changes_within_one_tick_of_the_clock_is_looked_at_again(storage, monkeypatch):
    storage.directory.mkdir()
    path = storage.directory / "old.json"
    write_json(path, older_document(prompt="aaa"))
    status = path.stat()
    monkeypatch.setattr("nanochat.traces.listing.time.time_ns", lambda: status.st_mtime_ns + 10_000_000)
    assert storage.list_entries()[0].prompt == "aaa"
    with path.open("r+b") as file:  # as long as before, and with the same time
        file.write(path.read_bytes().replace(b"aaa", b"bbb"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert TraceStorage(storage.directory, catalogue=storage.catalogue).list_entries()[0].prompt == "bbb"


def test_changes_by_others_show_at_once(storage):
    other = TraceStorage(storage.directory, catalogue=storage.directory.parent / "other")
    ids: list[str] = []
    for _ in range(5):
        ids.insert(0, other.create_trace({}, {}))
        assert storage.list_traces() == ids
    other.delete_trace(ids.pop())
    assert storage.list_traces() == ids
    storage.path_of(ids.pop()).unlink()
    assert storage.list_traces() == ids


def test_an_unchanged_folder_is_trusted_for_two_seconds(storage, scans, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("nanochat.traces.listing.time.monotonic", lambda: now[0])
    trace_id = storage.create_trace({}, {})
    settle(storage.directory)
    for _ in range(3):
        assert storage.list_traces() == [trace_id]
    assert len(scans) == 1
    now[0] += 1.9
    storage.list_traces()
    assert len(scans) == 1
    now[0] += 0.2
    storage.list_traces()
    assert len(scans) == 2
    (storage.directory / "note.txt").touch()  # the folder changes
    storage.list_traces()
    assert len(scans) == 3
    storage.list_traces()  # it changed a moment ago, and might again within the same tick
    assert len(scans) == 4


def test_a_change_in_place_shows_after_two_seconds(storage, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("nanochat.traces.listing.time.monotonic", lambda: now[0])
    storage.directory.mkdir()
    path = storage.directory / "old.json"
    write_json(path, older_document())
    settle(path, storage.directory)
    assert storage.list_traces() == ["old"]
    with path.open("w") as file:
        file.write("{")
    now[0] += 2.1
    assert storage.list_traces() == []


def test_a_folder_that_goes_and_comes_back(storage):
    trace_id = storage.create_trace({}, {})
    assert storage.list_traces() == [trace_id]
    moved = storage.directory.rename(storage.directory.parent / "moved")
    assert storage.list_traces() == []
    moved.rename(storage.directory)
    assert storage.list_traces() == [trace_id]


def test_rows_of_deleted_files_are_removed(storage):
    ids = [storage.create_trace({}, {}) for _ in range(4)]
    identity = storage._listing._identity
    assert len(storage.catalogue.rows(identity)) == 4
    storage.delete_trace(ids[0])
    assert len(storage.catalogue.rows(identity)) == 3
    storage.path_of(ids[1]).unlink()
    TraceStorage(storage.directory, catalogue=storage.catalogue).list_traces()
    assert sorted(row.name for row in storage.catalogue.rows(identity)) == sorted(f"{name}.json" for name in ids[2:])


def test_newest_first_by_timestamp_and_unreadable_ones_by_file_time(storage):
    storage.directory.mkdir()
    timestamps = {
        "old": "2020-01-01T00:00:00Z",
        "zoned": "2023-01-01T00:00:00+00:00",
        "new": "2024-11-02T14:30:22.123456+09:00",
        "new_too": "2024-11-02T05:30:22.123456+00:00",
    }
    for name, timestamp in timestamps.items():
        write_json(storage.directory / f"{name}.json", older_document(timestamp=timestamp))
    for name, timestamp in {
        "no_time": None,
        "odd_time": "x",
        "list_time": [1],
        "year_0": "0001-01-01T00:00:00+14:00",
    }.items():
        write_json(storage.directory / f"{name}.json", older_document(timestamp=timestamp))
    (storage.directory / "broken.json").write_text("{")
    for name, year in (("no_time", 2021), ("odd_time", 2022), ("list_time", 2019), ("broken", 2023.5)):
        moment = (year - 1970) * 365.2425 * 86400
        os.utime(storage.directory / f"{name}.json", (moment, moment))
    order = [entry.trace_id for entry in storage.list_entries() if entry.trace_id != "year_0"]
    assert order == ["new_too", "new", "broken", "zoned", "odd_time", "no_time", "old", "list_time"]
    assert "year_0" in storage.list_traces()


def test_small_files_of_others_are_parsed_at_once(storage, monkeypatch):
    storage.directory.mkdir()
    write_json(storage.directory / "old.json", older_document(), indent=2)
    write_json(storage.directory / "tensors.json", {"model_data": older_document()["model_data"]})
    (storage.directory / "list.json").write_text('["trace_id"]')
    (storage.directory / "broken.json").write_text('{"trace_id": "x", "prompt": "p"')
    (storage.directory / "other.json").write_text('{"name": "x"}')
    settle(*storage.directory.iterdir())
    entries = storage.list_entries()
    monkeypatch.setattr("nanochat.traces.json.format._PARSED_WHOLE", 0)
    walked = TraceStorage(storage.directory, catalogue=":memory:").list_entries()
    assert entries == walked
    assert {entry.trace_id for entry in entries if entry.readable} == {"old", "tensors"}
    with monkeypatch.context() as patch:
        patch.setattr("nanochat.traces.json.format._PARSED_WHOLE", 1 << 16)
        patch.setattr("nanochat.traces.file.TraceFile.scan", None)
        (storage.directory / "tensors.json").unlink()
        for name in ("list", "broken", "other"):
            (storage.directory / f"{name}.json").unlink()
        assert [entry.trace_id for entry in TraceStorage(storage.directory, catalogue=":memory:").list_entries()] == [
            "old"
        ]
    assert storage.get_trace_summary("old")["data_info"]["tensors"]["token_embeddings"]["shape"] == [1, 3, 2]


def test_large_files_are_listed_by_their_heads_and_ends(storage, monkeypatch):
    monkeypatch.setattr("nanochat.traces.json.format._SCANNED_WHOLE", 100)
    monkeypatch.setattr("nanochat.traces.file.TraceFile.scan", None)
    storage.directory.mkdir()
    write_json(storage.directory / "old.json", older_document(), indent=2)
    (entry,) = storage.list_entries()
    assert (entry.prompt, entry.readable) == ("The capital of France is", True)


def test_large_files_that_were_cut_short_are_unreadable(storage, monkeypatch):
    monkeypatch.setattr("nanochat.traces.json.format._SCANNED_WHOLE", 100)
    storage.directory.mkdir()
    write_json(storage.directory / "old.json", older_document(), indent=2)
    text = (storage.directory / "old.json").read_bytes()
    (storage.directory / "old.json").write_bytes(text[:-40])
    (entry,) = storage.list_entries()
    assert not entry.readable
    assert "cut short" in entry.reason


def test_ten_thousand_traces_are_listed_from_memory(storage, scans):
    storage.create_trace({}, {})
    (first,) = storage.directory.iterdir()
    for number in range(9_999):
        os.link(first, storage.directory / f"trace_{number}.json")
    settle(storage.directory)
    assert len(storage.list_traces()) == 10_000
    assert len(storage.list_traces()) == 10_000
    assert len(scans) == 1


def test_a_scan_looks_at_files_that_a_listing_would_trust(storage):
    storage.directory.mkdir()
    path = storage.directory / "old.json"
    write_json(path, older_document())
    settle(path, storage.directory)
    assert storage.list_entries()[0].readable
    with path.open("w") as file:
        file.write("{")
    entries, left = storage.scan()
    assert [(entry.readable, entry.state.size) for entry in entries] == [(False, 1)]
    assert left == 0


def test_a_scan_out_of_time_reads_the_newest_and_keeps_what_was_known(storage, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("nanochat.traces.listing.time.monotonic", lambda: now[0])
    storage.directory.mkdir()
    for number in range(8):
        write_json(storage.directory / f"t{number}.json", older_document(prompt="before"))
        settle(storage.directory / f"t{number}.json", seconds=100 - number)
    original = listing.read_row

    def read_row(file):
        now[0] += 1
        return original(file)

    monkeypatch.setattr(listing, "read_row", read_row)
    entries, left = storage.scan(2.5)
    assert ([entry.trace_id for entry in entries], left) == (["t7", "t6", "t5"], 5)
    entries, left = storage.scan(10)
    assert (len(entries), left) == (8, 0)
    for number in range(2):
        write_json(storage.directory / f"t{number}.json", older_document(prompt="after"))
        settle(storage.directory / f"t{number}.json", seconds=50 - number)
    settle(storage.directory)
    entries, left = storage.scan(0)
    assert {entry.trace_id for entry in entries if entry.prompt == "after"} == {"t1"}
    assert (len(entries), left) == (8, 1)
    assert [entry.prompt for entry in storage.list_entries()].count("after") == 2


def test_the_time_of_a_scan_is_for_reading(storage, monkeypatch):
    """However long looking at what is there takes: many files would else be read one by one."""
    now = [1000.0]
    monkeypatch.setattr("nanochat.traces.listing.time.monotonic", lambda: now[0])
    storage.directory.mkdir()
    for number in range(3):
        write_json(storage.directory / f"t{number}.json", older_document())
    original = os.scandir

    def scandir(path):
        now[0] += 10
        return original(path)

    monkeypatch.setattr("nanochat.traces.listing.os.scandir", scandir)
    entries, left = storage.scan(1)
    assert (len(entries), left) == (3, 0)


def test_saving_and_deleting_do_not_wait_for_a_scan(storage, monkeypatch):
    first = storage.create_trace({}, {})
    write_json(storage.directory / "old.json", older_document())
    reading, go_on = threading.Event(), threading.Event()
    original = listing.read_row

    def read_row(file):
        reading.set()
        assert go_on.wait(10)
        return original(file)

    monkeypatch.setattr(listing, "read_row", read_row)
    with ThreadPoolExecutor() as pool:
        scan = pool.submit(storage.scan)
        assert reading.wait(10)
        second = storage.create_trace({}, {})
        storage.delete_trace(first)
        assert storage._listing.known() == []  # of what the running scan finds, nothing shows yet
        go_on.set()
        entries, left = scan.result(10)
    assert ({entry.trace_id for entry in entries}, left) == ({second, "old"}, 0)


def test_what_is_saved_and_deleted_is_told(tmp_path):
    told = []
    storage = TraceStorage(tmp_path, catalogue=tmp_path / "c", on_change=lambda *change: told.append(change))
    trace_id = storage.create_trace({"prompt": "here"}, {})
    assert told == [(trace_id, storage.list_entries()[0])]
    storage.delete_trace(trace_id)
    assert told[1:] == [(trace_id, None)]


def test_rights_given_later_show(storage, monkeypatch):
    storage.directory.mkdir()
    write_json(storage.directory / "old.json", older_document())
    settle(storage.directory / "old.json", storage.directory)
    original = os.open

    def refuse(path, *arguments, **options):
        if str(path).endswith("old.json"):
            raise PermissionError(13, "Permission denied")
        return original(path, *arguments, **options)

    with monkeypatch.context() as patch:  # root may read everything
        patch.setattr("nanochat.traces.file.os.open", refuse)
        assert "Permission denied" in storage.scan()[0][0].reason
    assert storage.scan()[0][0].readable
    assert TraceStorage(storage.directory, catalogue=storage.catalogue).list_entries()[0].readable


def test_files_from_a_clock_that_is_ahead_are_read_once(storage, read):
    storage.directory.mkdir()
    write_json(storage.directory / "old.json", older_document())
    settle(storage.directory / "old.json", seconds=-3600)
    for _ in range(3):
        assert storage.scan()[0][0].readable
    assert read == ["old.json"]


def test_many_files_are_read_by_several_threads(storage, monkeypatch):
    storage.directory.mkdir()
    for number in range(100):
        write_json(storage.directory / f"t{number}.json", older_document(prompt=str(number)))
    original, together, first_four = listing.read_row, threading.Barrier(4), iter(range(4))

    def read_row(file):
        if next(first_four, None) is not None:
            together.wait(10)
        return original(file)

    monkeypatch.setattr(listing, "read_row", read_row)
    assert sorted(int(entry.prompt) for entry in storage.list_entries()) == list(range(100))


def test_another_programs_long_texts_cost_its_own_line_alone(storage):
    long = "x" * 3_000_000
    trace = {"trace_id": "t", "timestamp": long, "category": long, "prompt": long, "tokens": {}}
    storage.directory.mkdir()
    write_json(storage.directory / "foreign.json", trace)
    (entry,) = storage.list_entries()
    assert (len(entry.timestamp), len(entry.category), len(entry.prompt)) == (200, 200, 4000)


def test_a_head_full_of_the_key_of_tensors_is_read_in_linear_time(storage):
    """Parsing all that stands before each of them took minutes for a megabyte."""
    metadata = {"list": [{"model_data": 1}] * 60_000}
    trace_id = storage.create_trace({"metadata": metadata}, {})
    begun = time.process_time()
    (entry,) = TraceStorage(storage.directory, catalogue=":memory:").list_entries()
    assert (entry.trace_id, entry.readable) == (trace_id, True)
    assert time.process_time() - begun < 10
    assert TraceStorage(storage.directory, catalogue=":memory:").get_trace_summary(trace_id)["metadata"] == metadata
