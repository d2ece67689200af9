"""Write a synthetic trace of 24 layers and 1,024 positions, whose heads have patterns to look at."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nanochat.analysis import analyze
from nanochat.gpt_config import GPTConfig
from nanochat.trace_storage import TraceStorage

LAYERS, HEADS, POSITIONS, PROMPT = 24, 6, 1024, 700
CONFIG = {
    "sequence_len": 2048,
    "vocab_size": 512,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_kv_head": HEADS,
    "n_embd": 96,
    "window_pattern": "SSSL",
}
SPECIAL = ["\n", "  ", "\t", "\\xf0\\x9f", " café", " 東京", "naïve", " extraordinarily"]
WORDS = [" the", " river", " shapes", " a", " valley", " and", " stones", " tell", " of", ",", ".", "-", *SPECIAL]


def head(ids: np.ndarray, layer: int, number: int, window: int) -> np.ndarray:
    """(S, S) weights: a mixture of previous token, induction, sink and noise that differs from head to head."""
    generator = np.random.default_rng(layer * 100 + number)
    query, key = np.indices((len(ids), len(ids)))
    scores = generator.normal(0, 1, query.shape)
    kind = (layer + number) % 4
    if kind == 0:
        scores += 8 * (key == query - 1)
    elif kind == 1:
        scores += 7 * (np.roll(ids, 1)[key] == ids[query]) * (key > 0)
    elif kind == 2:
        scores += 7 * (key == 0)
    else:
        scores -= 0.05 * (query - key)
    scores[(key > query) | (query - key > window)] = -np.inf
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


class Tensors(Mapping[str, np.ndarray]):
    """Made when they are read, so that one layer at a time is in memory."""

    def __init__(self, ids: np.ndarray, windows: list[int]) -> None:
        self._ids, self._windows = ids, windows
        self._names = [f"attention_weights.layer_{layer}" for layer in range(LAYERS)]
        self._names += [f"layer_activations.layer_{layer}.{site}" for layer in range(LAYERS) for site in SITES]

    def __getitem__(self, name: str) -> np.ndarray:
        layer = int(name.split("layer_")[-1].split(".")[0])
        if name.startswith("attention_weights"):
            heads = [head(self._ids, layer, number, self._windows[layer]) for number in range(HEADS)]
            return np.stack(heads)[None].astype(np.float16)
        generator = np.random.default_rng(layer)
        scale = 0.5 + layer / 8 + SITES.index(name.rsplit(".", 1)[1])
        return generator.normal(0, scale, (1, len(self._ids), 96)).astype(np.float16)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


SITES = ["pre_attn_norm", "post_attn", "pre_mlp_norm", "post_mlp"]


def main(folder: str) -> None:
    """Write the trace into a folder, and print its id."""
    generator = np.random.default_rng(7)
    phrase = generator.integers(0, len(WORDS), 90)
    ids = np.concatenate([np.where(generator.random(90) < 0.15, generator.integers(0, len(WORDS), 90), phrase)] * 12)
    ids = ids[: POSITIONS + 1]
    windows = GPTConfig(**CONFIG, era="F").windows()
    tensors = Tensors(ids[:POSITIONS], windows)
    text = [WORDS[token] for token in ids]
    document: dict[str, Any] = {
        "prompt": "".join(text[:PROMPT]),
        "response": "".join(text[PROMPT:]),
        "category": "synthetic",
        "metadata": {"model_source": "synthetic"},
        "model": {
            "source": "synthetic",
            "tag": "d24",
            "step": 0,
            "era": "F",
            "config": CONFIG,
            "parameters": 350_000_000,
            "dtype": "torch.bfloat16",
            "device": "cpu",
        },
        "generation": {"max_tokens": 325, "temperature": 0.6, "top_k": 50, "seed": 1, "stop_reason": "max_tokens"},
        "tokens": {
            "input_tokens": [[int(token) for token in ids[:PROMPT]]],
            "output_tokens": [int(token) for token in ids[PROMPT:]],
            "input_text": text[:PROMPT],
            "output_text": text[PROMPT:],
            "forced": [int(i % 50 == 7) for i in range(POSITIONS + 1 - PROMPT)],
        },
        "analysis": analyze(
            tensors,
            tokens=[int(token) for token in ids],
            prompt_length=PROMPT,
            windows=list(windows),
            token_text=lambda token: WORDS[token],
        ),
    }
    sys.stdout.write(TraceStorage(folder, "safetensors").create_trace(document, tensors) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
