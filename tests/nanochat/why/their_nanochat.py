"""The transformers library's NanoChat, with a golden checkpoint's weights, and its values read and changed by hooks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from nanochat.gpt import GPT
from tests.nanochat.why.hooks import Change, hooked
from tests.nanochat.why.models import model_of

if TYPE_CHECKING:  # importing it takes seconds, which only the tests that compare are to cost
    from transformers import NanoChatForCausalLM

NAMES = {
    "transformer.wte": "model.embed_tokens",
    "transformer.h": "model.layers",
    "attn.c_q": "self_attn.q_proj",
    "attn.c_k": "self_attn.k_proj",
    "attn.c_v": "self_attn.v_proj",
    "attn.c_proj": "self_attn.o_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
Site = tuple[str, int]  # what of a layer, and the layer


@cache
def both(case: str) -> tuple[GPT, NanoChatForCausalLM, tuple[int, ...]]:
    """A golden checkpoint as our model and as theirs, and a text for it."""
    from transformers import NanoChatConfig, NanoChatForCausalLM

    model, tokens = model_of(case)
    config = model.config
    theirs = NanoChatForCausalLM(
        NanoChatConfig(
            vocab_size=model.lm_head.weight.size(0),  # with the padded rows of Ap
            hidden_size=config.n_embd,
            intermediate_size=4 * config.n_embd,
            num_hidden_layers=config.n_layer,
            num_attention_heads=config.n_head,
            num_key_value_heads=config.n_kv_head,
            max_position_embeddings=config.sequence_len,
            rms_norm_eps=torch.finfo(torch.float32).eps,  # theirs is 1e-6; rotary base and softcap are as nanochat's
            pad_token_id=None,
        )
    )
    theirs.set_attn_implementation("eager")
    theirs.load_state_dict({renamed(name): weight for name, weight in model.state_dict().items()})
    return model, theirs.float().eval(), tokens


def renamed(name: str) -> str:
    """Their name of a weight."""
    for ours, other in NAMES.items():
        name = name.replace(ours, other)
    return name


def module_of(theirs: NanoChatForCausalLM, site: Site) -> tuple[nn.Module, bool]:
    """The module whose input (True) or output a site is."""
    what, index = site
    layer: Any = theirs.model.layers[index]
    return {
        "residual": (layer, True),
        "heads": (layer.self_attn.o_proj, True),  # (1, T, n_head * head_dim)
        "attention": (layer.self_attn.o_proj, False),
        "between": (layer.post_attention_layernorm, True),  # the stream after the attention
        "neurons": (layer.mlp.fc2, True),
        "mlp": (layer.mlp, False),
    }[what]


@torch.inference_mode()
def their_logits(
    case: str, changes: dict[Site, Change] | None = None, tokens: tuple[int, ...] | None = None
) -> np.ndarray:
    """Their logits, (T, vocab), without the padded rows."""
    model, theirs, own = both(case)
    with hooked((*module_of(theirs, site), change) for site, change in (changes or {}).items()):
        logits = theirs(input_ids=torch.tensor([tokens or own]), use_cache=False).logits
    return logits[0, :, : model.config.vocab_size].double().numpy()


@torch.inference_mode()
def our_logits(case: str) -> np.ndarray:
    """Ours of the same text, (T, vocab)."""
    model, _, tokens = both(case)
    return model(torch.tensor([tokens]))[0].double().numpy()


def values_of(case: str, tokens: tuple[int, ...], *whats: str) -> dict[Site, Tensor]:
    """The values of their sites in all layers, (1, T, ...)."""
    kept: dict[Site, Tensor] = {}

    def keeping(site: Site) -> Change:
        return lambda value: kept.__setitem__(site, value.clone())

    sites = [(what, layer) for what in whats for layer in range(both(case)[0].config.n_layer)]
    their_logits(case, {site: keeping(site) for site in sites}, tokens)
    return kept


def at(index: Any, change: Callable[[Tensor], Any]) -> Change:
    """A change of a part of a value."""

    def changed(value: Tensor) -> Tensor:
        value = value.clone()
        value[index] = change(value[index])
        return value

    return changed


def head_part(model: GPT, head: int, positions: slice = slice(None)) -> tuple[Any, ...]:
    """Where a head's own channels are in the input of `o_proj`."""
    return 0, positions, slice(head * model.config.head_dim, (head + 1) * model.config.head_dim)
