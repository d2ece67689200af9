"""Which model the daemon holds: loading it once, switching while it runs, saying how it stands."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from daemon.garbage import no_garbage_collection
from daemon.server.loaded_model import LoadedModel, ModelSpec, held_model, source_of
from daemon.server.model_queue import Job, Worker
from daemon.server.open_files import check_room
from nanochat.errors import NanoscopeError
from nanochat.system.text import shortened
from protocol.errors import RpcError
from protocol.types import ModelInfo

if TYPE_CHECKING:
    from daemon.settings import Settings
    from nanochat.gpt import GPT

Result = TypeVar("Result")

# Up to this width torch computes on one thread: a second one gained up to 4 ms a token at 6 layers x 384 on 2 idle
# cores, and cost 14 ms on busy ones.
SMALL_WIDTH = 384
# OpenMP's threads spin while they wait for each other: on busy cores a token of 12 layers x 768 then took 410 ms, with
# threads that sleep 50 ms.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE"}
SHOWN_TEXT = 2000  # characters that all clients see of what went wrong
TORCH_LIBRARIES = {"libtorch_global_deps.so": True, "libtorch_python.so": False}  # whether their symbols are global
log = logging.getLogger("nanoscope.model")


class ModelHolder:
    """The model of all sessions. `held` and `load` are for the worker's thread alone, the rest for any.

    Args:
        settings: which model to load first.
        worker: the thread that torch runs on.
        changed: told of every change, on the worker's thread.
    """

    def __init__(self, settings: Settings, worker: Worker, changed: Callable[[ModelInfo], None]):
        chosen = (settings.source, settings.model_tag, settings.step, settings.era, settings.device, settings.dtype)
        self.first = ModelSpec(*chosen, base_dir=settings.base_folder(), window_pattern=settings.window_pattern)
        self._worker, self._changed = worker, changed
        self._info = ModelInfo(state="unloaded")
        self._held: LoadedModel | None = None
        self._error: RpcError | None = None
        self._starting = threading.Lock()
        self._loading: Job[None] | None = None
        self._threads: int | None = None  # torch's own choice

    def describe(self) -> ModelInfo:
        """What is held, or why nothing is."""
        return self._info

    def current(self) -> LoadedModel | None:
        """What is held, for any thread to look at; another may be held the moment after."""
        return self._held

    def load_soon(self) -> None:
        """Load the first model before anything else, unless it is loaded or about to be; after a failure again."""
        with self._starting, suppress(RpcError):  # SHUTTING_DOWN
            waiting = self._loading is not None and not self._loading.done()
            if self._held is None and not waiting:
                self._loading = self._worker.submit(self, self._load_first, threading.Event(), urgent=True)

    def held(self) -> LoadedModel:
        """The model to work with; loads it if need be.

        Raises:
            RpcError: MODEL_NOT_LOADED, CHECKPOINT_INVALID, SETTING_INVALID: it could not be loaded.
        """
        if self._held is None and self._error is None:
            self._load_first(threading.Event())
        if self._held is None:
            assert self._error is not None
            raise RpcError(self._error.name, self._error.message)
        return self._held

    def load(self, spec: ModelSpec, cancelled: threading.Event) -> ModelInfo:
        """Switch to another model: the one held stays until the new one is whole, and for good if that fails.

        Raises:
            RpcError: MODEL_NOT_LOADED, CHECKPOINT_INVALID, SETTING_INVALID; CANCELLED: the new one was not taken.
        """
        before = self._info
        self._notify(msgspec.structs.replace(before, state="loading", note=f"Loading {spec}.", error=None))
        try:
            held = self._read(spec)
            if cancelled.is_set():
                raise RpcError("CANCELLED", f"Cancelled: {spec} was not taken.")
        except BaseException as error:
            known = isinstance(error, RpcError)
            self._failed(before, error if known else RpcError("INTERNAL_ERROR", f"Loading {spec} ended: {error!r}."))
            raise
        switched = self._held is not None
        self._held, self._error = held, None
        if switched:
            _free_memory()
        self._notify(held.info)
        return held.info

    def lend(self, spec: ModelSpec, cancelled: threading.Event, work: Callable[[LoadedModel], Result]) -> Result:
        """What some work gives with another model, let go of after it; the one held stays, and nobody is told.

        Raises:
            RpcError: as `load`. What `work` raises.
        """

        def done() -> Result:  # a function of its own: what it loads is let go of with its end
            lent = self._read(spec)
            if cancelled.is_set():
                raise RpcError("CANCELLED", f"Cancelled: {spec} was not used.")
            return work(lent)

        try:
            return done()
        finally:
            if self._held is not None:
                self._use_threads(self._held.model)
            if "torch" in sys.modules:
                _free_memory()

    def _load_first(self, cancelled: threading.Event) -> None:
        if self._held is None:  # a client may have asked for another meanwhile
            with suppress(RpcError):  # kept: whoever needs the model is told
                self.load(self.first, cancelled)

    def _failed(self, before: ModelInfo, error: RpcError) -> None:
        if self._held is None and error.name != "CANCELLED":
            self._error, before = error, ModelInfo(state="failed", error=f"{error.name}: {error.message}")
        self._notify(before)

    def _read(self, spec: ModelSpec) -> LoadedModel:
        """Load a checkpoint, whatever goes wrong as an RpcError."""
        try:
            base_dir = spec.base_dir or self.first.base_dir
            assert base_dir is not None
            source, note = source_of(spec.source, base_dir, spec.tag, spec.step)
            self._prepare_torch()
            return self._load_checkpoint(replace(spec, source=source, base_dir=base_dir), base_dir, note)
        except NanoscopeError as error:
            raise RpcError(error.code, str(error)) from error
        except RpcError:
            raise
        except ImportError as error:
            raise RpcError(
                "MODEL_NOT_LOADED", f"torch cannot be imported ({error}): install it, then try again."
            ) from error
        except Exception as error:
            log.exception("Loading %s failed", spec)
            raise RpcError(
                "INTERNAL_ERROR", f"Loading {spec} failed for a reason of the daemon's own; `nanoscope logs` has it."
            ) from error

    def _load_checkpoint(self, spec: ModelSpec, base_dir: Path, note: str | None) -> LoadedModel:
        from nanochat.checkpoint_manager import load_model

        assert spec.source is not None
        more = {"model_tag": spec.tag, "step": spec.step, "era": spec.era, "dtype": spec.dtype, "base_dir": base_dir}
        more["window_pattern"] = spec.window_pattern
        model, tokenizer, _ = load_model(spec.source, spec.device, "eval", **more)
        self._use_threads(model)
        return held_model(model, tokenizer, spec, base_dir, note)

    def _use_threads(self, model: GPT) -> None:
        """Let torch compute on as many threads as are good for a model."""
        import torch

        small = model.config.n_embd <= SMALL_WIDTH
        torch.set_num_threads(1 if small else self._threads or torch.get_num_threads())

    def _prepare_torch(self) -> None:
        """Import torch, which takes one to two seconds, without holding up the event loop."""
        if self._threads is not None:
            return
        if "torch" not in sys.modules:
            for name, value in WAITING.items():
                os.environ.setdefault(name, value)  # read when the library is loaded
            check_room()
            with _no_garbage_to_collect():
                _load_torch_libraries()
                import_module("nanochat.interpretability_engine")  # all that the first generation needs
        import torch

        self._threads = torch.get_num_threads()

    def _notify(self, info: ModelInfo) -> None:
        note, error = (text and shortened(text, SHOWN_TEXT) for text in (info.note, info.error))
        self._info = info = msgspec.structs.replace(info, note=note, error=error)
        self._changed(info)


def _free_memory() -> None:
    """Give back what the model before took."""
    import torch

    from nanochat.cuda_graph import forget_recordings

    forget_recordings()
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def _no_garbage_to_collect() -> Iterator[None]:
    """No collection while modules are imported, nor of them later: one of torch's 170,000 objects takes 80 ms."""
    gc.collect()
    with no_garbage_collection():
        yield
        gc.freeze()


def _load_torch_libraries() -> None:
    """Load torch's shared libraries before it is imported, which holds the interpreter lock for 0.2 s while it does.

    A function called through ctypes does not; where this does not work, the import does it.
    """
    spec = find_spec("torch")
    if sys.platform != "linux" or "torch" in sys.modules or spec is None or spec.origin is None:
        return
    dlopen: Any = ctypes.CDLL(None).dlopen
    dlopen.argtypes, dlopen.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for name, is_global in TORCH_LIBRARIES.items():
        path = Path(spec.origin).parent / "lib" / name
        dlopen(os.fsencode(path), os.RTLD_NOW | (os.RTLD_GLOBAL if is_global else os.RTLD_LOCAL))
