"""What other threads did, noted in order, and waiting until it is what a test expects."""

import threading
from collections.abc import Callable
from typing import Any

SECONDS = 8.0  # no test waits longer for anything


class Notes:
    """A list that threads add to."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._changed = threading.Condition()

    def add(self, *note: Any) -> None:
        with self._changed:
            self.all.append(note[0] if len(note) == 1 else note)
            self._changed.notify_all()

    def wait(self, expected: Callable[[list[Any]], bool]) -> list[Any]:
        """All notes, once they are as expected."""
        with self._changed:
            assert self._changed.wait_for(lambda: expected(self.all), SECONDS), self.all
            return list(self.all)

    def wait_for_more(self, action: Callable[[], Any], count: int = 1) -> list[Any]:
        """Do something, and wait for so many notes that come after it."""
        before = len(self.all)
        action()
        return self.wait(lambda notes: len(notes) >= before + count)[before:]


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that nobody tells of."""
    pause = threading.Event()
    for _ in range(int(SECONDS / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError(what)
