"""The demo model's units: powers of two for each layer that keep its activations, and so their rounding, small."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from random import Random

import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.gpt import GPT
from nanochat.tokenizer import RustBPETokenizer
from scripts.demo_training.corpus import documents, encode, random_repeat

LARGEST = 6.0  # what activations on the sample texts stay below, about as large as norms leave them
SITES = ("residual", "head_output", "post_attn", "mlp_hidden", "post_mlp")  # those that no norm holds down
TEXTS = 200  # of each kind


def sample_texts(tokenizer: RustBPETokenizer, longest: int) -> Iterator[list[int]]:
    """Token ids of what the model is trained on, always the same: documents, and random repeats."""
    random = Random(0)
    bos = tokenizer.get_bos_token_id()
    ordinary = tokenizer.get_vocab_size() - len(tokenizer.get_special_tokens())
    for document in islice(documents(random), TEXTS):
        yield encode(tokenizer, document)[0][:longest]
    for _ in range(TEXTS):
        yield [bos, *random_repeat(random, ordinary, longest - 1)[0]]


@torch.inference_mode()
def greatest_activations(model: GPT, tokenizer: RustBPETokenizer) -> list[float]:
    """Per layer, the greatest magnitude at SITES over the sample texts; the stream's end counts to the last layer."""
    layers = model.config.n_layer
    settings, device = CaptureSettings(sites=SITES, logits=None), model.get_device()
    greatest = [0.0] * layers
    for ids in sample_texts(tokenizer, model.config.sequence_len):
        recorder = Recorder(model.config, settings, len(ids), len(ids), device, model.dtype)
        with model.capturing(recorder):
            model(torch.tensor([ids], device=device))
        for site, of_site in recorder.sites.items():
            for layer in of_site:
                found = recorder.view(site, layer)
                assert found is not None
                at = min(layer, layers - 1)
                greatest[at] = max(greatest[at], float(found.abs().max()))
    return greatest


@torch.no_grad()
def rescale(model: GPT, units: Sequence[float]) -> None:
    """Multiply each layer's residual stream by its unit, a power of two, and leave the logits as they are.

    The stream is read through norms, which undo any factor, and through lambdas, which take one layer's unit to the
    next one's. Within a layer, v passes through linear maps alone, and the squared ReLU squares a factor: so a root of
    the unit goes into c_v and c_fc, and what is left of it into c_proj. Powers of two change no digit of a weight.
    Only the norms' epsilon is not scaled with the rest: it must stay small beside the stream's mean square.

    Args:
        model: of era F, changed in place.
        units: one for each layer.
    """
    assert model.era.smear and len(units) == model.config.n_layer
    before = 1.0  # the unit of the normed embedding
    for layer, (block, unit) in enumerate(zip(model.transformer.h, units, strict=True)):
        root = 2.0 ** math.floor(math.log2(unit) / 2)
        model.resid_lambdas[layer].mul_(unit / before)
        model.x0_lambdas[layer].mul_(unit)
        block.attn.c_v.weight.mul_(root)
        if model.config.has_value_embedding(layer):
            model.get_parameter(f"value_embeds.{layer}.weight").mul_(root)
        block.attn.c_proj.weight.mul_(unit / root)
        block.mlp.c_fc.weight.mul_(root)
        block.mlp.c_proj.weight.mul_(unit / root**2)
        before = unit
    model.backout_lambda.mul_(units[-1] / units[len(units) // 2])


def make_readable(model: GPT, tokenizer: RustBPETokenizer) -> list[float]:
    """Rescale a model of era F in place so that its activations stay below LARGEST; returns each layer's unit.

    Training ends with activations above 1,000, which two orders of float32 sums give up to 1e-3 apart. Below LARGEST
    they agree within 1e-5, and every layer's numbers are of a size that can be read. One unit for all layers would not
    do: what the largest needs would bring the epsilon into the others' norms. A layer below LARGEST keeps its unit.
    """
    units = [2.0 ** -max(0, math.frexp(found / LARGEST)[1]) for found in greatest_activations(model, tokenizer)]
    rescale(model, units)
    return units
