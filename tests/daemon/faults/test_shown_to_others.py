"""What one client says is cut before another sees it, and before it is logged."""

import logging
from collections.abc import Iterator

import pytest

from daemon.log import RECORD_LIMIT, log_to_file
from protocol.errors import RpcError
from tests.daemon.running import DaemonProcess, running_daemon
from tests.stress.wire_client import WireClient

MB = 1 << 20


@pytest.fixture(scope="module")
def process() -> Iterator[DaemonProcess]:
    with running_daemon() as running:
        yield running


def refusal(client: WireClient, method: str, **params: object) -> RpcError:
    with pytest.raises(RpcError) as refused:
        client.call(method, params)
    assert len(refused.value.message) < 2_100
    return refused.value


def test_no_clients_string_is_in_the_way_of_another(process: DaemonProcess) -> None:
    with WireClient(process.connect()) as client, WireClient(process.connect()) as other:
        other.introduce("other")
        client.introduce("n" * 200, client_version="v" * 200)
        for method, params in (
            ("hello", {"traces_dir": "/" + "x" * 9 * MB}),
            ("hello", {"traces_dir": "/x/\0x"}),
            ("hello", {"client_name": "x" * MB}),
            ("load_model", {"source": "/" + "x" * 15 * MB}),
            ("load_model", {"source": "/x\0"}),
            ("load_model", {"source": "sft", "tag": "\0"}),
        ):
            assert refusal(client, method, **params).name == "INVALID_PARAMS"
        refusal(client, "load_model", source="/" + "x" * 4_000)
        client.call("hello", {"traces_dir": "/" + "x" * 4_000})
        told = [message for message in (other.notification("model_changed"),) if message]
        status = other.call("get_status")
        assert all(len(str(message)) < 3_000 for message in [*told, *other.notifications])
        assert len(str(status)) < 10_000
        assert {len(session["name"]) for session in status["sessions"]} == {5, 80}
    assert process.settings.log_file.stat().st_size < 100_000


def test_an_editor_with_a_long_name_has_its_traces_folder_all_the_same(process: DaemonProcess) -> None:
    with WireClient(process.connect(), "editor") as client:
        about = {"processId": None, "rootUri": None, "capabilities": {}}
        info = {"name": "n" * MB + "\ud83d", "version": "1\0"}
        options = {"traces_dir": str(process.settings.traces_dir.parent / "own")}
        client.call("initialize", about | {"clientInfo": info, "initializationOptions": options})
        client.notify("initialized", {})
        (session,) = client.call("get_status")["sessions"]
        assert (session["traces_dir"], len(session["name"])) == (options["traces_dir"], 80)


def test_the_log_takes_a_long_text_in_part(tmp_path) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        log_to_file(tmp_path / "log", takes_outputs=False)
        try:
            raise ValueError("y" * MB)
        except ValueError:
            logging.getLogger("nanoscope").exception("%s", "x" * MB)
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
    text = (tmp_path / "log").read_text()
    size = len(text)
    assert RECORD_LIMIT < size < RECORD_LIMIT + 200
