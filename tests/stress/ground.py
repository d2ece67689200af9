"""A daemon's own place for a stress test: private folders, its processes as the system sees them, and a sure end."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from daemon.launch.connect import connect_or_start
from daemon.launch.dial import connect
from daemon.run_folder import RunFolder
from daemon.settings import Settings, environment_of, load_settings
from protocol.errors import RpcError
from tests.stress.wire_client import WireClient

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
SERVED_SECONDS = 60.0  # a cold start on a busy machine included
END_SECONDS = 30.0
LOOK_SECONDS = 0.02
Stream = int | IO[bytes]


@dataclass
class Report:
    """What a stress test measured, and what was not as it should be."""

    figures: dict[str, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def expect(self, truth: object, failure: str) -> None:
        """Take note of a failure unless something holds."""
        if not truth:
            self.failures.append(failure)


@dataclass(frozen=True)
class Ground:
    """Folders of its own; a daemon runs here as soon as a client comes."""

    folder: Path
    settings: Settings
    environment: dict[str, str]

    @property
    def run_folder(self) -> RunFolder:
        """Where the socket and the locks are."""
        return RunFolder(self.settings.runtime_dir)

    def connect(self) -> socket.socket:
        """A connection without a word said, to a daemon that is started if need be."""
        return connect_or_start(self.settings, "stress")

    def client(self, framing: str = "line", name: str = "stress", **introduction: Any) -> WireClient:
        """A client that has said who it is, of a daemon that is started if need be.

        Raises:
            OSError: the connection was lost; RpcError: no daemon could be started, or it refused.
        """
        client = WireClient(connect_or_start(self.settings, name), framing)
        try:
            client.introduce(name, **introduction)
        except BaseException:
            client.close()
            raise
        return client

    def served(self, seconds: float = SERVED_SECONDS) -> float:
        """Wait until a new client is answered, trying again where the daemon dies meanwhile; how long that took.

        Raises:
            TimeoutError: nobody was served.
        """
        begun = time.monotonic()
        error: Exception | None = None
        while time.monotonic() - begun < seconds:
            try:
                with self.client(name="next") as client:
                    client.call("get_status", seconds=seconds)
                    return time.monotonic() - begun
            except (OSError, RpcError) as trouble:
                error = trouble
                time.sleep(LOOK_SECONDS)
        raise TimeoutError(f"no client was served for {seconds:.0f} s; the last one: {error!r}")

    def command(self, *words: str, stdin: Stream, stdout: Stream) -> subprocess.Popen[bytes]:
        """A `nanoscope` command as a process; what it says on stderr is dropped."""
        return subprocess.Popen(
            [sys.executable, "-m", "daemon", *words],
            env=self.environment,
            cwd=ROOT,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.DEVNULL,
        )

    def processes(self) -> list[psutil.Process]:
        """All processes that were started for this place and still run."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            ours = process.environ().get("NANOSCOPE_RUNTIME_DIR") == str(self.settings.runtime_dir)
            return ours and process.status() != psutil.STATUS_ZOMBIE
        return False

    def daemons(self) -> list[psutil.Process]:
        """The daemons among them: one, or while one follows another, two."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if "serve" in process.cmdline():
                    found.append(process)
        return found

    def stop(self) -> None:
        """End the daemon in good order, then whatever is left of it by force."""
        with contextlib.suppress(OSError, RpcError), WireClient(connect(self.run_folder)) as client:
            client.call("shutdown", {"force": True})
        _, alive = psutil.wait_procs(self.daemons(), END_SECONDS)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, END_SECONDS)


@contextlib.contextmanager
def ground(parent: Path | None = None, **flags: str) -> Iterator[Ground]:
    """A place with the built-in model.

    Args:
        parent: where to make its folder, the temporary folder by default; its path should be short.
        flags: any setting, as text.
    """
    folder = Path(tempfile.mkdtemp(prefix="nanoscope-", dir=parent))
    before = dict(os.environ)
    environment = {name: value for name, value in before.items() if not name.startswith("NANOSCOPE_")}
    environment |= {name: str(folder / name.lower()) for name in FOLDERS} | {"OMP_NUM_THREADS": "1"}
    (folder / "xdg_runtime_dir").mkdir(mode=0o700)
    own = {
        "runtime_dir": str(folder / "run"),
        "traces_dir": str(folder / "traces"),
        "log_file": str(folder / "daemon.log"),
        "base_dir": str(folder / "nanochat"),
        "source": "demo",
        "device": "cpu",
    }
    settings, _ = load_settings(own | flags, environment, folder / "no config file")
    here = Ground(folder, settings, environment | environment_of(settings))
    os.environ.clear()
    os.environ.update(here.environment)  # for the daemon that this process starts, and for this process's catalogue
    try:
        yield here
    finally:
        here.stop()
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent do not exceed, in milliseconds from seconds."""
    ordered = sorted(values)
    return round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))], 2)
