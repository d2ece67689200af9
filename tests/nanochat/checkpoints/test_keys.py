"""Keys that nanochat's models have not: accepted where they change nothing, else told by what they are."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nanochat.checkpoint_manager import load_model
from nanochat.errors import CheckpointInvalidError
from tests.checkpoints import changed_state, edit_meta, load, logits_of, write_flat
from tests.models import ERA_NAMES, random_model

pytestmark = pytest.mark.usefixtures("base")


def two_layers(era: str = "F") -> Any:
    return random_model(era, n_layer=2, n_embd=32, n_head=2, n_kv_head=1)


def tables(positions: int, base: float, *, full: bool = False) -> tuple[Tensor, Tensor]:
    """Cosine and sine as nanochat registers them, (positions, 8), or as Hugging Face does, (positions, 16)."""
    frequencies = 1.0 / base ** (torch.arange(0, 16, 2).float() / 16)
    angles = torch.outer(torch.arange(positions).float(), frequencies)
    angles = torch.cat([angles, angles], dim=-1) if full else angles
    return angles.cos(), angles.sin()


def renamed(change: Callable[[str], str]) -> Callable[[dict[str, Tensor]], None]:
    def rename(state: dict[str, Tensor]) -> None:
        for key in list(state):
            state[change(key)] = state.pop(key)

    return rename


WRAPPED: dict[str, Callable[[str], str]] = {
    "compile": lambda key: f"_orig_mod.{key}",
    "DDP": lambda key: f"module.{key}",
    "DDP of compile": lambda key: f"module._orig_mod.{key}",
    "compile of DDP": lambda key: f"_orig_mod.module.{key}",
    "DDP twice": lambda key: f"module.module.{key}",
    "compile of each block": lambda key: key.replace(".h.1.", ".h.1._orig_mod."),
    "FSDP": lambda key: f"_fsdp_wrapped_module.{key.replace('.attn.', '._fsdp_wrapped_module.attn.')}",
    "activation checkpointing": lambda key: key.replace(".mlp.", "._checkpoint_wrapped_module.mlp."),
    "Lightning": lambda key: f"model.{key}",
    "Lightning of compile": lambda key: f"model._orig_mod.{key}",
    "DeepSpeed": lambda key: f"_forward_module.module.{key}",
}


@pytest.mark.parametrize("wrapped", WRAPPED)
@pytest.mark.parametrize("era", ["A", "F"])
def test_the_names_of_wrapped_models(tmp_path, era, wrapped):
    model = two_layers(era)
    changed_state(write_flat(tmp_path, 10, model), renamed(WRAPPED[wrapped]))
    assert torch.equal(logits_of(load(tmp_path)[0]), logits_of(model))


@pytest.mark.parametrize("first", [lambda key: f"module.{key}", lambda key: f"_orig_mod.{key}"])
def test_a_name_with_a_prefix_and_without(tmp_path, first):
    def both(state: dict[str, Tensor]) -> None:
        state |= {f"_orig_mod.{key}": value for key, value in state.items()}

    changed_state(write_flat(tmp_path), both)
    with pytest.raises(CheckpointInvalidError, match="both with and without the prefix _orig_mod"):
        load(tmp_path)


@pytest.mark.parametrize("era", ERA_NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_rotary_tables_that_are_ours(tmp_path, era, dtype):
    model = two_layers(era)
    base = model.era.rotary_base

    def store(state: dict[str, Tensor]) -> None:
        cos, sin = tables(640, base)
        state |= {"cos": cos[None, :, None].to(dtype), "sin": sin[None, :, None].to(dtype)}

    changed_state(write_flat(tmp_path, 10, model), store)
    assert torch.equal(logits_of(load(tmp_path, era="D" if era == "D" else None)[0]), logits_of(model))


@pytest.mark.parametrize(
    "names", [("cos", "sin"), ("rotary.cos_cached", "rotary.sin_cached"), ("transformer.h.0.attn.rotary_cos", "x.sin")]
)
def test_rotary_tables_under_other_names_and_in_other_shapes(tmp_path, names):
    model = two_layers()
    cos, sin = tables(64, 100_000, full=True)
    frequencies = 1.0 / 100_000 ** (torch.arange(0, 16, 2).float() / 16)
    stored = {names[0]: cos, names[1]: sin[None, None], "rotary_emb.inv_freq": frequencies}
    changed_state(write_flat(tmp_path, 10, model), lambda state: state.update(stored))
    assert torch.equal(logits_of(load(tmp_path)[0]), logits_of(model))


@pytest.mark.parametrize(
    "stored",
    [
        {"cos": tables(64, 10_000)[0]},
        {"sin": tables(64, 500_000)[1]},
        {"cos": tables(64, 100_000)[1]},
        {"cos": torch.zeros(64, 8)},
        {"cos": torch.zeros(64, 7)},
        {"cos": torch.full((64, 8), torch.nan)},
        {"rotary_emb.inv_freq": torch.ones(8)},
        {"rotary_emb.inv_freq": torch.ones(3)},
    ],
)
def test_stored_rotary_tables_that_are_others(tmp_path, stored):
    changed_state(write_flat(tmp_path, 10, two_layers()), lambda state: state.update(stored))
    with pytest.raises(CheckpointInvalidError, match=r"stores rotary tables, '.*', other than those of era F \("):
        load(tmp_path)


def test_biases_of_zero_change_nothing_and_others_are_told(tmp_path):
    model = two_layers()
    weights, bias = write_flat(tmp_path, 10, model), torch.zeros(32)
    changed_state(weights, lambda state: state.update({"transformer.h.0.attn.c_q.bias": bias}))
    assert torch.equal(logits_of(load(tmp_path)[0]), logits_of(model))
    changed_state(weights, lambda state: state.update({"transformer.h.0.attn.c_q.bias": bias + 1}))
    with pytest.raises(CheckpointInvalidError, match=r"'transformer.h.0.attn.c_q.bias' belongs to biases that are not"):
        load(tmp_path)


BLOCK = "transformer.h.0"
FOREIGN = {
    f"{BLOCK}.mlp.experts.0.c_fc.weight": "a mixture of experts, which no nanochat model has",
    f"{BLOCK}.mlp.router.weight": "a mixture of experts",
    f"{BLOCK}.mlp.router.gate.weight": "a mixture of experts",
    f"{BLOCK}.attn.c_q.lora_A.weight": "a LoRA adapter: merge it",
    f"base_model.{BLOCK}.attn.c_q.weight": "a LoRA adapter: merge it",
    "layers.0.self_attn.q_proj.weight": "a Hugging Face model's names: name the checkpoint that nanochat itself wrote",
    "transformer.wpe.weight": "GPT-2's and nanoGPT's names",
    f"{BLOCK}.attn.q_norm.weight": "norms with gains",
    f"{BLOCK}.attn.c_q.qweight": "quantised weights",
    "_flat_param": "FSDP's flattened weights",
    f"{BLOCK}.attn.mask": "a stored mask",
}


@pytest.mark.parametrize("key", FOREIGN)
def test_foreign_keys_are_told_by_what_they_are(tmp_path, key):
    changed_state(write_flat(tmp_path, 10, two_layers()), lambda state: state.update({key: torch.ones(2)}))
    with pytest.raises(CheckpointInvalidError) as raised:
        load(tmp_path)
    assert f"'{key}' belongs to {FOREIGN[key]}" in str(raised.value)
    for advice in ("era=", "opy it again", "opy the file again"):
        assert advice not in str(raised.value)


def test_experts_in_place_of_the_mlp(tmp_path):
    def route(state: dict[str, Tensor]) -> None:
        for name in ("c_fc", "c_proj"):
            value = state.pop(f"{BLOCK}.mlp.{name}.weight")
            state[f"{BLOCK}.mlp.experts.w_{name}"] = torch.stack([value, value])

    changed_state(write_flat(tmp_path, 10, two_layers()), route)
    with pytest.raises(CheckpointInvalidError, match="a mixture of experts") as raised:
        load(tmp_path)
    assert "era=" not in str(raised.value)


@pytest.mark.parametrize("value", [torch.zeros(2, dtype=torch.int8), torch.ones(2, 2, dtype=torch.bool)])
def test_tensors_of_other_types_are_told_too(tmp_path, value):
    key = f"{BLOCK}.attn.c_q.qweight"
    changed_state(write_flat(tmp_path, 10, two_layers()), lambda state: state.update({key: value}))
    with pytest.raises(CheckpointInvalidError, match=r"not an ordinary tensor .* belongs to quantised"):
        load(tmp_path)


NEUTRAL: list[dict[str, Any]] = [
    {"num_experts": 0, "top_k": 2},
    {"n_experts": 0, "router_aux_loss_coef": 0.01, "num_experts_per_tok": 2},
    {"num_experts": False, "moe_every": 2},
    {"use_moe": False, "top_k": 2, "capacity_factor": 1.25},
    {"dropout": 0.0, "bias": False},
    {"tie_embeddings": False, "rank": 0, "extra": {}},
]


@pytest.mark.parametrize("extra", NEUTRAL)
def test_settings_that_change_nothing(tmp_path, extra):
    model = two_layers()
    weights = write_flat(tmp_path, 10, model)
    edit_meta(weights, **extra)
    loaded, _, meta = load(tmp_path)
    assert torch.equal(logits_of(loaded), logits_of(model))
    assert loaded.config == model.config
    assert extra.items() <= meta["model_config"].items()


def test_settings_that_are_null_are_as_good_as_missing(tmp_path):
    model = two_layers("A")
    weights = write_flat(tmp_path, 10, model)
    path = weights.with_name("meta_000010.json")
    meta = json.loads(path.read_text())
    meta["model_config"] |= {"window_pattern": None, "era": None, "num_experts": None, "rope_scaling": None}
    del meta["model_config"]["rope_scaling"]
    path.write_text(json.dumps(meta))
    assert torch.equal(logits_of(load(tmp_path)[0]), logits_of(model))


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"num_experts": 8, "top_k": 2}, r"unknown key 'num_experts' \(8\), that of a mixture of experts"),
        ({"top_k": 2}, r"unknown key 'top_k' \(2\), that of a mixture of experts"),
        ({"dropout": 0.1}, r"unknown key 'dropout' \(0.1\)"),
        ({"qk_norm": False}, r"unknown key 'qk_norm' \(False\)"),
        ({"softcap": 0}, r"unknown key 'softcap' \(0\)"),
        ({"rope_theta": 0}, r"unknown key 'rope_theta'"),
    ],
)
def test_settings_that_change_something_are_told_without_useless_advice(tmp_path, extra, message):
    edit_meta(write_flat(tmp_path, 10, two_layers()), **extra)
    with pytest.raises(CheckpointInvalidError, match=f"{message}.*of no architecture that") as raised:
        load(tmp_path)
    assert "opy the file again" not in str(raised.value)


def test_an_unknown_era_is_still_told_with_its_override(tmp_path):
    changed_state(write_flat(tmp_path), lambda state: state.update({"new_thing": torch.zeros(2)}))
    with pytest.raises(CheckpointInvalidError, match=r"the unknown 'new_thing' .* for era F .*era=... overrides that"):
        load_model(tmp_path, "cpu", "eval")
