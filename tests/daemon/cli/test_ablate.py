"""`nanoscope ablate`, on a real daemon."""

import json
from typing import Any

import pytest

from tests.daemon.commands import in_terminal, run
from tests.daemon.running import running_daemon

PROMPT = "The capital of France is"
HEADS = ("3.1", "3.2", "3.3")


@pytest.fixture(scope="module")
def trace():
    with running_daemon():
        yield json.loads(run("capture", PROMPT, "-n", "4", "-t", "0", "--json").out)["trace_id"]


def ablated(*words: str) -> Any:
    return json.loads(run("ablate", *words, "--json").out)


def test_heads_of_a_layer_are_one_intervention(trace):
    result = ablated(trace, *HEADS, "0.mlp", "1.attn")
    heads = {"op": "zero", "site": "head_output", "layer": 3, "heads": [1, 2, 3], "positions": "all"}
    parts = [{"op": "zero", "site": site, "layer": layer, "positions": "all"} for site, layer in PARTS]
    assert result["interventions"] == [heads, *parts]
    assert result["touched"] == [result["prompt_tokens"] + result["response_tokens"] - 1] * 3
    assert result["parent"] == result["summary"]["parent"] == trace
    row = json.loads(run("list", "--json").out)["traces"][0]
    assert (row["trace_id"], row["parent"]) == (result["trace_id"], trace)


PARTS = (("post_mlp", 0), ("post_attn", 1))


def test_it_says_from_where_on_the_text_is_another(trace):
    without = run("ablate", trace, "3.mlp", "2.mlp", "1.mlp", "-q")
    assert without.status == 0 and without.out.strip() != "Paris."
    assert f"another text from position 8 on as {trace}; positions touched: " in without.err
    same = run("ablate", trace, "0.0", "--positions", "generated", "-q")
    assert same.out == " Paris.\n" and f"the same text as {trace}" in same.err


def test_what_was_changed_is_told_of_the_trace_ever_after(trace):
    child = ablated(trace, *HEADS, "0.mlp")["trace_id"]
    shown, summary = run("show", child).out, run("summary", child).out
    assert f"Edited zero L3H1, L3H2, L3H3; zero L0 post_mlp\nParent {trace}" in shown
    lines = [line.split(None, 1) for line in summary.splitlines() if line]
    assert ["parent", trace] in lines
    assert [words for name, *words in lines if name == "edited"] == [
        ["zero L3H1, L3H2, L3H3, 11 positions touched"],
        ["zero L0 post_mlp, 11 positions touched"],
    ]
    assert "Edited" not in run("show", trace).out and "edited" not in run("summary", trace).out


def test_positions_and_the_mean(trace):
    result = ablated(trace, "2.0", "--mean", "--positions", "0,2:5")
    (made,) = result["interventions"]
    assert (made["op"], made["value"], made["positions"]) == ("mean", {"mean_over": "trace"}, [0, [2, 5]])
    assert result["touched"] == [4]


STEER = {
    "op": "add",
    "site": "residual",
    "layer": 4,
    "positions": "last",
    "value": {"difference": ["The capital of Spain is", PROMPT], "times": 4.0},
}


def test_any_intervention_may_be_given_as_json(trace, tmp_path):
    spain = json.loads(run("capture", "The capital of Spain is", "-n", "5", "-t", "0", "--json").out)
    put = {"op": "set", "site": "post_mlp", "layer": 3, "positions": "all", "value": {"trace": spain["trace_id"]}}
    file = tmp_path / "edits.json"
    file.write_text(json.dumps([put]))
    for result in (ablated(trace, "--edits", str(file)), ablated(trace, "--edits", json.dumps(put))):
        assert (spain["response"], result["response"][:4]) == (" Madrid.", " Mad")
        assert result["interventions"] == [put]
    steered = ablated(trace, "0.0", "--positions", "generated", "--edits", json.dumps(STEER))
    assert [made["op"] for made in steered["interventions"]] == ["zero", "add"]
    assert steered["interventions"][1] == STEER and steered["response"].startswith(" M")
    lost = run("ablate", trace, "--edits", json.dumps(put | {"value": {"trace": "trace_1"}}))
    assert lost.status == 1 and "interventions[0]: There is no trace trace_1" in lost.err
    assert run("ablate", trace, "--edits", str(tmp_path / "absent.json")).status == 1


def test_an_estimate_says_what_it_would_take_and_keeps_no_trace(trace):
    before = json.loads(run("list", "--json").out)["total"]
    done = run("ablate", trace, "3.1", "--estimate")
    assert done.status == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["forwards", "memory", "time"]
    found = ablated(trace, "3.1", "--estimate")
    assert (found["trace_id"], found["summary"], found["cost"]["forwards"]) == ("", None, 1)
    assert json.loads(run("list", "--json").out)["total"] == before


def test_a_terminal_sees_the_text_as_it_comes(trace):
    shown = in_terminal("ablate", trace, "0.0", "--positions", "generated")
    assert f"{PROMPT} Paris." in shown.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["3"], "none of LAYER.HEAD, LAYER.mlp and LAYER.attn"),
        (["3.x"], "none of LAYER.HEAD"),
        (["x.1"], "none of LAYER.HEAD"),
        (["3.1", "--positions", "first"], "is none of all, prompt, generated, last"),
        (["3.1", "--positions", "3:"], "is none of all"),
        ([], "Name a part, such as 3.1, or give --edits"),
        (["--edits", "[]"], "Name a part"),
        (["--edits", "[3"], "holds no interventions"),
        (["--edits", "[3]"], "holds no interventions"),
        (["--edits", '{"op": "zero", "site": "z", "layer": 1, "hook": "x"}'], "unknown field `hook`"),
    ],
)
def test_misuse_is_told(trace, words, said):
    done = run("ablate", trace, *words)
    assert done.status == 2
    assert said in " ".join(done.err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["3.4"], "head_output has the heads 0 to 3"),
        (["4.0"], "head_output has the layers 0 to 3"),
        (["3.1", "--positions", "300"], "there is no position 300"),
    ],
)
def test_what_the_model_does_not_have_is_refused(trace, words, said):
    done = run("ablate", trace, *words)
    assert done.status == 1
    assert said in done.err
