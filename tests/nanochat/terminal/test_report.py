"""What is printed of a trace leaves out what the trace does not tell, and fails for none."""

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from nanochat.terminal.report import model_line, report, run_line, written
from nanochat.traces.document import read_document

TOKENS = {"input_tokens": [1], "output_tokens": [2, 3], "input_text": ["a"], "output_text": ["b", "c"]}


def drawn(raw: dict[str, Any]) -> str:
    out = Console(file=io.StringIO(), width=100, _environ={})
    document = read_document({"prompt": "a", "response": "bc", "tokens": TOKENS} | raw)
    out.print(written(document))
    report(document, out, place="here", attention=lambda layer, head: np.eye(2), rows=0, wish=None)
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue()


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"tokens": None},
        {"tokens": {"input_tokens": [1], "output_tokens": [2]}},
        {"model": {"source": "elsewhere"}, "generation": {"temperature": 1.0}},
        {"model": {"config": {"n_layer": 2}}, "generation": {"stop_reason": "bos", "timings": {}}},
        {"model": [1], "generation": {"timings": {"prefill_seconds": "x"}, "stop_reason": 5}},
        {"analysis": {"attention": {"num_layers": 1, "layer_stats": {"0": {"attention_entropy": 0.5}}}}},
        {"analysis": {"attention": {"num_layers": 1, "layer_stats": {"0": {"heads": [{}, {"sink": None}]}}}}},
        {"analysis": {"logits": {"surprisal_per_token": [1.0]}}},
        {"analysis": {"logits": {"surprisal_per_token": [1.0, 2.0], "top_tokens_per_position": [[{"text": 1}], 5]}}},
        {"analysis": {"logits": {"surprisal_per_token": [9.0, 9.0], "top_tokens_per_position": [
            [{"token": 1, "text": "q", "probability": None}]]}}},
    ],
)  # fmt: skip
def test_a_foreign_trace_is_shown_as_far_as_it_goes(raw: dict[str, Any]) -> None:
    text = drawn(raw)
    assert "Trace  here" in text
    assert "Run " not in text and "Model " not in text


def test_what_is_told_is_shown() -> None:
    timings = {"prefill_seconds": 0.5, "decode_seconds": 1, "analysis_seconds": 0.25}
    config = {"n_layer": 2, "n_head": 3, "n_embd": 48}
    document = read_document({
        "model": {"config": config, "era": "F", "parameters": 2_000_000, "source": "demo"},
        "generation": {"stop_reason": "bos", "timings": timings}, "tokens": TOKENS,
    })  # fmt: skip
    assert run_line(document) == "2 tokens in 1.50 s, analysed in 0.25 s, stopped at bos"
    assert model_line(document).endswith(": 2 layers of 3 heads, 48 wide, 2.0M parameters")
