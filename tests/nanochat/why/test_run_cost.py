"""What running a trace again would take: as much as it then takes, and said without doing it."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nanochat.capture.recorder import Recorder
from nanochat.errors import OtherModelError, SettingInvalidError, StorageFullError
from nanochat.gpt import GPT
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.kv_cache import KVCache
from nanochat.trace_storage import TraceStorage
from tests.models import golden_model, random_model

PROMPT = "The capital of France is"
OFF: dict[str, Any] = {"op": "zero", "site": "post_mlp", "layer": 1}
OWN_MEAN: dict[str, Any] = {"op": "mean", "site": "post_mlp", "layer": 1}
STEERED: dict[str, Any] = {
    "op": "add", "site": "residual", "layer": 1, "value": {"difference": ["Gold", "The symbol of silver is"]}
}  # fmt: skip
RUNS: dict[str, dict[str, Any]] = {
    "off": {"interventions": [OFF]},
    "the prompt's mean": {"interventions": [OWN_MEAN, OFF]},
    "other prompts": {"interventions": [STEERED, OWN_MEAN | {"layer": 2}]},
    "narrowed": {"interventions": [OFF], "capture": {"sites": ["residual"], "logits": None}},
    "all logits": {"interventions": [OFF], "capture": {"logits": "all"}},
    "forked in the text": {"position": 12, "token": 65},
    "forked in the prompt": {"position": 4, "text": " Norway", "max_tokens": 12},
    "forked and steered": {"position": 12, "text": "ab", "interventions": [STEERED]},
}


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    model, tokenizer = golden_model()
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    return InterpretabilityEngine(model, tokenizer, storage)


@pytest.fixture
def parent(engine: InterpretabilityEngine) -> str:
    return engine.generate_and_capture(PROMPT, max_tokens=9, temperature=1, seed=3)["trace_id"]


def ask(engine: InterpretabilityEngine, parent: str, run: str, **more: Any) -> dict[str, Any]:
    asked = RUNS[run] | more
    return (engine.fork_trace if "position" in asked else engine.intervene)(parent, **asked)


class Taken:
    """The tokens that were run, and the bytes of what was captured and of the longest cache."""

    def __init__(self) -> None:
        self.tokens = self.captured = self.cached = 0


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Taken]:
    taken, forward, tensors, made = Taken(), GPT.forward, Recorder.tensors, KVCache.__init__

    def counted(self: GPT, ids: Any, *args: Any, **options: Any) -> Any:
        taken.tokens += ids.numel()
        return forward(self, ids, *args, **options)

    def read(self: Recorder, *args: Any) -> Any:
        found = tensors(self, *args)
        taken.captured = sum(tensor.nbytes for tensor in found.values())
        return found

    def cached(self: KVCache, *args: Any) -> None:
        made(self, *args)
        taken.cached = max(taken.cached, self.k_cache.nbytes + self.v_cache.nbytes)

    with monkeypatch.context() as patch:
        patch.setattr(GPT, "forward", counted)
        patch.setattr(Recorder, "tensors", read)
        patch.setattr(KVCache, "__init__", cached)
        yield taken


def files(engine: InterpretabilityEngine) -> dict[Path, bytes]:
    folder = Path(engine.storage.directory)
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("run", RUNS)
def test_it_is_what_the_run_then_takes(
    engine: InterpretabilityEngine, parent: str, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = ask(engine, parent, run, estimate=True)["cost"]
    with watched(monkeypatch) as taken:
        child = ask(engine, parent, run)
    assert child["summary"]["model"] and "cost" not in child
    length = child["prompt_tokens"] + child["response_tokens"] - 1
    assert cost["forwards"] == -(-taken.tokens // length)
    assert cost["bytes"] == taken.captured + taken.cached
    assert 0 < cost["seconds"] < 60


@pytest.mark.parametrize("run", RUNS)
def test_an_estimate_runs_nothing_and_writes_nothing(
    engine: InterpretabilityEngine, parent: str, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, tap = files(engine), engine.model.tap
    with watched(monkeypatch) as taken:
        found = ask(engine, parent, run, estimate=True, on_token=lambda event: pytest.fail("a token came"))
    assert (taken.tokens, taken.captured, taken.cached) == (0, 0, 0)
    assert files(engine) == before
    assert engine.model.tap is tap
    assert (found["trace_id"], found["response"], found["path"], found["summary"]) == ("", "", "", None)
    assert (found["parent"], found["position"]) == (parent, RUNS[run].get("position"))
    assert found["interventions"] == ask(engine, parent, run)["interventions"]


def test_the_time_is_by_what_the_trace_took(engine: InterpretabilityEngine, parent: str) -> None:
    with engine.storage.open_trace(parent) as trace:
        timings, tokens = trace.document["generation"]["timings"], trace.fields.tokens
    took = sum(timings[name] for name in ("prefill_seconds", "decode_seconds", "analysis_seconds"))
    for run, most in (("off", 9), ("forked in the prompt", 12)):
        found = ask(engine, parent, run, estimate=True)
        positions = found["prompt_tokens"] + most - 1
        assert found["cost"]["seconds"] == pytest.approx(took * positions / tokens.positions.count)


@pytest.mark.parametrize("seconds", [None, -1, 10**400, float("nan"), float("inf"), "long"])
def test_of_a_trace_that_tells_no_time_the_first_tokens_are_run(
    engine: InterpretabilityEngine, parent: str, seconds: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = engine.storage.path_of(parent)
    document = json.loads(path.read_text())
    document["generation"]["timings"]["decode_seconds"] = seconds
    path.write_text(json.dumps(document))
    with watched(monkeypatch) as taken:
        cost = ask(engine, parent, "off", estimate=True)["cost"]
    assert (taken.tokens, taken.captured) == (8, 0)
    assert 0 < cost["seconds"] < 60


def test_of_another_model_s_trace_the_first_tokens_are_run(
    engine: InterpretabilityEngine, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = InterpretabilityEngine(random_model("F", sequence_len=64), engine.tokenizer, engine.storage)
    with pytest.raises(OtherModelError):
        other.intervene(parent, [OFF], estimate=True)
    with watched(monkeypatch) as taken:
        found = other.intervene(parent, [OFF], capture={"sites": ["residual"]}, anyway=True, estimate=True)
    assert (taken.tokens, taken.captured) == (8, 0)
    assert found["cost"]["seconds"] > 0
    assert "was written by" in found["notices"][0]


def test_what_cannot_be_run_is_refused_as_it_would_be(engine: InterpretabilityEngine, parent: str) -> None:
    for estimate in (False, True):
        with pytest.raises(SettingInvalidError, match="layer 40"):
            engine.intervene(parent, [OFF | {"layer": 40}], estimate=estimate)
        with pytest.raises(SettingInvalidError, match="no position 400"):
            engine.fork_trace(parent, 400, token=5, estimate=estimate)


@pytest.mark.parametrize("estimate", [False, True])
@pytest.mark.parametrize("run", ["other prompts", "forked and steered"])
def test_a_trace_that_the_disk_has_no_room_for_is_refused_before_any_work(
    engine: InterpretabilityEngine, parent: str, run: str, estimate: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage, before = shutil.disk_usage("/"), files(engine)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with watched(monkeypatch) as taken, pytest.raises(StorageFullError, match="fewer layers, sites, logits or tokens"):
        ask(engine, parent, run, estimate=estimate)
    assert taken.tokens == 0
    assert files(engine) == before
