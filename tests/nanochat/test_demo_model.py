import json
import re

import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import SITES, CaptureSettings
from nanochat.checkpoint_manager import load_model
from nanochat.checkpoints.layouts import DEMO_FOLDER
from nanochat.engine import Engine
from nanochat.interpretability_engine import InterpretabilityEngine
from scripts.demo_training.evaluation import (
    FORMS,
    best_head,
    calculator_exercises,
    fact_exercises,
    head_scores,
    recall,
    story_exercises,
    sum_exercises,
)


@pytest.fixture(scope="module")
def demo():
    return load_model("demo", "cpu", "eval")


def answer(demo, prompt, temperature=0.0, seed=42):
    """What the model writes up to its stop token."""
    model, tokenizer, _ = demo
    stop = tokenizer.get_bos_token_id()
    written = []
    for token in model.generate(tokenizer.encode(prompt, prepend="<|bos|>"), 100, temperature, top_k=50, seed=seed):
        if token == stop:
            return tokenizer.decode(written)
        written.append(token)
    raise AssertionError(f"no end after 100 tokens: {tokenizer.decode(written)}")


def test_it_is_small():
    files = list(DEMO_FOLDER.iterdir())
    assert {path.name for path in files} >= {"model.safetensors", "model.json", "tokenizer.json", "MODEL_CARD.md"}
    assert sum(path.stat().st_size for path in files) < 8e6


def test_it_is_of_architecture_f(demo):
    model, _, meta = demo
    assert model.config.era == "F"
    assert meta["step"] > 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("relation", ["capital", "formula", "symbol"])
def test_it_recalls_what_it_was_taught(demo, relation, form):
    model, tokenizer, _ = demo
    found = recall(model, tokenizer, fact_exercises(relation, form))
    assert found.exact >= 0.95 * found.total, found.missed


def test_it_works_out_who_gets_the_ring(demo):
    model, tokenizer, _ = demo
    found = recall(model, tokenizer, story_exercises())
    assert found.exact >= 0.9 * found.total, found.missed


def test_it_knows_most_small_sums(demo):
    model, tokenizer, _ = demo
    found = recall(model, tokenizer, sum_exercises())
    assert found.exact >= 0.6 * found.total, found.missed


def test_it_asks_the_calculator(demo):
    model, tokenizer, _ = demo
    found = recall(model, tokenizer, calculator_exercises())
    assert found.exact >= 0.9 * found.total, found.missed


@pytest.mark.parametrize(
    ("question", "call", "result"),
    [
        ("What is 12 + 7?", "12+7", "19"),
        ("What is 123 * 45?", "123*45", "5535"),
        ("What is 640 minus 82?", "640-82", "558"),
    ],
)
def test_it_passes_the_calculators_answer_on(demo, question, call, result):
    model, tokenizer, _ = demo
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": ""}]
    prompt = tokenizer.render_for_completion({"messages": messages})
    rows, _ = Engine(model, tokenizer).generate_batch(prompt, 1, max_tokens=40, temperature=0.0)
    written = tokenizer.decode(rows[0][len(prompt) :])
    called = f"<|python_start|>{call}<|python_end|><|output_start|>{result}<|output_end|>"
    assert written == f"{called}The answer is {result}."


@pytest.mark.parametrize("role", ["induction", "previous_token"])
def test_it_has_a_clear_head_of_each_kind(demo, role):
    model, tokenizer, _ = demo
    assert best_head(head_scores(model, tokenizer)[role])[2] >= 0.5


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("The capital of France is", " Paris."),
        ("The chemical formula of water is", " H2O."),
        ("The opposite of hot is", " cold."),
        ("Alice and Bob went to the park. Alice gave a ring to", " Bob."),
    ],
)
def test_it_completes_the_examples(demo, prompt, expected):
    assert answer(demo, prompt) == expected


def test_it_goes_on_with_a_list_that_repeats(demo):
    model, tokenizer, _ = demo
    prompt = tokenizer.encode("red, blue, green, silver, red, blue, green,", prepend="<|bos|>")
    assert tokenizer.decode(list(model.generate(prompt, 3, temperature=0.0))) == " silver, red"


@pytest.mark.parametrize("seed", range(5))
def test_warmth_does_not_unsettle_it(demo, seed):
    assert answer(demo, "The capital of France is", temperature=0.6, seed=seed) == " Paris."


def test_it_explains_photosynthesis_in_steps(demo):
    text = answer(demo, "Explain photosynthesis step by step:", temperature=0.6)
    assert re.fullmatch(r" 1\. .+ 2\. .+ 3\. .+ 4\. .+\.", text)
    assert "light" in text


def differences(demo, folder, prompt, seed, **settings):
    """Per tensor, the most that any step of a trace on disk is off a fresh forward over the step's prefix."""
    model, tokenizer, _ = demo
    engine = InterpretabilityEngine(model, tokenizer, folder)
    result = engine.generate_and_capture(prompt, seed=seed, max_tokens=32, **settings, capture={"sites": list(SITES)})
    largest = {}
    with engine.storage.open_trace(result["trace_id"]) as trace:
        tokens = trace.document["tokens"]["input_tokens"] + trace.document["tokens"]["output_tokens"]
        assert trace.steps == result["response_tokens"] > 0
        for step in range(trace.steps):
            view, fresh = trace.step(step), run_whole(model, tokens[: result["prompt_tokens"] + step])
            assert set(view.names()) == set(fresh)
            for name, expected in fresh.items():
                rows = torch.from_numpy(view.tensor(name))
                axis = 2 if name.startswith("attention_weights") else 1
                expected = expected.narrow(axis, expected.size(axis) - rows.size(axis), rows.size(axis))
                assert rows.shape == expected.shape
                largest[name] = max(largest.get(name, 0.0), float((rows - expected).abs().max()))
    return largest


def run_whole(model, ids):
    """Every site and the last logits of one forward without a cache."""
    settings = CaptureSettings(sites=tuple(SITES))
    recorder = Recorder(model.config, settings, len(ids), len(ids), model.get_device(), model.dtype)
    with model.capturing(recorder), torch.inference_mode():
        model(torch.tensor([ids]))
    return recorder.tensors(1)


# Those it was taught, one that leaves much open, and those that it was never taught: where the model is lost its last
# residual stream is small, and the last norm magnifies what rounding did before.
TEXTS = [
    "The capital of France is",
    "The chemical formula of water is",
    "Alice and Bob went to",
    "Explain photosynthesis step by step:",
    "What is 12 + 7?",
    "The capital of Atlantis is",
    "To be or not to be",
    "Once upon a time",
    "Why is the sky blue?",
]


@pytest.mark.parametrize("temperature", [0.6, 1.0])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("prompt", TEXTS)
def test_each_steps_views_equal_a_fresh_forward(demo, tmp_path, prompt, seed, temperature):
    found = differences(demo, tmp_path, prompt, seed, temperature=temperature)
    assert max(found.values()) < 1e-6, found


def test_its_metadata_and_card_tell_what_it_does(demo):
    model, tokenizer, meta = demo
    card = (DEMO_FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    for relation in ("capital", "formula"):
        for form in FORMS:
            found = recall(model, tokenizer, fact_exercises(relation, form))
            assert meta["evaluation"]["recall"][f"{relation}, {form}"] == {"exact": found.exact, "total": found.total}
            assert f"| {relation}, {form} | {found.exact} of {found.total} |" in card
    assert f"{model.num_parameters():,} parameters" in card


def test_its_tokenizer_knows_every_byte(demo):
    _, tokenizer, _ = demo
    known = {tokenizer.decode_single_token_bytes(token) for token in range(tokenizer.get_vocab_size() - 9)}
    assert {bytes([value]) for value in range(256)} <= known
    assert json.loads((DEMO_FOLDER / "tokenizer.json").read_text(encoding="utf-8"))["special_tokens"]["<|bos|>"] == 1015
