import json
from pathlib import Path

import msgspec
import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT7

from protocol import types
from protocol.errors import ERRORS
from protocol.generate.openrpc import openrpc
from protocol.generate.schemas import schemas
from protocol.methods import METHODS, NOTIFICATIONS, PROTOCOL_VERSION
from protocol.types import Params, Result

META = Path(__file__).parent.parent.parent / "data" / "openrpc_meta_schema" / "schema.json"
ANY_SCHEMA = {  # for schemas inside the document, which are of a newer draft and checked by that
    "type": ["object", "boolean"],
    "definitions": {"JSONSchemaObject": {"properties": {"$ref": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def document():
    return openrpc()


@pytest.fixture(scope="module")
def specification():
    resource = DRAFT7.create_resource(ANY_SCHEMA)
    registry = Registry().with_resources((f"https://meta.json-schema.tools{end}", resource) for end in ("", "/"))
    return Draft7Validator(json.loads(META.read_text(encoding="utf-8")), registry=registry)


def resolve(document, reference):
    place = document
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


def references(value):
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [name for item in value.values() for name in references(item)]
    return [name for item in value for name in references(item)] if isinstance(value, list) else []


def test_it_is_as_openrpc_specifies(document, specification):
    assert [f"{fault.json_path}: {fault.message}" for fault in specification.iter_errors(document)] == []


def test_what_is_added_under_an_x_is_openrpc_too(document, specification):
    assert specification.is_valid(document | {"x-metrics": {}})
    assert not specification.is_valid(document | {"metrics": {}})


@pytest.mark.parametrize("spoil", [lambda method: method.pop("name"), lambda method: method.update(extra=1)])
def test_the_specification_would_tell(spoil, specification):
    document = openrpc()
    spoil(document["methods"][0])
    assert not specification.is_valid(document)


def test_it_has_every_method_error_and_notification(document):
    assert [method["name"] for method in document["methods"]] == list(METHODS)
    assert [row["name"] for row in document["x-notifications"]] == list(NOTIFICATIONS)
    assert {name: row["code"] for name, row in document["components"]["errors"].items()} == {
        name: row.code for name, row in ERRORS.items()
    }
    assert document["info"]["version"] == PROTOCOL_VERSION


def test_its_schemas_are_schemas_and_its_references_lead_somewhere(document):
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    assert all(resolve(document, reference) for reference in references(document))


def test_params_are_by_name_and_say_which_are_required(document):
    method = next(method for method in document["methods"] if method["name"] == "get_tensor")
    assert method["paramStructure"] == "by-name"
    assert [param["name"] for param in method["params"] if param["required"]] == ["trace_id", "name"]
    assert {param["name"]: param["schema"].get("default") for param in method["params"]}["encoding"] == "json"


def test_every_field_of_every_type_has_a_description():
    _, named = schemas("#/{name}")
    bare = [
        f"{kind}.{name}"
        for kind, schema in named.items()
        for name, field in schema["properties"].items()
        if not field.get("description")
    ]
    assert bare == []


def test_every_type_is_said_by_a_method_or_a_notification():
    _, named = schemas("#/{name}")
    structs = [kind for kind in vars(types).values() if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
    bases = (msgspec.Struct, Params, Result, types.WrittenResult, types.ChildResult)
    assert {kind.__name__ for kind in structs if kind not in bases} == named.keys()
