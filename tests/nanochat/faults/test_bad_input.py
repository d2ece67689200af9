"""What cannot be captured is named, before the work, and leaves nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.errors import (
    CategoryInvalidError,
    PromptInvalidError,
    PromptTooLongError,
    SettingInvalidError,
    StorageError,
    TraceIdInvalidError,
    TraceNotFoundError,
)
from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent
from nanochat.trace_storage import TraceStorage
from tests.models import golden_model
from tests.nanochat.generation.golden import PROMPT, files_of


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"prompt": ""}, PromptInvalidError, "empty"),
        ({}, PromptInvalidError, "either a prompt or messages"),
        ({"prompt": "a", "messages": []}, PromptInvalidError, "either a prompt or messages"),
        ({"prompt": "broken \ud800"}, PromptInvalidError, "Unicode"),
        ({"prompt": 7}, PromptInvalidError, "prompt"),
        ({"messages": []}, PromptInvalidError, "messages"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, PromptInvalidError, "user"),
        ({"messages": [{"role": "user", "content": 3}]}, PromptInvalidError, "text"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, PromptInvalidError, "Unicode"),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            PromptInvalidError,
            "last",
        ),
        ({"prompt": "word " * 3000}, PromptTooLongError, "positions for 2,560"),
        ({"prompt": "a", "max_tokens": -1}, SettingInvalidError, "max_tokens"),
        ({"prompt": "a", "max_tokens": 1.5}, SettingInvalidError, "max_tokens"),
        ({"prompt": "a", "temperature": float("nan")}, SettingInvalidError, "temperature"),
        ({"prompt": "a", "temperature": -0.1}, SettingInvalidError, "temperature"),
        ({"prompt": "a", "top_k": -1}, SettingInvalidError, "top_k"),
        ({"prompt": "a", "seed": "x"}, SettingInvalidError, "seed"),
        ({"prompt": "a", "format": "hdf5"}, SettingInvalidError, "hdf5"),
        ({"prompt": "a", "capture": {"layers": [99]}}, SettingInvalidError, "layer 99"),
        ({"prompt": "a", "metadata": {"x": float("inf")}}, SettingInvalidError, "metadata"),
        ({"prompt": "a", "metadata": {"x": object()}}, SettingInvalidError, "metadata"),
        ({"prompt": "a", "metadata": ["x"]}, SettingInvalidError, "metadata"),
        ({"prompt": "a", "category": ""}, CategoryInvalidError, "category"),
        ({"prompt": "a", "category": "a\nb"}, CategoryInvalidError, "category"),
        ({"prompt": "a", "category": "x" * 1000}, CategoryInvalidError, "category"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(
    engine: InterpretabilityEngine, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        engine.generate_and_capture(**arguments)
    assert files_of(engine) == []


def test_a_folder_that_cannot_hold_traces_is_found_out_before_the_work(tmp_path: Path) -> None:
    model, tokenizer = golden_model()
    (tmp_path / "file").write_text("in the way")
    storage = TraceStorage(tmp_path / "file" / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    events: list[TokenEvent] = []
    with pytest.raises(StorageError, match="traces"):
        InterpretabilityEngine(model, tokenizer, storage).generate_and_capture(
            PROMPT, max_tokens=3, on_token=events.append
        )
    assert events == []


def test_ids_from_outside_are_checked(engine: InterpretabilityEngine) -> None:
    for trace_id in ("../secret", "", "a/b", "..", "x" * 300):
        with pytest.raises(TraceIdInvalidError):
            engine.analyze_trace(trace_id)
    with pytest.raises(TraceNotFoundError):
        engine.analyze_trace("trace_20200101_000000_000000")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA"), RuntimeError("MPS backend out of memory"), MemoryError()]
)
def test_a_capture_that_does_not_fit_in_memory_says_what_to_do(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(Recorder, "tensors", fail)
    with pytest.raises(SettingInvalidError, match="not enough memory on cpu for this capture: lower max_tokens"):
        engine.generate_and_capture(PROMPT, max_tokens=3)
    assert files_of(engine) == []
