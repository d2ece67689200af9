"""Tokens of a captured prompt: which characters each one stands for, and where the heads look from it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from threading import Event

import numpy as np

from nanochat.traces.trace import Trace

LAYER = re.compile(r"attention_weights\.layer_([0-9]{1,9})")
ESCAPED = re.compile(r"\\x([89a-f][0-9a-f])")  # how token texts show bytes that are no UTF-8
TRIES = 32  # at each token, on average: repeated ones could be tried from each start on, to the end
LOOK_SECONDS = 2.0  # for the rows of all heads, which a large JSON trace is slow to give


@dataclass(frozen=True)
class Look:
    """The head that attends most from a position, and where to; `unread`: layers that there was no time for."""

    layer: int
    head: int
    position: int
    weight: float
    unread: int


def align(texts: Sequence[str], prompt: str) -> dict[int, tuple[int, int]]:
    """Which characters of a prompt its tokens stand for.

    Args:
        texts: of the prompt's tokens and of those put around it.
        prompt: what was asked.

    Returns:
        [start, end) by position; the tokens that share a character all have it. Empty where the texts do not hold
        the prompt.
    """
    data = prompt.encode()
    last = len(texts)
    starts = chain([(1, last), (2, last - 2)], ((start, None) for start in range(last)))  # plain, a chat, anything else
    tries = iter(range(TRIES * (last + 1)))
    for start, stop in starts:
        ends = _byte_ends(texts, start, data, tries)
        if ends and stop in (None, start + len(ends)):
            return _characters(ends, start, prompt)
    return {}


def _byte_ends(texts: Sequence[str], start: int, data: bytes, tries: Iterator[int]) -> list[int]:
    """Where each token from `start` on ends in the bytes; empty where the tokens are not those of the bytes."""
    ends: list[int] = []
    place = 0
    for index in range(start, len(texts)):
        if place == len(data):
            break
        if next(tries, None) is None:
            return []
        text = texts[index]
        if len(text) > 4 * (len(data) - place):  # even with each byte as \xNN
            return []
        size = _bytes_of(text, data, place)
        if not size:
            return []
        place += size
        ends.append(place)
    return ends if place == len(data) else []


def _bytes_of(text: str, data: bytes, place: int) -> int:
    """How many bytes a token takes of `data`, from `place` on; 0 where it is not what is there."""
    whole = text.encode()
    if data.startswith(whole, place):
        return len(whole)
    here = place
    for index, part in enumerate(ESCAPED.split(text)):
        escaped = index % 2 == 1
        raw = bytes([int(part, 16)]) if escaped else part.encode()
        if escaped and not data.startswith(raw, here):
            raw = b"\\x" + part.encode()  # the prompt itself has these four characters
        if not data.startswith(raw, here):
            return 0
        here += len(raw)
    return here - place


def _characters(ends: Sequence[int], first: int, prompt: str) -> dict[int, tuple[int, int]]:
    """Byte ends as characters: a token that ends within a character has all of it."""
    character_ends = np.cumsum([len(character.encode()) for character in prompt])
    starts = np.searchsorted(character_ends, [0, *ends[:-1]], side="right")
    stops = np.searchsorted(character_ends, ends, side="left") + 1
    return {first + i: (int(start), int(stop)) for i, (start, stop) in enumerate(zip(starts, stops, strict=True))}


def strongest_look(trace: Trace, position: int, cancel: Event) -> Look | None:
    """The largest attention weight from a position, over all layers, heads and earlier positions.

    Left out are position 0, where heads rest that have nothing to do, and the position itself. Layers are read in
    order, the row of each head alone, for two seconds at most.
    """
    best: tuple[float, int, int, int] | None = None
    deadline = time.monotonic() + LOOK_SECONDS
    layers = sorted((int(match[1]), match[0]) for match in map(LAYER.fullmatch, trace.names()) if match)
    read = 0
    for layer, name in layers:
        if cancel.is_set() or (read and time.monotonic() > deadline):
            break
        read += 1
        shape = trace.shape(name)
        if len(shape) != 4 or shape[0] != 1 or not 2 <= position < min(shape[2:]):
            continue
        for head in range(shape[1]):
            row = np.nan_to_num(trace.tensor(name, (0, head, position))[1:position])
            where = int(row.argmax())
            if best is None or row[where] > best[0]:
                best = float(row[where]), layer, head, where + 1
    return None if best is None else Look(best[1], best[2], best[3], best[0], len(layers) - read)
