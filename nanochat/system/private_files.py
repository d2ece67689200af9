"""Files and folders for their owner's eyes alone: they hold what people asked, and what was answered."""

import contextlib
import os
import stat
from pathlib import Path

import platformdirs


def make_folder(path: Path) -> None:
    """Make a folder and those above it that are missing, all closed to others.

    One that is there already stays as it is, except below the folders that the platform has for this program.
    """
    if not path.parent.is_dir():
        make_folder(path.parent)
    try:
        path.mkdir(mode=0o700)
    except OSError:
        if not path.is_dir():
            raise
    for own in _own_folders():
        if own == path or own in path.parents:
            close_to_others(own)


def close_to_others(path: Path) -> None:
    """Take others' rights to a file or folder, if it is this user's; what cannot be changed stays."""
    if not hasattr(os, "geteuid"):  # Windows: what is in a user's own folders is closed to others by them
        return
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
        if plain and status.st_uid == os.geteuid() and status.st_mode & 0o077:
            os.chmod(path, stat.S_IMODE(status.st_mode) & 0o700)


def _own_folders() -> set[Path]:
    places = (platformdirs.user_cache_path, platformdirs.user_data_path, platformdirs.user_state_path)
    return {place("nanoscope", appauthor=False) for place in places}
