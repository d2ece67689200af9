"""The folder that a program runs in, which somebody may have deleted."""

from __future__ import annotations

import os

DELETED = "The current folder has been deleted: change to another one, or give whole paths."


def is_deleted() -> bool:
    """Whether relative paths lead nowhere."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def explained(error: BaseException) -> str | None:
    """What to say where an error may be due to it: at a relative path, or at none."""
    path = getattr(error, "filename", None)
    relative = not isinstance(path, str | bytes) or not os.path.isabs(path)
    return DELETED if isinstance(error, FileNotFoundError) and relative and is_deleted() else None
