"""What is written from nanochat's tables."""

import pytest

from scripts import tables


def test_what_is_written_is_as_the_tables_say(capsys: pytest.CaptureFixture[str]) -> None:
    assert tables.main(["--check"]) == 0
    assert capsys.readouterr() == ("", "")


def test_another_format_has_its_name_on_the_wire_and_what_is_stale_is_told(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "FORMATS", {"json": None, "safetensors": None, "zarr": None})
    for folder in ("docs", "protocol"):
        (tmp_path / folder).mkdir()
    assert tables.main(["--check"]) == 1
    assert capsys.readouterr().err.count("is stale: run `make protocol`.") == len(tables.WRITTEN)
    assert tables.main([]) == 0
    written = (tmp_path / "protocol/trace_formats.py").read_text(encoding="utf-8")
    assert 'Format = Literal["json", "safetensors", "zarr"]' in written
    assert tables.main(["--check"]) == 0
