"""The daemon itself: who calls, how it is, cancelling and ending."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from protocol.types import meanings
from protocol.types.base import FolderPath, Name, Params, Result
from protocol.types.models import ModelInfo, NamedModel


class HelloParams(Params):
    """Who calls, and what it expects. Notifications are pushed to a line client from its hello on."""

    protocol_version: Annotated[
        Name | None, Meta(description="The protocol that the client speaks: another daemon's is refused.")
    ] = None
    package_version: Annotated[
        Name | None, Meta(description="The nanoscope that the client is of: another daemon is refused.")
    ] = None
    fingerprint: Annotated[Name, Meta(description="Of the settings that choose the model; empty: any will do.")] = ""
    client_name: Annotated[Name, Meta(description="The client's name, which `get_status` shows.")] = ""
    client_version: Annotated[Name, Meta(description="The client's version.")] = ""
    traces_dir: Annotated[FolderPath, Meta(description="This session's own traces folder.")] | None = None
    notifications: Annotated[bool, Meta(description="Push what the daemon tells of its own accord.")] = True
    model: Annotated[
        NamedModel | None,
        Meta(description="Which model must answer this session's requests; by default whichever is held."),
    ] = None
    base_dir: (
        Annotated[FolderPath, Meta(description="Where `list_models` and `load_model` look: nanochat's base folder.")]
        | None
    ) = None


class HelloResult(Result):
    """Who answers."""

    protocol_version: Annotated[str, meanings.PROTOCOL_VERSION]
    package_version: Annotated[str, meanings.PACKAGE_VERSION]
    fingerprint: Annotated[str, Meta(description="Of the settings that chose the daemon's first model.")]
    session: Annotated[int, meanings.SESSION]
    pid: Annotated[int, meanings.PID]
    traces_dir: Annotated[str, meanings.TRACES_DIR]
    base_dir: Annotated[str, Meta(description="nanochat's base folder for this session.")] = ""


class SessionInfo(Result):
    """One connected client."""

    session: Annotated[int, meanings.SESSION]
    name: Annotated[str, Meta(description="The client's own name, or the kind of its connection.")]
    door: Annotated[
        Literal["editor", "line"], Meta(description="`editor`: Content-Length framing; `line`: one JSON value a line.")
    ]
    seconds: Annotated[float, Meta(description="Since it connected.")]
    requests: Annotated[int, Meta(description="Running or waiting.")]
    traces_dir: Annotated[str, meanings.TRACES_DIR]
    names: Annotated[str, Meta(description="The model that it names, in words; empty: whichever is held will do.")] = ""


class WatchInfo(Result):
    """How one traces folder is watched."""

    traces_dir: Annotated[str, meanings.TRACES_DIR]
    healthy: Annotated[bool, Meta(description="Changes are seen as they happen; if not, `note` says why.")]
    method: Annotated[
        Literal["events", "polling", "rescans"],
        Meta(description="How changes are noticed; `rescans`: by looking now and then."),
    ]
    traces: Annotated[int, Meta(description="How many it holds.")]
    note: Annotated[str, Meta(description="What is the matter, and what to do.")] = ""


class QueueInfo(Result):
    """The model's queue."""

    running: Annotated[bool, Meta(description="The model is at work.")]
    waiting: Annotated[int, Meta(description="Jobs that wait for it.")]
    limit: Annotated[int, Meta(description="Jobs that may wait before QUEUE_FULL.")]


class Setting(Result):
    """One setting, and where its value came from."""

    name: Annotated[str, Meta(description="Its name.")]
    value: Annotated[str | None, Meta(description="As text; null where it is not set.")]
    origin: Annotated[str, Meta(description="A flag, an environment variable, the configuration file, or `default`.")]


class GetStatusParams(Params):
    """What to tell besides the usual."""

    settings: Annotated[bool, Meta(description="Every setting too, with where its value came from.")] = False
    checkpoint: Annotated[
        bool, Meta(description="Compare the model held with its files too, which takes a look at the disk.")
    ] = False


class GetStatusResult(Result, omit_defaults=True):
    """How the daemon is."""

    protocol_version: Annotated[str, meanings.PROTOCOL_VERSION]
    package_version: Annotated[str, meanings.PACKAGE_VERSION]
    pid: Annotated[int, meanings.PID]
    uptime: Annotated[float, Meta(description="Seconds.")]
    model: Annotated[ModelInfo, meanings.MODEL_HELD]
    queue: Annotated[QueueInfo, meanings.QUEUE]
    sessions: Annotated[list[SessionInfo], Meta(description="Who is connected.")]
    sessions_ended: Annotated[
        int, Meta(description="How many have left since the daemon started; those that only asked how it is left out.")
    ]
    watchers: Annotated[list[WatchInfo], Meta(description="Traces folders in use.")]
    loop_lag: Annotated[float, Meta(description="Milliseconds that the event loop was late by at most, lately.")]
    memory: Annotated[int, Meta(description="Resident bytes.")]
    idle_timeout: Annotated[float, Meta(description="Seconds without clients and work after which it ends; 0: never.")]
    log_file: Annotated[str, Meta(description="Where it logs.")]
    settings: Annotated[list[Setting] | None, Meta(description="Where asked for.")] = None


class CancelParams(Params):
    """The id of a request of the same client."""

    id: Annotated[
        Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | Annotated[str, Meta(max_length=1000)],
        Meta(description="The id of a request on the same connection."),
    ]


class CancelResult(Result):
    """False where no such request was running or waiting."""

    cancelled: Annotated[bool, Meta(description="Whether there was such a request.")]


class ShutdownParams(Params):
    """Others are heeded unless `force` is set."""

    force: Annotated[bool, Meta(description="End it although others use it.")] = False


class StatusChanged(Params):
    """Queue and number of sessions; sent a few times a second at most."""

    queue: Annotated[QueueInfo, meanings.QUEUE]
    sessions: Annotated[int, Meta(description="How many clients are connected.")]
