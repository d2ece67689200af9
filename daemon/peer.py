"""Who is at the other end of a Unix socket, where the system tells."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from asyncio.trsock import TransportSocket

CREDENTIALS = struct.Struct("3i")  # process, user, group


class Peer(NamedTuple):
    """A process and its user, as they were when it connected or began to listen."""

    process: int
    user: int


def peer_of(connection: socket.socket | TransportSocket) -> Peer | None:
    """Who is at the other end; None where that is not known."""
    if not hasattr(socket, "SO_PEERCRED") or connection.family != socket.AF_UNIX:
        return None
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    process, user, _ = CREDENTIALS.unpack(packed)
    return Peer(process, user)
