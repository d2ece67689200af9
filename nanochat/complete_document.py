"""Whether a trace's document has all that is shown of it: other programs write traces too, with less in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nanochat.errors import TraceUnreadableError

NUMBER = (int, float)
STEPS: dict[str, tuple[type, Any]] = {"*": (list, enumerate), "#": (dict, dict.items)}
PER_TOKEN = ("surprisal_per_token", "sampled_probability", "entropy_per_position", "top_tokens_per_position")
# What stands where. `*`: each in a list, `#`: each layer; `?`: may be missing or null, with what is below it.
SHOWN: tuple[tuple[str, Any], ...] = (
    ("model.config", dict),
    ("generation", dict),
    ("tokens", dict),
    ("analysis", dict),
    ("prompt", str),
    ("response", str),
    *((f"model.config.{key}", int) for key in ("n_layer", "n_head", "n_embd")),
    ("model.era", str),
    ("model.parameters", NUMBER),
    ("generation.stop_reason", str),
    *((f"generation.timings?.{key}_seconds", NUMBER) for key in ("prefill", "decode", "analysis")),
    ("tokens.input_text.*", str),
    ("tokens.output_text.*", str),
    ("tokens.forced?", list),
    ("analysis.attention?.layer_stats.#.heads.*", dict),
    *(
        (f"analysis.attention?.layer_stats.#.{key}?", NUMBER)
        for key in ("attention_entropy", "attention_entropy_normalised", "head_sparsity")
    ),
    *(
        (f"analysis.attention?.layer_stats.#.heads.*.{key}?", NUMBER)
        for key in (
            *("attention_entropy", "attention_entropy_normalised"),
            *("induction", "previous_token", "duplicate_token", "sink"),
        )
    ),
    *(
        (f"analysis.activations?.layer_stats.#.{site}?.{key}?", NUMBER)
        for site in ("pre_attn_norm", "post_attn", "pre_mlp_norm", "post_mlp")
        for key in ("mean", "std", "sparsity")
    ),
    *((f"analysis.logits?.{key}.*", (*NUMBER, type(None))) for key in PER_TOKEN[:3]),
    ("analysis.logits?.top_tokens_per_position.*.*.text", str),
    ("analysis.logits?.top_tokens_per_position.*.*.probability", NUMBER),
)


def check_complete(document: Mapping[str, Any], trace_id: str) -> None:
    """Raise TraceUnreadableError for a trace of another program, which lacks what is shown here."""
    lacking = next(_lacking(document), None)
    if lacking is not None:
        raise TraceUnreadableError(
            f"The trace {trace_id} has no {lacking!r} as nanoscope writes it, so another program wrote it: read it "
            "with TraceStorage, and let InterpretabilityEngine.analyze_trace work out its numbers."
        )


def _lacking(document: Mapping[str, Any]) -> Iterator[str]:
    for path, kinds in SHOWN:
        yield from _unlike(document, path.split("."), kinds, ())
    logits, count = document["analysis"].get("logits"), len(document["tokens"]["output_text"])
    if logits and logits["surprisal_per_token"]:  # else no logits were captured
        yield from (f"analysis.logits.{key}" for key in PER_TOKEN if len(logits[key]) < count)


def _unlike(value: Any, path: Sequence[str], kinds: Any, above: tuple[str, ...]) -> Iterator[str]:
    """The places on a path where something is missing or of another type."""
    if not path:
        if not isinstance(value, kinds) or (kinds is dict and not value):
            yield ".".join(above)
        return
    step, rest = path[0], path[1:]
    if step in STEPS:
        kind, items = STEPS[step]
        if not isinstance(value, kind) or (kind is dict and not all(map(str.isdecimal, value))):
            yield ".".join(above)
            return
        for key, item in items(value):
            yield from _unlike(item, rest, kinds, (*above, str(key)))
    elif not isinstance(value, dict):
        yield ".".join(above)
    elif not step.endswith("?") or value.get(step[:-1]) is not None:
        name = step.removesuffix("?")
        yield from _unlike(value.get(name), rest, kinds, (*above, name))
