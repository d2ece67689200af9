"""`nanoscope show`: a trace as the demo prints it, from what the daemon answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import trace_names
from daemon.cli.options import TRACES, Daemon, Json, Trace, command, misused
from daemon.cli.output import output, print_json

if TYPE_CHECKING:
    from daemon.client.sync import Client


@command("show", panel=TRACES)
def show(
    daemon: Daemon,
    trace: Trace = "latest",
    *,
    head: Annotated[
        str | None, typer.Option(metavar="LAYER.HEAD", help="The head to draw.", show_default="the most telling")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, metavar="N", help="Tokens in the logits table; 0: all.")] = 20,
    as_json: Json = False,
) -> int:
    """A trace as a whole: its text, its tables, and one head as a heat map."""
    from nanochat.terminal.report import report, trace_line, written
    from nanochat.traces.document import read_document

    wish = _head(head)
    with daemon.client() as client:
        trace_id = trace_names.find(client, trace)
        raw = document_of(client, trace_id)
        if as_json:
            print_json(raw)
            return 0
        document = read_document(raw)
        place = trace_names.row_of(client, trace_id)

        def attention(layer: int, head: int) -> Any:
            weights = client.tensor(trace_id, "attention_weights", layer=layer, head=head, dtype="float16")
            return weights.astype("float32")

        output().print(written(document), soft_wrap=True)
        report(
            document,
            output(),
            place=trace_line(Path(place.path), place.size),
            attention=attention,
            rows=rows,
            wish=wish,
        )
    return 0


def _head(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    layer, dot, head = text.partition(".")
    if not (dot and layer.isdecimal() and head.isdecimal()):
        raise misused("--head", f"{text!r} is not LAYER.HEAD, such as 2.0.")
    return int(layer), int(head)


def document_of(client: Client, trace_id: str) -> dict[str, Any]:
    """What a trace's own file has besides tensors."""
    import msgspec

    document = msgspec.to_builtins(client.get_document(trace_id=trace_id))
    tokens = document["tokens"]
    prompt = [row for row in tokens if not row["generated"]]
    generated = [row for row in tokens if row["generated"]]
    return document | {
        "tokens": {
            "input_tokens": [row["id"] for row in prompt],
            "output_tokens": [row["id"] for row in generated],
            "input_text": [row["text"] for row in prompt],
            "output_text": [row["text"] for row in generated],
            "forced": [int(row["forced"]) for row in tokens],
        },
    }
