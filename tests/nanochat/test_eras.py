import re

import pytest

from nanochat.eras import EMBEDDING_KEY, ERAS, identify_era, named_era
from nanochat.errors import CheckpointInvalidError
from tests.models import ERA_NAMES, random_model

# Rotary base, q and k scale, softcap, the short window of 2048 and of 256 positions, value gate scale and channels.
FACTS = {
    "A": (10_000, 1.0, 15, 2048, 256, 0, 0),
    "Ap": (10_000, 1.0, 15, 2048, 256, 0, 0),
    "B": (10_000, 1.0, 15, 1024, 128, 0, 0),
    "C": (10_000, 1.0, 15, 1024, 128, 2, 32),
    "D": (10_000, 1.0, 20, 1024, 128, 2, 32),
    "E": (100_000, 1.15, 15, 768, 128, 3, 12),
    "F": (100_000, 1.2, 15, 512, 128, 3, 12),
}


def shapes_of(era, vocab_size=300):
    model = random_model(era, n_embd=32, n_layer=2, vocab_size=vocab_size)
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ERA_NAMES)
def test_what_each_era_computes(name):
    era = ERAS[name]
    windows = era.short_window(2048), era.short_window(256)
    gate = era.value_gate_scale, era.value_gate_channels
    assert (era.rotary_base, era.qk_scale, era.softcap, *windows, *gate) == FACTS[name]


def test_what_came_when():
    assert tuple(ERAS) == ERA_NAMES
    assert [era.since for era in ERAS.values()] == sorted(era.since for era in ERAS.values())
    assert [name for name, era in ERAS.items() if not era.padded_vocab] == ["A"]
    assert [name for name, era in ERAS.items() if not era.lambdas] == ["A", "Ap"]
    assert [name for name, era in ERAS.items() if not era.value_embeddings] == ["A", "Ap", "B"]
    assert [name for name, era in ERAS.items() if era.smear] == ["F"]


@pytest.mark.parametrize(("length", "e", "f"), [(384, 128, 128), (385, 256, 128), (512, 256, 128), (513, 256, 256)])
def test_the_short_window_is_rounded_up_to_tiles(length, e, f):
    assert ERAS["E"].short_window(length) == e
    assert ERAS["F"].short_window(length) == f


@pytest.mark.parametrize("name", ERA_NAMES)
def test_the_keys_tell_the_eras_apart(name):
    era, note = identify_era(shapes_of(name), 300)
    assert era is ERAS["C" if name == "D" else name]
    assert (note is not None) == (name in "CD")


def test_c_and_d_cannot_be_told_apart_and_that_is_said():
    assert shapes_of("C") == shapes_of("D")
    _, note = identify_era(shapes_of("D"), 300)
    assert note is not None
    assert 'override with era="D"' in note


def test_without_padded_rows_a_and_ap_are_the_same():
    assert identify_era(shapes_of("Ap", vocab_size=320), 320) == (ERAS["A"], None)


@pytest.mark.parametrize("key", ["bigram_embed.weight", "bigram_lambdas"])
def test_the_architecture_that_was_taken_back_is_refused_by_name(key):
    with pytest.raises(CheckpointInvalidError, match=f"'{key}': it was written on 2026-01-27 or 28.*not supported"):
        identify_era(shapes_of("C") | {key: (2,)}, 300)


@pytest.mark.parametrize("key", ["smear_gate.weight", "smear_lambda", "backout_lambda"])
def test_any_smear_key_means_f(key):
    assert identify_era(shapes_of("E") | {key: (1,)}, 300)[0] is ERAS["F"]


@pytest.mark.parametrize("key", ["resid_lambdas", "x0_lambdas"])
def test_any_lambdas_mean_b(key):
    assert identify_era(shapes_of("A") | {key: (2,)}, 300)[0] is ERAS["B"]


@pytest.mark.parametrize("shape", [(2, 16), (2, 0), (), (32, 2)])
def test_value_gates_of_another_width(shape):
    key = "transformer.h.1.attn.ve_gate.weight"
    message = f"{re.escape(repr(key))} has shape {re.escape(str(shape))}.*32 channels.*12 in E and F.*era=... overrides"
    with pytest.raises(CheckpointInvalidError, match=message):
        identify_era(shapes_of("B") | {key: shape}, 300)


@pytest.mark.parametrize("shapes", [{}, {EMBEDDING_KEY: ()}])
def test_nothing_to_go_by(shapes):
    assert identify_era(shapes, 300) == (ERAS["A"], None)


@pytest.mark.parametrize("name", ERA_NAMES)
def test_eras_by_name(name):
    assert named_era(name) is ERAS[name]


@pytest.mark.parametrize("name", ["Z", "f", "", None, 5, ["F"], {"F": 1}])
def test_no_such_era(name):
    with pytest.raises(CheckpointInvalidError, match=r"There is no era .*; the eras are A, Ap, B, C, D, E, F"):
        named_era(name)
