"""What is no UTF-8 in arguments and on stdin is refused in one sentence; outputs without Unicode get what they can."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.client.sync import Client
from tests.daemon.commands import COMMAND, ROOT
from tests.daemon.running import DaemonProcess, running_daemon

LATIN = b"caf\xe9"
SENTENCE = "error: 'caf\\xe9' is not UTF-8"
WORDS: list[tuple[str | bytes, ...]] = [
    (LATIN,),
    ("capture", LATIN),
    ("capture", "x", "--category", LATIN),
    ("capture", "x", b"--category=" + LATIN),
    ("capture", "x", "--metadata", LATIN + b"=1"),
    ("capture", "x", "--layers", LATIN),
    ("capture", "x", "--sites", LATIN),
    ("capture", "x", "--format", LATIN),
    ("capture", "x", "--source", LATIN),
    ("capture", "x", "--model-tag", LATIN),
    ("capture", "x", "-n", LATIN),
    ("list", "--text", LATIN),
    ("list", "--traces-dir", LATIN),
    ("show", LATIN),
    ("show", "latest", "--head", LATIN),
    ("analyze", LATIN),
    ("summary", LATIN),
    ("tokens", LATIN),
    ("tensor", "latest", LATIN),
    ("tensor", "latest", "logits", "--rows", LATIN),
    ("tensor", "latest", "logits", "--out", LATIN),
    ("export", "latest", "--to", "json", "--out", LATIN),
    ("export", "latest", "--to", LATIN),
    ("delete", "-y", LATIN),
    ("watch", "--traces-dir", LATIN),
    ("models", "--runtime-dir", LATIN),
    ("load", LATIN),
    ("start", "--log-file", LATIN),
    ("stop", "--runtime-dir", LATIN),
    ("status", "--traces-dir", LATIN),
    ("sessions", "--runtime-dir", LATIN),
    ("logs", "--log-file", LATIN),
    ("doctor", "--traces-dir", LATIN),
    ("serve", "--traces-dir", LATIN),
    ("stdio", "--traces-dir", LATIN),
    ("stdio", "--private", "--traces-dir", LATIN),
    ("demo", "-p", LATIN),
    ("demo", "--traces-dir", LATIN),
    ("demo", "-i", LATIN),
    ("demo", "--trace", LATIN),
    ("demo", "--picture", LATIN),
    ("demo", "--category", LATIN),
]


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """One daemon for all tests here, with a trace whose text ASCII and Latin-1 lack."""
    with running_daemon() as process:
        process.call("generate_and_capture", {"prompt": "né 国🙂 is", "max_tokens": 2})
        yield process


def command(
    *words: str | bytes, typed: bytes = b"", variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    arguments = [word if isinstance(word, bytes) else word.encode() for word in words]
    return subprocess.run(
        [*map(os.fsencode, COMMAND), *arguments],
        cwd=ROOT,
        env=os.environ | (variables or {}),
        input=typed,
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(str(word) for word in words))
def test_a_word_that_is_no_utf8_is_refused_in_one_sentence(words: tuple[str | bytes, ...]) -> None:
    done = command(*words)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith("error: '")
    assert "caf\\xe9" in done.stderr.decode()
    assert "is not UTF-8" in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1


def test_the_demo_from_a_clone_refuses_it_too() -> None:
    words = [os.fsencode(sys.executable), b"-m", b"scripts.interpretability_demo", b"--prompt", LATIN]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(SENTENCE)
    assert done.stderr.count(b"\n") == 1


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("typed", [LATIN, b"\xff\xfea\x00", b"\xed\xa0\xbd", b"a\xc3"])
@pytest.mark.parametrize("variables", [{}, {"LC_ALL": "C"}, {"PYTHONIOENCODING": "utf-8:surrogateescape"}], ids=str)
def test_stdin_that_is_no_utf8_is_refused_in_one_sentence(typed: bytes, variables: dict[str, str]) -> None:
    done = command("capture", "-", typed=typed, variables=variables)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith("error: stdin is not UTF-8 (byte 0x")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.usefixtures("daemon")
def test_stdin_that_is_closed_is_refused_in_one_sentence() -> None:
    for words in (["capture", "-"], ["delete", "latest"]):
        closed = ["bash", "-c", 'exec "$0" "$@" <&-', *COMMAND, *words]
        done = subprocess.run(closed, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode in (1, 2) and done.stdout == ""  # an empty prompt is an error, a missing answer misuse
        assert "Traceback" not in done.stderr


NO_UNICODE = [
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "C"},
]


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("variables", NO_UNICODE, ids=str)
@pytest.mark.parametrize(
    "words", ["list", "show", "analyze", "summary", "tokens", "status", "models", "doctor", "--help", "demo --help"]
)
def test_an_output_without_unicode_gets_what_it_can_hold(words: str, variables: dict[str, str]) -> None:
    done = command(*words.split(), variables=variables)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout


@pytest.mark.usefixtures("daemon")
@pytest.mark.parametrize("variables", NO_UNICODE, ids=str)
@pytest.mark.parametrize("words", ["list", "show", "summary", "tokens"])
def test_json_is_exact_whatever_the_output_can_hold(words: str, variables: dict[str, str]) -> None:
    done = command(words, "--json", variables=variables)
    assert json.loads(done.stdout) == json.loads(command(words, "--json").stdout)


@pytest.mark.parametrize("variables", NO_UNICODE, ids=str)
def test_words_in_utf8_are_understood_in_every_locale(daemon: DaemonProcess, variables: dict[str, str]) -> None:
    done = command("capture", "né 国🙂", "-n", "1", "--json", variables=variables)
    assert json.loads(done.stdout)["prompt"] == "né 国🙂"
    assert done.stdout.isascii() or variables == {"LC_ALL": "C"}


def test_the_demos_json_is_exact_too(daemon: DaemonProcess) -> None:
    words = ["demo", "--trace", "latest", "--json", "--traces-dir", str(daemon.settings.traces_dir)]
    plain = command(*words)
    assert "国🙂" in plain.stdout.decode()
    for variables in NO_UNICODE:
        assert json.loads(command(*words, variables=variables).stdout) == json.loads(plain.stdout)


def test_a_folder_of_such_a_name_is_refused_in_one_sentence(daemon: DaemonProcess, tmp_path: Path) -> None:
    folder = os.path.join(os.fsencode(tmp_path), LATIN)
    os.mkdir(folder)
    for words, variables in (
        (["list", "--traces-dir", "here"], {}),
        (["list"], {"NANOSCOPE_TRACES_DIR": os.fsdecode(folder)}),
        (["capture", "x"], {"NANOSCOPE_SOURCE": os.fsdecode(folder)}),
    ):
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert "caf\\udce9" in done.stderr
        assert "is not UTF-8" in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_file_of_such_a_name_costs_itself_alone(daemon: DaemonProcess, tmp_path: Path) -> None:
    for name in (LATIN + b".json", b"other.json"):
        path = os.path.join(os.fsencode(tmp_path), name)
        with open(path, "wb") as file:
            file.write(b"{}")
        os.utime(path, (0, 0))  # not held back as one that is being written
    with Client(daemon.settings, traces_dir=tmp_path) as client:
        rows = client.list_traces().traces
    assert {row.trace_id for row in rows} == {"caf\N{REPLACEMENT CHARACTER}", "other"}
