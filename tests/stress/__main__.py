"""Puts the daemon under stress, and says what it measured; fails where the daemon did.

python -m tests.stress                          everything, in full
python -m tests.stress kills --kills 20 --seed 3
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

from tests.stress.chaos import chaos
from tests.stress.deletes import deletes
from tests.stress.frames import frames
from tests.stress.ground import Report
from tests.stress.hostile import hostile
from tests.stress.kills import kills
from tests.stress.life import clients, starts
from tests.stress.volume import files, memory, scan

TESTS: dict[str, Callable[[argparse.Namespace], Report]] = {
    "starts": starts,
    "clients": clients,
    "kills": kills,
    "chaos": chaos,
    "deletes": deletes,
    "frames": frames,
    "hostile": hostile,
    "memory": memory,
    "files": files,
    "scan": scan,
}
FLAGS: tuple[tuple[str, float, str], ...] = (
    ("starts", 30, "cold starts at once"),
    ("rounds", 5, "how often all start anew"),
    ("clients", 100, "clients at once"),
    ("turns", 3, "captures of each client"),
    ("kills", 200, "kills of the daemon"),
    ("minutes", 10.0, "how long the chaos lasts, and the looking at others' files"),
    ("owned", 10_000, "files of others that are looked at"),
    ("editors", 1, "whether a real VS Code and Neovim look at them too; 0: they do not"),
    ("frames", 1_000_000, "malformed messages"),
    ("share", 1, "one hostile value of so many"),
    ("served", 100.0, "milliseconds of get_status meanwhile, 99th percentile"),
    ("captures", 2_000, "captures whose memory is watched"),
    ("warm", 100, "captures before them"),
    ("growth", 2.0, "percent that the memory may grow by"),
    ("files", 40_000, "files dropped at once"),
    ("traces", 10_000, "one-megabyte traces to scan"),
    ("seed", 0, "of every random choice"),
)


def main() -> int:
    """Run the tests named, or all; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(TESTS))
    for name, default, meaning in FLAGS:
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{meaning} ({default})")
    options = parser.parse_args()
    if unknown := set(options.names) - TESTS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(TESTS)}")
    failed = False
    for name in options.names or TESTS:
        begun = time.monotonic()
        report = TESTS[name](options)
        outcome = f"FAILED: {'; '.join(report.failures[:10])}" if report.failures else "ok"
        print(f"{name} {json.dumps(report.figures)} {time.monotonic() - begun:.1f} s {outcome}", flush=True)
        failed |= bool(report.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
