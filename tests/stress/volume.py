"""Very many: captures one after another, files dropped at once, a first scan of many large traces."""

from __future__ import annotations

import argparse
import itertools
import os
import threading
import time
from pathlib import Path

import psutil

from nanochat.trace_storage import TraceStorage
from nanochat.traces.catalogue import Catalogue
from protocol.errors import RpcError
from tests.stress.ground import Ground, Report, ground, percentile
from tests.stress.remains import every_trace
from tests.stress.wire_client import WireClient
from tests.stress.writer_kills import example

CURVE = 20  # samples of the memory
GROWTH_PERCENT = 2.0
LISTED_SECONDS = 30.0
READ_P99_MS = 500.0  # of other clients meanwhile
SCAN_SECONDS = 10.0
REAL_FILES = 50  # of the scan's traces; the others are hard links to these
MEGABYTE = {"prompt": 80, "layers": 6}  # what makes a trace of a million bytes


def memory(options: argparse.Namespace) -> Report:
    """Captures one after another: the daemon's memory after the first hundred is what it stays at."""
    report = Report()
    with ground() as here, here.client() as client:
        process = psutil.Process(client.call("get_status")["pid"])
        begun = 0.0
        curve: list[float] = []
        for number in range(options.warm + options.captures + 1):
            if number == options.warm:
                begun = time.monotonic()
            if number >= options.warm and (number - options.warm) % max(1, options.captures // CURVE) == 0:
                curve.append(process.memory_info().rss / 2**20)
            request = {"prompt": f"The capital of number {number} is", "max_tokens": 8, "seed": number}
            client.call("generate_and_capture", request)
        seconds = time.monotonic() - begun
    growth = 100 * (max(curve[1:]) / curve[0] - 1)
    report.expect(growth < options.growth, f"memory grew by {growth:.1f}%")
    report.figures = {
        "captures": options.captures,
        "after": options.warm,
        "growth_percent_at_most": round(growth, 2),
        "growth_percent_at_the_end": round(100 * (curve[-1] / curve[0] - 1), 2),
        "memory_mib": [round(value, 1) for value in curve],
        "captures_a_second": round(options.captures / seconds, 1),
    }
    return report


def files(options: argparse.Namespace) -> Report:
    """Files dropped at once: all are listed within some seconds, and other clients are answered meanwhile."""
    report = Report()
    with ground() as here:
        here.settings.traces_dir.mkdir()
        staged = stage_files(here.folder / "staged", here.folder / "staged.sqlite3", options.files)
        reads: list[float] = []
        stop = threading.Event()
        with here.client(name="watcher") as watcher, here.client(name="lister") as lister:
            lister.call("list_traces")
            reader = threading.Thread(target=_read_for_ever, args=(here, stop, reads, report), daemon=True)
            reader.start()
            begun = time.monotonic()
            for path in staged:
                os.rename(path, here.settings.traces_dir / path.name)
            dropped = time.monotonic() - begun
            seconds = _listed(lister, options.files, begun)
            stop.set()
            reader.join()
            rows = every_trace(lister)
            told = watcher.notification("traces_changed")
        expected = {path.stem for path in staged}
        report.expect(seconds <= LISTED_SECONDS, f"the listing was right after {seconds:.1f} s")
        report.expect({row["trace_id"] for row in rows} == expected, f"{len(rows)} traces are listed")
        report.expect(all(row["readable"] for row in rows), "some are listed as unreadable")
        report.expect(told["added"], "nobody was told")
        report.expect(percentile(reads, 99) < READ_P99_MS, f"reads took {percentile(reads, 99)} ms (p99)")
    report.figures = {
        "files": options.files,
        "seconds_to_drop": round(dropped, 2),
        "seconds_until_listed": round(seconds, 2),
        "reads_meanwhile": len(reads),
        "read_ms_median": percentile(reads, 50),
        "read_ms_p99": percentile(reads, 99),
        "read_ms_slowest": percentile(reads, 100),
    }
    return report


def stage_files(folder: Path, catalogue: Path, count: int, *, prompt: int = 5, layers: int = 1) -> list[Path]:
    """Trace files to drop, each of its own prompt, with the tensors of so many tokens and layers."""
    storage = TraceStorage(folder, catalogue=Catalogue(catalogue))
    document, tensors = example(0, prompt=prompt, layers=layers)
    trace_id = storage.create_trace(document | {"prompt": "the prompt itself"}, tensors)
    source = storage.path_of(trace_id)
    text = source.read_bytes()
    source.unlink()
    paths = []
    for number in range(count):
        name = f"trace_20260101_000000_{number:06}"
        own = text.replace(trace_id.encode(), name.encode())
        own = own.replace(b"the prompt itself", b"prompt %d" % number)
        paths.append(folder / f"{name}.json")
        paths[-1].write_bytes(own)
    return paths


def _read_for_ever(here: Ground, stop: threading.Event, reads: list[float], report: Report) -> None:
    """Another client, which asks for this and that and takes note of how long each answer takes."""
    asked = itertools.cycle([("get_status", {}), ("list_traces", {"limit": 100})])
    try:
        with here.client(name="reader") as client:
            while not stop.wait(0.01):
                method, params = next(asked)
                begun = time.monotonic()
                client.call(method, params)
                reads.append(time.monotonic() - begun)
    except (OSError, RpcError) as error:
        report.failures.append(f"a reader: {error!r}")


def _listed(client: WireClient, count: int, begun: float) -> float:
    """Seconds from `begun` until so many traces are listed."""
    while time.monotonic() - begun < 4 * LISTED_SECONDS:
        if client.call("list_traces", {"limit": 1})["total"] == count:
            return time.monotonic() - begun
        time.sleep(0.05)
    return time.monotonic() - begun


def scan(options: argparse.Namespace) -> Report:
    """A new daemon, without a catalogue, and a folder of one-megabyte traces: how long until all are listed."""
    report = Report()
    with ground() as here:
        real = min(REAL_FILES, options.traces)
        here.settings.traces_dir.mkdir()
        sources = stage_files(here.folder / "staged", here.folder / "staged.sqlite3", real, **MEGABYTE)
        for number in range(options.traces):
            os.link(sources[number % real], here.settings.traces_dir / f"trace_20260102_000000_{number:06}.json")
        begun = time.monotonic()
        with here.client() as client:
            connected = time.monotonic() - begun
            seconds = _listed(client, options.traces, begun)
            again = time.monotonic()
            rows = client.call("list_traces", {"limit": 100})["traces"]
            again = time.monotonic() - again
        report.expect(seconds < SCAN_SECONDS, f"the first scan took {seconds:.1f} s")
        report.expect(all(row["readable"] for row in rows), "some are listed as unreadable")
    report.figures = {
        "traces": options.traces,
        "real_files": real,
        "hard_links": options.traces - real,
        "seconds_from_the_start_of_the_daemon": round(seconds, 2),
        "seconds_until_connected": round(connected, 2),
        "warm_listing_ms": round(1000 * again, 2),
    }
    return report
