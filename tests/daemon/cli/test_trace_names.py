"""What may stand for a trace on the command line."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
import typer

from daemon.cli.trace_names import complete, find, row_of
from daemon.client.sync import Client
from protocol.errors import RpcError
from tests.daemon.running import daemons_in, environment_set_to, private_settings, running_daemon
from tests.daemon.scripted_daemon import ScriptedDaemon, result


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """A daemon's client, with three traces."""
    with running_daemon() as process, Client(process.settings) as client:
        for prompt in ("One", "Two", "Three"):
            client.generate_and_capture(prompt, max_tokens=1)
        yield client


@pytest.fixture
def ids(client: Client) -> list[str]:
    return [row.trace_id for row in client.list_traces().traces]


def test_names_of_one_trace(client: Client, ids: list[str]) -> None:
    assert find(client, ids[1]) == ids[1]
    assert find(client, "latest") == find(client, "@1") == ids[0]
    assert [find(client, f"@{number}") for number in (1, 2, 3)] == ids
    assert [find(client, trace_id[-6:]) for trace_id in ids] == ids
    assert [find(client, trace_id.removeprefix("trace_")) for trace_id in ids] == ids
    assert [find(client, trace_id[:-2]) for trace_id in ids] == ids


def test_the_row_of_a_trace_and_of_one_that_has_gone(client: Client, ids: list[str]) -> None:
    assert [row_of(client, trace_id).trace_id for trace_id in ids] == ids
    with pytest.raises(RpcError, match="has gone") as caught:
        row_of(client, ids[0][:-1])
    assert caught.value.name == "TRACE_NOT_FOUND"


def test_the_latest_is_one_that_can_be_read() -> None:
    row = dict.fromkeys(("timestamp", "category", "prompt", "response", "format", "reason", "path"), "")
    row |= {"prompt_tokens": 0, "response_tokens": 0, "size": 1}
    rows = [{**row, "trace_id": "half_written", "readable": False}, {**row, "trace_id": "whole", "readable": True}]
    listing = result({"traces": rows, "total": 2})
    daemon = ScriptedDaemon([listing, listing])
    with Client(connect=daemon.connect) as client:
        assert (find(client, "@1"), find(client, "latest")) == ("half_written", "whole")
    daemon.join()


def test_an_id_that_begins_another_is_meant_itself(client: Client, ids: list[str]) -> None:
    folder = client.greeting.traces_dir
    with client.notifications("traces_changed") as changes:
        longer = f"{ids[0]}_2"
        with open(f"{folder}/{ids[0]}.json", "rb") as source, open(f"{folder}/{longer}.json", "wb") as copy:
            copy.write(source.read())
        while longer not in changes.get(8).params.added:
            pass
        assert find(client, ids[0]) == ids[0]
        client.delete_trace(trace_id=longer)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("trace_", "'trace_' may be trace_"),
        ("trace_19", "There is no trace 'trace_19'"),
        ("Two", "There is no trace 'Two'"),  # a prompt, not an id
        ("@4", "There is no trace @4: there are 3"),
        ("@0", "There is no trace '@0'"),
    ],
)
def test_names_of_none_or_of_several(client: Client, name: str, said: str) -> None:
    with pytest.raises(RpcError) as caught:
        find(client, name)
    assert said in caught.value.message
    assert caught.value.name == "TRACE_NOT_FOUND"


def test_an_empty_folder_says_how_to_fill_it(client: Client, tmp_path) -> None:
    with Client(client.settings, traces_dir=tmp_path) as other:
        for name in ("latest", "@1"):
            with pytest.raises(RpcError, match="make one with `nanoscope capture`"):
                find(other, name)


def completed(incomplete: str, **flags: str) -> list[tuple[str, str]]:
    """What a shell is told, after some flags."""
    return complete(cast(typer.Context, SimpleNamespace(params=flags)), incomplete)


def test_completing(client: Client, ids: list[str]) -> None:
    assert [word for word, _ in completed("")] == [*ids, "latest"]
    assert dict(completed(ids[1]))[ids[1]].startswith("Two")
    assert [word for word, _ in completed("lat")] == ["latest"]
    assert completed("zzz") == []
    assert completed("", device="toaster") != []  # no business of the listing


def test_completing_starts_no_daemon() -> None:
    with private_settings() as (settings, environment), environment_set_to(environment):
        assert completed("") == []
        assert completed("", runtime_dir="") == []
        assert daemons_in(settings.runtime_dir) == []
        assert not settings.runtime_dir.exists()
