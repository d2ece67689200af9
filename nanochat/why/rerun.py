"""What a trace was made with, to run it again: its prompt, its settings and its capture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal

from nanochat.capture.sites import SITES, WEIGHTS, CaptureSettings
from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT
from nanochat.gpt_config import DTYPE_NAMES
from nanochat.traces.document import Document, Tokens
from nanochat.traces.provenance import SETTINGS
from nanochat.traces.tensors import Positions, TensorInfo
from nanochat.traces.trace import Trace
from nanochat.why.identity import check_writer

LOGITS = "output_logits"


@dataclass(frozen=True)
class Rerun:
    """How to make a trace again.

    arguments: for `generate_and_capture`.
    tokens: the trace's own.
    notices: what to tell before it is run.
    """

    arguments: dict[str, Any]
    tokens: Tokens
    notices: list[str]

    def parted_at(self, other: Tokens) -> int | None:
        """The first position whose token is not the trace's, the end of a shorter text among them; None: all are."""
        ours, theirs = (tokens.prompt + tokens.generated for tokens in (self.tokens, other))
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(ours, theirs, strict=False)))
        return None if ours == theirs else shared


def rerun_of(trace: Trace, model: GPT, *, anyway: bool = False) -> Rerun:
    """How to make a trace again with a model, which has to be the one that wrote it.

    Args:
        anyway: with another model too; a notice says so.

    Raises:
        SettingInvalidError: the trace does not tell how it was made.
        OtherModelError: another model wrote it.
    """
    document = trace.fields
    settings = _settings(document, trace.trace_id)
    written_by_another = check_writer(document.model, model, anyway=anyway)
    arguments = settings | {
        "prompt": None if document.messages else document.prompt,
        "messages": document.messages or None,
        "category": document.category,
        "format": trace.format,
        "capture": capture_of(trace.infos(), document.tokens.positions, model.config.n_layer),
    }
    return Rerun(arguments, document.tokens, [] if written_by_another is None else [written_by_another])


def _settings(document: Document, trace_id: str) -> dict[str, Any]:
    told = document.generation or {}
    if lacking := [name for name in SETTINGS if name not in told]:
        raise SettingInvalidError(
            f"{trace_id} does not tell its {', '.join(lacking)}, without which it cannot be run again: capture its "
            "prompt anew."
        )
    return {name: told[name] for name in SETTINGS}


def capture_of(infos: Mapping[str, TensorInfo], positions: Positions, layers: int) -> CaptureSettings:
    """The settings that capture again what a trace of a model of so many layers holds."""
    names = {site.name: [site.tensor_name(layer) for layer in range(layers + 1)] for site in SITES.values()}
    sites = tuple(site for site in names if any(name in infos for name in names[site]))
    inside = [names[site] for site in sites if SITES[site].in_layers]
    found = tuple(layer for layer in range(layers) if any(of_site[layer] in infos for of_site in inside))
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
