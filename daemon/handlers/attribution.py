"""Who wrote a logit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from daemon.handlers.answers import check_answer, cost_of
from daemon.handlers.questions import Question, ask, text_of, token_of
from daemon.server.dispatch import Context, handles
from nanochat.errors import SettingInvalidError
from protocol.methods import ATTRIBUTE_LOGITS
from protocol.types import AttributeLogitsParams, AttributeLogitsResult, LogitComponent, LogitSource

if TYPE_CHECKING:
    from nanochat.gpt_config import GPTConfig
    from nanochat.why.anatomy import Component

COMPONENT_BYTES, SOURCE_BYTES = 150, 50  # of an answer, at most as a rule


@handles(ATTRIBUTE_LOGITS)
async def attribute_logits(context: Context, params: AttributeLogitsParams) -> AttributeLogitsResult:
    """Run the trace's tokens up to a position, and take its logit apart."""
    return await ask(context, params.trace_id, params.anyway, partial(attribution_of, params))


def attribution_of(params: AttributeLogitsParams, question: Question) -> AttributeLogitsResult:
    """On the model thread. Raises RpcError TOO_LARGE, and as `nanochat.why.anatomy.attribute_logits`."""
    from nanochat.why.anatomy import attribute_logits
    from nanochat.why.checks import checked_one
    from nanochat.why.cost import attribution_cost

    held, tokens = question.held, question.tokens
    position = checked_one("position", params.position, len(tokens))
    token = token_asked(params.token, question, position)
    against = None if params.against is None else token_of(held.tokenizer, params.against)
    answer = AttributeLogitsResult(
        position=position,
        token=token,
        text=text_of(held.tokenizer, token),
        against=against,
        against_text=None if against is None else text_of(held.tokenizer, against),
        total=None,
        logit=None,
        error=None,
        components=[],
        model=held.info,
        other_model=question.other_model,
    )
    if params.estimate:
        answer.cost = cost_of(attribution_cost(held.model, tokens, position))
        return answer
    _check_size(held.model.config, params, position)
    attribution = attribute_logits(
        held.model,
        tokens,
        position,
        token,
        against,
        neurons=params.neurons,
        sources=params.sources,
        cancel=question.cancel,
    )
    answer.total, answer.logit, answer.error = attribution.total, attribution.logit, attribution.error
    answer.components = [component_of(part) for part in attribution.components]
    return answer


def token_asked(token: int | str | None, question: Question, position: int) -> int:
    """The token that is asked about; None: the one that follows. Raises SettingInvalidError: none follows."""
    if token is not None:
        return token_of(question.held.tokenizer, token)
    if position + 1 < len(question.tokens):
        return question.tokens[position + 1]
    raise SettingInvalidError(f"Nothing follows position {position}: say which token's logit (`token`, `--token`).")


def _check_size(config: GPTConfig, params: AttributeLogitsParams, position: int) -> None:
    heads, sources = 2 * config.n_layer * config.n_head, min(params.sources, position + 1)
    parts = heads + config.n_layer * (2 + min(params.neurons, 4 * config.n_embd))
    size = parts * COMPONENT_BYTES + heads * sources * SOURCE_BYTES
    check_answer(size, "Ask for fewer sources or neurons.")


def component_of(part: Component) -> LogitComponent:
    """A part of the sum, for the wire."""
    return LogitComponent(
        kind=part.kind,
        value=part.value,
        layer=part.layer,
        head=part.head,
        neuron=part.neuron,
        part=part.part,
        sources=[LogitSource(position=position, value=value) for position, value in part.sources],
        backout=part.backout,
    )
