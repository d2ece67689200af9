"""`nanoscope stdio --private`: one client served from this process, with no daemon, no socket file and no lock."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Mapping

from daemon.launch.stdio import fail, pump
from daemon.launch.surroundings import take_own
from daemon.log import log_to_stderr
from daemon.server.serving import DEADLINE_SECONDS, end_on_signals, log_exception, one_line, set_last_limit
from daemon.settings import Settings, load_settings, read_flags
from daemon.wire.introduction import introduction_line
from nanochat.system.standard_streams import STDIN
from protocol.errors import RpcError


def main(words: list[str], output: int) -> int:
    """Serve one client on stdin and on the descriptor `output`; the exit status is that of the pump."""
    try:
        settings, origins = load_settings(read_flags(words))
    except RpcError as error:
        return fail(error, 2)
    return serve_private(settings, origins, STDIN, output)


def serve_private(settings: Settings, origins: Mapping[str, str], source: int, target: int) -> int:
    """Serve one client on two descriptors from this process, with no daemon, no socket file and no lock.

    Returns:
        The exit status.
    """
    log_to_stderr(logging.WARNING)
    take_own()
    ours, theirs = socket.socketpair()
    ours.sendall(introduction_line(settings))
    status: list[int] = []
    stopped: list[bool] = []  # by a signal, to end

    def copy() -> None:
        status.append(pump(ours, source, target, hung_up=lambda: 0 if stopped else 1))

    copying = threading.Thread(target=copy, name="stdout", daemon=True)
    with ours:
        copying.start()
        try:
            with theirs:
                asyncio.run(_serve_one(settings, origins, theirs, stopped))
        except (RpcError, OSError) as error:
            fail(f"--private: {one_line(error)}", 1)
            status.append(1)
        copying.join()
    return status[0]


async def _serve_one(
    settings: Settings, origins: Mapping[str, str], connection: socket.socket, stopped: list[bool]
) -> None:
    from daemon.server.listener import serve_streams
    from daemon.server.state import ServerState

    asyncio.get_running_loop().set_exception_handler(log_exception)
    state = ServerState(settings, origins)
    end_on_signals(state.stopping)
    reader, writer = await asyncio.open_connection(sock=connection)
    try:
        await state.start()
        serving = asyncio.ensure_future(serve_streams(state, reader, writer))
        stopping = asyncio.ensure_future(state.stopping.wait())
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        if state.stopping.is_set():
            stopped.append(True)
        stopping.cancel()
    finally:
        set_last_limit(DEADLINE_SECONDS)
        await state.stop(DEADLINE_SECONDS)
        writer.close()
    await serving
