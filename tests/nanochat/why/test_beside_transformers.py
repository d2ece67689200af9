"""Beside the transformers library's NanoChat, which is architecture A: the same weights, changed by torch's hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nanochat.gpt import GPT, NORM_EPSILON
from nanochat.why.ablation import ablation_scan
from nanochat.why.anatomy import attribute_logits
from nanochat.why.lens import Point, logit_lens
from nanochat.why.pair import Pair, pair_of
from nanochat.why.patch_runs import What
from nanochat.why.patching import patch_scan
from tests.models import GOLDEN
from tests.nanochat.why.models import CASES, model_of

if TYPE_CHECKING:  # importing it takes seconds, which only these tests are to cost
    from transformers import NanoChatForCausalLM

TOLERANCE = 1e-4
LENGTH = 24  # tokens of a prompt
NAMES = {
    "transformer.wte": "model.embed_tokens",
    "transformer.h": "model.layers",
    "attn.c_q": "self_attn.q_proj",
    "attn.c_k": "self_attn.k_proj",
    "attn.c_v": "self_attn.v_proj",
    "attn.c_proj": "self_attn.o_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
WHATS: tuple[What, ...] = ("heads", "attention", "mlp", "residual")
Change = Callable[[Tensor], Tensor]
Site = tuple[str, int]  # what of a layer, and the layer
every_case = pytest.mark.parametrize("case", [case for case in CASES if case.startswith(("A/", "Ap/"))])


@pytest.fixture(autouse=True, scope="module")
def offline() -> Iterator[None]:
    """Nothing is asked of a hub; this is read when the library is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TRANSFORMERS_VERBOSITY", "error")
        yield


@cache
def both(case: str) -> tuple[GPT, NanoChatForCausalLM, tuple[int, ...]]:
    """A golden checkpoint as our model and as theirs, and a text for it."""
    from transformers import NanoChatConfig, NanoChatForCausalLM

    model, tokens = model_of(case)
    config, era = model.config, model.era
    theirs = NanoChatForCausalLM(
        NanoChatConfig(
            vocab_size=model.lm_head.weight.size(0),  # with the padded rows of Ap
            hidden_size=config.n_embd,
            intermediate_size=4 * config.n_embd,
            num_hidden_layers=config.n_layer,
            num_attention_heads=config.n_head,
            num_key_value_heads=config.n_kv_head,
            max_position_embeddings=config.sequence_len,
            rms_norm_eps=NORM_EPSILON,
            rope_parameters={"rope_type": "default", "rope_theta": era.rotary_base},
            final_logit_softcapping=era.softcap,
            pad_token_id=None,
            attn_implementation="eager",
        )
    )
    theirs.load_state_dict({renamed(name): weight for name, weight in model.state_dict().items()})
    return model, theirs.float().eval(), tokens


def renamed(name: str) -> str:
    """Their name of a weight."""
    for ours, other in NAMES.items():
        name = name.replace(ours, other)
    return name


def module_of(theirs: NanoChatForCausalLM, site: Site) -> tuple[nn.Module, bool]:
    """The module whose input (True) or output a site is."""
    what, index = site
    layer = theirs.model.layers[index]
    return {
        "residual": (layer, True),
        "heads": (layer.self_attn.o_proj, True),  # (1, T, n_head * head_dim)
        "attention": (layer.self_attn.o_proj, False),
        "between": (layer.post_attention_layernorm, True),  # the stream after the attention
        "neurons": (layer.mlp.fc2, True),
        "mlp": (layer.mlp, False),
    }[what]


@contextmanager
def hooked(theirs: NanoChatForCausalLM, changes: dict[Site, Change]) -> Iterator[None]:
    """Put what a function makes of each site's value in its place."""
    handles = []
    for site, change in changes.items():
        module, before = module_of(theirs, site)
        if before:

            def enters(_: Any, args: tuple[Any, ...], change: Change = change) -> tuple[Any, ...]:
                return change(args[0]), *args[1:]

            handles.append(module.register_forward_pre_hook(enters))
        else:
            handles.append(module.register_forward_hook(lambda _, __, out, change=change: change(out)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def their_logits(
    case: str, changes: dict[Site, Change] | None = None, tokens: tuple[int, ...] | None = None
) -> np.ndarray:
    """Their logits, (T, vocab), without the padded rows."""
    model, theirs, own = both(case)
    with hooked(theirs, changes or {}):
        logits = theirs(input_ids=torch.tensor([tokens or own]), use_cache=False).logits
    return logits[0, :, : model.config.vocab_size].double().numpy()


@torch.inference_mode()
def our_logits(case: str) -> np.ndarray:
    """Ours of the same text, (T, vocab)."""
    model, _, tokens = both(case)
    return model(torch.tensor([tokens]))[0].double().numpy()


def values_of(case: str, tokens: tuple[int, ...], *whats: str) -> dict[Site, Tensor]:
    """The values of their sites in all layers, (1, T, ...)."""
    kept: dict[Site, Tensor] = {}

    def keeping(site: Site) -> Change:
        def keep(value: Tensor) -> Tensor:
            kept[site] = value.clone()
            return value

        return keep

    sites = [(what, layer) for what in whats for layer in range(both(case)[0].config.n_layer)]
    their_logits(case, {site: keeping(site) for site in sites}, tokens)
    return kept


def at(index: Any, change: Callable[[Tensor], Any]) -> Change:
    """A change of a part of a value."""

    def changed(value: Tensor) -> Tensor:
        value = value.clone()
        value[index] = change(value[index])
        return value

    return changed


def head_part(model: GPT, head: int, positions: slice = slice(None)) -> tuple[Any, ...]:
    """Where a head's own channels are in the input of `o_proj`."""
    return 0, positions, slice(head * model.config.head_dim, (head + 1) * model.config.head_dim)


@every_case
def test_the_same_weights_give_the_same_logits(case: str) -> None:
    golden = np.load(GOLDEN / case / "golden.npz")["logits"]
    assert our_logits(case) == pytest.approx(their_logits(case), abs=TOLERANCE)
    assert golden == pytest.approx(their_logits(case), abs=TOLERANCE)


@every_case
def test_a_head_that_an_intervention_zeroes_is_one_that_a_hook_zeroes(case: str) -> None:
    model, _, _ = both(case)
    plain = their_logits(case)
    for layer in range(model.config.n_layer):
        for head in range(model.config.n_head):
            expected = their_logits(case, {("heads", layer): at(head_part(model, head), torch.zeros_like)})
            with model.editing([{"op": "zero", "site": "head_output", "layer": layer, "heads": [head]}]):
                found = our_logits(case)
            assert np.abs(expected - plain).max() > 100 * TOLERANCE
            assert found == pytest.approx(expected, abs=TOLERANCE)


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
@pytest.mark.parametrize(("intervention", "site", "change"), INTERVENTIONS, ids=lambda value: str(value)[:24])
def test_an_intervention_is_what_a_hook_makes_of_the_same_value(
    case: str, intervention: dict[str, Any], site: Site, change: Change
) -> None:
    expected = their_logits(case, {site: change})
    with both(case)[0].editing([intervention]):
        found = our_logits(case)
    assert np.abs(expected - their_logits(case)).max() > 100 * TOLERANCE
    assert found == pytest.approx(expected, abs=TOLERANCE)


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
    assert np.array(scan.effects) == pytest.approx(np.array(expected), abs=TOLERANCE)


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
    cap = theirs.config.final_logit_softcapping
    found = logit_lens(model, tokens, range(0, len(tokens), 5), chosen=range(size), followers=False)
    assert set(found.points) == set(streams)
    final = their_log_shares(theirs.lm_head(theirs.model.norm(states[-1]))[0, :, :size], cap)[1]
    for point, beliefs in zip(found.points, found.beliefs, strict=True):
        logits, shares = their_log_shares(theirs.lm_head(theirs.model.norm(streams[point]))[0, :, :size], cap)
        for belief in beliefs:
            row, ends = shares[belief.position], final[belief.position]
            assert [chance.logit for chance in belief.chosen] == pytest.approx(logits[belief.position], abs=TOLERANCE)
            assert [chance.probability for chance in belief.chosen] == pytest.approx(np.exp(row), abs=TOLERANCE)
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
    values = values_of(case, text, "residual", "heads", "mlp")
    states = theirs(input_ids=torch.tensor([text]), output_hidden_states=True, use_cache=False).hidden_states
    last = states[-2][0, -1] + values_of(case, text, "attention")["attention", model.config.n_layer - 1][0, -1]
    last = last + values["mlp", model.config.n_layer - 1][0, -1]
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
            weight = theirs.model.layers[component.layer].self_attn.o_proj.weight[:, own[2]]
            wrote = weight @ values["heads", component.layer][own][0]
        assert component.value == pytest.approx(float(wrote @ direction), abs=TOLERANCE)
