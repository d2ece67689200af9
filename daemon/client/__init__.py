"""The Python clients: `Client`, and `AsyncClient` for asyncio. Each is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daemon.client.aio import AsyncClient
    from daemon.client.sync import Client

__all__ = ["AsyncClient", "Client"]
_MODULES = {"AsyncClient": "daemon.client.aio", "Client": "daemon.client.sync"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
