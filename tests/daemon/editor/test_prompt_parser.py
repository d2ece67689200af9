"""Prompt documents without an editor: edits, prompts, front matter, and which characters a token stands for."""

import random
from typing import Any

import pytest

from daemon.editor import pieces as document_pieces
from daemon.editor.front_matter import LONGEST_LINE
from daemon.editor.lsp_values import MOST_DIAGNOSTICS, Snapshot, diagnostics
from daemon.editor.open_document import OpenDocument
from daemon.editor.pieces import Pieces, lines_of
from daemon.editor.prompt_parser import LARGEST, MOST_PROMPTS, Parsed, language_of, parse
from daemon.editor.text import ENCODINGS, character_at, joined, parted, units_before
from daemon.editor.token_spans import align
from nanochat.tokenizer import RustBPETokenizer
from tests.models import golden_model


def split_lines(text: str) -> list[str]:
    return lines_of((text,))


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


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_any_edit_gives_what_an_edit_of_the_whole_text_gives(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document_pieces, "SIZE", 4)
    chosen = random.Random(0)

    def some(most: int) -> str:
        return "".join(chosen.choices("ab\r\n\n\x0b\u2028🙂é\r", k=chosen.randint(0, most)))

    for _ in range(500):
        text = some(30)
        pieces = Pieces(text, encoding)
        for _ in range(6):
            lines, new = split_lines(text), some(12)
            places = [(row, chosen.randint(0, len(lines[row].rstrip("\r\n")))) for row in some_rows(chosen, lines)]
            start, end = ((row, units_before(lines[row], column, encoding)) for row, column in places)
            pieces.replace(start, end, new)
            first, last = sorted(sum(map(len, lines[:row])) + column for row, column in places)
            text = text[:first] + new + text[last:]
            assert "".join(pieces.texts()) == text
            assert pieces.size == len(parted(text) if encoding == "utf-16" else text)
            assert lines_of(pieces.texts()) == split_lines(text)


def some_rows(chosen: random.Random, lines: list[str]) -> list[int]:
    return chosen.choices(range(len(lines)), k=2)


@pytest.mark.parametrize("text", ["x" * 2_000_000, "é🙂" * 700_000, "\n" * 2_000_000, "a\r\n" * 700_000])
@pytest.mark.timeout(60)
def test_ten_thousand_edits_of_a_large_document_cost_a_little_each(text: str) -> None:
    pieces, chosen = Pieces(text, "utf-16"), random.Random(0)
    for _ in range(10_000):
        line, column = chosen.randrange(500_000) if "\n" in text else 0, chosen.randrange(2_000_000)
        pieces.replace((line, column), (line, column + 1), "y\n" if "\n" in text else "yy")
    assert len(pieces.texts()) < 2 * len(text) / document_pieces.SIZE + 10


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_columns_in_the_clients_units_and_back(encoding: str) -> None:
    line = "a🙂é漢 b\r\n"
    for character in range(6):
        units = units_before(line, character, encoding)
        assert units == len(line[:character].encode(ENCODINGS[encoding][0])) // ENCODINGS[encoding][1]
        assert character_at(line, units, encoding) == character
    assert character_at(line, 99, encoding) == character_at("abcdef\r\n", 99, encoding) == 6


def opened(text: str) -> OpenDocument:
    return OpenDocument("file:///a.prompt", "prompt", text, 1, 1)


def read(document: OpenDocument) -> Snapshot:
    return document.read(*document.untaken(), "utf-16")


def change(text: str, *places: tuple[int, int]) -> dict[str, Any]:
    names = [{"line": line, "character": character} for line, character in places]
    return {"text": text} | ({"range": {"start": names[0], "end": names[1]}} if names else {})


def test_a_document_takes_changes_one_after_the_other() -> None:
    document = opened("🙂b\nc")
    document.take([change("d\n", (0, 2), (9, 9))], 2, 2)
    snapshot = read(document)
    assert (snapshot.lines, snapshot.version, snapshot.revision) == (["🙂d\n", ""], 2, 2)
    document.take([change("no"), change("all")], 3, 3)
    document.take([change("!", (0, 3), (0, 3)), change("?", (0, 4), (0, 4))], 4, 4)
    assert (read(document).lines, document.version) == (["all!?"], 4)


@pytest.mark.parametrize("changes", [None, {}, [1], [{}], [change("x", (0, -1), (0, 0))], [{"text": "x", "range": 5}]])
def test_after_a_change_of_no_known_form_the_document_says_so_until_it_is_told_whole(changes: Any) -> None:
    document = opened("Hello")
    document.take(changes, 2, 2)
    document.take([change("x", (0, 0), (0, 0))], 3, 3)
    snapshot = read(document)
    assert not snapshot.parsed.prompts and "close it and open it again" in snapshot.parsed.problems[0].message
    document.take([change("Hello")], 4, 4)
    assert [prompt.text for prompt in read(document).parsed.prompts] == ["Hello"]


def test_half_a_character_is_kept_as_one_unit() -> None:
    document = opened("a\ud83db")
    document.take([change("c", (0, 2), (0, 3))], 2, 2)
    assert read(document).lines == ["a\ufffdc"]


@pytest.mark.parametrize("size", [4, 4096])
def test_halves_that_come_together_are_a_character_and_one_may_be_taken(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document_pieces, "SIZE", size)
    document = opened("abcdefgh\ude00b" * 3)
    document.take([change("\ud83d", (0, 8), (0, 8)), change("\ud83d", (0, 19), (0, 19))], 2, 2)
    assert read(document).lines == ["abcdefgh😀b" * 2 + "abcdefgh\ufffdb"]
    document.take([change("", (0, 9), (0, 10)), change("\ude01", (0, 9), (0, 9))], 3, 3)
    assert read(document).lines == ["abcdefgh😁babcdefgh😀babcdefgh\ufffdb"]
    document.take([change("x", (0, 8), (0, 9))], 4, 4)
    assert read(document).lines == ["abcdefghx\ufffdbabcdefgh😀babcdefgh\ufffdb"]


def test_a_document_that_is_too_large_says_so_until_it_is_smaller() -> None:
    document = opened("x\n" * (LARGEST // 2 + 1))
    snapshot = read(document)
    assert [problem.severity for problem in snapshot.parsed.problems] == ["warning"]
    assert "split it" in snapshot.parsed.problems[0].message and not snapshot.parsed.prompts
    document.take([change("", (5, 0), (1 << 40, 0))], 2, 2)
    assert [prompt.text for prompt in read(document).parsed.prompts] == ["x\nx\nx\nx\nx"]
    for revision in range(3, 20):
        document.take([change("y" * LARGEST, (0, 0), (0, 0))], revision, revision)
    assert "close it and open it again" in read(document).parsed.problems[0].message


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


def test_a_line_of_front_matter_has_a_longest_length_and_says_so() -> None:
    fits, over = ("seed: 1" + " " * (length - 8) + "2" for length in (LONGEST_LINE, LONGEST_LINE + 1))
    assert problems_of(fits + "\nHello") == [(0, 6, LONGEST_LINE, "error")]
    assert problems_of(over + "\nHello") == [(0, 0, LONGEST_LINE + 1, "warning")]
    assert prompts_of(f"seed: 1\n{over}\nHello") == [(f"{over}\nHello", {"seed": 1})]
    assert problems_of("x: " + "y" * LONGEST_LINE) == problems_of("http://" + "y" * LONGEST_LINE) == []


def told(text: str) -> list[dict[str, Any]]:
    document = OpenDocument("file:///a.prompt", "prompt", text, 1, 1)
    return diagnostics(document.read(*document.untaken(), "utf-16"), [])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("seed: x\n" * 100_000 + "Hello", 100_000),
        ("seed: x\na\n---\n" * 1500, 1500),
        ("a: 1\nseed: 1\n---\n" * 600, 1200),
    ],
)
def test_the_last_of_the_diagnostics_says_how_many_more_there_are(text: str, count: int) -> None:
    found = told(text)
    assert len(found) == MOST_DIAGNOSTICS
    assert found[-1]["message"].startswith(f"There are {count - MOST_DIAGNOSTICS + 1:,} more problems")


def test_so_many_problems_that_all_are_told() -> None:
    text = "seed: x\n" * MOST_DIAGNOSTICS + "Hello"
    assert len(told(text)) == MOST_DIAGNOSTICS and "more" not in told(text)[-1]["message"]


def test_prompts_beyond_those_looked_for_are_counted() -> None:
    parsed = parse(split_lines("a\n---\n\n---\n" * (MOST_PROMPTS + 3)), "prompt")
    assert len(parsed.prompts) == MOST_PROMPTS
    (problem,) = parsed.problems
    assert (problem.line, problem.severity) == (4 * MOST_PROMPTS, "warning")
    assert "3 more" in problem.message


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


def test_a_document_stays_in_step_with_an_editor_that_edits_halves_of_characters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    r"""The editor's text is UTF-16, so that it may insert, remove and separate the two halves of a 🙂."""
    monkeypatch.setattr(document_pieces, "SIZE", 3)
    chosen = random.Random(1)
    units = ["a", "é", "\n", "\ud83d", "\ude42", "\ud83d\ude42"]
    for _ in range(1500):
        text = joined("".join(chosen.choices(units, k=chosen.randint(0, 8))))
        document = opened(text)
        mirror = text.encode("utf-16-le", "surrogatepass")
        for version in range(2, 6):
            first, last = sorted(chosen.choices(range(len(mirror) // 2 + 1), k=2))
            new = joined("".join(chosen.choices(units, k=chosen.randint(0, 3))))
            document.take([change(new, _position(mirror, first), _position(mirror, last))], version, version)
            mirror = mirror[: 2 * first] + new.encode("utf-16-le", "surrogatepass") + mirror[2 * last :]
            assert "".join(read(document).lines) == mirror.decode("utf-16-le", "replace")


def _position(mirror: bytes, unit: int) -> tuple[int, int]:
    before = mirror[: 2 * unit].decode("utf-16-le", "surrogatepass").split("\n")
    return len(before) - 1, len(before[-1].encode("utf-16-le", "surrogatepass")) // 2
