"""What the doctor finds: how one thing stands, and what to do about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from daemon.settings import Settings

State = Literal["ok", "warning", "fault"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: how it stands, what was found, and what to do where that is not well."""

    check: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class DoctorContext:
    """What the checks look at.

    Args:
        free_bytes: room on the file system of a path.
        deep: load the checkpoint as well.
    """

    settings: Settings
    origins: Mapping[str, str]
    free_bytes: Callable[[Path], int]
    deep: bool = False


Check = Callable[[DoctorContext], Iterable[Finding]]


def free_bytes(path: Path) -> int:
    """What a user may still write on the file system of a path."""
    return shutil.disk_usage(path).free


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def why_not_made(path: Path) -> str:
    """Why a file or folder that is not there cannot be made by this user; "" where it can."""
    folder = nearest_folder(path.parent)
    following = folder / path.relative_to(folder).parts[0]
    if os.path.lexists(following):
        return f"{path} cannot be made: {following} is not a folder."
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{path} cannot be made: {folder} may not be written to."
    return ""
