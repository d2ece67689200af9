"""The table of trace formats: a new one is a file with its row, and an entry here."""

from pathlib import Path

from nanochat.traces.format import Format
from nanochat.traces.json_format import JSON
from nanochat.traces.safetensors import SAFETENSORS

FORMATS: dict[str, Format] = {row.name: row for row in (JSON, SAFETENSORS)}
ENDINGS = tuple(f".{name}" for name in FORMATS)
READING_ORDER = sorted(FORMATS, key=lambda name: not FORMATS[name].compact)  # of several files of one trace


def format_of(path: Path) -> Format:
    """The format that a file's ending names; JSON, which anybody writes, for any other ending."""
    return FORMATS.get(path.suffix.removeprefix("."), JSON)
