import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nanochat.common import autodetect_device_type, get_base_dir, parse_device, parse_dtype
from nanochat.errors import SettingInvalidError

CPU = torch.device("cpu")


def test_the_base_folder_is_the_environments(monkeypatch, tmp_path):
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "models"))
    assert get_base_dir() == tmp_path / "models"
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("value", [None, ""])
def test_else_it_is_the_cache_in_the_home_folder(monkeypatch, tmp_path, value):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NANOCHAT_BASE_DIR", raising=False)
    if value is not None:
        monkeypatch.setenv("NANOCHAT_BASE_DIR", value)
    assert get_base_dir() == tmp_path / ".cache" / "nanochat"
    assert list(tmp_path.iterdir()) == []


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NANOCHAT_BASE_DIR", "~/models")
    assert get_base_dir() == tmp_path / "models"
    monkeypatch.setenv("NANOCHAT_BASE_DIR", "~there-is-no-such-user/models")
    assert get_base_dir() == Path("~there-is-no-such-user/models")


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu"), (True, False, "cuda")]
)
def test_the_best_device(monkeypatch, cuda, mps, best):
    have(monkeypatch, cuda=2 if cuda else 0, mps=mps)
    assert autodetect_device_type() == best
    assert parse_device(None) == torch.device(best)
    assert parse_device("") == torch.device(best)


def have(monkeypatch, cuda=0, mps=False, capability=(9, 0)):
    """A machine with so many CUDA devices."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize("device", ["cpu", "cpu:0", "cuda", "cuda:0", "cuda:1", "mps", CPU, torch.device("cuda", 1)])
def test_devices_at_hand(monkeypatch, device):
    have(monkeypatch, cuda=2, mps=True)
    assert parse_device(device) == torch.device(device)


@pytest.mark.parametrize(
    "device", ["cuda", "cuda:9", "cuda:-1", "cpu:1", "mps", "meta", "xla", "gpu", "cuda:x", "CPU", 3.5, ["cpu"]]
)
def test_devices_that_are_not_there(monkeypatch, device):
    have(monkeypatch)
    with pytest.raises(SettingInvalidError, match=r"use .*cpu"):
        parse_device(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:9", "mps", "meta"])
def test_a_device_object_is_looked_at_like_a_name(monkeypatch, device):
    have(monkeypatch)
    with pytest.raises(SettingInvalidError, match=f"'{device}' is not available"):
        parse_device(torch.device(device))


def test_one_cuda_device_too_few(monkeypatch):
    have(monkeypatch, cuda=2)
    with pytest.raises(SettingInvalidError, match="'cuda:2' is not available on this machine: use cuda"):
        parse_device("cuda:2")


@pytest.mark.parametrize(
    ("device", "capability", "dtype"),
    [
        ("cpu", (9, 0), torch.float32),
        ("mps", (9, 0), torch.float32),
        ("cuda", (7, 5), torch.float32),
        ("cuda", (8, 0), torch.bfloat16),
        ("cuda", (9, 0), torch.bfloat16),
    ],
)
def test_what_a_device_computes_in_by_default(monkeypatch, device, capability, dtype):
    have(monkeypatch, cuda=1, capability=capability)
    assert parse_dtype(None, torch.device(device)) == dtype


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtypes_by_name_and_as_they_are(dtype):
    assert parse_dtype(dtype, CPU) == getattr(torch, dtype)
    assert parse_dtype(getattr(torch, dtype), CPU) == getattr(torch, dtype)


@pytest.mark.parametrize("dtype", ["half", "torch.float32", "", torch.int8, torch.float64, 5, ["float32"]])
def test_other_dtypes(dtype):
    with pytest.raises(SettingInvalidError, match="choose from float32, bfloat16, float16"):
        parse_dtype(dtype, CPU)


def test_importing_does_nothing(tmp_path):
    names = "common eras checkpoints.layouts checkpoints.files checkpoint_manager tokenizer tokenizer_files calculator"
    code = f"import {', '.join(f'nanochat.{name}' for name in names.split())}"
    environment = {"HOME": str(tmp_path), "NANOCHAT_BASE_DIR": str(tmp_path / "base"), "PATH": os.environ["PATH"]}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []
