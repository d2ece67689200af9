"""The model thread and its queue: fair, bounded, with positions, and cancelled at once."""

import asyncio
import queue
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.server.model_queue import Job, Worker
from protocol.errors import RpcError

SOON = 5.0  # seconds in which anything here has happened, unless it is broken


class Task:
    """Work that says when it starts and goes on until it is let go or cancelled."""

    def __init__(self, result: Any = None):
        self.result, self.started, self.release = result, threading.Event(), threading.Event()

    def __call__(self, cancelled: threading.Event) -> Any:
        self.started.set()
        while not self.release.wait(0.001):
            if cancelled.is_set():
                raise RpcError("CANCELLED", "Cancelled: stopped between two tokens.")
        return self.result


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker(limit=8)
    yield worker
    worker.cancel_all("busy")
    assert worker.close(SOON)


def busy(worker: Worker, session: object = "busy") -> tuple[Task, Job[Any]]:
    """Occupy the worker."""
    task = Task("done")
    job = worker.submit(session, task, threading.Event())
    assert task.started.wait(SOON)
    return task, job


def add(worker: Worker, session: object, log: list[Any] | None = None, name: Any = None, **more: Any) -> Job[Any]:
    """Put work into the queue that notes its name when it runs."""
    return worker.submit(session, lambda _: (log if log is not None else []).append(name), threading.Event(), **more)


def assert_cancelled(job: Job[Any], at_once: bool = False) -> None:
    error = job.exception(timeout=0 if at_once else SOON)
    assert isinstance(error, RpcError) and error.name == "CANCELLED"


def test_work_runs_on_one_thread_of_its_own(worker: Worker) -> None:
    jobs = [worker.submit(i, lambda _: threading.current_thread(), threading.Event()) for i in range(4)]
    threads = {job.result(SOON) for job in jobs}
    assert len(threads) == 1
    assert threads != {threading.current_thread()}
    assert threads.pop().daemon


@pytest.mark.parametrize("error", [ValueError("wrong"), RpcError("NON_FINITE", "NaN")])
def test_errors_come_through_as_they_were_raised(worker: Worker, error: Exception) -> None:
    def work(_: threading.Event) -> None:
        raise error

    assert worker.submit(1, work, threading.Event()).exception(SOON) is error
    assert worker.submit(1, lambda _: "alive", threading.Event()).result(SOON) == "alive"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, StopIteration, asyncio.CancelledError, GeneratorExit])
def test_what_no_future_can_pass_on_becomes_an_error_and_the_thread_lives(
    worker: Worker, kind: type[BaseException]
) -> None:
    def work(_: threading.Event) -> None:
        raise kind

    async def awaited() -> None:
        await asyncio.wrap_future(worker.submit(1, work, threading.Event()))

    with pytest.raises(RuntimeError, match=kind.__name__) as caught:
        asyncio.run(asyncio.wait_for(awaited(), SOON))
    assert isinstance(caught.value.__cause__, kind)
    assert worker.submit(1, lambda _: "alive", threading.Event()).result(SOON) == "alive"


def test_a_failing_listener_does_not_end_the_thread(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    def listener(_: int) -> None:
        raise OSError("gone")

    assert worker.submit(1, lambda _: "alive", threading.Event(), listener).result(SOON) == "alive"
    assert "gone" in caplog.text


def test_sessions_take_turns_and_each_keeps_its_order(worker: Worker) -> None:
    order: list[str] = []
    first, _ = busy(worker)
    jobs = [add(worker, name[0], order, name) for name in ("a1", "a2", "a3", "b1", "c1", "b2")]
    first.release.set()
    for job in jobs:
        job.result(SOON)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_urgent_work_goes_first_and_over_the_limit(worker: Worker) -> None:
    order: list[str] = []
    first, _ = busy(worker)
    jobs = [add(worker, name, order, name) for name in range(worker.limit - 1)]
    jobs.append(add(worker, "load", order, "load", urgent=True))
    jobs.append(add(worker, "last", order, "last"))
    jobs.append(add(worker, "reload", order, "reload", urgent=True))
    first.release.set()
    for job in jobs:
        job.result(SOON)
    assert order == ["load", "reload", *range(worker.limit - 1), "last"]


def test_the_queue_is_bounded_and_says_how_many_wait(worker: Worker) -> None:
    first, _ = busy(worker)
    jobs = [add(worker, i % 3) for i in range(worker.limit)]
    with pytest.raises(RpcError, match=f"^{worker.limit} requests wait") as caught:
        add(worker, "late")
    assert caught.value.name == "QUEUE_FULL"
    assert caught.value.data["waiting"] == worker.queued() == worker.limit
    jobs[3].cancel()
    late = add(worker, "late")
    first.release.set()
    assert late.result(SOON) is None


def test_positions_are_told_whenever_they_change(worker: Worker) -> None:
    told: dict[str, list[int]] = {name: [] for name in ("a1", "a2", "b1", "b2")}
    first, _ = busy(worker)
    tasks = {name: Task() for name in told}
    jobs = {name: worker.submit(name[0], tasks[name], threading.Event(), told[name].append) for name in told}
    assert told == {"a1": [1], "a2": [2, 3], "b1": [2], "b2": [4]}  # b1 goes before a2
    jobs["a1"].cancel()  # the turn stays a's
    assert told == {"a1": [1], "a2": [2, 3, 1], "b1": [2], "b2": [4, 3]}
    first.release.set()
    for name in ("a2", "b1", "b2"):
        assert tasks[name].started.wait(SOON)
        assert told[name][-1] == 0
        tasks[name].release.set()
    jobs["b2"].result(SOON)
    assert told == {"a1": [1], "a2": [2, 3, 1, 0], "b1": [2, 1, 0], "b2": [4, 3, 2, 1, 0]}


def test_work_that_need_not_wait_is_told_so_alone(worker: Worker) -> None:
    told: list[int] = []
    worker.submit(1, lambda _: None, threading.Event(), told.append).result(SOON)
    assert told == [0]


def test_a_waiting_job_is_cancelled_without_waiting_for_the_running_one(worker: Worker) -> None:
    ran: list[str] = []
    first, running = busy(worker)
    job = add(worker, "a", ran, "a")
    assert job.cancel()
    assert_cancelled(job, at_once=True)
    assert worker.queued() == 0
    assert worker.running() and not running.done()
    assert not job.cancel()  # nothing left to cancel
    first.release.set()
    add(worker, "b", ran, "b").result(SOON)
    assert ran == ["b"]


def test_a_running_job_is_cancelled_through_its_event(worker: Worker) -> None:
    _, job = busy(worker)
    assert job.cancel()
    assert_cancelled(job)
    assert worker.submit(1, lambda _: "alive", threading.Event()).result(SOON) == "alive"


def test_a_job_whose_event_was_set_while_it_waited_does_not_run(worker: Worker) -> None:
    first, _ = busy(worker)
    cancelled, ran = threading.Event(), []
    job = worker.submit("a", ran.append, cancelled)
    cancelled.set()
    first.release.set()
    assert_cancelled(job)
    assert not ran


def test_cancelling_the_asyncio_side_takes_the_job_out(worker: Worker) -> None:
    first, _ = busy(worker)

    async def give_up() -> Job[Any]:
        job = add(worker, "a")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.wrap_future(job), 0.01)
        return job

    assert_cancelled(asyncio.run(give_up()), at_once=True)
    assert worker.queued() == 0
    first.release.set()


def test_a_session_that_ends_takes_its_jobs_along_and_no_others(worker: Worker) -> None:
    _, running = busy(worker, "gone")
    waiting = [add(worker, "gone") for _ in range(3)]
    other = worker.submit("here", lambda _: "served", threading.Event())
    worker.cancel_all("gone")
    for job in [*waiting, running]:
        assert_cancelled(job)
    assert other.result(SOON) == "served"
    worker.cancel_all("never seen")


def test_cancelling_a_session_leaves_another_ones_running_job(worker: Worker) -> None:
    first, running = busy(worker, "here")
    worker.cancel_all("gone")
    assert not running.event.is_set()
    first.release.set()
    assert running.result(SOON) == "done"


def test_closing_lets_the_running_job_finish_and_cancels_the_rest() -> None:
    worker = Worker(limit=4)
    first, running = busy(worker)
    waiting = add(worker, "a")
    waiting.add_done_callback(lambda _: first.release.set())
    assert worker.close(SOON)
    assert running.result(0) == "done"
    assert_cancelled(waiting, at_once=True)
    with pytest.raises(RpcError, match="ending") as caught:
        add(worker, "late")
    assert caught.value.name == "SHUTTING_DOWN"


def test_closing_cancels_the_running_job_at_its_deadline() -> None:
    worker = Worker(limit=4)
    _, running = busy(worker)
    assert worker.close(0.01)
    assert_cancelled(running, at_once=True)


def test_closing_gives_up_on_a_job_that_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.server.model_queue.CANCEL_SECONDS", 0.01)
    worker = Worker(limit=4)
    started, release = threading.Event(), threading.Event()
    job = worker.submit(1, lambda _: (started.set(), release.wait()), threading.Event())
    assert started.wait(SOON)
    assert not worker.close(0.01)
    release.set()
    job.result(SOON)
    assert worker.close(SOON)


class Buffer:
    """Something that may be referred to weakly."""


def test_a_failure_keeps_its_lines_and_no_memory(worker: Worker) -> None:
    kept: list[weakref.ref[Buffer]] = []

    def fails(_: threading.Event) -> None:
        buffer = Buffer()
        kept.append(weakref.ref(buffer))
        raise ValueError("after the buffers were made")

    error = worker.submit(1, fails, threading.Event()).exception(SOON)
    assert error is not None and error.__traceback__ is not None  # the log can still say where
    assert kept[0]() is None


def test_a_result_belongs_to_who_asked_alone(worker: Worker) -> None:
    freed = threading.Event()
    watching: list[weakref.finalize[..., Any]] = []

    def gives(_: threading.Event) -> Buffer:
        buffer = Buffer()
        watching.append(weakref.finalize(buffer, freed.set))
        return buffer

    worker.submit(1, gives, threading.Event()).result(SOON)
    assert freed.wait(SOON)


SUBMIT_OR_FINISH = st.lists(st.one_of(st.integers(0, 4), st.none()), max_size=60)


@settings(max_examples=60, deadline=None)
@given(SUBMIT_OR_FINISH)
def test_no_session_waits_for_two_jobs_of_another(operations: list[int | None]) -> None:
    """A number submits for that session, None lets the running job finish."""
    worker = Worker(limit=len(operations) + 1)
    taken: queue.Queue[tuple[int, int]] = queue.Queue()
    started: list[tuple[int, int]] = []  # session and which of its jobs
    submitted: dict[tuple[int, int], int] = {}  # how many had started before
    releases: dict[tuple[int, int], threading.Event] = {}

    def submit(session: int) -> None:
        name = (session, sum(other == session for other, _ in submitted))
        submitted[name], releases[name] = len(started), threading.Event()
        worker.submit(session, lambda _: (taken.put(name), releases[name].wait()), threading.Event())

    for operation in [*operations, *[None] * len(operations)]:
        if operation is not None:
            submit(operation)
        elif started:
            releases[started[-1]].set()
        idle = all(releases[name].is_set() for name in started)
        if idle and len(started) < len(submitted):
            started.append(taken.get(timeout=SOON))
    assert len(started) == len(submitted)
    for at, (session, number) in enumerate(started):
        earlier = started.index((session, number - 1)) + 1 if number else 0
        meanwhile = [other for other, _ in started[max(earlier, submitted[session, number]) : at]]
        assert session not in meanwhile  # its own come in order
        assert len(meanwhile) == len(set(meanwhile))
    if started:
        releases[started[-1]].set()
    assert worker.close(SOON)
