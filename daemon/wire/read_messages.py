"""What one client sends, message by message, at a pace that leaves the others their turn."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator

from daemon.wire.decoding import SLICE, Checked, check_slices
from daemon.wire.framing import Frames, FramingError
from daemon.wire.outbox import StreamOutbox

CHUNK = 1 << 16  # bytes
TURN = 32  # messages of one client before the others are looked at


async def incoming(
    reader: asyncio.StreamReader, frames: Frames, first: bytes, outbox: StreamOutbox
) -> AsyncIterator[bytes | FramingError]:
    """The bodies and framing errors that come in, until the client ends or a fatal error.

    Nothing is read while the client itself does not read.

    Args:
        first: what has been read already.
    """
    frames.feed(first)
    ended, count = False, 0
    while True:
        while (frame := frames.next()) is not None:
            yield await _checked(frame) if isinstance(frame, bytes) and len(frame) > SLICE else frame
            if isinstance(frame, FramingError) and frame.fatal:
                return
            count += 1
            if count % TURN == 0:
                await asyncio.sleep(0)
        if ended:
            return
        await outbox.room()
        data = await read(reader)
        if data:
            frames.feed(data)
        else:
            frames.end()
            ended = True


async def _checked(body: bytes) -> bytes | FramingError:
    """A long body, or what is wrong with it, with the others' turns in between."""
    try:
        for _ in check_slices(body):
            await asyncio.sleep(0)
    except FramingError as error:
        return error
    return Checked(body)


async def read(reader: asyncio.StreamReader, size: int = CHUNK) -> bytes:
    """What has arrived, at least a byte; nothing when nothing more will."""
    try:
        return await reader.read(size)
    except OSError:  # reset
        return b""


def hung_up(writer: asyncio.StreamWriter) -> bool:
    """Whether the client is gone, rather than done with sending. (Over TCP the two look alike until one writes.)"""
    connection = writer.get_extra_info("socket") or writer.get_extra_info("pipe")
    if writer.transport.is_closing():
        return True
    if connection is None or not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(connection.fileno(), 0)  # POLLHUP and POLLERR come without being asked for
    return bool(poll.poll(0))
