"""The recorded examples of methods and notifications, which the documents and the tests read, and no daemon."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from protocol.methods import Method, Notification

FOLDER = Path(__file__).parent.parent / "examples"


class ExampleMissing(Exception):
    """A method or a notification has no recorded example; the message says what to run."""


def examples_of(row: Method | Notification) -> list[dict[str, Any]]:
    """Exchanges, each {note, params, result} or {note, params, error}; of a notification each {note, params}.

    Raises:
        ExampleMissing: there are none.
    """
    path = FOLDER / f"{row.name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ExampleMissing(f"{path} is missing: run `python -m scripts.record_examples`.") from None
