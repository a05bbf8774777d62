"""The member that predicts from a channel's past and from what surprises the other channels."""

import numpy as np
import pytest
from windows_kit import series_of

from amad.detect.members.innovation import InnovationMember
from amad.detect.members.member import RidgeMember

OWNER = "vehicle/v"
ROWS = 4000


def driven(rows: int = ROWS, seed: int = 0) -> np.ndarray:
    """Two channels that follow one surprise, with a little of their own, and one by itself."""
    rng = np.random.default_rng(seed)
    common_T = rng.normal(size=rows)
    surprise_TC = rng.normal(size=(rows, 3))
    surprise_TC[:, :2] = common_T[:, None] * [1.0, -2.0] + 0.1 * surprise_TC[:, :2]
    value_TC = np.zeros((rows, 3))
    for t in range(1, rows):
        value_TC[t] = 0.7 * value_TC[t - 1] + surprise_TC[t]
    return value_TC


def fitted(**params: object) -> tuple[InnovationMember, np.ndarray]:
    member = InnovationMember()
    [residual_TC] = member.fit(OWNER, [series_of(driven())], 4)
    return member, residual_TC


def test_a_surprise_that_all_share_leaves_little_and_one_of_its_own_stays() -> None:
    member, train_TC = fitted()
    value_TC = driven(seed=1)
    value_TC[2000, 0] += 3.0  # about three of its innovations, which channel 1 does not share
    residual_TC = member.residual(series_of(value_TC), OWNER)
    past = RidgeMember("past", range(1, 6))
    past.fit(OWNER, [series_of(driven())], 4)
    plain_TC = past.residual(series_of(value_TC), OWNER)
    for ours_TC in (residual_TC, train_TC):
        spread_C = np.nanstd(ours_TC[:1900], axis=0) / np.nanstd(plain_TC[:1900], axis=0)
        assert spread_C[:2].max() < 0.75 and spread_C[2] == pytest.approx(1, abs=0.1)
    assert abs(residual_TC[2000, 0]) / np.nanstd(residual_TC[:1900, 0]) > 4
    np.testing.assert_array_equal(np.isnan(residual_TC), np.isnan(plain_TC))


def test_the_coefficients_are_those_of_a_ridge_regression_on_the_others() -> None:
    member = InnovationMember()
    rng = np.random.default_rng(3)
    x = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 5))
    peer_CC = member._peers(x.T @ x)
    for c in range(5):
        others = np.delete(np.arange(5), c)
        normal = x[:, others].T @ x[:, others] + member.PENALTY * np.eye(4)
        by_hand = np.linalg.solve(normal, x[:, others].T @ x[:, c])
        np.testing.assert_allclose(peer_CC[c, others], by_hand)
        assert peer_CC[c, c] == 0


def test_few_rows_leave_the_plain_regression_nearly_as_it_is() -> None:
    few = [series_of(driven(rows=60))]
    member, past = InnovationMember(), RidgeMember("past", range(1, 6))
    [ours_TC], [plain_TC] = (m.fit(OWNER, few, 4) for m in (member, past))
    np.testing.assert_allclose(ours_TC, plain_TC, atol=0.3)
    assert np.abs(member.coefficients[OWNER]["peer"]).max() < 0.05


def test_a_cell_that_was_not_measured_blames_nobody_and_a_wild_one_hardly() -> None:
    member, _ = fitted()
    value_TC = driven(seed=2)
    ours_TC = member.residual(series_of(value_TC), OWNER)
    wild_TC = value_TC.copy()
    wild_TC[1000, 1] = 1e6
    found_TC = member.residual(series_of(wild_TC), OWNER)
    limit = member.LIMIT * 2 * member.coefficients[OWNER]["scale"][0]
    assert abs(found_TC[1000, 0] - ours_TC[1000, 0]) < limit
    np.testing.assert_array_equal(found_TC[:1000], ours_TC[:1000])
    valid_TC = np.ones(value_TC.shape, np.uint8)
    valid_TC[1000, 1] = 0
    series = series_of(wild_TC)
    series.valid_TC[:] = valid_TC
    unmeasured_TC = member.residual(series, OWNER)
    plain = RidgeMember("past", range(1, 6))
    plain.coefficients[OWNER] = member.coefficients[OWNER]
    expected = plain.residual(series, OWNER)[1000, 0]
    third = unmeasured_TC[1000, 0] - expected  # what channel 2 says, which is next to nothing
    assert abs(third) < 0.1 and np.isnan(unmeasured_TC[1000, 1])


def test_the_folds_of_several_vehicles_are_whole_vehicles() -> None:
    train = [series_of(driven(rows=1500, seed=k)) for k in range(3)]
    member = InnovationMember()
    found = member.fit("fleet", train, 2)
    assert [len(residual_TC) for residual_TC in found] == [1500] * 3
    without = InnovationMember()
    without.fit("fleet", [train[0], train[2]], 2)
    theirs_TC = without.residual(train[1], "fleet")
    np.testing.assert_allclose(found[1], theirs_TC, atol=0.05)
    [alone_TC] = member.fit("fleet", train[:1], 1)
    np.testing.assert_allclose(alone_TC, member.residual(train[0], "fleet"), atol=1e-6)


def test_a_channel_that_never_surprises_predicts_nothing() -> None:
    value_TC = driven()
    value_TC[:, 2] = 0.0
    member = InnovationMember()
    [residual_TC] = member.fit(OWNER, [series_of(value_TC)], 4)
    peer_CC = member.coefficients[OWNER]["peer"]
    assert (peer_CC[:, 2] == 0).all() and (peer_CC[2] == 0).all()
    assert np.isfinite(residual_TC[10:]).all()
