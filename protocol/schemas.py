"""JSON Schemas of the protocol's types, as msgspec has them, tidied for people and for code generators."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from protocol.methods import METHODS, NOTIFICATIONS

Schema = dict[str, Any]


def wire_types() -> list[Any]:
    """Every params and result type of the tables, once, in their order."""
    types: list[Any] = []
    for method in METHODS.values():
        types += [method.params, type(None) if method.result is None else method.result]
    types += [notification.params for notification in NOTIFICATIONS.values()]
    return list(dict.fromkeys(types))


def schemas(ref_template: str) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """The schema of each wire type, and the named ones that they refer to.

    Args:
        ref_template: where a named schema lies, such as "#/$defs/{name}".
    """
    types = wire_types()
    of_types, named = msgspec.json.schema_components(types, ref_template=ref_template)
    return dict(zip(types, map(tidied, of_types), strict=True)), {name: tidied(named[name]) for name in sorted(named)}


def tidied(schema: Any) -> Any:
    """The same schema with a property's description beside its default, docstrings unindented, and free objects named so."""
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
