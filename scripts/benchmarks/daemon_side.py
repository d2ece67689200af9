"""A daemon of its own for a measurement: in folders of its own, with the built-in model, and surely ended."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from daemon.launch.connect import connect_or_start
from daemon.launch.dial import connect
from daemon.run_folder import private_folder
from daemon.settings import Settings, environment_of
from scripts.line_client import LineClient

END_SECONDS = 20.0


@dataclass(frozen=True)
class DaemonSide:
    """Where the daemon is, and how to reach it."""

    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        """With which any command of ours finds this daemon."""
        cache = str(self.settings.runtime_dir.parent / "cache")
        return dict(os.environ) | environment_of(self.settings) | {"XDG_CACHE_HOME": cache}

    def client(self) -> LineClient:
        """A connection to it, started if need be."""
        return LineClient(connect_or_start(self.settings, "benchmark"))

    def pump(self, *flags: str) -> subprocess.Popen[bytes]:
        """`nanoscope stdio` as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "daemon", "stdio", *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.environment,
        )  # fmt: skip

    def ready(self, client: LineClient) -> None:
        """Wait until the model is there."""
        while (state := client.call("get_status")["model"]["state"]) != "ready":
            if state == "failed":
                raise RuntimeError("The model could not be loaded.")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, and wait until its process is gone."""
        folder = private_folder(self.settings.runtime_dir)
        try:
            client = LineClient(connect(folder))
        except (FileNotFoundError, ConnectionError):
            return
        pid = client.call("get_status")["pid"]
        client.call("shutdown", {"force": True})
        client.close()
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline and os.path.exists(f"/proc/{pid}"):
            time.sleep(0.02)


@contextmanager
def daemon_side(work: Path, traces_dir: Path | None = None) -> Iterator[DaemonSide]:
    """A daemon's place; nothing runs before the first client."""
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="nanoscope-") as folder:
        root = Path(folder)
        settings = Settings(
            traces_dir=traces_dir or work / "traces",
            runtime_dir=root / "run",
            log_file=work / "daemon.log",
            source="demo",
            device="cpu",
        )
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = str(root / "cache")  # its catalogue too is its own
        side = DaemonSide(settings)
        try:
            yield side
        finally:
            side.stop()
            if before is None:
                os.environ.pop("XDG_CACHE_HOME", None)
            else:
                os.environ["XDG_CACHE_HOME"] = before
