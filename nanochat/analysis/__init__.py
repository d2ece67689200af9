"""Tensors to numbers.

A metric is one function: of heads in `attention.py`, of layers in `activations.py`, of tokens in `logits.py`.
"""

from nanochat.analysis.activations import activation_statistics
from nanochat.analysis.attention import model_head_scores
from nanochat.analysis.logits import join_statistics, logits_statistics, token_statistics, top_logits_statistics
from nanochat.analysis.registry import (
    HEAD_METRICS,
    LAYER_METRICS,
    TOKEN_METRICS,
    Role,
    all_metrics,
    described_metrics,
    head_metric,
    layer_metric,
    token_metric,
)
from nanochat.analysis.whole import analyze

__all__ = [
    "HEAD_METRICS",
    "LAYER_METRICS",
    "TOKEN_METRICS",
    "Role",
    "activation_statistics",
    "all_metrics",
    "analyze",
    "described_metrics",
    "head_metric",
    "join_statistics",
    "layer_metric",
    "logits_statistics",
    "model_head_scores",
    "token_metric",
    "token_statistics",
    "top_logits_statistics",
]
