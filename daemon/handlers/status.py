"""Answers about the daemon itself: hello, status, cancel, shutdown, the protocol."""

from __future__ import annotations

import json
import time
from functools import cache
from importlib import resources
from typing import Any

import psutil

from daemon.handlers.generation import described
from daemon.server.dispatch import Context, handles, in_thread
from daemon.server.named_models import Introduction, introduce, words_of
from daemon.server.session import Session
from nanochat.analysis import described_metrics
from nanochat.system.text import on_one_line, shortened
from protocol.errors import RpcError
from protocol.methods import CANCEL, DISCOVER, GET_STATUS, HELLO, PROTOCOL_VERSION, SHUTDOWN
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
    """Compare versions, take the client's name, folder and model, begin to push notifications: all of it or nothing."""
    state, session = context.state, context.session
    _check_versions(context, params)
    introduction = Introduction(model=params.model, base_dir=params.base_dir).checked()
    if params.traces_dir is not None:
        await state.use_folder(session, params.traces_dir)
    introduce(session, introduction)
    name = " ".join(filter(None, (params.client_name, params.client_version)))
    session.name = on_one_line(name)[:SHOWN_NAME] or session.name
    session.notified = session.notified or params.notifications
    return HelloResult(
        protocol_version=PROTOCOL_VERSION,
        package_version=state.version,
        fingerprint=state.settings.fingerprint(),
        session=session.number,
        pid=state.pid,
        traces_dir=str(state.folder_of(session).path),
        base_dir=str(state.base_dir_of(session)),
    )


def _check_versions(context: Context, params: HelloParams) -> None:
    state = context.state
    pairs = {
        "protocol version": (params.protocol_version or PROTOCOL_VERSION, PROTOCOL_VERSION),
        "package version": (params.package_version or state.version, state.version),
        "model settings": (params.fingerprint or state.settings.fingerprint(), state.settings.fingerprint()),
    }
    different = [
        f"{name}: {theirs or 'none given'}, expected {ours}" for name, (ours, theirs) in pairs.items() if ours != theirs
    ]
    if different:
        raise RpcError(
            "VERSION_MISMATCH",
            f"The daemon (pid {state.pid}) does not fit; {'; '.join(different)}. Run `nanoscope stop --force`; the "
            "next command starts one that fits.",
            {
                "sessions": state.others(context.session),
                "jobs": state.worker.queued() + state.worker.running(),
                "daemon": {"protocol_version": PROTOCOL_VERSION, "package_version": state.version, "pid": state.pid},
            },
        )


@handles(GET_STATUS)
async def get_status(context: Context, params: GetStatusParams) -> GetStatusResult:
    """How the daemon is; from memory alone, unless the checkpoint is to be looked at."""
    state = context.state
    return GetStatusResult(
        protocol_version=PROTOCOL_VERSION,
        package_version=state.version,
        pid=state.pid,
        uptime=round(time.monotonic() - state.started, 3),
        model=await in_thread(context, described, state) if params.checkpoint else state.model.describe(),
        queue=state.queue(),
        sessions=[_describe(context, session) for session in state.sessions.values()],
        sessions_ended=state.sessions_ended,
        watchers=state.folders.describe(),
        loop_lag=state.lag.milliseconds(),
        memory=_process().memory_info().rss,
        idle_timeout=state.settings.idle_timeout,
        log_file=str(state.settings.log_file),
        settings=_settings(context) if params.settings else None,
    )


def _describe(context: Context, session: Session) -> SessionInfo:
    return SessionInfo(
        session=session.number,
        name=session.name,
        door=session.kind,
        seconds=round(time.monotonic() - session.opened, 3),
        requests=len(session.calls),
        traces_dir=shortened(str(context.state.folder_of(session).path), SHOWN_PATH),
        names="" if session.named is None else words_of(session.named)[:SHOWN_MODEL],
    )


def _settings(context: Context) -> list[Setting]:
    values = vars(context.state.settings) | {"base_dir": context.state.base_dir}
    origins = context.state.origins
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
    state = context.state
    others = state.others(context.session)
    if others and not params.force:
        raise RpcError(
            "IN_USE",
            f"{others} other session{'s' * (others != 1)} still use{'s' * (others == 1)} the daemon; end it all the "
            "same with force (`nanoscope stop --force`).",
            {"sessions": others},
        )
    state.stopping.set()


@handles(DISCOVER)
async def discover(context: Context, params: NoParams) -> dict[str, Any]:
    """The protocol as an OpenRPC document, as it was generated, and the table of metrics."""
    return {**await in_thread(context, _openrpc), "x-metrics": described_metrics()}


@cache
def _openrpc() -> dict[str, Any]:
    return json.loads((resources.files("protocol") / "openrpc.json").read_text(encoding="utf-8"))
