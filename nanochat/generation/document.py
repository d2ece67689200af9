"""The document of a generation: what was asked, what came, and the analysis of what was captured."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import Tensor

from nanochat.analysis import analyze
from nanochat.analysis.logits import join_statistics, logits_statistics, of_prompt
from nanochat.cancelling import check_cancel
from nanochat.capture.request import Request
from nanochat.capture.sites import FINAL
from nanochat.checkpoint_manager import SIZES
from nanochat.engine import Engine
from nanochat.generation.run import Run
from nanochat.gpt import GPT
from nanochat.system.text import note_of
from nanochat.tokenizer import RustBPETokenizer

ROWS_AT_ONCE = 128  # positions unembedded at a time


def document_of(engine: Engine, request: Request, run: Run, category: str, extra: dict[str, Any]) -> dict[str, Any]:
    """Everything but the tensors and the analysis, in the order the file has it."""
    start, model, text = request.start, engine.model, engine.tokenizer.token_text
    response = [token for token in run.generated if token not in engine.end_tokens]
    edited = request.told | {"touched": run.touched} if request.plan else {}
    forked = {"position": start.position} if start.position is not None else {}
    return {
        "prompt": start.messages[-1]["content"] if start.messages else start.prompt,
        "response": engine.tokenizer.decode(response),
        "category": category,
        "metadata": {"model_source": model.provenance.get("source"), "temperature": request.settings.temperature}
        | extra,
        "model": description_of(model),
        "generation": asdict(request.settings) | {"stop_reason": run.stop_reason, "timings": timings_of(run)},
        **({"parent": start.parent} if start.parent else {}),
        **forked,
        **({"forced": start.forced} if start.forced else {}),
        **edited,
        **({"messages": start.messages} if start.messages else {}),
        "tokens": {
            "input_tokens": run.prompt,
            "output_tokens": run.generated,
            "input_text": [text(token) for token in run.prompt],
            "output_text": [text(token) for token in run.generated],
            "forced": [0] * len(run.prompt) + [1 - sampled for sampled in run.sampled],
        },
    }


def timings_of(run: Run) -> dict[str, float | None]:
    """Seconds of the prompt and of the tokens after the first, and how many of those came in a second."""
    decoded = max(len(run.generated) - 1, 0)
    return {
        "prefill_seconds": round(run.prefill_seconds, 6),
        "decode_seconds": round(run.decode_seconds, 6),
        "tokens_per_second": round(decoded / run.decode_seconds, 3) if run.decode_seconds else None,
    }


def description_of(model: GPT) -> dict[str, Any]:
    """A model as a trace names it."""
    config, provenance = model.config, model.provenance
    note = note_of(provenance)
    return {
        **{key: provenance.get(key) for key in ("source", "tag", "step")},
        "era": config.era,
        "path": provenance.get("path"),
        **({"note": note} if note else {}),
        "config": {key: getattr(config, key) for key in (*SIZES, "window_pattern")},
        "parameters": model.num_parameters(),
        "dtype": str(model.dtype),
        "compute_dtype": str(model.compute_dtype),
        "device": str(model.get_device()),
    }


def analysis_of(
    model: GPT,
    tokenizer: RustBPETokenizer,
    run: Run,
    tensors: Mapping[str, np.ndarray],
    cancel: threading.Event | None,
) -> dict[str, Any]:
    """The analysis of what was captured. Raises CancelledError."""
    analysis = analyze(
        tensors,
        tokens=run.prompt + run.generated,
        prompt_length=len(run.prompt),
        windows=model.config.windows(),
        token_text=tokenizer.token_text,
        vocab_size=model.config.vocab_size,
    )
    residual, logits = run.recorder.view(FINAL, 0), run.recorder.settings.logits
    top = isinstance(logits, int)
    if residual is None or logits == "all" or (top and logits >= model.config.vocab_size):
        return analysis  # what was captured says it all
    statistics = partial(_statistics, model, tokenizer, residual[0], cancel=cancel)
    if top and run.generated:
        analysis["logits"] |= statistics(len(run.prompt) - 1, run.generated)
    analysis["logits"]["prompt"] = of_prompt(statistics(0, run.prompt[1:]))
    return analysis


@torch.inference_mode()
def _statistics(
    model: GPT,
    tokenizer: RustBPETokenizer,
    residual: Tensor,
    first: int,
    followers: list[int],
    cancel: threading.Event | None,
) -> dict[str, Any]:
    """What the model thought of the tokens after position `first`, and of each one's distribution.

    Unembedded after the generation, in pieces: most of a prompt's positions need no logits to go on from, and the
    top K alone have no entropy.
    """
    parts = []
    for start in range(0, len(followers), ROWS_AT_ONCE):
        check_cancel(cancel)
        piece = followers[start : start + ROWS_AT_ONCE]
        logits = model.unembed(residual[first + start : first + start + len(piece)])
        parts.append(logits_statistics(logits.cpu().numpy(), piece, tokenizer.token_text))
    return join_statistics(parts)


def as_array(value: Tensor) -> np.ndarray:
    """A CPU tensor as numpy, bfloat16 included, sharing memory."""
    if value.dtype == torch.bfloat16:
        return value.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return value.numpy()
