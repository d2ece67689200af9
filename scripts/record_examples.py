"""Record protocol/examples from a real daemon on a small fixed trace, after a change to what it answers."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from protocol.generate.json_text import readable
from scripts.golden_exchanges import (
    BUILT_IN,
    CLIENT_NAME,
    DAMAGED_ID,
    EXAMPLE_FOLDER,
    EXAMPLE_ID,
    EXAMPLE_TIME,
    PUSHED,
    STREAMED,
    TRACES,
    make_scene,
    play,
)
from tests.stress.ground import Ground, ground

EXAMPLES = Path(__file__).resolve().parents[1] / "protocol" / "examples"
PROMPT = "The symbol of gold is"
CAPTURE = {"layers": [3], "sites": ["attention_weights", "post_mlp"]}
SHORT = {"max_tokens": 3, "temperature": 0, "capture": CAPTURE}
ABSENT = "trace_20260101_000000_000000"
ENDLESS = {"prompt": "France", "max_tokens": 2000, "temperature": 0, "capture": {"sites": [], "logits": None}}
TRACE = {"trace_id": EXAMPLE_ID}
NO_TRACE = {
    "No such trace.": {"trace_id": ABSENT},
    "An id that cannot be one.": {"trace_id": "../secrets"},
    "A file that is not whole.": {"trace_id": DAMAGED_ID},
}

# What is asked, by method: notes and params. What was answered is recorded.
ASKED: dict[str, dict[str, dict[str, Any]]] = {
    "hello": {
        "A client says who it is, and which traces folder it uses.": {
            "protocol_version": "1",
            "client_name": CLIENT_NAME,
            "traces_dir": TRACES,
        },
        "A client of another protocol is told what to do.": {"protocol_version": "99"},
        "A traces folder that is a file.": {"traces_dir": f"{TRACES}/{EXAMPLE_ID}.safetensors"},
    },
    "generate_and_capture": {
        STREAMED: {
            "prompt": PROMPT,
            "category": "elements",
            **SHORT,
            "stream": True,
        },
        "A chat, kept as safetensors.": {
            "messages": [{"role": "user", "content": PROMPT}],
            **SHORT,
            "format": "safetensors",
        },
        "Nothing to go on from.": {"max_tokens": 3},
        "A layer that the model does not have.": {"prompt": PROMPT, "capture": {"layers": [40]}},
        "A category that cannot name traces.": {"prompt": PROMPT, "category": " "},
        "A parameter that there is not.": {"prompt": PROMPT, "temprature": 0},
    },
    "list_traces": {
        "All, newest first; one is damaged.": {},
        "Those of a category whose text has a word, one a page.": {"category": "elements", "text": "GOLD", "limit": 1},
        "The first page of two: `cursor` asks for the second.": {"limit": 1},
        "A category that no trace has.": {"category": "planets"},
        "A page of no rows.": {"limit": 0},
    },
    "analyze_trace": {"A trace's statistics.": TRACE, **NO_TRACE},
    "get_summary": {"What a trace holds.": TRACE, **NO_TRACE},
    "get_tensor": {
        "One attention head, the last two rows.": {
            **TRACE,
            "name": "attention_weights",
            "layer": 3,
            "head": 0,
            "rows": [6, 8],
        },
        "What one generation step added, as bytes.": {
            **TRACE,
            "name": "attention_weights.layer_3",
            "step": 1,
            "encoding": "base64",
            "dtype": "uint8",
        },
        "Some columns of an activation.": {
            **TRACE,
            "name": "layer_activations.layer_3.post_mlp",
            "rows": [0, 2],
            "columns": [0, 4],
        },
        "A tensor that the trace does not have.": {**TRACE, "name": "attention_weights", "layer": 0},
        "A head that the layer does not have.": {**TRACE, "name": "attention_weights", "layer": 3, "head": 4},
        "No such trace.": {"trace_id": ABSENT, "name": "attention_weights", "layer": 3},
    },
    "get_tokens": {"Every token, with what else was likely.": TRACE, **NO_TRACE},
    "delete_trace": {"A trace is deleted.": TRACE, **{note: NO_TRACE[note] for note in list(NO_TRACE)[:2]}},
    "get_status": {"How the daemon is.": {}, "Something that it cannot tell.": {"weather": True}},
    "list_models": {"What can be loaded.": {}},
    "load_model": {
        BUILT_IN: {"source": "demo", "device": "cpu"},
        "No checkpoint of that kind.": {"source": "sft"},
    },
    "cancel": {"A generation that runs.": {"id": 7}, "No such request.": {"id": 8}},
    "shutdown": {"While others use it.": {}, "All the same.": {"force": True}},
    "rpc.discover": {"The document, here without what it holds.": {}},
}
DURING = {  # a request under way meanwhile, by method and note
    ("cancel", "A generation that runs."): {
        "id": 7,
        "method": "generate_and_capture",
        "params": {**ENDLESS, "stream": True},
    }
}


def main(argv: Sequence[str] | None = None) -> int:
    """Record every example; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.record_examples", description=__doc__)
    parser.add_argument("--trace", action="store_true", help="make the example trace anew first, by the built-in model")
    if parser.parse_args(argv).trace:
        make_example_trace()
    with ground() as here:
        recorded = {method: record(here, method) for method in ASKED}
    for method, (exchanges, pushed) in recorded.items():
        write(method, exchanges)
        for name, examples in pushed.items():
            write(name, examples)
    print(f"Recorded {len(recorded)} methods into {EXAMPLES}; now run `make protocol`.")
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


def write(name: str, examples: list[dict[str, Any]]) -> None:
    """Keep the examples of one method or notification."""
    (EXAMPLES / f"{name}.json").write_text(readable(rounded(examples)) + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:
    """With six digits of each number that is no integer, for people; examples are compared with some tolerance."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def record(here: Ground, method: str) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
    """One method's exchanges, on a connection and in a folder of their own; and what was pushed meanwhile."""
    scene = make_scene(method, here.folder, here.settings.log_file)
    exchanges, pushed = [], {}
    with here.client(name="bystander"), here.client(name=CLIENT_NAME, traces_dir=str(scene.traces)) as client:
        if method == "shutdown":
            client.notification("status_changed", sessions=2)  # those of the methods before have left
        for note, params in ASKED[method].items():
            during = DURING.get((method, note))
            asked = {"note": note, **({"during": during} if during else {}), "params": params}
            exchanges.append(asked | play(client, scene, method, asked))
            pushed |= {
                name: [{"note": row.note, "params": row.wait(client, scene)}]
                for name, row in PUSHED.items()
                if (row.method, row.example) == (method, note)
            }
    return exchanges, pushed


if __name__ == "__main__":
    sys.exit(main())
