"""What clients may do wrong to a real daemon: each answered as it should be, and everybody else served as before."""

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from protocol.errors import ERRORS
from tests.daemon.running import DaemonProcess, running_daemon
from tests.stress.wire_client import FRAMINGS, WireClient, frame

SOON = 30.0  # seconds: far more than anything here takes on a quiet machine
NOBODY = 65534
MIB = 1 << 20
STATUS = {"jsonrpc": "2.0", "id": "after", "method": "get_status", "params": {}}


@dataclass(frozen=True)
class Shared:
    """A daemon, and somebody who uses it all the time."""

    process: DaemonProcess
    bystander: WireClient

    def client(self, framing: str) -> WireClient:
        """A new client, which has said nothing yet."""
        return WireClient(self.process.connect(), framing)

    @contextmanager
    def all_others_served(self) -> Iterator[None]:
        """What happens within does not keep the daemon from serving an old client and a new one."""
        yield
        assert self.bystander.call("get_status", seconds=SOON)["pid"] == self.process.pid
        with self.client("editor") as client:
            client.introduce("new")
            assert client.call("get_status", seconds=SOON)["pid"] == self.process.pid


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """One daemon for all of these: none of them may harm the next."""
    with running_daemon() as process, WireClient(process.connect()) as bystander:
        bystander.introduce("bystander")
        yield Shared(process, bystander)


def request(method: object, params: object = None, **members: object) -> dict:
    """A request whose id is 7 unless told."""
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params or {}} | members


@dataclass(frozen=True)
class Fault:
    """Something wrong that is said, and the errors that answer it, with their ids."""

    name: str
    said: bytes | Callable[[str], bytes]
    answers: tuple[tuple[str, object], ...]
    introduced: bool = True
    ends: bool = False  # the connection


def body(message: object) -> Callable[[str], bytes]:
    """A message in its framing."""
    return lambda framing: frame(framing, message)


PARSE = (("PARSE_ERROR", None),)
NONE_OF = (("INVALID_REQUEST", None),)
NAN = b'{"jsonrpc": "2.0", "id": 7, "method": "get_status", "params": {"settings": NaN}}'
FAULTS = (
    Fault("malformed JSON", body(b'{"jsonrpc":'), PARSE),
    Fault("bad UTF-8", body(b'{"jsonrpc": "2.0", "id": 7, "method": "\xff"}'), (("PARSE_ERROR", 7),)),
    Fault("NaN", body(NAN), (("INVALID_PARAMS", 7),)),
    Fault("a number beyond a double", body(NAN.replace(b"NaN", b"1e400")), (("INVALID_PARAMS", 7),)),
    Fault("half a character", body(NAN.replace(b"NaN", b'"\\ud83d"')), (("INVALID_PARAMS", 7),)),
    Fault("JSON that ends too soon", body(NAN[:-5]), (("PARSE_ERROR", 7),)),
    Fault("deep nesting", body(b'{"id":' + b"[" * 101 + b"]" * 101 + b"}"), PARSE),
    Fault("deep nesting with an id", body(NAN.replace(b"NaN", b"[" * 101 + b"]" * 101)), (("PARSE_ERROR", 7),)),
    Fault("too many values", body(NAN.replace(b"NaN", b"[1" + b",1" * 500_001 + b"]")), (("TOO_LARGE", 7),)),
    Fault("very deep nesting", body(b'{"id":' + b"[" * 100_000), PARSE),
    Fault("a giant body", body(b'{"a":"' + b"x" * 16 * MIB + b'"}'), (("TOO_LARGE", None),)),
    Fault("a giant request", body(request("get_summary", {"trace_id": "x" * 17 * MIB})), (("TOO_LARGE", 7),)),
    Fault("a text over its limit", body(request("get_summary", {"trace_id": "x" * 201})), (("INVALID_PARAMS", 7),)),
    Fault("NUL in a path", body(request("hello", {"traces_dir": "/x/\0x"})), (("INVALID_PARAMS", 7),)),
    Fault("an unknown method", body(request("no_such_method")), (("METHOD_NOT_FOUND", 7),)),
    Fault("an unknown parameter", body(request("get_status", {"colour": 1})), (("INVALID_PARAMS", 7),)),
    Fault("a mistyped parameter", body(request("list_traces", {"limit": "ten"})), (("INVALID_PARAMS", 7),)),
    Fault("a missing parameter", body(request("get_summary")), (("INVALID_PARAMS", 7),)),
    Fault("parameters by position", body(request("get_summary", ["x"])), (("INVALID_PARAMS", 7),)),
    Fault("parameters that are none", body(request("get_status", "x")), (("INVALID_REQUEST", 7),)),
    Fault("another version", body(request("get_status", jsonrpc="1.0")), (("INVALID_REQUEST", 7),)),
    Fault("a method that is a number", body(request(5)), (("INVALID_REQUEST", 7),)),
    Fault("an id that is an object", body(request("get_status", id={})), NONE_OF),
    Fault("an empty batch", body([]), NONE_OF),
    Fault("a trace id that is a path", body(request("get_summary", {"trace_id": "../x"})), (("TRACE_ID_INVALID", 7),)),
)
EDITOR_FAULTS = (
    Fault("before initialize", body(request("get_status")), (("SERVER_NOT_INITIALIZED", 7),), introduced=False),
    Fault("another protocol", b"GET / HTTP/1.1\r\n\r\n", PARSE, introduced=False, ends=True),
    Fault("a length in words", b"Content-Length: ten\r\n\r\n{}", PARSE, ends=True),
    Fault(
        "a foreign charset",
        b"Content-Type: application/vscode-jsonrpc; charset=latin1\r\n" + frame("editor", request("get_status")),
        (("PARSE_ERROR", 7),),
    ),
    Fault("a negative length", b"Content-Length: -5\r\n\r\n{}", PARSE, ends=True),
    Fault("no length", b"Content-Type: json\r\n\r\n{}", PARSE, ends=True),
    Fault("a giant header", b"X-Header: " + b"x" * 5000, PARSE, ends=True),
    Fault("many headers", b"X-Header: x\r\n" * 1000, PARSE, ends=True),
    Fault("an absurd length", b"Content-Length: 9999999999\r\n\r\n{", (("TOO_LARGE", None),), ends=True),
)
CASES = [(fault, framing) for fault in FAULTS for framing in FRAMINGS] + [(fault, "editor") for fault in EDITOR_FAULTS]


@pytest.mark.parametrize(("fault", "framing"), CASES, ids=lambda value: getattr(value, "name", value))
def test_what_is_wrong_is_answered_by_its_error(shared, fault, framing):
    with shared.all_others_served(), shared.client(framing) as client:
        if fault.introduced:
            client.introduce("faulty")
        client.write(fault.said(framing) if callable(fault.said) else fault.said)
        answers = [client.response(SOON) for _ in fault.answers]
        assert [(answer["error"]["code"], answer["id"]) for answer in answers] == [
            (ERRORS[name].code, identifier) for name, identifier in fault.answers
        ]
        assert all(answer["error"]["message"] and "Traceback" not in str(answer) for answer in answers)
        if fault.ends:
            with pytest.raises(ConnectionError):
                client.response(SOON)
        elif fault.introduced:
            client.write(frame(framing, STATUS))
            assert client.answer("after", SOON)["result"]["pid"] == shared.process.pid


def test_a_batch_with_bad_entries_is_answered_entry_by_entry(shared):
    batch = [request("get_status", id="good"), 1, request("no_such_method", id="unknown"), {"id": "nothing"}]
    notification = {"jsonrpc": "2.0", "method": "get_status"}
    with shared.all_others_served(), shared.client("line") as client:
        client.write(frame("line", [*batch, notification]))
        answers = {answer["id"]: answer for answer in client.response(SOON)}
    assert {key: answer.get("error", {}).get("code") for key, answer in answers.items()} == {
        "good": None, None: -32600, "unknown": -32601, "nothing": -32600,
    }  # fmt: skip
    assert answers["good"]["result"]["pid"] == shared.process.pid


@pytest.mark.parametrize("framing", FRAMINGS)
def test_an_id_that_is_in_use_is_refused_and_its_first_request_answered(shared, framing):
    capture = request("generate_and_capture", {"prompt": "The first", "max_tokens": 3}, id="same")
    with shared.all_others_served(), shared.client(framing) as client:
        client.introduce("twice")
        client.write(frame(framing, capture) + frame(framing, request("get_status", id="same")))
        refused, answered = client.answer("same"), client.answer("same")
    assert refused["error"]["code"] == -32600
    assert answered["result"]["prompt"] == "The first"


def test_a_client_that_never_reads_makes_nobody_wait(shared):
    """It is not read itself once its answers pile up, so that what it costs is bounded."""
    shared.bystander.call("generate_and_capture", {"prompt": "The model is in memory", "max_tokens": 1})
    before = shared.bystander.call("get_status")["memory"]
    ask = frame("line", request("rpc.discover"))
    with shared.all_others_served(), shared.client("line") as client:
        client.connection.setblocking(False)
        sent = _send_until_blocked(client.connection, ask * 100, most=400 * MIB)
        assert sent < 20 * MIB
        for _ in range(20):
            begun = time.monotonic()
            memory = shared.bystander.call("get_status")["memory"]
            assert time.monotonic() - begun < 1
        assert memory - before < 50 * MIB


def _send_until_blocked(connection: socket.socket, data: bytes, most: int) -> int:
    sent = 0
    while sent < most and select.select([], [connection], [], 1)[1]:
        sent += connection.send(data)
    return sent


HALVES = (
    ("line", b'{"jsonrpc": "2.0", "id": 1, "meth'),
    ("editor", b"Content-Le"),
    ("editor", b"Content-Length: 50\r\n\r\n{"),
)


@pytest.mark.parametrize(("framing", "words"), HALVES)
def test_a_client_that_vanishes_in_mid_frame_is_gone(shared, framing, words):
    with shared.all_others_served():
        with shared.client(framing) as client:
            client.introduce("vanishing")
            client.write(words)
        _wait_until_alone(shared)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_work_of_a_client_that_vanishes_is_cancelled(shared, framing):
    shared.bystander.call("generate_and_capture", {"prompt": "The model is there", "max_tokens": 1})
    with shared.all_others_served():
        with shared.client(framing) as client:
            client.introduce("vanishing")
            for _ in range(5):
                client.send("generate_and_capture", {"prompt": f"For a {framing} that goes", "max_tokens": 200})
        _wait_until_alone(shared)
        queue = shared.bystander.call("get_status")["queue"]
        while queue["running"]:  # its last token
            queue = shared.bystander.notification("status_changed", SOON)["queue"]
        assert queue["waiting"] == 0
        assert shared.bystander.call("list_traces", {"text": f"For a {framing} that goes"})["total"] < 5


def _wait_until_alone(shared: Shared) -> None:
    """The daemon says when sessions come and go."""
    while len(shared.bystander.call("get_status")["sessions"]) > 1:
        shared.bystander.notifications.clear()
        shared.bystander.notification("status_changed", SOON)


CALL_AS = """
import os, socket, sys
os.setgroups([]), os.setgid({user}), os.setuid({user})
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(sys.argv[1])
    connection.sendall(b'{{"jsonrpc": "2.0", "id": 1, "method": "get_status"}}\\n')
    print(connection.recv(1000) or "turned away")
except ConnectionError:
    print("turned away")
except PermissionError:
    print("kept out")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
def test_another_user_is_kept_out_by_the_folder_and_turned_away_at_the_door(shared):
    folder, socket_path = shared.process.folder.path, shared.process.folder.socket
    command = [sys.executable, "-c", CALL_AS.format(user=NOBODY), str(socket_path)]

    def call() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=SOON).stdout.strip()

    with shared.all_others_served():
        assert call() == "kept out"
        opened = ((folder.parent, 0o711), (folder, 0o711), (socket_path, 0o666))
        before = [(path, path.stat().st_mode & 0o777) for path, _ in opened]
        try:
            for path, mode in opened:
                path.chmod(mode)
            assert call() == "turned away"
        finally:
            for path, mode in before:
                path.chmod(mode)
