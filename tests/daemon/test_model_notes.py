"""What a checkpoint leaves open, and what was chosen, is told on every way to a model, by a real daemon."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.checkpoints import edit_meta, write_checkpoint, write_flat, write_tokenizer
from tests.daemon.commands import Terminal, run
from tests.daemon.running import DaemonProcess, running_daemon
from tests.models import random_model

UNRECORDED = "the metadata record no window_pattern: took SSSL"


@pytest.fixture
def unrecorded(tmp_path: Path) -> Path:
    """A checkpoint of era B whose metadata do not tell the windows that it was trained with."""
    weights = write_flat(tmp_path / "mid", 10, random_model("B", n_layer=4, window_pattern="SSSL"))
    edit_meta(weights, window_pattern=None)
    return weights.parent


@pytest.fixture
def held(unrecorded: Path) -> Iterator[DaemonProcess]:
    with running_daemon(source=str(unrecorded)) as process:
        yield process


def test_every_route_tells_it(held: DaemonProcess, unrecorded: Path) -> None:
    captured = run("capture", "Some words", "-n", "2")
    assert UNRECORDED in captured.err
    loaded = run("load", str(unrecorded))
    assert UNRECORDED in loaded.out
    again = ["capture", "More", "-n", "1"]
    for command in (["show"], ["status"], [*again, "--json"], [*again, "-q"]):
        said = run(*command)
        assert said.status == 0
        assert UNRECORDED in said.out + said.err, command
    with Terminal("models", columns=200) as terminal:
        terminal.until(lambda shown: UNRECORDED in shown)
    assert UNRECORDED in held.call("get_status")["model"]["note"]
    summary = held.call("get_summary", {"trace_id": json.loads(run("list", "--json").out)["traces"][0]["trace_id"]})
    assert UNRECORDED in summary["model"]["note"]


def test_every_route_takes_the_override(held: DaemonProcess, unrecorded: Path) -> None:
    result = held.call("load_model", {"source": str(unrecorded), "window_pattern": "SL"})
    assert result["model"]["note"] is None
    run("capture", "Some words", "-n", "1")
    shown = json.loads(run("show", "--json").out)
    assert shown["model"]["config"]["window_pattern"] == "SL"
    assert UNRECORDED not in run("load", str(unrecorded), "--window-pattern", "L").out
    assert run("load", str(unrecorded), "--window-pattern", "X").status == 1


def test_a_setting_overrides_it_from_the_start(unrecorded: Path) -> None:
    with running_daemon(source=str(unrecorded), window_pattern="SL"):
        assert UNRECORDED not in run("capture", "Some words", "-n", "1").err
        assert json.loads(run("show", "--json").out)["model"]["config"]["window_pattern"] == "SL"


def test_what_was_passed_over_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path))
    for tag, layers in (("d12", 1), ("d24_fp8", 2)):
        write_checkpoint(tmp_path / "base_checkpoints" / tag, 10, random_model("F", n_layer=layers, n_embd=32))
    write_tokenizer(tmp_path / "tokenizer")
    with running_daemon(source="base"):
        said = run("capture", "Some words", "-n", "1").err
        assert "by base d24_fp8" in said
        assert "passed over base d12 (1 layer)" in said


def listed_and_held(process: DaemonProcess) -> tuple[Any, Any]:
    run("capture", "Some words", "-n", "1")
    return process.call("list_models")["models"][0], process.call("get_status")["model"]


@contextmanager
def daemon_without_a_wish() -> Iterator[DaemonProcess]:
    """A daemon that chooses its model itself."""
    with running_daemon(source=None) as process:  # pyright: ignore[reportArgumentType]
        yield process


@pytest.mark.parametrize("layout", ["group/mine", "mine", ".", "mine/sft", "base_checkpoints/mine"])
def test_without_a_wish_the_first_model_listed_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    weights = write_flat(tmp_path / layout)
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path))
    with daemon_without_a_wish() as process:
        listed, held = listed_and_held(process)
        assert (listed["path"], held["path"]) == (str(weights.parent), str(weights))
        assert [row[-1] for row in run("models").rows if row[3] == str(weights.parent)] == ["*"]
        assert run("load", str(tmp_path)).status == 0
        assert process.call("get_status")["model"]["path"] == str(weights)
        found = run("doctor", "--json").out
        assert str(weights) in found


def test_where_the_built_in_model_stands_in_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "mistyped"))
    said = f"The built-in demo model: there is no nanochat checkpoint in {tmp_path / 'mistyped'}."
    with daemon_without_a_wish() as process:
        assert said in run("capture", "Some words", "-n", "1").err
        assert said in run("show").out
        assert said == process.call("get_status")["model"]["note"]
        assert run("load", str(tmp_path)).status == 1
