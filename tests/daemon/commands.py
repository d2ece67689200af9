"""Running commands: in this process, as a process of its own, or in a terminal of a known size."""

import contextlib
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from typing import IO

from daemon.cli import output as terminal_output
from daemon.cli.main import app

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "daemon"]
SECONDS = 30.0
NOT_PASSED_ON = ("COLUMNS", "LINES", "NO_COLOR")  # to a command in a terminal
FRAME = str.maketrans(dict.fromkeys("╭─╮│╰╯", " "))
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    status: int
    out: str
    err: str = ""

    @property
    def rows(self) -> list[list[str]]:
        """Its lines, cut at tabs."""
        return [line.split("\t") for line in self.out.splitlines()]

    @property
    def misuse(self) -> str:
        """What stderr says of a misuse, on one line and without its frame."""
        return " ".join(self.err.translate(FRAME).split())


def run(*words: str) -> Outcome:
    """A command in this process, its outputs no terminals."""
    out, err = io.StringIO(), io.StringIO()
    for cached in (terminal_output.output, terminal_output.notices):
        cached.cache_clear()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app(list(words), prog_name="nanoscope")
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 0
    return Outcome(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def started(*words: str, stdin: int | IO[str] = subprocess.DEVNULL) -> Iterator[subprocess.Popen[str]]:
    """A command as a process, its outputs pipes; ended at the end."""
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=ROOT, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


class Terminal:
    """A command in a terminal of its own; what it shows is read as it comes."""

    def __init__(self, *words: str, columns: int = 80, lines: int = 30, variables: dict[str, str] | None = None):
        self.descriptor, program_side = pty.openpty()
        ioctl(program_side, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=ROOT,
            env=environment | {"TERM": "xterm-256color", "PYTHONUTF8": "1"} | (variables or {}),
            stdin=program_side,
            stdout=program_side,
            stderr=program_side,
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0) and None,
        )
        os.close(program_side)
        self.shown = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.descriptor)

    @property
    def plain(self) -> str:
        """What was shown, without colours and movements."""
        return ESCAPES.sub("", self.shown).replace("\r\n", "\n")

    def type(self, keys: str) -> None:
        """Press keys; "\x03" is Ctrl-C."""
        os.write(self.descriptor, keys.encode())

    def until(self, expected: Callable[[str], bool]) -> str:
        """Read until what was shown is as expected."""
        while not expected(self.plain):
            assert self._read(), self.plain
        return self.plain

    def interrupt(self) -> None:
        """Press Ctrl-C, again if nothing happens: between asking and reading Python loses one."""
        self.type("\x03")
        while True:
            ready, _, _ = select.select([self.descriptor], [], [], 1.0)
            if not ready:
                self.type("\x03")
            elif not self._read():
                return

    def end(self) -> int:
        """Read to the end; the exit status."""
        while self._read():
            pass
        return self.process.wait(SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], SECONDS)
        assert ready, f"nothing more came after {self.plain!r}"
        try:
            chunk = os.read(self.descriptor, 1 << 16)
        except OSError:  # Linux says EIO when the program is gone
            return False
        self.shown += chunk.decode(errors="replace")
        return bool(chunk)


def in_terminal(*words: str, columns: int = 80, **variables: str) -> Outcome:
    """A command's whole course in a terminal."""
    with Terminal(*words, columns=columns, variables=variables) as terminal:
        status = terminal.end()
        return Outcome(status, terminal.plain, terminal.shown)
