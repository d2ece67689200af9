"""Where commands read and write: ~, paths of traces, endings of files, folders that are not there."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daemon.client.sync import Client
from tests.daemon.commands import COMMAND, ROOT, run
from tests.daemon.running import DaemonProcess, running_daemon


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """One daemon for all tests here, with two traces."""
    with running_daemon() as process:
        for prompt in ("One", "Two"):
            process.call("generate_and_capture", {"prompt": prompt, "max_tokens": 1})
        yield process


@pytest.fixture
def home(daemon: DaemonProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, another one current."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


class TestHome:
    """~ is the home folder where a shell leaves it alone, as in --out=~/x."""

    def test_a_tensors_file(self, home: Path) -> None:
        done = run("tensor", "latest", "output_logits", "--out=~/logits.npy")
        assert (done.status, os.listdir(home), os.listdir(".")) == (0, ["logits.npy"], [])

    def test_an_export(self, home: Path) -> None:
        done = run("export", "latest", "--to", "json", "--out=~/copy.json")
        assert (done.status, os.listdir(home), os.listdir(".")) == (0, ["copy.json"], [])

    def test_a_traces_folder(self, home: Path, daemon: DaemonProcess) -> None:
        assert run("capture", "x", "-n", "1", "--traces-dir=~/traces").status == 0
        assert (len(os.listdir(home / "traces")), os.listdir(".")) == (1, [])
        with Client(daemon.settings, traces_dir="~/traces") as client:
            assert client.list_traces().total == 1

    @pytest.mark.parametrize("words", [["load", "~nobody-here/x"], ["list", "--traces-dir", "~nobody-here/x"]])
    def test_of_somebody_who_is_not_there(self, home: Path, words: list[str]) -> None:
        done = run(*words)
        assert "Traceback" not in done.err
        assert "~nobody-here" in done.err


@pytest.mark.usefixtures("home")
class TestNames:
    """A trace by its path, as `show` and the demo print it."""

    def test_the_path_of_a_trace(self, daemon: DaemonProcess) -> None:
        for row in daemon.call("list_traces")["traces"]:
            done = run("summary", row["path"], "--json")
            assert json.loads(done.out)["trace_id"] == row["trace_id"], done.err
            assert run("summary", os.path.relpath(row["path"]), "--json").out == done.out

    def test_the_path_of_a_trace_elsewhere(self, daemon: DaemonProcess, tmp_path: Path) -> None:
        assert run("capture", "x", "-n", "1", "--traces-dir", str(tmp_path / "other")).status == 0
        [path] = (tmp_path / "other").iterdir()
        done = run("summary", str(path))
        assert (done.status, done.out) == (1, "")
        assert f"add --traces-dir {path.parent}" in done.err
        assert run("summary", str(path), "--traces-dir", str(path.parent)).status == 0

    def test_a_path_that_is_none(self) -> None:
        done = run("summary", "nowhere/trace.json")
        assert (done.status, done.out) == (1, "")
        assert "There is no file" in done.err


@pytest.mark.usefixtures("home")
class TestEndings:
    """A file's name says what is in it."""

    @pytest.mark.parametrize("name", ["x.csv", "x.npz", "x.npy.gz", "x.JSON"])
    def test_of_a_tensor(self, name: str) -> None:
        done = run("tensor", "latest", "output_logits", "--out", name)
        assert (done.status, os.listdir(".")) == (2, [])
        assert ".npy" in done.misuse

    @pytest.mark.parametrize("name", ["x.npy", "x.NPY", "x"])
    def test_that_fit_a_tensor(self, name: str) -> None:
        assert run("tensor", "latest", "output_logits", "--out", name).status == 0
        assert np.load(name).ndim == 3

    @pytest.mark.parametrize(("to", "name"), [("json", "x.safetensors"), ("safetensors", "x.json"), ("json", "x.csv")])
    def test_of_an_export(self, to: str, name: str) -> None:
        done = run("export", "latest", "--to", to, "--out", name)
        assert (done.status, os.listdir(".")) == (2, [])
        assert f".{to}" in done.misuse

    def test_a_pipe_may_have_any_name(self) -> None:
        command = [*COMMAND, "tensor", "latest", "output_logits", "--out", "/dev/stdout"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        assert done.stdout.startswith(b"\x93NUMPY")


@pytest.mark.usefixtures("home")
class TestFolders:
    """What cannot be written is told, with what to do about it, and without words of Python's."""

    @pytest.mark.parametrize(
        "words", [["tensor", "latest", "output_logits", "--out"], ["export", "latest", "--to", "json", "--out"]]
    )
    @pytest.mark.parametrize(
        ("place", "said"),
        [
            ("nowhere/x", "There is no folder nowhere: make it, or name another place."),
            (".", "is a folder: name a file in it."),
            ("file/x", "file is no folder: name another place."),
        ],
    )
    def test_where_nothing_can_be(self, words: list[str], place: str, said: str) -> None:
        Path("file").touch()
        done = run(*words, place)
        assert (done.status, done.out) == (1, "")
        assert done.err.startswith("error: ")
        assert said in done.err
        assert "Errno" not in done.err
        assert "traces folder" not in done.err
        assert os.listdir(".") == ["file"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "words", [["show", "no"], ["tensor", "latest", "no"], ["tensor", "latest", "x", "--step", "0"]]
)
def test_no_words_of_python(words: list[str]) -> None:
    done = run(*words)
    assert done.status == 1
    assert "()" not in done.err
    assert "None" not in done.err
