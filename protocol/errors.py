"""Every error that crosses the wire: its name, its number, and when it happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ErrorCode:
    """One kind of error. JSON-RPC and LSP fix the numbers below -32000; the project's own begin at -31001."""

    name: str
    code: int
    meaning: str


ERRORS: dict[str, ErrorCode] = {
    row.name: row
    for row in (
        ErrorCode("PARSE_ERROR", -32700, "What was sent is not JSON."),
        ErrorCode("INVALID_REQUEST", -32600, "JSON, but no request of JSON-RPC 2.0."),
        ErrorCode("METHOD_NOT_FOUND", -32601, "No method of that name."),
        ErrorCode("INVALID_PARAMS", -32602, "A parameter is unknown, missing or mistyped; the message says where."),
        ErrorCode("INTERNAL_ERROR", -32603, "A fault of the daemon's own; its log has the traceback."),
        ErrorCode("SERVER_NOT_INITIALIZED", -32002, "An editor asked before it sent `initialize`."),
        ErrorCode("CONTENT_MODIFIED", -32801, "The document has changed since an editor asked; it asks again."),
        ErrorCode("CANCELLED", -32800, "The caller cancelled the request, or went away."),
        ErrorCode("TRACE_NOT_FOUND", -31001, "No trace of that id, or no such tensor in it."),
        ErrorCode("TRACE_UNREADABLE", -31002, "The trace's file is not whole, or not a trace."),
        ErrorCode("TRACE_ID_INVALID", -31003, "A trace id has letters, digits, `_` and `-`."),
        ErrorCode("CATEGORY_INVALID", -31004, "No trace has that category, or it cannot name traces."),
        ErrorCode("PROMPT_INVALID", -31005, "A prompt or messages that cannot be run."),
        ErrorCode("PROMPT_TOO_LONG", -31006, "The prompt has more tokens than the model has positions."),
        ErrorCode("SETTING_INVALID", -31007, "A generation, capture, device or daemon setting is out of its range."),
        ErrorCode("MODEL_NOT_LOADED", -31008, "No checkpoint where one was asked for."),
        ErrorCode("CHECKPOINT_INVALID", -31009, "A checkpoint that is damaged, unsafe or of an unknown architecture."),
        ErrorCode("NON_FINITE", -31010, "The model computed NaN or infinity."),
        ErrorCode("QUEUE_FULL", -31011, "Too many generations are waiting."),
        ErrorCode("TOO_LARGE", -31012, "More was sent or asked for than fits into one message."),
        ErrorCode("VERSION_MISMATCH", -31013, "The daemon is of another version, or was started for another model."),
        ErrorCode("STORAGE_FAILED", -31014, "The traces folder cannot be used."),
        ErrorCode("STORAGE_FULL", -31015, "No room is left for the trace; nothing of it was kept."),
        ErrorCode("RUN_FOLDER_UNSAFE", -31016, "The daemon's private folder belongs to, or is open to, somebody else."),
        ErrorCode("DAEMON_NOT_STARTED", -31017, "No daemon could be started or reached; the message has its words."),
        ErrorCode("MODEL_MISMATCH", -31020, "The model held, which others use, is not the one that the client names."),
        ErrorCode("MODEL_DIFFERS", -31021, "Another model wrote the trace than the one that is to run it again."),
        ErrorCode("IN_USE", -31019, "Others still use the daemon; `force` ends it all the same."),
        ErrorCode("SHUTTING_DOWN", -31018, "The daemon is ending; a new one starts with the next connection."),
    )
}  # fmt: skip
BY_CODE = {row.code: row for row in ERRORS.values()}


class RpcError(Exception):
    """An error as it crosses the wire.

    Args:
        name: a key of ERRORS.
        message: for a person; says what to do.
        data: more about it, as JSON values; its `name` is added.
    """

    def __init__(self, name: str, message: str, data: dict[str, Any] | None = None):
        super().__init__(message)
        self.name, self.code, self.message = name, ERRORS[name].code, message
        self.data: dict[str, Any] = {"name": name} | (data or {})

    def as_json(self) -> dict[str, Any]:
        """The `error` member of a response."""
        return {"code": self.code, "message": self.message, "data": self.data}

    @classmethod
    def from_json(cls, error: dict[str, Any]) -> RpcError:
        """The error that a response holds; one of an unknown number is an INTERNAL_ERROR."""
        row = BY_CODE.get(error.get("code", 0), ERRORS["INTERNAL_ERROR"])
        data = error.get("data")
        return cls(row.name, str(error.get("message", row.meaning)), data if isinstance(data, dict) else None)
