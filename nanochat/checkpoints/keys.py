"""The names of a checkpoint's tensors: prefixes taken off, what changes nothing left out, the others explained."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from nanochat.eras import Era
from nanochat.errors import CheckpointInvalidError
from nanochat.gpt_config import GPTConfig

# What torch.compile, FSDP and activation checkpointing put into names, wherever they wrap a module.
WRAPPERS = re.compile(r"(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# What DDP, Lightning and DeepSpeed put before every name.
PREFIXES = ("module.", "model.", "_forward_module.")
ROTARY = re.compile(r"(?:^|[._])(cos|sin|inv_freq)(?:_cached)?$")
ROTARY_TOLERANCE = 1e-2  # as tables in bfloat16 differ, and angles far out that a GPU computed; other bases differ by 1

# What a name that no era has shows, and what can be done about it.
KINDS = (
    (r"lora_|^base_model\.", "a LoRA adapter: merge it into the model (PEFT's merge_and_unload) and save that"),
    (r"expert|router|\bmoe\b", "a mixture of experts, which no nanochat model has: nanoscope cannot compute it"),
    (r"exp_avg|momentum_buffer|param_groups", "an optimizer's state: nanochat's weights are in model_<step>.pt"),
    (r"flat_param", "FSDP's flattened weights: gather them with its FULL_STATE_DICT, and save that"),
    (r"embed_tokens|self_attn|_proj\.(?!weight$)|[qkvo]_proj\.weight|^layers\.|language_model",
     "a Hugging Face model's names: name the checkpoint that nanochat itself wrote"),
    (r"\bwpe\b|\bln_|\bc_attn\b", "GPT-2's and nanoGPT's names: that is another architecture"),
    (r"qweight|qzeros|absmax|weight_scale|\bscales?$|\bSCB$", "quantised weights: name those they were made from"),
    (r"_extra_state$", "Transformer Engine's own state: save the model without it"),
    (r"norm\w{0,40}+\.(weight|scale|gain)$",
     "norms with gains, which nanochat's have not: that is another architecture"),
    (r"\.bias$", "biases that are not zero, which nanochat's models have not: that is another architecture"),
    (r"mask$", "a stored mask, which nanoscope does not compare with its own: save the model without it"),
)  # fmt: skip
# Of what a file holds that is no state dict of tensors: keys that show what it is.
CONTENTS = (
    ({"param_groups"}, "an optimizer's state: nanochat's weights are in model_<step>.pt"),
    ({"lora_A", "peft_type", "adapter_config"}, "a LoRA adapter: merge it into the model and save that"),
)
STATES = ("model", "state_dict", "model_state_dict", "module", "net", "weights")


def unwrapped(state: Mapping[str, Tensor], path: Any) -> dict[str, Tensor]:
    """A state dict with the names that the model itself gives.

    Raises:
        CheckpointInvalidError: a name is there both with a prefix and without.
    """
    named = {WRAPPERS.sub("", key): value for key, value in state.items()}
    while prefix := next((one for one in PREFIXES if named and all(key.startswith(one) for key in named)), None):
        named = {key.removeprefix(prefix): value for key, value in named.items()}
    if len(named) < len(state):
        raise CheckpointInvalidError(f"{path} holds keys both with and without the prefix _orig_mod. or another's.")
    return named


def content_of(loaded: Any) -> str:
    """What a file holds that is no state dict, as the end of a sentence; "" where nothing is known of it."""
    if isinstance(loaded, torch.nn.Module):
        return "it is a whole model: save its state_dict() instead"
    first = loaded[0] if isinstance(loaded, list | tuple) and loaded else loaded
    if not isinstance(first, Mapping):
        return ""
    for keys, kind in CONTENTS:
        if keys & first.keys():
            return f"it is {kind}"
    inside = next((name for name in STATES if isinstance(first.get(name), Mapping)), None)
    if inside is not None:
        return (
            f"it is a whole training state ({', '.join(map(str, list(first)[:4]))}): "
            f"save what is under {inside!r} by itself, with torch.save"
        )
    return ""


def without_neutral(
    state: Mapping[str, Tensor], expected: Iterable[str], config: GPTConfig, era: Era
) -> dict[str, Tensor]:
    """A state dict without what changes nothing: rotary tables as they are computed here, biases of zero.

    Raises:
        CheckpointInvalidError: stored rotary tables are others.
    """
    expected, kept = set(expected), {}
    for key, value in state.items():
        rotary = ROTARY.search(key)
        if key not in expected and rotary:
            _check_rotary(key, value, rotary[1], config, era)
        elif key in expected or not (_is_bias(key, expected) and not value.count_nonzero()):
            kept[key] = value
    return kept


def _is_bias(key: str, expected: set[str]) -> bool:
    return key.endswith(".bias") and f"{key.removesuffix('bias')}weight" in expected


def _check_rotary(key: str, stored: Tensor, kind: str, config: GPTConfig, era: Era) -> None:
    half = config.head_dim // 2
    channels = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device="cpu")
    frequencies = 1.0 / (era.rotary_base ** (channels / config.head_dim))
    table = stored.float().squeeze()  # (positions, half), both halves alike, or the frequencies alone
    if kind == "inv_freq":
        same = table.shape == frequencies.shape and torch.allclose(table, frequencies, rtol=ROTARY_TOLERANCE)
    else:
        same = table.dim() == 2 and table.size(-1) in (half, 2 * half)
        if same:
            positions = torch.arange(table.size(0), dtype=torch.float32, device="cpu")
            angles = torch.outer(positions, frequencies)
            ours = (angles.cos() if kind == "cos" else angles.sin()).repeat(1, table.size(-1) // half)
            same = bool((table - ours).abs().max() <= ROTARY_TOLERANCE)
    if not same:
        raise CheckpointInvalidError(
            f"The checkpoint stores rotary tables, {key!r}, other than those of era {era.name} (base "
            f"{era.rotary_base:,.0f}): it was trained with other positions, which nanoscope does not compute."
        )


def explained(keys: Iterable[str]) -> str | None:
    """What names that no era has show: the first of them, and what it belongs to; None where that is not known."""
    for key in keys:
        kind = next((kind for pattern, kind in KINDS if re.search(pattern, key, re.IGNORECASE)), None)
        if kind is not None:
            return f"{key!r} belongs to {kind}"
    return None
