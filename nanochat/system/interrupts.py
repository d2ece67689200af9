"""Ctrl-C, once it has been answered."""


def forget_interrupt() -> None:
    """Let a program end with its own status after an interrupt that it caught.

    Python remembers one that came through text given to `exec`, as dataclasses do while they are imported, and a
    program run by `python -m` would end by SIGINT for it, whatever status it gives.
    """
    exec("")
