"""What is asked of a daemon for protocol/examples: of each method some requests, and what is to come of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import msgspec

from protocol.methods import METHODS
from scripts.golden_exchanges import BUILT_IN, CLIENT_NAME, DAMAGED_ID, EXAMPLE_ID, STREAMED, TRACES

PROMPT = "The symbol of gold is"
CAPTURE = {"layers": [3], "sites": ["attention_weights", "post_mlp"]}
SHORT = {"max_tokens": 3, "temperature": 0, "capture": CAPTURE}
ABSENT = "trace_20260101_000000_000000"
ENDLESS = {"prompt": "France", "max_tokens": 2000, "temperature": 0, "capture": {"sites": [], "logits": None}}
TRACE = {"trace_id": EXAMPLE_ID}
WEIGHTS = {**TRACE, "name": "attention_weights"}


def off(layer: int, *heads: int) -> dict[str, Any]:
    """Params that switch heads off."""
    return {"interventions": [{"op": "zero", "site": "head_output", "layer": layer, "heads": list(heads)}]}


OFF = off(3, 1, 2, 3)
NEURON = {
    "interventions": [
        {"op": "set", "site": "mlp_hidden", "layer": 3, "neurons": [7], "positions": "generated", "value": 4.0}
    ]
}
STEERED = {
    "interventions": [
        {
            "op": "add",
            "site": "residual",
            "layer": 3,
            "positions": "last",
            "value": {"difference": ["The symbol of iron is", "The symbol of gold is"], "times": 8},
        }
    ]
}
PATCH = {
    "op": "set",
    "site": "post_mlp",
    "layer": 3,
    "positions": "last",
    "value": {"trace": EXAMPLE_ID, "position": 5},
}


@dataclass(frozen=True)
class Asked:
    """The params of one request, and the name of the error that is to come of it; "": a result is."""

    params: dict[str, Any]
    error: str = ""


NO_TRACE = {
    "No such trace.": Asked({"trace_id": ABSENT}, "TRACE_NOT_FOUND"),
    "An id that cannot be one.": Asked({"trace_id": "../secrets"}, "TRACE_ID_INVALID"),
    "A file that is not whole.": Asked({"trace_id": DAMAGED_ID}, "TRACE_UNREADABLE"),
}

CAPITALS: dict[str, Any] = {
    "clean": {"prompt": "The capital of France is"},
    "corrupted": {"prompt": "The capital of Norway is"},
    "answer": " P",
    "against": " O",
}

# By method, then by note.
ASKED: dict[str, dict[str, Asked]] = {
    "hello": {
        "A client says who it is, and which traces folder it uses.": Asked(
            {"protocol_version": "1", "client_name": CLIENT_NAME, "traces_dir": TRACES}
        ),
        "A client of another protocol is told what to do.": Asked({"protocol_version": "99"}, "VERSION_MISMATCH"),
        "A traces folder that is a file.": Asked(
            {"traces_dir": f"{TRACES}/{EXAMPLE_ID}.safetensors"}, "STORAGE_FAILED"
        ),
    },
    "generate_and_capture": {
        STREAMED: Asked({"prompt": PROMPT, "category": "elements", **SHORT, "stream": True}),
        "A chat, kept as safetensors.": Asked(
            {"messages": [{"role": "user", "content": PROMPT}], **SHORT, "format": "safetensors"}
        ),
        "A neuron pushed while tokens are written.": Asked({"prompt": PROMPT, **SHORT, **NEURON}),
        "Steered by the difference of two prompts.": Asked({"prompt": PROMPT, **SHORT, **STEERED}),
        "A value from a trace of another model.": Asked(
            {"prompt": PROMPT, **SHORT, "interventions": [PATCH]}, "OTHER_MODEL"
        ),
        "A value from a trace that there is not.": Asked(
            {"prompt": PROMPT, "interventions": [PATCH | {"value": {"trace": ABSENT}}]}, "TRACE_NOT_FOUND"
        ),
        "An intervention at a place that there is not.": Asked(
            {"prompt": PROMPT, "interventions": [{"op": "zero", "site": "resid_pre", "layer": 0}]}, "SETTING_INVALID"
        ),
        "Nothing to go on from.": Asked({"max_tokens": 3}, "PROMPT_INVALID"),
        "A layer that the model does not have.": Asked(
            {"prompt": PROMPT, "capture": {"layers": [40]}}, "SETTING_INVALID"
        ),
        "A category that cannot name traces.": Asked({"prompt": PROMPT, "category": " "}, "CATEGORY_INVALID"),
        "A parameter that there is not.": Asked({"prompt": PROMPT, "temprature": 0}, "INVALID_PARAMS"),
    },
    "intervene": {
        "Three heads off, on another model than the one that wrote the trace.": Asked({**TRACE, **OFF, "anyway": True}),
        "What it would take.": Asked({**TRACE, **OFF, "anyway": True, "estimate": True}),
        "Another model wrote the trace.": Asked({**TRACE, **OFF}, "OTHER_MODEL"),
        "A head that the model does not have.": Asked({**TRACE, **off(3, 4)}, "SETTING_INVALID"),
        "As it was, on a model that is named for this run.": Asked({**TRACE, "model": {"source": "demo"}}),
        "On a checkpoint that there is not.": Asked({**TRACE, "model": {"source": "base"}}, "MODEL_NOT_LOADED"),
        "No such trace.": Asked({"trace_id": ABSENT, **OFF}, "TRACE_NOT_FOUND"),
    },
    "fork_trace": {
        "Another token, on another model than the one that wrote the trace.": Asked(
            {**TRACE, "position": 8, "token": 65, "anyway": True}
        ),
        "A text in the prompt, and two tokens after it at most.": Asked(
            {**TRACE, "position": 4, "text": " silver is", "max_tokens": 2, "anyway": True}
        ),
        "What it would take.": Asked({**TRACE, "position": 8, "token": 65, "anyway": True, "estimate": True}),
        "Another model wrote the trace.": Asked({**TRACE, "position": 8, "token": 65}, "OTHER_MODEL"),
        "A position that there is not.": Asked(
            {**TRACE, "position": 400, "token": 65, "anyway": True}, "SETTING_INVALID"
        ),
        "Nothing to put there.": Asked({**TRACE, "position": 8, "anyway": True}, "SETTING_INVALID"),
        "No such trace.": Asked({"trace_id": ABSENT, "position": 8, "token": 65}, "TRACE_NOT_FOUND"),
    },
    "list_traces": {
        "All, newest first; one is damaged.": Asked({}),
        "Those of a category whose text has a word, one a page.": Asked(
            {"category": "elements", "text": "GOLD", "limit": 1}
        ),
        "The first page of two: `cursor` asks for the second.": Asked({"limit": 1}),
        "A category that no trace has.": Asked({"category": "planets"}, "CATEGORY_INVALID"),
        "A page of no rows.": Asked({"limit": 0}, "INVALID_PARAMS"),
    },
    "analyze_trace": {"A trace's statistics.": Asked(TRACE), **NO_TRACE},
    "get_document": {"A trace as a whole.": Asked(TRACE), **NO_TRACE},
    "get_summary": {"What a trace holds.": Asked(TRACE), **NO_TRACE},
    "get_tensor": {
        "One attention head, the last two rows.": Asked({**WEIGHTS, "layer": 3, "head": 0, "rows": [6, 8]}),
        "What one generation step added, as bytes.": Asked(
            {**TRACE, "name": "attention_weights.layer_3", "step": 1, "encoding": "base64", "dtype": "uint8"}
        ),
        "Some columns of an activation.": Asked(
            {**TRACE, "name": "layer_activations.layer_3.post_mlp", "rows": [0, 2], "columns": [0, 4]}
        ),
        "A tensor that the trace does not have.": Asked({**WEIGHTS, "layer": 0}, "TRACE_NOT_FOUND"),
        "A head that the layer does not have.": Asked({**WEIGHTS, "layer": 3, "head": 4}, "TRACE_NOT_FOUND"),
        "No such trace.": Asked({"trace_id": ABSENT, "name": "attention_weights", "layer": 3}, "TRACE_NOT_FOUND"),
    },
    "get_attention": {
        "The mean of two heads, the last two rows.": Asked({**TRACE, "heads": [[3, 0], [3, 1]], "rows": [6, 8]}),
        "A head without the sink.": Asked({**TRACE, "heads": [[3, 0]], "hide_sink": True, "rows": [6, 8]}),
        "Weighted by values that the trace does not have.": Asked(
            {**TRACE, "heads": [[3, 0]], "value_weighted": True}, "TRACE_NOT_FOUND"
        ),
        "A layer that was not captured.": Asked({**TRACE, "heads": [[0, 0]]}, "TRACE_NOT_FOUND"),
        "No heads.": Asked({**TRACE, "heads": []}, "INVALID_PARAMS"),
        "No such trace.": Asked({"trace_id": ABSENT, "heads": [[3, 0]]}, "TRACE_NOT_FOUND"),
    },
    "get_head_thumbnails": {
        "Each head of every layer that was captured.": Asked(TRACE),
        "A layer that was not captured.": Asked({**TRACE, "layer": 40}, "TRACE_NOT_FOUND"),
        **NO_TRACE,
    },
    "get_tokens": {"Every token, with what else was likely.": Asked(TRACE), **NO_TRACE},
    "get_alternatives": {
        "The eight likeliest at one position.": Asked({**TRACE, "position": 6, "count": 8}),
        "A position past the last token.": Asked({**TRACE, "position": 2000}, "TRACE_NOT_FOUND"),
        "No such trace.": Asked({"trace_id": ABSENT, "position": 6}, "TRACE_NOT_FOUND"),
    },
    "compare_traces": {
        "A trace beside itself: every position belongs to itself, and no head differs.": Asked(
            {**TRACE, "other_id": EXAMPLE_ID}
        ),
        "The tokens alone.": Asked({**TRACE, "other_id": EXAMPLE_ID, "heads": False}),
        "A trace beside one that is not there.": Asked({**TRACE, "other_id": ABSENT}, "TRACE_NOT_FOUND"),
        "A layer that was not captured.": Asked({**TRACE, "other_id": EXAMPLE_ID, "layer": 40}, "TRACE_NOT_FOUND"),
        "An id that cannot be one.": Asked({**TRACE, "other_id": "../secrets"}, "TRACE_ID_INVALID"),
        "A file that is not whole.": Asked({**TRACE, "other_id": DAMAGED_ID}, "TRACE_UNREADABLE"),
    },
    "diff_traces": {
        "A trace and itself: nothing differs.": Asked({**TRACE, "other_id": EXAMPLE_ID}),
        "What it would take: no forward of a model.": Asked({**TRACE, "other_id": EXAMPLE_ID, "estimate": True}),
        "A trace and one that is not there.": Asked({**TRACE, "other_id": ABSENT}, "TRACE_NOT_FOUND"),
        "An id that cannot be one.": Asked({**TRACE, "other_id": "../secrets"}, "TRACE_ID_INVALID"),
        "A file that is not whole.": Asked({**TRACE, "other_id": DAMAGED_ID}, "TRACE_UNREADABLE"),
    },
    "logit_lens": {
        "After the last layer's parts, and at the end, though another model wrote the trace.": Asked(
            {**TRACE, "positions": [5], "layers": [3], "top": 2, "tokens": [" S"], "anyway": True}
        ),
        "What it would take at every position.": Asked({**TRACE, "estimate": True, "anyway": True}),
        "A trace of another model.": Asked(TRACE, "OTHER_MODEL"),
        "A text that is no token.": Asked({**TRACE, "tokens": ["Paris"], "anyway": True}, "SETTING_INVALID"),
        "A position past the last token.": Asked({**TRACE, "positions": [9], "anyway": True}, "SETTING_INVALID"),
        "A layer that the model does not have.": Asked({**TRACE, "layers": [4], "anyway": True}, "SETTING_INVALID"),
        **NO_TRACE,
    },
    "attribute_logits": {
        "What wrote the difference between the token that came and another; another model wrote the trace.": Asked(
            {**TRACE, "position": 5, "against": " S", "neurons": 1, "sources": 1, "anyway": True}
        ),
        "What it would take.": Asked({**TRACE, "position": 5, "estimate": True, "anyway": True}),
        "A trace of another model.": Asked({**TRACE, "position": 5}, "OTHER_MODEL"),
        "Nothing follows the last token.": Asked({**TRACE, "position": 8, "anyway": True}, "SETTING_INVALID"),
        "A text that is no token.": Asked(
            {**TRACE, "position": 5, "token": "Paris", "anyway": True}, "SETTING_INVALID"
        ),
        "No such trace.": Asked({"trace_id": ABSENT, "position": 5}, "TRACE_NOT_FOUND"),
    },
    "patch_scan": {
        "Which heads carry the capital of France into a prompt about Norway.": Asked({**CAPITALS, "stream": True}),
        "The stream at each position of two layers, to first order.": Asked(
            {**CAPITALS, "what": "residual", "method": "gradient", "layers": [1, 3]}
        ),
        "Which heads of the first layer reach the values of head 3.2.": Asked(
            {**CAPITALS, "what": "paths", "layers": [0], "receiver": {"layer": 3, "head": 2, "input": "v"}}
        ),
        "What it would take.": Asked({**CAPITALS, "estimate": True}),
        "Prompts of different length.": Asked(
            {**CAPITALS, "corrupted": {"prompt": "The capital is"}}, "SETTING_INVALID"
        ),
        "A prompt that is a trace's, of another model.": Asked({**CAPITALS, "corrupted": TRACE}, "OTHER_MODEL"),
        "A prompt that is none.": Asked({**CAPITALS, "clean": {}}, "PROMPT_INVALID"),
        "A text that is no token.": Asked({**CAPITALS, "answer": " Paris"}, "SETTING_INVALID"),
        "Paths that lead nowhere.": Asked({**CAPITALS, "what": "paths"}, "SETTING_INVALID"),
        "A trace that is not there.": Asked({**CAPITALS, "clean": {"trace_id": ABSENT}}, "TRACE_NOT_FOUND"),
    },
    "ablation_scan": {
        "What becomes of the answer without each part of the last layer; another model wrote the trace.": Asked(
            {**TRACE, "position": 5, "layers": [3], "against": " S", "top": 1, "anyway": True}
        ),
        "What all of it would take.": Asked({**TRACE, "position": 5, "estimate": True, "anyway": True}),
        "A trace of another model.": Asked({**TRACE, "position": 5}, "OTHER_MODEL"),
        "Nothing follows the last token.": Asked({**TRACE, "position": 8, "anyway": True}, "SETTING_INVALID"),
        "A layer that the model does not have.": Asked(
            {**TRACE, "position": 5, "layers": [4], "anyway": True}, "SETTING_INVALID"
        ),
        "No such trace.": Asked({"trace_id": ABSENT, "position": 5}, "TRACE_NOT_FOUND"),
    },
    "scan_heads": {
        "The roles of every head.": Asked({}),
        "A parameter that there is not.": Asked({"layer": 3}, "INVALID_PARAMS"),
    },
    "why": {
        "Ten sentences about the token after position 5; another model wrote the trace.": Asked(
            {**TRACE, "position": 5, "anyway": True}
        ),
        "What it would take.": Asked({**TRACE, "estimate": True, "anyway": True}),
        "A trace of another model.": Asked(TRACE, "OTHER_MODEL"),
        "A position past the last token.": Asked({**TRACE, "position": 9, "anyway": True}, "SETTING_INVALID"),
        **NO_TRACE,
    },
    "delete_trace": {"A trace is deleted.": Asked(TRACE), **{note: NO_TRACE[note] for note in list(NO_TRACE)[:2]}},
    "get_status": {
        "How the daemon is.": Asked({}),
        "Something that it cannot tell.": Asked({"weather": True}, "INVALID_PARAMS"),
    },
    "list_models": {"What can be loaded.": Asked({})},
    "load_model": {
        BUILT_IN: Asked({"source": "demo", "device": "cpu"}),
        "No checkpoint of that kind.": Asked({"source": "sft"}, "MODEL_NOT_LOADED"),
    },
    "cancel": {"A generation that runs.": Asked({"id": 7}), "No such request.": Asked({"id": 8})},
    "shutdown": {"While others use it.": Asked({}, "IN_USE"), "All the same.": Asked({"force": True})},
    "rpc.discover": {"The document, here without what it holds.": Asked({})},
}
DURING = {  # a request under way meanwhile, by method and note
    ("cancel", "A generation that runs."): {
        "id": 7,
        "method": "generate_and_capture",
        "params": {**ENDLESS, "stream": True},
    }
}


class RequestMissingError(Exception):
    """Nobody said what to ask of a method; the message says where to."""


def asked_of(method: str) -> dict[str, Asked]:
    """What is asked of a method, by note; where the table has nothing of it, what its params' own examples say.

    A trace is the example trace; of a method of one, each fault that a trace can have is asked for too.

    Raises:
        RequestMissingError: the table has nothing of it, and a param that it needs has no example.
    """
    if method in ASKED:
        return ASKED[method]
    params = cast(msgspec.inspect.StructType, msgspec.inspect.type_info(METHODS[method].params))
    needed = {field.encode_name: _example_of(field) for field in params.fields if field.required}
    lacking = [name for name, example in needed.items() if example is None]
    if lacking:
        raise RequestMissingError(
            f"{method} needs {', '.join(lacking)}: give its field an example, `Meta(examples=[...])`, or say in "
            "ASKED, in scripts/example_requests.py, what to ask of it."
        )
    faults = NO_TRACE if "trace_id" in needed else {}
    usual = {"With what it needs." if needed else "Without params.": Asked(needed)}
    return usual | {note: Asked({**needed, **fault.params}, fault.error) for note, fault in faults.items()}


def _example_of(field: msgspec.inspect.Field) -> Any:
    if field.encode_name == "trace_id":
        return EXAMPLE_ID
    said = getattr(field.type, "extra_json_schema", None) or {}
    return next(iter(said.get("examples", [])), None)
