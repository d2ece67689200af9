"""Which checkpoint is taken, told by what its files hold and not by how they or their folders are called."""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nanochat.checkpoints.layouts import (
    DEMO_FOLDER,
    choose_checkpoint,
    chosen_source,
    default_source,
    list_models,
)
from nanochat.errors import CheckpointInvalidError, CheckpointNotFoundError, TokenizerInvalidError
from tests.checkpoints import load, logits_of, tiny_model, touch_at, write_checkpoint, write_flat, write_tokenizer
from tests.models import random_model

HUGGING_FACE = {"version": "1.0", "truncation": None, "added_tokens": [], "model": {"type": "BPE", "vocab": {}}}


def export(folder: Path) -> None:
    """What a Hugging Face export of a model leaves in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"model.embed_tokens.weight": torch.zeros(2, 2)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"architectures": ["NanoChatForCausalLM"]}))


def of_depth(layers: int) -> Any:
    return random_model("A", n_layer=layers, n_embd=32, n_head=2, n_kv_head=1, sequence_len=16)


# Files that have a name of ours


def test_an_export_beside_the_weights_hides_nothing(tmp_path, base):
    write_flat(tmp_path)
    export(tmp_path)
    assert torch.equal(logits_of(load(tmp_path)[0]), logits_of(tiny_model()))
    assert [model.source for model in list_models(tmp_path)] == [str(tmp_path), "demo"]


@pytest.mark.parametrize("config", [{}, [], "x", {"modelTopology": {}}])
def test_an_export_is_not_taken_for_a_model_like_the_built_in_one(tmp_path, base, config):
    export(tmp_path / "exported")
    (tmp_path / "exported" / "model.json").write_text(json.dumps(config))
    said = r"no checkpoint .*config.json there is a Hugging Face model, which nanoscope does not read"
    with pytest.raises(CheckpointNotFoundError, match=said):
        load(tmp_path / "exported")
    assert [model.source for model in list_models(tmp_path)] == ["demo"]


def test_shards_of_an_export_are_named(tmp_path, base):
    (tmp_path / "model-00001-of-00002.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointNotFoundError, match=r"model-00001-of-00002.safetensors there is weights as Hugging"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("optim_000010_rank0.pt", "optimizer states"), ("ckpt.pt", "under a name that nanochat does not give")],
)
def test_what_else_of_torchs_is_there_is_named(tmp_path, base, name, kind):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointNotFoundError, match=f"{name} there is .*{kind}"):
        load(tmp_path)


def test_folders_with_a_files_name_are_passed_over(tmp_path, base):
    weights = write_flat(tmp_path)
    (tmp_path / "model_000099.pt").mkdir()
    (tmp_path / "tokenizer.json").mkdir()
    (tmp_path / "model.safetensors").mkdir()
    (tmp_path / "model.json").write_text('{"model_config": {}}')
    assert load(tmp_path)[0].provenance["path"] == str(weights)


@pytest.mark.parametrize("beside", [HUGGING_FACE, {"vocab": []}])
def test_another_programs_tokenizer_json_hides_no_tokenizer_of_ours(tmp_path, base, beside, capsys):
    write_checkpoint(tmp_path / "mine")
    (tmp_path / "mine" / "tokenizer.json").write_text(json.dumps(beside))
    write_tokenizer(base / "tokenizer")
    model, tokenizer, _ = load(tmp_path / "mine")
    assert tokenizer.get_vocab_size() == 300
    assert f"passed over {tmp_path / 'mine' / 'tokenizer.json'}, " in model.provenance["note"]
    assert "passed over" in capsys.readouterr().err


def test_another_programs_pickle_hides_no_tokenizer_of_ours(tmp_path, base):
    write_checkpoint(tmp_path / "mine")
    (tmp_path / "mine" / "tokenizer.pkl").write_bytes(pickle.dumps({"vocab": {"a": 1}}))
    (tmp_path / "mine" / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>")
    write_tokenizer(base / "tokenizer")
    model, tokenizer, _ = load(tmp_path / "mine")
    assert tokenizer.get_vocab_size() == 300
    assert "tokenizer.pkl, a pickle of something else" in model.provenance["note"]


def test_another_programs_pickle_does_not_hide_a_text_form_beside_it(tmp_path, base):
    _, tokenizer, _ = load(write_flat(tmp_path).parent)
    tokenizer.save_text(tmp_path)
    (tmp_path / "tokenizer.pkl").write_bytes(pickle.dumps([1, 2]))
    assert load(tmp_path)[1].get_vocab_size() == 300


def test_where_there_is_no_other_it_is_named_by_what_it_is(tmp_path, base):
    write_checkpoint(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps(HUGGING_FACE))
    with pytest.raises(TokenizerInvalidError, match=r"it is a Hugging Face tokenizer. Copy the tokenizer.pkl that"):
        load(tmp_path)
    (tmp_path / "tokenizer.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(TokenizerInvalidError, match=r"tokenizer.pkl is not a nanochat tokenizer"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"])
def test_a_tokenizer_json_that_cannot_be_read_hides_none(tmp_path, base, content):
    write_checkpoint(tmp_path / "mine")
    (tmp_path / "mine" / "tokenizer.json").write_bytes(content)
    write_tokenizer(base / "tokenizer")
    model, tokenizer, _ = load(tmp_path / "mine")
    assert tokenizer.get_vocab_size() == 300
    assert "tokenizer.json, " in model.provenance["note"]


def test_links_to_what_was_never_fetched_are_named(tmp_path, base):
    weights, nowhere = write_flat(tmp_path), tmp_path / ".git" / "annex" / "objects" / "x"
    write_tokenizer(base / "tokenizer")
    fetch = rf"a link to {nowhere}, which is not there: fetch that \(`git annex get`"
    for name in ("tokenizer.pkl", "meta_000010.json", "model_000010.pt"):
        (tmp_path / name).rename(tmp_path / "kept")
        (tmp_path / name).symlink_to(nowhere)
        with pytest.raises((CheckpointInvalidError, CheckpointNotFoundError), match=rf"{name} .*{fetch}"):
            load(tmp_path)
        (tmp_path / "kept").replace(tmp_path / name)
    assert load(tmp_path)[0].provenance["path"] == str(weights)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("model_000010.pt.dvc", "DVC's pointer .*`dvc pull`"),
        ("model_000010.pt.part", "half a download: finish it"),
    ],
)
def test_downloads_to_come_are_named(tmp_path, base, name, what):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(CheckpointNotFoundError, match=f"{name} there is {what}"):
        load(tmp_path)


def test_a_damaged_tokenizer_of_ours_is_not_passed_over(tmp_path, base):
    weights = write_flat(tmp_path / "mine")
    pickled = weights.with_name("tokenizer.pkl")
    pickled.write_bytes(pickled.read_bytes()[:500])
    write_tokenizer(base / "tokenizer")
    with pytest.raises(TokenizerInvalidError, match=r"mine/tokenizer.pkl is not a nanochat tokenizer"):
        load(tmp_path / "mine")


def test_weights_that_are_an_optimizers_or_a_whole_training_state(tmp_path, base):
    weights = write_flat(tmp_path)
    state = tiny_model().state_dict()
    optimizer = torch.optim.SGD(tiny_model().parameters(), momentum=0.9).state_dict()
    for content, kind in (
        (optimizer, "it is an optimizer's state: nanochat's weights are in model_<step>.pt"),
        ([optimizer, optimizer], "it is an optimizer's state"),
        ({"model": state, "optimizer": 1, "step": 3}, r"state \(model, optimizer, step\): save what is under"),
        ({"state_dict": state, "epoch": 1}, "what is under 'state_dict' by itself"),
    ):  # fmt: skip
        torch.save(content, weights)
        with pytest.raises(CheckpointInvalidError, match=f"does not hold a state dict of named tensors: .*{kind}"):
            load(tmp_path)


def test_metadata_of_another_step_are_told(tmp_path, base, capsys):
    weights = write_flat(tmp_path, 20)
    shutil.move(weights, weights.with_name("model_000030.pt"))
    shutil.move(tmp_path / "meta_000020.json", tmp_path / "meta_000030.json")
    assert "its metadata are of step 20, meta_000030.json" in load(tmp_path)[0].provenance["note"]
    assert "of step 20" in capsys.readouterr().err


# The deepest


def test_the_metadata_tell_which_is_the_deepest(base, capsys):
    for tag, layers in (("d12", 1), ("d24_fp8", 3), ("d26-mine", 2)):
        write_checkpoint(base / "base_checkpoints" / tag, 10, of_depth(layers))
    write_tokenizer(base / "tokenizer")
    model, _, _ = load("base")
    assert model.provenance["tag"] == "d24_fp8"
    said = "passed over base d26-mine (2 layers), base d12 (1 layer): a tag names another"
    assert said in model.provenance["note"]
    assert said in capsys.readouterr().err
    assert load("base", model_tag="d12")[0].provenance["note"] is None
    assert [model.tag for model in list_models(base)] == ["d24_fp8", "d26-mine", "d12", "demo"]


def test_between_equals_the_steps_decide_and_then_the_time(base):
    folder = base / "base_checkpoints"
    for seconds, tag, step in ((5000, "d3", 10), (1000, "xl", 20), (3000, "longer", 20), (2000, "d99", 9)):
        touch_at(write_checkpoint(folder / tag, step, of_depth(2)).parent, seconds)
    assert choose_checkpoint("base", base).tag == "longer"
    touch_at(folder / "xl", 4000)
    assert choose_checkpoint("base", base).tag == "xl"
    assert [model.tag for model in list_models(base)] == ["xl", "longer", "d3", "d99", "demo"]


def test_the_last_steps_metadata_count(base):
    write_checkpoint(base / "base_checkpoints" / "grown", 10, of_depth(1))
    write_checkpoint(base / "base_checkpoints" / "grown", 20, of_depth(3))
    write_checkpoint(base / "base_checkpoints" / "d9", 90, of_depth(2))
    assert choose_checkpoint("base", base).tag == "grown"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model_config": {"n_layer": "40"}}', None])
def test_where_the_metadata_do_not_tell_the_tag_does(base, content):
    unknown = write_checkpoint(base / "base_checkpoints" / "d20", 10, of_depth(1)).with_name("meta_000010.json")
    unknown.unlink() if content is None else unknown.write_text(content)
    write_checkpoint(base / "base_checkpoints" / "d9", 10, of_depth(3))
    assert choose_checkpoint("base", base).tag == "d20"  # and loading says what is the matter with it
    assert choose_checkpoint("base", base).choice == "passed over base d9 (3 layers): a tag names another"


def test_many_that_were_passed_over_are_counted(base):
    for layers in range(1, 9):
        write_checkpoint(base / "base_checkpoints" / f"m{layers}", 10, of_depth(layers))
    choice = choose_checkpoint("base", base).choice
    assert "base m3 (3 layers) and 2 more: a tag" in choice


def test_another_source_that_was_passed_over_is_told(base):
    write_checkpoint(base / "chatsft_checkpoints" / "d1", 10, of_depth(1))
    write_checkpoint(base / "base_checkpoints" / "d2", 10, of_depth(2))
    found = choose_checkpoint(str(base), base)
    assert (found.source, found.choice) == ("sft", "passed over base d2 (2 layers): a tag names another")


# One search

LAYOUTS = [
    "chatsft_checkpoints/d1",
    "base_checkpoints/my-model",
    "d1/sft",
    "experiments/first/d1/rl",
    "d1",
    "group/d1",
    "",
    "a/b",
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_listed_is_what_is_taken_without_a_wish(base, layout):
    weights = write_flat(base / layout)
    first = list_models(base)[0]
    assert first.path == weights.parent
    source, note = chosen_source(None, base)
    assert (source, note) == (default_source(base), None)
    assert load(source)[0].provenance["path"] == str(weights)
    assert load(first.source, model_tag=first.tag)[0].provenance["path"] == str(weights)
    assert load(base)[0].provenance["path"] == str(weights)


def test_a_model_like_the_built_in_one_is_found_too(base):
    shutil.copytree(DEMO_FOLDER, base / "mine")
    first, built_in = list_models(base)
    assert (first.source, first.tag, built_in.source) == (str(base / "mine"), "mine", "demo")
    source, _ = chosen_source(None, base)
    assert load(source)[0].provenance["path"] == str(base / "mine" / "model.safetensors")


def test_a_tag_is_looked_for_in_every_source(base):
    write_checkpoint(base / "chatsft_checkpoints" / "d1")
    weights = write_checkpoint(base / "base_checkpoints" / "d2")
    assert chosen_source(None, base, "d2") == ("base", None)
    assert choose_checkpoint("base", base, "d2").weights == weights
    assert chosen_source(None, base, "d3") == ("sft", None)


def test_the_built_in_model_never_stands_in_in_silence(base):
    assert chosen_source(None, base) == (
        "demo", f"The built-in demo model: there is no nanochat checkpoint in {base}."
    )  # fmt: skip
    assert chosen_source(None, base, "d3") == ("sft", None)
    assert chosen_source(None, base, None, 7) == ("sft", None)
    base.mkdir()
    for named in (str(base), "sft"):
        assert chosen_source(named, base) == (named, None)
        with pytest.raises(CheckpointNotFoundError):
            choose_checkpoint(named, base)


def test_a_folder_that_goes_while_it_is_listed_does_no_harm(base):
    os.makedirs(base)
    (base / "gone").symlink_to(base / "nowhere")
    assert [model.source for model in list_models(base)] == ["demo"]
