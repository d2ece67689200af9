"""What a checkpoint says of its model's sizes, and what follows from them. Needs no torch: traces carry it too."""

from __future__ import annotations

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


def config_problem(config: dict[str, Any]) -> str | None:
    """What is wrong with a model_config; None if a model can have it."""
    for key, largest in SIZES.items():
        if type(config.get(key)) is not int or not 0 < config[key] <= largest:
            return f"model_config.{key} is {config.get(key)!r:.40} and must be a whole number from 1 to {largest:,}"
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
