"""Importing this registers every handler; a new file of handlers is one more line."""

from daemon import handlers_daemon, handlers_generation, handlers_tensors, handlers_traces

__all__ = ["handlers_daemon", "handlers_generation", "handlers_tensors", "handlers_traces"]
