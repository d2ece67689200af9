"""The names of the trace formats, for those who start too fast to load every type."""

# Generated from nanochat/traces/formats.py by `make protocol`: change it there, not here.

from typing import Literal, get_args

Format = Literal["json", "safetensors"]
FORMATS: tuple[str, ...] = get_args(Format)
