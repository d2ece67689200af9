"""Tables and tokens, from what analyze really returns."""

import io
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console, Group, RenderableType

from nanochat.analysis import HEAD_METRICS, analyze
from nanochat.system.text import short_probability, three_digits
from nanochat.terminal import tables as terminal
from nanochat.traces.document import generated_statistics

LAYERS, HEADS, WIDTH, VOCABULARY = 3, 4, 8, 50
TOKENS = [0, 5, 6, 7, 5, 6, 8, 9]  # 5 and 6 come twice
PROMPT_LENGTH = 4


def weights_of(kind: str, size: int) -> np.ndarray:
    """One head that attends mostly to the previous position, the first one, or everything alike."""
    previous = np.maximum(np.arange(size) - 1, 0)
    favoured = {"previous": (previous, 20), "weak previous": (previous, 2), "sink": (np.zeros(size, int), 20)}
    rows = np.tril(np.ones((size, size)))
    if kind in favoured:
        keys, extra = favoured[kind]
        rows[np.arange(size), keys] += extra
    return rows / rows.sum(axis=1, keepdims=True)


@pytest.fixture
def document() -> dict[str, Any]:
    """A document as a trace holds it, from made-up tensors: heads 0.1 and 1.2 look back one, 2.0 at the start."""
    random = np.random.default_rng(0)
    size = len(TOKENS) - 1
    kinds = {(0, 1): "weak previous", (1, 2): "previous", (2, 0): "sink"}
    tensors: dict[str, np.ndarray] = {"output_logits": random.normal(0, 3, (1, 4, VOCABULARY)).astype(np.float32)}
    for layer in range(LAYERS):
        heads = [weights_of(kinds.get((layer, head), "even"), size) for head in range(HEADS)]
        tensors[f"attention_weights.layer_{layer}"] = np.stack(heads)[None].astype(np.float32)
        for site in terminal.SITES:
            values = random.normal(0, 10.0**layer, (1, size, WIDTH))
            tensors[f"layer_activations.layer_{layer}.{site}"] = values.astype(np.float32)
    tensors["layer_activations.layer_1.post_mlp"][:, :, :4] = 0
    analysis = analyze(tensors, tokens=TOKENS, prompt_length=PROMPT_LENGTH, token_text=lambda token: f" t{token}")
    return {
        "analysis": analysis,
        "tokens": {"output_text": [" t5", " t6", "\n", "\x1b[2J"], "forced": [False, False, True, False]},
    }


def drawn(renderable: RenderableType, width: int = 100, color: bool = False) -> str:
    buffer = io.StringIO()
    system = "truecolor" if color else None
    Console(file=buffer, width=width, force_terminal=color, color_system=system, _environ={}).print(renderable)
    return buffer.getvalue()


def all_tables(document: dict[str, Any]) -> Group:
    analysis, tokens = document["analysis"], document["tokens"]
    return Group(
        terminal.attention_table(analysis["attention"]),
        terminal.activations_table(analysis["activations"]),
        terminal.logits_table(generated_statistics(analysis["logits"], 4), tokens["output_text"], tokens["forced"], 0),
    )


def row_of(text: str, first_cell: str) -> str:
    return next(line for line in text.splitlines() if line.split()[:1] == [first_cell])


def test_attention_table_has_a_row_a_layer_and_names_roles(document: dict[str, Any]) -> None:
    attention = document["analysis"]["attention"]
    text = drawn(terminal.attention_table(attention))
    assert "H2 previous 0.8" in row_of(text, "1")
    assert "1 sink" in row_of(text, "2")
    entropy = attention["layer_stats"]["0"]["attention_entropy"]
    assert f"{entropy:.2f}" in row_of(text, "0")
    assert "H1 previous 0.5" in row_of(text, "0")
    assert "▄███" in row_of(text, "2")  # evenly spread heads reach the most that entropy can be


def test_attention_table_without_a_previous_head_names_none(document: dict[str, Any]) -> None:
    attention = document["analysis"]["attention"]
    for stats in attention["layer_stats"].values():
        stats["heads"] = [
            {key: None if HEAD_METRICS[key].role else value for key, value in head.items()} for head in stats["heads"]
        ]
    assert "previous" not in drawn(terminal.attention_table(attention))
    assert terminal.notable_head(attention) == (
        1,
        2,
        f"entropy {attention['layer_stats']['1']['heads'][2]['attention_entropy']:.2f}",
    )


def test_the_notable_head_is_the_clearest_role(document: dict[str, Any]) -> None:
    chosen = terminal.notable_head(document["analysis"]["attention"])
    assert chosen is not None
    assert chosen[:2] == (1, 2)
    assert chosen[2].startswith("previous 0.8")


def test_induction_is_told_before_a_clearer_previous_head(document: dict[str, Any]) -> None:
    attention = document["analysis"]["attention"]
    attention["layer_stats"]["2"]["heads"][3]["induction"] = 0.4
    assert terminal.notable_head(attention) == (2, 3, "induction 0.40")


def test_a_head_is_named_once_by_its_highest_role(document: dict[str, Any]) -> None:
    attention = document["analysis"]["attention"]
    attention["layer_stats"]["2"]["heads"][1].update(induction=0.6, previous_token=0.7)
    named = terminal.notable_roles(attention, 2)
    assert named.startswith("H1 previous 0.70, ") and named.count("H1 ") == 1


def test_no_attention_no_notable_head() -> None:
    assert terminal.notable_head({"num_layers": 0, "layer_stats": {}}) is None


def test_activations_table_shows_zeros_only_where_there_are_some(document: dict[str, Any]) -> None:
    text = drawn(terminal.activations_table(document["analysis"]["activations"]))
    assert "50%" in row_of(text, "1")
    assert "%" not in row_of(text, "0")
    stats = document["analysis"]["activations"]["layer_stats"]["2"]["post_attn"]
    assert f"±{three_digits(stats['std'])}" in row_of(text, "2")


def test_small_activations_keep_their_size_and_stand_below_each_other(document: dict[str, Any]) -> None:
    layers = document["analysis"]["activations"]["layer_stats"]
    for layer, (mean, std) in enumerate([(-0.00123, 0.0345), (0.0456, 12.3), (-7.8e-6, 9e-4)]):
        layers[str(layer)]["pre_attn_norm"].update(mean=mean, std=std)
    text = drawn(terminal.activations_table(document["analysis"]["activations"]), width=140)
    cells = [row_of(text, layer)[7:26].rstrip() for layer in "012"]
    assert cells == ["-0.00123  ±0.0345", " 0.0456  ±12.3", "-7.80e-6  ±9.00e-4"]


def test_logits_table_shows_each_token_with_its_numbers(document: dict[str, Any]) -> None:
    logits = document["analysis"]["logits"]
    text = drawn(all_tables(document), width=140)
    assert f"{logits['sampled_probability'][0]:.3f}" in text
    best = logits["top_tokens_per_position"][0][0]
    assert f"·{best['text'].strip()} {short_probability(best['probability'])}" in text
    assert "↵" in text
    assert "\\x1b[2J" in text
    assert "\x1b" not in text


def test_logits_table_keeps_the_most_surprising_rows_in_order(document: dict[str, Any]) -> None:
    logits = document["analysis"]["logits"]
    logits["surprisal_per_token"] = [1.0, 5.0, None, 9.0]
    statistics = generated_statistics(logits, 4)
    text = drawn(terminal.logits_table(statistics, ["one", "two", "three", "four"], [], rows=2))
    assert "two" in text
    assert text.index("two") < text.index("four")
    assert "three" not in text
    assert "the 2 most surprising of 4 tokens" in text


@pytest.mark.parametrize("width", [60, 80, 140])
def test_tables_stay_within_the_terminal_and_keep_their_numbers(document: dict[str, Any], width: int) -> None:
    text = drawn(all_tables(document), width=width)
    assert max(map(len, text.splitlines())) <= width
    assert f"{document['analysis']['attention']['layer_stats']['0']['attention_entropy']:.2f}" in text


def test_a_narrow_terminal_cuts_a_row_rather_than_wrap_it(document: dict[str, Any]) -> None:
    texts = document["tokens"]["output_text"]
    statistics = generated_statistics(document["analysis"]["logits"], len(texts))
    text = drawn(terminal.logits_table(statistics, texts, [], rows=0), width=60)
    assert [line.split()[0] for line in text.splitlines()[3:7]] == ["1", "2", "3", "4"]
    assert all(line.rstrip().endswith("…") for line in text.splitlines()[3:7])


@pytest.mark.parametrize("part", ["attention", "activations"])
@pytest.mark.parametrize("width", [20, 40])
def test_the_narrowest_terminal_still_tells_the_layers(document: dict[str, Any], part: str, width: int) -> None:
    table = getattr(terminal, f"{part}_table")(document["analysis"][part])
    lines = drawn(table, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[1].split()[0] == "layer"
    assert [line.split()[0] for line in lines[3 : 3 + LAYERS]] == ["0", "1", "2"]


def test_a_site_that_a_layer_lacks_is_a_dash(document: dict[str, Any]) -> None:
    del document["analysis"]["activations"]["layer_stats"]["1"]["post_mlp"]
    text = drawn(terminal.activations_table(document["analysis"]["activations"]))
    assert row_of(text, "1").rstrip().endswith("–")


def test_missing_numbers_are_dashes(document: dict[str, Any]) -> None:
    logits = document["analysis"]["logits"]
    for key in ("surprisal_per_token", "sampled_probability", "entropy_per_position"):
        logits[key] = [None] * 4
    stats = document["analysis"]["activations"]["layer_stats"]["0"]["post_mlp"]
    stats.update(dict.fromkeys(stats))
    text = drawn(all_tables(document))
    assert re.search("– +±–", text)
    assert re.search("·t5 +– +– +– ", text)


@pytest.mark.parametrize("text", ["a", " a", "\n", "\n\n", "a\n", " \n b", "国"])
def test_a_streamed_token_is_printed_as_it_is(text: str) -> None:
    buffer = io.StringIO()
    console = Console(file=buffer, width=5, _environ={})
    console.print(terminal.token_text(text, 3.0), end="", soft_wrap=True)
    assert buffer.getvalue() == text


def test_surprising_tokens_are_coloured_and_forced_ones_dim() -> None:
    assert drawn(terminal.token_text("x", 0.1), color=True) == "x\n"
    assert "48;2;" in drawn(terminal.token_text("x", 4.0), color=True)
    assert drawn(terminal.token_text("x", 4.0, forced=True), color=True) == "\x1b[2mx\x1b[0m\n"
