"""`nanoscope` and `python -m daemon`: the first word decides, before anything slow is imported."""

from __future__ import annotations

import os
import sys

from nanochat import standard_streams
from nanochat.standard_streams import STDERR, STDOUT

HELP = ("--help", "-h")


def main() -> int:
    """Run the command line in `sys.argv`; the exit status."""
    closed = standard_streams.prepare()
    words = sys.argv[1:]
    if any(word in HELP for word in words):
        words = []
    if words[:1] == ["stdio"]:
        output = take_stdout()  # before any import that might print
        from daemon import stdio

        if STDOUT in closed:
            return stdio.fail("stdout is closed, so that nothing can be answered: open it.", 1)

        return stdio.main(words[1:], output)
    if words[:1] == ["serve"]:
        from daemon import serving

        sys.stdout = sys.stderr  # a daemon has no output of its own
        return serving.main(words[1:])
    from daemon import command_line

    return command_line.main() or 0


def take_stdout() -> int:
    """Move the protocol's output out of everybody's reach: what is printed from now on goes to stderr."""
    output = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    sys.stdout = sys.stderr
    return output


if __name__ == "__main__":
    sys.exit(main())
