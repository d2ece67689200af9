"""Which tokens of two texts belong together, and how differently heads look at them."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanochat.analysis.alignment import Pair, aligned, compared_layers, head_divergence
from nanochat.errors import CancelledError
from nanochat.trace_storage import TraceStorage
from tests.nanochat.trace_examples import small_trace


def pairs_of(a: str, b: str) -> list[tuple[int | None, int | None, bool]]:
    return [(pair.a, pair.b, pair.same) for pair in aligned(a.split(), b.split())]


def test_a_minimal_pair_compares_after_the_word_that_was_changed():
    assert pairs_of("the symbol of gold is", "the symbol of silver is") == [
        (0, 0, True), (1, 1, True), (2, 2, True), (3, 3, False), (4, 4, True),
    ]  # fmt: skip


def test_a_word_of_more_tokens_moves_what_follows():
    assert pairs_of("of gold is", "of sil ver is") == [(0, 0, True), (1, 1, False), (None, 2, False), (2, 3, True)]
    assert pairs_of("of sil ver is", "of gold is") == [(0, 0, True), (1, 1, False), (2, None, False), (3, 2, True)]
    assert pairs_of("a b", "") == [(0, None, False), (1, None, False)]
    assert pairs_of("", "") == []


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_both_are_whole_and_in_order(a, b):
    pairs = aligned(a, b)
    assert [pair.a for pair in pairs if pair.a is not None] == list(range(len(a)))
    assert [pair.b for pair in pairs if pair.b is not None] == list(range(len(b)))
    for pair in pairs:
        assert pair.same == (pair.a is not None and pair.b is not None and a[pair.a] == b[pair.b])


def weights(size: int, heads: int = 3, seed: int = 0) -> np.ndarray:
    found = np.tril(np.random.default_rng(seed).random((heads, size, size)))
    return (found / found.sum(-1, keepdims=True)).astype(np.float32)


def test_what_looks_alike_does_not_diverge():
    a = weights(6)
    pairs = aligned(list("abcdef"), list("abcdef"))
    assert head_divergence(a, a, pairs) == pytest.approx(np.zeros(3), abs=1e-6)


def test_nor_does_it_where_a_word_was_put_in_that_nobody_looks_at():
    a = weights(4, 1)
    b = np.zeros((1, 5, 5), np.float32)
    kept = [0, 1, 3, 4]
    b[np.ix_([0], kept, kept)] = a
    b[0, 2, 2] = 1.0
    assert head_divergence(a, b, aligned(list("abde"), list("abcde"))) == pytest.approx([0.0], abs=1e-6)


def test_heads_that_share_nothing_diverge_by_a_bit():
    a, b = np.zeros((1, 3, 3)), np.zeros((1, 3, 3))
    a[0, :, 0] = 1.0
    b[0, [1, 2], [1, 2]] = 1.0
    b[0, 0, 0] = 1.0
    pairs = aligned(list("xyz"), list("xyz"))
    assert head_divergence(a, b, pairs) == pytest.approx([2 / 3])  # the first row can see but itself
    a[0] = np.eye(3)
    alone = [Pair(0, None, False), Pair(1, 1, True), Pair(2, 2, True), Pair(None, 0, False)]
    b[0] = np.zeros((3, 3))
    b[0, :, 0] = 1.0
    assert head_divergence(a, b, alone) == pytest.approx([1.0])  # all that b looks at has no partner


def test_as_the_formula_says():
    p, q = np.array([[1.0, 0.0], [0.25, 0.75]]), np.array([[1.0, 0.0], [0.5, 0.5]])
    m = (p[1] + q[1]) / 2
    expected = sum(0.5 * w[1][k] * np.log2(w[1][k] / m[k]) for w in (p, q) for k in range(2)) / 2
    assert head_divergence(p[None], q[None], aligned(list("ab"), list("ab"))) == pytest.approx([expected])


def test_nothing_paired_and_cancelled():
    assert np.isnan(head_divergence(weights(2), weights(2), aligned(["a"], []))).all()
    last = [Pair(2, 2, True)]  # the last token has no row
    assert np.isnan(head_divergence(weights(2), weights(2), last)).all()
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(CancelledError):
        head_divergence(weights(2), weights(2), aligned(["a"], ["a"]), cancel)


def test_layers_that_both_have_with_as_many_heads(tmp_path):
    storage = TraceStorage(tmp_path, catalogue=":memory:")
    one, other, wide = (
        storage.create_trace(*small_trace(layers=layers, heads=heads)) for layers, heads in ((2, 2), (3, 2), (2, 4))
    )
    with storage.open_trace(one) as a, storage.open_trace(other) as b, storage.open_trace(wide) as c:
        assert compared_layers(a, b) == [0, 1]
        assert compared_layers(a, c) == [0, 1]
        pairs = aligned(["<0>"] * 3, ["<0>"] * 3)
        assert head_divergence(a.attention(0), c.attention(0), pairs).shape == (2,)
        assert head_divergence(c.attention(0), a.attention(0), pairs).shape == (2,)
