"""JSON for people: what fits stays on one line, the rest is spread."""

from __future__ import annotations

import json
import textwrap
from typing import Any

WIDTH = 110
STEP = "  "


def readable(value: Any, indent: str = "") -> str:
    """JSON text without a newline at its end.

    Args:
        value: what JSON can hold.
        indent: in front of every line but the first.
    """
    flat = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or len(indent) + len(flat) <= WIDTH:
        return flat
    deeper = indent + STEP
    opening, closing = flat[0], flat[-1]
    if isinstance(value, dict):
        items = [f"{json.dumps(key, ensure_ascii=False)}: {readable(item, deeper)}" for key, item in value.items()]
    elif all(isinstance(item, int | float) for item in value):
        items = [f"\n{deeper}".join(textwrap.wrap(flat[1:-1], WIDTH - len(deeper)))]
    else:
        items = [readable(item, deeper) for item in value]
    return f"{opening}\n{deeper}" + f",\n{deeper}".join(items) + f"\n{indent}{closing}"
