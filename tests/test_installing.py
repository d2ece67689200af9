"""Installed beside nanochat and python-daemon, from a wheel and editable: everybody's commands go on working."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.daemon.running import end_daemons, private_environment

ROOT = Path(__file__).parent.parent
SECONDS = 120
THEIR_TRAINING = "from nanochat.gpt import GPT\nprint('trains', GPT)\n"
THEIR_DAEMON = "class DaemonContext:\n    pass\n"
LOOKS = """
from nanochat.interpretability_engine import InterpretabilityEngine
from protocol.methods import METHODS
print('both there')
"""


@dataclass(frozen=True)
class Installation:
    """An environment with python-daemon and nanoscope in it, and a clone of nanochat."""

    folder: Path
    clone: Path
    variables: dict[str, str]

    @property
    def packages(self) -> Path:
        """Where pip puts packages."""
        return next((self.folder / "lib").glob("python*/site-packages"))

    def run(self, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """A command of the environment, in the clone."""
        command = [str(self.folder / "bin" / words[0]), *words[1:]]
        return subprocess.run(
            command,
            cwd=cwd or self.clone,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=SECONDS,
            check=False,
        )

    def pip(self, *words: str) -> None:
        """Change what is installed."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.folder / "bin" / "python"), *words]
        done = subprocess.run(pip, env=self.variables, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """All in scratch folders; what nanoscope needs is borrowed from this environment."""
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder / "environment", with_pip=False)
    with private_environment() as (private, variables):
        variables |= {"NANOSCOPE_RUNTIME_DIR": str(private / "run"), "NANOCHAT_BASE_DIR": str(private / "none")}
        variables |= {"HOME": str(private)}
        borrowed = [path for path in sys.path if path.endswith("site-packages")]
        made = Installation(folder / "environment", folder / "clone", variables)
        (made.packages / "borrowed.pth").write_text("\n".join(borrowed), encoding="utf-8")
        _write(made.packages / "daemon" / "__init__.py", THEIR_DAEMON)
        _write(made.clone / "nanochat" / "__init__.py", "")
        _write(made.clone / "nanochat" / "gpt.py", "class GPT:\n    pass\n")
        _write(made.clone / "scripts" / "base_train.py", THEIR_TRAINING)
        made.pip(
            "install", "--no-deps", "--no-build-isolation", *(["-e"] if request.param == "editable" else []), str(ROOT)
        )
        try:
            yield made
        finally:
            end_daemons(private / "run")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_nanochats_own_commands_run_as_before(installation: Installation) -> None:
    done = installation.run("python", "-m", "scripts.base_train")
    assert (done.returncode, done.stdout) == (0, "trains <class 'nanochat.gpt.GPT'>\n"), done.stderr


def test_the_demo_runs_in_a_clone_of_nanochat(installation: Installation, tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    done = installation.run("nanoscope", "demo", "--max-tokens", "5", "--traces-dir", str(folder), "-i", "demo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The capital of France is Paris.")
    assert [path.suffix for path in folder.iterdir()] == [".json"]


def test_the_daemon_runs_in_a_clone_of_nanochat(installation: Installation, tmp_path: Path) -> None:
    folder = ("--traces-dir", str(tmp_path / "traces"))
    done = installation.run("nanoscope", "capture", "The capital of France is", "-n", "5", "--source", "demo", *folder)
    assert (done.returncode, done.stdout) == (0, "The capital of France is Paris.\n"), done.stderr
    assert installation.run("python", "-m", "nanoscope", "list", *folder).stdout.count("\n") == 1


def test_elsewhere_programs_import_the_library(installation: Installation, tmp_path: Path) -> None:
    done = installation.run("python", "-c", LOOKS, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "both there\n"), done.stderr


def test_in_a_clone_of_nanochat_programs_import_the_library_when_they_say_so(installation: Installation) -> None:
    said = "import nanoscope; nanoscope.own_packages_first()\n"
    done = installation.run("python", "-c", said + LOOKS)
    assert (done.returncode, done.stdout) == (0, "both there\n"), done.stderr
    late = installation.run("python", "-c", f"import nanochat.gpt\n{said}")
    assert late.stderr.splitlines()[-1].startswith(
        f"ImportError: `nanochat` was imported from {installation.clone / 'nanochat'} before, which is not nanoscope's"
    )


def test_python_daemon_stays_what_it_is(installation: Installation, tmp_path: Path) -> None:
    done = installation.run("python", "-c", "import daemon; print(daemon.DaemonContext, daemon.__file__)", cwd=tmp_path)
    assert done.stdout == f"<class 'daemon.DaemonContext'> {installation.packages / 'daemon' / '__init__.py'}\n"


def test_no_folder_but_nanoscopes_own_is_shown(installation: Installation, tmp_path: Path) -> None:
    for name in ("scripts", "tests", "hatch_build"):
        done = installation.run("python", "-c", f"import {name}", cwd=tmp_path)
        assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: No module named '{name}'"


def test_the_doctor_names_the_others(installation: Installation) -> None:
    done = installation.run("nanoscope", "doctor", "--json")
    findings = [line for line in done.stdout.split('{"check":') if line.startswith('"names"')]
    said = "".join(findings)
    assert f"`import daemon` gives {installation.packages / 'daemon'}" in said
    assert f"`import nanochat` gives {installation.clone / 'nanochat'}" in said
    assert "environment of its own" in said


def test_it_goes_alone(installation: Installation, tmp_path: Path) -> None:
    copy = Installation(tmp_path / "copy", installation.clone, installation.variables)
    shutil.copytree(installation.folder, copy.folder, symlinks=True)
    copy.pip("uninstall", "-y", "nanoscope")
    assert (copy.packages / "daemon" / "__init__.py").read_text(encoding="utf-8") == THEIR_DAEMON
    assert [name for name in os.listdir(copy.packages) if "nanoscope" in name] == []
