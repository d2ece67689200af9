"""The outbox: order, threads, bounds, and the end, over a real socket pair."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from daemon.wire.outbox import HIGH_WATER, StreamOutbox
from tests.daemon.connections import SECONDS

MIB = 1 << 20


@dataclass
class Pair:
    """An outbox, the client's end, and an event for when nothing more will be sent."""

    outbox: StreamOutbox
    client: socket.socket
    closed: asyncio.Event

    async def read(self, size: int) -> bytes:
        """Exactly so many bytes, or all up to the end."""
        data = bytearray()
        while len(data) < size:
            more = await asyncio.get_running_loop().sock_recv(self.client, min(size - len(data), MIB))
            if not more:
                break
            data += more
        return bytes(data)


@contextlib.asynccontextmanager
async def pair(**options: Any) -> AsyncIterator[Pair]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    _, writer = await asyncio.open_connection(sock=ours)
    closed = asyncio.Event()
    outbox = StreamOutbox(writer, on_closed=closed.set, **options)
    try:
        with theirs:
            yield Pair(outbox, theirs, closed)
    finally:
        outbox.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def run(test: Any) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(SECONDS):
            await test()

    asyncio.run(bounded())


def test_one_order_for_the_loop_and_a_thread() -> None:
    async def test() -> None:
        async with pair() as to:
            for number in range(0, 2000, 2):
                thread = threading.Thread(target=to.outbox.send, args=(b"%d\n" % number,))
                thread.start()
                thread.join()
                to.outbox.send(b"%d\n" % (number + 1))
            expected = b"".join(b"%d\n" % number for number in range(2000))
            assert await to.read(len(expected)) == expected

    run(test)


def test_the_transport_belongs_to_the_loops_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with pair() as to:
            writers: set[int] = set()
            write = to.outbox._transport.write
            monkeypatch.setattr(
                to.outbox._transport, "write", lambda data: (writers.add(threading.get_ident()), write(data))
            )
            await asyncio.to_thread(to.outbox.send, b"x")
            await to.read(1)
            assert writers == {threading.get_ident()}

    run(test)


def test_frames_of_many_threads_stay_whole() -> None:
    async def test() -> None:
        async with pair() as to:
            frames = [bytes([65 + number]) * 300_000 for number in range(8)]
            threads = [
                threading.Thread(target=lambda f=frame: [to.outbox.send(f) for _ in range(5)]) for frame in frames
            ]
            for thread in threads:
                thread.start()
            data = await to.read(8 * 5 * 300_000)
            for thread in threads:
                thread.join()
            found = [data[start : start + 300_000] for start in range(0, len(data), 300_000)]
            assert sorted(found) == sorted(frames * 5)

    run(test)


def test_a_client_for_which_too_much_waits_is_dropped() -> None:
    async def test() -> None:
        async with pair(limit=MIB) as to:
            for _ in range(40):
                to.outbox.send(b"x" * 100_000)
            await to.closed.wait()
            assert len(await to.read(40 * 100_000)) < 40 * 100_000
            to.outbox.send(b"y")  # harmless from now on
            to.outbox.close()

    run(test)


def test_a_thread_cannot_fill_the_memory_while_the_loop_is_late() -> None:
    async def test() -> None:
        async with pair(limit=MIB) as to:
            thread = threading.Thread(target=lambda: [to.outbox.send(b"x" * 100_000) for _ in range(1000)])
            thread.start()
            thread.join()  # the loop is late: it stands here
            assert to.outbox._queued <= MIB + 100_000
            await to.closed.wait()

    run(test)


def test_one_message_may_be_as_large_as_the_limit_while_nothing_else_waits() -> None:
    async def test() -> None:
        async with pair(limit=4 * MIB) as to:
            to.outbox.send(b"x" * 4 * MIB)
            assert await to.read(4 * MIB) == b"x" * 4 * MIB
            assert not to.closed.is_set()

    run(test)


def test_a_client_that_takes_nothing_is_dropped_and_one_that_takes_a_little_is_not() -> None:
    async def test() -> None:
        async with pair(stall_seconds=0.4) as to, pair(stall_seconds=0.4) as slow:
            to.outbox.send(b"x" * 2 * MIB)
            slow.outbox.send(b"x" * 2 * MIB)
            read = 0
            while not to.closed.is_set():
                read += len(await slow.read(60_000))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(to.closed.wait(), 0.05)
            assert not slow.closed.is_set()
            assert len(await slow.read(2 * MIB - read)) == 2 * MIB - read

    run(test)


def test_room_comes_when_the_client_reads_and_when_it_is_gone() -> None:
    async def test() -> None:
        async with pair() as to:
            await to.outbox.room()
            to.outbox.send(b"x" * 2 * HIGH_WATER)
            waiting = [asyncio.ensure_future(to.outbox.room()) for _ in range(2)]
            done, _ = await asyncio.wait(waiting, timeout=0.05)
            assert not done
            await to.read(2 * HIGH_WATER)
            await asyncio.gather(*waiting)
            to.outbox.send(b"x" * 2 * HIGH_WATER)
            waiting = [asyncio.ensure_future(to.outbox.room()) for _ in range(2)]
            to.client.close()
            await asyncio.gather(*waiting)
            await to.outbox.sent()

    run(test)


def test_sent_is_when_the_client_has_all_but_what_the_system_holds() -> None:
    async def test() -> None:
        async with pair() as to:
            to.outbox.send(b"x" * HIGH_WATER)
            sent = asyncio.ensure_future(to.outbox.sent())
            await to.read(HIGH_WATER // 4)
            assert not sent.done()
            await asyncio.gather(to.read(3 * HIGH_WATER // 4), sent)

    run(test)


def test_answers_that_waited_for_room_go_one_after_the_other() -> None:
    async def test() -> None:
        async with pair(limit=4 * MIB) as to:

            async def answer() -> None:
                await to.outbox.room()
                to.outbox.send(b"x" * 3 * MIB)

            answers = [asyncio.ensure_future(answer()) for _ in range(6)]
            assert len(await to.read(18 * MIB)) == 18 * MIB
            await asyncio.gather(*answers)
            assert not to.closed.is_set()

    run(test)


def test_closing_sends_what_is_queued_first_from_a_thread_too() -> None:
    async def test() -> None:
        for closer in (lambda close: close(), lambda close: threading.Thread(target=close).start()):
            async with pair() as to:
                to.outbox.send(b"x" * MIB)
                closer(to.outbox.close)
                assert len(await to.read(2 * MIB)) == MIB
                assert to.closed.is_set()

    run(test)


def test_closing_waits_a_second_for_a_client_that_does_not_read() -> None:
    async def test() -> None:
        async with pair() as to:
            to.outbox.send(b"x" * 4 * MIB)
            to.outbox.close()
            begun = asyncio.get_running_loop().time()
            await to.outbox._writer.wait_closed()
            assert 0.5 < asyncio.get_running_loop().time() - begun < 3

    run(test)


def test_sending_after_the_loop_has_ended_is_harmless() -> None:
    kept: list[StreamOutbox] = []

    async def test() -> None:
        async with pair() as to:
            kept.append(to.outbox)

    run(test)
    thread = threading.Thread(target=lambda: (kept[0].send(b"x"), kept[0].close()))
    thread.start()
    thread.join()
    assert kept[0].closed
