"""Commands that change or follow what is in the traces folder: export, delete, watch."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from daemon.cli import trace_names
from daemon.cli.options import FAILED, TRACE, TRACES, Daemon, Trace, command, misused
from daemon.cli.output import error, notice, output, print_json_line, print_line
from nanochat.system.places import check_place, own_path, wrong_ending
from nanochat.system.text import human_size, on_one_line
from protocol.errors import RpcError
from protocol.trace_formats import Format

if TYPE_CHECKING:
    from daemon.client.conversation import Notice
    from daemon.client.sync import Client

AGAIN_SECONDS = 1.0  # between two looks for a daemon that went away
SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
DTypes = Literal["float32", "float16", "bfloat16"]


@command("export", panel=TRACES)
def export(
    daemon: Daemon,
    trace: Trace,
    *,
    to: Annotated[Format, typer.Option(help="The format to write.")],
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where to.", show_default="its id, in this folder")
    ] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Spell out every generation step; JSON alone.")] = False,
    save_as: Annotated[
        DTypes | None, typer.Option(help="The tensors' dtype; safetensors alone.", show_default="as they are")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the file if it is there.")] = False,
) -> int:
    """Write a trace in a format of choice, to keep or to hand on."""
    from nanochat.trace_storage import TraceStorage
    from nanochat.traces.formats import FORMATS

    compact = FORMATS[to].compact
    if steps and compact:
        raise misused("--steps", "it is for --to json; the other format gives every step without it.")
    if save_as is not None and not compact:
        raise misused("--save-as", "it is for --to safetensors.")
    place = None if out is None else own_path(out)
    if place is not None:
        if problem := wrong_ending(place, f".{to}", to):
            raise misused("--out", problem)
        check_place(place)
    with daemon.client() as client:
        trace_id = trace_names.find(client, trace)
        row = trace_names.row_of(client, trace_id)
    target = place or Path(f"{trace_id}.{to}")
    if os.path.lexists(target) and not force:
        error(f"{target} is there already: name another file with --out, or replace it with --force.")
        return FAILED
    # the file is on this machine: what is large need not pass the socket
    with TraceStorage(Path(row.path).parent).open_trace(trace_id) as opened:
        opened.convert(to, target.absolute(), steps=None if compact else steps, dtype=save_as, overwrite=force)
    notice(f"{target}, {human_size(target.stat().st_size)}", "dim")
    return 0


@command("delete", panel=TRACES)
def delete(
    daemon: Daemon,
    traces: Annotated[list[str], TRACE],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> int:
    """Delete traces from the disk, after asking."""
    if not yes and not (sys.stdin and sys.stdin.isatty()):
        raise misused("--yes", "nobody can be asked here; add it to delete all the same.")
    with daemon.client() as client:
        found = list(dict.fromkeys(trace_names.find(client, name) for name in traces))
        if not yes:
            listed = "\n".join(f"  {_described(client, trace_id)}" for trace_id in found)
            what = "this trace" if len(found) == 1 else f"these {len(found)} traces"
            if not typer.confirm(f"{listed}\nDelete {what} from the disk?", err=True):
                notice("Nothing was deleted.")
                return FAILED
        for trace_id in found:
            print_line(client.delete_trace(trace_id=trace_id).deleted)
    return 0


def _described(client: Client, trace_id: str) -> str:
    rows = _rows(client, [trace_id])
    return f"{trace_id}  {_text(rows.get(trace_id))}".rstrip()


def _rows(client: Client, ids: list[str]) -> dict[str, Any]:
    """What listings show of some traces."""
    if len(ids) == 1:
        found = client.list_traces(text=ids[0]).traces
    else:
        found = client.list_traces(limit=max(trace_names.PAGE, len(ids))).traces
    return {row.trace_id: row for row in found if row.trace_id in ids}


def _text(row: Any) -> str:
    if row is None:
        return ""
    return on_one_line(row.prompt + row.response) if row.readable else f"unreadable: {on_one_line(row.reason)}"


@command("watch", panel=TRACES)
def watch(
    daemon: Daemon,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON value a change: added, changed, removed.")] = False,
) -> int:
    """A line for every trace that comes, changes or goes, until Ctrl-C.

    Lines begin with +, ~ or -, then the id and the text, parted by tabs in a pipe.
    """
    from daemon.client.conversation import ConnectionLostError

    with daemon.client() as client, client.notifications("traces_changed") as changes:
        notice(f"Watching {client.greeting.traces_dir}; Ctrl-C ends it.", "dim")
        while True:
            try:
                _print_change(client, next(changes), as_json)
            except ConnectionLostError:
                notice("The daemon ended; waiting for the next.", "dim")
                _await_daemon(daemon, client)
                notice("Watching again.", "dim")


def _print_change(client: Client, change: Notice, as_json: bool) -> None:
    if as_json:
        print_json_line(change.params)
        sys.stdout.flush()
        return
    came = change.params.added + change.params.changed
    rows = _rows(client, came) if came else {}
    for kind, (sign, style) in SIGNS.items():
        for trace_id in getattr(change.params, kind):
            text = _text(rows.get(trace_id))
            if sys.stdout.isatty():
                from rich.text import Text

                line = Text.assemble((f"{sign} {trace_id}", style), f"  {text}")
                line.truncate(output().width, overflow="ellipsis")
                output().print(line)
            else:
                print_line(f"{sign}\t{trace_id}\t{text}")
    sys.stdout.flush()


def _await_daemon(daemon: Daemon, client: Client) -> None:
    """Until somebody else has started one: a daemon that was ended on purpose stays so."""
    from daemon.launch.dial import answers
    from daemon.run_folder import RunFolder

    while True:
        if answers(RunFolder(daemon.settings.runtime_dir)):
            with contextlib.suppress(RpcError, OSError):
                client.get_status()
                return
        time.sleep(AGAIN_SECONDS)
