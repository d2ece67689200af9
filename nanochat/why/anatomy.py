"""Direct logit attribution: a logit as the sum of what the embedding, every head and every MLP wrote into it."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from nanochat.attention import Span, attention_weights
from nanochat.capture.sites import FINAL
from nanochat.capture.tap import SiteLayer
from nanochat.gpt import GPT, NORM_EPSILON, SMEAR_CHANNELS, norm
from nanochat.why.checks import checked_one, checked_text
from nanochat.why.reading import Reading, read_forward
from nanochat.why.words import writer

Kind = Literal["embedding", "x0", "head", "mlp", "neuron", "backout"]
SplitPart = Literal["own", "smeared", "projected", "value_embedding", "rest"]
NEURONS, SOURCES = 5, 16


@dataclass(frozen=True)
class Component:
    """One part of the sum.

    Attributes:
        kind: "embedding"; "x0", the embedding that a layer mixes in again (eras B on); "head"; "mlp"; "neuron", a
            strong one, which is then no part of its "mlp"; "backout", what the end takes off (era F).
        value: before the softcap.
        part: of an embedding in era F its own and the smeared one, the token's before; of a head in a layer with value
            embeddings what its values have of the projection and of the value embedding; of an MLP whose strongest
            neurons stand by themselves the rest.
        sources: of a head, the positions that it read this from, the strongest first, and each one's value.
        backout: what of it the end takes off, which is a part of the component "backout"; None where it takes nothing.
    """

    kind: Kind
    value: float
    layer: int | None = None
    head: int | None = None
    neuron: int | None = None
    part: SplitPart | None = None
    sources: list[tuple[int, float]] = field(default_factory=list)
    backout: float | None = None


@dataclass(frozen=True)
class Attribution:
    """A logit, or the difference of two, as a sum.

    Attributes:
        total: before the softcap, in float64, of the stream that the final norm reads.
        logit: the model's own, after the softcap; `value * logit / total` is a component's share of it.
        components: all of them; they sum to `total`.
        error: by how much they do not: float64's rounding in a model that computes in it, else its own dtype's.
    """

    total: float
    logit: float
    components: list[Component]
    error: float

    def by_writer(self) -> dict[str, float]:
        """The components' values added up by who wrote them, such as "head 3.2", "MLP 3", "embedding"."""
        sums: dict[str, float] = {}
        for part in self.components:
            who = writer(part.kind, part.layer, part.head)
            sums[who] = sums.get(who, 0.0) + part.value
        return sums


@torch.inference_mode()
def attribute_logits(
    model: GPT,
    tokens: Sequence[int],
    position: int,
    token: int,
    against: int | None = None,
    *,
    neurons: int = NEURONS,
    sources: int = SOURCES,
    cancel: threading.Event | None = None,
) -> Attribution:
    """Who wrote a logit: direct logit attribution.

    The final norm's scale is frozen at 1 / rms of the stream there, so that what every part wrote adds up (Elhage et
    al. 2021, "A Mathematical Framework for Transformer Circuits"). It tells what each wrote itself, not what others
    made of it.

    Args:
        tokens: the text's ids.
        position: where the logit is; it foretells the token at the next position.
        token: whose logit.
        against: the difference to this token's; None: the logit itself.
        neurons: so many of each MLP's strongest neurons stand by themselves.
        sources: so many of the positions that a head read from are told, the strongest.

    Raises:
        SettingInvalidError: a position or token that there is not. NonFiniteError. CancelledError: `cancel` was set.
    """
    config = model.config
    checked_text(tokens, config)
    position = checked_one("position", position, len(tokens))
    chosen = [checked_one("token", one, config.vocab_size) for one in (token, against) if one is not None]
    text = list(tokens[: position + 1])  # nothing later is seen
    reading = read_forward(model, text, [position], _rows(model), _whole(model), cancel=cancel)
    final = reading.rows[FINAL, 0][0].double()
    unembeddings = model.lm_head.weight[chosen].double()
    signs = torch.tensor([1.0, -1.0][: len(chosen)], dtype=torch.float64, device=final.device)
    direction = signs @ unembeddings / (final.square().mean() + NORM_EPSILON).sqrt()
    anatomy = _Anatomy(model, text, reading, direction)
    components = [*anatomy.embedding(), *anatomy.layers(neurons, sources), *anatomy.backout()]
    total = float(direction @ final)
    logit = float(signs @ reading.logits[0, chosen].double())
    return Attribution(total, logit, components, abs(math.fsum(part.value for part in components) - total))


def attribution_bytes(model: GPT, tokens: int) -> int:
    """The memory that it takes beside the model, about: keys and values twice, and a layer's of them in float64."""
    config, size = model.config, model.compute_dtype.itemsize
    layer = 2 * tokens * config.n_kv_head * config.head_dim
    return 2 * config.n_layer * layer * size + 2 * layer * 8 + 8 * 5 * config.n_embd * config.n_embd


def _rows(model: GPT) -> set[SiteLayer]:
    """What is needed of the position itself."""
    layers, middle = range(model.config.n_layer), model.config.n_layer // 2
    rows = {(site, layer) for layer in layers for site in ("q", "mlp_hidden")} | {(FINAL, 0)}
    return rows | ({(site, middle) for site in ("residual", "post_attn", "post_mlp")} if model.era.smear else set())


def _whole(model: GPT) -> dict[SiteLayer, int | None]:
    """What is needed of every position that it sees."""
    whole: dict[SiteLayer, int | None] = {(site, layer): None for layer in range(model.config.n_layer) for site in "kv"}
    gated = filter(model.config.has_value_embedding, range(model.config.n_layer))
    return whole | {("pre_attn_norm", layer): model.era.value_gate_channels for layer in gated}


class _Anatomy:
    """The parts of one position's stream, as the direction sees them: (n_embd,) float64, of unembedding and norm."""

    def __init__(self, model: GPT, text: list[int], reading: Reading, direction: Tensor):
        self.model, self.reading, self.direction = model, reading, direction
        self.ids = torch.tensor(text, device=direction.device)
        self.position, self.depth = len(text) - 1, model.config.n_layer
        self.resid = model.resid_lambdas.tolist() if model.era.lambdas else [1.0] * self.depth
        self.x0 = model.x0_lambdas.tolist() if model.era.lambdas else []
        self.backout_lambda = float(model.backout_lambda) if model.era.smear else 0.0

    def carried(self, layer: int, end: int) -> float:
        """By how much of it the output of a layer stands in the stream after another."""
        return math.prod(self.resid[layer + 1 : end + 1])

    def taken(self, layer: int) -> float | None:
        """The same of what the end takes off; None: nothing of that layer."""
        middle = self.depth // 2
        return -self.backout_lambda * self.carried(layer, middle) if self.model.era.smear and layer <= middle else None

    def component(self, kind: Kind, written: float, layer: int, scale: float = 1.0, **more: object) -> Component:
        """What was written to the stream by a layer, -1 for the embedding, at the end."""
        end, taken = self.carried(layer, self.depth - 1) * scale, self.taken(layer)
        backout = None if taken is None else written * taken * scale
        return Component(kind, written * end, None if layer < 0 else layer, backout=backout, **more)  # type: ignore[arg-type]

    def embedding(self) -> Iterator[Component]:
        """The normed embedding, and what each layer mixes in of it again."""
        embedded = norm(self.model.transformer.wte(self.ids[-2:])).double()
        own, smeared = float(embedded[-1] @ self.direction), 0.0
        if self.model.era.smear and len(embedded) > 1:
            gate = self.model.smear_gate.weight.double()[0] @ embedded[-1, :SMEAR_CHANNELS]
            share = float(self.model.smear_lambda) * float(torch.sigmoid(gate))
            smeared = share * float(embedded[0] @ self.direction)
        if self.model.era.smear:
            before = [(self.position - 1, smeared * self.carried(-1, self.depth - 1))] if self.position else []
            yield self.component("embedding", own, -1, part="own")
            yield self.component("embedding", smeared, -1, part="smeared", sources=before)
        else:
            yield self.component("embedding", own, -1)
        for layer, scale in enumerate(self.x0):
            yield self.component("x0", own + smeared, layer, scale)

    def layers(self, neurons: int, sources: int) -> Iterator[Component]:
        """Every head and every MLP."""
        for layer in range(self.depth):
            yield from self.heads(layer, sources)
            yield from self.mlp(layer, neurons)

    def heads(self, layer: int, sources: int) -> Iterator[Component]:
        """Every head of a layer, by the positions that it read from."""
        attention = self.model.transformer.h[layer].attn
        H, D = attention.n_head, attention.head_dim
        q, k = self.reading.rows["q", layer].double(), self.reading.whole["k", layer].double()
        span = Span([self.position], 1, q.device)
        weights = attention_weights(q[None], k[None], span, attention.window)[0, :, 0]  # (H, S)
        seen = self.direction @ attention.c_proj.weight.double()  # (H * D,): of each value's channels
        values = self.values(layer)
        first = max(0, self.position - attention.window)
        end = self.carried(layer, self.depth - 1)
        read = {
            part: weights * torch.einsum("hd,shd->hs", seen.view(H, D), value.repeat_interleave(H // value.size(1), 1))
            for part, value in values.items()
        }
        for head in range(H):
            for part, found in read.items():
                strongest = found[head, first:].abs().argsort(descending=True)[:sources] + first
                told = list(zip(strongest.tolist(), (found[head, strongest] * end).tolist(), strict=True))
                yield self.component("head", float(found[head].sum()), layer, head=head, part=part, sources=told)

    def values(self, layer: int) -> dict[SplitPart | None, Tensor]:
        """The values of every position, (S, H_kv, D): in layers with value embeddings in their two parts."""
        value = self.reading.whole["v", layer].double()
        if not self.model.config.has_value_embedding(layer):
            return {None: value}
        gates = self.reading.whole["pre_attn_norm", layer].double()
        attention = self.model.transformer.h[layer].attn
        gate = self.model.era.value_gate_scale * torch.sigmoid(gates @ attention.ve_gate.weight.double().T)
        embedded = self.model.value_embeds[str(layer)](self.ids).double().view_as(value) * gate[..., None]
        return {"projected": value - embedded, "value_embedding": embedded}

    def mlp(self, layer: int, neurons: int) -> Iterator[Component]:
        """An MLP: its strongest neurons, and the rest."""
        hidden = self.reading.rows["mlp_hidden", layer][0].double()
        written = hidden * (self.direction @ self.model.transformer.h[layer].mlp.c_proj.weight.double())
        strongest = written.abs().argsort(descending=True)[:neurons].tolist()
        rest = written.clone()
        rest[strongest] = 0.0
        yield self.component("mlp", float(rest.sum()), layer, part="rest" if strongest else None)
        for neuron in strongest:
            yield self.component("neuron", float(written[neuron]), layer, neuron=neuron)

    def backout(self) -> Iterator[Component]:
        """What the end takes off: the stream at half depth."""
        if not self.model.era.smear:
            return
        middle = self.depth // 2
        stream = sum(self.reading.rows[site, middle][0].double() for site in ("residual", "post_attn", "post_mlp"))
        yield Component("backout", -self.backout_lambda * float(self.direction @ stream), middle)
