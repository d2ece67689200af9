"""Tokens and numbers as short, harmless text; nothing but the standard library."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

BIDI_CONTROLS = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def shortened(text: str, limit: int) -> str:
    """A text with its middle left out where it is longer: what matters stands at its ends."""
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]} … {text[-half:]}"


def printable(text: str) -> str:
    r"""The text with everything that could steer a terminal spelled out (ESC as \x1b); line breaks and tabs stay."""
    return "".join(character if character in "\n\t" else _spelled(character) for character in text)


def on_one_line(text: str) -> str:
    """A text for a line of a list: line break ↵, tab ⇥."""
    return "".join(map(_spelled, text.replace("\n", "↵").replace("\t", "⇥")))


def one_line(text: str) -> str:
    """A token for a table or an axis: leading and trailing space as ·, line break ↵, tab ⇥."""
    marked = text.replace("\n", "↵").replace("\t", "⇥")
    inner = marked.strip(" ")
    start = marked.index(inner) if inner else 0
    marked = "·" * start + inner + "·" * (len(marked) - start - len(inner))
    return "".join(map(_spelled, marked))


def _spelled(character: str) -> str:
    if unicodedata.category(character) in ("Cc", "Cs") or ord(character) in BIDI_CONTROLS:
        return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"
    return character


def model_name(model: Mapping[str, Any]) -> str:
    """Source and tag of a trace's model, once where they are the same; "" where the trace does not tell."""
    return " ".join(dict.fromkeys(str(model[key]) for key in ("source", "tag") if model.get(key)))


def model_words(model: Mapping[str, Any]) -> str:
    """The same with its training step and its era, as far as they are told."""
    step = f" step {model['step']}" if model.get("step") is not None else ""
    era = f", era {model['era']}" if model.get("era") else ""
    return f"{model_name(model)}{step}{era}"


def place_of(model: Mapping[str, Any]) -> str:
    """Where a model's weights lie; "" for the built-in one, and where the trace does not tell."""
    return "" if model.get("source") == model.get("tag") == "demo" else str(model.get("path") or "")


def note_of(provenance: Mapping[str, Any]) -> str | None:
    """What there is to say of how a checkpoint was read, in one text."""
    note = provenance.get("note")
    return ("; ".join(note) if isinstance(note, list | tuple) else note) or None


def short_number(value: float | None) -> str:
    """A number in at most six characters, "–" where there is none."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 10_000:
        return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")
    return f"{value:.0f}" if size >= 999.5 else f"{value:.3g}" if size >= 10 else f"{value:.2f}"


def three_digits(value: float | None) -> str:
    """A number to three digits, however small it is; "–" where there is none."""
    if value is None:
        return "–"
    if value == 0 or 0.001 <= abs(value) < 999.5:
        return f"{value:#.3g}".removesuffix(".") if value else "0"
    return f"{value:.2e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")


def below_each_other(numbers: Sequence[str]) -> list[str]:
    """Numbers padded to one width, their decimal points below each other."""
    whole = [len(number.partition(".")[0]) for number in numbers]
    shifted = [" " * (max(whole) - size) + number for number, size in zip(numbers, whole, strict=True)]
    return [number.ljust(max(map(len, shifted))) for number in shifted]


def short_probability(value: float | None) -> str:
    """A probability in at most four characters: .93, or 2e-4."""
    if value is None:
        return "–"
    return f"{value:.2f}".removeprefix("0") if value >= 0.005 or value == 0 else f"{value:.0e}".replace("e-0", "e-")


def share(value: float | None) -> str:
    """A share of 1 as a percentage."""
    return "–" if value is None else f"{100 * value:.0f}%"


def human_size(count: int) -> str:
    """A number of bytes for a person."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"


def some_of(names: Sequence[str], shown: int = 4) -> str:
    """The first of some names, and how many more there are."""
    more = f" or {len(names) - shown} more" if len(names) > shown else ""
    return " or ".join(names[:shown]) + more
