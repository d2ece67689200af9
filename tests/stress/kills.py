"""kill -9 of the daemon at random moments, while clients of both kinds of connection capture in both formats."""

from __future__ import annotations

import argparse
import contextlib
import random
import threading
import time

import psutil

from tests.stress.ground import Ground, Report, ground, percentile
from tests.stress.remains import capture_for_ever, check_listing, look_at_remains
from tests.stress.wire_client import FRAMINGS

FORMATS = ("json", "safetensors")
UNDER_WAY_SECONDS = 30.0  # for captures to go on after a start
AMID_CAPTURES = 0.7  # of the kills; the others come while the daemon starts or loads its model
TWICE = 0.2  # of the kills are followed by one more while the next daemon starts


def kills(options: argparse.Namespace) -> Report:
    """Kill the daemon again and again: each time the next client is served, and all that was answered is there."""
    report, chance = Report(), random.Random(options.seed)
    answered: list[str] = []
    stop = threading.Event()
    with ground() as here:
        capturers = [
            threading.Thread(
                target=capture_for_ever,
                args=(here, framing, format, 100_000 * number, answered, stop, report),
                daemon=True,
            )
            for number, (framing, format) in enumerate((framing, format) for framing in FRAMINGS for format in FORMATS)
        ]
        for thread in capturers:
            thread.start()
        try:
            waits = _kill_again_and_again(here, options.kills, chance, answered, report)
        finally:
            stop.set()
        for thread in capturers:
            thread.join(UNDER_WAY_SECONDS)
            report.expect(not thread.is_alive(), "a client hangs")
        look_at_remains(here, answered, report)
    report.figures |= {
        "kills": options.kills,
        "answered": len(answered),
        "next_served_ms_median": percentile(waits, 50),
        "next_served_ms_slowest": percentile(waits, 100),
    }
    return report


def _kill_again_and_again(
    here: Ground, kills: int, chance: random.Random, answered: list[str], report: Report
) -> list[float]:
    waits = [here.served()]
    done = 0
    while done < kills and len(report.failures) < 10:
        _wait_for_the_moment(chance, answered)
        done += kill_daemon(here)
        if done < kills and chance.random() < TWICE:
            time.sleep(chance.uniform(0, 0.8))
            done += kill_daemon(here)
        before = list(answered)
        try:
            waits.append(here.served())
        except TimeoutError as error:
            report.failures.append(f"after kill {done}: {error}")
            break
        check_listing(here, before, report)
    return waits


def _wait_for_the_moment(chance: random.Random, answered: list[str]) -> None:
    if chance.random() < AMID_CAPTURES:
        before, deadline = len(answered), time.monotonic() + UNDER_WAY_SECONDS
        while len(answered) == before and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.3))
    else:
        time.sleep(chance.uniform(0, 2))


def kill_daemon(here: Ground) -> int:
    """kill -9 of whatever daemon runs; how many there were."""
    found = here.daemons()
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return len(found)
