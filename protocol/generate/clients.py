"""daemon/client/calls.py: the Python clients' typed calls, one a method."""

from __future__ import annotations

from typing import Any

from protocol.methods import METHODS, Method

CALLS = "daemon/client/calls.py"
LINE = 120
TEXT = '''\
"""The Python clients' calls, one a method. Generated from protocol/ by `make protocol`: change it there, not here."""

from __future__ import annotations

{typing}from daemon.client.typed import async_call, call
from protocol import types
from protocol.methods import METHODS


class Calls:
    """Of Client."""

{calls}

class AsyncCalls:
    """Of AsyncClient."""

{async_calls}'''


def client_calls() -> str:
    """The text of calls.py. Methods that write take listeners too, which no type can add: they are not in it."""
    rows = [row for row in METHODS.values() if not row.by_connection and not row.writes]
    calls, async_calls = ("".join(_line(function, row) for row in rows) for function in ("call", "async_call"))
    typing = "from typing import Any\n\n" if "Any" in calls else ""
    return TEXT.format(typing=typing, calls=calls, async_calls=async_calls)


def _line(function: str, row: Method) -> str:
    name = row.name.removeprefix("rpc.")
    arguments = f'METHODS["{row.name}"], types.{row.params.__name__}, {_written(row.result)}'
    line = f"    {name} = {function}({arguments})\n"
    return line if len(line) <= LINE + 1 else f"    {name} = {function}(\n        {arguments}\n    )\n"


def _written(result: Any) -> str:
    """A method's result as its type is written."""
    if result is None:
        return "type(None)"
    return f"types.{result.__name__}" if hasattr(result, "__struct_fields__") else str(result).replace("typing.", "")
