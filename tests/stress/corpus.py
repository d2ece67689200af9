"""Malformed messages without end: a corpus that hypothesis makes, and a fast seeded mutator over it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from protocol.methods import METHODS

# `shutdown` would end what is tested; folders and models that a mutation names would be made or looked for.
NEVER = ("shutdown", "load_model")
NAMES = [name for name in METHODS if name not in NEVER]
LSP = ["initialize", "initialized", "$/cancelRequest", "$/setTrace", "textDocument/didOpen", "workspace/executeCommand"]
PARAMS = [
    "trace_id",
    "prompt",
    "limit",
    "cursor",
    "name",
    "layer",
    "head",
    "rows",
    "encoding",
    "id",
    "settings",
    "text",
]
LONG = 1 << 14
# Two in a million are as large as may be, and larger.
LARGE_ONE_IN = 500_000
LARGE = 17 << 20


def corpus(size: int, seed: int) -> list[bytes]:
    """Messages as hypothesis thinks of them, from any JSON value to nearly right requests and batches of them."""
    import hypothesis
    from hypothesis import strategies as st

    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=12,
    )
    params = st.dictionaries(st.sampled_from(PARAMS) | st.text(max_size=5), values, max_size=4) | values
    members: dict[str, Any] = {
        "jsonrpc": st.just("2.0") | values,
        "id": st.integers(0, 50) | st.text(max_size=5) | values,
        "method": st.sampled_from(NAMES + LSP) | st.text(max_size=10) | values,
        "params": params,
    }
    near = st.fixed_dictionaries({}, optional=members)
    right = st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0"), "id": st.integers(0, 50), "method": st.sampled_from(NAMES), "params": params}
    )
    messages = near | right | st.lists(near | right | values, max_size=5) | values
    found: list[bytes] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=size,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
    )
    @hypothesis.given(messages)
    def gather(message: object) -> None:
        found.append(json.dumps(message, ensure_ascii=len(found) % 2 == 0).encode("utf-8", "surrogatepass"))

    gather()
    return found


def _cut(text: bytes, chance: random.Random) -> bytes:
    return text[: chance.randrange(len(text) + 1)]


def _flip(text: bytes, chance: random.Random) -> bytes:
    mutable = bytearray(text)
    for _ in range(chance.choice([1, 1, 3, 20])):
        mutable[chance.randrange(len(mutable))] ^= 1 << chance.randrange(8)
    return bytes(mutable)


def _remove(text: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(text))
    return text[:start] + text[start + chance.choice([1, 2, 10]) :]


def _insert(text: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(text) + 1)
    return text[:place] + chance.choice(INSERTS) + text[place:]


def _swap(text: bytes, chance: random.Random) -> bytes:
    old, new = chance.choice(SWAPS)
    return text.replace(old, new, chance.choice([1, 1, 5]))


def _repeat(text: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(text))
    return text[: start + chance.choice([1, 20, 200])] + text[start:]


def _nest(text: bytes, chance: random.Random) -> bytes:
    depth = chance.choice([2, 50, 99, 100, 101, 5000])
    opening, closing = chance.choice([(b"[", b"]"), (b'{"a":', b"}"), (b"[", b"")])
    return opening * depth + text + closing * depth


def _batch(text: bytes, chance: random.Random) -> bytes:
    return b"[" + b",".join([text] * chance.choice([1, 2, 30])) + b"]"


def _noise(text: bytes, chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice([1, 7, 60, 2000]))


def _as_is(text: bytes, chance: random.Random) -> bytes:
    return text


INSERTS = [
    b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\0", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"NaN",
    b"-Infinity", b"1e999", b"9" * 400, b"null", b"true", b'"\\ud800"', b'"\\u0000"', b'"' + b"x" * LONG + b'"',
    b" " * LONG, b"-0", b"1.5", b"18446744073709551616", b"/*x*/", b"\n", b"\r\n", b"\r", b"Content-Length: 5\r\n\r\n",
]  # fmt: skip
SWAPS = [
    (b'"2.0"', b'"1.0"'), (b'"2.0"', b"2.0"), (b'"jsonrpc"', b'"jsonrcp"'), (b'"method"', b'"methods"'),
    (b'"id"', b'"ID"'), (b'"id":', b'"id":[],"id":'), (b'"id": ', b'"id": 1e400'), (b'"params": {', b'"params": [{'),
    (b'"', b"'"), (b"{", b"["), (b"}", b""), (b":", b"::"), (b",", b",,"), (b"0", b"00"), (b"1", b"NaN"),
    (b"null", b"nul"), (b"true", b"True"), (b"get_", b"set_"), (b"list", b"list\\u0000"), (b'""', b'"a": "b"'),
]  # fmt: skip
MUTATIONS: list[Callable[[bytes, random.Random], bytes]] = [
    _cut, _cut, _flip, _flip, _remove, _insert, _insert, _swap, _swap, _repeat, _nest, _batch, _noise, _as_is,
]  # fmt: skip


def malformed(found: list[bytes], chance: random.Random) -> Iterator[bytes]:
    """Messages of the corpus, mutated, without end."""
    while True:
        text = chance.choice(found)
        for _ in range(chance.choice([1, 1, 2, 3])):
            text = chance.choice(MUTATIONS)(text or b"{}", chance)
        if b"shutdown" in text or b"load_model" in text or b"traces_dir" in text:
            continue
        if chance.randrange(LARGE_ONE_IN) == 0:
            text = b'{"a":"' + b"x" * LARGE + b'"}'
        yield text


def wrong_framing(body: bytes, chance: random.Random) -> bytes:
    """A message of the editor connection whose framing is wrong, or that is never whole."""
    return chance.choice(FRAMINGS)(body, chance)


FRAMINGS: list[Callable[[bytes, random.Random], bytes]] = [
    lambda body, chance: b"Content-Length: %d\r\n\r\n%s" % (len(body) + chance.choice([1, 1000, 10**7]), body),
    lambda body, chance: b"Content-Length: %d\r\n\r\n%s" % (10 ** chance.choice([10, 20, 400]), body),
    lambda body, chance: b"Content-Length: -%d\r\n\r\n%s" % (len(body), body),
    lambda body, chance: b"Content-Length: 0x10\r\n\r\n" + body,
    lambda body, chance: b"Content-Length 5\r\n\r\n" + body,
    lambda body, chance: b"Content-Type: text\r\n\r\n" + body,
    lambda body, chance: b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n" + body,
    lambda body, chance: b"X" * chance.choice([10, 4096, 10**6]) + b"\r\n\r\n" + body,
    lambda body, chance: b"X: y\r\n" * chance.choice([10, 10**5]),
    lambda body, chance: b"\0" * chance.choice([1, 5000]),
    lambda body, chance: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    lambda body, chance: chance.randbytes(chance.choice([1, 100, 10_000])),
    lambda body, chance: b"Content-Len",
]
