"""Scans of heads, kept in the user's cache folder: a model is scanned once for as long as its weights are the same."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import platformdirs

from nanochat.errors import NanoscopeError
from nanochat.gpt import GPT
from nanochat.system.private_files import make_folder
from nanochat.tokenizer import RustBPETokenizer
from nanochat.traces.atomic_file import write_file
from nanochat.why.fingerprint import fingerprint
from nanochat.why.heads import ROLES, HeadScan, scan_heads, texts_for

EDITION = 1  # of how heads are scanned; another one's scans are made anew
LARGEST = 4 << 20  # bytes of a file that is read


class Kept(msgspec.Struct):
    """A file's content."""

    edition: int
    texts: list[list[int]]
    scan: HeadScan


def default_folder() -> Path:
    """Where scans are kept unless told otherwise."""
    return platformdirs.user_cache_path("nanoscope") / "heads"


def heads_of_model(
    model: GPT,
    tokenizer: RustBPETokenizer,
    *,
    ablate: bool = True,
    folder: Path | None = None,
    on_progress: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
) -> HeadScan:
    """The scan of a model's heads: the one that is kept, or one made now and kept, if that can be.

    Args:
        ablate: with what the model foretells without each head, which takes longest; a scan that is kept may tell it
            unasked.
        folder: where scans are kept; None: the user's cache.

    Raises: as `scan_heads` and `repeated_texts`.
    """
    texts = texts_for(model, tokenizer)
    if model.tap is not None and model.tap.lasting:  # it is changed meanwhile, which its weights do not tell
        return scan_heads(model, texts, ablate=ablate, on_progress=on_progress, cancel=cancel)
    path = (default_folder() if folder is None else folder) / f"{fingerprint(model)}.json"
    found = _read(path, texts, model)
    if found is not None and (not ablate or all(head.accuracy is not None for head in found.heads)):
        return found
    scan = scan_heads(model, texts, ablate=ablate, on_progress=on_progress, cancel=cancel)
    with contextlib.suppress(OSError, NanoscopeError):  # a full disk, or a folder that cannot be written
        make_folder(path.parent)
        write_file(path, msgspec.json.encode(Kept(EDITION, texts, scan)), replacing=True)
    return scan


def _read(path: Path, texts: list[list[int]], model: GPT) -> HeadScan | None:
    """The scan kept in a file; None where there is none, or one of other texts, or a damaged one."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        kept = msgspec.json.decode(path.read_bytes(), type=Kept)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    heads = [(head.layer, head.head) for head in kept.scan.heads]
    whole = heads == [(layer, head) for layer in range(model.config.n_layer) for head in range(model.config.n_head)]
    scored = all(head.scores.keys() == ROLES.keys() for head in kept.scan.heads)
    return kept.scan if kept.edition == EDITION and kept.texts == texts and whole and scored else None
