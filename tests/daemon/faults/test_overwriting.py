"""What a command is told to write takes no other file's place, unless it is told that too."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.daemon.commands import run
from tests.daemon.running import environment_set_to, running_daemon

WRITES = {
    "out.json": ("export", "latest", "--to", "json"),
    "out.safetensors": ("export", "latest", "--to", "safetensors"),
    "out.npy": ("tensor", "latest", "output_logits"),
}


@pytest.fixture(scope="module", autouse=True)
def _daemon() -> Iterator[None]:
    with running_daemon() as process, environment_set_to(process.environment):
        process.call("generate_and_capture", {"prompt": "Hello", "max_tokens": 1})
        yield


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("content", [b"mine", b""])
def test_a_file_is_replaced_by_force_alone(tmp_path: Path, name: str, content: bytes) -> None:
    path, command = tmp_path / name, (*WRITES[name], "--out", str(tmp_path / name))
    path.write_bytes(content)
    refused = run(*command)
    assert refused.status == 1
    assert f"{path} is there already" in refused.err
    assert "--force" in refused.err
    assert path.read_bytes() == content
    assert run(*command, "--force").status == 0
    assert path.stat().st_size > 100
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", WRITES)
def test_a_link_is_followed_by_force_alone(tmp_path: Path, name: str) -> None:
    path, command = tmp_path / name, (*WRITES[name], "--out", str(tmp_path / name))
    path.symlink_to("target")
    assert "is there already" in run(*command).err
    assert os.listdir(tmp_path) == [name]
    assert run(*command, "--force").status == 0
    assert path.is_symlink()
    assert (tmp_path / "target").stat().st_size > 100


@pytest.mark.parametrize("name", WRITES)
def test_what_is_no_file_stays_whatever_the_force(tmp_path: Path, name: str) -> None:
    path, command = tmp_path / name, (*WRITES[name], "--out", str(tmp_path / name), "--force")
    path.mkdir()
    assert run(*command).status == 1
    path.rmdir()
    os.mkfifo(path)
    assert "not a regular file" in run(*command).err
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_the_numbers_are_whole(tmp_path: Path) -> None:
    run(*WRITES["out.npy"], "--out", str(tmp_path / "out.npy"))
    assert np.load(tmp_path / "out.npy").ndim == 3
