"""What the doctor finds: how one thing stands, and what to do about it."""

from __future__ import annotations

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
