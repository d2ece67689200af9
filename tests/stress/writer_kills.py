"""Kills processes that save traces at random moments, and looks whether a trace was lost or is not whole."""

import multiprocessing
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from nanochat.system.temporary_names import remove_dead_files
from nanochat.trace_storage import TraceStorage

_LONGEST_LIFE_SECONDS = 0.08


@dataclass
class KillReport:
    """What came of killing writers; `lost`, `broken` and `left_over` name what should not be."""

    kills: int = 0
    reported: int = 0
    listed: int = 0
    temporary_files: int = 0
    lost: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)

    def failed(self) -> bool:
        return bool(self.lost or self.broken or self.left_over)


def example(seed: int, *, prompt: int = 5, generated: int = 6, layers: int = 2) -> tuple[dict[str, Any], dict]:
    """A small trace: its document and its tensors, the same for the same seed."""
    numbers = np.random.default_rng(seed)
    positions, heads, width, vocabulary = prompt + generated - 1, 2, 16, 200
    tensors = {
        "token_embeddings": numbers.standard_normal((1, positions, width), dtype=np.float32),
        "output_logits": numbers.standard_normal((1, generated, vocabulary), dtype=np.float32),
    }
    for layer in range(layers):
        weights = np.tril(numbers.random((1, heads, positions, positions), dtype=np.float32))
        tensors[f"attention_weights.layer_{layer}"] = weights / weights.sum(-1, keepdims=True)
        for site in ("pre_attn_norm", "post_attn", "pre_mlp_norm", "post_mlp"):
            values = numbers.standard_normal((1, positions, width), dtype=np.float32)
            tensors[f"layer_activations.layer_{layer}.{site}"] = values
    document = {
        "prompt": f'prompt "{seed}" }}]',
        "response": "an answer \\ with \u00e9\u2028",
        "category": "stress",
        "metadata": {"seed": seed},
        "tokens": {"input_tokens": list(range(prompt)), "output_tokens": list(range(generated))},
    }
    return document, tensors


def save_for_ever(folder: str, catalogue: str, format: str, first_seed: int, reports: Connection) -> None:
    """A writer: saves traces until it is killed, and reports each id once it is saved."""
    storage = TraceStorage(folder, catalogue=catalogue)
    seed = first_seed
    while True:
        reports.send(storage.create_trace(*example(seed), format=format, steps=True))
        seed += 1


def kill_writers(folder: Path, catalogue: Path, kills: int, format: str, seed: int = 0) -> KillReport:
    """Start writers and kill each at a random moment; then look at what they left."""
    report, chance = KillReport(), random.Random(seed)
    reported: list[str] = []
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.stress.writer_kills"])
    for kill in range(kills):
        ours, theirs = context.Pipe(duplex=False)
        arguments = (str(folder), str(catalogue), format, 1000 * kill, theirs)
        writer = context.Process(target=save_for_ever, args=arguments, daemon=True)
        writer.start()
        theirs.close()
        reported.append(ours.recv())  # it is under way
        deadline = time.monotonic() + chance.uniform(0, _LONGEST_LIFE_SECONDS)
        while ours.poll(max(0.0, deadline - time.monotonic())):
            reported.append(ours.recv())
        writer.kill()
        writer.join()
        reported.extend(_rest(ours))
        report.kills += 1
    report.reported = len(reported)
    look_at_remains(TraceStorage(folder, catalogue=catalogue), reported, report)
    return report


def _rest(reports: Connection) -> Iterator[str]:
    """What a killed writer had reported whole."""
    try:
        while reports.poll():
            yield reports.recv()
    except (EOFError, OSError):
        return


def look_at_remains(storage: TraceStorage, reported: list[str], report: KillReport) -> None:
    """Whether each reported trace is there, each trace whole, and nothing else left."""
    entries = storage.list_entries()
    report.listed = len(entries)
    listed = {entry.trace_id for entry in entries}
    report.lost = [trace_id for trace_id in reported if trace_id not in listed]
    for entry in entries:
        if not entry.readable or not _is_whole(storage, entry.trace_id):
            report.broken.append(f"{entry.trace_id}: {entry.reason or 'its values differ'}")
    report.temporary_files = remove_dead_files(storage.directory, dead_after=0)
    known = {entry.path.name for entry in entries}
    report.left_over = sorted(name for name in os.listdir(storage.directory) if name not in known)


def _is_whole(storage: TraceStorage, trace_id: str) -> bool:
    with storage.open_trace(trace_id) as trace:
        document, tensors = example(trace.document["metadata"]["seed"])
        same = all(np.array_equal(trace.tensor(name), values) for name, values in tensors.items())
        return same and trace.document["prompt"] == document["prompt"]
