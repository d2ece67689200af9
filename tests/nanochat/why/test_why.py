"""Why it said that: every number of the answer by another way, and the sentences that tell it."""

import threading
from dataclasses import replace

import pytest
import torch

from nanochat.checkpoint_manager import load_model
from nanochat.errors import CancelledError, SettingInvalidError
from nanochat.gpt import GPT
from nanochat.why.heads import scan_heads, texts_for
from nanochat.why.switching_off import Unit
from nanochat.why.telling import Line, Origin, Telling, told
from nanochat.why.why import Why, most_asked, why
from nanochat.why.words import Words, percent
from tests.nanochat.why.models import EVERY, model_of

MODEL, TOKENIZER, _ = load_model("demo", "cpu", "eval")


def text_of(text: str) -> list[int]:
    return TOKENIZER.encode(text, prepend=TOKENIZER.get_bos_token_id())


def token(text: str) -> int:
    (found,) = TOKENIZER.encode(text)
    return found


def lines_of(found: Why, tokens: list[int], origin: Origin | None = None) -> dict[str, Line]:
    scan = scan_heads(MODEL, texts_for(MODEL, TOKENIZER), ablate=False)
    roles = {(head.layer, head.head): head.roles for head in scan.heads}
    texts = [TOKENIZER.token_text(one) for one in tokens]
    lines = told(Telling(found, texts, TOKENIZER.token_text, origin or Origin(), roles))
    assert len(lines) <= 10
    return {line.about: line for line in reversed(lines)}  # the first of each


@pytest.mark.parametrize("case", EVERY)
@torch.inference_mode()
def test_what_flips_the_answer_flips_it(case: str) -> None:
    model, tokens = model_of(case)
    position = min(len(tokens) - 2, 15)
    found = why(model, tokens, position)
    text = torch.tensor([tokens[: position + 1]])
    own = model(text)[0, -1].softmax(-1)
    assert found.answer == int(own.argmax())
    assert found.written == tokens[position + 1]
    assert found.rival == (found.written if found.written != found.answer else int(own.topk(2).indices[1]))
    assert found.chance is not None
    assert found.chance[0] == pytest.approx(float(own[found.written]), abs=1e-5)
    assert found.attribution.logit == pytest.approx(found.scan.baseline.logit, abs=1e-4)
    if found.flip is None:
        assert not any(found.flips(effect.everywhere) for effect in found.scan.effects)
        return
    off = [
        {"op": "zero", "site": "post_mlp", "layer": unit.layer}
        if unit.head is None
        else {"op": "zero", "site": "head_output", "layer": unit.layer, "heads": [unit.head]}
        for unit in found.flip.units
    ]
    with model.editing(off):
        changed = model(text)[0, -1].softmax(-1)
    assert int(changed.argmax()) == found.flip.top[0][0] != found.answer
    assert float(changed.max()) == pytest.approx(found.flip.top[0][1], abs=1e-4)


def test_an_answer_that_no_single_part_carries() -> None:
    tokens = text_of("red green blue red green blue")
    found = why(MODEL, tokens, 6)
    assert found.flip is not None
    lines = lines_of(found, tokens)
    assert [unit.head for unit in found.flip.units] == [2, 1, 0]
    assert lines["flip"].text.startswith(
        "No single part flips the answer; switching off heads 3.2, 3.1 and 2.0 together"
    )
    assert lines["flip"].command == ["ablate", "3.2", "3.1", "2.0"]
    assert lines["head"].text == (
        "Without head 3.2, which by habit looks at what followed this token last time, here at ' blue' (87%), it would "
        "have been 51% sure instead of 92%."
    )


def test_a_head_that_did_its_work_earlier() -> None:
    tokens = text_of("one two three one two three")
    lines = lines_of(why(MODEL, tokens, 12), tokens)
    assert lines["sure"].text == "It was 88% sure of 'ree' (ends ' three')."
    assert lines["head"].text == (
        "Without head 2.0, which by habit looks one token back and did its work at earlier tokens, it would have said "
        "'w' (makes ' thw'; 68%; 'ree' 0.3%)."
    )
    assert lines["head"].command == ["ablate", "2.0"]
    assert lines["flip"].text.startswith(
        "One change is enough to flip the answer: switch off head 2.0 (it then says 'w')"
    )


def test_the_capital_of_france() -> None:
    tokens = text_of("The capital of France is Paris")
    lines = lines_of(why(MODEL, tokens, 7), tokens)
    assert lines["sure"].text == "It was 97% sure of ' P' (begins ' Paris')."
    assert lines["else"].text.startswith("Nothing else came near: next were ' N' (0.1%)")
    assert lines["decided"].text == "' P' leads for good after the MLP of layer 3, the last of 4 layers."
    assert lines["written_by"].text.startswith("Of the 9.15 by which ' P' leads ' N', MLP 3 wrote 9.18 and head 3.2")
    assert lines["written_by"].command == ["attribute", "--at", "7", "--against", " N"]
    assert lines["heads"].text.startswith("No single head is needed. The most is lost without head 3.2, which by habit")
    assert lines["flip"].command == ["ablate", "3.mlp"]


ORIGINS = {
    "model": "Chance, at temperature 0.8, drew ' N' (begins ' No'), its second choice, which it gave 0.1%; it was 97%",
    "prompt": "The prompt goes on with ' N' (begins ' No'), its second choice",
    "calculator": "The calculator wrote ' N' (begins ' No'), the model's second choice; it was",
    "changed": "' N' (begins ' No') was written while parts of the model were changed. To the whole model it is its",
    "other": "Another model wrote ' N' (begins ' No'). To this one it is its second choice",
}


@pytest.mark.parametrize("by", ORIGINS)
def test_a_token_that_is_not_the_answer_is_told_by_who_wrote_it(by: str) -> None:
    tokens = [*text_of("The capital of France is"), token(" N"), token("o")]
    found = why(MODEL, tokens, 7)
    assert found.chance is not None
    assert (found.written, found.answer, found.rival, found.chance[1]) == (token(" N"), token(" P"), token(" N"), 2)
    lines = lines_of(found, tokens, Origin(by, 0.8))  # type: ignore[arg-type]
    assert lines["sure"].text.startswith(ORIGINS[by])
    assert lines["written_by"].command == ["attribute", "--at", "7", "--token", " P", "--against", " N"]
    if by == "model":
        assert (
            "' N' (begins ' No') was written, its second" in lines_of(found, tokens, Origin("model", 0.0))["sure"].text
        )


def test_the_end_of_a_text_has_an_answer_too() -> None:
    tokens = text_of("The capital of France is")
    found = why(MODEL, tokens, 7)
    assert (found.written, found.chance) == (None, None)
    assert lines_of(found, tokens)["sure"].text == "It is 97% sure of ' P'."
    assert why(MODEL, tokens, 0).scan.position == 0


def test_most_is_asked_about_what_was_least_likely_or_came_first() -> None:
    sure = text_of("The capital of France is Paris")
    assert most_asked(MODEL, sure, [7, 8]) == 7
    drawn = [*text_of("The capital of Japan is T"), token("all")]
    assert most_asked(MODEL, drawn, range(6, len(drawn) - 1)) == len(drawn) - 2


def test_bad_positions_and_a_cancel(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = text_of("The capital of France is")
    before, event = MODEL(torch.tensor([tokens])), threading.Event()
    with pytest.raises(CancelledError):
        why(MODEL, tokens, 7, on_progress=lambda share: event.set() if share > 0.3 else None, cancel=event)
    assert MODEL.tap is None
    assert torch.equal(MODEL(torch.tensor([tokens])), before)
    monkeypatch.setattr(GPT, "_forward", None)
    for position in (8, -1):
        with pytest.raises(SettingInvalidError, match=f"no position {position}"):
            why(MODEL, tokens, position)


def test_words() -> None:
    words = Words(["<|bos|>", " Par", "i", "um", ",", " x", "\n", "é"], {5: "is", 6: " y", 7: "!"}.__getitem__)
    assert [words.of_written(place) for place in range(1, 6)] == [
        "begins ' Parium'",
        "is part of ' Parium'",
        "ends ' Parium'",
        "",
        "",
    ]
    assert words.of_another(5, 2) == "makes ' Paris'"
    assert [words.of_another(one, 2) for one in (6, 7)] == ["", ""]
    assert words.of_another(5, 0) == ""


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "100%"),
        (0.99999, "over 99.9%"),
        (0.9988, "99.9%"),
        (0.966, "97%"),
        (0.0149, "1%"),
        (0.0034, "0.3%"),
        (0.0003, "0.03%"),
        (1e-9, "under 0.0001%"),
    ],
)
def test_percentages_say_no_more_than_is_known(share: float, text: str) -> None:
    assert percent(share) == text


def test_an_answer_that_the_embedding_gives() -> None:
    tokens = text_of("The capital of France is Paris")
    found = why(MODEL, tokens, 7)
    embedding = replace(found.decided.first, layer=None, at="embedding", backout=None)
    early = replace(found, decided=replace(found.decided, first=embedding))
    assert lines_of(early, tokens)["decided"].text.endswith("; it led for the first time at the embedding.")
    earliest = replace(found, decided=replace(found.decided, first=embedding, stays=embedding))
    assert "no layer was needed" in lines_of(earliest, tokens)["decided"].text


def test_a_head_is_a_smaller_change_than_an_mlp_that_does_more() -> None:
    tokens = text_of("Two and two is the capital of")
    found = why(MODEL, tokens, 9)
    assert found.flip is not None
    assert found.flip.units[0] == Unit(0, 0)
    assert found.flips(found.mlps[0].everywhere)
    assert found.mlps[0].everywhere.probability < found.heads[0].everywhere.probability
