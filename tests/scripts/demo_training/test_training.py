import sys
from itertools import pairwise

import pytest
import torch

from nanochat.checkpoint_manager import build_model, load_model, read_meta, read_state
from nanochat.gpt import GPT, GPTConfig
from nanochat.tokenizer import RustBPETokenizer
from scripts.demo_training import __main__, scale
from scripts.demo_training.__main__ import IGNORED, LOGIT_PENALTY, Mixture, learning_rate, losses, main, optimizers
from scripts.demo_training.corpus import RANDOM_SHARE, Piece, plain
from scripts.demo_training.evaluation import Exercise, recall

SMALL = GPTConfig(256, vocab_size=300, n_layer=2, n_head=2, n_kv_head=2, n_embd=32, window_pattern="SL")


@pytest.fixture(scope="module")
def tokenizer():
    return RustBPETokenizer.train_from_iterator(["The capital of France is Paris."], 265)


@pytest.fixture
def small_run(monkeypatch):
    monkeypatch.setattr(__main__, "SIZES", SMALL)
    monkeypatch.setattr(__main__, "TOKENIZER_DOCUMENTS", 300)


def test_rows_start_with_bos_and_targets_are_the_next_tokens(tokenizer):
    ids, targets = Mixture(tokenizer, seed=0).batch(16, 128, "cpu")
    assert ids.shape == targets.shape == (16, 128)
    assert (ids[:, 0] == tokenizer.get_bos_token_id()).all()
    kept = targets[:, :-1] != IGNORED
    assert torch.equal(targets[:, :-1][kept], ids[:, 1:][kept])
    assert 0.7 < kept.float().mean() < 0.95


def test_what_the_calculator_says_is_no_target(tokenizer):
    mixture = Mixture(tokenizer, seed=0)
    batches = [mixture.batch(16, 128, "cpu") for _ in range(4)]
    output = tokenizer.encode_special("<|output_start|>")
    assert any((ids == output).any() for ids, _ in batches)
    assert not any((targets == output).any() for _, targets in batches)


def test_random_repeats_make_up_their_share(tokenizer):
    mixture = Mixture(tokenizer, seed=0)
    for _ in range(40):
        mixture.batch(16, 128, "cpu")
    assert mixture.random_tokens / mixture.tokens == pytest.approx(RANDOM_SHARE, abs=0.05)


def test_random_tokens_carry_loss_only_where_they_repeat(tokenizer):
    mixture = Mixture(tokenizer, seed=0)
    mixture.tokens = 1_000_000  # far behind its share: the next document is a repeat
    ids, learned = mixture._document(100)
    assert ids[0] == tokenizer.get_bos_token_id()
    assert learned[0]
    period = learned[1:].index(True) - 1  # the first repeated token comes unannounced
    assert learned[1:] == [False] * (period + 1) + [True] * (len(ids) - 2 - period)
    assert ids[1 : 1 + period] == ids[1 + period : 1 + 2 * period]


def test_the_rate_rises_then_falls():
    rates = [learning_rate(step / 100) for step in range(101)]
    assert rates[0] < 0.1
    assert max(rates) == 1.0
    assert rates[-1] == 0.02
    assert all(later <= earlier for earlier, later in pairwise(rates[10:]))


def test_large_logits_are_penalized_where_something_is_learned():
    logits = torch.tensor([[[3.0, -1.0], [1000.0, 1000.0]]])
    cross_entropy, penalized = losses(logits, torch.tensor([[0, IGNORED]]))
    assert cross_entropy.item() == pytest.approx(torch.tensor(-4.0).exp().log1p().item(), rel=1e-4)
    assert (penalized - cross_entropy).item() == pytest.approx(LOGIT_PENALTY * 5, rel=1e-4)


def groups_of(model):
    """By name, the group that trains a parameter."""
    groups = {
        id(p): group for optimizer in optimizers(model) for group in optimizer.param_groups for p in group["params"]
    }
    return {name: groups[id(parameter)] for name, parameter in model.named_parameters()}


def test_only_the_head_decays():
    assert [name for name, group in groups_of(GPT(SMALL)).items() if group["weight_decay"]] == ["lm_head.weight"]


def test_every_parameter_is_trained_once():
    model = GPT(SMALL)
    found = [
        parameter
        for optimizer in optimizers(model)
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(map(id, found)) == sorted(map(id, model.parameters()))


def test_backout_stays_as_it_begins():
    assert [name for name, group in groups_of(GPT(SMALL)).items() if group["full"] == 0] == ["backout_lambda"]


def test_smear_rests_at_first():
    groups = groups_of(GPT(SMALL))
    assert groups["smear_lambda"]["start"] == 0.5
    assert groups["lm_head.weight"]["start"] == 0.0


class Alphabet:
    """Takes the byte after each byte for the likeliest: a is followed by b, b by c."""

    def get_device(self):
        return torch.device("cpu")

    def __call__(self, ids):
        return torch.nn.functional.one_hot((ids + 1) % 265, 265).float()


def test_recall_counts_continuations_that_are_right_to_their_end(tokenizer):
    expected = ["bcd", "b", "bce", "ccd", "abcd"]
    found = recall(
        Alphabet(),  # type: ignore[arg-type]
        tokenizer,
        [Exercise(text, plain("la"), [Piece(text)]) for text in expected],
    )
    assert (found.exact, found.total, found.missed) == (2, 5, ("bce", "ccd", "abcd"))


def test_a_run_writes_a_model_that_loads(small_run, tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["--steps", "2", "--threads", "1", "--out", str(out)]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "MODEL_CARD.md",
        "model.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    meta = read_meta(out / "model.json")
    model, _ = build_model(read_state(out / "model.safetensors"), meta, torch.device("cpu"), torch.float32)
    assert model.config == SMALL
    assert RustBPETokenizer.from_directory(out).get_vocab_size() == SMALL.vocab_size
    assert (meta["step"], meta["training"]["seed"]) == (2, 1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "capital, plain: 0 of" in captured.err


def test_a_run_keeps_activations_small(small_run, tmp_path, monkeypatch):
    monkeypatch.setattr(scale, "LARGEST", 0.5)  # what two steps end with is above it
    assert main(["--steps", "2", "--threads", "1", "--out", str(tmp_path)]) == 0
    model, tokenizer, _ = load_model(tmp_path, "cpu", "eval")
    assert 0.2 < max(scale.greatest_activations(model, tokenizer)) < 0.5


def test_an_interrupted_run_leaves_the_old_files(small_run, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(__main__, "recall_of_everything", interrupt)
    (tmp_path / "model.json").write_text("old")
    assert main(["--steps", "1", "--threads", "1", "--out", str(tmp_path)]) == 130
    assert [path.name for path in tmp_path.iterdir()] == ["model.json"]
    assert (tmp_path / "model.json").read_text() == "old"


def test_impossible_settings_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--steps", "0"])
    assert "must be above 0" in capsys.readouterr().err


def test_an_old_torch_is_named(monkeypatch, capsys):
    monkeypatch.delattr(torch.optim, "Muon")
    assert main(["--steps", "1"]) == 1
    assert "install torch 2.9 or newer" in capsys.readouterr().err


def test_a_missing_tokenizer_trainer_is_named(small_run, monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "rustbpe", None)
    assert main(["--steps", "1", "--threads", "1", "--out", str(tmp_path)]) == 1
    assert "extra 'train'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
