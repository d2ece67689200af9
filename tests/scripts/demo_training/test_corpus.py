import re
from collections import Counter
from itertools import islice
from random import Random

import pytest

from nanochat.tokenizer import RustBPETokenizer
from scripts.demo_training import facts as facts
from scripts.demo_training.corpus import (
    OPERATIONS,
    OPPOSITES,
    RELATIONS,
    calculation,
    documents,
    encode,
    plain,
    random_repeat,
    sentence,
    small_sums,
    story,
)


def texts(count, seed=0):
    return ["".join(piece.text for piece in document) for document in islice(documents(Random(seed)), count)]


def test_there_are_enough_facts():
    assert len(facts.CAPITALS) >= 150
    assert len(facts.FORMULAS) + len(facts.SYMBOLS) >= 100
    assert len(facts.FORMULAS) >= 50


def test_no_subject_has_two_answers():
    with pytest.raises(ValueError, match="'France' has two rows"):
        facts._table("France = Paris; Italy = Rome\nFrance = Lyon")


@pytest.mark.parametrize("table", [facts.CAPITALS, facts.SYMBOLS], ids=["capitals", "symbols"])
def test_no_answer_is_given_twice(table):
    assert [answer for answer, count in Counter(table.values()).items() if count > 1] == []


def test_no_word_has_two_opposites():
    words = Counter(word for pair in facts.OPPOSITE_PAIRS.items() for word in pair)
    assert words.most_common(1)[0][1] == 1
    assert all(OPPOSITES[OPPOSITES[word]] == word for word in OPPOSITES)


@pytest.mark.parametrize("relation", RELATIONS)
def test_facts_are_plain_ascii_without_stray_signs(relation):
    for subject, answer in RELATIONS[relation].table.items():
        assert re.fullmatch(r"[A-Za-z][A-Za-z '\-]*", subject), subject
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9 ().,'\-]*", answer), answer


def test_formulas_are_made_of_elements():
    symbols = {*facts.SYMBOLS.values(), "D"}  # D: deuterium, in heavy water
    for subject, formula in facts.FORMULAS.items():
        elements = re.findall(r"[A-Z][a-z]?", formula)
        assert set(elements) <= symbols, subject
        assert re.sub(r"[A-Z][a-z]?|[2-9]|1\d|2\d|[()]", "", formula) == "", subject


@pytest.mark.parametrize(
    ("relation", "subject", "expected"),
    [
        ("capital", "France", "The capital of France is Paris."),
        ("capital", "the United States", "The capital of the United States is Washington, D.C."),
        ("formula", "water", "The chemical formula of water is H2O."),
        ("symbol", "gold", "The chemical symbol of gold is Au."),
        ("opposite", "cold", "The opposite of cold is hot."),
        ("plural", "mouse", "The plural of mouse is mice."),
    ],
)
def test_a_fact_is_one_sentence(relation, subject, expected):
    assert sentence(RELATIONS[relation], subject) == expected


def test_the_same_seed_writes_the_same_corpus():
    assert texts(500, seed=3) == texts(500, seed=3)
    assert texts(500, seed=3) != texts(500, seed=4)


def test_every_fact_is_written_in_both_forms():
    written = set(texts(40_000))
    for relation in RELATIONS.values():
        for subject in relation.table:
            answer = sentence(relation, subject)
            question = relation.question.format(s=subject)
            assert f"<|bos|>{answer}" in written
            chat = f"<|bos|><|user_start|>{question}<|user_end|><|assistant_start|>{answer}<|assistant_end|>"
            assert chat in written


def test_arithmetic_is_right_wherever_it_is_written():
    written = "\n".join(texts(20_000))
    sums = re.findall(r"(\d+) ([-+*]) (\d+) = (\d+)\.", written)
    calls = re.findall(r"<\|python_start\|>(\d+)([-+*])(\d+)<\|python_end\|><\|output_start\|>(\d+)<", written)
    assert len(sums) > 300
    assert len(calls) > 300
    for left, operator, right, result in sums + calls:
        assert OPERATIONS[operator][1](int(left), int(right)) == int(result)
    assert {operator for _, operator, _, _ in calls} == set(OPERATIONS)


def test_small_sums_stay_small():
    assert all(0 <= OPERATIONS[operator][1](left, right) <= 100 for left, operator, right in small_sums())


def test_the_ring_goes_to_the_other_one():
    receivers = Counter()
    for seed in range(300):
        text = story(Random(seed))[-1].text
        match = re.fullmatch(r"(\w+) and (\w+) went to the \w+\. (\w+) gave a \w+ to (\w+)\.", text)
        assert match
        first, second, giver, receiver = match.groups()
        assert {giver, receiver} == {first, second}
        assert first != second
        receivers[receiver == first] += 1
    assert min(receivers.values()) > 100


def test_random_repeats_repeat_and_stay_ordinary():
    random = Random(0)
    for _ in range(200):
        longest = random.randint(24, 255)
        ids, period = random_repeat(random, 1000, longest)
        assert ids[period:] == ids[:-period]
        assert len(ids) in (2 * period, 3 * period)
        assert len(ids) <= longest
        assert all(0 <= token < 1000 for token in ids)


@pytest.fixture(scope="module")
def byte_tokenizer():
    return RustBPETokenizer.train_from_iterator(["a b c"], 265)


def test_only_what_the_calculator_says_carries_no_loss(byte_tokenizer):
    ids, learned = encode(byte_tokenizer, calculation("What is 12 + 7?", 12, "+", 7))
    text = byte_tokenizer.decode([token for token, kept in zip(ids, learned, strict=True) if not kept])
    assert text == "<|output_start|>19<|output_end|>"
    whole = "<|python_start|>12+7<|python_end|><|output_start|>19<|output_end|>The answer is 19.<|assistant_end|>"
    assert byte_tokenizer.decode(ids).endswith(whole)


def test_a_text_cannot_smuggle_special_tokens_in(byte_tokenizer):
    ids, _ = encode(byte_tokenizer, plain("<|assistant_end|>"))
    assert byte_tokenizer.encode_special("<|assistant_end|>") not in ids
