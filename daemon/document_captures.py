"""Which trace is a prompt's capture: the newest in the folder that has its text and was made as it asks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from daemon.prompt_documents import Prompt
from daemon.remembered import Remembered
from daemon.trace_folders import TraceFolder
from nanochat.errors import NanoscopeError
from nanochat.trace_storage import TraceEntry, TraceStorage

SHOWN_TEXT = 4000  # characters of a prompt that a listing has
KNOWN = 4096  # summaries kept
SETTINGS = ("max_tokens", "temperature", "top_k", "seed")  # what decides the response; a category does not


@dataclass(frozen=True)
class Capture:
    """A trace that is a prompt's capture; `seconds` is None where another program wrote no timings."""

    entry: TraceEntry
    prompt: str
    response: str
    generation: Mapping[str, Any]

    @property
    def seconds(self) -> float | None:
        """How long the generation took."""
        timings = self.generation.get("timings")
        parts = [timings.get(key) for key in ("prefill_seconds", "decode_seconds")] if isinstance(timings, dict) else []
        numbers = [part for part in parts if isinstance(part, int | float)]
        return sum(numbers) if len(numbers) == 2 else None

    def answers(self, prompt: Prompt) -> bool:
        """Whether text and settings are the prompt's: of the settings, only those given are compared."""
        wanted = {key: prompt.settings[key] for key in SETTINGS if key in prompt.settings}
        made = {key: self.generation.get(key) for key in wanted}
        if "top_k" in wanted:  # 0 and null both draw from all
            wanted["top_k"], made["top_k"] = wanted["top_k"] or None, made["top_k"] or None
        return self.prompt == prompt.text and made == wanted


class Captures:
    """What is known of a folder's traces. Threads may share it; it reads files, so the event loop must not call it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: Sequence[TraceEntry] = ()
        self._by_prompt: dict[str, list[TraceEntry]] = {}
        self._known: Remembered[Capture | None] = Remembered(KNOWN)
        self._chats: Remembered[bool | None] = Remembered(KNOWN)
        self._surprisals: Remembered[float | None] = Remembered(KNOWN)

    def of(self, folder: TraceFolder, prompts: Sequence[Prompt]) -> list[Capture | None]:
        """Each prompt's capture, None where it has none. Raises StorageError."""
        by_prompt, storage = self._index(folder.entries()), folder.storage
        return [self._newest(storage, by_prompt.get(prompt.text[:SHOWN_TEXT], ()), prompt) for prompt in prompts]

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

    def _newest(self, storage: TraceStorage, entries: Sequence[TraceEntry], prompt: Prompt) -> Capture | None:
        for entry in entries:
            key = (entry.path, entry.state)
            capture = self._known.get(key, partial(_read, storage, entry))
            if capture is None or not capture.answers(prompt):
                continue
            # Summaries have no messages: they are read of the few files of which all else is as it is asked.
            if self._chats.get(key, partial(_is_chat, storage, capture)) == prompt.chat:
                return capture
        return None

    def surprisal(self, trace: tuple[object, ...], read: Callable[[], float | None]) -> float | None:
        """A trace's mean surprisal, read once."""
        return self._surprisals.get(trace, read)


def _read(storage: TraceStorage, entry: TraceEntry) -> Capture | None:
    try:
        summary = storage.get_trace_summary(entry.trace_id)
    except NanoscopeError:  # deleted or damaged meanwhile: the next listing has it no more
        return None
    generation = summary["generation"] if isinstance(summary["generation"], dict) else {}
    return Capture(entry, summary["prompt"], summary["response"], generation)


def _is_chat(storage: TraceStorage, capture: Capture) -> bool | None:
    """Whether a trace's prompt is a user's message, all there is of a chat; None: there is more, or no trace by now."""
    try:
        with storage.open_trace(capture.entry.trace_id) as trace:
            messages = trace.document.get("messages")
    except NanoscopeError:
        return None
    if messages is None:
        return False
    return True if messages == messages_of(capture.prompt) else None


def messages_of(text: str) -> list[dict[str, str]]:
    """The chat that is one message of a user's."""
    return [{"role": "user", "content": text}]


def parameters_of(prompt: Prompt) -> dict[str, Any]:
    """What `generate_and_capture` is asked for to capture a prompt."""
    settings = {key: value for key, value in prompt.settings.items() if key != "chat"}
    return settings | ({"messages": messages_of(prompt.text)} if prompt.chat else {"prompt": prompt.text})
