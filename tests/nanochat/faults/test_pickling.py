"""Models, tokenizers and engines are pickled, copied and saved as torch users expect."""

import copy
import io
import multiprocessing
import pickle
from typing import Any

import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.checkpoint_manager import load_model
from nanochat.engine import Engine
from nanochat.gpt import GPT
from nanochat.interpretability_engine import InterpretabilityEngine
from tests.checkpoints import IDS, TOKENIZER, load, logits_of, write_flat
from tests.models import ERA_NAMES, random_model

TOKENS = IDS[0].tolist()


def by_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def by_torch(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = [copy.deepcopy, by_pickle, by_torch]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("era", ERA_NAMES)
def test_a_model_of_every_era_comes_back_the_same(era, way):
    model = random_model(era)
    again = way(model)
    assert again.config == model.config
    assert again.era == model.era
    assert [block.attn.era for block in again.transformer.h] == [model.era] * 3
    assert again.config.windows() == model.config.windows()
    assert torch.equal(logits_of(again), logits_of(model))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("source", ["demo", "folder"])
def test_a_loaded_model_comes_back_the_same(tmp_path, way, source):
    if source == "folder":
        write_flat(tmp_path, 10, random_model("E", n_layer=2, n_embd=32))
    model, _, _ = load("demo" if source == "demo" else tmp_path)
    again = way(model)
    assert again.provenance == model.provenance
    assert torch.equal(logits_of(again), logits_of(model))


def captured(model: GPT) -> Recorder:
    recorder = Recorder(model.config, CaptureSettings(), IDS.numel(), IDS.numel(), torch.device("cpu"), model.dtype)
    with model.capturing(recorder):
        logits_of(model)
    return recorder


@pytest.mark.parametrize("way", WAYS)
def test_a_capture_stays_with_its_model(way):
    model = random_model("F")
    captured(model)
    again = way(model)
    assert model.transformer.h[0].post_attn is not None
    assert again.tap is None
    for block in again.transformer.h:
        assert block.post_attn is block.attn.attention_weights is block.mlp.mlp_hidden is None
    assert torch.equal(logits_of(again), logits_of(model))
    captured(again)
    assert torch.equal(again.transformer.h[1].post_attn, model.transformer.h[1].post_attn)


def test_a_copy_made_during_a_capture_writes_nothing_to_it():
    model = random_model("F")
    recorder = Recorder(model.config, CaptureSettings(), 40, 40, torch.device("cpu"), model.dtype)
    with model.capturing(recorder):
        logits_of(model)
        logits_of(copy.deepcopy(model))
    assert recorder.length == IDS.numel()


@pytest.mark.parametrize("way", [copy.deepcopy, by_pickle])
def test_tokenizers_and_engines_come_back_the_same(way, tmp_path):
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    assert way(tokenizer).encode("Über 1,234 🙂") == tokenizer.encode("Über 1,234 🙂")
    engine = Engine(model, tokenizer)
    assert way(engine).generate_batch(TOKENS, max_tokens=5) == engine.generate_batch(TOKENS, max_tokens=5)
    scope = InterpretabilityEngine(model, tokenizer, tmp_path)
    result = way(scope).generate_and_capture("The capital of France is", max_tokens=3)
    assert result["response"] == scope.generate_and_capture("The capital of France is", max_tokens=3)["response"]


def answer(model: GPT, queue: Any) -> None:
    queue.put(logits_of(model).numpy())


@pytest.mark.parametrize("library", [multiprocessing, torch.multiprocessing])
def test_a_model_goes_to_another_process(library):
    model, context = load_model("demo", "cpu", "eval")[0], library.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=answer, args=(model, queue))
    process.start()
    there = queue.get()
    process.join()
    assert torch.equal(torch.as_tensor(there), logits_of(model))


def test_the_golden_tokenizer_can_be_pickled():
    from nanochat.tokenizer import RustBPETokenizer

    tokenizer = RustBPETokenizer.from_directory(TOKENIZER)
    assert by_pickle(tokenizer).get_special_tokens() == tokenizer.get_special_tokens()
