"""Importing this registers every handler; a new file of handlers is one more line."""

from daemon.handlers import generation, tensors
from daemon.handlers import status as handlers_daemon
from daemon.handlers import traces as handlers_traces

__all__ = ["handlers_daemon", "handlers_generation", "handlers_tensors", "handlers_traces"]
