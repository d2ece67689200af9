"""Commands about the daemon itself: start, stop, status, sessions, logs, doctor, serve, stdio."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli.options import ALL_FLAGS, DAEMON, FAILED, Daemon, Json, command
from daemon.cli.output import Column, Waiting, duration, notice, output, print_facts, print_json, print_line, print_rows
from nanochat.system.text import human_size
from protocol.errors import RpcError

if TYPE_CHECKING:
    from daemon.doctor.finding import Finding
    from protocol.types import GetStatusResult, Setting

MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✗", "bold red")}
NONE_RUNS = "No daemon runs; the next command that needs one starts it."


@command("start", panel=DAEMON, flags=ALL_FLAGS)
def start(daemon: Daemon, *, as_json: Json = False) -> int:
    """Start the daemon if none runs; every command that needs one does so itself."""
    from daemon.cli.models import describe
    from daemon.launch.dial import answers
    from daemon.run_folder import private_folder

    running = answers(private_folder(daemon.settings.runtime_dir))
    with daemon.client(as_told=True) as client:
        greeting = client.greeting
        held = client.get_status().model
    if as_json:
        print_json(greeting)
        return 0
    notice(f"{'The daemon runs already' if running else 'Started the daemon'}, pid {greeting.pid}.")
    if running:
        notice(f"Its model: {describe(held)}.", "dim")
    return 0


@command("stop", panel=DAEMON, flags=("runtime_dir",))
def stop(
    daemon: Daemon,
    *,
    force: Annotated[bool, typer.Option("--force", help="Even if others use it, or if it does not answer.")] = False,
) -> int:
    """End the daemon, unless somebody else uses it."""
    from daemon.launch.stop import stop_daemon

    with Waiting("waiting for the daemon to end"):
        ended = stop_daemon(daemon.settings.runtime_dir, force=force)
    notice("The daemon has ended." if ended else "No daemon runs.")
    return 0


@command("status", panel=DAEMON)
def status(
    daemon: Daemon,
    *,
    settings: Annotated[bool, typer.Option("--settings", help="Every setting, and where it came from.")] = False,
    as_json: Json = False,
) -> int:
    """How the daemon is: its model, queue, clients, folders. Exit status 1 if none runs; none is started."""
    result = _status(daemon, settings)
    if as_json:
        print_json(result)
        return 0 if result is not None else FAILED
    if result is None:
        notice(NONE_RUNS)
        if settings:
            _print_settings([(name, getattr(daemon.settings, name), at) for name, at in daemon.loaded[1].items()])
        return FAILED
    print_facts(_facts(result))
    if result.settings is not None:
        output().print()
        _print_settings([(row.name, row.value, _origin(daemon, row)) for row in result.settings])
    return 0


def _status(daemon: Daemon, settings: bool = False) -> GetStatusResult | None:
    """Asked without starting a daemon, and whatever its version; this command's own session is left out."""
    import msgspec

    from daemon.launch.dial import ask, connect
    from daemon.run_folder import private_folder
    from protocol.types import GetStatusResult

    try:
        with connect(private_folder(daemon.settings.runtime_dir)) as connection:
            greeting = ask(connection, "hello", {"client_name": "nanoscope", "notifications": False})
            response = ask(connection, "get_status", {"settings": settings, "checkpoint": True})
            if response.get("error", {}).get("data", {}).get("name") == "INVALID_PARAMS":  # a daemon of long ago
                response = ask(connection, "get_status", {"settings": settings})
    except (FileNotFoundError, ConnectionError):
        return None
    if "error" in response:
        raise RpcError.from_json(response["error"])
    try:
        status = msgspec.convert(response["result"], GetStatusResult)
    except msgspec.ValidationError as error:
        raise RpcError(
            "VERSION_MISMATCH", f"The daemon is of another version ({error}): run `nanoscope stop --force`."
        ) from error
    own = greeting.get("result", {}).get("session")
    status.sessions = [session for session in status.sessions if session.session != own]
    return status


def _facts(result: GetStatusResult) -> Iterator[tuple[str, Any]]:
    from daemon.cli.models import facts_of

    queue = result.queue
    yield "daemon", f"pid {result.pid}, up {duration(result.uptime)}, {human_size(result.memory)} of memory"
    yield "version", f"{result.package_version}, protocol {result.protocol_version}"
    yield from facts_of("model", result.model)
    busy = "one generation runs" if queue.running else "nothing runs"
    yield "queue", f"{busy}, {queue.waiting} of at most {queue.limit} wait"
    gone = f", {result.sessions_ended} gone" if result.sessions_ended else ""
    yield "sessions", f"{len(result.sessions) or 'none'} open{gone}"
    for watcher in result.watchers:
        health = "" if watcher.healthy else ", UNHEALTHY"
        note = f": {watcher.note}" if watcher.note else ""
        traces = "1 trace" if watcher.traces == 1 else f"{watcher.traces} traces"
        yield "watches", f"{watcher.traces_dir}, {traces}, by {watcher.method}{health}{note}"
    yield "event loop", f"at most {result.loop_lag:.1f} ms late in the last seconds"
    idle = f"after {duration(result.idle_timeout)} without clients" if result.idle_timeout else "never on its own"
    yield "ends", idle
    yield "log", result.log_file


def _print_settings(rows: list[tuple[str, Any, str]]) -> None:
    print_rows(
        (Column("setting"), Column("value", gives_way=True), Column("from", gives_way=True)),
        [(name, "" if value is None else str(value), origin) for name, value, origin in rows],
    )


def _origin(daemon: Daemon, row: Setting) -> str:
    """Where a setting came from: a daemon that a client started has them all from its environment."""
    settings, origins = daemon.loaded
    own = getattr(settings, row.name, None)
    same = (None if own is None else str(own)) == row.value
    return origins.get(row.name, row.origin) if same else f"the client that started the daemon, or {row.origin}"


@command("sessions", panel=DAEMON, flags=("runtime_dir",))
def sessions(daemon: Daemon, *, as_json: Json = False) -> int:
    """Who is connected. Exit status 1 if no daemon runs.

    In a pipe: number, name, kind of connection, seconds, requests, traces folder, parted by tabs.
    """
    result = _status(daemon)
    if result is None:
        if as_json:
            print_json(None)
        notice(NONE_RUNS)
        return FAILED
    if as_json:
        print_json(result.sessions)
        return 0
    if not result.sessions:
        notice("Nobody but this command is connected.", "dim")
        return 0
    columns = (Column("session", "right"), Column("name"), Column("kind"), Column("since", "right"))
    columns += (Column("requests", "right"), Column("traces folder", gives_way=True))
    print_rows(columns, [
        [
            str(row.session),
            row.name,
            row.door,
            duration(row.seconds) if sys.stdout.isatty() else f"{row.seconds:.3f}",
            str(row.requests),
            row.traces_dir,
        ]
        for row in result.sessions
    ])  # fmt: skip
    return 0


@command("logs", panel=DAEMON, flags=("runtime_dir", "log_file"))
def logs(
    daemon: Daemon,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, metavar="N", help="The last so many.")] = 50,
) -> int:
    """The daemon's log. What clients say is never in it."""
    from pathlib import Path

    from daemon.log_lines import following, last_lines

    try:
        running = None if daemon.loaded[1]["log_file"] == "flag" else _status(daemon)
    except (RpcError, OSError):
        running = None
    path = Path(running.log_file) if running is not None else daemon.settings.log_file
    for line in following(path, lines) if follow else last_lines(path, lines):
        sys.stdout.write(line)
        sys.stdout.flush()
    return 0


@command("doctor", panel=DAEMON, flags=ALL_FLAGS)
def doctor(
    daemon: Daemon,
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Load the checkpoint too, which takes seconds.")] = False,
    as_json: Json = False,
) -> int:
    """Look for what is wrong, and say what to do about it. Exit status 1 if anything is."""
    from daemon.doctor.report import examine

    findings = examine(daemon.flags, deep=deep)
    if as_json:
        print_json(findings)
    else:
        _print_findings(findings)
    return FAILED if any(finding.state == "fault" for finding in findings) else 0


def _print_findings(findings: list[Finding]) -> None:
    """A line for each, remedies below; in a pipe state, check, finding and remedy parted by tabs."""
    if not sys.stdout.isatty():
        for finding in findings:
            print_line("\t".join((finding.state, finding.check, finding.found, finding.remedy)))
        return
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1, 0, 0))
    for finding in findings:
        mark, style = MARKS[finding.state]
        text = Text(finding.found)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", "bold")
        table.add_row(Text(mark, style), Text(finding.check, style if finding.state != "ok" else ""), text)
    output().print(Padding(table, 0))
    faults = sum(finding.state == "fault" for finding in findings)
    warnings = sum(finding.state == "warning" for finding in findings)
    output().print()
    output().print(_verdict(faults, warnings), style="bold")


def _verdict(faults: int, warnings: int) -> str:
    counts = [
        f"{count} {name}{'s' * (count != 1)}" for count, name in ((faults, "fault"), (warnings, "warning")) if count
    ]
    return " and ".join(counts) + "." if counts else "All is well."


@command("serve", panel=DAEMON, flags=ALL_FLAGS)
def serve(daemon: Daemon) -> int:
    """Be the daemon, in this terminal, with the log on stderr; Ctrl-C ends it."""
    from daemon import processes

    return processes.serve(sys.argv[2:])


@command("stdio", panel=DAEMON, flags=ALL_FLAGS)
def stdio(
    daemon: Daemon,
    *,
    private: Annotated[
        bool, typer.Option("--private", help="Serve this one client from this process, without a daemon.")
    ] = False,
) -> int:
    """Talk to the daemon on stdin and stdout: a JSON value a line, or as editors do; see docs/scripting.md."""
    from daemon import processes

    return processes.pump(sys.argv[2:])
