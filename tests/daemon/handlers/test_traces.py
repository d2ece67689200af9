"""Listings, summaries, analyses and tokens of real folders, through dispatch."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from daemon.folders.trace_folders import TraceFolders
from daemon.handlers import tensors as handlers_tensors  # noqa: F401  registers
from daemon.handlers import traces as handlers_traces
from daemon.handlers.traces import make_cursor, read_cursor
from daemon.server.dispatch import Context, dispatch
from daemon.server.session import Session
from nanochat.analysis import TOKEN_METRICS, all_metrics
from nanochat.analysis.registry import TokenMetric
from nanochat.trace_storage import TraceStorage
from nanochat.traces import document as documents
from protocol import types
from protocol.errors import RpcError
from protocol.methods import METHODS
from tests.daemon.waiting import until
from tests.nanochat.trace_examples import leaf, older_document, small_trace, write_json


class Tokenizer:
    """Knows the ids below 1000."""

    def token_text(self, token):
        if token >= 1000:
            raise KeyError(token)
        return f"t{token}"


class Ground:
    """A state with a folder, no model, and clients of it."""

    def __init__(self, path):
        self.folders = TraceFolders(path, "json", False, lambda folder, change: None)
        self.readers, self.tokenizer = ThreadPoolExecutor(2), Tokenizer()
        self.model = SimpleNamespace(current=lambda: self)  # a model held, as far as texts need one
        self.cancel = threading.Event()

    def folder_of(self, session):
        return self.folders.default

    def answered(self):
        """Nobody counts."""

    def send(self, payload: bytes) -> None:
        """The session's outbox: nothing is told."""

    @property
    def storage(self) -> TraceStorage:
        return self.folders.default.storage

    def call(self, method: str, **params: Any) -> Any:
        """What the wire would bring to a client: plain values, which are what the protocol says."""
        session = Session(1, "line", self, msgspec.json.encode)
        context = Context(self, session, cancel=self.cancel)  # pyright: ignore[reportArgumentType]
        text = msgspec.json.encode(asyncio.run(dispatch(context, method, params)))
        msgspec.json.decode(text, type=METHODS[method].result)
        return msgspec.json.decode(text)

    def error(self, method: str, **params: Any) -> tuple[str, str]:
        with pytest.raises(RpcError) as caught:
            self.call(method, **params)
        return caught.value.name, caught.value.message

    def close(self):
        self.folders.close()
        self.readers.shutdown()


@pytest.fixture
def ground(tmp_path):
    (tmp_path / "traces").mkdir()
    ground = Ground(tmp_path / "traces")
    yield ground
    ground.close()


def save(ground, count=1, **changes):
    document, tensors = small_trace()
    return [ground.storage.create_trace(document | changes, tensors) for _ in range(count)]


def put(ground, trace_id="old", **changes):
    """A trace of another program, by now listed."""
    write_json(ground.folders.default.path / f"{trace_id}.json", older_document(**changes))
    listed = ground.folders.default
    until(lambda: any(entry.trace_id == trace_id for entry in listed.entries()), "it is listed")
    return trace_id


def test_a_row_says_what_a_listing_shows(ground):
    (trace_id,) = save(ground)
    result = ground.call("list_traces")
    (row,) = result["traces"]
    path = ground.folders.default.path / f"{trace_id}.json"
    assert row.pop("timestamp").startswith("20")
    assert row == {
        "trace_id": trace_id,
        "category": "geography",
        "prompt": "The capital of France is",
        "response": " Paris.",
        "prompt_tokens": 3,
        "response_tokens": 4,
        "size": path.stat().st_size,
        "format": "json",
        "readable": True,
        "reason": "",
        "path": str(path),
        "model": "demo",
        "temperature": 0.6,
        "top_k": None,
        "seed": None,
        "max_tokens": None,
        "parent": None,
        "position": None,
        "changed": None,
    }
    assert (result["total"], result["cursor"]) == (1, None)


def test_rows_summaries_and_documents_say_in_words_what_was_changed(ground):
    off = {"op": "zero", "site": "head_output", "layer": 3, "heads": [2], "positions": "all"}
    trace_id = put(ground, interventions=[off])
    (row,) = ground.call("list_traces")["traces"]
    told = [row, *(ground.call(method, trace_id=trace_id) for method in ("get_summary", "get_document"))]
    assert [each["changed"] for each in told] == ["without L3H2"] * 3


def test_pages_follow_each_other_while_traces_come_and_go(ground):
    ids = save(ground, 7)[::-1]
    first = ground.call("list_traces", limit=3)
    assert [row["trace_id"] for row in first["traces"]] == ids[:3]
    assert first["total"] == 7
    save(ground, 2)
    for trace_id in (ids[2], ids[3]):  # the cursor's own, and the one that follows it
        ground.storage.delete_trace(trace_id)
    second = ground.call("list_traces", limit=2, cursor=first["cursor"])
    assert [row["trace_id"] for row in second["traces"]] == ids[4:6]
    third = ground.call("list_traces", limit=2, cursor=second["cursor"])
    assert [row["trace_id"] for row in third["traces"]] == ids[6:]
    assert third["cursor"] is None
    assert len(ground.call("list_traces")["traces"]) == 7


def test_a_page_that_ends_with_the_last_trace_has_no_cursor(ground):
    save(ground, 3)
    assert ground.call("list_traces", limit=3)["cursor"] is None
    assert ground.call("list_traces", limit=2)["cursor"] is not None


def test_a_page_is_never_too_large_for_one_message(ground, monkeypatch):
    monkeypatch.setattr(handlers_traces, "PAGE_CHARACTERS", 5000)
    ids = save(ground, 3, prompt="p" * 1500, response="r" * 300)[::-1]
    (large,) = save(ground, prompt="p" * 3900, response="r" * 3900)
    pages, cursor = [], {}
    while cursor is not None:
        page = ground.call("list_traces", **cursor)
        pages.append([row["trace_id"] for row in page["traces"]])
        assert page["total"] == 4
        cursor = {"cursor": page["cursor"]} if page["cursor"] else None
    assert pages == [[large], ids[:2], ids[2:]]


@pytest.mark.parametrize("cursor", ["x", "", "é", "AAAA", "W10", "WzEsMl0", "=" * 9])
def test_a_cursor_that_is_none_is_an_error(ground, cursor):
    assert ground.error("list_traces", cursor=cursor)[0] == "INVALID_PARAMS"


def test_a_cursor_is_the_place_of_an_entry(ground):
    save(ground)
    (entry,) = ground.folders.default.entries()
    assert read_cursor(make_cursor(entry)) == entry.place


def test_category_and_text_narrow_a_listing(ground):
    (a,) = save(ground, prompt="Straße nach Rom", category="roads")
    (b,) = save(ground, response=" ROM.", category="cities")
    (c,) = save(ground, prompt="x", response="y", category="roads")

    def found(**params):
        result = ground.call("list_traces", **params)
        assert result["total"] == len(result["traces"])
        return [row["trace_id"] for row in result["traces"]]

    assert found(category="roads") == [c, a]
    assert found(text="rom") == [b, a]
    assert found(text="STRASSE") == [a]
    assert found(text="straße") == [a]
    assert found(text=c.upper()) == [c]
    assert found(category="roads", text="rom") == [a]
    assert found(text="nowhere") == []
    assert found(text="") == [c, b, a]
    name, message = ground.error("list_traces", category="rivers")
    assert name == "CATEGORY_INVALID" and "cities, roads" in message


def test_a_cancelled_search_stops(ground):
    save(ground)
    ground.cancel.set()
    assert ground.error("list_traces", text="x")[0] == "CANCELLED"


def test_unreadable_files_are_listed_with_the_reason(ground, monkeypatch):
    monkeypatch.setattr("daemon.folders.unsettled.PATIENCE", 0.0)
    (ground.folders.default.path / "broken.json").write_text("{")
    until(lambda: bool(ground.call("list_traces")["traces"]), "it is listed")
    (row,) = ground.call("list_traces")["traces"]
    assert not row["readable"] and row["reason"]


def test_a_name_that_is_no_text_does_no_harm(ground, monkeypatch):
    monkeypatch.setattr("daemon.folders.unsettled.PATIENCE", 0.0)
    path = bytes(ground.folders.default.path) + b"/\xff\xfe.json"
    with open(path, "w") as file:
        file.write("{}")
    until(lambda: bool(ground.folders.default.entries()), "it is listed")
    assert "�" in ground.call("list_traces")["traces"][0]["path"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    ground = Ground(tmp_path / "file")
    assert ground.error("list_traces")[0] == "STORAGE_FAILED"
    assert ground.error("get_summary", trace_id="x")[0] == "STORAGE_FAILED"
    ground.close()


def test_a_summary_has_the_shapes_of_all_tensors(ground):
    (trace_id,) = save(ground, metadata={"a": {"b": [1, None]}})
    summary = ground.call("get_summary", trace_id=trace_id)
    assert summary["trace_id"] == trace_id
    assert summary["metadata"] == {"a": {"b": [1, None]}}
    tensors = small_trace()[1]
    assert {name: info["shape"] for name, info in summary["data_info"]["tensors"].items()} == {
        name: list(array.shape) for name, array in tensors.items()
    }
    assert summary["data_info"]["num_layers"] == 2


@pytest.mark.parametrize(
    "changes",
    [{}, {"data_info": {"tensors": 3}}, {"data_info": {"tensors": {"x": {"shape": "wide"}}}}, {"model": 3},
     {"generation": [1]}, {"metadata": 5, "category": 7, "prompt": None, "response": 1.5},
     {"metadata": {"big": 10**40, "nan": float("nan")}}],
)  # fmt: skip
def test_a_foreign_traces_summary_is_as_the_protocol_says(ground, changes):
    summary = ground.call("get_summary", trace_id=put(ground, **changes))
    assert summary["data_info"]["tensors"]["token_embeddings"] == {"shape": [1, 3, 2], "dtype": "torch.float32"}


@pytest.mark.parametrize("analysis", [None, {"logits": {"surprisal_per_token": [1.5]}}, {"attention": 3}])
def test_a_document_is_what_three_requests_say(ground, analysis):
    changes = {} if analysis is None else {"analysis": analysis}
    trace_id = put(ground, **changes)
    document = ground.call("get_document", trace_id=trace_id)
    analysed = ground.call("analyze_trace", trace_id=trace_id)
    assert document.pop("tokens") == ground.call("get_tokens", trace_id=trace_id)["tokens"]
    assert document.pop("analysis") == analysed["analysis"]
    assert document.pop("metrics") == analysed["metrics"]
    assert document == ground.call("get_summary", trace_id=trace_id)


def test_a_document_has_the_surprisal_that_the_logits_tell_where_the_analysis_has_none(ground):
    trace_id = with_logits(ground, [1, 2], [5, 5], 3, analysis={"another": [1]})
    tokens = ground.call("get_document", trace_id=trace_id)["tokens"]
    assert tokens == ground.call("get_tokens", trace_id=trace_id)["tokens"]
    assert tokens[1]["surprisal"] > 0


def test_a_token_has_its_number_of_every_metric(ground, monkeypatch):
    row = TokenMetric(
        "confidence", lambda rows: np.exp(rows.logits.max(axis=1) - rows.log_sum_exp), "", "", "", "", "", None, True
    )
    trace_id = with_logits(ground, [1, 2], [5, 5], 3)
    monkeypatch.setitem(TOKEN_METRICS, "confidence", row)
    first, *rows = ground.call("get_tokens", trace_id=trace_id)["tokens"]
    assert first["numbers"] == dict.fromkeys(TOKEN_METRICS)
    chance = np.exp(3) / (np.exp(3) + 7)
    assert [found["numbers"]["confidence"] for found in rows] == [pytest.approx(chance)] * 3
    assert rows[1]["numbers"]["surprisal_per_token"] == rows[1]["surprisal"] == pytest.approx(-np.log2(chance))


def test_a_stored_analysis_is_told_as_it_is(ground):
    analysis = {"attention": {"num_layers": 1, "layer_stats": {"0": {"a_new_metric": 0.5}}}, "another": [1]}
    (trace_id,) = save(ground, analysis=analysis)
    result = ground.call("analyze_trace", trace_id=trace_id)
    assert result.pop("metrics").keys() == all_metrics().keys()
    assert result == {"trace_id": trace_id, "metadata": small_trace()[0]["metadata"], "analysis": analysis}


@pytest.mark.parametrize("analysis", [None, {}, 3, {"attention": 1}, {"activations": {"layer_stats": [1]}}])
def test_an_analysis_that_is_none_is_computed(ground, analysis):
    changes = {} if analysis is None else {"analysis": analysis}
    result = ground.call("analyze_trace", trace_id=put(ground, metadata=[1], **changes))
    (layer,) = result["analysis"]["attention"]["layer_stats"].values()
    entropies = [0.0, np.log(2), -(0.5 * np.log(0.25) + 0.5 * np.log(0.5))]
    assert layer["attention_entropy"] == pytest.approx(np.mean(entropies))
    assert result["metadata"] == {}


def test_an_analysis_can_be_cancelled(ground):
    trace_id = put(ground)
    ground.cancel.set()
    assert ground.error("analyze_trace", trace_id=trace_id)[0] == "CANCELLED"


def with_logits(ground, prompt, generated, rows, **changes):
    """A trace of another program, with logits and without texts."""
    logits = np.zeros((1, rows, 8))
    logits[..., 5] = 3.0
    tokens = {"input_tokens": prompt, "output_tokens": generated}
    return put(ground, tokens=tokens, model_data={"output_logits": leaf(logits.tolist())}, **changes)


def test_tokens_are_told_with_what_was_likely(ground):
    trace_id = with_logits(ground, [1, 2], [5, 3], rows=3)
    tokens = ground.call("get_tokens", trace_id=trace_id)["tokens"]
    assert [(row["position"], row["id"], row["generated"]) for row in tokens] == [
        (0, 1, False), (1, 2, False), (2, 5, True), (3, 3, True),
    ]  # fmt: skip
    total = np.exp(3.0) + 7
    rare, likely = np.log2(total), np.log2(total / np.exp(3.0))
    assert tokens[0]["surprisal"] is None and tokens[0]["top"] == []
    assert [row["surprisal"] for row in tokens[1:]] == pytest.approx([rare, likely, rare])
    assert tokens[2]["top"][0] == {
        "token": 5, "text": "t5", "probability": pytest.approx(np.exp(3.0) / total), "logit": 3.0,
    }  # fmt: skip
    assert [row["text"] for row in tokens] == ["t1", "t2", "t5", "t3"]
    assert not any(row["forced"] for row in tokens)


def test_logits_of_the_generated_tokens_alone_belong_to_those(ground):
    trace_id = with_logits(ground, [1, 2, 3], [5, 4], rows=2)
    tokens = ground.call("get_tokens", trace_id=trace_id)["tokens"]
    assert [row["surprisal"] is None for row in tokens] == [True, True, True, False, False]
    assert [len(row["top"]) for row in tokens] == [0, 0, 0, 5, 5]


def test_stored_texts_and_statistics_come_before_computed_ones(ground):
    document, tensors = small_trace(prompt=2, generated=2)
    document["tokens"] |= {"input_text": ["a", "b"], "output_text": ["c", "d"], "forced": [0, 0, 0, 1]}
    top = [{"token": 7, "text": "q", "logit": 1.0, "probability": 0.5}]
    document["analysis"]["logits"] = {
        "surprisal_per_token": [1.5, None],
        "top_tokens_per_position": [top, []],
        "prompt": {"surprisal_per_token": [None, 2.5], "top_tokens_per_position": [[], top]},
    }
    ground.tokenizer = None
    tokens = ground.call("get_tokens", trace_id=ground.storage.create_trace(document, tensors))["tokens"]
    assert [row["text"] for row in tokens] == ["a", "b", "c", "d"]
    assert [row["surprisal"] for row in tokens] == [None, 2.5, 1.5, None]
    assert [row["forced"] for row in tokens] == [False, False, False, True]
    assert [len(row["top"]) for row in tokens] == [0, 1, 1, 0]


def test_texts_that_are_fewer_than_the_ids_are_not_taken(ground):
    tokens = {"input_tokens": [1, 2], "output_tokens": [5], "input_text": ["a"], "output_text": [3]}
    rows = ground.call("get_tokens", trace_id=put(ground, tokens=tokens))["tokens"]
    assert [row["text"] for row in rows] == ["t1", "t2", "t5"]


def test_ids_stand_for_texts_that_nobody_has(ground):
    trace_id = put(ground, tokens={"input_tokens": [[3, 4000]], "output_tokens": [5]})
    tokens = ground.call("get_tokens", trace_id=trace_id)["tokens"]
    assert [row["text"] for row in tokens] == ["t3", "<4000>", "t5"]
    ground.tokenizer = None
    assert ground.call("get_tokens", trace_id=trace_id)["tokens"][0]["text"] == "<3>"


@pytest.mark.parametrize(
    "logits",
    [
        3,
        {"surprisal_per_token": 3},
        {"surprisal_per_token": [True]},
        {"surprisal_per_token": ["x"], "top_tokens_per_position": [3, [{"a": 1}]]},
        {"prompt": [1]},
        {"prompt": {"surprisal_per_token": [1.0] * 9}},
    ],
)
def test_odd_statistics_do_no_harm(ground, logits):
    trace_id = put(ground, analysis={"logits": logits}, tokens={"input_tokens": [1, 2], "output_tokens": [3]})
    rows = ground.call("get_tokens", trace_id=trace_id)["tokens"]
    assert len(rows) == 3
    assert rows[2]["surprisal"] is None


def test_a_deleted_trace_is_gone_from_the_next_listing(ground):
    first, second = save(ground, 2)
    assert ground.call("delete_trace", trace_id=first) == {"deleted": first}
    assert [row["trace_id"] for row in ground.call("list_traces")["traces"]] == [second]
    assert ground.error("delete_trace", trace_id=first)[0] == "TRACE_NOT_FOUND"


@pytest.mark.parametrize("method", ["get_summary", "analyze_trace", "get_tokens", "delete_trace"])
def test_ids_are_checked_before_they_become_paths(ground, method):
    assert ground.error(method, trace_id="../x")[0] == "TRACE_ID_INVALID"
    assert ground.error(method, trace_id="missing")[0] == "TRACE_NOT_FOUND"


@pytest.mark.parametrize("method", ["get_summary", "analyze_trace", "get_tokens"])
def test_a_broken_trace_says_so(ground, method):
    (ground.folders.default.path / "broken.json").write_text('{"trace_id": 1,')
    assert ground.error(method, trace_id="broken")[0] == "TRACE_UNREADABLE"


def test_handlers_import_no_torch():
    code = "import sys, daemon.handlers.traces, daemon.handlers.tensors; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_a_document_takes_for_its_own_is_what_the_protocol_takes():
    pairs = [
        (documents.DataInfo, types.DataInfo), (documents.Tensor, types.Tensor),
        (documents.Attention, types.AttentionAnalysis), (documents.Activations, types.ActivationAnalysis),
        (documents.Analysis, types.Analysis), (documents.Alternative, types.Alternative),
    ]  # fmt: skip
    for ours, wire in pairs:
        fields = [{field.name: field.required for field in msgspec.structs.fields(kind)} for kind in (ours, wire)]
        assert fields[0] == fields[1], ours
    for analysis in (
        {"attention": {"num_layers": 1.5, "layer_stats": {}}},
        {"attention": {"num_layers": 1, "layer_stats": {"0": {"x": "y"}}}},
        {"attention": {"num_layers": 1, "layer_stats": {"0": {"heads": [{"x": "y"}]}}}},
        {"activations": {"layer_stats": {"0": {"post_mlp": {"mean": "1"}}}}},
        {"activations": {"layer_stats": {"0": {"post_mlp": 1}}}},
        {"logits": [1]},
    ):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(analysis, types.Analysis)
        assert documents.read_document({"analysis": analysis}).analysis is None
