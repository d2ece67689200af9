"""The demo, `nanoscope demo`: write with a model, keep the trace, show what the model did."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from nanochat.analysis.stored import with_new_metrics
from nanochat.checkpoints.base_dir import get_base_dir
from nanochat.checkpoints.layouts import chosen_source
from nanochat.demo.arguments import parse_arguments
from nanochat.demo.complete import check_complete
from nanochat.demo.trace_choice import find_trace
from nanochat.errors import CancelledError, NanoscopeError
from nanochat.system.current_folder import explained
from nanochat.system.from_outside import json_for, words_as_text
from nanochat.system.interrupts import forget_interrupt
from nanochat.system.places import check_place
from nanochat.system.standard_streams import discard_output, notice, prepare
from nanochat.system.text import printable
from nanochat.terminal.picture import save_picture
from nanochat.terminal.report import check_head, prompt_text, report, summary, trace_line, written
from nanochat.terminal.tables import token_text
from nanochat.trace_storage import TraceStorage
from nanochat.traces.document import read_document

if TYPE_CHECKING:
    import argparse

    from nanochat.interpretability_engine import InterpretabilityEngine, TokenEvent

PICTURE_SIZE = (100, 60)


def main(argv: Sequence[str] | None = None, program: str = "nanoscope demo") -> int:
    """Run the command.

    The exit status is 0, 1 for an error, 2 for misuse, 130 after Ctrl-C, 141 where nobody reads what is printed.
    """
    prepare()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 still gets its tables
    try:
        args = parse_arguments(words_as_text(sys.argv[1:] if argv is None else argv), program)
    except ValueError as error:
        return _fail(f"error: {error}", 2)
    try:
        run(args, make_console(args.picture))
        sys.stdout.flush()
    except CancelledError:
        return _fail("Cancelled, nothing saved.", 130)
    except KeyboardInterrupt:
        return _fail("Interrupted.", 130)
    except NanoscopeError as error:
        return _fail(f"error: {error}", 1)
    except BrokenPipeError:  # whoever read our output has seen enough
        discard_output()
        return 141
    except OSError as error:
        discard_output()
        place = error.filename or "The output"
        sentence = explained(error) or f"{place} cannot be used ({error.strerror or error}): choose another place."
        return _fail(f"error: {sentence}", 1)
    finally:
        forget_interrupt()
    return 0


def _notice(message: str) -> None:
    notice(printable(message))


def _fail(message: str, status: int) -> int:
    _notice(("\n" if sys.stderr.isatty() else "") + message)
    return status


class Output(Console):
    """A console that lets its caller know when nobody reads it, where rich would end the program."""

    def on_broken_pipe(self) -> None:
        raise


def make_console(picture: Path | None) -> Console:
    """Standard output; of a fixed size and in colour where a picture is to be made of it."""
    if picture is None:
        return Output(highlight=False)
    width, height = PICTURE_SIZE
    return Output(
        highlight=False,
        record=True,
        width=width,
        height=height,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
    )


def run(args: argparse.Namespace, out: Console) -> None:
    """Generate, or open what was generated, and show it."""
    if args.picture:
        check_place(args.picture)
    storage = TraceStorage(args.traces_dir, format=args.format)
    if args.trace:
        storage, trace_id = find_trace(storage, args.trace)
    else:
        trace_id = generate(args, storage, out)
    with storage.open_trace(trace_id) as trace:
        check_complete(trace.fields, trace_id)
        if args.json:
            print(json_for(sys.stdout, json.dumps(summary(trace), ensure_ascii=False)))
        elif args.quiet:
            out.print(Text(printable(trace.fields.response)), soft_wrap=True)
            _notice(f"Trace: {trace.path}")
        else:
            if args.trace:
                out.print(written(trace.fields), soft_wrap=True)
            place = trace_line(trace.path, trace.path.stat().st_size)
            analysis = with_new_metrics(trace, trace.document["analysis"])
            document = read_document(trace.document | {"analysis": analysis})
            report(document, out, place=place, attention=trace.attention, rows=args.rows, wish=args.head)
    if args.picture:
        save_picture(out, args.picture)
        _notice(f"Picture: {args.picture}")


def generate(args: argparse.Namespace, storage: TraceStorage, out: Console) -> str:
    """Write with the model, token by token on `out`, and give the id of the trace that was kept of it."""
    storage.check_writable()
    engine = load_engine(args, storage)
    if args.head:
        check_head(args.head, engine.model.config.n_layer, engine.model.config.n_head)
    prompt = {"messages": [{"role": "user", "content": args.prompt}]} if args.chat else {"prompt": args.prompt}
    live = None if args.json or args.quiet else LiveText(prompt_text(args.prompt, args.chat), out)
    with cancel_on_interrupt() as cancel:
        result = engine.generate_and_capture(
            **prompt,
            category=args.category,
            max_tokens=args.max_tokens,
            temperature=args.temperature,
            top_k=args.top_k,
            seed=args.seed,
            capture_intermediate_steps=args.capture_steps,
            on_token=live,
            cancel=cancel,
        )
    if live is not None:
        live.end()
    return result["trace_id"]


class LiveText:
    """The text as it comes: the prompt before the first token."""

    def __init__(self, prompt: Text, out: Console):
        self.pending, self.out = prompt, out

    def __call__(self, event: TokenEvent) -> None:
        self._print(self.pending + token_text(event.text, event.surprisal, event.forced))
        self.pending = Text()

    def end(self) -> None:
        """Finish the line."""
        self._print(self.pending + Text("\n"))

    def _print(self, text: Text) -> None:
        self.out.print(text, end="", soft_wrap=True)


def load_engine(args: argparse.Namespace, storage: TraceStorage) -> InterpretabilityEngine:
    """The model that was asked for; without a wish the best trained one, else the built-in one."""
    # Here because torch takes a second to import: not for --help, --trace or a typing error.
    from nanochat.checkpoint_manager import load_model
    from nanochat.interpretability_engine import InterpretabilityEngine

    source, note = chosen_source(args.source, get_base_dir(), args.model_tag, args.step)
    if note:
        _notice(
            f"No nanochat checkpoint in {get_base_dir()}: using the built-in demo model. "
            "Train or copy one there, or name a folder with -i."
        )
    wish = {"model_tag": args.model_tag, "step": args.step, "era": args.era, "dtype": args.dtype}
    wish["window_pattern"] = args.window_pattern
    model, tokenizer, _ = load_model(source, args.device_type, phase="eval", **wish)
    return InterpretabilityEngine(model, tokenizer, storage)


@contextmanager
def cancel_on_interrupt() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; a second one interrupts at once."""
    cancel = threading.Event()

    def request(number: int, frame: object) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    previous = signal.signal(signal.SIGINT, request)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, previous)
