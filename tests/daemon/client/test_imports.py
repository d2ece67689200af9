"""The clients are where the documents of every edition say."""

import subprocess
import sys

import pytest

ONE_ALONE = "import sys; from daemon.client import Client; sys.exit('asyncio' in sys.modules)"


@pytest.mark.parametrize(
    "line",
    [
        "from daemon.client import AsyncClient, Client; assert Client and AsyncClient",
        "from daemon.async_client import AsyncClient as A; from daemon.client import AsyncClient as B; assert A is B",
        "from daemon.client.sync import Client as A; from daemon.client import Client as B; assert A is B",
        "from daemon.client import *; assert Client and AsyncClient",
    ],
)
def test_a_documented_import(line: str) -> None:
    assert subprocess.run([sys.executable, "-c", line], check=False).returncode == 0


def test_one_does_not_load_the_other() -> None:
    assert subprocess.run([sys.executable, "-c", ONE_ALONE], check=False).returncode == 0


def test_what_there_is_not_is_said() -> None:
    import daemon.client

    with pytest.raises(AttributeError, match="Cleint"):
        _ = daemon.client.Cleint
