"""Prompt documents without an editor: edits, prompts, front matter, and which characters a token stands for."""

import random
from types import SimpleNamespace
from typing import Any

import pytest

from daemon.document_text import ENCODINGS, OpenDocument, character_at, joined, replace, split_lines, units_before
from daemon.document_tokens import align
from daemon.prompt_documents import Parsed, language_of, parse
from nanochat.tokenizer import RustBPETokenizer
from tests.models import golden_model


def prompts_of(text: str, language: str = "prompt") -> list[tuple[str, dict[str, Any]]]:
    return [(prompt.text, prompt.settings) for prompt in parse(split_lines(text), language).prompts]


def problems_of(text: str, language: str = "prompt") -> list[tuple[int, int, int, str]]:
    found = parse(split_lines(text), language).problems
    return [(problem.line, problem.start, problem.end, problem.severity) for problem in found]


# Text


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", [""]),
        ("a", ["a"]),
        ("a\nb\r\nc\rd", ["a\n", "b\r\n", "c\r", "d"]),
        ("a\n", ["a\n", ""]),
        ("a\x0bb\u2028c\x85d\x0c", ["a\x0bb\u2028c\x85d\x0c"]),  # no line ends to LSP, but to str.splitlines
    ],
)
def test_lines_end_where_lsp_says(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


def test_any_edit_gives_what_an_edit_of_the_whole_text_gives() -> None:
    chosen = random.Random(0)

    def some(most: int) -> str:
        return "".join(chosen.choices("ab\r\n\n\x0b\u2028🙂é\r", k=chosen.randint(0, most)))

    for _ in range(4000):
        text, new = some(12), some(5)
        lines = split_lines(text)
        rows = sorted(chosen.choices(range(len(lines)), k=2))
        start, end = sorted((row, chosen.randint(0, len(lines[row].rstrip("\r\n")))) for row in rows)
        first, last = (sum(map(len, lines[:row])) + column for row, column in (start, end))
        replace(lines, start, end, new)
        assert lines == split_lines(text[:first] + new + text[last:])


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_columns_in_the_clients_units_and_back(encoding: str) -> None:
    line = "a🙂é漢 b\r\n"
    for character in range(6):
        units = units_before(line, character, encoding)
        assert units == len(line[:character].encode(ENCODINGS[encoding][0])) // ENCODINGS[encoding][1]
        assert character_at(line, units, encoding) == character
    assert character_at(line, 99, encoding) == character_at("abcdef\r\n", 99, encoding) == 6


def test_a_document_takes_changes_one_after_the_other() -> None:
    document = OpenDocument("file:///a.prompt", "prompt", "🙂b\nc", 1)
    places = [SimpleNamespace(line=0, character=2), SimpleNamespace(line=9, character=9)]
    span = SimpleNamespace(start=places[0], end=places[1])
    document.change(SimpleNamespace(range=span, text="d\n"), 2, "utf-16")
    assert (document.lines, document.version, document.revision) == (["🙂d\n", ""], 2, 1)
    document.change(SimpleNamespace(text="all"), 3, "utf-16")
    assert (document.lines, document.version, document.revision) == (["all"], 3, 2)


# Prompts


@pytest.mark.parametrize(
    ("language", "uri", "expected"),
    [
        ("prompt", "file:///x", "prompt"),
        ("markdown", "file:///x", "markdown"),
        ("plaintext", "file:///x.prompt", "prompt"),
        ("", "file:///x.md", "markdown"),
        ("python", "file:///x.py", None),
    ],
)
def test_language(language: str, uri: str, expected: str | None) -> None:
    assert language_of(language, uri) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello", [("Hello", {})]),
        ("\n\n Hello \n\n", [(" Hello ", {})]),
        ("a\n\nb\n---\nc\n---  \n\n---\nd", [("a\n\nb", {}), ("c", {}), ("d", {})]),
        ("a\r\nb\r\n---\r\nc\r\n", [("a\nb", {}), ("c", {})]),
        (" ---\n----\n-- -", [(" ---\n----\n-- -", {})]),
        ("", []),
        (" \n\t\n", []),
        ("seed: 3\n\nHello", [("Hello", {"seed": 3})]),
        ("seed: 3\nHello", [("Hello", {"seed": 3})]),
        ("\nseed: 3\n\n\n  Hello", [("  Hello", {"seed": 3})]),
        ("question: why\nHello", [("question: why\nHello", {})]),
        ("http://seed: 1", [("http://seed: 1", {})]),
        ("Seed: 1\nHello", [("Seed: 1\nHello", {})]),
        ("Hello\nseed: 3", [("Hello\nseed: 3", {})]),
        (
            "category: a b\nmax_tokens: 4\ntemperature: 0.5\ntop_k: 0\nseed :  7 \nchat: true\nHi",
            [("Hi", {"category": "a b", "max_tokens": 4, "temperature": 0.5, "top_k": 0, "seed": 7, "chat": True})],
        ),
        ("chat: false\nHi\n---\nHi", [("Hi", {"chat": False}), ("Hi", {})]),
    ],
)
def test_prompts_of_a_prompt_file(text: str, expected: list[Any]) -> None:
    assert prompts_of(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A\nno\n```prompt\nyes\n```\nno", ["yes"]),
        ("~~~ prompt more words\nyes\n~~~", ["yes"]),
        ("```python\nno\n```\n```\nno\n```\n``` prompts\nno\n```", []),
        ("````prompt\n```\nyes\n```\n````", ["```\nyes\n```"]),
        ("```prompt\nyes\n~~~\nto the end", ["yes\n~~~\nto the end"]),
        ("~~~text\n```prompt\nno\n```\n~~~", []),
        ("- a\n\n  ```prompt\n  yes\n    more\n\n  ```", ["yes\n  more"]),
        ("```prompt\na\n---\nseed: 1\nb\n```\n---\n```prompt\nc\n```", ["a", "b", "c"]),
        ("```prompt\nyes\n    ```\n```", ["yes\n    ```"]),
        ("``` prompt`\nno\n```", []),
    ],
)
def test_prompts_of_a_markdown_file(text: str, expected: list[str]) -> None:
    assert [prompt for prompt, _ in prompts_of(text, "markdown")] == expected


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("seed: 3\nHello", []),
        ("seed: x\nHello", [(0, 6, 7, "error")]),
        ("seed:\nHello", [(0, 0, 5, "error")]),
        ("seed: -1\nmax_tokens: 1.5\nchat: yes\nHello", [(0, 6, 8, "error"), (1, 12, 15, "error"), (2, 6, 9, "error")]),
        ("temperature: nan\ntop_k: 99999999999\nHello", [(0, 13, 16, "error"), (1, 7, 18, "error")]),
        ("seed: 3\nfoo: 1\nseed: 4\nHello", [(1, 0, 3, "error"), (2, 0, 4, "error")]),
        ("temprature: 1\nHello", [(0, 0, 10, "warning")]),
        ("question: why\nHello", []),
        ("a\n---\nseed: 3\n---\nb", [(2, 0, 7, "warning")]),
    ],
)
def test_problems_of_front_matter(text: str, problems: list[Any]) -> None:
    assert problems_of(text) == problems
    indented = "  ```prompt\n" + "".join(f"  {line}\n" for line in text.split("\n")) + "  ```"
    assert problems_of(indented, "markdown") == [(row + 1, a + 2, b + 2, kind) for row, a, b, kind in problems]


def test_what_is_valid_is_kept_beside_what_is_not() -> None:
    (prompt,) = parse(split_lines("seed: 3\nmax_tokens: x\nHello"), "prompt").prompts
    assert prompt.settings == {"seed": 3}
    assert prompt.problems[0].message == "`max_tokens` is a whole number, 0 or above, not “x”."


def document() -> Parsed:
    return parse(split_lines("x\n  ~~~prompt\n  seed: 1\n\n  a🙂\n   b\n\n  ---\n  c\n  ~~~\n"), "markdown")


def test_places_in_the_document_and_characters_of_the_text() -> None:
    prompt, other = document().prompts
    assert (prompt.first_line, prompt.text_line, prompt.last_line) == (2, 4, 5)
    assert (prompt.start, prompt.end, other.start) == ((4, 2), (5, 4), (8, 2))
    assert prompt.text == "a🙂\n b"
    for offset, place in enumerate([(4, 2), (4, 3), (4, 4), (5, 2), (5, 3)]):
        assert prompt.place_of(offset) == place
        assert prompt.offset_of(place) == offset
    for nowhere in ((3, 0), (4, 1), (4, 5), (5, 4), (6, 0)):
        assert prompt.offset_of(nowhere) is None


def test_the_prompt_of_a_line() -> None:
    parsed = document()
    found = [prompt and prompt.text for prompt in map(parsed.at, range(10))]
    text = "a🙂\n b"
    assert found == [None, None, text, text, text, text, None, None, "c", None]


def test_a_prompt_is_named_by_its_first_line() -> None:
    (prompt,) = parse(split_lines("  \n  " + "long " * 30), "prompt").prompts
    assert prompt.name.startswith("long long") and prompt.name.endswith("…") and len(prompt.name) <= 60


# Tokens


@pytest.fixture(scope="module")
def tokenizer() -> RustBPETokenizer:
    return golden_model()[1]


def texts(tokenizer: RustBPETokenizer, prompt: str, chat: bool) -> list[str]:
    messages = {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": ""}]}
    plain = tokenizer.encode(prompt, prepend=tokenizer.get_bos_token_id())
    return [tokenizer.token_text(token) for token in (tokenizer.render_for_completion(messages) if chat else plain)]


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize(
    "prompt",
    [
        "The capital of France",
        "🙂 naïve 漢字\n\n",
        r"\xe9 or é, \x41",
        "<|bos|>",
        "<|user_end|>",
        "start",
        " ",
        "\\",
        "user",
    ],
)
def test_each_token_stands_for_its_bytes_characters(tokenizer: RustBPETokenizer, prompt: str, chat: bool) -> None:
    shown = texts(tokenizer, prompt, chat)
    spans = align(shown, prompt)
    assert list(spans) == list(range(1 + chat, len(shown) - 2 * chat))
    covered = sorted({character for span in spans.values() for character in range(*span)})
    assert covered == list(range(len(prompt)))
    ids = tokenizer.encode(prompt)
    data, end = prompt.encode(), 0
    for token, (start, stop) in zip(ids, spans.values(), strict=True):
        raw = tokenizer.decode_single_token_bytes(token)
        begin, end = end, end + len(raw)
        assert data[begin:end] == raw
        assert start == len(data[:begin].decode(errors="ignore"))
        assert stop == len(prompt) - len(data[end:].decode(errors="ignore"))


def test_a_prompt_within_a_longer_conversation() -> None:
    shown = ["<|bos|>", "<|user_start|>", "sys", "\n\n", "Hel", "lo", "<|user_end|>", "<|assistant_start|>"]
    assert align(shown, "Hello") == {4: (0, 3), 5: (3, 5)}


@pytest.mark.parametrize("shown", [[], ["<|bos|>"], ["<|bos|>", "Hel"], ["<|bos|>", "Hell", "no"]])
def test_tokens_of_another_text_stand_for_nothing(shown: list[str]) -> None:
    assert align(shown, "Hello") == {}


def test_a_document_stays_in_step_with_an_editor_that_edits_halves_of_characters() -> None:
    r"""The editor's text is UTF-16, so that it may insert, remove and separate the two halves of a 🙂."""
    chosen = random.Random(1)
    units = ["a", "é", "\n", "\ud83d", "\ude42", "\ud83d\ude42"]
    for _ in range(1500):
        text = joined("".join(chosen.choices(units, k=chosen.randint(0, 8))))
        document = OpenDocument("file:///a.prompt", "prompt", text, 1)
        mirror = text.encode("utf-16-le", "surrogatepass")
        for version in range(4):
            first, last = sorted(chosen.choices(range(len(mirror) // 2 + 1), k=2))
            new = joined("".join(chosen.choices(units, k=chosen.randint(0, 3))))
            span = SimpleNamespace(start=_position(mirror, first), end=_position(mirror, last))
            document.change(SimpleNamespace(range=span, text=new), version, "utf-16")
            mirror = mirror[: 2 * first] + new.encode("utf-16-le", "surrogatepass") + mirror[2 * last :]
            assert "".join(document.lines) == mirror.decode("utf-16-le", "surrogatepass")


def _position(mirror: bytes, unit: int) -> SimpleNamespace:
    before = mirror[: 2 * unit].decode("utf-16-le", "surrogatepass").split("\n")
    return SimpleNamespace(line=len(before) - 1, character=len(before[-1].encode("utf-16-le", "surrogatepass")) // 2)
