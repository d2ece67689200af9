"""What the Makefile does on machines that lack something: it installs it, or says how, or leaves out what needs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMONPLACE = "bash sh awk sed grep head id cat ln rm chmod dirname env touch make expand"
STAMPS = """.venv/python.stamp .venv/runtime.stamp .venv/dev.stamp vscode-client/node_modules/.package-lock.json
tests/clients/node_modules/.package-lock.json"""
REQUIREMENTS = """pyproject.toml constraints.txt vscode-client/package.json vscode-client/package-lock.json
tests/clients/package.json tests/clients/package-lock.json"""


class Machine:
    """A PATH of its own, with commonplace tools and what a test adds; every call of what it adds is written down."""

    def __init__(self, folder: Path):
        self.bin, self.calls = folder / "bin", folder / "calls"
        self.bin.mkdir()
        self.calls.touch()
        for name in COMMONPLACE.split():
            found = shutil.which(name)
            assert found is not None
            (self.bin / name).symlink_to(found)

    def add(self, name: str, script: str = "") -> Path:
        """A tool."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>{self.calls}\n{script}\n', encoding="utf-8")
        path.chmod(0o755)
        return path

    def run(self, *words: str, cwd: Path = ROOT, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command there, without anybody to ask."""
        return subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            cwd=cwd,
            env={"PATH": str(self.bin), "HOME": str(self.bin.parent)} | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def tools(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The script."""
        return self.run("bash", str(ROOT / "tests" / "system_tools.sh"), *words, cwd=ROOT, **variables)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_first_python_that_is_new_enough_is_taken(machine: Machine) -> None:
    machine.add("python3", "exit 1")
    (machine.bin / "python3.12").symlink_to(sys.executable)
    done = machine.tools("python")
    assert (done.returncode, done.stdout, done.stderr) == (0, "python3.12\n", "")
    assert machine.tools("python", sys.executable).stdout == f"{sys.executable}\n"


def test_a_python_that_is_too_old_is_told(machine: Machine) -> None:
    machine.add("python3", "exit 1")
    for words in (["python"], ["python", "python3"]):
        done = machine.tools(*words)
        assert (done.returncode, done.stdout) == (1, "")
        assert "needs Python 3.11 or newer" in done.stderr
        assert "make PYTHON=" in done.stderr


LACKING = """case "$2" in
    *version_info\\ \\<*) exit 0 ;;
    *ensurepip*) [ -e "$0.whole" ] || exit 1 ;;
    *) echo python3.13-venv ;;
esac"""


def test_debians_python_is_made_whole_by_apt(machine: Machine) -> None:
    python = machine.add("python3", LACKING)
    machine.add("sudo", '[ "$1" = -n ] && shift; exec "$@"')
    machine.add("apt-get", f'[ "$2" = update ] || touch {python}.whole')
    done = machine.tools("python")
    assert (done.returncode, done.stdout) == (0, "python3\n")
    assert "apt-get -qq install -y --no-install-recommends python3.13-venv\n" in machine.calls.read_text()


def test_where_nothing_can_be_installed_one_line_says_how(machine: Machine) -> None:
    machine.add("python3", LACKING)
    done = machine.tools("python")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].endswith("sudo apt-get install -y python3.13-venv")


@pytest.mark.parametrize(
    ("manager", "line"),
    [
        ("apt-get", "sudo apt-get install -y ripgrep g++ libkrb5-dev chromium"),
        ("brew", "brew install ripgrep gcc krb5 chromium"),
        ("dnf", "sudo dnf install -y ripgrep gcc-c++ krb5-devel chromium"),
        ("pacman", "sudo pacman -S ripgrep gcc krb5 chromium"),
        ("true", "install rg g++ krb5-config chromium"),
    ],
)
def test_each_system_gets_its_own_line(machine: Machine, manager: str, line: str) -> None:
    machine.add(manager, "exit 1")
    for tool in ("nvim", "jq"):
        machine.add(tool)
    assert machine.tools("tests").returncode == 0
    done = machine.tools("editor")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(f": {line}")
    assert machine.tools("left-out").stderr.splitlines()[-1].endswith(f": {line}")


def test_googles_browser_will_do(machine: Machine) -> None:
    for tool in ("rg", "g++", "krb5-config", "google-chrome"):
        machine.add(tool)
    assert machine.tools("editor").returncode == 0
    assert machine.tools("browser").stdout == f"{machine.bin / 'google-chrome'}\n"


@pytest.mark.parametrize("theirs", ["", "echo v18.20.4", "echo v22.1.0"])
def test_node_comes_from_the_wheel_where_the_system_has_no_20(machine: Machine, tmp_path: Path, theirs: str) -> None:
    if theirs:
        machine.add("node", theirs)
        machine.add("npm")
    environment, wheel = tmp_path / "environment" / "bin", tmp_path / "wheel"
    environment.mkdir(parents=True)
    for name in ("bin", "lib/node_modules/npm/bin"):
        (wheel / name).mkdir(parents=True)
    shutil.copy(machine.add("wheels-node", 'echo "v20.18.0 $*"'), wheel / "bin" / "node")
    shutil.copy(machine.add("wheels-python", f"echo {wheel}"), environment / "python")
    assert machine.tools("node", str(environment.parent)).returncode == 0
    path = f"{environment}{os.pathsep}{machine.bin}"
    assert machine.run("sh", "-c", "node --version", PATH=path).stdout == "v20.18.0 --version\n"
    npm = f"{wheel}/lib/node_modules/npm/bin/npm-cli.js"
    assert machine.run("sh", "-c", "npm ci", PATH=path).stdout == f"v20.18.0 {npm} ci\n"


def test_the_systems_own_node_20_is_taken(machine: Machine, tmp_path: Path) -> None:
    machine.add("node", "echo v20.19.2")
    machine.add("npm")
    assert machine.tools("node", str(tmp_path / "nowhere")).returncode == 0


@pytest.fixture
def clone(tmp_path: Path, machine: Machine) -> Path:
    """A clone whose environment is there already; its tests take note of how they are called."""
    folder = tmp_path / "clone"
    for name in (*REQUIREMENTS.split(), *STAMPS.split()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    (folder / ".venv" / "bin").mkdir()
    shutil.copy(machine.add("python", "exit ${STATUS:-0}"), folder / ".venv" / "bin" / "python")
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "tests" / "system_tools.sh", folder / "tests")
    for tool in ("npm", "nvim", "jq", "rg", "g++", "krb5-config"):
        machine.add(tool)
    return folder


@pytest.mark.parametrize("status", [0, 1])
def test_without_a_browser_the_rest_runs_and_what_was_left_out_is_said_last(
    machine: Machine, clone: Path, status: int
) -> None:
    done = machine.run("make", "test", cwd=clone, STATUS=str(status))
    assert (done.returncode != 0) == bool(status)
    assert "python -m pytest --ignore tests/e2e/test_editor.py -n 2\n" in machine.calls.read_text()
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert said[-1].startswith("Left out: the tests in a real VS Code, for want of chromium.")


def test_in_ci_that_is_a_failure(machine: Machine, clone: Path) -> None:
    done = machine.run("make", "test", cwd=clone, CI="true")
    assert done.returncode != 0
    assert "Missing: chromium, which the tests in a real editor need." in done.stderr
    assert "pytest" not in machine.calls.read_text()


def test_with_a_browser_all_runs(machine: Machine, clone: Path) -> None:
    machine.add("chromium")
    installed = clone / "tests" / "e2e" / "node_modules" / ".package-lock.json"
    installed.parent.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "install.mjs"):
        (clone / "tests" / "e2e" / name).touch()
    installed.touch()
    done = machine.run("make", "test", cwd=clone, CI="true")
    assert done.returncode == 0, done.stderr
    assert "python -m pytest -n 2\n" in machine.calls.read_text()
    assert "Left out" not in done.stderr
