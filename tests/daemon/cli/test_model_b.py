"""`nanoscope diff --model-b`: one prompt, two models, on a real daemon."""

import json
from collections.abc import Iterator

import pytest

from daemon.client.sync import Client
from nanochat.interpretability_engine import InterpretabilityEngine
from tests.checkpoints import write_without_heads
from tests.daemon.commands import in_terminal, run
from tests.daemon.running import DaemonProcess, running_daemon
from tests.models import GOLDEN, golden_model

TEXT = "red, blue, green, silver, red, blue, green,"
COPYING = [1, 2, 3]  # of layer 3: without them the text is not gone on with
EDIT = '{"op": "zero", "site": "head_output", "layer": 2, "heads": [0]}'


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    base_dir = tmp_path_factory.mktemp("nanochat")
    write_without_heads(base_dir, 10, 3, COPYING)
    write_without_heads(base_dir, 20, 3, [])
    with running_daemon(base_dir=str(base_dir)) as process:
        yield process


@pytest.fixture(scope="module")
def trace(daemon: DaemonProcess) -> str:
    return json.loads(run("capture", TEXT, "-n", "4", "-t", "0", "--json").out)["trace_id"]


@pytest.fixture(scope="module")
def ablated(trace: str) -> str:
    return json.loads(run("ablate", trace, "3.1", "3.2", "3.3", "--json").out)["trace_id"]


def total() -> int:
    return json.loads(run("list", "--json").out)["total"]


def test_b_is_the_prompt_on_the_other_model(trace: str, ablated: str) -> None:
    done = run("diff", trace, "--model-b", "base:d4:10", "--json")
    assert done.status == 0 and "was written by demo step 2400" in done.err and "by base d4 step 10" in done.err
    result = json.loads(done.out)
    child, model = result.pop("other_id"), result.pop("model")
    assert (model["source"], model["tag"], model["step"]) == ("base", "d4", 10)
    assert child in done.err and result == json.loads(run("diff", trace, child, "--json").out)
    assert result["parted_at"] is not None
    rows = {row["trace_id"]: row for row in json.loads(run("list", "--json").out)["traces"]}
    assert (rows[child]["parent"], rows[child]["changed"], rows[child]["model"]) == (trace, None, "d4 · 10")
    same = json.loads(run("diff", ablated, child, "--json").out)  # the same zeros, by interventions
    assert same["parted_at"] is None and {row["norm"] for row in same["sites"]} == {0}


def test_the_next_question_goes_to_the_model_that_was_held(trace: str, daemon: DaemonProcess) -> None:
    with Client(daemon.settings, traces_dir=daemon.settings.traces_dir, names_model=False) as other:
        told = other.notifications("model_changed")
        assert run("diff", trace, "--model-b", "base").status == 0
        assert json.loads(run("status", "--json").out)["model"]["tag"] == "demo"
        assert json.loads(run("capture", TEXT, "-n", "1", "--json").out)["model"]["tag"] == "demo"
        assert other.logit_lens(trace_id=trace, positions=[3]).other_model is None
    assert list(told) == []  # it ends with the client


def test_the_same_edit_on_both_or_on_one(trace: str) -> None:
    edited = json.loads(run("ablate", trace, "2.0", "--json").out)["trace_id"]
    ours = json.loads(run("diff", edited, "--model-b", "base:d4:20", "--json").out)
    assert ours["parted_at"] is None and {row["norm"] for row in ours["sites"]} == {0}  # equal weights, equal edit
    for words in ([trace, "--edits", EDIT], [edited, "--edits", "none"], [edited, "--edits", "[]"]):
        found = json.loads(run("diff", *words, "--model-b", "base:d4:20", "--json").out)
        assert max(row["norm"] for row in found["sites"]) > 0
        alone = edited if words[0] == trace else trace
        same = json.loads(run("diff", alone, found["other_id"], "--json").out)
        assert {row["norm"] for row in same["sites"]} == {0}


def test_models_that_are_not_equally_deep(daemon: DaemonProcess) -> None:
    model, tokenizer = golden_model(case="mha_full_context")
    made = InterpretabilityEngine(model, tokenizer, daemon.settings.traces_dir).generate_and_capture("Hi", max_tokens=3)
    done = run("diff", made["path"], "--model-b", str(GOLDEN / "F" / "gqa_windowed"), "--json")
    assert done.status == 0, done.err
    result = json.loads(done.out)
    assert "n_layer 3, not 4" in done.err
    assert any("A's model has 3 layers and B's 4" in text for text in result["notices"])
    assert {(row["layer"], row["other_layer"]) for row in result["heads"]} == {(0, 0), (1, 2), (2, 3)}


def test_a_terminal_and_a_pipe(trace: str) -> None:
    shown = in_terminal("diff", trace, "--model-b", "base:d4:10", columns=120).out
    assert "B is trace_" in shown and f"A  {trace}" in shown and "They part at position" in shown
    assert {row[0] for row in run("diff", trace, "--model-b", "base:d4:10").rows} == {"parted", "token", "head", "site"}


def test_an_estimate_makes_no_trace(trace: str) -> None:
    before = total()
    done = run("diff", trace, "--model-b", "base", "--estimate")
    assert [line.split()[0] for line in done.out.splitlines()] == ["forwards", "memory", "time"]
    assert "was written by demo" in done.err
    cost = json.loads(run("diff", trace, "--model-b", "base", "--estimate", "--json").out)["cost"]
    alone = json.loads(run("diff", trace, trace, "--estimate", "--json").out)["cost"]
    assert cost["forwards"] == 1 and cost["bytes"] > alone["bytes"]
    assert total() == before


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ([], 2, "either another trace, or a model"),
        (["latest", "--model-b", "base"], 2, "either another trace, or a model"),
        (["latest", "--edits", "none"], 2, "give --model-b"),
        (["--model-b", "base:d4:last"], 2, "none of SOURCE, SOURCE:TAG and SOURCE:TAG:STEP"),
        (["--model-b", "base:d4:1:2"], 2, "none of SOURCE"),
        (["--model-b", "base", "--edits", "[3"], 2, "holds no interventions"),
        (["--model-b", "sft"], 1, "There is no model 'sft': name base:d4 or demo:demo"),
        (["--model-b", "nowhere"], 1, "There is no model 'nowhere': name base:d4 or demo:demo"),
        (["--model-b", "base:d9"], 1, "the tags there are d4"),
        (["--model-b", "base::11"], 1, "its steps are 10, 20"),
        (["--model-b", "demo"], 1, "or another model than the one that wrote the trace"),
        (["--model-b", str(GOLDEN / "F" / "gqa_windowed")], 1, "makes other tokens of the prompt"),
        (["--model-b", "base", "--edits", EDIT.replace("2", "9")], 1, "layer 9"),
    ],
)
def test_misuse_is_told_and_makes_no_trace(trace: str, words: list[str], status: int, said: str) -> None:
    before = total()
    done = run("diff", trace, *words)
    assert (done.status, said in done.misuse) == (status, True), done.misuse
    assert total() == before


def test_a_chat_is_not_run_on_a_base_model(daemon: DaemonProcess) -> None:
    chat = json.loads(run("capture", "Hello", "--chat", "-n", "1", "--json").out)["trace_id"]
    done = run("diff", chat, "--model-b", "base")
    assert done.status == 1 and "is a chat, and base d4 step 20, era F, a base model" in done.err
