"""The statistics of logits: all three forms of a capture, against loops from the definitions and known answers."""

import json
import math
from typing import Any

import numpy as np
import pytest

from nanochat.analysis import analyze
from nanochat.analysis import logits as logit_statistics
from nanochat.analysis.logits import (
    join_statistics,
    logits_statistics,
    token_statistics,
    top_logits_statistics,
)

VOCAB = 40
TOKENS = [3, 8, 1, 30, 12, 0, 39]  # three of the prompt, four generated


def text(token):
    return f"<{token}>"


@pytest.fixture
def all_rows():
    """(6, VOCAB): one row for each position the model ran over."""
    return (4 * np.random.default_rng(0).normal(size=(len(TOKENS) - 1, VOCAB))).astype(np.float32)


def row_by_loops(row, follower):
    """Entropy, top tokens, surprisal and probability of one row."""
    row = [float(logit) for logit in row]
    total = sum(math.exp(logit) for logit in row)
    probabilities = [math.exp(logit) / total for logit in row]
    best = sorted(range(len(row)), key=lambda token: (-row[token], token))[:5]
    tops = [
        {"token": token, "text": text(token), "logit": row[token], "probability": pytest.approx(probabilities[token])}
        for token in best
    ]
    chance = probabilities[follower]
    return sum(-p * math.log(p) for p in probabilities), tops, -math.log2(chance), chance


def statistics_by_loops(rows, followers, tolerance=1e-6) -> dict[str, Any]:
    entropies, tops, surprisals, chances = zip(*map(row_by_loops, rows, followers), strict=True)
    wide = rows.astype(np.float64)

    def near(values):
        return [pytest.approx(value, rel=tolerance) for value in values]

    return {
        "mean_logit": pytest.approx(wide.mean()),
        "std_logit": pytest.approx(wide.std()),
        "entropy_per_position": near(entropies),
        "top_tokens_per_position": list(tops),
        "surprisal_per_token": near(surprisals),
        "sampled_probability": near(chances),
    }


def logits_of(tensors, tokens=TOKENS, prompt_length=3, vocab_size=None):
    """The `logits` part of analyze(), read back from JSON that refuses NaN."""
    found = analyze(tensors, tokens=tokens, prompt_length=prompt_length, token_text=text, vocab_size=vocab_size)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found["logits"]


def top_logits(rows, count):
    """The tensors of a capture that keeps `count` logits a position."""
    indices = np.argsort(-rows, axis=1)[:, :count]
    log_sum_exp = np.log(np.exp(rows.astype(np.float64)).sum(axis=1))
    parts = {
        "values": np.take_along_axis(rows, indices, axis=1),
        "indices": indices.astype(np.int32),
        "log_sum_exp": log_sum_exp.astype(np.float32),
    }
    return {f"output_logits.{part}": array[None] for part, array in parts.items()}


@pytest.mark.parametrize("chunk", [VOCAB, 2 * VOCAB, 1000 * VOCAB])
def test_rows_match_the_definitions_in_chunks_of_any_size(all_rows, chunk, monkeypatch):
    monkeypatch.setattr(logit_statistics, "CHUNK_ELEMENTS", chunk)
    assert logits_statistics(all_rows, TOKENS[1:], text) == statistics_by_loops(all_rows, TOKENS[1:])


def test_a_capture_of_the_generated_rows_has_no_prompt(all_rows):
    found = logits_of({"output_logits": all_rows[None, 2:]})
    assert found == statistics_by_loops(all_rows[2:], TOKENS[3:])


def test_a_capture_of_all_rows_adds_the_prompt_whose_first_token_nothing_foretold(all_rows):
    found = logits_of({"output_logits": all_rows[None]})
    prompt = found.pop("prompt")
    assert found == statistics_by_loops(all_rows[2:], TOKENS[3:])
    expected = statistics_by_loops(all_rows[:2], TOKENS[1:3])
    assert prompt == {
        "surprisal_per_token": [None, *expected["surprisal_per_token"]],
        "entropy_per_position": [None, *expected["entropy_per_position"]],
        "top_tokens_per_position": [[], *expected["top_tokens_per_position"]],
    }


def test_an_empty_response_has_empty_lists(all_rows):
    nothing = join_statistics([])
    assert nothing["mean_logit"] is None
    assert logits_of({"output_logits": all_rows[None, :0]}, TOKENS[:3]) == nothing
    found = logits_of({"output_logits": all_rows[None, :3]}, TOKENS[:3])
    assert len(found.pop("prompt")["surprisal_per_token"]) == 3
    assert found == nothing
    assert logits_of(top_logits(all_rows[:1], 4), TOKENS[:1], 1)["prompt"]["surprisal_per_token"] == [None]


def test_top_logits_give_what_they_can_and_none_for_the_rest(all_rows):
    all_rows[2, TOKENS[3]] = 50  # the first generated token is among the kept, the second is not
    all_rows[3, TOKENS[4]] = -50
    found = logits_of(top_logits(all_rows, 7))
    prompt = found.pop("prompt")
    expected = statistics_by_loops(all_rows[2:], TOKENS[3:], tolerance=1e-5)  # log_sum_exp is kept as float32
    kept = [token in np.argsort(-row)[:7] for row, token in zip(all_rows[2:], TOKENS[3:], strict=True)]
    assert kept[:2] == [True, False]
    for key in ("surprisal_per_token", "sampled_probability"):
        assert found[key] == [value if there else None for value, there in zip(expected[key], kept, strict=True)]
    tokens = [[top["token"] for top in tops] for tops in found["top_tokens_per_position"]]
    assert tokens == [[top["token"] for top in tops] for tops in expected["top_tokens_per_position"]]
    assert found["top_tokens_per_position"][0][0]["probability"] == pytest.approx(1)
    assert found["entropy_per_position"] == [None] * 4
    assert found["mean_logit"] is found["std_logit"] is None
    assert prompt["entropy_per_position"] == [None] * 3
    assert [len(tops) for tops in prompt["top_tokens_per_position"]] == [0, 5, 5]


def test_top_logits_of_the_whole_vocabulary_are_as_good_as_all(all_rows):
    assert logits_of(top_logits(all_rows, VOCAB), vocab_size=VOCAB) == logits_of({"output_logits": all_rows[None]})
    assert logits_of(top_logits(all_rows, VOCAB - 1), vocab_size=VOCAB)["entropy_per_position"] == [None] * 4


def test_fewer_than_five_logits_kept_are_all_shown(all_rows):
    values, indices, log_sum_exp = (array[0] for array in top_logits(all_rows, 2).values())
    found = top_logits_statistics(values, indices, log_sum_exp, TOKENS[1:], text)
    assert [len(tops) for tops in found["top_tokens_per_position"]] == [2] * 6
    assert [len(tops) for tops in logits_statistics(all_rows[:, :3], [0] * 6, text)["top_tokens_per_position"]] == [
        3
    ] * 6


def test_equal_logits_rank_by_token_id():
    row = np.zeros((1, 9), np.float32)
    row[0, 7] = 1
    found = logits_statistics(row, [7], text)["top_tokens_per_position"][0]
    assert [top["token"] for top in found] == [7, 0, 1, 2, 3]


def test_equal_logits_have_the_entropy_of_the_vocabulary_and_a_certain_token_no_surprise():
    rows = np.zeros((2, 64), np.float32)
    rows[1, 5] = 1000
    found = logits_statistics(rows, [9, 5], text)
    assert found["entropy_per_position"] == pytest.approx([math.log(64), 0])
    assert found["surprisal_per_token"] == pytest.approx([6, 0])
    assert found["sampled_probability"] == pytest.approx([1 / 64, 1])


def test_a_row_with_nan_is_none_and_its_neighbours_are_not(all_rows):
    expected = statistics_by_loops(all_rows, TOKENS[1:])
    all_rows[2, 11] = np.nan
    found = logits_statistics(all_rows, TOKENS[1:], text)
    assert found["mean_logit"] is found["std_logit"] is None
    for key in ("entropy_per_position", "surprisal_per_token", "sampled_probability"):
        assert found[key] == [None if at == 2 else value for at, value in enumerate(expected[key])]
    tops = expected["top_tokens_per_position"]
    assert found["top_tokens_per_position"] == [*tops[:2], [], *tops[3:]]


def test_a_token_ruled_out_by_minus_infinity_takes_no_part(all_rows):
    all_rows[0, 4] = -np.inf
    found = logits_statistics(all_rows[:1], [4], text)
    assert found["entropy_per_position"] == [pytest.approx(row_by_loops(np.delete(all_rows[0], 4), 0)[0])]
    assert found["surprisal_per_token"] == [None]
    assert found["sampled_probability"] == [0]


def test_one_token_has_the_numbers_of_its_row(all_rows):
    entropy, _, surprisal, probability = row_by_loops(all_rows[0], 8)
    expected = {"surprisal": surprisal, "probability": probability, "entropy": entropy}
    assert token_statistics(all_rows[0], 8) == pytest.approx(expected)
    all_rows[0, 0] = np.nan
    assert set(token_statistics(all_rows[0], 8).values()) == {None}


def test_parts_join_into_the_whole(all_rows):
    parts = [logits_statistics(all_rows[rows], TOKENS[1:][rows], text) for rows in (slice(0, 1), slice(1, 6))]
    assert join_statistics(parts) == statistics_by_loops(all_rows, TOKENS[1:])


def test_a_lazy_source_reads_each_tensor_once_and_no_other(all_rows):
    read = []

    class Source(dict):
        def __getitem__(self, name):
            read.append(name)
            return super().__getitem__(name)

        def __contains__(self, name):
            raise AssertionError("asking for a name may read the tensor")

    logits_of(Source(top_logits(all_rows, 4) | {"token_embeddings": np.zeros((1, 6, 2))}))
    assert sorted(read) == ["output_logits.indices", "output_logits.log_sum_exp", "output_logits.values"]
