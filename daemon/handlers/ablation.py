"""What the model would say without each of its heads and MLPs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from daemon.handlers.answers import TOKEN_BYTES, check_answer, cost_of, likeliest, texts_of
from daemon.handlers.attribution import token_asked
from daemon.handlers.questions import Question, ask, token_of
from daemon.server.dispatch import Context, handles
from protocol.methods import ABLATION_SCAN
from protocol.types import AblationEffect, AblationOutcome, AblationScanParams, AblationScanResult, Looked

if TYPE_CHECKING:
    from nanochat.why.ablation import Effect, Outcome

EFFECT_BYTES = 400  # of an answer, at most as a rule


@handles(ABLATION_SCAN)
async def ablation_scan(context: Context, params: AblationScanParams) -> AblationScanResult:
    """Run the trace's tokens up to a position, with each part switched off in turn."""
    return await ask(context, params.trace_id, params.anyway, partial(scan_of, context, params))


def scan_of(context: Context, params: AblationScanParams, question: Question) -> AblationScanResult:
    """On the model thread. Raises RpcError TOO_LARGE, and as `nanochat.why.ablation.ablation_scan`."""
    from nanochat.why.ablation import ablation_scan, check_scan
    from nanochat.why.cost import scan_cost

    held, tokens = question.held, question.tokens
    position = check_scan(held.model, tokens, params.position, params.layers)
    token = token_asked(params.token, question, position)
    against = None if params.against is None else token_of(held.tokenizer, params.against)
    text = texts_of(held.tokenizer)
    answer = AblationScanResult(
        position=position,
        token=token,
        text=text(token),
        against=against,
        against_text=None if against is None else text(against),
        baseline=None,
        effects=[],
        model=held.info,
        other_model=question.other_model,
    )
    if params.estimate:
        answer.cost = cost_of(scan_cost(held.model, tokens, position, params.layers))
        return answer
    layers = held.model.config.n_layer if params.layers is None else len(set(params.layers))
    effects = layers * (held.model.config.n_head + 1)
    size = effects * (EFFECT_BYTES + 2 * TOKEN_BYTES * params.top)
    check_answer(size, "Ask for fewer layers or tokens.", f"{effects:,} heads and MLPs")
    scan = ablation_scan(
        held.model,
        tokens,
        position,
        token,
        against,
        layers=params.layers,
        top=min(params.top, held.model.config.vocab_size),
        on_progress=lambda share: context.progress("Switching off heads and MLPs.", 100 * share),
        cancel=question.cancel,
    )
    answer.baseline = outcome_of(scan.baseline, text)
    answer.effects = [effect_of(effect, text) for effect in scan.effects]
    return answer


def effect_of(effect: Effect, text: Callable[[int], str]) -> AblationEffect:
    """A head's or an MLP's, for the wire."""
    return AblationEffect(
        layer=effect.layer,
        head=effect.head,
        everywhere=outcome_of(effect.everywhere, text),
        here=outcome_of(effect.here, text),
        looked=[Looked(position=position, weight=weight) for position, weight in effect.looked],
    )


def outcome_of(outcome: Outcome, text: Callable[[int], str]) -> AblationOutcome:
    """What is foretold, for the wire."""
    return AblationOutcome(
        logit=outcome.logit,
        probability=outcome.probability,
        rank=outcome.rank,
        top=likeliest(outcome.top, text),
    )
