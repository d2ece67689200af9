"""A trace copied in, edited in and removed from the folder by any program shows in every client within a second."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nanochat.trace_storage import TraceStorage
from tests.daemon.running import DaemonProcess
from tests.stress.wire_client import FRAMINGS, WireClient

WITHIN = 1.0  # seconds
PROMPT = "What an editor will change"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="cp, mv and rm are not here")


@dataclass
class Scene:
    """A daemon, two clients that listen, and a trace outside the folder."""

    process: DaemonProcess
    clients: list[WireClient]
    outside: Path

    @property
    def inside(self) -> Path:
        """Where the trace comes to lie."""
        return self.process.settings.traces_dir / self.outside.name

    def happens(self, kind: str, act: Callable[[], object], name: str | None = None) -> None:
        """Do something to the folder; each client is told of it within a second from its end, and lists what is so."""
        trace_id = (name or self.outside.name).split(".")[0]
        act()
        begun = time.monotonic()
        for client in self.clients:
            while trace_id not in client.notification("traces_changed", 10)[kind]:
                pass
            assert time.monotonic() - begun < WITHIN
        for client in self.clients:
            listed = {row["trace_id"] for row in client.call("list_traces")["traces"] if row["readable"]}
            assert (trace_id in listed) == (kind != "removed")


@pytest.fixture
def scene(daemon_process, tmp_path) -> Iterator[Scene]:
    """The daemon watches the folder already."""
    storage = TraceStorage(tmp_path, catalogue=tmp_path / "catalogue.sqlite3")
    outside = storage.path_of(storage.create_trace({"prompt": PROMPT, "response": ""}, {}))
    daemon_process.settings.traces_dir.mkdir()
    with (
        WireClient(daemon_process.connect(), FRAMINGS[0]) as line,
        WireClient(daemon_process.connect(), FRAMINGS[1]) as editor,
    ):
        for client in (line, editor):
            client.introduce("listener")
        while line.call("get_status")["watchers"][0]["note"]:  # that there is no folder yet
            pass
        yield Scene(daemon_process, [line, editor], outside)


def run(*words: object) -> Callable[[], object]:
    """A program that changes the folder."""
    return lambda: subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=10)


def test_copied_in_and_removed(scene):
    scene.happens("added", run("cp", scene.outside, scene.inside))
    scene.happens("removed", run("rm", scene.inside))


def test_moved_in_renamed_and_moved_out(scene):
    other = scene.inside.with_name("trace_renamed.json")
    scene.happens("added", run("mv", scene.outside, scene.inside))
    scene.happens("added", run("mv", scene.inside, other), other.name)
    scene.happens("removed", run("mv", other, scene.outside), other.name)


def test_saved_by_an_editor(scene):
    """Neovim writes in place or by a new file of the same name, as `backupcopy` says."""
    assert shutil.which("nvim"), "install Neovim (Debian: apt-get install neovim)"
    scene.happens("added", run("cp", scene.outside, scene.inside))
    for way, words in (("yes", "An editor changed this"), ("no", "An editor changed this again")):
        change = f'%s/^\\(.*"prompt":\\s*"\\)[^"]*/\\1{words}/'
        editor = ["nvim", "--headless", "-u", "NONE", "-n", "-c", f"set backupcopy={way}", "-c", change, "-c", "wq"]
        scene.happens("changed", run(*editor, scene.inside))
        rows = scene.clients[0].call("list_traces")["traces"]
        assert [row["prompt"] for row in rows] == [words]


def test_written_aside_and_renamed_over(scene):
    scene.happens("added", run("cp", scene.outside, scene.inside))
    aside = scene.inside.with_name(".aside.swp")
    text = scene.outside.read_text().replace(PROMPT, "Renamed over the old one")

    def save() -> None:
        aside.write_text(text)
        os.replace(aside, scene.inside)

    scene.happens("changed", save)
    assert [row["prompt"] for row in scene.clients[1].call("list_traces")["traces"]] == ["Renamed over the old one"]
