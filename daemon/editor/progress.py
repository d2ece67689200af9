"""Progress as editors show it: begin, reports, end, under a token that the editor chose."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from daemon.editor.params import Token

Report = Callable[[str, float | None], None]
Agreed = asyncio.Future[bool] | None


@contextlib.contextmanager
def work_done(
    send: Callable[[dict[str, Any]], None],
    token: Token | None,
    title: str,
    agreed: Agreed = None,
) -> Iterator[Report]:
    """Begins, and ends however the work ends; what it gives reports on it, from any thread, and only in between.

    Args:
        send: takes a notification.
        token: None: nothing is told.
        agreed: nothing is told before it says yes, while the work goes on.
    """
    lock = threading.Lock()
    open_ = False

    def send_progress(value: dict[str, Any]) -> None:
        send({"jsonrpc": "2.0", "method": "$/progress", "params": {"token": token, "value": value}})

    def report(message: str, percent: float | None) -> None:
        value: dict[str, Any] = {"kind": "report", "message": message}
        if percent is not None:
            value["percentage"] = round(min(max(percent, 0.0), 100.0))
        with lock:
            if open_:
                send_progress(value)

    def begin(answered: asyncio.Future[bool] | None = None) -> None:
        nonlocal open_
        with lock:
            if not ended and (answered is None or (not answered.cancelled() and answered.result())):
                open_ = True
                send_progress({"kind": "begin", "title": title, "cancellable": True, "percentage": 0})

    ended = False
    if agreed is not None:
        agreed.add_done_callback(begin)
    elif token is not None:
        begin()
    try:
        yield report
    finally:
        with lock:
            if open_:
                send_progress({"kind": "end"})
            open_, ended = False, True
