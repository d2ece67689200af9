"""The two sides of a generation benchmark: our engine, and the original's in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import tiktoken
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.request import with_prompt_statistics
from nanochat.capture.sites import CaptureSettings
from nanochat.checkpoint_manager import build_model, model_config_of, save_checkpoint
from nanochat.engine import Engine
from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT, GPTConfig
from nanochat.tokenizer import SPECIAL_TOKENS, SPLIT_PATTERN, RustBPETokenizer

CHILD = Path(__file__).with_name("upstream_side.py")
NEVER = -1  # no token's id


@dataclass(frozen=True)
class Job:
    """What both sides generate."""

    prompt: tuple[int, ...]
    max_tokens: int
    temperature: float = 0.6
    top_k: int = 50
    seed: int = 42

    def request(self) -> dict[str, Any]:
        """The keyword arguments of `Engine.generate`."""
        return {key: value for key, value in asdict(self).items() if key != "prompt"} | {"tokens": list(self.prompt)}


def random_tokenizer(vocab_size: int) -> RustBPETokenizer:
    """A real tokenizer of any size without training: its tokens beside the bytes are pairs of bytes above ASCII."""
    ranks = {bytes([i]): i for i in range(256)}
    for i in range(vocab_size - len(SPECIAL_TOKENS) - 256):
        ranks[bytes([128 + i // 256, i % 256])] = 256 + i
    special = {name: len(ranks) + i for i, name in enumerate(SPECIAL_TOKENS)}
    encoding = tiktoken.Encoding("random", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens=special)
    return RustBPETokenizer(encoding, "<|bos|>")


def random_model(config: GPTConfig, device: torch.device, dtype: torch.dtype) -> GPT:
    """Random weights in which every part has a say; special tokens are hardly ever drawn, so that no run ends early."""
    generator = torch.Generator().manual_seed(0)
    model = GPT(config)
    model.init_weights(generator)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("c_proj.weight"):
                parameter.normal_(std=0.5 * parameter.size(1) ** -0.5, generator=generator)
            elif name == "lm_head.weight":
                parameter.normal_(std=2.0 * parameter.size(1) ** -0.5, generator=generator)
                parameter[config.vocab_size - len(SPECIAL_TOKENS) :] = 0.0
            elif name == "smear_lambda":
                parameter.fill_(0.3)
    meta = {"model_config": model_config_of(model)}
    loaded, _ = build_model(model.state_dict(), meta, device, dtype, config.era)  # as a checkpoint's weights are placed
    return loaded.eval()


class EndlessTokenizer:
    """A tokenizer whose end tokens never come, so that a trained model writes all the tokens asked for."""

    def __init__(self, tokenizer: RustBPETokenizer):
        self.tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tokenizer, name)

    def encode_special(self, text: str) -> int:
        """A special token's id, none for the token that ends an answer."""
        return NEVER if text == "<|assistant_end|>" else self.tokenizer.encode_special(text)

    def get_bos_token_id(self) -> int:
        """None: drawing it ends a text."""
        return NEVER


@dataclass
class Ours:
    """Our engine with one model."""

    model: GPT
    tokenizer: RustBPETokenizer | EndlessTokenizer

    def generate(self, job: Job, *, capture: bool) -> tuple[float, list[int]]:
        """Generate once, with everything captured as InterpretabilityEngine does it or plainly: seconds, tokens."""
        engine, tokens = Engine(self.model, self.tokenizer), []
        self.synchronize()
        started = time.perf_counter()
        with self.model.capturing(self._recorder(job)) if capture else nullcontext():
            for column, _ in engine.generate(**job.request()):
                tokens.append(column[0])
            self.synchronize()
        seconds = time.perf_counter() - started
        self.model.attach(None)
        return seconds, tokens

    def _recorder(self, job: Job) -> Recorder:
        model, count = self.model, len(job.prompt)
        capacity = count + max(job.max_tokens, 1) - 1
        settings = with_prompt_statistics(CaptureSettings())
        return Recorder(model.config, settings, capacity, count, model.get_device(), model.dtype)

    def synchronize(self) -> None:
        """Wait until the device has done what it was given."""
        if self.model.get_device().type == "cuda":
            torch.cuda.synchronize()


def save_for_upstream(model: GPT, tokenizer: RustBPETokenizer, base_dir: Path) -> None:
    """A base checkpoint and its tokenizer as nanochat's training leaves them: embeddings in the model's dtype, the
    rest in float32."""
    embeddings = ("transformer.wte.", "value_embeds.")
    state = {key: value if key.startswith(embeddings) else value.float() for key, value in model.state_dict().items()}
    meta = {"step": 0, "model_config": model_config_of(model)}
    save_checkpoint(base_dir / "base_checkpoints" / f"d{model.config.n_layer}", 0, state, None, meta)
    tokenizer.save(base_dir / "tokenizer")


class Upstream:
    """The original nanochat, holding the same weights as ours.

    Args:
        folder: the original's repository, with its package `nanochat`.
        base_dir: a folder of ours to leave the checkpoint in; the process's log stays there too.
    """

    def __init__(self, folder: Path, base_dir: Path, model: GPT, tokenizer: RustBPETokenizer):
        if not (folder / "nanochat" / "engine.py").is_file():
            raise SettingInvalidError(f"There is no nanochat/engine.py in {folder}: name the original's repository.")
        save_for_upstream(model, tokenizer, base_dir)
        self.stolen = 0.0  # the largest share of a core that the waiting side used while the other one ran
        self._log = base_dir / "upstream.log"
        device, dtype = model.get_device(), str(model.dtype).removeprefix("torch.")
        words = [str(folder), str(device), str(torch.get_num_threads())]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"NANOCHAT_BASE_DIR": str(base_dir), "NANOCHAT_DTYPE": dtype}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(CHILD), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                cwd=folder,
                text=True,
            )
        self._answer()
        self._idle_since = time.perf_counter()

    def __enter__(self) -> Upstream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def generate(self, job: Job) -> tuple[float, list[int]]:
        """Generate once: seconds as measured over there, tokens."""
        assert self._process.stdin is not None
        asked, cpu = time.perf_counter(), time.process_time()
        self._process.stdin.write(json.dumps(job.request()) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        answered = time.perf_counter()
        ours = (time.process_time() - cpu) / (answered - asked)
        theirs = answer["idle_cpu_seconds"] / (asked - self._idle_since)
        self.stolen, self._idle_since = max(self.stolen, ours, theirs), answered
        return answer["seconds"], answer["tokens"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self.close()
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        raise SettingInvalidError(
            f"The original nanochat ended with status {self._process.returncode}: {said[-1] if said else 'no word'}. "
            "Install what it needs into this environment."
        )
