"""The logit lens through the daemon: what the library gives, by the model that wrote the trace, within limits."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.handlers import answers
from nanochat.checkpoint_manager import load_model
from nanochat.trace_storage import TraceStorage
from nanochat.why.lens import logit_lens
from protocol.errors import RpcError
from tests.daemon.state_ground import DirectClient, running_hub
from tests.models import GOLDEN

PROMPT = "The capital of France is"
SETTINGS = {"max_tokens": 3, "temperature": 0, "capture": {"sites": [], "logits": None}}


def with_trace(folder: Path, test: Callable[[DirectClient, str], Awaitable[None]], **settings: Any) -> None:
    async def run() -> None:
        async with running_hub(folder, **settings) as state:
            client = DirectClient(state)
            result = await client.call("generate_and_capture", prompt=PROMPT, **SETTINGS)
            await test(client, result["trace_id"])

    asyncio.run(run())


def test_it_is_what_the_library_gives(tmp_path: Path) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")

    async def test(client: DirectClient, trace_id: str) -> None:
        with TraceStorage(tmp_path / "traces").open_trace(trace_id) as trace:
            tokens = trace.fields.tokens.prompt + trace.fields.tokens.generated
        expected = logit_lens(model, tokens, [7, 9], top=2, chosen=tokenizer.encode(" N"))
        found = await client.call("logit_lens", trace_id=trace_id, positions=[9, 7], top=2, tokens=[" N"])
        assert [(point["layer"], point["at"], point["backout"]) for point in found["points"]] == [
            (point.layer, point.at, point.backout) for point in expected.points
        ]
        for point, beliefs in zip(found["points"], expected.beliefs, strict=True):
            for row, belief in zip(point["positions"], beliefs, strict=True):
                assert row["position"] == belief.position
                assert [(top["token"], top["probability"]) for top in row["top"]] == belief.top
                assert [chance["logit"] for chance in row["chosen"]] == [chance.logit for chance in belief.chosen]
                assert row["kl"] == belief.kl
                assert row["entropy"] == belief.entropy
        assert found["points"][-1]["positions"][0]["chosen"][0]["text"] == " P"
        assert found["decided"][0]["stays"] == {"layer": 3, "at": "mlp", "backout": True}
        assert found["other_model"] is None
        assert found["model"]["tag"] == "demo"
        assert client.reports[-1] == ("Reading the stream.", 100.0)

    with_trace(tmp_path, test)


def test_every_token_has_its_column_by_default(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        found = await client.call("logit_lens", trace_id=trace_id)
        assert [row["position"] for row in found["points"][0]["positions"]] == list(range(11))
        assert found["points"][0]["positions"][-1]["chosen"] == []

    with_trace(tmp_path, test)


def test_an_estimate_is_no_answer(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        whole, one = [
            (await client.call("logit_lens", trace_id=trace_id, estimate=True, **wish))
            for wish in ({}, {"positions": [3]})
        ]
        assert whole["points"] == whole["decided"] == []
        assert whole["cost"]["forwards"] == 1
        assert 0 < whole["cost"]["seconds"] < 60
        assert 0 < one["cost"]["bytes"] < whole["cost"]["bytes"]

    with_trace(tmp_path, test)


def test_another_model_is_refused_by_name_unless_asked_anyway(tmp_path: Path) -> None:
    other = str(GOLDEN / "F" / "gqa_windowed")

    async def test(client: DirectClient, trace_id: str) -> None:
        await client.call("load_model", source=other, device="cpu")
        refusal = await client.refusal(client.begin("logit_lens", trace_id=trace_id))
        assert refusal.name == "OTHER_MODEL"
        assert "written by demo step" in refusal.message
        assert "vocab_size 1024, not 300" in refusal.message
        assert "--anyway" in refusal.message
        refusal = await client.refusal(client.begin("logit_lens", trace_id=trace_id, anyway=True))
        assert refusal.name == "SETTING_INVALID"  # of a vocabulary that it lacks
        assert "no token" in refusal.message
        own = await client.call("generate_and_capture", prompt="abc", **SETTINGS)
        await client.call("load_model", source=str(GOLDEN / "F" / "mha_full_context"), device="cpu")
        found = await client.call("logit_lens", trace_id=own["trace_id"], anyway=True)
        assert "written by" in found["other_model"]

    with_trace(tmp_path, test)


@pytest.mark.parametrize(
    ("wish", "name", "words"),
    [
        ({"positions": [11]}, "SETTING_INVALID", "no position 11: there are 0 to 10"),
        ({"layers": [4]}, "SETTING_INVALID", "no layer 4: there are 0 to 3"),
        ({"tokens": [1024]}, "SETTING_INVALID", "no token 1024"),
        ({"tokens": [" Paris"]}, "SETTING_INVALID", "' Paris' is 3 tokens (' P', 'ar', 'is')"),
        ({"tokens": [""]}, "SETTING_INVALID", "'' is 0 tokens"),
        ({"top": 0}, "INVALID_PARAMS", "top"),
        ({"positions": [True]}, "INVALID_PARAMS", "positions"),
    ],
)
def test_what_there_is_not_is_refused(tmp_path: Path, wish: dict[str, Any], name: str, words: str) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        refusal = await client.refusal(client.begin("logit_lens", trace_id=trace_id, **wish))
        assert refusal.name == name
        assert words in refusal.message

    with_trace(tmp_path, test)


def test_an_answer_too_large_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LARGEST", 1000)
    monkeypatch.setattr("nanochat.why.lens.read_forward", None)

    async def test(client: DirectClient, trace_id: str) -> None:
        refusal = await client.refusal(client.begin("logit_lens", trace_id=trace_id))
        assert refusal.name == "TOO_LARGE"
        assert "132 points and positions" in refusal.message

    with_trace(tmp_path, test)


def test_it_ends_where_it_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        call = client.begin("logit_lens", trace_id=trace_id)
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(
            "nanochat.why.reading.check_cancel",
            lambda cancel: (loop.call_soon_threadsafe(call.stop), cancel.wait(20), _raise_cancelled()),
        )
        assert (await client.refusal(call)).name == "CANCELLED"
        monkeypatch.undo()
        assert (await client.call("logit_lens", trace_id=trace_id))["points"]

    with_trace(tmp_path, test)


def _raise_cancelled() -> None:
    raise RpcError("CANCELLED", "Cancelled.")
