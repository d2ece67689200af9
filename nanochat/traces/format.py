"""What a trace format is: functions that know how its files lay a trace out, and what they hand each other."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nanochat.traces.atomic_file import Output
from nanochat.traces.blocks import Block
from nanochat.traces.content import Content, Infos
from nanochat.traces.tensors import Positions, Span, TensorInfo


@dataclass
class StepIndex:
    """A step that a file spells out by itself: its small values, and where its tensors are."""

    small: dict[str, Any]
    tensors: dict[str, Span] = field(default_factory=dict)
    infos: dict[str, TensorInfo] = field(default_factory=dict)


@dataclass
class TraceIndex:
    """What a trace file holds: its document, and where its tensors are.

    `head_end` is the length of the document's text, without its closing brace, where it stands before the tensors;
    `steps` lists the steps of an older file, which are not views of its whole tensors.
    """

    document: dict[str, Any]
    tensors: dict[str, Span] = field(default_factory=dict)
    infos: dict[str, TensorInfo] = field(default_factory=dict)
    steps: list[StepIndex] = field(default_factory=list)
    head_end: int | None = None


@dataclass(frozen=True)
class Format:
    """One row of the table in formats.py. The functions read a descriptor and never move its position.

    Args:
        name: in settings and requests; after a dot, the ending of its files.
        title: in sentences.
        kind: what `file_kind` calls such a file.
        beginning: a byte's place and what stands from there on in every file that this program writes.
        compact: tensors lie as bytes behind their index. So a file is small, any part of a tensor is read as fast, and
            of two files of one trace it is the one to read.
        scan: descriptor and size to the index. Raises TraceUnreadableError, OSError, ValueError for damage.
        write: a trace into an empty file; the index that scanning it would give.
        read_block: the values of a part of a tensor. Raises OSError, ValueError for damage.
        expected_bytes: of tensors in a file; True: with every step spelled out, where the format does that.
        scan_head: for listings, an index without tensors, faster than `scan`; None for what has to be scanned.
        infer_shape: of a tensor whose index says none; only where an index may.
    """

    name: str
    title: str
    kind: str
    beginning: tuple[int, bytes]
    compact: bool
    scan: Callable[[int, int], TraceIndex]
    write: Callable[[Output, Content], TraceIndex]
    read_block: Callable[[int, Span, TensorInfo, Block], np.ndarray]
    expected_bytes: Callable[[Infos, Positions, bool], int]
    scan_head: Callable[[int, int], TraceIndex | None] | None = None
    infer_shape: Callable[[int, Span], tuple[int, ...]] | None = None
