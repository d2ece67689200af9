"""One generation with its capture as it goes: what comes out, token by token, and the clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from nanochat.analysis.logits import token_statistics, top_tokens
from nanochat.capture.edits import prepare
from nanochat.capture.recorder import Recorder
from nanochat.capture.request import Request, with_prompt_statistics
from nanochat.engine import Engine, Step
from nanochat.errors import NonFiniteError, non_finite_error
from nanochat.model_turn import turn_of
from nanochat.text_stream import TextStream


@dataclass(frozen=True)
class TokenEvent:
    """One token as it comes: its id and position, whether it was forced, its surprisal in bits.

    Forced: the calculator chose it, or whoever forked the text, not the model.
    `text` is what it adds to the response, in whole characters: "" while one is not whole, and for the end token.
    """

    token: int
    text: str
    position: int
    forced: bool
    surprisal: float | None
    alternatives: Callable[[], list[dict[str, Any]]] = field(default=list, repr=False, compare=False)

    @property
    def top(self) -> list[dict[str, Any]]:
        """The five likeliest tokens there, {token, text, logit, probability}; computed for those who ask."""
        return self.alternatives()


OnToken = Callable[[TokenEvent], None]


@dataclass
class Run:
    """What one generation was given, and what it gave."""

    request: Request
    recorder: Recorder
    text: TextStream
    generated: list[int] = field(default_factory=list)
    sampled: list[int] = field(default_factory=list)  # 1 where the model chose, 0 where the token was forced
    touched: list[int] = field(default_factory=list)  # positions, of each intervention
    stop_reason: str = "max_tokens"
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0

    @property
    def prompt(self) -> list[int]:
        """The ids of the prompt's tokens."""
        return self.request.start.tokens


def captured_run(
    engine: Engine, request: Request, on_token: OnToken | None = None, cancel: threading.Event | None = None
) -> Run:
    """Generate and capture, in this thread's turn with the model.

    Raises:
        NonFiniteError: the model computed NaN. CancelledError: `cancel` was set.
        ModelBusyError: called from inside `on_token`. SettingInvalidError: it does not fit in memory.
    """
    model, tokens = engine.model, request.start.tokens
    spec = with_prompt_statistics(request.spec)
    with turn_of(model).held(cancel):  # before the memory is taken
        recorder = Recorder(model.config, spec, request.capacity, len(tokens), model.get_device(), model.dtype)
        run = Run(request, recorder, TextStream(engine.tokenizer, engine.end_tokens))
        plan = request.plan
        changes = prepare(model, [item for item, _ in plan], [where for _, where in plan], tokens, cancel)
        with model.capturing(recorder, edits=changes.edits):
            _take_all(engine, run, on_token, cancel)
        run.touched = changes.touched
    if found := recorder.first_non_finite():  # in what no token was drawn from
        raise non_finite_error(*found)
    if run.generated and run.generated[-1] in engine.end_tokens:
        run.stop_reason = engine.tokenizer.token_text(run.generated[-1]).strip("<|>")
    elif request.max_tokens < request.settings.max_tokens:
        run.stop_reason = "context_full"
    return run


def _take_all(engine: Engine, run: Run, on_token: OnToken | None, cancel: threading.Event | None) -> None:
    settings, start = run.request.settings, run.request.start
    sampling = (settings.temperature, settings.top_k, settings.seed)
    try:
        for step in timed(engine.steps(run.prompt, 1, run.request.max_tokens, *sampling, cancel, start.given), run):
            _take(engine, run, step, on_token)
    except NonFiniteError as error:
        if found := run.recorder.first_non_finite():
            raise non_finite_error(*found) from error
        raise


def _take(engine: Engine, run: Run, step: Step, on_token: OnToken | None) -> None:
    token, position = step.tokens[0], len(run.prompt) + len(run.generated)
    sampled = 0 if position in run.request.start.forced else step.masks[0]
    run.generated.append(token)
    run.sampled.append(sampled)
    if on_token is not None:
        text = run.text.add(token, last=len(run.generated) == run.request.max_tokens)
        logits = step.logits[0].cpu().numpy()
        surprisal = token_statistics(logits, token)["surprisal"]
        top = partial(top_tokens, logits, engine.tokenizer.token_text)
        with turn_of(engine.model).calling_back():
            on_token(TokenEvent(token, text, position, not sampled, surprisal, top))


def timed(steps: Iterator[Step], run: Run) -> Iterator[Step]:
    """The steps, noting on the run what the first took and what the others did; the clock stands while one is out."""
    started = time.perf_counter()
    for number, step in enumerate(steps):
        taken = time.perf_counter() - started
        if number:
            run.decode_seconds += taken
        else:
            run.prefill_seconds = taken
        yield step
        started = time.perf_counter()
    if not run.generated:
        run.prefill_seconds = time.perf_counter() - started
