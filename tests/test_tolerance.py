"""What is ordinary in a situation is learnt from the other channels, and judges errors."""

import numpy as np
import pytest
from detect_kit import fleet_of
from windows_kit import series_of

from amad.config.params import DetectParams
from amad.detect.chain import EvidenceChain
from amad.detect.combine import Ensemble
from amad.detect.learnt_figures import LearntFigures
from amad.detect.members import tolerance as tolerance_module
from amad.detect.members.relation import RelationMember
from amad.detect.members.tolerance import (
    HIGHEST,
    LEAST_Z2,
    LIMIT,
    LOWEST,
    PENALTY,
    REACH,
    situation,
    solve_tolerance,
)
from amad.windows.series import Series

OWNER, LONG, ROWS = "vehicle/v", 20_000, 4000
FORMS = pytest.mark.parametrize("trailing", [False, True], ids=["two-sided", "trailing"])


def moody(rows: int = ROWS, seed: int = 0) -> Series:
    """Channel 1 follows channel 0, eight times as loosely while channel 2 moves up and down."""
    rng = np.random.default_rng(seed)
    value_TC = rng.normal(size=(rows, 3))
    calm_T = (np.arange(rows) // 200) % 2 == 0
    value_TC[calm_T, 2] = 0.0
    value_TC[:, 1] = value_TC[:, 0] + rng.normal(size=rows) * np.where(calm_T, 0.1, 0.8)
    return series_of(value_TC.astype(np.float32))


def fitted(train: Series, *, trailing: bool = False) -> tuple:
    """The member, its cross-fitted errors and its cross-fitted tolerance."""
    member = RelationMember(trailing=trailing)
    errors = member.fit(OWNER, [train], 4)
    [tolerance_TC] = member.fit_tolerance(OWNER, [train], errors, 4)
    return member, errors[0], tolerance_TC


@FORMS
def test_errors_that_grow_with_another_channel_have_a_tolerance_that_does(trailing: bool) -> None:
    member, error_TC, train_TC = fitted(moody(LONG), trailing=trailing)
    new_TC = member.tolerance(moody(seed=1), OWNER)
    assert new_TC is not None and new_TC.dtype == np.float32
    for found_TC in (train_TC, new_TC):
        row_T = np.arange(100, len(found_TC) - 100)
        row_T = row_T[np.abs(row_T % 200 - 100) < 60]  # where the figures see one mood alone
        calm_T = (row_T // 200) % 2 == 0
        assert found_TC[row_T[~calm_T], 1].mean() / found_TC[row_T[calm_T], 1].mean() > 2.3
        if found_TC is train_TC:
            before, after = (
                np.nanstd(x_TC[row_T[~calm_T], 1]) / np.nanstd(x_TC[row_T[calm_T], 1])
                for x_TC in (error_TC, error_TC / train_TC)
            )
            assert after < before / 2.2


def test_a_channel_does_not_excuse_itself() -> None:
    member, _, _ = fitted(moody())
    weight_CX = member.coefficients[OWNER]["tolerance"]
    assert weight_CX.shape == (3, 16)
    for c in range(3):
        assert not weight_CX[c, c:-1:3].any()
    new = moody(seed=1)
    noisy_TC = new.value_TC.copy()
    noisy_TC[1000:1200, 1] += np.random.default_rng(0).normal(size=200) * 5
    changed = member.tolerance(new.with_values(noisy_TC), OWNER)
    np.testing.assert_array_equal(changed[:, 1], member.tolerance(new, OWNER)[:, 1])
    assert (changed[1050:1150, 0] != member.tolerance(new, OWNER)[1050:1150, 0]).any()


@FORMS
def test_the_figures_look_no_further_than_they_say(trailing: bool) -> None:
    value_TC = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
    first, last = (2 * REACH, 200) if trailing else (REACH, 200 - REACH)
    whole_TX = situation(value_TC, first, last, trailing=trailing)
    assert whole_TX.shape == (last - first, 11) and (whole_TX[:, -1] == 1).all()
    row = 100
    for moved, seen in ((row + REACH, not trailing), (row + REACH + 1, False), (row, True),
                        (row - 2 * REACH, trailing), (row - 2 * REACH - 1, False)):  # fmt: skip
        other_TC = value_TC.copy()
        other_TC[moved] += 1.0
        other_TX = situation(other_TC, first, last, trailing=trailing)
        assert (other_TX[row - first] != whole_TX[row - first]).any() == seen, moved
    part_TX = situation(value_TC[20:180], row - 20, row - 10, trailing=trailing)
    np.testing.assert_array_equal(part_TX, whole_TX[row - first : row + 10 - first])


def test_the_figures_by_hand() -> None:
    value_TC = np.random.default_rng(1).normal(size=(60, 1)).astype(np.float32) * 5
    cut_T = np.clip(value_TC[:, 0].astype(float), -LIMIT, LIMIT)
    t = 30
    steps = [abs(cut_T[t + k + 2] - cut_T[t + k - 2]) for k in (-10, -5, 0, 5, 10)]
    expected = [cut_T[t], abs(cut_T[t]), steps[2] ** 0.5, abs(cut_T[t + 8] - cut_T[t - 8]) ** 0.5,
                np.mean(steps) ** 0.5, 1.0]  # fmt: skip
    found_TX = situation(value_TC, t, t + 1, trailing=False)
    np.testing.assert_allclose(found_TX[0], expected, rtol=1e-5)


def test_the_coefficients_are_those_of_a_ridge_regression_on_the_others() -> None:
    series, channels = moody(900), 3
    member = RelationMember()
    rng = np.random.default_rng(2)
    error_TC = rng.normal(size=(900, channels)).astype(np.float32)
    error_TC[rng.random((900, channels)) < 0.1] = np.nan
    scale_C = np.array([1.0, 2.0, 0.5])
    weight_CX = solve_tolerance([member._sums(series, error_TC, scale_C, 0, 900)])
    column_TX = situation(series.value_TC, REACH, 900 - REACH, trailing=False)
    log_TC = np.log(np.square(error_TC.astype(float) / scale_C) + LEAST_Z2)
    log_TC = np.nan_to_num(log_TC - np.nanmean(log_TC, axis=0))[REACH : 900 - REACH]
    for c in range(channels):
        other = [k for k in range(15) if k % channels != c]
        design = column_TX[:, other].astype(float)
        design -= design.mean(axis=0)
        target_T = log_TC[:, c] - log_TC[:, c].mean()
        normal = design.T @ design + PENALTY * np.eye(len(other))
        by_hand = np.linalg.solve(normal, design.T @ target_T)
        np.testing.assert_allclose(weight_CX[c, other], by_hand, atol=3e-4)


def test_what_was_never_seen_is_not_excused() -> None:
    member, _, _ = fitted(moody())
    member.coefficients[OWNER]["tolerance"] *= 50
    found_TC = member.tolerance(moody(seed=1), OWNER)
    assert found_TC.max() == pytest.approx(np.exp(HIGHEST / 2))
    assert found_TC.min() == pytest.approx(np.exp(LOWEST / 2))


def test_the_folds_do_not_know_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    train = moody()
    _, error_TC, tolerance_TC = fitted(train)
    wild_TC = error_TC.copy()
    wild_TC[1000:2000] *= np.exp(np.random.default_rng(0).normal(size=(1000, 3)))
    member = RelationMember()
    member.coefficients[OWNER] = {}
    [again_TC] = member.fit_tolerance(OWNER, [train], [wild_TC], 4)
    assert (again_TC[REACH:1000] != tolerance_TC[REACH:1000]).mean() > 0.9
    monkeypatch.setattr(tolerance_module, "root_mean_square", lambda error_TC: np.ones(3))
    found = []
    for errors_TC in (error_TC, wild_TC):
        [found_TC] = member.fit_tolerance(OWNER, [train], [errors_TC], 4)
        found.append(found_TC)
    np.testing.assert_array_equal(found[0][1000:2000], found[1][1000:2000])


def test_the_chain_judges_errors_by_their_tolerance(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relation that breaks a little in a calm stretch stands out from the errors of all rows."""
    train, case = moody(LONG), moody(seed=1)
    value_TC = case.value_TC.copy()
    value_TC[2060:2140, 1] += 0.8  # as much as the noise of the other rows
    case = case.with_values(value_TC)
    present_C = np.ones(3, bool)
    params = DetectParams()

    def evidence_of() -> np.ndarray:
        ensemble = Ensemble([RelationMember()], EvidenceChain(params), fleet_of().period_us)
        calibration, _, explained = ensemble.calibrate(OWNER, [train], [present_C])
        figures = LearntFigures(calibration=calibration)
        shares.append(explained["relation"])
        return ensemble.evidence(figures, OWNER, case, present_C)["relation"][0]

    shares: list[float] = []
    ours_T = evidence_of()
    monkeypatch.setattr(RelationMember, "fit_tolerance", lambda *_: None)
    plain_T = evidence_of()

    def above(evidence_T: np.ndarray) -> float:
        """The share of other rows that lie below the middle of the fault."""
        other_T = np.delete(evidence_T, slice(2000, 2200))
        return float((other_T < np.median(evidence_T[2070:2130])).mean())

    assert above(ours_T) > 0.98 > 0.8 > above(plain_T)
    assert shares[0] == shares[1], "what is explained does not depend on the tolerance"


def test_pooled_figures_have_one_tolerance_for_all_rows() -> None:
    member, train = RelationMember(), [moody(seed=1), moody(seed=2)]
    errors = member.fit("class/a", train, 2)
    assert member.fit_tolerance("class/a", train, errors, 2) is None
    assert member.tolerance(train[0], "class/a") is None


def test_a_handful_of_rows_says_next_to_nothing() -> None:
    member, _, train_TC = fitted(moody(70))
    assert np.abs(np.log(train_TC)).max() < 0.1
    assert np.abs(np.log(member.tolerance(moody(seed=1), OWNER))).max() < 0.2
    few = moody(30)  # no row of it has a residual
    _, error_TC, tolerance_TC = fitted(few)
    assert np.isnan(error_TC).all() and (tolerance_TC == 1).all()
