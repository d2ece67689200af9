"""What `nanoscope list` shows of how traces were made."""

from typing import Any

from daemon.cli.differences import differences
from protocol.types import TraceRow

SETTINGS = {"temperature": 0.6, "top_k": 50, "seed": 42, "max_tokens": 32}


def row(prompt: str = "The symbol of gold is", *, readable: bool = True, **told: Any) -> TraceRow:
    facts: dict[str, Any] = {"model": "d12 · 2289"} | SETTINGS | told
    return TraceRow(
        trace_id="t", timestamp="", category=None, prompt=prompt, response="", prompt_tokens=1, response_tokens=1,
        size=1, format="json", readable=readable, reason="", path="/t.json", **facts,
    )  # fmt: skip


def test_only_settings_that_differ_among_traces_of_one_prompt_are_told():
    rows = [row(temperature=0.8), row(), row("Another prompt", temperature=1.0, seed=1)]
    assert differences(rows) == ["T 0.8", "T 0.6", ""]


def test_each_setting_has_its_word():
    assert differences([row(), row(temperature=0.0, seed=7, top_k=0, max_tokens=8)]) == [
        "T 0.6, seed 42, top-k 50, max 32",
        "T 0, seed 7, top-k all, max 8",
    ]


def test_a_model_is_told_where_most_have_another():
    rows = [row("a"), row("b"), row("c", model="sft d12 · 650"), row("d", model=None)]
    assert differences(rows) == ["", "", "sft d12 · 650", ""]


def test_a_trace_that_does_not_tell_has_no_words_of_its_own():
    assert differences([row(), row(temperature=None)]) == ["T 0.6", ""]


def test_unreadable_files_have_none():
    nothing = dict.fromkeys([*SETTINGS, "model"])
    assert differences([row(""), row("", readable=False, **nothing)])[1] == ""
    assert differences([]) == []
