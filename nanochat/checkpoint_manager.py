"""Loading a checkpoint of any era: read it safely, find out what it is, build it, check that it computes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.checkpoints.files import read_meta, read_state, save_checkpoint
from nanochat.checkpoints.keys import explained, without_neutral
from nanochat.checkpoints.layouts import Checkpoint, choose_checkpoint
from nanochat.common import get_base_dir, parse_compute_dtype, parse_device, parse_dtype, without_autocast
from nanochat.eras import EMBEDDING_KEY, ERAS, VOCAB_MULTIPLE, Era, identify_era, named_era
from nanochat.errors import CheckpointInvalidError, SettingInvalidError, TokenizerInvalidError
from nanochat.gpt import GPT, GPTConfig
from nanochat.gpt_config import SIZES, is_window_pattern
from nanochat.memory import copy_to_huge_pages, memory_explained
from nanochat.system.standard_streams import notice, open_closed
from nanochat.tokenizer import RustBPETokenizer

__all__ = ["build_model", "load_model", "model_config_of", "read_meta", "read_state", "save_checkpoint", "self_check"]

SELF_CHECK_TOKENS = 12
SELF_CHECK_TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}  # relative to the largest value


def load_model(
    source: str | Path,
    device: torch.device | str | None,
    phase: str,
    model_tag: str | None = None,
    step: int | None = None,
    era: str | None = None,
    *,
    dtype: torch.dtype | str | None = None,
    compute_dtype: torch.dtype | str | None = None,
    base_dir: Path | None = None,
    window_pattern: str | None = None,
) -> tuple[GPT, RustBPETokenizer, dict[str, Any]]:
    """Load a nanochat model of any era, with its tokenizer.

    Says on stderr which checkpoint was chosen and what it was taken for.

    Args:
        source: base, mid, sft or rl in nanochat's base folder, demo for the built-in model, a folder in any layout, or
            a model_<step>.pt.
        device: a device or its name; None: the best at hand.
        phase: "eval" or "train".
        model_tag: such as "d20"; None: the deepest, see `choose_checkpoint`.
        step: None: the highest.
        era: overrides what the keys say.
        dtype: what weights and captures are kept in; None: bfloat16 on GPUs that have it, else float32.
        compute_dtype: what forwards compute in; None: for evaluation float64 for a small model's float32 on the CPU,
            else `dtype`. A trace records it.
        base_dir: nanochat's base folder; None: `get_base_dir()`.
        window_pattern: overrides what the metadata say of the layers' windows, such as "SSSL".

    Returns:
        The model, its tokenizer, and the checkpoint's metadata. `model.provenance` says where it comes from; its `note`
        tells every choice that was made where the checkpoint or the folder leaves one open.

    Raises:
        CheckpointNotFoundError: nothing there.
        CheckpointInvalidError: damaged, unsafe, of an unknown architecture, or it does not compute what it should.
        TokenizerInvalidError: no tokenizer, or one of another vocabulary.
        SettingInvalidError: no such device, dtype or phase, or not enough memory there.
    """
    if phase not in ("eval", "train"):
        raise SettingInvalidError(f'phase={phase!r}: use "eval" or "train".')
    open_closed()  # torch's C++ prints to the descriptor 2, whatever file that is
    parsed_device = parse_device(device)
    parsed_dtype = parse_dtype(dtype, parsed_device)
    base_dir = get_base_dir() if base_dir is None else base_dir
    checkpoint = choose_checkpoint(source, base_dir, model_tag, step)
    tokenizer, passed_over = _load_tokenizer(checkpoint, base_dir)
    meta = read_meta(checkpoint.meta)
    vocab_size = meta["model_config"]["vocab_size"]
    if tokenizer.get_vocab_size() != vocab_size:
        raise TokenizerInvalidError(
            f"The tokenizer has {tokenizer.get_vocab_size():,} tokens and {checkpoint.weights} was trained with "
            f"{vocab_size:,}: it is another model's. Copy the right tokenizer.pkl beside the checkpoint."
            f"{f' ({passed_over})' if passed_over else ''}"
        )
    advice = "use another device, a smaller model, or bfloat16, which takes half of float32"
    with memory_explained(parsed_device, f"this model in {parsed_dtype}", advice):
        state = read_state(checkpoint.weights)
        parameters = sum(value.numel() for value in state.values())
        wanted = parsed_dtype if compute_dtype is None and phase == "train" else compute_dtype
        computes_in = parse_compute_dtype(wanted, parsed_dtype, parsed_device, parameters)
        model, note = build_model(state, meta, parsed_device, computes_in, era, window_pattern)
        model.train(phase == "train")
        self_check_error = self_check(model)
    step = meta.get("step") if type(meta.get("step")) is int else checkpoint.step
    other_step = None if step == checkpoint.step else f"its metadata are of step {step}, {checkpoint.meta.name}"
    note = joined((note, checkpoint.choice, passed_over, other_step))
    model.provenance = {
        "source": checkpoint.source,
        "tag": checkpoint.tag,
        "step": step,
        "path": str(checkpoint.weights),
        "self_check_error": self_check_error,
        "note": note,
    }
    loaded = (
        f"Loaded {checkpoint.source} model {checkpoint.tag}, step {model.provenance['step']}, era {model.config.era}"
    )
    notice(f"{loaded} from {checkpoint.weights.parent}{f' ({note})' if note else ''}")
    return model, tokenizer, meta


def _load_tokenizer(checkpoint: Checkpoint, base_dir: Path) -> tuple[RustBPETokenizer, str]:
    """The tokenizer, and what was passed over for it."""
    path, passed_over = checkpoint.tokenizer_file(base_dir)
    if path is None:
        raise TokenizerInvalidError(
            f"There is no tokenizer.pkl beside {checkpoint.weights} or in nanochat's base folder: copy the one that "
            "the model was trained with into the checkpoint's folder."
        )
    return RustBPETokenizer.from_directory(path.parent), passed_over


@torch.inference_mode(False)  # where the caller is in it: the weights may be trained
def build_model(
    state: dict[str, Tensor],
    meta: dict[str, Any],
    device: torch.device,
    dtype: torch.dtype,
    era: str | None = None,
    window_pattern: str | None = None,
) -> tuple[GPT, str | None]:
    """A model with a state dict's weights.

    Args:
        state: as `read_state` gives it.
        meta: as `read_meta` gives it; a key `era` there overrides what the keys say.
        era: overrides both.
        window_pattern: overrides what the metadata say of the layers' windows.

    Returns:
        The model, and a note where the checkpoint leaves a choice open.

    Raises:
        CheckpointInvalidError: a key is unknown or missing, or a shape is wrong.
    """
    if window_pattern is not None and not is_window_pattern(window_pattern):
        raise SettingInvalidError(f"window_pattern={window_pattern!r}: it must be made of S and L, such as SSSL.")
    fields = dict(meta["model_config"])
    override = era or fields.pop("era", None) or meta.get("era")
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    taken, note = (named_era(override), None) if override else identify_era(shapes, fields["vocab_size"])
    pattern = window_pattern or fields.get("window_pattern")
    config = GPTConfig.of(fields, era=taken.name, window_pattern=pattern or taken.unrecorded_windows)
    notes = [note, None if pattern else _unrecorded_windows(config)]
    rows = (*shapes.get(EMBEDDING_KEY, ()), 0)[0]
    with torch.device("meta"):
        model = GPT(config, pad_vocab_size_to=1 if rows == config.vocab_size else VOCAB_MULTIPLE)
    state = without_neutral(state, model.state_dict(), config, taken)
    _check_keys(model, {key: shapes[key] for key in state}, taken)
    parameters = {key: _placed(value, key, device, dtype) for key, value in state.items()}
    with without_autocast(device):
        for key, value in parameters.items():
            if not torch.stack(torch.aminmax(value.detach())).isfinite().all():  # a softcap would hide infinite logits
                raise CheckpointInvalidError(
                    f"{key!r} holds NaN or infinity: the weights are damaged, or too large for {dtype}."
                )
    model.load_state_dict(parameters, strict=True, assign=True)
    model.requires_grad_(True)
    return model, joined(notes)


def _unrecorded_windows(config: GPTConfig) -> str | None:
    """What is said where the metadata do not tell the windows; None where all answers are the same."""
    if not ERAS[config.era].lambdas or config.n_layer == 1:
        return None
    return (
        f"the metadata record no window_pattern: took {config.window_pattern}, as nanochat trained nearly all such "
        'models; override with window_pattern="L" or another'
    )


def joined(notes: Iterable[str | None]) -> str | None:
    """Notes as one; None for none."""
    return "; ".join(filter(None, notes)) or None


def _placed(value: Tensor, key: str, device: torch.device, dtype: torch.dtype) -> torch.nn.Parameter:
    """A copy of its own (a mapped file may change under us), the few scalars in float32."""
    dtype = torch.float32 if key.endswith(("_lambda", "_lambdas")) else dtype
    on_cpu = device.type == "cpu"
    copy = copy_to_huge_pages(value, dtype) if on_cpu else value.to(device=device, dtype=dtype, copy=True)
    return torch.nn.Parameter(copy)


def _check_keys(model: GPT, shapes: dict[str, tuple[int, ...]], era: Era) -> None:
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    advice = f"nanoscope took the checkpoint for era {era.name} ({era.since}); era=... overrides that"
    missing, unknown = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    if kind := explained(unknown):
        raise CheckpointInvalidError(f"The checkpoint is not one of nanochat's models: {kind}.")
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


@torch.no_grad()  # not inference mode: the rotary tables made here serve training too
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
    blocks: Any = model.transformer.h
    with without_autocast(device):
        errors = [_attention_error(block.attn) for block in blocks]
    model.attach(None)
    if not torch.isfinite(logits).all():
        raise CheckpointInvalidError(
            "The model computes NaN or infinity: the weights are damaged, or overflow in this dtype."
        )
    if max(errors) > SELF_CHECK_TOLERANCE[model.dtype]:
        worst = errors.index(max(errors))
        raise CheckpointInvalidError(
            f"Attention computed in two ways disagrees by {max(errors):.1e} of its size in layer {worst}: this build "
            f"of torch computes wrongly on {device.type} in {model.dtype}. Try another device or dtype."
        )
    return max(errors)


def _attention_error(attention: Any) -> float:
    weights, v = attention.attention_weights, attention.v.float()  # (1, H, S, S), (1, S, H_kv, D)
    v = v.transpose(1, 2).repeat_interleave(attention.n_head // attention.n_kv_head, dim=1)  # (1, H, S, D)
    explicit = (weights @ v).transpose(1, 2).flatten(2) @ attention.c_proj.weight.float().T
    fused = attention.tap.view("post_attn", attention.layer_idx).float()
    return float((explicit - fused).abs().max() / fused.abs().max().clamp_min(1e-9))


def model_config_of(model: GPT) -> dict[str, Any]:
    """The model_config that a checkpoint of this model records."""
    fields = {key: getattr(model.config, key) for key in SIZES}
    return fields | {"window_pattern": model.config.window_pattern}
