"""The daemon suite's rows: how quickly it starts, answers, lists, reads and cancels."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.benchmarks.daemon_side import DaemonSide, daemon_side
from scripts.benchmarks.measuring import Row, seconds_of, timed
from scripts.benchmarks.traces import write_many
from scripts.line_client import LineClient

PROMPT = "The capital of France is"
LONG = {"prompt": "apple, river, stone, apple, river,", "max_tokens": 240, "temperature": 1.0, "top_k": 0}
TRACES = 10_000
MEGABYTE = 1_000_000
DISTINCT = 50  # files that are really written; the other names are links to them


class Bench(NamedTuple):
    """What a measurement gets: a folder of its own, and how often to measure."""

    work: Path
    repeats: int


def percentiles(name: str, what: str, milliseconds: Sequence[float], limits: dict[int, float]) -> Iterator[Row]:
    """A row for each percentile that has a limit, in ms."""
    for percent, limit in limits.items():
        value = float(np.percentile(milliseconds, percent))
        note = f"{len(milliseconds):,} calls, slowest {max(milliseconds):.1f}"
        yield Row(name, f"{what}, p{percent}", (value,), "ms", limit, note)


def round_trip(bench: Bench) -> Iterator[Row]:
    """get_status by one client, nothing else going on."""
    with daemon_side(bench.work) as side:
        client = side.client()
        side.ready(client)
        taken = timed(lambda: client.call("get_status"), 300 * bench.repeats)
        client.close()
    yield from percentiles("status", "get_status", taken, {50: 0.5, 99: 5.0})


def listing(bench: Bench) -> Iterator[Row]:
    """A page of 100 with 10,000 traces there."""
    folder = bench.work / "many"
    write_many(folder, bench.work / "many.sqlite3", TRACES)
    with daemon_side(bench.work, folder) as side:
        client = side.client()
        side.ready(client)
        assert client.call("list_traces")["total"] == TRACES
        taken = timed(lambda: client.call("list_traces", {"limit": 100}), 20 * bench.repeats)
        client.close()
    yield Row("list", f"list_traces, 100 of {TRACES:,}, warm", taken, "ms", 5.0)


def first_scan(bench: Bench) -> Iterator[Row]:
    """A new daemon's first listing of 10,000 traces of a megabyte."""
    folder = bench.work / "large"
    write_large(folder, TRACES)
    with daemon_side(bench.work, folder) as side:
        client = side.client()
        started = time.perf_counter()
        while client.call("list_traces", {"limit": 1})["total"] < TRACES:
            time.sleep(0.05)
        seconds = time.perf_counter() - started
        client.close()
    note = f"{DISTINCT} files, the other names are links to them"
    yield Row("scan", f"first scan of {TRACES:,} × 1 MB", (seconds,), "s", 10.0, note)


def write_large(folder: Path, count: int) -> None:
    """Many JSON traces of a megabyte; most are hard links."""
    from nanochat.trace_storage import TraceStorage

    numbers = np.random.default_rng(0)
    storage = TraceStorage(folder, catalogue=folder.parent / "large.sqlite3")
    tensors = {"token_embeddings": numbers.standard_normal((1, 90, 1024), dtype=np.float32)}
    tokens = {"input_tokens": list(range(80)), "output_tokens": list(range(11))}
    made = [
        storage.path_of(storage.create_trace({"prompt": PROMPT, "response": "x", "tokens": tokens}, tensors))
        for _ in range(DISTINCT)
    ]
    storage.catalogue.close()
    assert 0.8 * MEGABYTE < made[0].stat().st_size < 1.3 * MEGABYTE, made[0].stat().st_size
    for number in range(count - DISTINCT):
        (folder / f"trace_20250101_000000_{number:06d}.json").hardlink_to(made[number % DISTINCT])


def reads(bench: Bench) -> Iterator[Row]:
    """Each kind of read by one client while another's generations run without a pause."""
    with daemon_side(bench.work) as side:
        writer, reader = side.client(), side.client()
        side.ready(reader)
        trace_id = reader.call("generate_and_capture", {"prompt": PROMPT, "max_tokens": 32})["trace_id"]
        trace = {"trace_id": trace_id}
        head = trace | {"name": "attention_weights", "layer": 2, "head": 0, "encoding": "base64"}
        kinds: dict[str, dict[str, Any]] = {
            "get_status": {}, "list_traces": {}, "get_summary": trace, "get_tokens": trace, "get_tensor": head,
            "analyze_trace": trace,
        }  # fmt: skip
        taken: list[float] = []
        with writing(writer):
            for _ in range(40 * bench.repeats):
                for method, params in kinds.items():
                    taken.append(1e3 * seconds_of(lambda method=method, params=params: reader.call(method, params)))
        reader.close()
    yield from percentiles("reads", "any read while a generation runs", taken, {50: 25.0, 99: 25.0})


@contextmanager
def writing(client: LineClient) -> Iterator[None]:
    """Generations one after another, in a thread, for as long as the block runs."""
    end = threading.Event()

    def generate() -> None:
        seed = 0
        while not end.is_set():
            client.call("generate_and_capture", LONG | {"seed": seed, "format": "safetensors"})
            seed += 1

    thread = threading.Thread(target=generate)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
        client.close()


def cancel(bench: Bench) -> Iterator[Row]:
    """From `cancel` to the CANCELLED reply, less the time of a token."""
    taken: list[float] = []
    tokens: list[float] = []
    with daemon_side(bench.work) as side:
        client = side.client()
        side.ready(client)
        for seed in range(1000):
            if len(taken) == 10 * bench.repeats:
                break
            number = client.send("generate_and_capture", LONG | {"seed": seed, "stream": True})
            times: list[float] = []
            for message in client.messages():
                if message.get("method") == "generation_progress":
                    times.append(time.perf_counter())
                    if len(times) == 20:
                        break
                elif message.get("id") == number:
                    break
            if len(times) < 20:
                continue  # it ended by itself
            started = time.perf_counter()
            client.send("cancel", {"id": number})
            response = client.answer(number)
            if "error" not in response:
                continue  # it had ended before the cancel came
            assert response["error"]["code"] == -32800, response
            taken.append(1e3 * (time.perf_counter() - started))
            tokens.append(1e3 * float(np.median(np.diff(times))))
        client.close()
    token = float(np.median(tokens))
    values = tuple(value - token for value in taken)
    yield Row("cancel", "cancel to reply, above one token's time", values, "ms", 10.0, f"a token takes {token:.1f} ms")


def start(bench: Bench) -> Iterator[Row]:
    """From the start of `nanoscope stdio` to `initialize` answered: with a daemon and without; then to the model."""
    warm: list[float] = []
    cold: list[float] = []
    ready: list[float] = []
    for _ in range(bench.repeats):
        with daemon_side(bench.work) as side:
            cold_seconds, ready_seconds = conversation(side, wait_for_model=True)
            cold.append(cold_seconds)
            ready.append(ready_seconds)
            for _ in range(3):
                warm.append(conversation(side)[0])
    yield Row("start", "stdio to initialize, daemon running", tuple(warm), "s", 0.2)
    yield Row("start", "stdio to initialize, cold", tuple(cold), "s", 1.0)
    yield Row("start", "stdio to the model ready, cold", tuple(ready), "s", 4.0)


def conversation(side: DaemonSide, wait_for_model: bool = False) -> tuple[float, float]:
    """Seconds to the answer of initialize, and to the model's being ready."""
    started = time.perf_counter()
    process = side.pump()
    request = {"processId": None, "rootUri": None, "capabilities": {}}
    write_frame(process, {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": request})
    read_answer(process, 0)
    initialized = time.perf_counter() - started
    write_frame(process, {"jsonrpc": "2.0", "method": "initialized", "params": {}})
    number = 0
    while wait_for_model:
        number += 1
        write_frame(process, {"jsonrpc": "2.0", "id": number, "method": "get_status", "params": {}})
        if read_answer(process, number)["result"]["model"]["state"] == "ready":
            break
        time.sleep(0.02)
    ready = time.perf_counter() - started
    assert process.stdin and process.stdout
    process.stdin.close()
    process.stdout.close()
    process.wait()
    return initialized, ready


def write_frame(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    """One message as editors frame it."""
    assert process.stdin
    body = json.dumps(message).encode()
    process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    process.stdin.flush()


def read_answer(process: subprocess.Popen[bytes], number: int) -> dict[str, Any]:
    """The response to a request."""
    assert process.stdout
    while True:
        length = 0
        while (line := process.stdout.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        if not length:
            raise ConnectionError("The daemon hung up before it answered.")
        message = json.loads(process.stdout.read(length))
        if message.get("id") == number and "method" not in message:
            return message


MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "status": round_trip,
    "list": listing,
    "scan": first_scan,
    "reads": reads,
    "cancel": cancel,
    "start": start,
}


def measure(work: Path, only: Sequence[str] | None, repeats: int, doing: Callable[[str], Any]) -> list[Row]:
    """The rows that were asked for, each in a folder of its own; what fails is a row with its problem."""
    unknown = set(only or ()) - MEASUREMENTS.keys()
    if unknown:
        return [Row(name, "", problem=f"no such row; there are {', '.join(MEASUREMENTS)}") for name in sorted(unknown)]
    rows: list[Row] = []
    for name, measurement in MEASUREMENTS.items():
        if only and name not in only:
            continue
        doing(name)
        folder = work / name
        folder.mkdir(parents=True, exist_ok=True)
        try:
            rows += measurement(Bench(folder, repeats))
        except (AssertionError, OSError, RuntimeError) as error:
            rows.append(Row(name, measurement.__doc__ or "", problem=f"{type(error).__name__}: {error}"))
    return rows
