"""What differs between two traces, against numpy's own reckoning."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nanochat.analysis.alignment import Pair, aligned, parted_at
from nanochat.errors import CancelledError
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from nanochat.traces.trace import Trace
from nanochat.why.difference import (
    differing_notices,
    head_differences,
    paired_layers,
    site_differences,
    surprisals,
)
from tests.models import golden_model, random_model

A, B = "The symbol of gold is", "The symbol of silver is"


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    model, tokenizer = golden_model()
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    return InterpretabilityEngine(model, tokenizer, storage)


def pairs_of(a: Trace, b: Trace) -> list[Pair]:
    texts = [[*(t.fields.tokens.prompt_text or ()), *(t.fields.tokens.generated_text or ())] for t in (a, b)]
    return aligned(*texts)


def test_heads_and_sites_differ_as_numpy_says(engine: InterpretabilityEngine) -> None:
    wanted = {"sites": ["token_embeddings", "residual", "q", "post_mlp", "attention_weights"], "logits": "all"}
    made = [engine.generate_and_capture(text, max_tokens=4, capture=wanted)["trace_id"] for text in (A, B)]
    with engine.storage.open_trace(made[0]) as a, engine.storage.open_trace(made[1]) as b:
        pairs = pairs_of(a, b)
        rows = [(p.a, p.b) for p in pairs if p.a is not None and p.b is not None]
        size = [a.attention(0).shape[-1], b.attention(0).shape[-1]]
        inside = [(i, j) for i, j in rows if i < size[0] and j < size[1]]
        left, right = (np.array(side) for side in zip(*inside, strict=True))
        found = {(row.site, row.layer): row for row in site_differences(a, b, pairs)}
        layers = engine.model.config.n_layer
        assert len(found) == 1 + (layers + 1) + 2 * layers
        for (site, layer), row in found.items():
            name = site if layer is None else f"layer_activations.layer_{layer}.{site}"
            one, other = (
                t.tensor(name)[0][index].reshape(len(index), -1).astype(float) for t, index in ((a, left), (b, right))
            )
            cosine = [1 - x @ y / np.sqrt((x @ x) * (y @ y)) for x, y in zip(one, other, strict=True)]
            assert row.cosine == pytest.approx(np.mean(cosine), abs=1e-9)
            lengths = [np.sqrt(((y - x) ** 2).sum()) for x, y in zip(one, other, strict=True)]
            assert row.norm == pytest.approx(np.mean(lengths))
            assert row.share == pytest.approx(np.mean(lengths) / np.mean([np.sqrt(x @ x) for x in one]))
        assert (found["token_embeddings", None].cosine or 0) > 0.01
        heads = head_differences(a, b, pairs, str)
        analyses: list[Any] = [t.document["analysis"]["attention"]["layer_stats"] for t in (a, b)]
        assert [(row.layer, row.head) for row in heads] == [
            (i, h) for i in range(layers) for h in range(engine.model.config.n_head)
        ]
        for row in heads:
            ours, theirs = (stats[str(row.layer)]["heads"][row.head] for stats in analyses)
            assert row.numbers["attention_entropy"] == theirs["attention_entropy"] - ours["attention_entropy"]
            assert row.numbers["sink"] == theirs["sink"] - ours["sink"]
            p, q = (t.attention(row.layer)[row.head].astype(float) for t in (a, b))
            divergences: list[float] = []
            for i, j in zip(left, right, strict=True):
                x = np.append(p[i, left], 1 - p[i, left].sum())
                y = np.append(q[j, right], 1 - q[j, right].sum())
                apart = np.array([*x[:-1], max(x[-1], 0), 0]), np.array([*y[:-1], 0, max(y[-1], 0)])
                mean = (apart[0] + apart[1]) / 2
                divergences.append(sum((w[w > 0] * np.log2(w[w > 0] / mean[w > 0])).sum() for w in apart) / 2)
            assert row.divergence == pytest.approx(np.mean(divergences), abs=1e-6)
        bits = surprisals(a, str)
        logits = a.logits().astype(float)
        ids = a.fields.tokens.all
        chances = [logits[i] - np.log(np.exp(logits[i] - logits[i].max()).sum()) - logits[i].max() for i in range(5)]
        assert bits[0] is None
        assert bits[1:6] == pytest.approx([-chances[i][ids[i + 1]] / np.log(2) for i in range(5)], abs=1e-4)


def test_a_trace_and_itself_do_not_differ(engine: InterpretabilityEngine) -> None:
    made = engine.generate_and_capture(A, max_tokens=3)["trace_id"]
    with engine.storage.open_trace(made) as a, engine.storage.open_trace(made) as b:
        pairs = pairs_of(a, b)
        for row in site_differences(a, b, pairs):
            assert (row.cosine, row.norm, row.share) == (0.0, 0.0, 0.0)
        for head in head_differences(a, b, pairs, str):
            assert head.divergence == pytest.approx(0, abs=1e-6) and not any(head.numbers.values())
        assert differing_notices(a, b) == []


def test_what_one_lacks_is_said(engine: InterpretabilityEngine) -> None:
    sites = ["post_mlp", "attention_weights"], ["post_attn", "post_mlp"]
    made = [engine.generate_and_capture(A, max_tokens=2, capture={"sites": names})["trace_id"] for names in sites]
    with engine.storage.open_trace(made[0]) as a, engine.storage.open_trace(made[1]) as b:
        assert head_differences(a, b, pairs_of(a, b), str) == []
        assert {row.site for row in site_differences(a, b, pairs_of(a, b))} == {"post_mlp"}
        assert differing_notices(a, b) == [
            "A was captured without post_attn: capture it again with these to compare them.",
            "B was captured without attention_weights: capture it again with these to compare them.",
        ]


def test_models_of_other_depths_and_widths_stand_side_by_side_by_relative_depth(
    engine: InterpretabilityEngine,
) -> None:
    deep = InterpretabilityEngine(random_model(n_layer=6), engine.tokenizer, engine.storage)
    assert engine.model.config.n_layer == 4
    made = [each.generate_and_capture(A, max_tokens=2)["trace_id"] for each in (engine, deep)]
    with engine.storage.open_trace(made[0]) as a, engine.storage.open_trace(made[1]) as b:
        pairs = pairs_of(a, b)
        heads = {(row.layer, row.other_layer) for row in head_differences(a, b, pairs, str)}
        assert heads == {(0, 0), (1, 2), (2, 3), (3, 5)}
        first, *others = differing_notices(a, b)
        assert first == (
            "A's model has 4 layers and B's 6: those of the same relative depth stand side by side, "
            "0 with 0, 1 with 2, 2 with 3, 3 with 5."
        )
        same_width = engine.model.config.n_embd == deep.model.config.n_embd
        assert same_width or "cannot be compared" in others[-1]
        assert bool(site_differences(a, b, pairs)) == same_width


@pytest.mark.parametrize(
    ("a", "b", "pairs"), [(1, 3, [(0, 0)]), (3, 1, [(0, 0), (1, 0), (2, 0)]), (2, 2, [(0, 0), (1, 1)])]
)
def test_layers_in_pairs(a: int, b: int, pairs: list[tuple[int, int]]) -> None:
    assert paired_layers(a, b) == pairs


def test_where_texts_part() -> None:
    assert [parted_at("abc", other) for other in ("abc", "abd", "ab", "abcd", "x", "")] == [None, 2, 2, 3, 0, 0]


def test_it_ends_where_it_is_cancelled(engine: InterpretabilityEngine) -> None:
    made = engine.generate_and_capture(A, max_tokens=2)["trace_id"]
    cancel = threading.Event()
    cancel.set()
    with engine.storage.open_trace(made) as a, pytest.raises(CancelledError):
        site_differences(a, a, pairs_of(a, a), cancel)
    with engine.storage.open_trace(made) as a, pytest.raises(CancelledError):
        head_differences(a, a, pairs_of(a, a), str, cancel)
