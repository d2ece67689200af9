"""Metadata and weights that are missing, damaged, malicious or not what they say."""

import os
import pickle
import random
import zipfile

import pytest
import torch

from nanochat.checkpoint_manager import (
    read_meta,
    read_state,
)
from nanochat.errors import (
    CheckpointInvalidError,
    CheckpointNotFoundError,
    TokenizerInvalidError,
)
from nanochat.gpt_config import SIZES
from tests.checkpoints import (
    Bomb,
    assert_bomb_works,
    changed_state,
    edit_meta,
    load,
    tiny_model,
    write_flat,
)
from tests.models import random_model

CPU = torch.device("cpu")

pytestmark = pytest.mark.usefixtures("base")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read as JSON"),
        (b"{", "cannot be read as JSON"),
        (b"\xff\xfe\x00", "cannot be read as JSON"),
        (b"[" * 100_000, "cannot be read as JSON"),
        (b"1" * 5000, "cannot be read as JSON"),
        (b"[]", "has no model_config"),
        (b"5", "has no model_config"),
        (b"null", "has no model_config"),
        (b"{}", "has no model_config"),
        (b'{"model_config": null}', "has no model_config"),
        (b'{"model_config": []}', "has no model_config"),
        (b'{"model_config": {}}', "model_config.sequence_len is None"),
    ],
)
def test_metadata_that_is_none(tmp_path, content, message):
    weights = write_flat(tmp_path)
    weights.with_name("meta_000010.json").write_bytes(content)
    with pytest.raises(CheckpointInvalidError, match=message) as raised:
        load(tmp_path)
    assert "meta_000010.json" in str(raised.value)
    assert len(str(raised.value)) < 500


def test_missing_metadata(tmp_path):
    write_flat(tmp_path).with_name("meta_000010.json").unlink()
    with pytest.raises(CheckpointNotFoundError, match=r"There is no .*meta_000010.json: copy it"):
        load(tmp_path)


def test_metadata_that_cannot_be_opened_are_not_said_to_be_no_json(tmp_path):
    meta = write_flat(tmp_path).with_name("meta_000010.json")
    meta.unlink()
    meta.mkdir()
    with pytest.raises(CheckpointInvalidError, match=r"meta_000010.json cannot be read \(Is a directory\): make it a"):
        load(tmp_path)


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", [None, 0, -1, 1.0, "32", True, [1], 1 << 31, 1 << 62, 10**400])
def test_sizes_that_are_none(tmp_path, key, value):
    edit_meta(write_flat(tmp_path), **{key: value})
    with pytest.raises(
        CheckpointInvalidError, match=f"model_config.{key} is .* and must be a whole number from 1 to"
    ) as raised:
        load(tmp_path)
    assert len(str(raised.value)) < 500


def test_a_size_that_is_a_text_is_shown_as_one(tmp_path):
    edit_meta(write_flat(tmp_path), n_layer="4")
    with pytest.raises(CheckpointInvalidError, match=r"model_config.n_layer is '4' and must be a whole number"):
        load(tmp_path)


@pytest.mark.parametrize("key", SIZES)
def test_sizes_just_out_of_bounds(tmp_path, key):
    edit_meta(write_flat(tmp_path), **{key: SIZES[key] + 1})
    with pytest.raises(CheckpointInvalidError, match=f"model_config.{key} is {SIZES[key] + 1} and"):
        read_meta(tmp_path / "meta_000010.json")
    edit_meta(tmp_path / "model_000010.pt", n_head=1, n_kv_head=1, n_embd=2)
    edit_meta(tmp_path / "model_000010.pt", **{"n_embd": SIZES["n_embd"], key: SIZES[key]})
    if key != "n_kv_head":
        assert read_meta(tmp_path / "meta_000010.json")["model_config"][key] == SIZES[key]


@pytest.mark.parametrize("key", [key for key in SIZES if key not in ("sequence_len", "n_head", "n_kv_head")])
def test_sizes_as_large_as_may_be_that_are_not_the_weights(tmp_path, key):
    edit_meta(write_flat(tmp_path), **{key: SIZES[key]})
    with pytest.raises((CheckpointInvalidError, TokenizerInvalidError)):
        load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_head": 3}, "n_embd must be a multiple of n_head"),
        ({"n_head": 4, "n_kv_head": 3}, "n_head of n_kv_head"),
        ({"n_head": 2, "n_kv_head": 4}, "n_head of n_kv_head"),
        ({"n_embd": 6, "n_head": 2}, "head dimension .* must be even"),
        ({"window_pattern": ""}, "window_pattern is '' and must be made of S and L"),
        ({"window_pattern": "SX"}, "window_pattern is 'SX'"),
        ({"window_pattern": 5}, "window_pattern is 5"),
        ({"window_pattern": ["S"]}, r"window_pattern is \['S'\]"),
        ({"dropout": 0.1}, "unknown key 'dropout'"),
    ],
)
def test_settings_that_do_not_fit(tmp_path, changes, message):
    edit_meta(write_flat(tmp_path), **changes)
    with pytest.raises(CheckpointInvalidError, match=message):
        load(tmp_path)


def test_without_a_window_pattern_all_layers_see_everything(tmp_path):
    edit_meta(write_flat(tmp_path, 10, random_model("F", n_layer=2, n_embd=32)), window_pattern=None)
    assert load(tmp_path)[0].config.windows() == [64, 64]


def test_missing_weights(tmp_path):
    write_flat(tmp_path).unlink()
    with pytest.raises(CheckpointNotFoundError, match=r"no checkpoint \(model_<step>.pt\)"):
        load(tmp_path)
    with pytest.raises(CheckpointInvalidError, match="cannot be"):
        read_state(tmp_path / "model_000010.pt")


@pytest.mark.parametrize("part", range(24))
def test_truncated_weights(tmp_path, part):
    weights = write_flat(tmp_path)
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) * part // 24])
    with pytest.raises(CheckpointInvalidError, match=r"cannot be loaded: it is damaged, incomplete.*Copy it again"):
        load(tmp_path)


@pytest.mark.parametrize("lost", [1, 2, 21, 22, 23, 100, 1000])
def test_weights_without_their_end(tmp_path, lost):
    weights = write_flat(tmp_path)
    os.truncate(weights, weights.stat().st_size - lost)
    with pytest.raises(CheckpointInvalidError, match="cannot be loaded"):
        load(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"x" * 1000, b"\0" * 5000, b"version https://git-lfs.github.com/spec/v1\noid"]
)
def test_weights_that_are_no_zip(tmp_path, content):
    write_flat(tmp_path).write_bytes(content)
    with pytest.raises(CheckpointInvalidError, match=r"cannot be loaded: .* nothing in it was run"):
        load(tmp_path)


def test_a_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(write_flat(tmp_path), "w") as file:
        file.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointInvalidError, match="cannot be loaded"):
        load(tmp_path)


def test_torchs_format_before_zip(tmp_path):
    weights = write_flat(tmp_path)
    torch.save(tiny_model().state_dict(), weights, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointInvalidError, match="cannot be loaded"):
        load(tmp_path)


def test_damage_anywhere_is_an_error_or_does_no_harm(tmp_path):
    weights = write_flat(tmp_path)
    whole = weights.read_bytes()
    dice, refused = random.Random(5), 0
    directory = whole.index(b"PK\x01\x02")
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(dice.choice((1, 4))):
            start, end = dice.choice([(0, 2000), (0, len(whole)), (directory, len(whole))])
            damaged[dice.randrange(start, end)] ^= dice.randrange(1, 256)
        weights.write_bytes(damaged)
        try:
            load(tmp_path)
        except CheckpointInvalidError:
            refused += 1
    assert refused > 10


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    weights, target = write_flat(tmp_path), tmp_path / "ran"
    bomb = pickle.dumps({"lm_head.weight": Bomb(target)})
    assert_bomb_works(bomb, target)
    weights.write_bytes(bomb)
    with pytest.raises(CheckpointInvalidError, match="nothing in it was run") as raised:
        load(tmp_path)
    assert "weights_only" not in str(raised.value)
    assert not target.exists()


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    weights, target = write_flat(tmp_path), tmp_path / "ran"
    torch.save(tiny_model().state_dict() | {"lm_head.weight": Bomb(target)}, weights)
    torch.load(weights, weights_only=False)
    assert target.exists(), "this checkpoint runs nothing, so the test would show nothing"
    target.unlink()
    with pytest.raises(CheckpointInvalidError, match=r"nothing in it was run.*\(UnpicklingError\)$") as raised:
        load(tmp_path)
    assert "weights_only" not in str(raised.value)
    assert not target.exists()


@pytest.mark.parametrize(
    "content",
    [
        [torch.zeros(2)],
        torch.zeros(2),
        None,
        5,
        {"lm_head.weight": 5},
        {"lm_head.weight": [torch.zeros(2)]},
        {5: torch.zeros(2)},
        {"model": {"lm_head.weight": torch.zeros(2)}},
    ],
)
def test_what_is_no_state_dict(tmp_path, content):
    torch.save(content, write_flat(tmp_path))
    with pytest.raises(CheckpointInvalidError, match="does not hold a state dict of named tensors"):
        load(tmp_path)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(320, 32, dtype=torch.int64),
        torch.zeros(320, 32, dtype=torch.complex64),
        torch.zeros(320, 32, dtype=torch.bool),
        torch.zeros(320, 32).to_sparse(),
        torch.zeros(320, 32, device="meta"),
    ],
)
def test_tensors_that_hold_no_weights(tmp_path, tensor):
    changed_state(write_flat(tmp_path), lambda state: state.update({"lm_head.weight": tensor}))
    with pytest.raises(
        CheckpointInvalidError, match=r"'lm_head.weight' is not an ordinary tensor of floating-point numbers"
    ):
        load(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    "key", ["transformer.wte.weight", "lm_head.weight", "transformer.h.0.attn.c_k.weight", "resid_lambdas"]
)
def test_weights_that_are_no_numbers(tmp_path, key, value):
    def spoil(state):
        state[key].view(-1)[-1] = value

    changed_state(write_flat(tmp_path), spoil)
    with pytest.raises(CheckpointInvalidError, match=f"'{key}' holds NaN or infinity"):
        load(tmp_path)


def test_weights_too_large_for_float16(tmp_path):
    changed_state(write_flat(tmp_path), lambda state: state["lm_head.weight"].mul_(1e6))
    load(tmp_path)
    with pytest.raises(
        CheckpointInvalidError, match=r"'lm_head.weight' holds NaN or infinity.*too large for torch.float16"
    ):
        load(tmp_path, dtype="float16")
