"""A generation that is cancelled leaves no trace, whatever it was at."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from nanochat.analysis import analyze
from nanochat.errors import CancelledError
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.traces.formats import FORMATS
from tests.nanochat.generation.golden import PROMPT, files_of


def test_cancel_leaves_no_trace(engine: InterpretabilityEngine) -> None:
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        engine.generate_and_capture(PROMPT, max_tokens=50, on_token=lambda event: cancel.set(), cancel=cancel)
    assert files_of(engine) == []


def test_cancel_after_the_last_token_still_leaves_no_trace(engine: InterpretabilityEngine) -> None:
    cancel = threading.Event()
    with pytest.raises(CancelledError):
        engine.generate_and_capture(
            PROMPT, max_tokens=1, capture={"logits": None}, on_token=lambda event: cancel.set(), cancel=cancel
        )
    assert files_of(engine) == []


@pytest.mark.parametrize("format", ["json", "safetensors"])
@pytest.mark.parametrize("step", ["analyse", "write"])
def test_cancel_while_a_trace_is_analysed_or_written_leaves_none(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch, step: str, format: str
) -> None:
    cancel = threading.Event()
    work: Any = FORMATS[format].write if step == "write" else analyze

    def cancelled_as_it_begins(*args: Any, **kwargs: Any) -> Any:
        cancel.set()
        result = work(*args, **kwargs)
        raise AssertionError(f"{step} went on to the end, with {result}")

    if step == "write":
        monkeypatch.setitem(FORMATS, format, replace(FORMATS[format], write=cancelled_as_it_begins))
    else:
        monkeypatch.setattr("nanochat.generation.document.analyze", cancelled_as_it_begins)
    with pytest.raises(CancelledError):
        engine.generate_and_capture(PROMPT, max_tokens=2, cancel=cancel, format=format)
    assert files_of(engine) == []
