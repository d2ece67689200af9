"""The text of docs/metrics.md, from the table of metrics."""

from __future__ import annotations

from collections.abc import Iterator

from nanochat.analysis import HEAD_METRICS, LAYER_METRICS, TOKEN_METRICS

HEADER = """<!-- Generated from nanochat/analysis/ by `make protocol`: change it there, not here. -->

# Metrics

Every number that an analysis holds is one decorated function in `nanochat/analysis/`: the wire, the terminal, VS Code
and this page have it from there. One that a trace was captured without is worked out when the trace is analysed, as far
as its tensors allow.

## Of attention heads

One number for each head of each layer, under its key in `analysis.attention.layer_stats["0"]["heads"][0]`; null where
it is not defined, such as a role that needs a repeated token in a text without one. What a layer sums up is in
`layer_stats["0"]` as well, under the same key.

| key | name | what it is | unit | lies between | over the heads of a layer |
| --- | --- | --- | --- | --- | --- |
"""
LAYERS = """
## Of layers

One number for each captured site of each layer, under its key in `analysis.activations.layer_stats["0"]["post_attn"]`.

| key | name | what it is | unit |
| --- | --- | --- | --- |
"""
TOKENS = """
## Of tokens

A list under its key in `analysis.logits`, with a number for each generated token, and in `analysis.logits.prompt` for
each of the prompt's where that is said here. `get_tokens` has them row by row, in `numbers`.

| key | name | what it is | unit | of the prompt's |
| --- | --- | --- | --- | --- |
"""
ROLES = """
## Roles of heads

A head of a trace is said to have the role that it scores highest in, from the score on that is given here. The terminal
and VS Code go by it, and whoever reads `metrics` of `analyze_trace`, or `x-metrics` of `rpc.discover`, which is the
same table. `nanoscope heads` asks the model itself, on random tokens: there a head may have several, and looking at
the token itself is one more.

| role | a head that | from |
| --- | --- | --- |
"""


def page() -> str:
    """The text of docs/metrics.md."""
    return "".join((HEADER, *_rows(), ROLES, *_roles(), LAYERS, *_layers(), TOKENS, *_tokens()))


def _rows() -> Iterator[str]:
    for key, metric in HEAD_METRICS.items():
        span = "0 and the largest head's" if metric.span is None else f"{metric.span[0]:g} and {metric.span[1]:g}"
        over = {None: "–", "mean": "their mean", "max": "the largest"}[metric.over_heads]
        yield f"| `{key}` | {metric.label} | {metric.meaning} | {metric.unit or '–'} | {span} | {over} |\n"


def _roles() -> Iterator[str]:
    for metric in HEAD_METRICS.values():
        if metric.role is not None:
            yield f"| {metric.label} | {metric.role.words} | {metric.role.at:g} |\n"


def _layers() -> Iterator[str]:
    for key, metric in LAYER_METRICS.items():
        yield f"| `{key}` | {metric.label} | {metric.meaning} | {metric.unit or '–'} |\n"


def _tokens() -> Iterator[str]:
    for key, metric in TOKEN_METRICS.items():
        prompt = "yes" if metric.of_prompt else "–"
        yield f"| `{key}` | {metric.label} | {metric.meaning} | {metric.unit or '–'} | {prompt} |\n"
