"""The logit lens beside the model's own logits, a plain computation from a capture, and its own parts."""

import threading

import numpy as np
import pytest
import torch

from nanochat.capture.recorder import Recorder
from nanochat.capture.sites import CaptureSettings
from nanochat.errors import CancelledError, NonFiniteError, SettingInvalidError
from nanochat.gpt import GPT, norm
from nanochat.why import lens, reading
from nanochat.why.lens import At, Lens, Point, lens_points, logit_lens, top_logits
from tests.models import random_model
from tests.nanochat.why.models import EVERY, model_of

SITES = ("residual", "post_attn", "post_mlp")
every_model = pytest.mark.parametrize("case", EVERY)


@torch.inference_mode()
def plain(model: GPT, tokens: tuple[int, ...]) -> tuple[dict[Point, np.ndarray], np.ndarray]:
    """Log-probabilities (T, vocab) by point, each computed by itself from a capture, and the model's own logits."""
    recorder = Recorder(
        model.config,
        CaptureSettings(sites=SITES, logits=None),
        len(tokens),
        1,
        model.get_device(),
        model.compute_dtype,
    )
    with model.capturing(recorder):
        logits = model(torch.tensor([tokens]))[0]
    model.attach(None)

    def at(site: str, layer: int) -> torch.Tensor:
        value = recorder.view(site, layer)
        assert value is not None
        return value[0]

    def read(stream: torch.Tensor) -> np.ndarray:
        z = model.lm_head(norm(stream))[:, : model.config.vocab_size].double()
        return (model.era.softcap * torch.tanh(z / model.era.softcap)).log_softmax(-1).numpy()

    depth, middle = model.config.n_layer, model.config.n_layer // 2
    found = {Point(None, "embedding"): read(at("residual", 0)), Point(None, "output"): logits.double().log_softmax(-1)}
    names: tuple[At, ...] = ("attention", "mlp")
    for layer in range(depth):
        after = at("residual", layer) + at("post_attn", layer)
        for name in names:
            stream = after + at("post_mlp", layer) if name == "mlp" else after
            if model.era.smear and layer > middle:
                half = sum(at(site, middle) for site in SITES)
                found[Point(layer, name, False)] = read(stream)
                found[Point(layer, name, True)] = read(stream - model.backout_lambda * half)
            else:
                found[Point(layer, name)] = read(stream)
    return {point: np.asarray(values) for point, values in found.items()}, logits.numpy()


@every_model
def test_each_point_is_what_its_stream_says_when_it_is_read_alone(case: str) -> None:
    model, tokens = model_of(case)
    expected, _ = plain(model, tokens)
    found = logit_lens(model, tokens, range(0, len(tokens), 7), top=4, chosen=[3, 5])
    assert set(found.points) == set(expected)
    final = expected[Point(None, "output")]
    for point, beliefs in zip(found.points, found.beliefs, strict=True):
        rows = expected[point]
        divergence = (np.exp(final) * (final - rows)).sum(axis=1)
        entropies = -(np.exp(rows) * rows).sum(axis=1)
        for belief in beliefs:
            row = rows[belief.position]
            tops = np.exp(np.sort(row)[::-1][:4])
            assert [probability for _, probability in belief.top] == pytest.approx(tops, abs=1e-5)
            assert np.exp(row[[token for token, _ in belief.top]]) == pytest.approx(tops, abs=1e-5)
            follower = tokens[belief.position + 1 : belief.position + 2]
            assert [chance.token for chance in belief.chosen] == list(dict.fromkeys([*follower, 3, 5]))
            for chance in belief.chosen:
                assert chance.probability == pytest.approx(np.exp(row[chance.token]), abs=1e-5)
                above = (row > row[chance.token] + 1e-5).sum()
                assert above < chance.rank <= (row > row[chance.token] - 1e-5).sum() + 1
            assert belief.kl == pytest.approx(divergence[belief.position], abs=1e-5)
            assert belief.entropy == pytest.approx(entropies[belief.position], abs=1e-5)


@every_model
def test_the_last_point_is_the_models_own_logits_bit_for_bit(case: str) -> None:
    model, tokens = model_of(case)
    _, logits = plain(model, tokens)
    vocabulary = range(model.config.vocab_size)
    found = logit_lens(model, tokens, layers=[], chosen=vocabulary, followers=False)
    assert found.points == [Point(None, "output")]
    own = np.array([[chance.logit for chance in belief.chosen] for belief in found.beliefs[0]], np.float32)
    assert own.tobytes() == logits.tobytes()
    if model.compute_dtype == torch.float64:  # and so read alone
        alone = logit_lens(model, tokens, [len(tokens) - 1], layers=[], chosen=vocabulary, followers=False)
        assert [chance.logit for chance in alone.beliefs[0][0].chosen] == logits[-1].tolist()


@every_model
def test_the_last_mlp_read_as_the_end_does_is_the_output(case: str) -> None:
    model, tokens = model_of(case)
    found = logit_lens(model, tokens)
    assert found.points[-1] == Point(None, "output")
    if model.config.n_layer == 1 and model.era.smear:
        return
    for last, output in zip(*found.beliefs[-2:], strict=True):
        assert last.chosen == output.chosen
        assert last.kl <= 5e-6
        assert output.kl <= 5e-6


def test_above_mid_depth_era_f_is_read_without_backout_and_with_it() -> None:
    points = lens_points(random_model("F", n_layer=4).config)
    assert [point for point in points if point.layer == 2] == [Point(2, "attention"), Point(2, "mlp")]
    assert [point.backout for point in points if point.layer == 3] == [False, True, False, True]
    assert {point.backout for point in lens_points(random_model("E", n_layer=4).config)} == {None}
    assert lens_points(random_model("F", n_layer=1).config)[1:] == [
        Point(0, "attention"),
        Point(0, "mlp"),
        Point(None, "output"),
    ]


def followed(found: Lens, row: int) -> list[bool]:
    """Whether the final answer leads, by point, along the way to the output."""
    answer = found.beliefs[-1][row].top[0][0]
    ways = [beliefs for point, beliefs in zip(found.points, found.beliefs, strict=True) if point.backout is not False]
    return [beliefs[row].top[0][0] == answer for beliefs in ways]


@every_model
def test_decided_is_where_the_final_answer_leads_first_and_from_where_it_stays(case: str) -> None:
    model, tokens = model_of(case)
    found = logit_lens(model, tokens, top=1)
    way = [point for point in found.points if point.backout is not False]
    for row, decided in enumerate(found.decided):
        leads = followed(found, row)
        first, stays = way.index(decided.first), way.index(decided.stays)
        assert decided.token == found.beliefs[-1][row].top[0][0]
        assert leads[first]
        assert not any(leads[:first])
        assert all(leads[stays:])
        assert stays == 0 or not leads[stays - 1]


def test_the_built_in_model_decides_in_its_last_mlp() -> None:
    model, tokens = model_of("demo")
    (decided,) = logit_lens(model, tokens, [len(tokens) - 1]).decided
    assert decided.first == decided.stays == Point(3, "mlp", True)


@pytest.mark.parametrize("era", ["B", "F"])
def test_chunks_batches_and_choices_change_nothing(era: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokens = model_of(era)
    whole = logit_lens(model, tokens, chosen=[9])
    monkeypatch.setattr(reading, "CHUNK", 7)
    monkeypatch.setattr(lens, "ROWS_AT_ONCE", 20)
    shares: list[float] = []
    part = logit_lens(model, tokens, [30, 2, 2], [1], chosen=[9], on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    for point, beliefs in zip(part.points, part.beliefs, strict=True):
        expected = whole.beliefs[whole.points.index(point)]
        for belief in beliefs:
            other = expected[belief.position]
            assert belief.top == other.top
            assert belief.chosen == other.chosen
            assert belief.kl == pytest.approx(other.kl, abs=5e-6)
        assert [belief.position for belief in beliefs] == [2, 30]


@pytest.mark.parametrize(("vocabulary", "count"), [(300, 5), (1024, 3), (4099, 5), (32_768, 20), (70, 100)])
def test_the_top_of_blocks_is_the_top_of_all(vocabulary: int, count: int) -> None:
    logits = torch.randn(3, 2, vocabulary, generator=torch.Generator().manual_seed(1))
    values, indices = top_logits(logits, count)
    expected = logits.topk(min(count, vocabulary), dim=-1)
    assert torch.equal(values, expected.values)
    assert torch.equal(indices, expected.indices)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"positions": [40]}, "no position 40: there are 0 to 39"),
        ({"positions": [-1]}, "no position -1"),
        ({"positions": [True]}, "position True: give a whole number"),
        ({"positions": [1.0]}, "position 1.0: give a whole number"),
        ({"layers": [3]}, "no layer 3: there are 0 to 2"),
        ({"layers": [False]}, "layer False"),
        ({"chosen": [300]}, "no token 300: there are 0 to 299"),
        ({"chosen": [float("nan")]}, "token nan: give a whole number"),
        ({"top": 0}, "top 0: give at least 1"),
        ({"top": True}, "top True"),
        ({"tokens": []}, "no token to read"),
        ({"tokens": [300]}, "no token 300"),
        ({"tokens": [1] * 641}, "641 tokens and the model has positions for 640"),
    ],
)
def test_what_there_is_not_is_refused_before_any_work(
    wish: dict[str, list[int]], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokens = model_of("F")
    monkeypatch.setattr(GPT, "_forward", None)
    with pytest.raises(SettingInvalidError, match=message):
        logit_lens(model, **{"tokens": tokens, **wish})


def test_a_cancel_ends_it_and_leaves_nothing_behind() -> None:
    model, tokens = model_of("F")
    event = threading.Event()
    with pytest.raises(CancelledError):
        logit_lens(model, tokens, on_progress=lambda share: event.set(), cancel=event)
    assert model.tap is None


def test_logits_that_are_not_finite_are_refused_by_their_position() -> None:
    model = random_model("F")
    with torch.no_grad():
        model.lm_head.weight[5] = torch.nan
    with pytest.raises(NonFiniteError, match="computed NaN or infinity at position 0"):
        logit_lens(model, [1, 2, 3])
    assert model.tap is None
