"""Interventions as data: what to change in a forward, where, at which positions; all of it is checked before any work.

An intervention is a mapping that JSON can hold, `{op, site, layer, heads?, neurons?, positions?, value?}`:

    {"op": "zero", "site": "head_output", "layer": 3, "heads": [1, 2]}
    {"op": "add", "site": "residual", "layer": 2, "positions": "last", "value": [0.5, -1.0, ...]}

Where a value is to be taken from elsewhere (`nanochat.capture.values`), it is turned into numbers by
`nanochat.why.values.resolved`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nanochat.capture.sites import SITES, WEIGHTS, Site
from nanochat.capture.values import Number, Source, checked_numbers, parsed_value, plain, rank_of
from nanochat.errors import NanoscopeError, SettingInvalidError
from nanochat.gpt_config import GPTConfig

KEYS = ("op", "site", "layer", "heads", "neurons", "positions", "value")
OPS = ("zero", "mean", "scale", "add", "set")
WORDS = ("all", "prompt", "generated", "last")
NEURONS = "mlp_hidden"  # the site that has neurons

Range = tuple[int, int]  # [start, stop)


@dataclass(frozen=True)
class Intervention:
    """One change of a site's value, checked against a model's sizes. Make it by `parse_interventions`.

    op: "zero"; "mean": a mean of what the model computes there without interventions, by default over the prompt's
        positions; "scale": times `value`; "add": plus `value`; "set": `value` itself.
    site: an editable one. "head_output" is what each head adds to the residual stream.
    layer: 0 for the sites that the model has once.
    heads, neurons: which of them; None: all. Of the sites k and v the heads are those of keys and values.
    positions: "all"; "prompt"; "generated", those of the tokens that were written; "last", the last of the prompt,
        where the first token is decided; or positions and ranges [start, stop), counted from 0. Of attention weights
        they are the queries'.
    value: a number; a vector as wide as the site, with `neurons` as long as those; numbers of the site's own shape, for
        each head others; or those of every position from 0 on; or a `Source` of them. Of attention weights a vector is
        over the keys from position 0 on, 0 for all others; keys that a query does not see stay at 0, and rows are not
        made to sum to 1 again.
    numbers: those of `value` where it is no number, once they are known.
    """

    op: str
    site: str
    layer: int = 0
    heads: tuple[int, ...] | None = None
    neurons: tuple[int, ...] | None = None
    positions: str | tuple[int | Range, ...] = "all"
    value: Number | Source | None = None
    numbers: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def own_mean(self) -> bool:
        """Whether it is the mean over the positions of the prompt that is run."""
        return isinstance(self.value, Source) and self.value.kind == "mean_over" and not self.value.prompts

    @property
    def unresolved(self) -> bool:
        """Whether its numbers have yet to be taken from somewhere."""
        return isinstance(self.value, Source) and self.numbers is None and not self.own_mean

    @property
    def rows(self) -> int | None:
        """Of how many positions its numbers are; None: they are the same at all."""
        by_position = self.numbers is not None and self.numbers.ndim > rank_of(SITES[self.site])
        return len(self.numbers) if self.numbers is not None and by_position else None

    def as_data(self) -> dict[str, Any]:
        """The mapping that it was made of, with what was left out where that is not the only choice."""
        given: dict[str, Any] = {"op": self.op, "site": self.site, "layer": self.layer}
        given |= {name: list(value) for name in ("heads", "neurons") if (value := getattr(self, name)) is not None}
        given["positions"] = self.positions if isinstance(self.positions, str) else [*map(plain, self.positions)]
        return given if self.value is None else given | {"value": plain(self.value)}

    def ranges(self, prompt_length: int | None, end: int) -> tuple[Range, ...]:
        """The positions that it touches, of those below `end`; ValueError where there are none."""
        if isinstance(self.positions, str):
            return (self._named_range(self.positions, prompt_length, end),)
        found = tuple(item if isinstance(item, tuple) else (item, item + 1) for item in self.positions)
        if past := [stop - 1 for _, stop in found if stop > end]:
            raise ValueError(f"there is no position {past[0]}: this run has the positions 0 to {end - 1}")
        return found

    def _named_range(self, word: str, prompt_length: int | None, end: int) -> Range:
        if word == "all":
            return 0, end
        if prompt_length is None:
            raise ValueError(f'positions "{word}" are counted from the prompt: give its token ids as `prompt`')
        if word == "generated" and end <= prompt_length:
            raise ValueError(
                'it would touch no position: positions "generated" begin with the first token that is fed back, so '
                "that max_tokens must be 2 or more"
            )
        return {"prompt": (0, prompt_length), "generated": (prompt_length, end)}.get(
            word, (prompt_length - 1, prompt_length)
        )


def parse_interventions(value: Any, config: GPTConfig) -> tuple[Intervention, ...]:
    """Interventions from a list of mappings, each checked against a model's sizes.

    Raises:
        SettingInvalidError: not such a list; an unknown key, op or site; a layer, head, neuron or position that there
            is not; a value of the wrong kind or width; NaN or infinity.
    """
    if not isinstance(value, list | tuple):
        raise SettingInvalidError(f"interventions={value!r:.80}: use a list of mappings, each with {', '.join(KEYS)}.")
    found = []
    for number, item in enumerate(value):
        with refusing(number):
            found.append(parse_intervention(item, config))
    return tuple(found)


def parse_intervention(item: Any, config: GPTConfig) -> Intervention:
    """One of them. Raises ValueError as `parse_interventions` SettingInvalidError."""
    parsed = _parsed(item.as_data() if isinstance(item, Intervention) else item)
    _check(parsed, config)
    if isinstance(parsed.value, Source):  # numbers that were taken already stay
        return replace(parsed, numbers=item.numbers if isinstance(item, Intervention) else None)
    if parsed.value is None:
        return parsed
    neurons = None if parsed.neurons is None else len(parsed.neurons)
    return replace(parsed, numbers=checked_numbers(parsed.value, SITES[parsed.site], config, neurons))


def touched_ranges(
    interventions: Iterable[Intervention], prompt_length: int | None, end: int
) -> list[tuple[Range, ...]]:
    """The positions that each touches in a run over the positions below `end`.

    Args:
        prompt_length: P, which words are counted by; None: it is not known.

    Raises:
        SettingInvalidError: one would touch none, or some that there are not.
    """
    found = []
    for number, intervention in enumerate(interventions):
        with refusing(number):
            if intervention.own_mean and prompt_length is None:
                raise ValueError("a mean is taken over the prompt: give its token ids as `prompt`")
            found.append(intervention.ranges(prompt_length, end))
            last, rows = max(stop for _, stop in found[-1]), intervention.rows
            if rows is not None and last > rows:
                raise ValueError(
                    f"its value is of the positions 0 to {rows - 1}, and it may touch position {last - 1}: say which "
                    "`positions`, or take those of one `position` for all"
                )
    return found


@contextmanager
def refusing(number: int) -> Iterator[None]:
    """What is wrong with an intervention, as an error that says with which."""
    try:
        yield
    except ValueError as error:
        raise SettingInvalidError(f"interventions[{number}]: {error}.") from error
    except NanoscopeError as error:
        raise type(error)(f"interventions[{number}]: {error}") from error


def _parsed(item: Any) -> Intervention:
    if not isinstance(item, Mapping):
        raise ValueError(f"{item!r:.80} is no intervention: use a mapping of {', '.join(KEYS)}")
    if unknown := item.keys() - set(KEYS):
        raise ValueError(f"it has no {min(unknown, key=str)!r:.80}: use {', '.join(KEYS)}")
    given = {key: item[key] for key in KEYS if item.get(key) is not None}
    for key, known in (("op", OPS), ("site", [name for name, site in SITES.items() if site.editable])):
        if not isinstance(given.get(key), str) or given[key] not in known:
            said = f"{given[key]!r:.80} is no {key}" if key in given else f"it has no {key}"
            raise ValueError(f"{said}{_not_editable(given, key)}: choose from {', '.join(known)}")
    fields: dict[str, Any] = {key: _whole_numbers(key, given[key]) for key in ("heads", "neurons") if key in given}
    if "layer" not in given and SITES[given["site"]].in_layers:
        raise ValueError(f"{given['site']} is in every layer: say in which `layer`")
    if "positions" in given:
        fields["positions"] = _positions(given["positions"])
    return Intervention(**{**given, **fields, "value": parsed_value(given["op"], given.get("value"))})


def _not_editable(given: Mapping[str, Any], key: str) -> str:
    return " that can be changed" if key == "site" and str(given.get(key)) in SITES else ""


def _whole_numbers(key: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list | tuple) or not all(type(item) is int for item in value):
        raise ValueError(f"{key} must be a list of whole numbers, not {value!r:.80}")
    if not value:
        raise ValueError(f"it would change nothing: {key} is empty; leave it out for all")
    if len(set(value)) < len(value):
        raise ValueError(f"{key} has a number twice: {value!r:.80}")
    return tuple(value)


def _positions(value: Any) -> str | tuple[int | Range, ...]:
    if isinstance(value, str) and value in WORDS:
        return value
    if not isinstance(value, list | tuple):
        raise ValueError(f"positions={value!r:.80}: use {', '.join(WORDS)}, or a list of positions and [start, stop)")
    if not value:
        raise ValueError("it would touch no position: positions is empty; leave it out for all")
    return tuple(_position(item) for item in value)


def _position(item: Any) -> int | Range:
    if type(item) is int and item >= 0:
        return item
    if isinstance(item, list | tuple) and len(item) == len(("start", "stop")) and all(type(i) is int for i in item):
        start, stop = item
        if 0 <= start < stop:
            return start, stop
    raise ValueError(
        f"{item!r:.80} is no position and no range: use whole numbers from 0, or [start, stop] with stop after the "
        'last; the prompt\'s last position is "last"'
    )


def _check(intervention: Intervention, config: GPTConfig) -> None:
    """ValueError where a model does not have what is to be changed."""
    site, shape = SITES[intervention.site], SITES[intervention.site].shape(config)
    layers = site.layers(config)
    if type(intervention.layer) is not int or not 0 <= intervention.layer < layers:
        there = f"has the layers 0 to {layers - 1}" if layers > 1 else "is there once: leave the layer out"
        raise ValueError(f"there is no layer {intervention.layer!r:.80}: {site.name} {there}")
    heads = shape[0] if site.head_axis is not None else None
    _check_units("heads", intervention.heads, heads, site)
    _check_units("neurons", intervention.neurons, shape[-1] if site.name == NEURONS else None, site)
    if site.name == WEIGHTS:
        _check_weights(intervention)


def _check_units(key: str, numbers: Sequence[int] | None, count: int | None, site: Site) -> None:
    if numbers is None:
        return
    if count is None:
        having = [name for name, row in SITES.items() if row.editable and row.head_axis is not None]
        raise ValueError(f"{site.name} has no {key}; {', '.join(having if key == 'heads' else [NEURONS])} do")
    for number in numbers:
        if not 0 <= number < count:
            raise ValueError(f"there is none of the {key} {number}: {site.name} has the {key} 0 to {count - 1}")


def _check_weights(intervention: Intervention) -> None:
    kind = intervention.value.kind if isinstance(intervention.value, Source) else None
    if intervention.op == "mean" or kind == "difference":
        raise ValueError("attention weights have no mean over positions, which see different keys: use zero or set")
