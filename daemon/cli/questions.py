"""What the commands share that ask a model about a trace: their options, and what any of their answers may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.output import notice, print_facts, print_json
from nanochat.system.text import human_size

if TYPE_CHECKING:
    from protocol.types import (
        AttributeLogitsResult,
        Cost,
        DiffTracesResult,
        ForkTraceResult,
        InterveneResult,
        LogitLensResult,
        PatchScanResult,
        WhyResult,
    )

Anyway = Annotated[bool, typer.Option("--anyway", help="Ask the model held, though another one wrote the trace.")]
Estimate = Annotated[bool, typer.Option("--estimate", help="Say what it would take, and do no more.")]


def is_printed(result: LogitLensResult | AttributeLogitsResult | PatchScanResult | WhyResult, as_json: bool) -> bool:
    """Print that another model answers, and the answer where JSON is wanted or it is a cost; whether it was that."""
    if result.other_model:
        notice(result.other_model)
    if as_json:
        print_json(result)
    elif result.cost is not None:
        _print_cost(result.cost)
    return as_json or result.cost is not None


def print_estimate(result: InterveneResult | ForkTraceResult | DiffTracesResult, as_json: bool) -> int:
    """What it would take, and what to know before; the exit status."""
    assert result.cost is not None
    for text in result.notices:
        notice(text)
    if as_json:
        print_json(result)
    else:
        _print_cost(result.cost)
    return 0


def _print_cost(cost: Cost) -> None:
    print_facts(
        [
            ("forwards", cost.forwards),
            ("memory", f"about {human_size(cost.bytes)}"),
            ("time", f"about {cost.seconds:.2g} s"),
        ]
    )
