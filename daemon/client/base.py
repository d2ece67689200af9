"""What both Python clients are besides their I/O: whom they reach, who listens, what is asked again."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypedDict, TypeVar

from daemon.client.conversation import ConnectionLostError, Notice, check_text
from daemon.launch.connect import connect_or_start
from daemon.settings import Settings, load_settings
from daemon.version import PACKAGE_VERSION, PROTOCOL_VERSION
from daemon.wire.introduction import introduction
from protocol.errors import RpcError
from protocol.methods import METHODS, Method
from protocol.types import (
    Capture,
    Format,
    GenerationProgress,
    HelloParams,
    HelloResult,
    Intervention,
    Message,
    NamedModel,
    RequestProgress,
)

log = logging.getLogger("nanoscope.client")
ConnectionType = TypeVar("ConnectionType")
TokenListener = Callable[[GenerationProgress], None]
ProgressListener = Callable[[RequestProgress], None]
Timeout = float | Literal["default"] | None  # seconds; None: no limit

ATTEMPTS = 3  # at a request that may be repeated


class GenerationOptions(TypedDict, total=False):
    """What `generate_and_capture` takes besides the prompt; the defaults are GenerateAndCaptureParams' own."""

    messages: list[Message] | None
    category: str | None
    metadata: dict[str, Any] | None
    max_tokens: int
    temperature: float
    top_k: int | None
    seed: int
    capture_intermediate_steps: bool
    capture: Capture | None
    interventions: list[Intervention] | None
    format: Format | None


class InterveneOptions(TypedDict, total=False):
    """What `intervene` takes besides the trace and the interventions; as InterveneParams."""

    model: NamedModel | None
    capture: Capture | None
    anyway: bool
    estimate: bool


class ForkOptions(TypedDict, total=False):
    """What `fork` takes besides the trace and the position; as ForkTraceParams."""

    token: int | str | None
    text: str | None
    interventions: list[Intervention] | None
    max_tokens: int | None
    capture: Capture | None
    anyway: bool
    estimate: bool


class TensorOptions(TypedDict, total=False):
    """Which part of a tensor; as GetTensorParams."""

    layer: int | None
    head: int | None
    step: int | None
    rows: tuple[int, int] | None
    columns: tuple[int, int] | None
    dtype: Literal["float32", "float16", "uint8"]


def method_named(method: Method | str) -> Method:
    """A row of the method table. Raises RpcError METHOD_NOT_FOUND."""
    row = METHODS.get(method) if isinstance(method, str) else method
    if row is None:
        raise RpcError("METHOD_NOT_FOUND", f"There is no method {method!r}; there are {', '.join(METHODS)}.")
    return row


def introduced(settings: Settings, names_model: bool) -> dict[str, Any]:
    """The fields of a hello that are about models."""
    said = introduction(settings, model=names_model)
    return said | {"model": said["model"] and NamedModel(**said["model"])}


class ClientState(Generic[ConnectionType]):
    """The common part of Client and AsyncClient.

    Args:
        settings: which daemon; None: as the environment and config.toml say.
        name: how the daemon's status calls this client.
        traces_dir: a traces folder of this client's own; None: the daemon's.
        timeout: seconds for every call but long ones (generations, loading a model); None: no limit.
        notifications: whether the daemon is to push them.
        connect: makes the connection; default: `connect_or_start(settings)`.
        names_model: whether the model that the settings name must answer; False: any will do.
    """

    new_lock: ClassVar[Any]  # makes a lock for `with` or `async with`

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        name: str = "python",
        traces_dir: str | Path | None = None,
        timeout: float | None = 60.0,
        notifications: bool = True,
        connect: Callable[[], socket.socket] | None = None,
        names_model: bool = True,
    ):
        check_text(name, "name")
        self.settings = load_settings()[0] if settings is None else settings
        self.timeout = timeout
        self.connect = connect or (lambda: connect_or_start(self.settings, name))
        self.hello = HelloParams(
            protocol_version=PROTOCOL_VERSION,
            package_version=PACKAGE_VERSION,
            client_name=name,
            traces_dir=None if traces_dir is None else os.path.abspath(os.path.expanduser(traces_dir)),
            notifications=notifications,
            **introduced(self.settings, names_model),
        )
        self.closed = False
        self._greeting: HelloResult | None = None
        self._connection: ConnectionType | None = None
        self._changing = self.new_lock()
        self._listeners: list[Callable[[Notice], None]] = []
        self._subscriptions: list[Callable[[Notice | ConnectionLostError | None], None]] = []

    @property
    def greeting(self) -> HelloResult:
        """What the daemon said of itself: versions, this session's number, the traces folder."""
        assert self._greeting is not None, "connect first: use the client in a `with`"
        return self._greeting

    def on_notification(self, listener: Callable[[Notice], None]) -> Callable[[], None]:
        """Call `listener` with every notification; what is returned ends that.

        It is called where the client reads, a thread of its own or the loop, and must not wait for the daemon there.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def seconds_for(self, method: Method, timeout: Timeout) -> float | None:
        """How long to wait for a method."""
        if timeout == "default":
            return None if method.long else self.timeout
        return timeout

    def may_repeat(self, method: Method, error: Exception, attempt: int) -> bool:
        """Whether a request that failed is sent again on a new connection."""
        if self.closed or attempt >= ATTEMPTS:
            return False
        if isinstance(error, RpcError):
            return error.name == "SHUTTING_DOWN"  # said before anything was done
        return method.repeatable

    def told(self, notice: Notice) -> None:
        """A notification came."""
        for put in list(self._subscriptions):
            put(notice)
        for listener in list(self._listeners):
            try:
                listener(notice)
            except Exception:
                log.exception("A listener for notifications failed.")

    def lost(self, error: ConnectionLostError) -> None:
        """The connection ended."""
        for put in list(self._subscriptions):
            put(None if self.closed else error)

    def ended(self) -> None:
        """No notification will come any more, be the connection lost already or not."""
        for put in list(self._subscriptions):
            put(None)
