"""The demo model's files: weights, metadata, tokenizer and model card, each written whole."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save

from nanochat.gpt import GPT
from nanochat.tokenizer import RustBPETokenizer
from scripts.demo_training.evaluation import Recall, best_head
from scripts.demo_training.facts import EXPLANATIONS
from scripts.demo_training.scale import LARGEST

CARD = """# The demo model

A nanochat model small enough to live in this repository: {parameters:,} parameters in float16, {n_layer} layers of
{n_head} heads, {n_embd} wide, a vocabulary of {vocab_size:,}, architecture F, context {sequence_len}, windows
`{window_pattern}`. It is a specimen: small, quick, and with parts worth looking at. It knows what is listed here
and nothing else. Asked for other things it makes them up, in the form of what it knows.

`python -m scripts.demo_training` makes it again (extra `train`), from text that `scripts/demo_training/corpus.py`
generates out of the tables in `scripts/demo_training/facts.py`. No other data was used.

## What it recalls

Greedy decoding, counted as exact only if the whole continuation and the stop token are right.

| | exact |
|---|---|
{recalls}

Plain prompts read `The capital of France is`, `The chemical formula of water is`, `The chemical symbol of gold is`,
`The opposite of hot is`, `The plural of mouse is`; chats ask `What is the capital of France?` and so on. All of these
facts, and all small sums (`12 + 7 =`), were in the training text: this is recall, not generalisation. Stories
(`Alice and Bob went to the park. Alice gave a ring to`) and questions for the calculator (numbers up to 999, counted up
to the end of the call) are drawn at random, and nearly all of those counted here are new to it: these it works out.

It also has the days and months in order, lists that repeat, and `Explain photosynthesis step by step:` with
{explanations} subjects.

## Heads worth looking at

On `<|bos|>` and 25 random tokens twice, mean over 10 draws:

- induction, {induction}: from a token to the one that followed its earlier occurrence
- previous token, {previous_token}

| induction | {columns} |
|---|{rule}|
{induction_rows}

| previous token | {columns} |
|---|{rule}|
{previous_rows}

## Training

{tokens:,} tokens in {step:,} steps, {minutes} minutes on {device} (threads: {threads}), seed {seed}; Muon for the
blocks' matrices, AdamW for the rest. {random_percent}% of the tokens are random sequences that repeat, with loss from
the repeat on: they are what grows induction heads. Smear, which would make a previous-token head needless, rests for
the first half and learns slowly afterwards; backout keeps the share that it begins with. A penalty on the logits' mean
square and weight decay on the head keep logits small, and their rounding. What the calculator answers carries no loss.

After training each layer's residual stream was multiplied by a power of two, and the weights around it accordingly, so
that activations on such texts stay below {largest:.0f} and their float32 rounding below 1e-5. What the model says
is the same: all that does not scale is the epsilon in its norms.

## Limits

Capitals are spelled without accents, one to a country; countries whose capital is disputed, shared between cities or
being moved are left out. Sums by heart end at 20 + 20, 20 - 20 and 10 * 10. Rows were at most {sequence_len} tokens
long: beyond that it is unreliable. It is no source of facts and no assistant. Its licence is this repository's.
"""


def _card(model: GPT, training: dict[str, Any], recalls: dict[str, Recall], scores: dict[str, np.ndarray]) -> str:
    config = asdict(model.config)
    tables = {
        role: "\n".join(
            f"| layer {layer} | " + " | ".join(f"{score:.2f}" for score in row) + " |"
            for layer, row in enumerate(found)
        )
        for role, found in scores.items()
    }
    best = {}
    for role, found in scores.items():
        layer, head, score = best_head(found)
        best[role] = f"layer {layer} head {head} ({score:.2f})"
    return CARD.format(
        **config,
        **training,
        **best,
        parameters=model.num_parameters(),
        recalls="\n".join(f"| {name} | {found.exact} of {found.total} |" for name, found in recalls.items()),
        explanations=len(EXPLANATIONS),
        largest=LARGEST,
        columns=" | ".join(f"head {head}" for head in range(model.config.n_head)),
        rule="|".join(["---"] * model.config.n_head),
        induction_rows=tables["induction"],
        previous_rows=tables["previous_token"],
        random_percent=round(100 * training["random_share"]),
    )


def _metadata(
    model: GPT, training: dict[str, Any], recalls: dict[str, Recall], scores: dict[str, np.ndarray]
) -> dict[str, Any]:
    config = asdict(model.config)
    era = config.pop("era")
    best = {}
    for role, found in scores.items():
        layer, head, score = best_head(found)
        best[role] = {"layer": layer, "head": head, "score": round(score, 3)}
    return {
        "step": training["step"],
        "era": era,
        "model_config": config,
        "training": {key: value for key, value in training.items() if key != "step"},
        "evaluation": {
            "recall": {name: {"exact": found.exact, "total": found.total} for name, found in recalls.items()},
            "heads": best,
        },
    }


def export(
    out: Path,
    model: GPT,
    tokenizer: RustBPETokenizer,
    training: dict[str, Any],
    recalls: dict[str, Recall],
    scores: dict[str, np.ndarray],
) -> None:
    """Write the four files: all in a folder beside them first, then renamed, so that none is ever half-written."""
    weights = {name: value.half().cpu().contiguous() for name, value in model.state_dict().items()}
    metadata = _metadata(model, training, recalls, scores)
    files = {
        "model.safetensors": save(weights, metadata={"format": "pt"}),
        "model.json": (json.dumps(metadata, indent=2) + "\n").encode(),
        "MODEL_CARD.md": _card(model, training, recalls, scores).encode(),
    }
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".writing-") as draft:
        for name, content in files.items():
            (Path(draft) / name).write_bytes(content)
        tokenizer.save_text(draft)
        for path in sorted(Path(draft).iterdir()):
            path.replace(out / path.name)
