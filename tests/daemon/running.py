"""A real daemon of its own for a test: private folders, the built-in model, and always ended."""

import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from daemon.launch.connect import connect_or_start
from daemon.launch.dial import ask, connect
from daemon.run_folder import RunFolder
from daemon.settings import Settings, environment_of, load_settings
from protocol.errors import RpcError

END_SECONDS = 20.0
FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")


@dataclass(frozen=True)
class DaemonProcess:
    """A running daemon, and how to reach it."""

    settings: Settings
    environment: dict[str, str]  # for child processes: they find this daemon, and nothing of the user's
    pid: int

    @property
    def folder(self) -> RunFolder:
        """Its socket and locks."""
        return RunFolder(self.settings.runtime_dir)

    def connect(self) -> socket.socket:
        """A new connection, without a word said."""
        connection = connect(self.folder)
        connection.settimeout(END_SECONDS)
        return connection

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """The result of one call by the script connection on a connection of its own; raises RpcError."""
        with self.connect() as connection:
            response = ask(connection, method, dict(params or {}))
        if "error" in response:
            raise RpcError.from_json(response["error"])
        return response["result"]

    def wait(self) -> None:
        """Wait until it has ended."""
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(self.pid).wait(END_SECONDS)


@contextlib.contextmanager
def private_environment() -> Iterator[tuple[Path, dict[str, str]]]:
    """A short temporary folder, and an environment whose every nanoscope file lies in it."""
    folder = Path(tempfile.mkdtemp(prefix="nanoscope-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NANOSCOPE_")}
    environment |= {name: str(folder / name.lower()) for name in FOLDERS}
    environment |= {"OMP_NUM_THREADS": "1"}
    (folder / "xdg_runtime_dir").mkdir(mode=0o700)
    try:
        yield folder, environment
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def private_settings(**flags: str) -> Iterator[tuple[Settings, dict[str, str]]]:
    """Settings in a temporary folder with the built-in model, the environment that gives them, and no daemon left over.

    Args:
        flags: any setting, as text.
    """
    with private_environment() as (folder, environment):
        own = {
            "runtime_dir": str(folder / "run"),
            "traces_dir": str(folder / "traces"),
            "log_file": str(folder / "log" / "daemon.log"),
            "source": "demo",
            "device": "cpu",
        }
        settings, _ = load_settings(own | flags, environment, folder / "no config file")
        try:
            yield settings, environment | environment_of(settings)
        finally:
            end_daemons(settings.runtime_dir)


def daemons_in(runtime_dir: Path) -> list[psutil.Process]:
    """The daemons of a run folder, found by their environment: those without a socket too."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("NANOSCOPE_RUNTIME_DIR") == str(runtime_dir) and "serve" in process.cmdline():
                found.append(process)
    return found


def end_daemons(runtime_dir: Path) -> None:
    """End every daemon of a run folder, the stuck ones by force."""
    for process in daemons_in(runtime_dir):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_SECONDS)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(END_SECONDS)


@contextlib.contextmanager
def running_daemon(**flags: str) -> Iterator[DaemonProcess]:
    """A daemon with private folders and the built-in model, ended at the end; `flags`: any setting, as text."""
    with private_settings(**flags) as (settings, environment), environment_set_to(environment):
        with connect_or_start(settings) as connection:
            pid = ask(connection, "get_status", {})["result"]["pid"]
        yield DaemonProcess(settings, environment, pid)


@contextlib.contextmanager
def environment_set_to(environment: Mapping[str, str]) -> Iterator[None]:
    """This process's environment replaced for a while."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
