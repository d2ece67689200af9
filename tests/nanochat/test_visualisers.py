"""What attention viewers ask of their arguments (bertviz 1.4.1, circuitsvis 1.43.3): they take ours as they are."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanochat.interpretability_engine import InterpretabilityEngine
from tests.models import golden_model


def head_view(attention: list[torch.Tensor], tokens: list[str]) -> str:
    """bertviz: a tensor (1, H, S, S) a layer, and S tokens."""
    for layer in attention:
        assert isinstance(layer, torch.Tensor) and len(layer.shape) == 4
    stacked = torch.stack([layer.squeeze(0) for layer in attention])
    assert stacked.shape[-1] == stacked.shape[-2] == len(tokens)  # its page draws nothing otherwise
    shown = [token.replace("Ġ", " ").replace("▁", " ").replace("</w>", "") for token in tokens]
    return json.dumps({"attn": stacked.tolist(), "left_text": shown, "right_text": shown}, allow_nan=False)


def attention_heads(attention: Any, tokens: list[str]) -> str:
    """circuitsvis: an array or a tensor (H, S, S), and S tokens."""
    assert isinstance(attention, list | np.ndarray | torch.Tensor)
    properties: dict[str, Any] = {"attention": np.asarray(attention).tolist(), "tokens": tokens}
    assert all(len(rows) == len(row) == len(tokens) for rows in properties["attention"] for row in rows)
    return json.dumps(properties, allow_nan=False)


@pytest.mark.parametrize("max_tokens", [0, 1, 6])
@pytest.mark.parametrize("dtype", [None, "bfloat16"])
@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_a_traces_attention_and_its_first_num_tokens_tokens_are_taken(
    tmp_path: Path, format: str, dtype: str | None, max_tokens: int
) -> None:
    engine = InterpretabilityEngine(*golden_model(), tmp_path / "traces", format)
    result = engine.generate_and_capture("x y z", max_tokens=max_tokens, capture={"dtype": dtype})
    info = result["summary"]["data_info"]
    with engine.storage.open_trace(result["trace_id"]) as trace, warnings.catch_warnings(action="error"):
        texts = trace.document["tokens"]["input_text"] + trace.document["tokens"]["output_text"]
        tokens = texts[: info["num_tokens"]]
        layers = [trace.attention(layer) for layer in range(info["num_layers"])]
        assert head_view([torch.from_numpy(layer)[None] for layer in layers], tokens)  # read-only arrays would warn
        assert all(attention_heads(layer, tokens) for layer in layers)
    live = [block.attn.attention_weights for block in engine.model.transformer.h]
    assert head_view(live, tokens)
    assert all(attention_heads(layer[0], tokens) for layer in live)
