"""What an answer hangs on: heads and MLPs switched off one by one, heads' roles, and why it was said."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from protocol.types import meanings
from protocol.types.base import Count, Id, Params, Result
from protocol.types.models import ModelInfo
from protocol.types.traces import Alternative
from protocol.types.why import ANYWAY, ASKED_TOKEN, ESTIMATE, STOOD, Cost, LensDecided, LogitComponent

OTHER_MODEL = Meta(description="How it differs from the one that wrote the trace, where it does.")
ANSWERS = Meta(description="The model that answers.")
COST = Meta(description="What it would take, where that was asked.")
LAYER = Meta(description="The layer.")
HEAD = Meta(description="The head; null: the layer's MLP.")


class AblationScanParams(Params):
    """A position of a trace; the model runs the tokens up to it as often as it has heads and MLPs, and once more."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    position: Annotated[Count, STOOD]
    token: Annotated[
        Count | ASKED_TOKEN | None,
        Meta(description="Asked about: a number, or a text that is one token; null: the text's own next token."),
    ] = None
    against: Annotated[
        Count | ASKED_TOKEN | None, Meta(description="Logits are the differences to this token's; null: themselves.")
    ] = None
    layers: (
        Annotated[list[Count], Meta(max_length=10_000, description="Their heads and MLPs alone; null: all.")] | None
    ) = None
    top: Annotated[int, Meta(ge=1, le=100, description="So many of the likeliest tokens of each outcome.")] = 5
    anyway: Annotated[bool, ANYWAY] = False
    estimate: Annotated[bool, ESTIMATE] = False


class AblationOutcome(Result):
    """What is foretold at the position."""

    logit: Annotated[float, Meta(description="Of the token asked about, after the softcap; or its lead on `against`.")]
    probability: Annotated[float, Meta(description="Of the token asked about, at temperature 1.")]
    rank: Annotated[int, Meta(description="Of the token asked about; 1: the likeliest.")]
    top: Annotated[list[Alternative], Meta(description="The likeliest tokens, the likeliest first.")]


class Looked(Result):
    """A position that a head reads from."""

    position: Annotated[int, meanings.POSITION]
    weight: Annotated[float, Meta(description="The attention weight, 0 to 1.")]


class AblationEffect(Result):
    """What becomes of the answer without one head or MLP: its output is zero."""

    layer: Annotated[int, LAYER]
    head: Annotated[int | None, HEAD]
    everywhere: Annotated[AblationOutcome, Meta(description="Switched off at all positions.")]
    here: Annotated[
        AblationOutcome,
        Meta(
            description="Switched off at the position alone. Where this changes little and `everywhere` much, it did "
            "its work at earlier tokens."
        ),
    ]
    looked: Annotated[
        list[Looked], Meta(description="Where the head looks from the position, the strongest three first.")
    ]


class AblationScanResult(Result):
    """What an answer hangs on, whoever wrote it. Two parts that do each other's work may both look needless."""

    position: Annotated[int, STOOD]
    token: Annotated[int, Meta(description="The one asked about.")]
    text: Annotated[str, meanings.TOKEN_TEXT]
    against: Annotated[int | None, Meta(description="The other token of a difference.")]
    against_text: Annotated[str | None, Meta(description="Its text.")]
    baseline: Annotated[AblationOutcome | None, Meta(description="With nothing switched off; null for an estimate.")]
    effects: Annotated[
        list[AblationEffect],
        Meta(description="In the order of the model, each layer's MLP last; empty for an estimate."),
    ]
    model: Annotated[ModelInfo, ANSWERS]
    other_model: Annotated[str | None, OTHER_MODEL] = None
    cost: Annotated[Cost | None, COST] = None


class ScanHeadsParams(Params):
    """Of the model that the session names."""

    ablate: Annotated[
        bool, Meta(description="Switch each head off too, and see what is still foretold, which takes longest.")
    ] = True


class HeadRole(Result):
    """Something that heads do."""

    key: Annotated[str, Meta(description="As `scores` and `roles` call it.")]
    words: Annotated[str, Meta(description="What follows after `a head that`.")]
    at: Annotated[float, Meta(description="The score from which on a head is said to do so.")]


class HeadHabit(Result):
    """What one head does on random tokens that repeat."""

    layer: Annotated[int, LAYER]
    head: Annotated[int, Meta(description="The head.")]
    scores: Annotated[dict[str, float], Meta(description="By role, the mean weight where the role looks, 0 to 1.")]
    roles: Annotated[list[str], Meta(description="Those that it has, the strongest first; most heads have none.")]
    accuracy: Annotated[
        float | None,
        Meta(description="The share of repeated tokens that the model foretells without it; null: not tried."),
    ]


class ScanHeadsResult(Result):
    """Roles as properties of the model, found on `<|bos|>` + r + r: ten draws of 25 random tokens r."""

    accuracy: Annotated[float, Meta(description="The share of repeated tokens that the whole model foretells.")]
    heads: Annotated[list[HeadHabit], Meta(description="In the order of the model.")]
    roles: Annotated[list[HeadRole], Meta(description="What the roles are.")]
    model: Annotated[ModelInfo, ANSWERS]


class WhyParams(Params):
    """A position of a trace; the model runs the tokens up to it once for each head and MLP, and for some more."""

    trace_id: Annotated[Id, meanings.TRACE_ID]
    position: Annotated[
        Count | None,
        Meta(
            description="What stands there foretells the token at the next one. null: where the token was written that "
            "the model gave least; the first written, where it gave each 90% or more."
        ),
    ] = None
    anyway: Annotated[bool, ANYWAY] = False
    estimate: Annotated[bool, ESTIMATE] = False


class WhyLine(Result):
    """A sentence."""

    about: Annotated[
        Literal["sure", "else", "decided", "written_by", "head", "heads", "mlps", "flip"],
        Meta(
            description="How sure it was; what else it might have said; at which depth it was decided; who wrote it; a "
            "head that the answer dies without; the other heads; the MLPs; what flips it."
        ),
    ]
    text: Annotated[str, Meta(description="For people.")]
    command: Annotated[str, Meta(description="What shows more, for a shell.")]


class WhyUnit(Result):
    """Something switched off."""

    layer: Annotated[int, LAYER]
    head: Annotated[int | None, HEAD]


class WhyFlip(Result):
    """The smallest change found that flips the answer: one head, else one MLP, else the strongest heads together."""

    units: Annotated[list[WhyUnit], Meta(description="Switched off together, at all positions.")]
    top: Annotated[list[Alternative], Meta(description="What it says then, the likeliest first.")]


class WhyResult(Result):
    """Why the model said that. All but `token` is about its likeliest answer, which a sampled token need not be."""

    position: Annotated[int, STOOD]
    token: Annotated[int | None, Meta(description="The token that was written there; null: none was.")]
    text: Annotated[str | None, Meta(description="Its text.")]
    probability: Annotated[float | None, Meta(description="What the model gives it, at temperature 1.")]
    rank: Annotated[int | None, Meta(description="Which of its choices it is; 1: the answer.")]
    by: Annotated[
        Literal["model", "prompt", "calculator", "changed", "other"],
        Meta(
            description="Who wrote the token: the model; nobody, it is the prompt's; the calculator; the model while "
            "parts of it were changed; another model."
        ),
    ]
    answer: Annotated[int | None, Meta(description="The likeliest token; null for an estimate.")]
    answer_text: Annotated[str | None, Meta(description="Its text.")]
    rival: Annotated[
        int | None, Meta(description="The written token where it is not the answer, else the second likeliest.")
    ]
    rival_text: Annotated[str | None, Meta(description="Its text.")]
    lines: Annotated[list[WhyLine], Meta(description="At most ten, in their order; empty for an estimate.")]
    model: Annotated[ModelInfo, ANSWERS]
    decided: Annotated[LensDecided | None, Meta(description="Where the answer leads in the stream.")] = None
    total: Annotated[float | None, Meta(description="By how much it leads the rival, before the softcap.")] = None
    components: Annotated[
        list[LogitComponent], Meta(description="Of its lead on the rival, as `attribute_logits` has them.")
    ] = field(default_factory=list)
    baseline: Annotated[
        AblationOutcome | None, Meta(description="The answer's, its logit as its lead on the rival.")
    ] = None
    effects: Annotated[
        list[AblationEffect], Meta(description="As `ablation_scan` has them, of the answer's lead on the rival.")
    ] = field(default_factory=list)
    flip: Annotated[WhyFlip | None, Meta(description="null: none was found.")] = None
    other_model: Annotated[str | None, OTHER_MODEL] = None
    cost: Annotated[Cost | None, COST] = None
