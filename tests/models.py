"""Small models for tests, with weights that make every part of an era count."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nanochat import engine
from nanochat.checkpoint_manager import load_model
from nanochat.common import parse_compute_dtype
from nanochat.gpt import GPT, GPTConfig
from nanochat.tokenizer import RustBPETokenizer

GOLDEN = Path(__file__).parent / "data" / "golden"
ERA_NAMES = ("A", "Ap", "B", "C", "D", "E", "F")


def golden_model(
    era: str = "F", case: str = "gqa_windowed", dtype: str = "float32", device: torch.device | str = "cpu"
) -> tuple[GPT, RustBPETokenizer]:
    """A tiny random checkpoint of an era, 256 positions long, and its tokenizer of 300 tokens."""
    model, tokenizer, _ = load_model(GOLDEN / era / case, device, "eval", era=era, dtype=dtype)
    return model, tokenizer


def random_model(era: str = "F", seed: int = 0, **sizes: int | str) -> GPT:
    """A model whose projections, lambdas and gates are all far from neutral."""
    config = GPTConfig(64, 300, n_layer=3, n_head=4, n_kv_head=2, n_embd=64, window_pattern="SL", era=era)
    model = GPT(replace(config, **sizes))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            spread = 0.5 if name.endswith(("lambda", "lambdas", "gate.weight")) else parameter.shape[-1] ** -0.5
            parameter.normal_(std=spread, generator=generator)
    compute_dtype = parse_compute_dtype(None, torch.float32, torch.device("cpu"), model.num_parameters())
    return model.to(compute_dtype).eval()


def write_tokens(monkeypatch: pytest.MonkeyPatch, ids: list[int]) -> None:
    """Every model draws these tokens from now on, whatever its logits are."""
    coming = iter(ids)
    monkeypatch.setattr(engine, "_sample", lambda logits, *_: [next(coming)] * logits.size(0))
