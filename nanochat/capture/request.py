"""A checked request to capture: what is generated from, how, what is kept of it, what is changed on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nanochat.capture.interventions import Intervention, Range, parse_interventions, touched_ranges
from nanochat.capture.sites import FINAL, NORMS, WEIGHTS, CaptureSettings
from nanochat.errors import too_long_error
from nanochat.generation_settings import GenerationSettings
from nanochat.gpt_config import GPTConfig

Plan = list[tuple[Intervention, tuple[Range, ...]]]  # each with the positions that it touches


@dataclass(frozen=True)
class Start:
    """What a generation goes on from, and where that came from.

    tokens: the prompt's ids; prompt, messages: as they were given.
    given: tokens that are written first, whatever the model would draw.
    parent: the id of the trace that it is made from; position: where that was forked.
    forced: the positions of tokens that a person put into the text in the place of others.
    """

    tokens: list[int]
    prompt: str | None = None
    messages: list[dict[str, Any]] | None = None
    given: list[int] = field(default_factory=list)
    parent: str | None = None
    position: int | None = None
    forced: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """What is to be generated and captured, checked; `capacity`: how many positions it may run over."""

    start: Start
    settings: GenerationSettings
    spec: CaptureSettings
    plan: Plan
    capacity: int
    max_tokens: int  # that there are positions for

    @property
    def told(self) -> dict[str, Any]:
        """The interventions as data, for those who want to run them again."""
        return {"interventions": [item.as_data() for item, _ in self.plan]}


def checked_request(
    config: GPTConfig,
    start: Start,
    settings: GenerationSettings,
    capture: CaptureSettings | dict[str, Any] | None,
    interventions: Sequence[Mapping[str, Any] | Intervention],
) -> Request:
    """A request that a model of this form can be put to.

    Raises:
        SettingInvalidError: a setting or an intervention that cannot be.
        PromptTooLongError: the tokens given have no positions.
    """
    settings.check()
    spec = with_value_norms(CaptureSettings.parse(capture))
    length = len(start.tokens)
    if length + max(len(start.given), 1) - 1 > config.max_positions:
        raise too_long_error(f"{length + len(start.given):,}", config.max_positions)
    capacity = min(length + max(settings.max_tokens, 1) - 1, config.max_positions)
    parsed = parse_interventions(interventions, config)
    plan = list(zip(parsed, touched_ranges(parsed, length, capacity), strict=True))
    return Request(start, settings, spec, plan, capacity, min(settings.max_tokens, config.max_positions - length + 1))


def with_value_norms(settings: CaptureSettings) -> CaptureSettings:
    """The same capture with the norms of the values where attention weights are wanted: a number a key and group."""
    if WEIGHTS not in settings.sites or NORMS in settings.sites:
        return settings
    return replace(settings, sites=(*settings.sites, NORMS))


def with_prompt_statistics(settings: CaptureSettings) -> CaptureSettings:
    """The same capture with what the prompt's logits can be computed from, where logits are wanted."""
    if settings.logits is None or FINAL in settings.sites:
        return settings
    return replace(settings, sites=(*settings.sites, FINAL))
