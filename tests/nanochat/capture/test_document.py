"""docs/interventions.md: its Python blocks run as written, and its table has every op, site and word."""

import re
from pathlib import Path

import pytest

from nanochat.capture.interventions import KEYS, OPS, WORDS
from nanochat.capture.sites import SITES

PAGE = (Path(__file__).parents[3] / "docs" / "interventions.md").read_text(encoding="utf-8")


def test_the_blocks_run_as_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec("\n".join(blocks), {})  # the later go on from the first
    repeated, capital, steered = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" silver, red,? \|.*\| touched \[\d+\]", repeated) and repeated.count("silver") == 1
    assert re.fullmatch(r".*\| touched \[\d+\]", capital)
    assert steered.startswith(" Marare.")  # as the page says


def test_the_table_has_every_word() -> None:
    editable = [name for name, site in SITES.items() if site.editable]
    assert [word for word in (*KEYS, *OPS, *WORDS, *editable) if f"`{word}`" not in PAGE] == []
