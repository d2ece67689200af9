"""The model suite's rows about traces on disk: saving, sizes, reading, listing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from nanochat.gpt import GPTConfig
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from nanochat.traces.catalogue import Catalogue
from scripts.benchmarks.measuring import Row, ratios, seconds_of, timed
from scripts.benchmarks.sides import random_model, random_tokenizer
from scripts.benchmarks.workbench import Bench, stolen_note, together

WHOLE_LIMITS = {"compact float16": 1.10, "JSON with steps": 1.35}
SIZE_LIMITS = {"compact float16": 13.0, "JSON with steps": 125.0, "JSON": 62.0}  # MB
READ_LIMITS = {"compact float16": 1.0, "JSON with steps": 10.0, "JSON": 10.0}  # ms


def whole(bench: Bench) -> Iterator[Row]:
    """From the prompt to the trace safely on disk, beside plain generation: the original's, if it is there."""
    ours, job, upstream = bench.ours, bench.job, bench.upstream

    def plain() -> tuple[float, list[int]]:
        return upstream.generate(job) if upstream else ours.generate(job, capture=False)

    for form, limit in WHOLE_LIMITS.items():

        def saved(form: str = form) -> tuple[float, list[int]]:
            ids: list[str] = []
            seconds = seconds_of(lambda: ids.append(bench.save(form)))
            with bench.storage.open_trace(ids[0]) as trace:
                tokens = trace.document["tokens"]["output_tokens"]
            bench.storage.delete_trace(ids[0])
            bench.engine.clear_model_captures()
            return seconds, tokens

        (without, with_trace), agreed = together(job, bench.settings.rounds, plain, saved)
        assert agreed == job.max_tokens, f"the trace has another token {agreed}"
        over = "the original, without" if upstream else "without"
        note = stolen_note(upstream) if upstream else ""
        yield Row("whole", f"with a saved trace, {form} / {over}", ratios(with_trace, without), "×", limit, note)


def sizes(bench: Bench) -> Iterator[Row]:
    """How large a trace's file is."""
    for form, trace_id in bench.saved.items():
        size = bench.storage.path_of(trace_id).stat().st_size / 1e6
        yield Row("sizes", f"trace file, {form}", (size,), "MB", SIZE_LIMITS[form])


def head(bench: Bench) -> Iterator[Row]:
    """Reading one head: open the trace, read its (S, S) weights."""
    config, repeats = bench.ours.model.config, 10 * bench.settings.rounds
    layer, number = config.n_layer // 2, config.n_head // 2

    for form, trace_id in bench.saved.items():

        def read(storage: TraceStorage = bench.storage, trace_id: str = trace_id) -> None:
            with storage.open_trace(trace_id) as trace:
                trace.attention(layer, number)

        yield Row("head", f"one head of {form}", timed(read, repeats), "ms", READ_LIMITS[form])
        catalogue = Catalogue(bench.settings.work / f"cold_{len(form)}.sqlite3")
        storage = TraceStorage(bench.storage.directory, catalogue=catalogue)
        first = (seconds_of(lambda read=read, storage=storage: read(storage)) * 1e3,)
        yield Row("head", f"one head of {form}, unknown to the catalogue", first, "ms")
        catalogue.close()


def listing(bench: Bench) -> Iterator[Row]:
    """Listing a folder of many small traces."""
    work, count = bench.settings.work, bench.settings.traces
    folder = work / "many"
    write_many(folder, work / "many_one.sqlite3", count)
    catalogue = Catalogue(work / "many.sqlite3")
    storage = TraceStorage(folder, catalogue=catalogue)
    first = seconds_of(storage.list_traces) * 1e3
    assert len(storage.list_traces()) == count
    what, repeats = f"list_traces over {count:,} traces", bench.settings.rounds
    yield Row("listing", what, timed(storage.list_traces, 10 * repeats), "ms", 5.0)

    def after_change() -> None:
        (folder / ".changed").touch()
        (folder / ".changed").unlink()
        storage.list_traces()

    yield Row("listing", f"{what}, the folder changed", timed(after_change, repeats), "ms")
    again = timed(lambda: TraceStorage(folder, catalogue=catalogue).list_traces(), repeats)
    yield Row("listing", f"{what}, a process's first", again, "ms")
    yield Row("listing", f"{what}, none known to the catalogue", (first,), "ms")
    catalogue.close()


def write_many(folder: Path, catalogue: Path, count: int) -> None:
    """A folder of small traces: one that a tiny model wrote, and copies of it under ids of their own."""
    config = GPTConfig(64, 265, n_layer=1, n_head=1, n_kv_head=1, n_embd=32)
    model = random_model(config, torch.device("cpu"), torch.float32)
    storage = TraceStorage(folder, catalogue=catalogue)
    engine = InterpretabilityEngine(model, random_tokenizer(config.vocab_size), storage)
    trace_id = engine.generate_and_capture("Hello", max_tokens=2)["trace_id"]
    first = storage.path_of(trace_id)
    content = first.read_bytes()
    for number in range(1, count):
        copy = f"trace_20250101_000000_{number:06d}"
        (folder / f"{copy}.json").write_bytes(content.replace(trace_id.encode(), copy.encode(), 1))
    storage.catalogue.close()
