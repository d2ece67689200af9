"""Reads on the reader threads: how many of them one session has, whatever becomes of its requests."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from daemon.folders.trace_folders import TraceFolders
from daemon.server.dispatch import Context, in_thread, in_thread_to_the_end
from daemon.server.session import READS_AT_ONCE
from daemon.server.state import READERS, ServerState
from tests.daemon.connections import run
from tests.daemon.state_ground import SECONDS, DirectClient, running_hub


class HungDisk:
    """Reads that stay until they are let go; `entered` counts those that a thread has begun."""

    def __init__(self) -> None:
        self.loop, self.entered = asyncio.get_running_loop(), asyncio.Semaphore(0)
        self.back = threading.Event()

    def read(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.entered.release)
        assert self.back.wait(SECONDS)

    async def hangs(self, times: int) -> None:
        """Wait until so many more reads hang."""
        async with asyncio.timeout(SECONDS):
            for _ in range(times):
                await self.entered.acquire()


def with_hung_disk(folder: Path, test: Callable[[ServerState, HungDisk], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with running_hub(folder) as state:
            disk = HungDisk()
            try:
                await test(state, disk)
            finally:
                disk.back.set()

    run(bounded)


async def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def begin(state: ServerState, client: DirectClient, disk: HungDisk, how=in_thread) -> asyncio.Task[None]:
    return asyncio.create_task(how(Context(state, client.session), disk.read))


def test_reads_of_one_session_leave_threads_to_others(tmp_path: Path) -> None:
    async def test(state: ServerState, disk: HungDisk) -> None:
        hung, other = DirectClient(state), DirectClient(state)
        tasks = [begin(state, hung, disk) for _ in range(READERS)]
        await disk.hangs(READS_AT_ONCE)
        assert (await other.call("list_traces"))["total"] == 0
        disk.back.set()
        await asyncio.gather(*tasks)

    with_hung_disk(tmp_path, test)


def test_cancelled_requests_give_no_thread_that_still_hangs(tmp_path: Path) -> None:
    async def test(state: ServerState, disk: HungDisk) -> None:
        hung, other = DirectClient(state), DirectClient(state)
        first = [begin(state, hung, disk) for _ in range(READS_AT_ONCE)]
        await disk.hangs(READS_AT_ONCE)
        for task in [*first, begin(state, hung, disk)]:  # the last waits for its turn
            await cancel(task)
        last = [begin(state, hung, disk) for _ in range(READERS)]
        assert (await other.call("list_traces"))["total"] == 0
        disk.back.set()
        await asyncio.gather(*last)  # what was let go of has given its turn back

    with_hung_disk(tmp_path, test)


def test_opening_folders_that_hang_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(state: ServerState, disk: HungDisk) -> None:
        hung, other = DirectClient(state), DirectClient(state)
        monkeypatch.setattr(TraceFolders, "open", disk.read)
        for _ in range(READS_AT_ONCE):
            call = hung.begin("hello", traces_dir=str(tmp_path / "elsewhere"))
            await disk.hangs(1)
            call.stop()
            assert (await hung.refusal(call)).name == "CANCELLED"
        monkeypatch.undo()
        tasks = [begin(state, hung, disk) for _ in range(READERS)]
        assert (await other.call("list_traces"))["total"] == 0
        monkeypatch.setattr(state.folders, "close_one", lambda opened: None)  # nothing was opened
        disk.back.set()
        await asyncio.gather(*tasks)

    with_hung_disk(tmp_path, test)


def test_a_change_that_waits_for_its_turn_can_be_cancelled(tmp_path: Path) -> None:
    async def test(state: ServerState, disk: HungDisk) -> None:
        client = DirectClient(state)
        reads = [begin(state, client, disk) for _ in range(READS_AT_ONCE)]
        await disk.hangs(READS_AT_ONCE)
        await cancel(begin(state, client, disk, in_thread_to_the_end))
        disk.back.set()
        await asyncio.gather(*reads)
        assert disk.entered.locked()  # it never began

    with_hung_disk(tmp_path, test)
