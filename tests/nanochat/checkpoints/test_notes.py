"""What a checkpoint leaves open is told wherever its model is used, and can be overridden."""

import json

import pytest
import torch

from nanochat.errors import SettingInvalidError
from nanochat.interpretability_engine import InterpretabilityEngine
from scripts.interpretability_demo import main
from tests.checkpoints import edit_meta, load, write_flat
from tests.models import random_model

pytestmark = pytest.mark.usefixtures("base")

IDS = torch.arange(60)[None] * 5 % 300  # longer than the short window
UNRECORDED = "the metadata record no window_pattern: took"
C_OR_D = 'took era C; era D has the same keys (softcap 20 instead of 15): override with era="D"'


def logits(model):
    with torch.no_grad():
        return model(IDS)


def without_pattern(folder, era, pattern="SSSL", layers=4):
    """A checkpoint as nanochat's own midtraining wrote it: trained with windows that its metadata do not record."""
    model = random_model(era, n_layer=layers, window_pattern=pattern, sequence_len=32)
    edit_meta(write_flat(folder, 10, model), window_pattern=None)
    return model


@pytest.mark.parametrize("era", ["B", "C"])
def test_unrecorded_windows_are_those_that_nanochat_trained_with(tmp_path, era, capsys):
    model = without_pattern(tmp_path, era)
    loaded, _, _ = load(tmp_path)
    assert torch.equal(logits(loaded), logits(model))
    assert f"{UNRECORDED} SSSL" in loaded.provenance["note"]
    assert 'override with window_pattern="L"' in loaded.provenance["note"]
    assert UNRECORDED in capsys.readouterr().err


@pytest.mark.parametrize("era", ["D", "E", "F"])
def test_unrecorded_windows_of_later_eras_are_told(tmp_path, era):
    without_pattern(tmp_path, era, "L")
    loaded, _, _ = load(tmp_path, era=era)
    assert loaded.config.window_pattern == "L"
    assert f"{UNRECORDED} L" in loaded.provenance["note"]


@pytest.mark.parametrize("era", ["A", "Ap"])
def test_eras_without_windows_leave_nothing_open(tmp_path, era):
    write_flat(tmp_path, 10, random_model(era))
    assert load(tmp_path)[0].provenance["note"] is None


def test_one_layer_leaves_nothing_open(tmp_path):
    without_pattern(tmp_path, "F", layers=1)
    assert load(tmp_path)[0].provenance["note"] is None


@pytest.mark.parametrize("pattern", ["L", "SL", "ssL"])
def test_windows_can_be_overridden(tmp_path, pattern):
    model = without_pattern(tmp_path, "B", pattern)
    loaded, _, _ = load(tmp_path, window_pattern=pattern)
    assert torch.equal(logits(loaded), logits(model))
    assert loaded.provenance["note"] is None
    edit_meta(tmp_path / "model_000010.pt", window_pattern="SSSL")
    assert torch.equal(logits(load(tmp_path, window_pattern=pattern)[0]), logits(model))


@pytest.mark.parametrize("pattern", ["", "X", "S L", 5, ["S"]])
def test_an_override_that_is_no_pattern(tmp_path, pattern):
    without_pattern(tmp_path, "B")
    with pytest.raises(SettingInvalidError, match="must be made of S and L, such as SSSL"):
        load(tmp_path, window_pattern=pattern)


def test_both_open_questions_are_told_together(tmp_path):
    without_pattern(tmp_path, "C")
    note = load(tmp_path)[0].provenance["note"]
    assert C_OR_D in note
    assert UNRECORDED in note


@pytest.mark.parametrize("form", ["json", "safetensors"])
def test_a_trace_tells_it(tmp_path, form):
    write_flat(tmp_path / "model", 10, random_model("C", n_layer=2, n_embd=32))
    model, tokenizer, _ = load(tmp_path / "model")
    scope = InterpretabilityEngine(model, tokenizer, tmp_path / "traces", format=form)
    result = scope.generate_and_capture("Some words", max_tokens=2)
    assert result["summary"]["model"]["note"] == C_OR_D
    with scope.storage.open_trace(result["trace_id"]) as trace:
        assert trace.document["model"]["note"] == C_OR_D


def test_a_trace_of_a_model_without_open_questions_has_no_note(tmp_path):
    model, tokenizer, _ = load("demo")
    result = InterpretabilityEngine(model, tokenizer, tmp_path).generate_and_capture("Some words", max_tokens=1)
    assert "note" not in result["summary"]["model"]


def test_the_demo_tells_it_beside_the_model_and_overrides_it(tmp_path, capsys):
    without_pattern(tmp_path / "model", "B")
    words = ["-i", str(tmp_path / "model"), "--traces-dir", str(tmp_path / "traces"), "--max-tokens", "1"]
    assert main(words) == 0
    said = capsys.readouterr()
    assert UNRECORDED in said.err
    assert f"Note   {UNRECORDED} SSSL" in said.out
    assert main([*words, "--trace", "latest"]) == 0
    assert f"Note   {UNRECORDED} SSSL" in capsys.readouterr().out
    assert main([*words, "--json", "--window-pattern", "SL"]) == 0
    said = capsys.readouterr()
    assert UNRECORDED not in said.err + said.out
    assert json.loads(said.out)["model"]["config"]["window_pattern"] == "SL"
