"""Captures show what the model computes, and change nothing of it."""

import dataclasses
import threading
from typing import Any

import pytest
import torch

from nanochat import attention, gpt
from nanochat.capture import recorder as recorder_module
from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import DEFAULT_SITES, SITES, CaptureSettings
from nanochat.checkpoint_manager import load_model
from nanochat.engine import Engine
from nanochat.errors import CancelledError, SettingInvalidError
from nanochat.gpt import GPT, norm
from nanochat.kv_cache import KVCache
from tests.models import ERA_NAMES, golden_model, random_model

PROMPT = [291, 72, 105, 32, 116, 104, 101, 114, 101, 46]
EVERYTHING = CaptureSettings(sites=tuple(SITES), logits="all")


def record(model: GPT, settings: CaptureSettings, positions: int, prompt_length: int = len(PROMPT)) -> Recorder:
    return Recorder(model.config, settings, positions, prompt_length, model.get_device(), model.dtype)


def generate(model: GPT, tokenizer: Any, recorder: Recorder | None, count: int, **options: Any) -> list[int]:
    engine = Engine(model, tokenizer)
    engine.end_tokens = frozenset()
    if recorder is None:
        return [step.tokens[0] for step in engine.steps(PROMPT, max_tokens=count, **options)]
    with model.capturing(recorder):
        return [step.tokens[0] for step in engine.steps(PROMPT, max_tokens=count, **options)]


def run_whole(model: GPT, tokens: list[int], settings: CaptureSettings) -> dict[str, torch.Tensor]:
    """One forward over a text without a cache."""
    recorder = record(model, settings, len(tokens), 1)
    with model.capturing(recorder), torch.inference_mode():
        model(torch.tensor([tokens]))
    return recorder.tensors(len(tokens))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("summed_in")
def test_same_tokens_with_capture_on_and_off(dtype: str, seed: int) -> None:
    model, tokenizer = golden_model(dtype=dtype)
    without = generate(model, tokenizer, None, 40, seed=seed, temperature=1.0)
    recorder = record(model, EVERYTHING, len(PROMPT) + 39)
    assert generate(model, tokenizer, recorder, 40, seed=seed, temperature=1.0) == without
    assert recorder.length == len(PROMPT) + 39
    assert len(set(without)) > 5


@pytest.mark.parametrize("era", ERA_NAMES)
def test_every_row_equals_a_fresh_forward_over_its_prefix(era: str, summed_in: str) -> None:
    model, tokenizer = golden_model(era)
    recorder = record(model, EVERYTHING, len(PROMPT) + 11)
    tokens = PROMPT + generate(model, tokenizer, recorder, 12, seed=3)
    captured = recorder.tensors(12)
    for length in (len(PROMPT), len(PROMPT) + 5, len(PROMPT) + 11):
        fresh = run_whole(model, tokens[:length], EVERYTHING)
        assert fresh.keys() == captured.keys()
        for name, expected in fresh.items():
            rows = captured[name]
            rows = rows[:, :, :length, :length] if name.startswith("attention_weights") else rows[:, :length]
            assert rows.shape == expected.shape
            if summed_in == "float64":  # the same, or one unit of float32's rounding apart
                assert torch.allclose(rows, expected, rtol=torch.finfo(torch.float32).eps, atol=1e-7), (name, length)
            scale = max(1.0, float(expected.abs().max()))  # these random models' residuals reach 60
            assert float((rows - expected).abs().max()) < 1e-5 * scale, (name, length)


@pytest.mark.parametrize("era", ERA_NAMES)
def test_attention_rows_sum_to_one_and_masked_cells_are_zero(era: str) -> None:
    model, tokenizer = golden_model(era)
    prompt_length, count = len(PROMPT), 190  # past the short windows of every era
    recorder = record(model, CaptureSettings(), prompt_length + count - 1)
    generate(model, tokenizer, recorder, count, seed=1, temperature=1.0)
    positions = torch.arange(recorder.length)
    distance = positions[:, None] - positions
    masked_inside_the_triangle = 0
    for layer, window in enumerate(model.config.windows()):
        weights = recorder.tensors(count)[f"attention_weights.layer_{layer}"][0]
        visible = (distance >= 0) & (distance <= window)
        masked_inside_the_triangle += int(((distance >= 0) & ~visible).sum())
        assert torch.all(weights[:, ~visible] == 0.0)
        assert torch.all(weights[:, visible] >= 0.0)
        assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)
    assert (masked_inside_the_triangle > 0) == (era not in ("A", "Ap"))


def test_generated_logits_are_the_rows_that_tokens_were_drawn_from() -> None:
    model, tokenizer = golden_model()
    every, drawn = (record(model, CaptureSettings(logits=kind), len(PROMPT) + 7) for kind in ("all", "generated"))
    tokens = generate(model, tokenizer, every, 8, temperature=0.0)
    assert generate(model, tokenizer, drawn, 8, temperature=0.0) == tokens
    rows = drawn.tensors(8)["output_logits"]
    assert rows.shape == (1, 8, 300)
    assert rows[0].argmax(-1).tolist() == tokens
    assert torch.equal(rows, every.tensors(8)["output_logits"][:, len(PROMPT) - 1 :])


def test_top_k_logits_with_their_log_sum_exp() -> None:
    model, tokenizer = golden_model()
    top, every = (record(model, CaptureSettings(logits=kind), len(PROMPT) + 4) for kind in (7, "all"))
    generate(model, tokenizer, top, 5, seed=9)
    generate(model, tokenizer, every, 5, seed=9)
    logits, found = every.tensors(5)["output_logits"], top.tensors(5)
    assert torch.equal(found["output_logits.values"], logits.topk(7, dim=-1).values)
    picked = logits.gather(-1, found["output_logits.indices"].long())
    assert torch.equal(picked, found["output_logits.values"])
    assert torch.allclose(found["output_logits.log_sum_exp"], logits.logsumexp(-1))


def test_the_prompts_logits_follow_from_the_final_residual() -> None:
    model, tokenizer = golden_model()
    recorder = record(model, CaptureSettings(sites=("final_residual",)), len(PROMPT) + 2)
    engine = Engine(model, tokenizer)
    engine.prefill_chunk = 4
    with model.capturing(recorder):
        list(engine.steps(PROMPT, max_tokens=3, temperature=0.0))
    expected = run_whole(model, PROMPT, CaptureSettings(logits="all"))["output_logits"][0]
    final = recorder.tensors(3)["final_residual"]
    assert final.shape == (1, len(PROMPT) + 2, 48)
    with torch.inference_mode():
        assert torch.allclose(model.unembed(final)[0, : len(PROMPT)], expected, atol=1e-4)


@pytest.mark.parametrize("era", ERA_NAMES)
def test_sites_hang_together(era: str) -> None:
    model = random_model(era)
    tensors = run_whole(model, PROMPT, EVERYTHING)
    attention = model.transformer.h[1].attn
    layer = {
        name.rsplit(".", 1)[1]: value[0]
        for name, value in tensors.items()
        if name.startswith("layer_activations.layer_1.")
    }
    assert torch.allclose(layer["pre_attn_norm"], norm(layer["residual"]), atol=1e-6)
    assert torch.allclose(layer["pre_mlp_norm"], norm(layer["residual"] + layer["post_attn"]), atol=1e-5)
    assert torch.allclose(
        layer["mlp_hidden"] @ model.transformer.h[1].mlp.c_proj.weight.float().T, layer["post_mlp"], atol=1e-5
    )
    assert torch.allclose(layer["head_output"].sum(1), layer["post_attn"], atol=1e-5)
    v = layer["v"].repeat_interleave(attention.n_head // attention.n_kv_head, dim=1)  # (S, H, D)
    mixed = torch.einsum("hqk,khd->qhd", tensors["attention_weights.layer_1"][0], v)
    assert torch.allclose(attention.per_head(mixed[None].double())[0].float(), layer["head_output"], atol=1e-5)
    scores = torch.einsum("qhd,khd->hqk", layer["q"], layer["k"].repeat_interleave(2, dim=1)) * attention.head_dim**-0.5
    seen = scores.masked_fill(tensors["attention_weights.layer_1"][0] == 0, -torch.inf)
    assert torch.allclose(seen.softmax(-1), tensors["attention_weights.layer_1"][0], atol=1e-5)


def test_last_residual_leads_to_the_logits() -> None:
    model = random_model("F")
    tensors = run_whole(model, PROMPT, EVERYTHING)
    block = {site: tensors[f"layer_activations.layer_1.{site}"] for site in ("residual", "post_attn", "post_mlp")}
    middle = block["residual"] + block["post_attn"] + block["post_mlp"]  # after block n_layer // 2 = 1
    final = tensors["layer_activations.layer_3.residual"] - model.backout_lambda * middle
    assert torch.allclose(final.float(), tensors["final_residual"], atol=1e-4)
    with torch.inference_mode():
        assert torch.allclose(model.unembed(final), tensors["output_logits"], atol=1e-4)


def test_narrowed_capture_keeps_what_was_asked_for_and_no_more() -> None:
    model, tokenizer = golden_model()
    settings = CaptureSettings.parse({"layers": [2, 0], "sites": ["attention_weights", "post_mlp"], "logits": None})
    recorder = record(model, settings, len(PROMPT) + 3)
    generate(model, tokenizer, recorder, 4)
    assert set(recorder.tensors(4)) == {
        "attention_weights.layer_0",
        "attention_weights.layer_2",
        "layer_activations.layer_0.post_mlp",
        "layer_activations.layer_2.post_mlp",
    }
    assert model.transformer.h[1].post_mlp is None
    assert model.output_logits is None
    everything = run_whole(model, PROMPT, EVERYTHING)
    narrowed = run_whole(model, PROMPT, settings)
    for name, value in narrowed.items():
        assert torch.equal(value, everything[name])


def test_the_attributes_that_the_user_was_promised() -> None:
    model, tokenizer = golden_model()
    block = model.transformer.h[1]
    assert_no_captures(model)
    recorder = record(model, CaptureSettings(), len(PROMPT) + 5)
    generate(model, tokenizer, recorder, 6)
    positions, config = len(PROMPT) + 5, model.config
    assert block.attn.attention_weights.shape == (1, config.n_head, positions, positions)
    for site in (block.pre_attn_norm, block.post_attn, block.pre_mlp_norm, block.post_mlp, model.token_embeddings):
        assert site.shape == (1, positions, config.n_embd)
    assert model.output_logits is not None
    assert model.output_logits.shape == (1, 6, config.vocab_size)
    assert torch.equal(model.token_embeddings[0, : len(PROMPT)], model.transformer.wte.weight[PROMPT])
    model.attach(None)
    assert_no_captures(model)


def assert_no_captures(model: GPT) -> None:
    block = model.transformer.h[1]
    values = [block.pre_attn_norm, block.post_attn, block.pre_mlp_norm, block.post_mlp, block.attn.attention_weights]
    assert [*values, model.token_embeddings, model.output_logits] == [None] * 7


@pytest.mark.parametrize("era", ERA_NAMES)
@pytest.mark.parametrize("layers", [None, (1, 3)])
def test_weights_that_a_kernel_hides_are_computed_when_they_are_read(
    monkeypatch: pytest.MonkeyPatch, era: str, layers: tuple[int, ...] | None
) -> None:
    model, tokenizer = golden_model(era)
    settings, positions = CaptureSettings(layers=layers, sites=("attention_weights", "k")), len(PROMPT) + 150
    beside = record(model, settings, positions)
    tokens = generate(model, tokenizer, beside, 151, seed=4)
    for module in (attention, recorder_module):
        monkeypatch.setattr(module, "returns_weights", lambda device, dtype: False)
    monkeypatch.setattr(recorder_module, "QUERIES", 64)  # three times
    late = record(model, settings, positions)
    wanted = list(layers or range(4))
    assert late.taken == {"q": wanted, "k": wanted}
    with monkeypatch.context() as patch:
        patch.setattr(gpt, "attention_weights", None)  # a forward computes none
        assert generate(model, tokenizer, late, 151, seed=4) == tokens
    expected, found = beside.tensors(151), late.tensors(151)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-6), name
        assert torch.equal(found[name] == 0, value == 0), name
    block = model.transformer.h[1].attn
    assert torch.equal(block.attention_weights, found["attention_weights.layer_1"])
    assert block.q is None
    assert block.k is not None
    assert (model.transformer.h[2].attn.attention_weights is None) == (layers is not None)


def test_a_capture_of_no_layers_has_what_no_layer_has() -> None:
    model, tokenizer = golden_model()
    taken = record(model, CaptureSettings(layers=(), sites=(*DEFAULT_SITES, "mlp_hidden")), len(PROMPT) + 3)
    generate(model, tokenizer, taken, 4)
    assert set(taken.tensors(4)) == {"token_embeddings", "output_logits"}


def test_reading_a_capture_can_be_cancelled() -> None:
    model, tokenizer = golden_model()
    taken, cancel = record(model, CaptureSettings(), len(PROMPT) + 3), threading.Event()
    generate(model, tokenizer, taken, 4)
    taken.tensors(4, cancel)
    cancel.set()
    with pytest.raises(CancelledError):
        taken.tensors(4, cancel)


def test_room_for_late_weights_is_asked_for_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "returns_weights", lambda device, dtype: False)
    model = random_model("A", sequence_len=1_000_000, vocab_size=300)
    with pytest.raises(SettingInvalidError, match="does not fit in memory"):
        record(model, CaptureSettings(sites=("attention_weights",), logits=None), 9_000_000)


@pytest.mark.parametrize("logits", ["all", "generated", 7])
def test_no_room_is_read_that_was_not_written(monkeypatch: pytest.MonkeyPatch, logits: Any) -> None:
    model, tokenizer = golden_model()
    settings = dataclasses.replace(EVERYTHING, logits=logits)
    expected = record(model, settings, len(PROMPT) + 5)
    generate(model, tokenizer, expected, 6)
    taken = []

    def used_before(*shape: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        taken.append(shape)
        return torch.full(shape, 77, dtype=dtype, device=device)

    monkeypatch.setattr(torch, "empty", used_before)
    recorder = record(model, settings, len(PROMPT) + 9)
    monkeypatch.undo()
    generate(model, tokenizer, recorder, 6)
    assert len(taken) > 4
    for name, value in recorder.tensors(6).items():
        assert torch.equal(value, expected.tensors(6)[name]), name


def test_a_finished_capture_takes_no_more() -> None:
    model, tokenizer = golden_model()
    recorder = record(model, CaptureSettings(), len(PROMPT) + 3)
    generate(model, tokenizer, recorder, 4)
    before = {name: value.clone() for name, value in recorder.tensors(4).items()}
    generate(model, tokenizer, None, 30, seed=5)
    assert recorder.length == len(PROMPT) + 3
    assert all(torch.equal(value, before[name]) for name, value in recorder.tensors(4).items())


@torch.inference_mode()
def test_rows_at_different_positions_decode_and_capture_as_if_alone(summed_in: str) -> None:
    model = random_model("F", sequence_len=256)
    prompts = [PROMPT, PROMPT[:3], PROMPT * 15]  # the last is past the short window
    following = [[5, 6, 7], [50, 60, 70], [105, 106, 107]]
    settings = dataclasses.replace(EVERYTHING, logits="all")
    cache = KVCache(3, 2, 160, 16, 3, "cpu", model.compute_dtype)
    recorders = [record(model, settings, len(prompt) + 3, 1) for prompt in prompts]
    for row, prompt in enumerate(prompts):
        alone = KVCache(1, 2, len(prompt), 16, 3, "cpu", model.compute_dtype)
        with model.capturing(recorders[row]):
            model(torch.tensor([prompt]), kv_cache=alone)
        cache.load_row(row, alone)
    with model.capturing(*recorders):
        for column in zip(*following, strict=True):
            model(torch.tensor(column)[:, None], kv_cache=cache)
    assert cache.positions == [len(prompt) + 3 for prompt in prompts]
    for recorder, prompt, tail in zip(recorders, prompts, following, strict=True):
        expected = run_whole(model, prompt + tail, settings)
        for name, value in recorder.tensors(3).items():
            assert torch.allclose(value, expected[name], atol=1e-4 if summed_in == "float32" else 1e-6), name


@pytest.mark.parametrize(
    ("capture", "message"),
    [
        ({"sites": ["post_mlp", "elsewhere"]}, "elsewhere"),
        ({"layer": [0]}, "layer"),
        ({"logits": "some"}, "logits"),
        ({"logits": 0}, "logits"),
        ({"logits": True}, "logits"),
        ({"dtype": "int8"}, "int8"),
        ({"layers": 3}, "layers"),
        ({"layers": ["0"]}, "layers"),
        ({"sites": "post_mlp"}, "sites"),
        ({"dtype": ["float32"]}, "Cannot store captures as .'float32'"),
        ({"layer": [0], 5: None}, "capture has no setting 5"),
        ("all", "capture='all': use a mapping of layers"),
        ([1], "use a mapping of layers"),
    ],
)
def test_settings_out_of_range_are_named(capture: Any, message: str) -> None:
    with pytest.raises(SettingInvalidError, match=message):
        CaptureSettings.parse(capture)


@pytest.mark.parametrize("sites", [DEFAULT_SITES, ("token_embeddings",), ("final_residual",)])
def test_a_layer_that_the_model_lacks_is_named(sites: tuple[str, ...]) -> None:
    model, _ = golden_model()
    with pytest.raises(SettingInvalidError, match=r"no layer 4.*layers 0 to 3"):
        record(model, CaptureSettings(layers=(4,), sites=sites), 10)


def test_a_capture_that_cannot_fit_in_memory_says_so() -> None:
    model = random_model("A", sequence_len=10_000_000, vocab_size=300)
    with pytest.raises(SettingInvalidError, match="does not fit in memory"):
        record(model, CaptureSettings(), 90_000_000)


def test_default_sites_are_the_users() -> None:
    assert set(DEFAULT_SITES) == {
        "token_embeddings",
        "attention_weights",
        "pre_attn_norm",
        "post_attn",
        "pre_mlp_norm",
        "post_mlp",
    }


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_built_in_model_says_the_same_with_capture_for_a_hundred_seeds(dtype: str) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval", dtype=dtype)
    engine = Engine(model, tokenizer)
    prompt = tokenizer.encode("Alice and Bob went to", prepend="<|bos|>")
    different = set()
    for seed in range(100):
        without = [step.tokens[0] for step in engine.steps(prompt, 1, 16, 1.0, None, seed)]
        with model.capturing(record(model, CaptureSettings(), len(prompt) + 15, len(prompt))):
            assert [step.tokens[0] for step in engine.steps(prompt, 1, 16, 1.0, None, seed)] == without
        different.add(tuple(without))
    assert len(different) > 50
