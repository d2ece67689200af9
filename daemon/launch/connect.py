"""A client's way to a daemon that fits: the one that runs, or one that is started. Light, for the pump."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

from daemon.launch.dial import ask, connect
from daemon.run_folder import RunFolder, private_folder
from daemon.settings import Settings
from daemon.version import PACKAGE_VERSION, PROTOCOL_VERSION
from daemon.wire.introduction import introduction
from protocol.errors import RpcError

END_SECONDS = 20.0  # for a daemon to end: longer than its own deadline
ATTEMPTS = 10  # daemons may end while we look; each attempt starts at most one
OLDER = "INVALID_PARAMS"  # a daemon whose hello has fewer fields
NO_HELLO = ("METHOD_NOT_FOUND", OLDER)  # a daemon of long ago, or of another project
MISMATCH_ATTEMPTS, MISMATCH_SECONDS = 3, 0.2  # other clients that only look count as sessions for a moment


def connect_or_start(settings: Settings, client_name: str = "nanoscope") -> socket.socket:
    """A connection to a daemon that fits this client, started if there is none.

    Raises:
        RpcError: DAEMON_NOT_STARTED with what the daemon said; VERSION_MISMATCH where another one is in use;
            RUN_FOLDER_UNSAFE; what a daemon that cannot start reports.
    """
    folder = private_folder(settings.runtime_dir)
    try:
        for _ in range(ATTEMPTS):
            with contextlib.suppress(FileNotFoundError, ConnectionError):
                if _fits(folder, settings, client_name):
                    return connect(folder)
            from daemon.launch.spawn import start  # which needs more than the pump

            if start(settings, folder):
                with contextlib.suppress(FileNotFoundError, ConnectionError):
                    return connect(folder)  # it is of our version: nothing to compare
    except TimeoutError as error:
        raise RpcError("DAEMON_NOT_STARTED", str(error)) from error
    except OSError as error:
        raise RpcError("DAEMON_NOT_STARTED", f"The daemon in {folder.path} cannot be reached ({error}).") from error
    raise RpcError("DAEMON_NOT_STARTED", f"The daemon hangs up at once: look into {settings.log_file}.")


def _fits(folder: RunFolder, settings: Settings, client_name: str) -> bool:
    """Whether the running daemon fits; one that does not, and that nobody uses, is asked to end and awaited."""
    attempts = 0
    while True:
        with connect(folder) as control:
            error = _error_of(ask(control, "hello", _hello(settings, client_name)))
            if error is None:
                return True
            if _has_ended(control, error):
                return False
        attempts += 1
        if attempts == MISMATCH_ATTEMPTS:
            raise error
        time.sleep(MISMATCH_SECONDS)


def _has_ended(control: socket.socket, error: RpcError) -> bool:
    """Whether a daemon that does not fit is gone now; raises what else is wrong with it."""
    if error.name not in ("VERSION_MISMATCH", "SHUTTING_DOWN", OLDER):
        raise _refusal(error)
    if error.name == OLDER and _error_of(ask(control, "shutdown", {})) is not None:
        raise _refusal(error)
    if error.name == "VERSION_MISMATCH":
        used = error.data.get("sessions") != 0 or error.data.get("jobs") != 0
        if used or _error_of(ask(control, "shutdown", {})) is not None:
            return False
    _await_end(control)
    return True


def _hello(settings: Settings, client_name: str) -> dict[str, Any]:
    return {
        "protocol_version": PROTOCOL_VERSION,
        "package_version": PACKAGE_VERSION,
        "client_name": client_name,
        "notifications": False,
        "base_dir": introduction(settings)["base_dir"],  # which a daemon that knows of no named models refuses
    }


def _error_of(response: dict[str, Any]) -> RpcError | None:
    error = response.get("error")
    return None if error is None else RpcError.from_json(error)


def _await_end(control: socket.socket) -> None:
    """Wait until the daemon has hung up; its successor waits for the lifetime lock on its own."""
    control.settimeout(END_SECONDS)
    with contextlib.suppress(ConnectionError):
        while control.recv(4096):
            pass


def _refusal(error: RpcError) -> RpcError:
    """What to tell the user where a hello fails for another reason than that versions differ."""
    if error.name not in NO_HELLO:
        return error
    return RpcError(
        "VERSION_MISMATCH",
        f"The daemon does not know this client's hello ({error}). Run `nanoscope stop --force`; the next command "
        "starts one that fits.",
    )
