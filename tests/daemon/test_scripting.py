"""docs/scripting.md's blocks, run as they stand there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daemon.settings import environment_of
from tests.daemon.running import DaemonProcess, running_daemon

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "scripting.md").read_text(encoding="utf-8")
NODE_MODULES = ROOT / "tests" / "clients" / "node_modules"
CONVERSATION = re.compile(
    r"""(session \d+ with the traces of \S+|connected to nanoscope \S+)
(?P<text> .*)
told of (?P<told>trace_\w+)
listed (?P<listed>trace_\w+) \d+ bytes
head 2\.0 is (\(12, 12\)|\[ 12, 12 \]|\[12,12\]),? its .* sums? to (1|1\.0|0\.99999\d+|1\.00000\d+)
(.|\n)*ended: CANCELLED( -32800)?
"""
)


def block(heading: str) -> str:
    """The code below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)
    return code


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with running_daemon() as process:
        yield process


@pytest.mark.parametrize(
    ("heading", "command"),
    [("Python", [sys.executable, "-c"]), ("Node", ["node", "-e"]), ("Plain shell", ["bash", "-c"])],
)
def test_the_conversation(heading: str, command: list[str], daemon: DaemonProcess, tmp_path: Path) -> None:
    said = run([*command, block(heading)], daemon, tmp_path)
    match = CONVERSATION.fullmatch(said)
    assert match, said
    assert match["text"] == " Paris."
    assert match["told"] == match["listed"]


def test_the_commands(daemon: DaemonProcess, tmp_path: Path) -> None:
    said = run(["bash", "-euo", "pipefail", "-c", block("In the shell, with the commands")], daemon, tmp_path)
    text, trace_id, *surprising, score = said.splitlines()
    assert text == "The capital of France is Paris."
    assert trace_id.startswith("trace_")
    assert all(float(line.split()[-1]) > 4 for line in surprising)
    assert 0 < float(score) < 1
    assert np.load(tmp_path / "head.npy").shape == (12, 12)


def run(command: list[str], daemon: DaemonProcess, folder: Path) -> str:
    """Run a block in a folder of its own, with `nanoscope` on the path; what it prints."""
    assert NODE_MODULES.is_dir(), "run `make test`, or `npm --prefix tests/clients ci`"
    environment = {**os.environ, **environment_of(daemon.settings)}
    environment |= {"NODE_PATH": str(NODE_MODULES), "PYTHONPATH": str(ROOT)}
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), environment["PATH"]))
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
