"""The front: generate text while capturing the model's internals, and analyse what was captured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nanochat.analysis.stored import trace_analysis
from nanochat.analysis.thumbnails import kept_infos, kept_thumbnails
from nanochat.cancelling import Watched, check_cancel
from nanochat.capture.interventions import parse_interventions
from nanochat.capture.request import Request, Start, checked_request
from nanochat.capture.sites import FINAL, CaptureSettings
from nanochat.engine import ADVICE, Engine
from nanochat.errors import SettingInvalidError
from nanochat.generation.document import analysis_of, as_array, document_of
from nanochat.generation.run import OnToken, TokenEvent, captured_run
from nanochat.generation_settings import GenerationSettings
from nanochat.gpt import GPT
from nanochat.memory import memory_explained
from nanochat.prompts import prompt_tokens
from nanochat.system.standard_streams import notice
from nanochat.tokenizer import RustBPETokenizer
from nanochat.trace_storage import TraceStorage, check_category
from nanochat.traces.metadata import checked_metadata
from nanochat.traces.size import check_room, expected_bytes, size_notice, stored_as
from nanochat.traces.tensors import Positions
from nanochat.why.fork import fork_of, put_tokens
from nanochat.why.rerun import Rerun, check_prompt, rerun_of
from nanochat.why.run_cost import estimated, run_cost
from nanochat.why.values import with_computed, with_stored

__all__ = ["InterpretabilityEngine", "TokenEvent"]

DEFAULT_CATEGORY = "general"


@dataclass(frozen=True)
class Kept:
    """How a trace is kept: with which category and metadata of the caller's, in which format, with its steps or not."""

    category: str
    metadata: dict[str, Any]
    format: str
    steps: bool = False


class InterpretabilityEngine:
    """Generates and captures, stores traces, analyses them.

    Args:
        model: any nanochat model of ours.
        tokenizer: its tokenizer.
        traces: the traces folder, or a storage.
        format: "json" or "safetensors", for new traces.
    """

    def __init__(
        self,
        model: GPT,
        tokenizer: RustBPETokenizer,
        traces: str | Path | TraceStorage = "traces",
        format: str = "json",
    ):
        self.model, self.tokenizer = model, tokenizer
        self.storage = traces if isinstance(traces, TraceStorage) else TraceStorage(traces, format=format)
        self.engine = Engine(model, tokenizer)

    def generate_and_capture(
        self,
        prompt: str | None = None,
        *,
        messages: list[dict[str, Any]] | None = None,
        category: str | None = None,
        metadata: dict[str, Any] | None = None,
        max_tokens: int = 256,
        temperature: float = 0.6,
        top_k: int | None = 50,
        seed: int = 42,
        capture_intermediate_steps: bool = False,
        capture: CaptureSettings | dict[str, Any] | None = None,
        interventions: Sequence[Mapping[str, Any]] | None = None,
        parent: str | None = None,
        format: str | None = None,
        on_token: OnToken | None = None,
        on_notice: Callable[[str], None] = notice,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Generate a response, capture what the model did on the way, analyse it and save it as one trace.

        Args:
            prompt: plain text to go on from.
            messages: or a chat, [{"role", "content"}, ...], ending with the user's message.
            category: a name to find the trace by.
            metadata: anything of the caller's that JSON can hold.
            max_tokens: stops there, or at an end token; 0 looks at the prompt alone.
            temperature: 0 takes the likeliest token.
            top_k: draw from the k likeliest; None or 0: from all.
            seed: the same seed gives the same tokens, with or without a capture.
            capture_intermediate_steps: spell the steps out in a JSON trace.
            capture: narrows what is captured: layers, sites, logits, dtype. Beside attention weights the norms of the
                values are kept.
            interventions: what to change on the way, such as a head that is switched off; as data, see
                `nanochat.capture.interventions`. What is captured is what the model went on with.
            parent: the id of the trace that this one is made from, kept with it.
            format: "json" or "safetensors"; None: the storage's own.
            on_token: called with each token as it comes. It may not use the model, nor wait for a thread that does.
            on_notice: called before the work with a sentence about a trace that is going to be large; by default stderr
                is told.
            cancel: set it to stop before the next token, or before the next tensor is analysed or saved; nothing is
                kept then.

        Returns:
            trace_id, prompt, response, prompt_tokens and response_tokens (counts), metadata, summary, path, analysis,
            timings in seconds, and notices, what `on_notice` was told; parent, interventions, and touched: of each
            intervention the number of positions that it touched.

        Raises:
            PromptInvalidError, PromptTooLongError, CategoryInvalidError, SettingInvalidError: bad input.
            TraceNotFoundError, OtherModelError and others: an intervention takes its value from what is not there.
            NonFiniteError: the model computed NaN. CancelledError: `cancel` was set.
            ModelBusyError: called from inside `on_token`. Threads take turns: one generates, the others wait.
            StorageError, StorageFullError: the trace could not be saved, or there is no room for it; nothing was kept.
        """
        settings = GenerationSettings(max_tokens, temperature, top_k, seed)
        settings.check()
        narrowed = CaptureSettings.parse(capture)
        category = DEFAULT_CATEGORY if category is None else category
        check_category(category)
        extra = checked_metadata(metadata)
        tokens = prompt_tokens(self.tokenizer, prompt, messages, self.model.config.max_positions)
        start = Start(tokens, prompt, messages, parent=parent)
        request = self._request(start, settings, narrowed, interventions or ())
        kept = Kept(category, extra, format or self.storage.format, capture_intermediate_steps)
        return self._generate(request, kept, on_token, on_notice, cancel)

    def intervene(
        self,
        trace_id: str,
        interventions: Sequence[Mapping[str, Any]] | None = None,
        *,
        capture: CaptureSettings | dict[str, Any] | None = None,
        anyway: bool = False,
        estimate: bool = False,
        on_token: OnToken | None = None,
        on_notice: Callable[[str], None] = notice,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Run a trace's prompt again with its seed and settings, with interventions or on another model: a child trace.

        Args:
            trace_id: the parent.
            interventions: as for `generate_and_capture`, in place of those that the parent was made with; None: those.
            capture: what to capture; None: what the parent did, of a model of another depth by relative depth.
            anyway: run it on this model, though another one wrote the trace; a notice then says so.
            estimate: say what it would take, and do no more: with `cost`, no `summary` and an empty `trace_id`.
            on_token, on_notice, cancel: as for `generate_and_capture`.

        Returns:
            As `generate_and_capture`, and `position`: the first whose token is not the parent's; None where all are.

        Raises:
            SettingInvalidError: nothing is changed, or what cannot be; the trace does not tell how it was made.
            OtherModelError: another model wrote the trace; anyway, it has another tokenizer, or knows no chats.
            Others as `generate_and_capture` and `TraceStorage.open_trace`.
        """
        parse_interventions(interventions or (), self.model.config)
        with self.storage.open_trace(trace_id) as trace:
            again = rerun_of(trace, self.model, anyway=anyway)
        changes = again.interventions if interventions is None else interventions
        if not (changes or again.interventions or again.by_another):
            raise SettingInvalidError(
                "There are no interventions: give at least one, or another model than the one that wrote the trace."
            )
        check_prompt(again, self.tokenizer, self.model.config)
        wanted = again.capture if capture is None else capture
        request = self._request(again.start, again.settings, wanted, changes)
        if estimate:
            return self._estimated(again, request) | {"position": None}
        result = self._run_again(again, request, on_token, on_notice, cancel)
        with self.storage.open_trace(result["trace_id"]) as child:
            return result | {"position": again.parted_at(child.fields.tokens)}

    def fork_trace(
        self,
        trace_id: str,
        position: int,
        token: int | str | None = None,
        text: str | None = None,
        *,
        interventions: Sequence[Mapping[str, Any]] | None = None,
        max_tokens: int | None = None,
        capture: CaptureSettings | dict[str, Any] | None = None,
        anyway: bool = False,
        estimate: bool = False,
        on_token: OnToken | None = None,
        on_notice: Callable[[str], None] = notice,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Put another token into a trace's text and go on from there, with its seed and settings: a child trace.

        A fork that puts the token there that is there already repeats the trace.

        Args:
            trace_id: the parent.
            position: where, from 1 on; a fork of the prompt drops what followed there.
            token: what to put there: a number, or a text that is one token.
            text: or a text of any length.
            interventions: as for `generate_and_capture`; None: those that the parent was made with.
            max_tokens: how many to write after it at most; None: as many as the parent had left.
            capture: what to capture; None: what the parent did.
            anyway, estimate, on_notice, cancel: as for `intervene`.
            on_token: called with each token, those kept and put there included.

        Returns:
            As `generate_and_capture`, and `position`.

        Raises:
            SettingInvalidError: no such position or token; the trace does not tell how it was made.
            OtherModelError: another model wrote the trace.
            Others as `generate_and_capture` and `TraceStorage.open_trace`.
        """
        put, config = put_tokens(self.tokenizer, self.model.config, token, text), self.model.config
        if max_tokens is not None:
            GenerationSettings(max_tokens).check()
        with self.storage.open_trace(trace_id) as trace:
            again = rerun_of(trace, self.model, anyway=anyway)
        check_prompt(again, self.tokenizer, config)
        start, settings = fork_of(again, position, put, self.tokenizer, max_tokens)
        changes = again.interventions if interventions is None else interventions
        request = self._request(start, settings, again.capture if capture is None else capture, changes)
        if estimate:
            return self._estimated(again, request) | {"position": position}
        return self._run_again(again, request, on_token, on_notice, cancel) | {"position": position}

    def analyze_trace(self, trace_id: str) -> dict[str, Any]:
        """A trace's analysis: as stored; computed from the tensors of a trace that has none, or lacks a metric.

        Returns:
            {trace_id, metadata, analysis: {attention, activations, logits}}.

        Raises:
            TraceIdInvalidError, TraceNotFoundError, TraceUnreadableError: as `TraceStorage.open_trace`.
        """
        with self.storage.open_trace(trace_id) as trace:
            return {
                "trace_id": trace_id,
                "metadata": trace.fields.metadata,
                "analysis": trace_analysis(trace, self.tokenizer.token_text),
            }

    def clear_model_captures(self) -> None:
        """Let go of the last capture: the model's capture attributes are None again."""
        self.model.attach(None)

    def _request(
        self,
        start: Start,
        settings: GenerationSettings,
        capture: CaptureSettings | dict[str, Any] | None,
        interventions: Sequence[Mapping[str, Any]],
    ) -> Request:
        """The request, checked, with what traces have for its interventions. Raises also as `with_stored`."""
        parsed = parse_interventions(interventions, self.model.config)
        stored = with_stored(parsed, self.model, self.tokenizer, self.storage)
        return checked_request(self.model.config, start, settings, capture, stored)

    def _run_again(
        self,
        again: Rerun,
        request: Request,
        on_token: OnToken | None,
        on_notice: Callable[[str], None],
        cancel: threading.Event | None,
    ) -> dict[str, Any]:
        """A child of the trace."""
        kept = _kept_as(again)
        for text in again.notices:
            on_notice(text)
        result = self._generate(request, kept, on_token, on_notice, cancel)
        return result | {"notices": [*again.notices, *result["notices"]]}

    def _estimated(self, again: Rerun, request: Request) -> dict[str, Any]:
        """What a child of the trace would take."""
        notices = self._foretell_size(request, _kept_as(again))
        return estimated(again, request, run_cost(self.model, self.tokenizer, again, request), notices)

    def _generate(
        self,
        request: Request,
        kept: Kept,
        on_token: OnToken | None,
        on_notice: Callable[[str], None],
        cancel: threading.Event | None,
    ) -> dict[str, Any]:
        """Generate, capture, analyse and save; what `generate_and_capture` returns."""
        self.storage.check_writable()  # before the work, not after it
        notices = self._foretell_size(request, kept)
        for text in notices:
            on_notice(text)
        run = captured_run(self.engine, self._with_numbers(request, cancel), on_token, cancel)
        started = time.perf_counter()
        with memory_explained(self.model.get_device(), "this capture", ADVICE):
            captured = run.recorder.tensors(len(run.generated), cancel)
        wanted = {name: value for name, value in captured.items() if name != FINAL or FINAL in request.spec.sites}
        arrays = {name: as_array(value) for name, value in wanted.items()}
        tensors = Watched(arrays | kept_thumbnails(arrays), cancel)
        document = document_of(self.engine, request, run, kept.category, kept.metadata)
        document["analysis"] = analysis_of(self.model, self.tokenizer, run, tensors, cancel)
        check_cancel(cancel)
        analysed = time.perf_counter()
        document["generation"]["timings"]["analysis_seconds"] = round(analysed - started, 6)
        trace_id = self.storage.create_trace(
            document, tensors, steps=kept.steps, format=kept.format, dtype=request.spec.dtype
        )
        summary = self.storage.get_trace_summary(trace_id)
        timings = document["generation"]["timings"] | {"save_seconds": round(time.perf_counter() - analysed, 6)}
        return {
            "trace_id": trace_id,
            "prompt": document["prompt"],
            "response": document["response"],
            "prompt_tokens": len(run.prompt),
            "response_tokens": len(run.generated),
            "metadata": document["metadata"],
            "summary": summary,
            "path": str(self.storage.path_of(trace_id)),
            "analysis": document["analysis"],
            "timings": timings,
            "notices": notices,
            "parent": request.start.parent,
            **request.told,
            "touched": run.touched,
        }

    def _with_numbers(self, request: Request, cancel: threading.Event | None) -> Request:
        """The same with the numbers that prompts make for its interventions."""
        items = with_computed([item for item, _ in request.plan], self.model, self.tokenizer, cancel)
        return replace(request, plan=[(item, where) for item, (_, where) in zip(items, request.plan, strict=True)])

    def _foretell_size(self, request: Request, kept: Kept) -> list[str]:
        """What to say of the trace's size; StorageFullError where the disk has no room for it."""
        positions = Positions(len(request.start.tokens), request.max_tokens)
        dtype = str(self.model.dtype).removeprefix("torch.")
        infos = stored_as(request.spec.infos(self.model.config, positions, dtype), request.spec.dtype)
        infos |= kept_infos(infos)
        check_room(self.storage.directory, expected_bytes(infos, positions, kept.format, steps=kept.steps))
        return list(filter(None, [size_notice(infos, positions, kept.format, steps=kept.steps)]))


def _kept_as(again: Rerun) -> Kept:
    """As the trace is that is run again. Raises CategoryInvalidError."""
    category = DEFAULT_CATEGORY if again.category is None else again.category
    check_category(category)
    return Kept(category, {}, again.format)
