"""The commands that list, show and watch traces, on a real daemon."""

import json
import os
import signal
from pathlib import Path

import msgspec
import psutil
import pytest
from rich.cells import cell_len

from daemon.client.sync import Client, Notifications
from protocol.types import AnalyzeTraceResult, GetTokensResult, ListTracesResult, TraceSummary
from tests.daemon.cli.prompts import PROMPT, TEXT
from tests.daemon.commands import in_terminal, run, started
from tests.daemon.running import DaemonProcess
from tests.daemon.waiting import until
from tests.nanochat.trace_examples import leaf, older_document, write_json


def await_change(changes: Notifications, kind: str, trace_id: str) -> None:
    """Until a notification names the trace; those of other tests may come before it."""
    while trace_id not in getattr(changes.get(8).params, kind):
        pass


@pytest.mark.usefixtures("daemon")
class TestList:
    """What `list` prints."""

    def test_a_pipe_gets_every_field_of_every_trace(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("daemon.cli.traces.SCREEN", 1)
        rows = run("list").rows
        known = client.list_traces().traces
        assert [row[0] for row in rows] == [row.trace_id for row in known]
        (sum_,) = [row for row in rows if row[1] == "sums"]
        assert (sum_[2].split("+")[1], sum_[4], sum_[5]) == ("3", "json", "Two and two is")
        assert int(sum_[3]) == next(row.size for row in known if row.category == "sums")

    def test_json_is_the_result(self) -> None:
        result = msgspec.json.decode(run("list", "--json", "--limit", "1").out, type=ListTracesResult)
        assert len(result.traces) == 1
        assert result.total > 1
        assert result.cursor is not None

    def test_it_can_be_narrowed(self) -> None:
        assert {row[1] for row in run("list", "--category", "sums").rows} == {"sums"}
        assert {row[5] for row in run("list", "--text", "two AND").rows} == {"Two and two is"}
        nothing = run("list", "--text", "no such text")
        assert (nothing.status, nothing.out) == (0, "")
        assert nothing.err.startswith("No traces that fit in ")
        assert run("list", "--category", "unheard").err.startswith("error: No trace has the category 'unheard'")

    def test_a_terminal_gets_a_screenful(self, client: Client) -> None:
        more = client.list_traces().total - 1
        assert in_terminal("list", "-n", "1").out.endswith(f"\n{more} more; --limit 0 shows all\n")

    @pytest.mark.parametrize("columns", [60, 80, 200])
    def test_a_terminal_gets_a_table_that_fits(self, columns: int, trace: str) -> None:
        done = in_terminal("list", columns=columns)
        lines = done.out.splitlines()
        assert max(map(cell_len, lines)) <= columns
        assert lines[2].split()[0] == "1"
        assert lines[2].split()[1] in run("list").out
        assert (TEXT in done.out) == (columns == 200)

    def test_what_cannot_be_read_is_listed_with_the_reason(self, client: Client) -> None:
        broken = Path(client.greeting.traces_dir) / "trace_19990101_000000_000000.json"
        with client.notifications("traces_changed") as changes:
            broken.write_text("{")
            os.utime(broken, (0, 0))  # an old file: nobody is writing it
            await_change(changes, "added", broken.stem)
            (row,) = [row for row in run("list").rows if row[0] == broken.stem]
            assert row[7]
            assert f"unreadable: {row[7][:10]}" in in_terminal("list", "-n", "0", columns=200).out
            broken.unlink()
            await_change(changes, "removed", broken.stem)

    def test_another_folder(self, tmp_path: Path) -> None:
        made = json.loads(run("capture", PROMPT, "-n", "1", "--traces-dir", str(tmp_path), "--json").out)
        assert Path(made["path"]).parent == tmp_path
        until(lambda: run("list", "--traces-dir", str(tmp_path)).rows != [], "it is not listed")
        assert made["trace_id"] not in run("list").out

    def test_whoever_reads_may_have_seen_enough(self) -> None:
        with started("list") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert (process.stderr.read(), process.wait()) == ("", 141)


@pytest.mark.usefixtures("daemon")
class TestReading:
    """show, analyze, summary, tokens."""

    def test_show_draws_the_trace(self, trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "60")  # of the terminal that the pipe was begun in
        done = run("show", trace)
        assert done.out.startswith(f"{PROMPT} Par") or done.out.startswith(PROMPT)
        for part in (trace, "Attention", "Activations", "Logits", "Head ", "weight"):
            assert part in done.out
        assert "\x1b" not in done.out
        assert "…" not in done.out  # nothing is cut in a pipe

    def test_show_draws_the_head_that_is_asked_for(self) -> None:
        assert "Head 3.1  as asked" in run("show", "latest", "--head", "3.1").out
        assert "There is no head 9.0" in run("show", "--head", "9.0").err
        assert run("show", "--head", "3").status == 2

    @pytest.mark.parametrize("columns", [80, 120])
    def test_show_fits_the_terminal(self, columns: int) -> None:
        done = in_terminal("show", columns=columns)
        table = done.out.split("\nAttention")[1]
        assert max(map(cell_len, table.splitlines())) <= columns
        assert "48;5;" in done.err

    @pytest.mark.parametrize("narrow", [("--logits", "none"), ("--sites", "post_mlp"), ("-n", "0")])
    def test_show_leaves_out_what_is_not_there(self, narrow: tuple[str, ...]) -> None:
        made = json.loads(run("capture", PROMPT, "-n", "2", *narrow, "--json").out)
        for words in (("show",), ("analyze",), ("tokens",), ("summary",)):
            assert run(*words, made["trace_id"]).status == 0
        shown = run("show", made["trace_id"]).out
        assert shown.startswith(PROMPT + made["response"])
        assert ("Logits" in shown) == (narrow[0] == "--sites")
        assert ("Head " in shown) == (narrow[0] != "--sites")

    def test_traces_of_another_program(self, tmp_path: Path) -> None:
        weights = {"attention_weights": {"layer_0": leaf([[[[1.0, 0.0], [0.5, 0.5]]]])}}
        for number, document in enumerate((older_document(), {"prompt": "x", "model_data": weights})):
            write_json(tmp_path / f"trace_{number}.json", document)
            os.utime(tmp_path / f"trace_{number}.json", (0, 0))
        folder = ("--traces-dir", str(tmp_path))
        assert run("show", "trace_0", *folder).out.startswith("The capital of France is Paris.\n")
        for words in (("show",), ("analyze",), ("tokens",), ("summary",), ("show", "--head", "0.0")):
            for number in range(2):
                done = run(*words, f"trace_{number}", *folder)
                assert (done.status, done.err) == (0, "")

    def test_show_as_json(self, trace: str, client: Client) -> None:
        document = json.loads(run("show", trace, "--json").out)
        assert document["trace_id"] == trace
        assert document["analysis"]["attention"]["num_layers"] == 4

    def test_analyze_has_a_line_for_each_head(self, trace: str, client: Client) -> None:
        rows = [row for row in run("analyze", trace).rows if len(row) == 9]
        assert [(row[0], row[1]) for row in rows] == [(str(i), str(j)) for i in range(4) for j in range(4)]
        attention = client.analyze_trace(trace_id=trace).analysis.attention
        assert attention is not None
        heads = attention.layer_stats["1"]["heads"]
        assert isinstance(heads, list)
        assert float(rows[5][2]) == heads[1]["attention_entropy"]
        assert msgspec.json.decode(run("analyze", trace, "--json").out, type=AnalyzeTraceResult).trace_id == trace
        assert "induction" in in_terminal("analyze", trace).out

    def test_summary_lists_the_tensors(self, trace: str) -> None:
        done = run("summary", trace)
        assert ["attention_weights.layer_3", "1 × 4 × 12 × 12", "torch.float32"] in done.rows
        assert f"trace               {trace}" in done.out.splitlines()
        assert msgspec.json.decode(run("summary", trace, "--json").out, type=TraceSummary).prompt == PROMPT

    def test_tokens_are_a_line_each(self, trace: str, client: Client) -> None:
        rows = run("tokens", trace).rows
        known = client.get_tokens(trace_id=trace).tokens
        assert [int(row[1]) for row in rows] == [token.id for token in known]
        assert [row[3] for row in rows] == ["g" if token.generated else "" for token in known]
        assert [float(row[4] or "nan") for row in rows[1:]] == [token.surprisal for token in known[1:]]
        assert msgspec.json.decode(run("tokens", trace, "--json").out, type=GetTokensResult).tokens == known
        assert max(map(cell_len, in_terminal("tokens", trace).out.splitlines())) <= 80


def test_watching(daemon_process: DaemonProcess) -> None:
    with started("watch") as process, started("watch", "--json") as programs, Client(daemon_process.settings) as client:
        assert process.stdout is not None
        assert process.stderr is not None
        assert programs.stdout is not None
        assert programs.stderr is not None
        folder = str(daemon_process.settings.traces_dir)
        for watching in (process, programs):
            assert watching.stderr is not None
            assert folder in watching.stderr.readline()
        made = client.generate_and_capture(PROMPT, max_tokens=5)
        assert process.stdout.readline() == f"+\t{made.trace_id}\t{TEXT}\n"
        assert json.loads(programs.stdout.readline())["added"] == [made.trace_id]
        psutil.Process(daemon_process.pid).kill()
        assert process.stderr.readline() == "The daemon ended; waiting for the next.\n"
        assert client.list_traces().total == 1
        assert process.stderr.readline() == "Watching again.\n"
        copy = Path(made.path).with_stem("trace_of_another_program")
        copy.write_bytes(Path(made.path).read_bytes())
        assert process.stdout.readline() == f"+\t{copy.stem}\t{TEXT}\n"
        client.delete_trace(trace_id=copy.stem)
        assert process.stdout.readline() == f"-\t{copy.stem}\t\n"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
