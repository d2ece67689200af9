"""Who wrote a logit, through the daemon: what the library gives, within limits."""

import math
from pathlib import Path
from typing import Any

import pytest

from daemon.handlers import answers
from nanochat.checkpoint_manager import load_model
from nanochat.trace_storage import TraceStorage
from nanochat.why.anatomy import attribute_logits
from tests.daemon.handlers.test_lens import with_trace
from tests.daemon.state_ground import DirectClient
from tests.models import GOLDEN


def test_it_is_what_the_library_gives(tmp_path: Path) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")

    async def test(client: DirectClient, trace_id: str) -> None:
        with TraceStorage(tmp_path / "traces").open_trace(trace_id) as trace:
            tokens = trace.fields.tokens.prompt + trace.fields.tokens.generated
        (other,) = tokenizer.encode(" N")
        expected = attribute_logits(model, tokens, 7, tokens[8], other, neurons=2, sources=3)
        found = await client.call("attribute_logits", trace_id=trace_id, position=7, against=" N", neurons=2, sources=3)
        assert (found["text"], found["against_text"]) == (" P", " N")
        assert (found["total"], found["logit"]) == (expected.total, expected.logit)
        assert math.fsum(part["value"] for part in found["components"]) == pytest.approx(found["total"], abs=1e-9)
        assert [part["value"] for part in found["components"]] == [part.value for part in expected.components]
        for part, of_library in zip(found["components"], expected.components, strict=True):
            assert part["kind"] == of_library.kind
            for key in ("layer", "head", "neuron", "part", "backout"):
                assert part.get(key) == getattr(of_library, key)
            sources = [(source["position"], source["value"]) for source in part.get("sources", [])]
            assert sources == of_library.sources

    with_trace(tmp_path, test)


def test_an_estimate_is_no_answer(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        found = await client.call("attribute_logits", trace_id=trace_id, position=7, estimate=True)
        assert found["components"] == []
        assert found["total"] is None
        assert found["cost"]["forwards"] == 1
        assert found["cost"]["bytes"] > 0
        assert 0 < found["cost"]["seconds"] < 60

    with_trace(tmp_path, test)


@pytest.mark.parametrize(
    ("wish", "name", "words"),
    [
        ({"position": 11}, "SETTING_INVALID", "no position 11: there are 0 to 10"),
        ({"position": 10}, "SETTING_INVALID", "Nothing follows position 10"),
        ({"token": 1024}, "SETTING_INVALID", "no token 1024"),
        ({"against": " Paris"}, "SETTING_INVALID", "' Paris' is 3 tokens"),
        ({"neurons": -1}, "INVALID_PARAMS", "neurons"),
        ({"position": True}, "INVALID_PARAMS", "position"),
    ],
)
def test_what_there_is_not_is_refused(tmp_path: Path, wish: dict[str, Any], name: str, words: str) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        refusal = await client.refusal(
            client.begin("attribute_logits", **{"trace_id": trace_id, "position": 7, **wish})
        )
        assert refusal.name == name
        assert words in refusal.message

    with_trace(tmp_path, test)


def test_another_model_is_refused_by_name(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        await client.call("load_model", source=str(GOLDEN / "F" / "gqa_windowed"), device="cpu")
        refusal = await client.refusal(client.begin("attribute_logits", trace_id=trace_id, position=7))
        assert refusal.name == "OTHER_MODEL"

    with_trace(tmp_path, test)


def test_an_answer_too_large_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LARGEST", 1000)
    monkeypatch.setattr("nanochat.why.anatomy.read_forward", None)

    async def test(client: DirectClient, trace_id: str) -> None:
        refusal = await client.refusal(client.begin("attribute_logits", trace_id=trace_id, position=7))
        assert refusal.name == "TOO_LARGE"

    with_trace(tmp_path, test)
