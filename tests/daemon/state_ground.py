"""A real state in the test's own event loop, with clients that call its handlers without a connection between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from daemon import handlers
from daemon.server.dispatch import Context, dispatch
from daemon.server.session import Call, Session
from daemon.server.state import ServerState
from daemon.settings import Settings
from protocol.errors import RpcError

handlers.check()
SECONDS = 20.0  # no test waits longer for anything


class DirectClient:
    """One session; `told` holds its notifications as they would go out, `reports` its progress messages."""

    def __init__(self, state: ServerState):
        self.state, self.loop = state, asyncio.get_running_loop()
        self.told: list[dict[str, Any]] = []
        self.reports: list[tuple[str, float | None]] = []
        self.changed = asyncio.Event()
        self.session = Session(state.next_number(), "line", self, msgspec.json.encode)
        self.session.notified = True
        self.numbers = iter(range(1, 1000))
        state.join(self.session)

    def send(self, payload: bytes) -> None:
        """The session's outbox."""
        self.told.append(msgspec.json.decode(payload))
        self.loop.call_soon_threadsafe(self.changed.set)

    def close(self) -> None:
        """The session's outbox."""

    def begin(self, method: str, **params: Any) -> Call:
        """Send a request; `answer` waits for what becomes of it."""
        call = Call(next(self.numbers), method)
        self.session.begin(call)
        context = Context(
            self.state, self.session, call.request_id, call.cancel, lambda *report: self.reports.append(report)
        )
        call.task = asyncio.create_task(dispatch(context, method, params))
        call.task.add_done_callback(lambda _: self.session.end(call))
        return call

    async def call(self, method: str, **params: Any) -> Any:
        """The result as a client would see it."""
        return await self.answer(self.begin(method, **params))

    async def answer(self, call: Call) -> Any:
        """The result of a request that was sent; raises RpcError."""
        assert call.task is not None
        return msgspec.to_builtins(await asyncio.wait_for(asyncio.shield(call.task), SECONDS))

    async def refusal(self, call: Call) -> RpcError:
        """The error that a request ends with."""
        try:
            result = await self.answer(call)
        except RpcError as error:
            return error
        raise AssertionError(f"answered with {result}")

    def notifications(self, method: str) -> list[dict[str, Any]]:
        """The params of those that came so far."""
        return [told["params"] for told in self.told if told["method"] == method]

    async def until(self, is_so: Callable[[], Any]) -> None:
        """Wait until something is so, looking after every notification."""
        async with asyncio.timeout(SECONDS):
            while not is_so():
                self.changed.clear()
                await self.changed.wait()


@contextlib.asynccontextmanager
async def running_hub(folder: Path, **settings: Any) -> AsyncIterator[ServerState]:
    """A state with the built-in model on the CPU and the traces folder `folder`/traces."""
    given: dict[str, Any] = {"source": "demo", "device": "cpu", "base_dir": folder / "nanochat"} | settings
    state = ServerState(Settings(folder / "traces", folder / "run", folder / "log", **given))
    await state.start()
    try:
        yield state
    finally:
        await state.stop()
