"""Tokens as people read them, with the word that a part of a word begins or ends; lists and numbers in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nanochat.system.text import on_one_line

LONGEST = 40  # characters of a word that are shown
ORDINALS = {1: "first", 2: "second", 3: "third"}


class Words:
    """The words of a text.

    Args:
        texts: of its tokens, in their order.
        token_text: the text of any token.
    """

    def __init__(self, texts: Sequence[str], token_text: Callable[[int], str]):
        self.texts, self.token_text = texts, token_text

    def of_written(self, position: int) -> str:
        """What the token at a position is of its word: "begins ' Paris'", "ends ' Parium'"; "": all of it."""
        start, end = self._begin(position), self._end(position)
        word = "".join(self.texts[start:end])
        if end - start == 1 or len(word) > LONGEST:
            return ""
        where = "begins" if position == start else "ends" if position == end - 1 else "is part of"
        return f"{where} {quoted(word)}"

    def of_another(self, token: int, position: int) -> str:
        """What another token makes in that place: "makes ' Pol'"; "" where it does not go on with a word."""
        text = self.token_text(token)
        if not position or not _joined(self.texts[position - 1], text):
            return ""
        word = "".join(self.texts[self._begin(position - 1) : position]) + text
        return f"makes {quoted(word)}" if len(word) <= LONGEST else ""

    def _begin(self, position: int) -> int:
        while position and _joined(self.texts[position - 1], self.texts[position]):
            position -= 1
        return position

    def _end(self, position: int) -> int:
        position += 1
        while position < len(self.texts) and _joined(self.texts[position - 1], self.texts[position]):
            position += 1
        return position


def writer(kind: str, layer: int | None, head: int | None) -> str:
    """Who wrote a component of a logit: a head, an MLP with all its neurons, the embedding ..."""
    names = {
        "embedding": "embedding",
        "x0": "embedding, mixed in again",
        "head": f"head {layer}.{head}",
        "backout": "backout",
    }
    return names.get(kind, f"MLP {layer}")


def _joined(before: str, after: str) -> bool:
    """Whether two tokens are parts of one word."""
    return before[-1:].isalnum() and after[:1].isalnum()


def quoted(text: str) -> str:
    """A token's text between quotation marks, on one line, its spaces kept."""
    return f"'{on_one_line(text)}'"


def percent(share: float) -> str:
    """A probability as a percentage that says no more than is known: 97%, 0.03%, over 99.9%."""
    if share > 0.999:
        return "over 99.9%" if share < 1 else "100%"
    if share >= 0.985:
        return f"{100 * share:.1f}%"
    if share >= 0.01:
        return f"{100 * share:.0f}%"
    return f"{100 * share:.1g}%" if share >= 1e-6 else "under 0.0001%"


def listed(names: Sequence[str]) -> str:
    """All of them: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def either(names: Sequence[str]) -> str:
    """One of them: "a, b or c"."""
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def ordinal(number: int) -> str:
    """A place in an order: third, 21st."""
    if number in ORDINALS:
        return ORDINALS[number]
    last = 0 if 11 <= number % 100 <= 13 else number % 10
    return f"{number:,}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') }"
