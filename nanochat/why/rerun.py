"""What a trace was made with, to run it again: its prompt, its settings and its capture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nanochat.analysis.alignment import parted_at
from nanochat.capture.request import Start
from nanochat.capture.sites import SITES, WEIGHTS, CaptureSettings
from nanochat.errors import OtherModelError, SettingInvalidError
from nanochat.generation_settings import GenerationSettings
from nanochat.gpt import GPT
from nanochat.gpt_config import DTYPE_NAMES, GPTConfig
from nanochat.prompts import prompt_tokens
from nanochat.system.text import model_words
from nanochat.tokenizer import RustBPETokenizer
from nanochat.traces.document import Document, Tokens
from nanochat.traces.provenance import SETTINGS
from nanochat.traces.tensors import Positions, TensorInfo
from nanochat.traces.trace import Trace
from nanochat.why.difference import depth_of, paired_layers
from nanochat.why.identity import check_writer

LOGITS = "output_logits"
BASE = "base"
LONGEST = 1e9  # seconds of a part, that are believed


@dataclass(frozen=True)
class Rerun:
    """How to make a trace again.

    start: its prompt, with the tokens that a fork put into it; settings, capture, category, format: as it was made.
    tokens: the trace's own.
    interventions: those that it was made with.
    notices: what to tell before it is run.
    seconds: that each of its positions took; None where it does not tell, or another model wrote it.
    """

    start: Start
    settings: GenerationSettings
    capture: CaptureSettings
    category: str | None
    format: str
    tokens: Tokens
    interventions: list[dict[str, Any]]
    notices: list[str]
    seconds: float | None = None

    @property
    def by_another(self) -> bool:
        """Whether another model is to run it than the one that wrote it."""
        return bool(self.notices)

    def parted_at(self, other: Tokens) -> int | None:
        """The first position whose token is not the trace's, the end of a shorter text among them; None: all are."""
        return parted_at(self.tokens.all, other.all)


def rerun_of(trace: Trace, model: GPT, *, anyway: bool = False) -> Rerun:
    """How to make a trace again with a model, which has to be the one that wrote it.

    Args:
        anyway: with another model too; a notice says so.

    Raises:
        SettingInvalidError: the trace does not tell how it was made.
        OtherModelError: another model wrote it; anyway, it is a chat, and this is a base model.
    """
    document, trace_id = trace.fields, trace.trace_id
    settings = _settings(document, trace_id)
    written_by_another = check_writer(document.model, model, anyway=anyway)
    if written_by_another is not None:
        _check_chat(document, trace_id, model)
    tokens = document.tokens
    forced = [position for position in document.forced if position < len(tokens.all)]
    start = Start(
        tokens.prompt,
        None if document.messages else document.prompt,
        document.messages or None,
        given=tokens.generated[: max(max(forced, default=0) + 1 - len(tokens.prompt), 0)],
        parent=trace_id,
        forced=forced,
    )
    return Rerun(
        start,
        settings,
        capture_of(trace.infos(), tokens.positions, depth_of(trace), model.config.n_layer),
        document.category,
        trace.format,
        tokens,
        document.interventions,
        [] if written_by_another is None else [written_by_another],
        _seconds(document) if written_by_another is None else None,
    )


def check_prompt(again: Rerun, tokenizer: RustBPETokenizer, config: GPTConfig) -> None:
    """Raise OtherModelError where a tokenizer makes other tokens of the prompt than the trace has.

    Of a prompt that was forked the text tells less than the tokens: these have to have the same texts.
    """
    start = again.start
    forked = any(position < len(start.tokens) for position in start.forced)
    same = forked or prompt_tokens(tokenizer, start.prompt, start.messages, config.max_positions) == start.tokens
    if not same or (start.forced and again.by_another and not _known_so(again, tokenizer)):
        raise OtherModelError(
            f"This model's tokenizer makes other tokens of the prompt than {start.parent} has: load the model that "
            "wrote it, or capture the prompt with this one, and set the two traces side by side (`nanoscope diff`)."
        )


def _known_so(again: Rerun, tokenizer: RustBPETokenizer) -> bool:
    """Whether the tokens that are run have the texts that the trace tells."""
    told, start = again.tokens, again.start
    kept = [*start.tokens, *start.given]
    texts = [*(told.prompt_text or ()), *(told.generated_text or ())][: len(kept)]
    try:
        return [tokenizer.token_text(token) for token in kept] == texts
    except (KeyError, OverflowError):
        return False


def _check_chat(document: Document, trace_id: str, model: GPT) -> None:
    """Refuse a chat on a base model, to which the tokens around its messages mean nothing, unless one wrote it."""
    by_base = (document.model or {}).get("source") == BASE
    if document.messages and model.provenance["source"] == BASE and not by_base:
        ours = model_words({**model.provenance, "era": model.config.era})
        raise OtherModelError(
            f"{trace_id} is a chat, and {ours}, a base model, has never seen one: capture the text as a plain prompt "
            "(without --chat), and run that."
        )


def _settings(document: Document, trace_id: str) -> GenerationSettings:
    told = document.generation or {}
    if lacking := [name for name in SETTINGS if name not in told]:
        raise SettingInvalidError(
            f"{trace_id} does not tell its {', '.join(lacking)}, without which it cannot be run again: capture its "
            "prompt anew."
        )
    settings = GenerationSettings(**{name: told[name] for name in SETTINGS})
    settings.check()
    return settings


def _seconds(document: Document) -> float | None:
    """Of each position, by the times that a trace tells."""
    told = document.run.timings if document.run else None
    if told is None or not document.tokens.prompt:
        return None
    times = told.prefill_seconds, told.decode_seconds, told.analysis_seconds
    return sum(times) / document.tokens.positions.count if all(0 <= time < LONGEST for time in times) else None


def capture_of(infos: Mapping[str, TensorInfo], positions: Positions, depth: int, layers: int) -> CaptureSettings:
    """The settings that capture, of a model of so many layers, what a trace holds of a model of that depth.

    Where the two are not equally deep: all layers for all, else those of the same relative depth.
    """
    names = {site.name: [site.tensor_name(layer) for layer in range(depth + 1)] for site in SITES.values()}
    sites = tuple(site for site in names if any(name in infos for name in names[site]))
    inside = [names[site] for site in sites if SITES[site].in_layers]
    held = {layer for layer in range(depth) if any(of_site[layer] in infos for of_site in inside)}
    paired = {beside for layer, beside in paired_layers(depth, layers) if layer in held}
    found = tuple(range(layers)) if len(held) == depth else tuple(sorted(paired))
    dtypes = {info.dtype for name, info in infos.items() if name.startswith((WEIGHTS, LOGITS))}
    stored = dtypes & {*DTYPE_NAMES} - {"float32"}  # these are computed in float32
    return CaptureSettings(found or None, sites, _logits(infos, positions), min(stored, default=None))


def _logits(infos: Mapping[str, TensorInfo], positions: Positions) -> Literal["generated", "all"] | int | None:
    top, whole = infos.get(f"{LOGITS}.values"), infos.get(LOGITS)
    if top is not None:
        return top.dims[-1]
    if whole is None:
        return None
    return "all" if whole.dims[1] == positions.count != positions.generated else "generated"
