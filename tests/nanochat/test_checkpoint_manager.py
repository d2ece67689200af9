"""What is loaded from whole checkpoints, and how they are read and written by hand."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from nanochat import checkpoint_manager
from nanochat.checkpoint_manager import (
    build_model,
    load_model,
    model_config_of,
    read_meta,
    read_state,
    save_checkpoint,
)
from nanochat.errors import (
    CheckpointInvalidError,
    CheckpointNotFoundError,
    SettingInvalidError,
)
from tests.checkpoints import (
    IDS,
    changed_state,
    load,
    logits_of,
    tiny_model,
    tree,
    write_checkpoint,
    write_flat,
    write_tokenizer,
)
from tests.models import ERA_NAMES, GOLDEN, random_model

CPU = torch.device("cpu")

CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("base")


@pytest.mark.parametrize("era", ERA_NAMES)
def test_every_era_comes_back_as_it_was_written(tmp_path, era):
    pattern = "L" if era in ("A", "Ap") else "SL"  # these two record none
    model = random_model(era, n_layer=2, n_embd=32, window_pattern=pattern)
    write_flat(tmp_path / "mine", 7, model, loss=0.5)
    loaded, tokenizer, meta = load(tmp_path / "mine", era="D" if era == "D" else None)
    assert loaded.config == model.config
    assert torch.equal(logits_of(loaded), logits_of(model))
    assert tokenizer.get_vocab_size() == 300
    assert (meta["step"], meta["loss"]) == (7, 0.5)
    assert loaded.num_parameters() == model.num_parameters()


def test_where_it_came_from_is_kept_and_said(tmp_path, base, capsys):
    weights = write_checkpoint(base / "chatsft_checkpoints" / "d1")
    write_tokenizer(base / "tokenizer")
    model, _, _ = load("sft")
    assert model.provenance.pop("self_check_error") < 1e-5
    assert model.provenance == {"source": "sft", "tag": "d1", "step": 10, "path": str(weights), "note": None}
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"Loaded sft model d1, step 10, era F from {weights.parent}\n"


@pytest.mark.parametrize(("step", "kept"), [(12, 12), ("latest", 10), (None, 10), (1.5, 10)])
def test_the_step_is_the_metadatas_else_the_names(tmp_path, step, kept):
    write_flat(tmp_path, 10)
    path = tmp_path / "meta_000010.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"step": step}), encoding="utf-8")
    assert load(tmp_path)[0].provenance["step"] == kept


def test_tag_and_step_are_passed_on(base):
    for tag, step in (("d1", 5), ("d1", 6), ("d2", 7)):
        write_checkpoint(base / "base_checkpoints" / tag, step)
    write_tokenizer(base / "tokenizer")
    assert load("base")[2]["step"] == 7
    assert load("base", model_tag="d1")[2]["step"] == 6
    assert load_model("base", "cpu", "eval", "d1", 5)[2]["step"] == 5


def test_the_built_in_model_is_read_from_safetensors(tmp_path, monkeypatch):
    weights = write_flat(tmp_path)
    save_file(read_state(weights), tmp_path / "model.safetensors")
    shutil.move(weights.with_name("meta_000010.json"), tmp_path / "model.json")
    monkeypatch.setattr("nanochat.checkpoints.layouts.DEMO_FOLDER", tmp_path)
    model, _, _ = load("demo")
    assert model.provenance["source"] == "demo"
    assert torch.equal(logits_of(model), logits_of(tiny_model()))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(CheckpointInvalidError, match=r"model.safetensors cannot be loaded"):
        load("demo")


def test_nothing_is_written(tmp_path, base):
    write_flat(tmp_path / "mine")
    before = tree(tmp_path)
    load(tmp_path / "mine")
    with pytest.raises(CheckpointNotFoundError):
        load("sft")
    assert tree(tmp_path) == before
    assert not base.exists()


def test_optimizer_shards_are_left_alone(tmp_path):
    weights = write_flat(tmp_path)
    for rank in range(2):
        weights.with_name(f"optim_000010_rank{rank}.pt").write_bytes(b"not even torch")
    assert load(tmp_path)[2]["step"] == 10


def test_compiled_models_keys(tmp_path):
    weights = write_flat(tmp_path)
    torch.save({f"_orig_mod.{key}": value for key, value in tiny_model().state_dict().items()}, weights)
    assert torch.equal(logits_of(load(tmp_path)[0]), logits_of(tiny_model()))
    changed_state(weights, lambda state: state.update(lm_head=torch.zeros(1), **{"_orig_mod.lm_head": torch.zeros(1)}))
    with pytest.raises(CheckpointInvalidError, match="both with and without the prefix _orig_mod"):
        load(tmp_path)


def test_bfloat16_is_loaded_as_float32_on_the_cpu(tmp_path):
    weights = write_flat(tmp_path)
    rounded = {key: value.bfloat16() for key, value in tiny_model().state_dict().items()}
    torch.save(rounded, weights)
    model, _, _ = load(tmp_path)
    assert model.dtype == torch.float32
    assert all(torch.equal(model.state_dict()[key].float(), value.float()) for key, value in rounded.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, "bfloat16", "float16"])
@pytest.mark.parametrize("era", ERA_NAMES)
def test_halves_compute_nearly_the_same(era, dtype):
    folder = GOLDEN / era / "gqa_windowed"
    whole, _, _ = load(folder, era=era)
    half, _, _ = load(folder, era=era, dtype=dtype)
    assert str(half.dtype).endswith(str(dtype).removeprefix("torch."))
    scalars = {parameter.dtype for name, parameter in half.named_parameters() if "_lambda" in name}
    assert scalars <= {torch.float32}
    found, expected = logits_of(half), logits_of(whole)
    assert found.dtype == torch.float32
    assert 0 < (found - expected).norm() / expected.norm() < (0.05 if half.dtype == torch.bfloat16 else 0.005)


def test_the_file_may_be_overwritten_after_loading(tmp_path):
    weights = write_flat(tmp_path)
    model, _, _ = load(tmp_path)
    before = logits_of(model)
    size = weights.stat().st_size
    with weights.open("r+b") as file:
        file.write(b"\xff" * size)
    assert torch.equal(logits_of(model), before)
    weights.write_bytes(b"")
    assert torch.equal(logits_of(model), before)


@pytest.mark.parametrize("phase", ["eval", "train"])
def test_a_loaded_model_can_be_trained(tmp_path, phase):
    write_flat(tmp_path)
    model, _, _ = load_model(tmp_path, "cpu", phase)
    assert model.training == (phase == "train")
    model(IDS, IDS).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("phase", ["", "test", None])
def test_other_phases(phase):
    with pytest.raises(SettingInvalidError, match='use "eval" or "train"'):
        load_model("demo", "cpu", phase)


@pytest.mark.parametrize("settings", [{"device": "cuda:9"}, {"device": "tpu"}, {"dtype": "int8"}])
def test_devices_and_dtypes_that_are_not_there_are_refused_before_reading(tmp_path, settings):
    with pytest.raises(SettingInvalidError):
        load_model(tmp_path / "nowhere", **{"device": "cpu", "phase": "eval"} | settings)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: not enough memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 40 bytes"),
    ],
)
@pytest.mark.parametrize("where", ["_placed", "self_check"])
def test_too_little_memory(tmp_path, monkeypatch, error, where):
    write_flat(tmp_path)

    def fail(*args):
        raise error

    monkeypatch.setattr(checkpoint_manager, where, fail)
    with pytest.raises(
        SettingInvalidError, match=r"not enough memory on cpu .* another device, a smaller model, or bfloat16"
    ):
        load(tmp_path)


def test_other_errors_are_not_taken_for_too_little_memory(tmp_path, monkeypatch):
    write_flat(tmp_path)

    def fail(*args):
        raise RuntimeError("something else")

    monkeypatch.setattr(checkpoint_manager, "self_check", fail)
    with pytest.raises(RuntimeError, match="something else"):
        load(tmp_path)


def test_a_checkpoint_is_written_as_nanochat_does(tmp_path):
    model = tiny_model()
    meta = {"step": 3, "model_config": model_config_of(model)}
    for rank in range(2):
        save_checkpoint(tmp_path / "new" / "d1", 3, model.state_dict(), {"lr": torch.ones(1)}, meta, rank)
    names = ["meta_000003.json", "model_000003.pt", "optim_000003_rank0.pt", "optim_000003_rank1.pt"]
    assert tree(tmp_path / "new" / "d1") == names
    assert json.loads((tmp_path / "new" / "d1" / names[0]).read_text(encoding="utf-8")) == meta
    written = torch.load(tmp_path / "new" / "d1" / names[1], weights_only=True)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in written.items())


def test_reading_gives_what_building_takes(tmp_path):
    weights = write_flat(tmp_path)
    state, meta = read_state(weights), read_meta(tmp_path / "meta_000010.json")
    model, note = build_model(state, meta, CPU, torch.float64)
    assert note is None
    assert torch.equal(logits_of(model.eval()), logits_of(tiny_model()))
