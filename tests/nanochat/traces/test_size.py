"""How large a trace is going to be: near the truth, said before the work, and checked against the room there is."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nanochat.analysis.thumbnails import kept_infos
from nanochat.capture.request import with_value_norms
from nanochat.capture.sites import CaptureSettings
from nanochat.errors import StorageFullError
from nanochat.gpt_config import GPTConfig
from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent
from nanochat.traces import size
from nanochat.traces.size import LARGE, expected_bytes, size_notice, stored_as
from nanochat.traces.tensors import Positions, TensorInfo
from tests.models import golden_model

PROMPT = "The capital of France is Paris. " * 3
CAPTURES: list[dict[str, Any] | None] = [
    None,
    {"logits": "all"},
    {"logits": 5, "sites": ["q", "head_output", "mlp_hidden"]},
    {"logits": None, "layers": [1, 3], "sites": ["residual", "final_residual", "attention_weights"]},
    {"sites": [], "logits": "generated"},
    {"dtype": "bfloat16"},
    {"dtype": "float16", "sites": ["k", "v"], "logits": "all"},
]
TWELVE = GPTConfig(2048, 50304, n_layer=12, n_head=12, n_kv_head=12, n_embd=768, window_pattern="L", era="F")


@pytest.fixture
def engine(tmp_path: Path) -> InterpretabilityEngine:
    return InterpretabilityEngine(*golden_model(), tmp_path / "traces")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Every trace is large from now on."""
    monkeypatch.setattr(size, "LARGE", 1000)
    return []


@pytest.mark.parametrize("max_tokens", [0, 40])
@pytest.mark.parametrize("steps", [False, True])
@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize("format", ["json", "safetensors"])
def test_what_is_foretold_is_near_the_truth(
    engine: InterpretabilityEngine, capture: dict[str, Any] | None, format: str, steps: bool, max_tokens: int
) -> None:
    engine.engine.end_tokens = frozenset()
    result = engine.generate_and_capture(
        PROMPT, max_tokens=max_tokens, capture=capture, format=format, capture_intermediate_steps=steps
    )
    spec = with_value_norms(CaptureSettings.parse(capture))
    positions = Positions(result["prompt_tokens"], result["response_tokens"])
    infos = stored_as(spec.infos(engine.model.config, positions, "float32"), spec.dtype)
    infos |= kept_infos(infos)
    shown = {name: {"shape": list(info.dims), "dtype": f"torch.{info.dtype}"} for name, info in infos.items()}
    assert shown == result["summary"]["data_info"]["tensors"]
    path = Path(result["path"])
    tensors = path.stat().st_size - _document_size(path, format)
    foretold = expected_bytes(infos, positions, format, steps=steps)
    assert foretold == pytest.approx(tensors, rel=0.25 if format == "json" else 0.1, abs=20_000)


def _document_size(path: Path, format: str) -> int:
    """The bytes before the tensors."""
    with path.open("rb") as file:
        if format == "safetensors":
            return 8 + int.from_bytes(file.read(8), "little")
        return file.read().index(b'"model_data"')


def test_the_size_of_a_long_text_of_twelve_layers() -> None:
    """1.2 GB as JSON were measured."""
    positions = Positions(1200, 90)
    infos = CaptureSettings().infos(TWELVE, positions, "float32")
    assert 3.0e9 > expected_bytes(infos, positions, "json") > 1.0e9
    said = size_notice(infos, positions, "json")
    assert "up to" in said and "GB as JSON (as safetensors" in said and "fewer layers, sites, logits or tokens" in said


def test_nothing_is_said_of_what_is_small() -> None:
    positions = Positions(8, 3)
    assert size_notice({"x": TensorInfo((1, LARGE // 4), "float32")}, positions, "safetensors") == ""
    assert size_notice({"x": TensorInfo((1, LARGE // 4 + 1), "float32")}, positions, "safetensors") != ""


def test_it_is_said_on_stderr_before_the_first_token_and_in_the_result(
    engine: InterpretabilityEngine, told: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    capsys.readouterr()
    result = engine.generate_and_capture(
        PROMPT, max_tokens=2, on_token=lambda event: said.append(capsys.readouterr().err)
    )
    assert len(said) == 2 and said[0].startswith("The trace takes up to ") and said[1] == ""
    assert said[0] == f"{result['notices'][0]}\n"


def test_a_caller_may_take_it_instead(
    engine: InterpretabilityEngine, told: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    heard: list[str] = []
    capsys.readouterr()
    result = engine.generate_and_capture(PROMPT, max_tokens=2, on_notice=heard.append)
    assert heard == result["notices"] and len(heard) == 1
    assert capsys.readouterr().err == ""


def test_nothing_is_said_of_a_usual_trace(engine: InterpretabilityEngine) -> None:
    heard: list[str] = []
    assert engine.generate_and_capture(PROMPT, max_tokens=2, on_notice=heard.append)["notices"] == heard == []


@pytest.mark.parametrize("to", ["json", "safetensors"])
def test_it_is_said_before_an_export(
    engine: InterpretabilityEngine, told: list[int], tmp_path: Path, to: str, capsys: pytest.CaptureFixture[str]
) -> None:
    result = engine.generate_and_capture(PROMPT, max_tokens=2, on_notice=lambda text: None)
    heard: list[str] = []
    capsys.readouterr()
    with engine.storage.open_trace(result["trace_id"]) as trace:
        write = trace.to_json if to == "json" else trace.to_safetensors
        write(tmp_path / "one", on_notice=lambda text: heard.append(f"{text} {(tmp_path / 'one').exists()}"))
        write(tmp_path / "other")
    assert len(heard) == 1 and heard[0].startswith("The trace takes ") and heard[0].endswith(". False")
    assert capsys.readouterr().err == heard[0].removesuffix(" False") + "\n"


def test_a_disk_without_room_for_it_is_told_before_the_work(
    engine: InterpretabilityEngine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = engine.generate_and_capture(PROMPT, max_tokens=2)["trace_id"]
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=100_000))
    events: list[TokenEvent] = []
    with pytest.raises(StorageFullError, match=r"may take .* has 100\.0 kB left\. Free some space"):
        engine.generate_and_capture(PROMPT, max_tokens=2, on_token=events.append)
    assert events == []
    with engine.storage.open_trace(kept) as trace, pytest.raises(StorageFullError, match=r"has 100\.0 kB left"):
        trace.to_json(tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()
    narrow = engine.generate_and_capture(PROMPT, max_tokens=2, capture={"layers": [0], "sites": ["q"], "logits": None})
    assert narrow["response_tokens"] > 0
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: (_ for _ in ()).throw(OSError("it does not say")))
    assert engine.generate_and_capture(PROMPT, max_tokens=2)["trace_id"]


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full", "2</dev/null"])
def test_a_stderr_that_takes_nothing_fails_no_work(tmp_path: Path, stderr: str) -> None:
    program = (
        "import sys\n"
        "from nanochat.traces import size\n"
        "from nanochat.checkpoint_manager import load_model\n"
        "from nanochat.interpretability_engine import InterpretabilityEngine\n"
        "size.LARGE = 0\n"
        "model, tokenizer, _ = load_model('demo', 'cpu', 'eval')\n"
        "engine = InterpretabilityEngine(model, tokenizer, sys.argv[1])\n"
        "result = engine.generate_and_capture('x', max_tokens=2)\n"
        "engine.storage.open_trace(result['trace_id']).to_safetensors()\n"
        "print(len(result['notices']))\n"
    )
    shell = f'exec "$0" -c "$1" "$2" {stderr}'
    done = subprocess.run(
        ["/bin/sh", "-c", shell, sys.executable, program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("1\n", 0)
