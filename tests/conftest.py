"""Shared by all tests: one thread a worker, since pytest runs one a core, and nothing left in the user's cache."""

import os
import signal
import tempfile
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("no deadline", deadline=None)  # a busy machine is no fault of the code's
settings.load_profile("no deadline")
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job hands on that Ctrl-C is ignored


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--device cuda` runs on another device what can be: the golden vectors, and decoding."""
    parser.addoption("--device", default="cpu", help="where tests with a device compute (cpu, cuda, mps)")


@pytest.fixture(scope="session", autouse=True)
def cache_folder() -> Iterator[None]:
    """The catalogue's default place is a temporary folder, for child processes too."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "XDG_CACHE_HOME", folder)
        yield
