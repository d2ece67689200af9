"""Importing this registers every handler; a new file of handlers is one more name."""

from daemon.handlers import generation, status, tensors, traces

__all__ = ["generation", "status", "tensors", "traces"]
