"""A session's traces folder is changed in the order in which it asks, and given back however it goes."""

import json
import socket
from pathlib import Path

import psutil
import pytest

from daemon.folders import watch_threads
from daemon.launch.dial import ask
from tests.daemon.running import DaemonProcess, running_daemon
from tests.daemon.waiting import until

ROUNDS = 15


@pytest.fixture(scope="module")
def process():
    with running_daemon() as process:
        process.call("get_status")
        yield process


def folders_in(base: Path) -> list[str]:
    paths = [base / name for name in "abcd"]
    for path in paths:
        path.mkdir()
    return [str(path) for path in paths]


def hello(number: int, folder: str) -> bytes:
    request = {"jsonrpc": "2.0", "id": number, "method": "hello", "params": {"traces_dir": folder}}
    return json.dumps(request).encode() + b"\n"


def answers(connection: socket.socket, count: int) -> dict[int, dict]:
    """The responses by id; notifications are dropped."""
    found = {}
    with connection.makefile("rb") as lines:
        while len(found) < count:
            message = json.loads(lines.readline())
            if "id" in message:
                found[message["id"]] = message
    return found


def watched(process: DaemonProcess) -> set[str]:
    return {watcher["traces_dir"] for watcher in process.call("get_status")["watchers"]}


def test_pipelined_hellos_are_done_in_order_and_end_nobody_elses_watch(process, tmp_path):
    folders = folders_in(tmp_path)
    with process.connect() as other:
        ask(other, "hello", {"traces_dir": folders[0]})
        for _ in range(ROUNDS):
            with process.connect() as client:
                client.sendall(b"".join(hello(number, folder) for number, folder in enumerate(folders)))
                told = answers(client, len(folders))
                assert [told[number]["result"]["traces_dir"] for number in range(4)] == folders
                status = ask(client, "get_status", {})["result"]
                (mine,) = [row for row in status["sessions"] if row["session"] == told[0]["result"]["session"]]
                assert mine["traces_dir"] == folders[-1]
                assert {row["traces_dir"] for row in status["watchers"]} & set(folders) == {folders[0], folders[-1]}
        until(lambda: watched(process) & set(folders) == {folders[0]}, "only the other client's folder is watched")
        assert ask(other, "list_traces", {})["result"]["traces"] == []
    until(lambda: not watched(process) & set(folders), "nothing is watched any more")


@pytest.mark.parametrize("framing", ["line", "editor"])
def test_clients_that_vanish_with_their_hello_leave_nothing(process, tmp_path, framing):
    folders = folders_in(tmp_path)
    with process.connect() as first:
        ask(first, "hello", {"traces_dir": folders[0]})
    until(lambda: not watched(process) & set(folders), "the folder is given back")
    threads = 0
    for _ in range(2):  # the first time pools of threads are filled
        for number in range(4 * ROUNDS):
            connection = process.connect()
            connection.sendall(said(framing, folders[number % 4]))
            if number % 3 == 0:
                connection.shutdown(socket.SHUT_WR)
            connection.close()
        until(lambda: not process.call("get_status")["sessions"][1:], "their sessions have ended")
        until(lambda: not watched(process) & set(folders), "nothing is watched any more")
        if not threads:
            until_steady(process)
            threads = psutil.Process(process.pid).num_threads()
    most = threads + watch_threads.LIMIT  # one for each client would be many more; the watches' own may come late
    until(lambda: psutil.Process(process.pid).num_threads() <= most, "their threads have ended")


def until_steady(process: DaemonProcess) -> None:
    """Wait until no thread ends any more."""
    counts: list[int] = []

    def steady() -> bool:
        counts.append(psutil.Process(process.pid).num_threads())
        return len(counts) > 50 and len(set(counts[-50:])) == 1

    until(steady, "threads go on ending")


def said(framing: str, folder: str) -> bytes:
    if framing == "line":
        return hello(1, folder) + hello(2, folder)
    options = {"processId": None, "capabilities": {}, "initializationOptions": {"traces_dir": folder}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": options}).encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def test_a_hello_that_is_cancelled_gives_its_folder_back(process, tmp_path):
    folders = folders_in(tmp_path)
    with process.connect() as client:
        for number in range(1, 4 * ROUNDS, 2):
            cancel = {"jsonrpc": "2.0", "id": number + 1, "method": "cancel", "params": {"id": number}}
            client.sendall(hello(number, folders[number % 4]) + json.dumps(cancel).encode() + b"\n")
            answers(client, 2)
        status = ask(client, "get_status", {})["result"]
        mine = {row["traces_dir"] for row in status["sessions"]}
        until(lambda: watched(process) & set(folders) <= mine, "only the folder in use is watched")
    until(lambda: not watched(process) & set(folders), "nothing is watched any more")


@pytest.mark.parametrize("wrong", ["no folder", "relative"])
def test_a_hello_whose_folder_is_refused_leaves_the_session_as_it_was(process, tmp_path, wrong):
    (tmp_path / "file").write_text("")
    mine = {"client_name": "first", "traces_dir": str(tmp_path / "mine"), "base_dir": str(tmp_path / "base")}
    other = {"client_name": "second", "traces_dir": str(tmp_path / "file") if wrong == "no folder" else "traces"}
    other |= {"base_dir": str(tmp_path / "another"), "notifications": True}

    def about_session(client: socket.socket) -> tuple[dict, dict]:
        said = ask(client, "hello", {"notifications": False})["result"]
        rows = ask(client, "get_status", {})["result"]["sessions"]
        (row,) = [row for row in rows if row["session"] == said["session"]]
        return said, {name: row[name] for name in ("name", "traces_dir", "names")}

    with process.connect() as client:
        ask(client, "hello", mine | {"model": {"source": "demo"}, "notifications": False})
        before = about_session(client)
        assert before[1] == {"name": "first", "traces_dir": mine["traces_dir"], "names": "demo"}
        refused = ask(client, "hello", other | {"model": {"source": "sft", "tag": "d12"}})
        assert refused["error"]["data"]["name"] == "STORAGE_FAILED"
        assert about_session(client) == before


def test_what_is_asked_behind_a_hello_is_of_its_folder_and_its_model(process, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "other.json").write_text('{"trace_id": "other", "prompt": "x"}')
    wrong = {"source": "sft", "tag": "d12"}
    asked = [
        ("hello", {"traces_dir": str(folder), "base_dir": str(tmp_path / "base"), "model": wrong}),
        ("list_traces", {}),
        ("generate_and_capture", {"prompt": "x", "max_tokens": 1}),
    ]
    messages = [{"jsonrpc": "2.0", "id": id, "method": m, "params": p} for id, (m, p) in enumerate(asked)]
    with process.connect() as client:
        client.sendall("".join(json.dumps(message) + "\n" for message in messages).encode())
        told = answers(client, len(asked))
    assert [row["trace_id"] for row in told[1]["result"]["traces"]] == ["other"]
    assert f"no sft checkpoint in {tmp_path / 'base'}" in told[2]["error"]["message"]
