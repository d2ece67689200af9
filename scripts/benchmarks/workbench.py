"""What the rows of the model suite share: settings, models, the traces folder, and running sides in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from nanochat.common import parse_device
from nanochat.gpt import GPTConfig
from nanochat.interpretability_engine import InterpretabilityEngine
from nanochat.trace_storage import TraceStorage
from scripts.benchmarks.measuring import alternate
from scripts.benchmarks.sides import EndlessTokenizer, Job, Ours, Upstream, random_model, random_tokenizer

CPU_MODEL = GPTConfig(2048, 32768, n_layer=12, n_head=6, n_kv_head=6, n_embd=768, window_pattern="SSSL")
GPU_MODEL = GPTConfig(2048, 32768, n_layer=20, n_head=10, n_kv_head=10, n_embd=1280, window_pattern="SSSL")
FORMATS: dict[str, dict[str, Any]] = {  # what generate_and_capture is called with
    "compact float16": {"format": "safetensors", "capture": {"dtype": "float16"}, "capture_intermediate_steps": True},
    "JSON with steps": {"format": "json", "capture_intermediate_steps": True},
    "JSON": {"format": "json"},
}
PROMPT = "The capital of France is Paris, and the capital of Italy is Rome. " * 8


STOLEN_SHARE = 0.05  # of a core: more, and the two processes were not measured one at a time


@dataclass(frozen=True)
class Settings:
    """What is measured on what; the targets are for the defaults."""

    work: Path
    device: str = "cpu"
    upstream: Path | None = None
    rounds: int = 7
    prompt_tokens: int = 16
    new_tokens: int = 64
    traces: int = 10_000
    cpu_model: GPTConfig = CPU_MODEL
    gpu_model: GPTConfig = GPU_MODEL


class Bench:
    """What rows share, made when the first of them needs it."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self._open = ExitStack()

    def close(self) -> None:
        """End the processes that were started."""
        self._open.close()

    @cached_property
    def ours(self) -> Ours:
        """Our side with random weights, in float32 on the CPU and bfloat16 on a GPU."""
        device = parse_device(self.settings.device)
        on_gpu = device.type == "cuda"
        config = self.settings.gpu_model if on_gpu else self.settings.cpu_model
        model = random_model(config, device, torch.bfloat16 if on_gpu else torch.float32)
        return Ours(model, random_tokenizer(config.vocab_size))

    @cached_property
    def text(self) -> str:
        """The prompt: the random tokenizer has one token for each character of it, and `<|bos|>` goes before."""
        return PROMPT[: self.settings.prompt_tokens - 1]

    @cached_property
    def job(self) -> Job:
        """What `ours` and `upstream` generate."""
        tokenizer = self.ours.tokenizer
        return self.job_of(tokenizer.encode(self.text, prepend=tokenizer.get_bos_token_id()))

    def job_of(self, tokens: list[int]) -> Job:
        """The generation after these tokens."""
        assert len(tokens) == self.settings.prompt_tokens, f"a prompt of {len(tokens)} tokens"
        return Job(tuple(tokens), self.settings.new_tokens)

    @cached_property
    def upstream(self) -> Upstream | None:
        """The original's side, if there is one."""
        if self.settings.upstream is None:
            return None
        folder, tokenizer = self.settings.upstream.expanduser().resolve(), self.ours.tokenizer
        assert not isinstance(tokenizer, EndlessTokenizer)
        return self._open.enter_context(Upstream(folder, self.settings.work / "base", self.ours.model, tokenizer))

    @cached_property
    def storage(self) -> TraceStorage:
        """An empty traces folder with a catalogue of its own."""
        return TraceStorage(self.settings.work / "traces", catalogue=self.settings.work / "catalogue.sqlite3")

    @cached_property
    def engine(self) -> InterpretabilityEngine:
        """The front, over `ours` and `storage`."""
        tokenizer = self.ours.tokenizer
        assert not isinstance(tokenizer, EndlessTokenizer)
        return InterpretabilityEngine(self.ours.model, tokenizer, self.storage)

    def save(self, form: str) -> str:
        """Generate, capture and save one trace; its id."""
        job = self.job
        return self.engine.generate_and_capture(
            self.text,
            max_tokens=job.max_tokens,
            temperature=job.temperature,
            top_k=job.top_k,
            seed=job.seed,
            **FORMATS[form],
        )["trace_id"]

    @cached_property
    def saved(self) -> dict[str, str]:
        """A trace of each form that stays until the end."""
        return {form: self.save(form) for form in FORMATS}


def together(job: Job, rounds: int, *generate: Callable[[], tuple[float, list[int]]]) -> tuple[list[list[float]], int]:
    """Generate in alternation: the seconds of each side, and how many of the first tokens all sides agree on.

    Each side must write all tokens, and the same ones every time.
    """
    written: list[list[int] | None] = [None] * len(generate)

    def run(number: int) -> float:
        seconds, tokens = generate[number]()
        assert len(tokens) == job.max_tokens, f"{len(tokens)} tokens came, {job.max_tokens} were asked for"
        assert written[number] in (None, tokens), "the same seed wrote other tokens"
        written[number] = tokens
        return seconds

    seconds = alternate([partial(run, number) for number in range(len(generate))], rounds)
    return seconds, agreement([tokens for tokens in written if tokens is not None])


def agreement(written: Sequence[Sequence[int]]) -> int:
    """How many of the first tokens are the same in all sequences."""
    columns = enumerate(zip(*written, strict=True))
    return next((i for i, column in columns if len(set(column)) > 1), len(written[0]))


def stolen_note(upstream: Upstream) -> str:
    """A warning where the waiting process was not idle."""
    share = upstream.stolen
    return f"a waiting process used {share:.0%} of a core" if share > STOLEN_SHARE else ""
