"""Commands that read traces: list, analyze, summary, tokens."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import trace_names
from daemon.cli.differences import differences
from daemon.cli.options import TRACES, Daemon, Json, Trace, command
from daemon.cli.output import Column, notice, output, print_facts, print_json, print_rows, styled
from nanochat.system.text import human_size, on_one_line, one_line, short_number

if TYPE_CHECKING:
    from daemon.client.sync import Client
    from protocol.types import ListTracesResult, Metric, TraceRow, TraceSummary

PAGE = 1000
USUAL = (None, "general")  # categories that are not worth a column
SCREEN = 20  # traces that `list` shows in a terminal


@command("list", panel=TRACES)
def list_traces(
    daemon: Daemon,
    *,
    category: Annotated[str | None, typer.Option(metavar="NAME", help="Those of one category.")] = None,
    text: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Those with a text in prompt, response or id.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            min=0,
            metavar="N",
            help="At most so many; 0: all.",
            show_default=f"{SCREEN}, all in a pipe",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """The traces, newest first.

    In a terminal it shows how traces of one prompt differ in their settings, and models other than most have.

    In a pipe: a line for each with id, category, tokens, bytes, format, prompt, response, and why it cannot be read,
    parted by tabs.
    """
    from protocol.types import ListTracesParams

    if limit is None:
        limit = SCREEN if sys.stdout.isatty() and not as_json else 0
    with daemon.client() as client:
        result = _listing(client, ListTracesParams(category=category, text=text, limit=PAGE), limit)
        folder = client.greeting.traces_dir
    if as_json:
        print_json(result)
        return 0
    numbered = category is None and text is None
    if sys.stdout.isatty():
        _print_table(result, numbered)
    else:
        print_rows((), map(_fields, result.traces))
    if not result.traces:
        matching = "that fit " if not numbered else ""
        notice(f"No traces {matching}in {folder}.", "dim")
    return 0


def _listing(client: Client, params: Any, limit: int) -> ListTracesResult:
    """As many pages as it takes."""
    from msgspec.structs import replace

    traces: list[TraceRow] = []
    while True:
        wanted = min(PAGE, limit - len(traces)) if limit else PAGE
        page = client.call("list_traces", replace(params, limit=wanted))
        traces += page.traces
        if page.cursor is None or len(traces) == limit:
            return replace(page, traces=traces)
        params = replace(params, cursor=page.cursor)


def _fields(row: TraceRow) -> tuple[str, ...]:
    return (
        row.trace_id,
        row.category or "",
        f"{row.prompt_tokens}+{row.response_tokens}",
        str(row.size),
        row.format,
        on_one_line(row.prompt),
        on_one_line(row.response),
        on_one_line(row.reason),
    )


def _print_table(result: ListTracesResult, numbered: bool) -> None:
    """One line a trace, as wide as the terminal; the text gives way, what tells traces apart last."""
    from rich.text import Text

    rows = result.traces
    made_with = differences(rows)
    categories = any(row.category not in USUAL for row in rows)
    columns = [
        *([Column("@", "right")] if numbered else []),
        Column("trace"),
        *([Column("category", gives_way=True, spare=True)] if categories else []),
        *([Column("made with", gives_way=True, spare=True)] if any(made_with) else []),
        Column("tokens", "right", spare=True),
        Column("size", "right", spare=True),
        Column("prompt and response", gives_way=True),
    ]
    cells = [
        [
            *([str(number)] if numbered else []),
            row.trace_id,
            *([one_line(row.category or "")] if categories else []),
            *([Text(difference, "dim")] if any(made_with) else []),
            f"{row.prompt_tokens}+{row.response_tokens}" if row.readable else "",
            human_size(row.size),
            _text_of(row),
        ]
        for number, (row, difference) in enumerate(zip(rows, made_with, strict=True), 1)
    ]
    more = result.total - len(rows)
    print_rows(columns, cells, caption=f"{more} more; --limit 0 shows all" if more else "")


def _text_of(row: TraceRow) -> Any:
    from rich.text import Text

    if not row.readable:
        return Text(f"unreadable: {on_one_line(row.reason)}", "red")
    return Text.assemble((on_one_line(row.prompt), "dim"), on_one_line(row.response))


@command("analyze", panel=TRACES)
def analyze(daemon: Daemon, trace: Trace = "latest", *, as_json: Json = False) -> int:
    """A trace's statistics, every attention head in a line of its own."""
    with daemon.client() as client:
        result = client.analyze_trace(trace_id=trace_names.find(client, trace))
    if as_json:
        print_json(result)
        return 0
    import msgspec

    from nanochat.terminal.report import has_layers
    from nanochat.terminal.tables import NO_COLUMN, activations_table, further_layer_tables, metric_notes

    analysis = msgspec.to_builtins(result.analysis)
    metrics = {
        key: metric for key, metric in result.metrics.items() if metric.of == "head" and metric.short != NO_COLUMN
    }
    columns = [Column(title, "right") for title in ("layer", "head", *(metric.short for metric in metrics.values()))]
    if sys.stdout.isatty():
        output().print(styled(f"{result.trace_id}\n\nAttention heads", "bold"))
    print_rows(
        columns,
        _heads(analysis.get("attention"), metrics),
        caption="; ".join(metric_notes(metrics.values())),
    )
    if has_layers(analysis.get("activations")):
        for table in (activations_table(analysis["activations"]), *further_layer_tables(analysis["activations"])):
            output().print("", table)
    return 0


def _exact(value: float | None) -> str:
    return "" if value is None else repr(value)


def _heads(attention: dict[str, Any] | None, metrics: Mapping[str, Metric]) -> Iterator[list[str]]:
    from nanochat.terminal.tables import metric_text

    text_of = metric_text if sys.stdout.isatty() else lambda metric, value: _exact(value)
    layers = sorted(attention["layer_stats"].items(), key=lambda item: int(item[0])) if attention else []
    for layer, stats in layers:
        for number, head in enumerate(stats.get("heads", ())):
            yield [
                layer,
                str(number),
                *(text_of(metric, head.get(key)) for key, metric in metrics.items()),
            ]


@command("summary", panel=TRACES)
def summary(daemon: Daemon, trace: Trace = "latest", *, as_json: Json = False) -> int:
    """What a trace holds: its metadata, its settings, its tensors."""
    with daemon.client() as client:
        result = client.get_summary(trace_id=trace_names.find(client, trace))
    if as_json:
        print_json(result)
        return 0
    info = result.data_info
    facts = [
        ("trace", result.trace_id),
        ("time", result.timestamp),
        ("category", result.category),
        ("prompt", on_one_line(result.prompt)),
        ("response", on_one_line(result.response)),
        *_facts("model", result.model),
        *_facts("generation", result.generation),
        *_facts("metadata", result.metadata),
        *_lineage(result),
        (
            "holds",
            f"{info.num_layers} layers, {info.num_tokens} positions, {info.num_steps} steps"
            + (", each step spelled out" if info.intermediate_steps else ""),
        ),
    ]
    print_facts(facts)
    output().print()
    rows = [[name, " × ".join(map(str, tensor.shape or ["?"])), tensor.dtype] for name, tensor in info.tensors.items()]
    print_rows([Column("tensor"), Column("shape"), Column("dtype")], rows)
    return 0


def _lineage(result: TraceSummary) -> Iterator[tuple[str, str]]:
    """Which trace it was made of, and what was changed in the model meanwhile."""
    from nanochat.traces.provenance import change_words

    if result.parent:
        yield "parent", result.parent
    for told, touched in zip_longest(result.interventions, result.touched):
        yield "edited", change_words(told or {}) + ("" if touched is None else f", {touched} positions touched")


def _facts(name: str, value: dict[str, Any] | None) -> Iterator[tuple[str, str]]:
    """A nested record as one line of `key value` pairs; records in it as further lines."""
    plain = [f"{key} {item}" for key, item in (value or {}).items() if not isinstance(item, dict) and item is not None]
    yield name, on_one_line(", ".join(plain))
    for key, item in (value or {}).items():
        if isinstance(item, dict):
            yield from _facts(f"{name} {key}", item)


@command("tokens", panel=TRACES)
def tokens(daemon: Daemon, trace: Trace = "latest", *, as_json: Json = False) -> int:
    """A trace's tokens: what each was, how surprising, and what else was likely.

    In a pipe: position, id, text, g where generated and f where forced, bits, and the alternatives, parted by tabs.
    """
    with daemon.client() as client:
        result = client.get_tokens(trace_id=trace_names.find(client, trace))
    if as_json:
        print_json(result)
        return 0
    from nanochat.terminal.tables import further_token_metrics

    columns = [
        Column("#", "right"),
        Column("id", "right", spare=True),
        Column("token", gives_way=True),
        Column("", spare=True),
        Column("bits", "right"),
        Column("likely there", gives_way=True),
        *(Column(metric.short, "right") for metric in further_token_metrics()),
    ]
    print_rows(columns, map(_token, result.tokens))
    return 0


def _token(row: Any) -> list[Any]:
    from nanochat.system.text import short_probability

    flags = "g" * row.generated + "f" * row.forced
    likely = "  ".join(f"{one_line(entry.text)} {short_probability(entry.probability or 0.0)}" for entry in row.top)
    from nanochat.terminal.tables import further_token_metrics, metric_text, surprisal_style

    further = [(metric, row.numbers.get(metric.key)) for metric in further_token_metrics()]
    if not sys.stdout.isatty():
        numbers = [_exact(number) for _, number in further]
        return [str(row.position), str(row.id), one_line(row.text), flags, _exact(row.surprisal), likely, *numbers]
    bits = short_number(row.surprisal)
    from rich.text import Text

    from nanochat.analysis.characters import label

    return [
        str(row.position), str(row.id), Text(label(row.text, row.piece), "bold" if row.generated else ""),
        Text(flags, "dim"),
        Text(bits, surprisal_style(row.surprisal)), Text(likely, "dim"),
        *(metric_text(metric, number) for metric, number in further),
    ]  # fmt: skip
