"""Every error that nanoscope raises on purpose; each message says what to do next."""


class NanoscopeError(Exception):
    """Base of all errors meant for a person; `code` is the name that crosses the wire."""

    code = "NANOSCOPE_ERROR"


class CheckpointNotFoundError(NanoscopeError):
    """No checkpoint where one was asked for."""

    code = "MODEL_NOT_LOADED"


class CheckpointInvalidError(NanoscopeError):
    """A checkpoint that is damaged, of an unknown architecture, or not what its metadata says."""

    code = "CHECKPOINT_INVALID"


class TokenizerInvalidError(CheckpointInvalidError):
    """A tokenizer that is missing, damaged, unsafe to load, or made for another vocabulary."""


class PromptInvalidError(NanoscopeError):
    """A prompt or a list of messages that cannot be run."""

    code = "PROMPT_INVALID"


class PromptTooLongError(PromptInvalidError):
    """A prompt with more tokens than the model has positions."""

    code = "PROMPT_TOO_LONG"


class SettingInvalidError(NanoscopeError):
    """A generation, capture, device or format setting out of its range."""

    code = "SETTING_INVALID"


class NonFiniteError(NanoscopeError):
    """NaN or infinity where the model should have computed numbers."""

    code = "NON_FINITE"


class ModelBusyError(NanoscopeError):
    """A model used from inside a callback of its own generation, or captured twice at once."""

    code = "IN_USE"


class ModelDiffersError(NanoscopeError):
    """A question about a trace that another model wrote."""

    code = "MODEL_DIFFERS"


class CancelledError(NanoscopeError):
    """The caller cancelled the work."""

    code = "CANCELLED"


class CategoryInvalidError(NanoscopeError):
    """A category that no trace has, or one that cannot name traces."""

    code = "CATEGORY_INVALID"


class TraceIdInvalidError(NanoscopeError):
    """A trace id with characters other than letters, digits, `_` and `-`."""

    code = "TRACE_ID_INVALID"


class TraceNotFoundError(NanoscopeError):
    """No trace of that id, or no such tensor in it."""

    code = "TRACE_NOT_FOUND"


class TraceUnreadableError(NanoscopeError):
    """A trace file that is not whole or not a trace."""

    code = "TRACE_UNREADABLE"


class StorageError(NanoscopeError):
    """The traces folder cannot be used: missing rights, a file in its place, an I/O error."""

    code = "STORAGE_FAILED"


class StorageFullError(StorageError):
    """No room left for a trace; nothing of it was kept."""

    code = "STORAGE_FULL"


def too_long_error(count: str, positions: int) -> PromptTooLongError:
    """The error for a prompt of so many tokens, "1,234" or "at least 1,234"."""
    return PromptTooLongError(
        f"The prompt has {count} tokens and the model has positions for {positions:,}: shorten it."
    )


def non_finite_error(position: int, place: str | None = None) -> NonFiniteError:
    """The error for NaN or infinity at a position, and where in the model it appeared first, such as "layer 2, q"."""
    return NonFiniteError(
        f"The model computed NaN or infinity at position {position}. Its weights are damaged or overflow in this "
        f"dtype: try dtype float32, or another checkpoint.{f' It appeared first in {place}.' if place else ''}"
    )
