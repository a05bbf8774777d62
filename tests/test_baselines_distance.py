"""Baselines that measure a distance: against somebody else's implementation, and at the edges."""

import numpy as np
import pytest
from detect_kit import C, waves, with_values
from scipy.spatial.distance import cdist, mahalanobis

from amad.baselines.kmeans import CENTRES, WINDOW, KMeansMember, sample
from amad.baselines.knn import NEIGHBOURS, KnnMember
from amad.baselines.mahalanobis import MahalanobisMember
from amad.detect.members.member import Member
from amad.windows.series import Series


def learnt(member: Member, train: Series) -> Member:
    member.fit("fleet", [train], 4)
    return member


def kmeans(*, trailing: bool = False) -> KMeansMember:
    return learnt(KMeansMember("kmeans", trailing=trailing, seed=0), waves("b-1", 900, seed=1))


def test_the_squares_of_a_row_sum_to_the_squared_distance_to_the_nearest_centre() -> None:
    member, new = kmeans(), waves("b-1", 200, seed=2)
    centre_KX = member.coefficients["fleet"]["centre"].reshape(CENTRES, -1)
    window_NLC = np.lib.stride_tricks.sliding_window_view(new.value_TC, WINDOW, axis=0)
    window_NX = window_NLC.transpose(0, 2, 1).reshape(len(window_NLC), -1)
    expected_N = cdist(window_NX, centre_KX).min(axis=1)
    square_T = np.square(member.residual(new, "fleet")).sum(axis=1)
    found_N = np.sqrt(WINDOW * square_T[9 : 9 + len(expected_N)])
    np.testing.assert_allclose(found_N, expected_N, rtol=1e-4)


def test_a_trailing_window_ends_with_its_row_and_a_centred_one_has_it_in_the_middle() -> None:
    new = waves("b-1", 200, seed=2)
    centred_TC = kmeans().residual(new, "fleet")
    trailing_TC = kmeans(trailing=True).residual(new, "fleet")
    np.testing.assert_array_equal(trailing_TC[19:], centred_TC[9:-10])
    assert np.isnan(trailing_TC[:19]).all(), "what is not yet there is not made up"
    np.testing.assert_array_equal(centred_TC[:9], np.repeat(centred_TC[9:10], 9, axis=0))
    np.testing.assert_array_equal(centred_TC[-10:], np.repeat(centred_TC[-11:-10], 10, axis=0))


@pytest.mark.parametrize("trailing", [False, True])
def test_no_window_crosses_a_segment(trailing: bool) -> None:
    member, new = kmeans(trailing=trailing), waves("b-1", 200, seed=2)
    new.segment_T[90:] = 1
    new.segment_T[105:] = 2
    found_TC = member.residual(new, "fleet")
    for first, last in ((0, 90), (105, 200)):
        alone_TC = member.residual(new.rows_between(first, last), "fleet")
        np.testing.assert_allclose(found_TC[first:last], alone_TC, rtol=1e-4)
    assert np.isnan(found_TC[90:105]).all(), "a segment shorter than a window has no residual"


@pytest.mark.parametrize("rows", [5, WINDOW, WINDOW + 3])
def test_kmeans_makes_do_with_few_windows(rows: int) -> None:
    member = KMeansMember("kmeans", trailing=False, seed=0)
    train = waves("b-1", rows)
    coefficients = member.solve([member.summarise(train)])
    assert coefficients["centre"].shape == (max(0, rows - WINDOW + 1), WINDOW, C)
    residual_TC = member.predict_error(train, coefficients)
    assert np.isnan(residual_TC).all() if rows < WINDOW else np.isfinite(residual_TC).all()


def test_kmeans_of_a_constant_machine_is_no_error() -> None:
    train = waves("b-1", 300)
    constant = train.with_values(np.zeros_like(train.value_TC))
    residual_TC = learnt(KMeansMember("kmeans", trailing=False, seed=0), constant).residual(
        with_values(constant, slice(100, 101), 2, 3.0), "fleet"
    )
    assert residual_TC[100] == pytest.approx([0, 0, 3 / np.sqrt(WINDOW), 0, 0])
    assert not residual_TC[:80].any()


def test_a_row_is_compared_with_the_mean_of_its_nearest_train_rows() -> None:
    train, new = waves("b-1", 900, seed=1), waves("b-1", 200, seed=2)
    member = learnt(KnnMember("knn", seed=0), train)
    reference_NC = member.coefficients["fleet"]["row"]
    near_TJ = np.argsort(cdist(new.value_TC, reference_NC), axis=1)[:, :NEIGHBOURS]
    expected_TC = new.value_TC - reference_NC[near_TJ].mean(axis=1)
    np.testing.assert_allclose(member.residual(new, "fleet"), expected_TC, atol=1e-5)
    seen_TC, held_out_TC = member.residual(train, "fleet"), member.fit("fleet", [train], 4)[0]
    assert np.square(held_out_TC).mean() > 1.2 * np.square(seen_TC).mean(), (
        "train rows are among their own neighbours: only cross-fitted residuals can calibrate"
    )


def test_the_squares_of_a_row_sum_to_its_mahalanobis_distance() -> None:
    train, new = waves("b-1", 900, seed=1), waves("b-1", 50, seed=2)
    floor = 0.05
    member = learnt(MahalanobisMember("mahalanobis", floor=floor), train)
    value_TC = train.value_TC.astype(np.float64)
    covariance = np.cov(value_TC, rowvar=False, bias=True) + floor**2 * np.eye(C)
    inverse, mean_C = np.linalg.inv(covariance), value_TC.mean(axis=0)
    expected_T = [mahalanobis(row_C, mean_C, inverse) for row_C in new.value_TC]
    found_T = np.sqrt(np.square(member.residual(new, "fleet")).sum(axis=1)) / floor
    np.testing.assert_allclose(found_T, expected_T, rtol=1e-3)


def test_a_channel_that_never_moved_in_train_keeps_its_units() -> None:
    train = with_values(waves("b-1", 900), slice(None), 1, 0.0)
    member = learnt(MahalanobisMember("mahalanobis", floor=0.05), train)
    usual = member.residual(train, "fleet")[100]
    moved = member.residual(with_values(train, slice(100, 101), 1, 0.3), "fleet")[100]
    assert moved - usual == pytest.approx([0, 0.3, 0, 0, 0], abs=1e-5)


def test_mahalanobis_sees_a_relation_break_that_no_channel_shows() -> None:
    train = waves("b-1", 2000, seed=1)
    coupled_TC = train.value_TC.copy()
    coupled_TC[:, 3] = coupled_TC[:, 2]
    member = learnt(MahalanobisMember("mahalanobis", floor=0.05), train.with_values(coupled_TC))
    residual_TC = member.residual(train, "fleet")
    usual_TC = member.residual(train.with_values(coupled_TC), "fleet")
    lift_C = np.square(residual_TC).mean(axis=0) / np.square(usual_TC).mean(axis=0)
    assert (lift_C[2:4] > 20).all() and (lift_C[[0, 1, 4]] < 2).all()


def test_a_sample_is_of_distinct_numbers_in_order() -> None:
    drawn = sample(1000, 100, seed=3)
    assert len(drawn) == 100 and (np.diff(drawn) > 0).all() and drawn[-1] < 1000
    np.testing.assert_array_equal(sample(5, 100, seed=3), np.arange(5))
