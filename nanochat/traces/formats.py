"""The table of trace formats: a new one is a file with its row, and an entry here."""

from pathlib import Path

from nanochat.errors import SettingInvalidError
from nanochat.traces.format import Format
from nanochat.traces.json.format import JSON
from nanochat.traces.safetensors import SAFETENSORS

FORMATS: dict[str, Format] = {row.name: row for row in (JSON, SAFETENSORS)}


def format_named(name: str) -> Format:
    """The row of a format. Raises SettingInvalidError for a name that none has."""
    if name not in FORMATS:
        raise SettingInvalidError(f"There is no trace format {name!r}; use one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def endings() -> tuple[str, ...]:
    """What the names of trace files end with."""
    return tuple(f".{name}" for name in FORMATS)


def reading_order() -> list[str]:
    """Which of several files of one trace is read first."""
    return sorted(FORMATS, key=lambda name: not FORMATS[name].compact)


def format_of(path: Path) -> Format:
    """The format that a file's ending names; JSON, which anybody writes, for any other ending."""
    return FORMATS.get(path.suffix.removeprefix("."), JSON)
