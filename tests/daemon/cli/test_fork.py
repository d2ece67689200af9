"""`nanoscope fork` and `nanoscope diff`, on a real daemon."""

import json

import pytest

from tests.daemon.commands import in_terminal, run
from tests.daemon.running import running_daemon

PROMPT = "The capital of France is"


@pytest.fixture(scope="module")
def trace():
    with running_daemon():
        yield json.loads(run("capture", PROMPT, "-n", "4", "-t", "0", "--json").out)["trace_id"]


def test_what_was_there_and_what_is(trace):
    done = run("fork", trace, "--at", "8", "--text", " N", "-q")
    assert done.status == 0 and done.out.startswith(" N")
    assert f"forked from {trace} at position 8" in done.err
    assert "was ' Paris." in done.err and "now ' N" in done.err
    row = json.loads(run("list", "--json").out)["traces"][0]
    assert (row["parent"], row["position"]) == (trace, 8)


def test_a_fork_that_changes_nothing_says_so(trace):
    token = json.loads(run("tokens", trace, "--json").out)["tokens"][8]["id"]
    same = run("fork", trace, "--at", "8", "--token", str(token), "-q")
    assert same.out == " Paris.\n" and "the text is the same" in same.err and "was" not in same.err


def test_json_heads_off_and_a_limit(trace):
    result = json.loads(
        run("fork", trace, "--at", "8", "--text", " N", "--off", "3.1", "--off", "0.mlp", "-n", "1", "--json").out
    )
    assert [item["site"] for item in result["interventions"]] == ["head_output", "post_mlp"]
    assert (result["response_tokens"], result["position"], len(result["touched"])) == (2, 8, 2)


def test_estimates_say_what_it_would_take_and_keep_no_trace(trace):
    before = json.loads(run("list", "--json").out)["total"]
    for words in (["fork", trace, "--at", "8", "--text", " N"], ["diff", trace, trace]):
        done = run(*words, "--estimate")
        assert (done.status, done.err) == (0, "")
        assert [line.split()[0] for line in done.out.splitlines()] == ["forwards", "memory", "time"]
        assert json.loads(run(*words, "--estimate", "--json").out)["cost"]["forwards"] == (words[0] == "fork")
    assert json.loads(run("list", "--json").out)["total"] == before


def test_a_terminal_sees_the_text_as_it_comes(trace):
    assert "The capital of Germany is" in in_terminal("fork", trace, "--at", "4", "--text", " Germany is").out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["--at", "8"], 2, "either --token or --text"),
        (["--at", "8", "--token", "65", "--text", "A"], 2, "either --token or --text"),
        (["--token", "65"], 2, "--at"),
        (["--at", "8", "--token", "65", "--off", "3"], 2, "none of LAYER.HEAD"),
        (["--at", "90", "--token", "65"], 1, "There is no position 90 to fork at: there are 1 to"),
        (["--at", "8", "--text", ""], 1, "0 tokens"),
    ],
)
def test_misuse_is_told(trace, words, status, said):
    done = run("fork", trace, *words)
    assert done.status == status
    assert said in " ".join(done.err.replace("│", " ").split())


def test_what_differs_most(trace):
    child = json.loads(run("fork", trace, "--at", "4", "--text", " Germany is", "--json").out)["trace_id"]
    shown = in_terminal("diff", trace, child).out
    assert "They part at position 4: ' F' in A, ' G' in B." in shown
    assert all(word in shown for word in ("divergence", "cosine distance", "B − A"))
    rows = run("diff", trace, child).rows
    assert rows[0][0] == "parted" and int(rows[0][1]) >= 4
    assert {row[0] for row in rows} == {"parted", "token", "head", "site"}
    assert len([row for row in rows if row[0] == "head"]) == 16
    result = json.loads(run("diff", trace, child, "--json").out)
    assert str(result["parted_at"]) == rows[0][1]
    same = in_terminal("diff", trace, trace).out
    assert "Their tokens are the same." in same
    assert run("diff", trace, "trace_20000101").status == 1
