"""Beside the transformers library's NanoChat, which is architecture A: the same weights, changed by torch's hooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from nanochat.why.ablation import ablation_scan
from nanochat.why.anatomy import attribute_logits
from nanochat.why.lens import Point, logit_lens
from nanochat.why.patching import Pair, pair_of, patch_scan
from nanochat.why.patching.runs import What
from tests.models import GOLDEN
from tests.nanochat.why.models import CASES
from tests.nanochat.why.their_nanochat import Change, Site, at, both, head_part, our_logits, their_logits, values_of

TOLERANCE = 1e-4
LENGTH = 24  # tokens of a prompt
WHATS: tuple[What, ...] = ("heads", "attention", "mlp", "residual")
every_case = pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("A/", "Ap/"))])


@pytest.fixture(autouse=True, scope="module")
def offline() -> Iterator[None]:
    """Nothing is asked of a hub; this is read when the library is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TRANSFORMERS_VERBOSITY", "error")
        yield


def apart(one: ArrayLike, other: ArrayLike) -> float:
    """The largest difference."""
    return float(np.abs(np.subtract(one, other)).max())


@every_case
def test_the_same_weights_give_the_same_logits(case: str) -> None:
    golden = np.load(GOLDEN / case / "golden.npz")["logits"]
    assert apart(our_logits(case), their_logits(case)) < TOLERANCE
    assert apart(golden, their_logits(case)) < TOLERANCE


@every_case
def test_a_head_that_an_intervention_zeroes_is_one_that_a_hook_zeroes(case: str) -> None:
    model, _, _ = both(case)
    plain = their_logits(case)
    for layer in range(model.config.n_layer):
        for head in range(model.config.n_head):
            expected = their_logits(case, {("heads", layer): at(head_part(model, head), torch.zeros_like)})
            with model.editing([{"op": "zero", "site": "head_output", "layer": layer, "heads": [head]}]):
                found = our_logits(case)
            assert apart(expected, plain) > 100 * TOLERANCE
            assert apart(found, expected) < TOLERANCE


INTERVENTIONS: list[tuple[dict[str, Any], Site, Change]] = [
    (
        {"op": "scale", "site": "post_mlp", "layer": 1, "positions": [3, [7, 9]], "value": -2.0},
        ("mlp", 1),
        at((0, [3, 7, 8]), lambda part: -2.0 * part),
    ),
    (
        {"op": "add", "site": "residual", "layer": 2, "positions": [[5, 11]], "value": 1.5},
        ("residual", 2),
        at((0, slice(5, 11)), lambda part: part + 1.5),
    ),
    (
        {"op": "set", "site": "mlp_hidden", "layer": 0, "neurons": [5, 11], "value": 3.0},
        ("neurons", 0),
        at((..., [5, 11]), lambda part: 3.0),
    ),
    ({"op": "zero", "site": "post_attn", "layer": 1}, ("attention", 1), torch.zeros_like),
]


@every_case
@pytest.mark.parametrize(("intervention", "site", "change"), INTERVENTIONS, ids=["scale", "add", "set", "zero"])
def test_an_intervention_is_what_a_hook_makes_of_the_same_value(
    case: str, intervention: dict[str, Any], site: Site, change: Change
) -> None:
    expected = their_logits(case, {site: change})
    with both(case)[0].editing([intervention]):
        found = our_logits(case)
    assert apart(expected, their_logits(case)) > 100 * TOLERANCE
    assert apart(found, expected) < TOLERANCE


@every_case
def test_an_ablation_scan_is_what_hooks_find(case: str) -> None:
    model, _, tokens = both(case)
    last = LENGTH - 1
    scan = ablation_scan(model, tokens, last, top=3)
    for effect in scan.effects:
        for outcome, positions in ((effect.everywhere, slice(None)), (effect.here, slice(last, None))):
            where = (0, positions) if effect.head is None else head_part(model, effect.head, positions)
            site = ("mlp" if effect.head is None else "heads", effect.layer)
            logits = their_logits(case, {site: at(where, torch.zeros_like)}, tokens[:LENGTH])[-1]
            shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
            assert outcome.logit == pytest.approx(logits[scan.token], abs=TOLERANCE)
            assert outcome.probability == pytest.approx(shares[scan.token], abs=TOLERANCE)
            assert [share for _, share in outcome.top] == pytest.approx(np.sort(shares)[::-1][:3], abs=TOLERANCE)


def pair_for(case: str) -> Pair:
    """Two texts that part at two positions, and the tokens whose logits that moves apart the furthest."""
    model, _, tokens = both(case)
    clean = tokens[:LENGTH]
    corrupted = tuple((t + 11) % model.config.vocab_size if i in (4, LENGTH - 3) else t for i, t in enumerate(clean))
    moved = their_logits(case, tokens=clean)[-1] - their_logits(case, tokens=corrupted)[-1]
    return pair_of(model.config, clean, corrupted, int(moved.argmax()), int(moved.argmin()))


@every_case
@pytest.mark.parametrize("what", WHATS)
def test_a_patch_from_the_clean_prompt_is_what_a_hook_carries_over(case: str, what: What) -> None:
    model, pair = both(case)[0], pair_for(case)

    def gap(tokens: tuple[int, ...], changes: dict[Site, Change] | None = None) -> float:
        logits = their_logits(case, changes, tokens)[-1]
        return float(logits[pair.answer] - logits[pair.against])

    scan, clean, corrupted = patch_scan(model, pair, what), gap(pair.clean), gap(pair.corrupted)
    assert clean - corrupted > 100 * TOLERANCE
    assert (scan.clean, scan.corrupted) == pytest.approx((clean, corrupted), abs=TOLERANCE)
    values, expected = values_of(case, pair.clean, what), []
    for layer in scan.axes.layers:
        value = values[what, layer]
        wheres = [head_part(model, unit) if what == "heads" else (0, unit) for unit in scan.axes.units]
        patches = [at(where, lambda _, kept=value[where]: kept) for where in wheres]
        gaps = [gap(pair.corrupted, {(what, layer): patch}) for patch in patches]
        expected.append([(found - corrupted) / (clean - corrupted) for found in gaps])
    assert np.abs(expected).max() > 0.1
    assert apart(scan.effects, expected) < TOLERANCE


@every_case
@torch.inference_mode()
def test_the_logit_lens_is_their_hidden_states_through_their_norm_and_unembedding(case: str) -> None:
    model, theirs, tokens = both(case)
    size, depth = model.config.vocab_size, model.config.n_layer
    states = theirs(input_ids=torch.tensor([tokens]), output_hidden_states=True, use_cache=False).hidden_states
    assert len(states) == depth + 1  # the last is normed already, and stays what it is if it is normed again
    streams = {Point(None, "embedding"): states[0], Point(None, "output"): states[-1]}
    streams |= {Point(layer, "mlp"): states[layer + 1] for layer in range(depth)}
    streams |= {Point(layer, "attention"): value for (_, layer), value in values_of(case, tokens, "between").items()}
    cap = float(theirs.config.final_logit_softcapping or 0.0)
    found = logit_lens(model, tokens, range(0, len(tokens), 5), chosen=range(size), followers=False)
    assert set(found.points) == set(streams)
    final = their_log_shares(theirs.lm_head(theirs.model.norm(states[-1]))[0, :, :size], cap)[1]
    for point, beliefs in zip(found.points, found.beliefs, strict=True):
        logits, shares = their_log_shares(theirs.lm_head(theirs.model.norm(streams[point]))[0, :, :size], cap)
        for belief in beliefs:
            row, ends = shares[belief.position], final[belief.position]
            assert apart([chance.logit for chance in belief.chosen], logits[belief.position]) < TOLERANCE
            assert apart([chance.probability for chance in belief.chosen], np.exp(row)) < TOLERANCE
            assert belief.kl == pytest.approx((np.exp(ends) * (ends - row)).sum(), abs=TOLERANCE)


def their_log_shares(logits: Tensor, cap: float) -> tuple[np.ndarray, np.ndarray]:
    """Softcapped logits, and their log-probabilities."""
    capped = cap * torch.tanh(logits.double() / cap)
    return capped.numpy(), capped.log_softmax(-1).numpy()


@every_case
@torch.inference_mode()
def test_what_each_part_wrote_into_a_logit_is_what_hooks_see_it_write(case: str) -> None:
    model, theirs, tokens = both(case)
    text, (token, against) = tokens[:LENGTH], (7, 200)
    values, end = values_of(case, text, "residual", "heads", "between", "mlp"), model.config.n_layer - 1
    last = values["between", end][0, -1] + values["mlp", end][0, -1]
    direction = (theirs.lm_head.weight[token] - theirs.lm_head.weight[against]) / last.square().mean().sqrt()
    found = attribute_logits(model, text, LENGTH - 1, token, against, neurons=0)
    assert len(found.components) == 1 + model.config.n_layer * (model.config.n_head + 1)
    for component in found.components:
        if component.layer is None:
            wrote = values["residual", 0][0, -1]
        elif component.head is None:
            wrote = values["mlp", component.layer][0, -1]
        else:
            own = head_part(model, component.head, slice(-1, None))
            layer: Any = theirs.model.layers[component.layer]
            wrote = layer.self_attn.o_proj.weight[:, own[2]] @ values["heads", component.layer][own][0]
        assert component.value == pytest.approx(float(wrote @ direction), abs=TOLERANCE)
