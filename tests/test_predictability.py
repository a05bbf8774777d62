"""How much of the train rows can be predicted: what is explained, and how even the rest is."""

import numpy as np
import pytest
from windows_kit import series_of

from amad.detect.members.member import RidgeMember
from amad.detect.members.relation import RelationMember
from amad.detect.predictability import (
    LEAST_ROWS,
    Predictability,
    best_predictability,
    predictability_of,
)


def explained(residual_TC: np.ndarray, group: list) -> float:
    return predictability_of(residual_TC, group).explained


def even(residual_TC: np.ndarray) -> float:
    return predictability_of(residual_TC, [series_of(np.zeros(residual_TC.shape))]).even


def test_predictability_is_that_of_the_best_members_over_time() -> None:
    members = [RidgeMember("ridge", [1]), RidgeMember("both", [1]), RelationMember()]
    told = {
        "ridge": Predictability(0.2, 0.3, 0.06),
        "both": Predictability(0.4, 0.1, 0.04),
        "relation": Predictability(0.9, 1, 0.9),
    }
    assert best_predictability(members, told) == (0.4, 0.3, 0.9), "firm is of the relation"
    alone = {"relation": Predictability(0.9, 0.2, 0.18)}
    assert best_predictability(members, alone) == (0.9, 0.2, 0.18), "nothing is known over time"
    assert best_predictability(members[:2], told) == (0.4, 0.3, 0.0), "no relation"
    assert best_predictability(members, {}) == (0.0, 0.0, 0.0)


def test_members_between_channels_count_where_the_past_or_the_channels_predict_much() -> None:
    def share(explained: float, firm: float) -> float:
        return Predictability(explained, 0.3, firm).between_share

    assert [share(at, 0.0) for at in (0, 0.8, 8 / 9, 16 / 17, 1)] == pytest.approx(
        [0, 1 / 65, 1 / 2, 64 / 65, 1]
    )
    assert [share(0.0, at) for at in (0, 1 / 3, 1 / 2, 2 / 3, 1)] == pytest.approx(
        [0, 1 / 65, 1 / 2, 64 / 65, 1]
    )
    assert share(8 / 9, 1 / 2) == pytest.approx(2 / 3)


def test_channels_are_firm_where_they_explain_much_and_err_evenly() -> None:
    rng = np.random.default_rng(0)
    shared_T = rng.normal(size=4000)
    error_TC = 0.5 * rng.normal(size=(4000, 3))
    rare_TC = np.where(rng.random((4000, 1)) < 0.005, 7.0, 0.05) * rng.normal(size=(4000, 3))
    told = [
        predictability_of(error_TC, [series_of(shared_T[:, None] + error_TC)]),
        predictability_of(rare_TC, [series_of(shared_T[:, None] + rare_TC)]),
        predictability_of(error_TC, [series_of(error_TC)]),
    ]
    even, rare, none = told
    assert even.firm == pytest.approx(0.8, abs=0.02), "R2 of noise about what is shared"
    assert rare.explained > 0.6 and rare.firm == 0.0, "a large error is ordinary there"
    assert none.explained == 0.0 and none.even == 1.0 and none.firm == 0.0


def test_explained_is_the_share_of_the_variance_that_the_residual_leaves_out() -> None:
    rng = np.random.default_rng(0)
    value_TC = np.array([2.0, 1.0, 5.0, 1.0]) * rng.normal(size=(4000, 4)) + 3.0
    value_TC[:, 2] = 3.0  # it does not vary, so there is nothing to explain
    residual_TC = rng.normal(size=(4000, 4))
    residual_TC[:, 3] *= 3.0  # worse than the mean, which counts as nothing explained
    group = [series_of(value_TC[:1500]), series_of(value_TC[1500:])]
    for values_TC in (value_TC, value_TC - 100):
        found = explained(residual_TC, [series_of(values_TC)])
        assert found == pytest.approx((3 / 4 + 0 + 0) / 3, abs=0.02)
    assert explained(residual_TC, group) == pytest.approx(1 / 4, abs=0.02)
    assert explained(0.0 * residual_TC, group) == 1.0
    by_hand = 1 - np.mean(residual_TC[:, 0] ** 2) / np.var(value_TC[:, 0])
    alone_TC = np.where(np.arange(4) == 0, residual_TC, np.nan)
    assert explained(alone_TC, group) == pytest.approx(by_hand, rel=1e-5)


def test_only_measured_rows_say_what_is_explained_and_few_say_nothing() -> None:
    rng = np.random.default_rng(0)
    value_TC = rng.normal(size=(2000, 2))
    residual_TC = 0.5 * rng.normal(size=(2000, 2))
    residual_TC[LEAST_ROWS:, 1] = np.nan
    expected = explained(residual_TC, [series_of(value_TC)])
    value_TC[LEAST_ROWS:, 1] = 1e6
    assert explained(residual_TC, [series_of(value_TC)]) == expected
    residual_TC[LEAST_ROWS - 1, 1] = np.nan
    found = explained(residual_TC, [series_of(value_TC)])
    assert found == pytest.approx(3 / 4, abs=0.02) and found != expected
    nothing_TC = np.full((2000, 2), np.nan)
    assert explained(nothing_TC, [series_of(value_TC)]) == 0.0


def test_noise_is_even_and_rare_commands_are_not() -> None:
    rng = np.random.default_rng(0)
    noise_TC = rng.normal(size=(4000, 2)) * [1.0, 50.0]
    rare_TC = np.where(rng.random((4000, 2)) < 0.01, noise_TC, 0.001 * noise_TC)
    assert even(noise_TC) == 1.0 and even(rare_TC) == 0.0
    # a quarter of the squared error in one row of a hundred: (0.75 - 0.6) / (0.9 - 0.6)
    some_TC = np.where(np.arange(4000) % 100 == 0, np.sqrt(33.0), 1.0)[:, None]
    assert even(some_TC) == pytest.approx(0.5)
    both_TC = np.stack([noise_TC[:, 0], np.full(4000, np.nan)], axis=1)
    assert even(both_TC) == 1.0 and even(np.full((4000, 1), np.nan)) == 0.0
