"""`python -m protocol.generate`: writes what is made from the method table; `--check` says which files are stale."""

from __future__ import annotations

import argparse
import difflib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from protocol.generate.clients import CALLS, client_calls
from protocol.generate.examples import ExampleMissing
from protocol.generate.openrpc import openrpc
from protocol.generate.page import page
from protocol.generate.schemas import json_schema
from protocol.generate.typescript import GeneratorMissing, type_faults, typescript

ROOT = Path(__file__).parent.parent.parent
CLIENT = "vscode-client"
TYPESCRIPT = f"{CLIENT}/src/protocol.ts"
DIFF_LINES = 12


def artifacts(root: Path) -> dict[str, Callable[[], str]]:
    """What makes each generated file, by its path under `root`."""
    return {
        "protocol/openrpc.json": lambda: _json(openrpc()),
        "protocol/schema.json": lambda: _json(json_schema()),
        "docs/protocol.md": page,
        CALLS: client_calls,
        TYPESCRIPT: lambda: typescript(root / CLIENT),
    }


def generate(root: Path) -> None:
    """Write every generated file that differs from what it should be."""
    for name, make in artifacts(root).items():
        text, path = make(), root / name
        if _current(path) != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, text)
            print(f"wrote {name}")


def stale(root: Path) -> dict[str, str]:
    """The generated files that are not what they should be, each with the first lines of the difference."""
    differences = {}
    for name, make in artifacts(root).items():
        text, current = make(), _current(root / name)
        if current != text:
            lines = difflib.unified_diff(
                current.splitlines(), text.splitlines(), name, f"{name}, made anew", lineterm=""
            )
            differences[name] = "\n".join(islice(lines, DIFF_LINES))
    return differences


def main(argv: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Generate, or check; the exit status: 0, 1 for stale files or wrong types, 2 without Node.js or an example."""
    parser = argparse.ArgumentParser(prog="python -m protocol.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name the files that are stale")
    check = parser.parse_args(argv).check
    try:
        differences = stale(root) if check else {}
        if not check:
            generate(root)
        faults = type_faults(root / CLIENT, root / TYPESCRIPT) if check and not differences else ""
    except (ExampleMissing, GeneratorMissing) as error:
        print(error, file=sys.stderr)
        return 2
    for name, difference in differences.items():
        print(f"{name} is stale: run `make protocol`.\n{difference}\n", file=sys.stderr)
    if faults:
        print(f"{TYPESCRIPT} does not compile:\n{faults}", file=sys.stderr)
    return int(bool(differences or faults))


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _current(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _replace(path: Path, text: str) -> None:
    """Whole or not at all: a daemon may be reading it."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8", newline="\n") as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


if __name__ == "__main__":
    sys.exit(main())
