"""The statistics of a trace, and what each metric is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from protocol.types import meanings
from protocol.types.base import Result


class MetricRole(Result):
    """What a head with a high score does, and from which score on it is said to."""

    words: Annotated[str, Meta(description="After 'a head that', such as 'looks one token back'.")]
    at: Annotated[float, Meta(description="The score from which on a head is said to do so.")]


class Metric(Result):
    """What a number of each head, layer or token is, and how to show it. Newer versions have more of them."""

    of: Annotated[
        Literal["head", "layer", "token"],
        Meta(
            description="What has such a number: each attention head (`analysis.attention`), each site of each layer "
            "(`analysis.activations`), or each token (`analysis.logits`)."
        ),
    ]
    label: Annotated[str, Meta(description="What it is called.")]
    short: Annotated[str, Meta(description="Its name in a narrow column; '-': it has none.")]
    meaning: Annotated[str, Meta(description="What it is, in a sentence.")]
    unit: Annotated[str, Meta(description="Such as 'nats'; empty for none.")] = ""
    hint: Annotated[str, Meta(description="What to know to read the column.")] = ""
    span: Annotated[
        tuple[float, float] | None, Meta(description="What its values lie between; null: as far as they go.")
    ] = None
    over_heads: Annotated[
        Literal["mean", "max"] | None, Meta(description="How a layer sums its heads up; null: it does not.")
    ] = None
    role: Annotated[MetricRole | None, Meta(description="For scores of what a head does.")] = None


HeadStatistics = dict[str, float | None]
LayerAttention = dict[str, float | list[HeadStatistics] | None]


class AttentionAnalysis(Result):
    """By layer, "0", "1", ..."""

    num_layers: Annotated[int, Meta(description="Layers that were captured.")]
    layer_stats: Annotated[
        dict[str, LayerAttention],
        Meta(
            description="By layer: each metric that a layer sums up, and `heads`, a list with every metric by its key."
        ),
    ]


SiteStatistics = dict[str, float | None]


class ActivationAnalysis(Result):
    """By layer and site."""

    layer_stats: Annotated[
        dict[str, dict[str, SiteStatistics]],
        Meta(description="By layer, then by site: every metric of layers by its key."),
    ]


class Analysis(Result):
    """What is computed of attention, activations and logits."""

    attention: Annotated[AttentionAnalysis | None, Meta(description="Of the attention weights that were captured.")] = (
        None
    )
    activations: Annotated[ActivationAnalysis | None, Meta(description="Of the activations that were captured.")] = None
    logits: Annotated[
        dict[str, Any] | None,
        Meta(
            description="`mean_logit`, `std_logit`; `top_tokens_per_position` and every metric of tokens by its key, "
            "a list each with the generated tokens' numbers; and `prompt`, with the same of the prompt's own tokens."
        ),
    ] = None


class AnalyzeTraceResult(Result):
    """The statistics of a trace."""

    trace_id: Annotated[str, meanings.TRACE_ID]
    metadata: Annotated[dict[str, Any], meanings.METADATA]
    analysis: Annotated[Analysis, meanings.ANALYSIS]
    metrics: Annotated[dict[str, Metric], meanings.METRICS]
