"""What an intervention may be, and what is said of one that may not."""

import json
import math
from typing import Any

import pytest

from nanochat.capture.interventions import parse_interventions, touched_ranges
from nanochat.errors import SettingInvalidError
from nanochat.gpt_config import GPTConfig

CONFIG = GPTConfig(64, 300, n_layer=3, n_head=4, n_kv_head=2, n_embd=64, window_pattern="SL", era="F")
P, END = 5, 9
HEAD = {"op": "zero", "site": "head_output", "layer": 1, "heads": [3]}
WHOLE = {"op": "set", "site": "post_mlp", "layer": 0, "value": 1.5}
NEURONS = {"op": "add", "site": "mlp_hidden", "layer": 2, "neurons": [0, 255], "value": [1.0, -1.0]}


def ranges(intervention: dict[str, Any], prompt: int | None = P, end: int = END) -> tuple[tuple[int, int], ...]:
    return touched_ranges(parse_interventions([intervention], CONFIG), prompt, end)[0]


@pytest.mark.parametrize(
    "given",
    [
        HEAD,
        WHOLE,
        NEURONS,
        {"op": "mean", "site": "z", "layer": 2},
        {"op": "scale", "site": "attention_weights", "layer": 0, "heads": [0, 2], "value": 2},
        {"op": "set", "site": "attention_weights", "layer": 0, "value": [1.0]},
        {"op": "zero", "site": "residual", "layer": 3},
        {"op": "zero", "site": "token_embeddings"},
        {"op": "zero", "site": "final_residual", "layer": 0, "positions": "last"},
        {"op": "zero", "site": "k", "layer": 0, "heads": [1], "positions": [0, [2, 4]]},
        {"op": "add", "site": "q", "layer": 0, "value": [0.5] * 16},
    ],
)
def test_what_it_says_of_itself_can_be_sent_again(given: dict[str, Any]) -> None:
    parsed = parse_interventions([given], CONFIG)
    again = json.loads(json.dumps([item.as_data() for item in parsed]))
    assert parse_interventions(again, CONFIG) == parsed == parse_interventions(parsed, CONFIG)
    assert given.items() <= (again[0] | {"value": given.get("value", again[0].get("value"))}).items()


@pytest.mark.parametrize(
    ("positions", "expected"),
    [
        ("all", ((0, END),)),
        ("prompt", ((0, P),)),
        ("generated", ((P, END),)),
        ("last", ((P - 1, P),)),
        ([0, [3, 5], 8], ((0, 1), (3, 5), (8, 9))),
    ],
)
def test_positions_are_counted_from_the_first_of_the_text(positions: Any, expected: Any) -> None:
    assert ranges(HEAD | {"positions": positions}) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("zero", "'zero' is no intervention"),
        ({}, "it has no op: choose from zero, mean, scale, add, set"),
        (HEAD | {"op": "ablate"}, "'ablate' is no op"),
        (HEAD | {"op": ["zero"]}, "is no op"),
        (HEAD | {"site": "resid_pre"}, "'resid_pre' is no site: choose from token_embeddings, residual"),
        (HEAD | {"site": "value_norms"}, "'value_norms' is no site that can be changed"),
        (HEAD | {"hook": "x"}, "it has no 'hook': use op, site, layer"),
        ({"op": "zero", "site": "post_mlp"}, "post_mlp is in every layer: say in which `layer`"),
        (HEAD | {"layer": 3}, "there is no layer 3: head_output has the layers 0 to 2"),
        (HEAD | {"layer": -1}, "there is no layer -1"),
        (HEAD | {"layer": True}, "there is no layer True"),
        (HEAD | {"layer": 1.0}, "there is no layer 1.0"),
        ({"op": "zero", "site": "residual", "layer": 4}, "residual has the layers 0 to 3"),
        ({"op": "zero", "site": "final_residual", "layer": 2}, "final_residual is there once: leave the layer out"),
        (HEAD | {"heads": [4]}, "there is none of the heads 4: head_output has the heads 0 to 3"),
        (HEAD | {"site": "v", "heads": [2]}, "v has the heads 0 to 1"),
        (HEAD | {"heads": [-1]}, "there is none of the heads -1"),
        (HEAD | {"heads": [True]}, "heads must be a list of whole numbers"),
        (HEAD | {"heads": 1}, "heads must be a list of whole numbers, not 1"),
        (HEAD | {"heads": []}, "heads is empty"),
        (HEAD | {"heads": [1, 1]}, "heads has a number twice"),
        (HEAD | {"site": "post_attn"}, "post_attn has no heads; q, k, v, attention_weights, z, head_output do"),
        (HEAD | {"heads": None, "neurons": [1]}, "head_output has no neurons; mlp_hidden do"),
        (NEURONS | {"neurons": [0, 256]}, "mlp_hidden has the neurons 0 to 255"),
        (NEURONS | {"value": [1.0]}, "its vector has 1 numbers, and mlp_hidden needs 2"),
        (WHOLE | {"value": [1.0] * 63}, "its vector has 63 numbers, and post_mlp needs 64"),
        (WHOLE | {"value": None}, "set needs a value, a number or a list of numbers"),
        (WHOLE | {"value": True}, "True is no number"),
        (WHOLE | {"value": []}, "set needs a value"),
        (WHOLE | {"value": "prompt"}, "set needs a value"),
        (WHOLE | {"value": math.nan}, "NaN, infinity"),
        (WHOLE | {"value": 10**400}, "NaN, infinity"),
        (WHOLE | {"value": [math.inf] * 64}, "NaN, infinity"),
        (WHOLE | {"value": [None] * 64}, "None is no number"),
        (WHOLE | {"op": "scale", "value": [1.0] * 64}, "scale needs a value, a number, not [1.0"),
        (WHOLE | {"op": "zero"}, "zero takes no value"),
        (WHOLE | {"op": "mean"}, "a mean is taken over the prompt"),
        ({"op": "mean", "site": "attention_weights", "layer": 0}, "attention weights have no mean"),
        ({"op": "set", "site": "attention_weights", "layer": 0, "value": [0.0] * 641}, "there are at most 640"),
        (HEAD | {"positions": "first"}, "use all, prompt, generated, last"),
        (HEAD | {"positions": 3}, "use all, prompt, generated, last"),
        (HEAD | {"positions": []}, "it would touch no position"),
        (HEAD | {"positions": [[3, 3]]}, "[3, 3] is no position and no range"),
        (HEAD | {"positions": [[3]]}, "is no position and no range"),
        (HEAD | {"positions": [-1]}, "-1 is no position and no range"),
        (HEAD | {"positions": [False]}, "False is no position and no range"),
        (HEAD | {"positions": [1.0]}, "1.0 is no position and no range"),
    ],
)
def test_what_cannot_be_is_refused_by_its_number(given: Any, said: str) -> None:
    with pytest.raises(SettingInvalidError) as refused:
        parse_interventions([HEAD, given], CONFIG)
    assert str(refused.value).startswith("interventions[1]: ") and said in str(refused.value)


@pytest.mark.parametrize("given", [None, HEAD, "zero", 3])
def test_interventions_are_a_list(given: Any) -> None:
    with pytest.raises(SettingInvalidError, match="use a list of mappings"):
        parse_interventions(given, CONFIG)


@pytest.mark.parametrize(
    ("positions", "prompt", "end", "said"),
    [
        ([END], P, END, "there is no position 9: this run has the positions 0 to 8"),
        ([[2, 12]], P, END, "there is no position 11"),
        ("generated", P, P, "it would touch no position"),
        ("last", None, END, "give its token ids as `prompt`"),
    ],
)
def test_positions_that_there_are_not_are_refused(positions: Any, prompt: int | None, end: int, said: str) -> None:
    with pytest.raises(SettingInvalidError) as refused:
        ranges(HEAD | {"positions": positions}, prompt, end)
    assert str(refused.value).startswith("interventions[0]: ") and said in str(refused.value)


def test_a_mean_needs_a_prompt() -> None:
    with pytest.raises(SettingInvalidError, match="a mean is taken over the prompt: give its token ids"):
        ranges({"op": "mean", "site": "z", "layer": 2}, None)
