"""The logit lens: what the residual stream would say at every point of the way, read by the model's own unembedding."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nanochat.cancelling import check_cancel
from nanochat.capture.tap import SiteLayer
from nanochat.eras import ERAS
from nanochat.errors import SettingInvalidError
from nanochat.gpt import GPT
from nanochat.gpt_config import GPTConfig
from nanochat.memory import memory_explained
from nanochat.why.checks import checked, checked_one, checked_text
from nanochat.why.reading import ADVICE, Reading, read_forward

At = Literal["embedding", "attention", "mlp", "output"]
ROWS_AT_ONCE = 256  # unembedded together: the weights are read seldom
VALUES_AT_ONCE = 1 << 20  # logits looked at together on the CPU, about: its caches hold them, or it takes twice as long
BLOCK = 64  # logits whose largest is looked at first, in search of the top tokens


@dataclass(frozen=True)
class Point:
    """A point of the residual stream.

    Attributes:
        layer: whose attention or MLP it comes after; None for the embedding and the output.
        at: what it comes after. "embedding": as the first layer reads it. "output": what the final norm reads.
        backout: in era F above mid-depth the stream is read as it is (False), and with what the end takes off it, the
            stream at mid-depth times `backout_lambda` (True); None where there is one reading.
    """

    layer: int | None
    at: At
    backout: bool | None = None


@dataclass(frozen=True)
class Chance:
    """What a token's logit is at a point, softcapped, its probability at temperature 1, and its rank; 1: the first."""

    token: int
    logit: float
    probability: float
    rank: int


@dataclass(frozen=True)
class Belief:
    """What the stream says at one point and position.

    Attributes:
        top: token ids and their probabilities, the likeliest first.
        chosen: of the tokens asked for.
        kl: Kullback-Leibler divergence of it from the output's distribution, in nats: sum of p ln(p / q), p the
            output's (as Belrose et al. 2023, arXiv 2303.08112); to about 1e-5.
        entropy: of its own distribution, in nats: how unsure it is; to about 1e-5.
    """

    position: int
    top: list[tuple[int, float]]
    chosen: list[Chance]
    kl: float
    entropy: float


@dataclass(frozen=True)
class Decided:
    """Where a position's final answer is first the likeliest token, and from where on it always is.

    Where there are two readings, by the one with backout, which leads to the output.
    """

    position: int
    token: int
    first: Point
    stays: Point


@dataclass(frozen=True)
class Lens:
    """What the stream says at each point, `beliefs[point][position]`, in the order of `points` and the positions."""

    points: list[Point]
    beliefs: list[list[Belief]]
    decided: list[Decided]


def lens_points(config: GPTConfig, layers: Sequence[int] | None = None) -> list[Point]:
    """The points of a model's stream in its order: of some layers alone, or of all with the embedding; the output.

    Raises:
        SettingInvalidError: a layer that the model lacks.
    """
    chosen = range(config.n_layer) if layers is None else checked("layer", layers, config.n_layer)
    points = [Point(None, "embedding")] if layers is None else []
    for layer in chosen:
        twice = ERAS[config.era].smear and layer > config.n_layer // 2
        for at in ("attention", "mlp"):
            points += [Point(layer, at, backout) for backout in ((False, True) if twice else (None,))]
    return [*points, Point(None, "output")]


@torch.inference_mode()
def logit_lens(
    model: GPT,
    tokens: Sequence[int],
    positions: Sequence[int] | None = None,
    layers: Sequence[int] | None = None,
    top: int = 5,
    chosen: Sequence[int] = (),
    *,
    followers: bool = True,
    on_progress: Callable[[float], None] | None = None,
    cancel: threading.Event | None = None,
) -> Lens:
    """What the model would say if the rest of it added nothing, after the embedding, each attention and each MLP.

    softcap * tanh(unembedding(norm(r)) / softcap), r the stream at that point (nostalgebraist 2020, "interpreting
    GPT: the logit lens"). The output's logits are the forward's own, bit for bit.

    Args:
        tokens: the text's ids.
        positions: where to read; what stands there foretells the token at the next one. None: everywhere.
        layers: these alone, with the output; None: all, with the embedding.
        top: so many tokens at each point.
        chosen: ids of tokens to follow.
        followers: follow at each position the text's own next token too, before the others.
        on_progress: called with the share of the work that is done.

    Raises:
        SettingInvalidError: a position, layer or token that there is not, or not enough memory.
        NonFiniteError: the logits are not finite. CancelledError: `cancel` was set.
    """
    config = model.config
    checked_text(tokens, config)
    where = checked("position", range(len(tokens)) if positions is None else positions, len(tokens))
    points = lens_points(config, layers)
    if checked_one("top", top, config.vocab_size + 1) == 0:
        raise SettingInvalidError("top 0: give at least 1.")
    followed = [_followed(tokens, position, chosen, config, followers) for position in where]
    tell = on_progress or (lambda share: None)
    forward, unembedding = costs(model, len(tokens), len(where), len(points))
    begun = forward / (forward + unembedding)
    reading = read_forward(
        model, tokens, where, _sites(points, config), cancel=cancel, on_progress=lambda n, of: tell(begun * n / of)
    )
    beliefs: list[list[Belief]] = [[] for _ in points]
    at_once = max(1, ROWS_AT_ONCE // len(points))
    with memory_explained(model.get_device(), "this question", ADVICE):
        for start in range(0, len(where), at_once):
            check_cancel(cancel)
            part = slice(start, start + at_once)
            found = _beliefs(model, reading, points, part, where[part], followed[part], top)
            for of_point, more in zip(beliefs, found, strict=True):
                of_point += more
            tell(begun + (1 - begun) * min(1.0, (start + at_once) / len(where)))
    answers = reading.logits.argmax(dim=-1).tolist()
    return Lens(points, beliefs, _decided(points, beliefs, answers))


def costs(model: GPT, tokens: int, positions: int, points: int) -> tuple[float, float]:
    """Multiplications of the forward and of the unembedding."""
    rows, width = model.lm_head.weight.shape
    blocks = model.config.n_layer * 12 * width * width
    return float(tokens * blocks + positions * rows * width), float(positions * points * rows * width)


def lens_bytes(model: GPT, tokens: int, positions: int, points: int) -> int:
    """The memory that a lens takes beside the model, about: the cache, the stream, and the logits of a piece."""
    config, size = model.config, model.compute_dtype.itemsize
    cache = 2 * config.n_layer * tokens * config.n_kv_head * config.head_dim * size
    stream = (3 * config.n_layer + points) * positions * config.n_embd * size
    logits = (positions + 3 * max(ROWS_AT_ONCE, points)) * config.vocab_size * 4
    return cache + stream + logits


def _followed(
    tokens: Sequence[int], position: int, chosen: Sequence[int], config: GPTConfig, followers: bool
) -> list[int]:
    """The tokens to follow at a position, each once."""
    following = list(tokens[position + 1 : position + 2]) if followers else []
    return list(dict.fromkeys([*following, *(checked_one("token", token, config.vocab_size) for token in chosen)]))


def _sites(points: Sequence[Point], config: GPTConfig) -> set[SiteLayer]:
    """What the points are computed from."""
    layers = {point.layer for point in points if point.layer is not None}
    layers |= {config.n_layer // 2} if any(point.backout for point in points) else set()
    sites = {(site, layer) for layer in layers for site in ("residual", "post_attn", "post_mlp")}
    return sites | ({("residual", 0)} if points[0].at == "embedding" else set())


def _stream(model: GPT, rows: dict[SiteLayer, Tensor], point: Point) -> Tensor:
    """The stream at a point as the model has it there, (N, n_embd); `rows` of the positions wanted."""
    if point.layer is None:
        return rows["residual", 0]
    found = rows["residual", point.layer] + rows["post_attn", point.layer]
    if point.at == "mlp":
        found = found + rows["post_mlp", point.layer]
    if point.backout:
        middle = _stream(model, rows, Point(model.config.n_layer // 2, "mlp"))
        found = found - model.backout_lambda.to(found.dtype) * middle
    return found


def _beliefs(
    model: GPT,
    reading: Reading,
    points: Sequence[Point],
    part: slice,
    positions: Sequence[int],
    followed: Sequence[Sequence[int]],
    top: int,
) -> list[list[Belief]]:
    """Of a piece of the positions, by point."""
    rows = {place: values[part] for place, values in reading.rows.items()}
    final = reading.logits[part]
    log_final = final.log_softmax(dim=-1)
    found: list[list[Belief]] = [[] for _ in points]
    stream = [_stream(model, rows, point) for point in points[:-1]]
    products = model.before_softcap(torch.stack(stream, dim=1)) if stream else final[:, :0]  # (n, points, vocab)
    at_once = max(1, VALUES_AT_ONCE // (len(points) * final.size(1))) if final.device.type == "cpu" else len(final)
    for start in range(0, len(final), at_once):
        piece = slice(start, start + at_once)
        more = (log_final[piece], positions[piece], followed[piece], top)
        beliefs = _read(model.softcapped(products[piece]), *more) if stream else []
        for of_point, others in zip(found, beliefs + _read(final[piece, None], *more), strict=True):
            of_point += others
    return found


def _read(
    logits: Tensor, log_final: Tensor, positions: Sequence[int], followed: Sequence[Sequence[int]], top: int
) -> list[list[Belief]]:
    """Beliefs by point, from logits (n, points, vocab) and the output's log-probabilities (n, vocab)."""
    exponentials = logits.exp()  # softcapped: it overflows nowhere
    sums = exponentials.sum(dim=-1)
    log_sum_exp = sums.log()
    entropy = (log_sum_exp - exponentials.mul_(logits).sum(dim=-1) / sums).clamp_(min=0.0)
    likely = log_final.exp()
    final_entropy = (likely * log_final).sum(dim=-1, keepdim=True)  # negative
    weighed = (logits * likely[:, None]).sum(dim=-1)  # a matrix product of so many terms is less exact
    cross = weighed - log_sum_exp * likely.sum(dim=-1, keepdim=True)
    kl = (final_entropy - cross).clamp_(min=0.0)  # (n, points)
    values, indices = top_logits(logits, top)
    likeliest = (values - log_sum_exp[..., None]).exp().tolist()
    ids, divergences, entropies = indices.tolist(), kl.tolist(), entropy.tolist()
    chances = [
        [_chances(logits[row], log_sum_exp[row], token) for token in tokens] for row, tokens in enumerate(followed)
    ]
    return [
        [
            Belief(
                position,
                list(zip(ids[row][point], likeliest[row][point], strict=True)),
                [of_token[point] for of_token in chances[row]],
                divergences[row][point],
                entropies[row][point],
            )
            for row, position in enumerate(positions)
        ]
        for point in range(logits.size(1))
    ]


def _chances(logits: Tensor, log_sum_exp: Tensor, token: int) -> list[Chance]:
    """Of one token at each point of one position: logits (points, vocab)."""
    own = logits[:, token]
    above = torch.gt(logits, own[:, None], out=torch.empty_like(logits)).sum(dim=-1)  # bools are summed slower
    rows = zip(own.tolist(), (own - log_sum_exp).exp().tolist(), (above.long() + 1).tolist(), strict=True)
    return [Chance(token, *row) for row in rows]


def top_logits(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of (..., vocab) and their ids, each (..., count), the largest first.

    They lie in the blocks with the largest maxima, of which there are few: to sort a whole vocabulary takes half as
    long as to unembed it.
    """
    count = min(count, logits.size(-1))
    blocks = logits.size(-1) // BLOCK
    if blocks < 4 * count:
        return logits.topk(count, dim=-1)
    whole, rest = logits[..., : blocks * BLOCK].unflatten(-1, (blocks, BLOCK)), logits[..., blocks * BLOCK :]
    best = whole.amax(dim=-1).topk(count, dim=-1).indices  # (..., count)
    inside = whole.gather(-2, best[..., None].expand(*best.shape, BLOCK)).flatten(-2)
    ids = (best[..., None] * BLOCK + torch.arange(BLOCK, device=best.device)).flatten(-2)
    after = torch.arange(blocks * BLOCK, logits.size(-1), device=best.device).expand(*ids.shape[:-1], -1)
    values, places = torch.cat([inside, rest], dim=-1).topk(count, dim=-1)
    return values, torch.cat([ids, after], dim=-1).gather(-1, places)


def _decided(points: Sequence[Point], beliefs: Sequence[Sequence[Belief]], answers: Sequence[int]) -> list[Decided]:
    series = [index for index, point in enumerate(points) if point.backout is not False]
    decided = []
    for row, answer in enumerate(answers):
        leads = [beliefs[index][row].top[0][0] == answer for index in series]
        leads[-1] = True  # it leads there, whichever of two equal ones is first
        first = leads.index(True)
        stays = len(leads) - next((n for n, leading in enumerate(reversed(leads)) if not leading), len(leads))
        decided.append(Decided(beliefs[0][row].position, answer, points[series[first]], points[series[stays]]))
    return decided
