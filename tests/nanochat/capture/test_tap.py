"""A value that is changed at one site is seen everywhere downstream of it, and nowhere else."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from nanochat.attention import Span
from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import SITES, CaptureSettings
from nanochat.capture.tap import Edit, tap
from nanochat.gpt import GPT
from nanochat.kv_cache import KVCache
from tests.models import ERA_NAMES, random_model

IDS = torch.tensor([[5, 120, 7, 88, 5, 120, 250, 3]])
LAYER = 1
EVERYTHING = CaptureSettings(sites=tuple(SITES), logits="all")
ORDER = tuple(SITES)  # as the model computes them, layer by layer
EDITABLE = tuple(name for name in ORDER if SITES[name].editable)


def run(model: GPT, edits: dict[tuple[str, int], Edit], chunks: int = 1) -> dict[str, Tensor]:
    """Everything captured of a text, its logits among it; in chunks, over a cache."""
    count = IDS.size(1)
    recorder = Recorder(model.config, EVERYTHING, count, 1, model.get_device(), model.dtype)
    cache = KVCache(1, 2, count, 16, 3, "cpu", model.compute_dtype)
    with torch.inference_mode(), model.capturing(recorder, edits=edits):
        for ids in IDS.chunk(chunks, dim=1):
            model(ids, kv_cache=cache)
    return recorder.tensors(count)


def doubled(value: Tensor, span: Span) -> Tensor:
    return value * 2


def silenced(value: Tensor, span: Span, axis: int, head: int) -> Tensor:
    value = value.clone()
    value.select(axis, head).zero_()
    return value


def upstream(site: str) -> set[str]:
    """The tensors that are computed before a site of LAYER."""
    place = ORDER.index(site)
    before = {"token_embeddings", *(SITES[name].tensor_name(layer) for name in ORDER[3:] for layer in range(LAYER))}
    before |= {SITES["residual"].tensor_name(layer) for layer in range(LAYER)}
    return before | {SITES[name].tensor_name(LAYER) for name in ORDER[3:place]}


@pytest.mark.parametrize("site", [name for name in EDITABLE if SITES[name].layers(random_model().config) > 1])
def test_a_change_is_seen_at_its_site_and_downstream_alone(site: str) -> None:
    model = random_model("F")
    plain, edited = run(model, {}), run(model, {(site, LAYER): doubled})
    name = SITES[site].tensor_name(LAYER)
    assert torch.allclose(edited[name], plain[name] * 2, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(edited[before], plain[before]) for before in upstream(site))
    after = SITES["post_mlp"].tensor_name(LAYER + 1)
    assert not torch.allclose(edited[after], plain[after], atol=1e-3)
    assert not torch.allclose(edited["output_logits"], plain["output_logits"], atol=1e-3)


@pytest.mark.parametrize("site", ["token_embeddings", "final_residual"])
def test_sites_outside_the_layers_can_be_changed_too(site: str) -> None:
    def shifted(value: Tensor, span: Span) -> Tensor:
        return value + torch.arange(value.size(-1)) / value.size(-1)

    model = random_model("F")
    plain, edited = run(model, {}), run(model, {(site, 0): shifted})
    assert torch.allclose(edited[site], shifted(plain[site], Span([0], 1, torch.device("cpu"))), atol=1e-5)
    assert not torch.allclose(edited["output_logits"], plain["output_logits"], atol=1e-3)


def without(model: GPT, part: str, columns: slice = slice(None)) -> GPT:
    with torch.no_grad():
        model.transformer.h[LAYER].get_submodule(part).weight[:, columns] = 0.0
    return model


def zero(value: Tensor, span: Span) -> Tensor:
    return torch.zeros_like(value)


HEAD_3_OFF = partial(without, part="attn.c_proj", columns=slice(48, 64))


@pytest.mark.parametrize(
    ("site", "edit", "ablate"),
    [
        ("post_attn", zero, partial(without, part="attn.c_proj")),
        ("post_mlp", zero, partial(without, part="mlp.c_proj")),
        ("mlp_hidden", zero, partial(without, part="mlp.c_proj")),
        ("head_output", partial(silenced, axis=2, head=3), HEAD_3_OFF),
        ("attention_weights", partial(silenced, axis=1, head=3), HEAD_3_OFF),
    ],
)
def test_silencing_a_site_is_what_weights_of_zero_do(site: str, edit: Edit, ablate: Callable[[GPT], GPT]) -> None:
    edited = run(random_model("F"), {(site, LAYER): edit})
    expected = run(ablate(random_model("F")), {})
    assert torch.allclose(edited["output_logits"], expected["output_logits"], atol=1e-5)


@pytest.mark.parametrize("era", ERA_NAMES)
@pytest.mark.parametrize(
    ("site", "axis"), [("q", 2), ("k", 2), ("v", 2), ("attention_weights", 1), ("head_output", 2), ("residual", 2)]
)
def test_a_change_is_the_same_token_by_token(era: str, site: str, axis: int) -> None:
    model, edits = random_model(era), {(site, LAYER): partial(silenced, axis=axis, head=0)}
    whole, stepped = run(model, edits), run(model, edits, chunks=IDS.size(1))
    assert all(torch.allclose(stepped[name], whole[name], atol=1e-5) for name in whole)


def test_a_change_may_be_of_one_position() -> None:
    def at_four(value: Tensor, span: Span) -> Tensor:
        return torch.where((span.positions == 4)[..., None], value + 1.0, value)

    model = random_model("F")
    plain, edited = run(model, {}), run(model, {("post_mlp", LAYER): at_four}, chunks=4)
    changed = (edited["output_logits"] - plain["output_logits"]).abs().amax(dim=(0, 2)) > 1e-4
    assert changed.tolist() == [False] * 4 + [True] * 4


def test_a_change_ends_with_its_block() -> None:
    model = random_model("F")
    before = model(IDS)
    run(model, {("post_mlp", LAYER): zero})
    assert torch.equal(model(IDS), before)


def test_nobody_listening_costs_one_look() -> None:
    model, value = random_model("F"), object()
    assert tap(model.transformer.h[0], "post_attn", value) is value


def test_changing_nothing_changes_nothing() -> None:
    model = random_model("F")
    plain, edited = run(model, {}), run(model, {(name, LAYER): lambda value, span: value for name in EDITABLE[3:]})
    assert all(torch.allclose(edited[name], plain[name], atol=1e-5) for name in plain)
