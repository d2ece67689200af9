import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.generate.__main__ import artifacts, main
from protocol.generate.clients import CALLS

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


def test_a_changed_type_makes_files_stale_until_they_are_made_anew(copy):
    types = copy / "protocol" / "types" / "status.py"
    text = types.read_text(encoding="utf-8")
    following = "\n\n\nclass ShutdownParams(Params):"
    assert text.count(following) == 1
    field = '    reason: Annotated[str, Meta(description="Why.")] = ""'
    types.write_text(text.replace(following, f"\n{field}{following}"), encoding="utf-8")
    checked = run(copy, "--check")
    assert checked.returncode == 1
    stale = [name for name in artifacts(copy) if name != CALLS]  # which has the types' names alone
    for name in stale:
        assert f"{name} is stale: run `make protocol`." in checked.stderr
    assert "+  reason?: string;" in checked.stderr
    made = run(copy)
    assert (made.returncode, made.stdout.splitlines()) == (0, [f"wrote {name}" for name in stale])
    assert run(copy, "--check").returncode == 0


STRUCT = '''

class CountTracesResult(Result):
    """How many there are."""

    count: Annotated[int, Meta(description="Of the session's folder.")]
'''
ROW = """
COUNT_TRACES = Method("count_traces", types.NoParams, types.CountTracesResult, "Count.", repeatable=True)
METHODS:"""
EXAMPLE = [{"note": "Two.", "params": {}, "result": {"count": 2}}]


def test_a_new_method_is_its_row_its_struct_and_an_example_of_it(copy):
    with (copy / "protocol" / "types" / "traces.py").open("a", encoding="utf-8") as file:
        file.write(STRUCT)
    table = copy / "protocol" / "methods.py"
    text = table.read_text(encoding="utf-8")
    table.write_text(text.replace("\nMETHODS:", ROW, 1))
    without = run(copy)
    assert (without.returncode, without.stdout) == (2, "")
    missing = copy / "protocol" / "examples" / "count_traces.json"
    assert without.stderr == f"{missing} is missing: run `python -m scripts.record_examples`.\n"
    missing.write_text(json.dumps(EXAMPLE))
    assert run(copy).stdout.splitlines() == [f"wrote {name}" for name in artifacts(copy)]
    calls = (copy / "daemon" / "client" / "calls.py").read_text(encoding="utf-8")
    for call in ("call", "async_call"):
        line = f'    count_traces = {call}(METHODS["count_traces"], types.NoParams, types.CountTracesResult)\n'
        assert line in calls
    types = (copy / "vscode-client" / "src" / "protocol.ts").read_text(encoding="utf-8")
    assert '\n  "count_traces",\n]);' in types
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
