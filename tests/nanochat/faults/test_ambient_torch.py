"""What a caller has set in torch changes no bit of what is loaded, generated or captured."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.checkpoint_manager import load_model
from nanochat.engine import Engine
from nanochat.gpt import GPT
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.tokenizer import RustBPETokenizer
from tests.models import GOLDEN, golden_model

PROMPT = [1, 40, 90, 200, 3, 7, 250, 12] * 6
CPU = torch.device("cpu")


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


class Watching(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class WatchingDispatch(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


AMBIENT: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast to bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16),
    "default dtype float64": lambda: default_dtype(torch.float64),
    "default dtype bfloat16": lambda: default_dtype(torch.bfloat16),
    "default dtype float16": lambda: default_dtype(torch.float16),
    "default device meta": lambda: default_device("meta"),
    "device meta as a context": lambda: torch.device("meta"),
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "set_grad_enabled": lambda: torch.set_grad_enabled(True),
    "deterministic algorithms": deterministic,
    "a torch function mode": Watching,
    "a torch dispatch mode": WatchingDispatch,
    "detecting anomalies": torch.autograd.detect_anomaly,
}
ambient = pytest.mark.parametrize("setting", AMBIENT)
pytestmark = pytest.mark.filterwarnings("ignore:Anomaly Detection")


@pytest.fixture(params=["float64", "float32", "bfloat16"])
def computing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the model computes: small ones' float32 in float64, larger ones' in itself, and half precision."""
    if request.param != "float64":
        monkeypatch.setattr("nanochat.common.FLOAT64_PARAMETERS", 0)
    return "float32" if request.param == "float64" else request.param


def model_of(dtype: str) -> tuple[GPT, RustBPETokenizer]:
    return golden_model("F", dtype=dtype)


def bits(value: Any) -> str:
    array = value.detach().cpu().contiguous().view(torch.uint8).numpy() if isinstance(value, torch.Tensor) else value
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def weights_of(model: GPT) -> dict[str, tuple[str, torch.dtype]]:
    return {name: (bits(value), value.dtype) for name, value in model.state_dict().items()}


def forward_with_capture(model: GPT) -> dict[str, str]:
    """Chunked and then token by token; what the model computed, and every site of it."""
    ids = torch.tensor([PROMPT], device="cpu")
    sites = tuple(
        name for name in ("residual", "q", "v", "attention_weights", "head_output", "post_attn", "mlp_hidden")
    )
    recorder = Recorder(
        model.config, CaptureSettings(sites=sites, logits="all"), len(PROMPT), len(PROMPT), CPU, model.dtype
    )
    with model.capturing(recorder):
        logits = model(ids)
    found = {name: bits(value) for name, value in recorder.tensors(0).items()}
    view = model.transformer.h[1].attn.attention_weights
    unembedded = model.unembed(model.transformer.wte.weight[:5])
    return found | {"logits": bits(logits), "view": bits(view), "unembedded": bits(unembedded)}


def generation(model: GPT, tokenizer: RustBPETokenizer) -> list[Any]:
    engine = Engine(model, tokenizer)
    steps = engine.steps(PROMPT, 2, 12, temperature=0.8, top_k=20, seed=7)
    return [(step.tokens, bits(step.logits)) for step in steps]


@ambient
def test_a_model_is_loaded_the_same(setting, capsys):
    before = weights_of(load_model("demo", "cpu", "eval")[0])
    state = torch.get_rng_state()
    with AMBIENT[setting]():
        model, _, _ = load_model("demo", "cpu", "eval")
    assert weights_of(model) == before
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.requires_grad and not parameter.is_inference() for parameter in model.parameters())
    model(torch.tensor([[1, 2, 3]])).sum().backward()


@ambient
def test_it_computes_and_captures_the_same(setting, computing):
    model, _ = model_of(computing)
    before = forward_with_capture(model)
    with AMBIENT[setting]():
        again, _ = model_of(computing)
        assert forward_with_capture(again) == before
        assert forward_with_capture(model) == before
    assert forward_with_capture(again) == before


@ambient
def test_it_generates_the_same(setting, computing):
    model, tokenizer = model_of(computing)
    before = generation(model, tokenizer)
    with AMBIENT[setting]():
        assert generation(model, tokenizer) == before
        assert list(model.generate(PROMPT, 4, temperature=0.0)) == list(model.generate(PROMPT, 4, temperature=0.0))
    assert generation(model, tokenizer) == before


@ambient
def test_a_trace_is_the_same(setting, tmp_path):
    model, tokenizer = model_of("float32")
    scope = InterpretabilityEngine(model, tokenizer, tmp_path, format="safetensors")

    def trace() -> dict[str, Any]:
        result = scope.generate_and_capture("Some words to go on from", max_tokens=6, seed=3)
        with scope.storage.open_trace(result["trace_id"]) as opened:
            tensors = {name: bits(opened.tensor(name)) for name in opened.names()}
        return {
            "tensors": tensors,
            "response": result["response"],
            "analysis": scope.analyze_trace(result["trace_id"])["analysis"],
        }

    before = trace()
    with AMBIENT[setting]():
        assert trace() == before


@ambient
def test_a_generation_may_go_in_and_out_of_it(setting):
    model, tokenizer = model_of("float32")
    before = generation(model, tokenizer)
    steps = Engine(model, tokenizer).steps(PROMPT, 2, 12, temperature=0.8, top_k=20, seed=7)
    found = []
    for _ in range(6):
        with AMBIENT[setting]():
            step = next(steps)
        found.append((step.tokens, bits(step.logits)))
        step = next(steps)
        found.append((step.tokens, bits(step.logits)))
    assert found == before


def test_a_capture_may_begin_in_inference_mode_and_go_on_outside():
    model, _ = model_of("float32")
    with torch.inference_mode():
        recorder = Recorder(model.config, CaptureSettings(logits="all"), 20, 20, CPU, model.dtype)
    with model.capturing(recorder):
        model(torch.tensor([PROMPT[:20]])).sum().backward()
    assert recorder.length == 20
    assert model.lm_head.weight.grad is not None


def test_training_goes_by_the_callers_settings():
    model, _, _ = load_model(GOLDEN / "F" / "gqa_windowed", "cpu", "train")
    ids = torch.tensor([PROMPT])
    exact = model(ids, ids)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(ids, ids) != exact
