"""`nanoscope capture`: write with the model, token by token, and keep the trace of it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any, cast

import msgspec
import typer

from daemon.cli.options import INTERRUPTED, MISUSED, TRACES, Daemon, Json, command, misused
from daemon.cli.output import Waiting, error, notice, output, print_json
from nanochat.system.from_outside import read_text
from protocol.trace_formats import Format
from protocol.types import Capture, ChildResult, GenerateAndCaptureParams, GenerateAndCaptureResult, Message

if TYPE_CHECKING:
    from daemon.client.sync import Client
    from protocol.methods import Method
    from protocol.types import GenerationProgress, Params, RequestProgress

STDIN = "-"
DEFAULTS: dict[str, Any] = {field.name: field.default for field in msgspec.structs.fields(GenerateAndCaptureParams)}

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What the model goes on from; - reads it from stdin.")]
Chat = Annotated[bool, typer.Option("--chat", help="Send it as a user's message to a chat model.")]
Category = Annotated[str | None, typer.Option(metavar="NAME", help="A name to find the trace by.")]
Metadata = Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Kept with the trace; may be repeated.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", "-n", min=0, metavar="N", help="At most so many.")]
Temperature = Annotated[
    float, typer.Option("--temperature", "-t", min=0, metavar="T", help="0 always takes the likeliest.")
]
TopK = Annotated[int, typer.Option("--top-k", "-k", min=0, metavar="K", help="Draw from the K likeliest; 0: all.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="The same seed writes the same text.")]
CaptureSteps = Annotated[bool, typer.Option("--capture-steps", help="Spell out every generation step in a JSON trace.")]
Layers = Annotated[str | None, typer.Option(metavar="0,1,...", help="Capture these layers alone.")]
Sites = Annotated[
    str | None, typer.Option(metavar="NAME,...", help="Capture these sites alone, such as attention_weights.")
]
Logits = Annotated[
    str | None,
    typer.Option(
        metavar="WHICH",
        help="Which to keep: generated, all, none, or the top K of every position.",
        show_default="generated",
    ),
]
KeptAs = Annotated[Format | None, typer.Option(help="How the trace is kept.", show_default="as the daemon is set")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the response alone, when it is whole.")]


class LiveText:
    """The text as it comes: the prompt first, then every token in the colour of its surprisal."""

    def __init__(self, prompt: str, chat: bool):
        self._prompt, self._chat, self.waiting = prompt, chat, Waiting("waiting for the model")
        self.begun = False

    def progress(self, event: RequestProgress) -> None:
        """Say what is awaited, and what to know before it runs."""
        if event.notice:
            self.waiting.end()
            notice(event.notice)
        else:
            self.waiting.update(event.message or event.state)

    def token(self, event: GenerationProgress) -> None:
        """One more token."""
        self._begin()
        if not event.text:
            return
        from nanochat.terminal.tables import token_text

        output().print(token_text(event.text, event.surprisal, event.forced), end="", soft_wrap=True)

    def end(self) -> None:
        """Finish the line."""
        self._begin()
        output().print()

    def _begin(self) -> None:
        if self.begun:
            return
        self.begun = True
        self.waiting.end()
        from nanochat.system.text import printable

        output().print(printable(self._prompt), style="dim", end="\n" if self._chat else "", soft_wrap=True)


@command("capture", panel=TRACES)
def capture(
    daemon: Daemon,
    prompt: Prompt,
    *,
    chat: Chat = False,
    category: Category = None,
    metadata: Metadata = None,
    max_tokens: MaxTokens = DEFAULTS["max_tokens"],
    temperature: Temperature = DEFAULTS["temperature"],
    top_k: TopK = DEFAULTS["top_k"],
    seed: Seed = DEFAULTS["seed"],
    capture_steps: CaptureSteps = False,
    layers: Layers = None,
    sites: Sites = None,
    logits: Logits = None,
    format: KeptAs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Write with the model and keep a trace of it.

    The text comes token by token, in a terminal coloured by how surprising each token was.
    """
    text = typed() if prompt == STDIN else prompt
    narrowed = _narrowed(layers, sites, logits)
    params = GenerateAndCaptureParams(
        prompt=None if chat else text,
        messages=[Message(role="user", content=text)] if chat else None,
        category=category,
        metadata=_metadata(metadata or []) or None,
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k,
        seed=seed,
        capture_intermediate_steps=capture_steps,
        capture=narrowed,
        format=format or daemon.own_format(),
        stream=True,  # for the notices, where it is the response alone that is printed
    )
    shape = shape_of(as_json, quiet)
    from protocol.methods import GENERATE_AND_CAPTURE

    with daemon.client(model=True) as client:
        result = follow(client, GENERATE_AND_CAPTURE, params, LiveText(text, chat), shape)
    return INTERRUPTED if result is None else print_outcome(result, shape)


def typed() -> str:
    """What stdin has, without its last line end."""
    try:
        return read_text(sys.stdin).removesuffix("\n")
    except ValueError as problem:
        error(str(problem))
        raise typer.Exit(MISUSED) from None


def shape_of(as_json: bool, quiet: bool) -> str:
    """How what is written is to be printed."""
    return "json" if as_json else "quiet" if quiet else "live"


def follow(client: Client, method: Method, params: Params, live: LiveText, shape: str) -> Any:
    """A generation's result, its text printed as it comes where that is wanted; None where it was interrupted."""
    from daemon.client.connection import Interrupted
    from protocol.errors import RpcError

    with live.waiting:
        try:
            result = client.call(
                method, params, on_token=live.token if shape == "live" else None, on_progress=live.progress
            )
        except Interrupted as interrupted:
            live.waiting.end()
            notice("\n" + _outcome(interrupted) if sys.stderr.isatty() else _outcome(interrupted))
            return None
        except RpcError:
            if live.begun:
                live.end()
            raise
        if shape == "live":
            live.end()
        return result


def print_outcome(result: GenerateAndCaptureResult | ChildResult, shape: str) -> int:
    """The whole result, or the response where it has not been printed; and on stderr which trace it is."""
    if shape == "json":
        print_json(result)
        return 0
    from nanochat.system.text import model_words, place_of, printable

    if shape == "quiet":
        output().print(printable(result.response), soft_wrap=True)
    speed = result.timings.get("tokens_per_second")
    counts = f"{result.prompt_tokens} + {result.response_tokens} tokens"
    assert result.summary is not None  # of an estimate, which has no outcome
    model = result.summary.model or {}
    name = model_words(model)  # the built-in model where there is no other, which is worth knowing
    parts = (counts, f"{speed:.0f} a second" if speed else "", f"by {name}" if name else "")
    notice(f"{result.trace_id}  {', '.join(filter(None, parts))}", "dim")
    for line in (place_of(model), model.get("note")):
        if line:
            notice(printable(str(line)), "dim")
    return 0


def _outcome(interrupted: Any) -> str:
    reply = interrupted.reply
    if reply is None:
        return "Interrupted; the daemon did not say whether a trace was saved."
    if reply.error is None:
        return f"It was done already: {reply.value().trace_id}"
    return "Cancelled, nothing saved."


def _metadata(pairs: list[str]) -> dict[str, Any]:
    """NAME=VALUE pairs; a value that is JSON is taken as such."""
    metadata: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise misused("--metadata", f"{pair!r} is not NAME=VALUE.")
        try:
            metadata[name] = json.loads(value, parse_constant=_no_constant)
        except ValueError:
            metadata[name] = value
    return metadata


def _no_constant(name: str) -> None:
    """NaN and Infinity are not JSON, but texts."""
    raise ValueError(name)


def _narrowed(layers: str | None, sites: str | None, logits: str | None) -> Capture | None:
    """What is to be captured; None: as by default."""
    if layers is None and sites is None and logits is None:
        return None
    chosen = Capture()
    if layers is not None:
        try:
            chosen.layers = [int(layer) for layer in layers.split(",")]
        except ValueError:
            raise misused("--layers", f"{layers!r} is not a list of numbers, such as 0,3.") from None
    if sites is not None:
        chosen.sites = [site.strip() for site in sites.split(",")]
    if logits is not None:
        named = {"generated": "generated", "all": "all", "none": None}
        if logits not in named and not logits.isdecimal():
            raise misused("--logits", f"{logits!r} is none of generated, all, none, and no number.")
        chosen.logits = cast(Any, named[logits] if logits in named else int(logits))
    return chosen
