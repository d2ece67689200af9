"""What a client says of the model that it means: in its hello, or in a line ahead of an editor's messages. Light."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.settings import Settings

MARK = b"#"  # begins the line: neither JSON nor a header does
LIMIT = 1 << 16  # bytes of the line
OF_A_BASE_FOLDER = ("base", "mid", "sft", "rl")


def named_model(settings: Settings) -> dict[str, Any] | None:
    """The model that the settings name, as the protocol's NamedModel; None where they leave it to the daemon.

    The base folder counts where it is given, and where the name of a checkpoint means nothing without it.
    """
    named = {
        "source": settings.source,
        "tag": settings.model_tag,
        "step": settings.step,
        "era": settings.era,
        "device": settings.device,
        "dtype": settings.dtype,
        "window_pattern": settings.window_pattern,
    }
    by_default = settings.source is None and (settings.model_tag is not None or settings.step is not None)
    if settings.base_dir is not None or settings.source in OF_A_BASE_FOLDER or by_default:
        named["base_dir"] = str(settings.base_folder())
    return {name: value for name, value in named.items() if value is not None} or None


def introduction(settings: Settings, *, model: bool = True) -> dict[str, Any]:
    """The fields of a hello that are about models.

    Args:
        model: False: the client only reads traces, and any model will do.
    """
    return {"model": named_model(settings) if model else None, "base_dir": str(settings.base_folder())}


def introduction_line(settings: Settings, traces_dir: str | None = None) -> bytes:
    """The same as a line, to be sent before anything else; with the session's own traces folder, where it has one."""
    said = introduction(settings) | ({} if traces_dir is None else {"traces_dir": traces_dir})
    return MARK + json.dumps(said).encode() + b"\n"
