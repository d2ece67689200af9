"""The benchmark's command line: measures a suite's rows and prints them as a table with their targets."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nanochat.errors import NanoscopeError
from nanochat.system.text import short_number
from scripts.benchmarks.measuring import Row

BUSY_LOAD = 0.5  # waiting tasks a core: more, and the machine has other work


@dataclass(frozen=True)
class Suite:
    """One set of rows: what it is about, its own flags, and how to measure what they ask for."""

    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    measure: Callable[[argparse.Namespace, Path, Callable[[str], Any]], list[Row]]


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The model suite's flags."""
    add = parser.add_argument
    add(
        "--only",
        metavar="ROWS",
        type=lambda text: text.split(","),
        help="measure these rows only, such as capture,demo",
    )
    add(
        "--repeats",
        type=int,
        default=7,
        metavar="N",
        help="pairs to measure, after one to warm up (default: %(default)s)",
    )
    add("--device", choices=("cpu", "cuda"), default="cpu", help="cuda has rows of its own (default: %(default)s)")
    add("--upstream", type=Path, metavar="FOLDER", help="a copy of the original nanochat's repository, to compare with")


def measure_model(args: argparse.Namespace, work: Path, doing: Callable[[str], Any]) -> list[Row]:
    """The model suite's rows."""
    from scripts.benchmarks.model import measure  # torch takes a second to import: not for --help
    from scripts.benchmarks.workbench import Settings

    return measure(Settings(work, args.device, args.upstream, rounds=args.repeats), args.only, doing)


def add_daemon_arguments(parser: argparse.ArgumentParser) -> None:
    """The daemon suite's flags."""
    add = parser.add_argument
    add("--only", metavar="ROWS", type=lambda text: text.split(","), help="measure these rows only, such as start,list")
    add("--repeats", type=int, default=5, metavar="N", help="more of them measure longer (default: %(default)s)")


def measure_daemon(args: argparse.Namespace, work: Path, doing: Callable[[str], Any]) -> list[Row]:
    """The daemon suite's rows."""
    from scripts.benchmarks.daemon import measure

    return measure(work, args.only, args.repeats, doing)


SUITES = {
    "model": Suite("what capture, traces on disk and listings cost", add_model_arguments, measure_model),
    "daemon": Suite("how quickly the daemon starts, answers, lists and cancels", add_daemon_arguments, measure_daemon),
}
DEFAULT_SUITE = "model"


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command's flags; the first word may name a suite."""
    name, words = (argv[0], argv[1:]) if argv and argv[0] in SUITES else (DEFAULT_SUITE, argv)
    suites = "; ".join(f"{each}: {suite.about}" for each, suite in SUITES.items())
    parser = argparse.ArgumentParser(
        prog="python -m scripts.benchmark",
        usage="%(prog)s [SUITE] [flags]",
        description=f"Measure {SUITES[name].about}, as medians with their spread beside the targets.",
        epilog=f"Suites: {suites}. Without a name: {DEFAULT_SUITE}.",
    )
    SUITES[name].add_arguments(parser)
    add = parser.add_argument
    add("--work", type=Path, metavar="FOLDER", help="leave what is written here (default: a folder that is removed)")
    add("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    add("--check", action="store_true", help="exit status 1 if a target is missed")
    args = parser.parse_args(words, argparse.Namespace(suite=name))
    if getattr(args, "repeats", 1) < 1:
        parser.error("--repeats must be 1 or more")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0, 1 for an error or a missed target with --check, 2 for misuse."""
    args = parse_arguments(sys.argv[1:] if argv is None else argv)
    out, notices = Console(highlight=False), Console(stderr=True, highlight=False)
    try:
        with work_folder(args.work) as work:
            machine = machine_state()
            with notices.status("starting") as status:
                rows = SUITES[args.suite].measure(args, work, lambda name: status.update(f"measuring {name}"))
    except NanoscopeError as error:
        notices.print(f"error: {error}", markup=False)
        return 1
    out.print(table(rows))
    out.print(in_words(machine), soft_wrap=True)
    if args.json:
        figures = {"suite": args.suite, "machine": machine, "rows": [row.as_json() for row in rows]}
        args.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(args.check and any(row.met is False for row in rows))


@contextmanager
def work_folder(named: Path | None) -> Iterator[Path]:
    """The folder that was named, which stays, or a new one that is removed."""
    if named is None:
        with tempfile.TemporaryDirectory(prefix="nanoscope-benchmark-") as folder:
            yield Path(folder)
    else:
        named.mkdir(parents=True, exist_ok=True)
        yield named


def machine_state() -> dict[str, Any]:
    """Where the figures come from, and how busy it was before."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "load": load,
    }


def in_words(machine: dict[str, Any]) -> str:
    """The line below the table."""
    load, cores = machine["load"], machine["cores"] or 1
    words = [f"Python {machine['python']}, torch {machine['torch']}, {machine['threads']} threads on {cores} cores"]
    words += [machine["gpu"]] if machine["gpu"] else []
    if load is not None:
        busy = " (busy with other work: the figures are noisy)" if load > BUSY_LOAD * cores else ""
        words.append(f"load {load:.1f} before{busy}")
    return ", ".join(words) + "."


def table(rows: Sequence[Row]) -> Table:
    """Rows with median, spread, target and a mark."""
    shown = Table("row", "what", box=None, pad_edge=False)
    for heading in ("median", "min … max", "target"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("")
    shown.add_column("note")
    previous = ""
    for row in rows:
        figure = f"{exact(row.median)} {row.unit}" if row.median is not None else "–"
        spread = f"{exact(min(row.values))} … {exact(max(row.values))}" if len(row.values) > 1 else ""
        target = "" if row.limit is None else f"≤ {row.limit:g}"
        mark = {True: "[green]✓[/]", False: "[red]✗[/]", None: ""}[row.met]
        shown.add_row(
            row.name if row.name != previous else "",
            row.what,
            figure,
            spread,
            target,
            mark,
            escape(row.problem or row.note),
        )
        previous = row.name
    return shown


def exact(value: float | None) -> str:
    """Ratios to a thousandth, larger numbers shorter."""
    return f"{value:.3f}" if value is not None and abs(value) < 10 else short_number(value)


if __name__ == "__main__":
    sys.exit(main())
