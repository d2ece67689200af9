"""The traces folder: saving, listing, deleting, and every way in which the world can refuse."""

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from nanochat.errors import (
    CategoryInvalidError,
    SettingInvalidError,
    StorageError,
    StorageFullError,
    TraceIdInvalidError,
    TraceNotFoundError,
    TraceUnreadableError,
)
from nanochat.trace_storage import TraceStorage
from tests.nanochat.trace_examples import older_document, small_trace, write_json

FORMATS = ["json", "safetensors"]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def storage(tmp_path):
    return TraceStorage(tmp_path / "traces", catalogue=tmp_path / "c.sqlite3")


def files_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("format", FORMATS)
def test_a_trace_is_saved_under_a_new_id_and_read_again(storage, format):
    document, tensors = small_trace()
    before = datetime.now().astimezone()
    trace_id = storage.create_trace(document, tensors, format=format)
    assert datetime.strptime(trace_id, "trace_%Y%m%d_%H%M%S_%f").astimezone() >= before
    assert files_in(storage.directory) == [f"{trace_id}.{format}"]
    assert storage.path_of(trace_id) == storage.directory / f"{trace_id}.{format}"
    assert "trace_id" not in document  # the caller's own is left alone
    loaded = storage.load_trace(trace_id)
    assert loaded["schema_version"] == 1
    assert loaded["trace_id"] == trace_id
    assert before <= datetime.fromisoformat(loaded["timestamp"]) <= datetime.now().astimezone()
    assert loaded["prompt"] == document["prompt"]
    attention = loaded["model_data"]["attention_weights"]["layer_0"]
    assert attention["shape"] == [1, 2, 6, 6]
    np.testing.assert_array_equal(np.array(attention["data"], np.float32), tensors["attention_weights.layer_0"])


@pytest.mark.parametrize("format", FORMATS)
def test_the_summary_has_metadata_and_data_info(storage, format):
    document, tensors = small_trace()
    trace_id = storage.create_trace(document, tensors, format=format, dtype="bfloat16", steps=True)
    summary = storage.get_trace_summary(trace_id)
    assert {key: summary[key] for key in ("prompt", "response", "category", "metadata")} == {
        key: document[key] for key in ("prompt", "response", "category", "metadata")
    }
    assert summary["trace_id"] == trace_id
    assert summary["data_info"] == storage.load_trace(trace_id)["data_info"]
    assert summary["data_info"]["tensors"]["output_logits"] == {"shape": [1, 4, 7], "dtype": "torch.bfloat16"}
    assert (
        summary["data_info"]["num_layers"],
        summary["data_info"]["num_tokens"],
        summary["data_info"]["num_steps"],
    ) == (2, 6, 4)
    # the same from the file alone
    fresh = TraceStorage(storage.directory, catalogue=storage.directory.parent / "other.sqlite3")
    assert fresh.get_trace_summary(trace_id) == summary


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("prompt", "generated", "positions"), [(3, 4, 6), (3, 1, 3), (3, 0, 3), (1, 1, 1)])
def test_num_tokens_are_the_positions_that_the_model_ran_over(storage, format, prompt, generated, positions):
    document, tensors = small_trace(prompt, generated)
    trace_id = storage.create_trace(document, tensors, format=format)
    info = storage.get_trace_summary(trace_id)["data_info"]
    assert info["num_tokens"] == positions == info["tensors"]["token_embeddings"]["shape"][1]
    assert storage.load_trace(trace_id)["data_info"]["num_tokens"] == positions


def test_an_older_traces_summary_counts_positions_too(storage):
    document, tensors = small_trace(3, 4)
    path = storage.path_of(storage.create_trace(document, tensors))
    kept = path.read_bytes().replace(b'"num_tokens":6', b'"num_tokens":7')  # the prompt's and the generated ones
    (storage.directory / "older.json").write_bytes(kept)
    assert storage.get_trace_summary("older")["data_info"]["num_tokens"] == 6


def test_entries_say_what_a_listing_shows(storage):
    document, tensors = small_trace(3, 4)
    trace_id = storage.create_trace({**document, "prompt": "p" * 5000}, tensors, format="safetensors")
    (entry,) = storage.list_entries()
    assert (entry.trace_id, entry.category, entry.response) == (trace_id, "geography", " Paris.")
    assert entry.prompt == "p" * 4000
    assert (entry.prompt_tokens, entry.response_tokens, entry.format) == (3, 4, "safetensors")
    assert entry.path == storage.path_of(trace_id)
    assert entry.size == entry.path.stat().st_size
    assert (entry.readable, entry.reason) == (True, "")


def test_newest_first_and_by_category(storage):
    ids = [storage.create_trace({"category": category}, {}) for category in ("a", "b", None, "a")]
    assert storage.list_traces() == ids[::-1]
    assert storage.list_traces("a") == [ids[3], ids[0]]
    assert storage.list_traces(category="b") == [ids[1]]
    with pytest.raises(CategoryInvalidError, match="No trace has the category 'c'; there are: a, b"):
        storage.list_traces("c")
    storage.list_traces().clear()  # the list is the caller's own
    assert len(storage.list_traces()) == 4


def test_a_category_in_an_empty_folder_is_said_to_be_unknown(storage):
    assert storage.list_traces() == []
    with pytest.raises(CategoryInvalidError, match="none yet"):
        storage.list_traces("a")


@pytest.mark.parametrize("category", ["", "  ", "a\nb", 3, "x" * 201, ["a"]])
def test_what_cannot_name_a_category_is_refused(storage, category):
    with pytest.raises(CategoryInvalidError):
        storage.create_trace({"category": category}, {})
    assert not storage.directory.exists()


@pytest.mark.parametrize(
    "trace_id", ["", "..", "../x", "a/b", "a.b", "a b", "é", "x" * 201, "a\0", "a\n", "/etc/passwd", "٣", None, 5, b"a"]
)
def test_ids_that_could_be_paths_are_refused(storage, trace_id):
    storage.create_trace({}, {})
    for call in (
        storage.load_trace,
        storage.open_trace,
        storage.get_trace_summary,
        storage.delete_trace,
        storage.path_of,
    ):
        with pytest.raises(TraceIdInvalidError, match="is no trace id"):
            call(trace_id)


def test_unknown_ids_say_how_to_list(storage):
    for call in (
        storage.load_trace,
        storage.open_trace,
        storage.get_trace_summary,
        storage.delete_trace,
        storage.path_of,
    ):
        with pytest.raises(TraceNotFoundError, match=r"There is no trace nowhere .*list_traces"):
            call("nowhere")


def test_the_same_id_in_both_formats_is_one_trace(storage):
    trace_id = storage.create_trace(*small_trace())
    with storage.open_trace(trace_id) as trace:
        compact = trace.to_safetensors()
    (entry,) = storage.list_entries()
    assert (entry.format, entry.size) == ("safetensors", compact.stat().st_size)
    with storage.open_trace(trace_id) as trace:
        assert trace.format == "safetensors"
    os.truncate(compact, 200)
    fresh = TraceStorage(storage.directory, catalogue=storage.directory.parent / "other")
    (entry,) = fresh.list_entries()
    assert (entry.format, entry.readable) == ("json", True)
    with fresh.open_trace(trace_id) as trace:
        assert trace.format == "json"
    fresh.delete_trace(trace_id)
    assert files_in(storage.directory) == []
    assert fresh.list_traces() == []


def test_a_deleted_trace_is_gone_for_everyone(storage):
    other = TraceStorage(storage.directory, catalogue=storage.directory.parent / "other")
    trace_id = storage.create_trace({}, {})
    assert other.list_traces() == [trace_id]
    storage.delete_trace(trace_id)
    assert storage.list_traces() == []
    assert other.list_traces() == []
    with pytest.raises(TraceNotFoundError):
        other.open_trace(trace_id)


def test_a_file_under_another_name_is_the_trace_of_that_name(storage):
    trace_id = storage.create_trace({"prompt": "p"}, {})
    storage.path_of(trace_id).rename(storage.directory / "my-trace.json")
    assert storage.list_traces() == ["my-trace"]
    assert storage.load_trace("my-trace")["trace_id"] == "my-trace"
    assert storage.get_trace_summary("my-trace")["trace_id"] == "my-trace"
    with storage.open_trace("my-trace") as trace:
        assert trace.document["trace_id"] == "my-trace"


def test_ids_never_collide(storage, monkeypatch):
    class Noon(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 1, 2, 12, 0, 0, 345)

    monkeypatch.setattr("nanochat.trace_storage.datetime", Noon)
    ids = [storage.create_trace({"number": number}, {}, format=FORMATS[number % 2]) for number in range(4)]
    assert ids == ["trace_20260102_120000_000345", *(f"trace_20260102_120000_000345_{n}" for n in (2, 3, 4))]
    for number, trace_id in enumerate(ids):
        loaded = storage.load_trace(trace_id)
        assert (loaded["number"], loaded["trace_id"]) == (number, trace_id)
    assert storage.list_traces() == ids[::-1]


def test_threads_may_save_and_list_at_once(storage):
    saved: list[str] = []

    def save(number: int) -> None:
        for _ in range(5):
            saved.append(storage.create_trace(*small_trace(seed=number), format=FORMATS[number % 2]))
            assert set(saved[-1:]) <= set(storage.list_traces())

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(storage.list_traces()) == sorted(saved)
    assert len(set(saved)) == 20


def test_settings_out_of_range_are_refused_and_leave_nothing(storage):
    values = np.zeros((1, 2), np.float32)
    with pytest.raises(SettingInvalidError, match="no trace format 'hdf5'"):
        TraceStorage(storage.directory, format="hdf5")
    with pytest.raises(SettingInvalidError, match="no trace format"):
        storage.create_trace({}, {}, format="xml")
    with pytest.raises(SettingInvalidError, match="'float8' cannot be stored"):
        storage.create_trace({}, {}, dtype="float8")
    with pytest.raises(SettingInvalidError, match="cannot hold complex64"):
        storage.create_trace({}, {"x": values.astype(np.complex64)})
    with pytest.raises(SettingInvalidError, match="single number"):
        storage.create_trace({}, {"x": np.float32(1).reshape(())})
    for names in (["a b"], ["a..b"], [""], ["a.data"], ["a", "a.b"]):
        with pytest.raises(SettingInvalidError, match="tensor"):
            storage.create_trace({}, dict.fromkeys(names, values))
    with pytest.raises(SettingInvalidError, match="as JSON"):
        storage.create_trace({"model": object()}, {})
    assert not storage.directory.exists() or files_in(storage.directory) == []


@pytest.mark.parametrize("format", FORMATS)
def test_a_value_too_large_for_float16_is_refused_by_name(storage, format):
    tensors = {"fits": np.array([[65504, -65519, 1e-30]], np.float32), "large": np.array([[1, 65520]], np.float32)}
    with pytest.raises(SettingInvalidError, match=r"large holds values too large for float16 \(up to 6\.552e\+04\)"):
        storage.create_trace({}, tensors, dtype="float16", format=format)
    assert files_in(storage.directory) == []
    trace_id = storage.create_trace(
        {}, {"fits": tensors["fits"], "nan": np.array([[np.nan, 1]], np.float32)}, dtype="float16"
    )
    with storage.open_trace(trace_id) as trace:
        np.testing.assert_array_equal(trace.tensor("fits"), [[65504, -65504, 0]])
        np.testing.assert_array_equal(trace.tensor("nan"), [[np.nan, 1]])


def test_importing_and_listing_need_no_torch(storage):
    storage.create_trace(*small_trace())
    code = (
        "import sys; from nanochat.trace_storage import TraceStorage;"
        f"s = TraceStorage({str(storage.directory)!r}, catalogue={str(storage.directory / '.c')!r});"
        "s.open_trace(s.list_traces()[0]).to_safetensors(dtype='bfloat16');"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "traces").write_text("x")
    with pytest.raises(StorageError, match="is not a folder"):
        TraceStorage(tmp_path / "traces")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="is not a folder"):
        TraceStorage(tmp_path / "link")
    below = TraceStorage(tmp_path / "traces" / "below", catalogue=tmp_path / "c")
    for save in (lambda: below.create_trace({}, {}), below.check_writable):
        with pytest.raises(StorageError, match=r"Cannot write .*Choose a folder"):
            save()
    with pytest.raises(StorageError, match="cannot be listed"):
        below.list_traces()


@contextlib.contextmanager
def powerless() -> Iterator[None]:
    """Without root's right to write anywhere, where the tests run as root."""
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_read_only_folder_can_be_read_and_says_that_it_cannot_be_written():
    with tempfile.TemporaryDirectory() as name:  # tmp_path is closed to other users
        os.chmod(name, 0o755)
        folder = Path(name) / "traces"
        trace_id = TraceStorage(folder, catalogue=Path(name) / "c").create_trace(*small_trace())
        (folder / f"{trace_id}.json").chmod(0o644)
        folder.chmod(0o555)
        (Path(name) / "locked").mkdir(mode=0o555)
        with powerless():
            storage = TraceStorage(folder, catalogue=Path(name) / "locked" / "c.sqlite3")
            assert storage.list_traces() == [trace_id]
            with storage.open_trace(trace_id) as trace:
                assert trace.embeddings().shape == (6, 5)
                for write in (lambda: storage.create_trace({}, {}), storage.check_writable, trace.to_safetensors):
                    with pytest.raises(StorageError, match=r"Permission denied.*Choose a folder"):
                        write()
            with pytest.raises(StorageError, match=r"Cannot delete .*Permission denied"):
                storage.delete_trace(trace_id)
            below = TraceStorage(folder / "below", catalogue=storage.catalogue)
            with pytest.raises(StorageError, match="Permission denied"):
                below.create_trace({}, {})
        (folder / f"{trace_id}.json").chmod(0)
        with powerless():
            fresh = TraceStorage(folder, catalogue=Path(name) / "locked" / "d.sqlite3")
            assert ["Permission denied" in entry.reason for entry in fresh.list_entries()] == [True]
            with pytest.raises(TraceUnreadableError, match="check its rights"):
                fresh.open_trace(trace_id)
        folder.chmod(0)
        with powerless(), pytest.raises(StorageError, match=r"cannot be listed \(Permission denied\)"):
            TraceStorage(folder, catalogue=storage.catalogue).list_traces()
        folder.chmod(0o755)


FULL = """
import os, resource, subprocess, sys
import numpy as np
from nanochat.errors import StorageFullError
from nanochat.trace_storage import TraceStorage
folder, catalogue, format = sys.argv[1:]
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], stderr=subprocess.DEVNULL).returncode:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, 2 << 20))  # nothing may be mounted: files may not grow instead
storage = TraceStorage(folder, format=format, catalogue=catalogue)
ids = []
try:
    while True:
        ids.append(storage.create_trace({}, {"x": np.ones((100 * len(ids) + 100, 400), np.float32)}))
except StorageFullError as error:
    print(error)
assert ids and storage.list_traces() == ids[::-1], (ids, storage.list_traces())
assert len(os.listdir(folder)) == len(ids), os.listdir(folder)
storage.delete_trace(ids[-1])
storage.create_trace({}, {"x": np.ones((100, 400), np.float32)})
"""
OWN_MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk_keeps_nothing_of_the_trace_and_all_others(tmp_path, format):
    (tmp_path / "traces").mkdir()
    can_mount = (
        shutil.which("unshare") and subprocess.run([*OWN_MOUNTS, "true"], stderr=subprocess.DEVNULL).returncode == 0
    )
    command = [sys.executable, "-c", FULL, str(tmp_path / "traces"), str(tmp_path / "c"), format]
    prefix = OWN_MOUNTS if can_mount else []
    said = subprocess.run([*prefix, *command], check=True, capture_output=True, text=True, cwd=ROOT).stdout
    assert "No room for" in said
    assert str(tmp_path / "traces") in said
    assert "Free some space" in said


def test_a_limit_of_the_file_size_keeps_nothing_of_the_trace(storage):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    document, tensors = small_trace(width=500)
    storage.create_trace({}, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # Python ignores the signal; writes fail with EFBIG
    try:
        for format in FORMATS:
            with pytest.raises(StorageFullError, match="No room for"):
                storage.create_trace(document, tensors, format=format)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(files_in(storage.directory)) == 1


def test_what_others_left_in_the_folder_is_listed_with_a_reason(storage):
    trace_id = storage.create_trace(*small_trace())
    folder = storage.directory
    (folder / "empty.json").touch()
    (folder / "half.json").write_bytes(storage.path_of(trace_id).read_bytes()[:-20])
    (folder / "folder.json").mkdir()
    os.mkfifo(folder / "pipe.json")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "circle.json").symlink_to(folder / "circle.json")
    (folder / "nowhere.safetensors").symlink_to(folder / "missing")
    (folder / "package.json").write_text('{"name": "x"}')
    (folder / "with space.json").write_text("{}")
    (folder / os.fsdecode(b"bytes\xff.json")).write_text("{}")
    (folder / ("x" * 210 + ".json")).write_text("{}")
    (folder / "deep.json").write_bytes(b"[" * 100_000)
    (folder / "linked.json").symlink_to(storage.path_of(trace_id))
    write_json(folder / "old.json", older_document())
    for name in (".hidden.json", ".x.123.tmp", "notes.txt", "x.json.bak", "json"):
        (folder / name).write_text("{")
    reasons = {entry.trace_id: entry.reason for entry in storage.list_entries() if not entry.readable}
    assert {trace_id, "linked", "old"} == set(storage.list_traces())
    assert set(reasons) == {
        "empty", "half", "folder", "pipe", "circle", "nowhere", "package", "with space", "bytes\ufffd",
        "x" * 210, "deep",
    }  # fmt: skip
    assert all(reasons.values())
    assert "empty" in reasons["empty"]
    assert "not a regular file" in reasons["pipe"]
    assert "broken link" in reasons["circle"]
    assert "rename it" in reasons["with space"]
    assert "not a trace" in reasons["package"]
    for name in ("empty", "half", "folder", "pipe", "deep"):
        with pytest.raises(TraceUnreadableError):
            storage.open_trace(name)
    json.dumps([entry.trace_id for entry in storage.list_entries()]).encode()
    for name in ("half", "linked", "old"):
        storage.delete_trace(name)
    assert trace_id in storage.list_traces()


def test_damage_that_only_opening_finds_is_an_error(storage):
    trace_id = storage.create_trace(*small_trace())
    text = storage.path_of(trace_id).read_bytes()
    (storage.directory / "damaged.json").write_bytes(text.replace(b'"layer_1":{', b'"layer_1":[', 1))
    with pytest.raises(TraceUnreadableError, match=r"damaged\.json cannot be read"):
        storage.open_trace("damaged")
    with pytest.raises(TraceUnreadableError):
        storage.load_trace("damaged")
