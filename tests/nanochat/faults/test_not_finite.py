"""NaN and infinity are an error wherever they are captured, and leave no trace."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

from nanochat.errors import NonFiniteError
from nanochat.interpretability_engine import InterpretabilityEngine
from tests.nanochat.generation.golden import PROMPT, files_of


def test_nan_in_the_model_leaves_no_trace(engine: InterpretabilityEngine) -> None:
    with torch.no_grad():
        engine.model.transformer.h[2].attn.c_proj.weight[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="layer 2, post_attn"):
        engine.generate_and_capture(PROMPT, max_tokens=3)
    assert files_of(engine) == []


def _damage_a_prompt_token(engine: InterpretabilityEngine) -> None:
    engine.model.transformer.wte.weight[engine.tokenizer.encode("T")[0], 5] = torch.nan


def _damage_a_layer(engine: InterpretabilityEngine) -> None:
    engine.model.transformer.h[2].attn.c_proj.weight[0, 0] = torch.nan


def _damage_the_logits(engine: InterpretabilityEngine) -> None:
    engine.model.lm_head.weight[7, 3] = torch.nan


def _overflow(engine: InterpretabilityEngine) -> None:
    engine.model.float()  # it computes in float32
    engine.model.transformer.h[1].mlp.c_proj.weight.fill_(3e38)


NARROW = [
    None,
    {"logits": None},
    {"logits": "all"},
    {"logits": 3},
    {"layers": [0], "sites": ["q"], "logits": None},
    {"sites": ["attention_weights"], "logits": None},
    {"sites": [], "logits": "generated"},
]


@pytest.mark.parametrize("capture", NARROW)
@pytest.mark.parametrize("damage", [_damage_a_prompt_token, _damage_a_layer, _damage_the_logits, _overflow])
def test_nan_is_the_same_error_whether_a_token_is_asked_for_or_not(
    engine: InterpretabilityEngine, damage: Callable[[InterpretabilityEngine], None], capture: dict[str, Any] | None
) -> None:
    with torch.no_grad():
        damage(engine)
    said = []
    for max_tokens, temperature in ((0, 0.6), (1, 0.6), (1, 0.0)):
        with pytest.raises(NonFiniteError, match="computed NaN or infinity at position") as caught:
            engine.generate_and_capture(PROMPT, max_tokens=max_tokens, temperature=temperature, capture=capture)
        said.append(str(caught.value))
    assert len(set(said)) == 1
    assert files_of(engine) == []


@pytest.mark.parametrize("max_tokens", [0, 3])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize(
    ("capture", "place"),
    [
        (None, "layer 3, post_mlp"),
        ({"logits": None}, "layer 3, post_mlp"),
        ({"layers": [3], "sites": ["residual"], "logits": None}, "layer 4, residual"),
        ({"layers": [0], "sites": ["q"]}, "final_residual"),
        ({"sites": [], "logits": 2}, "final_residual"),
        ({"sites": [], "logits": "all"}, "final_residual"),
    ],
)
def test_what_no_token_was_drawn_from_is_checked_too(
    engine: InterpretabilityEngine,
    monkeypatch: pytest.MonkeyPatch,
    max_tokens: int,
    value: float,
    capture: dict[str, Any] | None,
    place: str,
) -> None:
    """Position 2 of the prompt alone is not finite: after the last layer's attention, where no later position looks."""
    last = engine.model.transformer.h[3].mlp
    forward = last.forward

    def damaged(x: torch.Tensor) -> torch.Tensor:
        out = forward(x)
        if out.size(1) > 2:
            out[0, 2] = value
        return out

    monkeypatch.setattr(last, "forward", damaged)
    with pytest.raises(NonFiniteError) as caught:
        engine.generate_and_capture(PROMPT, max_tokens=max_tokens, capture=capture)
    assert "at position 2." in str(caught.value)
    assert str(caught.value).endswith(f"It appeared first in {place}.")
    assert files_of(engine) == []
    result = engine.generate_and_capture(PROMPT, max_tokens=max_tokens, capture={"sites": ["q"], "logits": None})
    assert "null" not in json.dumps(engine.storage.load_trace(result["trace_id"])["model_data"])  # none of it is there
