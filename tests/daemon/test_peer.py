"""Who is at the other end: of a Unix socket, and of others, where nobody tells."""

import os
import socket

from daemon.peer import peer_of


def test_the_other_end_of_a_unix_socket_is_known() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer_of(one) == (os.getpid(), os.getuid())


def test_of_tcp_nothing_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as connection:
        assert peer_of(connection) is None
