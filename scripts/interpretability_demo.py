"""`python -m scripts.interpretability_demo`: the demo, from a clone; `nanoscope demo` is the same from anywhere."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

COMMAND = "python -m scripts.interpretability_demo"
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo with the words of the command line; its exit status."""
    if sys.path[:1] != [ROOT]:
        sys.path.insert(0, ROOT)  # where it was started a clone of nanochat may come first
    try:
        from nanochat.demo import command as demo_command
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "nanochat":
            raise
        print(f"error: {_foreign(error)}", file=sys.stderr)
        return 1
    return demo_command.main(argv, COMMAND)


def _foreign(error: ImportError) -> str:
    place = os.path.dirname(error.path) if error.path else ROOT
    return f"`nanochat` is {place} here, which is not nanoscope's: run `nanoscope demo`, which works anywhere."


if __name__ == "__main__":
    sys.exit(main())
