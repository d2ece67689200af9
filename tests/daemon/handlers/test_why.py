"""The ablation scan, heads' roles and `why` through the daemon: what the library gives, within limits."""

from pathlib import Path
from typing import Any

import pytest

from daemon.handlers import answers
from nanochat.checkpoint_manager import load_model
from nanochat.trace_storage import TraceStorage
from nanochat.why.ablation import ablation_scan
from nanochat.why.heads import ROLES, scan_heads, texts_for
from tests.daemon.handlers.test_lens import with_trace
from tests.daemon.state_ground import DirectClient
from tests.models import GOLDEN


def tokens_of(folder: Path, trace_id: str) -> list[int]:
    with TraceStorage(folder / "traces").open_trace(trace_id) as trace:
        return trace.fields.tokens.prompt + trace.fields.tokens.generated


def test_a_scan_is_what_the_library_gives(tmp_path: Path) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")

    async def test(client: DirectClient, trace_id: str) -> None:
        tokens, (other,) = tokens_of(tmp_path, trace_id), tokenizer.encode(" N")
        expected = ablation_scan(model, tokens, 7, tokens[8], other, layers=[1, 3], top=2)
        found = await client.call("ablation_scan", trace_id=trace_id, position=7, against=" N", layers=[3, 1], top=2)
        assert (found["text"], found["against_text"], found["token"]) == (" P", " N", tokens[8])
        assert found["baseline"]["logit"] == expected.baseline.logit
        for row, effect in zip(found["effects"], expected.effects, strict=True):
            assert (row["layer"], row["head"]) == (effect.layer, effect.head)
            assert [(place["position"], place["weight"]) for place in row["looked"]] == effect.looked
            for key, outcome in (("everywhere", effect.everywhere), ("here", effect.here)):
                assert (row[key]["logit"], row[key]["rank"]) == (outcome.logit, outcome.rank)
                assert [(one["token"], one["probability"]) for one in row[key]["top"]] == outcome.top

    with_trace(tmp_path, test)


def test_roles_are_what_the_library_gives(tmp_path: Path) -> None:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    expected = scan_heads(model, texts_for(model, tokenizer))

    async def test(client: DirectClient, trace_id: str) -> None:
        found = await client.call("scan_heads")
        assert [role["key"] for role in found["roles"]] == list(ROLES)
        assert found["accuracy"] == 1.0
        for row, head in zip(found["heads"], expected.heads, strict=True):
            assert (row["layer"], row["head"], row["scores"]) == (head.layer, head.head, head.scores)
            assert (row["roles"], row["accuracy"]) == (head.roles, head.accuracy)

    with_trace(tmp_path, test)


def test_why_says_it_in_sentences_and_as_data(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        found = await client.call("why", trace_id=trace_id)
        assert (found["position"], found["text"], found["answer_text"], found["by"]) == (7, " P", " P", "model")
        scan = await client.call("ablation_scan", trace_id=trace_id, position=7, against=found["rival"])
        assert (found["baseline"], found["effects"]) == (scan["baseline"], scan["effects"])
        parts = await client.call("attribute_logits", trace_id=trace_id, position=7, against=found["rival"])
        assert (found["total"], found["components"]) == (parts["total"], parts["components"])
        lens = await client.call("logit_lens", trace_id=trace_id, positions=[7])
        assert [found["decided"]] == lens["decided"]
        assert found["flip"]["units"] == [{"layer": 3, "head": None}]
        assert [line["about"] for line in found["lines"]][:4] == ["sure", "else", "decided", "written_by"]
        assert found["lines"][3]["command"] == f"nanoscope attribute {trace_id} --at 7 --against ' N'"
        asked = await client.call("why", trace_id=trace_id, position=3)
        assert asked["by"] == "prompt"
        end = await client.call("why", trace_id=trace_id, position=10)
        assert (end["token"], end["text"], end["probability"]) == (None, None, None)

    with_trace(tmp_path, test)


def test_a_text_written_while_parts_were_changed_is_told(tmp_path: Path) -> None:
    off = [{"op": "zero", "site": "post_mlp", "layer": 3}]

    async def test(client: DirectClient, trace_id: str) -> None:
        child = await client.call("intervene", trace_id=trace_id, interventions=off)
        found = await client.call("why", trace_id=child["trace_id"], position=7)
        assert found["by"] == "changed"
        assert "was written while parts of the model were changed" in found["lines"][0]["text"]

    with_trace(tmp_path, test)


@pytest.mark.parametrize("method", ["ablation_scan", "why"])
def test_an_estimate_is_no_answer(tmp_path: Path, method: str) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        found = await client.call(method, trace_id=trace_id, position=7, estimate=True)
        assert found["effects"] == [] and found["baseline"] is None
        assert 15 <= found["cost"]["forwards"] <= 20
        assert found["cost"]["bytes"] > 0
        assert 0 < found["cost"]["seconds"] < 60

    with_trace(tmp_path, test)


@pytest.mark.parametrize(
    ("method", "wish", "name", "words"),
    [
        ("ablation_scan", {"position": 11}, "SETTING_INVALID", "no position 11: there are 0 to 10"),
        ("ablation_scan", {"position": 10}, "SETTING_INVALID", "Nothing follows position 10"),
        ("ablation_scan", {"token": 1024}, "SETTING_INVALID", "no token 1024"),
        ("ablation_scan", {"against": " Paris"}, "SETTING_INVALID", "' Paris' is 3 tokens"),
        ("ablation_scan", {"layers": [4]}, "SETTING_INVALID", "no layer 4"),
        ("ablation_scan", {"layers": []}, "SETTING_INVALID", "no layer to switch off"),
        ("ablation_scan", {"top": 0}, "INVALID_PARAMS", "top"),
        ("why", {"position": 11}, "SETTING_INVALID", "no position 11: there are 0 to 10"),
        ("why", {"position": -1}, "INVALID_PARAMS", "position"),
        ("why", {"trace_id": "trace_1"}, "TRACE_NOT_FOUND", "trace_1"),
    ],
)
def test_what_there_is_not_is_refused(tmp_path: Path, method: str, wish: dict[str, Any], name: str, words: str) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        refusal = await client.refusal(client.begin(method, **{"trace_id": trace_id, "position": 7, **wish}))
        assert refusal.name == name
        assert words in refusal.message

    with_trace(tmp_path, test)


def test_another_model_is_refused_by_name_and_asked_anyway(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        await client.call("load_model", source=str(GOLDEN / "F" / "gqa_windowed"), device="cpu")
        for method in ("ablation_scan", "why"):
            refusal = await client.refusal(client.begin(method, trace_id=trace_id, position=7))
            assert refusal.name == "OTHER_MODEL"

    with_trace(tmp_path, test)


def test_an_answer_too_large_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LARGEST", 1000)
    monkeypatch.setattr("nanochat.why.ablation.read_forward", None)

    async def test(client: DirectClient, trace_id: str) -> None:
        refusal = await client.refusal(client.begin("ablation_scan", trace_id=trace_id, position=7))
        assert refusal.name == "TOO_LARGE"

    with_trace(tmp_path, test)


def test_a_trace_without_tokens_is_refused(tmp_path: Path) -> None:
    async def test(client: DirectClient, trace_id: str) -> None:
        (path,) = (tmp_path / "traces").glob(f"{trace_id}.*")
        empty = path.with_name("trace_20200101_000000_000000.json")
        empty.write_text('{"trace_id": "trace_20200101_000000_000000", "prompt": "", "tokens": {}}')
        refusal = await client.refusal(client.begin("why", trace_id=empty.stem, anyway=True))
        assert refusal.name == "SETTING_INVALID"
        assert "no token to read" in refusal.message

    with_trace(tmp_path, test)
