"""However many folders are watched: a few threads, one inotify instance, and every change is told."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import psutil

from daemon.launch.dial import ask
from nanochat.trace_storage import TraceStorage
from tests.daemon.running import running_daemon
from tests.daemon.waiting import until

FOLDERS = 200
THREADS = 40  # of the whole daemon, torch's included


def opened_by(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # it comes and goes
            found.append(os.readlink(descriptor))
    return found


def test_two_hundred_folders(tmp_path):
    paths = [tmp_path / f"folder {number}" for number in range(FOLDERS)]
    for path in paths:
        path.mkdir()
    storage = TraceStorage(tmp_path / "one", catalogue=tmp_path / "catalogue.sqlite3")
    trace = storage.path_of(storage.create_trace({"prompt": "a", "response": "b"}, {}))
    with running_daemon() as process, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(process.connect()) for _ in paths]
        for client, path in zip(clients, paths, strict=True):
            ask(client, "hello", {"traces_dir": str(path)})
            assert ask(client, "list_traces", {})["result"]["traces"] == []
        daemon = psutil.Process(process.pid)

        def watched() -> dict[str, dict]:
            return {row["traces_dir"]: row for row in process.call("get_status")["watchers"]}

        until(lambda: all(watched()[str(path)]["method"] == "events" for path in paths), "all have events")
        assert daemon.num_threads() < THREADS
        assert [opened for opened in opened_by(process.pid) if "inotify" in opened] == ["anon_inode:inotify"]
        for path, client in list(zip(paths, clients, strict=True))[::40]:
            shutil.copy2(trace, path / trace.name)
            with client.makefile("rb") as lines:
                told = (json.loads(line) for line in lines)
                change = next(message["params"] for message in told if message.get("method") == "traces_changed")
            assert (change["traces_dir"], change["added"]) == (str(path), [trace.stem])
        assert daemon.num_threads() < THREADS
        stack.close()
        until(lambda: not set(map(str, paths)) & set(watched()), "nothing is watched any more")
