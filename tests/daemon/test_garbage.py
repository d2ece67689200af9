"""Whoever holds collection back, and in whatever order they are done, in the end it is as it was."""

import gc
import threading
from contextlib import ExitStack

import pytest

from daemon.garbage import no_garbage_collection
from daemon.wire.decoding import decode


def test_the_last_one_turns_it_on_again() -> None:
    first, second = ExitStack(), ExitStack()
    first.enter_context(no_garbage_collection())
    second.enter_context(no_garbage_collection())
    first.close()
    assert not gc.isenabled()
    decode(b"[1]")
    assert not gc.isenabled()
    second.close()
    assert gc.isenabled()


def test_what_was_off_stays_off() -> None:
    gc.disable()
    try:
        with no_garbage_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_that_begin_and_end_as_they_like_leave_it_on(threads: int) -> None:
    def often() -> None:
        for _ in range(2_000):
            with no_garbage_collection():
                pass

    running = [threading.Thread(target=often) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert gc.isenabled()
