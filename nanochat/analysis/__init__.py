"""Tensors to numbers. A metric of attention heads is one function in `attention.py`."""

from nanochat.analysis.activations import activation_statistics
from nanochat.analysis.attention import model_head_scores
from nanochat.analysis.logits import join_statistics, logits_statistics, token_statistics, top_logits_statistics
from nanochat.analysis.registry import HEAD_METRICS, Role, described_metrics, head_metric
from nanochat.analysis.whole import analyze

__all__ = [
    "HEAD_METRICS",
    "Role",
    "activation_statistics",
    "analyze",
    "described_metrics",
    "head_metric",
    "join_statistics",
    "logits_statistics",
    "model_head_scores",
    "token_statistics",
    "top_logits_statistics",
]
