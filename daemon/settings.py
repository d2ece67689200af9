"""Every setting: one frozen dataclass, read once at the entry from flags, the environment and config.toml."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from daemon.run_folder import HAS_UNIX_SOCKETS, default_folder
from nanochat.system.current_folder import DELETED, is_deleted
from protocol.errors import RpcError
from protocol.trace_formats import FORMATS

SOURCES = ("base", "mid", "sft", "rl", "demo")
ERAS = ("A", "Ap", "B", "C", "D", "E", "F")
DTYPES = ("float32", "bfloat16", "float16")
MODEL_SETTINGS = ("source", "model_tag", "step", "era", "device", "dtype", "window_pattern")  # base_dir besides
PREFIX = "NANOSCOPE_"
BASE_DIR = "~/.cache/nanochat"  # nanochat's own choice, here without importing it
_TRUTH = {
    word: value for value, words in ((True, "1 true yes on"), (False, "0 false no off")) for word in words.split()
}


@dataclass(frozen=True)
class Settings:
    """How a daemon runs, and how its clients find it. None: chosen when the model is loaded."""

    traces_dir: Path
    runtime_dir: Path
    log_file: Path
    source: str | None = None  # sft where there is one, else demo
    model_tag: str | None = None
    step: int | None = None
    era: str | None = None
    device: str | None = None
    dtype: str | None = None
    base_dir: Path | None = None  # nanochat's
    window_pattern: str | None = None
    format: str = "json"
    idle_timeout: float = 1800.0  # seconds; 0: never
    queue_limit: int = 64  # waiting generations, of all clients together
    tcp: bool = not HAS_UNIX_SOCKETS
    polling: bool = False

    def base_folder(self) -> Path:
        """nanochat's base folder: as given, else where nanochat itself keeps its files."""
        return self.base_dir or Path(os.path.expanduser(BASE_DIR))

    def fingerprint(self) -> str:
        """A short hash of the settings that choose the model; "" where none was given, and any model will do."""
        chosen = tuple(getattr(self, name) for name in MODEL_SETTINGS)
        if chosen == (None,) * len(chosen):
            return ""
        from hashlib import sha256

        return sha256(repr(chosen).encode()).hexdigest()[:12]


def _text(value: Any, folder: Path) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("a text")


def _path(value: Any, folder: Path) -> Path:
    path = folder / os.path.expanduser(_text(value, folder))
    if not path.is_absolute():
        raise ValueError(f"a whole path. {DELETED}")
    return Path(os.path.abspath(path))


def _source(value: Any, folder: Path) -> str:
    return value if value in SOURCES else str(_path(value, folder))


def _whole(least: int) -> Callable[[Any, Path], int]:
    def parse(value: Any, folder: Path) -> int:
        number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,15}", value) else value
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"a whole number from {least} on")
        return number

    return parse


def _seconds(value: Any, folder: Path) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError("a number of seconds, 0 for never")
    return seconds


def _truth(value: Any, folder: Path) -> bool:
    truth = value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
    if truth is None:
        raise ValueError("true or false")
    return truth


def _one_of(names: tuple[str, ...]) -> Callable[[Any, Path], str]:
    def parse(value: Any, folder: Path) -> str:
        if value not in names:
            raise ValueError(f"one of {', '.join(names)}")
        return value

    return parse


def _device(value: Any, folder: Path) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"cpu|mps|cuda(:\d+)?", value):
        raise ValueError("cpu, mps, cuda, cuda:0, ...")
    return value


def _windows(value: Any, folder: Path) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[SLsl]{1,256}", value):
        raise ValueError("made of S and L, such as SSSL")
    return value.upper()


class Row(NamedTuple):
    """One setting: its name, how a given value is read (a ValueError says what it must be), and what it is for.

    Relative paths are taken from the folder that `parse` gets: config.toml's own, else the current one.
    """

    name: str
    parse: Callable[[Any, Path], Any]
    meaning: str
    others: tuple[str, ...] = ()  # variables of other programs, looked at after our own

    @property
    def flag(self) -> str:
        """As given on the command line."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """As given in the environment."""
        return PREFIX + self.name.upper()


TABLE: dict[str, Row] = {
    row.name: row
    for row in (
        Row("traces_dir", _path, "The folder of traces."),
        Row("runtime_dir", _path, "The daemon's private folder; each has a daemon of its own."),
        Row("log_file", _path, "Where the daemon logs."),
        Row("source", _source, "base, mid, sft, rl, demo, or a folder with a checkpoint."),
        Row("model_tag", _text, "Which of the source's models, such as d12."),
        Row("step", _whole(0), "Which of the model's training steps."),
        Row("era", _one_of(ERAS), "The architecture of a checkpoint that does not show it."),
        Row("device", _device, "cpu, mps, cuda, cuda:1, ..."),
        Row("dtype", _one_of(DTYPES), "What to compute in."),
        Row("base_dir", _path, "nanochat's base folder, where its checkpoints lie.", ("NANOCHAT_BASE_DIR",)),
        Row(
            "window_pattern", _windows, "The layers' windows, such as SSSL, of a checkpoint that does not record them."
        ),
        Row("format", _one_of(FORMATS), "The format of new traces."),
        Row("idle_timeout", _seconds, "Seconds without clients and work after which the daemon ends; 0: never."),
        Row("queue_limit", _whole(1), "How many generations may wait."),
        Row("tcp", _truth, "Listen on a loopback TCP port too."),
        Row("polling", _truth, "Look at the traces folder again and again: for network file systems."),
    )
}


def default_config_file() -> Path:
    """`config.toml` in the platform's config folder."""
    return platformdirs.user_config_path("nanoscope", appauthor=False) / "config.toml"


def load_settings(
    flags: Mapping[str, str | None] | None = None,
    environment: Mapping[str, str] = os.environ,
    config_file: Path | None = None,
) -> tuple[Settings, dict[str, str]]:
    """The settings, and where each came from: "flag", "environment NANOSCOPE_X", the config file's path, or "default".

    Args:
        flags: setting name to text; None or a missing name: not given.
        environment: NANOSCOPE_* are looked at, and NANOCHAT_BASE_DIR; an empty one counts as not given.
        config_file: default: `default_config_file()`; it need not exist.

    Raises:
        RpcError: SETTING_INVALID: an unknown name or a value that cannot be; the message says which, and what may be.
    """
    flags = flags or {}
    config_file = config_file or default_config_file()
    config = _read_config(config_file)
    _known(flags, "the command line")
    values: dict[str, Any] = _defaults()
    origins: dict[str, str] = {}
    for name, row in TABLE.items():
        for given, origin, folder in (
            (flags.get(name), "flag", _current_folder),
            *(
                (environment.get(at) or None, f"environment {at}", _current_folder)
                for at in (row.variable, *row.others)
            ),
            (config.get(name), str(config_file), lambda: config_file.parent),
        ):
            if given is not None:
                values[name], origins[name] = _parse(row, given, origin, folder()), origin
                break
        else:
            origins[name] = "default"
        _check_text(name, values.get(name), origins[name])
    return Settings(**values), origins


def _current_folder() -> Path:
    return Path() if is_deleted() else Path.cwd()


def _check_text(name: str, value: Any, origin: str) -> None:
    """Refuse what cannot cross the wire: bytes in the environment, or the current folder's name, that are no UTF-8."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        raise _invalid(f"{name} is {str(value)!a}, which is not UTF-8 ({origin}): choose another.") from None


def _defaults() -> dict[str, Any]:
    return {
        "traces_dir": platformdirs.user_data_path("nanoscope", appauthor=False) / "traces",
        "runtime_dir": default_folder(),
        "log_file": platformdirs.user_log_path("nanoscope", appauthor=False) / "daemon.log",
    }


def _parse(row: Row, given: Any, origin: str, folder: Path) -> Any:
    try:
        return row.parse(given, folder)
    except ValueError as error:
        place = row.flag if origin == "flag" else origin.removeprefix("environment ")
        raise _invalid(f"{row.name} cannot be {given!r} ({place}): it must be {str(error).rstrip('.')}.") from None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _invalid(f"{path} cannot be read ({error.strerror}): make it readable, or remove it.") from error
    import tomllib

    try:
        config = tomllib.loads(text.decode())
    except ValueError as error:
        raise _invalid(f"{path} is not TOML ({error}): correct it, or remove it.") from error
    _known(config, str(path))
    return config


def _known(names: Mapping[str, Any], place: str) -> None:
    for name in names:
        if name not in TABLE:
            raise _invalid(f"There is no setting {name!r} ({place}); there are {', '.join(TABLE)}.")


def _invalid(message: str) -> RpcError:
    return RpcError("SETTING_INVALID", message)


def read_flags(words: list[str]) -> dict[str, str | None]:
    """Flags from the command line, `--name value` or `--name=value`; a flag for true or false may stand alone.

    Raises:
        RpcError: SETTING_INVALID: a word that is no setting's flag, or a flag without its value.
    """
    rows = {row.flag: row for row in TABLE.values()}
    flags: dict[str, str | None] = {}
    rest = list(words)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        if flag not in rows:
            raise _invalid(f"There is no flag {flag}; there are {', '.join(rows)}.")
        if not equals:
            alone = rows[flag].parse is _truth and (not rest or rest[0].lower() not in _TRUTH)
            if not alone and not rest:
                raise _invalid(f"{flag} needs a value.")
            value = "true" if alone else rest.pop(0)
        flags[rows[flag].name] = value
    return flags


def own_folder(settings: Settings, origins: Mapping[str, str]) -> str | None:
    """The traces folder that was asked for here; None: the daemon's own will do."""
    return None if origins["traces_dir"] == "default" else str(settings.traces_dir)


def settings_of_a_daemon(flags: Mapping[str, str | None]) -> Settings:
    """Those with which a client starts a daemon for all: the traces folder on its command line is its own alone.

    Raises: as `load_settings`.
    """
    return load_settings({name: value for name, value in flags.items() if name != "traces_dir"})[0]


def environment_of(settings: Settings) -> dict[str, str]:
    """NANOSCOPE_* variables with which a child process gets the same settings."""
    values = {row.variable: getattr(settings, row.name) for row in TABLE.values()}
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }
