"""A few threads serve every watch in time; one that hangs holds up no other."""

import threading
import time

import pytest

from daemon.folders.watch_threads import WatchThreads
from tests.daemon.waiting import SECONDS, Notes, until


class Ticking:
    """Steps every 10 ms, `count` times."""

    def __init__(self, name: int, notes: Notes, count: int):
        self.name, self.notes, self.count = name, notes, count
        self.next, self.running = 0.0, 0

    def due(self) -> float:
        return self.next

    def step(self) -> bool:
        self.running += 1
        assert self.running == 1  # never two at once
        self.notes.add(self.name)
        self.count -= 1
        self.next = time.monotonic() + 0.01
        self.running -= 1
        return self.count > 0


class Hanging(Ticking):
    """Hangs until it is let go."""

    def __init__(self, notes: Notes):
        super().__init__(-1, notes, 1)
        self.begun, self.may_end = threading.Event(), threading.Event()

    def step(self) -> bool:
        self.begun.set()
        assert self.may_end.wait(SECONDS)
        return super().step()


def watch_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


def test_every_one_is_stepped_in_turn_by_few_threads_which_end():
    notes, threads = Notes(), WatchThreads(4)
    for number in range(100):
        threads.add(Ticking(number, notes, 5))
    assert len(watch_threads()) <= 4
    said = notes.wait(lambda notes: len(notes) == 500)
    assert all(said.count(number) == 5 for number in range(100))
    until(lambda: not watch_threads(), "the threads have ended")


@pytest.mark.parametrize("hanging", [1, 3])
def test_one_that_hangs_holds_up_no_other(hanging):
    notes, threads = Notes(), WatchThreads(4)
    stuck = [Hanging(notes) for _ in range(hanging)]
    for one in stuck:
        threads.add(one)
    for number in range(20):
        threads.add(Ticking(number, notes, 3))
    notes.wait(lambda notes: len(notes) == 60)
    for one in stuck:
        assert one.begun.wait(SECONDS)
        one.may_end.set()
    notes.wait(lambda notes: len(notes) == 60 + hanging)
    until(lambda: not watch_threads(), "the threads have ended")


def test_one_that_comes_while_all_others_hang_has_its_turn():
    notes, threads = Notes(), WatchThreads(4)
    stuck = [Hanging(notes) for _ in range(3)]
    for one in stuck:
        threads.add(one)
        assert one.begun.wait(SECONDS)
    threads.add(Ticking(1, notes, 3))
    notes.wait(lambda notes: notes == [1, 1, 1])
    for one in stuck:
        one.may_end.set()
    until(lambda: not watch_threads(), "the threads have ended")


def test_what_becomes_due_sooner_is_done_sooner():
    notes, threads = Notes(), WatchThreads()
    late = Ticking(1, notes, 1)
    late.next = time.monotonic() + 1000
    threads.add(late)
    until(lambda: threads._waiting == 1, "a thread waits")
    late.next = 0.0
    threads.wake(late)
    notes.wait(lambda notes: notes == [1])


def test_what_was_at_work_is_not_held_up_by_who_waits_for_another():
    notes, threads = Notes(), WatchThreads(2)
    late, stuck = Ticking(1, notes, 1), Hanging(notes)
    late.next = time.monotonic() + 1000
    stuck.count = 2
    threads.add(late)
    threads.add(stuck)
    assert stuck.begun.wait(SECONDS)
    until(lambda: threads._led, "a thread waits for the other")
    stuck.may_end.set()
    notes.wait(lambda notes: notes == [-1, -1])
    late.next = 0.0
    threads.wake(late)
    until(lambda: not watch_threads(), "the threads have ended")
