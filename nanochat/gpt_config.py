"""What a checkpoint says of its model's sizes, and what follows from them. Needs no torch: traces carry it too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from nanochat.eras import ERAS

# What model_config must hold, and bounds far above any nanochat model, so that a damaged file cannot ask for terabytes.
SIZES = {
    "sequence_len": 1 << 17,
    "vocab_size": 1 << 22,
    "n_layer": 1 << 8,
    "n_head": 1 << 10,
    "n_kv_head": 1 << 10,
    "n_embd": 1 << 16,
}
KNOWN = {*SIZES, "window_pattern", "era"}
EXPERT_COUNTS = re.compile(r"(?:n|num)_(?:routed_|local_)?experts|(?:use_)?moe")
EXPERTS = re.compile(r"expert|router|moe|^top_?k$|capacity_factor|aux_loss|load_balanc", re.IGNORECASE)
# Settings whose zero would turn off what every nanochat model has.
OURS = re.compile(r"norm|rope|rotary|softcap|cap$|causal|scale|relu|lambda|smear|backout|value|window|mlp|init", re.I)
DTYPE_NAMES = ("float32", "bfloat16", "float16")  # what a model may be loaded in, and captures be kept in
ROTARY_FACTOR = 10  # rotary tables reach this many times sequence_len


@dataclass(frozen=True)
class GPTConfig:
    """A checkpoint's model_config, and the era of the code that wrote it."""

    sequence_len: int = 2048
    vocab_size: int = 32768
    n_layer: int = 12
    n_head: int = 6
    n_kv_head: int = 6
    n_embd: int = 768
    window_pattern: str = "L"
    era: str = "F"

    @property
    def head_dim(self) -> int:
        """Channels of one head."""
        return self.n_embd // self.n_head

    @property
    def max_positions(self) -> int:
        """How many positions the rotary tables reach."""
        return ROTARY_FACTOR * self.sequence_len

    @classmethod
    def of(cls, model_config: dict[str, Any], **changes: Any) -> GPTConfig:
        """The configuration that a checked model_config tells; keys that change nothing are left out."""
        known = {key: model_config[key] for key in KNOWN if model_config.get(key) is not None}
        return cls(**known | changes)

    def windows(self) -> list[int]:
        """Per layer, how far back a query sees: keys j with 0 <= i - j <= window."""
        short = ERAS[self.era].short_window(self.sequence_len)
        pattern = self.window_pattern.upper()
        sizes = [short if pattern[i % len(pattern)] == "S" else self.sequence_len for i in range(self.n_layer)]
        sizes[-1] = self.sequence_len
        # Eras without a pattern have no window at all: every position sees all before it.
        return [
            self.max_positions if size == self.sequence_len and not ERAS[self.era].lambdas else size for size in sizes
        ]

    def has_value_embedding(self, layer: int) -> bool:
        """Whether a layer mixes value embeddings in: every other one, the last included."""
        return ERAS[self.era].value_embeddings and layer % 2 == (self.n_layer - 1) % 2


def is_window_pattern(pattern: Any) -> bool:
    """Whether it says of layers that their windows are short (S) or long (L)."""
    return isinstance(pattern, str) and bool(pattern) and not set(pattern.upper()) - set("SL")


def _is_neutral(key: str, config: dict[str, Any]) -> bool:
    """Whether a key that nanochat has not changes nothing: what it names is off, or is there for experts alone."""
    if not isinstance(key, str):
        return False
    counts = [config[name] for name in config if EXPERT_COUNTS.fullmatch(str(name))]
    dense = bool(counts) and not any(counts)
    if EXPERTS.search(key) and dense:
        return True
    return not config[key] and not OURS.search(key)


def config_problem(config: dict[str, Any]) -> str | None:
    """What is wrong with a model_config; None if a model can have it."""
    for key, largest in SIZES.items():
        if type(config.get(key)) is not int or not 0 < config[key] <= largest:
            return (
                f"model_config.{key} is {config.get(key)!r:.40} and must be a whole number from 1 to {largest:,}: copy "
                "the file again from where the weights came from"
            )
    unknown = [key for key in config if key not in KNOWN and not _is_neutral(key, config)]
    if unknown:
        key = min(unknown)
        expert = ", that of a mixture of experts" if EXPERTS.search(key) else ""
        return (
            f"model_config has the unknown key {key!r} ({config[key]!r:.40}){expert}: the model is of no architecture "
            "that nanoscope computes"
        )
    pattern = config.get("window_pattern")
    if pattern is not None and not is_window_pattern(pattern):
        return f"model_config.window_pattern is {pattern!r} and must be made of S and L"
    if config["n_embd"] % config["n_head"] or config["n_head"] % config["n_kv_head"]:
        return "n_embd must be a multiple of n_head, and n_head of n_kv_head"
    if (config["n_embd"] // config["n_head"]) % 2:
        return "the head dimension n_embd / n_head must be even"
    return None
