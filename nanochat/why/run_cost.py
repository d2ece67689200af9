"""What running a trace again would take, said before it is run; nothing is generated, and nothing written."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from nanochat.capture.request import Request, with_prompt_statistics
from nanochat.gpt import GPT
from nanochat.prompts import prompt_tokens
from nanochat.tokenizer import RustBPETokenizer
from nanochat.traces.tensors import DTYPES, Positions
from nanochat.why.cost import SAMPLE, Cost
from nanochat.why.reading import read_forward
from nanochat.why.rerun import Rerun
from nanochat.why.values import prompts_to_run


def run_cost(model: GPT, tokenizer: RustBPETokenizer, again: Rerun, request: Request) -> Cost:
    """Of a generation with its capture, if it goes on to its last token; what prompts make for its values included.

    The time is by what the trace itself took; where it does not tell, or another model wrote it, by what its first
    tokens take.

    Raises: as `read_forward`.
    """
    tokens = request.capacity + tokens_beside(model, tokenizer, request)
    seconds = again.seconds if again.seconds is not None else _sampled(model, again.start.tokens)
    return Cost(-(-tokens // request.capacity), run_bytes(model, request), seconds * tokens)


def tokens_beside(model: GPT, tokenizer: RustBPETokenizer, request: Request) -> int:
    """The tokens that are run for the values of interventions: means over the prompt, and over other prompts."""
    items = [item for item, _ in request.plan]
    own = len(request.start.tokens) if any(item.own_mean for item in items) else 0
    others = prompts_to_run(items)
    return own + sum(len(prompt_tokens(tokenizer, text, None, model.config.max_positions)) for text in others)


def run_bytes(model: GPT, request: Request) -> int:
    """The memory that it takes beside the model, about: all that is captured, and the keys and values."""
    config, positions = model.config, Positions(len(request.start.tokens), request.max_tokens)
    dtype = str(model.dtype).removeprefix("torch.")
    infos = with_prompt_statistics(request.spec).infos(config, positions, dtype)
    captured = sum(info.size * DTYPES[info.dtype][0].itemsize for info in infos.values())
    cached = 2 * config.n_layer * config.n_kv_head * config.head_dim * request.capacity
    return captured + cached * model.compute_dtype.itemsize


def _sampled(model: GPT, prompt: list[int]) -> float:
    """Seconds a token."""
    sample = prompt[:SAMPLE]
    started = time.perf_counter()
    read_forward(model, sample, [len(sample) - 1], [])
    return (time.perf_counter() - started) / len(sample)


def estimated(again: Rerun, request: Request, cost: Cost, notices: list[str]) -> dict[str, Any]:
    """What `InterpretabilityEngine.generate_and_capture` returns, of a run that has not been made, with its cost."""
    start = request.start
    return {
        "trace_id": "",
        "prompt": start.messages[-1]["content"] if start.messages else start.prompt,
        "response": "",
        "prompt_tokens": len(start.tokens),
        "response_tokens": 0,
        "metadata": {},
        "summary": None,
        "path": "",
        "timings": {},
        "notices": [*again.notices, *notices],
        "parent": start.parent,
        **request.told,
        "touched": [],
        "cost": asdict(cost),
    }
