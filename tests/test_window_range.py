"""The window range members: what they measure, what they learn, and how they enter the score."""

from dataclasses import replace

import numpy as np
import pytest
from detect_kit import C, coupled, waves, with_values
from hypothesis import given, settings
from hypothesis import strategies as st
from relation_kit import fitted, members_of

from amad.detect.learnt_figures import FLEET
from amad.detect.members.member import cut
from amad.detect.members.window_range import LEAST_WIDTH, LIMIT, WINDOWS, WindowRangeMember
from amad.windows.series import Series

NAMES = tuple(f"window_range_{window}" for window in WINDOWS)
FORMS = pytest.mark.parametrize("trailing", [False, True], ids=["centred", "trailing"])
S = 5  # mean, least, greatest, range, mean absolute step


def plain_statistics(series: Series, window: int, *, trailing: bool) -> np.ndarray:
    """(T, C, S) float64 by a loop; the last whole window of a segment serves to its end."""
    before = window - 1 if trailing else window // 2
    found_TCS = np.full((*series.value_TC.shape, S), np.nan)
    for first, last in series.segments():
        value_TC = series.value_TC[first:last].astype(np.float64)
        step_TC = np.zeros_like(value_TC)
        step_TC[1:] = np.abs(value_TC[1:] - value_TC[:-1])
        for row in range(last - first):
            begin = min(row - before, last - first - window)
            rows = slice(begin, begin + window)
            if row >= before and begin >= 0:
                part = value_TC[rows]
                low_C, high_C = part.min(axis=0), part.max(axis=0)
                mean_C, step_C = part.mean(axis=0), step_TC[rows].mean(axis=0)
                found_TCS[first + row] = np.stack([mean_C, low_C, high_C, high_C - low_C, step_C]).T
    return found_TCS


def in_segments(*lengths: int, seed: int = 0) -> Series:
    segment_T = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    return waves("b-1", sum(lengths), seed, segment_T=segment_T)


def learnt(*train: Series, window: int = 16, trailing: bool = False) -> WindowRangeMember:
    """Learnt from whole series, so that every window of them is known."""
    member = WindowRangeMember(window, trailing=trailing)
    member.coefficients[FLEET] = member.solve([member.summarise(series) for series in train])
    return member


@FORMS
@pytest.mark.parametrize("window", [5, 16, 64])
def test_it_measures_what_a_plain_loop_measures_and_nothing_beyond_a_segment(
    window: int, trailing: bool
) -> None:
    train, new = in_segments(200, 7, 90, 1, 40), in_segments(120, 9, 70, seed=1)
    member = learnt(train, window=window, trailing=trailing)
    known_TCS, new_TCS = (plain_statistics(s, window, trailing=trailing) for s in (train, new))
    low_CS, high_CS = np.nanmin(known_TCS, axis=0), np.nanmax(known_TCS, axis=0)
    for name, expected_CS in (("low", low_CS), ("high", high_CS)):
        assert member.coefficients[FLEET][name].shape == (S, C)
        np.testing.assert_allclose(member.coefficients[FLEET][name].T, expected_CS, atol=1e-5)
    outside_TCS = np.maximum(new_TCS - high_CS, 0) + np.maximum(low_CS - new_TCS, 0)
    outside_TCS /= np.maximum(high_CS - low_CS, LEAST_WIDTH)
    expected_TC = np.sqrt(np.square(outside_TCS).sum(axis=2))
    assert np.nanmax(expected_TC) > 0.05, "the test would see nothing"
    residual_TC = member.residual(new, FLEET)
    assert residual_TC.dtype == np.float32 and residual_TC.shape == expected_TC.shape
    np.testing.assert_allclose(residual_TC, expected_TC, atol=1e-5)


@FORMS
def test_a_row_needs_a_whole_window_of_its_segment(trailing: bool) -> None:
    member = learnt(in_segments(100), trailing=trailing)
    residual_TC = member.residual(in_segments(15, 16, 40), FLEET)
    known = np.flatnonzero(np.isfinite(residual_TC).all(axis=1)).tolist()
    assert known == np.flatnonzero(np.isfinite(residual_TC).any(axis=1)).tolist()
    # With windows of 16: a trailing one is whole in its 16th row; a centred one reaches 8 rows
    # back, and the last whole one serves to the end of its segment.
    assert known == ([30, *range(46, 71)] if trailing else [*range(23, 31), *range(39, 71)])


def test_short_windows_at_the_ends_of_a_segment_raise_nothing() -> None:
    """Half of a slow wave has half of its range, and is not out of the ordinary for that."""
    time_T = np.arange(2000)
    wave_TC = np.repeat(np.sin(2 * np.pi * time_T / 250)[:, None], C, axis=1).astype(np.float32)
    for trailing in (False, True):
        member = learnt(waves("b-1", 2000).with_values(wave_TC), window=256, trailing=trailing)
        for rows in (300, 400, 500):
            drive = waves("b-1", rows).with_values(wave_TC[:rows])
            residual_TC = member.residual(drive, FLEET)
            assert np.isfinite(residual_TC).any() and not np.nansum(residual_TC)


@FORMS
@pytest.mark.parametrize("window", WINDOWS)
def test_train_rows_lie_within_their_own_range(window: int, trailing: bool) -> None:
    train = [waves(v, 900, seed=1) for v in ("b-1", "b-2")]
    member = learnt(*train, window=window, trailing=trailing)
    for series in train:
        residual_TC = member.residual(series, FLEET)
        assert (residual_TC[np.isfinite(residual_TC)] == 0).all()
        assert np.isfinite(residual_TC[window:]).all()
    shifted = train[0].with_values(train[0].value_TC + 9)
    assert (member.residual(shifted, FLEET)[window:-window] > 0).all()


@FORMS
def test_each_statistic_is_seen_where_the_others_are_ordinary(trailing: bool) -> None:
    """A flat line has too small a range; one that alternates has too large steps, and no more."""
    rng = np.random.default_rng(0)
    train = waves("b-1", 600).with_values(rng.uniform(-1, 1, (600, C)).astype(np.float32))
    member = learnt(train, trailing=trailing)
    for value_T in (np.zeros(200), (-1.0) ** np.arange(200)):
        series = waves("b-1", 200)
        series.value_TC[:] = 0.9 * value_T[:, None]
        assert (member.residual(series, FLEET)[20:-20] > 0.1).all()


@FORMS
def test_a_vehicle_is_cross_fitted_over_time(trailing: bool) -> None:
    series = with_values(waves("b-1", 800), slice(300, 320), 0, 20.0)
    member, other = (WindowRangeMember(16, trailing=trailing) for _ in range(2))
    [held_out_TC] = member.fit("vehicle/b-1", [series], 4)
    pieces = cut(series, 4)
    other.coefficients["x"] = other.solve([other.summarise(pieces[k]) for k in (0, 2, 3)])
    np.testing.assert_array_equal(held_out_TC[200:400], other.residual(series, "x")[200:400])
    assert (held_out_TC[305:315, 0] > 5).all(), "the other folds do not know the value"
    own_TC = member.residual(series, "vehicle/b-1")
    assert not own_TC[216:384].any(), "but all folds together do"


@FORMS
def test_pooled_ranges_are_those_of_all_stretches(trailing: bool) -> None:
    train = [waves(v, 300, seed=k) for k, v in enumerate(("b-1", "b-2", "b-3", "b-4", "b-5"))]
    short = waves("b-6", 15)  # less than a window, so nothing is known from it
    member = WindowRangeMember(16, trailing=trailing)
    member.fit("class/b", [*train, short], 4)
    each = [member.summarise(series) for series in train]
    found = member.coefficients["class/b"]
    np.testing.assert_array_equal(found["low"], np.min([s["low"] for s in each], axis=0))
    np.testing.assert_array_equal(found["high"], np.max([s["high"] for s in each], axis=0))
    assert np.isnan(member.summarise(short)["low"]).all()


@FORMS
@pytest.mark.parametrize("window", [16, 64])
@settings(max_examples=25)
@given(st.data())
def test_the_rows_that_it_asks_for_are_all_that_counts(
    window: int, trailing: bool, data: st.DataObject
) -> None:
    """Batch and daily agree to the last bit: whatever lies further away changes nothing."""
    member = _of_thousandths(window, trailing=trailing)
    assert member.lookahead_rows == (0 if trailing else window // 2 - 1)
    gap = data.draw(st.integers(1, 299))
    series = in_segments(gap, 300 - gap, seed=data.draw(st.integers(0, 99)))
    series = series.with_values(_thousandths(series))
    first = data.draw(st.integers(0, 299))
    last = data.draw(st.integers(first + 1, 300))
    begin = max(first - member.context_rows, 0)
    part = series.rows_between(begin, min(last + member.lookahead_rows, 300))
    found_TC = member.residual(part, FLEET)[first - begin : last - begin]
    assert found_TC.tobytes() == member.residual(series, FLEET)[first:last].tobytes()


def _thousandths(series: Series) -> np.ndarray:
    """The values in whole thousandths (of 1,024), so that their sums have no rounding error."""
    return (np.round(series.value_TC * 1024) / 1024).astype(np.float32)


def _of_thousandths(window: int, *, trailing: bool) -> WindowRangeMember:
    train = in_segments(400, seed=1)
    return learnt(train.with_values(_thousandths(train)), window=window, trailing=trailing)


@FORMS
def test_rows_wherever_they_are_cut_differ_by_no_more_than_rounding(trailing: bool) -> None:
    member = learnt(in_segments(400, seed=1), trailing=trailing)
    series = in_segments(900, 600)
    whole_TC = member.residual(series, FLEET)
    for first in range(100, 1400, 111):
        part = series.rows_between(first - member.context_rows, 1500)
        found_TC = member.residual(part, FLEET)[member.context_rows :]
        np.testing.assert_allclose(found_TC, whole_TC[first:], rtol=1e-5, atol=1e-6)


def test_trailing_it_depends_on_no_later_row() -> None:
    members = members_of("window_range", smoothing="trailing")
    assert [m.name for m in members] == list(NAMES)
    assert [m.lookahead_rows for m in members] == [0, 0]
    assert [m.context_rows for m in members] == list(WINDOWS)
    series = waves("b-1", 900, seed=3)
    later = series.with_values(series.value_TC.copy())
    later.value_TC[500:] = -9.0
    for member in members:
        member.fit(FLEET, [waves("b-1", 1500)], 4)
        whole_TC, later_TC = (member.residual(s, FLEET) for s in (series, later))
        np.testing.assert_array_equal(whole_TC[:500], later_TC[:500])
        assert (later_TC[500:] != whole_TC[500:]).all()
    assert [m.lookahead_rows for m in members_of("window_range")] == [15, 127]


@FORMS
@pytest.mark.parametrize("value", [1e12, -1e12, 3e38])
def test_a_wild_value_does_not_spoil_later_rows(value: float, trailing: bool) -> None:
    member, series = learnt(waves("b-1", 1500), trailing=trailing), waves("b-1", 3000, seed=3)
    wild = with_values(series, slice(700, 701), 2, value)
    quiet_TC, wild_TC = (member.residual(s, FLEET) for s in (series, wild))
    assert np.isfinite(wild_TC[16:]).all() and (wild_TC[700:708, 2] >= 0.4 * LIMIT).all()
    np.testing.assert_array_equal(np.delete(wild_TC, 2, axis=1), np.delete(quiet_TC, 2, axis=1))
    assert quiet_TC[717:, 2].any()
    np.testing.assert_allclose(wild_TC[717:, 2], quiet_TC[717:, 2], atol=1e-5)


def test_a_range_that_was_wide_in_train_is_left_by_less_than_a_narrow_one() -> None:
    """Both channels go three spreads beyond their range; the windows of the first were all alike,
    those of the second lay anywhere between -1.7 and 1.7."""
    rng, train = np.random.default_rng(0), waves("b-1", 2000)
    train.value_TC[:, 0] = rng.uniform(-0.2, 0.2, 2000)
    train.value_TC[:, 1] = np.repeat(rng.uniform(-1.5, 1.5, 20), 100) + train.value_TC[:, 0]
    series = train.with_values(train.value_TC.copy())
    high_C = train.value_TC[:, :2].max(axis=0)
    series.value_TC[1000:1100, :2] = high_C + 3 + train.value_TC[1000:1100, :1]
    narrow, wide = learnt(train, window=32).residual(series, FLEET)[1050, :2]
    assert narrow > 2 * wide > 2


def test_an_imputed_cell_has_no_residual() -> None:
    valid_TC = np.ones((400, C), np.uint8)
    valid_TC[150:200, 1] = 0
    series = replace(waves("b-1", 400, seed=3), valid_TC=valid_TC)
    residual_TC = learnt(waves("b-1", 900)).residual(series, FLEET)
    np.testing.assert_array_equal(np.isnan(residual_TC[8:]), valid_TC[8:] == 0)
    assert np.isnan(residual_TC[:8]).all(), "before the first window of 16"


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_few_rows_give_no_residual_and_no_range(rows: int) -> None:
    member = WindowRangeMember(16)
    few = waves("b-1", rows)
    for series in (few, waves("b-1", 100)):
        member.coefficients[FLEET] = member.solve([member.summarise(few)])
        residual_TC = member.residual(series, FLEET)
        assert residual_TC.shape == series.value_TC.shape and np.isnan(residual_TC).all()


def test_a_window_that_a_vehicle_never_fills_is_left_out_and_the_others_serve_it() -> None:
    members, healthy = members_of("ridge", "window_range"), [coupled("b-1", seed=2)]
    detector = fitted(members, [coupled("b-1", seed=1)], healthy)
    assert set(detector.figures["vehicle/b-1"].calibration) == {"ridge", *NAMES}
    members = members_of("ridge", "window_range")
    detector = fitted(members, [coupled(v, 200, seed=1) for v in ("b-1", "b-2")], healthy)
    # 200 rows are cut into four folds of 50 rows, less than a window of 256.
    assert set(detector.figures["vehicle/b-2"].calibration) == {"ridge", NAMES[0]}
    scored = detector.score(coupled("b-2", 300, seed=3))
    assert scored.left_out == NAMES[1:] and np.isfinite(scored.score_T).all()
    scored = detector.score(in_segments(40, 40))
    assert scored.left_out == NAMES[1:] and np.isfinite(scored.score_T).all()


def test_a_level_shift_keeps_its_evidence_for_as_long_as_it_lasts() -> None:
    detector = fitted(members_of("ridge", "window_range"))
    series = coupled("b-1", 4500, seed=3)
    shift = slice(1000, 4000)
    series = with_values(series, shift, 1, series.value_TC[shift, 1] + 12.0)
    figures = detector.figures["vehicle/b-1"]
    evidence = detector.ensemble.evidence(figures, "vehicle/b-1", series, np.ones(C, bool))
    for name in NAMES:
        evidence_T, contributions = evidence[name]
        early, late = (np.median(evidence_T[a:b]) for a, b in ((1200, 1500), (3500, 3800)))
        assert early > figures.excess_threshold[name] + 1 and late == pytest.approx(early, abs=0.3)
        assert (contributions[1200:3800].argmax(axis=1) == 1).all()
        assert np.median(evidence_T[4300:]) < figures.excess_threshold[name]
    past_T = evidence["ridge"][0]
    assert np.median(past_T[3500:3800]) < past_T[1000:1010].max() - 2, "its own past soon explains"


def test_it_counts_where_nothing_predicts_and_hardly_where_the_others_explain_the_rows() -> None:
    """The same shift, in a vehicle that is noise and in one that two slow states explain."""
    found = {}
    for vehicle in ("b-1", "b-2"):
        rng = np.random.default_rng(5)
        train, calibration, new = (coupled(vehicle, 2000, seed=k) for k in range(3))
        if vehicle == "b-1":
            train, calibration, new = (
                s.with_values(rng.normal(size=s.value_TC.shape).astype(np.float32))
                for s in (train, calibration, new)
            )
        detector = fitted(members_of("ridge", "window_range"), [train], [calibration])
        assert detector.owner_of(new) == f"vehicle/{vehicle}"
        found[vehicle] = detector.figures[f"vehicle/{vehicle}"].predictability.explained
    assert found["b-1"] < 0.02 and found["b-2"] > 0.6
