"""Baselines with a network, and the paper's own criterion."""

import numpy as np
import pytest
import torch
from detect_kit import LINEAR, C, fleet_of, parts, waves, with_values

from amad.baselines import transformer
from amad.baselines.cnn import HISTORY, CnnMember, Forecaster
from amad.baselines.criterion import CriterionScorer, visible_passes
from amad.baselines.network import seeded
from amad.baselines.untrained import untrained_network
from amad.config.params import ModelParams
from amad.model.network import Amad
from amad.model.residual import tiles

SIZE = {"window": 40, "width": 16, "layers": 1, "heads": 2}
SMALL = ModelParams(skip="none", **SIZE)


@pytest.fixture(autouse=True)
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("amad.baselines.cnn.STEPS", 60)
    monkeypatch.setattr(transformer, "MODEL", SMALL)


def fitted_cnn(series=None, seed: int = 0) -> CnnMember:
    member = CnnMember("cnn", seed=seed)
    member.fit("fleet", [series or waves("b-1", 900, seed=1)], 4)
    return member


def test_a_forecast_sees_the_twenty_rows_before_it_and_no_other() -> None:
    member, series = fitted_cnn(), waves("b-1", 100, seed=2)
    usual_TC = member.residual(series, "fleet")
    assert np.isnan(usual_TC[:HISTORY]).all() and np.isfinite(usual_TC[HISTORY:]).all()
    bent_TC = member.residual(with_values(series, slice(50, 51), 3, 9.0), "fleet")
    changed_T = (bent_TC[HISTORY:, 0] != usual_TC[HISTORY:, 0]).nonzero()[0] + HISTORY
    np.testing.assert_array_equal(changed_T, np.arange(51, 51 + HISTORY))


def test_the_forecaster_learns_what_can_be_forecast() -> None:
    series = waves("b-1", 900, seed=1)
    time_T1 = np.arange(900)[:, None]
    smooth = series.with_values(np.sin(time_T1 / 7 + np.arange(C)).astype(np.float32))
    residual_TC = fitted_cnn(smooth).residual(smooth, "fleet")
    assert np.nanmean(np.square(residual_TC)) < 0.05 * np.square(smooth.value_TC).mean()


def test_what_was_not_measured_is_no_target() -> None:
    series = waves("b-1", 900, seed=1)
    series.valid_TC[:, 1] = 0
    member = fitted_cnn(series)
    with seeded(0):
        start = Forecaster(C)
    now_C, then_C = member.network.out.weight[..., 0], start.out.weight[..., 0]
    assert torch.equal(now_C[1], then_C[1]) and not torch.equal(now_C[0], then_C[0])
    assert np.isnan(member.residual(series, "fleet")[:, 1]).all()


def test_a_segment_has_its_own_history() -> None:
    member, series = fitted_cnn(), waves("b-1", 100, seed=2)
    series.segment_T[40:] = 1
    series.segment_T[55:] = 2
    found_TC = member.residual(series, "fleet")
    assert np.isnan(found_TC[40:75]).all()
    alone_TC = member.residual(series.rows_between(55, 100), "fleet")
    np.testing.assert_allclose(found_TC[55:], alone_TC, atol=1e-6)


def test_one_network_serves_all_levels() -> None:
    member = fitted_cnn()
    weight = member.network.near.weight.clone()
    member.fit("vehicle/b-1", [waves("b-1", 600, seed=4)], 4)
    assert torch.equal(member.network.near.weight, weight)


def test_training_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    fitted_cnn(seed=9)
    assert torch.equal(torch.rand(3), expected)


def test_the_transformer_reconstructs_by_global_attention_alone() -> None:
    train = [waves("b-1", 600, seed=1)]
    network = transformer.train_transformer(train, seed=0, steps=5)
    x_BLC = torch.from_numpy(train[0].value_TC[:40])[None]
    before = network(x_BLC)
    for layer in network.layers:
        prior = layer.attention.kernel.width_of_peak
        assert prior.weight.abs().sum() > 0
        prior.bias.data.add_(1.0)
    after = network(x_BLC)
    torch.testing.assert_close(after.recon_BLC, before.recon_BLC)
    assert not torch.equal(after.discrepancy_BL, before.discrepancy_BL)


def test_max_min_trains_the_prior_though_it_reconstructs_nothing() -> None:
    with seeded(0):
        start = Amad(C, SMALL, kernel=transformer.GaussianPrior)
    network = transformer.train_transformer([waves("b-1", 600, seed=1)], seed=0, steps=5)
    for layer, first in zip(network.layers, start.layers, strict=True):
        now, then = layer.attention.kernel.width_of_peak, first.attention.kernel.width_of_peak
        assert not torch.equal(now.weight, then.weight)


def test_a_trailing_transformer_waits_for_the_rows_of_its_tail_alone() -> None:
    member = transformer.TransformerMember("at", trailing=True, seed=0)
    member.network = untrained_network(C, SMALL, 0)
    series = waves("b-1", 200, seed=2)
    usual_TC = member.predict_error(series, {})
    bent_TC = member.predict_error(with_values(series, slice(120, 121), 3, 5.0), {})
    changed_T = np.flatnonzero((bent_TC != usual_TC)[:, 0] & np.isfinite(usual_TC[:, 0]))
    assert changed_T.min() >= 120 - member.lookahead_rows
    assert np.isfinite(usual_TC[SMALL.window :]).all() and member.lookahead_rows == 9


def criterion() -> CriterionScorer:
    network = untrained_network(C, SMALL, 0)
    return CriterionScorer(network, LINEAR, fleet_of(), None, name="criterion")


def test_the_criterion_is_the_softmax_of_minus_d_times_the_squared_error() -> None:
    series = waves("b-1", 120, seed=2)
    detector = criterion()
    score_T, contribution_TC, _ = detector.raw_score(series)
    x_BLC = torch.from_numpy(series.value_TC.reshape(3, 40, C))
    with torch.no_grad():
        output = detector.network(x_BLC)
    bounded_BL = output.discrepancy_BL.double().numpy()
    weight_BL = np.exp(-bounded_BL / (1 - bounded_BL))
    weight_BL /= weight_BL.sum(axis=1, keepdims=True)
    error_BL = (x_BLC - output.recon_BLC).square().mean(-1).numpy()
    np.testing.assert_allclose(score_T, (weight_BL * error_BL).reshape(-1), rtol=1e-5)
    np.testing.assert_allclose(contribution_TC.sum(axis=1), score_T, rtol=1e-9)


def test_the_criterion_counts_what_was_measured() -> None:
    series = waves("b-1", 120, seed=2)
    series.valid_TC[:, 2] = 0
    wild = with_values(series, slice(30, 90), 2, 40.0)
    detector = criterion()
    (score_T, contribution_TC, _), (wild_T, _, _) = (
        detector.raw_score(series),
        detector.raw_score(wild),
    )
    np.testing.assert_array_equal(score_T, wild_T)
    assert not contribution_TC[:, 2].any()


def test_the_criterion_has_no_score_without_a_whole_window() -> None:
    series = waves("b-1", 130, seed=2)
    series.segment_T[100:] = 1
    score_T, contribution_TC, _ = criterion().raw_score(series)
    assert np.isfinite(score_T[:100]).all() and np.isnan(score_T[100:]).all()
    assert not contribution_TC[100:].any()


def test_the_weights_of_a_window_sum_to_one() -> None:
    series = waves("b-1", 120, seed=2)
    network = untrained_network(C, SMALL, 0)
    passes = visible_passes(network, series, tiles(series, 40, 0), need_discrepancy=True)
    assert [w.sum() for _, _, w in passes] == pytest.approx([1, 1, 1])


def test_the_criterion_gets_a_threshold_like_every_detector() -> None:
    train, calibration = parts(["a-1", "b-1"])
    detector = criterion().fit(train, calibration)
    scored = detector.score(waves("b-1", 400, seed=5))
    assert np.isfinite(scored.score_T).all() and scored.alarm_T.mean() < 0.1
    assert detector.context_rows == detector.lookahead_rows == 40


def test_an_untrained_network_with_a_skip_is_its_skip_whatever_the_seed() -> None:
    x_BLC = torch.from_numpy(waves("b-1", 40).value_TC)[None]
    hidden_BLC = torch.zeros_like(x_BLC, dtype=torch.bool)
    hidden_BLC[:, 10:15] = True
    outputs = {}
    for skip in ("linear", "none"):
        params = SMALL.model_copy(update={"skip": skip})
        nets = [untrained_network(C, params, seed) for seed in (0, 1)]
        outputs[skip] = [net(x_BLC, hidden_BLC).recon_BLC for net in nets]
    assert torch.equal(*outputs["linear"]) and not torch.equal(*outputs["none"])
    line_BC = x_BLC[:, 9] + (x_BLC[:, 15] - x_BLC[:, 9]) * 3 / 6
    torch.testing.assert_close(outputs["linear"][0][:, 12], line_BC)
