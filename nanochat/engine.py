"""Generation: prompt in, tokens out, with a cache, the calculator, and a way to stop between tokens."""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nanochat.calculator import use_calculator
from nanochat.cancelling import check_cancel
from nanochat.cuda_graph import decoder, is_repeated, whole_blocks
from nanochat.errors import PromptInvalidError, non_finite_error, too_long_error
from nanochat.kv_cache import KVCache
from nanochat.memory import memory_explained
from nanochat.sampling import sample_next_token

__all__ = ["Engine", "KVCache", "RowState", "Step", "sample_next_token", "use_calculator"]

PREFILL_CHUNK = 512  # prompt tokens a forward: bounds memory, and the time until a cancel is seen
ADVICE = "lower max_tokens, shorten the prompt, narrow the capture, or use a device with more memory"
MAX_ANSWER = 500_000  # characters of the calculator's; tiktoken cannot split a million blanks
ROTARY_FACTOR = 10  # a model has positions for this many times its sequence_len


@dataclass
class Step:
    """One token of every row, whether it was sampled (1) or forced by the calculator (0), and the logits (B, vocab)."""

    tokens: list[int]
    masks: list[int]
    logits: Tensor


@dataclass
class RowState:
    """How one row's generation stands."""

    current_tokens: list[int]
    forced_tokens: deque[int] = field(default_factory=deque)  # the calculator's answer, to be fed in
    in_python_block: bool = False
    python_expr_tokens: list[int] = field(default_factory=list)
    completed: bool = False


def _sample(logits: Tensor, rng: torch.Generator, temperature: float, top_k: int | None) -> list[int] | None:
    """A token of every row, None if a logit is not finite: both in one wait for the device."""
    finite = logits.sum().isfinite()  # softcapped logits cannot overflow it; one by one takes long
    drawn = sample_next_token(logits.nan_to_num(0.0, 0.0, 0.0), rng, temperature, top_k)  # NaN would end CUDA for good
    *sampled, is_finite = torch.cat([drawn[:, 0], finite.long()[None]]).tolist()
    return sampled if is_finite else None


class Engine:
    """Generates tokens from a model; knows token ids, not text, except for the calculator."""

    def __init__(self, model: Any, tokenizer: Any):
        self.model, self.tokenizer = model, tokenizer
        self.prefill_chunk = PREFILL_CHUNK
        self.end_tokens = frozenset((tokenizer.encode_special("<|assistant_end|>"), tokenizer.get_bos_token_id()))

    def generate(
        self,
        tokens: list[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
        cancel: threading.Event | None = None,
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Generate `num_samples` continuations of one prompt together.

        Args:
            tokens: the prompt.
            num_samples: rows, which share the prompt's prefill.
            max_tokens: per row; None: to the end of the model's context.
            temperature: 0 takes the likeliest token.
            top_k: draw from the k likeliest; None or 0: from all.
            seed: the same seed gives the same tokens.
            cancel: set it to stop before the next token.

        Yields:
            (token of each row, 1 where it was sampled and 0 where the calculator forced it).

        Raises:
            PromptInvalidError, PromptTooLongError: nothing to run, or more than the model has positions.
            CancelledError: `cancel` was set.
            NonFiniteError: the model computed NaN.
            SettingInvalidError: it does not fit in memory.
        """
        for step in self.steps(tokens, num_samples, max_tokens, temperature, top_k, seed, cancel):
            yield step.tokens, step.masks

    @torch.inference_mode()
    def steps(
        self,
        tokens: Sequence[int],
        num_samples: int = 1,
        max_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
        cancel: threading.Event | None = None,
        given: Sequence[int] = (),
    ) -> Iterator[Step]:
        """As `generate`, with the logits each token was drawn from.

        `given` are the first tokens of every row, whatever is drawn: random numbers go by the position, so that
        those after them are drawn as if the model had chosen them.
        """
        if not tokens or not all(isinstance(token, int) for token in tokens):
            raise PromptInvalidError("The prompt must be a list of at least one token id.")
        max_tokens = self._affordable(len(tokens), max_tokens)
        device = self.model.get_device()
        rng = torch.Generator(device=device)
        rng.manual_seed(seed)
        with memory_explained(device, "this generation", ADVICE):
            cache, logits = self._prefill(tokens, num_samples, max_tokens, cancel)
            if max_tokens == 0 and not logits.isfinite().all():
                raise non_finite_error(len(tokens) - 1)
            rows = [RowState(list(tokens)) for _ in range(num_samples)]
            forward = decoder(self.model, cache)
            for count in range(1, max_tokens + 1):
                sampled = _sample(logits, rng, temperature, top_k)
                if sampled is None:
                    raise non_finite_error(len(tokens) + count - 2)
                wanted = given[count - 1] if count <= len(given) else None
                chosen = [self._next_token(row, token, wanted) for row, token in zip(rows, sampled, strict=True)]
                yield Step([token for token, _ in chosen], [mask for _, mask in chosen], logits)
                if count == max_tokens or (count >= len(given) and all(row.completed for row in rows)):
                    return
                check_cancel(cancel)
                ids = torch.tensor([[token] for token, _ in chosen], device=device)
                logits = forward(ids)[:, -1]

    def _affordable(self, prompt_length: int, max_tokens: int | None) -> int:
        """`max_tokens` within the model's positions; the last token is never fed back, so it needs none."""
        sequence_len = self.model.config.sequence_len
        positions = ROTARY_FACTOR * sequence_len
        if prompt_length > positions:
            raise too_long_error(f"{prompt_length:,}", positions)
        if max_tokens is None:
            return max(1, sequence_len - prompt_length)
        return min(max_tokens, positions - prompt_length + 1)

    def _prefill(
        self, tokens: Sequence[int], num_samples: int, max_tokens: int, cancel: threading.Event | None
    ) -> tuple[KVCache, Tensor]:
        """Run the prompt in chunks; a cache with the prompt in every row, and the last position's logits (B, vocab)."""
        capacity = len(tokens) + max(max_tokens, 1) - 1
        first = self._cache(1, capacity if num_samples == 1 else len(tokens))
        ids = torch.tensor([list(tokens)], device=self.model.get_device())
        logits = None
        for chunk in ids.split(self.prefill_chunk, dim=1):
            check_cancel(cancel)
            logits = self.model.forward(chunk, kv_cache=first)[:, -1]
        assert logits is not None
        if num_samples == 1:
            return first, logits
        cache = self._cache(num_samples, capacity)
        cache.prefill(first)
        return cache, logits.expand(num_samples, -1)

    def _cache(self, rows: int, capacity: int) -> KVCache:
        config = self.model.config
        dtype = getattr(self.model, "compute_dtype", torch.float32)
        head_dim, device = config.n_embd // config.n_head, self.model.get_device()
        capacity = whole_blocks(capacity, self.model) if is_repeated(self.model, device) else capacity
        cache = KVCache(rows, config.n_kv_head, capacity, head_dim, config.n_layer, device, dtype)
        cache.logits_wanted = "last"
        return cache

    def _next_token(self, row: RowState, sampled: int, given: int | None = None) -> tuple[int, int]:
        """The row's next token and its mask; calls the calculator when its expression is complete."""
        forced = bool(row.forced_tokens)
        token = row.forced_tokens.popleft() if forced else sampled
        if given not in (None, token):
            token = given
            row.forced_tokens.clear()  # another text than the calculator's: it has no more to say
        row.current_tokens.append(token)
        special = self.tokenizer.encode_special
        row.completed = row.completed or token in self.end_tokens
        if token == special("<|python_start|>"):
            row.in_python_block, row.python_expr_tokens = True, []
        elif token == special("<|python_end|>") and row.in_python_block:
            row.in_python_block = False
            row.forced_tokens.extend(self._calculator_answer(row.python_expr_tokens))
        elif row.in_python_block:
            row.python_expr_tokens.append(token)
        return token, int(not forced)

    def _calculator_answer(self, expression: list[int]) -> list[int]:
        """The tokens of the calculator's answer with its delimiters; none for what it cannot evaluate or spell out."""
        result = use_calculator(self.tokenizer.decode(expression)) if expression else None
        if result is None:
            return []
        try:
            text = str(result)
        except ValueError:  # a whole number of more than 4,300 digits
            return []
        if len(text) > MAX_ANSWER:
            return []
        special = self.tokenizer.encode_special
        return [special("<|output_start|>"), *self.tokenizer.encode(text), special("<|output_end|>")]

    def generate_batch(
        self, tokens: list[int], num_samples: int = 1, **kwargs: Any
    ) -> tuple[list[list[int]], list[list[int]]]:
        """All rows' whole sequences and masks (0 for the prompt and forced tokens); end tokens are left out.

        Args: as for `generate`.
        """
        results = [list(tokens) for _ in range(num_samples)]
        masks = [[0] * len(tokens) for _ in range(num_samples)]
        completed = [False] * num_samples
        for column, column_masks in self.generate(tokens, num_samples, **kwargs):
            for i, (token, mask) in enumerate(zip(column, column_masks, strict=True)):
                completed[i] = completed[i] or token in self.end_tokens
                if not completed[i]:
                    results[i].append(token)
                    masks[i].append(mask)
        return results, masks
