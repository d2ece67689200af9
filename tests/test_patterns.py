"""Every regular expression of the product, with texts of a megabyte that are made to cost much: all take linear time.

A pattern is found by walking the code. One that has no row here fails the test: think of the texts that could be slow
(a long run of what its repetitions take, then something that fits nothing), and give it a row.
"""

import ast
import contextlib
import importlib
import re
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nanochat.checkpoints import file_kind, keys
from nanochat.errors import PromptInvalidError
from nanochat.tokenizer import SPLIT_PATTERN, RustBPETokenizer
from tests.models import golden_model

ROOT = Path(__file__).parents[1]
ROOMS = ("daemon", "nanochat", "protocol", "scripts")
FUNCTIONS = ("compile", "match", "fullmatch", "search", "findall", "finditer", "sub", "subn", "split")
SMALL, LARGE = 1 << 14, 1 << 20  # characters
# Of the processor, so that other programs do not count. A linear scan takes a hundredth of these; what is quadratic
# takes more for the small text, and is not tried with the large one.
SMALL_SECONDS, LARGE_SECONDS = 0.05, 5.0

Text = tuple[str, str, str]  # a beginning, what is repeated, an end


class Found(NamedTuple):
    """The pattern of a call, or all that it may have; `used`: the function of `re` that is called."""

    patterns: list[re.Pattern[Any]]
    used: str


# Calls whose pattern is a variable: all that it stands for.
VARIABLES = {
    "nanochat.checkpoints.keys.explained#1": [re.compile(pattern, re.I) for pattern, _ in keys.KINDS],
    "nanochat.checkpoints.file_kind._begins": [
        kind.matches.__self__ for kind in file_kind.KINDS if hasattr(kind.matches, "__self__")
    ],
}


BLANKS: list[Text] = [("", " ", ""), ("", " ", "x"), ("x", "\t ", "x"), ("", " x", "")]
DIGITS: list[Text] = [("", "1", ""), ("", "1", "x"), ("", "1.", "x"), ("", ".", "x")]
# By place: how it is used where it is compiled first, and the texts.
ROWS: dict[str, tuple[str, list[Text]]] = {
    "daemon.doctor.installation._numbers#1": ("", DIGITS),
    "daemon.doctor.installation._problem_of#1": ("", [
        ("a", " ", "x"), ("a>=", "1.", "x"), ("", "a", "!"), ("a", " >", ""),
    ]),
    "daemon.editor.hover.fenced#1": ("", [("", "`", ""), ("", "`x", ""), ("", "``\n", "")]),
    "daemon.editor.pieces.LINE_END": ("search", [("", "x", ""), ("", "🙂", "\n")]),
    "daemon.editor.text._TWO_HALVES": ("search", [("", "\ud83d", ""), ("", "\ude42", ""), ("", "x\ud83d", "")]),
    "daemon.editor.text._TWO_UNITS": ("sub", [("", "🙂", ""), ("", "x", "🙂"), ("", "\ud83d", "")]),
    "daemon.editor.token_spans.ESCAPED": ("split", [
        ("", "\\", ""), ("", "\\x8", ""), ("", "\\x", ""), ("", "\\x80", ""),
    ]),
    "daemon.editor.token_spans.LAYER": ("fullmatch", [("attention_weights.layer_", "1", ""), ("", "attention_", "")]),
    "daemon.editor.params._ABOUT_DOCUMENT": ("search", [
        ("", '"method"', ""), ('"method"', " ", "x"), ("", '"method": ', ""), ("", '"method":"textDocument', ""),
    ]),
    "daemon.editor.params._METHOD": ("search", [("", '"method"', ""), ('"method"', "\n ", "x"), ("", '"method" ', "")]),
    "daemon.editor.params._URI": ("search", [
        ('"uri":"', "x", ""), ('"uri":"', '\\"', ""), ("", '"uri":', ""), ('"uri"', " ", "x"), ("", '"uri":"\\', ""),
        ('"uri":"', '\\"uri\\":\\"', ""),
    ]),
    "daemon.launch.farewell.LENGTH": ("search", [
        ("content-length:", " ", "x"), ("content-length:", "1", "x"), ("content-length: 1", " ", "x"),
        ("", "content-length:\n", ""), ("", "\n", ""), ("", "content-length: \t", ""),
    ]),
    "daemon.wire.framing._FIELD": ("fullmatch", [
        ("A:", " ", "x\0"), ("A:", "\t \t", "\r"), ("A: x", " ", "y\r"), ("A:", " x", "\0"), ("", "A", ""),
        ("A:", ":", "\r"),
    ]),
    "daemon.editor.params._LANGUAGE": ("search", [
        ('"languageId":"', "x", ""), ('"languageId":"', '\\"', ""), ("", '"languageId":', ""),
        ("", '"languageId":"\\', ""),
    ]),
    "daemon.wire.framing._MEMBER": ("match", [
        ("", " ", "x"), ('"a"', " ", "x"), ('"a":', " ", "x"), ('"a":"', "x", ""), ('"a":"', "\\", ""), ('"', "a", '"'),
        ('"a":', "1", ","), ('"a":1', " ", "x"),
    ]),
    "daemon.wire.framing._OF_REQUESTS": ("match", [*BLANKS, ("", '"method"', ""), (" ", '"', "")]),
    "daemon.own_log.LINE": ("search", [
        ("", "\n", ""), ("", "2026-01-01 10:00:00,000 INFO\n", ""), ("", "1", ""), ("", "\n2026-01-01", ""),
        ("2026-01-01 10:00:00,000 ", "A", ""),
    ]),
    "daemon.editor.prompt_parser.FENCE": ("match", [
        *BLANKS, ("", "`", ""), ("", "~", "\n"), ("```", " ", "\n"), ("", "``~~", ""), ("", " `", ""),
    ]),
    "daemon.editor.prompt_parser.SEPARATOR": ("fullmatch", [("---", " ", "x"), ("---", "\t ", ""), ("", "-", "")]),
    "daemon.editor.front_matter.KEY": ("match", [
        ("seed", " ", "x"), ("", "a", "!"), ("", "a_", ""), ("seed", "\t ", ""),
    ]),
    "daemon.editor.front_matter.LINE": ("fullmatch", [
        ("seed: x", " ", "y"), ("seed: x", " ", "\n"), ("seed", " ", "x"), ("seed:", " ", "\n"), ("a:", "x ", "\n"),
        ("", "a", ""), ("seed: ", "x\t ", "\n"), ("seed: ", ":", "\n"),
    ]),
    "daemon.editor.front_matter._temperature#1": ("", [*DIGITS, ("1e", "1", "x"), ("", "1e", ""), ("1e+", "9", ".")]),
    "daemon.editor.front_matter._whole.read#1": ("", DIGITS),
    "daemon.settings._device#1": ("", [("cuda:", "1", "x"), ("", "cpu", ""), ("", "cuda:", "")]),
    "daemon.settings._whole.parse#1": ("", DIGITS),
    "daemon.settings._windows#1": ("", [("", "S", ""), ("", "SL", "x")]),
    "daemon.cli.trace_names.NOT_PLAIN": ("sub", [("", " ", ""), ("", "a", ""), ("", " a", ""), ("", "🙂", "a")]),
    "daemon.cli.trace_names.find#1": ("", [("@1", "0", ""), ("@", "0", ""), ("", "@", "")]),
    "nanochat.analysis.activations.ACTIVATION_NAME": ("fullmatch", [
        ("layer_activations.layer_", "1", ""), ("layer_activations.layer_1.", "a", "!"), ("", "layer_activations.", ""),
    ]),
    "nanochat.analysis.attention.ATTENTION_NAME": ("fullmatch", [
        ("attention_weights.layer_", "1", "x"), ("", "attention_", ""),
    ]),
    "nanochat.analysis.attention_view._WITH_VALUES": ("fullmatch", [
        ("value_norms.layer_", "1", "x"), ("layer_activations.layer_", "1", ""), ("", "value_norms.", ""),
    ]),
    "nanochat.analysis.characters._BYTE": ("sub", [("", "\\x8", ""), ("", "\\", ""), ("", "\\x80", "")]),
    "nanochat.analysis.characters._HIDDEN": ("sub", [
        ("", "\u200d", ""), ("", "🙂\u200d", ""), ("🙂", "\ufe0f", ""), ("", "🙂\ufe0f", "x"), ("", "\r", ""),
    ]),
    "nanochat.analysis.thumbnails._LAYER": ("fullmatch", [
        ("attention_weights.layer_", "1", "x"), ("", "attention_", ""),
    ]),
    "nanochat.checkpoints.keys.ROTARY": ("search", [
        ("", ".cos", ""), ("", "_cached", ""), ("", "_sin_cached", "x"), ("", "_", ""),
    ]),
    "nanochat.checkpoints.keys.WRAPPERS": ("sub", [("", "_orig_mod", ""), ("", "_orig_mod.", ""), ("", "_", "")]),
    "nanochat.checkpoints.keys.explained#1": ("", [
        ("", "norm", ""), ("", "norm", ".weight!"), ("norm", "x", ".weight!"), ("", "scale", "!"), ("", "_", ""),
        ("", "_proj.", "weight"), ("", "q_proj.weigh", ""), ("", ".", ""), ("", "mask", "!"),
    ]),
    "nanochat.checkpoints.layouts.Checkpoint.depth#1": ("", [("d", "1", ""), ("d", "1", "x"), ("", "d", "")]),
    "nanochat.checkpoints.layouts.WEIGHTS_PATTERN": ("fullmatch", [
        ("model_", "1", ".pt"), ("model_", "1", "x"), ("", "model_", ""),
    ]),
    "nanochat.demo.arguments.parse_head#1": ("", [*DIGITS, ("1.", "1", "x"), ("", "1.1", "x")]),
    "nanochat.checkpoints.file_kind#1": ("", [("\x80", "\x02", ""), ("", "\x80", "")]),
    "nanochat.checkpoints.file_kind#2": ("", [("(", ".", "x"), ("(", ".\n", "x"), ("c", "\n", ""), ("", "]", "")]),
    "nanochat.checkpoints.file_kind._begins": ("match", [
        *BLANKS, ("", "<", ""), ("", "<!", ""), ("version https://", "git-lfs", ""), ("", "\n", "<htm"),
    ]),
    "nanochat.checkpoints.file_kind._is_text#1": ("", [("", "x", "\0"), ("", "\n", "\0"), ("", "é", "")]),
    "nanochat.system.from_outside.json_for#1": ("", [("", "é", ""), ("", "x", "é"), ("", "🙂x", "")]),
    "nanochat.gpt_config.EXPERTS": ("search", [
        ("", "top_", ""), ("top_", "k", "!"), ("", "exper", ""), ("", "load_", ""),
    ]),
    "nanochat.gpt_config.EXPERT_COUNTS": ("fullmatch", [
        ("n_", "experts", ""), ("", "num_", ""), ("n_routed_", "e", ""),
    ]),
    "nanochat.gpt_config.OURS": ("search", [("", "ca", ""), ("", "cap", "!"), ("", "nor", ""), ("", "smea", "")]),
    "nanochat.traces.json.scanner._OPENING": ("match", [("", "[", ""), ("", " [", "x"), *BLANKS]),
    "nanochat.traces.json.scanner._SPACES": ("match", BLANKS),
    "nanochat.traces.json.scanner._TOKEN": ("match", [
        *BLANKS, ('"', "x", ""), ('"', "\\", ""), ('"', '\\"', ""), ('"', "x\\x", ""), ("-", "1", "x"),
        ("1", "e+-.", ""),
        ("", "\n", "x"), ("", "[", ""), ("", "tru", ""),
    ]),
    "nanochat.system.temporary_names._NAME": ("fullmatch", [
        ("", "0", ""), (".", "0", ""), (".00000000-", "0", ""), ("", "-", ""),
    ]),
    "nanochat.text_stream.SPELLED_BYTE": ("sub", [("", "\\x8", ""), ("", "\\", ""), ("", "\\x80", "")]),
    "nanochat.demo.trace_choice.find_trace#1": ("", [("@1", "0", ""), ("@", "0", ""), ("", "@", "")]),
    "nanochat.analysis.fitting._has_layer#1": ("", [
        ("", ".layer_", ""), ("", ".layer_1", "x"), (".layer_", "1", "x"), ("", ".", ""),
    ]),
    "nanochat.traces.json.writer._PAIR": ("search", [("", "\ud83d", ""), ("", "\ude42", ""), ("", "x\ud83d", "")]),
    "nanochat.traces.rows._TRACE_ID": ("fullmatch", [("", "a", ""), ("", "a", "!"), ("", "-", "")]),
    "nanochat.traces.tensors._LAYER": ("search", [
        ("", ".layer_", ""), (".layer_", "1", "x"), ("", ".layer_1.a", "!"), (".layer_1.", "a", "!"),
        ("", ".layer_1", "!"),
    ]),
    "nanochat.traces.tensors._NAME": ("fullmatch", [("", "a", "!"), ("", "a.", "!"), ("", "a.a", "!"), ("", ".", "")]),
    "protocol.generate.typescript.tidied_text#1": ("", [
        ("/**\n", " ", "x"), ("", " ", "/*"), ("/**\n * ", "x", ""), ("", "/**\n", ""),
    ]),
    "protocol.generate.typescript.tidied_text#2": ("", [("", "}\n", ""), ("", "}\n/", "")]),
    "scripts.golden_exchanges._settled#1": ("", [("", "trace_", ""), ("", "trace_20260102_", ""), ("", "1", "")]),
    "scripts.golden_exchanges._settled#2": ("", [
        ("2020-01-01T00:00:00.", "1", "x"), ("", "2020-", ""), ("", "1\n", ""),
    ]),
    "scripts.golden_exchanges._settled#3": ("", [("pid ", "1", "x"), ("", "pid ", ""), ("", "pid", "")]),
    "scripts.tour.ERROR": ("search", [("", "the sum is out by ", ""), ("the sum is out by ", "x", " ")]),
    "scripts.tour.FIGURE": ("findall", DIGITS),
    "scripts.tour.SIZE": ("search", [*DIGITS, ("", "123.4 ", "x"), ("", "123.4 k", "")]),
    "scripts.tour.SPEED": ("search", [*DIGITS, ("", "1,", "x"), ("", "1 a second", ""), ("", "1 a ", "")]),
    "scripts.tour.SPINNER": ("match", [("", "⠋", ""), ("", "⠋ ", "")]),
    "scripts.tour.TRACE_ID": ("search", [("", "trace_", ""), ("", "trace_20260102_", ""), ("", "1", "")]),
}  # fmt: skip


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def found_in(name: str, tree: ast.Module) -> Iterator[tuple[str, Found]]:
    """The patterns of a module, by place."""
    counts: dict[str, int] = {}

    def walk(node: ast.AST, place: str, target: str) -> Iterator[tuple[str, Found]]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            taken = [alias.name for alias in node.names]
            assert getattr(node, "module", None) not in ("re", "regex"), f"{name}: `import re`, for this test to find"
            assert "regex" not in taken, f"{name}: the module `regex` is not known to this test"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            place = f"{place}.{node.name}"
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            target = node.targets[0].id
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re."):
            used = ast.unparse(node.func).removeprefix("re.")
            if used in FUNCTIONS:
                counts[place] = counts.get(place, 0) + 1
                key = f"{place}.{target}" if used == "compile" else f"{place}#{counts[place]}"
                key = key.removesuffix(".")
                yield key, Found(VARIABLES.get(key) or [compiled(name, node)], used)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, place, target)

    yield from walk(tree, name, "")


def compiled(name: str, call: ast.Call) -> re.Pattern[Any]:
    """The pattern of a call of one of re's functions, with its flags."""
    flags = [word.value for word in call.keywords if word.arg == "flags"]
    flags += [argument for argument in call.args if "re." in ast.unparse(argument)]
    known = vars(importlib.import_module(name))
    values = [eval(ast.unparse(node), known) for node in (call.args[0], *flags)]
    return re.compile(*values)


PATTERNS = dict(entry for name, tree in modules() for entry in found_in(name, tree))


def test_every_pattern_has_a_row_and_every_row_a_pattern() -> None:
    assert sorted(PATTERNS) == sorted(ROWS)


def seconds(pattern: re.Pattern[Any], used: str, text: str) -> float:
    subject: Any = text if isinstance(pattern.pattern, str) else text.encode()
    begun = time.thread_time()
    if used in ("sub", "subn"):
        pattern.sub(subject[:0], subject)
    elif used == "finditer":
        list(pattern.finditer(subject))
    else:
        getattr(pattern, used)(subject)
    return time.thread_time() - begun


def texts(rows: list[Text], size: int) -> Iterator[str]:
    for beginning, repeated, end in rows:
        yield beginning + repeated * (size // len(repeated)) + end


@pytest.mark.parametrize("key", sorted(ROWS))
def test_every_pattern_takes_linear_time(key: str) -> None:
    patterns, used = PATTERNS[key]
    called, rows = ROWS[key]
    assert bool(called) == (used == "compile"), "a pattern that is compiled first says here how it is used"
    for size, most in ((SMALL, SMALL_SECONDS), (LARGE, LARGE_SECONDS)):
        for pattern, text in product(patterns, texts(rows, size)):
            assert seconds(pattern, called or used, text) < most, (key, pattern.pattern, text[:40], len(text))


@pytest.mark.parametrize(("slow", "used"), [(r"(.*?)[ \t]*", "fullmatch"), (r"\s*\n", "search")])
def test_a_pattern_that_does_not_is_seen(slow: str, used: str) -> None:
    assert seconds(re.compile(slow), used, " " * SMALL + "!" + "\n" * (used == "fullmatch")) > SMALL_SECONDS


def goes_back(part: Any, *, repeats: bool = False) -> bool:
    """Whether a part of a pattern has what may be tried again: a repetition beside others, a look ahead or behind."""
    items = list(part)
    kinds = {str(kind) for kind, _ in items}
    if (
        kinds & {"ASSERT", "ASSERT_NOT"}
        or (len(items) > 1 and kinds & REPETITIONS)
        or (repeats and kinds & REPETITIONS)
    ):
        return True
    below = [body for kind, value in items for body in bodies(str(kind), value)]
    return any(goes_back(body, repeats=True) for body in below)


REPETITIONS = {"MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"}


def bodies(kind: str, value: Any) -> list[Any]:
    """The parts within an item of a parsed pattern."""
    places = {"BRANCH": lambda: value[1], "SUBPATTERN": lambda: [value[-1]], "ATOMIC_GROUP": lambda: [value]}
    places |= dict.fromkeys(REPETITIONS, lambda: [value[2]])
    return places.get(kind, list)()


def possessive(part: Any) -> Iterator[Any]:
    """The bodies of all possessive repetitions and atomic groups."""
    for kind, value in part:
        for body in bodies(str(kind), value):
            if str(kind) in ("POSSESSIVE_REPEAT", "ATOMIC_GROUP"):
                yield body
            yield from possessive(body)


def stumbles(pattern: str | bytes, flags: int = 0) -> bool:
    """Whether Python before 3.11.5 may not find what a pattern means: it does not go back within what is possessive."""
    return any(goes_back(body) for body in possessive(re._parser.parse(pattern, flags)))  # type: ignore[attr-defined]


@pytest.mark.parametrize("key", sorted(PATTERNS))
def test_no_pattern_stumbles_in_an_early_python_3_11(key: str) -> None:
    for pattern in PATTERNS[key].patterns:
        assert not stumbles(pattern.pattern, pattern.flags & ~re.UNICODE), pattern.pattern


@pytest.mark.parametrize(
    ("pattern", "does"),
    [
        (r"(?:[^ \t]++|[ \t]++(?=[^ \t]))*+", True),
        (r"(?:ab?c)*+", True),
        (r"(?>(?:ab?c)+)", True),
        (r"[ \t]*+x\w{1,40}+", False),
        (r'"(?:[^"\\]|\\.)*+"', False),
        (r"(?:ab?c)*", False),
    ],
)
def test_a_pattern_that_stumbles_is_seen(pattern: str, does: bool) -> None:
    assert stumbles(pattern) is does


SPLIT_TEXTS = [
    *BLANKS, *DIGITS, ("", "a", ""), ("", "'", ""), ("", "'s", ""), ("", "\n", ""), ("", " \n", "x"), ("", "!", "\n"),
    ("", "é", ""), ("", "é!", ""), ("", " " * 1000 + "x", ""), ("", "\r\n", "x"),
]  # fmt: skip


@pytest.mark.parametrize("row", SPLIT_TEXTS)
def test_the_tokenizers_pattern_takes_linear_time(row: Text) -> None:
    tokenizer: RustBPETokenizer = golden_model()[1]
    assert tokenizer.enc._pat_str == SPLIT_PATTERN
    for text in texts([row], LARGE):
        begun = time.thread_time()
        with contextlib.suppress(PromptInvalidError):  # a million blanks in a row, which tiktoken gives up on
            tokenizer.encode(text)
        assert time.thread_time() - begun < LARGE_SECONDS
