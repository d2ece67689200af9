"""Feeds the storage damaged and random trace files, and looks whether each is read or called unreadable."""

import json
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nanochat.errors import TraceUnreadableError
from nanochat.trace_storage import TraceStorage
from tests.stress.writer_kills import example


@dataclass
class GarbageReport:
    """What came of reading garbage; `failures` names what neither read nor was called unreadable."""

    files: int = 0
    listed_unreadable: int = 0
    read: int = 0
    refused_on_reading: int = 0
    slowest_seconds: float = 0.0
    failures: list[str] = field(default_factory=list)

    def failed(self) -> bool:
        return bool(self.failures)


def older_file(seed: int) -> bytes:
    """A trace as the earlier tool wrote it: no schema version, bare NaN, null tensors, token ids in a list of one."""
    document, tensors = example(seed)
    leaf: dict[str, Any] = {
        name: {"data": values.tolist(), "shape": list(values.shape), "dtype": "torch.float32"}
        for name, values in tensors.items()
    }
    leaf["token_embeddings"]["data"][0][0][0] = float("nan")
    tokens = {"input_tokens": [document["tokens"]["input_tokens"]], "output_tokens": [[1, 2]]}
    step = {"step": 0, "token_embeddings": leaf["token_embeddings"], "output_logits": None}
    model_data = {"token_embeddings": leaf["token_embeddings"], "output_logits": None}
    model_data["attention_weights"] = {"layer_0": leaf["attention_weights.layer_0"], "layer_1": None}
    whole = {
        **document,
        "trace_id": "old",
        "tokens": tokens,
        "model_data": model_data,
        "intermediate_steps": [step, None],
    }
    return json.dumps(whole, indent=random.Random(seed).choice([None, 2])).encode()


def _cut(text: bytes, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text) + 1)]


def _flip(text: bytes, chance: random.Random) -> bytes:
    mutable = bytearray(text)
    for _ in range(chance.choice([1, 1, 2, 10, 100])):
        mutable[chance.randrange(len(mutable))] ^= 1 << chance.randrange(8)
    return bytes(mutable)


def _remove(text: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(text))
    return text[:start] + text[start + chance.choice([1, 5, 100, 5000]) :]


def _repeat(text: bytes, chance: random.Random) -> bytes:
    start, length = chance.randrange(len(text)), chance.choice([1, 20, 1000, 10000])
    return text[: start + length] + text[start:]


def _insert(text: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice(_INSERTS) + text[place:]


def _swap(text: bytes, chance: random.Random) -> bytes:
    old, new = chance.choice(_SWAPS)
    places = text.count(old)
    pieces = text.split(old)
    if not places:
        return _flip(text, chance)
    place = chance.randrange(places) + 1
    return old.join(pieces[:place]) + new + old.join(pieces[place:])


def _noise(text: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice([0, 1, 7, 8, 9, 100, 5000]))


def _soup(text: bytes, chance: random.Random) -> bytes:
    return b"{" * chance.randrange(2) + b"".join(chance.choices(_WORDS, k=chance.choice([3, 30, 300, 3000])))


def _as_is(text: bytes, chance: random.Random) -> bytes:
    return text


_INSERTS = [
    b"\xff",
    b"\xef\xbb\xbf",
    b"\0",
    b'"',
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"[" * 5000,
    b'{"a":' * 3000,
    b"9" * 5000,
    b"1e999,",
    b"NaN",
    b"null,",
    b"-Infinity,",
    b" " * 10000,
    b'"\\ud800"',
    b'"' + b"x" * 300000,
    b'"data":[1],',
    b"true,",
]
_SWAPS = [
    (b'"shape"', b'"data"'),
    (b'"data"', b'"shape"'),
    (b"torch.float32", b"torch.int32"),
    (b"torch.float32", b"complex"),
    (b'"model_data"', b'"data"'),
    (b'"metadata"', b'"model_data"'),
    (b"[", b"[["),
    (b"]", b"]]"),
    (b",", b",,"),
    (b",", b" "),
    (b"0.", b"null,0."),
    (b"0", b"NaN"),
    (b"1", b"18446744073709551616"),
    (b'"tokens":{', b'"tokens":[{'),
    (b'"', b""),
    (b"data_offsets", b"offsets"),
    (b'"F32"', b'"I64"'),
    (b'"F32"', b'"BF16"'),
    (b"nanoscope.trace", b"format"),
    (b":", b":["),
    (b'"shape":[1,', b'"shape":[-1,'),
    (b'"shape":[1,', b'"shape":[1000000000000,'),
    (b'"shape":[1,', b'"shape":[0,'),
]
_WORDS = [
    b'"model_data":',
    b'"data":',
    b'"shape":',
    b'"dtype":',
    b'"tokens":',
    b'"trace_id":',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"1",
    b"1.5,",
    b"-0.0",
    b"null",
    b"NaN",
    b'"x"',
    b'"torch.float32"',
    b"[[1,2],[3,4]]",
    b'"intermediate_steps":',
    b" ",
    b"\n",
]
_MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    _cut,
    _flip,
    _remove,
    _repeat,
    _insert,
    _swap,
    _swap,
    _noise,
    _soup,
    _as_is,
]


def write_garbage(folder: Path, count: int, seed: int = 0) -> None:
    """Files that were traces once, or never."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as aside:
        storage = TraceStorage(aside, catalogue=Path(aside) / "catalogue.sqlite3")
        sources: list[tuple[str, bytes]] = [("json", older_file(seed)), ("json", older_file(seed + 1))]
        for format, dtype in (("json", None), ("json", "bfloat16"), ("safetensors", None), ("safetensors", "float16")):
            trace_id = storage.create_trace(*example(seed, layers=1), format=format, dtype=dtype, steps=True)
            sources.append((format, storage.path_of(trace_id).read_bytes()))
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        format, text = chance.choice(sources)
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            text = chance.choice(_MUTATIONS)(text or b"{}", chance)
        (folder / f"garbage_{number:05}.{format}").write_bytes(text)


def read_garbage(folder: Path, catalogue: Path) -> GarbageReport:
    """List the files and read all of each."""
    report = GarbageReport()
    storage = TraceStorage(folder, catalogue=catalogue)
    entries = storage.list_entries()
    report.files = len(entries)
    for entry in entries:
        started = time.monotonic()
        try:
            if not entry.readable:
                report.listed_unreadable += 1
                if not entry.reason:
                    report.failures.append(f"{entry.path.name}: unreadable without a reason")
            _read_all(storage, entry.trace_id)
            report.read += entry.readable
        except TraceUnreadableError:
            report.refused_on_reading += entry.readable
        except Exception as error:  # noqa: BLE001 - what the storage should never let out is what is looked for
            report.failures.append(f"{entry.path.name}: {type(error).__name__}: {error}")
        report.slowest_seconds = max(report.slowest_seconds, time.monotonic() - started)
    return report


def _read_all(storage: TraceStorage, trace_id: str) -> None:
    storage.get_trace_summary(trace_id)
    with storage.open_trace(trace_id) as trace:
        for name in trace.names():
            trace.tensor(name)
        for step in range(min(trace.steps, 3)):
            view = trace.step(step)
            for name in view.names():
                view.tensor(name)
    storage.load_trace(trace_id)
