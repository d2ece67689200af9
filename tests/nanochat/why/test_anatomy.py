"""A logit as a sum: it closes on every model, and each part is what the model makes of it with the rest frozen."""

import math
import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch

from nanochat.attention import Span
from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import FINAL, CaptureSettings
from nanochat.capture.tap import Edit, SiteLayer
from nanochat.errors import CancelledError, SettingInvalidError
from nanochat.gpt import GPT, NORM_EPSILON
from nanochat.why import anatomy
from nanochat.why.anatomy import Attribution, Component, attribute_logits
from tests.models import random_model
from tests.nanochat.why.models import EVERY, model_of

every_model = pytest.mark.parametrize("case", EVERY)
WRITTEN = ("post_attn", "post_mlp")


@torch.inference_mode()
def logits_before_the_softcap(model: GPT, tokens: tuple[int, ...]) -> np.ndarray:
    """(T, vocab), undone from the model's own."""
    capped = model(torch.tensor([tokens]))[0].double() / model.era.softcap
    return (model.era.softcap * torch.atanh(capped)).numpy()


@every_model
def test_the_sum_closes_at_every_position(case: str) -> None:
    model, tokens = model_of(case)
    before = logits_before_the_softcap(model, tokens)
    own = model(torch.tensor([tokens]))[0].detach().double().numpy()
    for position in range(len(tokens)):
        token, against = (17 * position) % model.config.vocab_size, (position + 1) % model.config.vocab_size
        pair = position % 2 and token != against
        found = attribute_logits(model, tokens, position, token, against if pair else None, neurons=position % 3)
        assert abs(math.fsum(part.value for part in found.components) - found.total) == found.error
        assert found.error < 1e-9
        signs, chosen = (np.array([1, -1]), [token, against]) if pair else (np.array([1]), [token])
        assert found.logit == pytest.approx(signs @ own[position, chosen], abs=1e-6)
        assert found.total == pytest.approx(signs @ before[position, chosen], abs=2e-3)  # atanh magnifies float32


@every_model
def test_each_part_is_there(case: str) -> None:
    model, tokens = model_of(case)
    config, era = model.config, model.era
    found = attribute_logits(model, tokens, 6, 1, neurons=2).components
    named = [(part.kind, part.layer, part.head, part.part) for part in found if part.kind != "neuron"]
    embedding = ["own", "smeared"] if era.smear else [None]
    expected: list[tuple[str, int | None, int | None, str | None]]
    expected = [("embedding", None, None, part) for part in embedding]
    expected += [("x0", layer, None, None) for layer in range(config.n_layer) if era.lambdas]
    for layer in range(config.n_layer):
        split = ["projected", "value_embedding"] if config.has_value_embedding(layer) else [None]
        expected += [("head", layer, head, part) for head in range(config.n_head) for part in split]
        expected.append(("mlp", layer, None, "rest"))
    expected += [("backout", config.n_layer // 2, None, None)] if era.smear else []
    assert named == expected
    assert sum(part.kind == "neuron" for part in found) == 2 * config.n_layer


@every_model
def test_what_backout_takes_of_each_part_sums_to_what_it_takes(case: str) -> None:
    model, tokens = model_of(case)
    found = attribute_logits(model, tokens, 7, 3).components
    taken = math.fsum(part.backout or 0.0 for part in found)
    assert taken == pytest.approx(sum(part.value for part in found if part.kind == "backout"), abs=1e-9)


@every_model
def test_a_heads_sources_sum_to_it(case: str) -> None:
    model, tokens = model_of(case)
    position = len(tokens) - 1
    for part in attribute_logits(model, tokens, position, 3, sources=len(tokens)).components:
        if part.kind == "head":
            assert part.layer is not None
            window = model.transformer.h[part.layer].attn.window
            assert math.fsum(value for _, value in part.sources) == pytest.approx(part.value, abs=1e-9)
            assert sorted(at for at, _ in part.sources) == list(range(max(0, position - window), position + 1))
            sizes = [abs(value) for _, value in part.sources]
            assert sizes == sorted(sizes, reverse=True)


class Frozen:
    """A model whose blocks write what they wrote of a text once, whatever they read, as a direction sees it."""

    def __init__(self, model: GPT, tokens: tuple[int, ...], position: int, token: int):
        self.model, self.ids, self.position = model, torch.tensor([tokens]), position
        self.writes: dict[SiteLayer, torch.Tensor] = {}
        final = self.run({(site, layer): self._note(site, layer) for layer in self.layers() for site in WRITTEN})
        scale = (final.square().mean() + NORM_EPSILON).sqrt()
        self.direction = model.lm_head.weight[token].detach().double() / scale
        self.before = float(self.direction @ final)

    def layers(self) -> range:
        return range(self.model.config.n_layer)

    def _note(self, site: str, layer: int) -> Edit:
        def note(value: torch.Tensor, span: Span) -> torch.Tensor:
            self.writes[site, layer] = value
            return value

        return note

    @torch.inference_mode()
    def run(self, edits: dict[SiteLayer, Edit]) -> torch.Tensor:
        """The stream that the final norm reads at the position, float64."""
        config, device, dtype = self.model.config, self.model.get_device(), self.model.compute_dtype
        settings = CaptureSettings(sites=(FINAL,), logits=None)
        recorder = Recorder(config, settings, self.ids.size(1), 1, device, dtype)
        with self.model.capturing(recorder, edits=edits):
            self.model(self.ids)
        stream = recorder.view(FINAL, 0)
        self.model.attach(None)
        assert stream is not None
        return stream[0, self.position].double()

    def change(self, site: str, layer: int, function: Callable[[torch.Tensor], torch.Tensor]) -> float:
        """By how much the logit of the frozen norm changes where a site of a layer does and nothing after it reacts."""
        own = "post_attn" if site in ("head_output", "attention_weights") else "post_mlp"
        later = [(name, after) for after in self.layers() for name in WRITTEN if after >= layer]
        frozen: dict[SiteLayer, Edit] = {
            place: lambda value, span, place=place: self.writes[place]
            for place in later
            if place != (own, layer) and (place[1] > layer or own == "post_attn")
        }
        frozen[site, layer] = lambda value, span: function(value.clone())
        return float(self.direction @ self.run(frozen)) - self.before


def of(found: Attribution, kind: str, **place: int) -> list[Component]:
    """The components of a kind at a place."""
    parts = [part for part in found.components if part.kind == kind]
    return [part for part in parts if all(getattr(part, key) == value for key, value in place.items())]


def net(parts: list[Component]) -> float:
    """What is left of them at the end."""
    return sum(part.value + (part.backout or 0.0) for part in parts)


@every_model
def test_parts_are_finite_differences_of_the_model_with_the_rest_frozen(case: str) -> None:
    model, tokens = model_of(case)
    position, token, step = len(tokens) - 1, 5, 1e-3
    found = attribute_logits(model, tokens, position, token, neurons=3, sources=3)
    frozen = Frozen(model, tokens, position, token)
    assert frozen.before == pytest.approx(found.total, abs=1e-9)

    def scaled(*place: int) -> Callable[[torch.Tensor], torch.Tensor]:
        def scale(value: torch.Tensor) -> torch.Tensor:
            value[(0, *place)] *= 1 + step
            return value

        return scale

    for layer in frozen.layers():
        for head in range(model.config.n_head):
            parts = of(found, "head", layer=layer, head=head)
            difference = frozen.change("head_output", layer, scaled(position, head)) / step
            assert difference == pytest.approx(net(parts), abs=1e-6)
        for neuron in of(found, "neuron", layer=layer):
            assert neuron.neuron is not None
            difference = frozen.change("mlp_hidden", layer, scaled(position, neuron.neuron)) / step
            assert difference == pytest.approx(net([neuron]), abs=1e-6)
        mlp = [*of(found, "mlp", layer=layer), *of(found, "neuron", layer=layer)]
        assert frozen.change("mlp_hidden", layer, scaled(position)) / step == pytest.approx(net(mlp), abs=1e-6)


@pytest.mark.parametrize("case", ["A/gqa_windowed", "C/gqa_windowed", "F/gqa_windowed", "demo"])
def test_sources_are_finite_differences_of_the_weights(case: str) -> None:
    model, tokens = model_of(case)
    position, token, step, layer = len(tokens) - 1, 5, 1e-3, model.config.n_layer - 1
    found = attribute_logits(model, tokens, position, token, sources=len(tokens))
    frozen = Frozen(model, tokens, position, token)
    for head in range(model.config.n_head):
        parts = of(found, "head", layer=layer, head=head)
        for source in (0, position // 2, position):

            def scale(weights: torch.Tensor, head: int = head, source: int = source) -> torch.Tensor:
                weights[0, head, position, source] *= 1 + step
                return weights

            expected = sum(dict(part.sources)[source] for part in parts)
            assert frozen.change("attention_weights", layer, scale) / step == pytest.approx(expected, abs=1e-6)


def test_the_built_in_model_has_its_capital_from_the_last_mlp() -> None:
    model, tokens = model_of("demo")
    found = attribute_logits(model, tokens, len(tokens) - 1, 348, 347)
    assert found.total == pytest.approx(9.15, abs=0.005)
    writers = found.by_writer()
    assert writers["MLP 3"] == pytest.approx(9.18, abs=0.005)
    assert writers["head 3.2"] == pytest.approx(sum(part.value for part in of(found, "head", layer=3, head=2)))
    assert sum(writers.values()) == pytest.approx(found.total, abs=1e-9)


def test_float32_closes_as_far_as_float32_does() -> None:
    model, tokens = random_model("F").float(), tuple(range(7, 47))
    found = attribute_logits(model, tokens, 30, 5)
    assert 1e-12 < found.error < 1e-4


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"position": 40}, "no position 40: there are 0 to 39"),
        ({"position": True}, "position True: give a whole number"),
        ({"token": 300}, "no token 300: there are 0 to 299"),
        ({"against": -1}, "no token -1"),
        ({"token": 2.0}, "token 2.0: give a whole number"),
        ({"tokens": []}, "no token to read"),
    ],
)
def test_what_there_is_not_is_refused_before_any_work(
    wish: dict[str, int], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens = model_of("F")
    monkeypatch.setattr(anatomy, "read_forward", None)
    with pytest.raises(SettingInvalidError, match=message):
        attribute_logits(model, **{"tokens": tokens, "position": 3, "token": 4, **wish})  # type: ignore[arg-type]


def test_a_cancel_ends_it() -> None:
    event = threading.Event()
    event.set()
    model, tokens = model_of("F")
    with pytest.raises(CancelledError):
        attribute_logits(model, tokens, 3, 4, cancel=event)
