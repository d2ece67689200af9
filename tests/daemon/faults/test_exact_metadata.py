"""Metadata through the daemon and its clients: exact everywhere, or refused before anything is saved."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from daemon.client.sync import Client
from protocol.errors import RpcError
from tests.daemon.running import DaemonProcess, running_daemon
from tests.stress.wire_client import FRAMINGS, WireClient, frame

GENERATE = "generate_and_capture"
EXACT = {
    "uuid": 329800735698586629295641978511506172918,
    "huge": 10**400,
    "most": -(10**1000) + 1,
    "nested": [{"deep": [2**64, -(2**63) - 1, 2**53 + 1]}],
    "zero": -0.0,
    "é😀": "\x00 ",
}
MB = 1 << 20


@pytest.fixture(scope="module")
def process() -> Iterator[DaemonProcess]:
    with running_daemon() as running:
        yield running


def captured(params: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": "The capital of France is", "max_tokens": 1} | params


@pytest.mark.parametrize("format", ["json", "safetensors"])
@pytest.mark.parametrize("framing", FRAMINGS)
def test_it_is_the_same_in_the_answer_and_in_every_reading(process: DaemonProcess, framing: str, format: str) -> None:
    with WireClient(process.connect(), framing) as client:
        client.introduce("exact")
        made = client.call(GENERATE, captured({"metadata": EXACT, "format": format}))
        trace = {"trace_id": made["trace_id"]}
        own = {"model_source": "demo", "temperature": 0.6}
        for found in (
            made["metadata"],
            made["summary"]["metadata"],
            client.call("get_summary", trace)["metadata"],
            client.call("analyze_trace", trace)["metadata"],
        ):
            assert repr(found) == repr(own | EXACT)
        assert client.call("list_traces", {"text": made["trace_id"]})["traces"][0]["readable"]


def test_the_python_client_and_the_command_line_have_it_exactly(process: DaemonProcess) -> None:
    with Client(process.settings) as client:
        made = client.generate_and_capture("exact", metadata=EXACT, max_tokens=1)
        read = client.call("get_summary", {"trace_id": made.trace_id})
        assert made.metadata["huge"] == read.metadata["huge"] == 10**400
    words = ["capture", "exact", "--max-tokens", "1", "--json", "--metadata", f"n={10**400}", "--metadata", "x=NaN"]
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *words], env=process.environment, capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)["metadata"]
    assert (found["n"], found["x"]) == (10**400, "NaN")


REFUSED = [
    (b"1" + b"0" * 1000, "SETTING_INVALID"),
    (b"1" + b"0" * 5000, "INVALID_PARAMS"),
    (b"1e400", "INVALID_PARAMS"),
    (b"[-1e999]", "INVALID_PARAMS"),
    (b"NaN", "INVALID_PARAMS"),
    (b'{"x": -Infinity}', "INVALID_PARAMS"),
    (b'"\\ud83d"', "INVALID_PARAMS"),
    (b'{"\\ude00": 1}', "INVALID_PARAMS"),
    (b"[" * 70 + b"]" * 70, "SETTING_INVALID"),
    (b'"' + b"x" * (2 * MB) + b'"', "SETTING_INVALID"),
    (b'"' + b"x" * 12_700_000 + b'"', "SETTING_INVALID"),
]


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(("value", "error"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_kept_is_refused_under_its_id_and_nothing_is_saved(
    process: DaemonProcess, framing: str, value: bytes, error: str
) -> None:
    with WireClient(process.connect(), framing) as client:
        client.introduce("refused")
        before = client.call("list_traces")["total"]
        asked = {"jsonrpc": "2.0", "id": "x", "method": GENERATE, "params": captured({"metadata": {"k": "VALUE"}})}
        client.write(frame(framing, json.dumps(asked).encode().replace(b'"VALUE"', value)))
        refused = client.answer("x")["error"]
        assert refused["data"]["name"] == error
        assert "k" in refused["message"] and len(refused["message"]) < 500
        assert client.call("list_traces")["total"] == before


@pytest.mark.parametrize(
    "metadata",
    [
        {"x": float("nan")},
        {"x": [float("inf")]},
        {"x": "\ud83d"},
        {"x": 10**5000},
        {1: "a", "1": "b"},
        {"x": {None: 1}},
    ],
)
def test_the_python_client_sends_nothing_else_than_it_was_given(process: DaemonProcess, metadata: Any) -> None:
    with Client(process.settings) as client:
        with pytest.raises(RpcError) as refused:
            client.generate_and_capture("x", metadata=metadata, max_tokens=1)
        assert refused.value.name == "INVALID_PARAMS"
        with pytest.raises(RpcError):
            client.generate_and_capture("half \ud83d", max_tokens=1)
        assert client.call("get_status").pid == process.pid


def test_the_largest_prompt_and_metadata_fit_into_the_answer(process: DaemonProcess) -> None:
    """What is taken is answered: texts of which every character takes six bytes."""
    with WireClient(process.connect()) as client:
        client.introduce("large")
        made = client.call(GENERATE, captured({"metadata": {"k": "\x01" * (2 * MB // 6 - 10)}}))
        assert made["metadata"]["k"] == made["summary"]["metadata"]["k"]
        refused = client.answer(client.send(GENERATE, {"prompt": "\x01" * 1_000_000, "max_tokens": 1}))
        assert refused["error"]["data"]["name"] == "PROMPT_TOO_LONG"
        assert len(refused["error"]["message"]) < 500
