"""A console's recorded output as an SVG that stands alone: no fonts from other machines."""

from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from nanochat.errors import StorageError

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
    """Write what a recording console printed.

    Raises:
        StorageError: the file cannot be written.
    """
    picture = console.export_svg(title="nanoscope", theme=DIMMED_MONOKAI, code_format=SVG, unique_id="nanoscope")
    try:
        path.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise StorageError(
            f"Cannot write the picture {path}: {error.strerror}. Name a file in a folder that exists."
        ) from error
