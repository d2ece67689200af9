"""What `nanoscope doctor` looks at first: the installation, the run folder, the daemon, its log."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from daemon.doctor.finding import Check, DoctorContext, Finding, why_not_made
from daemon.launch.dial import ask, connect
from daemon.launch.stop import holders
from daemon.log_lines import last_lines
from daemon.own_log import is_log
from daemon.run_folder import LONGEST_SOCKET_PATH, SOCKET_NAME, RunFolder, private_folder
from daemon.version import PACKAGE_VERSION, PROTOCOL_VERSION
from protocol.errors import RpcError

OLDEST_PYTHON = (3, 11)
ANSWER_SECONDS = 5.0
LOG_LINES = 500
REINSTALL = "Install nanoscope again: `pip install -e .` in its folder, or `pip install --upgrade nanoscope`."
NAMES = ("daemon", "nanochat", "protocol")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACES = """
import importlib.util, sys
for name in sys.argv[1:]:
    spec = importlib.util.find_spec(name)
    print(next(iter(spec.submodule_search_locations or [spec.origin])) if spec else "")
"""
FOREIGN = (
    "Commands of nanoscope take their own all the same. For programs, install nanoscope into an environment of its own "
    "(`uv tool install`, `pipx install`), or have them call `nanoscope.own_packages_first()` before they import."
)
STOP = "Run `nanoscope stop --force`; the next command starts another."


def check_python(context: DoctorContext) -> Iterator[Finding]:
    """The interpreter and the packages that nanoscope asks for."""
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        yield Finding("python", "fault", f"{found}: too old.", f"Use Python {wanted} or newer.")
    else:
        yield Finding("python", "ok", f"{found}.")
    try:
        needed = requires("nanoscope") or []
    except PackageNotFoundError:
        yield Finding("packages", "warning", "nanoscope is run from its folder, without being installed.", REINSTALL)
        return
    problems = [problem for requirement in needed if (problem := _problem_of(requirement))]
    if problems:
        yield Finding("packages", "fault", f"{'; '.join(problems)}.", REINSTALL)
    else:
        yield Finding("packages", "ok", f"nanoscope {PACKAGE_VERSION}, torch {version('torch')}, all that it needs.")


def _problem_of(requirement: str) -> str | None:
    """What is wrong with a package such as "rich>=13.9"; extras are none of our business."""
    match = re.match(r"([A-Za-z0-9._-]+)\s*(?:>=\s*([0-9.]+))?", requirement)
    if match is None or "extra ==" in requirement:
        return None
    name, least = match.groups()
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    return f"{name} {found} is older than {least}" if least and _numbers(found) < _numbers(least) else None


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text.split("+")[0])]


def check_names(context: DoctorContext) -> Iterator[Finding]:
    """Whether programs that are started here get nanoscope's packages: other projects have some of the same names."""
    command = [sys.executable, "-c", PLACES, *NAMES]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=ANSWER_SECONDS)
    foreign = False
    for name, place in zip(NAMES, done.stdout.splitlines(), strict=True):
        if place and os.path.realpath(place) != os.path.realpath(os.path.join(ROOT, name)):
            foreign = True
            yield Finding("names", "warning", f"`import {name}` gives {place} here, which is not nanoscope's.", FOREIGN)
    if not foreign:
        yield Finding("names", "ok", f"No other project has {', '.join(NAMES)} here.")


def check_run_folder(context: DoctorContext) -> Iterator[Finding]:
    """The folder of the socket, which must be this user's alone."""
    path = context.settings.runtime_dir
    remedy = "Set runtime_dir to a folder of your own (NANOSCOPE_RUNTIME_DIR, --runtime-dir, config.toml)."
    if os.path.lexists(path):
        try:
            private_folder(path)
        except RpcError as error:
            fault = f"{error.message.partition('. ')[0].rstrip('.')}."  # the rest is what to do
            yield Finding("run folder", "fault", fault, _run_folder_remedy(path, remedy))
            return
        yield Finding("run folder", "ok", f"{path}, yours alone.")
        return
    if len(os.fsencode(path / SOCKET_NAME)) > LONGEST_SOCKET_PATH:
        found = f"{path} is too long a name: its socket's may have {LONGEST_SOCKET_PATH} bytes."
        yield Finding("run folder", "fault", found, remedy)
        return
    if problem := why_not_made(path):
        yield Finding("run folder", "fault", problem, remedy)
    else:
        yield Finding("run folder", "ok", f"{path} will be made by the first start.")


def _run_folder_remedy(path: Path, otherwise: str) -> str:
    status = os.lstat(path)
    own = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    if own and path.is_dir() and not path.is_symlink():
        return f"Look at what is in it, then `chmod 700 {path}`."
    return otherwise


def check_daemon(context: DoctorContext) -> Iterator[Finding]:
    """Whether one runs, answers, is of this version, and holds its model."""
    folder = RunFolder(context.settings.runtime_dir)
    try:
        with connect(folder) as connection:
            response = ask(connection, "get_status", {"settings": True, "checkpoint": True}, ANSWER_SECONDS)
            if response.get("error", {}).get("data", {}).get("name") == "INVALID_PARAMS":  # a daemon of long ago
                response = ask(connection, "get_status", {}, ANSWER_SECONDS)
    except FileNotFoundError:
        yield _unreachable(folder, "No daemon runs; the next command that needs one starts it.", "ok")
    except ConnectionRefusedError:
        found = f"Nobody listens at {folder.socket}: a daemon was killed."
        yield _unreachable(folder, found, "warning", "Nothing: the next command removes it, or `nanoscope start` now.")
    except (TimeoutError, ConnectionError) as error:
        yield Finding("daemon", "fault", f"The daemon at {folder.socket} does not answer ({error}).", STOP)
    except OSError as error:
        yield Finding("daemon", "fault", f"{folder.socket} cannot be reached ({error}).", "Check whose it is.")
    else:
        yield from _answering(context, response)


def _unreachable(folder: RunFolder, found: str, state: Any, remedy: str = "") -> Finding:
    if os.access(folder.lifetime_lock, os.R_OK) and (stuck := holders(folder)):
        pids = ", ".join(str(process.pid) for process in stuck)
        return Finding("daemon", "fault", f"Process {pids} is a daemon that takes no clients.", STOP)
    return Finding("daemon", state, found, remedy)


def _answering(context: DoctorContext, response: dict[str, Any]) -> Iterator[Finding]:
    status = response.get("result")
    if not isinstance(status, dict):
        yield Finding("daemon", "fault", f"The daemon answers {response.get('error')}.", STOP)
        return
    theirs = (status.get("package_version"), status.get("protocol_version"))
    if theirs != (PACKAGE_VERSION, PROTOCOL_VERSION):
        found = f"The daemon (pid {status.get('pid')}) is nanoscope {theirs[0]}, protocol {theirs[1]}; this is "
        yield Finding("daemon", "fault", f"{found}{PACKAGE_VERSION}, protocol {PROTOCOL_VERSION}.", STOP)
        return
    yield Finding("daemon", "ok", f"pid {status['pid']} answers, of this version.")
    model = status["model"]
    if model["state"] == "failed":
        yield Finding("model", "fault", f"{model['error']}", "Put that right, or `nanoscope load demo` meanwhile.")
    elif model.get("path"):
        named = " ".join(dict.fromkeys(filter(None, (model["source"], model["tag"]))))
        found = f"The daemon holds {named} step {model['step']}, era {model['era']} ({model['path']})."
        changed = model.get("outdated")
        yield Finding("model", "warning" if changed else "ok", f"{found} {changed or ''}".strip())
    yield from _base_folders(context, status)
    for watcher in status["watchers"]:
        if not watcher["healthy"]:
            remedy = "Put that right; until then the folder is looked at once a minute."
            yield Finding("watching", "warning", f"{watcher['traces_dir']}: {watcher['note']}", remedy)


def _base_folders(context: DoctorContext, status: dict[str, Any]) -> Iterator[Finding]:
    """Where this client's models come from, where the daemon was started for another folder."""
    settings = {row["name"]: row["value"] for row in status.get("settings") or []}
    ours, theirs = context.settings.base_folder(), settings.get("base_dir")
    if not theirs or os.path.realpath(theirs) == os.path.realpath(ours):
        return
    found = f"The daemon was started for nanochat's folder {theirs}; here it is {ours} ({context.origins['base_dir']})"
    if context.settings.base_dir is None:
        remedy = f"Set NANOCHAT_BASE_DIR here too where {theirs} is meant."
        yield Finding("base folder", "warning", f"{found}, and whichever model is held answers.", remedy)
    else:
        yield Finding("base folder", "ok", f"{found}, and a model of this one answers.")


def check_log(context: DoctorContext) -> Iterator[Finding]:
    """Whether the log can be written, and what it complains of."""
    path = context.settings.log_file
    remedy = "Set log_file to a place that you may write to."
    if not path.exists():
        if problem := why_not_made(path):
            yield Finding("log", "warning", problem, remedy)
        else:
            yield Finding("log", "ok", f"{path} will be made by the first start.")
        return
    if not os.access(path, os.W_OK):
        yield Finding("log", "warning", f"{path} may not be written to.", remedy)
        return
    if not is_log(path):
        yield Finding("log", "warning", f"{path} is there already, and no log of the daemon's.", remedy)
        return
    errors = [line.strip() for line in last_lines(path, LOG_LINES) if " ERROR " in line or " CRITICAL " in line]
    if errors:
        found = f"{path} has {len(errors)} errors in its last {LOG_LINES} lines, at last: {errors[-1]}"
        yield Finding("log", "warning", found, "Read it with `nanoscope logs`.")
    else:
        yield Finding("log", "ok", f"{path}, no errors lately.")


CHECKS: dict[str, Check] = {
    "python": check_python,
    "names": check_names,
    "run folder": check_run_folder,
    "daemon": check_daemon,
    "log": check_log,
}
