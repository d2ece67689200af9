"""Traces for tests: documents and tensors of any shape, and files as the earlier tool wrote them."""

import json
from typing import Any

import numpy as np
from hypothesis import strategies as st

from nanochat.traces.tensors import DTYPES


def small_trace(
    prompt: int = 3,
    generated: int = 4,
    *,
    layers: int = 2,
    heads: int = 2,
    width: int = 5,
    vocabulary: int = 7,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A document and the tensors that capture gives it."""
    numbers = np.random.default_rng(seed)
    positions = prompt + max(generated, 1) - 1

    def normal(*shape: int) -> np.ndarray:
        return numbers.standard_normal(shape, dtype=np.float32)

    tensors = {"token_embeddings": normal(1, positions, width), "output_logits": normal(1, generated, vocabulary)}
    for layer in range(layers):
        weights = np.tril(np.exp(normal(1, heads, positions, positions)))
        tensors[f"attention_weights.layer_{layer}"] = weights / weights.sum(-1, keepdims=True)
    for layer in range(layers):
        for site in ("pre_attn_norm", "post_attn", "pre_mlp_norm", "post_mlp"):
            tensors[f"layer_activations.layer_{layer}.{site}"] = normal(1, positions, width)
    document = {
        "prompt": "The capital of France is",
        "response": " Paris.",
        "category": "geography",
        "metadata": {"model_source": "demo", "temperature": 0.6},
        "tokens": {
            "input_tokens": list(range(prompt)),
            "output_tokens": list(range(100, 100 + generated)),
            "input_text": ['"}', "]"] * (prompt // 2) + ["\\"] * (prompt % 2),
        },
        "analysis": {"attention": {"layer_stats": {"0": {"attention_entropy": 0.5}}}, "model_data": 1},
    }
    return document, tensors


def leaf(values: Any, dtype: str = "torch.float32") -> dict[str, Any]:
    """A tensor in the JSON layout."""
    return {"data": values, "shape": list(np.array(values).shape), "dtype": dtype}


def older_document(**changes: Any) -> dict[str, Any]:
    """A trace as the earlier tool wrote it."""
    document = {
        "trace_id": "trace_20241102_143022_123456",
        "timestamp": "2024-11-02T14:30:22.123456",
        "prompt": "The capital of France is",
        "response": " Paris.",
        "category": "geography",
        "metadata": {"model_source": "sft", "temperature": 0.6},
        "tokens": {"input_tokens": [[1, 464]], "output_tokens": [220, 13]},
        "model_data": {
            "token_embeddings": leaf([[[1.5, -2.0], [0.25, 3.0], [4.0, 5.0]]]),
            "output_logits": None,
            "attention_weights": {
                "layer_0": leaf([[[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]]]]),
                "layer_1": None,
            },
        },
        "intermediate_steps": [
            {"step": 0, "token_embeddings": leaf([[[9.0, 8.0]]]), "output_logits": None},
            {"step": 1, "token_embeddings": leaf([[[7.0, 6.0]]]), "attention_weights": {"layer_0": leaf([[[[1.0]]]])}},
        ],
    }
    return {**document, **changes}


def write_json(path: Any, document: dict[str, Any], **options: Any) -> None:
    """A document written by Python's own json: bare NaN and all."""
    path.write_text(json.dumps(document, **options))


names = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True).filter(lambda name: name not in ("data", "shape"))
shapes = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """An array of any storable dtype and of any bits, infinities and NaN included."""
    shape, dtype = draw(shapes), DTYPES[draw(st.sampled_from(sorted(DTYPES)))][0]
    count = int(np.prod(shape))
    return np.frombuffer(
        draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize)), dtype
    ).reshape(shape)


def same_values(stored: np.ndarray, read: np.ndarray) -> bool:
    """Equal bit for bit, except that any non-finite number may have become NaN."""
    if stored.shape != read.shape or stored.dtype != read.dtype:
        return False
    if stored.dtype.kind in "iu":
        return bool(np.array_equal(stored, read))
    with np.errstate(invalid="ignore", over="ignore"):
        wide, wide_read = stored.astype(np.float64), read.astype(np.float64)
    finite = np.isfinite(wide)
    signs = np.array_equal(np.signbit(wide[finite]), np.signbit(wide_read[finite]))
    return bool(signs and np.array_equal(wide[finite], wide_read[finite]) and not np.isfinite(wide_read[~finite]).any())
