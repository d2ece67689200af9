"""What the documents name is there."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/reliability.md",
    "docs/scripting.md",
    "docs/metrics.md",
    "docs/why.md",
)
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"[\w./-]+\.(?:py|ts|sh|md|svg)|[\w/-]+/")
NOT_OURS = {".git", ".venv", "node_modules", "__pycache__"}
MODULE = re.compile(r"(?:daemon|nanochat|protocol)(?:\.\w+)+")


def paths() -> set[str]:
    """Every file and folder of ours."""
    found: set[str] = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        found |= {os.path.relpath(os.path.join(folder, name), ROOT) for name in (*folders, *files)}
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_path_and_module_that_it_names_is_there(document: str) -> None:
    known = paths()
    missing = []
    for name in CODE.findall((ROOT / document).read_text()):
        place = name.split("::")[0].rstrip("/")
        if FILE.fullmatch(name.split("::")[0]):
            found = any(path == place or path.endswith(f"/{place}") for path in known)
        elif MODULE.fullmatch(name):
            # a module, or what is in one
            parts = name.split(".")
            starts = ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]
            found = any(start in known or f"{start}.py" in known for start in starts)
        else:
            continue
        if not found:
            missing.append(name)
    assert not missing
