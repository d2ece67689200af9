"""The benchmark's machinery on a tiny model: its rows, its table, its exit status; no figure is judged here."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from nanochat.gpt import GPTConfig
from scripts import benchmark
from scripts.benchmarks import measuring, workbench
from scripts.benchmarks import model as benchmark_model
from scripts.benchmarks import traces as benchmark_traces
from scripts.benchmarks.measuring import Row

ROOT = Path(__file__).parent.parent.parent
TINY = GPTConfig(64, 300, n_layer=2, n_head=2, n_kv_head=2, n_embd=32, window_pattern="SL")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> workbench.Settings:
    """A tiny model, few tokens, few traces, no rest between runs."""
    monkeypatch.setattr(measuring, "PAUSE_SECONDS", 0.0)
    return workbench.Settings(tmp_path, rounds=2, prompt_tokens=5, new_tokens=4, traces=3, cpu_model=TINY)


def measure(settings: workbench.Settings, *only: str) -> list[Row]:
    return benchmark_model.measure(settings, only, lambda name: None)


def test_sides_run_in_turn_and_the_first_round_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PAUSE_SECONDS", 0.0)
    order: list[str] = []

    def side(name: str, seconds: list[float]) -> float:
        order.append(name)
        return seconds[order.count(name) - 1]

    found = measuring.alternate([lambda: side("a", [9, 1, 2]), lambda: side("b", [9, 2, 6])], rounds=2)
    assert "".join(order) == "ababab"
    assert found == [[1, 2], [2, 6]]
    assert measuring.ratios(found[1], found[0]) == (2, 3)


def test_every_generation_row_has_a_figure_for_each_pair(settings: workbench.Settings) -> None:
    capture, upstream = measure(settings, "upstream", "capture")
    assert (capture.name, len(capture.values), capture.limit) == ("capture", 2, 1.03)
    assert (upstream.name, upstream.values, upstream.met) == ("upstream", (), None)
    assert "--upstream" in upstream.note


def test_the_rows_about_traces(settings: workbench.Settings) -> None:
    rows = measure(settings, "whole", "sizes", "head", "listing")
    assert [row.problem for row in rows] == [""] * len(rows)
    assert all(row.values and min(row.values) > 0 for row in rows)
    compact, steps, plain = (row.values[0] for row in rows if row.name == "sizes")
    assert compact < plain < steps
    left = sorted(path.suffix for path in (settings.work / "traces").glob("trace_*"))
    assert left == [".json", ".json", ".safetensors"]  # those of `whole` are gone
    assert len(list((settings.work / "many").glob("trace_*.json"))) == settings.traces


def test_the_original_runs_in_a_process_of_its_own(settings: workbench.Settings, tmp_path: Path) -> None:
    # Our own package answers to the same calls, so a copy of it stands in for the original's repository.
    shutil.copytree(ROOT / "nanochat", tmp_path / "original" / "nanochat", ignore=shutil.ignore_patterns("__pycache__"))
    bench = workbench.Bench(replace(settings, upstream=tmp_path / "original"))
    try:
        assert bench.upstream is not None
        _, plain = bench.ours.generate(bench.job, capture=False)
        _, captured = bench.ours.generate(bench.job, capture=True)
        seconds, tokens = bench.upstream.generate(bench.job)
        assert tokens == plain == captured
        assert len(tokens) == settings.new_tokens
        assert seconds > 0
        (row,) = benchmark_model.beside_upstream(bench)
        assert len(row.values) == settings.rounds
    finally:
        bench.close()
    assert bench.upstream._process.returncode is not None


def test_an_original_that_does_not_run_is_told_and_the_other_rows_stay(
    settings: workbench.Settings, tmp_path: Path
) -> None:
    package = tmp_path / "original" / "nanochat"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "checkpoint_manager.py").touch()
    (package / "engine.py").write_text("raise ImportError('no module named something')\n", encoding="utf-8")
    capture, upstream = measure(replace(settings, upstream=tmp_path / "original"), "capture", "upstream")
    assert len(capture.values) == settings.rounds
    assert upstream.met is False
    assert "no module named something" in upstream.problem


def test_a_side_that_writes_other_tokens_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PAUSE_SECONDS", 0.0)
    job = workbench.Job((1,), max_tokens=2)
    seconds, agreed = workbench.together(job, 1, lambda: (1.0, [5, 6]), lambda: (2.0, [5, 7]))
    assert (seconds, agreed) == ([[1.0], [2.0]], 1)
    drifting = iter([[5, 6], [5, 7]])
    with pytest.raises(AssertionError, match="other tokens"):
        workbench.together(job, 1, lambda: (1.0, next(drifting)))
    with pytest.raises(AssertionError, match="1 tokens came"):
        workbench.together(job, 1, lambda: (1.0, [5]))


@pytest.mark.parametrize(("check", "limit", "status"), [(False, 0.0, 0), (True, 0.0, 1), (True, 1e9, 0)])
def test_the_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    check: bool,
    limit: float,
    status: int,
) -> None:
    tiny = partial(workbench.Settings, prompt_tokens=5, new_tokens=4, cpu_model=TINY)
    monkeypatch.setattr(workbench, "Settings", tiny)
    monkeypatch.setattr(benchmark_traces, "SIZE_LIMITS", dict.fromkeys(benchmark_traces.SIZE_LIMITS, limit))
    words = ["model", "--only", "sizes", "--repeats", "1", "--work", str(tmp_path), "--json", str(tmp_path / "figures")]
    assert benchmark.main([*words, *["--check"] * check]) == status
    out = capsys.readouterr().out
    assert out.count("MB") == 3
    assert ("✓" in out, "✗" in out) == (limit > 0, limit == 0)
    figures = json.loads((tmp_path / "figures").read_text(encoding="utf-8"))
    assert figures["suite"] == "model"
    assert figures["machine"]["threads"] > 0
    assert [row["met"] for row in figures["rows"]] == [limit > 0] * 3


def test_a_wrong_row_or_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["--only", "speed"]) == 1
    assert "no row 'speed'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        benchmark.main(["--repeats", "0"])
    assert ended.value.code == 2


def test_a_row_says_its_median_and_whether_it_meets_its_target() -> None:
    row = Row("capture", "what", (1.0, 1.02, 1.5), "×", 1.03)
    assert (row.median, row.met) == (1.02, True)
    assert replace(row, limit=1.01).met is False
    assert replace(row, limit=None).met is None
    assert replace(row, values=()).met is None
    assert replace(row, problem="no model").met is False
    assert row.as_json() | {"min": 1.0, "max": 1.5, "median": 1.02} == row.as_json()
