"""protocol/openrpc.json: the protocol as an OpenRPC document; `rpc.discover` adds the table of metrics to it."""

from __future__ import annotations

from typing import Any

from protocol.errors import ERRORS
from protocol.generate.examples import examples_of
from protocol.generate.schemas import Schema, result_type, schemas
from protocol.methods import ALWAYS, METHODS, NOTIFICATIONS, PROTOCOL_VERSION, Method, Notification

OPENRPC_VERSION = "1.3.2"
DESCRIPTION = (
    "JSON-RPC 2.0 to nanoscope's daemon, which holds a nanochat model, captures what it does while it writes, "
    "and keeps the traces."
)


def openrpc() -> dict[str, Any]:
    """The whole document: methods with params, results, errors and examples, and every type they name.

    What the daemon sends of its own accord is under `x-notifications`; exchanges that end in an error are under each
    method's `x-error-examples`, since OpenRPC's own examples have results alone.
    """
    of_types, named = schemas("#/components/schemas/{name}")
    return {
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "nanoscope",
            "version": PROTOCOL_VERSION,
            "description": DESCRIPTION,
            "license": {"name": "MIT", "url": "https://opensource.org/license/mit"},
        },
        "methods": [_method(method, of_types, named) for method in METHODS.values()],
        "components": {"schemas": named, "errors": {name: _error(name) for name in ERRORS}},
        "x-notifications": [_notification(notification, named) for notification in NOTIFICATIONS.values()],
    }


def _method(method: Method, of_types: dict[Any, Schema], named: dict[str, Schema]) -> dict[str, Any]:
    examples = examples_of(method)
    return {
        "name": method.name,
        "summary": method.summary,
        "paramStructure": "by-name",
        "params": _params(named[method.params.__name__]),
        "result": {"name": "result", "schema": of_types[result_type(method)]},
        "errors": [{"$ref": f"#/components/errors/{name}"} for name in (*method.errors, *ALWAYS)],
        "examples": [_pairing(method, example) for example in examples if "result" in example],
        "x-error-examples": [example for example in examples if "error" in example],
    }


def _params(schema: Schema) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            **({"description": field["description"]} if "description" in field else {}),
            "required": name in schema["required"],
            "schema": field,
        }
        for name, field in schema["properties"].items()
    ]


def _pairing(method: Method, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": example["note"],
        "params": [{"name": name, "value": value} for name, value in example["params"].items()],
        "result": {"name": f"{method.name}_result", "value": example["result"]},
    }


def _error(name: str) -> dict[str, Any]:
    return {"code": ERRORS[name].code, "message": ERRORS[name].meaning, "data": {"name": name}}


def _notification(notification: Notification, named: dict[str, Schema]) -> dict[str, Any]:
    return {
        "name": notification.name,
        "summary": notification.summary,
        "to": notification.to,
        "params": _params(named[notification.params.__name__]),
        "examples": examples_of(notification),
    }
