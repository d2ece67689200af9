"""What editors show of a prompt document, as LSP's plain values: lenses, hints, symbols, actions, diagnostics. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from daemon.editor.captures import Capture
from daemon.editor.front_matter import Problem
from daemon.editor.prompt_parser import Parsed, Prompt
from daemon.editor.text import Place, range_of
from nanochat.system.text import on_one_line
from protocol.types import TokenRow

CAPTURE_PROMPT, SHOW_TRACE = "nanoscope.capturePrompt", "nanoscope.showTrace"
COMMANDS = (CAPTURE_PROMPT, SHOW_TRACE)
ACTION_KIND = "nanoscope"  # not a "source" one: VS Code leaves those out of Ctrl+.
SEVERITIES = {"error": 1, "warning": 2}
SYMBOL_KIND = 15  # String
HINT_LENGTH = 120  # characters
MOST_DIAGNOSTICS = 200  # of a document, the last of which says how many more there are
NO_TEXT = "(no text)"

Value = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """A document at one moment, and what it holds.

    Args:
        revision: the number of the message that it is as of.
        encoding: of positions, as agreed with the editor.
        unknown: why its text is not known, and what to do, as a sentence; empty where it is.
    """

    uri: str
    version: int | None
    revision: int
    lines: Sequence[str]
    parsed: Parsed
    encoding: str
    unknown: str = ""

    def range(self, start: Place, end: Place) -> Value:
        """A range as the editor counts it."""
        return range_of(self.lines, start, end, self.encoding)


def lenses(document: Snapshot, captures: Sequence[Capture | None]) -> list[Value]:
    """Over each prompt: Capture; once captured Show trace, and a lens that is yet to be resolved."""
    found: list[Value] = []
    for index, (prompt, capture) in enumerate(zip(document.parsed.prompts, captures, strict=True)):
        top = (prompt.first_line, 0)
        place = {"range": document.range(top, top)}
        found.append(place | {"command": capture_command("Capture", document, index)})
        if capture is not None:
            trace_id = capture.entry.trace_id
            found.append(place | {"command": show_command("Show trace", trace_id)})
            entry = capture.entry
            found.append(place | {"data": [trace_id, entry.size, entry.response_tokens, capture.seconds]})
    return found


def capture_command(title: str, document: Snapshot, index: int) -> Value:
    """The command that captures a prompt: told by its own text, wherever that is by then."""
    key = document.parsed.prompts[index].key
    return {"title": title, "command": CAPTURE_PROMPT, "arguments": [document.uri, index, document.version, key]}


def show_command(title: str, trace_id: str) -> Value:
    """The command that shows a trace."""
    return {"title": title, "command": SHOW_TRACE, "arguments": [trace_id]}


def mean_surprisal(rows: Sequence[TokenRow]) -> float | None:
    """Of what was generated, in bits; None where no logits were kept."""
    surprisals = [row.surprisal for row in rows if row.generated and row.surprisal is not None]
    return sum(surprisals) / len(surprisals) if surprisals else None


def facts(tokens: int, surprisal: float | None, seconds: float | None) -> str:
    """What a lens says of a capture."""
    parts = [f"{tokens} token{'s' * (tokens != 1)}"]
    if surprisal is not None:
        parts.append(f"{surprisal:.1f} bits mean surprisal")
    if seconds is not None:
        parts.append(f"{seconds:.1f} s")
    return " · ".join(parts)


def hints(document: Snapshot, prompts: Sequence[Prompt], captures: Sequence[Capture | None]) -> list[Value]:
    """Behind each captured prompt its response."""
    found = []
    for prompt, capture in zip(prompts, captures, strict=True):
        if capture is not None:
            position = document.range(prompt.end, prompt.end)["start"]
            value = capture.response + ("…" if capture.cut else "")
            tooltip = {"tooltip": {"kind": "plaintext", "value": value}} if value else {}
            label = "→ " + hint_text(capture.response)
            found.append({"position": position, "label": label, "paddingLeft": True} | tooltip)
    return found


def hint_text(response: str) -> str:
    """A response on one line, shortened."""
    shown = on_one_line(response[: 2 * HINT_LENGTH].replace("\r\n", "\n").replace("\r", "\n"))
    return (shown if len(shown) <= HINT_LENGTH else shown[: HINT_LENGTH - 1] + "…") or NO_TEXT


def symbols(document: Snapshot, hierarchical: bool) -> list[Value]:
    """The prompts by name; for editors that know no nested symbols, with their places."""
    found = []
    for prompt in document.parsed.prompts:
        whole = document.range((prompt.first_line, 0), prompt.end)
        symbol: Value = {"name": prompt.name, "kind": SYMBOL_KIND}
        if hierarchical:
            detail = ", ".join(f"{key}: {value}" for key, value in prompt.settings.items())
            symbol |= {"detail": detail, "range": whole, "selectionRange": document.range(prompt.start, prompt.end)}
        else:
            symbol |= {"location": {"uri": document.uri, "range": whole}}
        found.append(symbol)
    return found


def actions(document: Snapshot, prompt: Prompt, capture: Capture | None) -> list[Value]:
    """The lenses' commands for editors that have none: on any line of the prompt."""
    index = document.parsed.prompts.index(prompt)
    commands = [capture_command(f"Capture “{prompt.name}”", document, index)]
    if capture is not None:
        commands.append(show_command(f"Show the trace of “{prompt.name}”", capture.entry.trace_id))
    return [{"title": command["title"], "kind": ACTION_KIND, "command": command} for command in commands]


def diagnostics(document: Snapshot, too_long: Sequence[tuple[Prompt, int, str]]) -> list[Value]:
    """What is wrong in a document.

    Args:
        too_long: prompts that the model cannot take, the character from which on, and why.
    """
    found = [_diagnostic(document, problem) for problem in document.parsed.problems]
    for prompt, offset, message in too_long:
        span = document.range(prompt.place_of(offset), prompt.end)
        found.append({"range": span, "severity": SEVERITIES["error"], "source": "nanoscope", "message": message})
    more = len(found) - MOST_DIAGNOSTICS + document.parsed.more
    if more <= 0:
        return found
    shown = found[: MOST_DIAGNOSTICS - 1]
    message = f"There are {more + 1:,} more problems in this document: mend the others first."
    last = {"range": shown[-1]["range"], "severity": SEVERITIES["warning"], "source": "nanoscope", "message": message}
    return [*shown, last]


def _diagnostic(document: Snapshot, problem: Problem) -> Value:
    return {
        "range": document.range((problem.line, problem.start), (problem.line, problem.end)),
        "severity": SEVERITIES[problem.severity],
        "source": "nanoscope",
        "message": problem.message,
    }
