"""A goodbye is seen in the bytes, in whatever pieces they come, and nothing else is taken for one."""

import json

import pytest

from daemon.launch.farewell import SMALL, Farewell


def framed(*messages: object) -> bytes:
    bodies = [json.dumps(message).encode() for message in messages]
    return b"".join(b"Content-Length: %d\r\n\r\n%b" % (len(body), body) for body in bodies)


def lines(*messages: object) -> bytes:
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


def request(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


LONG = request("generate_and_capture", prompt="shutdown exit " * SMALL)
SAID = request("generate_and_capture", prompt='{"method": "shutdown"} {"method": "exit"}')
EXIT = {"jsonrpc": "2.0", "method": "exit"}
CONVERSATIONS = {  # what was said; whether in an editor's way, with shutdown, with exit
    "nothing": (b" \r\n", (None, False, False)),
    "an editor in good order": (framed(request("initialize"), LONG, request("shutdown"), EXIT), (True, True, True)),
    "an editor without shutdown": (framed(request("initialize"), SAID, EXIT), (True, False, True)),
    "an editor that vanishes": (framed(request("initialize"), LONG, SAID), (True, False, False)),
    "a script": (lines(request("hello"), LONG, SAID), (False, False, False)),
    "a script that ends the daemon": (lines(LONG, request("shutdown", force=True)), (False, True, False)),
    "a batch": (b"\n" + lines([request("hello"), request("shutdown")]), (False, True, False)),
    "nonsense": (b"GET / HTTP/1.1\r\n\r\n" + framed(EXIT), (True, False, False)),
    "lower case": (framed(request("shutdown"), EXIT).replace(b"Content-L", b"content-l"), (True, True, True)),
    "a command": (framed(request("workspace/executeCommand", command="nanoscope.shutdown")), (True, False, False)),
    "no JSON": (b"{shutdown\n[exit\n{}\n[1]\n", (False, False, False)),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
@pytest.mark.parametrize("piece", [1, 7, 5000, 1 << 20])
def test_a_conversation(name, piece):
    data, expected = CONVERSATIONS[name]
    farewell = Farewell()
    for place in range(0, len(data), piece):
        farewell.feed(data[place : place + piece])
        assert len(farewell._rest) <= max(2 * SMALL, piece)
    assert (farewell.editor, farewell.shutdown, farewell.exit) == expected
    assert farewell.command == (name == "a command")
