import copy

import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import SITES, CaptureSettings
from nanochat.checkpoint_manager import load_model
from scripts.demo_training.scale import LARGEST, greatest_activations, make_readable, rescale, sample_texts
from tests.models import golden_model, random_model

UNITS = [1 / 128, 1 / 4, 1.0, 1 / 1024]
IDS = list(range(40, 60))


def run(model, ids):
    """Logits and every site of one forward, as tensors by name."""
    settings = CaptureSettings(sites=tuple(SITES), logits="all")
    recorder = Recorder(model.config, settings, len(ids), len(ids), model.get_device(), model.dtype)
    with model.capturing(recorder), torch.inference_mode():
        model(torch.tensor([ids]))
    return recorder.tensors(0)


@pytest.fixture
def pair(monkeypatch):
    """A random model and its rescaled self, in float64, with next to no epsilon in the norms."""
    monkeypatch.setattr("nanochat.gpt.NORM_EPSILON", torch.finfo(torch.float64).eps)
    model = random_model("F", n_layer=len(UNITS)).double()
    rescaled = copy.deepcopy(model)
    rescale(rescaled, UNITS)
    return model, rescaled


def test_rescaling_leaves_the_logits(pair):
    before, after = (run(model, IDS)["output_logits"] for model in pair)
    assert before.std() > 0.1
    assert (after - before).abs().max() < 1e-6  # logits are float32


def test_rescaling_gives_every_site_its_unit(pair):
    before, after = (run(model, IDS) for model in pair)
    for layer, unit in enumerate(UNITS):
        root = {1 / 128: 1 / 16, 1 / 4: 1 / 2, 1.0: 1.0, 1 / 1024: 1 / 32}[unit]
        factors = dict.fromkeys(("residual", "head_output", "post_attn", "post_mlp"), unit)
        factors |= {"v": root, "mlp_hidden": root**2, "pre_attn_norm": 1.0, "pre_mlp_norm": 1.0, "q": 1.0, "k": 1.0}
        for site, factor in factors.items():
            name = f"layer_activations.layer_{layer}.{site}"
            assert torch.allclose(after[name], factor * before[name], rtol=1e-6, atol=1e-9), name
    for name in ("layer_activations.layer_4.residual", "final_residual"):
        assert torch.allclose(after[name], UNITS[-1] * before[name], rtol=1e-6, atol=1e-9), name


def test_rescaling_changes_no_digit_of_a_weight(pair):
    before, after = (model.state_dict() for model in pair)
    for name, value in before.items():
        assert torch.equal(torch.frexp(value).mantissa, torch.frexp(after[name]).mantissa), name


def test_large_activations_come_below_the_bound():
    model, tokenizer = golden_model()
    with torch.no_grad():
        model.transformer.h[2].mlp.c_proj.weight *= 30
    ids = next(sample_texts(tokenizer, 256))
    before, large = run(model, ids)["output_logits"], greatest_activations(model, tokenizer)
    units = make_readable(model, tokenizer)
    small = greatest_activations(model, tokenizer)
    assert large[2] > 150
    assert max(small) < LARGEST
    assert small == pytest.approx([unit * found for unit, found in zip(units, large, strict=True)], rel=1e-3)
    assert all(unit == 1.0 or found >= LARGEST / 2 for unit, found in zip(units, small, strict=True))
    assert (run(model, ids)["output_logits"] - before).abs().max() < 1e-3


def test_small_activations_stay_as_they_are():
    model, tokenizer = golden_model()
    make_readable(model, tokenizer)
    weights = copy.deepcopy(model.state_dict())
    assert make_readable(model, tokenizer) == [1.0] * model.config.n_layer
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_the_shipped_model_keeps_every_site_below_the_bound():
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    assert max(greatest_activations(model, tokenizer)) < LARGEST
    for ids in list(sample_texts(tokenizer, 256))[::20]:
        tensors = run(model, ids)
        del tensors["output_logits"]
        assert max(float(value.abs().max()) for value in tensors.values()) < LARGEST


def test_sample_texts_are_always_the_same():
    _, tokenizer = golden_model()
    first, second = (list(sample_texts(tokenizer, 64)) for _ in range(2))
    assert first == second
    assert max(map(len, first)) <= 64
