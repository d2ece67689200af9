"""The editor in short: a real VS Code, a real browser, the real daemon; `make e2e` runs the rest."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXTENSION = HERE.parents[1] / "vscode-client"
SECONDS = 840


@pytest.mark.timeout(SECONDS + 60)
def test_the_short_form_passes() -> None:
    editor = HERE / "node_modules/code-server/out/node/entry.js"
    assert editor.exists(), "code-server is not installed: npm --prefix tests/e2e run setup"
    assert [*EXTENSION.glob("*.vsix")], "the extension is not packaged: make vsix"
    assert shutil.which(os.environ.get("CHROMIUM", "chromium")), "install Chromium (Debian: apt-get install chromium)"
    process = subprocess.Popen(
        ["node", "--test", "--test-reporter=spec", "short.test.mjs"],
        cwd=HERE,
        env=os.environ | {"NANOSCOPE_TEST_PYTHON": os.environ.get("NANOSCOPE_TEST_PYTHON", sys.executable)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        told, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        told, _ = process.communicate(timeout=30)
    assert process.returncode == 0, told
