"""What a hover on a token of a captured prompt says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event

from daemon.editor.captures import Capture
from daemon.editor.lru_cache import LruCache
from daemon.editor.token_spans import Look, align, strongest_look
from daemon.folders.trace_folders import TraceFolder
from daemon.handlers.traces import TokenText, tokens_of
from nanochat.analysis.characters import label, named
from protocol.types import TokenRow

KNOWN = 16  # traces whose tokens are kept
SHOWN_CHOICES = 20  # of the likeliest tokens
SHOWN_TEXT = 200  # characters of a token, of which another program's trace may have any number


@dataclass(frozen=True)
class Aligned:
    """A trace's tokens, and which characters of the prompt each of the prompt's stands for, by position."""

    rows: Sequence[TokenRow]
    spans: dict[int, tuple[int, int]]

    def at(self, offset: int) -> list[int]:
        """The positions of the tokens that a character is of: several where they make it up together."""
        return [position for position, (start, end) in self.spans.items() if start <= offset < end]


class TokenHovers:
    """Keeps the tokens of the traces last hovered over. Threads may share it; it reads files."""

    def __init__(self) -> None:
        self._known: LruCache[Aligned] = LruCache(KNOWN)

    def aligned(self, folder: TraceFolder, capture: Capture, asked: str, text: TokenText, cancel: Event) -> Aligned:
        """The tokens of the capture of a prompt, whose text was `asked`. Raises NanoscopeError."""

        def read() -> Aligned:
            rows = tokens_of(folder.storage, capture.entry.trace_id, text, cancel).tokens
            prompt = [row.text for row in rows if not row.generated]
            return Aligned(rows, align(prompt, asked))

        return self._known.get((capture.entry.path, capture.entry.state), read)

    def text(self, folder: TraceFolder, capture: Capture, aligned: Aligned, offset: int, cancel: Event) -> str | None:
        """What there is to say of a character's tokens; None where it has none. Raises NanoscopeError."""
        positions = aligned.at(offset)
        if not positions:
            return None
        with folder.storage.open_trace(capture.entry.trace_id) as trace:
            looks = [strongest_look(trace, position, cancel) for position in positions]
        parts = [describe(aligned.rows, position, look) for position, look in zip(positions, looks, strict=True)]
        return "\n\n".join(parts)


def describe(rows: Sequence[TokenRow], position: int, look: Look | None) -> str:
    """One token in a few lines."""
    row = rows[position]
    surprisal = "no logits were kept here" if row.surprisal is None else f"surprisal {row.surprisal:.2f} bits"
    lines = [_named(row), f"token {row.id} · position {row.position} · {surprisal}"]
    top = row.top[:SHOWN_CHOICES]
    if top:
        width = max(len(visible(choice.text)) for choice in top)
        lines += ["", "likeliest here:"]
        lines += [
            f"  {visible(choice.text):<{width}}  {100 * choice.probability:6.2f} %"
            for choice in top
            if choice.probability is not None
        ]
    if look is not None:
        target = _named(rows[look.position])
        lines += ["", f"L{look.layer}H{look.head} → «{target}» {look.weight:.2f} (position {look.position})"]
        if look.unread:
            lines.append(f"the last {look.unread} layers were not searched: that takes too long here")
    return "\n".join(lines)


def _named(row: TokenRow) -> str:
    """A token, or its place among those that share a character."""
    return visible(row.text) if row.piece is None else label(row.text, row.piece)


def visible(text: str) -> str:
    """A token on one line, its spaces as ·."""
    return named(_cut(text)).replace(" ", "·")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_TEXT else text[:SHOWN_TEXT] + "…"


def fenced(text: str) -> str:
    """A text as Markdown that shows it as it is."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
