"""What a killed daemon leaves: every answered trace listed, each trace whole, and nothing that needs a hand."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

from nanochat.errors import TraceUnreadableError
from nanochat.system.temporary_names import remove_dead_files
from nanochat.trace_storage import TraceStorage
from protocol.errors import RpcError
from tests.stress.ground import Ground, Report
from tests.stress.wire_client import WireClient

PAGE = 5_000
# What a client may meet that starts a daemon which is killed before it is ready, or talks to one that ends.
PASSING = ("DAEMON_NOT_STARTED", "SHUTTING_DOWN", "CANCELLED")


def capture_for_ever(
    here: Ground, framing: str, format: str, seed: int, answered: list[str], stop: threading.Event, report: Report
) -> None:
    """A client: captures until told to stop, connects again when the daemon died, notes each answered trace."""
    while not stop.is_set():
        try:
            with here.client(framing, f"{framing} {format}") as client:
                while not stop.is_set():
                    answered.append(capture(client, format, seed)["trace_id"])
                    seed += 1
        except OSError:
            continue
        except RpcError as error:
            report.expect(error.name in PASSING, f"{framing} {format}: {error.name}: {error}")
            stop.wait(0.05)


def capture(client: WireClient, format: str, seed: int) -> dict:
    """One capture, short or less short by its seed."""
    request = {"prompt": f"number {seed}", "max_tokens": 1 + seed % 6, "format": format, "seed": seed}
    return client.call("generate_and_capture", request)


def every_trace(client: WireClient) -> list[dict]:
    """All rows of the listing, page by page."""
    rows, cursor = [], None
    while True:
        page = client.call("list_traces", {"limit": PAGE} | ({"cursor": cursor} if cursor else {}))
        rows += page["traces"]
        cursor = page.get("cursor")
        if not cursor:
            return rows


def check_listing(here: Ground, answered: Iterable[str], report: Report) -> None:
    """Whether the running daemon lists what was answered before, and nothing half."""
    before = set(answered)
    with here.client(name="checker") as client:
        check_rows(every_trace(client), before, report)


def check_rows(rows: list[dict], before: set[str], report: Report) -> None:
    """Take note of listed traces that are not readable, and of answered ones that are not listed."""
    report.failures.extend(f"{row['trace_id']} is listed but not readable" for row in rows if not row["readable"])
    lost = before - {row["trace_id"] for row in rows}
    report.failures.extend(f"{trace_id} was answered and is not listed" for trace_id in sorted(lost))


def look_at_remains(here: Ground, answered: Iterable[str], report: Report) -> None:
    """End the daemon and look at what lies there: every file read anew, no process, no socket, no other file."""
    here.stop()
    left = [f"{process.pid} {' '.join(process.cmdline()[:6])}" for process in here.processes()]
    report.expect(not left, f"processes are left over: {left}")
    report.expect(not os.path.lexists(here.run_folder.socket), "the socket is left over")
    storage = TraceStorage(here.settings.traces_dir, catalogue=here.folder / "new catalogue.sqlite3")
    entries = storage.list_entries()
    for entry in entries:
        if fault := _fault(storage, entry.trace_id):
            report.failures.append(f"{entry.trace_id} is not whole: {fault}")
    lost = set(answered) - {entry.trace_id for entry in entries}
    report.failures.extend(f"{trace_id} was answered and is lost" for trace_id in sorted(lost))
    report.figures["temporary_files"] = remove_dead_files(storage.directory, dead_after=0)
    known = {entry.path.name for entry in entries}
    present = os.listdir(storage.directory) if storage.directory.exists() else []
    others = sorted(name for name in present if name not in known)
    report.expect(not others, f"other files in the traces folder: {others}")
    report.figures["traces"] = len(entries)


def _fault(storage: TraceStorage, trace_id: str) -> str:
    try:
        with storage.open_trace(trace_id) as trace:
            for name in trace.names():
                trace.tensor(name)
    except TraceUnreadableError as error:
        return str(error)
    return ""
