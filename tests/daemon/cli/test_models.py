"""`nanoscope models` and `load`, on a real daemon."""

import json

import msgspec
import pytest

from protocol.types import ListModelsResult
from tests.daemon.commands import in_terminal, run


@pytest.mark.usefixtures("daemon")
def test_models_and_loading() -> None:
    rows = run("models").rows
    assert [(row[0], row[4]) for row in rows if row[0] == "demo"] == [("demo", "*")]
    assert msgspec.json.decode(run("models", "--json").out, type=ListModelsResult).current.source == "demo"
    assert "held" in in_terminal("models").out
    loaded = run("load", "demo", "--dtype", "float16")
    assert (loaded.status, "float16 on cpu" in loaded.out) == (0, True)
    refused = run("load", "/no/such/folder")
    assert (refused.status, refused.err.startswith("error: There is no folder '/no/such/folder'")) == (1, True)
    assert "float16 on cpu" in run("status").out
    assert json.loads(run("load", "demo", "--json").out)["model"]["dtype"] == "float32"
