"""A console's recorded output as an SVG that stands alone: no fonts from other machines."""

from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from nanochat.traces.atomic_file import write_file

MARKED_BYTES = 1024  # at its beginning, in which a picture of ours names its parts
SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: "Fira Code", "DejaVu Sans Mono", Menlo, Consolas, monospace; \
font-size: {char_height}px; line-height: {line_height}px; white-space: pre; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def save_picture(console: Console, path: Path) -> None:
    """Write what a recording console printed, for its owner's eyes alone.

    Raises:
        StorageError: the file cannot be written, or something other than a picture of ours is there.
    """
    picture = console.export_svg(title="nanoscope", theme=DIMMED_MONOKAI, code_format=SVG, unique_id="nanoscope")
    write_file(path, picture.encode(), replacing=_is_ours(path))


def _is_ours(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            head = file.read(MARKED_BYTES)
    except OSError:
        return False
    return head.startswith(b'<svg class="rich-terminal"') and b".nanoscope-matrix" in head
