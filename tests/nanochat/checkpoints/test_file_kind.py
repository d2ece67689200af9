"""Files that were never downloaded, or are another program's, are named by what they hold, in every place."""

import gzip
import io
import json
import pickle
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from nanochat.checkpoint_manager import load_model
from nanochat.checkpoints.file_kind import ARCHIVE, JSON, PICKLE, SAFETENSORS, what_it_is
from nanochat.checkpoints.layouts import DEMO_FOLDER
from nanochat.errors import CheckpointInvalidError, TokenizerInvalidError, TraceUnreadableError
from nanochat.trace_storage import TraceStorage
from tests.checkpoints import load, tiny_model, write_flat

pytestmark = pytest.mark.usefixtures("base")

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d7a21" * 10 + b"0123\nsize 4295013\n"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("README.md", "hello")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.pt"))
    return file.getvalue()


CONTENTS: dict[str, tuple[bytes, str]] = {
    "pointer": (POINTER, rf"a Git LFS pointer of {len(POINTER)} bytes: fetch it with `git lfs pull`"),
    "annex": (b"/annex/objects/SHA256E-s4295013--4d7a.pt\n", r"a git-annex pointer of 41 bytes: .*`git annex get`"),
    "page": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", r"an HTML page of 49 bytes: download the file"),
    "page in capitals": (b"<HTML lang='en'><HEAD></HEAD></HTML>", r"an HTML page of 36 bytes"),
    "answer in XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", r"an XML document of 61 bytes"),
    "answer in words": (b"Entry not found, or no access", r'a text of 29 bytes \("Entry not found, or no access"\)'),
    "gzip": (gzip.compress(b"x" * 99), r"compressed with gzip.*`gunzip`"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(50), r"compressed with zstd.*`unzstd`"),
    "tar": (tarred(), r"a tar archive of 10,240 bytes: .*`tar xf`"),
    "GGUF": (b"GGUF\3\0\0\0" + bytes(100), r"a GGUF file"),
    "zeros": (bytes(5000), r"zeros alone of 5,000 bytes: its download broke off"),
}
JSON_ANSWER = b'{"error": "Repository not found"}'


@pytest.fixture(params=CONTENTS)
def content(request: pytest.FixtureRequest) -> tuple[bytes, str]:
    return CONTENTS[request.param]


def test_in_place_of_weights(tmp_path: Path, content: tuple[bytes, str]) -> None:
    write_flat(tmp_path).write_bytes(content[0])
    with pytest.raises(CheckpointInvalidError, match=rf"model_000010.pt cannot be loaded: .*{content[1]}") as raised:
        load(tmp_path)
    assert "mmap" not in str(raised.value)
    assert "nothing in it was run" in str(raised.value)


def test_in_place_of_the_metadata(tmp_path: Path, content: tuple[bytes, str]) -> None:
    write_flat(tmp_path)
    (tmp_path / "meta_000010.json").write_bytes(content[0])
    found = content[1] if not content[0].startswith(b"Entry") else "Expecting value"
    with pytest.raises(CheckpointInvalidError, match=rf"meta_000010.json cannot be read as JSON: .*{found}"):
        load(tmp_path)


def test_in_place_of_the_tokenizer(tmp_path: Path, content: tuple[bytes, str]) -> None:
    write_flat(tmp_path)
    (tmp_path / "tokenizer.pkl").write_bytes(content[0])
    with pytest.raises(TokenizerInvalidError, match=rf"tokenizer.pkl is not a nanochat tokenizer \(it is {content[1]}"):
        load(tmp_path)


def trained(folder: Path) -> Path:
    """A model as the built-in one is kept."""
    folder.mkdir()
    for path in DEMO_FOLDER.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "tokenizer.json"])
def test_in_place_of_a_file_of_a_model_like_the_built_in_one(tmp_path: Path, name: str) -> None:
    folder = trained(tmp_path / "mine")
    (folder / name).write_bytes(POINTER)
    with pytest.raises(CheckpointInvalidError, match=rf"{name} .*{CONTENTS['pointer'][1]}"):
        load_model(folder, "cpu", "eval")


@pytest.mark.parametrize("form", ["json", "safetensors"])
def test_in_place_of_a_trace(tmp_path: Path, content: tuple[bytes, str], form: str) -> None:
    (tmp_path / f"trace_1.{form}").write_bytes(content[0])
    storage = TraceStorage(tmp_path)
    (entry,) = storage.list_entries()
    assert not entry.readable
    if form == "safetensors" or not content[0].startswith(b"Entry"):
        assert re.search(content[1], entry.reason)
    with pytest.raises(TraceUnreadableError):
        storage.open_trace("trace_1")


def test_what_a_server_answers_in_json(tmp_path: Path) -> None:
    weights = write_flat(tmp_path)
    whole, meta, tokenizer = weights.read_bytes(), tmp_path / "meta_000010.json", tmp_path / "tokenizer.pkl"
    kept = meta.read_bytes(), tokenizer.read_bytes()
    weights.write_bytes(JSON_ANSWER)
    with pytest.raises(CheckpointInvalidError, match=r"it is .*JSON of 33 bytes .*Repository not found"):
        load(tmp_path)
    weights.write_bytes(whole)
    meta.write_bytes(JSON_ANSWER)
    with pytest.raises(CheckpointInvalidError, match=r"has no model_config: .*It says 'Repository not found'"):
        load(tmp_path)
    meta.write_bytes(kept[0])
    tokenizer.write_bytes(JSON_ANSWER)
    with pytest.raises(TokenizerInvalidError, match=r"JSON of 33 bytes .*Repository not found"):
        load(tmp_path)


def test_an_empty_file_is_said_to_be_empty(tmp_path: Path) -> None:
    write_flat(tmp_path).write_bytes(b"")
    with pytest.raises(CheckpointInvalidError, match=r"empty: its download did not come through. Copy it again"):
        load(tmp_path)
    write_flat(tmp_path)
    (tmp_path / "meta_000010.json").write_bytes(b"")
    with pytest.raises(CheckpointInvalidError, match=r"cannot be read as JSON: it is empty"):
        load(tmp_path)
    write_flat(tmp_path)
    (tmp_path / "tokenizer.pkl").write_bytes(b"")
    with pytest.raises(TokenizerInvalidError, match=r"it is empty"):
        load(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_download_that_broke_off_is_told_by_its_missing_end(tmp_path: Path, share: float) -> None:
    weights = write_flat(tmp_path)
    whole = weights.read_bytes()
    size = int(len(whole) * share)
    weights.write_bytes(whole[:size])
    with pytest.raises(CheckpointInvalidError, match=rf"cut short after {size:,} bytes: its download"):
        load(tmp_path)
    folder = trained(tmp_path / "mine")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:500])
    with pytest.raises(CheckpointInvalidError, match=r"cut short after 500 bytes"):
        load(folder)


def write_zip(path: Path) -> None:
    path.write_bytes(zipped())


def write_old(path: Path) -> None:
    torch.save(tiny_model().state_dict(), path, _use_new_zipfile_serialization=False)


def write_safetensors(path: Path) -> None:
    path.write_bytes(save(tiny_model().state_dict()))


def write_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"a": 1}))


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (write_zip, r"a zip archive of something else \(README.md\)"),
        (write_old, "a pickle of .* torch's format before 1.6, load it and save it again"),
        (write_safetensors, "a safetensors file of .*: read it with safetensors.torch.load_file, and save that"),
        (write_pickle, "a pickle of"),
    ],
)
def test_other_formats_in_place_of_weights(tmp_path: Path, write: Callable[[Path], None], what: str) -> None:
    write(write_flat(tmp_path))
    with pytest.raises(CheckpointInvalidError, match=f"cannot be loaded: it is {what}"):
        load(tmp_path)


def test_what_is_as_expected_is_not_named(tmp_path: Path) -> None:
    weights = write_flat(tmp_path)
    assert what_it_is(weights, ARCHIVE) is None
    assert what_it_is(tmp_path / "meta_000010.json", JSON) is None
    assert what_it_is(tmp_path / "tokenizer.pkl", PICKLE) is None
    assert what_it_is(DEMO_FOLDER / "model.safetensors", SAFETENSORS) is None
    assert what_it_is(tmp_path / "nowhere", JSON) is None
    assert what_it_is(tmp_path, JSON) is None


def test_looking_at_a_descriptor_leaves_it_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(POINTER)
    with (tmp_path / "file").open("rb", buffering=0) as file:
        file.seek(7)
        assert "Git LFS pointer" in str(what_it_is(file.fileno(), JSON))
        assert file.tell() == 7


OTHER_TOOLS: dict[str, Any] = {
    "chrome": {"traceEvents": [{"name": "aten::mm", "ph": "X"}], "schemaVersion": 1},
    "package": {"name": "x", "version": "1.0", "dependencies": {}},
    "index": {"metadata": {"total_size": 1}, "weight_map": {"a": "b"}},
    "tokenizer": {"version": "1.0", "model": {"type": "BPE"}, "added_tokens": []},
    "span": {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "name": "GET /"},
    "meta_000010": {"step": 10, "model_config": {}},
    "dataset": {"tokens": ["a", "b"], "labels": [0, 1]},
}


@pytest.mark.parametrize("name", OTHER_TOOLS)
@pytest.mark.parametrize("indent", [None, 2])
def test_other_tools_json_files_are_no_traces(tmp_path: Path, name: str, indent: int | None) -> None:
    (tmp_path / f"{name}.json").write_text(json.dumps(OTHER_TOOLS[name], indent=indent))
    (entry,) = TraceStorage(tmp_path).list_entries()
    assert not entry.readable
    assert "not a trace" in entry.reason
