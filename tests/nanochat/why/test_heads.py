"""Roles of heads: what was measured on the built-in model, plain computations of scores, and the scan that is kept."""

import copy
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from nanochat.analysis.attention import model_head_scores
from nanochat.checkpoint_manager import load_model
from nanochat.errors import CancelledError, SettingInvalidError
from nanochat.gpt import GPT
from nanochat.tokenizer import RustBPETokenizer
from nanochat.why import head_cache
from nanochat.why.fingerprint import fingerprint
from nanochat.why.head_cache import heads_of_model
from nanochat.why.heads import HeadScan, repeat_accuracy, repeated_texts, scan_heads, texts_for
from nanochat.why.switching_off import Unit
from scripts.demo_training.evaluation import attention_of
from tests.models import golden_model, random_model


@pytest.fixture(scope="module")
def demo() -> tuple[GPT, RustBPETokenizer]:
    model, tokenizer, _ = load_model("demo", "cpu", "eval")
    return model, tokenizer


@pytest.fixture(scope="module")
def scanned(demo: tuple[GPT, RustBPETokenizer]) -> HeadScan:
    model, tokenizer = demo
    return scan_heads(model, texts_for(model, tokenizer))


def test_what_was_measured_on_the_built_in_model(demo: tuple[GPT, RustBPETokenizer], scanned: HeadScan) -> None:
    model, tokenizer = demo
    assert scanned.accuracy == 1.0
    without = {(head.layer, head.head): head.accuracy for head in scanned.heads}
    assert without.pop((2, 0)) == pytest.approx(0.75, abs=0.03)
    assert without.pop((3, 2)) == pytest.approx(0.98, abs=0.015)
    assert min(share for share in without.values() if share is not None) >= 0.975
    three = tuple(Unit(3, head) for head in (1, 2, 3))
    assert repeat_accuracy(model, texts_for(model, tokenizer), [(), three]) == [1.0, 0.0]
    roles = {(head.layer, head.head): head.roles[0] for head in scanned.heads if head.roles}
    assert {place for place, role in roles.items() if role == "induction"} == {(3, 1), (3, 2), (3, 3)}
    assert {place for place, role in roles.items() if role == "previous_token"} == {(1, 0), (1, 3), (2, 0)}
    assert roles[1, 2] == "sink"


def test_zeroing_a_head_is_zeroing_its_weights(demo: tuple[GPT, RustBPETokenizer], scanned: HeadScan) -> None:
    model, tokenizer = demo
    other = copy.deepcopy(model)
    width = model.config.head_dim
    with torch.no_grad():
        other.transformer.h[2].attn.c_proj.weight[:, :width] = 0.0
    found = scan_heads(other, texts_for(model, tokenizer), ablate=False)
    assert found.accuracy == scanned.heads[2 * model.config.n_head].accuracy
    assert {head.accuracy for head in found.heads} == {None}


def test_scores_are_those_of_whole_attention_matrices(demo: tuple[GPT, RustBPETokenizer], scanned: HeadScan) -> None:
    model, tokenizer = demo
    ordinary = range(tokenizer.get_vocab_size() - len(tokenizer.get_special_tokens()))
    plain = model_head_scores(partial(attention_of, model), tokenizer.get_bos_token_id(), ordinary)
    for key, expected in plain.items():
        assert [head.scores[key] for head in scanned.heads] == pytest.approx(expected.flatten(), abs=1e-6)
    texts = texts_for(model, tokenizer)
    weights = np.array([attention_of(model, text) for text in texts])[:, :, 0]  # (draws, L, H, S, S)
    places = np.arange(weights.shape[-1])
    others = {
        "sink": weights[..., 0].mean((0, -1)),
        "current_token": weights[..., places[1:], places[1:]].mean((0, -1)),
        "duplicate_token": weights[..., places[25:], places[:-25]].mean((0, -1)),
    }
    for key, expected in others.items():
        assert [head.scores[key] for head in scanned.heads] == pytest.approx(expected.flatten(), abs=1e-6)


@pytest.mark.parametrize("era", ["A", "C", "F"])
def test_every_era_has_its_scores(era: str) -> None:
    model, tokenizer = golden_model(era)
    scan = scan_heads(model, texts_for(model, tokenizer))
    for head in scan.heads:
        assert all(0 <= score <= 1 for score in head.scores.values())
        assert head.accuracy is not None and 0 <= head.accuracy <= 1


def test_a_second_call_is_free_and_other_weights_are_another_model(
    demo: tuple[GPT, RustBPETokenizer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = demo
    folder = tmp_path / "cache" / "heads"
    quick = heads_of_model(model, tokenizer, ablate=False, folder=folder)
    assert quick.heads[0].accuracy is None
    found = heads_of_model(model, tokenizer, folder=folder)
    assert found.heads[0].accuracy is not None
    (file,) = folder.iterdir()
    assert (file.stem, file.stat().st_mode & 0o777) == (fingerprint(model), 0o600)
    with monkeypatch.context() as patch:
        patch.setattr(head_cache, "scan_heads", None)
        assert heads_of_model(model, tokenizer, folder=folder) == found
        assert heads_of_model(model, tokenizer, ablate=False, folder=folder) == found
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.transformer.h[0].attn.c_q.weight[0, 0] += 1e-3
    assert fingerprint(other) != fingerprint(model)
    heads_of_model(other, tokenizer, ablate=False, folder=folder)
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"{", b'{"edition":0,"texts":[],"scan":{"accuracy":1,"heads":[]}}', b"\xff"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    model, tokenizer = golden_model()
    found = heads_of_model(model, tokenizer, ablate=False, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage)
    assert heads_of_model(model, tokenizer, ablate=False, folder=tmp_path) == found
    assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_time(tmp_path: Path) -> None:
    model, tokenizer = golden_model()
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "heads"
    assert heads_of_model(model, tokenizer, ablate=False, folder=folder).heads


def test_what_is_changed_meanwhile_is_not_kept(tmp_path: Path) -> None:
    model, tokenizer = golden_model()
    with model.editing([{"op": "zero", "site": "post_attn", "layer": 0}]):
        heads_of_model(model, tokenizer, ablate=False, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_cancel_leaves_nothing_behind(tmp_path: Path) -> None:
    model, tokenizer = golden_model()
    event = threading.Event()
    with pytest.raises(CancelledError):
        heads_of_model(model, tokenizer, folder=tmp_path, on_progress=lambda share: event.set(), cancel=event)
    assert model.tap is None
    assert not list(tmp_path.iterdir())


def test_a_short_model_has_shorter_texts_or_none() -> None:
    assert {len(text) for text in repeated_texts(9, range(9), 20)} == {19}
    with pytest.raises(SettingInvalidError, match="4 positions, and a repeated text needs 5"):
        repeated_texts(9, range(9), 4)
    assert random_model("A").config.max_positions > 51
