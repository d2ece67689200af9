"""`nanoscope doctor`: every check in turn, each with what was found and what to do about it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from daemon.cli.output import output, say
from daemon.settings import Settings, default_config_file, load_settings
from protocol.errors import RpcError

State = Literal["ok", "warning", "fault"]
UNKNOWN = "Look at the file or folder that is named there."
MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✗", "bold red")}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at: how it stands, what was found, and what to do where that is not well."""

    check: str
    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Ground:
    """What the checks look at.

    Args:
        free_bytes: room on the file system of a path.
        deep: load the checkpoint as well.
    """

    settings: Settings
    origins: Mapping[str, str]
    free_bytes: Callable[[Path], int]
    deep: bool = False


Check = Callable[[Ground], Iterable[Finding]]


def free_bytes(path: Path) -> int:
    """What a user may still write on the file system of a path."""
    return shutil.disk_usage(path).free


def examine(
    flags: Mapping[str, str | None] | None = None,
    *,
    deep: bool = False,
    free_bytes: Callable[[Path], int] = free_bytes,
) -> list[Finding]:
    """All findings, in the order in which things build on each other; nothing is changed or started."""
    from daemon.doctor.installation import CHECKS
    from daemon.doctor.storage import CHECKS as STORAGE_CHECKS

    findings, (settings, origins) = _settings(flags or {})
    ground = Ground(settings, origins, free_bytes, deep)
    for name, check in (CHECKS | STORAGE_CHECKS).items():
        findings += _looked(name, check, ground)
    return findings


def _looked(name: str, check: Check, ground: Ground) -> Iterator[Finding]:
    """A check's findings; one that fails itself is a fault, and the others are still made."""
    try:
        yield from check(ground)
    except Exception as error:  # noqa: BLE001 - on a broken set-up anything may be raised, and is a finding
        yield Finding(name, "fault", f"This could not be looked at ({type(error).__name__}: {error}).", UNKNOWN)


def _settings(flags: Mapping[str, str | None]) -> tuple[list[Finding], tuple[Settings, dict[str, str]]]:
    """The settings; where they are wrong, as far as they can be had without what is wrong."""
    path = default_config_file()
    attempts = ((os.environ, path), (os.environ, Path(os.devnull)), ({}, Path(os.devnull)))
    findings: list[Finding] = []
    for environment, config_file in attempts:
        try:
            loaded = load_settings(flags, environment, config_file)
        except RpcError as error:
            findings = findings or [Finding("settings", "fault", str(error), _settings_remedy(str(error), path))]
            continue
        given = [f"{name} ({origin})" for name, origin in loaded[1].items() if origin != "default"]
        found = f"{', '.join(given)}." if given else f"All are defaults; {path} may set them."
        return findings or [Finding("settings", "ok", found)], loaded
    return findings, load_settings({}, {}, Path(os.devnull))


def _settings_remedy(message: str, path: Path) -> str:
    if str(path) in message:
        return f"Correct {path}, or move it away; `nanoscope status --settings` then shows what is in force."
    return "Correct the option, or the environment variable, that is named there."


def print_findings(findings: list[Finding]) -> None:
    """A line for each, remedies below; in a pipe state, check, finding and remedy parted by tabs."""
    if not sys.stdout.isatty():
        for finding in findings:
            say("\t".join((finding.state, finding.check, finding.found, finding.remedy)))
        return
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1, 0, 0))
    for finding in findings:
        mark, style = MARKS[finding.state]
        text = Text(finding.found)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", "bold")
        table.add_row(Text(mark, style), Text(finding.check, style if finding.state != "ok" else ""), text)
    output().print(Padding(table, 0))
    faults = sum(finding.state == "fault" for finding in findings)
    warnings = sum(finding.state == "warning" for finding in findings)
    output().print()
    output().print(_verdict(faults, warnings), style="bold")


def _verdict(faults: int, warnings: int) -> str:
    counts = [
        f"{count} {name}{'s' * (count != 1)}" for count, name in ((faults, "fault"), (warnings, "warning")) if count
    ]
    return " and ".join(counts) + "." if counts else "All is well."
