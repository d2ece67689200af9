"""What is known of an answer, in sentences for people, each with the command that shows more."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nanochat.why.ablation import Effect, Outcome
from nanochat.why.heads import described
from nanochat.why.lens import Point
from nanochat.why.switching_off import Unit
from nanochat.why.why import Why
from nanochat.why.words import Words, either, listed, ordinal, percent, quoted

About = Literal["sure", "else", "decided", "written_by", "head", "heads", "mlps", "flip"]
HEADS, WRITERS = 3, 3  # told one by one
LEAST = 0.02  # of the lead, that a part wrote or took off to be told
MATTERS = 0.9  # without it the answer has less than this share of its probability
EARLIER = 0.2  # a head did its work earlier if it does less than this share of it here
MOST, SOME = 0.5, 0.1  # of a head's weight: looked there alone; looked there too
CHANGED = " The text was written while parts of the model were changed; this is about the whole model."


@dataclass(frozen=True)
class Line:
    """A sentence, what it is about, and the words of a command that shows more; the trace's id comes second."""

    about: About
    text: str
    command: list[str]


@dataclass(frozen=True)
class Origin:
    """How the written token came.

    Attributes:
        by: "model"; "prompt": it is part of the prompt; "calculator"; "changed": parts of the model were changed
            meanwhile; "other": another model wrote it.
        temperature: None: it is not told.
    """

    by: Literal["model", "prompt", "calculator", "changed", "other"] = "model"
    temperature: float | None = None


@dataclass(frozen=True)
class Telling:
    """What the sentences are made of.

    Attributes:
        texts: of the text's tokens.
        token_text: of any token.
        roles: by layer and head, those of `nanochat.why.heads`.
    """

    why: Why
    texts: Sequence[str]
    token_text: Callable[[int], str]
    origin: Origin = field(default_factory=Origin)
    roles: dict[tuple[int, int], list[str]] = field(default_factory=dict)

    @property
    def words(self) -> Words:
        """The words that the tokens are part of."""
        return Words(self.texts, self.token_text)

    def said(self, token: int, *more: str, whole: bool = False) -> str:
        """A token that could stand at the next position, with more to say of it in brackets.

        `whole`: with the word that it is part of, or makes.
        """
        place = self.why.position + 1
        word = self.words.of_written(place) if token == self.why.written else self.words.of_another(token, place)
        notes = [*((word,) if whole and word else ()), *more]
        text = self.texts[place] if token == self.why.written else self.token_text(token)
        return quoted(text) + (f" ({'; '.join(notes)})" if notes else "")


def told(telling: Telling) -> list[Line]:
    """At most ten lines, from how sure it was to what flips the answer."""
    lines = [_sure(telling), _else(telling), _decided(telling), _written_by(telling), *_heads(telling)]
    return [*lines, *_mlps(telling), _flip(telling)]


def _at(telling: Telling) -> list[str]:
    return ["--at", str(telling.why.position)]


def _sure(telling: Telling) -> Line:
    why, origin = telling.why, telling.origin
    share = percent(why.scan.baseline.probability)
    answer = telling.said(why.answer, whole=True)
    own = f"it was {share} sure of {answer}"
    if why.written in (None, why.answer):
        text = f"It {'is' if why.written is None else 'was'} {share} sure of {answer}."
        text += CHANGED if origin.by == "changed" else ""
        return Line("sure", text, ["tokens"])
    assert why.chance is not None
    written, (chance, rank) = telling.said(why.written, whole=True), why.chance
    choice = f"its {ordinal(rank)} choice, which it gave {percent(chance)}"
    heat = "" if origin.temperature is None else f", at temperature {origin.temperature:g},"
    text = {
        "prompt": f"The prompt goes on with {written}, {choice}; {own}.",
        "calculator": f"The calculator wrote {written}, the model's {ordinal(rank)} choice; {own}.",
        "changed": f"{written} was written while parts of the model were changed. To the whole model it is {choice}; "
        f"{own}.",
        "other": f"Another model wrote {written}. To this one it is {choice}; {own}.",
        "model": f"Chance{heat} drew {written}, {choice}; {own}."
        if origin.temperature != 0
        else f"{written} was written, {choice}; {own}.",
    }[origin.by]
    return Line("sure", text, ["tokens"])


def _else(telling: Telling) -> Line:
    why = telling.why
    others = [(token, share) for token, share in why.scan.baseline.top if token != why.answer][:3]
    named = [telling.said(token, percent(share), whole=True) for token, share in others]
    likely = others[0][1] >= 0.01
    text = (
        f"It might also have said {either(named)}." if likely else f"Nothing else came near: next were {listed(named)}."
    )
    return Line("else", text, ["lens", *_at(telling)])


def _decided(telling: Telling) -> Line:
    first, stays = telling.why.decided.first, telling.why.decided.stays
    answer, last = telling.said(telling.why.answer), max(effect.layer for effect in telling.why.scan.effects)
    command = ["lens", *_at(telling)]
    if stays.at == "embedding":
        return Line("decided", f"{answer} leads from the embedding on: no layer was needed for it.", command)
    if stays.at == "output":
        end = f"{answer} leads only at the output, once the stream at half depth is taken off"
    else:
        layers = f"the last of {last + 1} layers" if stays.layer == last else f"of the layers 0 to {last}"
        end = f"{answer} leads for good {_point(stays)}, {layers}"
    led = "" if first == stays else f"; it led for the first time {_point(first)}"
    return Line("decided", f"{end}{led}.", command)


def _point(point: Point) -> str:
    if point.layer is None:
        return f"at the {point.at}"
    return f"after the {'MLP' if point.at == 'mlp' else 'attention'} of layer {point.layer}"


def _written_by(telling: Telling) -> Line:
    why, groups = telling.why, {}
    for part in why.attribution.components:
        name = _writer(part.kind, part.layer, part.head)
        groups[name] = groups.get(name, 0.0) + part.value
    total = why.attribution.total
    ranked = sorted(groups.items(), key=lambda item: -item[1])
    (first, most), *others = [
        (name, value) for name, value in ranked[:WRITERS] if value > LEAST * abs(total)
    ] or ranked[:1]
    names = listed([f"{first} wrote {most:.2f}", *(f"{name} {value:.2f}" for name, value in others)])
    name, value = ranked[-1]
    against = f"; {name} took {-value:.2f} off" if -value > LEAST * abs(total) else ""
    text = f"Of the {total:.2f} by which {telling.said(why.answer)} leads {telling.said(why.rival)}, {names}{against}."
    return Line("written_by", text, ["attribute", *_at(telling), *_asked(telling)])


def _writer(kind: str, layer: int | None, head: int | None) -> str:
    if kind == "head":
        return f"head {layer}.{head}"
    if kind == "backout":
        return "the end's backout"
    return f"MLP {layer}" if kind in ("mlp", "neuron") else "the embedding"


def _asked(telling: Telling) -> list[str]:
    """Which logits, for `attribute`; nothing where their texts cannot be typed."""
    answer, rival = telling.token_text(telling.why.answer), telling.token_text(telling.why.rival)
    plain = all(text.isprintable() and "\\x" not in text and not text.startswith("<") for text in (answer, rival))
    if not plain:
        return []
    return [*(() if telling.why.written == telling.why.answer else ("--token", answer)), "--against", rival]


def _heads(telling: Telling) -> list[Line]:
    why, heads = telling.why, telling.why.heads
    needed, first = [effect for effect in heads if _matters(why, effect)], heads[0]
    if not needed:
        habit = _habit(telling, first)
        text = (
            f"No single head is needed. The most is lost without head {_name(first)}{f', {habit}' if habit else ''}: "
        )
        text += f"{percent(first.everywhere.probability)} instead of {percent(why.scan.baseline.probability)}."
        return [Line("heads", text, ["heads"])]
    lines = [Line("head", _without(telling, effect), ["ablate", _name(effect)]) for effect in needed[:HEADS]]
    rest, more = heads[len(lines) :], [_name(effect) for effect in needed[HEADS:]]
    if more:
        some = f", {listed(more[:4])} among them" if len(more) > len(more[:4]) else f": {listed(more)}"
        count = "One more" if len(more) == 1 else f"{len(more)} more"
        text = f"{count} of the {len(heads)} heads matter{'s' if len(more) == 1 else ''}{some}."
    elif rest:
        kept = percent(rest[0].everywhere.probability)
        text = f"None of the other {len(rest)} heads is needed: without any one of them {telling.said(why.answer)} "
        text += f"keeps {kept} or more."
    else:
        return lines
    return [*lines, Line("heads", text, ["heads"])]


def _matters(why: Why, effect: Effect) -> bool:
    return why.flips(effect.everywhere) or effect.everywhere.probability < MATTERS * why.scan.baseline.probability


def _without(telling: Telling, effect: Effect) -> str:
    """One head's sentence."""
    habit = _habit(telling, effect)
    name = f"Without head {_name(effect)}{f', {habit},' if habit else ''}"
    return f"{name} {_outcome(telling, effect.everywhere)}."


def _outcome(telling: Telling, outcome: Outcome) -> str:
    why = telling.why
    token, share = outcome.top[0]
    if why.flips(outcome):
        kept = f"{percent(share)}; {telling.said(why.answer)} {percent(outcome.probability)}"
        return f"it would have said {telling.said(token, kept, whole=True)}"
    return f"it would have been {percent(outcome.probability)} sure instead of {percent(why.scan.baseline.probability)}"


def _habit(telling: Telling, effect: Effect) -> str:
    """What the head does as a rule, and where it looked: "which by habit looks one token back"."""
    assert effect.head is not None
    habit = described(telling.roles.get((effect.layer, effect.head), [])[:1])
    if _worked_earlier(telling.why, effect):
        return f"which {f'by habit {habit} and ' if habit else ''}did its work at earlier tokens"
    places = _places(telling, effect)
    if habit:
        here = f"{', here at' if habit.startswith('looks') else ' and here looked at'} {places}" if places else ""
        return f"which by habit {habit}{here}"
    return f"which looked at {places}" if places else ""


def _worked_earlier(why: Why, effect: Effect) -> bool:
    everywhere, here = (_loss(why, outcome) for outcome in (effect.everywhere, effect.here))
    return everywhere > 0 and here < EARLIER * everywhere


def _loss(why: Why, outcome: Outcome) -> float:
    """How much less likely the answer is, as the difference of logarithms."""
    tiny = 1e-300
    return math.log(max(tiny, why.scan.baseline.probability)) - math.log(max(tiny, outcome.probability))


def _places(telling: Telling, effect: Effect) -> str:
    places = [(position, weight) for position, weight in effect.looked if weight >= SOME][:2]
    if places and places[0][1] >= MOST:
        places = places[:1]
    return listed([f"{quoted(telling.texts[position])} ({percent(weight)})" for position, weight in places])


def _mlps(telling: Telling) -> list[Line]:
    why = telling.why
    needed = sorted((effect for effect in why.mlps if _matters(why, effect)), key=lambda effect: effect.layer)
    if not needed:
        return [Line("mlps", "No single MLP is needed.", ["lens", *_at(telling)])]
    first = needed[-1] if len(needed) == 1 else min(needed, key=lambda effect: effect.everywhere.probability)
    if len(needed) == 1:
        text = f"Of the MLPs it needs that of layer {first.layer}, without which {_outcome(telling, first.everywhere)}."
    else:
        layers = listed([str(effect.layer) for effect in needed])
        text = f"It needs the MLPs of layers {layers}; without that of layer {first.layer} "
        text += f"{_outcome(telling, first.everywhere)}."
    return [Line("mlps", text, ["ablate", f"{first.layer}.mlp"])]


def _flip(telling: Telling) -> Line:
    why, flip = telling.why, telling.why.flip
    if flip is None:
        text = "No head, no MLP and none of the strongest heads together flip the answer."
        return Line("flip", text, ["heads"])
    what, then = listed([_unit(unit) for unit in flip.units]), f"(it then says {telling.said(flip.top[0][0])})"
    command = ["ablate", *(f"{unit.layer}.{'mlp' if unit.head is None else unit.head}" for unit in flip.units)]
    if len(flip.units) > 1:
        names = listed([f"{unit.layer}.{unit.head}" for unit in flip.units])
        return Line(
            "flip", f"No single part flips the answer; switching off heads {names} together does {then}.", command
        )
    others = sum(why.flips(effect.everywhere) for effect in why.scan.effects) - 1
    more = f" So would each of {others} other heads or MLPs." if others > 1 else ""
    more = " So would one other head or MLP." if others == 1 else more
    return Line("flip", f"One change is enough to flip the answer: switch off {what} {then}.{more}", command)


def _unit(unit: Unit) -> str:
    return f"the MLP of layer {unit.layer}" if unit.head is None else f"head {unit.layer}.{unit.head}"


def _name(effect: Effect) -> str:
    return f"{effect.layer}.{effect.head}"
