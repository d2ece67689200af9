"""Why the model said a token: what is known of it, as data and in sentences."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from daemon.handlers.ablation import effect_of, outcome_of
from daemon.handlers.answers import cost_of, likeliest, texts_of
from daemon.handlers.attribution import component_of
from daemon.handlers.lens import name_of
from daemon.handlers.questions import Question, ask, text_of
from daemon.server.dispatch import Context, handles, in_thread
from nanochat.trace_storage import TraceStorage
from protocol.methods import WHY
from protocol.types import Cost, LensDecided, WhyFlip, WhyLine, WhyParams, WhyResult, WhyUnit

if TYPE_CHECKING:
    from nanochat.why.telling import Line
    from nanochat.why.why import Why

By = Literal["model", "prompt", "calculator", "changed", "other"]


@dataclass(frozen=True)
class Written:
    """How a trace's tokens came: how many are the prompt's, which the calculator chose, whether parts were changed."""

    prompt: int
    forced: list[bool]
    changed: bool
    temperature: float | None

    def by(self, position: int, other_model: str | None) -> By:
        """Who wrote the token after a position."""
        if position + 1 < self.prompt:
            return "prompt"
        if self.is_forced(position + 1):
            return "calculator"
        return "other" if other_model else "changed" if self.changed else "model"

    def is_forced(self, place: int) -> bool:
        return place < len(self.forced) and self.forced[place]

    def questions(self, count: int) -> list[int]:
        """The positions that foretell tokens which the model chose, of so many tokens; else the last one."""
        places = [place for place in range(max(1, self.prompt), count) if not self.is_forced(place)]
        return [place - 1 for place in places] or [count - 1]


@handles(WHY)
async def why(context: Context, params: WhyParams) -> WhyResult:
    """Run the trace's tokens, and ask all that there is to ask about one answer."""
    storage = context.state.folder_of(context.session).storage
    written = await in_thread(context, _written, storage, params.trace_id)
    return await ask(context, params.trace_id, params.anyway, partial(why_of, context, params, written))


def _written(storage: TraceStorage, trace_id: str) -> Written:
    from nanochat.traces.provenance import sampling_settings

    with storage.open_trace(trace_id) as trace:
        document = trace.fields
        settings = sampling_settings(document.generation, document.metadata)
        tokens, changed = document.tokens, bool(document.interventions)
        return Written(len(tokens.prompt), tokens.forced, changed, settings["temperature"])


def why_of(context: Context, params: WhyParams, written: Written, question: Question) -> WhyResult:
    """On the model thread. Raises as `nanochat.why.why.why`."""
    from nanochat.why.checks import checked_text
    from nanochat.why.cost import scan_cost
    from nanochat.why.head_cache import heads_of_model
    from nanochat.why.telling import Origin, Telling, told
    from nanochat.why.why import most_asked, why

    held, tokens = question.held, question.tokens
    checked_text(tokens, held.model.config)
    position = params.position
    if position is None:
        position = _most_asked(written, question, most_asked)
    if params.estimate:
        cost = cost_of(scan_cost(held.model, tokens, position, None), more_forwards=3)
        return _empty(position, written, question, cost)
    found = why(
        held.model,
        tokens,
        position,
        on_progress=lambda share: context.progress("Asking the model.", 100 * share),
        cancel=question.cancel,
    )
    scan = heads_of_model(held.model, held.tokenizer, ablate=False, cancel=question.cancel)
    text = texts_of(held.tokenizer)
    by = written.by(position, question.other_model)
    roles = {(one.layer, one.head): one.roles for one in scan.heads}
    telling = Telling(found, [text(token) for token in tokens], text, Origin(by, written.temperature), roles)
    return _answer(found, _lines(told(telling), params.trace_id), text, _empty(position, written, question, None))


def _most_asked(written: Written, question: Question, most_asked: Callable[..., int]) -> int:
    positions = written.questions(len(question.tokens))
    if positions == [len(question.tokens) - 1]:
        return positions[0]
    return most_asked(question.held.model, question.tokens, positions, question.cancel)


def _empty(position: int, written: Written, question: Question, cost: Cost | None) -> WhyResult:
    tokens, tokenizer = question.tokens, question.held.tokenizer
    token = tokens[position + 1] if position + 1 < len(tokens) else None
    return WhyResult(
        position=position,
        token=token,
        text=None if token is None else text_of(tokenizer, token),
        probability=None,
        rank=None,
        by=written.by(position, question.other_model),
        answer=None,
        answer_text=None,
        rival=None,
        rival_text=None,
        lines=[],
        model=question.held.info,
        other_model=question.other_model,
        cost=cost,
    )


def _lines(lines: list[Line], trace_id: str) -> list[WhyLine]:
    return [
        WhyLine(about=line.about, text=line.text, command=shlex.join(_command(line.command, trace_id)))
        for line in lines
    ]


def _command(words: list[str], trace_id: str) -> list[str]:
    """A command's words; of all but `heads` the second is the trace's id."""
    first, *rest = words
    return ["nanoscope", first, *(() if first == "heads" else (trace_id,)), *rest]


def _answer(found: Why, lines: list[WhyLine], text: Callable[[int], str], answer: Any) -> WhyResult:
    decided = found.decided
    answer.lines = lines
    answer.probability, answer.rank = found.chance or (None, None)
    answer.answer, answer.answer_text = found.answer, text(found.answer)
    answer.rival, answer.rival_text = found.rival, text(found.rival)
    answer.decided = LensDecided(
        position=decided.position,
        token=decided.token,
        text=text(decided.token),
        first=name_of(decided.first),
        stays=name_of(decided.stays),
    )
    answer.total = found.attribution.total
    answer.components = [component_of(part) for part in found.attribution.components]
    answer.baseline = outcome_of(found.scan.baseline, text)
    answer.effects = [effect_of(effect, text) for effect in found.scan.effects]
    if found.flip is not None:
        units = [WhyUnit(layer=unit.layer, head=unit.head) for unit in found.flip.units]
        answer.flip = WhyFlip(units=units, top=likeliest(found.flip.top, text))
    return answer
