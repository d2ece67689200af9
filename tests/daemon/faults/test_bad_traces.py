"""Traces that are no good, and very many of them, cost no other trace its lens, hint or hover."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import msgspec
import numpy as np
import pytest

from daemon.editor.captures import Captures
from daemon.editor.prompt_parser import parse
from nanochat.trace_storage import TraceEntry
from nanochat.traces.catalogue import FileKey
from tests.daemon.editor.test_documents import URI, capture, storage, with_client
from tests.daemon.lsp_client import LspClient
from tests.daemon.running import DaemonProcess, running_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running_daemon() as process:
        process.call("generate_and_capture", {"prompt": "ready", "max_tokens": 1})
        yield process


BIG = 10**400


def spoiled(document: dict[str, Any], how: str) -> dict[str, Any]:
    """A trace's document with one thing wrong that is none of ours."""
    generation = document["generation"]
    wrong: dict[str, Any] = {
        "timings": {"generation": generation | {"timings": {"prefill_seconds": BIG, "decode_seconds": 1}}},
        "not a number": {"generation": generation | {"timings": {"prefill_seconds": "x", "decode_seconds": True}}},
        "seed": {"generation": generation | {"seed": BIG}},
        "settings of any form": {"generation": generation | {"max_tokens": [1], "top_k": {}, "temperature": "0"}},
        "no generation": {"generation": [BIG]},
        "metadata": {"metadata": {"big": BIG}},
        "messages": {"messages": [BIG]},
        "response": {"response": BIG},
        "long response": {"response": "x" * 300_000},
        "tokens": {"tokens": {"input_tokens": [[BIG]], "output_tokens": [[BIG]]}},
        "texts": {"tokens": document["tokens"] | {"input_text": [BIG], "output_text": BIG}},
        "long texts": {"tokens": document["tokens"] | {"input_text": ["x" * 100_000] * 2}},
        "analysis": {"analysis": {"logits": {"surprisal_per_token": [BIG], "prompt": {"surprisal_per_token": [BIG]}}}},
        "alternatives": {"analysis": {"logits": {"prompt": {"top_tokens_per_position": [
            [{"id": 1, "text": "x" * 10_000, "probability": 0.1}] * 10_000] * 3}}}},
        "data_info": {"data_info": {"tensors": BIG, "num_layers": "x"}},
        "timestamp": {"timestamp": "9" * 5000},
        "category": {"category": BIG},
        "half characters": {"response": "\ud83d"},
    }  # fmt: skip
    return document | wrong[how]


WRONG = (
    "timings", "not a number", "seed", "settings of any form", "no generation", "metadata", "messages", "response",
    "long response", "tokens", "texts", "long texts", "analysis", "alternatives", "data_info", "timestamp", "category",
    "half characters",
)  # fmt: skip


def test_a_bad_trace_costs_itself_alone(daemon: DaemonProcess, tmp_path: Path) -> None:
    sections = [f"max_tokens: 1\nseed: {seed}\nsome text\n---\n" for seed in range(len(WRONG) + 1)]
    last = 4 * len(WRONG) + 2  # the line of the last prompt, whose trace is good

    async def test(client: LspClient) -> None:
        client.open(URI, "".join(sections))
        await capture(client, index=len(WRONG))
        (good,) = (tmp_path / "traces").glob("*.json")
        whole = json.loads(good.read_text())
        for seed, how in enumerate(WRONG):
            whole["generation"]["seed"] = seed
            text = json.dumps(spoiled(whole, how) | {"trace_id": f"bad_{seed}"})
            good.with_name(f"bad_{seed}.json").write_text(text)
        names = {f"bad_{seed}" for seed in range(len(WRONG))}
        await client.until(lambda: {name for told in client.of("traces_changed") for name in told.added} >= names)
        titles = await client.titles(URI)
        assert titles[-3:-1] == ["Capture", "Show trace"] and titles[-1].startswith("1 token")
        assert [hint.position.line for hint in await client.hints(URI)][-1] == last
        assert "token" in (await client.hover(URI, last, 1)).contents.value
        for line in range(2, last, 4):
            said = await client.hover(URI, line, 1)
            assert said is None or len(said.contents.value) < 20_000

    with_client(daemon, tmp_path, test)


def test_an_integer_that_no_reader_takes_costs_its_own_trace_alone(daemon: DaemonProcess, tmp_path: Path) -> None:
    told_of = {"traces_dir": str(tmp_path / "traces"), "notifications": False}
    hello = {"jsonrpc": "2.0", "id": 0, "method": "hello", "params": told_of}
    params = f'{{"prompt": "bad one", "max_tokens": 1, "metadata": {{"k": {BIG}}}}}'
    request = f'{{"jsonrpc": "2.0", "id": 1, "method": "generate_and_capture", "params": {params}}}'
    with daemon.connect() as script, script.makefile("rb") as told:
        for line in (msgspec.json.encode(hello), request.encode()):
            script.sendall(line + b"\n")
            assert msgspec.json.decode(told.readline())["id"] in (0, 1)  # saved, or refused

    async def test(client: LspClient) -> None:
        client.open(URI, "max_tokens: 1\nbad one\n---\nmax_tokens: 1\ngood one")
        await capture(client, index=1)
        titles = await client.titles(URI)
        assert titles[-3:-1] == ["Capture", "Show trace"] and titles[-1].startswith("1 token")
        assert (await client.hints(URI))[-1].position.line == 4
        assert "token" in (await client.hover(URI, 4, 1)).contents.value
        said = await client.hover(URI, 1, 1)
        assert said is None or said.contents.value

    with_client(daemon, tmp_path, test)


@pytest.mark.parametrize("error", [KeyError("generation"), ValueError(), OverflowError(), RecursionError(), OSError()])
def test_whatever_is_wrong_with_a_trace_the_next_one_is_found(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    (prompt,) = parse(["Hello"], "prompt").prompts
    for response in ("older", "newer"):
        document = {"prompt": "Hello", "response": response, "tokens": {}, "generation": {}}
        storage(tmp_path).create_trace(document, {"output_logits": np.zeros((1, 1, 2), np.float32)})
    kept = storage(tmp_path)
    bad, read = kept.list_traces()[0], kept.get_trace_summary
    folder: Any = SimpleNamespace(entries=kept.list_entries, storage=kept)

    def broken(trace_id: str) -> dict[str, Any]:
        if trace_id == bad:
            raise error
        return read(trace_id)

    with mock.patch.object(kept, "get_trace_summary", broken):
        captures = Captures()
        for _ in range(2):
            (found,) = captures.of(folder, [prompt])
            assert found is not None and found.response == "older"
    assert caplog.text.count("is left out of what editors show") == 1


def test_very_many_prompts_and_traces_with_the_same_text_are_matched_in_one_go(tmp_path: Path) -> None:
    prompts = parse([f"{line}\n" for n in range(2000) for line in (f"seed: {n}", "Hello", "---")], "prompt").prompts
    entry = TraceEntry("a", "", None, "Hello", "", 1, 1, 1, "json", True, "", tmp_path, "a.json", 0.0, FileKey(0, 0, 0))
    entries = [replace(entry, name=f"{n}.json", trace_id=str(n)) for n in range(3000)]
    summary = {"prompt": "Hello", "response": "", "generation": {"seed": -1}}
    stored: Any = SimpleNamespace(get_trace_summary=lambda trace_id: summary)
    begun = time.process_time()
    assert Captures().of(SimpleNamespace(entries=lambda: entries, storage=stored), prompts) == [None] * 2000  # type: ignore[arg-type]
    assert time.process_time() - begun < 5  # of six million comparisons it would be a quarter of a minute
