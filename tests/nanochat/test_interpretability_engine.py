"""The user's calls: generate and capture, analyse, clear."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nanochat.engine import Engine
from nanochat.interpretability_engine import InterpretabilityEngine
from tests.nanochat.generation.golden import PROMPT


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
