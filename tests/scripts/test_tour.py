from pathlib import Path

import pytest

from scripts import tour

WRITTEN = tour.TOUR.read_text(encoding="utf-8")


def test_every_command_says_what_the_tour_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert tour.main(["--check"]) == 0, capsys.readouterr().err


def test_a_figure_that_no_output_holds_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tour, "TOUR", told(tmp_path, "It was 96% sure. Page 3.", ""))
    monkeypatch.setattr(tour, "said_by", lambda here, command: "It was 97% sure of 3.\n")
    assert tour.main([]) == 1
    assert capsys.readouterr().err == "docs/tour.md, Here: no output there says 96.\n"


def test_an_output_that_has_changed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = told(tmp_path, "Nothing.", "another version")
    monkeypatch.setattr(tour, "TOUR", path)
    monkeypatch.setattr(tour, "said_by", lambda here, command: "this version\n")
    assert tour.main(["--check"]) == 1
    assert "has changed" in capsys.readouterr().err and "another version" in path.read_text()
    assert tour.main([]) == 0
    assert "this version" in path.read_text()


def test_a_command_that_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tour, "TOUR", told(tmp_path, "Nothing.", "", command="show trace_20200101_000000_000000"))
    before = tour.TOUR.read_text()
    assert tour.main([]) == 1
    assert "nanoscope show" in capsys.readouterr().err and tour.TOUR.read_text() == before


def told(folder: Path, prose: str, output: str, command: str = "--version") -> Path:
    path = folder / "tour.md"
    path.write_text(f"# Tour\n\n## Here\n\n{prose}\n\n```console\n$ nanoscope {command}\n{output}\n```\n")
    return path
