import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.generate.__main__ import artifacts, main

ROOT = Path(__file__).parent.parent.parent.parent


@pytest.fixture
def copy(tmp_path):
    """The project's generated files and what they are made from, to be changed at will."""
    shutil.copytree(ROOT / "protocol", tmp_path / "protocol", ignore=shutil.ignore_patterns("__pycache__"))
    for name in artifacts(ROOT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "vscode-client" / "node_modules").symlink_to(ROOT / "vscode-client" / "node_modules")
    return tmp_path


def run(folder, *flags):
    command = [sys.executable, "-m", "protocol.generate", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_the_projects_files_are_as_they_would_be_made():
    done = run(ROOT, "--check")
    assert done.returncode == 0, done.stderr


def test_a_changed_type_makes_every_file_stale_until_they_are_made_anew(copy):
    types = copy / "protocol" / "types" / "status.py"
    text = types.read_text(encoding="utf-8")
    following = "\n\n\nclass ShutdownParams(Params):"
    assert text.count(following) == 1
    field = '    reason: Annotated[str, Meta(description="Why.")] = ""'
    types.write_text(text.replace(following, f"\n{field}{following}"), encoding="utf-8")
    checked = run(copy, "--check")
    assert checked.returncode == 1
    for name in artifacts(copy):
        assert f"{name} is stale: run `make protocol`." in checked.stderr
    assert "+  reason?: string;" in checked.stderr
    made = run(copy)
    assert (made.returncode, made.stdout.splitlines()) == (0, [f"wrote {name}" for name in artifacts(copy)])
    assert run(copy, "--check").returncode == 0


def test_a_changed_or_missing_file_is_stale(copy):
    page = copy / "docs" / "protocol.md"
    page.write_text(page.read_text(encoding="utf-8").replace("# The protocol", "# A protocol"), encoding="utf-8")
    (copy / "protocol" / "schema.json").unlink()
    checked = run(copy, "--check")
    assert checked.returncode == 1
    assert "-# A protocol\n+# The protocol" in checked.stderr
    assert "protocol/schema.json is stale" in checked.stderr
    assert "openrpc" not in checked.stderr


def test_missing_packages_are_an_error_that_says_what_to_run(copy, capsys):
    (copy / "vscode-client" / "node_modules").unlink()
    assert main(["--check"], copy) == 2
    assert "run `make protocol`" in capsys.readouterr().err
