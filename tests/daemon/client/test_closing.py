"""Closing a client while its listeners are at work."""

import asyncio
import threading

import pytest

from daemon.client.aio import AsyncClient
from daemon.client.sync import Client, ConnectionLostError
from tests.daemon.scripted_daemon import ScriptedDaemon, hang_up, line
from tests.daemon.waiting import SECONDS, until

CHANGE = {"traces_dir": "/traces", "added": ["a"], "changed": [], "removed": []}


def test_a_listener_that_calls_the_client_does_not_hold_up_its_close() -> None:
    daemon = ScriptedDaemon([lambda request: line({"method": "traces_changed", "params": CHANGE})])
    client, told = Client(connect=daemon.connect), threading.Event()

    def listen(notice: object) -> None:
        told.set()
        until(lambda: client.closed, "the client is closed")
        client.get_status()

    client.on_notification(listen)
    client.start("get_status")
    assert told.wait(SECONDS)
    closing = threading.Thread(target=client.close, daemon=True)
    closing.start()
    closing.join(SECONDS)
    assert not closing.is_alive()
    daemon.join()


def test_notifications_end_with_a_client_whose_connection_was_lost_before() -> None:
    daemon = ScriptedDaemon([hang_up])
    client = Client(connect=daemon.connect)
    changes = client.notifications()
    client.start("get_status")
    with pytest.raises(ConnectionLostError):
        changes.get(SECONDS)
    client.close()
    with pytest.raises(StopIteration):
        changes.get(SECONDS)
    daemon.join()


def test_an_async_clients_notifications_do_too() -> None:
    daemon = ScriptedDaemon([hang_up])

    async def run() -> None:
        client = AsyncClient(connect=daemon.connect)
        changes = client.notifications()
        await client.start("get_status")
        with pytest.raises(ConnectionLostError):
            await asyncio.wait_for(anext(changes), SECONDS)
        await client.close()
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(anext(changes), SECONDS)

    asyncio.run(run())
    daemon.join()
