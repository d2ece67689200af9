"""Neovim on a prompt document, headless, over `nanoscope stdio`; what it shows equals what the trace's file says."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from tests.daemon.running import DaemonProcess, running_daemon

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SECONDS = 120
PROMPT = "The capital of 🙂 France is"
ENDLESS = "apple, river, stone, apple, river,"  # the built-in model goes on with it for thousands of tokens
DOCUMENT = f"""temperature: 0
max_tokens: 12
seed: 3
{PROMPT}
---
max_tokens: 2000
temperature: 0
{ENDLESS}
---
max_tokens: many
Never mind
"""
UNITS = len(PROMPT.encode("utf-16-le")) // 2


@pytest.fixture(scope="module", params=["json", "safetensors"])
def session(request, tmp_path_factory) -> Any:
    """What one run of Neovim saw, and the traces folder."""
    assert shutil.which("nvim"), "install Neovim (Debian: apt-get install neovim)"
    folder = tmp_path_factory.mktemp("neovim")
    (folder / "a.prompt").write_text(DOCUMENT, encoding="utf-8")
    with running_daemon(format=request.param) as daemon:
        daemon.call("generate_and_capture", {"prompt": "The model is there", "max_tokens": 1})
        told = {"DOCUMENT": str(folder / "a.prompt"), "LENGTH": str(UNITS)}
        seen = neovim(daemon, HERE / "documents.lua", "-u", "NONE", **told)
        yield json.loads(seen), TraceStorage(daemon.settings.traces_dir)


def neovim(daemon: DaemonProcess, script: Path, *arguments: str, **told: str) -> str:
    """What a script prints in Neovim; where it fails, Neovim does."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where the command nanoscope is
    done = subprocess.run(
        ["nvim", "--headless", "-n", *arguments, "-c", f"luafile {script}", "-c", "cquit 1"],
        env=os.environ | daemon.environment | {"PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "PATH": path} | told,
        cwd=ROOT,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_lenses_capture_and_show(session):
    seen, storage = session
    assert seen["lenses_before"] == ["Capture"] * 3
    trace_id = seen["captured"]["trace_id"]
    first, show, facts, *others = seen["lenses_after"]
    assert (first, show, others) == ("Capture", "Show trace", ["Capture"] * 2)
    with storage.open_trace(trace_id) as trace:
        logits = trace.document["analysis"]["logits"]
        tokens = len(trace.document["tokens"]["output_tokens"])
        timings = trace.document["generation"]["timings"]
        assert trace.document["prompt"] == PROMPT
        assert trace.document["generation"]["seed"] == 3
    seconds = timings["prefill_seconds"] + timings["decode_seconds"]
    assert (
        facts == f"{tokens} tokens · {np.mean(logits['surprisal_per_token']):.1f} bits mean surprisal · {seconds:.1f} s"
    )
    assert seen["shown"] == {"trace_id": trace_id, "path": str(storage.path_of(trace_id))}
    assert any(str(storage.path_of(trace_id)) in message for message in seen["messages"])


def test_the_response_is_a_hint_behind_the_prompt(session):
    seen, _ = session
    response = seen["captured"]["response"]
    (hint,) = seen["hints"]
    assert hint["position"] == {"line": 3, "character": UNITS}
    assert hint["label"] == "→ " + response.replace("\n", "↵")[:120]
    assert hint["tooltip"]["value"] == response


def test_hovers_equal_what_the_reader_gives(session):
    seen, storage = session
    with storage.open_trace(seen["captured"]["trace_id"]) as trace:
        tokens = trace.document["tokens"]
        assert "".join(tokens["input_text"][1:]).replace(r"\xf0\x9f\x99\x82", "🙂") == PROMPT
        expected = expected_hovers(trace)
    shown = {}
    for character, hover in enumerate(seen["hovers"]):
        text = hover["contents"]["value"].removeprefix("```text\n").removesuffix("\n```")
        start, end = hover["range"]["start"], hover["range"]["end"]
        assert start["line"] == end["line"] == 3
        assert start["character"] <= character < end["character"]
        shown.setdefault((start["character"], end["character"]), text)
    assert shown == expected
    assert seen["window"] == expected[next(span for span in expected if span[0] <= 12 < span[1])].splitlines()


def expected_hovers(trace: Trace) -> dict[tuple[int, int], str]:
    """By [start, end) in UTF-16 units: worked out from the whole tensors, by another way than the daemon's."""
    tokens, logits = trace.document["tokens"], trace.document["analysis"]["logits"]["prompt"]
    layers = trace.document["model"]["config"]["n_layer"]
    weights = np.stack([trace.attention(layer) for layer in range(layers)])  # (L, H, S, S)
    texts = tokens["input_text"] + tokens["output_text"]
    names = [named_byte(text) or harmless(text) for text in texts]
    units, hovers = 0, {}
    for position in range(1, len(tokens["input_tokens"])):
        text = texts[position]
        raw = re.fullmatch(r"\\x(..)", text)
        width = (2 if raw[1] == "f0" else 0) if raw else len(text.encode("utf-16-le")) // 2
        units += width
        span = (units - width, units) if width else (units - 2, units)
        lines = [
            names[position],
            f"token {tokens['input_tokens'][position]} · position {position} · "
            f"surprisal {logits['surprisal_per_token'][position]:.2f} bits",
            "",
            "likeliest here:",
        ]
        top = [
            (lone_byte(choice["text"]) or harmless(choice["text"]), choice["probability"])
            for choice in logits["top_tokens_per_position"][position]
        ]
        width = max(len(shown) for shown, _ in top)
        lines += [f"  {shown:<{width}}  {100 * probability:6.2f} %" for shown, probability in top]
        if position >= 2:
            row = weights[:, :, position, 1:position]
            layer, head, to = np.unravel_index(row.argmax(), row.shape)
            target = names[to + 1]
            weight = f"{row[layer, head, to]:.2f} (position {to + 1})"
            lines += ["", f"L{layer}H{head} → «{target}» {weight}"]
        said = "\n".join(lines)
        hovers[span] = f"{hovers[span]}\n\n{said}" if span in hovers else said
    return hovers


def named_byte(text: str) -> str | None:
    """The tokens of the prompt's one character whose bytes are tokens of their own; None for any other."""
    spelled = [rf"\x{byte:02x}" for byte in "🙂".encode()]
    return f"🙂{'₁₂₃₄'[spelled.index(text)]}" if text in spelled else None


def lone_byte(text: str) -> str | None:
    """A byte that is no character by itself, as one of many that could have come; None for any other."""
    found = re.fullmatch(r"\\x([89a-f].)", text)
    return f"⟨{found[1].upper()}⟩" if found else None


def harmless(text: str) -> str:
    """A token as hovers show it: spaces and line breaks visible, control characters spelled out."""
    marked = text.replace(" ", "·").replace("\n", "↵").replace("\t", "⇥")
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", marked)


def test_an_edited_prompt_has_no_capture_until_the_edit_is_undone(session):
    seen, _ = session
    assert seen["lenses_edited"] == ["Capture"] * 3
    assert seen["hover_edited"] is None
    assert seen["lenses_undone"] == seen["lenses_after"]


def test_a_capture_is_cancelled_both_ways_and_leaves_nothing(session):
    seen, storage = session
    assert seen["cancelled"] == {"token": True, "request": True}
    prompts = [entry.prompt for entry in storage.list_entries()]
    assert sorted(prompts) == sorted([PROMPT, "The model is there"])


def test_progress_shows_the_text_so_far(session):
    seen, _ = session
    kinds = [value["kind"] for value in seen["progress"]]
    assert kinds.count("begin") == kinds.count("end") == 3
    titles = [value["title"] for value in seen["progress"] if value["kind"] == "begin"]
    assert titles == [f"Capturing “{PROMPT}”", *[f"Capturing “{ENDLESS}”"] * 2]
    reports = [value["message"] for value in seen["progress"] if "percentage" in value and value["kind"] == "report"]
    assert all(re.fullmatch(r"\d+ tokens?, [\d.]+ a second: .*", report) for report in reports)
    assert len(reports) >= 2


def test_diagnostics_and_symbols(session):
    seen, _ = session
    assert seen["diagnostics"] == [[9, 12, 16, "`max_tokens` is a whole number, 0 or above, not “many”."]]
    assert [symbol["name"] for symbol in seen["symbols"]] == [PROMPT, ENDLESS, "Never mind"]
    assert [symbol["range"]["start"]["line"] for symbol in seen["symbols"]] == [0, 5, 9]


def test_the_lines_of_the_documentation(tmp_path):
    page = (ROOT / "docs" / "editors.md").read_text(encoding="utf-8")
    lines = re.search(r"^0\.7 to 0\.10.*?```lua\n(.*?)```", page, re.DOTALL | re.MULTILINE)
    assert lines is not None
    (tmp_path / "init.lua").write_text(lines[1], encoding="utf-8")
    (tmp_path / "a.md").write_text("# A\n\n```prompt\nHello\n```\n", encoding="utf-8")
    look = """
      local there = vim.wait(60000, function() return #vim.lsp.codelens.get(0) == 1 end, 20)
      io.stdout:write(there and vim.lsp.codelens.get(0)[1].command.title or "no lens")
      vim.cmd("qall!")
    """
    (tmp_path / "look.lua").write_text(look, encoding="utf-8")
    with running_daemon() as daemon:
        arguments = ["-u", str(tmp_path / "init.lua"), str(tmp_path / "a.md")]
        assert neovim(daemon, tmp_path / "look.lua", *arguments) == "Capture"
