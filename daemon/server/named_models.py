"""The model that a session names: whether it is the one held, and what to do where it is not."""

from __future__ import annotations

import os
import shlex
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from daemon.server.loaded_model import LoadedModel, ModelSpec, outdated, real, source_of
from daemon.wire.introduction import MARK
from nanochat.checkpoints.layouts import DEMO_FOLDER, SOURCES, choose_checkpoint
from nanochat.errors import NanoscopeError
from protocol.errors import RpcError
from protocol.types import FolderPath, ModelInfo, Name, NamedModel, Params

if TYPE_CHECKING:
    from daemon.server.model_holder import ModelHolder
    from daemon.server.session import Session
    from daemon.server.state import ServerState

Result = TypeVar("Result")
OF_A_CHECKPOINT, COMPUTING = ("tag", "step"), ("era", "device", "dtype", "window_pattern")
FLAGS = {name: "--" + {"tag": "model-tag"}.get(name, name.replace("_", "-")) for name in (*OF_A_CHECKPOINT, *COMPUTING)}


class Introduction(Params):
    """Which model a client means, as its hello has it, or the line in which `nanoscope stdio` says it for an editor.

    `traces_dir`: the folder that the settings of `nanoscope stdio` name; a hello opens its own.
    """

    model: NamedModel | None = None
    base_dir: Name | None = None
    traces_dir: FolderPath | None = None

    @classmethod
    def read(cls, line: bytes) -> Introduction:
        """The line's. Raises RpcError INVALID_PARAMS, SETTING_INVALID."""
        try:
            return msgspec.json.decode(line.removeprefix(MARK), type=cls).checked()
        except msgspec.DecodeError as error:
            raise RpcError("INVALID_PARAMS", f"What came first is no introduction: {error}.") from error

    def checked(self) -> Introduction:
        """The same. Raises RpcError SETTING_INVALID: a folder that depends on where one stands."""
        source = self.model and self.model.source
        named = {"base_dir": self.base_dir, "model.base_dir": self.model and self.model.base_dir}
        named |= {"traces_dir": self.traces_dir}
        named |= {} if source in (*SOURCES, "demo") else {"model.source": source}
        for name, folder in named.items():
            if folder is not None and not os.path.isabs(os.path.expanduser(folder)):
                raise RpcError(
                    "SETTING_INVALID",
                    f"{name}={folder!r}: give the folder's whole path, since the daemon runs in another folder than "
                    "you.",
                )
        return self


def introduce(session: Session, introduction: Introduction | None) -> None:
    """Take note of the model that a session means; what is not said stays as it was."""
    if introduction is not None and introduction.model is not None:
        session.named = None if introduction.model == NamedModel() else introduction.model
    if introduction is not None and introduction.base_dir is not None:
        session.base_dir = Path(os.path.expanduser(introduction.base_dir))


def model_for(
    state: ServerState, session: Session, cancelled: threading.Event, loading: Callable[[str], None]
) -> LoadedModel:
    """The model that answers a session's request: the one that it names. On the model thread.

    Another than the one held is loaded where nobody else uses that.

    Args:
        loading: told of what is loaded first.

    Raises:
        RpcError: MODEL_MISMATCH; what keeps a model from being loaded; CANCELLED.
    """
    named, holder = session.named, state.model
    held = holder.current()
    if named is None or (held is None and is_first(named, holder.first)):
        return holder.held()
    if held is not None:
        if fits(named, held):
            return held
        others = [
            other for other in list(state.sessions.values()) if other is not session and minds(other, held, named)
        ]
        if others:
            raise mismatch(named, held, others)
    spec = spec_of(named, held, holder, state.base_dir_of(session))
    loading(f"Loading {spec}.")
    holder.load(spec, cancelled)
    return holder.held()


def lent_to(
    state: ServerState,
    session: Session,
    named: NamedModel,
    cancelled: threading.Event,
    loading: Callable[[str], None],
    work: Callable[[LoadedModel], Result],
) -> Result:
    """What some work gives with a model that a session names for it alone. On the model thread.

    It is the one that `load` would take, loaded beside the one held, which stays; or that one itself.

    Args:
        loading: told of what is loaded.

    Raises:
        RpcError: what keeps a model from being loaded; CANCELLED. What `work` raises.
    """
    holder, base_dir = state.model, state.base_dir_of(session)
    held = holder.current()
    if named.base_dir is None and _names_files(named):
        named = msgspec.structs.replace(named, base_dir=str(base_dir))
    if held is not None and outdated(held) is None and _would_be_loaded(named, held):
        return work(held)
    spec = spec_of(named, held, holder, base_dir)
    loading(f"Loading {spec}.")
    return holder.lend(spec, cancelled, work)


def _would_be_loaded(named: NamedModel, held: LoadedModel) -> bool:
    """Whether loading what is named would give the model held."""
    return _computes_so(named, held) and (not _names_files(named) or _would_be_chosen(named, held))


def _names_files(named: NamedModel) -> bool:
    return (named.source, named.tag, named.step, named.base_dir) != (None,) * 4


def held_for(state: ServerState, session: Session) -> LoadedModel | None:
    """The model held if it is the one that a session means, for a reader thread; None where it is not."""
    held = state.model.current()
    return held if held is not None and (session.named is None or fits(session.named, held)) else None


def minds(session: Session, held: LoadedModel, named: NamedModel) -> bool:
    """Whether another model, the one that is named, would be taken for the one that a session uses, or means to use.

    A session that has asked for nothing yet means what it names; one to which that is not held loses nothing.
    """
    if session.named is None:
        return session.asked_model
    here_to_stay = session.notified and not _agrees(session.named, named)
    return (session.asked_model or here_to_stay) and fits(session.named, held)


def _agrees(one: NamedModel, other: NamedModel) -> bool:
    """Whether one model may have both names."""
    pairs = [(getattr(one, name), getattr(other, name)) for name in NamedModel.__struct_fields__]
    return all(theirs is None or ours is None or theirs == ours for theirs, ours in pairs)


def fits(named: NamedModel, held: LoadedModel) -> bool:
    """Whether the model held is the one that is named. It may look at the disk: not for the event loop."""
    return _computes_so(named, held) and (_is_of(named, held) or _would_be_chosen(named, held))


def _computes_so(named: NamedModel, held: LoadedModel) -> bool:
    info, windows = held.info, held.model.config.window_pattern
    return (
        named.era in (None, info.era)
        and named.dtype in (None, info.dtype)
        and (named.window_pattern or windows).upper() == windows.upper()
        and (named.device is None or info.device in (named.device, f"{named.device}:0"))
    )


def _is_of(named: NamedModel, held: LoadedModel) -> bool:
    """Whether it is called so; what is not named is not compared."""
    info, files = held.info, held.files
    if named.tag is not None and named.tag not in (info.tag, (info.tag or "").split("/")[-1]):
        return False
    if named.step not in (None, files.step):
        return False
    if named.source == "demo":
        return files.weights.parent == real(DEMO_FOLDER)
    if named.base_dir is not None and real(named.base_dir) != files.base_dir:
        return False
    if named.source is None or named.source in SOURCES:
        return named.source in (None, held.spec.source)
    return held.spec.source not in (*SOURCES, "demo") and real(named.source) == real(held.spec.source or "")


def _would_be_chosen(named: NamedModel, held: LoadedModel) -> bool:
    """Whether loading what is named would read the same files: one folder has several names."""
    base_dir = Path(os.path.expanduser(named.base_dir)) if named.base_dir else held.files.base_dir
    try:
        source, _ = source_of(named.source, base_dir, named.tag, named.step)
        chosen = choose_checkpoint(source, base_dir, named.tag, named.step)
        tokenizer, _ = chosen.tokenizer_file(base_dir)
    except (NanoscopeError, RpcError, OSError):
        return False
    return real(chosen.weights) == held.files.weights and (tokenizer and real(tokenizer)) == held.files.tokenizer


def is_first(named: NamedModel, first: ModelSpec) -> bool:
    """Whether the model that the daemon loads first is the one that is named, before it can be seen what that is."""
    return all(
        wanted is None or wanted == getattr(first, name)
        for name, wanted in (
            *((name, getattr(named, name)) for name in ("source", *OF_A_CHECKPOINT, *COMPUTING)),
            ("base_dir", named.base_dir and Path(named.base_dir)),
        )
    )


def spec_of(named: NamedModel, held: LoadedModel | None, holder: ModelHolder, base_dir: Path) -> ModelSpec:
    """What to load. Who names no checkpoint, but how it is to compute, means the one that is held."""
    if not _names_files(named):
        kept = replace(held.spec, tag=held.info.tag, step=held.files.step) if held is not None else holder.first
    else:
        base_dir = Path(os.path.expanduser(named.base_dir)) if named.base_dir else base_dir
        kept = ModelSpec(named.source, named.tag, named.step, device=holder.first.device, base_dir=base_dir)
    return replace(
        kept,
        era=named.era or kept.era,
        window_pattern=named.window_pattern or kept.window_pattern,
        device=named.device or kept.device,
        dtype=named.dtype or (kept.dtype if named.device is None else None),
    )


def mismatch(named: NamedModel, held: LoadedModel, others: list[Session]) -> RpcError:
    """The error of a request that names another model than others use."""
    who = ", ".join(f"{other.name} (session {other.number})" for other in others[:3])
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return RpcError(
        "MODEL_MISMATCH",
        f"The daemon holds {words_of_held(held.info)}, which {who}{more} use{'s' * (len(others) == 1)}; this client "
        f"names {words_of(named)}. To switch for all run `{load_command(named, held)}`; to take the one held, leave "
        "out what names another (options, NANOSCOPE_* and NANOCHAT_BASE_DIR, config.toml, the editor's settings); to "
        "have both, give this client a daemon of its own by --runtime-dir.",
        {
            "held": {
                name: getattr(held.info, name) for name in NamedModel.__struct_fields__ if name != "window_pattern"
            }
            | {"window_pattern": held.model.config.window_pattern, "path": held.info.path},
            "named": {name: getattr(named, name) for name in NamedModel.__struct_fields__},
            "sessions": [{"session": other.number, "name": other.name} for other in others],
        },
    )


def words_of_held(info: ModelInfo) -> str:
    """A model that is held, and where it lies."""
    name = " ".join(dict.fromkeys(filter(None, (info.source, info.tag))))
    return f"{name} step {info.step}, era {info.era}, {info.dtype} on {info.device} ({info.path})"


def words_of(named: NamedModel) -> str:
    """A model that is named."""
    by_default = "the most useful model" if named.base_dir and named.tag is None else "the model"
    parts = [
        named.source or by_default,
        named.tag,
        None if named.step is None else f"step {named.step}",
        None if named.base_dir is None else f"of {named.base_dir}",
    ]
    windows = named.window_pattern and f"windows {named.window_pattern}"
    computing = [named.era and f"era {named.era}", windows, named.dtype, named.device and f"on {named.device}"]
    return ", ".join(filter(None, (" ".join(filter(None, parts)), *computing)))


def load_command(named: NamedModel, held: LoadedModel) -> str:
    """The command that loads what is named."""
    source = named.source
    if source is None:
        source = held.spec.source
        if named.base_dir:
            source, _ = source_of(None, Path(named.base_dir), named.tag, named.step)
    words = ["nanoscope", "load", source or "demo"]
    for name, flag in FLAGS.items():
        if getattr(named, name) is not None:
            words += [flag, str(getattr(named, name))]
    return shlex.join(words + (["--base-dir", named.base_dir] if named.base_dir else []))
