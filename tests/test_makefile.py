"""`make` removes what `make` made, and nothing else that lies in the folder."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MINE = (".venv/bin/python", "build/notes.txt", "dist/notes.txt", "mine.egg-info/notes.txt", "traces/trace.json")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the Makefile and its inputs, and files of a person's own."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for folder in ("daemon", "nanochat", "protocol", "scripts", "tests", "nanoscope"):
        (tmp_path / folder).mkdir()
    for name in MINE:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("mine")
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, timeout=60)


def test_an_environment_that_it_did_not_make_stays(checkout: Path) -> None:
    done = make(checkout, ".venv/python.stamp")
    assert done.returncode != 0
    assert ".venv is there already" in done.stderr
    assert "VENV=" in done.stderr
    assert [name for name in MINE if (checkout / name).read_text() != "mine"] == []


def test_clean_removes_what_it_made_alone(checkout: Path) -> None:
    (checkout / "vscode-client" / "dist").mkdir(parents=True)
    (checkout / "nanochat" / "__pycache__").mkdir()
    assert make(checkout, "clean").returncode == 0
    assert not (checkout / "vscode-client" / "dist").exists()
    assert not (checkout / "nanochat" / "__pycache__").exists()
    assert [name for name in MINE if (checkout / name).read_text() != "mine"] == []
    (checkout / "home").mkdir()
    assert make(checkout, "clean", f"VENV={checkout / 'home'}").returncode == 0
    assert (checkout / "home").exists()


@pytest.mark.parametrize("mark", ["made-by-make", "python.stamp"])
def test_clean_removes_its_own_environment(checkout: Path, mark: str) -> None:
    (checkout / ".venv" / mark).touch()
    assert make(checkout, "clean").returncode == 0
    assert not (checkout / ".venv").exists()
