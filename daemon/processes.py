"""The two processes that `nanoscope` may become before anything slow is imported: an editor's pump, and the daemon."""

from __future__ import annotations

import os
import sys

STDOUT, STDERR = 1, 2
PRIVATE = "--private"


def pump(words: list[str], *, answers: bool = True) -> int:
    """`nanoscope stdio`: one client on stdin and stdout, served by the daemon or, with --private, by this process.

    Args:
        words: settings as flags, and --private.
        answers: False where stdout was closed, so that nothing can be answered.

    Returns:
        The exit status, as `daemon.launch.stdio.main` has it.
    """
    output = take_stdout()  # before any import that might print
    from daemon.launch import stdio

    if not answers:
        return stdio.fail("stdout is closed, so that nothing can be answered: open it.", 1)
    if PRIVATE not in words:
        return stdio.main(words, output)
    from daemon import handlers
    from daemon.server import private

    handlers.check()
    return private.main([word for word in words if word != PRIVATE], output)


def serve(words: list[str]) -> int:
    """`nanoscope serve`: the daemon; the exit status."""
    from daemon import handlers
    from daemon.server import serving

    handlers.check()
    sys.stdout = sys.stderr  # a daemon has no output of its own
    return serving.main(words)


def take_stdout() -> int:
    """Move the protocol's output out of everybody's reach: what is printed from now on goes to stderr."""
    output = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)
    sys.stdout = sys.stderr
    return output
