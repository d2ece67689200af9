"""What is recorded once and repeated gives what plain forwards give; on the CPU the recording is one by hand."""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from nanochat import attention, cuda_graph, engine
from nanochat.capture import recorder
from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import SITES, CaptureSettings
from nanochat.capture.tap import Edit
from nanochat.checkpoint_manager import load_model
from nanochat.cuda_graph import RepeatedForward, is_repeated
from nanochat.engine import Engine
from nanochat.gpt import GPT
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.kv_cache import KVCache
from tests.models import ERA_NAMES, golden_model, random_model

PROMPT = [291, 72, 105, 32, 116, 104, 101, 114, 101, 46]
EVERYTHING = CaptureSettings(sites=tuple(SITES), logits="all")
SHORT_BLOCK = 64  # keys: generations below outgrow it more than once


class RecordedByHand:
    """A step as a CUDA graph has it: repeating it changes what is on the device, and nothing that the host knows."""

    def __init__(self, forward: RepeatedForward, end: int):
        self.forward, self.end, self.tap = forward, end, forward.model.tap
        self.edits = {} if self.tap is None else self.tap.edits
        held = forward.kv_cache.prev_embedding
        on_device = [forward._positions, *([] if held is None else [held])]
        before = [tensor.clone() for tensor in on_device]
        self.result = forward._step(end)
        for tensor, value in zip(on_device, before, strict=True):  # it is not run yet
            tensor.copy_(value)

    def replay(self) -> None:
        model, cache = self.forward.model, self.forward.kv_cache
        recorders = [] if self.tap is None else list(self.tap.recorders.values())
        host = model.tap, cache.positions, cache.prev_embedding, [each.length for each in recorders]
        for each in recorders:
            each.length -= 1  # counted before it is run
        edits_now = {} if self.tap is None else self.tap.edits
        if self.tap is not None:
            self.tap.edits = self.edits  # recorded with the rest
        model.attach(self.tap)
        self.result.copy_(self.forward._step(self.end))
        if self.tap is not None:
            self.tap.edits = edits_now
        tap, cache.positions, cache.prev_embedding, lengths = host
        model.attach(tap)
        for each, length in zip(recorders, lengths, strict=True):
            each.length = length


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch, device: torch.device) -> None:
    """Attention by the fused kernel alone, decoding by repeated forwards, over blocks that are soon full."""
    if device.type != "cuda":

        def record(forward: RepeatedForward, end: int) -> tuple[RecordedByHand, torch.Tensor]:
            recorded = RecordedByHand(forward, end)
            return recorded, recorded.result

        monkeypatch.setattr(RepeatedForward, "_record", record)
    monkeypatch.setattr(cuda_graph, "BLOCK", SHORT_BLOCK)
    for module in (attention, recorder):
        monkeypatch.setattr(module, "returns_weights", lambda device, dtype: False)
    for module in (cuda_graph, engine):
        monkeypatch.setattr(module, "is_repeated", lambda model, device: True)


def filled_cache(model: GPT, prompts: list[list[int]], room: int) -> KVCache:
    """A cache with a prompt in each row."""
    config, sizes = model.config, (model.get_device(), model.compute_dtype)
    cache = KVCache(len(prompts), config.n_kv_head, room, config.head_dim, config.n_layer, *sizes)
    for row, prompt in enumerate(prompts):
        alone = KVCache(1, config.n_kv_head, len(prompt), config.head_dim, config.n_layer, *sizes)
        model(torch.tensor([prompt], device=model.get_device()), kv_cache=alone)
        cache.load_row(row, alone)
    return cache


def columns(model: GPT, tokens: list[list[int]]) -> Iterator[torch.Tensor]:
    for column in zip(*tokens, strict=True):
        yield torch.tensor(column, device=model.get_device())[:, None]


def run_whole(model: GPT, tokens: list[int], settings: CaptureSettings = EVERYTHING) -> dict[str, torch.Tensor]:
    """One forward over a text without a cache."""
    taken = Recorder(model.config, settings, len(tokens), 1, model.get_device(), model.dtype)
    with model.capturing(taken), torch.inference_mode():
        model(torch.tensor([tokens], device=model.get_device()))
    return taken.tensors(len(tokens))


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    scale = max(1.0, float(expected.abs().max()))  # these random models' residuals reach 60
    return found.shape == expected.shape and float((found - expected).abs().max()) < 2e-5 * scale


@torch.inference_mode()
@pytest.mark.parametrize("era", ERA_NAMES)
@pytest.mark.usefixtures("summed_in")
def test_logits_of_rows_at_different_positions_are_those_of_plain_forwards(era: str, device: torch.device) -> None:
    model, _ = golden_model(era, device=device)
    prompts = [PROMPT, PROMPT[:3], PROMPT * 6]
    following = [[(7 * i + row) % 290 for i in range(150)] for row in range(3)]  # past every era's short window
    plain, repeated = (filled_cache(model, prompts, 256) for _ in range(2))
    forward = RepeatedForward(model, repeated)
    kept = []
    for ids in columns(model, following):
        kept.append((forward(ids), model(ids, kv_cache=plain)))
    assert repeated.positions == plain.positions == [160, 153, 210]
    assert all(close(found, expected) for found, expected in kept)  # compared at the end: they stay as they were
    assert torch.allclose(repeated.k_cache, plain.k_cache, atol=1e-4)
    more = torch.tensor([[1, 2, 3]] * 3, device=device)
    assert close(model(more, kv_cache=repeated), model(more, kv_cache=plain))  # the cache is an ordinary one again


@torch.inference_mode()
@pytest.mark.parametrize(("era", "logits"), [*((era, "all") for era in ERA_NAMES), ("F", 7)])
@pytest.mark.usefixtures("summed_in")
def test_a_capture_is_that_of_a_fresh_forward(era: str, logits: Any, device: torch.device) -> None:
    model, _ = golden_model(era, device=device)
    settings = dataclasses.replace(EVERYTHING, logits=logits)
    prompts, following = [PROMPT, PROMPT * 6], [[(7 * i + row) % 290 for i in range(100)] for row in range(2)]
    cache = filled_cache(model, [prompt[:-1] for prompt in prompts], 256)
    recorders = [Recorder(model.config, settings, len(prompt) + 100, 1, device, model.dtype) for prompt in prompts]
    for row, prompt in enumerate(prompts):  # the same rows once more, now captured
        alone = KVCache(1, cache.n_heads, 60, cache.head_dim, cache.n_layers, device, model.compute_dtype)
        with model.capturing(recorders[row]):
            model(torch.tensor([prompt], device=device), kv_cache=alone)
        cache.load_row(row, alone)
    forward = RepeatedForward(model, cache)
    with model.capturing(*recorders):
        for ids in columns(model, following):
            forward(ids)
    for taken, prompt, tail in zip(recorders, prompts, following, strict=True):
        found, expected = taken.tensors(100), run_whole(model, prompt + tail, settings)
        assert found.keys() == expected.keys()
        assert [name for name in found if not close(found[name], expected[name])] == []


def without_a_head(axis: int, value: torch.Tensor, span: attention.Span) -> torch.Tensor:
    value = value.clone()
    value.select(axis, 1).zero_()
    return value


@torch.inference_mode()
@pytest.mark.parametrize(("site", "axis"), [("attention_weights", 1), ("head_output", 2), ("v", 2), ("post_mlp", 2)])
def test_a_change_is_repeated_with_the_recording(site: str, axis: int, device: torch.device) -> None:
    model, _ = golden_model(device=device)
    edits, count = {(site, 1): partial(without_a_head, axis)}, 8
    tail = [(7 * i) % 290 for i in range(100)]

    def whole(edits: dict[tuple[str, int], Edit]) -> dict[str, torch.Tensor]:
        taken = Recorder(model.config, EVERYTHING, len(PROMPT) + 100, 1, device, model.dtype)
        with model.capturing(taken, edits=edits):
            model(torch.tensor([PROMPT + tail], device=device))
            return taken.tensors(count)

    config = model.config
    cache = KVCache(1, config.n_kv_head, 256, config.head_dim, config.n_layer, device, model.compute_dtype)
    taken = Recorder(model.config, EVERYTHING, len(PROMPT) + 100, 1, device, model.dtype)
    with model.capturing(taken, edits=edits):
        model(torch.tensor([PROMPT], device=device), kv_cache=cache)
        forward = RepeatedForward(model, cache)
        for ids in columns(model, [tail]):
            forward(ids)
        found = taken.tensors(count)
    expected, plain = whole(edits), whole({})
    assert [name for name in found if not close(found[name], expected[name])] == []
    assert not close(plain["output_logits"], expected["output_logits"])


INTERVENTIONS: list[list[dict[str, Any]]] = [
    [{"op": "zero", "site": "head_output", "layer": 1, "heads": [1]}],
    [{"op": "set", "site": "attention_weights", "layer": 1, "value": [1.0], "positions": [3, [12, 60]]}],
    [{"op": "mean", "site": "post_mlp", "layer": 0, "positions": "generated"}],
    [{"op": "add", "site": "head_output", "layer": 1, "value": 0.5, "positions": [[5, 40]]}],
    [{"op": "scale", "site": "k", "layer": 0, "value": 0.5, "positions": "prompt"}],
]


@torch.inference_mode()
@pytest.mark.parametrize("interventions", INTERVENTIONS)
def test_interventions_are_repeated_with_the_recording_and_end(
    interventions: list[dict[str, Any]], device: torch.device
) -> None:
    model, _ = golden_model(device=device)
    tail, settings = (
        [(7 * i) % 290 for i in range(100)],
        dataclasses.replace(EVERYTHING, sites=("post_attn", "post_mlp")),
    )
    text, count = torch.tensor([PROMPT + tail], device=device), 50  # of them captured
    plain = model(text)
    with model.editing(interventions, PROMPT) as changes:
        expected, touched = run_whole(model, PROMPT + tail, settings), changes.touched
    config, logits = model.config, []
    cache = KVCache(1, config.n_kv_head, 256, config.head_dim, config.n_layer, device, model.compute_dtype)
    taken = Recorder(model.config, settings, len(PROMPT) + 100, 1, device, model.dtype)
    fed = columns(model, [tail])
    with model.editing(interventions, PROMPT) as changes:
        with model.capturing(taken):
            logits += [model(text[:, : len(PROMPT)], kv_cache=cache)]
            forward = RepeatedForward(model, cache)
            logits += [forward(next(fed)) for _ in range(count)]
        logits += [forward(next(fed)) for _ in range(count, 100)]  # beyond the capture, not beyond the change
        assert changes.touched == touched
    copy = KVCache(1, config.n_kv_head, 256, config.head_dim, config.n_layer, device, model.compute_dtype)
    copy.load_row(0, cache)
    for ids in columns(model, [tail[:4]]):  # beyond the change
        assert close(forward(ids), model(ids, kv_cache=copy))
    found = torch.cat(logits, dim=1)
    assert close(found, expected["output_logits"])
    captured = taken.tensors(1)
    for name in captured:
        assert close(captured[name], expected[name][:, : len(PROMPT) + count]), name
    assert not close(found, plain)
    assert close(model(text), plain)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("logits", ["generated", "all", 7, None])
def test_the_engine_writes_the_same_with_a_capture_and_without(device: torch.device, dtype: str, logits: Any) -> None:
    model, tokenizer = golden_model(dtype=dtype, device=device)
    settings, count = CaptureSettings(logits=logits), 140

    def generate(seed: int) -> list[int]:
        written = Engine(model, tokenizer)
        written.end_tokens = frozenset()
        return [step.tokens[0] for step in written.steps(PROMPT, 1, count, 1.0, None, seed)]

    for seed in range(3):
        without = generate(seed)
        taken = Recorder(model.config, settings, len(PROMPT) + count - 1, len(PROMPT), device, model.dtype)
        with model.capturing(taken):
            assert generate(seed) == without
        assert taken.length == len(PROMPT) + count - 1
    found = taken.tensors(count)
    fresh = run_whole(model, PROMPT + without[:-1], CaptureSettings(logits=logits))
    if dtype == "float32" and logits != 7:
        for name, value in found.items():
            expected = (
                fresh[name][:, len(PROMPT) - 1 :] if (name, logits) == ("output_logits", "generated") else fresh[name]
            )
            assert close(value, expected), name
    elif logits == 7:
        values, log_sum_exp = found["output_logits.values"][0], found["output_logits.log_sum_exp"][0]
        assert torch.allclose(values, fresh["output_logits.values"][0], atol=0.2 if dtype == "bfloat16" else 1e-4)
        assert torch.allclose(log_sum_exp, fresh["output_logits.log_sum_exp"][0], atol=0.2)


@torch.inference_mode()
@pytest.mark.usefixtures("summed_in")
def test_a_row_may_be_replaced_between_tokens(device: torch.device) -> None:
    model, _ = golden_model(device=device)
    plain, repeated = (filled_cache(model, [PROMPT, PROMPT[:3]], 128) for _ in range(2))
    forward, other = RepeatedForward(model, repeated), filled_cache(model, [PROMPT[::-1] * 2], 20)
    for count, ids in enumerate(columns(model, [list(range(12)), list(range(40, 52))])):
        if count == 5:
            for cache in (plain, repeated):
                cache.load_row(1, other)
        assert close(forward(ids), model(ids, kv_cache=plain))
    assert repeated.positions == plain.positions == [22, 27]


def test_several_rows_are_those_of_plain_forwards(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = golden_model(device=device)
    written = Engine(model, tokenizer)
    repeated, _ = written.generate_batch(PROMPT, num_samples=3, max_tokens=90, temperature=1.0)
    for module in (cuda_graph, engine):
        monkeypatch.setattr(module, "is_repeated", lambda model, device: False)
    plain, _ = written.generate_batch(PROMPT, num_samples=3, max_tokens=90, temperature=1.0)
    assert repeated == plain
    assert len({tuple(row) for row in plain}) == 3


def test_a_capture_may_begin_and_end_between_tokens(device: torch.device) -> None:
    model, _ = golden_model(device=device)
    with torch.inference_mode():
        cache = filled_cache(model, [PROMPT], 128)
        forward = RepeatedForward(model, cache)
        ids = torch.tensor([[5]], device=device)
        for _ in range(5):
            forward(ids)
        taken = Recorder(model.config, EVERYTHING, 128, 1, device, model.dtype)
        taken.length = cache.get_pos()  # rows before these are not written
        with model.capturing(taken):
            for _ in range(5):
                forward(ids)
        before = {name: value.clone() for name, value in taken.tensors(0).items()}
        for _ in range(5):
            forward(ids)
    after, expected = taken.tensors(0), run_whole(model, PROMPT + [5] * 10)
    assert taken.length == cache.get_pos() - 5 == 20
    for name in (name for name in expected if not name.startswith(("attention", "output"))):
        assert torch.equal(before[name][:, 15:], after[name][:, 15:])
        assert close(after[name][:, 15:], expected[name][:, 15:]), name


@pytest.mark.parametrize(("prompt_length", "length"), [(10, 200), (10, 600), (900, 5)])
def test_logits_are_the_same_again_bit_for_bit(
    device: torch.device, prompt_length: int, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graph, "BLOCK", 512)
    prompt = (PROMPT * 90)[:prompt_length]  # past a chunk and the short window, or not
    _, tokenizer = golden_model()
    model = random_model(sequence_len=1024, n_embd=256, n_head=2, n_kv_head=2).to(device, torch.bfloat16)

    def generate() -> tuple[list[int], list[torch.Tensor]]:
        written = Engine(model, tokenizer)
        written.end_tokens = frozenset()
        steps = list(written.steps(prompt, 1, length, 1.0, None, 5))
        return [step.tokens[0] for step in steps], [step.logits for step in steps]

    tokens, logits = generate()
    for _ in range(3):
        again, found = generate()
        assert again == tokens
        assert all(torch.equal(one, other) for one, other in zip(logits, found, strict=True))


def test_traces_come_from_any_thread_and_are_the_same_again(device: torch.device, tmp_path: Path) -> None:
    model, tokenizer, _ = load_model("demo", device, "eval", dtype="float32")
    front = InterpretabilityEngine(model, tokenizer, tmp_path, format="safetensors")

    def generate(prompt: str, temperature: float) -> dict[str, Any]:
        return front.generate_and_capture(prompt, max_tokens=100, temperature=temperature, top_k=None)

    with ThreadPoolExecutor(1) as thread:
        known = thread.submit(generate, "The capital of France is", 0.0).result()
        front.engine.end_tokens = frozenset()  # go on to the last token
        made_up = thread.submit(generate, "apple, river, stone, apple, river,", 1.5).result()
    again = generate("apple, river, stone, apple, river,", 1.5)
    assert known["response"] == " Paris."
    assert made_up["response"] == again["response"]
    assert made_up["analysis"] == again["analysis"]
    assert made_up["response_tokens"] == 100
    with front.storage.open_trace(made_up["trace_id"]) as trace:
        step = trace.step(99)
        assert step["attention_weights"]["layer_3"].sum(-1) == pytest.approx(1.0, abs=1e-5)


@torch.inference_mode()
def test_a_capture_that_begins_late_must_say_so(device: torch.device) -> None:
    model, _ = golden_model(device=device)
    forward = RepeatedForward(model, filled_cache(model, [PROMPT], 128))
    taken = Recorder(model.config, EVERYTHING, 128, 1, device, model.dtype)  # it has not seen the prompt
    with model.capturing(taken), pytest.raises(AssertionError):
        forward(torch.tensor([[5]], device=device))


@torch.inference_mode()
def test_a_cache_is_an_ordinary_one_again_after_an_error(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = golden_model("E", device=device)  # smear keeps what a forward began with
    cache = filled_cache(model, [PROMPT], 128)
    forward, ids = RepeatedForward(model, cache), torch.tensor([[5]], device=device)
    with monkeypatch.context() as patch:
        patch.setattr(model, "unembed", None)
        with pytest.raises(TypeError):
            forward(ids)
    again = filled_cache(model, [PROMPT], 128)
    assert close(model(ids, kv_cache=cache), model(ids, kv_cache=again))


def test_a_model_with_hooks_is_not_repeated() -> None:
    model, _ = golden_model()
    cuda = torch.device("cuda")
    assert is_repeated(model, cuda)
    assert not is_repeated(model, torch.device("cpu"))
    assert not is_repeated(object(), cuda)
    handle = model.transformer.h[1].mlp.register_forward_hook(lambda module, inputs, output: None)
    assert not is_repeated(model, cuda)
    handle.remove()
    assert is_repeated(model, cuda)


def test_the_room_of_a_cache_is_whole_blocks_but_no_more_than_the_model_has() -> None:
    model = random_model(sequence_len=256)
    assert [cuda_graph.whole_blocks(count, model) for count in (1, 64, 65, 2550)] == [64, 64, 128, 2560]
    assert cuda_graph.whole_blocks(2499, random_model(sequence_len=250)) == 2500
