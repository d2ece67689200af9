"""What may stand for a trace on the command line: its id, a part of it, its path, `latest`, or `@N`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nanochat.places import ids_meant, trace_path
from nanochat.text import some_of
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.client import Client
    from protocol.types import TraceRow

PAGE = 1000
COMPLETIONS = 50
COMPLETION_SECONDS = 1.0
NOT_PLAIN = re.compile(r"[^\w,.?-]+")  # for a shell: zsh evaluates what describes a word, and typer reads it as markup
DESCRIPTION = 40  # characters
HELP = "Its id or a part of it, its path, latest, or @N as list numbers them."


def find(client: Client, name: str) -> str:
    """The id of the trace that is meant.

    Args:
        name: an id; what only one id begins with, with or without its `trace_`; what only one id contains; the path
            of its file; `latest` (the newest that can be read) or `@N` (the Nth newest).

    Raises:
        RpcError: TRACE_NOT_FOUND: none, or more than one, is meant.
    """
    path = trace_path(name)
    if path is not None:
        return _at(client, path)
    if name == "latest":
        return _latest(client)
    if match := re.fullmatch(r"@([1-9][0-9]{0,8})", name):
        return _numbered(client, int(match[1]))
    chosen = ids_meant(_ids_with(client, name), name)
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise _not_found(f"{name!r} may be {some_of(chosen)}; give more of it.")
    raise _not_found(f"There is no trace {name!r} in {client.greeting.traces_dir}; `nanoscope list` has them all.")


def _at(client: Client, path: Path) -> str:
    if not path.is_file():
        raise _not_found(f"There is no file {path}; `nanoscope list` has the traces.")
    folder = client.greeting.traces_dir
    if not os.path.samefile(path.parent, folder if os.path.exists(folder) else os.devnull):
        raise _not_found(f"{path} is not in the traces folder {folder}: add --traces-dir {path.parent}.")
    return path.stem


def _latest(client: Client) -> str:
    for row in client.list_traces(limit=PAGE).traces:
        if row.readable:
            return row.trace_id
    raise _none(client)


def _numbered(client: Client, number: int) -> str:
    cursor, seen = None, 0
    while True:
        page = client.list_traces(limit=PAGE, cursor=cursor)
        if number <= seen + len(page.traces):
            return page.traces[number - seen - 1].trace_id
        seen, cursor = seen + len(page.traces), page.cursor
        if cursor is None:
            raise _none(client) if seen == 0 else _not_found(f"There is no trace @{number}: there are {seen}.")


def _ids_with(client: Client, text: str) -> list[str]:
    """Ids of traces that have a text somewhere."""
    ids, cursor = [], None
    while True:
        page = client.list_traces(text=text, limit=PAGE, cursor=cursor)
        ids += [row.trace_id for row in page.traces]
        cursor = page.cursor
        if cursor is None:
            return ids


def row_of(client: Client, trace_id: str) -> TraceRow:
    """What a listing shows of a trace. Raises RpcError: TRACE_NOT_FOUND."""
    cursor = None
    while True:
        page = client.list_traces(text=trace_id, limit=PAGE, cursor=cursor)
        for row in page.traces:
            if row.trace_id == trace_id:
                return row
        cursor = page.cursor
        if cursor is None:
            raise _not_found(f"{trace_id} has gone; `nanoscope list` has what there is.")


def _none(client: Client) -> RpcError:
    return _not_found(
        f"There is no trace in {client.greeting.traces_dir} yet: make one with `nanoscope capture`, or name another "
        "folder with --traces-dir."
    )


def _not_found(message: str) -> RpcError:
    return RpcError("TRACE_NOT_FOUND", message)


def complete(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """For the shell: ids, and what they are, from the daemon if one runs; none is started for this."""
    from daemon.connecting import ask, connect
    from daemon.run_folder import RunFolder
    from daemon.settings import load_settings

    try:
        flags = {name: ctx.params.get(name) for name in ("runtime_dir", "traces_dir")}
        settings, origins = load_settings(flags)
        with connect(RunFolder(settings.runtime_dir)) as connection:
            if origins["traces_dir"] != "default":
                ask(connection, "hello", {"traces_dir": str(settings.traces_dir)}, COMPLETION_SECONDS)
            rows = ask(connection, "list_traces", {"limit": PAGE}, COMPLETION_SECONDS)["result"]["traces"]
    except (OSError, RpcError, KeyError):
        return []
    fitting = [row for row in rows if row["trace_id"].startswith(incomplete)]
    named = [(row["trace_id"], _description(row["prompt"] + row["response"])) for row in fitting[:COMPLETIONS]]
    return named + [("latest", "the newest")] * ("latest".startswith(incomplete) and bool(rows))


def _description(text: str) -> str:
    return NOT_PLAIN.sub(" ", text)[:DESCRIPTION].strip()
