"""`nanoscope tensor`: numbers of a trace, shown, piped or saved as .npy."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import trace_names
from daemon.cli.options import FAILED, MODEL_FLAGS, PLACE_FLAGS, TRACES, Daemon, Json, Trace, command, misused
from daemon.cli.output import error, notice, output, print_json, print_line, styled
from nanochat.system.places import check_place, is_no_file, own_path, wrong_ending

if TYPE_CHECKING:
    import numpy as np

FLAGS = tuple(flag for flag in (*PLACE_FLAGS, *MODEL_FLAGS) if flag != "step")  # here it is a step of generation
DIGITS = 9  # of a float32, which give it back exactly
CELL = 8  # columns of the terminal for a number
EDGE = 3  # rows and columns shown at each end of a large tensor, at least
WHOLE = 4000  # numbers of a tensor that is shown whole where its rows fit


@command("tensor", panel=TRACES, flags=FLAGS)
def tensor(
    daemon: Daemon,
    trace: Trace,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As summary lists it, or without its layer.")],
    *,
    layer: Annotated[int | None, typer.Option(min=0, metavar="N")] = None,
    head: Annotated[int | None, typer.Option(min=0, metavar="N")] = None,
    step: Annotated[int | None, typer.Option(min=0, metavar="N", help="The rows of one generation step.")] = None,
    rows: Annotated[str | None, typer.Option(metavar="A:B", help="From A up to, not including, B.")] = None,
    columns: Annotated[str | None, typer.Option(metavar="A:B", help="The same.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Save it as .npy, for numpy.load.")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace the file if it is there.")] = False,
    as_json: Json = False,
) -> int:
    """A tensor of a trace, or a part of it.

    In a pipe: a line per row, its numbers parted by tabs, exact to the last bit of a float32.
    """
    target = None if out is None else _target(out)
    part: Any = {
        "layer": layer,
        "head": head,
        "step": step,
        "rows": _span(rows, "--rows"),
        "columns": _span(columns, "--columns"),
    }
    with daemon.client() as client:
        trace_id = trace_names.find(client, trace)
        if as_json:
            print_json(client.get_tensor(trace_id=trace_id, name=name, **part))
            return 0
        array = client.tensor(trace_id, name, **part)
    if target is not None:
        if os.path.lexists(target) and not is_no_file(target) and not force:
            error(f"{target} is there already: name another file with --out, or replace it with --force.")
            return FAILED
        _save(array, target, force=force)
    elif sys.stdout.isatty():
        _show(array)
    else:
        for line in array.reshape(-1, array.shape[-1] if array.ndim else 1):
            print_line("\t".join(f"{value:.{DIGITS}g}" for value in line))
    return 0


def _target(out: str) -> Path:
    target = own_path(out)
    if problem := wrong_ending(target, ".npy", "NumPy's format"):
        raise misused("--out", f"{problem} For text, let a pipe have it: nanoscope tensor ... > FILE")
    check_place(target)
    return target


def _span(text: str | None, flag: str) -> tuple[int, int] | None:
    if text is None:
        return None
    start, colon, stop = text.partition(":")
    if not colon or not (start or "0").isdecimal() or not stop.isdecimal():
        raise misused(flag, f"{text!r} is not A:B, such as 0:10.")
    return int(start or 0), int(stop)


def _save(array: np.ndarray, path: Path, *, force: bool) -> None:
    import numpy as np

    from nanochat.traces.atomic_file import write_file, write_through

    content = io.BytesIO()  # numpy writes past Python's files, which pipes do not take
    np.save(content, array)
    if is_no_file(path):
        write_through(path, content.getbuffer())
    else:
        write_file(path, content.getbuffer(), replacing=force)
    notice(f"{path}: {_shape(array)} of {array.dtype}", "dim")


def _show(array: np.ndarray) -> None:
    import numpy as np

    output().print(styled(f"{_shape(array)} of {array.dtype}", "bold"))
    room = output().width // CELL - 1
    fits = array.size <= WHOLE and (array.ndim == 0 or array.shape[-1] <= room)
    shown = np.array2string(
        array,
        max_line_width=output().width,
        precision=4,
        suppress_small=True,
        edgeitems=max(EDGE, (room - 1) // 2),
        threshold=WHOLE if fits else 0,
    )
    output().print(shown, soft_wrap=True)
    if array.size:
        finite = array[np.isfinite(array)]
        if finite.size:
            output().print(
                styled(f"mean {finite.mean():.4g}, from {finite.min():.4g} to {finite.max():.4g}", "dim"),
                soft_wrap=True,
            )


def _shape(array: np.ndarray) -> str:
    return " × ".join(map(str, array.shape)) or "1"
