"""Five different real clients at once on one daemon: pygls, Neovim, Node, the Python client, and the shell."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stress.wire_client import WireClient

CLIENTS = Path(__file__).parents[1] / "clients"
ROOT = CLIENTS.parents[1]
SECONDS = 90
COMMANDS = {
    "pygls": [sys.executable, str(CLIENTS / "pygls_client.py")],
    "neovim": ["nvim", "--headless", "-u", "NONE", "-n", "-c", f"luafile {CLIENTS / 'neovim_client.lua'}"],
    "node": ["node", str(CLIENTS / "node_client.js")],
    "python": [sys.executable, str(CLIENTS / "python_client.py")],
    "shell": ["bash", str(CLIENTS / "shell_client.sh")],
}
INSTALL = {
    "nvim": "install Neovim (Debian: apt-get install neovim)",
    "node": "install Node.js 20 or newer",
    "jq": "install jq (Debian: apt-get install jq)",
    "bash": "install bash",
}


@pytest.mark.parametrize("tool", INSTALL)
def test_the_tools_are_there(tool):
    assert shutil.which(tool), INSTALL[tool]


def test_each_captures_lists_and_is_told_of_all(daemon_process, tmp_path):
    assert (CLIENTS / "node_modules").is_dir(), "run `make test`, or `npm --prefix tests/clients ci`"
    with WireClient(daemon_process.connect()) as client:  # the model is there: all of them capture at once
        client.introduce("before", traces_dir=str(tmp_path / "before"))  # of its trace they are not told, however late
        client.call("generate_and_capture", {"prompt": "before", "max_tokens": 1})
    processes = {name: start(name, daemon_process.environment, tmp_path) for name in COMMANDS}
    wait_until(lambda: all((tmp_path / f"{name}.ready").exists() for name in COMMANDS), processes)
    (tmp_path / "go").touch()
    wait_until(lambda: all(process.poll() == 0 for process in processes.values()), processes)
    outputs = {name: process.communicate() for name, process in processes.items()}
    seen = {name: json.loads(output) for name, (output, _) in outputs.items()}
    captured = {name: what["captured"] for name, what in seen.items()}
    assert len(set(captured.values())) == len(COMMANDS)
    assert {name: what["listed"] for name, what in seen.items()} == {name: [own] for name, own in captured.items()}
    assert {name: set(what["told"]) for name, what in seen.items()} == {name: set(captured.values()) for name in seen}
    status = daemon_process.call("get_status")
    assert status["pid"] == daemon_process.pid


def start(name: str, environment: dict[str, str], folder: Path) -> subprocess.Popen[bytes]:
    """A client's process; it says by a file that it is ready, and waits for one that lets it go."""
    ready, go = folder / f"{name}.ready", folder / "go"
    told = {"CLIENT_NAME": name, "CLIENT_COUNT": str(len(COMMANDS)), "CLIENT_READY": str(ready), "CLIENT_GO": str(go)}
    arguments = [] if name == "neovim" else [name, str(len(COMMANDS)), str(ready), str(go)]
    return subprocess.Popen(
        [*COMMANDS[name], *arguments],
        env=os.environ | environment | told | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_until(condition: Callable[[], bool], processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Wait for something, unless a client fails or takes too long: then all end, and what they printed is shown."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if any(process.poll() for process in processes.values()) or time.monotonic() > deadline:
            states = {name: process.poll() for name, process in processes.items()}
            for process in processes.values():
                process.kill()
            pytest.fail(f"{states}: {[process.communicate() for process in processes.values()]}")
        time.sleep(0.02)
