"""Answers about the daemon itself: hello, status, cancel, shutdown, the protocol."""

from __future__ import annotations

import time
from typing import Any

import psutil

from daemon.handlers.generation import described
from daemon.server.dispatch import Context, handles, in_thread
from daemon.server.named_models import Introduction, introduce, words_of
from daemon.server.session import Session
from nanochat.system.text import on_one_line, shortened
from protocol.errors import RpcError
from protocol.methods import CANCEL, DISCOVER, GET_STATUS, HELLO, PROTOCOL_VERSION, SHUTDOWN
from protocol.openrpc import openrpc
from protocol.types import (
    CancelParams,
    CancelResult,
    GetStatusParams,
    GetStatusResult,
    HelloParams,
    HelloResult,
    NoParams,
    SessionInfo,
    Setting,
    ShutdownParams,
)

SHOWN_NAME, SHOWN_PATH = 80, 1000  # characters that other clients see
SHOWN_MODEL = 200  # of the model that a client names


@handles(HELLO)
async def hello(context: Context, params: HelloParams) -> HelloResult:
    """Compare versions, take the client's name, folder and model, begin to push notifications."""
    hub, session = context.hub, context.session
    _check_versions(context, params)
    introduce(session, Introduction(model=params.model, base_dir=params.base_dir).checked())
    if params.traces_dir is not None:
        await hub.use_folder(session, params.traces_dir)
    name = " ".join(filter(None, (params.client_name, params.client_version)))
    session.name = on_one_line(name)[:SHOWN_NAME] or session.name
    session.notified = session.notified or params.notifications
    return HelloResult(
        protocol_version=PROTOCOL_VERSION,
        package_version=hub.version,
        fingerprint=hub.settings.fingerprint(),
        session=session.number,
        pid=hub.pid,
        traces_dir=str(hub.folder_of(session).path),
        base_dir=str(hub.base_dir_of(session)),
    )


def _check_versions(context: Context, params: HelloParams) -> None:
    hub = context.hub
    pairs = {
        "protocol version": (params.protocol_version or PROTOCOL_VERSION, PROTOCOL_VERSION),
        "package version": (params.package_version or hub.version, hub.version),
        "model settings": (params.fingerprint or hub.settings.fingerprint(), hub.settings.fingerprint()),
    }
    different = [
        f"{name}: {theirs or 'none given'}, expected {ours}" for name, (ours, theirs) in pairs.items() if ours != theirs
    ]
    if different:
        raise RpcError(
            "VERSION_MISMATCH",
            f"The daemon (pid {hub.pid}) does not fit; {'; '.join(different)}. Run `nanoscope stop --force`; the next "
            "command starts one that fits.",
            {
                "sessions": hub.others(context.session),
                "jobs": hub.worker.queued() + hub.worker.running(),
                "daemon": {"protocol_version": PROTOCOL_VERSION, "package_version": hub.version, "pid": hub.pid},
            },
        )


@handles(GET_STATUS)
async def get_status(context: Context, params: GetStatusParams) -> GetStatusResult:
    """How the daemon is; from memory alone, unless the checkpoint is to be looked at."""
    hub = context.hub
    return GetStatusResult(
        protocol_version=PROTOCOL_VERSION,
        package_version=hub.version,
        pid=hub.pid,
        uptime=round(time.monotonic() - hub.started, 3),
        model=await in_thread(context, described, hub) if params.checkpoint else hub.model.describe(),
        queue=hub.queue(),
        sessions=[_describe(context, session) for session in hub.sessions.values()],
        sessions_ended=hub.sessions_ended,
        watchers=hub.folders.describe(),
        loop_lag=hub.lag.milliseconds(),
        memory=_process().memory_info().rss,
        idle_timeout=hub.settings.idle_timeout,
        log_file=str(hub.settings.log_file),
        settings=_settings(context) if params.settings else None,
    )


def _describe(context: Context, session: Session) -> SessionInfo:
    return SessionInfo(
        session=session.number,
        name=session.name,
        door=session.door,
        seconds=round(time.monotonic() - session.opened, 3),
        requests=len(session.calls),
        traces_dir=shortened(str(context.hub.folder_of(session).path), SHOWN_PATH),
        names="" if session.named is None else words_of(session.named)[:SHOWN_MODEL],
    )


def _settings(context: Context) -> list[Setting]:
    values = vars(context.hub.settings) | {"base_dir": context.hub.base_dir}
    origins = context.hub.origins
    return [
        Setting(name=name, value=None if value is None else str(value), origin=origins.get(name, "default"))
        for name, value in values.items()
    ]


_cached: list[psutil.Process] = []


def _process() -> psutil.Process:
    if not _cached:
        _cached.append(psutil.Process())
    return _cached[0]


@handles(CANCEL)
async def cancel(context: Context, params: CancelParams) -> CancelResult:
    """Cancel a request of the same session; a request cannot cancel itself."""
    own = params.id == context.request_id
    return CancelResult(cancelled=not own and context.session.cancel(params.id))


@handles(SHUTDOWN)
async def shutdown(context: Context, params: ShutdownParams) -> None:
    """Begin to end; the answer goes out first."""
    hub = context.hub
    others = hub.others(context.session)
    if others and not params.force:
        raise RpcError(
            "IN_USE",
            f"{others} other session{'s' * (others != 1)} still use{'s' * (others == 1)} the daemon; end it all the "
            "same with force (`nanoscope stop --force`).",
            {"sessions": others},
        )
    hub.stopping.set()


@handles(DISCOVER)
async def discover(context: Context, params: NoParams) -> dict[str, Any]:
    """The protocol as an OpenRPC document."""
    return await in_thread(context, openrpc)
