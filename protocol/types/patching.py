"""What carried an answer: parts of one prompt's forward put into another's."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.types import meanings
from protocol.types.base import Count, Id, Params, Result, Text
from protocol.types.generation import Message
from protocol.types.models import ModelInfo
from protocol.types.why import ANYWAY, ASKED_TOKEN, ESTIMATE, Cost

EXAMPLE = [{"prompt": "The capital of France is"}, {"prompt": "The capital of Norway is"}]


class PatchPrompt(Params):
    """A prompt: a text, a chat, or that of a trace; give one of them."""

    prompt: Annotated[Text, Meta(description="Plain text.")] | None = None
    messages: (
        Annotated[list[Message], Meta(max_length=10_000, description="A chat that ends with the user's message.")]
        | None
    ) = None
    trace_id: Annotated[Id, Meta(description="The prompt of this trace.")] | None = None


class PatchReceiver(Params):
    """The head that a path leads to."""

    layer: Annotated[Count, Meta(description="Its layer, 1 or later.")]
    head: Annotated[Count, Meta(description="The head.")]
    input: Annotated[Literal["q", "k", "v"], Meta(description="By what it reads: its queries, keys or values.")]


class PatchScanParams(Params):
    """Two prompts of the same number of tokens, and the two tokens whose logits are compared after them."""

    clean: Annotated[PatchPrompt, Meta(description="After this one the answer comes.", examples=EXAMPLE[:1])]
    corrupted: Annotated[
        PatchPrompt,
        Meta(description="After this one it does not; parts of the clean one are put into it.", examples=EXAMPLE[1:]),
    ]
    answer: Annotated[
        Count | ASKED_TOKEN,
        Meta(description="The token that comes after the clean prompt: a number, or a text that is one token."),
    ]
    against: Annotated[
        Count | ASKED_TOKEN, Meta(description="The token that it is compared with, such as the corrupted prompt's.")
    ]
    what: Annotated[
        Literal["heads", "attention", "mlp", "residual", "paths"],
        Meta(
            description="What is put in. `heads`: a head's output at all positions. `attention`, `mlp`: what that "
            "wrote at one position. `residual`: the stream that a layer reads, at one position. `paths`: what a head "
            "gives the `receiver` directly, all else that this reads being as corrupted."
        ),
    ] = "heads"
    method: Annotated[
        Literal["exact", "gradient"],
        Meta(description="`gradient`: all cells from one backward, to first order, which is an approximation."),
    ] = "exact"
    layers: Annotated[list[Count], Meta(max_length=10_000, description="These alone; null: all.")] | None = None
    receiver: Annotated[PatchReceiver | None, Meta(description="Of `paths`, and needed there.")] = None
    anyway: Annotated[bool, ANYWAY] = False
    estimate: Annotated[bool, ESTIMATE] = False
    stream: Annotated[bool, Meta(description="Send `request_progress` as it goes.")] = False


class PatchBaseline(Result):
    """The answer's logit minus the other token's at the last position, after the softcap, without a patch."""

    clean: Annotated[float, Meta(description="After the clean prompt.")]
    corrupted: Annotated[float, Meta(description="After the corrupted one.")]


class PatchAxis(Result):
    """What rows or columns are."""

    name: Annotated[Literal["layer", "head", "position"], Meta(description="What they number.")]
    values: Annotated[list[int], Meta(description="The number of each.")]


class PatchToken(Result):
    """A token of a prompt."""

    token: Annotated[int, meanings.TOKEN]
    text: Annotated[str, meanings.TOKEN_TEXT]


class PatchScanResult(Result):
    """How far each patch brings the corrupted prompt's answer to the clean one's."""

    what: Annotated[str, Meta(description="As it was asked.")]
    method: Annotated[str, Meta(description="As it was asked; `gradient` is an approximation.")]
    answer: Annotated[PatchToken, Meta(description="The token that comes after the clean prompt.")]
    against: Annotated[PatchToken, Meta(description="The token that it is compared with.")]
    clean: Annotated[list[PatchToken], Meta(description="The clean prompt.")]
    corrupted: Annotated[list[PatchToken], Meta(description="The corrupted one.")]
    baseline: Annotated[PatchBaseline | None, Meta(description="Null for an estimate.")]
    effects: Annotated[
        list[list[float]],
        Meta(
            description="By the axes: 0 as corrupted, 1 as clean; less than 0 is away from the clean one. Empty for an "
            "estimate."
        ),
    ]
    axes: Annotated[list[PatchAxis], Meta(description="Of the rows, then of the columns.")]
    worst_error: Annotated[
        float | None,
        Meta(description="Of `gradient`: its largest difference from the exact effect, in the cells `checked`."),
    ]
    checked: Annotated[list[tuple[int, int]], Meta(description="Those cells, as numbers of the axes: the strongest.")]
    model: Annotated[ModelInfo, Meta(description="The model that answers.")]
    other_model: Annotated[
        str | None, Meta(description="How it differs from the one that wrote a trace, where it does.")
    ] = None
    cost: Annotated[Cost | None, Meta(description="What it would take, where that was asked.")] = None
    receiver: Annotated[str | None, Meta(description="Of `paths`: layer.head and by what it reads, such as 3.1.v.")] = (
        None
    )
