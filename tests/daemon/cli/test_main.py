"""The commands about traces and models, on a real daemon."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
from rich.cells import cell_len

from daemon.client.sync import Client, Notifications
from daemon.settings import MODEL_SETTINGS, TABLE
from nanochat.trace_storage import TraceStorage
from protocol.types import (
    AnalyzeTraceResult,
    GenerateAndCaptureResult,
    GetTensorResult,
    GetTokensResult,
    ListModelsResult,
    ListTracesResult,
    TraceSummary,
)
from tests.daemon.commands import COMMAND, ROOT, Terminal, in_terminal, run, started
from tests.daemon.running import DaemonProcess, environment_set_to, private_settings, running_daemon
from tests.daemon.waiting import until
from tests.nanochat.trace_examples import leaf, older_document, write_json

PROMPT = "The capital of France is"
TEXT = f"{PROMPT} Paris."
PAGE = 1000
COMMANDS = """capture list show analyze summary tensor tokens export delete watch models load
start stop status sessions logs doctor serve stdio"""
ENDLESS = ("-n", "240", "-t", "100", "-k", "0", "--seed", "1")  # nearly any token, and never the last


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """One daemon for all tests here, with two traces."""
    with running_daemon() as process:
        assert run("capture", "Two and two is", "-n", "3", "--category", "sums").status == 0
        assert run("capture", PROMPT, "-n", "5").status == 0
        yield process


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with Client(daemon.settings) as client:
        yield client


@pytest.fixture
def trace(client: Client) -> str:
    """The trace whose text is TEXT; the tests add others."""
    return client.list_traces(text=PROMPT, limit=PAGE).traces[-1].trace_id


@pytest.mark.parametrize("shape", [(), ("--quiet",), ("--json",)])
def test_capture_says_on_stderr_how_large_a_trace_may_get(daemon: DaemonProcess, shape: tuple[str, ...]) -> None:
    large = run("capture", PROMPT, "-n", "2000", "-t", "0", *shape)
    assert large.status == 0
    assert "The trace takes up to" in large.err and "as safetensors" in large.err
    assert "takes up to" not in large.out or shape == ("--json",)  # in its notices
    assert "takes up to" not in run("capture", PROMPT, "-n", "20", "-t", "0", *shape).err


def test_the_first_command_starts_a_daemon_and_answers() -> None:
    with private_settings() as (settings, environment), environment_set_to(environment):
        done = subprocess.run([*COMMAND, "capture", PROMPT], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"{TEXT}\n")
        trace_id, *counts = done.stderr.split()
        assert re.fullmatch(r"8 \+ 5 tokens, \d+ a second, by demo step 2400, era F", " ".join(counts))
        assert [row[0] for row in run("list").rows] == [trace_id]
        assert run("summary", trace_id).status == 0
        assert "demo" in run("status").out
        assert settings.runtime_dir.is_dir()


def await_change(changes: Notifications, kind: str, trace_id: str) -> None:
    """Until a notification names the trace; those of other tests may come before it."""
    while trace_id not in getattr(changes.get(8).params, kind):
        pass


@pytest.mark.usefixtures("daemon")
class TestCapture:
    """What `capture` prints and keeps."""

    def test_json_is_the_result(self) -> None:
        done = run("capture", PROMPT, "-n", "4", "--json")
        result = msgspec.json.decode(done.out, type=GenerateAndCaptureResult)
        assert (result.prompt, result.response_tokens, done.err) == (PROMPT, 4, "")
        assert Path(result.path).is_file()

    def test_quiet_is_the_response(self) -> None:
        assert run("capture", PROMPT, "-q").out == " Paris.\n"

    def test_the_prompt_may_come_by_stdin(self) -> None:
        done = subprocess.run(
            [*COMMAND, "capture", "-", "-q"], cwd=ROOT, input=f"{PROMPT}\n", capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, " Paris.\n")

    def test_options_reach_the_model_and_the_trace(self, client: Client) -> None:
        narrow = ("--layers", "0,2", "--sites", "attention_weights", "--logits", "none")
        kept = ("--category", "narrow", "--metadata", "run=7", "--metadata", "by=me", "--format", "safetensors")
        made = json.loads(run("capture", PROMPT, "-n", "2", "-t", "0", "--seed", "3", *narrow, *kept, "--json").out)
        summary = client.get_summary(trace_id=made["trace_id"])
        assert summary.data_info.tensors.keys() == {"attention_weights.layer_0", "attention_weights.layer_2"}
        assert summary.generation is not None
        assert {name: summary.generation[name] for name in ("max_tokens", "temperature", "seed")} == {
            "max_tokens": 2, "temperature": 0.0, "seed": 3
        }  # fmt: skip
        assert (summary.category, summary.metadata["run"], summary.metadata["by"]) == ("narrow", 7, "me")
        assert made["path"].endswith(".safetensors")

    def test_chat_sends_a_message(self, client: Client) -> None:
        made = json.loads(run("capture", "--chat", "What is the capital of France?", "-n", "3", "--json").out)
        assert client.get_tokens(trace_id=made["trace_id"]).tokens[1].text == "<|user_start|>"

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--layers", "all"), "Invalid value for --layers: 'all' is not a list of numbers"),
            (("--logits", "some"), "Invalid value for --logits: 'some' is none of generated, all, none"),
            (("--metadata", "x"), "Invalid value for --metadata: 'x' is not NAME=VALUE"),
            (("-n", "-1"), "'--max-tokens' / '-n': Input should be greater than or equal to 0"),
            (("-t", "hot"), "'--temperature' / '-t': Input should be a valid number"),
            (("--format", "xml"), "'xml' is not one of 'json', 'safetensors'"),
            (("--fromat", "json"), "No such option: --fromat"),
            (("and", "more"), "Got unexpected extra argument(s) (and more)"),
        ],
    )
    def test_misuse(self, words: tuple[str, ...], said: str) -> None:
        done = run("capture", PROMPT, *words)
        assert (done.status, done.out) == (2, "")
        assert "Usage: nanoscope capture" in done.misuse
        assert said in done.misuse

    def test_errors_say_what_to_do(self) -> None:
        done = run("capture", "x " * 20_000)
        assert (done.status, done.out) == (1, "")
        assert re.fullmatch(r"error: .* tokens.*\n", done.err)

    def test_ctrl_c_cancels(self, client: Client) -> None:
        before = client.list_traces().total
        with started("capture", PROMPT, *ENDLESS) as process:
            assert process.stdout is not None
            assert process.stdout.read(len(PROMPT)) == PROMPT
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
        assert (process.returncode, err) == (130, "Cancelled, nothing saved.\n")
        assert client.list_traces().total == before
        assert not client.get_status().queue.running

    def test_a_daemon_that_is_killed_meanwhile_is_an_error(self, daemon_process: DaemonProcess) -> None:
        with started("capture", PROMPT, *ENDLESS) as process:
            assert process.stdout is not None
            process.stdout.read(len(PROMPT))
            psutil.Process(daemon_process.pid).kill()
            _, err = process.communicate()
        assert process.returncode == 1
        assert err.startswith("error: The daemon went away before it answered generate_and_capture")

    def test_in_a_terminal_tokens_have_colours(self) -> None:
        done = in_terminal("capture", "Surprise me with", "-n", "6", "-t", "100", "-k", "0")
        assert done.status == 0
        assert "Surprise me with" in done.out
        assert "\x1b[2mSurprise me with\x1b[0m" in done.err
        assert "48;5;" in done.err  # a background for a surprising token
        assert "48;" not in in_terminal("capture", PROMPT, "-n", "3", "-t", "100", NO_COLOR="1").err


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


@pytest.mark.usefixtures("daemon")
class TestTensor:
    """What `tensor` prints and saves."""

    HEAD = ("attention_weights", "--layer", "2", "--head", "1")

    def test_a_pipe_gets_every_bit(self, client: Client, trace: str) -> None:
        weights = client.tensor(trace, "attention_weights", layer=2, head=1)
        printed = np.array([[np.float32(cell) for cell in row] for row in run("tensor", trace, *self.HEAD).rows])
        assert np.array_equal(printed, weights)
        part = run("tensor", trace, *self.HEAD, "--rows", "2:4", "--columns", ":3").rows
        assert np.array_equal(np.array(part, np.float32), weights[2:4, :3])

    def test_json_is_the_result(self, client: Client, trace: str) -> None:
        result = msgspec.json.decode(run("tensor", trace, *self.HEAD, "--json").out, type=GetTensorResult)
        assert np.array_equal(np.float32(result.data), client.tensor(trace, "attention_weights", layer=2, head=1))  # type: ignore[arg-type]

    def test_a_file_for_numpy(self, client: Client, trace: str, tmp_path: Path) -> None:
        path = tmp_path / "logits.npy"
        done = run("tensor", trace, "output_logits", "--out", str(path))
        assert (done.status, done.out) == (0, "")
        assert np.array_equal(np.load(path), client.tensor(trace, "output_logits"))
        assert run("tensor", trace, "output_logits", "--out", str(tmp_path)).err.startswith("error: ")

    def test_one_step(self, trace: str) -> None:
        assert len(run("tensor", trace, "attention_weights.layer_0", "--step", "1", "--head", "0").rows) == 1

    def test_a_terminal_gets_what_fits(self, trace: str) -> None:
        done = in_terminal("tensor", trace, "output_logits")
        assert "1 × 5 × 1024 of float32" in done.out
        assert "..." in done.out
        assert max(map(cell_len, done.out.splitlines())) <= 80

    def test_misuse_and_errors(self, trace: str) -> None:
        assert "--rows: '3' is not A:B" in run("tensor", trace, *self.HEAD, "--rows", "3").misuse
        nothing = run("tensor", trace, "nothing")
        assert (nothing.status, nothing.err.startswith("error: ")) == (1, True)


@pytest.mark.usefixtures("daemon")
class TestFiles:
    """export and delete."""

    @pytest.mark.parametrize("to", ["json", "safetensors"])
    def test_exports_are_traces(self, to: str, trace: str, client: Client, tmp_path: Path) -> None:
        target = tmp_path / f"copy.{to}"
        done = run("export", trace, "--to", to, "--out", str(target))
        assert (done.status, done.out) == (0, "")
        with TraceStorage(tmp_path).open_trace("copy") as copy:
            assert np.array_equal(copy.attention(0, 0), client.tensor(trace, "attention_weights", layer=0, head=0))
        again = run("export", trace, "--to", to, "--out", str(target))
        assert (again.status, "is there already" in again.err) == (1, True)
        assert run("export", trace, "--to", to, "--out", str(target), "--force").status == 0

    def test_exports_of_smaller_numbers_and_of_steps(self, trace: str, tmp_path: Path) -> None:
        run("export", trace, "--to", "safetensors", "--save-as", "float16", "--out", str(tmp_path / "a.safetensors"))
        run("export", trace, "--to", "json", "--steps", "--out", str(tmp_path / "b.json"))
        with TraceStorage(tmp_path).open_trace("a") as copy:
            assert copy.infos()["token_embeddings"].dtype == "float16"
        assert len(json.loads((tmp_path / "b.json").read_text())["intermediate_steps"]) == 5
        assert run("export", trace, "--to", "json", "--save-as", "float16").status == 2
        assert run("export", trace, "--to", "safetensors", "--steps").status == 2

    def test_deleting_asks_first(self) -> None:
        doomed = json.loads(run("capture", "Doomed", "-n", "1", "--json").out)["trace_id"]
        assert run("delete", doomed).status == 2
        for key, status in (("\x03", 130), ("n\n", 1), ("y\n", 0)):
            with Terminal("delete", "@1") as terminal:
                terminal.until(lambda shown: "[y/N]" in shown)
                terminal.interrupt() if key == "\x03" else terminal.type(key)
                assert terminal.end() == status
                assert "Doomed" in terminal.plain
            assert (doomed in run("list").out) == bool(status)

    def test_several_go_at_once(self) -> None:
        ids = [json.loads(run("capture", f"Doomed {n}", "-n", "1", "--json").out)["trace_id"] for n in range(2)]
        done = run("delete", *ids, ids[0], "--yes")
        assert (done.status, done.out.split()) == (0, ids)
        assert not {row[0] for row in run("list").rows} & set(ids)
        assert run("delete", ids[0], "--yes").err.startswith(f"error: There is no trace {ids[0]!r}")


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


@pytest.mark.usefixtures("daemon")
def test_models_and_loading() -> None:
    rows = run("models").rows
    assert [(row[0], row[4]) for row in rows if row[0] == "demo"] == [("demo", "*")]
    assert msgspec.json.decode(run("models", "--json").out, type=ListModelsResult).current.source == "demo"
    assert "held" in in_terminal("models").out
    loaded = run("load", "demo", "--dtype", "float16")
    assert (loaded.status, "float16 on cpu" in loaded.out) == (0, True)
    refused = run("load", "/no/such/folder")
    assert (refused.status, refused.err.startswith("error: There is no folder '/no/such/folder'")) == (1, True)
    assert "float16 on cpu" in run("status").out
    assert json.loads(run("load", "demo", "--json").out)["model"]["dtype"] == "float32"


@pytest.mark.usefixtures("daemon")
def test_a_wrong_setting_is_an_error() -> None:
    done = run("list", "--device", "toaster")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("error: device cannot be 'toaster' (--device)")


@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_has_every_command(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = run("--help")
    assert done.status == 0
    panels = done.out.split("╭─ ")
    assert [panel.split()[0] for panel in panels[1:]] == ["Options", "Traces", "Models", "The"]
    for name in COMMANDS.split():
        assert f"\n│ {name} " in done.out
        own = run(name, "-h")
        assert (own.status, f" Usage: nanoscope {name} " in own.out) == (0, True)
        assert max(map(cell_len, own.out.splitlines())) <= columns
    assert "\n│ demo " in done.out
    assert run("demo", "--help").out.startswith("usage: nanoscope demo ")  # in its own words
    assert run("--version").out.startswith("nanoscope ")


def test_the_help_has_the_settings_and_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    own, shared = run("capture", "--help").out.split("╭─ Daemon and model ")
    assert "At most so many. " in own
    assert "[default: 256]" in own
    for name in ("traces_dir", *MODEL_SETTINGS):
        assert f"│ --{name.replace('_', '-')} " in shared
        assert TABLE[name].meaning in shared
    assert (
        "prompt, response, and why it cannot be read, parted by tabs." in run("list", "--help").out
    )  # not as the source
    assert "--queue-limit" in run("start", "--help").out
    assert "--queue-limit" not in own + shared


@pytest.mark.parametrize(("words", "status"), [(("--help",), 0), (("capture",), 2)])
def test_help_and_misuse_have_colours_in_terminals_alone(words: tuple[str, ...], status: int) -> None:
    colour = re.compile(r"\x1b\[(\d;)?3\dm")
    coloured, plain, piped = in_terminal(*words), in_terminal(*words, NO_COLOR="1"), run(*words)
    assert {coloured.status, plain.status, piped.status} == {status}
    assert colour.search(coloured.err)
    assert not colour.search(plain.err)
    assert "\x1b" not in piped.out + piped.err


def test_no_command_and_one_that_is_not() -> None:
    nothing = run()
    assert (nothing.status, nothing.out.strip()) == (2, run("--help").out.strip())
    assert "No such command 'no-such-command'" in run("no-such-command").misuse
    assert run("no-such-command").status == 2


def test_a_command_imports_no_other() -> None:
    needed = ("main", "models", "options", "output", "trace_names")
    code = "import sys\nfrom daemon.cli.main import main\nsys.argv = ['nanoscope', 'models', '-h']\nmain()\n"
    code += "sys.exit(','.join(name for name in sys.modules if name.startswith('daemon.cli.')))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert set(done.stderr.strip().split(",")) == {f"daemon.cli.{name}" for name in needed}
