"""Many at once: cold starts, which must come to one daemon, and clients, each of which must get its own answers."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from protocol.errors import RpcError
from tests.stress.ground import Ground, Report, ground, percentile
from tests.stress.wire_client import FRAMINGS, WireClient

START_SECONDS = 90.0
LONG_TOKENS = 120  # of the generations that are in flight meanwhile
STARVED = 3.0  # times as long as the median


def starts(options: argparse.Namespace) -> Report:
    """Cold starts at once, several times: exactly one daemon, everyone served."""
    report = Report()
    slowest = []
    for _ in range(options.rounds):
        with ground() as here:
            begun = time.monotonic()
            with ThreadPoolExecutor(options.starts) as pool:
                answers = list(pool.map(lambda _: _status_by_pump(here), range(options.starts)))
            slowest.append(round(time.monotonic() - begun, 2))
            pids = {answer["result"]["pid"] for answer in answers if answer and "result" in answer}
            served = sum(answer is not None and "result" in answer for answer in answers)
            running = [process.pid for process in here.daemons()]
            report.expect(served == options.starts, f"{options.starts - served} were not served")
            report.expect(len(pids) == 1, f"answers came from the daemons {sorted(pids)}")
            report.expect(running == sorted(pids), f"daemons {running} run, {sorted(pids)} answered")
    report.figures = {"rounds": options.rounds, "starts": options.starts, "seconds_until_all_served": slowest}
    return report


def _status_by_pump(here: Ground) -> dict | None:
    """The answer that `nanoscope stdio` brings, None where it brings none."""
    request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "get_status"}).encode() + b"\n"
    pump = here.command("stdio", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        output, _ = pump.communicate(request, timeout=START_SECONDS)
        return json.loads(output)
    except (subprocess.TimeoutExpired, ValueError):
        pump.kill()
        pump.communicate()
        return None


@dataclass
class _Story:
    """What one of many clients met."""

    number: int
    reads: list[float] = field(default_factory=list)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def clients(options: argparse.Namespace) -> Report:
    """Many clients of both kinds of connection on one daemon, some with a long generation in flight."""
    report = Report()
    with ground(queue_limit=str(2 * options.clients)) as here:
        with here.client(name="first") as first:
            first.call("generate_and_capture", {"prompt": "the model is loaded", "max_tokens": 1})
        ready = threading.Barrier(options.clients)
        stories = [_Story(number) for number in range(options.clients)]
        with ThreadPoolExecutor(options.clients) as pool:
            list(pool.map(lambda story: _live(here, story, ready, options), stories))
    for story in stories:
        report.failures.extend(story.wrong)
    seconds = [story.seconds for story in stories]
    reads = [read for story in stories for read in story.reads]
    median = statistics.median(seconds)
    report.expect(max(seconds) < STARVED * median, f"the slowest took {max(seconds):.1f} s, the median {median:.1f} s")
    report.figures = {
        "clients": options.clients,
        "long_generations": sum(story.number % 10 == 0 for story in stories),
        "seconds_median": round(median, 2),
        "seconds_slowest": round(max(seconds), 2),
        "read_ms_median": percentile(reads, 50),
        "read_ms_p99": percentile(reads, 99),
        "read_ms_slowest": percentile(reads, 100),
    }
    return report


def _live(here: Ground, story: _Story, ready: threading.Barrier, options: argparse.Namespace) -> None:
    """One client's life: its own captures, reads and errors, every answer compared with what it asked."""
    try:
        with here.client(FRAMINGS[story.number % 2], f"client {story.number}") as client:
            ready.wait()
            begun = time.monotonic()
            long = None
            if story.number % 10 == 0:
                request = {"prompt": f"long {story.number}", "max_tokens": LONG_TOKENS, "stream": True, "seed": 7}
                long = client.send("generate_and_capture", request)
            for turn in range(options.turns):
                _turn(client, story, f"client {story.number} turn {turn}")
            if long is not None:
                own = client.answer(long).get("result", {}).get("prompt")
                _compare(story, "the long generation", own, f"long {story.number}")
            story.seconds = time.monotonic() - begun
    except (OSError, RpcError, threading.BrokenBarrierError) as error:
        ready.abort()
        story.wrong.append(f"client {story.number}: {error!r}")


def _turn(client: WireClient, story: _Story, prompt: str) -> None:
    captured = client.call("generate_and_capture", {"prompt": prompt, "max_tokens": 2, "seed": story.number})
    _compare(story, "the capture", captured["prompt"], prompt)
    trace_id = captured["trace_id"]
    reads = (
        ("the summary", "get_summary", {"trace_id": trace_id}, lambda result: result["prompt"], prompt),
        ("the listing", "list_traces", {"text": prompt}, _ids, [trace_id]),
        ("the tokens", "get_tokens", {"trace_id": trace_id}, lambda result: result["trace_id"], trace_id),
        ("the status", "get_status", {}, lambda result: result["queue"]["limit"] > 0, True),
    )
    for what, method, params, pick, expected in reads:
        begun = time.monotonic()
        result = client.call(method, params)
        story.reads.append(time.monotonic() - begun)
        _compare(story, what, pick(result), expected)
    missing = f"none_{story.number}"
    try:
        client.call("get_summary", {"trace_id": missing})
        story.wrong.append(f"client {story.number}: a trace that is not there was found")
    except RpcError as error:
        _compare(story, "the error", (error.name, missing in error.message), ("TRACE_NOT_FOUND", True))


def _ids(listing: dict) -> list[str]:
    return [row["trace_id"] for row in listing["traces"]]


def _compare(story: _Story, what: str, found: object, expected: object) -> None:
    if found != expected:
        story.wrong.append(f"client {story.number}: {what} is {found!r}, not {expected!r}")
