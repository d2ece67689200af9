import json
import os
import pickle
import random
import shutil
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from nanochat import attention, checkpoint_manager, gpt
from nanochat.checkpoint_manager import (
    build_model,
    load_model,
    model_config_of,
    read_meta,
    read_state,
    save_checkpoint,
    self_check,
)
from nanochat.errors import (
    CheckpointInvalidError,
    CheckpointNotFoundError,
    SettingInvalidError,
    TokenizerInvalidError,
)
from nanochat.gpt_config import SIZES
from tests.checkpoints import (
    Bomb,
    assert_bomb_works,
    edit_meta,
    tiny_model,
    tree,
    write_checkpoint,
    write_flat,
    write_tokenizer,
)
from tests.models import ERA_NAMES, GOLDEN, random_model

CPU = torch.device("cpu")
IDS = torch.arange(12)[None] * 5 + 1


@pytest.fixture(autouse=True)
def base(monkeypatch, tmp_path):
    """nanochat's base folder, which is not there."""
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "base"))
    return tmp_path / "base"


def load(folder, **settings):
    return load_model(folder, "cpu", "eval", **settings)


def logits_of(model):
    with torch.no_grad():
        return model(IDS)


def changed_state(weights, change):
    """Change the tensors in a file."""
    state = torch.load(weights, weights_only=True)
    change(state)
    torch.save(state, weights)


# what is loaded


@pytest.mark.parametrize("era", ERA_NAMES)
def test_every_era_comes_back_as_it_was_written(tmp_path, era):
    pattern = "L" if era in ("A", "Ap") else "SL"  # these two record none
    model = random_model(era, n_layer=2, n_embd=32, window_pattern=pattern)
    write_flat(tmp_path / "mine", 7, model, loss=0.5)
    loaded, tokenizer, meta = load(tmp_path / "mine", era="D" if era == "D" else None)
    assert loaded.config == model.config
    assert torch.equal(logits_of(loaded), logits_of(model))
    assert tokenizer.get_vocab_size() == 300
    assert (meta["step"], meta["loss"]) == (7, 0.5)
    assert loaded.num_parameters() == model.num_parameters()


def test_where_it_came_from_is_kept_and_said(tmp_path, base, capsys):
    weights = write_checkpoint(base / "chatsft_checkpoints" / "d1")
    write_tokenizer(base / "tokenizer")
    model, _, _ = load("sft")
    assert model.provenance.pop("self_check_error") < 1e-5
    assert model.provenance == {"source": "sft", "tag": "d1", "step": 10, "path": str(weights), "note": None}
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"Loaded sft model d1, step 10, era F from {weights.parent}\n"


@pytest.mark.parametrize(("step", "kept"), [(12, 12), ("latest", 10), (None, 10), (1.5, 10)])
def test_the_step_is_the_metadatas_else_the_names(tmp_path, step, kept):
    write_flat(tmp_path, 10)
    path = tmp_path / "meta_000010.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"step": step}), encoding="utf-8")
    assert load(tmp_path)[0].provenance["step"] == kept


def test_tag_and_step_are_passed_on(base):
    for tag, step in (("d1", 5), ("d1", 6), ("d2", 7)):
        write_checkpoint(base / "base_checkpoints" / tag, step)
    write_tokenizer(base / "tokenizer")
    assert load("base")[2]["step"] == 7
    assert load("base", model_tag="d1")[2]["step"] == 6
    assert load_model("base", "cpu", "eval", "d1", 5)[2]["step"] == 5


def test_the_built_in_model_is_read_from_safetensors(tmp_path, monkeypatch):
    weights = write_flat(tmp_path)
    save_file(read_state(weights), tmp_path / "model.safetensors")
    shutil.move(weights.with_name("meta_000010.json"), tmp_path / "model.json")
    monkeypatch.setattr("nanochat.checkpoints.DEMO_FOLDER", tmp_path)
    model, _, _ = load("demo")
    assert model.provenance["source"] == "demo"
    assert torch.equal(logits_of(model), logits_of(tiny_model()))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointInvalidError, match=r"model.safetensors cannot be loaded"):
        load("demo")


def test_nothing_is_written(tmp_path, base):
    write_flat(tmp_path / "mine")
    before = tree(tmp_path)
    load(tmp_path / "mine")
    with pytest.raises(CheckpointNotFoundError):
        load("sft")
    assert tree(tmp_path) == before
    assert not base.exists()


def test_optimizer_shards_are_left_alone(tmp_path):
    weights = write_flat(tmp_path)
    for rank in range(2):
        weights.with_name(f"optim_000010_rank{rank}.pt").write_bytes(b"not even torch")
    assert load(tmp_path)[2]["step"] == 10


def test_compiled_models_keys(tmp_path):
    weights = write_flat(tmp_path)
    torch.save({f"_orig_mod.{key}": value for key, value in tiny_model().state_dict().items()}, weights)
    assert torch.equal(logits_of(load(tmp_path)[0]), logits_of(tiny_model()))
    changed_state(weights, lambda state: state.update(lm_head=torch.zeros(1), **{"_orig_mod.lm_head": torch.zeros(1)}))
    with pytest.raises(CheckpointInvalidError, match="both with and without the prefix _orig_mod"):
        load(tmp_path)


def test_bfloat16_is_loaded_as_float32_on_the_cpu(tmp_path):
    weights = write_flat(tmp_path)
    rounded = {key: value.bfloat16() for key, value in tiny_model().state_dict().items()}
    torch.save(rounded, weights)
    model, _, _ = load(tmp_path)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(torch.equal(model.state_dict()[key], value.float()) for key, value in rounded.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, "bfloat16", "float16"])
@pytest.mark.parametrize("era", ERA_NAMES)
def test_halves_compute_nearly_the_same(era, dtype):
    folder = GOLDEN / era / "gqa_windowed"
    whole, _, _ = load(folder, era=era)
    half, _, _ = load(folder, era=era, dtype=dtype)
    assert str(half.dtype).endswith(str(dtype).removeprefix("torch."))
    scalars = {parameter.dtype for name, parameter in half.named_parameters() if "_lambda" in name}
    assert scalars <= {torch.float32}
    found, expected = logits_of(half), logits_of(whole)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).norm() / expected.norm() < (0.05 if half.dtype == torch.bfloat16 else 0.005)


def test_the_file_may_be_overwritten_after_loading(tmp_path):
    weights = write_flat(tmp_path)
    model, _, _ = load(tmp_path)
    before = logits_of(model)
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.write(b"\xff" * size)
    assert torch.equal(logits_of(model), before)
    weights.write_bytes(b"")
    assert torch.equal(logits_of(model), before)


@pytest.mark.parametrize("phase", ["eval", "train"])
def test_a_loaded_model_can_be_trained(tmp_path, phase):
    write_flat(tmp_path)
    model, _, _ = load_model(tmp_path, "cpu", phase)
    assert model.training == (phase == "train")
    model(IDS, IDS).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("phase", ["", "test", None])
def test_other_phases(phase):
    with pytest.raises(SettingInvalidError, match='use "eval" or "train"'):
        load_model("demo", "cpu", phase)


@pytest.mark.parametrize("settings", [{"device": "cuda:9"}, {"device": "tpu"}, {"dtype": "int8"}])
def test_devices_and_dtypes_that_are_not_there_are_refused_before_reading(tmp_path, settings):
    with pytest.raises(SettingInvalidError):
        load_model(tmp_path / "nowhere", **{"device": "cpu", "phase": "eval"} | settings)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory"),
    ],
)
@pytest.mark.parametrize("where", ["_placed", "self_check"])
def test_too_little_memory(tmp_path, monkeypatch, error, where):
    write_flat(tmp_path)

    def fail(*args):
        raise error

    monkeypatch.setattr(checkpoint_manager, where, fail)
    with pytest.raises(
        SettingInvalidError, match=r"not enough memory on cpu .* another device, a smaller model, or bfloat16"
    ):
        load(tmp_path)


def test_other_errors_are_not_taken_for_too_little_memory(tmp_path, monkeypatch):
    write_flat(tmp_path)

    def fail(*args):
        raise RuntimeError("something else")

    monkeypatch.setattr(checkpoint_manager, "self_check", fail)
    with pytest.raises(RuntimeError, match="something else"):
        load(tmp_path)


# which era


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


# the tokenizer


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


# metadata


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


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", [None, 0, -1, 1.0, "32", True, [1], 1 << 31, 1 << 62, 10**400])
def test_sizes_that_are_none(tmp_path, key, value):
    edit_meta(write_flat(tmp_path), **{key: value})
    with pytest.raises(
        CheckpointInvalidError, match=f"model_config.{key} is .* and must be a whole number from 1 to"
    ) as raised:
        load(tmp_path)
    assert len(str(raised.value)) < 500


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


# weights


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
    with pytest.raises(CheckpointInvalidError, match="nothing in it was run"):
        load(tmp_path)
    assert not target.exists()


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    weights, target = write_flat(tmp_path), tmp_path / "ran"
    torch.save(tiny_model().state_dict() | {"lm_head.weight": Bomb(target)}, weights)
    torch.load(weights, weights_only=False)
    assert target.exists(), "this checkpoint runs nothing, so the test would show nothing"
    target.unlink()
    with pytest.raises(CheckpointInvalidError, match=r"nothing in it was run.*UnpicklingError"):
        load(tmp_path)
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


# the self-check


def test_a_model_that_overflows_on_the_way(tmp_path):
    def enlarge(state):
        state["transformer.h.0.mlp.c_fc.weight"].mul_(1e20)
        state["transformer.h.0.mlp.c_proj.weight"].mul_(1e10)

    changed_state(write_flat(tmp_path), enlarge)
    with pytest.raises(CheckpointInvalidError, match="computes NaN or infinity"):
        load(tmp_path)


def scaled_wrongly(q, k, v, span, window):
    return attention.attend(q * 1.01, k, v, span, window)


def without_the_mask(q, k, v, span, window):
    return attention.attend(q, k, v, span, 0) if span.count > 1 else attention.attend(q, k, v, span, window)


def with_heads_mixed_up(q, k, v, span, window):
    values, weights = attention.attend(q, k, v, span, window)
    return values.roll(1, 2), weights


@pytest.mark.parametrize("wrong", [scaled_wrongly, without_the_mask, with_heads_mixed_up])
def test_wrong_attention_is_refused(tmp_path, monkeypatch, wrong):
    write_flat(tmp_path, 10, random_model("F", n_layer=3, n_embd=64))
    load(tmp_path)
    monkeypatch.setattr(gpt, "attend", wrong)
    with pytest.raises(
        CheckpointInvalidError, match=r"disagrees by .* in layer \d.*on cpu in torch.float32. Try another device"
    ):
        load(tmp_path)


def test_the_layer_that_is_wrong_is_named(monkeypatch):
    model = random_model("B", n_layer=3, n_embd=64)
    assert self_check(model) < 1e-5
    calls = []

    def wrong_in_the_middle(q, k, v, span, window):
        calls.append(window)
        values, weights = attention.attend(q, k, v, span, window)
        return values * (1.1 if len(calls) == 2 else 1), weights

    monkeypatch.setattr(gpt, "attend", wrong_in_the_middle)
    with pytest.raises(CheckpointInvalidError, match="in layer 1"):
        self_check(model)


@pytest.mark.parametrize(
    "sizes",
    [{"sequence_len": 1}, {"sequence_len": 5}, {"vocab_size": 1}, {"n_kv_head": 4}, {"n_head": 1, "n_kv_head": 1}],
)
def test_the_self_check_fits_every_model(sizes):
    assert self_check(random_model("F", **sizes)) < 1e-5


def test_the_self_check_leaves_nothing_behind():
    model = random_model("F")
    self_check(model)
    assert model.tap is None
    assert model.output_logits is None


# reading and writing by hand


def test_a_checkpoint_is_written_as_nanochat_does(tmp_path):
    model = tiny_model()
    meta = {"step": 3, "model_config": model_config_of(model)}
    for rank in range(2):
        save_checkpoint(tmp_path / "new" / "d1", 3, model.state_dict(), {"lr": torch.ones(1)}, meta, rank)
    names = ["meta_000003.json", "model_000003.pt", "optim_000003_rank0.pt", "optim_000003_rank1.pt"]
    assert tree(tmp_path / "new" / "d1") == names
    assert json.loads((tmp_path / "new" / "d1" / names[0]).read_text(encoding="utf-8")) == meta
    written = torch.load(tmp_path / "new" / "d1" / names[1], weights_only=True)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in written.items())


def test_reading_gives_what_building_takes(tmp_path):
    weights = write_flat(tmp_path)
    state, meta = read_state(weights), read_meta(tmp_path / "meta_000010.json")
    model, note = build_model(state, meta, CPU, torch.float32)
    assert note is None
    assert np.allclose(logits_of(model), logits_of(tiny_model()))
