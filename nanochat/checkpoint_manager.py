"""Loading a checkpoint of any era: read it safely, find out what it is, build it, check that it computes."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


from nanochat.capture import CaptureSettings, Recorder
from nanochat.checkpoints import Checkpoint, choose_checkpoint
from nanochat.common import get_base_dir, parse_device, parse_dtype
from nanochat.eras import EMBEDDING_KEY, VOCAB_MULTIPLE, Era, identify_era, named_era
from nanochat.errors import CheckpointInvalidError, CheckpointNotFoundError, SettingInvalidError, TokenizerInvalidError
from nanochat.gpt import GPT, GPTConfig
from nanochat.tokenizer import RustBPETokenizer

SIZES = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd")
SELF_CHECK_TOKENS = 12
SELF_CHECK_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}  # relative to the largest value
COMPILED_PREFIX = "_orig_mod."


def load_model(
    source: str | Path,
    device: torch.device | str | None,
    phase: str,
    model_tag: str | None = None,
    step: int | None = None,
    era: str | None = None,
    *,
    dtype: torch.dtype | str | None = None,
) -> tuple[GPT, RustBPETokenizer, dict[str, Any]]:
    """Load a nanochat model of any era, with its tokenizer.

    Says on stderr which checkpoint was chosen and what it was taken for.

    Args:
        source: base, mid, sft or rl in nanochat's base folder, demo for the built-in model, or a folder in any layout.
        device: a device or its name; None: the best at hand.
        phase: "eval" or "train".
        model_tag: such as "d20"; None: the largest.
        step: None: the highest.
        era: overrides what the keys say.
        dtype: what to compute in; None: bfloat16 on GPUs that have it, else float32.

    Returns:
        The model, its tokenizer, and the checkpoint's metadata.

    Raises:
        CheckpointNotFoundError: nothing there.
        CheckpointInvalidError: damaged, unsafe, of an unknown architecture, or it does not compute what it should.
        TokenizerInvalidError: no tokenizer, or one of another vocabulary.
        SettingInvalidError: no such device, dtype or phase.
    """
    if phase not in ("eval", "train"):
        raise SettingInvalidError(f'phase={phase!r}: use "eval" or "train".')
    parsed_device = parse_device(device)
    parsed_dtype = parse_dtype(dtype, parsed_device)
    checkpoint = choose_checkpoint(str(source), get_base_dir(), model_tag, step)
    tokenizer = _load_tokenizer(checkpoint)
    meta = read_meta(checkpoint.meta)
    model, note = build_model(read_state(checkpoint.weights), meta, parsed_device, parsed_dtype, era)
    model.train(phase == "train")
    if tokenizer.get_vocab_size() != model.config.vocab_size:
        raise TokenizerInvalidError(
            f"The tokenizer has {tokenizer.get_vocab_size():,} tokens and {checkpoint.weights} was trained with "
            f"{model.config.vocab_size:,}: it is another model's. Copy the right tokenizer.pkl beside the checkpoint."
        )
    model.provenance = {
        "source": checkpoint.source,
        "tag": checkpoint.tag,
        "step": meta.get("step", checkpoint.step),
        "path": str(checkpoint.weights),
        "self_check_error": self_check(model),
    }
    said = f"Loaded {checkpoint.source} model {checkpoint.tag}, step {model.provenance['step']}, era {model.config.era}"
    print(f"{said} from {checkpoint.weights.parent}{f' ({note})' if note else ''}", file=sys.stderr)
    return model, tokenizer, meta


def _load_tokenizer(checkpoint: Checkpoint) -> RustBPETokenizer:
    folder = checkpoint.tokenizer_folder(get_base_dir())
    if folder is None:
        raise TokenizerInvalidError(
            f"There is no tokenizer.pkl beside {checkpoint.weights} or in nanochat's base folder: copy the one that the "
            "model was trained with into the checkpoint's folder."
        )
    return RustBPETokenizer.from_directory(folder)


def read_meta(path: Path) -> dict[str, Any]:
    """A checkpoint's metadata, with a usable model_config.

    Raises:
        CheckpointNotFoundError, CheckpointInvalidError: missing; not JSON, or sizes missing or impossible.
    """
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointNotFoundError(f"There is no {path}: copy it from where the weights came from.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointInvalidError(f"{path} cannot be read as JSON ({error}): copy it again.") from error
    config = meta.get("model_config") if isinstance(meta, dict) else None
    if not isinstance(config, dict):
        raise CheckpointInvalidError(f"{path} has no model_config: it is not the metadata of a nanochat checkpoint.")
    problem = _config_problem(config)
    if problem:
        raise CheckpointInvalidError(f"{path}: {problem}. Copy the file again from where the weights came from.")
    return meta


def _config_problem(config: dict[str, Any]) -> str | None:
    for key in SIZES:
        if type(config.get(key)) is not int or not 0 < config[key] < 1 << 31:
            return f"model_config.{key} is {config.get(key)!r} and must be a whole number above 0"
    unknown = config.keys() - {*SIZES, "window_pattern", "era"}
    if unknown:
        return f"model_config has the unknown key {min(unknown)!r}"
    pattern = config.get("window_pattern", "L")
    if not isinstance(pattern, str) or not pattern or set(pattern.upper()) - set("SL"):
        return f"model_config.window_pattern is {pattern!r} and must be made of S and L"
    if config["n_embd"] % config["n_head"] or config["n_head"] % config["n_kv_head"]:
        return "n_embd must be a multiple of n_head, and n_head of n_kv_head"
    if (config["n_embd"] // config["n_head"]) % 2:
        return "the head dimension n_embd / n_head must be even"
    return None


def read_state(path: Path) -> dict[str, Tensor]:
    """A checkpoint's tensors, memory-mapped, with nothing in the file run; compile's key prefix is taken off.

    Raises:
        CheckpointInvalidError: missing, truncated, damaged, or holding anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # torch raises nearly anything on a damaged file
        first_line = str(error).strip().split("\n")[0]
        raise CheckpointInvalidError(
            f"{path} cannot be loaded: it is damaged, incomplete, or holds something other than weights; nothing in it was "
            f"run. Copy it again from its source. ({type(error).__name__}: {first_line[:200]})"
        ) from error
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        raise CheckpointInvalidError(f"{path} does not hold a state dict of named tensors: it is not a nanochat checkpoint.")
    return {key.removeprefix(COMPILED_PREFIX): value for key, value in state.items()}


def build_model(
    state: dict[str, Tensor],
    meta: dict[str, Any],
    device: torch.device,
    dtype: torch.dtype,
    era: str | None = None,
) -> tuple[GPT, str | None]:
    """A model with a state dict's weights.

    Args:
        state: as `read_state` gives it.
        meta: as `read_meta` gives it; a key `era` there overrides what the keys say.
        era: overrides both.

    Returns:
        The model, and a note where the checkpoint leaves a choice open.

    Raises:
        CheckpointInvalidError: a key is unknown or missing, or a shape is wrong.
    """
    fields = dict(meta["model_config"])
    override = era or fields.pop("era", None) or meta.get("era")
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    taken, note = (named_era(override), None) if override else identify_era(shapes, fields["vocab_size"])
    config = GPTConfig(**{"window_pattern": "L", **fields, "era": taken.name})
    rows = shapes.get(EMBEDDING_KEY, (0,))[0]
    with torch.device("meta"):
        model = GPT(config, pad_vocab_size_to=1 if rows == config.vocab_size else VOCAB_MULTIPLE)
    _check_keys(model, shapes, taken)
    parameters = {key: _placed(value, key, device, dtype) for key, value in state.items()}
    model.load_state_dict(parameters, strict=True, assign=True)
    model.requires_grad_(True)
    return model, note


def _placed(value: Tensor, key: str, device: torch.device, dtype: torch.dtype) -> torch.nn.Parameter:
    """A copy of its own (a mapped file may change under us), the few scalars in float32."""
    scalar = key.endswith(("_lambda", "_lambdas"))
    return torch.nn.Parameter(value.to(device=device, dtype=torch.float32 if scalar else dtype, copy=True))


def _check_keys(model: GPT, shapes: dict[str, tuple[int, ...]], era: Era) -> None:
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    advice = f"nanoscope took the checkpoint for era {era.name} ({era.since}); era=... overrides that"
    missing, unknown = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    if missing:
        raise CheckpointInvalidError(f"The checkpoint lacks {missing[0]!r} ({len(missing)} keys missing): {advice}.")
    if unknown:
        raise CheckpointInvalidError(f"The checkpoint has the unknown {unknown[0]!r} ({len(unknown)} such): {advice}.")
    for key, shape in expected.items():
        if shapes[key] != shape:
            raise CheckpointInvalidError(
                f"{key!r} has shape {shapes[key]} where model_config asks for {shape}: {advice}; or the metadata is of "
                "another checkpoint."
            )


@torch.inference_mode()
def self_check(model: GPT) -> float:
    """Compare attention computed explicitly with the fused kernel's, on a short text.

    Returns:
        The largest difference of any layer's attention output, relative to the largest value there.

    Raises:
        CheckpointInvalidError: they disagree, or the model computes NaN.
    """
    config, device = model.config, model.get_device()
    count = min(SELF_CHECK_TOKENS, config.sequence_len)
    ids = torch.arange(count, device=device)[None] * 7 % config.vocab_size
    settings = CaptureSettings(sites=("attention_weights", "v", "post_attn"), logits=None)
    recorder = Recorder(config, settings, count, count, device, model.dtype)
    with model.capturing(recorder):
        logits = model(ids)
    errors = [_attention_error(block.attn) for block in model.transformer.h]
    model.attach(None)
    if not torch.isfinite(logits).all():
        raise CheckpointInvalidError("The model computes NaN or infinity: the weights are damaged, or overflow in this dtype.")
    if max(errors) > SELF_CHECK_TOLERANCE[model.dtype]:
        worst = errors.index(max(errors))
        raise CheckpointInvalidError(
            f"Attention computed in two ways disagrees by {max(errors):.1e} of its size in layer {worst}: this build of torch "
            f"computes wrongly on {device.type} in {model.dtype}. Try another device or dtype."
        )
    return max(errors)


def _attention_error(attention: Any) -> float:
    weights, v = attention.attention_weights, attention.v.float()  # (1, H, S, S), (1, S, H_kv, D)
    v = v.transpose(1, 2).repeat_interleave(attention.n_head // attention.n_kv_head, dim=1)  # (1, H, S, D)
    explicit = (weights @ v).transpose(1, 2).flatten(2) @ attention.c_proj.weight.float().T
    fused = attention.tap.view("post_attn", attention.layer_idx).float()
    return float((explicit - fused).abs().max() / fused.abs().max().clamp_min(1e-9))


def save_checkpoint(
    checkpoint_dir: str | Path,
    step: int,
    model_data: Mapping[str, Tensor],
    optimizer_data: Any,
    meta_data: dict[str, Any],
    rank: int = 0,
) -> None:
    """Write a checkpoint as nanochat lays it out: model_<step>.pt, meta_<step>.json and the optimizer's shard."""
    folder = Path(checkpoint_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if rank == 0:
        torch.save(dict(model_data), folder / f"model_{step:06d}.pt")
        (folder / f"meta_{step:06d}.json").write_text(json.dumps(meta_data, indent=2) + "\n", encoding="utf-8")
    if optimizer_data is not None:
        torch.save(optimizer_data, folder / f"optim_{step:06d}_rank{rank:d}.pt")


def model_config_of(model: GPT) -> dict[str, Any]:
    """The model_config that a checkpoint of this model records."""
    fields = {key: getattr(model.config, key) for key in SIZES}
    return fields | {"window_pattern": model.config.window_pattern}
