"""The user's calls: generate and capture, analyse, clear; and what they say to bad input."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nanochat.analysis import analyze
from nanochat.capture.recorder import Recorder
from nanochat.engine import Engine, Step
from nanochat.errors import (
    CancelledError,
    CategoryInvalidError,
    NonFiniteError,
    PromptInvalidError,
    PromptTooLongError,
    SettingInvalidError,
    StorageError,
    TraceIdInvalidError,
    TraceNotFoundError,
)
from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent
from nanochat.trace_storage import TraceStorage
from nanochat.traces.formats import FORMATS
from tests.models import golden_model, write_tokens

PROMPT = "The capital of France is"


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    model, tokenizer = golden_model()
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    return InterpretabilityEngine(model, tokenizer, storage)


def files_of(engine: InterpretabilityEngine) -> list[Path]:
    folder = Path(engine.storage.directory)
    return sorted(folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_a_trace_holds_what_the_model_did(engine: InterpretabilityEngine, format: str) -> None:
    result = engine.generate_and_capture(PROMPT, category="geography", max_tokens=9, seed=5, format=format)
    tokens = engine.tokenizer.encode(PROMPT, prepend="<|bos|>")
    expected = [t[0] for t, _ in Engine(engine.model, engine.tokenizer).generate(tokens, 1, 9, 0.6, 50, 5)]
    with engine.storage.open_trace(result["trace_id"]) as trace:
        document = trace.document
        assert document["tokens"]["input_tokens"] == tokens
        assert document["tokens"]["output_tokens"] == expected
        positions = len(tokens) + len(expected) - 1
        with torch.inference_mode():
            logits = engine.model(torch.tensor([tokens + expected[:-1]]))[0, len(tokens) - 1 :]
        assert np.abs(trace.logits() - logits.numpy()).max() < 1e-4
        assert trace.attention(2).shape == (4, positions, positions)
        assert trace.activation(1, "post_mlp").shape == (positions, 48)
        assert np.array_equal(
            trace.embeddings(), engine.model.transformer.wte.weight[tokens + expected[:-1]].numpy(force=True)
        )
    assert document["prompt"] == PROMPT
    assert document["response"] == result["response"] == engine.tokenizer.decode(expected)
    assert document["category"] == "geography"
    assert document["metadata"] == {"model_source": "sft", "temperature": 0.6}
    assert document["model"]["era"] == "F"
    assert document["model"]["parameters"] == engine.model.num_parameters()
    assert document["generation"]["stop_reason"] == "max_tokens"
    assert document["tokens"]["forced"] == [0] * (positions + 1)
    assert "".join(document["tokens"]["input_text"]) == "<|bos|>" + PROMPT
    assert document["analysis"] == result["analysis"]
    assert (result["prompt_tokens"], result["response_tokens"]) == (len(tokens), len(expected))
    assert Path(result["path"]).is_file()
    assert result["summary"]["data_info"]


@pytest.mark.parametrize("logits", ["all", 300])
def test_stored_and_recomputed_analyses_agree(engine: InterpretabilityEngine, logits: str | int) -> None:
    result = engine.generate_and_capture(PROMPT, max_tokens=6, capture={"logits": logits})
    stored = engine.analyze_trace(result["trace_id"])
    path = Path(result["path"])
    document = json.loads(path.read_text())
    del document["analysis"]
    path.write_text(json.dumps(document))
    recomputed = engine.analyze_trace(result["trace_id"])
    assert stored["trace_id"] == recomputed["trace_id"] == result["trace_id"]
    assert stored["metadata"] == recomputed["metadata"]
    compare(stored["analysis"], recomputed["analysis"])
    assert stored["analysis"]["logits"] == recomputed["analysis"]["logits"]  # of the same logits, to the last bit


def compare(first: Any, second: Any) -> None:
    """Equal up to the rounding of sums in another order."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            compare(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            compare(one, other)
    else:
        assert first == (pytest.approx(second, rel=1e-5, abs=1e-6) if isinstance(second, float) else second)


def test_every_step_is_a_forward_over_its_prefix(engine: InterpretabilityEngine) -> None:
    result = engine.generate_and_capture(PROMPT, max_tokens=5, capture_intermediate_steps=True, seed=2)
    document = engine.storage.load_trace(result["trace_id"])
    tokens = document["tokens"]["input_tokens"] + document["tokens"]["output_tokens"]
    prompt_length = result["prompt_tokens"]
    assert [step["step"] for step in document["intermediate_steps"]] == [0, 1, 2, 3, 4]
    for step in document["intermediate_steps"]:
        prefix = tokens[: prompt_length + step["step"]]
        assert step["token"] == tokens[len(prefix)]
        with torch.inference_mode():
            logits = engine.model(torch.tensor([prefix]))[0, -1]
        assert np.abs(np.array(step["output_logits"]["data"])[0, 0] - logits.numpy()).max() < 1e-4
        rows = len(prefix) if step["step"] == 0 else 1
        weights = np.array(step["attention_weights"]["layer_1"]["data"])
        assert weights.shape == (1, 4, rows, len(prefix))
        assert np.allclose(weights.sum(-1), 1.0, atol=1e-5)


def test_tokens_are_reported_as_they_come(engine: InterpretabilityEngine) -> None:
    events: list[TokenEvent] = []
    result = engine.generate_and_capture(PROMPT, max_tokens=4, on_token=events.append)
    with engine.storage.open_trace(result["trace_id"]) as trace:
        assert [event.token for event in events] == trace.document["tokens"]["output_tokens"]
    assert [event.position for event in events] == [result["prompt_tokens"] + i for i in range(4)]
    assert [event.surprisal for event in events] == pytest.approx(
        result["analysis"]["logits"]["surprisal_per_token"], rel=1e-6
    )


@pytest.mark.parametrize(
    ("text", "cut", "end"),
    [
        ("plain", 0, None),
        ("naïve 漢字", 0, None),
        ("a🙂b", 0, "<|assistant_end|>"),
        ("e\u0301🙂", 1, None),  # the last character never gets whole
        ("🙂🙂", 2, "<|bos|>"),
        ("<|python_start|> is text here", 0, None),
    ],
)
@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_the_text_of_a_token_is_whole_characters(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch, text: str, cut: int, end: str | None, format: str
) -> None:
    written = text.encode()[: len(text.encode()) - cut]
    ids = [engine.tokenizer.enc.encode_single_token(bytes([value])) for value in written]
    ids += [] if end is None else [engine.tokenizer.encode_special(end)]
    write_tokens(monkeypatch, ids)
    events: list[TokenEvent] = []
    result = engine.generate_and_capture(PROMPT, max_tokens=len(ids), on_token=events.append, format=format)
    said = [event.text for event in events]
    assert [event.token for event in events] == ids
    assert "".join(said) == result["response"] == written.decode("utf-8", "replace")
    expected = [part for character in text for part in [""] * (len(character.encode()) - 1) + [character]]
    if cut:
        expected = [*expected[: len(written)]]
        expected[-1:] = ["\ufffd"] if end is None else [""]
    assert said == expected + ([] if end is None else ["\ufffd" if cut else ""])


def test_half_a_character_where_the_context_is_full_is_told_with_the_last_token(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [engine.tokenizer.enc.encode_single_token(bytes([value])) for value in "🙂".encode()[:3]]
    write_tokens(monkeypatch, ids)
    prompt = "x" * (engine.model.config.max_positions - 3)  # <|bos|> takes a position; the last token needs none
    said: list[str] = []
    result = engine.generate_and_capture(
        prompt, max_tokens=50, capture={"layers": [], "logits": None}, on_token=lambda event: said.append(event.text)
    )
    assert said == ["", "", "\ufffd"]
    assert result["response"] == "\ufffd"


def test_the_times_are_the_models_own(engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    steps = engine.engine.steps

    def pass_time(seconds: float) -> None:
        nonlocal now
        now += seconds

    def slow_steps(*args: Any) -> Iterator[Step]:
        for step in steps(*args):
            pass_time(2.0)
            yield step

    for module in ("interpretability_engine", "generation.run"):
        monkeypatch.setattr(f"nanochat.{module}.time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(engine.engine, "steps", slow_steps)
    result = engine.generate_and_capture(PROMPT, max_tokens=4, on_token=lambda event: pass_time(50.0))
    timings = result["timings"]
    assert (timings["prefill_seconds"], timings["decode_seconds"], timings["tokens_per_second"]) == (2.0, 6.0, 0.5)


def test_a_tokens_alternatives_are_those_of_the_analysis(engine: InterpretabilityEngine) -> None:
    tops: list[list[dict[str, Any]]] = []
    result = engine.generate_and_capture(PROMPT, max_tokens=4, on_token=lambda event: tops.append(event.top))
    for top, expected in zip(tops, result["analysis"]["logits"]["top_tokens_per_position"], strict=True):
        assert [row["token"] for row in top] == [row["token"] for row in expected]
        assert [row["text"] for row in top] == [row["text"] for row in expected]
        assert [row["probability"] for row in top] == pytest.approx([row["probability"] for row in expected])
    assert len(tops[0]) == 5


def test_alternatives_nobody_asks_for_are_not_computed(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("nanochat.generation.run.top_tokens", lambda *_: asked.append(1))
    events: list[TokenEvent] = []
    engine.generate_and_capture(PROMPT, max_tokens=2, on_token=events.append)
    assert not asked
    assert events[0].top is None and len(asked) == 1


def test_the_prompts_own_surprisal_is_in_the_analysis(engine: InterpretabilityEngine) -> None:
    result = engine.generate_and_capture(PROMPT, max_tokens=2)
    tokens = engine.tokenizer.encode(PROMPT, prepend="<|bos|>")
    with torch.inference_mode():
        log_probabilities = engine.model(torch.tensor([tokens]))[0].log_softmax(-1)
    expected = [-float(log_probabilities[i - 1, tokens[i]]) / np.log(2) for i in range(1, len(tokens))]
    assert result["analysis"]["logits"]["prompt"]["surprisal_per_token"] == [
        None,
        *(pytest.approx(e, abs=1e-4) for e in expected),
    ]


@pytest.mark.parametrize("count", [1, 3, 300])
def test_the_top_logits_alone_give_the_analysis_of_all(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr("nanochat.generation.document.ROWS_AT_ONCE", 4)
    whole, top = (
        engine.generate_and_capture(PROMPT, max_tokens=9, temperature=2.0, top_k=0, capture={"logits": logits})
        for logits in ("generated", count)
    )
    assert len(top["analysis"]["logits"]["entropy_per_position"]) == top["response_tokens"] > 4
    assert isinstance(top["analysis"]["logits"]["mean_logit"], float)
    compare(whole["analysis"]["logits"], top["analysis"]["logits"])


def test_chat_messages_are_rendered(engine: InterpretabilityEngine) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    result = engine.generate_and_capture(messages=messages, max_tokens=3)
    document = engine.storage.load_trace(result["trace_id"])
    text = "".join(document["tokens"]["input_text"])
    assert text == "<|bos|><|user_start|>Be brief.\n\nHello<|user_end|><|assistant_start|>"
    assert document["messages"] == messages
    assert document["prompt"] == "Hello"


def test_no_tokens_asked_for_captures_the_prompt(engine: InterpretabilityEngine) -> None:
    result = engine.generate_and_capture(PROMPT, max_tokens=0)
    with engine.storage.open_trace(result["trace_id"]) as trace:
        assert trace.shape("output_logits") == (1, 0, 300)
        assert trace.attention(0).shape[-1] == result["prompt_tokens"]
    assert result["response"] == ""


def test_captures_stay_readable_until_cleared(engine: InterpretabilityEngine) -> None:
    engine.generate_and_capture(PROMPT, max_tokens=3)
    assert engine.model.transformer.h[0].attn.attention_weights is not None
    engine.clear_model_captures()
    assert engine.model.transformer.h[0].attn.attention_weights is None
    assert engine.model.output_logits is None


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_narrowed_capture_is_stored_in_its_dtype(engine: InterpretabilityEngine, dtype: str) -> None:
    capture = {"layers": [1], "sites": ["post_mlp", "attention_weights"], "logits": 3, "dtype": dtype}
    for format in ("json", "safetensors"):
        result = engine.generate_and_capture(PROMPT, max_tokens=3, capture=capture, format=format)
        with engine.storage.open_trace(result["trace_id"]) as trace:
            assert set(trace.names()) == {
                "output_logits.values",
                "output_logits.indices",
                "output_logits.log_sum_exp",
                "attention_weights.layer_1",
                "value_norms.layer_1",
                "layer_activations.layer_1.post_mlp",
            }
        tensors = result["summary"]["data_info"]["tensors"]
        assert dtype in tensors["layer_activations.layer_1.post_mlp"]["dtype"]


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


def test_importing_prints_and_configures_nothing() -> None:
    program = (
        "import logging, sys\n"
        "import nanochat.interpretability_engine, nanochat.checkpoint_manager\n"
        "assert not logging.getLogger().handlers\n"
        "assert 'torch.cuda' not in sys.modules or not sys.modules['torch.cuda'].is_initialized()\n"
    )
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


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


@pytest.mark.parametrize("note", [None, "took era C", ["took era C", "no window_pattern: took L"]])
def test_a_trace_says_which_file_wrote_it_and_what_that_left_unclear(
    engine: InterpretabilityEngine, note: str | list[str] | None
) -> None:
    engine.model.provenance["note"] = note
    made = engine.generate_and_capture("Hi", max_tokens=1)
    model = engine.storage.load_trace(made["trace_id"])["model"]
    assert model["path"] == engine.model.provenance["path"] == made["summary"]["model"]["path"]
    assert model.get("note") == made["summary"]["model"].get("note")
    assert model.get("note") == ("; ".join(note) if isinstance(note, list) else note)
