"""Which trace is a prompt's capture: the newest in the folder that has its text and was made as it asks."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from daemon.editor.lru_cache import LruCache
from daemon.editor.prompt_parser import Prompt, digest_of
from daemon.folders.trace_folders import TraceFolder
from nanochat.errors import NanoscopeError
from nanochat.trace_storage import TraceEntry, TraceStorage
from nanochat.traces.json.writer import without_surrogates

SHOWN_TEXT = 4000  # characters of a prompt that a listing has, and of a response that is shown
KNOWN = 4096  # summaries kept
SETTINGS = ("max_tokens", "temperature", "top_k", "seed")  # what decides the response; a category does not
MOST_SECONDS = 1e9  # a generation that took longer is another program's mistake

Made = tuple[tuple[str, float], ...]  # some settings, with their values
log = logging.getLogger("nanoscope.connection")


@dataclass(frozen=True)
class Capture:
    """What is kept of a trace that may be a prompt's capture.

    Args:
        prompt: stands for the whole text of it.
        response: as much of it as is shown; `cut`: there is more.
        settings: those that it was made with, where they are numbers.
        seconds: how long the generation took; None where another program wrote no timings.
    """

    entry: TraceEntry
    prompt: bytes
    response: str
    cut: bool
    settings: Mapping[str, float]
    seconds: float | None

    def made_with(self, names: Sequence[str]) -> Made | None:
        """The settings of these names; None where it does not tell."""
        if not all(name in self.settings for name in names):
            return None
        return tuple((name, self.settings[name]) for name in names)


def asked_for(prompt: Prompt) -> Made:
    """The settings that a capture of a prompt was made with: of the settings, only those given are compared."""
    return tuple((name, prompt.settings[name]) for name in SETTINGS if name in prompt.settings)


class Captures:
    """What is known of a folder's traces. Threads may share it; it reads files, so the event loop must not call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: Sequence[TraceEntry] = ()
        self._by_prompt: dict[str, list[TraceEntry]] = {}
        self._known: LruCache[Capture | None] = LruCache(KNOWN)
        self._chats: LruCache[bool | None] = LruCache(KNOWN)
        self._surprisals: LruCache[float | None] = LruCache(KNOWN)

    def of(self, folder: TraceFolder, prompts: Sequence[Prompt]) -> list[Capture | None]:
        """Each prompt's capture, None where it has none. Raises StorageError."""
        by_prompt, storage = self._index(folder.entries()), folder.storage
        begun: dict[str, list[Prompt]] = {}  # by what listings have of them
        for prompt in prompts:
            begun.setdefault(prompt.text[:SHOWN_TEXT], []).append(prompt)
        found: dict[object, Capture] = {}
        for beginning, alike in begun.items():
            if beginning in by_prompt:
                found |= self._newest(storage, by_prompt[beginning], alike)
        return [found.get(_wish(prompt)) for prompt in prompts]

    def _index(self, entries: Sequence[TraceEntry]) -> dict[str, list[TraceEntry]]:
        """The entries, newest first, by what they have of their prompts."""
        with self._lock:
            if self._entries is not entries:
                by_prompt: dict[str, list[TraceEntry]] = {}
                for entry in entries:
                    if entry.readable:
                        by_prompt.setdefault(entry.prompt, []).append(entry)
                self._entries, self._by_prompt = entries, by_prompt
            return self._by_prompt

    def _newest(
        self, storage: TraceStorage, entries: Sequence[TraceEntry], prompts: Sequence[Prompt]
    ) -> dict[object, Capture]:
        """By wish. Each trace is looked at once, for all prompts: there may be thousands of both."""
        texts: dict[object, str] = {_wish(prompt): prompt.text for prompt in prompts}
        names = {tuple(name for name, _ in asked_for(prompt)) for prompt in prompts}
        found: dict[object, Capture] = {}
        for entry in entries:
            if len(found) == len(texts):
                break
            key = (entry.path, entry.state)
            capture = self._known.get(key, partial(_guarded, entry, partial(_read, storage, entry)))
            if capture is None:
                continue
            for wish in _answered(capture, names):
                if wish in texts and wish not in found:
                    # Summaries have no messages: they are read of the few files of which all else is as it is asked.
                    is_chat = partial(_guarded, entry, partial(_is_chat, storage, entry, texts[wish]))
                    if self._chats.get(key, is_chat) == wish[2]:
                        found[wish] = capture
        return found

    def surprisal(self, trace: tuple[object, ...], read: Callable[[], float | None]) -> float | None:
        """A trace's mean surprisal, read once."""
        return self._surprisals.get(trace, read)


def _wish(prompt: Prompt) -> tuple[bytes, Made, bool]:
    """What a capture must have; the same for prompts that have the same one."""
    return prompt.digest, asked_for(prompt), prompt.chat


def _answered(capture: Capture, names: Iterable[Sequence[str]]) -> Iterator[tuple[bytes, Made, bool]]:
    """The wishes that a capture may fulfil, of those that name these settings."""
    for made in map(capture.made_with, names):
        if made is not None:
            yield from ((capture.prompt, made, chat) for chat in (False, True))


def _guarded(entry: TraceEntry, read: Callable[[], Any]) -> Any:
    """What was read of a trace; None where that fails, whatever is wrong with it: it must cost no other its capture."""
    try:
        return read()
    except NanoscopeError:  # deleted or damaged meanwhile: the next listing has it no more
        return None
    except Exception:
        log.exception("%s is left out of what editors show", entry.path)
        return None


def _read(storage: TraceStorage, entry: TraceEntry) -> Capture:
    summary = storage.get_trace_summary(entry.trace_id)
    generation = summary["generation"] if isinstance(summary["generation"], dict) else {}
    settings = {name: _number(generation.get(name)) for name in SETTINGS}
    if generation.get("top_k") is None:  # 0 and null both draw from all
        settings["top_k"] = 0
    timings = generation.get("timings")
    parts = [timings.get(key) for key in ("prefill_seconds", "decode_seconds")] if isinstance(timings, dict) else [None]
    seconds = [number for number in map(_number, parts) if number is not None and 0 <= number <= MOST_SECONDS]
    return Capture(
        entry,
        digest_of(without_surrogates(summary["prompt"])),
        without_surrogates(summary["response"][:SHOWN_TEXT]),
        len(summary["response"]) > SHOWN_TEXT,
        {name: value for name, value in settings.items() if value is not None},
        sum(seconds) if len(seconds) == len(parts) else None,
    )


def _number(value: object) -> float | None:
    """A value as a number that JSON and Python's floats can hold; None for any other."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return value if -(1 << 63) < value < 1 << 63 else None


def _is_chat(storage: TraceStorage, entry: TraceEntry, prompt: str) -> bool | None:
    """Whether a trace's prompt is a user's message, all there is of a chat; None: there is more, or no trace by now."""
    with storage.open_trace(entry.trace_id) as trace:
        messages = trace.document.get("messages")
    if messages is None:
        return False
    return True if messages == messages_of(prompt) else None


def messages_of(text: str) -> list[dict[str, str]]:
    """The chat that is one message of a user's."""
    return [{"role": "user", "content": text}]


def parameters_of(prompt: Prompt) -> dict[str, Any]:
    """What `generate_and_capture` is asked for to capture a prompt."""
    settings = {key: value for key, value in prompt.settings.items() if key != "chat"}
    return settings | ({"messages": messages_of(prompt.text)} if prompt.chat else {"prompt": prompt.text})
