"""`python -m scripts.tables`: writes what nanochat's tables say elsewhere; `--check` looks at it alone."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from nanochat.traces.formats import FORMATS
from scripts import metrics_page

ROOT = Path(__file__).resolve().parents[1]
FORMAT_NAMES = '''"""The names of the trace formats, for those who start too fast to load every type."""

# Generated from nanochat/traces/formats.py by `make protocol`: change it there, not here.

from typing import Literal, get_args

Format = Literal[{names}]
FORMATS: tuple[str, ...] = get_args(Format)
'''


def format_names() -> str:
    """The text of protocol/trace_formats.py."""
    return FORMAT_NAMES.format(names=", ".join(f'"{name}"' for name in FORMATS))


WRITTEN: dict[str, Callable[[], str]] = {
    "docs/metrics.md": metrics_page.page,
    "protocol/trace_formats.py": format_names,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Write the files, or check them; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.tables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is stale")
    check, stale = parser.parse_args(argv).check, False
    for name, text in WRITTEN.items():
        path = ROOT / name
        if path.exists() and path.read_text(encoding="utf-8") == text():
            continue
        stale = True
        if check:
            print(f"{name} is stale: run `make protocol`.", file=sys.stderr)
        else:
            path.write_text(text(), encoding="utf-8")
            print(f"wrote {name}")
    return int(check and stale)


if __name__ == "__main__":
    sys.exit(main())
