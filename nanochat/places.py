"""Places as they are named on a command line: where files may be written, looked at before the work, and traces."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from nanochat.errors import StorageError

TRACE_ENDINGS = (".json", ".safetensors")


def own_path(text: str) -> Path:
    """A path as it was typed; ~ is the home folder, which shells leave alone in --out=~/x."""
    return Path(os.path.expanduser(text))


def trace_path(name: str) -> Path | None:
    """The path that a trace's name is; None: it is none, since ids have no folders and no endings."""
    return own_path(name) if os.sep in name or name.endswith(TRACE_ENDINGS) else None


def ids_meant(ids: Iterable[str], name: str) -> list[str]:
    """The trace that is called so; else those whose ids begin so, with or without `trace_`, or have it in them."""
    found = [trace_id for trace_id in ids if name in trace_id]
    if name in found:
        return [name]
    return [trace_id for trace_id in found if trace_id.startswith((name, f"trace_{name}"))] or found


def check_place(path: Path) -> None:
    """Raise StorageError where no file can be written."""
    folder = path.parent
    if path.is_dir():
        raise StorageError(f"{path} is a folder: name a file in it.")
    if not os.path.lexists(folder):
        raise StorageError(f"There is no folder {folder}: make it, or name another place.")
    if not folder.is_dir():
        raise StorageError(f"{folder} is no folder: name another place.")
    if not os.path.exists(path) and not os.access(folder, os.W_OK | os.X_OK):
        raise StorageError(f"Nothing can be written in {folder}: change its rights, or name another place.")


def wrong_ending(path: Path, ending: str, content: str) -> str:
    """What is wrong with a file's name whose ending says something else than what will be in it; "" if nothing is.

    Args:
        ending: such as ".npy"; a name without any will do, and so will a pipe's.
        content: what will be in the file, as its format is called.
    """
    if path.suffix.lower() in ("", ending) or is_no_file(path):
        return ""
    return f"{path} will hold {content}: name it {path.with_suffix(ending).name}."


def is_no_file(path: Path) -> bool:
    """Whether something is there already that is no file, such as a pipe or /dev/stdout."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        return False
