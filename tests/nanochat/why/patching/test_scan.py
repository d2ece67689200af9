"""Patching scans beside whole forwards with torch's hooks, one a patch."""

import threading
from dataclasses import replace
from typing import Any

import pytest
import torch

from nanochat.errors import CancelledError, NonFiniteError, SettingInvalidError
from nanochat.gpt import GPT, Block
from nanochat.why.patching import Pair, Receiver, exact, pair_of, patch_scan, scan_axes
from nanochat.why.patching.exact import exact_effects, patched_end
from nanochat.why.patching.gradient import gradient_effects
from nanochat.why.patching.paths import Input
from nanochat.why.patching.resuming import RESUMED, Kept, Point, keep, logits_of, run_on
from nanochat.why.patching.runs import What, difference_of, run_both
from tests.models import random_model
from tests.nanochat.why.models import CASES, ERA_NAMES, EVERY, model_of
from tests.nanochat.why.patching.by_hooks import direct_path, last_logits, put, values_of

LENGTH = 24  # tokens: longer than the golden checkpoints' short windows
WHATS: tuple[What, ...] = ("heads", "attention", "mlp", "residual")
every_model = pytest.mark.parametrize("case", EVERY)


def pair_for(case: str) -> tuple[GPT, Pair]:
    """A model and two texts that part at two positions."""
    model, tokens = model_of(case)
    clean, corrupted = list(tokens[:LENGTH]), list(tokens[:LENGTH])
    for position in (4, len(clean) - 3):
        corrupted[position] = (corrupted[position] + 11) % model.config.vocab_size
    answer, against = last_logits(model, clean).topk(2).indices.tolist()
    return model, pair_of(model.config, clean, corrupted, answer, against)


def gap(logits: torch.Tensor, pair: Pair) -> float:
    """The answer's logit minus the other's."""
    return float(logits[pair.answer] - logits[pair.against])


def ends_of(model: GPT, pair: Pair) -> tuple[float, float]:
    """What it is after either prompt."""
    return gap(last_logits(model, pair.clean), pair), gap(last_logits(model, pair.corrupted), pair)


def share(logits: torch.Tensor, pair: Pair, ends: tuple[float, float]) -> float:
    """A patched run's effect."""
    return (gap(logits, pair) - ends[1]) / (ends[0] - ends[1])


@every_model
def test_a_forward_run_on_from_anywhere_ends_as_the_model_does(case: str) -> None:
    model, pair = pair_for(case)
    kept = keep(model, pair.clean)
    own = last_logits(model, pair.clean)[[pair.answer, pair.against]]
    points: tuple[Point, ...] = ("entering", "attention", "mlp")
    with torch.inference_mode():
        for layer in range(model.config.n_layer):
            for point in points:
                final = run_on(model, {layer: kept.stream(layer, point)[None]}, point, kept)
                assert logits_of(model, final, [pair.answer, pair.against])[0].double().tolist() == own.tolist()


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("case", [*CASES, "demo"])
def test_an_exact_scan_is_what_hooks_find_one_forward_a_patch(case: str, what: What) -> None:
    model, pair = pair_for(case)
    scan, ends = patch_scan(model, pair, what), ends_of(model, pair)
    assert (scan.clean, scan.corrupted) == ends
    values = values_of(model, pair.clean)
    units = range(0, len(scan.effects[0]), 1 if what == "heads" else 9)
    for layer in range(model.config.n_layer):
        for unit in {*units, len(scan.effects[0]) - 1}:
            site = (layer, what)
            logits = last_logits(model, pair.corrupted, {site: put(model, site, values[site], unit)})
            assert scan.effects[layer][unit] == pytest.approx(share(logits, pair, ends), abs=1e-4)


@pytest.mark.parametrize("by", ["q", "k", "v"])
@pytest.mark.parametrize("case", [*CASES, "demo"])
def test_a_path_is_what_hooks_find_with_all_else_held(case: str, by: Input) -> None:
    model, pair = pair_for(case)
    to, reader = model.config.n_layer - 1, model.config.n_head - 1
    scan, ends = patch_scan(model, pair, "paths", receiver=Receiver(to, reader, by)), ends_of(model, pair)
    assert scan.axes.layers == list(range(to))
    senders = [(layer, head) for layer in range(to) for head in range(model.config.n_head)]
    for layer, head in senders[:: 2 if case == "demo" else 5]:
        logits = direct_path(model, pair.clean, pair.corrupted, (layer, head), (to, reader, by))
        assert scan.effects[layer][head] == pytest.approx(share(logits, pair, ends), abs=1e-4)


@every_model
def test_what_is_patched_with_itself_changes_no_bit(case: str) -> None:
    model, pair = pair_for(case)
    for what in WHATS:
        runs = run_both(model, pair, what)
        itself = replace(runs, clean=runs.corrupted)
        assert set(exact_effects(model, itself, what, [(0, 0), (model.config.n_layer - 1, 1)]).values()) == {0.0}
        units = model.config.n_head if what == "heads" else pair.length
        with torch.inference_mode():
            for layer in range(model.config.n_layer):
                every = torch.ones(2, units, dtype=torch.bool)
                ends = difference_of(model, patched_end(model, itself, what, {layer: every}), pair)
                assert ends.tolist() == [runs.corrupted_end] * 2


@pytest.mark.parametrize("case", [case for case in EVERY if case.split("/")[0] in ("A", "Ap")])
def test_the_whole_clean_stream_gives_the_clean_end(case: str) -> None:
    """In eras A and Ap: the later ones read the embedding again, which a patch of the stream leaves as it was."""
    model, pair = pair_for(case)
    runs = run_both(model, pair, "residual")
    with torch.inference_mode():
        for layer in range(model.config.n_layer):
            every = torch.ones(1, pair.length, dtype=torch.bool)
            assert difference_of(model, patched_end(model, runs, "residual", {layer: every}), pair) == runs.clean_end


@pytest.mark.parametrize("case", [*CASES, *ERA_NAMES])
def test_all_from_the_clean_prompt_is_the_clean_prompt(case: str) -> None:
    """Whatever the era: with the embedding and the stream at half depth from it as well."""
    model, pair = pair_for(case)
    runs = run_both(model, pair, "heads")
    clean = keep(model, pair.clean, (*RESUMED, "z"))
    both = replace(runs, clean=clean, corrupted=replace(clean, values={**clean.values, **_only_z(runs.corrupted)}))
    every = torch.ones(1, model.config.n_head, dtype=torch.bool)
    with torch.inference_mode():
        for layer in range(model.config.n_layer):
            assert difference_of(model, patched_end(model, both, "heads", {layer: every}), pair) == runs.clean_end


def _only_z(kept: Kept) -> dict[Any, torch.Tensor]:
    return {place: value for place, value in kept.values.items() if place[0] == "z"}


@every_model
def test_a_gradient_is_the_slope_of_the_exact_effect(case: str) -> None:
    model, pair = pair_for(case)
    step = 1e-3
    for what in WHATS:
        runs = run_both(model, pair, what)
        near = [
            replace(runs, clean=replace(runs.clean, values=_towards(runs.corrupted, runs.clean, sign * step)))
            for sign in (1, -1)
        ]
        units = range(1, model.config.n_head if what == "heads" else pair.length, 7)
        cells = [(layer, unit) for layer in range(model.config.n_layer) for unit in units]
        found = gradient_effects(model, runs, what, cells)
        up, down = (exact_effects(model, each, what, cells) for each in near)
        scale = max(1.0, *map(abs, found.values()))
        rounding = 4e-6 / step / abs(runs.clean_end - runs.corrupted_end)
        for cell in cells:
            slope = (up[cell] - down[cell]) / (2 * step)
            assert found[cell] == pytest.approx(slope, abs=rounding + 1e-3 * scale)


def _towards(start: Kept, end: Kept, part: float) -> dict[Any, torch.Tensor]:
    """The values that lie so far on the way from one run's to the other's."""
    return {
        place: start.values[place] + part * (value - start.values[place])
        for place, value in end.values.items()
        if place in start.values
    }


def test_a_gradients_scan_tells_how_wrong_it_is() -> None:
    model, pair = pair_for("demo")
    exact, gradient = patch_scan(model, pair), patch_scan(model, pair, method="gradient")
    wrong = [abs(exact.effects[layer][head] - gradient.effects[layer][head]) for layer, head in gradient.checked]
    assert len(wrong) == 4
    assert gradient.worst_error == max(wrong) > 0
    assert exact.worst_error is None


def test_a_cut_at_layers_is_those_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    model, pair = pair_for("F")
    whole = patch_scan(model, pair, "mlp")
    monkeypatch.setattr(exact, "TOKENS_AT_ONCE", 3 * LENGTH)
    told: list[tuple[int, int]] = []
    part = patch_scan(model, pair, "mlp", layers=[2, 1, 2], on_progress=lambda done, of: told.append((done, of)))
    assert part.axes.layers == [1, 2]
    assert part.effects == whole.effects[1:]
    assert told == sorted(told)
    assert told[-1] == (2 * LENGTH, 2 * LENGTH)


def test_before_the_prompts_part_nothing_has_an_effect() -> None:
    model, pair = pair_for("C")
    assert pair.first_difference == 4
    for what in ("attention", "mlp", "residual"):
        assert {effect for row in patch_scan(model, pair, what).effects for effect in row[:4]} == {0.0}


def test_only_what_a_patch_can_change_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """By layer, rows and positions. What is patched after a layer's attention does not run that."""
    model, pair = pair_for("F")
    heads, mlp = (run_both(model, pair, what) for what in ("heads", "mlp"))
    ran, attended = [], Block.attended

    def noted(self: Block, x: torch.Tensor, *args: Any) -> torch.Tensor:
        ran.append((self.layer_idx, x.size(0), x.size(1)))
        return attended(self, x, *args)

    monkeypatch.setattr(Block, "attended", noted)
    exact_effects(model, heads, "heads", scan_axes(model.config, pair, "heads", "exact").cells)
    assert ran == [(1, 4, 20), (2, 8, 20)]
    ran.clear()
    monkeypatch.setattr(exact, "TOKENS_AT_ONCE", 2 * LENGTH)
    exact_effects(model, mlp, "mlp", [(0, 4), (0, 22), (1, 4), (2, 23)])
    assert ran == [(1, 1, 20), (2, 2, 20), (1, 1, 2), (2, 1, 2)]


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"what": "neurons"}, "what 'neurons': choose from heads, attention"),
        ({"method": "guess"}, "method 'guess': choose from exact, gradient"),
        ({"layers": [3]}, "no layer 3"),
        ({"layers": []}, "no layer to patch"),
        ({"what": "paths"}, "Say which head the paths lead to"),
        ({"what": "paths", "receiver": Receiver(0, 0, "q")}, "No head comes before layer 0"),
        ({"what": "paths", "receiver": Receiver(2, 4, "q")}, "no head 4"),
        ({"what": "paths", "receiver": Receiver(2, 0, "z")}, "by q, k or v, not by 'z'"),  # type: ignore[arg-type]
        ({"what": "paths", "receiver": Receiver(2, 0, "q"), "method": "gradient"}, "Paths are computed exactly"),
        ({"what": "paths", "receiver": Receiver(2, 0, "q"), "layers": [2]}, "no layer 2: there are 0 to 1"),
        ({"receiver": Receiver(2, 0, "q")}, "Only paths lead to a receiver"),
    ],
)
def test_scans_that_cannot_be_are_refused_before_any_work(
    wish: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, pair = pair_for("F")
    monkeypatch.setattr(GPT, "_forward", None)
    with pytest.raises(SettingInvalidError, match=message):
        patch_scan(model, pair, **wish)


def test_prompts_between_which_nothing_changes_are_refused() -> None:
    model, pair = pair_for("F")
    with torch.no_grad():
        model = random_model("F")
        model.lm_head.weight[pair.answer] = model.lm_head.weight[pair.against]
    with pytest.raises(SettingInvalidError, match="nothing to carry over"):
        patch_scan(model, pair)


@pytest.mark.parametrize("method", ["exact", "gradient"])
def test_a_cancel_ends_it_and_the_model_is_as_before(method: Any) -> None:
    model, pair = pair_for("F")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits, event = last_logits(model, pair.clean), threading.Event()
    with pytest.raises(CancelledError):
        patch_scan(model, pair, method=method, on_progress=lambda *_: event.set(), cancel=event)
    assert model.tap is None
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(last_logits(model, pair.clean), logits)


def test_a_model_that_is_being_changed_is_not_patched() -> None:
    model, pair = pair_for("F")
    zero = {"op": "zero", "site": "head_output", "layer": 1, "heads": [0]}
    with model.editing([zero]), pytest.raises(SettingInvalidError, match="end the `editing` block"):
        patch_scan(model, pair)


def test_weights_that_are_not_finite_are_told() -> None:
    pair = Pair((1, 2, 3), (1, 4, 3), 5, 6)
    model = random_model("F")
    with torch.no_grad():
        model.transformer.h[1].mlp.c_proj.weight[3] = torch.nan
    with pytest.raises(NonFiniteError):
        patch_scan(model, pair)
