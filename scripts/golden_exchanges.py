"""Golden exchanges: play an example to a daemon, put what differs from run to run at fixed values, and compare."""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.stress.wire_client import WireClient

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE_FOLDER = ROOT / "tests" / "data" / "example_trace"
EXAMPLE_ID = "trace_20260101_120000_000000"
EXAMPLE_TIME = "2026-01-01T12:00:00.000000+00:00"
DAMAGED_ID = "trace_20260101_110000_000000"
LONG_AGO = 1767265200  # seconds; 2026-01-01 11:00 UTC
NEW_ID = "trace_20260102_090000_000000"
NEW_TIME = "2026-01-02T09:00:00.000000+00:00"
CLIENT_NAME = "example"
REQUEST = 1  # the id of every request that is played
TRACES = "/home/ada/traces"
TIMING = 0.012345
WAIT_SECONDS = 10.0
RELATIVE, ABSOLUTE = 1e-3, 1e-4

# What differs from run to run, by the key it stands under.
VOLATILE: dict[str, Any] = {
    "package_version": "0.2.0",
    "pid": 4242,
    "session": 3,
    "uptime": 61.5,
    "seconds": 1.5,
    "sessions_ended": 1,
    "loop_lag": 0.2,
    "memory": 402653184,
    "request": REQUEST,
    "door": "line",
    "traces": 2,
    "names": "",
    "cursor": "WzEuNzY3MjY4OGU5LCJ0cmFjZV8yMDI2MDEwMV8xMjAwMDBfMDAwMDAwIl0",
}
# In errors and in one method's results.
VOLATILE_IN: dict[str, dict[str, Any]] = {
    "hello": {"sessions": 0, "jobs": 0},
    "rpc.discover": {"methods": [], "components": {}, "x-notifications": [], "x-metrics": {}},
    "status_changed": {"sessions": 2, "running": True, "waiting": 0},
}


@dataclass(frozen=True)
class Scene:
    """What one method's examples are played on: a traces folder of their own, and where things really lie."""

    traces: Path
    places: Mapping[str, str]  # what a path is called in an example: what it is

    def real(self, value: Any) -> Any:
        """An example's params with real paths."""
        return _mapped(value, lambda text: _replaced(text, self.places))


@dataclass(frozen=True)
class Pushed:
    """A notification that is an example: when it comes, which one of its kind, and what it says."""

    name: str
    method: str
    example: str
    note: str
    is_it: Callable[[dict[str, Any]], bool] = lambda params: True

    def wait(self, client: WireClient, scene: Scene) -> Any:
        """Its params, normalised."""
        while True:
            for told in client.notifications:
                if told["method"] == self.name and self.is_it(told["params"]):
                    return normalised(self.name, told["params"], scene)
            client.notifications.append(client.receive(WAIT_SECONDS))


BUILT_IN = "The built-in model."
STREAMED = "Three tokens, of one layer two sites, each token told as it comes."
PUSHED: dict[str, Pushed] = {
    row.name: row
    for row in (
        Pushed(
            "request_progress",
            "generate_and_capture",
            STREAMED,
            "The generation begins.",
            lambda params: params["state"] == "running",
        ),
        Pushed("generation_progress", "generate_and_capture", STREAMED, "The first token of three."),
        Pushed("traces_changed", "generate_and_capture", STREAMED, "The trace that was captured."),
        Pushed("status_changed", "generate_and_capture", STREAMED, "The model is at work."),
        Pushed(
            "model_changed",
            "load_model",
            BUILT_IN,
            "It is being loaded.",
            lambda params: params["model"]["state"] == "loading",
        ),
    )
}


def make_scene(method: str, folder: Path, log_file: Path) -> Scene:
    """A traces folder with one good trace and a damaged one.

    Args:
        method: whose examples.
        folder: to make the traces folder in.
        log_file: the daemon's.
    """
    traces = folder / f"traces of {method}"
    traces.mkdir()
    shutil.copy(EXAMPLE_FOLDER / f"{EXAMPLE_ID}.safetensors", traces)
    (traces / f"{DAMAGED_ID}.json").write_text(f'{{"trace_id": "{DAMAGED_ID}", "prompt": "The cap')
    for path in traces.iterdir():
        os.utime(path, (LONG_AGO, LONG_AGO))  # what was written just now might still be being written
    places = {
        TRACES: str(traces),
        "/home/ada/.local/state/nanoscope/daemon.log": str(log_file),
        "/home/ada/.cache/nanochat": str(folder / "nanochat"),
        "/home/ada/nanoscope": str(ROOT),
        "/home/ada": str(folder),
    }
    return Scene(traces, places)


def play(client: WireClient, scene: Scene, method: str, example: Mapping[str, Any]) -> dict[str, Any]:
    """Ask what an example asks; what was answered, {"result"} or {"error"}, as an example has it.

    An editor's `shutdown` is its session's; the method of that name it has as a command.
    """
    during = example.get("during")
    if during:
        client.send(during["method"], scene.real(during["params"]), during["id"])
        client.notification("generation_progress")
    params = scene.real(example["params"])
    if client.framing == "editor" and method == "shutdown":
        command = {"command": "nanoscope.shutdown", "arguments": [params]}
        response = client.answer(client.send("workspace/executeCommand", command))
    else:
        response = client.answer(client.send(method, params))
    if during:
        assert client.answer(during["id"])["error"]["data"]["name"] == "CANCELLED"
    return normalised(method, {key: response[key] for key in ("result", "error") if key in response}, scene)


def normalised(method: str, value: Any, scene: Scene) -> Any:
    """A value from the wire with everything that differs from run to run at a fixed value."""
    value = _of_scene(value, str(scene.traces))
    real = {path: name for name, path in sorted(scene.places.items(), key=lambda item: -len(item[1]))}
    value = _mapped(value, lambda text: _settled(_replaced(text, real)))
    return _steadied(value, VOLATILE | VOLATILE_IN.get(method, {}))


def _of_scene(value: Any, traces: str) -> Any:
    """Without the sessions and watched folders of others."""
    if isinstance(value, dict):
        return {
            key: [row for row in item if row["traces_dir"] == traces]
            if key in ("sessions", "watchers") and isinstance(item, list)
            else _of_scene(item, traces)
            for key, item in value.items()
        }
    return value


def _settled(text: str) -> str:
    text = re.sub(r"trace_(?!20260101)\d{8}_\d{6}_\d{6}(_\d+)?", NEW_ID, text)
    text = re.sub(r"^(?!2026-01-01)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?[+-]\d\d:\d\d$", NEW_TIME, text)
    return re.sub(r"\bpid \d+", f"pid {VOLATILE['pid']}", text)


def _steadied(value: Any, volatile: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_steadied(item, volatile) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: volatile[key]
        if key in volatile and type(item) is type(volatile[key])
        else {name: item and TIMING for name, item in item.items()}
        if key == "timings"
        else _steadied(item, volatile)
        for key, item in value.items()
    }


def _mapped(value: Any, function: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return function(value)
    if isinstance(value, list):
        return [_mapped(item, function) for item in value]
    if isinstance(value, dict):
        return {key: _mapped(item, function) for key, item in value.items()}
    return value


def _replaced(text: str, words: Mapping[str, str]) -> str:
    for word, other in words.items():
        text = text.replace(word, other)
    return text


def differences(expected: Any, actual: Any, path: str = "$") -> list[str]:
    """Where two values differ; floats may, a little."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        odd = [f"{path}.{key} is in one alone" for key in sorted(expected.keys() ^ actual.keys())]
        common = expected.keys() & actual.keys()
        return odd + [at for key in common for at in differences(expected[key], actual[key], f"{path}.{key}")]
    if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        pairs = enumerate(zip(expected, actual, strict=True))
        return [at for number, (one, other) in pairs for at in differences(one, other, f"{path}[{number}]")]
    if isinstance(expected, float) and isinstance(actual, float):
        same = math.isclose(expected, actual, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    else:
        same = type(expected) is type(actual) and expected == actual
    return [] if same else [f"{path}: {expected!r} expected, {actual!r} came"]
