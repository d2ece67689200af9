"""What the model's tests share."""

from pathlib import Path

import pytest
import torch

from nanochat import common
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from tests.models import golden_model


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """nanochat's base folder, which is not there."""
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "base"))
    return tmp_path / "base"


@pytest.fixture
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where to compute: the CPU, or what `--device` names."""
    return torch.device(str(request.config.getoption("--device")))


@pytest.fixture(params=["float64", "float32"])
def summed_in(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """How small models compute float32 on the CPU, and how larger ones do."""
    if request.param == "float32":
        monkeypatch.setattr(common, "FLOAT64_PARAMETERS", 0)
    return request.param


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    """A golden checkpoint, with a traces folder of its own."""
    model, tokenizer = golden_model()
    storage = TraceStorage(tmp_path / "traces", catalogue=tmp_path / "catalogue.sqlite3")
    return InterpretabilityEngine(model, tokenizer, storage)
