"""What answers of a model share on their way to the wire: what they cost, how large they may be, likely tokens."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

from daemon.handlers.questions import text_of
from protocol.errors import RpcError
from protocol.types import Alternative, Cost

if TYPE_CHECKING:
    from nanochat.tokenizer import RustBPETokenizer
    from nanochat.why import cost

LARGEST = 16 << 20  # bytes of an answer; a message may have 24 MiB
TOKEN_BYTES = 100  # of an answer, at most as a rule


def check_answer(size: int, advice: str, count: str = "") -> None:
    """Raise RpcError TOO_LARGE for an answer of too many bytes: `count` is how much of what, `advice` what to do."""
    if size > LARGEST:
        about = f"{count}, about" if count else "about"
        raise RpcError(
            "TOO_LARGE",
            f"That is {about} {size:,} bytes; one answer holds {LARGEST:,}. {advice}",
            {"bytes": size, "limit": LARGEST},
        )


def cost_of(found: cost.Cost, more_forwards: int = 0) -> Cost:
    """What a question would take, for the wire."""
    return Cost(forwards=found.forwards + more_forwards, bytes=found.bytes, seconds=found.seconds)


def texts_of(tokenizer: RustBPETokenizer) -> Callable[[int], str]:
    """As `text_of`, each token's once."""
    return cache(partial(text_of, tokenizer))


def likeliest(top: list[tuple[int, float]], text: Callable[[int], str]) -> list[Alternative]:
    """Tokens and their probabilities, for the wire."""
    return [Alternative(token=token, text=text(token), probability=share) for token, share in top]
