import pytest

from protocol.errors import BY_CODE, ERRORS, RpcError

STANDARD = {  # JSON-RPC 2.0 and the Language Server Protocol 3.17 give these their numbers
    "PARSE_ERROR": -32700,
    "INVALID_REQUEST": -32600,
    "METHOD_NOT_FOUND": -32601,
    "INVALID_PARAMS": -32602,
    "INTERNAL_ERROR": -32603,
    "SERVER_NOT_INITIALIZED": -32002,
    "CONTENT_MODIFIED": -32801,
    "CANCELLED": -32800,
}
RESERVED = (range(-32768, -31999), range(-32899, -32799))


def test_standard_errors_have_the_standards_numbers():
    assert {name: ERRORS[name].code for name in STANDARD} == STANDARD


def test_numbers_are_unique():
    assert len(BY_CODE) == len(ERRORS)


@pytest.mark.parametrize("row", [row for row in ERRORS.values() if row.name not in STANDARD], ids=lambda row: row.name)
def test_our_own_numbers_are_reserved_by_nobody(row):
    assert row.code < 0
    assert not any(row.code in numbers for numbers in RESERVED)


def test_names_are_the_rows_own():
    assert all(name == row.name and name == name.upper() for name, row in ERRORS.items())


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_crosses_the_wire_and_comes_back(name):
    sent = RpcError(name, "Do this.", {"limit": 3})
    came = RpcError.from_json(sent.as_json())
    assert (came.name, came.code, came.message) == (name, ERRORS[name].code, "Do this.")
    assert came.data == {"name": name, "limit": 3}


def test_an_unknown_number_is_an_internal_error():
    assert RpcError.from_json({"code": -1, "message": "What?"}).name == "INTERNAL_ERROR"
