"""Every architecture against vectors that the original code of its time computed."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.checkpoint_manager import load_model
from nanochat.engine import Engine
from nanochat.gpt import GPT
from nanochat.kv_cache import KVCache

GOLDEN = Path(__file__).parent.parent / "data" / "golden"
CASES = sorted(path.parent.relative_to(GOLDEN).as_posix() for path in GOLDEN.glob("*/*/golden.npz"))
TOLERANCES = {"cpu": (1e-4, 1e-5), "cuda": (1e-3, 1e-4), "mps": (1e-3, 1e-4)}  # of logits, of attention
GREEDY_PROMPT = 20


def load_case(case: str, device: torch.device) -> tuple[GPT, object, dict[str, np.ndarray]]:
    """A golden case's model, tokenizer and vectors; era D has the same keys as C and must be named."""
    era = "D" if case.startswith("D/") else None
    model, tokenizer, _ = load_model(GOLDEN / case, device, "eval", era=era, dtype="float32")
    return model, tokenizer, dict(np.load(GOLDEN / case / "golden.npz"))


@torch.inference_mode()
def run_captured(model: GPT, tokens: np.ndarray, chunk: int | None) -> tuple[torch.Tensor, Recorder]:
    """Logits of every position and the capture: the text whole without a cache, or in chunks through one."""
    config, count, device = model.config, len(tokens), model.get_device()
    recorder = Recorder(config, CaptureSettings(logits="all"), count, 1, device, torch.float32)
    ids = torch.from_numpy(tokens)[None].to(device)
    with model.capturing(recorder):
        if chunk is None:
            return model(ids), recorder
        cache = KVCache(1, config.n_kv_head, count, config.head_dim, config.n_layer, device, torch.float32)
        return torch.cat([model(part, kv_cache=cache) for part in ids.split(chunk, dim=1)], dim=1), recorder


def test_all_seven_eras_are_here() -> None:
    assert len(CASES) == 14
    assert {case.split("/")[0] for case in CASES} == {"A", "Ap", "B", "C", "D", "E", "F"}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chunk", [None, 1, 7], ids=["whole", "token by token", "chunks of 7"])
@pytest.mark.usefixtures("summed_in")
def test_logits_and_attention_agree(case: str, chunk: int | None, device: torch.device) -> None:
    model, _, golden = load_case(case, device)
    assert model.config.era == case.split("/")[0]
    logits, recorder = run_captured(model, golden["tokens"], chunk)
    logits_tolerance, attention_tolerance = TOLERANCES[device.type]
    assert np.abs(logits[0].numpy(force=True) - golden["logits"]).max() < logits_tolerance
    assert np.abs(recorder.tensors(1)["output_logits"][0].numpy() - golden["logits"]).max() < logits_tolerance
    layers = [int(name.removeprefix("attn_")) for name in golden if name.startswith("attn_") and name != "attn_rows"]
    assert layers
    for layer in layers:
        weights = recorder.view("attention_weights", layer)
        assert weights is not None
        rows = weights[0][:, golden["attn_rows"]].numpy(force=True)
        assert np.abs(rows - golden[f"attn_{layer}"]).max() < attention_tolerance


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("summed_in")
def test_greedy_tokens_agree_without_a_cache(case: str, device: torch.device) -> None:
    model, _, golden = load_case(case, device)
    prompt = golden["tokens"][:GREEDY_PROMPT].tolist()
    assert list(model.generate(prompt, len(golden["greedy"]), temperature=0.0)) == golden["greedy"].tolist()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("chunk", [GREEDY_PROMPT, 1, 7])
@pytest.mark.usefixtures("summed_in")
def test_greedy_tokens_agree_with_a_cache(case: str, chunk: int, device: torch.device) -> None:
    model, tokenizer, golden = load_case(case, device)
    engine = Engine(model, tokenizer)
    engine.prefill_chunk = chunk
    engine.end_tokens = frozenset()  # the vectors go on through stop tokens
    steps = engine.steps(golden["tokens"][:GREEDY_PROMPT].tolist(), max_tokens=len(golden["greedy"]), temperature=0.0)
    assert [step.tokens[0] for step in steps] == golden["greedy"].tolist()
