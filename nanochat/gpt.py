"""The nanochat model in every architecture it has had, with its capture sites in plain sight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nanochat.attention import Span, attend, attention_weights, mix
from nanochat.capture.edits import Changes, prepare
from nanochat.capture.interventions import Intervention, parse_interventions, touched_ranges
from nanochat.capture.recorder import Recorder
from nanochat.capture.tap import Edit, SiteLayer, Tap, captured, edits, joined_edits, lasting_tap, tap, wants
from nanochat.common import in_own_precision
from nanochat.eras import ERAS, VOCAB_MULTIPLE, Era
from nanochat.errors import ModelBusyError, SettingInvalidError
from nanochat.gpt_config import GPTConfig
from nanochat.kv_cache import KVCache
from nanochat.model_turn import turn_of
from nanochat.sampling import sample_next_token

SMEAR_CHANNELS = 24
NORM_EPSILON = torch.finfo(torch.float32).eps  # torch's own default since 2.7; before, bfloat16 had a coarser one


def norm(x: Tensor) -> Tensor:
    """RMSNorm without a gain."""
    return F.rms_norm(x, (x.size(-1),), eps=NORM_EPSILON)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding by minus theta of (B, T, H, D): y1 = x1 cos + x2 sin, y2 = x2 cos - x1 sin, for its two halves.

    The tables have both halves: (cos, cos) and (sin, -sin).
    """
    return x * cos + x.roll(x.size(-1) // 2, dims=-1) * sin


def linear(in_features: int, out_features: int) -> nn.Linear:
    """A linear map without a bias."""
    return nn.Linear(in_features, out_features, bias=False)


class CausalSelfAttention(nn.Module):
    """Grouped-query attention with QK norm, windows and, from era C on, value embeddings."""

    attention_weights = captured("attention_weights")
    q, k, v = captured("q"), captured("k"), captured("v")
    z, head_output = captured("z"), captured("head_output")

    def __init__(self, config: GPTConfig, layer_idx: int):
        super().__init__()
        self.era, self.layer_idx, self.tap = ERAS[config.era], layer_idx, None
        self.n_head, self.n_kv_head, self.head_dim = config.n_head, config.n_kv_head, config.head_dim
        self.window = config.windows()[layer_idx]
        self.c_q = linear(config.n_embd, self.n_head * self.head_dim)
        self.c_k = linear(config.n_embd, self.n_kv_head * self.head_dim)
        self.c_v = linear(config.n_embd, self.n_kv_head * self.head_dim)
        self.c_proj = linear(config.n_embd, config.n_embd)
        if config.has_value_embedding(layer_idx):
            self.ve_gate = linear(self.era.value_gate_channels, self.n_kv_head)

    def forward(
        self, x: Tensor, ve: Tensor | None, rotary: tuple[Tensor, Tensor], span: Span, kv_cache: KVCache | None
    ) -> Tensor:
        """x and the result are (B, T, n_embd); ve, the value embedding, is (B, T, n_kv_head * head_dim)."""
        q, k, v = self.projected(x, ve, rotary)
        q, k, v = tap(self, "q", q), tap(self, "k", k), tap(self, "v", v)

        if wants(self, "value_norms"):
            tap(self, "value_norms", v.norm(dim=-1))  # (B, T, H_kv)

        if kv_cache is not None:
            k, v = kv_cache.write(self.layer_idx, k, v, span)  # (B, S, H_kv, D)
        z = tap(self, "z", self.mixed_values(q, k, v, span))  # (B, T, H, D)
        out = self.c_proj(z.flatten(2))
        if wants(self, "head_output"):
            heads = self.per_head(z)  # (B, T, H, n_embd)
            changed = tap(self, "head_output", heads)
            if changed is not heads:
                return out + (changed - heads).sum(dim=2)
        return out

    def projected(self, x: Tensor, ve: Tensor | None, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, T, H, D), keys and values (B, T, H_kv, D), as attention takes them."""
        B, T, _ = x.shape
        q = self.c_q(x).view(B, T, self.n_head, self.head_dim)
        k = self.c_k(x).view(B, T, self.n_kv_head, self.head_dim)
        v = self.c_v(x).view(B, T, self.n_kv_head, self.head_dim)
        if ve is not None:
            gate = self.era.value_gate_scale * torch.sigmoid(self.ve_gate(x[..., : self.era.value_gate_channels]))
            v = v + gate.unsqueeze(-1) * ve.view_as(v)

        qk = norm(rotate(torch.cat([q, k], dim=2), *rotary))  # one pass for both: (B, T, H + H_kv, D)
        if self.era.qk_scale != 1.0:
            qk = qk * self.era.qk_scale
        q, k = qk.split([self.n_head, self.n_kv_head], dim=2)
        return q, k, v

    def mixed_values(self, q: Tensor, k: Tensor, v: Tensor, span: Span) -> Tensor:
        """What each head takes from the values, (B, T, H, D); its weights are explicit only where somebody listens."""
        if edits(self, "attention_weights"):
            weights = attention_weights(q, k, span, self.window)
            changed = tap(self, "attention_weights", weights)
            return attend(q, k, v, span, self.window)[0] if changed is weights else mix(changed, v)
        y, weights = attend(q, k, v, span, self.window)
        if wants(self, "attention_weights"):
            tap(self, "attention_weights", attention_weights(q, k, span, self.window) if weights is None else weights)
        return y

    def per_head(self, z: Tensor) -> Tensor:
        """What each head adds to the residual stream: (B, T, H, D) through its slice of c_proj, (B, T, H, n_embd)."""
        slices = self.c_proj.weight.view(-1, self.n_head, self.head_dim)  # (n_embd, H, D)
        return torch.einsum("bthd,ehd->bthe", z, slices)


class MLP(nn.Module):
    """Four times wide, squared ReLU."""

    mlp_hidden = captured("mlp_hidden")

    def __init__(self, config: GPTConfig, layer_idx: int):
        super().__init__()
        self.layer_idx, self.tap = layer_idx, None
        self.c_fc = linear(config.n_embd, 4 * config.n_embd)
        self.c_proj = linear(4 * config.n_embd, config.n_embd)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, n_embd) to the same."""
        return self.c_proj(tap(self, "mlp_hidden", F.relu(self.c_fc(x)).square()))


class Block(nn.Module):
    """Attention and MLP, each after a norm and added to the residual stream."""

    pre_attn_norm, post_attn = captured("pre_attn_norm"), captured("post_attn")
    pre_mlp_norm, post_mlp = captured("pre_mlp_norm"), captured("post_mlp")
    residual = captured("residual")

    def __init__(self, config: GPTConfig, layer_idx: int):
        super().__init__()
        self.layer_idx, self.tap = layer_idx, None
        self.attn = CausalSelfAttention(config, layer_idx)
        self.mlp = MLP(config, layer_idx)

    def forward(
        self, x: Tensor, ve: Tensor | None, rotary: tuple[Tensor, Tensor], span: Span, kv_cache: KVCache | None
    ) -> Tensor:
        """The residual stream before and after the block, (B, T, n_embd)."""
        return self.after_attention(self.attended(x, ve, rotary, span, kv_cache))

    def attended(
        self, x: Tensor, ve: Tensor | None, rotary: tuple[Tensor, Tensor], span: Span, kv_cache: KVCache | None
    ) -> Tensor:
        """The stream after the attention."""
        normed = tap(self, "pre_attn_norm", norm(x))
        return x + tap(self, "post_attn", self.attn(normed, ve, rotary, span, kv_cache))

    def after_attention(self, x: Tensor) -> Tensor:
        """The stream after the MLP, from that after the attention."""
        normed = tap(self, "pre_mlp_norm", norm(x))
        return x + tap(self, "post_mlp", self.mlp(normed))


def _embedding(rows: int, width: int) -> nn.Embedding:
    """Without torch's own first values: drawing those on the device "meta" imports a compiler, which takes a second."""
    return nn.Embedding(rows, width, _weight=torch.zeros(rows, width))


class GPT(nn.Module):
    """A nanochat model of any era.

    Args:
        config: sizes, windows and era.
        pad_vocab_size_to: embedding rows are a multiple of this; 1 for a checkpoint without padded rows. By default
            what the era did.
    """

    token_embeddings, final_residual = captured("token_embeddings"), captured("final_residual")
    layer_idx = 0  # the embedding is one layer deep, as far as captures go
    transformer: Any  # wte and the blocks h; torch types what is in a ModuleDict too loosely to be of use

    def __init__(self, config: GPTConfig, pad_vocab_size_to: int | None = None):
        super().__init__()
        self.config, self.era, self.tap = config, ERAS[config.era], None
        self.provenance: dict[str, Any] = {}  # where it was loaded from; the checkpoint manager fills it
        multiple = pad_vocab_size_to or (VOCAB_MULTIPLE if self.era.padded_vocab else 1)
        rows = -(-config.vocab_size // multiple) * multiple
        blocks = nn.ModuleList(Block(config, i) for i in range(config.n_layer))
        self.transformer = nn.ModuleDict({"wte": _embedding(rows, config.n_embd), "h": blocks})
        self.lm_head = linear(config.n_embd, rows)
        self._add_era_parameters(config, self.era, rows)
        self._rotary: tuple[Tensor, Tensor] | None = None

    def _add_era_parameters(self, config: GPTConfig, era: Era, rows: int) -> None:
        if era.lambdas:  # each layer weighs the stream so far against x0, the embedding, which would fade otherwise
            self.resid_lambdas = nn.Parameter(torch.ones(config.n_layer))
            self.x0_lambdas = nn.Parameter(torch.zeros(config.n_layer))
        if era.smear:  # a token learns of the one before it without spending a head: cheap bigrams
            self.smear_gate = linear(SMEAR_CHANNELS, 1)
            self.smear_lambda = nn.Parameter(torch.zeros(1))
            # backout: the stream at half depth is taken off again, so that the end need not undo early features
            self.backout_lambda = nn.Parameter(torch.full((1,), 0.2))
        if era.value_embeddings:  # a value vector of each token's own, gated into v: room for facts about it
            layers = [i for i in range(config.n_layer) if config.has_value_embedding(i)]
            width = config.n_kv_head * config.head_dim
            self.value_embeds = nn.ModuleDict({str(i): _embedding(rows, width) for i in layers})

    @torch.no_grad()
    def init_weights(self, generator: torch.Generator | None = None) -> None:
        """Fresh weights for training, scaled as nanochat's: projections back to the residual stream start at zero."""
        width = self.config.n_embd
        bound = (3 / width) ** 0.5  # a uniform distribution of standard deviation 1/sqrt(width)
        for name, parameter in self.named_parameters():
            if name.endswith("wte.weight"):
                parameter.normal_(std=0.8, generator=generator)
            elif name.startswith("lm_head"):
                parameter.normal_(std=0.001, generator=generator)
            elif name.endswith("c_proj.weight") or name == "smear_lambda":
                parameter.zero_()
            elif name.endswith(("ve_gate.weight", "smear_gate.weight")):
                parameter.uniform_(0.0, 0.02, generator=generator)
            elif name.endswith("c_fc.weight"):
                parameter.uniform_(-0.4 * bound, 0.4 * bound, generator=generator)
            elif name.endswith(("c_q.weight", "c_k.weight", "c_v.weight")) or name.startswith("value_embeds"):
                parameter.uniform_(-bound, bound, generator=generator)
        if self.era.lambdas:
            depth = torch.linspace(0, 1, self.config.n_layer)
            self.resid_lambdas.copy_(1.15 - 0.10 * depth)
            self.x0_lambdas.copy_(0.20 - 0.15 * depth)

    def get_device(self) -> torch.device:
        """Where the weights are."""
        return self.transformer.wte.weight.device

    @property
    def compute_dtype(self) -> torch.dtype:
        """What a forward computes in: the type of the weights, which `load_model` chooses and converts once."""
        return self.transformer.wte.weight.dtype

    @property
    def dtype(self) -> torch.dtype:
        """What captures are kept in: `compute_dtype`, but float32 of a float64; logits are float32 all the same."""
        return torch.float32 if self.compute_dtype == torch.float64 else self.compute_dtype

    def num_parameters(self) -> int:
        """How many numbers were trained, padded vocabulary rows included."""
        return sum(parameter.numel() for parameter in self.parameters())

    def rotary_tables(self) -> tuple[Tensor, Tensor]:
        """(cos, cos) and (sin, -sin), each (1, max_positions, 1, head_dim), made on first use."""
        device, dtype = self.get_device(), self.compute_dtype
        if self._rotary is None or self._rotary[0].device != device or self._rotary[0].dtype != dtype:
            with torch.inference_mode(False):  # training may come after generating
                self._rotary = self._make_rotary_tables(dtype)
        return self._rotary

    def _make_rotary_tables(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        channels = torch.arange(0, self.config.head_dim, 2, dtype=torch.float32, device=self.get_device())
        frequencies = 1.0 / (self.era.rotary_base ** (channels / self.config.head_dim))
        positions = torch.arange(self.config.max_positions, dtype=torch.float32, device=self.get_device())
        angles = torch.outer(positions, frequencies)[None, :, None, :]
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([cos, cos], dim=-1).to(dtype), torch.cat([sin, -sin], dim=-1).to(dtype)

    def rotary_at(self, span: Span) -> tuple[Tensor, Tensor]:
        """The tables' rows of a forward's positions."""
        cos, sin = self.rotary_tables()
        assert span.end <= cos.size(1), f"position {span.end} is past the rotary tables' {cos.size(1)}"
        if span.uniform:
            return cos[:, span.starts[0] : span.end], sin[:, span.starts[0] : span.end]
        return cos[0, span.positions], sin[0, span.positions]  # (B, T, 1, D)

    def smeared(self, x: Tensor, kv_cache: KVCache | None = None) -> Tensor:
        """Mix into each position the one before it; the first has none, so nothing is mixed in."""
        before = None if kv_cache is None else kv_cache.prev_embedding
        if before is None:
            before = torch.zeros_like(x[:, :1])
        previous = torch.cat([before, x[:, :-1]], dim=1)
        if kv_cache is not None:
            kv_cache.prev_embedding = x[:, -1:]
        gate = self.smear_lambda.to(x.dtype) * torch.sigmoid(self.smear_gate(x[..., :SMEAR_CHANNELS]))
        return x + gate * previous

    @in_own_precision
    def forward(
        self, idx: Tensor, targets: Tensor | None = None, kv_cache: KVCache | None = None, loss_reduction: str = "mean"
    ) -> Tensor:
        """Logits of every position, or the loss against `targets`.

        Args:
            idx: token ids (B, T).
            targets: (B, T), -1 where no loss is wanted.
            kv_cache: the tokens before these; each row goes on from its own position.
            loss_reduction: "mean", "sum" or "none", as torch's cross entropy has it.

        Returns:
            Softcapped float32 logits (B, T, vocab), (B, 1, vocab) if the cache wants the last alone; or the loss.

        Threads take turns, and wait for a capture of another thread's to end.

        Raises:
            ModelBusyError: called from inside `on_token`.
        """
        with turn_of(self):
            return self._forward(idx, targets, kv_cache, loss_reduction)

    def _forward(self, idx: Tensor, targets: Tensor | None, kv_cache: KVCache | None, loss_reduction: str) -> Tensor:
        B, T = idx.shape
        span = Span([0] * B, T, idx.device) if kv_cache is None else kv_cache.span(T)
        rotary = self.rotary_at(span)
        if self.tap is not None:
            self.tap.span = span
        x = norm(tap(self, "token_embeddings", self.transformer.wte(idx)))
        if self.era.smear:
            x = self.smeared(x, kv_cache)
        x = tap(self, "final_residual", self._trunk(idx, x, rotary, span, kv_cache))
        last_alone = kv_cache is not None and kv_cache.logits_wanted == "last"
        logits = self.unembed(x[:, -1:] if last_alone else x)
        if kv_cache is not None:
            kv_cache.advance(T)
        if self.tap is not None and self.tap.recording:
            # Apart from the last row, so that what is drawn from does not depend on whether there is a capture.
            earlier = self.unembed(x[:, :-1]) if last_alone and T > 1 and self.tap.needs_every_logit else None
            self.tap.commit(logits if earlier is None else torch.cat([earlier, logits], dim=1), span)
        if targets is None:
            return logits
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1, reduction=loss_reduction)

    def _trunk(
        self, idx: Tensor, x: Tensor, rotary: tuple[Tensor, Tensor], span: Span, kv_cache: KVCache | None
    ) -> Tensor:
        """All blocks: the normed embedding in, the residual stream before the final norm out."""
        x0, middle = x, x
        for i, block in enumerate(self.transformer.h):
            x = tap(self, "residual", self.entering(i, x, x0), i)
            x = block(x, self.value_embedding(i, idx), rotary, span, kv_cache)
            if i == self.config.n_layer // 2:
                middle = x
        return self.leaving(tap(self, "residual", x, self.config.n_layer), middle)

    def entering(self, layer: int, x: Tensor, x0: Tensor) -> Tensor:
        """What a layer reads: the stream after the one before it, weighed against x0, the embedding."""
        return self.resid_lambdas[layer] * x + self.x0_lambdas[layer] * x0 if self.era.lambdas else x

    def value_embedding(self, layer: int, idx: Tensor) -> Tensor | None:
        """(B, T, n_kv_head * head_dim), None in a layer without."""
        return self.value_embeds[str(layer)](idx) if self.config.has_value_embedding(layer) else None

    def leaving(self, x: Tensor, middle: Tensor) -> Tensor:
        """What the final norm reads, from the stream after the last layer and that at half depth."""
        return x - self.backout_lambda.to(x.dtype) * middle if self.era.smear else x

    def unembed(self, x: Tensor) -> Tensor:
        """The final norm, the unembedding and the softcap: (..., n_embd) to float32 logits (..., vocab)."""
        return self.softcapped(self.before_softcap(x))

    @in_own_precision
    def before_softcap(self, x: Tensor) -> Tensor:
        """The final norm and the unembedding: (..., n_embd) to (..., vocab), in the compute dtype."""
        return self.lm_head(norm(x.to(self.compute_dtype)))[..., : self.config.vocab_size]

    def softcapped(self, logits: Tensor) -> Tensor:
        """Logits as float32, held between minus and plus the softcap."""
        return self.era.softcap * torch.tanh(logits.float() / self.era.softcap)

    @property
    def output_logits(self) -> Tensor | None:
        """Captured logits so far, (B, rows, vocab); None without a capture."""
        return None if self.tap is None else self.tap.logits_view()

    def attach(self, tap: Tap | None) -> None:
        """Send what later forwards keep to a tap's recorders; None lets go of it. Waits and raises as `forward`."""
        with turn_of(self):
            if tap is None and self.tap is not None and self.tap.lasting:
                tap = lasting_tap(self.tap.lasting)
            layers = set() if tap is None else tap.layers()
            self.tap = tap
            for i, block in enumerate(self.transformer.h):
                block.tap = block.attn.tap = block.mlp.tap = tap if i in layers else None

    @contextmanager
    def capturing(self, *recorders: Recorder, edits: Mapping[SiteLayer, Edit] | None = None) -> Iterator[None]:
        """Capture the rows of every forward inside the block, one recorder a row; readable until the next capture.

        It is this thread's turn with the model meanwhile. Waits and raises as `forward`.

        Args:
            edits: what to change on the way: site and layer to a function of its value (B, T, ...) and the `Span`.
        """
        with turn_of(self):
            self._refuse_while_capturing()
            tap = Tap(dict(enumerate(recorders)), edits, self.tap and self.tap.lasting)
            self.attach(tap)
            try:
                yield
            finally:
                tap.close()

    def _refuse_while_capturing(self) -> None:
        if self.tap is not None and self.tap.recording:
            raise ModelBusyError("The model is being captured already: end that capture before another one begins.")

    @contextmanager
    def editing(
        self, interventions: Sequence[Mapping[str, Any] | Intervention], prompt: Sequence[int] | None = None
    ) -> Iterator[Changes]:
        """Change what every forward inside the block computes, generations and captures included.

        It is this thread's turn with the model meanwhile; after the block the model is as it was. Blocks may be nested.

        Args:
            interventions: `[{"op": "zero", "site": "head_output", "layer": 3, "heads": [1]}, ...]`; see
                `nanochat.capture.interventions`.
            prompt: token ids, by which the positions "prompt", "generated" and "last" are counted; means are taken over
                them, before the block.

        Yields:
            What has `touched`: of each intervention, how many positions it has touched so far.

        Raises:
            SettingInvalidError: an intervention that cannot be, or that would touch nothing.
            ModelBusyError: called from inside `on_token`, or while a capture is under way.
        """
        parsed = parse_interventions(interventions, self.config)
        if not parsed:
            raise SettingInvalidError("There are no interventions: give at least one.")
        ranges = touched_ranges(parsed, None if prompt is None else len(prompt), self.config.max_positions)
        with turn_of(self):
            self._refuse_while_capturing()
            before = self.tap
            changes = prepare(self, parsed, ranges, prompt or ())
            outer = {} if before is None else before.lasting
            self.attach(lasting_tap(joined_edits(outer, changes.edits)))
            try:
                yield changes
            finally:
                assert self.tap is not None
                self.tap.change_alone(outer)
                if not self.tap.recorders:  # no capture inside the block that is to stay readable
                    self.attach(before)

    @torch.inference_mode()
    def generate(
        self,
        tokens: list[int],
        max_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 42,
    ) -> Iterator[int]:
        """Tokens one by one without a cache: slow, and the yardstick for the fast way."""
        device = self.get_device()
        generator = torch.Generator(device=device).manual_seed(seed)
        ids = torch.tensor([tokens], dtype=torch.long, device=device)
        for _ in range(max_tokens):
            following = sample_next_token(self.forward(ids)[:, -1], generator, temperature, top_k)
            ids = torch.cat([ids, following], dim=1)
            yield int(following)
