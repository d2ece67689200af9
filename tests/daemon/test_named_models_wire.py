"""Scripts, editors and Python clients are answered by the model that their settings and surroundings name."""

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.client.aio import AsyncClient
from daemon.launch.dial import ask, connect
from daemon.run_folder import RunFolder
from tests.daemon.commands import ROOT
from tests.daemon.named_ground import (
    DEMO,
    GENERATE,
    PROMPT,
    SECONDS,
    SHORT,
    Editor,
    Ground,
    named_ground,
    stdio,
    written_by,
)


@pytest.fixture
def ground() -> Iterator[Ground]:
    with named_ground() as made:
        yield made


@pytest.mark.parametrize("flags", [[], ["--private"]])
def test_a_script_over_stdio_gets_what_its_surroundings_name(ground: Ground, flags: list[str]) -> None:
    for base in ("a", "b"):
        hello, models, made = stdio(
            ground,
            *flags,
            lines=[{"method": "hello", "params": {}}, {"method": "list_models"}, GENERATE],
            NANOCHAT_BASE_DIR=ground.folder / base,
        )
        assert hello["result"]["base_dir"] == models["result"]["base_dir"] == str(ground.folder / base)
        assert ground.answered(made["result"]) == ground.weights(base)
    (made,) = stdio(ground, *flags, "--source", "demo", lines=[GENERATE])
    assert ground.answered(made["result"]) == DEMO
    own = {"method": "hello", "params": {"model": {"source": str(ground.folder / "mine")}}}
    _, made = stdio(ground, *flags, "--source", "demo", lines=[own, GENERATE])
    assert ground.answered(made["result"]) == ground.mine


def test_an_editor_gets_what_its_settings_and_surroundings_name(ground: Ground) -> None:
    wishes: list[tuple[list[str], dict[str, Any], Path]] = [
        (["--source", "demo"], {}, DEMO),
        ([], {"NANOCHAT_BASE_DIR": ground.a}, ground.weights("a")),
        (["--source", "base"], {"NANOCHAT_BASE_DIR": ground.b}, ground.weights("b", "base", "d12")),
    ]
    for flags, variables, path in wishes:
        with Editor(ground, *flags, **variables) as editor:
            assert ground.answered(editor.ask("generate_and_capture", GENERATE["params"])["result"]) == path
            assert ground.answered(editor.capture()["result"]) == path
            listed = editor.ask("list_models", {})["result"]
            assert listed["base_dir"] == str(variables.get("NANOCHAT_BASE_DIR", ground.folder / "home/.cache/nanochat"))
    options = {"model": {"source": "sft", "step": 10, "base_dir": str(ground.a)}, "base_dir": str(ground.a)}
    with Editor(ground, "--source", "demo", options=options) as editor:
        assert ground.answered(editor.ask("generate_and_capture", GENERATE["params"])["result"]) == ground.weights(
            "a", step=10
        )
    with Editor(ground, options={"model": {"source": "not/whole"}}) as editor:
        message = editor.receive()
        assert message["method"] == "window/showMessage" and "model.source='not/whole'" in message["params"]["message"]


def test_an_editor_is_told_of_a_mismatch(ground: Ground) -> None:
    with (
        Editor(ground, "--source", "sft", NANOCHAT_BASE_DIR=ground.a) as one,
        Editor(ground, "--source", "demo") as other,
    ):
        assert ground.answered(one.capture()["result"]) == ground.weights("a")
        for error in (other.capture()["error"], other.ask("generate_and_capture", GENERATE["params"])["error"]):
            assert (error["code"], error["data"]["name"]) == (-31020, "MODEL_MISMATCH")
            assert "names demo" in error["message"] and "`nanoscope load demo`" in error["message"]
        assert other.ask("load_model", {"source": "demo"})["result"]["model"]["source"] == "demo"
        assert ground.answered(other.capture()["result"]) == DEMO
        assert one.capture()["error"]["data"]["name"] == "MODEL_MISMATCH"


def test_an_introduction_that_is_none_is_refused_and_long_ones_end(ground: Ground) -> None:
    assert ground.capture("--source", "demo") == DEMO
    for line in (
        b"#\n",
        b"#{\n",
        b'#{"model": {"source": 3}}\n',
        b'#{"model": {"source": "a/b"}}\n',
        b"#" + b"x" * 99999,
    ):
        with connect(RunFolder(ground.folder / "run")) as connection:
            connection.sendall(line)
            with connection.makefile("rb") as lines:
                error = json.loads(lines.readline())["error"]
                assert error["data"]["name"] in ("INVALID_PARAMS", "SETTING_INVALID")
                assert lines.readline() == b""
    with connect(RunFolder(ground.folder / "run")) as connection:
        for piece in (b"\n #", b'{"model": {"source"', b': "demo"}}', b"\n", b" \n"):
            connection.sendall(piece)
        assert "result" in ask(connection, "hello", {})


@pytest.mark.parametrize(
    "params",
    [
        {"base_dir": "a/b"},
        {"model": {"source": "a/b"}},
        {"model": {"base_dir": "."}},
        {"model": {"source": "x" * 5000}},
        {"model": {"source": "/a\0b"}},
        {"base_dir": "/" + "x" * 5000},
        {"model": {"colour": "red"}},
    ],
)
def test_a_name_that_cannot_be_is_refused_at_the_door(ground: Ground, params: dict[str, Any]) -> None:
    (answer,) = stdio(ground, "--private", lines=[{"method": "hello", "params": params}])
    assert answer["error"]["data"]["name"] in ("INVALID_PARAMS", "SETTING_INVALID")


def test_an_asynchronous_client_is_answered_the_same(ground: Ground) -> None:
    async def play() -> None:
        for flags, path in (({"base_dir": ground.a}, ground.weights("a")), ({"source": "demo"}, DEMO)):
            async with AsyncClient(ground.settings(**flags)) as client:
                assert ground.answered(msgspec.to_builtins(await client.generate_and_capture(PROMPT, **SHORT))) == path
                assert (await client.list_models()).base_dir == client.greeting.base_dir

    asyncio.run(asyncio.wait_for(play(), SECONDS))


def test_three_daemons_worth_of_surroundings_in_one_session(ground: Ground) -> None:
    """Zones, umasks, folders and homes differ too: every answer names the model, and it is the right one."""
    (ground.folder / "elsewhere").mkdir()
    surroundings = [
        ({"NANOCHAT_BASE_DIR": ground.a, "TZ": "Asia/Tokyo"}, 0o077, ground.folder, ground.weights("a")),
        (
            {"NANOSCOPE_SOURCE": "base", "NANOCHAT_BASE_DIR": ground.b, "TZ": "UTC"},
            0o022,
            ground.a,
            ground.weights("b", "base", "d12"),
        ),
        ({"NANOSCOPE_SOURCE": "demo", "HOME": ground.folder / "elsewhere"}, 0o002, ROOT, DEMO),
        ({"NANOSCOPE_SOURCE": "./mine"}, 0o027, ground.folder, ground.mine),
    ]
    before, mask = os.getcwd(), os.umask(0)
    try:
        for _ in range(2):
            for variables, umask, folder, path in surroundings:
                os.chdir(folder)
                os.umask(umask)
                assert ground.capture(**variables) == path
                assert json.loads(ground.run("status", "--json", **variables).out)["model"]["path"] == str(path)
    finally:
        os.chdir(before)
        os.umask(mask)


def test_the_home_of_each_command_is_its_own(ground: Ground) -> None:
    for base in ("a", "b"):
        place = ground.folder / f"home of {base}" / ".cache" / "nanochat"
        place.parent.mkdir(parents=True)
        place.symlink_to(ground.folder / base)
    for base in ("a", "b"):
        home = ground.folder / f"home of {base}"
        assert ground.run("models", HOME=home).rows[0][3].startswith(str(home))
        answer = json.loads(ground.refusable("--source", "sft", HOME=home).out)
        assert answer["response"] == written_by(ground.weights(base))


def test_config_files_are_each_clients_own(ground: Ground) -> None:
    for name, source, traces in (("one", "demo", "x"), ("two", str(ground.folder / "mine"), "y")):
        config = ground.folder / name / "nanoscope" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text(f"source = '{source}'\ntraces_dir = '{traces}'\n")
    for name, path, traces in (("one", DEMO, "x"), ("two", ground.mine, "y"), ("one", DEMO, "x")):
        own = {"XDG_CONFIG_HOME": ground.folder / name, "NANOSCOPE_TRACES_DIR": ""}
        own |= {"NANOSCOPE_FORMAT": "safetensors" if name == "two" else "json"}
        done = json.loads(ground.refusable(**own).out)
        assert ground.answered(done) == path
        assert Path(done["path"]).parent == ground.folder / name / "nanoscope" / traces
        assert Path(done["path"]).suffix == f".{own['NANOSCOPE_FORMAT']}"
