"""`nanoscope` and `python -m daemon`: the first word decides, before anything slow is imported."""

from __future__ import annotations

import os
import sys

HELP = ("--help", "-h")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STDOUT, STDERR = 1, 2
MISUSED = 2


def main() -> int:
    """Run the command line in `sys.argv`; the exit status."""
    if sys.path[:1] != [ROOT]:
        sys.path.insert(0, ROOT)  # `python -m` puts the current folder first: a clone of nanochat, for one
    from daemon import processes
    from nanochat.system import standard_streams

    closed = standard_streams.prepare()
    try:
        sys.argv[1:] = words = _words_as_text(sys.argv[1:])
    except ValueError as error:
        os.write(STDERR, f"error: {error}\n".encode())
        return MISUSED
    if any(word in HELP for word in words):
        words = []
    if words[:1] == ["stdio"]:
        return processes.pump(words[1:], answers=STDOUT not in closed)
    if words[:1] == ["serve"]:
        return processes.serve(words[1:])
    from daemon.cli import main as command_line

    return command_line.main() or 0


def _words_as_text(words: list[str]) -> list[str]:
    """The words, looked at closely only where some are no text: the pump imports next to nothing."""
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        from nanochat.system.from_outside import words_as_text

        return words_as_text(words)
    return words


if __name__ == "__main__":
    sys.exit(main())
