"""What can be captured and changed in a forward: to add a site, add a row to SITES and a line to the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from nanochat.errors import SettingInvalidError
from nanochat.gpt_config import DTYPE_NAMES, GPTConfig
from nanochat.traces.tensors import Positions, TensorInfo

WEIGHTS = "attention_weights"
NORMS = "value_norms"  # the L2 norm of each value vector, by which weights can be weighted
FINAL = "final_residual"  # what the final norm reads, after the last block and backout


@dataclass(frozen=True)
class Site:
    """One place in the model whose values can be captured.

    `shape`: of one position; `head_axis`: which of its axes counts heads; `default`: captured and shown unless asked
    otherwise; `editable`: whether the model goes on with a value that is changed here.
    """

    name: str
    shape: Callable[[GPTConfig], tuple[int, ...]]
    head_axis: int | None = None
    default: bool = False
    editable: bool = True
    path: str = "layer_activations.layer_{layer}.{name}"
    layers: Callable[[GPTConfig], int] = lambda config: config.n_layer

    def tensor_name(self, layer: int) -> str:
        """The tensor's name in a trace."""
        return self.path.format(layer=layer, name=self.name)

    @property
    def in_layers(self) -> bool:
        """Whether every layer has it, or the model once."""
        return "{layer}" in self.path

    @property
    def is_activation(self) -> bool:
        """Whether it is a value of a layer, with statistics of its own."""
        return self.path.startswith("layer_activations.")

    @property
    def tensor_head_axis(self) -> int | None:
        """Which axis of that tensor counts heads: weights are (1, H, S, S), the others (1, S, ...)."""
        if self.head_axis is None:
            return None
        return (1 if self.name == WEIGHTS else 2) + self.head_axis


def site_of(tensor_name: str) -> Site | None:
    """The site that a trace's tensor is of."""
    return SITES.get(tensor_name.split(".", 1)[0]) or SITES.get(tensor_name.rsplit(".", 1)[-1])


def _width(config: GPTConfig) -> tuple[int, ...]:
    return (config.n_embd,)


SITES: dict[str, Site] = {
    site.name: site
    for site in (
        Site("token_embeddings", _width, default=True, path="{name}", layers=lambda config: 1),
        Site("residual", _width, layers=lambda config: config.n_layer + 1),
        Site(FINAL, _width, path="{name}", layers=lambda config: 1),
        Site("pre_attn_norm", _width, default=True),
        Site("q", lambda config: (config.n_head, config.head_dim), head_axis=0),
        Site("k", lambda config: (config.n_kv_head, config.head_dim), head_axis=0),
        Site("v", lambda config: (config.n_kv_head, config.head_dim), head_axis=0),
        Site(WEIGHTS, lambda config: (config.n_head,), 0, default=True, path="attention_weights.layer_{layer}"),
        Site(NORMS, lambda config: (config.n_kv_head,), head_axis=0, editable=False, path="value_norms.layer_{layer}"),
        Site("z", lambda config: (config.n_head, config.head_dim), head_axis=0),
        Site("head_output", lambda config: (config.n_head, config.n_embd), head_axis=0),
        Site("post_attn", _width, default=True),
        Site("pre_mlp_norm", _width, default=True),
        Site("mlp_hidden", lambda config: (4 * config.n_embd,)),
        Site("post_mlp", _width, default=True),
    )
}
DEFAULT_SITES = tuple(site.name for site in SITES.values() if site.default)


@dataclass(frozen=True)
class CaptureSettings:
    """What to capture: which layers (None: all), sites, logits and stored dtype (None: as computed).

    `logits`: "generated" keeps the row each generated token was drawn from, "all" every position's, a number K the
    top K of every position, None none.
    """

    layers: tuple[int, ...] | None = None
    sites: tuple[str, ...] = DEFAULT_SITES
    logits: Literal["generated", "all"] | int | None = "generated"
    dtype: str | None = None

    @classmethod
    def parse(cls, value: CaptureSettings | dict[str, Any] | None) -> CaptureSettings:
        """Settings from a mapping of the same keys.

        Raises:
            SettingInvalidError: an unknown key, site, dtype or form of logits.
        """
        if value is None:
            return cls()
        if not isinstance(value, cls | dict):
            raise SettingInvalidError(f"capture={value!r:.80}: use a mapping of layers, sites, logits and dtype.")
        if isinstance(value, dict):
            unknown = value.keys() - {"layers", "sites", "logits", "dtype"}
            if unknown:
                raise SettingInvalidError(
                    f"capture has no setting {min(unknown, key=str)!r}: use layers, sites, logits, dtype."
                )
            fields: dict[str, Any] = {key: value[key] for key in ("logits", "dtype") if key in value}
            for key, kind in (("layers", int), ("sites", str)):
                if value.get(key) is not None:
                    fields[key] = _items(key, value[key], kind)
            value = cls(**fields)
        value.check()
        return value

    def check(self) -> None:
        """Raise SettingInvalidError where a value is out of its range."""
        for site in self.sites:
            if site not in SITES:
                raise SettingInvalidError(f"There is no capture site {site!r}: choose from {', '.join(SITES)}.")
        if self.dtype is not None and not (isinstance(self.dtype, str) and self.dtype in DTYPE_NAMES):
            raise SettingInvalidError(f"Cannot store captures as {self.dtype!r}: choose from {', '.join(DTYPE_NAMES)}.")
        number = isinstance(self.logits, int) and not isinstance(self.logits, bool) and self.logits > 0
        if not number and self.logits not in ("generated", "all", None):
            raise SettingInvalidError(
                f'logits={self.logits!r}: use "generated", "all", a number above 0, or null for none.'
            )

    def layers_of(self, site: Site, config: GPTConfig) -> list[int]:
        """The layers captured at a site; a residual stream reaches one past the last block."""
        count = site.layers(config)
        for layer in self.layers or ():
            if not 0 <= layer < config.n_layer:
                raise SettingInvalidError(
                    f"There is no layer {layer}: this model has layers 0 to {config.n_layer - 1}."
                )
        if self.layers is None or count == 1:
            return list(range(count))
        after_last = [config.n_layer] if count > config.n_layer and config.n_layer - 1 in self.layers else []
        return sorted(set(self.layers)) + after_last

    def infos(self, config: GPTConfig, positions: Positions, dtype: str) -> dict[str, TensorInfo]:
        """The tensors that a capture is going to have, by the names that traces use; `dtype` is the model's."""
        found = {}
        for site in map(SITES.__getitem__, self.sites):
            square, kind = (positions.count,) * (site.name == WEIGHTS), "float32" if site.name == WEIGHTS else dtype
            rows = (*site.shape(config), *square, positions.count) if square else (positions.count, *site.shape(config))
            for layer in self.layers_of(site, config):
                found[site.tensor_name(layer)] = TensorInfo((1, *rows), kind)
        if isinstance(self.logits, int):
            shape = (1, positions.count, min(self.logits, config.vocab_size))
            found |= {
                "output_logits.values": TensorInfo(shape, "float32"),
                "output_logits.indices": TensorInfo(shape, "int32"),
            }
            found["output_logits.log_sum_exp"] = TensorInfo(shape[:2], "float32")
        elif self.logits is not None:
            rows = positions.count if self.logits == "all" else positions.generated
            found["output_logits"] = TensorInfo((1, rows, config.vocab_size), "float32")
        return found


def _items(key: str, value: Any, kind: type) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple) or not all(type(item) is kind for item in value):
        raise SettingInvalidError(
            f"capture's {key} must be a list of {'names' if kind is str else 'whole numbers'}, not {value!r:.100}."
        )
    return tuple(value)
