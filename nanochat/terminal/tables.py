"""What the terminal shows of a trace: pure functions from its document to rich renderables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.table import Table
from rich.text import Text

from nanochat.analysis.characters import labels, named
from nanochat.analysis.registry import HEAD_METRICS, LAYER_METRICS, TOKEN_METRICS, Role, TokenMetric
from nanochat.capture import sites
from nanochat.system.text import (
    below_each_other,
    printable,
    share,
    short_number,
    short_probability,
    three_digits,
)
from nanochat.terminal.color_map import color_of
from nanochat.traces.document import Alternative, TokenStatistics

SINK = "sink"  # the usual case, which is counted
SITES = tuple(site.name for site in sites.SITES.values() if site.default and site.is_activation)
IN_ACTIVATIONS = {"mean", "std", "max", "min", "sparsity"}  # a cell has three of them, for their ends there is no room
IN_LOGITS = {"surprisal_per_token", "sampled_probability", "entropy_per_position"}
SURPRISAL_SPAN = 10.0  # bits at which the background is strongest
NO_COLUMN = "-"
BARS = "▁▂▃▄▅▆▇█"


def surprisal_style(bits: float | None) -> Style:
    """The background of a token by its surprisal: none when expected, brighter the less it was."""
    if bits is None or bits < 0.5:
        return Style.null()
    strength = min(bits / SURPRISAL_SPAN, 1.0)
    return Style(bgcolor=color_of(0.15 + 0.75 * strength), color="#ffffff" if strength < 0.5 else "#000000")


def token_text(text: str, surprisal: float | None, forced: bool = False) -> Text:
    """One token as it comes; a token that the calculator chose is dim."""
    return Text(printable(text), style=Style(dim=True) if forced else surprisal_style(surprisal))


def surprisal_legend() -> Text:
    """What the backgrounds of the tokens mean."""
    steps = [(f" {bits} ", surprisal_style(bits)) for bits in (0, 1, 2, 4, 6, 8, 10)]
    return Text.assemble(("surprisal ", "dim"), *steps, (" bits", "dim"))


def _table(title: str, caption: str) -> Table:
    return Table(
        title=title,
        caption=caption,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        caption_style="dim",
        show_edge=False,
        padding=(0, 1, 0, 0),
    )


def _layers(statistics: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    return sorted((int(layer), stats) for layer, stats in statistics["layer_stats"].items())


def _add_layer_column(table: Table) -> None:
    """Which layer a row is of: whole in the narrowest terminal."""
    table.add_column("layer", justify="right", no_wrap=True, min_width=len("layer"))


def _roles() -> dict[str, Role]:
    return {key: metric.role for key, metric in HEAD_METRICS.items() if metric.role is not None}


def head_roles(attention: Mapping[str, Any]) -> Iterator[tuple[float, str, int, int]]:
    """The (score, role, layer, head) of every head with a role worth naming: its highest.

    Where a text repeats itself closely, one and the same weight counts for several roles.
    """
    roles = _roles()
    for layer, stats in _layers(attention):
        for head, scores in enumerate(stats.get("heads", ())):
            found = [
                (scores.get(role) or 0.0, role)
                for role, known in roles.items()
                if (scores.get(role) or 0.0) >= known.at
            ]
            if found:
                yield *max(found), layer, head


def notable_roles(attention: Mapping[str, Any], layer: int, most: int = 3) -> str:
    """The head roles worth naming in one layer, strongest first; sinks, the usual case, are counted."""
    found = sorted((entry for entry in head_roles(attention) if entry[2] == layer), reverse=True)
    named = [f"H{head} {HEAD_METRICS[role].short} {score:.2f}" for score, role, _, head in found if role != SINK][:most]
    sinks = sum(role == SINK for _, role, _, _ in found)
    if sinks:
        named.append(f"{sinks} sink{'s' if sinks > 1 else ''}")
    return ", ".join(named)


def notable_head(attention: Mapping[str, Any]) -> tuple[int, int, str] | None:
    """The (layer, head) most worth a look, and why: its role, else the lowest entropy off the sink.

    None where no attention was captured.
    """
    roles = _roles()
    found = [entry for entry in head_roles(attention) if roles[entry[1]].telling]
    if found:
        score, role, layer, head = max(found, key=lambda entry: (roles[entry[1]].telling, entry[0]))
        return layer, head, f"{HEAD_METRICS[role].short} {score:.2f}"
    heads = [
        (layer, head, scores)
        for layer, stats in _layers(attention)
        for head, scores in enumerate(stats.get("heads", ()))
    ]
    if not heads:
        return None
    off_sink = [entry for entry in heads if (entry[2].get(SINK) or 0.0) < 0.5]
    layer, head, scores = min(off_sink or heads, key=lambda entry: _or_infinity(entry[2].get("attention_entropy")))
    return layer, head, f"entropy {short_number(scores.get('attention_entropy'))}"


def _or_infinity(value: float | None) -> float:
    return math.inf if value is None else value


def head_bars(heads: Sequence[Mapping[str, Any]]) -> str:
    """The normalised entropy of each head as a row of bars: low is focused, full is spread evenly."""
    values = (head.get("attention_entropy_normalised") for head in heads)
    return "".join(" " if value is None else BARS[min(int(value * len(BARS)), len(BARS) - 1)] for value in values)


def attention_table(attention: Mapping[str, Any]) -> Table:
    """One row a layer: each metric that a layer sums up, the focus of each head, and what its heads do."""
    metrics = [metric for metric in HEAD_METRICS.values() if metric.over_heads and metric.short != NO_COLUMN]
    table = _table("Attention", "; ".join([*metric_notes(metrics), "by head: norm, low is focused"]))
    _add_layer_column(table)
    for metric in metrics:
        table.add_column(metric.short, justify="right", no_wrap=True)
    table.add_column("by head", no_wrap=True)
    table.add_column("notable heads")
    for layer, stats in _layers(attention):
        numbers = [metric_text(metric, stats.get(metric.key)) for metric in metrics]
        table.add_row(
            str(layer), *numbers, head_bars(stats.get("heads", ())), _yielding(Text(notable_roles(attention, layer)))
        )
    return table


class MetricInfo(Protocol):
    """What is told of a metric, by the table or by a daemon."""

    @property
    def short(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def hint(self) -> str: ...
    @property
    def span(self) -> tuple[float, float] | None: ...
    @property
    def role(self) -> object | None: ...


def metric_notes(metrics: Iterable[MetricInfo]) -> Iterator[str]:
    """What has to be known to read a table's columns: units and hints."""
    for metric in metrics:
        if metric.unit:
            yield f"{metric.short} in {metric.unit}"
        if metric.hint:
            yield f"{metric.short}: {metric.hint}"


def metric_text(metric: MetricInfo, value: float | None) -> str:
    """A metric's number: a share where it lies between 0 and 1; a role's score has two digits."""
    return share(value) if metric.span == (0.0, 1.0) and metric.role is None else short_number(value)


def activations_table(activations: Mapping[str, Any]) -> Table:
    """One row a layer, one column a site: mean, standard deviation, share of zeros."""
    layers = _layers(activations)
    shown = [site for site in SITES if any(site in stats for _, stats in layers)]
    table = _table("Activations", "mean ±std, and the share of zeros where there are any")
    _add_layer_column(table)
    for site in shown:
        table.add_column(_yielding(Text(site)))
    columns = [_site_column([stats.get(site) for _, stats in layers]) for site in shown]
    for (layer, _), *cells in zip(layers, *columns, strict=True):
        table.add_row(str(layer), *(_yielding(Text(cell)) for cell in cells))
    return table


def further_layer_tables(activations: Mapping[str, Any]) -> Iterator[Table]:
    """The metrics of layers that `activations_table` has no place for, each by layer and site."""
    layers = _layers(activations)
    shown = [site for site in SITES if any(site in stats for _, stats in layers)]
    for key, metric in LAYER_METRICS.items():
        if key in IN_ACTIVATIONS or metric.short == NO_COLUMN:
            continue
        table = _table(metric.label, "; ".join(filter(None, (metric.meaning, metric.unit))))
        _add_layer_column(table)
        for site in shown:
            table.add_column(_yielding(Text(site)), justify="right")
        for layer, stats in layers:
            cells = (metric_text(metric, stats[site].get(key)) if site in stats else "–" for site in shown)
            table.add_row(str(layer), *(_yielding(Text(cell)) for cell in cells))
        yield table


def _site_column(column: Sequence[Mapping[str, Any] | None]) -> list[str]:
    """A site's cells, one a layer; a dash where a layer lacks it."""
    there = [stats for stats in column if stats is not None]
    means = below_each_other([three_digits(stats.get("mean")) for stats in there])
    deviations = below_each_other([f"±{three_digits(stats.get('std'))}" for stats in there])
    zeros = [share(stats.get("sparsity")) if (stats.get("sparsity") or 0.0) >= 0.005 else "" for stats in there]
    cells = iter(f"{mean} {std} {zero:>3}".rstrip() for mean, std, zero in zip(means, deviations, zeros, strict=True))
    return ["–" if stats is None else next(cells) for stats in column]


def logits_table(statistics: TokenStatistics, output_text: Sequence[str], forced: Sequence[bool], rows: int) -> Table:
    """One row a generated token: its probability, surprisal, the entropy it was drawn from, and the top five.

    Args:
        statistics: of the generated tokens.
        output_text: the generated tokens, one string each.
        forced: true where the calculator chose the token.
        rows: at most so many, the most surprising ones; 0 for all.
    """
    surprisal, names = statistics.surprisal, labels(output_text)
    order = sorted(range(len(output_text)), key=lambda index: -(surprisal[index] or 0.0))
    shown = sorted(order[: rows or None])
    caption = "p and bits (surprisal) at temperature 1; entropy in nats; underlined: the drawn"
    if len(shown) < len(output_text):
        caption += f"\nthe {len(shown)} most surprising of {len(output_text)} tokens (--rows 0 shows all)"
    table = _table("Logits", caption)
    further = further_token_metrics()
    for name in ("#", "token", "p", "bits", "entropy", *(metric.short for metric in further)):
        table.add_column(name, justify="left" if name == "token" else "right", no_wrap=True)
    table.add_column("top five")
    for index in shown:
        probability = statistics.probability[index]
        table.add_row(
            str(index + 1),
            Text(clipped(names[index], 16), style="dim" if index < len(forced) and forced[index] else ""),
            "–" if probability is None else f"{probability:.3f}",
            Text(f"{short_number(surprisal[index]):>5}", style=surprisal_style(surprisal[index])),
            short_number(statistics.entropy[index]),
            *(metric_text(metric, statistics.of(metric.key)[index]) for metric in further),
            _top_tokens(statistics.top[index], output_text[index]),
        )
    return table


def further_token_metrics() -> list[TokenMetric]:
    """The metrics of tokens that tables have no place of their own for."""
    return [metric for key, metric in TOKEN_METRICS.items() if key not in IN_LOGITS and metric.short != NO_COLUMN]


def _top_tokens(top: Sequence[Alternative], drawn: str) -> Text:
    cells = []
    for entry in top:
        label = Text(clipped(named(entry.text), 12), style="underline" if entry.text == drawn else "")
        cells.append(label + Text(f" {short_probability(entry.probability)}", style="dim not underline"))
    return _yielding(Text("  ").join(cells))


def _yielding(text: Text) -> Text:
    """The text as a cell that gives way when the terminal is narrow: cut, never wrapped."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def clipped(text: str, width: int) -> str:
    """The text, its middle cut out where it takes more columns: what tells two tokens apart is often at their ends."""
    if cell_len(text) <= width:
        return text
    start = set_cell_size(text, width // 2).rstrip()
    end = text[-1:]
    while cell_len(start + "…" + (longer := text[-len(end) - 1 :])) <= width:
        end = longer
    return f"{start}…{end}"
