"""Fixtures that the daemon's tests share."""

from collections.abc import Iterator

import pytest

from tests.daemon.running import DaemonProcess, running_daemon


@pytest.fixture
def daemon_process() -> Iterator[DaemonProcess]:
    """A real daemon of the test's own, with the built-in model; it has ended when the test has."""
    with running_daemon() as process:
        yield process
