"""`nanoscope patch`: what carried an answer from one prompt to another."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from daemon.cli import trace_names
from daemon.cli.options import WHY, Daemon, Json, command, misused
from daemon.cli.output import Waiting, notice, output, print_line
from daemon.cli.questions import Anyway, Estimate, is_printed
from nanochat.analysis.characters import named
from nanochat.system.text import on_one_line

if TYPE_CHECKING:
    from daemon.client.sync import Client
    from protocol.types import PatchReceiver, PatchScanResult

SHOWN = 5  # cells that are told in words
WORDS = {
    "heads": "head {layer}.{unit}, at all positions",
    "paths": "head {layer}.{unit}, by what it gives {receiver} directly",
    "attention": "the attention of layer {layer} at position {unit}{token}",
    "mlp": "the MLP of layer {layer} at position {unit}{token}",
    "residual": "the stream that layer {layer} reads at position {unit}{token}",
}
What = Annotated[
    Literal["heads", "attention", "mlp", "residual", "paths"],
    typer.Option(help="What is put in: heads; attention, mlp or residual by position; paths, direct ones to --to."),
]
Method = Annotated[
    Literal["exact", "gradient"], typer.Option(help="gradient: all from one backward, an approximation.")
]


@command("patch", panel=WHY)
def patch(
    daemon: Daemon,
    clean: Annotated[str, typer.Argument(metavar="CLEAN", help="The prompt after which the answer comes.")],
    corrupted: Annotated[str, typer.Argument(metavar="CORRUPTED", help="The one after which it does not.")],
    *,
    answer: Annotated[str, typer.Option(metavar="TEXT", help="The answer, a token. Mind the space.")],
    against: Annotated[str, typer.Option(metavar="TEXT", help="The token that it is compared with.")],
    what: What = "heads",
    method: Method = "exact",
    layer: Annotated[
        list[int] | None, typer.Option(min=0, metavar="N", help="This layer alone; may be repeated.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="LAYER.HEAD.q|k|v", help="The head that paths lead to, such as 3.2.v.")
    ] = None,
    traces: Annotated[
        bool, typer.Option("--traces", help="CLEAN and CORRUPTED are traces: patch their prompts.")
    ] = False,
    anyway: Anyway = False,
    estimate: Estimate = False,
    as_json: Json = False,
) -> int:
    """What carried the answer? Puts parts of one prompt's forward into another's: activation patching.

    Both prompts have the same number of tokens. 0: the answer is as likely as after CORRUPTED; 1: as after CLEAN. In a
    pipe: a line for each cell with layer, head or position, and effect, parted by tabs.
    """
    receiver = _receiver(to) if to is not None else None
    if (receiver is None) == (what == "paths"):
        raise misused("--to", "paths lead to a head, and nothing else does: give --what paths and --to together")
    with daemon.client(model=True) as client, Waiting("patching") as waiting:
        prompts = [_prompt(client, text, traces) for text in (clean, corrupted)]
        result = client.call(
            "patch_scan",
            {
                "clean": prompts[0],
                "corrupted": prompts[1],
                "answer": answer,
                "against": against,
                "what": what,
                "method": method,
                "layers": layer or None,
                "receiver": receiver,
                "anyway": anyway,
                "estimate": estimate,
                "stream": True,
            },
            on_progress=lambda told: waiting.update(told.message),
        )
        waiting.end()
    if is_printed(result, as_json):
        return 0
    if sys.stdout.isatty():
        _show(result)
    else:
        for one, unit, effect in _cells(result):
            print_line(f"{one}\t{unit}\t{effect:.6g}")
    if result.worst_error is not None:
        notice(_doubt(result))
    return 0


def _prompt(client: Client, text: str, is_trace: bool) -> dict[str, str]:
    return {"trace_id": trace_names.find(client, text)} if is_trace else {"prompt": text}


def _receiver(words: str) -> PatchReceiver:
    from protocol.types import PatchReceiver

    layer, head, by = [*words.split("."), "", "", ""][:3]
    if not (layer.isdecimal() and head.isdecimal() and len(words) < 30 and by in ("q", "k", "v")):
        raise misused("--to", f"{words!r:.40} is no layer, head and q, k or v: write 3.2.v")
    return PatchReceiver(layer=int(layer), head=int(head), input=by)  # type: ignore[arg-type]


def _cells(result: PatchScanResult) -> list[tuple[int, int, float]]:
    rows, columns = (axis.values for axis in result.axes)
    return [
        (layer, unit, effect)
        for layer, line in zip(rows, result.effects, strict=True)
        for unit, effect in zip(columns, line, strict=True)
    ]


def _show(result: PatchScanResult) -> None:
    from nanochat.terminal.patching import columns_in, effects_picture

    assert result.baseline is not None
    whose = f"{named(result.answer.text)} − {named(result.against.text)}"
    ends = f"{result.baseline.clean:+.2f} after the clean prompt, {result.baseline.corrupted:+.2f} after the corrupted"
    output().print(f"{whose}: {ends}", style="bold", soft_wrap=True)
    rows = [f"layer {layer}" for layer in result.axes[0].values]
    columns = result.axes[1].values
    by_head = result.axes[1].name == "head"
    first = 0 if by_head else next(i for i, pair in enumerate(_pairs(result)) if pair[0].token != pair[1].token)
    for start in range(first, len(columns), columns_in(output().width, rows)):
        part = slice(start, start + columns_in(output().width, rows))
        headings: list[Any] = [[f"{'head ' if by_head else ''}{unit}" for unit in columns[part]]]
        if not by_head:
            headings += [[named(token.text) for token in prompt[part]] for prompt in (result.clean, result.corrupted)]
        output().print(effects_picture(rows, headings, [line[part] for line in result.effects]))
    if first:
        output().print(f"Before position {first} the prompts are the same, and nothing has an effect.", style="dim")
    strongest = sorted(_cells(result), key=lambda cell: -abs(cell[2]))[:SHOWN]
    for layer, unit, effect in strongest:
        words = WORDS[result.what].format(layer=layer, unit=unit, token=_at(result, unit), receiver=result.receiver)
        output().print(f"{effect:6.1%} of the way  {words}", soft_wrap=True)


def _pairs(result: PatchScanResult) -> list[tuple[Any, Any]]:
    return list(zip(result.clean, result.corrupted, strict=True))


def _at(result: PatchScanResult, position: int) -> str:
    """The tokens of both prompts there."""
    if result.axes[1].name == "head":
        return ""
    clean, corrupted = (on_one_line(named(token.text)) for token in _pairs(result)[position])
    return f" ({clean})" if clean == corrupted else f" ({clean}, not {corrupted})"


def _doubt(result: PatchScanResult) -> str:
    """That the figures are approximations, and how good ones."""
    return (
        f"These are approximations, to first order. In the {len(result.checked)} strongest cells, computed exactly "
        f"too, they are out by up to {result.worst_error:.2g}: --method exact computes all."
    )
