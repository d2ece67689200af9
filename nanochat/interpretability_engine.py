"""The front: generate text while capturing the model's internals, and analyse what was captured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import Tensor

from nanochat.analysis import analyze
from nanochat.analysis.logits import join_statistics, logits_statistics, of_prompt, token_statistics, top_tokens
from nanochat.analysis.stored import trace_analysis
from nanochat.analysis.thumbnails import kept_infos, kept_thumbnails
from nanochat.cancelling import Watched, check_cancel
from nanochat.capture.edits import prepare
from nanochat.capture.interventions import Intervention, Range, parse_interventions, touched_ranges
from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import FINAL, NORMS, WEIGHTS, CaptureSettings
from nanochat.checkpoint_manager import SIZES
from nanochat.engine import ADVICE, Engine, Step
from nanochat.errors import NonFiniteError, OtherModelError, SettingInvalidError, non_finite_error
from nanochat.generation_run import Run, timed
from nanochat.generation_settings import GenerationSettings
from nanochat.gpt import GPT
from nanochat.memory import memory_explained
from nanochat.model_turn import turn_of
from nanochat.prompts import prompt_tokens
from nanochat.system.standard_streams import notice
from nanochat.system.text import note_of
from nanochat.text_stream import TextStream
from nanochat.tokenizer import RustBPETokenizer
from nanochat.trace_storage import TraceStorage, check_category
from nanochat.traces.metadata import checked_metadata
from nanochat.traces.size import check_room, expected_bytes, size_notice, stored_as
from nanochat.traces.tensors import Positions
from nanochat.why.rerun import Rerun, rerun_of
from nanochat.why.values import with_computed, with_stored

DEFAULT_CATEGORY = "general"
ROWS_AT_ONCE = 128  # positions unembedded at a time

Plan = list[tuple[Intervention, tuple[Range, ...]]]  # each with the positions that it touches


@dataclass(frozen=True)
class TokenEvent:
    """One token as it comes: its id and position, whether the calculator forced it, its surprisal in bits.

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
        on_token: Callable[[TokenEvent], None] | None = None,
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
        spec = with_value_norms(CaptureSettings.parse(capture))
        category = DEFAULT_CATEGORY if category is None else category
        check_category(category)
        extra = checked_metadata(metadata)
        tokens = prompt_tokens(self.tokenizer, prompt, messages, self.model.config.max_positions)
        plan = self._plan(interventions or (), tokens, settings)
        self.storage.check_writable()  # before the work, not after it
        notices = self._foretell_size(tokens, settings, spec, format or self.storage.format, capture_intermediate_steps)
        for text in notices:
            on_notice(text)
        run = self._run(tokens, settings, spec, plan, on_token, cancel)
        started = time.perf_counter()
        with memory_explained(self.model.get_device(), "this capture", ADVICE):
            captured = run.recorder.tensors(len(run.generated), cancel)
        wanted = {name: value for name, value in captured.items() if name != FINAL or FINAL in spec.sites}
        arrays = {name: _as_array(value) for name, value in wanted.items()}
        tensors = Watched(arrays | kept_thumbnails(arrays), cancel)
        document = self._document(run, settings, category, extra)
        edited = {"interventions": [item.as_data() for item, _ in plan], "touched": run.touched}
        document |= ({"parent": parent} if parent else {}) | (edited if plan else {})
        document["prompt"] = messages[-1]["content"] if messages else prompt
        document |= {"messages": messages} if messages else {}
        document["analysis"] = self._analysis(run, tensors, cancel)
        check_cancel(cancel)
        analysed = time.perf_counter()
        document["generation"]["timings"]["analysis_seconds"] = round(analysed - started, 6)
        trace_id = self.storage.create_trace(
            document, tensors, steps=capture_intermediate_steps, format=format, dtype=spec.dtype
        )
        summary = self.storage.get_trace_summary(trace_id)
        timings = document["generation"]["timings"] | {"save_seconds": round(time.perf_counter() - analysed, 6)}
        return {
            "trace_id": trace_id,
            "prompt": document["prompt"],
            "response": document["response"],
            "prompt_tokens": len(tokens),
            "response_tokens": len(run.generated),
            "metadata": document["metadata"],
            "summary": summary,
            "path": str(self.storage.path_of(trace_id)),
            "analysis": document["analysis"],
            "timings": timings,
            "notices": notices,
            "parent": parent,
            **edited,
        }

    def intervene(
        self,
        trace_id: str,
        interventions: Sequence[Mapping[str, Any]],
        *,
        capture: CaptureSettings | dict[str, Any] | None = None,
        anyway: bool = False,
        on_token: Callable[[TokenEvent], None] | None = None,
        on_notice: Callable[[str], None] = notice,
        cancel: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Run a trace's prompt again with its seed and settings, and with interventions: a child trace.

        Interventions that the trace itself was made with are not run again: those given replace them.

        Args:
            trace_id: the parent.
            interventions: as for `generate_and_capture`.
            capture: what to capture; None: what the parent did.
            anyway: run it on this model, though another one wrote the trace; a notice then says so.
            on_token, on_notice, cancel: as for `generate_and_capture`.

        Returns:
            As `generate_and_capture`, and `position`: the first whose token is not the parent's; None where all are.

        Raises:
            SettingInvalidError: no intervention, or one that cannot be; the trace does not tell how it was made.
            OtherModelError: another model wrote the trace.
            Others as `generate_and_capture` and `TraceStorage.open_trace`.
        """
        if not parse_interventions(interventions, self.model.config):
            raise SettingInvalidError("There are no interventions: give at least one.")
        with self.storage.open_trace(trace_id) as trace:
            again = rerun_of(trace, self.model, anyway=anyway)
        self._check_prompt(again, trace_id)
        arguments: dict[str, Any] = {**again.arguments, **({} if capture is None else {"capture": capture})}
        for text in again.notices:
            on_notice(text)
        result = self.generate_and_capture(
            **arguments,
            interventions=interventions,
            parent=trace_id,
            on_token=on_token,
            on_notice=on_notice,
            cancel=cancel,
        )
        with self.storage.open_trace(result["trace_id"]) as child:
            position = again.parted_at(child.fields.tokens)
        return result | {"position": position, "notices": [*again.notices, *result["notices"]]}

    def _check_prompt(self, again: Rerun, trace_id: str) -> None:
        """Raise OtherModelError where this tokenizer makes other tokens of the prompt than the trace has."""
        prompt, messages = again.arguments["prompt"], again.arguments["messages"]
        tokens = prompt_tokens(self.tokenizer, prompt, messages, self.model.config.max_positions)
        if tokens != again.tokens.prompt:
            raise OtherModelError(
                f"This model's tokenizer makes other tokens of the prompt than {trace_id} has: load the model that "
                "wrote it, or capture the prompt anew."
            )

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

    def _foretell_size(
        self, tokens: list[int], settings: GenerationSettings, spec: CaptureSettings, format: str, steps: bool
    ) -> list[str]:
        """What to say of the trace's size; StorageFullError where the disk has no room for it."""
        config = self.model.config
        positions = Positions(len(tokens), min(settings.max_tokens, config.max_positions - len(tokens) + 1))
        infos = stored_as(spec.infos(config, positions, str(self.model.dtype).removeprefix("torch.")), spec.dtype)
        infos |= kept_infos(infos)
        check_room(self.storage.directory, expected_bytes(infos, positions, format, steps=steps))
        return list(filter(None, [size_notice(infos, positions, format, steps=steps)]))

    def _plan(
        self, interventions: Sequence[Mapping[str, Any]], tokens: list[int], settings: GenerationSettings
    ) -> Plan:
        """The interventions, checked, with what traces have for them. Raises as `nanochat.why.values.with_stored`."""
        parsed = parse_interventions(interventions, self.model.config)
        parsed = with_stored(parsed, self.model, self.tokenizer, self.storage)
        ranges = touched_ranges(parsed, len(tokens), self._capacity(len(tokens), settings))
        return list(zip(parsed, ranges, strict=True))

    def _capacity(self, prompt_length: int, settings: GenerationSettings) -> int:
        """How many positions a generation may run over."""
        return min(prompt_length + max(settings.max_tokens, 1) - 1, self.model.config.max_positions)

    def _run(
        self,
        tokens: list[int],
        settings: GenerationSettings,
        spec: CaptureSettings,
        plan: Plan,
        on_token: Callable[[TokenEvent], None] | None,
        cancel: threading.Event | None,
    ) -> Run:
        config = self.model.config
        max_tokens = min(settings.max_tokens, config.max_positions - len(tokens) + 1)
        capacity = self._capacity(len(tokens), settings)
        spec = with_prompt_statistics(spec)
        with turn_of(self.model).held(cancel):  # before the memory is taken
            recorder = Recorder(config, spec, capacity, len(tokens), self.model.get_device(), self.model.dtype)
            run = Run(tokens, recorder, max_tokens, TextStream(self.tokenizer, self.engine.end_tokens))
            items = with_computed([item for item, _ in plan], self.model, self.tokenizer, cancel)
            changes = prepare(self.model, items, [where for _, where in plan], tokens, cancel)
            with self.model.capturing(recorder, edits=changes.edits):
                self._take_all(run, settings, on_token, cancel)
            run.touched = changes.touched
        if found := recorder.first_non_finite():  # in what no token was drawn from
            raise non_finite_error(*found)
        if run.generated and run.generated[-1] in self.engine.end_tokens:
            run.stop_reason = self.tokenizer.token_text(run.generated[-1]).strip("<|>")
        elif max_tokens < settings.max_tokens:
            run.stop_reason = "context_full"
        return run

    def _take_all(
        self,
        run: Run,
        settings: GenerationSettings,
        on_token: Callable[[TokenEvent], None] | None,
        cancel: threading.Event | None,
    ) -> None:
        steps = self.engine.steps(
            run.prompt, 1, run.max_tokens, settings.temperature, settings.top_k, settings.seed, cancel
        )
        try:
            for step in timed(steps, run):
                self._take(run, step, on_token)
        except NonFiniteError as error:
            if found := run.recorder.first_non_finite():
                raise non_finite_error(*found) from error
            raise

    def _take(self, run: Run, step: Step, on_token: Callable[[TokenEvent], None] | None) -> None:
        token = step.tokens[0]
        run.generated.append(token)
        run.sampled.append(step.masks[0])
        if on_token is not None:
            position = len(run.prompt) + len(run.generated) - 1
            text = run.text.add(token, last=len(run.generated) == run.max_tokens)
            logits = step.logits[0].cpu().numpy()
            surprisal = token_statistics(logits, token)["surprisal"]
            top = partial(top_tokens, logits, self.tokenizer.token_text)
            with turn_of(self.model).calling_back():
                on_token(TokenEvent(token, text, position, not step.masks[0], surprisal, top))

    def _document(self, run: Run, settings: GenerationSettings, category: str, extra: dict[str, Any]) -> dict[str, Any]:
        """Everything but the tensors and the analysis, in the order the file has it."""
        text = self.tokenizer.token_text
        response = [token for token in run.generated if token not in self.engine.end_tokens]
        decoded = max(len(run.generated) - 1, 0)
        timings = {
            "prefill_seconds": round(run.prefill_seconds, 6),
            "decode_seconds": round(run.decode_seconds, 6),
            "tokens_per_second": round(decoded / run.decode_seconds, 3) if run.decode_seconds else None,
        }
        return {
            "prompt": "",
            "response": self.tokenizer.decode(response),
            "category": category,
            "metadata": {"model_source": self.model.provenance.get("source"), "temperature": settings.temperature}
            | extra,
            "model": description_of(self.model),
            "generation": asdict(settings) | {"stop_reason": run.stop_reason, "timings": timings},
            "tokens": {
                "input_tokens": run.prompt,
                "output_tokens": run.generated,
                "input_text": [text(token) for token in run.prompt],
                "output_text": [text(token) for token in run.generated],
                "forced": [0] * len(run.prompt) + [1 - sampled for sampled in run.sampled],
            },
        }

    def _analysis(self, run: Run, tensors: Mapping[str, np.ndarray], cancel: threading.Event | None) -> dict[str, Any]:
        analysis = analyze(
            tensors,
            tokens=run.prompt + run.generated,
            prompt_length=len(run.prompt),
            windows=self.model.config.windows(),
            token_text=self.tokenizer.token_text,
            vocab_size=self.model.config.vocab_size,
        )
        residual, logits = run.recorder.view(FINAL, 0), run.recorder.settings.logits
        top = isinstance(logits, int)
        if residual is None or logits == "all" or (top and logits >= self.model.config.vocab_size):
            return analysis  # what was captured says it all
        statistics = partial(self._statistics, residual[0], cancel=cancel)
        if top and run.generated:
            analysis["logits"] |= statistics(len(run.prompt) - 1, run.generated)
        analysis["logits"]["prompt"] = of_prompt(statistics(0, run.prompt[1:]))
        return analysis

    @torch.inference_mode()
    def _statistics(
        self, residual: Tensor, first: int, followers: list[int], cancel: threading.Event | None
    ) -> dict[str, Any]:
        """What the model thought of the tokens after position `first`, and of each one's distribution.

        Unembedded after the generation, in pieces: most of a prompt's positions need no logits to go on from, and the
        top K alone have no entropy.
        """
        parts = []
        for start in range(0, len(followers), ROWS_AT_ONCE):
            check_cancel(cancel)
            piece = followers[start : start + ROWS_AT_ONCE]
            logits = self.model.unembed(residual[first + start : first + start + len(piece)])
            parts.append(logits_statistics(logits.cpu().numpy(), piece, self.tokenizer.token_text))
        return join_statistics(parts)


def description_of(model: GPT) -> dict[str, Any]:
    """A model as a trace names it."""
    config, provenance = model.config, model.provenance
    note = note_of(provenance)
    return {
        **{key: provenance.get(key) for key in ("source", "tag", "step")},
        "era": config.era,
        "path": provenance.get("path"),
        **({"note": note} if note else {}),
        "config": {key: getattr(config, key) for key in (*SIZES, "window_pattern")},
        "parameters": model.num_parameters(),
        "dtype": str(model.dtype),
        "compute_dtype": str(model.compute_dtype),
        "device": str(model.get_device()),
    }


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


def _as_array(value: Tensor) -> np.ndarray:
    """A CPU tensor as numpy, bfloat16 included, sharing memory."""
    if value.dtype == torch.bfloat16:
        return value.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
    return value.numpy()
