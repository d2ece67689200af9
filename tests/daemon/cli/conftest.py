"""A daemon with two traces, for the commands that read them."""

from collections.abc import Iterator

import pytest

from daemon.client.sync import Client
from tests.daemon.cli.prompts import PROMPT
from tests.daemon.commands import run
from tests.daemon.running import DaemonProcess, running_daemon

PAGE = 1000


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """One daemon for all tests of a file, with two traces."""
    with running_daemon() as process:
        assert run("capture", "Two and two is", "-n", "3", "--category", "sums").status == 0
        assert run("capture", PROMPT, "-n", "5").status == 0
        yield process


@pytest.fixture
def client(daemon: DaemonProcess) -> Iterator[Client]:
    with Client(daemon.settings) as client:
        yield client


@pytest.fixture
def trace(client: Client) -> str:
    """The trace whose text is TEXT; the tests add others."""
    return client.list_traces(text=PROMPT, limit=PAGE).traces[-1].trace_id
