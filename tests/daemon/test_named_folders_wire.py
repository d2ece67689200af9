"""Whoever names a traces folder on the command line or in the surroundings has it, and nobody else has."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.launch.dial import ask, connect
from daemon.run_folder import RunFolder
from tests.daemon.named_ground import Editor, Ground, named_ground, stdio

HELLO = {"method": "hello", "params": {}}


@pytest.fixture
def ground() -> Iterator[Ground]:
    with named_ground() as made:
        yield made


def own_folder_of_the_daemon(ground: Ground) -> Path:
    with connect(RunFolder(ground.folder / "run")) as connection:
        return Path(ask(connection, "hello", {})["result"]["traces_dir"])


@pytest.mark.parametrize("starter", ["list", "stdio"])
def test_the_folder_of_the_command_that_starts_the_daemon_is_its_own_alone(ground: Ground, starter: str) -> None:
    named = ("--traces-dir", str(ground.folder / "elsewhere"))
    if starter == "list":
        assert ground.run("list", *named).status == 0
    else:
        (hello,) = stdio(ground, *named, lines=[HELLO])
        assert hello["result"]["traces_dir"] == named[1]
    assert own_folder_of_the_daemon(ground) == ground.folder / "traces"
    made = json.loads(ground.refusable("--source", "demo").out)
    assert Path(made["path"]).parent == ground.folder / "traces"
    assert not (ground.folder / "elsewhere").exists()


def test_a_daemon_that_is_started_for_a_folder_has_it(ground: Ground) -> None:
    assert ground.run("start", "--traces-dir", str(ground.folder / "elsewhere")).status == 0
    assert own_folder_of_the_daemon(ground) == ground.folder / "elsewhere"


def test_scripts_and_editors_have_the_folder_that_their_settings_name(ground: Ground) -> None:
    assert ground.run("start").status == 0
    flags, folder = ("--traces-dir", str(ground.folder / "flag")), str(ground.folder / "variable")
    by_flag, by_variable, neither = (
        stdio(ground, *words, lines=[HELLO], **variables)[0]["result"]["traces_dir"]
        for words, variables in ((flags, {}), ((), {"NANOSCOPE_TRACES_DIR": folder}), ((), {}))
    )
    assert (by_flag, by_variable, neither) == (flags[1], folder, str(ground.folder / "traces"))
    own = {"method": "hello", "params": {"traces_dir": str(ground.folder / "own")}}
    assert stdio(ground, *flags, lines=[own])[0]["result"]["traces_dir"] == own["params"]["traces_dir"]
    with Editor(ground, *flags) as editor:
        assert editor.ask("hello", {})["result"]["traces_dir"] == flags[1]
    with Editor(ground, *flags, options={"traces_dir": str(ground.folder / "own")}) as editor:
        assert editor.ask("hello", {})["result"]["traces_dir"] == str(ground.folder / "own")


def test_a_folder_that_cannot_be_used_is_told_before_anything_is_answered(ground: Ground) -> None:
    assert ground.run("start").status == 0
    for folder in ("relative", "~nobody-of-that-name/traces"):
        with connect(RunFolder(ground.folder / "run")) as connection:
            connection.sendall(b"#" + json.dumps({"traces_dir": folder}).encode() + b'\n{"jsonrpc": "2.0", "id": 1, ')
            with connection.makefile("rb") as lines:
                error = json.loads(lines.readline())["error"]
                assert error["data"]["name"] in ("SETTING_INVALID", "STORAGE_FAILED")
                assert lines.readline() == b""
