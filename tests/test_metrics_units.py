"""Localisation, and intervals over units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from amad import metrics


def test_hit_rate_counts_culprits_among_the_first():
    culprit = [[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0]]
    blame = [[0.9, 0.1, 0.8, 0.2, 0.0, 0.0], [0, 0, 0, 1, 0, 0]]
    assert metrics.hit_rate_at(culprit, blame) == pytest.approx((0.5 + 1) / 2)
    assert metrics.hit_rate_at(culprit[0], blame[0], share=1.5) == pytest.approx(0.5)
    assert metrics.hit_rate_at(culprit[0], blame[0], share=2.0) == pytest.approx(1.0)
    assert metrics.hit_rate_at(culprit[1], blame[1], share=0.1) == 1.0  # at least one place


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_ndcg_agrees_with_scikit_learn(seed, channels):
    rng = np.random.default_rng(seed)
    culprit = (rng.random(channels) < 0.4).astype(int)
    culprit[rng.integers(channels)] = 1
    blame = rng.permutation(channels).astype(float)
    k = int(np.round(1.5 * culprit.sum()))
    expected = ndcg_score(culprit[None], blame[None], k=k)
    assert metrics.ndcg_at(culprit, blame, share=1.5) == pytest.approx(expected)


def test_localisation_refuses_what_it_cannot_judge():
    with pytest.raises(ValueError, match="unscorable"):
        metrics.hit_rate_at([0, 0], [1.0, 2.0])
    with pytest.raises(ValueError, match="finite"):
        metrics.ndcg_at([0, 1], [np.nan, 2.0])
    with pytest.raises(ValueError, match="one shape"):
        metrics.ndcg_at([0, 1], [1.0, 2.0, 3.0])


def test_bootstrap_covers_the_mean_it_was_drawn_from():
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        mean, low, high = metrics.bootstrap_mean(rng.normal(2.0, 1.0, 40), 400, 0.9, seed)
        assert low < mean < high
        inside += low <= 2.0 <= high
    assert 163 <= inside <= 197  # 90 % of 200, give or take four standard errors


@pytest.mark.parametrize("units", [2, 3, 4])
def test_few_units_do_not_make_a_model_better_by_chance(units: int):
    rng = np.random.default_rng(units)
    better = sum(
        metrics.paired_bootstrap(*rng.normal(size=(2, units)), 300, 0.9, seed)[1] > 0
        for seed in range(1000)
    )
    assert better < 90  # 50 are promised; without the stretch they are 250, 190 and 130


def test_groups_of_few_units_are_stretched_together():
    rng = np.random.default_rng(3)
    inside = 0
    for seed in range(300):
        groups = [rng.normal(size=units) for units in (2, 3, 2)]
        _, low, high = metrics.bootstrap_mean_of_groups(groups, 300, 0.9, seed)
        inside += low <= 0 <= high
    assert 255 <= inside <= 290
    assert metrics.bootstrap_mean_of_groups([[0.2], [0.6]]) == (0.4, 0.4, 0.4)


def test_bootstrap_is_deterministic_and_degenerate_cases_are_plain():
    values = [0.2, 0.5, 0.9]
    assert metrics.bootstrap_mean(values, seed=3) == metrics.bootstrap_mean(values, seed=3)
    assert metrics.bootstrap_mean([0.4]) == (0.4, 0.4, 0.4)
    with pytest.raises(ValueError, match="at least one"):
        metrics.bootstrap_mean([])


def test_paired_bootstrap_sees_what_an_unpaired_one_cannot():
    rng = np.random.default_rng(1)
    base = rng.uniform(0, 1, 30)
    better = base + 0.05 + rng.normal(0, 0.01, 30)
    mean, low, high = metrics.paired_bootstrap(better, base, 1000, 0.95, 0)
    assert 0 < low < mean < high < 0.1
    assert metrics.bootstrap_mean(better)[1] < metrics.bootstrap_mean(base)[2]
    with pytest.raises(ValueError, match="as many"):
        metrics.paired_bootstrap([1.0], [1.0, 2.0])


def test_only_units_with_a_finite_value_on_both_sides_are_paired():
    ours = {"b": {"f1": 2.0}, "a": {"f1": 1.0}, "c": {"f1": None}, "d": {"f1": 4.0}, "e": {}}
    theirs = {name: {"f1": 0.5} for name in "abcef"} | {"d": {"f1": float("nan")}}
    assert metrics.shared_values(ours, theirs, "f1") == ([1.0, 2.0], [0.5, 0.5])
