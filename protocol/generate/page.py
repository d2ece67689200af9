"""docs/protocol.md: the method table as a page to read."""

from __future__ import annotations

import json
from typing import Any

from protocol.errors import ERRORS
from protocol.generate.examples import examples_of
from protocol.generate.json_text import readable
from protocol.generate.page_texts import CONNECTING, HEADER
from protocol.generate.schemas import Schema, result_type, schemas
from protocol.methods import ALWAYS, METHODS, NOTIFICATIONS, Method, Notification
from protocol.types import LARGEST_INTEGER

REFERENCE = "#/$defs/"
LONGEST = 30  # lines of an example that is not folded


def page() -> str:
    """The whole page, as Markdown."""
    _, named = schemas(REFERENCE + "{name}")
    params = {row.params.__name__ for row in (*METHODS.values(), *NOTIFICATIONS.values())}
    nested = {name for schema in named.values() for name in references(schema)}
    shown = params | {
        kind.__name__ for kind in map(result_type, METHODS.values()) if hasattr(kind, "__struct_fields__")
    }
    parts = [
        HEADER,
        CONNECTING,
        "## Methods\n",
        _rows(("method", "what it does"), [(_link(row.name), row.summary) for row in METHODS.values()]),
        *(_method(row, named, nested) for row in METHODS.values()),
        "## Notifications\n",
        "What the daemon tells of its own accord: editors once they are initialized, line clients after `hello`.\n",
        *(_notification(row, named) for row in NOTIFICATIONS.values()),
        "## Types\n",
        *(_type(name, named[name]) for name in named if name in nested or name not in shown),
        "## Errors\n",
        f"Every method may also answer {_listed(ALWAYS)}. `data.name` has the name, `message` says what to do.\n",
        _rows(("code", "name", "when"), [(row.code, f"`{row.name}`", row.meaning) for row in ERRORS.values()]),
    ]
    return "\n".join(parts)


def references(schema: Any) -> list[str]:
    """The named types that a schema refers to."""
    if isinstance(schema, list):
        return [name for item in schema for name in references(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].removeprefix(REFERENCE)] if "$ref" in schema else []
    return own + [name for value in schema.values() for name in references(value)]


def type_text(schema: Schema) -> str:
    """A schema in a few words, such as "integer ≥ 0 or null"; named types as links."""
    if "$ref" in schema:
        return _link(schema["$ref"].removeprefix(REFERENCE))
    if "anyOf" in schema:
        return " or ".join(map(type_text, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(value)}`" for value in schema["enum"])
    if "prefixItems" in schema:
        return f"[{', '.join(map(type_text, schema['prefixItems']))}]"
    kind = schema.get("type", "any")
    if kind == "array":
        at_most = f" ≤ {schema['maxItems']:,}" if "maxItems" in schema else ""
        return f"list{at_most} of {type_text(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_text(schema['additionalProperties'])}"
    bounds = [f"{sign} {schema[key]:,}" for sign, key in (("≥", "minimum"), ("≤", "maximum")) if key in schema]
    if schema.get("maximum") == LARGEST_INTEGER:  # said once, above all methods
        bounds = bounds[:-1]
    if "maxLength" in schema:
        bounds.append(f"≤ {schema['maxLength']:,} characters")
    return " ".join([kind, *bounds])


def _method(row: Method, named: dict[str, Schema], nested: set[str]) -> str:
    errors = f"Errors: {_listed(row.errors)}.\n" if row.errors else ""
    parts = [f"### {row.name}\n", row.summary + "\n", _params(named[row.params.__name__]), _result(row, named, nested)]
    return "\n".join(filter(None, [*parts, errors, *(_example(row.name, example) for example in examples_of(row))]))


def _params(schema: Schema) -> str:
    if not schema["properties"]:
        return "No params.\n"
    rows = [
        (f"`{name}`", type_text(field), _default(name, field, schema), field.get("description", ""))
        for name, field in schema["properties"].items()
    ]
    return _about(schema) + _rows(("param", "type", "default", "meaning"), rows)


def _default(name: str, field: Schema, schema: Schema) -> str:
    return "*required*" if name in schema["required"] else f"`{json.dumps(field.get('default'))}`"


def _result(row: Method, named: dict[str, Schema], nested: set[str]) -> str:
    kind = result_type(row)
    name = getattr(kind, "__name__", "")
    if name not in named:
        return f"Result: {'null' if kind is type(None) else 'an object'}.\n"
    if name in nested:
        return f"Result: {_link(name)}.\n"
    return _about(named[name], "Result: ") + _fields(named[name])


def _fields(schema: Schema) -> str:
    rows = [
        (f"`{name}`", type_text(field), field.get("description", "")) for name, field in schema["properties"].items()
    ]
    return _rows(("field", "type", "meaning"), rows)


def _about(schema: Schema, before: str = "") -> str:
    return f"{before}{schema.get('description', '')}\n\n"


def _type(name: str, schema: Schema) -> str:
    return f"### {name}\n\n{_about(schema)}{_fields(schema)}"


def _notification(row: Notification, named: dict[str, Schema]) -> str:
    schema = named[row.params.__name__]
    examples = [_example(row.name, example) for example in examples_of(row)]
    return "\n".join(
        [f"### {row.name}\n", f"{row.summary} To {row.to}.\n", _about(schema) + _fields(schema), *examples]
    )


def _example(method: str, example: dict[str, Any]) -> str:
    """An exchange as JSON, folded where it is long."""
    answer = {key: example[key] for key in ("result", "error") if key in example}
    during = [example["during"]] if "during" in example else []
    said = [*during, {"method": method, "params": example["params"]}, *([answer] if answer else [])]
    block = "\n".join(["```json", *map(readable, said), "```"])
    if block.count("\n") > LONGEST:
        return f"<details><summary><em>{example['note']}</em></summary>\n\n{block}\n\n</details>\n"
    return f"*{example['note']}*\n\n{block}\n"


def _rows(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(value) for value in line)} |\n" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _link(name: str) -> str:
    return f"[{name}](#{name.lower().replace('.', '')})"


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)
