"""What is printed of one trace: where it is, its tables, one head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nanochat.analysis.characters import labels
from nanochat.errors import SettingInvalidError
from nanochat.system.text import human_size, model_words, place_of, printable
from nanochat.terminal.heat_map import heat_map
from nanochat.terminal.tables import (
    activations_table,
    attention_table,
    further_layer_tables,
    logits_table,
    notable_head,
    surprisal_legend,
    token_text,
)
from nanochat.text_stream import whole_characters
from nanochat.traces.document import Document, generated_statistics
from nanochat.traces.provenance import change_words
from nanochat.traces.trace import Trace

END_REASONS = ("bos", "assistant_end")  # an end token came
PIPE_WIDTH, PIPE_HEIGHT = 120, 48  # for the heat map, where there is no terminal to measure


def check_head(head: tuple[int, int], layers: int, heads: int) -> None:
    """Raise SettingInvalidError for a head that the model does not have."""
    if head[0] >= layers or head[1] >= heads:
        raise SettingInvalidError(
            f"There is no head {head[0]}.{head[1]}: layers go from 0 to {layers - 1}, heads from 0 to {heads - 1}."
        )


def summary(trace: Trace) -> dict[str, Any]:
    """What --json prints."""
    keys = ("trace_id", "prompt", "response", "category", "metadata", "model", "generation", "analysis")
    return {"path": str(trace.path)} | {key: trace.document.get(key) for key in keys}


def prompt_text(prompt: str, chat: bool) -> Text:
    """The prompt before the model's own words; a chat's answer starts on a line of its own."""
    return Text.assemble((printable(prompt) + ("\n" if chat else ""), "dim"))


def written(document: Document) -> Text:
    """The prompt and what the model made of it, as it looked while it came."""
    prompt = prompt_text(document.prompt, bool(document.messages))
    texts = list(document.tokens.generated_text or ())
    if not document.generation or not texts:  # another program's: its tokens may be of another tokenizer
        return prompt + Text(printable(document.response))
    if document.generation.get("stop_reason") in END_REASONS:
        texts.pop()  # the token that ends the text is no part of it
    shown = whole_characters(texts, document.response)
    generated = list(zip(shown, surprisal_of(document), forced_of(document), strict=False))
    return prompt + Text.assemble(*(token_text(text, bits, forced) for text, bits, forced in generated))


def surprisal_of(document: Document) -> list[float | None]:
    """Bits for each generated token; None where the trace has no logits to tell."""
    return generated_statistics(document.logits or {}, len(document.tokens.generated)).surprisal


def forced_of(document: Document) -> list[bool]:
    """For each generated token whether the calculator chose it."""
    return document.tokens.forced[len(document.tokens.prompt) :]


def report(
    document: Document,
    out: Console,
    *,
    place: str,
    attention: Callable[[int, int], np.ndarray],
    rows: int,
    wish: tuple[int, int] | None,
) -> None:
    """Where the trace is, its tables, and one head; what the trace does not hold is left out.

    Args:
        document: a trace's, with its analysis.
        place: of `trace_line`.
        attention: (layer, head) to weights, (S, S).
        rows: tokens in the logits table at most, 0: all.
        wish: the (layer, head) to draw; None: the most telling.
    """
    if out.color_system and not out.no_color:
        out.print(surprisal_legend())
    out.print()
    model = document.model or {}
    lines = {
        "Trace": place,
        "Model": model_line(document),
        "From": printable(place_of(model)),
        "Note": printable(str(model.get("note") or "")),
        "Run": run_line(document),
        "Edited": "; ".join(map(change_words, document.interventions)),
        "Parent": printable(document.parent),
    }
    for name, line in lines.items():
        if line:
            out.print(Text.assemble((f"{name:<7}", "bold"), line), soft_wrap=True)
    out.print()
    for table in tables(document, rows):
        out.print(table, "")
    chosen = chosen_head(document, wish)
    if chosen is not None:
        layer, head, why = chosen
        show_head(document, attention(layer, head), f"Head {layer}.{head}", why, out)


def tables(document: Document, rows: int) -> Iterator[Table]:
    """Attention, activations and logits: those that the trace's analysis has."""
    analysis, texts = document.analysis or {}, document.tokens.generated_text or []
    if has_layers(analysis.get("attention")):
        yield attention_table(analysis["attention"])
    if has_layers(analysis.get("activations")):
        yield activations_table(analysis["activations"])
        yield from further_layer_tables(analysis["activations"])
    statistics = generated_statistics(document.logits or {}, len(document.tokens.generated))
    if any(bits is not None for bits in statistics.surprisal):
        yield logits_table(statistics, texts, forced_of(document), rows)


def has_layers(statistics: Mapping[str, Any] | None) -> bool:
    """Whether there is anything in one part of an analysis."""
    return bool(statistics and statistics["layer_stats"])


def show_head(document: Document, weights: np.ndarray, name: str, why: str, out: Console) -> None:
    """One head as a heat map as large as the terminal."""
    out.print(Text.assemble((name, "bold"), (f"  {why}", "dim")))
    tokens = document.tokens
    texts = (*(tokens.prompt_text or [""] * len(tokens.prompt)), *(tokens.generated_text or ()))
    shown = labels(texts)[: len(weights)]
    shown += [""] * (len(weights) - len(shown))  # another program's trace may have lost some
    out.print(
        heat_map(
            weights,
            shown,
            width=out.width if out.is_terminal else min(out.width, PIPE_WIDTH),
            height=max(8, out.height - 3) if out.is_terminal else PIPE_HEIGHT,
            palette=palette_of(out),
            generated_from=len(tokens.prompt),
        )
    )


def chosen_head(document: Document, wish: tuple[int, int] | None) -> tuple[int, int, str] | None:
    """The head to draw, and why; None where no attention was captured."""
    attention = (document.analysis or {}).get("attention")
    if attention is None or not has_layers(attention):
        return None
    if wish is None:
        return notable_head(attention)
    if document.sizes is not None:
        check_head(wish, document.sizes.config.n_layer, document.sizes.config.n_head)
    return (*wish, "as asked")


def palette_of(out: Console) -> str:
    """How to draw weights on this console."""
    if out.color_system in ("truecolor", "256") and not out.no_color:
        return "color"
    return "shades" if out.encoding.startswith("utf") else "ascii"


def trace_line(path: Path, size: int) -> str:
    """Where the trace is, and how large."""
    return f"{path}, {human_size(size)}"


def run_line(document: Document) -> str:
    """How much was written, how fast, and why it ended; "" where another program wrote the trace."""
    run, count = document.run, len(document.tokens.generated)
    if run is None or run.timings is None:
        return ""
    seconds = run.timings.prefill_seconds + run.timings.decode_seconds
    return (
        f"{count} token{'s' * (count != 1)} in {seconds:.2f} s, analysed in {run.timings.analysis_seconds:.2f} s, "
        f"stopped at {run.stop_reason}"
    )


def model_line(document: Document) -> str:
    """Which model wrote; "" where the trace does not tell."""
    model = document.sizes
    if model is None or document.model is None:
        return ""
    config = model.config
    return (
        f"{model_words(document.model)}: {config.n_layer} layers of {config.n_head} heads, "
        f"{config.n_embd} wide, {model.parameters / 1e6:.1f}M parameters"
    )
