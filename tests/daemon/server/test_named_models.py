"""Each request that names a model gets it, or is told which one is held: base folders, sources, tags, steps, eras."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.client.sync import Client
from daemon.launch.dial import ask, connect
from daemon.run_folder import RunFolder
from daemon.wire.introduction import named_model
from protocol.errors import RpcError
from tests.checkpoints import write_checkpoint
from tests.daemon.named_ground import (
    DEMO,
    PROMPT,
    SECONDS,
    SHORT,
    Ground,
    model,
    named_ground,
    refusal,
    written_by,
)
from tests.daemon.waiting import until
from tests.models import GOLDEN


@pytest.fixture
def ground() -> Iterator[Ground]:
    with named_ground() as made:
        yield made


def test_all_answers_can_be_told_apart(ground: Ground) -> None:
    places = [ground.weights(base, step=step) for base in "ab" for step in (10, 20)]
    places += [ground.weights(base, "base", "d12") for base in "ab"]
    assert len({written_by(place) for place in [*places, ground.mine, DEMO]}) == 8


def test_the_base_folder_of_each_command_is_its_own(ground: Ground) -> None:
    for base in ("a", "b", "a"):
        assert ground.capture(NANOCHAT_BASE_DIR=ground.folder / base) == ground.weights(base)
        rows = ground.run("models", NANOCHAT_BASE_DIR=ground.folder / base).rows
        assert [row[3] for row in rows if row[0] == "sft"] == [str(ground.weights(base).parent)]
        assert [row[4] for row in rows] == ["*", "", ""]
    loaded = json.loads(ground.run("load", "base", "--json", NANOCHAT_BASE_DIR=ground.b).out)["model"]
    assert loaded["path"] == str(ground.weights("b", "base", "d12"))
    assert ground.capture(NANOSCOPE_BASE_DIR=ground.a, NANOCHAT_BASE_DIR=ground.b) == ground.weights("a")
    assert ground.capture("--base-dir", str(ground.b), NANOSCOPE_BASE_DIR=ground.a) == ground.weights("b")


def test_what_was_loaded_answers_whoever_names_nothing(ground: Ground) -> None:
    assert ground.run("load", "sft", NANOCHAT_BASE_DIR=ground.a).status == 0
    assert ground.capture() == ground.weights("a")
    assert ground.capture(NANOCHAT_BASE_DIR=ground.a) == ground.weights("a")
    assert ground.run("load", "demo", NANOCHAT_BASE_DIR=ground.a).status == 0
    assert ground.capture() == ground.capture(NANOCHAT_BASE_DIR=ground.a) == DEMO
    assert ground.run("load", str(ground.folder / "mine")).status == 0
    assert ground.capture() == ground.mine


def test_whoever_names_another_gets_it(ground: Ground) -> None:
    assert ground.run("load", "sft", NANOCHAT_BASE_DIR=ground.a).status == 0
    assert ground.capture("--source", "demo") == DEMO
    a = {"NANOCHAT_BASE_DIR": ground.a}
    assert ground.capture("--source", "sft", **a) == ground.weights("a")
    assert ground.capture("--step", "10", **a) == ground.weights("a", step=10)
    assert ground.capture(**a) == ground.weights("a", step=10)  # held, and nothing named but its folder
    assert ground.capture("--source", "base", **a) == ground.weights("a", "base", "d12")
    assert ground.capture("--source", "sft", "--model-tag", "d4", **a) == ground.weights("a")
    assert ground.capture("--source", str(ground.folder / "mine"), **a) == ground.mine
    assert ground.capture(NANOSCOPE_SOURCE="demo", **a) == DEMO
    missing = ground.refusable("--source", "rl", **a)
    assert (missing.status, f"no rl checkpoint in {ground.a}" in missing.err) == (1, True)
    assert ground.capture() == DEMO


def test_the_model_that_is_not_in_a_folder_is_not_anothers(ground: Ground) -> None:
    assert ground.run("load", "sft", NANOCHAT_BASE_DIR=ground.a).status == 0
    missing = ground.refusable("--source", "sft")  # of ~/.cache/nanochat, where there is none
    assert (missing.status, str(ground.folder / "home") in missing.err) == (1, True)
    missing = ground.refusable("--source", "sft", "--step", "15", NANOCHAT_BASE_DIR=ground.a)
    assert "has no step 15" in missing.err
    assert ground.capture() == ground.weights("a")


def test_how_it_computes_is_part_of_what_is_named(ground: Ground) -> None:
    a = {"NANOCHAT_BASE_DIR": ground.a}
    assert ground.run("load", "base", **a).status == 0
    done = json.loads(ground.refusable("--dtype", "bfloat16").out)["model"]
    assert (done["path"], done["dtype"]) == (str(ground.weights("a", "base", "d12")), "bfloat16")
    assert json.loads(ground.refusable("--device", "cpu").out)["model"]["dtype"] == "bfloat16"
    assert ground.capture("--dtype", "float32") == ground.weights("a", "base", "d12")
    era = json.loads(ground.refusable("--source", str(GOLDEN / "C" / "gqa_windowed")).out)["model"]
    assert (era["era"], 'override with era="D"' in era["note"]) == ("C", True)
    era = json.loads(ground.refusable("--source", str(GOLDEN / "C" / "gqa_windowed"), "--era", "D").out)["model"]
    assert (era["era"], era["note"]) == ("D", None)


@pytest.mark.parametrize("spelling", ["a/", "./a/../a", "link", "~/../a", "link/chatsft_checkpoints/.."])
def test_a_folder_has_many_names(ground: Ground, spelling: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ground.folder)
    (ground.folder / "home").mkdir()
    (ground.folder / "link").symlink_to("a")
    assert ground.capture(NANOCHAT_BASE_DIR=ground.a) == ground.weights("a")
    pid = json.loads(ground.run("status", "--json").out)["pid"]
    with ground.client(base_dir=ground.a) as other:
        assert ground.asks(other) == ground.weights("a")
        assert ground.capture(NANOCHAT_BASE_DIR=spelling) == ground.weights("a")  # no mismatch, though it is in use
        assert ground.capture("--source", "a/chatsft_checkpoints/d4") == ground.weights("a")
        assert ground.capture("--source", "link/chatsft_checkpoints/d4/model_000020.pt") == ground.weights("a")
    assert json.loads(ground.run("status", "--json").out)["pid"] == pid


def test_a_link_that_leads_elsewhere_names_another_model(ground: Ground) -> None:
    link = ground.folder / "current"
    for base in ("a", "b"):
        link.unlink(missing_ok=True)
        link.symlink_to(base)
        answer = json.loads(ground.refusable(NANOCHAT_BASE_DIR=link).out)
        assert answer["response"] == written_by(ground.weights(base))


def test_what_has_changed_on_the_disk_is_told(ground: Ground) -> None:
    a = {"NANOCHAT_BASE_DIR": ground.a}
    assert ground.capture(**a) == ground.weights("a")
    assert json.loads(ground.run("status", "--json").out)["model"]["outdated"] is None
    write_checkpoint(ground.weights("a").parent, 30, model(99))
    assert "Step 30 has come since step 20 was loaded" in ground.run("status").out
    assert ground.capture("--source", "sft", **a) == ground.weights("a")
    assert ground.run("load", "sft", **a).status == 0
    assert ground.capture(**a) == ground.weights("a", step=30)
    assert "since" not in ground.run("status").out
    write_checkpoint(ground.weights("a").parent, 30, model(98))
    assert "has changed since it was loaded" in ground.run("status").out
    assert "has changed since it was loaded" in ground.run("models", "--json", **a).out
    ground.weights("a", step=30).unlink()
    assert "is gone" in ground.run("status").out


# Beside others


def test_who_uses_the_model_keeps_it(ground: Ground) -> None:
    with ground.client(base_dir=ground.a, source="sft") as one, ground.client(base_dir=ground.b) as other:
        assert ground.asks(one) == ground.weights("a")
        error = refusal(lambda: ground.asks(other))
        assert error.name == "MODEL_MISMATCH"
        assert f"sft d4 step 20, era F, float32 on cpu ({ground.weights('a')})" in error.message
        assert f"the most useful model of {ground.b}" in error.message
        assert f"python (session {one.greeting.session})" in error.message
        command = f"nanoscope load sft --base-dir {ground.b}"
        assert f"`{command}`" in error.message
        assert error.data["held"]["base_dir"] == str(ground.a)
        assert error.data["named"] == dict.fromkeys(error.data["named"]) | {"base_dir": str(ground.b)}
        assert ground.run(*command.split()[1:]).status == 0
        assert ground.asks(other) == ground.weights("b")
        assert refusal(lambda: ground.asks(one)).name == "MODEL_MISMATCH"
        done = ground.refusable("--source", "demo")
        assert (done.status, f"python (session {other.greeting.session})" in done.err) == (1, True)
    assert ground.capture("--source", "demo") == DEMO  # they have gone


def test_who_only_reads_keeps_nobody_from_it(ground: Ground) -> None:
    assert ground.capture(NANOCHAT_BASE_DIR=ground.a) == ground.weights("a")
    with ground.client() as reader, connect(RunFolder(ground.folder / "run")) as looking:
        assert reader.list_traces().total == 1
        ask(looking, "hello", {})
        assert ground.capture("--source", "demo") == DEMO
        assert ground.asks(reader) == DEMO
        assert ground.refusable(NANOCHAT_BASE_DIR=ground.a).status == 1  # it uses the model now


def test_who_has_asked_for_nothing_yet_keeps_the_model_that_it_names_from_others_alone(ground: Ground) -> None:
    assert ground.capture(NANOCHAT_BASE_DIR=ground.a) == ground.weights("a")
    with ground.client(device="cpu"):  # any model on the CPU will do
        assert ground.capture("--source", "demo") == DEMO
    with ground.client(source="demo") as idle:
        refused = ground.refusable(NANOCHAT_BASE_DIR=ground.a, NANOSCOPE_SOURCE="sft")
        assert (refused.status, f"python (session {idle.greeting.session})" in refused.err) == (1, True)


def test_what_a_client_has_loaded_is_what_it_means(ground: Ground) -> None:
    with ground.client(base_dir=ground.a) as one, ground.client(base_dir=ground.b) as other:
        assert one.load_model(source="base").model.path == str(ground.weights("a", "base", "d12"))
        assert ground.asks(one) == ground.weights("a", "base", "d12")
        assert other.load_model(source="sft", step=10).model.path == str(ground.weights("b", step=10))
        assert ground.asks(other) == ground.weights("b", step=10)
        error = refusal(lambda: ground.asks(one))
        assert (error.name, error.data["named"]["source"]) == ("MODEL_MISMATCH", "base")


def test_loads_and_captures_of_many_at_once_are_never_mixed_up(ground: Ground) -> None:
    """Each loads its own again and again: what answers is that, or the error that names both."""
    specs = [
        ({"base_dir": ground.a}, {"source": "sft"}, ground.weights("a")),
        ({"base_dir": ground.b}, {"source": "sft", "step": 10}, ground.weights("b", step=10)),
        ({}, {"source": "demo"}, DEMO),
        ({}, {"source": str(ground.folder / "mine")}, ground.mine),
    ]
    for _, _, path in specs:
        written_by(path)
    start, answers, errors = threading.Barrier(len(specs)), [], []

    def play(flags: dict[str, Any], spec: dict[str, Any], path: Path) -> None:
        with ground.client(**flags) as client:
            client.get_status()
            start.wait(SECONDS)
            for _ in range(4):
                loading = client.start("load_model", spec)
                asked = client.start("generate_and_capture", {"prompt": PROMPT, **SHORT})  # without waiting for it
                assert loading.result(SECONDS).model.path == str(path)
                try:
                    assert ground.answered(msgspec.to_builtins(asked.result(SECONDS))) == path
                    answers.append(path)
                except RpcError as error:
                    errors.append((error.name, error.data["held"]["path"] == str(path)))

    with ThreadPoolExecutor(len(specs)) as pool:
        for done in [pool.submit(play, *spec) for spec in specs]:
            done.result(SECONDS)
    assert answers
    assert set(errors) <= {("MODEL_MISMATCH", False)}


def test_a_request_that_waited_is_answered_by_its_model_or_not_at_all(ground: Ground) -> None:
    """The model is looked at when the request has its turn, not when it came."""
    with ground.client(base_dir=ground.a) as one, ground.client() as other:
        assert ground.asks(one) == ground.weights("a")
        long = other.stream("Hello", max_tokens=300, temperature=1.0)
        next(iter(long))  # it has its turn
        load = other.start("load_model", {"source": "demo"})
        until(lambda: loaded_or_waiting(one), "the load has come")
        waiting = one.start("generate_and_capture", {"prompt": PROMPT, **SHORT})
        assert long.result(SECONDS).model.path == str(ground.weights("a"))
        load.result(SECONDS)
        assert refusal(lambda: waiting.result(SECONDS)).name == "MODEL_MISMATCH"


def loaded_or_waiting(client: Client) -> bool:
    """Whether the demo model is there, or its load waits for a generation."""
    status = client.get_status()
    return bool(status.queue.waiting) or status.model.path == str(DEMO)


# What is said of it


def test_every_route_says_which_model_and_what_was_unclear(ground: Ground) -> None:
    unclear = GOLDEN / "C" / "gqa_windowed"
    note = "took era C; era D has the same keys"
    loaded = ground.run("load", str(unclear))
    made = ground.run("capture", PROMPT, "-n", "2")
    quiet = ground.run("capture", PROMPT, "-n", "2", "-q")
    trace = json.loads(ground.run("summary", "latest", "--json").out)
    status, shown = ground.run("status"), ground.run("show", "latest")
    summary = ground.run("summary", "latest")
    for route, text in {
        "load": loaded.out,
        "load --json": ground.run("load", str(unclear), "--json").out,
        "capture": made.err,
        "capture -q": quiet.err,
        "capture --json": ground.refusable().out,
        "status": status.out,
        "show": shown.out,
        "summary": summary.out,
        "summary --json": json.dumps(trace),
        "show --json": ground.run("show", "latest", "--json").out,
        "models --json": ground.run("models", "--json").out,
    }.items():
        assert note in text, route
        assert "era C" in text or '"era": "C"' in text or '"era":"C"' in text, route
        assert str(unclear) in text, route
    assert "override with era=" in made.err and "override with era=" in trace["model"]["note"]
    clear = ground.run("load", str(unclear), "--era", "D")
    assert (note in clear.out, "era D" in clear.out) == (False, True)


def test_the_settings_name_what_they_name(ground: Ground) -> None:
    def named(**flags: Any) -> Any:
        return named_model(ground.settings(**flags))

    home = str(ground.folder / "home" / ".cache" / "nanochat")
    assert named() is None
    assert named(source="demo") == {"source": "demo"}
    assert named(source="sft") == {"source": "sft", "base_dir": home}
    assert named(step=3) == {"step": 3, "base_dir": home}
    assert named(base_dir=ground.a) == {"base_dir": str(ground.a)}
    assert named(source="/m", dtype="float16", device="cpu", era="D", model_tag="d4") == {
        "source": "/m", "dtype": "float16", "device": "cpu", "era": "D", "tag": "d4",
    }  # fmt: skip


def test_a_base_folder_without_models_is_told_of_wherever_the_built_in_one_answers(ground: Ground) -> None:
    empty = {"NANOCHAT_BASE_DIR": ground.folder / "empty"}
    assert ground.capture(NANOCHAT_BASE_DIR=ground.a) == ground.weights("a")
    made = ground.run("capture", PROMPT, "-n", "2", **empty)
    note = f"there is no nanochat checkpoint in {ground.folder / 'empty'}"
    assert note in made.err and "by demo step 2400" in made.err
    for words in (["status"], ["show", "latest"], ["summary", "latest", "--json"], ["models", "--json"]):
        assert note in ground.run(*words).out, words
    refused = ground.refusable("--source", str(ground.folder / "empty"))
    assert (refused.status, "There is no folder" in refused.err) == (1, True)


def test_the_doctor_tells_of_another_base_folder(ground: Ground) -> None:
    def found(**variables: Any) -> list[list[str]]:
        return [row for row in ground.run("doctor", **variables).rows if row[1] in ("base folder", "model")]

    assert ground.capture(NANOCHAT_BASE_DIR=ground.a) == ground.weights("a")
    (model_row,) = found(NANOCHAT_BASE_DIR=ground.a)
    assert (model_row[0], str(ground.weights("a")) in model_row[2]) == ("ok", True)
    _, other = found(NANOCHAT_BASE_DIR=ground.b)
    assert other[0] == "ok" and str(ground.a) in other[2] and str(ground.b) in other[2]
    _, none = found()
    assert none[0] == "warning" and "whichever model is held answers" in none[2]
    write_checkpoint(ground.weights("a").parent, 30, model(99))
    assert "Step 30 has come" in found(NANOCHAT_BASE_DIR=ground.a)[0][2]
