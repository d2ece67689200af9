"""Write small synthetic traces whose texts are hard to show: scripts, bytes, tabs, long tokens, a long chat."""

import sys
from typing import Any

import numpy as np

from nanochat.analysis import analyze
from nanochat.trace_storage import TraceStorage

LAYERS, HEADS, VOCABULARY, KEPT, TURNS = 4, 2, 512, 20, 40
LONG = "".join(chr(97 + place % 26) for place in range(300))
FAMILY = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
ANSWER = " The answer that I found in the end, after some thought, is this one here:"


def as_bytes(text: str) -> list[str]:
    """A character as tokens of a byte each, in the words of traces."""
    return [f"\\x{byte:02x}" for byte in text.encode()]


READABLE = [
    *("<|bos|>", "The", " caf", *as_bytes("é"), " in", " Par", "is", ",", " Par", "is", "!", "\n", "\n\n"),
    *("\tone", "\t", "two", "\n", "a", "\t", "long", "\t", "b", "\n", " שלום", " עולם", " and", " سلام", ".", "\n"),
    *(FAMILY, " ", *as_bytes("🙂"), " \\xf0", "\\x9f", " zero", "\u200b", "width", "\u200d", "\u202e", "\ufeff"),
    *("\u0301", "\x00", " 東京", "\u00a0", LONG, " and", " #17", " stop", "\r\n", ""),
    *("<|python_start|>", "<|python_end|>"),
]


def chat() -> list[str]:
    """Turns of a user and an assistant; every fourth asks the calculator; the last one is unfinished."""
    said = ["<|bos|>"]
    for turn in range(TURNS):
        said += [
            "<|user_start|>",
            "What",
            " is",
            f" {turn}",
            " times",
            " 12",
            "?",
            "<|user_end|>",
            "<|assistant_start|>",
        ]
        if turn % 4 == 1:
            said += ["<|python_start|>", f"{turn}", "*", "12", "<|python_end|>"]
            said += ["<|output_start|>", f"{12 * turn}", "<|output_end|>"]
        said += ["It", " is", f" {12 * turn}", ",", " I", " think", "."]
        said += [] if turn == TURNS - 1 else ["<|assistant_end|>"]
    return said


# The tokens, and how many of them are the prompt's.
TEXTS = [(READABLE, 40), (chat(), 735), ([" x"] * 12 + [3 * ANSWER, " x"], 12)]


def weights(count: int, number: int) -> np.ndarray:
    """(S, S) with something to see in every row and column."""
    query, key = np.indices((count, count))
    scores = np.random.default_rng(number).normal(0, 1, (count, count))
    scores += 4 * (key == query - 1 - number) + 2 * (key == 0)
    scores[key > query] = -np.inf
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def tensors_of(ids: list[int]) -> dict[str, np.ndarray]:
    """Attention, and the highest logits of every position."""
    count = len(ids) - 1
    generator = np.random.default_rng(3)
    logits = generator.normal(0, 2, (count, VOCABULARY)).astype(np.float32)
    logits[np.arange(count), ids[1:]] += generator.uniform(2, 9, count).astype(np.float32)
    best = np.argsort(-logits, axis=1)[:, :KEPT]
    tensors: dict[str, np.ndarray] = {
        "output_logits.values": np.take_along_axis(logits, best, axis=1)[None],
        "output_logits.indices": best.astype(np.int32)[None],
        "output_logits.log_sum_exp": np.log(np.exp(logits).sum(axis=1))[None],
    }
    for layer in range(LAYERS):
        heads = [weights(count, layer * HEADS + head) for head in range(HEADS)]
        tensors[f"attention_weights.layer_{layer}"] = np.stack(heads).astype(np.float32)[None]
    return tensors


def write(storage: TraceStorage, text: list[str], prompt: int) -> str:
    """A trace of those tokens; gives its id."""
    known = {token: place for place, token in enumerate(dict.fromkeys(text))}
    words = {place: token for token, place in known.items()}
    ids = [known[token] for token in text]
    tensors = tensors_of(ids)
    document: dict[str, Any] = {
        "prompt": "".join(text[:prompt]),
        "response": "".join(text[prompt:]),
        "category": "texts",
        "metadata": {"model_source": "synthetic"},
        "generation": {"max_tokens": 99, "temperature": 0.6, "top_k": 50, "seed": 1, "stop_reason": "max_tokens"},
        "tokens": {
            "input_tokens": [ids[:prompt]],
            "output_tokens": ids[prompt:],
            "input_text": text[:prompt],
            "output_text": text[prompt:],
            "forced": [0] * (len(text) - prompt),
        },
        "analysis": analyze(
            tensors,
            tokens=ids,
            prompt_length=prompt,
            windows=None,
            token_text=lambda token: words.get(token, f"<{token}>"),
            vocab_size=VOCABULARY,
        ),
    }
    return storage.create_trace(document, tensors)


def main(folder: str) -> None:
    """Write them into a folder; prints an id a line."""
    for text, prompt in TEXTS:
        sys.stdout.write(write(TraceStorage(folder, "safetensors"), text, prompt) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
