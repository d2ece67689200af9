"""Patching scans through the daemon: what the library gives, within limits."""

from pathlib import Path
from typing import Any

import pytest

from daemon.handlers import patching as handler
from nanochat.checkpoint_manager import load_model
from nanochat.prompts import prompt_tokens
from nanochat.why.patching import pair_of, patch_scan
from tests.daemon.handlers.test_lens import with_trace
from tests.daemon.state_ground import DirectClient
from tests.models import GOLDEN

CLEAN, CORRUPTED = {"prompt": "The capital of France is"}, {"prompt": "The capital of Norway is"}
ASKED: dict[str, Any] = {"clean": CLEAN, "corrupted": CORRUPTED, "answer": " P", "against": " O"}


def test_it_is_what_the_library_gives(tmp_path: Path) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    clean, corrupted = (
        prompt_tokens(tokenizer, each["prompt"], None, model.config.max_positions) for each in (CLEAN, CORRUPTED)
    )
    (answer,), (against,) = tokenizer.encode(" P"), tokenizer.encode(" O")
    pair = pair_of(model.config, clean, corrupted, answer, against)

    async def test(client: DirectClient, trace_id: str) -> None:
        for what in ("heads", "residual"):
            expected = patch_scan(model, pair, what, layers=[1, 3])
            found = await client.call("patch_scan", **ASKED, what=what, layers=[1, 3])
            assert found["effects"] == expected.effects
            assert found["baseline"] == {"clean": expected.clean, "corrupted": expected.corrupted}
            assert [axis["values"] for axis in found["axes"]] == [expected.axes.layers, expected.axes.units]
        assert [axis["name"] for axis in found["axes"]] == ["layer", "position"]
        assert [token["text"] for token in found["corrupted"]][4:7] == [" Nor", "w", "ay"]
        assert found["worst_error"] is None

    with_trace(tmp_path, test)


def test_a_prompt_may_be_a_traces_a_token_a_number(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        by_text = await client.call("patch_scan", **ASKED, layers=[3])
        numbers = {name: by_text[name]["token"] for name in ("answer", "against")}
        by_trace = await client.call("patch_scan", **{**ASKED, **numbers, "clean": {"trace_id": trace_id}}, layers=[3])
        assert by_trace["effects"] == by_text["effects"]

    with_trace(tmp_path, test)


def test_an_estimate_is_no_answer(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        found = await client.call("patch_scan", **ASKED, estimate=True)
        assert found["effects"] == []
        assert found["baseline"] is None
        assert found["cost"]["forwards"] == 7
        assert found["cost"]["bytes"] > 0
        assert 0 < found["cost"]["seconds"] < 60

    with_trace(tmp_path, test)


@pytest.mark.parametrize(
    ("wish", "name", "words"),
    [
        ({"clean": {}}, "PROMPT_INVALID", "clean: give one of prompt, messages and trace_id"),
        ({"corrupted": {**CORRUPTED, "messages": []}}, "PROMPT_INVALID", "corrupted: give one"),
        ({"corrupted": {"prompt": ""}}, "PROMPT_INVALID", "prompt is empty"),
        ({"corrupted": {"prompt": "The capital"}}, "SETTING_INVALID", "Side by side:\n  0  <|bos|>"),
        ({"corrupted": CLEAN}, "SETTING_INVALID", "are the same"),
        ({"clean": {"trace_id": "../x"}}, "TRACE_ID_INVALID", ""),
        ({"answer": " Paris"}, "SETTING_INVALID", "is 3 tokens"),
        ({"answer": 1024}, "SETTING_INVALID", "no token 1024"),
        ({"against": " P"}, "SETTING_INVALID", "the same token"),
        ({"what": "neurons"}, "INVALID_PARAMS", "what"),
        ({"what": "paths"}, "SETTING_INVALID", "which head the paths lead to"),
        ({"layers": [4]}, "SETTING_INVALID", "no layer 4"),
    ],
)
def test_what_cannot_be_patched_is_refused(tmp_path: Path, wish: dict[str, Any], name: str, words: str) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        refusal = await client.refusal(client.begin("patch_scan", **{**ASKED, **wish}))
        assert refusal.name == name
        assert words in refusal.message

    with_trace(tmp_path, test)


def test_a_trace_of_another_model_is_refused(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        await client.call("load_model", source=str(GOLDEN / "F" / "gqa_windowed"), device="cpu")
        refusal = await client.refusal(client.begin("patch_scan", **{**ASKED, "clean": {"trace_id": trace_id}}))
        assert refusal.name == "OTHER_MODEL"

    with_trace(tmp_path, test)


@pytest.mark.parametrize(("limit", "kind", "count"), [("MOST_FORWARDS", "forwards", 7), ("MOST_CELLS", "effects", 16)])
def test_a_scan_too_large_is_refused_with_its_size(
    tmp_path: Path, limit: str, kind: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler, limit, count - 1)
    monkeypatch.setattr("nanochat.why.patching.scan.run_both", None)

    async def test(client: DirectClient, trace_id: str) -> None:
        refusal = await client.refusal(client.begin("patch_scan", **ASKED))
        assert refusal.name == "TOO_LARGE"
        assert f"{count} {kind}; one scan has at most {count - 1}" in refusal.message

    with_trace(tmp_path, test)
