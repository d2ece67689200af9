"""Choosing the next token from logits."""

import torch
import torch.nn.functional as F
from torch import Tensor

LEAST_TEMPERATURE = 1e-30  # logits over less may be infinite; long before it only the largest is drawn


@torch.inference_mode()
def sample_next_token(
    logits: Tensor, rng: torch.Generator | None, temperature: float = 1.0, top_k: int | None = None
) -> Tensor:
    """Draw one token a row, as nanochat draws it: the same seed gives the same tokens.

    Args:
        logits: (B, vocab).
        rng: the source of randomness, on the logits' device.
        temperature: 0 takes the largest logit.
        top_k: draw from the k largest only; None or 0: from all.

    Returns:
        (B, 1) token ids.
    """
    assert temperature >= 0.0, "temperature must not be negative"
    if temperature == 0.0:
        return logits.argmax(dim=-1, keepdim=True)
    temperature = max(float(temperature), LEAST_TEMPERATURE)
    if not top_k:
        return torch.multinomial(F.softmax(logits / temperature, dim=-1), num_samples=1, generator=rng)
    values, indices = logits.topk(min(top_k, logits.size(-1)), dim=-1)
    choice = torch.multinomial(F.softmax(values / temperature, dim=-1), num_samples=1, generator=rng)
    return indices.gather(1, choice)
