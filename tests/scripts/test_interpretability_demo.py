"""The command as a person runs it: what it prints where, what it keeps, how it ends."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nanochat.checkpoint_manager import model_config_of, save_checkpoint
from nanochat.checkpoints.layouts import DEMO_FOLDER, PREFERRED, SOURCES
from nanochat.demo import command as demo
from nanochat.gpt import GPT, GPTConfig
from nanochat.interpretability_engine import TokenEvent
from nanochat.system.text import printable
from nanochat.terminal.report import prompt_text
from nanochat.tokenizer import RustBPETokenizer
from tests.models import GOLDEN, write_tokens

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-m", "scripts.interpretability_demo"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def base_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty nanochat folder."""
    folder = tmp_path / "nanochat"
    folder.mkdir()
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(folder))
    return folder


@pytest.fixture
def run(base_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process: its status, stdout and stderr."""

    def command(*words: str) -> tuple[int, str, str]:
        status = demo.main(["--traces-dir", str(tmp_path / "traces"), "--device-type", "cpu", *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return command


def traces(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "traces"
    return sorted(folder.iterdir()) if folder.is_dir() else []


def environment(base_dir: Path, **extra: str) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR", "FORCE_COLOR")}
    return plain | {"NANOCHAT_BASE_DIR": str(base_dir)} | extra


def save_model(base_dir: Path, source: str, tag: str) -> None:
    """A tiny random checkpoint with the built-in model's tokenizer."""
    tokenizer = RustBPETokenizer.from_directory(DEMO_FOLDER)
    tokenizer.save(base_dir / "tokenizer")
    torch.manual_seed(0)
    config = GPTConfig(
        sequence_len=64, vocab_size=tokenizer.get_vocab_size(), n_layer=2, n_head=2, n_kv_head=2, n_embd=32
    )
    model = GPT(config)
    model.init_weights()
    meta = {"step": 7, "model_config": model_config_of(model)}
    save_checkpoint(base_dir / f"{source}_checkpoints" / tag, 7, model.state_dict(), None, meta)


def test_the_documented_command(base_dir: Path, tmp_path: Path) -> None:
    words = ["--prompt", "The chemical formula of water is", "--category", "science", "--max-tokens", "8"]
    words += ["--temperature", "0.6", "--capture-steps", "--traces-dir", str(tmp_path / "traces")]
    done = subprocess.run(
        [*COMMAND, *words], cwd=ROOT, env=environment(base_dir), capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    [path] = traces(tmp_path)
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["category"] == "science"
    assert len(document["intermediate_steps"]) == len(document["tokens"]["output_tokens"])
    assert done.stdout.startswith("The chemical formula of water is" + document["response"][:1])
    assert str(path) in done.stdout
    for title in ("Attention", "Activations", "Logits", "Head "):
        assert f"\n{title}" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines()[4:])) <= 80
    assert f"No nanochat checkpoint in {base_dir}: using the built-in demo model." in done.stderr


@pytest.mark.parametrize(("extra", "colored"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_only_where_they_are_wanted(
    run: Run, base_dir: Path, tmp_path: Path, extra: dict[str, str], colored: bool
) -> None:
    run("--quiet", "--max-tokens", "4")
    terminal, program_side = pty.openpty()
    variables = environment(base_dir, **{"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "30"} | extra)
    process = subprocess.Popen(
        [*COMMAND, *shown_again(tmp_path)],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=program_side,
        stderr=subprocess.DEVNULL,
    )
    os.close(program_side)
    shown = b""
    while chunk := read_terminal(terminal):
        shown += chunk
    os.close(terminal)
    assert process.wait() == 0
    assert (b"[48;" in shown) == colored
    assert (b"\x1b[2mThe capital of France is\x1b[0m" in shown) == ("TERM" not in extra)  # NO_COLOR leaves dim and bold
    assert b"Head " in shown


def shown_again(tmp_path: Path) -> list[str]:
    """Flags that show the one trace that was kept; without a model, that is quick."""
    [path] = traces(tmp_path)
    return ["--trace", path.stem, "--traces-dir", str(path.parent)]


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # Linux says EIO when the program is gone
        return b""


def test_a_terminal_without_unicode_still_gets_everything(run: Run, base_dir: Path, tmp_path: Path) -> None:
    run("--quiet", "--max-tokens", "2")
    variables = environment(base_dir, PYTHONIOENCODING="ascii")
    done = subprocess.run([*COMMAND, *shown_again(tmp_path)], cwd=ROOT, env=variables, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"## 0 <|bos|>" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize("shape", [["--json"], ["--quiet"], []])
def test_output_that_nobody_reads_or_that_does_not_fit(
    run: Run, base_dir: Path, tmp_path: Path, shape: list[str]
) -> None:
    run("--quiet", "--max-tokens", "2")
    command, variables = [*COMMAND, *shown_again(tmp_path), *shape], environment(base_dir)
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:
        closed = subprocess.run(command, cwd=ROOT, env=variables, stdout=pipe, stderr=subprocess.PIPE, text=True)
    assert closed.returncode == 141
    assert "Traceback" not in closed.stderr
    with open("/dev/full", "wb") as full:
        failed = subprocess.run(command, cwd=ROOT, env=variables, stdout=full, stderr=subprocess.PIPE, text=True)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith("error: The output cannot be used (No space left on device)")
    assert "Traceback" not in failed.stderr


def test_importing_the_command_loads_no_torch_and_prints_nothing() -> None:
    program = "import sys; import scripts.interpretability_demo; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_quiet_prints_the_response_alone_and_the_same_seed_the_same(run: Run, tmp_path: Path) -> None:
    statuses, texts, _ = zip(
        *(run("--quiet", "-t", "3", "--max-tokens", "6", "--seed", seed) for seed in "334"), strict=True
    )
    assert statuses == (0, 0, 0)
    assert texts[0] == texts[1] != texts[2]
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in traces(tmp_path)]
    assert tuple(printable(document["response"]) + "\n" for document in documents) == texts


def test_json_is_one_object_with_the_analysis(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("--json", "--max-tokens", "3", "--temperature", "0")
    found = json.loads(out)
    assert status == 0
    assert Path(found["path"]) == traces(tmp_path)[0]
    assert found["analysis"]["attention"]["layer_stats"]["0"]["attention_entropy"] > 0


def test_a_trace_kept_earlier_is_shown_as_when_it_was_written(run: Run, tmp_path: Path) -> None:
    _, before, _ = run("--max-tokens", "5", "--format", "safetensors")
    [path] = traces(tmp_path)
    assert path.suffix == ".safetensors"
    status, after, notices = run("--trace", path.stem)
    assert (status, after, notices) == (0, before, "")
    assert len(traces(tmp_path)) == 1


def test_the_newest_trace_is_latest(run: Run) -> None:
    run("--max-tokens", "2")
    _, newest, _ = run("--max-tokens", "5")
    assert run("--trace", "latest") == (0, newest, "")


def test_where_there_is_no_trace_none_is_the_latest(run: Run, tmp_path: Path) -> None:
    status, out, notices = run("--trace", "latest")
    assert (status, out) == (1, "")
    assert "There is no trace in" in notices
    assert "leave --trace out" in notices
    assert not traces(tmp_path)


def test_the_head_that_is_asked_for_is_drawn(run: Run) -> None:
    status, out, _ = run("--max-tokens", "2", "--head", "1.2")
    assert status == 0
    assert "\nHead 1.2" in out


def test_a_chat_goes_through_the_chat_format(run: Run, tmp_path: Path) -> None:
    status, out, _ = run("--chat", "--prompt", "What is the capital of France?", "--max-tokens", "4")
    document = json.loads(traces(tmp_path)[0].read_text(encoding="utf-8"))
    assert status == 0
    assert document["messages"] == [{"role": "user", "content": "What is the capital of France?"}]
    assert document["tokens"]["input_text"][1] == "<|user_start|>"
    assert out.startswith("What is the capital of France?\n")


def test_the_best_checkpoint_at_hand_is_taken(run: Run, base_dir: Path, tmp_path: Path) -> None:
    save_model(base_dir, "base", "d2")
    assert run("--max-tokens", "2")[0] == 0
    save_model(base_dir, "chatsft", "d2")
    status, out, notices = run("--max-tokens", "2")
    assert status == 0
    assert "built-in" not in notices
    assert "sft d2 step 7" in out
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in traces(tmp_path)]
    assert [document["metadata"]["model_source"] for document in documents] == ["base", "sft"]


def test_the_help_names_the_sources_in_the_order_in_which_they_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        demo.parse_arguments(["--help"], "nanoscope demo")
    order = ", ".join((*(source for source in PREFERRED if source in SOURCES), "demo"))
    assert f"{order} (built in) or a folder (default: the first of these at hand)" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.parametrize(
    "words",
    [
        ["-i", "sft"],
        ["-g", "d20"],
        ["-s", "5"],
        ["-i", "/nowhere"],
        ["-i", "demo", "--temperature", "-1"],
        ["-i", "demo", "--head", "9.0"],
        ["-i", "demo", "--prompt", ""],
        ["--trace", "trace_20200101_000000_000000"],
        ["--trace", "../secret"],
    ],
)
def test_an_error_is_one_line_on_stderr(run: Run, tmp_path: Path, words: list[str]) -> None:
    status, out, notices = run(*words)
    errors = [line for line in notices.splitlines() if not line.startswith("Loaded ")]
    assert status == 1
    assert out == ""
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    assert traces(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_found_before_the_model_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    status, out, notices = run("--traces-dir", str(tmp_path / "file" / "traces"))
    assert (status, out) == (1, "")
    assert notices.startswith("error: ")


def test_a_trace_by_another_program_is_named_so(run: Run, tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    older = {"trace_id": "old", "prompt": "a", "response": "b", "model_data": {}}
    (tmp_path / "traces" / "old.json").write_text(json.dumps(older), encoding="utf-8")
    status, out, notices = run("--trace", "old")
    assert (status, out) == (1, "")
    assert notices.startswith("error: The trace old lacks what is shown here")
    assert "another program wrote it: `nanoscope analyze` shows" in notices


def test_a_trace_that_lost_a_key_is_one_line_on_stderr(run: Run, tmp_path: Path) -> None:
    run("--quiet", "--max-tokens", "2")
    [path] = traces(tmp_path)
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["model"]["config"]["n_layer"]
    path.with_stem("other").write_text(json.dumps(document | {"trace_id": "other"}), encoding="utf-8")
    status, out, notices = run("--trace", "other")
    assert (status, out) == (1, "")
    assert "The trace other lacks what is shown here" in notices
    assert "`n_layer` - at `$.model.config`" in notices
    assert notices.count("\n") == 1


@pytest.mark.parametrize(
    "words", [["--head", "3"], ["--head", "a.b"], ["--rows", "-1"], ["--format", "hdf5"], ["--quiet", "--json"]]
)
def test_misuse_exits_with_2(run: Run, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        run(*words)
    assert exit_info.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_ctrl_c_saves_nothing_and_says_so(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def interrupt(live: demo.LiveText, event: TokenEvent) -> None:
        seen.append(event)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(demo.LiveText, "__call__", interrupt)
    status, _, notices = run("--max-tokens", "20")
    assert status == 130
    assert len(seen) == 1
    assert notices.endswith("Cancelled, nothing saved.\n")
    assert traces(tmp_path) == []
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait() -> None:
    with demo.cancel_on_interrupt() as cancel:
        signal.raise_signal(signal.SIGINT)
        assert cancel.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_the_picture_stands_alone(run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "demo.svg"
    status, _, notices = run("--max-tokens", "3", "--picture", str(picture))
    text = picture.read_text(encoding="utf-8")
    assert status == 0
    assert str(picture) in notices
    assert "Attention" in text
    assert text.replace("http://www.w3.org/2000/svg", "").count("://") == 0


def test_the_prompt_is_dim_and_what_follows_is_not() -> None:
    out = demo.make_console(Path("unused.svg"))
    with out.capture() as captured:
        live = demo.LiveText(prompt_text("see", chat=False), out)
        live(TokenEvent(7, "x", 0, forced=False, surprisal=0.0))
    assert captured.get() == "\x1b[2msee\x1b[0mx"


def test_characters_of_several_tokens_are_shown_whole_as_they_come_and_from_the_trace(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = RustBPETokenizer.from_directory(DEMO_FOLDER)
    ids = [*tokenizer.encode("né 国🙂!"), *tokenizer.encode("🙂")[:2]]  # the last one's second half never comes
    assert len(ids) > 8  # bytes of their own, for a tokenizer that small
    write_tokens(monkeypatch, ids)
    _, first, _ = run("--max-tokens", str(len(ids)))
    (path,) = traces(tmp_path)
    _, again, _ = run("--trace", Path(path).stem)
    assert first.splitlines()[0] == again.splitlines()[0] == "The capital of France isné 国🙂!\ufffd"


def test_a_kept_trace_is_shown_without_the_token_that_ended_it(run: Run, tmp_path: Path) -> None:
    _, first, _ = run("--max-tokens", "20")
    (path,) = traces(tmp_path)
    _, again, _ = run("--trace", Path(path).stem)
    assert first.splitlines()[0] == again.splitlines()[0] == "The capital of France is Paris."


def test_what_a_checkpoint_leaves_unclear_is_told_with_the_model(run: Run) -> None:
    folder = GOLDEN / "C" / "gqa_windowed"
    words = ("-i", str(folder), "-p", "Hi", "--max-tokens", "2")
    for _, out, _ in (run(*words), run("--trace", "latest")):
        assert 'Note   took era C; era D has the same keys (softcap 20 instead of 15): override with era="D"' in out
        assert f"From   {folder}" in out
    assert "took era C" in json.loads(run(*words, "--json")[1])["model"]["note"]
    assert "Note" not in run(*words, "--era", "D")[1]


@pytest.fixture
def places(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in, with a home folder of its own, and two traces beside it."""
    for prompt in ("One", "Two"):
        run("--quiet", "-p", prompt, "--max-tokens", "1")
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def test_the_home_folder_is_meant_where_the_shell_leaves_it_alone(places: Path, base_dir: Path) -> None:
    words = ["--device-type", "cpu", "--max-tokens", "1", "--traces-dir=~/traces", "--picture=~/demo.svg"]
    assert demo.main(words) == 0
    assert sorted(os.listdir(places.parent / "home")) == ["demo.svg", "traces"]
    assert os.listdir(places) == []


def test_a_trace_by_what_was_printed_of_it_and_as_the_list_numbers_it(places: Path, run: Run, tmp_path: Path) -> None:
    older, newer = traces(tmp_path)
    for path, number in ((newer, "@1"), (older, "@2")):
        for name in (path.stem, str(path), os.path.relpath(path), number, path.stem[-6:]):
            status, out, _ = run("--trace", name)
            assert (status, f"{path.name}, " in out) == (0, True)
    elsewhere = tmp_path / "elsewhere" / "copy.json"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(older.read_bytes())
    assert run("--trace", str(elsewhere))[0] == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("@3", "There is no trace @3: there are 2"),
        ("@0", "There is no trace '@0'"),
        ("trace_", "may be"),
        ("nowhere/x.json", "There is no file nowhere/x.json"),
        ("no", "There is no trace 'no'"),
    ],
)
@pytest.mark.usefixtures("places")
def test_a_trace_that_is_not_there(run: Run, name: str, said: str) -> None:
    status, out, notices = run("--trace", name)
    assert (status, out, notices.count("\n")) == (1, "", 1)
    assert said in notices
    assert "()" not in notices


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere/x.svg", "There is no folder nowhere: make it"),
        (".", "is a folder: name a file in it"),
        ("file/x.svg", "file is no folder"),
    ],
)
def test_the_pictures_place_is_looked_at_first(places: Path, run: Run, tmp_path: Path, place: str, said: str) -> None:
    (places / "file").touch()
    status, out, notices = run("--max-tokens", "1", "--picture", place)
    assert (status, out, notices.count("\n")) == (1, "", 1)
    assert said in notices
    assert len(traces(tmp_path)) == 2


@pytest.mark.parametrize("words", [["--picture", "x.svg", "--json"], ["--picture", "x.png"]])
def test_a_picture_that_would_be_none_is_misuse(places: Path, run: Run, words: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        run(*words)
    assert exit_info.value.code == 2
    assert os.listdir(places) == []
