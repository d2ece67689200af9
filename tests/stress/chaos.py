"""kill -9 of daemon and clients at random under load: clients of both kinds of connection, command lines, pumps."""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO

from tests.stress.ground import ROOT, Ground, Report, ground, percentile
from tests.stress.kills import FORMATS, kill_daemon
from tests.stress.remains import check_listing, look_at_remains
from tests.stress.wire_client import FRAMINGS, frame

CLIENTS = 4  # processes at once
FIRST_ANSWER_SECONDS = 60.0  # longer than it was to last, until something was captured at all


@dataclass
class _Act:
    """A client process, what it writes, and until when it lives."""

    kind: str
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    until: float
    killed: bool = False


@dataclass
class _Play:
    """What happens in the course of it."""

    here: Ground
    chance: random.Random
    report: Report
    answered: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def pace(self) -> float:
        """How slow this machine is just now: 1 where a new client is served within a second, else how many it took."""
        return max(1.0, self.waits[-1]) if self.waits else 1.0


def _actor(play: _Play, output: IO[bytes]) -> subprocess.Popen[bytes]:
    chance = play.chance
    words = [chance.choice(FRAMINGS), chance.choice(FORMATS), str(chance.randrange(10**6))]
    command = [sys.executable, "-m", "tests.stress.actor", *words]
    return subprocess.Popen(command, env=play.here.environment, cwd=ROOT, stdout=output, stderr=subprocess.DEVNULL)


def _command_line(play: _Play, output: IO[bytes]) -> subprocess.Popen[bytes]:
    words = ["capture", "a word", "--max-tokens", "3", "--json"] if play.chance.random() < 0.7 else ["list", "--json"]
    return play.here.command(*words, stdin=subprocess.DEVNULL, stdout=output)


def _pump(play: _Play, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """A pump whose client has written all that it has to say; the script connection answers it and hangs up."""
    params = {"prompt": "through a pump", "max_tokens": 3}
    requests = [
        {"jsonrpc": "2.0", "id": number, "method": "generate_and_capture", "params": params} for number in range(5)
    ]
    with tempfile.TemporaryFile() as script:
        script.write(b"".join(frame("line", request) for request in requests))
        script.seek(0)
        return play.here.command("stdio", stdin=script, stdout=output)


KINDS: dict[str, Callable[[_Play, IO[bytes]], subprocess.Popen[bytes]]] = {
    "actor": _actor,
    "command line": _command_line,
    "pump": _pump,
}


def chaos(options: argparse.Namespace) -> Report:
    """Some minutes of it; then everything that was answered is there, whole, and nothing else is left."""
    with ground() as here:
        play = _Play(here, random.Random(options.seed), Report())
        stop = threading.Event()
        killer = threading.Thread(target=_kill_daemons, args=(play, stop), daemon=True)
        acts: list[_Act] = []
        end = time.monotonic() + 60 * options.minutes
        killer.start()
        try:
            _go_on(play, acts, end)
        finally:
            stop.set()
            killer.join()
            for act in acts:
                act.process.kill()
                _finish(play, act)
        play.report.expect(play.answered, "nothing was captured")
        play.waits.append(here.served())
        check_listing(here, play.answered, play.report)
        look_at_remains(here, play.answered, play.report)
    play.report.figures |= dict(sorted(play.counts.items())) | {
        "minutes": options.minutes,
        "answered": len(play.answered),
        "served": len(play.waits),
        "served_ms_median": percentile(play.waits, 50),
        "served_ms_slowest": percentile(play.waits, 100),
    }
    return play.report


def _go_on(play: _Play, acts: list[_Act], end: float) -> None:
    """Start clients, kill them when their time has come, and see now and then that the next one is served."""
    due = time.monotonic()
    last = end + FIRST_ANSWER_SECONDS
    while time.monotonic() < (end if play.answered else last) and len(play.report.failures) < 10:
        while len(acts) < CLIENTS:
            acts.append(_begin(play))
        time.sleep(0.02)
        for act in list(acts):
            if time.monotonic() > act.until and act.process.poll() is None:
                act.process.kill()
                act.killed = True
            if act.process.poll() is not None:
                acts.remove(act)
                _finish(play, act)
        if time.monotonic() > due:
            due = time.monotonic() + play.chance.uniform(1, 4)
            try:
                play.waits.append(play.here.served())
            except TimeoutError as error:
                play.report.failures.append(str(error))


def _begin(play: _Play) -> _Act:
    kind = play.chance.choice(["actor", "actor", "command line", "pump"])
    output = tempfile.TemporaryFile()  # noqa: SIM115  closed in _finish; no pipe, which somebody would have to read
    return _Act(kind, KINDS[kind](play, output), output, time.monotonic() + play.pace() * play.chance.uniform(0.1, 12))


def _finish(play: _Play, act: _Act) -> None:
    """Take note of what a client was answered. A last line without its end was not said in full."""
    act.process.wait()
    play.counts[f"{act.kind}s{' killed' * act.killed}"] += 1
    with act.output:
        act.output.seek(0)
        text = act.output.read().decode(errors="replace")
    for trace_id in answers_in(text):
        play.answered.append(trace_id)
    play.report.failures.extend(f"{act.kind}: {line[1:]}" for line in text.splitlines() if line.startswith("!"))


def answers_in(text: str) -> list[str]:
    """The ids in whole lines: bare, in responses, or in what `nanoscope capture --json` printed."""
    found = []
    whole, _, _ = text.rpartition("\n")
    for line in whole.splitlines():
        if line.startswith("trace_"):
            found.append(line)
        elif line.startswith("{"):
            document = json.loads(line) if line.endswith("}") else {}
            document = document.get("result", document)
            found += [document["trace_id"]] if isinstance(document, dict) and "trace_id" in document else []
    return found


def _kill_daemons(play: _Play, stop: threading.Event) -> None:
    chance = random.Random(play.chance.random())
    while not stop.wait(play.pace() * chance.choice([chance.uniform(0.1, 1), chance.uniform(2, 8)])):
        play.counts["daemons killed"] += kill_daemon(play.here)
