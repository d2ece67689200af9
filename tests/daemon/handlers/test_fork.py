"""Forks and differences through the daemon: a child in the listing, cancelled on the way, refused with a reason."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from nanochat.trace_storage import TraceStorage
from tests.daemon.state_ground import DirectClient, running_hub

PROMPT = "The capital of France is"
SETTINGS = {"prompt": PROMPT, "max_tokens": 4, "temperature": 0}


def with_parent(folder: Path, test: Callable[[DirectClient, dict[str, Any]], Awaitable[None]], **asked: Any) -> None:
    async def run() -> None:
        async with running_hub(folder) as state:
            client = DirectClient(state)
            await test(client, await client.call("generate_and_capture", **{**SETTINGS, **asked}))

    asyncio.run(run())


def test_a_child_tells_its_parent_and_where_it_was_forked(tmp_path: Path) -> None:
    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        at, trace_id = parent["prompt_tokens"], parent["trace_id"]
        child = await client.call("fork_trace", trace_id=trace_id, position=at, token=" N", stream=True)
        assert child["response"].startswith(" N") and parent["response"].startswith(" P")
        assert (child["parent"], child["position"], child["model"]["tag"]) == (trace_id, at, "demo")
        told = client.notifications("generation_progress")
        assert [row["forced"] for row in told] == [True] + [False] * (len(told) - 1)
        rows = {row["trace_id"]: row for row in (await client.call("list_traces"))["traces"]}
        assert (rows[child["trace_id"]]["parent"], rows[child["trace_id"]]["position"]) == (trace_id, at)
        assert (rows[trace_id]["parent"], rows[trace_id]["position"]) == (None, None)
        assert (await client.call("get_summary", trace_id=child["trace_id"]))["position"] == at
        tokens = (await client.call("get_tokens", trace_id=child["trace_id"]))["tokens"]
        assert [row["position"] for row in tokens if row["forced"]] == [at]
        found = await client.call("diff_traces", trace_id=trace_id, other_id=child["trace_id"])
        assert found["parted_at"] == at
        assert len(found["tokens"]) == len(found["aligned"])
        assert [row["difference"] for row in found["tokens"][1:at]] == pytest.approx([0] * (at - 1), abs=1e-6)
        pair = found["tokens"][at]
        assert (pair["a"]["text"], pair["b"]["text"], pair["difference"]) == (" P", " N", None)
        assert pair["a"]["probability"] == pytest.approx(2 ** -pair["a"]["surprisal"])
        compared = await client.call("compare_traces", trace_id=trace_id, other_id=child["trace_id"])
        assert found["aligned"] == compared["pairs"]
        heads = [value for row in compared["layers"] for value in row["heads"]]
        assert [row["divergence"] for row in found["heads"]] == heads
        assert found["sites"] and found["notices"] == []

    with_parent(tmp_path, test)


def test_a_fork_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        call = client.begin(
            "fork_trace",
            trace_id=parent["trace_id"],
            position=parent["prompt_tokens"],
            text=" N",
            max_tokens=2000,
            stream=True,
        )
        await client.until(lambda: len(client.notifications("generation_progress")) > 2)
        assert await client.call("cancel", id=call.request_id) == {"cancelled": True}
        assert (await client.refusal(call)).name == "CANCELLED"
        assert TraceStorage(tmp_path / "traces").list_traces() == [parent["trace_id"]]
        again = await client.call("generate_and_capture", **{**SETTINGS, "temperature": 3, "seed": 5})
        assert again["response"] == parent["response"]

    with_parent(tmp_path, test, temperature=3, seed=5)


@pytest.mark.parametrize(
    ("wish", "name", "words"),
    [
        ({"token": 65, "position": 0}, "SETTING_INVALID", "no position 0 to fork at: there are 1 to"),
        ({"token": 65, "position": 400}, "SETTING_INVALID", "no position 400"),
        ({"token": 65, "position": -1}, "INVALID_PARAMS", "position"),
        ({"token": 1024}, "SETTING_INVALID", "no token 1024"),
        ({"token": " Paris"}, "SETTING_INVALID", "' Paris' is 3 tokens"),
        ({"token": "x" * 1001}, "INVALID_PARAMS", "token"),
        ({"text": ""}, "SETTING_INVALID", "0 tokens"),
        ({}, "SETTING_INVALID", "either a token or a text"),
        ({"text": " a" * 20000}, "PROMPT_TOO_LONG", "positions"),
        ({"token": 65, "trace_id": "trace_1"}, "TRACE_NOT_FOUND", "trace_1"),
        ({"token": 65, "interventions": [{"op": "zero", "site": "q", "layer": 9}]}, "SETTING_INVALID", "layer 9"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, wish: dict[str, Any], name: str, words: str) -> None:
    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        asked = {"trace_id": parent["trace_id"], "position": parent["prompt_tokens"], **wish}
        refusal = await client.refusal(client.begin("fork_trace", **asked))
        assert (refusal.name, words in refusal.message) == (name, True), refusal.message

    with_parent(tmp_path, test)
