"""Looks at folders full of others' files with every command, client and editor, while captures in them are killed.

At the end all that the project did not write is as it was, and what its own killed writers left has gone.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from daemon.client.sync import Client
from nanochat.errors import NanoscopeError
from nanochat.system.temporary_names import temporary_name
from nanochat.trace_storage import TraceStorage
from nanochat.traces import atomic_file
from protocol.errors import RpcError
from tests.stress.deletes_names import everything_in, harm, leave_over, plant
from tests.stress.editors import look_by_neovim, look_by_vscode, missing_tools
from tests.stress.ground import Ground, Report, ground
from tests.stress.kills import kill_daemon
from tests.stress.remains import PASSING, capture
from tests.stress.writer_kills import example

SUBFOLDERS = 3
LEFT_OVER = 20  # files of dead writers in each folder from the start
COMMANDS = (
    ("list",), ("list", "--json"), ("show",), ("show", "--json"), ("status",), ("status", "--settings"), ("sessions",),
    ("models",), ("doctor",), ("logs",), ("summary", "latest"), ("tokens", "latest"), ("analyze", "latest"),
    ("tensor", "latest", "output_logits"), ("export", "latest", "--to", "safetensors", "--out", os.devnull),
    ("delete", "--yes", "package"), ("load", "demo"), ("start",),
)  # fmt: skip
COMMAND_SECONDS, LIFE_SECONDS = 120.0, 0.2
LOOKERS = 3
SHOWN_SEED = 7  # of the capture that the document has


@dataclass
class _Place:
    """A traces folder, folders without a trace, and what has been done there."""

    here: Ground
    traces: Path
    others: list[Path]
    document: Path
    chance: random.Random
    looks: dict[str, Callable[[_Place, random.Random], None]]
    stop: threading.Event = field(default_factory=threading.Event)
    counts: Counter[str] = field(default_factory=Counter)
    report: Report = field(default_factory=Report)

    def folder(self, chance: random.Random) -> Path:
        return chance.choice([self.traces, *self.others])


def _by_command(place: _Place, chance: random.Random) -> None:
    words = (*chance.choice(COMMANDS), *(("--traces-dir", str(place.folder(chance))) if chance.random() < 0.7 else ()))
    process = place.here.command(*words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        process.wait(chance.choice([COMMAND_SECONDS, 1.0]))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _by_watch(place: _Place, chance: random.Random) -> None:
    words = ("watch", "--traces-dir", str(place.folder(chance)))
    process = place.here.command(*words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    place.stop.wait(chance.uniform(1, 3))
    process.kill()
    process.wait()


def _by_session(place: _Place, chance: random.Random) -> None:
    """A script's or an editor's session; it also tries to delete what is no trace."""
    folder, framing = place.folder(chance), chance.choice(["line", "editor"])
    with place.here.client(framing, "looker", traces_dir=str(folder)) as client:
        rows = client.call("list_traces", {"limit": 1000})["traces"]
        if framing == "editor":
            document = {"uri": (folder / "a.prompt").as_uri(), "languageId": "prompt", "version": 1, "text": "number 7"}
            client.notify("textDocument/didOpen", {"textDocument": document})
            client.call("textDocument/codeLens", {"textDocument": {"uri": document["uri"]}})
        for row in chance.sample(rows, min(3, len(rows))):
            method = chance.choice(["get_summary", "get_tokens", "analyze_trace"])
            with contextlib.suppress(RpcError):
                client.call(method if row["readable"] else "delete_trace", {"trace_id": row["trace_id"]})


def _by_python(place: _Place, chance: random.Random) -> None:
    with Client(place.here.settings, name="looker", traces_dir=str(place.folder(chance))) as client:
        client.get_status()
        client.list_traces(text=chance.choice(["number", "mine", ""]) or None)


def _by_library(place: _Place, chance: random.Random) -> None:
    storage = TraceStorage(place.folder(chance), catalogue=":memory:")
    for entry in storage.list_entries()[:5]:
        with contextlib.suppress(NanoscopeError):
            storage.open_trace(entry.trace_id).close()
            storage.get_trace_summary(entry.trace_id)


def _by_neovim(place: _Place, chance: random.Random) -> None:
    look_by_neovim(place.here.environment, place.document, place.folder(chance))


LOOKS: dict[str, Callable[[_Place, random.Random], None]] = {
    "commands": _by_command,
    "watches": _by_watch,
    "sessions": _by_session,
    "python clients": _by_python,
    "library": _by_library,
}
EDITORS: dict[str, Callable[[_Place, random.Random], None]] = {"Neovim": _by_neovim}


def _look_on(place: _Place, seed: int) -> None:
    """Look again and again; that a daemon is killed meanwhile is part of it."""
    chance = random.Random(seed)
    while not place.stop.is_set():
        kind = chance.choice(list(place.looks))
        try:
            place.looks[kind](place, chance)
            place.counts[kind] += 1
        except RpcError as error:
            place.report.expect(error.name in PASSING, f"{kind}: {error.name}: {error}")
        except OSError:
            place.counts["looks cut off"] += 1


def _by_vscode(place: _Place, seed: int) -> None:
    here = place.here
    place.report.failures += look_by_vscode(here.environment, here.folder, place.others, place.stop, place.counts)


def save_for_ever(folder: str, seed: int, named: bool, reports: Connection) -> None:
    """A writer: saves traces until it is killed, by files without a name or as it is done where there are none."""
    if named:
        atomic_file._open_nameless = lambda folder: -1
    storage = TraceStorage(folder, catalogue=":memory:")
    while True:
        document, tensors = example(seed)
        reports.send(storage.create_trace(document, tensors, format=("json", "safetensors")[seed % 2]))
        seed += 1


def _kill_writers(place: _Place, seed: int) -> None:
    chance, context = random.Random(seed), multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.stress.deletes"])
    while not place.stop.is_set():
        ours, theirs = context.Pipe(duplex=False)
        arguments = (str(place.traces), chance.randrange(10**6), chance.random() < 0.7, theirs)
        writer = context.Process(target=save_for_ever, args=arguments, daemon=True)
        writer.start()
        theirs.close()
        with contextlib.suppress(EOFError):
            ours.recv()
        place.stop.wait(chance.uniform(0, LIFE_SECONDS))
        writer.kill()
        writer.join()
        ours.close()
        place.counts["writers killed"] += 1


def _capture_and_kill(place: _Place, seed: int) -> None:
    """A client that captures, and the end of its daemon in the middle of it."""
    chance = random.Random(seed)
    while not place.stop.is_set():
        killer = threading.Timer(chance.uniform(0, 5), kill_daemon, (place.here,))
        try:
            with place.here.client("line", "capturer") as client:
                while not place.stop.is_set():
                    capture(client, chance.choice(["json", "safetensors"]), chance.randrange(10**6))
                    place.counts["captures"] += 1
                    if killer.ident is None:  # not before captures are under way
                        killer.start()
        except (OSError, RpcError):
            place.counts["captures cut off"] += 1
        killer.cancel()
        if killer.ident is not None:
            killer.join()


def _prepare(here: Ground, options: argparse.Namespace) -> _Place:
    chance = random.Random(options.seed)
    traces = here.settings.traces_dir
    traces.mkdir()
    others = [traces / f"below {number}" for number in range(SUBFOLDERS)]
    others += [here.folder / "no traces", here.folder / "no traces" / "below"]
    for folder in others:
        folder.mkdir()
    plant([traces, traces, traces, *others], options.owned, chance)
    document = here.folder / "look.prompt"
    document.write_text(f"number {SHOWN_SEED}\n")
    return _Place(here, traces, others, document, chance, LOOKS | (EDITORS if options.editors else {}))


def _clear_up(place: _Place) -> list[str]:
    """What the next writer leaves of our own temporary files, once their time has come."""
    for name in os.listdir(place.traces):
        if len(name) == len(temporary_name(b"")) and name.endswith(".nanoscope-tmp"):
            path = place.traces / name
            if path.is_file() and not path.is_symlink():
                os.utime(path, (1, 1))
    TraceStorage(place.traces, catalogue=":memory:").create_trace({}, {})
    return os.listdir(place.traces)


def deletes(options: argparse.Namespace) -> Report:
    """Some minutes of it."""
    if options.editors and (missing := missing_tools()):
        return Report({}, [missing])
    with ground() as here:
        place = _prepare(here, options)
        mine = everything_in([place.traces]) | everything_in(place.others)
        del mine[place.traces]  # in which traces come and go
        for folder in place.others:
            leave_over(folder, LEFT_OVER, place.chance)
        untouched = everything_in(place.others)
        mine |= untouched
        leave_over(place.traces, LEFT_OVER, place.chance)
        targets = [_look_on] * LOOKERS + [_kill_writers, _capture_and_kill]
        if options.editors:
            with here.client() as client:
                capture(client, "json", SHOWN_SEED)
            targets.append(_by_vscode)
        threads = [
            threading.Thread(target=target, args=(place, options.seed + number), daemon=True)
            for number, target in enumerate(targets)
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 60 * options.minutes
        while time.monotonic() < end and not place.report.failures:
            place.stop.wait(min(1.0, max(0.0, end - time.monotonic())))
        place.stop.set()
        for thread in threads:
            thread.join()
        here.stop()
        for editor in ("VS Code", *EDITORS) if options.editors else ():
            place.report.expect(place.counts[editor], f"{editor} did not look")
        place.report.failures.extend(harm(mine))
        added = everything_in(place.others).keys() - untouched.keys()
        place.report.failures.extend(f"{path} was put where no trace is" for path in sorted(added))
        _look_at_leftovers(place, {path.name for path in mine if path.parent == place.traces})
        place.report.failures.extend(harm({path: state for path, state in mine.items() if path.parent != place.traces}))
    place.report.figures = {"minutes": options.minutes, "of_others": len(mine)} | dict(sorted(place.counts.items()))
    return place.report


def _look_at_leftovers(place: _Place, mine: set[str]) -> None:
    before = {name for name in os.listdir(place.traces) if name.startswith(".")} - mine
    left = {name for name in _clear_up(place) if name.startswith(".")} - mine
    place.report.failures.extend(f"{name} of ours is left over" for name in sorted(left))
    gone = mine - set(os.listdir(place.traces))
    place.report.failures.extend(f"{name} has gone with the last save" for name in sorted(gone))
    place.counts["own leftovers"] = len(before)
