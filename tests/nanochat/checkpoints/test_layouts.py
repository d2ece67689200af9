import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from nanochat.checkpoint_manager import load_model
from nanochat.checkpoints.layouts import (
    DEMO_FOLDER,
    SOURCES,
    choose_checkpoint,
    default_source,
    list_checkpoints,
    list_models,
)
from nanochat.errors import CheckpointNotFoundError, SettingInvalidError, TokenizerInvalidError
from tests.checkpoints import touch_at, tree


def put(folder: Path, *steps: int) -> Path:
    """Empty files in a checkpoint's place: where they lie is all that counts here."""
    folder.mkdir(parents=True, exist_ok=True)
    for step in steps or (10,):
        (folder / f"model_{step:06d}.pt").touch()
        (folder / f"meta_{step:06d}.json").touch()
    return folder


def put_tokenizer(folder: Path, name: str = "tokenizer.pkl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).touch()
    return folder


@pytest.mark.parametrize("source", SOURCES)
def test_a_base_folder_has_four_sources(tmp_path, source):
    for folder in SOURCES.values():
        put(tmp_path / folder / "d4", 5, 10)
    found = choose_checkpoint(source, tmp_path)
    assert (found.source, found.tag, found.step) == (source, "d4", 10)
    assert found.weights == tmp_path / SOURCES[source] / "d4" / "model_000010.pt"
    assert found.meta == tmp_path / SOURCES[source] / "d4" / "meta_000010.json"


def test_the_folder_names_are_nanochats():
    assert SOURCES == {
        "base": "base_checkpoints",
        "mid": "mid_checkpoints",
        "sft": "chatsft_checkpoints",
        "rl": "chatrl_checkpoints",
    }


@pytest.mark.parametrize("source", SOURCES)
def test_experiments_have_four_sources(tmp_path, source):
    for name in SOURCES:
        put(tmp_path / "experiments" / "first" / "d4" / name)
    put_tokenizer(tmp_path / "experiments" / "first" / "tokenizer")
    put_tokenizer(tmp_path / "tokenizer")
    found = choose_checkpoint(source, tmp_path)
    assert (found.source, found.tag) == (source, "first/d4")
    assert found.weights.parent == tmp_path / "experiments" / "first" / "d4" / source
    assert found.tokenizer_folder(tmp_path) == tmp_path / "experiments" / "first" / "tokenizer"


@pytest.mark.parametrize(
    "inside", ["", "experiments", "experiments/first", "experiments/first/d4", "experiments/first/d4/mid"]
)
def test_any_folder_of_an_experiment_can_be_named(tmp_path, inside):
    put(tmp_path / "experiments" / "first" / "d4" / "mid")
    found = choose_checkpoint(str(tmp_path / inside), tmp_path / "elsewhere")
    assert (found.source, found.tag) == ("mid", "first/d4")


def test_the_same_tag_in_two_experiments(tmp_path):
    first = put(tmp_path / "experiments" / "first" / "d4" / "base")
    second = put(tmp_path / "experiments" / "second" / "d4" / "base")
    touch_at(first, 2000)
    touch_at(second, 1000)
    assert choose_checkpoint("base", tmp_path).tag == "first/d4"
    assert choose_checkpoint("base", tmp_path, "d4").tag == "first/d4"
    assert choose_checkpoint("base", tmp_path, "second/d4").weights.parent == second


@pytest.mark.parametrize("inside", ["", "chatsft_checkpoints", "chatsft_checkpoints/d4"])
@pytest.mark.parametrize("spelled", [str, Path, lambda path: f"{path}/", lambda path: f"{path}/../{path.name}/."])
def test_any_folder_of_a_base_folder_can_be_named(tmp_path, inside, spelled):
    put(tmp_path / "chatsft_checkpoints" / "d4")
    found = choose_checkpoint(spelled(tmp_path / inside), tmp_path / "elsewhere")
    assert (found.source, found.tag, found.step) == ("sft", "d4", 10)
    assert found.weights == tmp_path / "chatsft_checkpoints" / "d4" / "model_000010.pt"


def test_a_flat_folder(tmp_path):
    put_tokenizer(put(tmp_path / "nanochat-d32", 650))
    found = choose_checkpoint(str(tmp_path / "nanochat-d32"), tmp_path / "elsewhere")
    assert (found.source, found.tag, found.step) == ("folder", "nanochat-d32", 650)
    assert found.tokenizer_folder(tmp_path / "elsewhere") == tmp_path / "nanochat-d32"


def test_a_folder_of_flat_folders(tmp_path):
    put(tmp_path / "d12")
    put(tmp_path / "d4")
    assert choose_checkpoint(str(tmp_path), tmp_path).tag == "d12"
    assert choose_checkpoint(str(tmp_path), tmp_path, "d4").tag == "d4"


def test_weights_right_there_come_before_those_below(tmp_path):
    put(tmp_path / "mine", 3)
    put(tmp_path / "mine" / "older" / "sft", 99)
    assert choose_checkpoint(str(tmp_path / "mine"), tmp_path).step == 3


@pytest.mark.parametrize("spelled", [str, Path])
def test_a_weights_file_can_be_named(tmp_path, spelled):
    weights = put(tmp_path / "chatsft_checkpoints" / "d4", 10, 20) / "model_000010.pt"
    found = choose_checkpoint(spelled(weights), tmp_path)
    assert (found.source, found.tag, found.step, found.weights) == ("sft", "d4", 10, weights)
    with pytest.raises(CheckpointNotFoundError, match="no step 20: its steps are 10"):
        choose_checkpoint(spelled(weights), tmp_path, step=20)


def test_a_link_to_a_folder_keeps_the_names_that_it_has(tmp_path):
    run = put(tmp_path / "disk" / "run17")
    (tmp_path / "base" / "base_checkpoints").mkdir(parents=True)
    (tmp_path / "base" / "base_checkpoints" / "d20").symlink_to(run)
    found = choose_checkpoint("base", tmp_path / "base")
    assert (found.source, found.tag) == ("base", "d20")


def test_relative_folders_and_the_home_folder(tmp_path, monkeypatch):
    put(tmp_path / "chatsft_checkpoints" / "d4")
    put_tokenizer(tmp_path / "tokenizer")
    monkeypatch.chdir(tmp_path / "chatsft_checkpoints" / "d4")
    monkeypatch.setenv("HOME", str(tmp_path))
    for folder in (".", "", "../../chatsft_checkpoints", "~", "~/chatsft_checkpoints/d4"):
        found = choose_checkpoint(folder, tmp_path / "elsewhere")
        assert (found.source, found.tag) == ("sft", "d4")
        assert found.tokenizer_folder(tmp_path / "elsewhere") == tmp_path / "tokenizer"


def test_a_name_means_the_source_and_a_path_the_folder(tmp_path, monkeypatch):
    put(tmp_path / "base" / "chatsft_checkpoints" / "d4")
    put(tmp_path / "sft", 77)
    monkeypatch.chdir(tmp_path)
    assert choose_checkpoint("sft", tmp_path / "base").step == 10
    assert choose_checkpoint("./sft", tmp_path / "base").step == 77
    assert choose_checkpoint(Path("sft"), tmp_path / "base").step == 77


def test_a_folder_with_several_sources_gives_the_chat_model(tmp_path):
    for kinds, best in ((["base"], "base"), (["mid"], "mid"), (["rl"], "rl"), (["sft"], "sft")):
        for kind in kinds:
            put(tmp_path / SOURCES[kind] / "d4")
        assert choose_checkpoint(str(tmp_path), tmp_path).source == best
    put(tmp_path / SOURCES["base"] / "d12")
    assert choose_checkpoint(str(tmp_path), tmp_path).source == "sft"


def test_a_tag_that_only_another_source_has_is_found(tmp_path):
    put(tmp_path / "chatsft_checkpoints" / "d4")
    put(tmp_path / "base_checkpoints" / "d12")
    found = choose_checkpoint(str(tmp_path), tmp_path, "d12")
    assert (found.source, found.tag) == ("base", "d12")


def test_the_deepest_tag_is_taken(tmp_path):
    for seconds, tag in enumerate(["d20", "d9", "d100x", "xd200", "d-300", "latest"]):
        touch_at(put(tmp_path / "base_checkpoints" / tag), 1000 + seconds)
    assert choose_checkpoint("base", tmp_path).tag == "d20"
    assert choose_checkpoint("base", tmp_path, "latest").tag == "latest"


def test_else_the_newest(tmp_path):
    for seconds, tag in ((1000, "zebra"), (3000, "mine"), (2000, "apple")):
        touch_at(put(tmp_path / "base_checkpoints" / tag), seconds)
    assert choose_checkpoint("base", tmp_path).tag == "mine"


def test_the_highest_step_is_taken(tmp_path):
    put(tmp_path / "base_checkpoints" / "d4", 9, 100, 20, 1234567)
    assert choose_checkpoint("base", tmp_path).step == 1234567
    assert choose_checkpoint("base", tmp_path, step=100).weights.name == "model_000100.pt"
    assert choose_checkpoint("base", tmp_path, step=9).meta.name == "meta_000009.json"


def test_the_step_of_the_tag_and_not_of_another(tmp_path):
    put(tmp_path / "base_checkpoints" / "d4", 900)
    put(tmp_path / "base_checkpoints" / "d12", 5)
    assert choose_checkpoint("base", tmp_path).step == 5
    with pytest.raises(CheckpointNotFoundError, match=r"d12 has no step 900: its steps are 5"):
        choose_checkpoint("base", tmp_path, step=900)


@pytest.mark.parametrize("step", ["10", 10.0, True, [10]])
def test_a_step_that_is_no_number(tmp_path, step):
    put(tmp_path / "base_checkpoints" / "d4", 1, 10)
    with pytest.raises(SettingInvalidError, match=re.escape(f"step={step!r}: give a whole number")):
        choose_checkpoint("base", tmp_path, step=step)


def test_other_files_are_left_alone(tmp_path):
    folder = put(tmp_path / "base_checkpoints" / "d4", 10)
    for name in (
        "optim_000099_rank0.pt",
        "model_abc.pt",
        "model_000099.pt.tmp",
        "model_000099.safetensors",
        "xmodel_000099.pt",
    ):
        (folder / name).touch()
    (folder / "model_000098.pt").mkdir()
    assert [checkpoint.step for checkpoint in list_checkpoints(tmp_path)] == [10]


def test_all_are_listed_once(tmp_path):
    put(tmp_path / "base_checkpoints" / "d4", 1, 2)
    put(tmp_path / "chatsft_checkpoints" / "d4", 3)
    put(tmp_path / "experiments" / "first" / "d4" / "rl", 4)
    put(tmp_path / "flat", 5)
    found = sorted((checkpoint.source, checkpoint.tag, checkpoint.step) for checkpoint in list_checkpoints(tmp_path))
    assert found == [
        ("base", "d4", 1),
        ("base", "d4", 2),
        ("folder", "flat", 5),
        ("rl", "first/d4", 4),
        ("sft", "d4", 3),
    ]


def test_nothing_below_a_folder_that_is_not_there(tmp_path):
    assert list_checkpoints(tmp_path / "nowhere") == []


@pytest.mark.parametrize("beside", ["tokenizer.pkl", "tokenizer.json"])
def test_the_nearest_tokenizer_is_taken(tmp_path, beside):
    base, folder = tmp_path / "base", tmp_path / "flat" / "d4"
    put(folder)
    found = choose_checkpoint(str(folder), base)
    assert found.tokenizer_folder(base) is None
    for place in (base / "tokenizer", base, tmp_path / "flat" / "tokenizer", folder / "tokenizer", folder):
        put_tokenizer(place, beside)
        assert found.tokenizer_folder(base) == place


def test_the_built_in_model_needs_no_folder(tmp_path):
    found = choose_checkpoint("demo", tmp_path / "nowhere")
    assert (found.source, found.tag) == ("demo", "demo")
    assert found.weights.parent == found.meta.parent == DEMO_FOLDER
    assert found.tokenizer_folder(tmp_path / "nowhere") == DEMO_FOLDER


@pytest.mark.parametrize("source", SOURCES)
def test_looking_creates_nothing(tmp_path, source):
    with pytest.raises(CheckpointNotFoundError, match=f"There is no {source} checkpoint in .*nowhere: .*demo"):
        choose_checkpoint(source, tmp_path / "nowhere")
    put(tmp_path / "base_checkpoints" / "d4")
    before = tree(tmp_path)
    choose_checkpoint(str(tmp_path), tmp_path / "nowhere").tokenizer_folder(tmp_path / "nowhere")
    assert tree(tmp_path) == before


def test_a_source_without_checkpoints(tmp_path):
    put(tmp_path / "base_checkpoints" / "d4")
    with pytest.raises(CheckpointNotFoundError, match=f"There is no sft checkpoint in {re.escape(str(tmp_path))}"):
        choose_checkpoint("sft", tmp_path)


@pytest.mark.parametrize(
    "source", ["soft", "Base", "/no/such/folder", "~there-is-no-such-user/x", "a\0b", "/dev/null/x"]
)
def test_a_source_that_is_none(tmp_path, source):
    with pytest.raises(CheckpointNotFoundError, match=r"There is no folder .*base.*demo.*or a folder"):
        choose_checkpoint(source, tmp_path)


def test_a_name_that_no_file_can_have(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="cannot be searched"):
        choose_checkpoint("x" * 5000, tmp_path)


@pytest.mark.parametrize("name", ["meta_000010.json", "tokenizer.pkl", "model_latest.pt"])
def test_a_file_that_is_no_checkpoint(tmp_path, name):
    put(tmp_path)
    (tmp_path / name).touch()
    with pytest.raises(CheckpointNotFoundError, match=f"{name} is no checkpoint: name a folder"):
        choose_checkpoint(str(tmp_path / name), tmp_path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"no checkpoint \(model_<step>.pt\) in .*"):
        choose_checkpoint(str(tmp_path), tmp_path)


@pytest.mark.parametrize("tag", ["d5", "", "first", "d", 4])
def test_a_tag_that_is_not_there(tmp_path, tag):
    put(tmp_path / "base_checkpoints" / "d4")
    put(tmp_path / "experiments" / "first" / "d12" / "base")
    with pytest.raises(
        CheckpointNotFoundError, match=f"no model {tag!r} in base: the tags there are d4, first.d12. .*-i"
    ):
        choose_checkpoint("base", tmp_path, tag)


def test_the_built_in_model_has_one_tag_and_one_step(tmp_path):
    step = choose_checkpoint("demo", tmp_path).step
    assert choose_checkpoint("demo", tmp_path, "demo", step).weights.parent == DEMO_FOLDER
    with pytest.raises(CheckpointNotFoundError, match="no model 'd20' in demo: the tags there are demo"):
        choose_checkpoint("demo", tmp_path, "d20")
    with pytest.raises(CheckpointNotFoundError, match=f"has no step {step + 1}: its steps are {step}"):
        choose_checkpoint("demo", tmp_path, None, step + 1)


@pytest.fixture
def ordinary_user():
    """A folder of its own, as a user who is not the superuser: rights do not bind that one."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    superuser = os.geteuid() == 0
    if superuser:
        shutil.chown(folder, 65534)
        os.seteuid(65534)
    yield folder
    if superuser:
        os.seteuid(0)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("closed", ["", "chatsft_checkpoints", "chatsft_checkpoints/d4"])
def test_folders_without_rights_are_named(ordinary_user, closed):
    put(ordinary_user / "chatsft_checkpoints" / "d4")
    (ordinary_user / closed).chmod(0)
    with pytest.raises(CheckpointNotFoundError, match=f"cannot be searched.*[Pp]ermission.*{ordinary_user / closed}'"):
        choose_checkpoint("sft", ordinary_user)


def test_a_folder_below_one_without_rights(ordinary_user):
    put(ordinary_user / "chatsft_checkpoints" / "d4")
    (ordinary_user / "chatsft_checkpoints").chmod(0)
    with pytest.raises(CheckpointNotFoundError, match=r"cannot be searched.*[Pp]ermission"):
        choose_checkpoint(str(ordinary_user / "chatsft_checkpoints" / "d4"), ordinary_user)


@pytest.mark.parametrize(
    "look", [list_models, default_source, list_checkpoints, lambda base: choose_checkpoint("sft", base)]
)
def test_a_folder_that_can_be_listed_and_not_entered_is_named(ordinary_user, look):
    folder = put(ordinary_user / "chatsft_checkpoints" / "d4")
    folder.chmod(0o444)
    with pytest.raises(CheckpointNotFoundError, match=r"cannot be searched.*ermission.*d4.*: make it readable"):
        look(ordinary_user)


def test_a_tokenizers_folder_without_rights_is_named(ordinary_user):
    put(ordinary_user / "chatsft_checkpoints" / "d4")
    put_tokenizer(ordinary_user / "tokenizer").chmod(0)
    found = choose_checkpoint("sft", ordinary_user)
    with pytest.raises(TokenizerInvalidError, match=r"cannot be looked for .*ermission.*: make that folder readable"):
        found.tokenizer_folder(ordinary_user)


def test_a_model_trained_as_the_built_in_one_is_loaded_by_its_folder(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(DEMO_FOLDER, folder)
    model, tokenizer, _ = load_model(folder, "cpu", "eval")
    assert (model.provenance["source"], model.provenance["tag"]) == ("demo", "mine")
    assert tokenizer.get_vocab_size() == model.config.vocab_size


def test_models_are_listed_as_they_are_to_be_named(tmp_path):
    demo_step = json.loads((DEMO_FOLDER / "model.json").read_text())["step"]
    put(tmp_path / "base_checkpoints" / "d4", 5, 20, 10)
    put(tmp_path / "base_checkpoints" / "d12")
    put(tmp_path / "chatsft_checkpoints" / "d4")
    put(tmp_path / "experiments" / "first" / "d4" / "rl", 3)
    loose = put(tmp_path / "loose", 7)
    listed = [(model.source, model.tag, model.steps) for model in list_models(tmp_path)]
    assert listed == [
        ("sft", "d4", (10,)),
        ("rl", "first/d4", (3,)),
        ("base", "d12", (10,)),
        ("base", "d4", (5, 10, 20)),
        (str(loose), "loose", (7,)),
        ("demo", "demo", (demo_step,)),
    ]
    for model in list_models(tmp_path):
        chosen = choose_checkpoint(model.source, tmp_path, model.tag, model.steps[0])
        assert chosen.weights.parent == model.path


def test_the_built_in_model_is_listed_where_there_is_no_other(tmp_path):
    assert [model.source for model in list_models(tmp_path / "nowhere")] == ["demo"]


@pytest.mark.parametrize("source", ["sft", "rl", "mid", "base"])
def test_the_source_taken_by_default_is_the_most_useful_there(tmp_path, source):
    assert default_source(tmp_path) is None
    order = ["sft", "rl", "mid", "base"]
    for name in order[order.index(source) :]:
        put(tmp_path / SOURCES[name] / "d4")
    put(tmp_path / "loose")
    assert default_source(tmp_path) == source


def test_checkpoints_are_listed_without_torch():
    program = (
        "import sys, nanochat.checkpoints.layouts, nanochat.checkpoints.base_dir; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
