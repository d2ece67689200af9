"""A well-behaved client, as a process of its own: it asks how the daemon is, and says how long that took.

It asks until its input ends. Each line that it prints is the time of a question, the seconds until its answer and the
length of that. (Within the process that makes the hostile values, it would wait for those.)
"""

from __future__ import annotations

import bisect
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.stress.ground import ROOT, Ground, percentile

LOOK_SECONDS = 0.005  # between two questions
IDLE_LOOKS = 300  # questions while nobody sends anything, before and after: what the machine itself takes
END_SECONDS = 120.0


@dataclass
class Look:
    """One question: when it was asked, the seconds until its answer, the characters of that."""

    begun: float
    wait: float
    size: int


@dataclass
class Looker:
    """The process, and what it has said; `cases` are the times at which something hostile began, with its name."""

    process: subprocess.Popen[str]
    looks: list[Look] = field(default_factory=list)
    cases: list[tuple[float, str]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    reader: threading.Thread = field(default_factory=threading.Thread)

    @classmethod
    def start(cls, here: Ground) -> Looker:
        """Begin to look."""
        words = [sys.executable, "-m", "tests.stress.hostile_looker"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        looker = cls(subprocess.Popen(words, env=here.environment, cwd=ROOT, text=True, **pipes))  # type: ignore[call-overload]
        looker.reader = threading.Thread(target=looker._read, daemon=True)
        looker.reader.start()
        return looker

    def _read(self) -> None:
        for line in self.process.stdout or ():
            begun, wait, size = line.split()
            with self.news:
                self.looks.append(Look(float(begun), float(wait), int(size)))
                self.news.notify()

    def begin(self, case: str) -> None:
        """Something hostile begins; "": nobody sends anything."""
        self.cases.append((time.monotonic(), case))

    def idle(self) -> None:
        """Wait for a number of questions while nobody sends anything."""
        self.begin("")
        with self.news:
            wanted = len(self.looks) + IDLE_LOOKS
            self.news.wait_for(lambda: len(self.looks) >= wanted or self.process.poll() is not None, END_SECONDS)

    def end(self) -> bool:
        """Stop it; whether it was served to the end."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        ended = self.process.wait(END_SECONDS) == 0
        self.reader.join(END_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return ended

    def figures(self) -> dict[str, Any]:
        """How long it waited, in milliseconds."""
        starts = [begun for begun, _ in self.cases]
        named = [(look.wait, self.cases[self._at(starts, look)][1]) for look in self.looks]
        busy, idle = [wait for wait, case in named if case], [wait for wait, case in named if not case]
        slowest = sorted(named, reverse=True)[:5]
        return {
            "asked": len(busy),
            "p50_ms": percentile(busy, 50),
            "p99_ms": percentile(busy, 99),
            "longest": [(round(1000 * wait), case) for wait, case in slowest],
            "idle_p50_ms": percentile(idle, 50),
            "idle_p99_ms": percentile(idle, 99),
        }

    @staticmethod
    def _at(starts: list[float], look: Look) -> int:
        return max(0, bisect.bisect_right(starts, look.begun + look.wait) - 1)


def main() -> int:
    """Ask until there is no more input."""
    from daemon.launch.connect import connect_or_start
    from daemon.settings import load_settings
    from tests.stress.wire_client import WireClient

    settings, _ = load_settings()
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with WireClient(connect_or_start(settings, "well behaved")) as client:
        client.introduce("well behaved")
        while not ended.wait(LOOK_SECONDS):
            begun = time.monotonic()
            status = client.call("get_status")
            print(begun, time.monotonic() - begun, len(str(status)), flush=True)
            client.notifications.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
