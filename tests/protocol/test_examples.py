"""The golden examples fit the types: what a client reads in the documents is what the daemon takes and gives."""

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from protocol.errors import ERRORS
from protocol.generate.examples import examples_of
from protocol.generate.openrpc import openrpc
from protocol.generate.schemas import result_type
from protocol.methods import ALWAYS, METHODS, NOTIFICATIONS
from protocol.types import decode_params

EXCHANGES = [(row, example) for row in METHODS.values() for example in examples_of(row)]
RESULTS = [(row, example) for row, example in EXCHANGES if "result" in example]
ERROR_EXAMPLES = [(row, example) for row, example in EXCHANGES if "error" in example]
PUSHED = [(row, example) for row in NOTIFICATIONS.values() for example in examples_of(row)]


def named(value: Any) -> str:
    return value["note"] if isinstance(value, dict) else value.name


def closed(schema: Any) -> Any:
    """The same schema with no room for keys that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {"additionalProperties": False} if "properties" in schema else {}
    return {key: closed(value) for key, value in schema.items()} | shut


def faults(value: Any, kind: Any) -> list[str]:
    """Where a value does not fit a type's schema, keys that are not declared among them."""
    validator = Draft202012Validator(closed(msgspec.json.schema(kind)))
    return [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(value)]


@pytest.mark.parametrize("row", METHODS.values(), ids=named)
def test_every_method_shows_a_success_and_an_error(row):
    examples = examples_of(row)
    assert any("result" in example for example in examples)
    assert any("error" in example for example in examples) or not row.errors
    assert len({example["note"] for example in examples}) == len(examples)


@pytest.mark.parametrize("row", NOTIFICATIONS.values(), ids=named)
def test_every_notification_has_an_example(row):
    assert examples_of(row)


@pytest.mark.parametrize(("row", "example"), EXCHANGES, ids=named)
def test_an_example_has_its_parts(row, example):
    assert example.keys() - {"during"} in ({"note", "params", "result"}, {"note", "params", "error"})
    assert example["note"].endswith(".")


@pytest.mark.parametrize(("row", "example"), [*RESULTS, *PUSHED], ids=named)
def test_params_decode_strictly(row, example):
    decode_params(example["params"], row.params)
    assert faults(example["params"], row.params) == []


@pytest.mark.parametrize(("row", "example"), ERROR_EXAMPLES, ids=named)
def test_params_of_an_error_decode_unless_they_are_the_error(row, example):
    if example["error"]["data"]["name"] == "INVALID_PARAMS":
        with pytest.raises(msgspec.ValidationError):
            decode_params(example["params"], row.params)
    else:
        decode_params(example["params"], row.params)


@pytest.mark.parametrize(("row", "example"), RESULTS, ids=named)
def test_a_result_is_of_its_type_and_has_no_key_that_is_not_declared(row, example):
    msgspec.convert(example["result"], result_type(row), strict=True)
    assert faults(example["result"], result_type(row)) == []


@pytest.mark.parametrize(("row", "example"), ERROR_EXAMPLES, ids=named)
def test_an_error_is_one_that_the_method_may_answer(row, example):
    error = example["error"]
    name = error["data"]["name"]
    assert error["code"] == ERRORS[name].code
    assert name in (*row.errors, *ALWAYS)
    assert error["message"].endswith((".", "!"))


def test_a_key_that_is_not_declared_is_a_fault():
    assert faults({"cancelled": True, "when": "now"}, METHODS["cancel"].result)


def test_results_and_params_fit_the_documents_schemas():
    document = openrpc()
    methods = {method["name"]: method for method in document["methods"]}
    pairs = [(methods[row.name]["result"]["schema"], example["result"]) for row, example in RESULTS]
    pairs += [
        ({"$ref": f"#/components/schemas/{row.params.__name__}"}, example["params"])
        for row, example in [*RESULTS, *PUSHED]
    ]
    takers = methods | {told["name"]: told for told in document["x-notifications"]}
    pairs += [
        (param["schema"], example["params"][param["name"]])
        for row, example in [*RESULTS, *PUSHED]
        for param in takers[row.name]["params"]
        if param["name"] in example["params"]
    ]
    assert all(schema for schema, _ in pairs)  # an empty one takes everything
    for schema, value in pairs:
        Draft202012Validator({**schema, "components": document["components"]}).validate(value)
