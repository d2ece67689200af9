"""What the residual stream would say at every point on its way."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from daemon.handlers.answers import TOKEN_BYTES, check_answer, cost_of, likeliest, texts_of
from daemon.handlers.questions import Question, ask, token_of
from daemon.server.dispatch import Context, handles
from protocol.methods import LOGIT_LENS
from protocol.types import LensBelief, LensChance, LensDecided, LensPoint, LogitLensParams, LogitLensResult, PointName

if TYPE_CHECKING:
    from collections.abc import Callable

    from nanochat.why.lens import Belief, Lens, Point

BELIEF_BYTES = 40  # of an answer, at most as a rule


@handles(LOGIT_LENS)
async def logit_lens(context: Context, params: LogitLensParams) -> LogitLensResult:
    """Run the trace's tokens, and read the stream."""
    return await ask(context, params.trace_id, params.anyway, partial(lens_of, context, params))


def lens_of(context: Context, params: LogitLensParams, question: Question) -> LogitLensResult:
    """On the model thread. Raises RpcError TOO_LARGE, and as `nanochat.why.lens.logit_lens`."""
    from nanochat.why.cost import lens_cost
    from nanochat.why.lens import lens_points, logit_lens

    held, tokens = question.held, question.tokens
    chosen = [token_of(held.tokenizer, name) for name in params.tokens]
    points = len(lens_points(held.model.config, params.layers))
    positions = len(tokens) if params.positions is None else len(set(params.positions))
    if params.estimate:
        cost = cost_of(lens_cost(held.model, tokens, positions, params.layers))
        return LogitLensResult(points=[], decided=[], model=held.info, other_model=question.other_model, cost=cost)
    beliefs = points * positions
    size = beliefs * (BELIEF_BYTES + TOKEN_BYTES * (params.top + len(params.tokens) + 1))
    check_answer(size, "Ask for fewer positions, layers or tokens.", f"{beliefs:,} points and positions")
    lens = logit_lens(
        held.model,
        tokens,
        params.positions,
        params.layers,
        params.top,
        chosen,
        on_progress=lambda share: context.progress("Reading the stream.", 100 * share),
        cancel=question.cancel,
    )
    return _answer(lens, question)


def _answer(lens: Lens, question: Question) -> LogitLensResult:
    text = texts_of(question.held.tokenizer)
    points = [
        LensPoint(
            layer=point.layer,
            at=point.at,
            backout=point.backout,
            positions=[_belief(belief, text) for belief in beliefs],
        )
        for point, beliefs in zip(lens.points, lens.beliefs, strict=True)
    ]
    decided = [
        LensDecided(
            position=row.position,
            token=row.token,
            text=text(row.token),
            first=name_of(row.first),
            stays=name_of(row.stays),
        )
        for row in lens.decided
    ]
    return LogitLensResult(points=points, decided=decided, model=question.held.info, other_model=question.other_model)


def _belief(belief: Belief, text: Callable[[int], str]) -> LensBelief:
    return LensBelief(
        position=belief.position,
        top=likeliest(belief.top, text),
        chosen=[
            LensChance(
                token=chance.token,
                text=text(chance.token),
                logit=chance.logit,
                probability=chance.probability,
                rank=chance.rank,
            )
            for chance in belief.chosen
        ],
        kl=belief.kl,
        entropy=belief.entropy,
    )


def name_of(point: Point) -> PointName:
    """A point of the stream, for the wire."""
    return PointName(layer=point.layer, at=point.at, backout=point.backout)
