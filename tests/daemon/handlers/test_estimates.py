"""What runs and differences would take, through the daemon: a cost, and nothing done; what is too large is refused."""

from pathlib import Path
from typing import Any

import pytest

from daemon.handlers import difference as handler
from tests.daemon.handlers.test_fork import with_parent
from tests.daemon.state_ground import DirectClient

OFF = [{"op": "zero", "site": "head_output", "layer": 3, "heads": [1]}]
ASKED: dict[str, dict[str, Any]] = {
    "intervene": {"interventions": OFF},
    "fork_trace": {"position": 8, "token": " N"},
    "diff_traces": {},
}


def asked(method: str, trace_id: str) -> dict[str, Any]:
    return ASKED[method] | {"trace_id": trace_id} | ({"other_id": trace_id} if method == "diff_traces" else {})


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (folder / "traces").rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", ASKED)
def test_an_estimate_is_no_answer(tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        params, before = asked(method, parent["trace_id"]), files(tmp_path)
        monkeypatch.setattr("nanochat.gpt.GPT.forward", None)
        found = await client.call(method, **params, estimate=True)
        monkeypatch.undo()
        cost = found["cost"]
        assert cost["forwards"] == (0 if method == "diff_traces" else 1)
        assert cost["bytes"] > 0 and 0 < cost["seconds"] < 60
        if method == "diff_traces":
            lists = ("aligned", "tokens", "heads", "sites")
            assert [found[name] for name in lists] == [[]] * 4 and found["parted_at"] is None
        else:
            assert (found["trace_id"], found["response"], found["path"], found["summary"]) == ("", "", "", None)
            assert (found["model"]["tag"], found["parent"]) == ("demo", parent["trace_id"])
        assert files(tmp_path) == before
        assert (await client.call("list_traces"))["total"] == 1
        assert (await client.call(method, **params))["cost"] is None

    with_parent(tmp_path, test)


@pytest.mark.parametrize("estimate", [False, True])
@pytest.mark.parametrize(
    ("method", "wish", "name"),
    [
        ("intervene", {"interventions": []}, "SETTING_INVALID"),
        ("intervene", {"trace_id": "trace_1"}, "TRACE_NOT_FOUND"),
        ("fork_trace", {"position": 400}, "SETTING_INVALID"),
        ("fork_trace", {"token": None, "text": " a" * 20000}, "PROMPT_TOO_LONG"),
        ("diff_traces", {"other_id": "trace_1"}, "TRACE_NOT_FOUND"),
    ],
)
def test_an_estimate_is_refused_as_the_work_is(
    tmp_path: Path, method: str, wish: dict[str, Any], name: str, estimate: bool
) -> None:
    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        params = {**asked(method, parent["trace_id"]), **wish, "estimate": estimate}
        assert (await client.refusal(client.begin(method, **params))).name == name

    with_parent(tmp_path, test)


def test_a_difference_too_large_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aligned_texts", "head_differences", "site_differences"):
        monkeypatch.setattr(handler, name, None)
    monkeypatch.setattr("daemon.handlers.answers.LARGEST", 10_000)

    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        params = asked("diff_traces", parent["trace_id"])
        refusal = await client.refusal(client.begin("diff_traces", **params))
        assert refusal.name == "TOO_LARGE"
        assert "24 tokens of both and 16 heads, about" in refusal.message
        assert "one answer holds 10,000" in refusal.message and "`compare_traces`" in refusal.message
        assert (await client.call("diff_traces", **params, estimate=True))["cost"]["bytes"] > 0

    with_parent(tmp_path, test)


def test_an_answer_is_no_larger_than_it_is_reckoned(tmp_path: Path) -> None:
    import msgspec

    async def test(client: DirectClient, parent: dict[str, Any]) -> None:
        found = await client.call("diff_traces", **asked("diff_traces", parent["trace_id"]))
        sizes = {name: len(msgspec.json.encode(found[name])) for name in ("aligned", "tokens", "heads", "sites")}
        assert sizes["aligned"] + sizes["tokens"] < 2 * len(found["tokens"]) * handler.TOKEN_BYTES
        assert sizes["heads"] < len(found["heads"]) * handler.HEAD_BYTES
        assert sizes["sites"] < len(found["sites"]) * handler.SITE_BYTES

    with_parent(tmp_path, test)
