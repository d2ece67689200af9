"""What was likely at a position: all that was captured, the same in every form that logits are kept in."""

import numpy as np
import pytest

from nanochat.analysis.alternatives import alternatives
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from tests.models import golden_model

PROMPT, COUNT = "The capital of France", 20


def unknown(token: int) -> str:
    raise KeyError(token)


@pytest.fixture
def engine(tmp_path):
    return InterpretabilityEngine(*golden_model(), TraceStorage(tmp_path, catalogue=":memory:"))


def captured(engine, logits, format="safetensors"):
    """A trace with its logits in one of the forms; everything else of it is alike."""
    capture = {"sites": [], "logits": logits}
    return engine.generate_and_capture(PROMPT, max_tokens=3, temperature=0, capture=capture, format=format)["trace_id"]


@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_every_form_has_the_same_candidates_in_the_order_of_all_logits(engine, format):
    whole = captured(engine, "all", format)
    with engine.storage.open_trace(whole) as trace:
        rows = trace.tensor("output_logits")[0].astype(np.float64)
        prompt = len(trace.fields.tokens.prompt)
        wanted = [np.lexsort((np.arange(rows.shape[1]), -row))[:COUNT].tolist() for row in rows]
    forms = {"all": 1, "generated": prompt, COUNT: 1}
    for form, first in forms.items():
        with engine.storage.open_trace(captured(engine, form, format)) as trace:
            for position in range(len(trace.fields.tokens.prompt + trace.fields.tokens.generated)):
                found = alternatives(trace, position, COUNT, str)
                ids = [row["token"] for row in found.rows]
                assert ids == (wanted[position - 1] if position >= first else []), (form, position)
                assert found.captured == (0 if position < first else COUNT if form == COUNT else rows.shape[1])


def test_they_begin_with_those_of_the_statistics(engine):
    with engine.storage.open_trace(captured(engine, COUNT)) as trace:
        stored = trace.fields.logits["top_tokens_per_position"]
        prompt = len(trace.fields.tokens.prompt)
        for index, five in enumerate(stored):
            found = alternatives(trace, prompt + index, COUNT, engine.tokenizer.token_text).rows
            assert len(found) == COUNT
            for one, other in zip(five, found, strict=False):
                assert one["token"] == other["token"] and one["text"] == other["text"]
                assert one["probability"] == pytest.approx(other["probability"])
            assert 0 < sum(row["probability"] for row in found) <= 1 + 1e-6


def test_texts_that_the_trace_has_are_its_own_and_others_the_tokenizers(engine):
    with engine.storage.open_trace(captured(engine, COUNT)) as trace:
        position = len(trace.fields.tokens.prompt)
        own = {row["token"]: row["text"] for row in trace.fields.logits["top_tokens_per_position"][0]}
        found = alternatives(trace, position, COUNT, unknown).rows
        assert [row["text"] for row in found[:5]] == [own[row["token"]] for row in found[:5]]
        named = [row["text"] == f"<{row['token']}>" for row in found]
        assert any(named) and not any(named[:5])


def test_no_logits_and_no_such_row(engine):
    with engine.storage.open_trace(captured(engine, None)) as trace:
        assert alternatives(trace, 3, COUNT, str).rows == []
    with engine.storage.open_trace(captured(engine, COUNT)) as trace:
        assert alternatives(trace, 0, COUNT, str).captured == 0
        assert alternatives(trace, 500, COUNT, str).rows == []
