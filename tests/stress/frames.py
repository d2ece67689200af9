"""Sends the daemon malformed messages by the million on both kinds of connection, and looks that it stays as it was."""

from __future__ import annotations

import argparse
import contextlib
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import psutil

from protocol.errors import RpcError
from tests.stress.corpus import corpus, malformed, wrong_framing
from tests.stress.ground import Ground, Report, ground, percentile
from tests.stress.wire_client import FRAMINGS, WireClient, frame

CORPUS = 3_000  # messages at most; hypothesis takes six milliseconds for each
CONNECTIONS = 4  # at once
BATCH = 250  # messages between two that must be answered
BATCHES = 20  # on one connection
ANSWER_SECONDS = 60.0
GROWTH_LIMIT = 96 << 20  # bytes, of the daemon's memory from a twentieth of the messages on
LOOK_EVERY = 2.0  # seconds between well-behaved clients
WRONG_FIRST = (
    b"\xff\xfe",
    b"\0",
    b"GET / HTTP/1.1\r\n\r\n",
    b"]",
    b"}",
    b"true\n",
    b'"text"\n',
    b"Content-Length: x\r\n\r\n",
)


@dataclass
class _Count:
    """How many messages are left to send, shared by the connections."""

    left: int
    sent: int = 0
    connections: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def take(self, number: int) -> int:
        """Reserve some."""
        with self._lock:
            taken = min(number, self.left)
            self.left -= taken
            return taken

    def done(self, number: int) -> None:
        """So many were sent and the daemon went on after them."""
        with self._lock:
            self.sent += number


def frames(options: argparse.Namespace) -> Report:
    """Malformed messages: nothing crashes, nothing hangs, the next client is served as ever, memory stays bounded."""
    report = Report()
    found = corpus(min(CORPUS, 100 + options.frames // 50), options.seed)
    with ground() as here:
        with here.client() as client:
            trace_id = client.call("generate_and_capture", {"prompt": "before", "max_tokens": 1})["trace_id"]
            process = psutil.Process(client.call("get_status")["pid"])
        count = _Count(options.frames)
        begun = time.monotonic()
        senders = [
            threading.Thread(target=_guarded, args=(here, number, options, found, count, report), daemon=True)
            for number in range(CONNECTIONS)
        ]
        for sender in senders:
            sender.start()
        waits, memory = _watch(here, process, senders, count, trace_id, report)
        seconds = time.monotonic() - begun
        report.expect(count.sent == options.frames, f"only {count.sent} of {options.frames} messages were dealt with")
        settled = memory[len(memory) // 20 :] or memory
        growth = max(settled) - settled[0]
        report.expect(growth < GROWTH_LIMIT, f"the daemon grew by {growth >> 20} MiB")
        report.expect([item.pid for item in here.daemons()] == [process.pid], "the daemon is another")
    report.figures = {
        "frames": count.sent,
        "frames_a_second": round(count.sent / seconds),
        "connections": count.connections,
        "well_behaved_clients": len(waits),
        "served_ms_median": percentile(waits, 50),
        "served_ms_slowest": percentile(waits, 100),
        "memory_mib": [value >> 20 for value in memory[:: max(1, len(memory) // 20)]],
    }
    return report


def _watch(
    here: Ground,
    process: psutil.Process,
    senders: list[threading.Thread],
    count: _Count,
    trace_id: str,
    report: Report,
) -> tuple[list[float], list[int]]:
    """Until all is sent: how long well-behaved clients waited, and the daemon's memory in bytes."""
    waits: list[float] = []
    memory: list[int] = []
    while True:
        alive = any(sender.is_alive() for sender in senders)
        if len(report.failures) > 10:
            count.take(count.left)
        try:
            for framing in FRAMINGS:
                begun = time.monotonic()
                _behave(here, framing, trace_id, report)
                waits.append(time.monotonic() - begun)
            memory.append(process.memory_info().rss)
        except (OSError, RpcError, psutil.Error) as error:
            report.failures.append(f"a well-behaved client: {error!r}")
        if not alive:
            return waits, memory or [0]
        senders[0].join(LOOK_EVERY)


def _behave(here: Ground, framing: str, trace_id: str, report: Report) -> None:
    with WireClient(here.connect(), framing) as client:
        client.introduce("well behaved")
        prompt = client.call("get_summary", {"trace_id": trace_id}, seconds=ANSWER_SECONDS)["prompt"]
        report.expect(prompt == "before", f"a summary's prompt is {prompt!r}")
        answer = client.answer(client.send("no_such_method"), ANSWER_SECONDS)
        report.expect(answer["error"]["code"] == -32601, f"an unknown method is answered {answer}")


def _guarded(
    here: Ground, number: int, options: argparse.Namespace, found: list[bytes], count: _Count, report: Report
) -> None:
    chance = random.Random(options.seed * 1000 + number)
    texts = malformed(found, chance)
    framing = FRAMINGS[number % 2]
    try:
        while count.left and len(report.failures) < 10:
            _first_words(here, chance, count)
            _converse(here, framing, texts, chance, count, report)
    except Exception as error:  # noqa: BLE001 - whatever ends a sender is a failure of the test
        report.failures.append(f"{framing}: {error!r}")


def _first_words(here: Ground, chance: random.Random, count: _Count) -> None:
    """A connection that says something wrong before anything else, and goes."""
    taken = count.take(1)
    with here.connect() as connection, contextlib.suppress(ConnectionError):
        connection.sendall(chance.choice(WRONG_FIRST))
    count.done(taken)


def _converse(
    here: Ground, framing: str, texts: Iterator[bytes], chance: random.Random, count: _Count, report: Report
) -> None:
    """One connection: batches of messages, each followed by one that must be answered; at the end wrong framing."""
    count.connections += 1
    with here.connect() as connection:
        client = WireClient(connection, framing)
        if chance.random() < 0.8:
            client.introduce("malformed")
        else:  # it never says who it is, and only opens its connection
            client.write(frame(framing, {}))
        for batch in range(BATCHES):
            taken = count.take(BATCH)
            last = f"sentinel {batch}"
            data = b"".join(frame(framing, next(texts)) for _ in range(taken))
            request = {"jsonrpc": "2.0", "id": last, "method": "get_summary", "params": {"trace_id": "none"}}
            sending = threading.Thread(target=_send, args=(client, data + frame(framing, request)), daemon=True)
            sending.start()
            answered = _await(client, last, report)
            sending.join(ANSWER_SECONDS)
            count.done(taken)
            if not answered or not taken:
                break
        if framing == "editor":
            taken = count.take(1)
            _send(client, wrong_framing(next(texts), chance))
            count.done(taken)
        with contextlib.suppress(OSError):  # it has hung up
            connection.shutdown(socket.SHUT_WR)
        _drain(client)
        client.close()


def _send(client: WireClient, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        client.write(data)


def _await(client: WireClient, last: str, report: Report) -> bool:
    """Read until the sentinel is answered; False, and a failure, where it is not: no such message ends a connection."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while time.monotonic() < deadline:
        try:
            message = client.receive(ANSWER_SECONDS)
        except ConnectionError:
            report.failures.append(f"{client.framing}: the daemon hung up")
            return False
        except (ValueError, msgspec.DecodeError) as error:
            report.failures.append(f"{client.framing}: what the daemon sent is not JSON: {error}")
            return False
        if isinstance(message, dict) and message.get("id") == last:
            return True
    report.failures.append(f"{client.framing}: no answer for {ANSWER_SECONDS:.0f} s")
    return False


def _drain(client: WireClient) -> None:
    while True:
        try:
            client.receive(ANSWER_SECONDS)
        except ConnectionError:
            return
