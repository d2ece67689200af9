"""A run on a model that is named for it alone: that model wrote it, and the one held is untouched, whoever uses it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nanochat.trace_storage import TraceStorage
from tests.checkpoints import write_flat, write_without_heads
from tests.daemon.handlers.test_fork import PROMPT, SETTINGS, with_parent
from tests.daemon.state_ground import DirectClient, running_hub

COPYING = [1, 2, 3]  # heads of layer 3, without which a made-up text is not gone on with
TEXT = "red, blue, green, silver, red, blue, green,"
OFF = [{"op": "zero", "site": "head_output", "layer": 3, "heads": COPYING}]
BASE = {"source": "base"}


def write_base(folder: Path) -> Path:
    return write_without_heads(folder / "nanochat", 10, 3, COPYING)


def test_it_is_the_model_named_and_nobody_else_notices(tmp_path: Path) -> None:
    write_base(tmp_path)

    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        other, trace_id = DirectClient(client.state), parent["trace_id"]
        before = await other.call("generate_and_capture", **SETTINGS)
        held, started = client.state.model.current(), len(client.notifications("model_changed"))
        child = await client.call("intervene", trace_id=trace_id, model=BASE, stream=True)
        assert client.state.model.current() is held
        assert len(client.notifications("model_changed")) == started
        said = client.notifications("request_progress")
        assert any((told["state"], told["message"]) == ("loading", "Loading base.") for told in said)
        named = {"source": "base", "tag": "d4", "step": 10}
        assert {key: child["model"][key] for key in named} == named
        assert {key: child["summary"]["model"][key] for key in named} == named
        assert (child["parent"], child["interventions"]) == (trace_id, [])
        assert "was written by demo" in child["notices"][0] and "this is base d4 step 10" in child["notices"][0]
        for asker in (client, other):
            again = await asker.call("generate_and_capture", **SETTINGS)
            assert (again["model"]["tag"], again["response"]) == ("demo", before["response"])
        # The same weights are zero in a run of the built-in model without these heads.
        ablated = await client.call("intervene", trace_id=trace_id, interventions=OFF)
        assert child["response"] == ablated["response"] != parent["response"]
        found = await client.call("diff_traces", trace_id=ablated["trace_id"], other_id=child["trace_id"])
        assert found["parted_at"] is None and len(found["sites"]) == 17
        assert {row["norm"] for row in found["sites"]} == {0}
        assert {row["difference"] for row in found["tokens"] if row["difference"] is not None} == {0}

    with_parent(tmp_path, test, prompt=TEXT)


def test_interventions_go_with_it(tmp_path: Path) -> None:
    write_base(tmp_path)

    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        edit = [{"op": "zero", "site": "head_output", "layer": 2, "heads": [0]}]
        edited = await client.call("intervene", trace_id=parent["trace_id"], interventions=edit)
        both = await client.call("intervene", trace_id=parent["trace_id"], interventions=edit + OFF)
        child = await client.call("intervene", trace_id=edited["trace_id"], model=BASE)
        assert child["interventions"] == edited["interventions"] and child["touched"] == edited["touched"]
        without = await client.call("intervene", trace_id=edited["trace_id"], model=BASE, interventions=[])
        alone = await client.call("intervene", trace_id=parent["trace_id"], interventions=OFF)
        for one, another in ((child, both), (without, alone)):
            found = await client.call("diff_traces", trace_id=one["trace_id"], other_id=another["trace_id"])
            assert found["parted_at"] is None and {row["norm"] for row in found["sites"]} == {0}

    with_parent(tmp_path, test, prompt=TEXT)


def test_an_estimate_counts_the_weights_that_are_loaded_for_it(tmp_path: Path) -> None:
    write_base(tmp_path)

    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        asked = {"trace_id": parent["trace_id"], "interventions": OFF, "estimate": True}
        plain, lent = [await client.call("intervene", **asked, **more) for more in ({}, {"model": BASE})]
        assert (lent["trace_id"], lent["model"]["source"], lent["cost"]["forwards"]) == ("", "base", 1)
        weights = 8 * lent["model"]["parameters"]  # a small model computes in float64
        assert lent["cost"]["bytes"] - plain["cost"]["bytes"] == pytest.approx(weights, rel=1e-4)
        assert (await client.call("list_traces"))["total"] == 1

    with_parent(tmp_path, test)


def test_the_model_held_is_not_loaded_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        monkeypatch.setattr(client.state.model, "lend", None)
        asked = {"trace_id": parent["trace_id"], "interventions": OFF}
        for named in ({"source": "demo"}, {}, {"dtype": "float32"}):
            assert (await client.call("intervene", **asked, model=named))["model"]["tag"] == "demo"

    with_parent(tmp_path, test)


def test_what_is_not_named_is_chosen_as_loading_does_whatever_is_held(tmp_path: Path) -> None:
    write_base(tmp_path)
    newer = write_without_heads(tmp_path / "nanochat", 20, 3, [])

    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        await client.call("load_model", source="base", step=10)
        held, asked = client.state.model.current(), {"trace_id": parent["trace_id"], "model": BASE}
        assert (await client.call("intervene", **asked))["model"]["step"] == 20
        newer.unlink()
        assert (await client.call("intervene", **asked))["model"]["step"] == 10
        write_base(tmp_path)  # other bytes, in another file
        made = await client.call("intervene", **asked)
        assert made["model"]["step"] == 10 and client.state.model.current() is held

    with_parent(tmp_path, test)


def test_a_run_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    write_base(tmp_path)

    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        held = client.state.model.current()
        call = client.begin("intervene", trace_id=parent["trace_id"], model=BASE, stream=True)
        await client.until(lambda: len(client.notifications("generation_progress")) > 2)
        assert await client.call("cancel", id=call.request_id) == {"cancelled": True}
        assert (await client.refusal(call)).name == "CANCELLED"
        assert client.state.model.current() is held
        assert TraceStorage(tmp_path / "traces").list_traces() == [parent["trace_id"]]

    with_parent(tmp_path, test, max_tokens=2000, temperature=3)


def test_it_needs_no_model_held(tmp_path: Path) -> None:
    write_base(tmp_path)

    async def test() -> None:
        async with running_hub(tmp_path) as state:
            made = await DirectClient(state).call("generate_and_capture", prompt=PROMPT, max_tokens=2)
        async with running_hub(tmp_path, source="sft") as state:  # there is none
            child = await DirectClient(state).call("intervene", trace_id=made["trace_id"], model=BASE)
            assert child["model"]["source"] == "base"

    asyncio.run(test())


@pytest.mark.parametrize(
    ("wish", "name", "words"),
    [
        ({"model": {"source": "sft"}}, "MODEL_NOT_LOADED", "no sft checkpoint"),
        ({"model": {"source": "base", "tag": "d9"}}, "MODEL_NOT_LOADED", "the tags there are d4"),
        ({"model": {"source": "base", "step": 11}}, "MODEL_NOT_LOADED", "its steps are 10"),
        ({"model": {"source": "here"}}, "SETTING_INVALID", "whole path"),
        ({"model": {"base_dir": "here"}}, "SETTING_INVALID", "whole path"),
        ({"model": {"name": "base"}}, "INVALID_PARAMS", "name"),
        ({"model": BASE, "trace_id": "trace_1"}, "TRACE_NOT_FOUND", "trace_1"),
        ({"model": BASE, "interventions": [{"op": "zero", "site": "q", "layer": 9}]}, "SETTING_INVALID", "layer 9"),
        ({"model": {"source": "<tiny>"}}, "OTHER_MODEL", "makes other tokens"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, wish: dict[str, Any], name: str, words: str) -> None:
    write_base(tmp_path)
    if wish["model"].get("source") == "<tiny>":
        wish = {"model": {"source": str(write_flat(tmp_path / "tiny").parent)}}

    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        held = client.state.model.current()
        refusal = await client.refusal(client.begin("intervene", **{"trace_id": parent["trace_id"], **wish}))
        assert (refusal.name, words in refusal.message) == (name, True), refusal.message
        assert client.state.model.current() is held and (await client.call("list_traces"))["total"] == 1

    with_parent(tmp_path, test)
