"""What all sessions share: the model and its queue, the traces folders, who is connected, who is told what."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from daemon.folders.trace_folders import TraceFolder, TraceFolders
from daemon.server.loop_lag import LoopLag
from daemon.server.model_holder import ModelHolder
from daemon.server.model_queue import Worker
from daemon.server.session import Session
from daemon.settings import Settings
from daemon.version import PACKAGE_VERSION
from nanochat.errors import StorageError
from protocol.methods import MODEL_CHANGED, STATUS_CHANGED, TRACES_CHANGED, Notification
from protocol.types import ModelChanged, ModelInfo, Params, QueueInfo, StatusChanged, TracesChanged

READERS = 4  # threads for reads of traces; a session has at most READS_AT_ONCE of them
STATUS_SECONDS = 0.2  # between two status_changed
MODEL_SECONDS = 2.0  # from the start to loading the model, if nobody asks for anything sooner
ANSWER_SECONDS = 2.0  # for cancelled requests to be answered at the end
AFTER_ANSWER_SECONDS = 0.02  # from the first answer to loading it: importing torch would hold the answer up
SWITCH_SECONDS = 0.001  # between threads: the event loop must not wait for the model's Python
log = logging.getLogger("nanoscope.state")


class ServerState:
    """The daemon's heart. All but `broadcast` and `status_changed` belong to the event loop's thread.

    Args:
        settings: as the daemon was started.
        origins: where each setting came from.
    """

    def __init__(self, settings: Settings, origins: Mapping[str, str] | None = None):
        self.settings, self.origins = settings, dict(origins or {})
        self.base_dir = settings.base_folder()
        self.version, self.pid, self.started = PACKAGE_VERSION, os.getpid(), time.monotonic()
        self.sessions: dict[int, Session] = {}
        self.sessions_ended = 0  # of clients that asked for something
        self.readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        self.worker = Worker(settings.queue_limit)
        self.model = ModelHolder(settings, self.worker, self.model_changed)
        self.folders = TraceFolders(settings.traces_dir, settings.format, settings.polling, self.traces_changed)
        self.stopping = asyncio.Event()
        self.lag = LoopLag()
        self.connections = 0  # accepted, be they sessions already or not
        self._answered = False
        self._last_number, self._idle_since = 0, time.monotonic()
        self._status_due: asyncio.TimerHandle | None = None
        self._load_due: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Begin to watch and, in a moment, to load the model. Answers need neither."""
        self._loop = asyncio.get_running_loop()
        sys.setswitchinterval(SWITCH_SECONDS)
        self.lag.start()
        self._load_due = self._loop.call_later(MODEL_SECONDS, self.model.load_soon)

    async def stop(self, deadline: float = 10.0) -> None:
        """Cancel what waits and runs, close every session, and end the threads within some seconds."""
        self.stopping.set()
        for session in list(self.sessions.values()):
            session.cancel_all()
        await asyncio.to_thread(self.worker.close, deadline)
        answering = [call.task for session in self.sessions.values() for call in session.calls.values() if call.task]
        if answering:  # what they have come to is told before their clients are hung up on
            await asyncio.wait(answering, timeout=ANSWER_SECONDS)
        for session in list(self.sessions.values()):
            session.outbox.close()
        self.lag.stop()
        for due in (self._status_due, self._load_due):
            if due is not None:
                due.cancel()
        await asyncio.to_thread(self.folders.close)
        self.readers.shutdown(wait=False, cancel_futures=True)

    def answered(self) -> None:
        """A request was answered. After the first, the model is loaded."""
        if not self._answered and self._load_due is not None and self._loop is not None:
            self._answered = True
            self._load_due.cancel()
            self._load_due = self._loop.call_later(AFTER_ANSWER_SECONDS, self.model.load_soon)

    def join(self, session: Session) -> None:
        """A client came."""
        self.sessions[session.number] = session
        self.status_changed()

    def leave(self, session: Session) -> None:
        """A client went: its work is cancelled and what it held is freed. Harmless when repeated."""
        if self.sessions.pop(session.number, None) is None:
            return
        self.sessions_ended += session.used
        session.cancel_all()
        self.worker.cancel_all(session)
        if session.folder is not None:
            self.folders.close_one(session.folder)
            session.folder = None
        self._idle_since = time.monotonic()
        self.status_changed()

    def next_number(self) -> int:
        """A number for a new session."""
        self._last_number += 1
        return self._last_number

    def folder_of(self, session: Session) -> TraceFolder:
        """The traces folder that a session uses."""
        return session.folder or self.folders.default

    def base_dir_of(self, session: Session) -> Path:
        """nanochat's base folder for a session."""
        return session.base_dir or self.base_dir

    async def use_folder(self, session: Session, path: str | Path) -> None:
        """Give a session a folder of its own, in the order in which it asks. Raises StorageError.

        The folder is opened by a reader, and becomes the session's here: one that left meanwhile, or let go of its
        request, gets none.
        """
        async with session.changing_folder:
            opening = asyncio.wrap_future(await session.begin_read(self.readers, self._open_folder, path))
            try:
                opened = await asyncio.shield(opening)
            except asyncio.CancelledError:
                opening.add_done_callback(self._close_opened)
                raise
            before = opened
            if session.number in self.sessions:
                before, session.folder = session.folder, opened
            if before is not None:
                self.folders.close_one(before)

    def _open_folder(self, path: str | Path) -> TraceFolder:
        try:
            return self.folders.open(Path(path).expanduser())
        except RuntimeError as error:  # of expanduser
            raise StorageError(f"The traces folder {str(path)!r} is nobody's home: send the whole path.") from error

    def _close_opened(self, opening: asyncio.Future[TraceFolder]) -> None:
        if not opening.cancelled() and opening.exception() is None:
            self.folders.close_one(opening.result())

    def idle_seconds(self) -> float:
        """How long nobody has been connected and nothing has run; 0 while somebody is."""
        if self.connections or self.sessions or self.worker.running() or self.worker.queued():
            self._idle_since = time.monotonic()
        return time.monotonic() - self._idle_since

    def others(self, session: Session) -> int:
        """How many other clients are connected."""
        return len(self.sessions) - (session.number in self.sessions)

    def queue(self) -> QueueInfo:
        """How full the model's queue is."""
        return QueueInfo(running=self.worker.running(), waiting=self.worker.queued(), limit=self.settings.queue_limit)

    def broadcast(self, notification: Notification, params: Params, folder: TraceFolder | None = None) -> None:
        """Tell every session that listens; with a folder, those that use it. Threads may call it."""
        self._on_loop(self._broadcast, notification, params, folder)

    def _broadcast(self, notification: Notification, params: Params, folder: TraceFolder | None) -> None:
        if self.stopping.is_set():  # its clients are told by being hung up on
            return
        for session in list(self.sessions.values()):
            if session.notified and (folder is None or self.folder_of(session) is folder):
                session.notify(notification, params)

    def traces_changed(self, folder: TraceFolder, change: TracesChanged) -> None:
        """A folder's traces changed. Threads may call it."""
        self.broadcast(TRACES_CHANGED, change, folder)

    def model_changed(self, model: ModelInfo) -> None:
        """The model held is another, or in another state. Threads may call it."""
        self.broadcast(MODEL_CHANGED, ModelChanged(model=model))
        self.status_changed()  # a load that nobody waited for was in the queue too

    def status_changed(self) -> None:
        """Queue or sessions changed: say so soon, many changes at once. Threads may call it."""
        self._on_loop(self._status_soon)

    def _status_soon(self) -> None:
        if self._status_due is None and self._loop is not None:
            self._status_due = self._loop.call_later(STATUS_SECONDS, self._notify_status)

    def _notify_status(self) -> None:
        self._status_due = None
        self._broadcast(STATUS_CHANGED, StatusChanged(queue=self.queue(), sessions=len(self.sessions)), None)

    def _on_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        if threading.current_thread() is threading.main_thread() and _running_loop() is loop:
            function(*arguments)
        else:
            loop.call_soon_threadsafe(function, *arguments)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
