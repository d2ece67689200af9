"""A picture takes another picture's place, and no other file's."""

import os
import stat
from pathlib import Path

import pytest
from rich.console import Console

from nanochat.errors import StorageError
from nanochat.terminal.picture import save_picture


def console(text: str) -> Console:
    with open(os.devnull, "w") as nowhere:
        recording = Console(record=True, file=nowhere)
        recording.print(text)
    return recording


def test_a_picture_is_drawn_anew(tmp_path: Path) -> None:
    path = tmp_path / "demo.svg"
    for text in ("first", "second"):
        save_picture(console(text), path)
        assert text in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["demo.svg"]


@pytest.mark.parametrize("content", ["mine", "", "<svg>a drawing of mine</svg>", "x" * 100_000])
def test_no_other_file_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "thesis.svg"
    path.write_text(content)
    with pytest.raises(StorageError, match=r"thesis\.svg is there already"):
        save_picture(console("x"), path)
    assert path.read_text() == content
