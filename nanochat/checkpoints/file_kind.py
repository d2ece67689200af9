"""What a file holds whose name promises something else: a download that never came, or another program's file."""

from __future__ import annotations

import json
import os
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HEAD = 1 << 12  # bytes looked at
SHORTEST = 8  # bytes of a text that is one by intention
SHOWN = 80  # characters of a text that are quoted
AGAIN = "Copy it again from its source"
ANSWERED = f"most likely what a server answered instead. {AGAIN}"
FETCH = "fetch that (`git annex get`, `dvc pull`), or copy the file itself"
ARCHIVE, PICKLE, SAFETENSORS, JSON = "a zip archive", "a pickle", "a safetensors file", "JSON"


class Kind(NamedTuple):
    """One kind of file: how its first bytes are told, what it is, and what to do."""

    matches: Callable[[bytes], Any]
    name: str
    advice: str = "put the file there whose name it has"


def _starts(*magic: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(magic)


def _begins(pattern: bytes) -> Callable[[bytes], Any]:
    """Text, whatever white space or byte order mark it begins with."""
    return re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:" + pattern + rb")", re.IGNORECASE).match


def _compressed(name: str, program: str, *magic: bytes) -> Kind:
    return Kind(_starts(*magic), f"compressed with {name}", f"unpack it with `{program}`")


KINDS = (
    Kind(lambda head: not head, "empty", f"its download did not come through. {AGAIN}"),
    Kind(_begins(rb"version https://(?:git-lfs|hawser)\b"), "a Git LFS pointer", "fetch it with `git lfs pull`"),
    Kind(lambda head: b"/annex/objects/" in head[:512], "a git-annex pointer", "fetch it with `git annex get`"),
    Kind(
        _begins(rb"<!doctype html|<html|<head|<!--"),
        "an HTML page",
        "download the file itself, not the page about it, and log in first where its site asks for that",
    ),
    Kind(_begins(rb"<\?xml|<error>"), "an XML document", ANSWERED),
    Kind(_begins(rb"[\[{]"), JSON, ANSWERED),
    _compressed("gzip", "gunzip", b"\x1f\x8b"),
    _compressed("bzip2", "bunzip2", b"BZh"),
    _compressed("xz", "unxz", b"\xfd7zXZ\0"),
    _compressed("zstd", "unzstd", b"\x28\xb5\x2f\xfd"),
    _compressed("lz4", "unlz4", b"\x04\x22\x4d\x18"),
    _compressed("7-Zip", "7z x", b"7z\xbc\xaf\x27\x1c"),
    Kind(lambda head: head[257:262] == b"ustar", "a tar archive", "unpack it with `tar xf`"),
    Kind(_starts(b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02"), ARCHIVE, "unpack it if the file is inside"),
    Kind(_starts(b"GGUF"), "a GGUF file (llama.cpp's)"),
    Kind(_starts(b"\x93NUMPY"), "a numpy array"),
    Kind(_starts(b"\x89HDF\r\n"), "an HDF5 file"),
    Kind(_starts(b"SQLite format 3\0"), "an SQLite database"),
    Kind(_starts(b"%PDF-"), "a PDF"),
    Kind(_starts(b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "a picture"),
    Kind(
        lambda head: head[8:9] == b"{" and _header_length(head) < 1 << 32,
        SAFETENSORS,
        "read it with safetensors.torch.load_file, and save that with torch.save",
    ),
    Kind(
        lambda head: re.match(rb"\x80[\x02-\x05]", head) or re.match(rb"[(\]}c].*\.\n?\Z", head, re.DOTALL),
        PICKLE,
        "if it is torch's format before 1.6, load it and save it again with torch.save; nanoscope runs no pickle",
    ),
    Kind(lambda head: not head.strip(b"\0"), "zeros alone", f"its download broke off. {AGAIN}"),
)


def what_it_is(file: Path | int, expected: str) -> str | None:
    """What a file is instead of what was expected of it, and what to do, such as
    "a Git LFS pointer of 135 bytes: fetch it with `git lfs pull`".

    Args:
        file: its path, or its descriptor.
        expected: ARCHIVE for torch's weights, else PICKLE, SAFETENSORS or JSON.

    Returns:
        None where it looks like what was expected, or like nothing known, or cannot be read.
    """
    if isinstance(file, Path) and is_dangling(file):
        return f"a link to {os.readlink(file)}, which is not there: {FETCH}"
    try:
        head, tail, size = _ends_of(file)
    except OSError:
        return None
    kind = next((kind for kind in KINDS if kind.matches(head)), None)
    if kind is not None and kind.name != expected:
        length = "" if size == 0 else f" of {size:,} bytes"
        quoted = f" ({_quoted(head)})" if kind.name == JSON else ""
        return f"{kind.name}{length}{quoted}: {kind.advice}"
    if kind is None:
        text = expected != JSON and size >= SHORTEST and _is_text(head)
        return f"a text of {size:,} bytes ({_quoted(head)}): {ANSWERED}" if text else None
    broken = f"cut short after {size:,} bytes: its download or copy broke off. {AGAIN}"
    if expected == ARCHIVE:
        return _inside(file) if b"PK\x05\x06" in tail else broken
    if expected == SAFETENSORS and 8 + _header_length(head) > size:
        return broken
    return None


def is_dangling(path: Path) -> bool:
    """Whether a path is a link to nothing, as git-annex and DVC leave for what was not fetched."""
    return path.is_symlink() and not os.path.exists(path)


def _ends_of(file: Path | int) -> tuple[bytes, bytes, int]:
    """The first bytes, the last ones (as many as a zip archive's end may take), and the size."""
    descriptor = file if isinstance(file, int) else os.open(file, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        size = os.fstat(descriptor).st_size
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        os.lseek(descriptor, 0, os.SEEK_SET)
        head = os.read(descriptor, HEAD)
        os.lseek(descriptor, max(0, size - (1 << 16) - 22), os.SEEK_SET)
        tail = os.read(descriptor, (1 << 16) + 22)
        os.lseek(descriptor, place, os.SEEK_SET)
        return head, tail, size
    finally:
        if not isinstance(file, int):
            os.close(descriptor)


def _header_length(head: bytes) -> int:
    return struct.unpack("<Q", head[:8])[0] if len(head) >= 8 else 0


def _inside(file: Path | int) -> str | None:
    """What a zip archive holds that torch did not write."""
    if isinstance(file, int):
        return None
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return None
    if any(name.endswith("data.pkl") for name in names):
        return None
    return f"a zip archive of something else ({', '.join(names[:3]) or 'nothing'}): unpack it if the file is inside"


def _is_text(head: bytes) -> bool:
    try:
        text = head[: HEAD - 4].decode()
    except UnicodeDecodeError:
        return False
    return text.isprintable() or bool(re.fullmatch(r"[^\x00-\x08\x0e-\x1f\x7f]+", text))


def _quoted(head: bytes) -> str:
    text = " ".join(head.decode("utf-8", "replace").split())
    return json.dumps(text[:SHOWN] + ("..." if len(text) > SHOWN else ""), ensure_ascii=False)
