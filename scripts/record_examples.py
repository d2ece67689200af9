"""Record protocol/examples from a real daemon on a small fixed trace, after a change to what it answers."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from protocol.generate.json_text import readable
from protocol.methods import METHODS
from scripts.example_requests import DURING, PROMPT, SHORT, RequestMissingError, asked_of
from scripts.golden_exchanges import (
    CLIENT_NAME,
    EXAMPLE_FOLDER,
    EXAMPLE_ID,
    EXAMPLE_TIME,
    PUSHED,
    make_scene,
    play,
)
from tests.daemon.waiting import until
from tests.stress.ground import Ground, ground

EXAMPLES = Path(__file__).resolve().parents[1] / "protocol" / "examples"
Examples = dict[str, list[dict[str, Any]]]  # by method or notification


class UnexpectedAnswerError(Exception):
    """The daemon answered a request otherwise than the table says; the message says how."""


def main(argv: Sequence[str] | None = None) -> int:
    """Record every example, or, where one fails, none; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.record_examples", description=__doc__)
    parser.add_argument("--trace", action="store_true", help="make the example trace anew first, by the built-in model")
    if parser.parse_args(argv).trace:
        make_example_trace()
    recorded: Examples = {}
    try:
        with ground() as here:
            for method in METHODS:
                recorded |= record(here, method)
    except (RequestMissingError, UnexpectedAnswerError) as error:
        print(f"{error}\nNothing was recorded: the examples are as they were.", file=sys.stderr)
        return 1
    write(recorded)
    print(f"Recorded {len(METHODS)} methods into {EXAMPLES}; now run `make protocol`.")
    return 0


def make_example_trace() -> None:
    """Let the built-in model write the example trace, and give it its fixed id and time."""
    from nanochat.checkpoint_manager import load_model
    from nanochat.interpretability_engine import InterpretabilityEngine

    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    with tempfile.TemporaryDirectory() as folder:
        engine = InterpretabilityEngine(model, tokenizer, folder, format="safetensors")
        made = engine.generate_and_capture(PROMPT, category="elements", metadata={"topic": "metals"}, **SHORT)
        content = Path(made["path"]).read_bytes()
    for word, fixed in ((made["trace_id"], EXAMPLE_ID), (made["summary"]["timestamp"], EXAMPLE_TIME)):
        assert len(word) == len(fixed), "the header's length must stay: try again"
        content = content.replace(word.encode(), fixed.encode())
    EXAMPLE_FOLDER.mkdir(exist_ok=True)
    (EXAMPLE_FOLDER / f"{EXAMPLE_ID}.safetensors").write_bytes(content)


def write(recorded: Examples, folder: Path = EXAMPLES) -> None:
    """Keep the examples, a file for each method and notification."""
    texts = {name: readable(rounded(examples)) + "\n" for name, examples in recorded.items()}
    folder.mkdir(exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def rounded(value: Any) -> Any:
    """With six digits of each number that is no integer, for people; examples are compared with some tolerance."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def record(here: Ground, method: str) -> Examples:
    """One method's exchanges, on a connection and in a folder of their own; and what was pushed meanwhile.

    Raises:
        RequestMissingError: nobody said what to ask of it.
        UnexpectedAnswerError: what came is not what was to come.
    """
    requests = asked_of(method)
    scene = make_scene(method, here.folder, here.settings.log_file)
    exchanges, pushed = [], {}
    with here.client(name="bystander"), here.client(name=CLIENT_NAME, traces_dir=str(scene.traces)) as client:
        if method == "shutdown":
            until(lambda: len(client.call("get_status")["sessions"]) == 2, "those of the methods before have not left")
        for note, asked in requests.items():
            during = DURING.get((method, note))
            request = {"note": note, **({"during": during} if during else {}), "params": asked.params}
            answer = play(client, scene, method, request)
            check_answer(method, note, asked.error, answer)
            exchanges.append(request | answer)
            pushed |= {
                name: [{"note": row.note, "params": row.wait(client, scene)}]
                for name, row in PUSHED.items()
                if (row.method, row.example) == (method, note)
            }
    return {method: exchanges, **pushed}


def check_answer(method: str, note: str, error: str, answer: Mapping[str, Any]) -> None:
    """Raise UnexpectedAnswerError unless an answer is the error of that name, or where it is "" a result."""
    came = answer["error"]["data"]["name"] if "error" in answer else ""
    if came != error:
        said = f"{came}: {answer['error']['message']}" if came else "a result"
        raise UnexpectedAnswerError(f"{method}, {note!r}: {error or 'a result'} was expected, and came {said}")


if __name__ == "__main__":
    sys.exit(main())
