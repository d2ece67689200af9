"""Which model is held: loaded once, switched while it serves, and told of truthfully when it cannot be."""

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from daemon.server.model_holder import ModelHolder, ModelSpec
from daemon.server.model_queue import Worker
from daemon.settings import Settings
from nanochat import cuda_graph
from protocol.errors import RpcError
from protocol.types import ModelInfo
from tests.checkpoints import tiny_model, write_checkpoint, write_flat, write_tokenizer
from tests.models import GOLDEN, random_model

SOON = 30.0  # seconds


class Ground:
    """A holder with its worker, an empty base folder of nanochat's, and all that was told."""

    def __init__(self, folder: Path):
        self.folder, self.base_dir = folder, folder / "nanochat"
        self.worker = Worker(limit=8)
        self.told: list[ModelInfo] = []
        self.while_telling: Callable[[ModelInfo], Any] = lambda info: None
        self.holder = self.with_settings()

    def with_settings(self, **settings: Any) -> ModelHolder:
        folder = self.folder
        given = {"device": "cpu", "base_dir": self.base_dir} | settings
        whole = Settings(traces_dir=folder, runtime_dir=folder, log_file=folder / "log", **given)
        self.holder = ModelHolder(whole, self.worker, self._changed)
        return self.holder

    def _changed(self, info: ModelInfo) -> None:
        self.told.append(info)
        self.while_telling(info)

    def busy(self) -> threading.Event:
        """Occupy the model thread until the event is set."""
        gate, started = threading.Event(), threading.Event()
        self.worker.submit("busy", lambda _: (started.set(), gate.wait(SOON)), threading.Event())
        assert started.wait(SOON)
        return gate

    def on_worker(self, work: Callable[[], Any]) -> Any:
        """Do it on the model thread, after what waits there."""
        return self.worker.submit("test", lambda _: work(), threading.Event()).result(SOON)

    def load_first(self) -> ModelInfo:
        self.holder.load_soon()
        self.on_worker(lambda: None)
        return self.holder.describe()

    def load(self, *spec: Any, cancelled: threading.Event | None = None) -> ModelInfo:
        return self.on_worker(lambda: self.holder.load(ModelSpec(*spec), cancelled or threading.Event()))

    def states(self) -> list[str]:
        return [info.state for info in self.told]


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "not this one"))  # the settings say which
    ground = Ground(tmp_path)
    yield ground
    assert ground.worker.close(SOON)


def run(program: str, *arguments: str) -> str:
    """A program in a process of its own, which must not fail; what it says on stderr."""
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (0, ""), finished.stderr
    return finished.stderr


def test_nothing_is_loaded_before_it_is_asked_for(ground: Ground) -> None:
    assert ground.holder.describe() == ModelInfo(state="unloaded")
    assert ground.holder.current() is None
    run(
        "import sys\n"
        "from daemon.server.model_queue import Worker; from daemon.server.model_holder import ModelHolder, ModelSpec\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )


def test_the_built_in_model_is_the_one_where_there_is_no_other(
    ground: Ground, capfd: pytest.CaptureFixture[str]
) -> None:
    info = ground.load_first()
    assert ground.states() == ["loading", "ready"]
    assert info == ground.told[-1]
    assert (info.state, info.source, info.tag, info.era, info.device) == ("ready", "demo", "demo", "F", "cpu")
    held = ground.on_worker(ground.holder.held)
    assert info.parameters == held.model.num_parameters()
    assert (info.layers, info.heads) == (held.model.config.n_layer, held.model.config.n_head)
    assert info.context == held.model.config.max_positions
    assert info.dtype == "float32"
    assert info.note and str(ground.base_dir) in info.note
    assert ground.holder.current() is held
    assert capfd.readouterr().out == ""  # stdout belongs to the protocol


def test_a_trained_model_goes_before_the_built_in_one(ground: Ground) -> None:
    write_tokenizer(ground.base_dir / "tokenizer")
    for kind in ("base", "chatsft"):
        write_checkpoint(ground.base_dir / f"{kind}_checkpoints" / "d1", 20)
    info = ground.load_first()
    assert (info.source, info.tag, info.step, info.note) == ("sft", "d1", 20, None)


def test_settings_say_which(ground: Ground) -> None:
    folder = ground.folder / "mine"
    write_flat(folder, 10)
    write_flat(folder, 30)
    ground.with_settings(source=str(folder), step=10, era="F", dtype="bfloat16")
    info = ground.load_first()
    assert (info.path, info.step, info.dtype) == (str(folder / "model_000010.pt"), 10, "bfloat16")


def test_a_choice_that_the_checkpoint_leaves_open_is_told(ground: Ground) -> None:
    info = ground.load(str(GOLDEN / "C" / "gqa_windowed"))
    assert info.era == "C"
    assert info.note and 'override with era="D"' in info.note


def test_a_wish_for_one_checkpoint_is_not_met_by_another(ground: Ground) -> None:
    ground.with_settings(model_tag="d20")
    info = ground.load_first()
    assert info.state == "failed"
    assert info.error and info.error.startswith("MODEL_NOT_LOADED: There is no sft checkpoint")


def test_many_wishes_load_it_once(ground: Ground) -> None:
    gate = ground.busy()
    for _ in range(5):
        ground.holder.load_soon()
    assert ground.worker.queued() == 1
    gate.set()
    ground.load_first()
    ground.load_first()
    assert ground.states() == ["loading", "ready"]


def test_loading_goes_before_what_waits_already(ground: Ground) -> None:
    gate, seen = ground.busy(), []
    ground.worker.submit("a", lambda _: seen.append(ground.holder.describe().state), threading.Event())
    ground.holder.load_soon()
    gate.set()
    ground.on_worker(lambda: None)
    assert seen == ["ready"]


def test_the_model_is_loaded_by_whoever_needs_it_first(ground: Ground) -> None:
    assert ground.on_worker(ground.holder.held).info.source == "demo"


def test_what_fails_is_told_and_tried_again_at_the_next_wish(ground: Ground) -> None:
    weights = write_flat(ground.folder / "mine")
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    ground.with_settings(source=str(weights.parent))
    info = ground.load_first()
    assert info.state == "failed"
    assert info.error and info.error.startswith("CHECKPOINT_INVALID: ") and "Copy it again" in info.error
    for _ in range(2):
        with pytest.raises(RpcError, match="Copy it again") as caught:
            ground.on_worker(ground.holder.held)
        assert caught.value.name == "CHECKPOINT_INVALID"
    assert ground.states() == ["loading", "failed"]  # not tried again by those that waited for it
    weights.write_bytes(whole)
    assert ground.load_first().state == "ready"
    assert ground.on_worker(ground.holder.held).info.path == str(weights)


def test_an_unforeseen_fault_is_logged_and_named(
    ground: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.setattr("nanochat.checkpoint_manager.load_model", broken)
    info = ground.load_first()
    assert info.error and info.error.startswith("INTERNAL_ERROR: ") and "of all things" not in info.error
    assert "of all things" in caplog.text


def test_even_a_panic_leaves_a_state_that_is_true(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    class Panic(BaseException):
        pass

    def broken(*_: Any, **__: Any) -> None:
        raise Panic

    monkeypatch.setattr("nanochat.checkpoint_manager.load_model", broken)
    ground.holder.load_soon()
    with pytest.raises(RpcError, match="Panic"):
        ground.on_worker(ground.holder.held)
    assert ground.holder.describe().state == "failed"


def test_a_missing_torch_is_named(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    info = ground.load_first()
    assert info.error and info.error.startswith("MODEL_NOT_LOADED: torch cannot be imported")


def test_another_model_takes_over_when_it_is_whole(ground: Ground) -> None:
    weights = write_flat(ground.folder / "mine")
    ground.load_first()
    first = weakref.ref(ground.on_worker(ground.holder.held).model)
    meanwhile: list[str | None] = []
    ground.while_telling = lambda info: meanwhile.append(ground.holder.held().info.source)
    info = ground.load(str(weights.parent))
    assert meanwhile == ["demo", "folder"]
    assert ground.states() == ["loading", "ready", "loading", "ready"]
    assert ground.told[2].source == "demo"  # it still serves
    assert ground.told[2].note == f"Loading {weights.parent}."
    assert info == ground.holder.describe()
    assert info.parameters == tiny_model().num_parameters()
    gc.collect()
    assert first() is None  # its memory is free


def test_the_model_before_is_freed_at_once(ground: Ground) -> None:
    weights = write_flat(ground.folder / "mine")
    ground.load_first()

    def switch() -> bool:
        freed: list[bool] = []
        model = ground.holder.held().model
        model.itself = [model]  # type: ignore[assignment]  only a collection frees it
        reference = weakref.ref(model)
        del model
        ground.while_telling = lambda info: freed.append(reference() is None)
        ground.holder.load(ModelSpec(str(weights.parent)), threading.Event())
        return freed[-1]

    assert ground.on_worker(switch)


def test_the_memory_of_recordings_goes_with_the_model_before(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    class Maker:
        """In place of what records on a GPU."""

    monkeypatch.setattr(cuda_graph, "_graph_maker", cache(lambda device: Maker()))
    ground.load_first()
    kept = weakref.ref(cuda_graph._graph_maker(torch.device("cuda", 0)))
    assert kept() is not None
    ground.load("demo")
    assert kept() is None


@pytest.mark.parametrize(
    ("spec", "name", "message"),
    [
        (("sft",), "MODEL_NOT_LOADED", "There is no sft checkpoint"),
        (("/nowhere/at/all",), "MODEL_NOT_LOADED", "There is no folder"),
        (("models/mine",), "SETTING_INVALID", "a folder's whole path"),
        (("demo", None, None, "Z"), "CHECKPOINT_INVALID", "There is no era 'Z'"),
        (("demo", None, None, None, "cuda:99"), "SETTING_INVALID", "not available"),
        (("demo", None, None, None, None, "int8"), "SETTING_INVALID", "int8"),
    ],
)
def test_what_cannot_be_loaded_leaves_the_model_held(
    ground: Ground, spec: tuple[str, ...], name: str, message: str
) -> None:
    ready = ground.load_first()
    held = ground.on_worker(ground.holder.held)
    with pytest.raises(RpcError, match=message) as caught:
        ground.load(*spec)
    assert caught.value.name == name
    assert ground.holder.describe() == ready == ground.told[-1]
    assert ground.on_worker(ground.holder.held) is held


def test_a_model_whose_client_gave_up_is_not_taken(ground: Ground) -> None:
    ready = ground.load_first()
    weights, cancelled = write_flat(ground.folder / "mine"), threading.Event()
    ground.while_telling = lambda info: cancelled.set()
    with pytest.raises(RpcError, match="was not taken") as caught:
        ground.load(str(weights.parent), cancelled=cancelled)
    assert caught.value.name == "CANCELLED"
    assert ground.holder.describe() == ready


def test_a_client_may_choose_the_first_model(ground: Ground) -> None:
    weights = write_flat(ground.folder / "mine")
    ground.while_telling = lambda info: ground.holder.load_soon()
    ground.load(str(weights.parent))
    assert ground.load_first().source == "folder"
    assert ground.states() == ["loading", "ready"]


def test_small_models_compute_on_one_thread(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    write_flat(ground.folder / "mine", model=random_model(n_layer=1))
    own = ground.on_worker(lambda: (torch.set_num_threads(2), torch.get_num_threads())[1])
    ground.load_first()
    assert ground.on_worker(torch.get_num_threads) == 1
    monkeypatch.setattr("daemon.server.model_holder.SMALL_WIDTH", 32)
    ground.load(str(ground.folder / "mine"))
    assert ground.on_worker(torch.get_num_threads) == own == 2


COLD_START = """
import gc, os, sys, threading
from pathlib import Path
import daemon.server.model_holder as holders
from daemon.server.model_queue import Worker
from daemon.settings import Settings

calls, passes = [], []
load_libraries = holders._load_torch_libraries

def noted():
    assert "torch" not in sys.modules and os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
    load_libraries()
    calls.append(Path("/proc/self/maps").read_text().count("libtorch_python.so") if sys.platform == "linux" else 1)
    assert "torch" not in sys.modules

holders._load_torch_libraries = noted
gc.callbacks.append(lambda *_: passes.append("torch" in sys.modules and gc.get_freeze_count() == 0))
worker, folder = Worker(4), Path(sys.argv[1])
holder = holders.ModelHolder(Settings(folder, folder, folder / "log", source="demo"), worker, lambda info: None)
worker.submit(1, lambda _: holder.held(), threading.Event()).result()
assert len(calls) == 1 and calls[0] > 0, calls
assert passes and not any(passes), passes
assert gc.isenabled() and gc.get_freeze_count() > 50_000
"""


def test_importing_torch_holds_up_nobody(tmp_path: Path) -> None:
    """Libraries are loaded without the interpreter lock, and the collector does not pass over torch's objects."""
    assert run(COLD_START, str(tmp_path)).startswith("Loaded demo model")


def test_a_model_that_is_lent_leaves_the_one_held(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = write_flat(ground.folder / "mine")
    monkeypatch.setattr("daemon.server.model_holder.SMALL_WIDTH", 64)  # the built-in model is wider
    ground.on_worker(lambda: torch.set_num_threads(2))
    ground.load_first()
    held, told = ground.on_worker(ground.holder.held), list(ground.told)

    def lend(work: Callable[[Any], Any], cancelled: threading.Event | None = None) -> Any:
        spec = ModelSpec(str(weights.parent))
        return ground.on_worker(lambda: ground.holder.lend(spec, cancelled or threading.Event(), work))

    seen, lent_threads = lend(lambda lent: (weakref.ref(lent.model), torch.get_num_threads()))
    assert seen() is None and lent_threads == 1
    assert ground.on_worker(ground.holder.held) is held and ground.told == told
    assert ground.on_worker(torch.get_num_threads) == 2
    with pytest.raises(ValueError, match="no such head"):
        lend(lambda lent: (_ for _ in ()).throw(ValueError("no such head")))
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(RpcError) as caught:
        lend(lambda lent: pytest.fail("it was cancelled"), cancelled)
    assert caught.value.name == "CANCELLED"
    weights.unlink()
    with pytest.raises(RpcError) as caught:
        lend(lambda lent: pytest.fail("there is none"))
    assert caught.value.name == "MODEL_NOT_LOADED"
    assert ground.on_worker(ground.holder.held) is held and ground.told == told
