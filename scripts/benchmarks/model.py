"""The benchmark's model suite: what capturing, saving and reading a trace cost, beside plain generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import torch

from nanochat.checkpoint_manager import load_model
from nanochat.errors import NanoscopeError, SettingInvalidError
from scripts.benchmarks.measuring import Row, ratios
from scripts.benchmarks.patching import patching
from scripts.benchmarks.sides import EndlessTokenizer, Job, Ours
from scripts.benchmarks.traces import head, listing, sizes, whole
from scripts.benchmarks.workbench import PROMPT, Bench, Settings, stolen_note, together

Rows = Callable[[Bench], Iterator[Row]]


def capture_cost(ours: Ours, job: Job, rounds: int) -> tuple[float, ...]:
    """Generation with everything captured over generation without."""
    (without, captured), agreed = together(
        job, rounds, lambda: ours.generate(job, capture=False), lambda: ours.generate(job, capture=True)
    )
    assert agreed == job.max_tokens, f"capture changed token {agreed}"
    return ratios(captured, without)


def capture(bench: Bench) -> Iterator[Row]:
    """What capture costs a model of a size that one trains."""
    values = capture_cost(bench.ours, bench.job, bench.settings.rounds)
    yield Row("capture", f"{size_of(bench.ours)}: with capture / without", values, "×", 1.03)


def demo(bench: Bench) -> Iterator[Row]:
    """What capture costs the built-in model, where each operation counts."""
    model, tokenizer, _ = load_model("demo", torch.device("cpu"), phase="eval", dtype=torch.float32)
    prompt = tokenizer.encode(PROMPT, prepend=tokenizer.get_bos_token_id())[: bench.settings.prompt_tokens]
    ours = Ours(model, EndlessTokenizer(tokenizer))
    values = capture_cost(ours, bench.job_of(prompt), 5 * bench.settings.rounds)  # short runs need more of them
    yield Row("demo", f"built-in model, {size_of(ours)}: with capture / without", values, "×", 1.15)


def beside_upstream(bench: Bench) -> Iterator[Row]:
    """Ours with capture beside the original without."""
    ours, job, upstream = bench.ours, bench.job, bench.upstream
    what = f"{size_of(ours)}: with capture / the original without"
    if upstream is None:
        yield Row("upstream", what, note="needs --upstream")
        return
    (theirs, captured), agreed = together(
        job, bench.settings.rounds, lambda: upstream.generate(job), lambda: ours.generate(job, capture=True)
    )
    assert agreed == job.max_tokens, f"ours and the original differ from token {agreed} on"
    yield Row("upstream", what, ratios(captured, theirs), "×", 1.02, note=stolen_note(upstream))


def gpu(bench: Bench) -> Iterator[Row]:
    """Capture and speed on a GPU."""
    ours, job, upstream = bench.ours, bench.job, bench.upstream
    what = f"{size_of(ours)}, bfloat16"
    yield Row("gpu", f"{what}: with capture / without", capture_cost(ours, job, bench.settings.rounds), "×", 1.10)
    sides = {
        "ours, without capture": lambda: ours.generate(job, capture=False),
        "ours, with capture": lambda: ours.generate(job, capture=True),
    }
    if upstream is not None:
        sides["the original"] = lambda: upstream.generate(job)
    seconds, agreed = together(job, bench.settings.rounds, *sides.values())
    # Kernels that round differently in bfloat16 may draw another token, so these two need not agree to the end.
    note = f"the first {agreed} of {job.max_tokens} tokens agree" if upstream else ""
    for name, taken in zip(sides, seconds, strict=True):
        speed = tuple(job.max_tokens / each for each in taken)
        yield Row("gpu", f"{what}: {name}", speed, "tokens/s", note=note)


def size_of(ours: Ours) -> str:
    """A model's size in words."""
    config = ours.model.config
    return f"{config.n_layer} layers × {config.n_embd}"


# Which rows there are on which kind of device, in the order they are measured in.
ROWS: dict[str, dict[str, Rows]] = {
    "cpu": {
        "capture": capture,
        "demo": demo,
        "upstream": beside_upstream,
        "whole": whole,
        "sizes": sizes,
        "head": head,
        "listing": listing,
        "patching": patching,
    },
    "cuda": {"gpu": gpu},
}


def measure(settings: Settings, only: Sequence[str] | None, doing: Callable[[str], Any]) -> list[Row]:
    """The rows of the settings' device.

    Args:
        settings: what is measured on what.
        only: names of rows; None: all.
        doing: called with each name before it is measured.

    Raises:
        SettingInvalidError: there is no row of that name, or no such device.
    """
    table = ROWS[settings.device]
    if unknown := [name for name in only or () if name not in table]:
        raise SettingInvalidError(
            f"There is no row {unknown[0]!r} on {settings.device}: choose from {', '.join(table)}."
        )
    rows: list[Row] = []
    with closing(Bench(settings)) as bench:
        for name in [name for name in table if only is None or name in only]:
            doing(name)
            try:
                rows += table[name](bench)
            except NanoscopeError as error:
                rows.append(Row(name, "", problem=str(error)))
    return rows
