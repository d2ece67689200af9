"""Every check of the doctor's in turn; nothing is changed or started."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from daemon.doctor import installation, storage
from daemon.doctor.finding import Check, DoctorContext, Finding, free_bytes
from daemon.settings import Settings, default_config_file, load_settings
from protocol.errors import RpcError

CHECKS = installation.CHECKS | storage.CHECKS
UNKNOWN = "Look at the file or folder that is named there."


def examine(
    flags: Mapping[str, str | None] | None = None,
    *,
    deep: bool = False,
    free_bytes: Callable[[Path], int] = free_bytes,
) -> list[Finding]:
    """All findings, in the order in which things build on each other; nothing is changed or started."""
    findings, (settings, origins) = _settings(flags or {})
    context = DoctorContext(settings, origins, free_bytes, deep)
    for name, check in CHECKS.items():
        findings += _looked(name, check, context)
    return findings


def _looked(name: str, check: Check, context: DoctorContext) -> Iterator[Finding]:
    """A check's findings; one that fails itself is a fault, and the others are still made."""
    try:
        yield from check(context)
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
