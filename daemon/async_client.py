"""The asyncio client by its first name: `from daemon.client import AsyncClient` is the same."""

from daemon.client.aio import AsyncClient

__all__ = ["AsyncClient"]
