"""The analysis of a trace: against slow loops written from the definitions, and on cases with known answers."""

import json
import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanochat import analysis
from nanochat.analysis import attention, registry

LOGITS_OF_NOTHING = analysis.join_statistics([])


def random_attention(random, heads, size, window=None, masked=0.0):
    """(heads, size, size) float32 rows that sum to 1 over the visible keys; `masked` everywhere else."""
    queries, keys = np.indices((size, size))
    visible = (queries >= keys) & (queries - keys <= (size if window is None else window))
    weights = np.where(visible, np.exp(3 * random.normal(size=(heads, size, size))), 0.0)
    weights /= weights.sum(axis=2, keepdims=True)
    return np.where(visible, weights, masked).astype(np.float32)


def head_by_loops(rows, tokens, window, threshold=0.01):
    """Every metric of one head (S, S), from the definitions and nothing else; NaN where undefined."""
    size = len(rows)
    sees = [[k for k in range(size) if k <= q and q - k <= window] for q in range(size)]
    cells = [float(rows[q][k]) for q in range(size) for k in sees[q]]
    entropies = [sum(-float(rows[q][k]) * math.log(rows[q][k]) for k in sees[q] if rows[q][k] > 0) for q in range(size)]
    normalised = [entropies[q] / math.log(len(sees[q])) for q in range(size) if len(sees[q]) > 1]

    def mass(q, keys):
        return sum(float(rows[q][k]) for k in keys if k in sees[q])

    repeats = {q: [j for j in range(q) if tokens[j] == tokens[q]] for q in range(size) if tokens[q] in tokens[:q]}

    def mean(values):
        values = list(values)
        return sum(values) / len(values) if values else math.nan

    return {
        "mean_attention": mean(cells),
        "max_attention": max(cells),
        "attention_entropy": mean(entropies),
        "attention_entropy_normalised": mean(normalised),
        "head_sparsity": mean(cell < threshold for cell in cells),
        "previous_token": mean(mass(q, [q - 1]) for q in range(1, size)),
        "duplicate_token": mean(mass(q, earlier) for q, earlier in repeats.items()),
        "induction": mean(mass(q, [j + 1 for j in earlier]) for q, earlier in repeats.items()),
        "sink": mean(mass(q, [0]) for q in range(size) if 0 in sees[q]),
    }


def analyze(tensors, tokens, prompt_length=None, **settings):
    """analyze() as the engine calls it; its answer is read back from JSON that refuses NaN."""
    found = analysis.analyze(
        tensors,
        tokens=tokens,
        prompt_length=len(tokens) if prompt_length is None else prompt_length,
        token_text=lambda token: f"<{token}>",
        **settings,
    )
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def close(expected):
    return None if math.isnan(expected) else pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(1, 12),
    window=st.none() | st.integers(0, 14),
    alphabet=st.integers(1, 9),
    threshold=st.sampled_from([0.01, 0.2]),
)
def test_heads_match_the_definitions_and_masked_cells_never_count(seed, size, window, alphabet, threshold):
    random = np.random.default_rng(seed)
    tokens = random.integers(0, alphabet, size).tolist()
    weights = random_attention(random, 3, size, window, masked=7.0)
    weights *= np.array([0.5, 1, 0.8], np.float32)[:, None, None]  # else row 0 makes every head's largest weight 1
    found = analyze(
        {"attention_weights.layer_0": weights[None]}, tokens, windows=[window], sparsity_threshold=threshold
    )
    layer = found["attention"]["layer_stats"]["0"]
    expected = [head_by_loops(head, tokens, size if window is None else window, threshold) for head in weights]
    defined = expected[0].keys()  # here by loops; of a metric that is added, its own tests tell
    assert [{key: head[key] for key in defined} for head in layer["heads"]] == [
        {key: close(value) for key, value in head.items()} for head in expected
    ]
    assert {key: value for key, value in layer.items() if key in defined} == {
        key: close(registry.OVER_HEADS[metric.over_heads](np.array([head[key] for head in expected])))
        for key, metric in analysis.HEAD_METRICS.items()
        if metric.over_heads and key in defined
    }


def test_heads_taken_in_pieces_are_all_there_and_in_order(monkeypatch):
    weights = random_attention(np.random.default_rng(1), 5, 6)
    together = analyze({"attention_weights.layer_0": weights[None]}, [1, 2, 3, 1, 2, 3])
    monkeypatch.setattr(attention, "CELLS_AT_ONCE", 2 * 36)
    assert analyze({"attention_weights.layer_0": weights[None]}, [1, 2, 3, 1, 2, 3]) == together
    assert len(together["attention"]["layer_stats"]["0"]["heads"]) == 5


def test_uniform_attention_has_the_entropy_of_its_row_lengths():
    size = 8
    weights = np.tril(np.ones((1, size, size))) / np.arange(1, size + 1)[:, None]
    assert attention.attention_entropy(weights) == pytest.approx(np.log(np.arange(1, size + 1)).mean())
    assert attention.attention_entropy_normalised(weights) == pytest.approx(1)
    assert attention.mean_attention(weights) == pytest.approx(size / (size * (size + 1) / 2))


def test_one_hot_attention_has_no_entropy_and_is_sparse_but_for_one_cell_a_row():
    weights = np.eye(5)[None]
    assert attention.attention_entropy(weights) == 0
    assert attention.attention_entropy_normalised(weights) == 0
    assert attention.max_attention(weights) == 1
    assert attention.head_sparsity(weights) == pytest.approx(10 / 15)
    assert attention.head_sparsity(weights, window=1) == pytest.approx(4 / 9)
    assert attention.head_sparsity(weights, sparsity_threshold=2.0) == 1


def heads_that_look(targets):
    """(1, S, S) attention whose query q puts everything on key targets[q]."""
    return np.eye(len(targets))[targets][None]


def test_a_perfect_previous_token_head_scores_one():
    previous = heads_that_look([0, 0, 1, 2, 3])
    assert attention.previous_token(previous) == 1
    assert attention.previous_token(heads_that_look([0, 1, 2, 3, 4])) == 0
    assert attention.previous_token(previous, window=0) == 0


def test_a_perfect_induction_head_scores_one_and_is_no_duplicate_token_head():
    tokens = [9, 1, 2, 3, 1, 2, 3]
    induction = heads_that_look([0, 0, 0, 0, 2, 3, 4])
    assert attention.induction(induction, tokens) == 1
    assert attention.duplicate_token(induction, tokens) == 0
    duplicate = heads_that_look([0, 0, 0, 0, 1, 2, 3])
    assert attention.duplicate_token(duplicate, tokens) == 1
    assert attention.induction(duplicate, tokens) == 0


def test_repeats_outside_the_window_count_as_queries_without_mass():
    tokens = [1, 1, 2, 3, 1]  # position 1 repeats within the window, position 4 only outside it
    weights = heads_that_look([0, 0, 2, 3, 0])
    assert attention.duplicate_token(weights, tokens) == 1
    assert attention.duplicate_token(weights, tokens, window=2) == 0.5


def test_a_token_after_its_equal_counts_the_mass_on_itself_as_induction():
    assert attention.induction(heads_that_look([0, 1]), [4, 4]) == 1


def test_roles_of_a_text_without_repeats_are_nan_without_a_warning():
    weights = heads_that_look([0, 0, 1])
    assert np.isnan(attention.duplicate_token(weights, [1, 2, 3])).all()
    assert np.isnan(attention.induction(weights, [1, 2, 3])).all()


def test_sink_is_read_only_where_position_0_is_visible():
    weights = heads_that_look([0, 0, 0, 3, 3])
    assert attention.sink(weights) == pytest.approx(3 / 5)
    assert attention.sink(weights, window=2) == 1


def test_a_layer_with_nan_has_none_where_the_nan_enters_and_numbers_elsewhere():
    weights = random_attention(np.random.default_rng(2), 2, 6)
    weights[1, 4, :5] = np.nan
    layer = analyze({"attention_weights.layer_0": weights[None]}, [1, 2, 3, 1, 2, 9])["attention"]["layer_stats"]["0"]
    sound, broken = layer.pop("heads")
    assert set(layer.values()) == set(broken.values()) == {None}
    assert None not in sound.values()


def test_a_single_position_has_no_previous_token_and_no_normalised_entropy():
    found = analyze({"attention_weights.layer_0": np.ones((1, 1, 1, 1), np.float32)}, [7])
    layer = found["attention"]["layer_stats"]["0"]
    assert layer["attention_entropy"] == 0
    assert layer["attention_entropy_normalised"] is None
    roles = ("previous_token", "duplicate_token", "induction", "sink")
    assert [layer["heads"][0][role] for role in roles] == [None, None, None, 1]


def test_narrowed_layers_keep_their_own_numbers_and_windows():
    weights = random_attention(np.random.default_rng(3), 2, 5, window=1, masked=7.0)[None]
    tensors = {f"attention_weights.layer_{layer}": weights for layer in (10, 2)}
    tensors |= {f"layer_activations.layer_{layer}.post_mlp": np.ones((1, 5, 3), np.float32) for layer in (10, 2)}
    found = analyze(tensors, [1, 2, 3, 4, 5], windows=[None] * 2 + [1] * 9)
    assert found["attention"]["num_layers"] == 2
    assert list(found["attention"]["layer_stats"]) == ["2", "10"]
    assert found["attention"]["layer_stats"]["2"]["max_attention"] <= 1
    sites = [(layer, list(sites)) for layer, sites in found["activations"]["layer_stats"].items()]
    assert sites == [("2", ["post_mlp"]), ("10", ["post_mlp"])]


def test_nothing_captured_gives_the_keys_with_nothing_in_them():
    empty = {"attention": {"num_layers": 0, "layer_stats": {}}, "activations": {"layer_stats": {}}}
    assert analyze({}, [1, 2]) == empty | {"logits": LOGITS_OF_NOTHING}


def test_the_tokens_of_the_roles_are_those_the_model_read():
    tokens = [1, 2, 3, 1, 5]  # the last one was drawn and never read
    weights = heads_that_look([0, 0, 0, 1])[None]
    found = analyze({"attention_weights.layer_0": weights}, tokens, prompt_length=3)
    assert found["attention"]["layer_stats"]["0"]["heads"][0]["induction"] == 1


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_every_stored_type_gives_the_statistics_of_the_values_it_holds(dtype):
    random = np.random.default_rng(4)
    weights = random_attention(random, 2, 6).astype(dtype)
    values = (3 + random.normal(size=(1, 6, 4))).astype(dtype)
    names = ("attention_weights.layer_0", "layer_activations.layer_0.post_attn")
    found = analyze(dict(zip(names, (weights[None], values), strict=True)), [1, 2, 1, 2, 1, 2])
    wide = [weights.astype(np.float64)[None], values.astype(np.float64)]
    assert found == analyze(dict(zip(names, wide, strict=True)), [1, 2, 1, 2, 1, 2])


def test_activations_match_numpy_however_they_are_cut():
    values = np.random.default_rng(5).normal(100, 0.5, size=(1, 700, 400)).astype(np.float32)  # more than one block
    values[0, 3, :7] = (0, 1e-7, -1e-7, 0, 0, 2e-6, -500)
    wide = values.astype(np.float64)
    assert analysis.activation_statistics(values) == {
        "mean": pytest.approx(wide.mean()),
        "std": pytest.approx(wide.std()),
        "max": wide.max(),
        "min": -500,
        "sparsity": 5 / values.size,
    }
    assert analysis.activation_statistics(np.full((1, 2, 3), 0.1, np.float32))["std"] == 0


def test_activations_with_nan_are_none():
    values = np.zeros((1, 2, 3), np.float32)
    values[0, 1, 1] = np.nan
    assert set(analysis.activation_statistics(values).values()) == {None}


def model_attention(repeat_length, calls):
    """Two layers of two heads: induction and previous token, uniform and to position 0."""

    def attention_for(ids):
        calls.append(ids)
        size = len(ids)
        diagonal = [np.eye(size, k=-offset)[None] for offset in (repeat_length - 1, 1)]
        uniform = np.tril(np.ones((1, size, size))) / np.arange(1, size + 1)[:, None]
        yield np.concatenate(diagonal).astype(np.float32)
        yield np.concatenate([uniform, heads_that_look([0] * size)])[None]

    return attention_for


def test_model_scores_are_read_off_the_diagonals_of_bos_and_a_random_repeat():
    calls = []
    scores = analysis.model_head_scores(model_attention(25, calls), 99, range(30), draws=3, seed=1)
    size = 51
    uniform = [np.mean([1 / (q + 1) for q in range(start, size)]) for start in (24, 1)]
    assert scores["induction"] == pytest.approx(np.array([[1, 0], [uniform[0], 1 / 27]]))
    assert scores["previous_token"] == pytest.approx(np.array([[0, 1], [uniform[1], 1 / 50]]))
    for ids in calls:
        assert ids[0] == 99
        assert ids[1:26] == ids[26:]
        assert len(set(ids[1:26])) == 25
        assert set(ids[1:]) <= set(range(30))
    assert len({tuple(ids) for ids in calls}) == 3


def test_model_scores_repeat_with_the_seed_and_average_the_draws():
    def attention_for(ids):
        return [np.full((1, len(ids), len(ids)), ids[1], np.float32)]

    def scores(seed, draws=4):
        return analysis.model_head_scores(attention_for, 0, range(1, 1000), 3, draws, seed)["induction"].item()

    assert scores(1) == scores(1) != scores(2)
    assert scores(1, draws=1) != scores(1)
    few = analysis.model_head_scores(attention_for, 0, [5], repeat_length=3, draws=2)
    assert few["induction"].tolist() == few["previous_token"].tolist() == [[5]]


@pytest.fixture
def metrics():
    """The tables, as they were before the test."""
    tables: list[dict[str, Any]] = [registry.HEAD_METRICS, registry.LAYER_METRICS, registry.TOKEN_METRICS]
    before = [dict(table) for table in tables]
    yield
    for table, rows in zip(tables, before, strict=True):
        table.clear()
        table.update(rows)


LOOKS_AT_ITSELF = {"attention_weights.layer_0": heads_that_look([0, 0])[None]}


def test_a_new_head_metric_is_one_decorated_function(metrics):
    @analysis.head_metric(
        "smallest", label="Smallest weight", over_heads="mean", role=analysis.Role("is a test", at=0.2)
    )
    def smallest(rows):
        """Smallest weight of
        a valid cell.

        (H,).
        """
        return rows.cells.min(axis=1)

    layer = analyze(LOOKS_AT_ITSELF, [1, 2])["attention"]["layer_stats"]["0"]
    assert layer["smallest"] == layer["heads"][0]["smallest"] == 0
    assert analysis.described_metrics()["smallest"] == {
        "of": "head",
        "label": "Smallest weight",
        "short": "smallest weight",
        "hint": "",
        "meaning": "Smallest weight of a valid cell.",
        "unit": "",
        "span": [0.0, 1.0],
        "over_heads": "mean",
        "role": {"words": "is a test", "at": 0.2},
    }


def broken(rows):
    raise ZeroDivisionError("as it was written in a hurry")


@pytest.mark.parametrize(
    "function",
    [broken, lambda rows: rows.cells[:, 0] * np.nan, lambda rows: np.zeros(77), lambda rows: "three"],
    ids=["raises", "NaN", "another shape", "no numbers"],
)
def test_a_metric_that_fails_costs_its_own_number_alone(metrics, function):
    before = analyze(LOOKS_AT_ITSELF, [1, 2])["attention"]["layer_stats"]["0"]
    analysis.head_metric("poor", label="Poor", over_heads="mean")(function)
    layer = analyze(LOOKS_AT_ITSELF, [1, 2])["attention"]["layer_stats"]["0"]
    assert layer.pop("poor") is None
    assert layer["heads"][0].pop("poor") is None
    assert layer == before


SITE = {"layer_activations.layer_0.post_attn": np.arange(6, dtype=np.float32).reshape(1, 2, 3)}
LOGITS = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]], np.float32))


def test_a_new_layer_metric_is_one_decorated_function(metrics):
    @analysis.layer_metric("norm", label="Norm")
    def norm(site):
        """Root of the sum of squares."""
        return np.sqrt((site.values**2).sum())

    numbers = analyze(SITE, [1, 2])["activations"]["layer_stats"]["0"]["post_attn"]
    assert numbers["norm"] == pytest.approx(55**0.5)
    described = analysis.described_metrics()["norm"]
    assert (described["of"], described["span"], described["meaning"]) == ("layer", None, "Root of the sum of squares.")


def test_a_new_token_metric_is_one_decorated_function(metrics):
    @analysis.token_metric("confidence", label="Confidence", span=(0.0, 1.0))
    def confidence(rows):
        """Probability of the likeliest token."""
        return np.exp(rows.logits.max(axis=1) - rows.log_sum_exp)

    found = analyze({"output_logits": LOGITS[None]}, [0, 1, 1], 1)["logits"]
    assert found["confidence"] == [pytest.approx(0.5), pytest.approx(0.75)]
    of_all = analyze({"output_logits": LOGITS[None]}, [0, 1, 1], 2)["logits"]
    assert of_all["confidence"] == [pytest.approx(0.75)]
    assert of_all["prompt"]["confidence"] == [None, pytest.approx(0.5)]
    assert "sampled_probability" not in of_all["prompt"]
    assert analysis.described_metrics()["confidence"]["of"] == "token"


def test_a_token_metric_that_needs_every_logit_is_none_of_the_highest_alone(metrics, caplog):
    @analysis.token_metric("confidence", label="Confidence")
    def confidence(rows):
        return np.exp(rows.logits.max(axis=1) - rows.log_sum_exp)

    values, indices = -np.sort(-LOGITS, axis=1)[:, :2], np.argsort(-LOGITS, axis=1)[:, :2]
    found = analysis.top_logits_statistics(values, indices, np.zeros(2), [0, 1], str)
    assert found["confidence"] == [None, None]
    assert found["surprisal_per_token"] == [pytest.approx(1), pytest.approx(-np.log2(0.75))]
    assert not caplog.records


@pytest.mark.parametrize("function", [broken, lambda site: "three", lambda site: [1, 2]], ids=["raises", "text", "two"])
def test_a_layer_metric_that_fails_costs_its_own_number_alone(metrics, function):
    before = analyze(SITE, [1, 2])["activations"]["layer_stats"]["0"]["post_attn"]
    analysis.layer_metric("poor", label="Poor")(function)
    numbers = analyze(SITE, [1, 2])["activations"]["layer_stats"]["0"]["post_attn"]
    assert numbers.pop("poor") is None
    assert numbers == before


@pytest.mark.parametrize(
    "function", [broken, lambda rows: "three", lambda rows: [1, 2, 3]], ids=["raises", "text", "3"]
)
def test_a_token_metric_that_fails_costs_its_own_numbers_alone(metrics, function):
    before = analysis.logits_statistics(LOGITS, [0, 1], str)
    analysis.token_metric("poor", label="Poor")(function)
    found = analysis.logits_statistics(LOGITS, [0, 1], str)
    assert found.pop("poor") == [None, None]
    assert found == before


def test_a_key_that_is_taken_is_refused(metrics):
    with pytest.raises(AssertionError, match="sink"):
        analysis.layer_metric("sink", label="Sink")(lambda site: 0.0)


def test_every_metric_says_what_it_is():
    for key, told in analysis.described_metrics().items():
        assert told["label"] and told["meaning"].endswith(".") and "(H,)" not in told["meaning"], key
        assert "(n," not in told["meaning"], key
        assert len(told["short"]) <= 11, key
