"""What an intervention is done with: numbers, or where they are to be taken from; checked as data.

1.5, [0.5, -1.0, ...]                                 numbers
{"trace": "trace_2026...", "position": 4}             what another trace has there
{"difference": ["Good", "Bad"], "times": 4}           of the means over the positions of two prompts
{"mean_over": "trace"}, {"mean_over": ["One", "Two"]} a mean, over the prompt's own positions or those of others
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nanochat.capture.sites import WEIGHTS, Site
from nanochat.gpt_config import GPTConfig

PROMPT = "prompt"  # an older word for the mean over the trace's own prompt
OWN = "trace"
OPS_OF = {  # a source, and the operations that take it
    "trace": ("add", "set"),
    "difference": ("add", "set"),
    "mean_over": ("mean",),
}
TIMES = ("difference",)  # sources that may be multiplied
MOST_PROMPTS = 1000

Number = float | tuple[Any, ...]  # a number, or a list of lists of them


@dataclass(frozen=True)
class Source:
    """Where numbers come from.

    kind: "trace": a trace's tensor of the same site and layer; "difference": of two prompts' means over positions;
        "mean_over": the mean over the prompt's positions, or those of others.
    given: a trace's id, prompts, or "trace" for the prompt that is run.
    position: of a trace, the one position whose values are taken; None: position by position.
    times: what they are multiplied by.
    """

    kind: Literal["trace", "difference", "mean_over"]
    given: str | tuple[str, ...]
    position: int | None = None
    times: float = 1.0

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompts that it is computed from."""
        return self.given if isinstance(self.given, tuple) else ()

    def as_data(self) -> dict[str, Any]:
        """The mapping that it was made of."""
        found: dict[str, Any] = {self.kind: list(self.given) if isinstance(self.given, tuple) else self.given}
        found |= {} if self.position is None else {"position": self.position}
        return found if self.times == 1.0 else found | {"times": self.times}


def parsed_value(op: str, value: Any) -> Number | Source | None:
    """What an operation is done with. Raises ValueError: nothing that it takes."""
    if op == "zero":
        if value is not None:
            raise ValueError("zero takes no value: leave it out, or use set")
        return None
    if op == "mean" and (value is None or (isinstance(value, str) and value == PROMPT)):
        return Source("mean_over", OWN)
    if isinstance(value, Mapping):
        return _source(op, value)
    if op == "mean":
        raise ValueError(
            'a mean is taken over the prompt: leave its value out, or use {"mean_over": ["a prompt", ...]}'
        )
    if (listed := getattr(value, "tolist", None)) is not None:  # a tensor of torch's or numpy's
        value = listed()
    if isinstance(value, list | tuple) and value and op != "scale":
        return tuple(map(_numbers, value))
    if isinstance(value, int | float):
        return _number(value)
    kinds = "a number" if op == "scale" else "a number or a list of numbers"
    raise ValueError(f"{op} needs a value, {kinds}" + ("" if value is None else f", not {value!r:.80}"))


def _source(op: str, value: Mapping[Any, Any]) -> Source:
    given = {key: item for key, item in value.items() if item is not None}
    kinds = [kind for kind in OPS_OF if kind in given]
    if len(kinds) != 1:
        raise ValueError(f"{dict(value)!r:.80} is no value: give one of {', '.join(OPS_OF)}")
    (kind,) = kinds
    allowed = {kind, *(["position"] * (kind == "trace")), *(["times"] * (kind in TIMES))}
    if unknown := given.keys() - allowed:
        raise ValueError(f"its value has no {min(unknown, key=str)!r:.80}: use {', '.join(sorted(allowed))}")
    if op not in OPS_OF[kind]:
        raise ValueError(
            f"{op} takes no {kind}: {' and '.join(OPS_OF[kind])} {'does' if kind == 'mean_over' else 'do'}"
        )
    position = given.get("position")
    if position is not None and not (type(position) is int and position >= 0):
        raise ValueError(f"its value's position is {position!r:.80}: use a whole number from 0")
    return Source(kind, _given(kind, given[kind]), position, _number(given.get("times", 1.0)))  # type: ignore[arg-type]


def _given(kind: str, given: Any) -> str | tuple[str, ...]:
    """An id, or prompts."""
    if kind == "trace":
        if not isinstance(given, str) or not given:
            raise ValueError(f"its value's {kind} is {given!r:.80}: give an id")
        return given
    if (kind, given) == ("mean_over", OWN):
        return given
    wanted = "two prompts" if kind == "difference" else f'"{OWN}" or a list of prompts'
    listed = isinstance(given, list | tuple) and all(isinstance(item, str) and item for item in given)
    if not listed or not 0 < len(given) <= MOST_PROMPTS or (kind == "difference" and len(given) != len("AB")):
        raise ValueError(f"its value's {kind} is {given!r:.80}: give {wanted}")
    return tuple(given)


def _numbers(value: Any) -> Number:
    return tuple(map(_numbers, value)) if isinstance(value, list | tuple) else _number(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r:.80} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("NaN, infinity and what is as large are no values: use numbers")
    return number


def plain(value: Any) -> Any:
    """A value as JSON has it."""
    return value.as_data() if isinstance(value, Source) else _listed(value)


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value


def rank_of(site: Site) -> int:
    """How many axes a site's value has at one position; of attention weights they are heads and keys."""
    return 1 if site.head_axis is None else 2


def checked_numbers(value: Number, site: Site, config: GPTConfig, neurons: int | None) -> np.ndarray | None:
    """A list of numbers as an array, () for a number. Raises ValueError: it does not fit the site.

    Args:
        neurons: how many were chosen, which a list of numbers then is as long as.

    Returns:
        (width,), or of one position (*shape), or of every position from 0 on (positions, *shape); None for a number.
    """
    if not isinstance(value, tuple):
        return None
    try:
        array = np.array(value, np.float64)
    except ValueError:
        raise ValueError("its lists of numbers are not all of one length") from None
    check_shape(array.shape, site, config, neurons)
    return array


def check_shape(shape: tuple[int, ...], site: Site, config: GPTConfig, neurons: int | None = None) -> None:
    """Raise ValueError where numbers of that shape do not fit a site."""
    if site.name == WEIGHTS:
        if shape[-1] > config.max_positions:
            raise ValueError(f"its vector is of {shape[-1]:,} keys, and there are at most {config.max_positions:,}")
        wanted = (config.n_head, shape[-1])
    else:
        wanted = site.shape(config)
    if len(shape) == 1:
        width = neurons or wanted[-1]
        if shape[0] != width:
            raise ValueError(f"its vector has {shape[0]} numbers, and {site.name} needs {width}")
        return
    if len(shape) > len(wanted) + 1 or shape[-len(wanted) :] != wanted:
        needed = " x ".join(map(str, wanted))
        raise ValueError(
            f"its numbers are {' x '.join(map(str, shape))}, and {site.name} needs {needed}, or that for each position"
        )
