"""Real editors that look at a stress test's ground: a VS Code that stays open, and Neovim for a moment."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.stress.ground import ROOT

E2E = ROOT / "tests" / "e2e"
BROWSERS = ("chromium", "google-chrome", "google-chrome-stable")
PATH = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))  # make puts Node.js there
NEOVIM_SECONDS = 60.0
END_SECONDS = 240.0  # for VS Code, which may still be starting
COMPLAINT_CHARACTERS = 500


def missing_tools() -> str | None:
    """What the editors need and is not there, in a sentence; None where all is there."""
    needed = {
        "code-server": (E2E / "node_modules/code-server/out/node/entry.js").exists(),
        "the extension's package": any((ROOT / "vscode-client").glob("*.vsix")),
        "Node.js": shutil.which("node", path=PATH),
        "a browser": _browser(),
        "Neovim": shutil.which("nvim"),
    }
    absent = ", ".join(name for name, there in needed.items() if not there)
    how = "run `make e2e` once (Neovim: `make test`), or leave the editors out with --editors 0"
    return f"Missing for the editors: {absent}; {how}." if absent else None


def _browser() -> str | None:
    names = (os.environ.get("CHROMIUM") or BROWSERS[0], *BROWSERS[1:])
    return next((path for name in names if (path := shutil.which(name))), None)


def look_by_neovim(environment: dict[str, str], document: Path, traces: Path) -> None:
    """One look at a prompt document and at what is captured of it in a folder.

    Raises:
        TimeoutError: some question was not answered, as where the daemon died.
    """
    own = {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "DOCUMENT": str(document), "TRACES": str(traces)}
    words = ["nvim", "--headless", "-n", "-u", "NONE", "-i", "NONE"]
    try:
        done = subprocess.run(
            [*words, "-c", f"luafile {E2E / 'neovim/looker.lua'}", "-c", "cquit 1"],
            env=environment | own,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=NEOVIM_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError("Neovim did not end") from error
    if done.returncode:
        raise TimeoutError(done.stderr.decode(errors="replace"))


def look_by_vscode(
    environment: dict[str, str], workspace: Path, others: Sequence[Path], stop: threading.Event, counts: Counter[str]
) -> list[str]:
    """Have a VS Code look until `stop`, and count its looks, in all and by kind; what was not as it should be.

    Args:
        workspace: its folder `traces` is looked at.
        others: traces folders that are looked at now and then.
    """
    own = {"NANOSCOPE_TEST_PYTHON": sys.executable, "CHROMIUM": _browser() or "", "PATH": PATH}
    error: str | None = None
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            ["node", "harness/looker.mjs", str(workspace), *map(str, others)],
            env=environment | own,
            cwd=E2E,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        threading.Thread(target=_end, args=(process, stop), daemon=True).start()
        for line in process.stdout or ():
            look = json.loads(line)
            error = look["error"]
            counts[f"VS Code: {look['look']}" if error is None else "VS Code looks cut off"] += 1
            counts["VS Code"] += error is None
        ended = process.wait()
        complaints.seek(0)
        said = complaints.read()[-COMPLAINT_CHARACTERS:]
    failures = [f"VS Code ended with {ended}: {said}"] if ended or not stop.is_set() else []
    if error and not counts["VS Code"]:
        failures.append(f"VS Code's last look: {error}")
    return failures


def _end(process: subprocess.Popen[str], stop: threading.Event) -> None:
    stop.wait()
    with contextlib.suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.terminate()  # at which it ends what it has started
