"""JSON Schemas of the protocol's types, as msgspec has them, tidied for people and for code generators."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from protocol.methods import METHODS, NOTIFICATIONS, Method

Schema = dict[str, Any]


def result_type(method: Method) -> Any:
    """A method's result as a type; that of none is null."""
    return type(None) if method.result is None else method.result


def schemas(ref_template: str) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each params and result type of the tables, and the named ones that they refer to.

    Args:
        ref_template: where a named schema lies, such as "#/$defs/{name}".
    """
    types: list[Any] = [kind for method in METHODS.values() for kind in (method.params, result_type(method))]
    types = list(dict.fromkeys(types + [notification.params for notification in NOTIFICATIONS.values()]))
    of_types, named = msgspec.json.schema_components(types, ref_template=ref_template)
    return dict(zip(types, map(tidied, of_types), strict=True)), {name: tidied(named[name]) for name in sorted(named)}


def json_schema() -> Schema:
    """All types in one JSON Schema: what is exchanged, by method, and what is pushed, by notification."""
    of_types, named = schemas("#/$defs/{name}")
    methods = {
        method.name: {"description": method.summary}
        | _record({"params": of_types[method.params], "result": of_types[result_type(method)]})
        for method in METHODS.values()
    }
    pushed = {
        notification.name: {"description": f"{notification.summary} To {notification.to}."}
        | of_types[notification.params]
        for notification in NOTIFICATIONS.values()
    }
    tables = {
        "methods": {"title": "Methods", "description": "What is asked and answered."} | _record(methods),
        "notifications": {"title": "Notifications", "description": "What the daemon tells of its own accord."}
        | _record(pushed),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Protocol",
        "description": "Everything that is said on the wire.",
        **_record(tables),
        "$defs": named,
    }


def _record(fields: dict[str, Schema]) -> Schema:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def tidied(schema: Any) -> Any:
    """A schema with descriptions beside the defaults, docstrings unindented, free objects said to be free."""
    if isinstance(schema, list):
        return [tidied(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: value if key == "default" else tidied(value) for key, value in schema.items()}
    if isinstance(schema.get("description"), str):
        schema["description"] = inspect.cleandoc(schema["description"])
    for branch in schema.get("anyOf", []):
        if "description" in branch:
            schema = {"description": branch.pop("description"), **schema}
    if schema.get("type") == "object" and "properties" not in schema:
        schema.setdefault("additionalProperties", True)
    return schema
