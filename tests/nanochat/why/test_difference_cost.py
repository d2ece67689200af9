"""What setting two traces side by side would take: about as much as it then takes, by reading a part of them."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from nanochat.why import difference_cost as costs
from nanochat.why.difference import head_differences, site_differences, surprisals
from nanochat.why.difference_cost import difference_cost
from tests.models import golden_model
from tests.nanochat.why.test_difference import pairs_of

CAPTURES: dict[str, dict[str, Any]] = {
    "heads and sites": {},
    "sites alone": {"sites": ["residual", "q", "post_mlp"]},
    "heads alone": {"sites": ["attention_weights"], "logits": None},
}


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    model, tokenizer = golden_model()
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    return InterpretabilityEngine(model, tokenizer, storage)


def made(engine: InterpretabilityEngine, capture: dict[str, Any], format: str = "json") -> list[str]:
    return [
        engine.generate_and_capture("ab " * 60 + text, max_tokens=4, capture=capture, format=format)["trace_id"]
        for text in ("gold", "silver")
    ]


@pytest.mark.parametrize("format", ["json", "safetensors"])
@pytest.mark.parametrize("capture", CAPTURES)
def test_the_memory_is_about_what_it_then_takes(engine: InterpretabilityEngine, capture: str, format: str) -> None:
    one, other = made(engine, CAPTURES[capture], format)
    with engine.storage.open_trace(one) as a, engine.storage.open_trace(other) as b:
        size, seconds = difference_cost(a, b)
        tracemalloc.start()
        pairs, text = pairs_of(a, b), engine.tokenizer.token_text
        kept = [head_differences(a, b, pairs, text), site_differences(a, b, pairs), surprisals(a, text), pairs]
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert all(kept[1:]) or capture == "heads alone"
    assert most / 2 < size < 3 * most
    assert 0 < seconds < 60


def test_of_long_texts_the_first_positions_of_a_head_and_a_site_are_read(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = made(engine, {})
    read: list[tuple[int, ...]] = []
    tensor = Trace.tensor

    def noted(self: Trace, name: str, index: Any = ()) -> Any:
        values = tensor(self, name, index)
        read.append(values.shape)
        return values

    monkeypatch.setattr(costs, "SAMPLE", 8)
    monkeypatch.setattr(Trace, "tensor", noted)
    with engine.storage.open_trace(one) as a, engine.storage.open_trace(other) as b:
        difference_cost(a, b)
    assert read == [(1, 8, 8), (1, 8, 8), (8, 48), (8, 48)]


def test_traces_without_tensors_in_common_take_no_time(engine: InterpretabilityEngine) -> None:
    (one, _), (other, _) = made(engine, CAPTURES["sites alone"]), made(engine, CAPTURES["heads alone"])
    with engine.storage.open_trace(one) as a, engine.storage.open_trace(other) as b:
        size, seconds = difference_cost(a, b)
    assert (size > 0, seconds) == (True, 0.0)
