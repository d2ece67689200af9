"""The protocol's types in TypeScript: json-schema-to-typescript makes them, tables of methods and errors follow."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from protocol.errors import ERRORS
from protocol.generate.schemas import json_schema
from protocol.methods import METHODS, PROTOCOL_VERSION

HEADER = """\
// What is said on the wire. Generated from protocol/ by `make protocol`: change it there, not here.

/** The protocol that these types are of; `hello` compares it. */
export const PROTOCOL_VERSION = {version};

"""
TABLES = """
export type MethodName = keyof Methods;
export type NotificationName = keyof Notifications;

/** Methods that may be asked again where the answer was lost: asking twice changes nothing. */
export const REPEATABLE: ReadonlySet<MethodName> = new Set<MethodName>([
{repeatable}]);

/** The number of each error, by the name that its `data.name` has. */
export const errorCodes = {{
{codes}}} as const;

export type ErrorName = keyof typeof errorCodes;
"""
GENERATOR_FLAGS = ("--no-additionalProperties", "--bannerComment=")
COMPILER_FLAGS = ("--noEmit", "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess")
TARGET_FLAGS = ("--target", "es2022", "--lib", "es2022", "--module", "nodenext", "--ignoreConfig", "--skipLibCheck")
TOOL_SECONDS = 120
LINE = 120


class GeneratorMissing(Exception):
    """Node.js or the npm packages are not there; the message says what to run."""


def typescript(client: Path) -> str:
    """The text of protocol.ts.

    Args:
        client: the folder whose node_modules have json-schema-to-typescript.

    Raises:
        GeneratorMissing: Node.js or the package is not there.
    """
    done = run_tool(client, "json2ts", GENERATOR_FLAGS, json.dumps(for_generator(json_schema())))
    if done.returncode:
        raise RuntimeError(f"json2ts failed: {done.stderr.strip()}")
    codes = "".join(f"  {name}: {row.code},\n" for name, row in ERRORS.items())
    repeatable = "".join(f"  {json.dumps(row.name)},\n" for row in METHODS.values() if row.repeatable)
    tables = TABLES.format(codes=codes, repeatable=repeatable)
    return HEADER.format(version=json.dumps(PROTOCOL_VERSION)) + tidied_text(done.stdout) + tables


def for_generator(schema: Any) -> Any:
    """The same schema in the older words that the generator knows: tuples as `items`, no words beside a `$ref`."""
    if isinstance(schema, list):
        return [for_generator(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: for_generator(value) for key, value in schema.items()}
    if "prefixItems" in schema:
        count = len(schema["prefixItems"])
        schema |= {"items": schema.pop("prefixItems"), "minItems": count, "maxItems": count}
    if "$ref" in schema and len(schema) > 1:
        schema = {"allOf": [{"$ref": schema.pop("$ref")}], **schema}
    return schema


def tidied_text(text: str) -> str:
    """Short comments on one line, a blank line between types."""

    def shorter(comment: re.Match[str]) -> str:
        line = f"{comment[1]}/** {comment[2]} */\n"
        return line if len(line) <= LINE else comment[0]

    text = re.sub(r"^( *)/\*\*\n *\* (.*)\n *\*/\n", shorter, text, flags=re.MULTILINE)
    return re.sub(r"^}\n(?=/\*\*|export)", "}\n\n", text, flags=re.MULTILINE)


def type_faults(client: Path, source: Path) -> str:
    """What the TypeScript compiler has to say of a file, "" for nothing. Raises GeneratorMissing."""
    return run_tool(client, "tsc", (*COMPILER_FLAGS, *TARGET_FLAGS, str(source))).stdout


def run_tool(client: Path, tool: str, flags: tuple[str, ...], given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a tool of the client's node_modules. Raises GeneratorMissing."""
    path = client / "node_modules" / ".bin" / tool
    if not path.exists():
        raise GeneratorMissing(f"{path} is missing: run `make protocol`, or `npm ci` in {client}.")
    try:
        return subprocess.run(
            ["node", str(path), *flags],
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=TOOL_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise GeneratorMissing("node is missing: install Node.js 20 or newer, then run `make protocol`.") from error
