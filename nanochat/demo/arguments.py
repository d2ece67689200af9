"""The demo's arguments."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from nanochat.system.places import own_path, wrong_ending
from nanochat.traces.formats import FORMATS


def parse_head(text: str) -> tuple[int, int]:
    """LAYER.HEAD as two numbers."""
    if not re.fullmatch(r"[0-9]+\.[0-9]+", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not LAYER.HEAD, such as 2.0")
    layer, head = text.split(".")
    return int(layer), int(head)


def parse_arguments(argv: Sequence[str] | None, program: str) -> argparse.Namespace:
    """The command's flags; those of nanochat's own scripts keep their letters."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Write with a nanochat model, keep the trace, show attention, activations and logits.",
    )
    add = parser.add_argument_group("text").add_argument
    add("-p", "--prompt", default="The capital of France is", help="what the model goes on from (default: %(default)s)")
    add("--chat", action="store_true", help="send the prompt as a user's message to a chat model")
    add("--category", help="a name to find the trace by")
    add("--max-tokens", type=int, default=50, metavar="N", help="tokens to write at most (default: %(default)s)")
    add("-t", "--temperature", type=float, default=0.6, help="0 always takes the likeliest (default: %(default)s)")
    add(
        "-k",
        "--top-k",
        type=int,
        default=50,
        metavar="K",
        help="draw from the K likeliest, 0: all (default: %(default)s)",
    )
    add("--seed", type=int, default=42, help="the same seed writes the same text (default: %(default)s)")
    add = parser.add_argument_group("model").add_argument
    add(
        "-i",
        "--source",
        help="sft, rl, mid, base, demo (built in) or a folder (default: the first of these at hand)",
    )
    add("-g", "--model-tag", metavar="TAG", help="the model's tag, such as d20 (default: the deepest)")
    add("-s", "--step", type=int, help="the checkpoint's step (default: the last)")
    add("--era", help="the architecture, where the checkpoint alone does not tell it")
    add(
        "--window-pattern",
        metavar="PATTERN",
        help="the layers' windows, such as SSSL, where the checkpoint records none",
    )
    add("--device-type", choices=("cuda", "cpu", "mps"), help="where to compute (default: the best at hand)")
    add("--dtype", choices=("float32", "bfloat16", "float16"), help="what to compute in (default: the device's best)")
    add = parser.add_argument_group("trace").add_argument
    add("--capture-steps", action="store_true", help="spell out every generation step in the JSON file")
    add(
        "--traces-dir",
        type=own_path,
        default=Path("traces"),
        metavar="DIR",
        help="where traces are kept (default: %(default)s)",
    )
    add("--format", choices=tuple(FORMATS), default="json", help="how the trace is kept (default: %(default)s)")
    add("--trace", metavar="ID", help="show a trace kept earlier: its id or path, latest, @2; nothing is generated")
    add = parser.add_argument_group("output").add_argument
    add("--head", type=parse_head, metavar="LAYER.HEAD", help="the head to draw (default: the most telling)")
    add("--rows", type=int, default=20, metavar="N", help="tokens in the logits table, 0: all (default: %(default)s)")
    add("--picture", type=own_path, metavar="FILE", help="also draw the output as an SVG")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("-q", "--quiet", action="store_true", help="only the text on stdout")
    shape.add_argument(
        "--json", action="store_true", help="one JSON object on stdout: the text, the path, the analysis"
    )
    args = parser.parse_args(argv)
    if args.rows < 0:
        parser.error("--rows must be 0 or more")
    if args.picture is not None and args.json:
        parser.error("--picture draws what is shown, which is nothing with --json: leave one of them out")
    if args.picture is not None and (problem := wrong_ending(args.picture, ".svg", "an SVG")):
        parser.error(f"--picture: {problem}")
    return args
