"""Train the built-in demo model from text that this repository generates, and write it where it is shipped."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch

from nanochat.gpt import GPT, GPTConfig
from nanochat.tokenizer import RustBPETokenizer
from scripts.demo_training.corpus import RANDOM_SHARE, documents, encode, random_repeat
from scripts.demo_training.evaluation import best_head, head_scores, recall_of_everything
from scripts.demo_training.export import export
from scripts.demo_training.scale import make_readable

DEFAULT_OUT = Path(__file__).parent.parent.parent / "nanochat" / "demo_model"
SIZES = GPTConfig(256, vocab_size=1024, n_layer=4, n_head=4, n_kv_head=4, n_embd=128, window_pattern="SL")
IGNORED = -1  # target of a token that carries no loss
# Row lengths in turn: mostly short, so that documents often stand where a prompt does, at the start.
ROW_LENGTHS = (64, 128, 64, 256)
SMALLEST_REPEAT = 24  # tokens of room that a random repeat needs
TOKENIZER_DOCUMENTS = 40_000
LOGIT_PENALTY = 0.01  # on the logits' mean square, which the loss alone would let grow: large ones are rounded more
REPORT_EVERY = 200  # steps


@dataclass(frozen=True)
class Settings:
    """One training run. `minutes` ends it early; the learning rate has decayed by then all the same."""

    out: Path = DEFAULT_OUT
    device: str = "cpu"
    seed: int = 1
    steps: int = 2400
    minutes: float = 35.0
    batch_tokens: int = 2048


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate, found by a part of their names; they rest until `start` of the run."""

    names: tuple[str, ...]
    rate: float
    start: float = 0.0
    decay: float = 0.0


MATRICES = Group((".attn.c_", ".mlp.c_"), 0.02)  # these go to Muon, all others to AdamW
# The first match counts. Smear shows each token its predecessor for nothing, and a model that leans on it grows no
# previous-token head: so it learns late and little. Backout, which takes the middle of the stream from its end, stays
# as it begins: trained, it leaves little where the model has little to say, and the last norm magnifies its rounding.
OTHERS = (
    Group(("smear_",), 0.0002, start=0.5),
    Group(("backout_lambda",), 0.0),
    Group(("wte", "value_embeds"), 0.02),
    Group(("lm_head",), 0.004, decay=1.0),
    Group(("",), 0.01),
)


def corpus_texts(seed: int) -> Iterator[str]:
    """What the tokenizer is trained on: the text of TOKENIZER_DOCUMENTS documents."""
    for document in islice(documents(Random(seed)), TOKENIZER_DOCUMENTS):
        yield from (piece.text for piece in document if not piece.special)


class Mixture:
    """The stream of training rows: documents of text, and random repeats for RANDOM_SHARE of the tokens."""

    def __init__(self, tokenizer: RustBPETokenizer, seed: int):
        self.random = Random(seed)
        self.tokenizer = tokenizer
        self.text = documents(self.random)
        self.bos = tokenizer.get_bos_token_id()
        self.ordinary = tokenizer.get_vocab_size() - len(tokenizer.get_special_tokens())
        self.tokens = self.random_tokens = 0

    def _document(self, room: int) -> tuple[list[int], list[bool]]:
        if self.random_tokens < RANDOM_SHARE * self.tokens and room > SMALLEST_REPEAT:
            ids, period = random_repeat(self.random, self.ordinary, room - 1)
            self.random_tokens += 1 + len(ids)
            learned = [at > period for at in range(len(ids))]  # the first repeated token comes unannounced
            return [self.bos, *ids], [True, *learned]
        return encode(self.tokenizer, next(self.text))

    def _row(self, length: int) -> tuple[list[int], list[bool]]:
        ids: list[int] = []
        learned: list[bool] = []
        while len(ids) < length:
            more_ids, more_learned = self._document(length - len(ids))
            ids += more_ids
            learned += more_learned
        self.tokens += length
        return ids[:length], learned[:length]

    def batch(self, rows: int, length: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and targets, each (rows, length): whole documents from <|bos|> on, the last of each row cut."""
        found = [self._row(length + 1) for _ in range(rows)]
        ids = torch.tensor([row for row, _ in found], device=device)
        learned = torch.tensor([mask for _, mask in found], device=device)
        return ids[:, :-1], ids[:, 1:].masked_fill(~learned[:, 1:], IGNORED)


def learning_rate(progress: float) -> float:
    """Share of the full rate at `progress` (0 to 1): up over the first 2%, down to 2% over the last 60%."""
    if progress < 0.02:
        return max(0.02, progress / 0.02)
    return min(1.0, max(0.02, (1 - progress) / 0.6))


def optimizers(model: GPT) -> list[torch.optim.Optimizer]:
    """Muon for the blocks' matrices, AdamW for embeddings and scalars; each group knows its full rate and its start."""
    muon, adam = [], {group: [] for group in OTHERS}
    for name, parameter in model.named_parameters():
        if any(part in name for part in MATRICES.names):
            muon.append(parameter)
        else:
            adam[next(group for group in OTHERS if any(part in name for part in group.names))].append(parameter)
    groups = [
        {"params": found, "full": group.rate, "start": group.start, "weight_decay": group.decay}
        for group, found in adam.items()
    ]
    matrices = [{"params": muon, "full": MATRICES.rate, "start": MATRICES.start}]
    return [
        torch.optim.Muon(matrices, lr=MATRICES.rate, momentum=0.95, weight_decay=0.0, adjust_lr_fn="original"),
        torch.optim.AdamW(groups, betas=(0.8, 0.95)),
    ]


def losses(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy in nats, and what is trained on: the same with the logits' mean square, times LOGIT_PENALTY.

    Args:
        logits: (rows, length, vocabulary).
        targets: (rows, length), IGNORED where nothing is learned.
    """
    learned = targets != IGNORED
    cross_entropy = torch.nn.functional.cross_entropy(logits[learned], targets[learned])
    return cross_entropy, cross_entropy + LOGIT_PENALTY * logits[learned].square().mean()


def train(model: GPT, tokenizer: RustBPETokenizer, settings: Settings) -> dict[str, Any]:
    """Train in place; returns the facts of the run for the model's metadata."""
    mixture, optimized = Mixture(tokenizer, settings.seed), optimizers(model)
    started, step, average = time.monotonic(), 0, 0.0
    while step < settings.steps and (minutes := (time.monotonic() - started) / 60) < settings.minutes:
        progress = max(step / settings.steps, minutes / settings.minutes)
        length = ROW_LENGTHS[step % len(ROW_LENGTHS)]
        ids, targets = mixture.batch(settings.batch_tokens // length, length, settings.device)
        cross_entropy, penalized = losses(model(ids), targets)
        penalized.backward()
        for optimizer in optimized:
            for group in optimizer.param_groups:
                group["lr"] = group["full"] * learning_rate(progress) if progress >= group["start"] else 0.0
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        average += (cross_entropy.item() - average) / min(step, 50)
        if step % REPORT_EVERY == 0 or step == settings.steps:
            report(f"step {step}/{settings.steps}  {minutes:.1f} min  loss {average:.3f}  {heads(model, tokenizer)}")
    return {
        "step": step,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "tokens": mixture.tokens,
        "random_share": round(mixture.random_tokens / mixture.tokens, 3),
        "loss": round(average, 3),
        "seed": settings.seed,
        "batch_tokens": settings.batch_tokens,
        "device": settings.device,
        "threads": torch.get_num_threads(),
    }


def heads(model: GPT, tokenizer: RustBPETokenizer) -> str:
    """The best induction and previous-token heads in a line."""
    scores = {role: best_head(found) for role, found in head_scores(model, tokenizer, draws=3).items()}
    return "  ".join(f"{role} {score:.2f} (layer {layer} head {head})" for role, (layer, head, score) in scores.items())


def report(line: str) -> None:
    """Progress goes to stderr."""
    print(line, file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> tuple[Settings, int]:
    """Settings and the number of CPU threads from the command line."""
    parser = argparse.ArgumentParser(prog="train_demo_model", description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=Settings.out, help="folder for the four files (default: %(default)s)"
    )
    parser.add_argument("--device", default=Settings.device, help="cpu, cuda or mps (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=Settings.seed, help="(default: %(default)s)")
    parser.add_argument("--steps", type=int, default=Settings.steps, help="(default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=Settings.minutes, help="at most (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=1, help="CPU threads; one gives the same weights again (default: %(default)s)"
    )
    found = parser.parse_args(arguments)
    if found.steps < 1 or found.minutes <= 0 or found.threads < 1:
        parser.error("--steps, --minutes and --threads must be above 0")
    return Settings(found.out, found.device, found.seed, found.steps, found.minutes), found.threads


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate what will be shipped, write the files. Nothing is written before all is done."""
    settings, threads = parse(arguments)
    if not hasattr(torch.optim, "Muon"):
        report(f"torch {torch.__version__} has no Muon optimiser: install torch 2.9 or newer")
        return 1
    torch.set_num_threads(threads)
    try:
        tokenizer = RustBPETokenizer.train_from_iterator(corpus_texts(settings.seed), SIZES.vocab_size)
        model = GPT(SIZES).to(settings.device)
        torch.manual_seed(settings.seed)
        model.init_weights()
        training = train(model, tokenizer, settings)
        make_readable(model, tokenizer)
        model = model.half().float()  # as the shipped file holds it
        recalls, scores = recall_of_everything(model, tokenizer), head_scores(model, tokenizer)
        for name, found in recalls.items():
            report(f"{name}: {found.exact} of {found.total} exact  {', '.join(found.missed[:5])}")
        export(settings.out, model, tokenizer, training, recalls, scores)
    except ImportError as error:
        report(f"{error}: install what training needs with the extra 'train'")
        return 1
    except KeyboardInterrupt:
        report("interrupted: nothing was written")
        return 130
    report(f"wrote {settings.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
