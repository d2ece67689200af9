"""The one thread that may touch torch, and the fair queue before it."""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import chain, zip_longest
from typing import Any, TypeVar

from protocol.errors import RpcError

T = TypeVar("T")
Work = Callable[[threading.Event], T]

CANCEL_SECONDS = 2.0  # at the end, for a cancelled job to come to its next token

log = logging.getLogger(__name__)


class Job(Future[T]):
    """One piece of work and its outcome; `cancel` takes it out of the queue, or sets its event while it runs."""

    def __init__(
        self,
        worker: Worker,
        session_key: object,
        work: Work[T],
        cancelled: threading.Event,
        on_position: Callable[[int], None] | None,
    ):
        super().__init__()
        self.worker, self.session_key, self.work, self.event = worker, session_key, work, cancelled
        self.on_position, self.position = on_position, -1

    def cancel(self) -> bool:
        """End with CANCELLED: at once while it waits, at the work's next look at the event while it runs.

        Returns:
            False where it was done already.
        """
        return self.worker.cancel(self)

    def fail(self, error: BaseException) -> None:
        """End with an error: an Exception, whatever was raised."""
        if not isinstance(error, Exception) or isinstance(error, StopIteration):  # futures cannot pass these on
            cause, error = error, RuntimeError(f"The work ended with {error!r}.")
            error.__cause__ = cause
        _let_go_of_frames(error)
        self.set_exception(error)


class Worker:
    """One daemon thread that does one job at a time: each session's in their order, the sessions in turn.

    Args:
        limit: how many jobs may wait, all sessions together.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._changed = threading.Condition()
        self._reporting = threading.RLock()  # positions reach a listener in the order they had
        self._urgent: deque[Job[Any]] = deque()
        self._turns: dict[object, deque[Job[Any]]] = {}  # session to its waiting jobs; the first key's turn is next
        self._current: Job[Any] | None = None
        self._closed = False
        self.stuck = False  # at the end: its job did not, and nobody waits for it any more
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    def submit(
        self,
        session_key: object,
        work: Work[T],
        cancel: threading.Event,
        on_position: Callable[[int], None] | None = None,
        *,
        urgent: bool = False,
    ) -> Job[T]:
        """Put work into the queue.

        Args:
            session_key: whose turn it takes.
            work: called on the worker's thread with `cancel`, which it is to look at.
            cancel: set by `Job.cancel` and by anybody who knows it.
            on_position: called from any thread with how many jobs are ahead, the running one included, whenever that
                changes; 0 when it starts.
            urgent: goes before all that is not, and does not count against the limit.

        Returns:
            The future of what `work` returns or raises.

        Raises:
            RpcError: QUEUE_FULL, SHUTTING_DOWN; through the future CANCELLED.
        """
        job = Job(self, session_key, work, cancel, on_position)
        with self._changed:
            if self._closed:
                raise RpcError("SHUTTING_DOWN", "The daemon is ending: connect again, which starts a new one.")
            waiting = self.queued() - len(self._urgent)
            if waiting >= self.limit and not urgent:
                raise RpcError(
                    "QUEUE_FULL",
                    f"{waiting} requests wait for the model already, and more may not: try again when some are done.",
                    {"waiting": waiting, "limit": self.limit},
                )
            queue = self._urgent if urgent else self._turns.setdefault(session_key, deque())
            queue.append(job)
            self._changed.notify_all()
        self._report()
        return job

    def queued(self) -> int:
        """How many jobs wait."""
        with self._changed:
            return len(self._urgent) + sum(map(len, self._turns.values()))

    def running(self) -> bool:
        """Whether a job is being done."""
        return self._current is not None

    def cancel(self, job: Job[Any]) -> bool:
        """Cancel one job; False if it was done already."""
        return self._cancel([job])

    def cancel_all(self, session_key: object) -> None:
        """Cancel what a session has waiting and running."""
        with self._changed:
            waiting = list(self._turns.get(session_key, ()))
            current = self._current
        self._cancel(waiting + ([current] if current and current.session_key == session_key else []))

    def close(self, deadline: float) -> bool:
        """Take nothing more, cancel what waits, give the running job `deadline` seconds to finish, then cancel it.

        Returns:
            Whether the thread has ended.
        """
        with self._changed:
            self._closed = True
            waiting = list(self._waiting())
            self._urgent.clear()
            self._turns.clear()
            self._changed.notify_all()
        _end(waiting)
        self._thread.join(deadline)
        current = self._current
        if current is not None:
            current.cancel()
        self._thread.join(CANCEL_SECONDS)
        self.stuck = self._thread.is_alive()
        return not self.stuck

    def _cancel(self, jobs: list[Job[Any]]) -> bool:
        with self._changed:
            removed = [job for job in jobs if self._remove(job)]
            running = [job for job in jobs if job is self._current]
        for job in running:
            job.event.set()
        if removed:
            _end(removed)
            self._report()
        return bool(running or removed)

    def _remove(self, job: Job[Any]) -> bool:
        """Take a waiting job out of the queue; its session keeps its turn if it has more."""
        queue = self._urgent if job in self._urgent else self._turns.get(job.session_key, deque())
        if job not in queue:
            return False
        queue.remove(job)
        if not queue:
            self._turns.pop(job.session_key, None)
        return True

    def _waiting(self) -> chain[Job[Any]]:
        """The waiting jobs in the order they would be done."""
        rounds = chain.from_iterable(zip_longest(*self._turns.values()))
        return chain(self._urgent, (job for job in rounds if job is not None))

    def _report(self) -> None:
        """Tell every job's listener how many are ahead, where that changed."""
        with self._reporting:
            with self._changed:
                current = self._current  # None: the thread is about to take the first that waits, and reports it then
                places = enumerate(chain([current], self._waiting()) if current else self._waiting())
                moved = [(job, at) for at, job in places if job.position != at and (at > 0 or job is current)]
                for job, place in moved:
                    job.position = place
            for job, place in moved:
                if job.on_position is not None:
                    _call(job.on_position, place)

    def _next(self) -> Job[Any] | None:
        """Wait for a job and take it; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._urgent or self._turns)
            if self._urgent:
                self._current = self._urgent.popleft()
            elif self._turns:
                key = next(iter(self._turns))
                queue = self._turns.pop(key)
                self._current = queue.popleft()
                if queue:
                    self._turns[key] = queue  # at the end: after one job of every other session
            return self._current

    def _work(self) -> None:
        while (job := self._next()) is not None:
            self._report()
            self._do(job)
            del job  # and with it the outcome, while the thread waits

    def _do(self, job: Job[T]) -> None:
        if job.event.is_set():
            self._current = None
            _end([job])
            return
        try:
            result = job.work(job.event)
        except BaseException as error:  # noqa: BLE001 - the thread outlives whatever a job raises
            self._current = None
            job.fail(error)
        else:
            self._current = None
            job.set_result(result)


def _call(listener: Callable[[int], None], position: int) -> None:
    try:
        listener(position)
    except Exception:
        log.exception("A listener for queue positions failed.")


def _end(jobs: list[Job[Any]]) -> None:
    for job in jobs:
        job.event.set()
        job.fail(RpcError("CANCELLED", "Cancelled before it began: nothing was saved."))


def _let_go_of_frames(error: BaseException) -> None:
    """Free what the frames of a traceback hold, a capture's buffers above all; its lines stay."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        traceback.clear_frames(following.__traceback__)
        seen.append(following)
        following = following.__cause__ or following.__context__
