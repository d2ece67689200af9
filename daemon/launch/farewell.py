"""How a client says goodbye, seen in its bytes as they pass through the pump: `shutdown`, `exit`. It imports little."""

from __future__ import annotations

import json
import re
from typing import Any

SMALL = 4096  # bytes; a goodbye is less, what is longer is not looked at
LENGTH = re.compile(rb"^content-length:[ \t]*(\d{1,12})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
WHITE = b" \t\r\n"
COMMAND = "nanoscope.shutdown"


class Farewell:
    """What a client has said of its end.

    `editor` is None before it has said anything, then whether it frames its messages as editors do.
    """

    def __init__(self) -> None:
        self.editor: bool | None = None
        self.shutdown = self.exit = False
        self.command = False  # an editor's command that ends the daemon, as a script's `shutdown` does
        self.lost = False  # it is no framing that we know: the daemon will hang up
        self._rest = b""
        self._skip = 0  # bytes of a body that is not looked at

    @property
    def is_proper(self) -> bool:
        """Whether the other side had to hang up: LSP's `exit` after `shutdown`, or the daemon was told to end."""
        return self.command or (self.shutdown and (self.exit or not self.editor))

    def feed(self, data: bytes) -> None:
        """Look at what the client sends."""
        if self.editor is None:
            data = data.lstrip(WHITE)
            if not data:
                return
            self.editor = data[:1] not in (b"{", b"[")
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip, data = self._skip - skipped, data[skipped:]
        self._rest += data
        while not self.lost and (self._take_frame() if self.editor else self._take_line()):
            pass

    def _take_line(self) -> bool:
        line, end, rest = self._rest.partition(b"\n")
        if not end:
            self._rest = line[: SMALL + 1]  # whatever follows, it is too long
            return False
        self._rest = rest
        self._look(line)
        return True

    def _take_frame(self) -> bool:
        header, end, rest = self._rest.partition(b"\r\n\r\n")
        if not end:
            self.lost = len(header) > SMALL
            return False
        found = LENGTH.search(header)
        if found is None:
            self.lost = True
            return False
        size = int(found[1])
        if size > SMALL:
            self._skip, self._rest = max(0, size - len(rest)), rest[size:]
        elif len(rest) < size:
            return False
        else:
            self._look(rest[:size])
            self._rest = rest[size:]
        return True

    def _look(self, message: bytes) -> None:
        if len(message) > SMALL or not (b"shutdown" in message or b"exit" in message):
            return
        try:
            value: Any = json.loads(message)
        except ValueError:
            return
        for one in value if isinstance(value, list) else [value]:
            method = one.get("method") if isinstance(one, dict) else None
            self.shutdown |= method == "shutdown"
            self.exit |= method == "exit"
            self.command |= method == "workspace/executeCommand" and _command(one) == COMMAND


def _command(request: dict[str, Any]) -> Any:
    params = request.get("params")
    return params.get("command") if isinstance(params, dict) else None
