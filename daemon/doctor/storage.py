"""What `nanoscope doctor` looks at on the disk: traces, room, catalogue, watching, the checkpoint."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from daemon.doctor.finding import Check, DoctorContext, Finding, nearest_folder, why_not_made
from nanochat.checkpoints.file_kind import AGAIN, ARCHIVE, JSON, SAFETENSORS, what_it_is
from nanochat.checkpoints.layouts import DEMO_WEIGHTS, Checkpoint, choose_checkpoint, chosen_source
from nanochat.errors import NanoscopeError
from nanochat.system.text import human_size

LEAST_ROOM, LITTLE_ROOM = 200_000_000, 2_000_000_000  # bytes; a trace of a large model has 100 MB
SHOWN = 3
OTHER_FOLDER = "Move it away, or set traces_dir to another folder (NANOSCOPE_TRACES_DIR, --traces-dir, config.toml)."
COPY_AGAIN = (
    "Copy it again from where it came from, or choose another with --source; `nanoscope load demo` always works."
)


def check_traces(context: DoctorContext) -> Iterator[Finding]:
    """Whether the traces folder can be used, and which traces cannot be read."""
    from nanochat.trace_storage import TraceStorage

    path = context.settings.traces_dir
    if not os.path.lexists(path):
        if problem := why_not_made(path):
            yield Finding("traces", "fault", problem, OTHER_FOLDER)
        else:
            yield Finding("traces", "ok", f"{path} will be made by the first trace.")
        return
    if not path.is_dir():
        kind = "a link to nothing" if path.is_symlink() and not path.exists() else "not a folder"
        yield Finding("traces", "fault", f"{path} is {kind}.", OTHER_FOLDER)
        return
    remedy = f"Give yourself rights to it: `chmod u+rwx {path}`."
    try:
        entries = TraceStorage(path).list_entries()
    except NanoscopeError as error:
        yield Finding("traces", "fault", str(error), remedy)
        return
    if not os.access(path, os.W_OK | os.X_OK):  # not tried: a look writes nothing
        yield Finding("traces", "fault", f"{path} may not be written to.", remedy)
        return
    unreadable = [entry for entry in entries if not entry.readable]
    yield Finding("traces", "ok", f"{path}, {len(entries) - len(unreadable)} that can be read.")
    if unreadable:
        some = "; ".join(f"{entry.path.name}: {entry.reason}" for entry in unreadable[:SHOWN])
        more = f"; and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
        remedy = "Copy them again, or delete them: `nanoscope list` shows all."
        yield Finding("traces", "warning", f"{len(unreadable)} cannot be read: {some}{more}", remedy)


def check_room(context: DoctorContext) -> Iterator[Finding]:
    """Room for traces, and for the log and the catalogue."""
    remedy = "Make room there: `nanoscope list` shows the size of each trace, `nanoscope delete` removes some."
    places = {"traces": context.settings.traces_dir, "log": context.settings.log_file.parent}
    seen: set[int] = set()
    for name, path in places.items():
        folder = nearest_folder(path)
        device = folder.stat().st_dev
        if device in seen:
            continue
        seen.add(device)
        free = context.free_bytes(folder)
        found = f"{human_size(free)} free for the {name} in {folder}"
        if free < LEAST_ROOM:
            yield Finding("disk", "fault", f"{found}: full, or nearly.", remedy)
        elif free < LITTLE_ROOM:
            yield Finding("disk", "warning", f"{found}: little.", remedy)
        else:
            yield Finding("disk", "ok", f"{found}.")


def check_catalogue(context: DoctorContext) -> Iterator[Finding]:
    """The catalogue of traces, which only makes listings fast."""
    from nanochat.traces.catalogue import default_path

    path = default_path()
    if not path.exists():
        yield Finding("catalogue", "ok", f"{path} will be made by the first listing.")
        return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        verdict = str(error)
    if verdict == "ok":
        yield Finding("catalogue", "ok", f"{path}, {human_size(path.stat().st_size)}.")
    else:
        yield Finding("catalogue", "warning", f"{path} is damaged ({verdict}).", "Delete it: it is made anew.")


def check_watching(context: DoctorContext) -> Iterator[Finding]:
    """Whether changes in the traces folder are told by the system."""
    from daemon.folders.file_events import file_system_of, is_network
    from daemon.folders.inotify_events import open_events

    path = context.settings.traces_dir
    if context.settings.polling:
        yield Finding("watching", "ok", "The folder is polled, as the settings ask for.")
        return
    kind = file_system_of(path)
    if is_network(kind):
        found = f"{path} is on {kind}, which does not tell of others' changes: it is polled."
        yield Finding("watching", "warning", found, "Nothing, or use a folder on a local disk.")
        return
    if not path.is_dir():
        yield Finding("watching", "ok", f"{nearest_folder(path)} is on {kind or 'a local disk'}.")
        return
    events = open_events()
    try:
        problem = events.add(check_watching, path, lambda gone: None)
    finally:
        events.close()
    if problem:
        remedy = "Such as `sudo sysctl fs.inotify.max_user_instances=1024`; until then the folder is polled."
        yield Finding("watching", "warning", problem, remedy)
    else:
        yield Finding("watching", "ok", f"{path} is watched, on {kind or 'a local disk'}{_limits()}.")


def _limits() -> str:
    """inotify's limits, where there is such a thing."""
    try:
        texts = [Path(f"/proc/sys/fs/inotify/max_user_{name}").read_text() for name in ("watches", "instances")]
    except OSError:
        return ""
    return f"; at most {int(texts[0])} watches and {int(texts[1])} watchers a user"


def check_checkpoint(context: DoctorContext) -> Iterator[Finding]:
    """The checkpoint that would be loaded: found, whole as far as its files tell, with a tokenizer."""
    settings, base_dir = context.settings, context.settings.base_folder()
    try:
        source, _ = chosen_source(settings.source, base_dir, settings.model_tag, settings.step)
        checkpoint = choose_checkpoint(source, base_dir, settings.model_tag, settings.step)
    except NanoscopeError as error:
        yield Finding("checkpoint", "fault", str(error), "Run `nanoscope models` to see what there is.")
        return
    problem = _problem_of(checkpoint, base_dir)
    if problem is None and context.deep:
        problem = _problem_of_loading(context, source)
    if problem is not None:
        yield Finding("checkpoint", "fault", problem, COPY_AGAIN)
        return
    size = human_size(checkpoint.weights.stat().st_size)
    depth = "loads and computes" if context.deep else "its files are whole (--deep loads it)"
    yield Finding("checkpoint", "ok", f"{checkpoint.weights}, {size}: {depth}.")


def _problem_of(checkpoint: Checkpoint, base_dir: Path) -> str | None:
    """What is wrong with a checkpoint's files; they are not loaded, so that it takes no time and no torch."""
    try:
        whole = _whole_safetensors if checkpoint.weights.name == DEMO_WEIGHTS else _whole_archive
        formats = {checkpoint.weights: SAFETENSORS if checkpoint.weights.name == DEMO_WEIGHTS else ARCHIVE}
        for path, expected in (formats | {checkpoint.meta: JSON}).items():
            if found := what_it_is(path, expected):
                return f"{path} is {'damaged: it is ' if AGAIN in found else ''}{found}."
        if problem := whole(checkpoint.weights):
            return f"{checkpoint.weights} is damaged: {problem}."
        meta = json.loads(checkpoint.meta.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        return f"{error.filename} is missing."
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})."
    except ValueError as error:
        return f"{checkpoint.meta} is not JSON ({error})."
    if checkpoint.source == "demo":
        return None
    from nanochat.gpt_config import config_problem

    config = meta.get("model_config") if isinstance(meta, dict) else None
    if not isinstance(config, dict):
        return f"{checkpoint.meta} has no model_config."
    if problem := config_problem(config):
        return f"{checkpoint.meta}: {problem}."
    if checkpoint.tokenizer_folder(base_dir) is None:
        return f"There is no tokenizer (tokenizer.pkl or tokenizer.json) for {checkpoint.weights}."
    return None


def _whole_archive(path: Path) -> str | None:
    """torch's files are zip archives, whose directory comes last: a file cut short has none."""
    with open(path, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile as error:
            return str(error).rstrip(".")
    return None if any(name.endswith("data.pkl") for name in names) else "there are no weights in it"


def _whole_safetensors(path: Path) -> str | None:
    """The header says how long the file is to be."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if 8 + length > size:
            return "it is cut short"
        header = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return None if 8 + length + max(ends, default=0) == size else "it is cut short"


def _problem_of_loading(context: DoctorContext, source: str) -> str | None:
    from nanochat.checkpoint_manager import load_model

    settings = context.settings
    try:
        load_model(
            source,
            settings.device,
            "eval",
            settings.model_tag,
            settings.step,
            settings.era,
            dtype=settings.dtype,
            base_dir=settings.base_folder(),
            window_pattern=settings.window_pattern,
        )
    except NanoscopeError as error:
        return str(error)
    return None


CHECKS: dict[str, Check] = {
    "traces": check_traces,
    "disk": check_room,
    "catalogue": check_catalogue,
    "watching": check_watching,
    "checkpoint": check_checkpoint,
}
