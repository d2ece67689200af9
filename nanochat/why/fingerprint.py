"""A model's fingerprint: the same for the same weights, whatever their file is called and wherever they lie."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

import msgspec
import torch

from nanochat.gpt import GPT


@torch.no_grad()
def fingerprint(model: GPT) -> str:
    """SHA-256 in hexadecimal, of the sizes, the compute dtype and every weight, as they are now."""
    digest = hashlib.sha256(msgspec.json.encode(asdict(model.config), order="sorted"))
    for name, parameter in sorted(model.named_parameters()):
        digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}\n".encode())
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
