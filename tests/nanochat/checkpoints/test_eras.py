"""Which era a checkpoint is taken for, and what its keys and its tokenizer must be."""

import pytest
import torch

from nanochat.errors import (
    CheckpointInvalidError,
    TokenizerInvalidError,
)
from tests.checkpoints import (
    changed_state,
    edit_meta,
    load,
    logits_of,
    tiny_model,
    write_checkpoint,
    write_flat,
    write_tokenizer,
)
from tests.models import ERA_NAMES, random_model

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("base")


def test_c_is_taken_for_c_and_d_and_that_is_said(tmp_path, capsys):
    model = random_model("D", n_layer=2, n_embd=32)
    write_flat(tmp_path, 10, model)
    assert load(tmp_path)[0].config.era == "C"
    assert (
        'took era C; era D has the same keys (softcap 20 instead of 15): override with era="D"'
        in capsys.readouterr().err
    )
    loaded, _, _ = load(tmp_path, era="D")
    assert loaded.config.era == "D"
    assert "override" not in capsys.readouterr().err
    assert torch.equal(logits_of(loaded), logits_of(model))


@pytest.mark.parametrize("place", ["meta", "model_config"])
def test_the_metadata_may_name_the_era_and_the_argument_overrides_it(tmp_path, place, capsys):
    weights = write_flat(
        tmp_path, 10, random_model("D", n_layer=2, n_embd=32), **({"era": "D"} if place == "meta" else {})
    )
    if place == "model_config":
        edit_meta(weights, era="D")
    assert load(tmp_path)[0].config.era == "D"
    assert load(tmp_path, era="C")[0].config.era == "C"
    assert "override" not in capsys.readouterr().err


@pytest.mark.parametrize("era", ["Z", "", ["F"], 5])
def test_the_metadata_names_an_era_that_is_none(tmp_path, era):
    write_flat(tmp_path, era=era)
    if not era:
        assert load(tmp_path)[0].config.era == "F"
    else:
        with pytest.raises(CheckpointInvalidError, match="the eras are A, Ap, B, C, D, E, F"):
            load(tmp_path)


@pytest.mark.parametrize(
    ("written", "forced", "key"),
    [
        ("F", "A", "'backout_lambda'"),
        ("F", "E", "'backout_lambda'"),
        ("F", "B", "'backout_lambda'"),
        ("F", "C", "'backout_lambda'"),
        ("A", "F", "'backout_lambda'"),
        ("A", "B", "'resid_lambdas'"),
        ("Ap", "B", "'resid_lambdas'"),
        ("B", "A", "'resid_lambdas'"),
        ("B", "C", "'transformer.h.0.attn.ve_gate.weight'"),
        ("C", "B", "'transformer.h.0.attn.ve_gate.weight'"),
        ("C", "E", "'transformer.h.0.attn.ve_gate.weight' has shape (1, 32) where model_config asks for (1, 12)"),
        ("E", "D", "'transformer.h.0.attn.ve_gate.weight' has shape (1, 12) where model_config asks for (1, 32)"),
        ("E", "F", "'backout_lambda'"),
    ],
)
def test_a_wrong_era_is_an_error_that_names_key_era_and_override(tmp_path, written, forced, key):
    write_flat(tmp_path, 10, tiny_model(written))
    with pytest.raises(CheckpointInvalidError) as raised:
        load(tmp_path, era=forced)
    assert key in str(raised.value)
    assert f"took the checkpoint for era {forced} (" in str(raised.value)
    assert "era=... overrides that" in str(raised.value)


def add_unknown(state):
    state["transformer.h.0.attn.new_thing"] = torch.zeros(3)


def drop(state):
    del state["transformer.h.0.mlp.c_fc.weight"]


def widen(state):
    state["lm_head.weight"] = torch.zeros(320, 33)


def lay_in_a_scalar(state):
    state["transformer.wte.weight"] = torch.tensor(1.0)


@pytest.mark.parametrize("era", ERA_NAMES)
@pytest.mark.parametrize(
    ("change", "key", "kind"),
    [
        (add_unknown, "'transformer.h.0.attn.new_thing'", "has the unknown"),
        (drop, "'transformer.h.0.mlp.c_fc.weight'", "lacks"),
        (widen, "'lm_head.weight' has shape (320, 33) where model_config asks for (", "of another checkpoint"),
        (lay_in_a_scalar, "'transformer.wte.weight' has shape () where", "of another checkpoint"),
    ],
)
def test_keys_and_shapes_are_checked_in_every_era(tmp_path, era, change, key, kind):
    changed_state(write_flat(tmp_path, 10, tiny_model(era)), change)
    with pytest.raises(CheckpointInvalidError) as raised:
        load(tmp_path)
    assert key in str(raised.value)
    assert kind in str(raised.value)
    assert "took the checkpoint for era" in str(raised.value)
    assert "overrides that" in str(raised.value)


@pytest.mark.parametrize("key", ["bigram_embed.weight", "bigram_lambdas"])
def test_bigram_checkpoints_are_refused_by_name(tmp_path, key):
    changed_state(write_flat(tmp_path), lambda state: state.update({key: torch.zeros(2)}))
    with pytest.raises(CheckpointInvalidError, match=f"'{key}'.*bigram"):
        load(tmp_path)


@pytest.mark.parametrize(("layers", "message"), [(2, "lacks 'transformer.h.1."), (256, "lacks 'transformer.h.1.")])
def test_more_layers_in_the_metadata_than_in_the_weights(tmp_path, layers, message):
    edit_meta(write_flat(tmp_path, 10, tiny_model("A")), n_layer=layers)
    with pytest.raises(CheckpointInvalidError, match=message):
        load(tmp_path)


def test_a_tokenizer_of_another_size(tmp_path):
    write_flat(tmp_path, 10, random_model("F", n_layer=1, n_embd=32, vocab_size=301))
    with pytest.raises(
        TokenizerInvalidError, match=r"tokenizer has 300 tokens and .* trained with 301: .* another model's. Copy"
    ):
        load(tmp_path)


def test_no_tokenizer(tmp_path):
    write_checkpoint(tmp_path / "mine")
    with pytest.raises(TokenizerInvalidError, match=r"no tokenizer.pkl beside .*model_000010.pt .*: copy the one"):
        load(tmp_path / "mine")


def test_the_base_folders_tokenizer_serves_a_folder_without(tmp_path, base):
    write_checkpoint(tmp_path / "mine")
    write_tokenizer(base / "tokenizer")
    assert load(tmp_path / "mine")[1].get_vocab_size() == 300
