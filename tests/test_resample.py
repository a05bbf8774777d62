"""The regular grid: bins, segments, imputation, the split, and what must not leak."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windows_kit import SECOND, START, lake_table, outline_of, small_fleet

from amad.windows.resample import Resampler, row_of, to_series
from amad.windows.series import CALIBRATION, PURGED, TEST, TRAIN
from amad.windows.split import SplitBounds

FLEET = small_fleet()
SPEED, LEVEL, GEAR, CHARGE = range(4)


def test_continuous_takes_the_mean_of_a_bin_and_categorical_the_last() -> None:
    table = lake_table([0.1, 0.7, 1.0], speed=[10, 20, 40], gear=[2, 3, None])
    series = to_series(table, FLEET, "a-1")
    assert series.value_TC[:, SPEED].tolist() == [15, 40]
    assert series.value_TC[:, GEAR].tolist() == [3, 3]
    assert series.valid_TC[:, GEAR].tolist() == [1, 0]
    assert series.timestamp_T.tolist() == [START, START + SECOND]


def test_grid_is_aligned_to_the_epoch_whatever_the_first_row() -> None:
    early = to_series(lake_table([0.9, 2.9], speed=[1, 2]), FLEET, "a-1")
    late = to_series(lake_table([2.9], speed=[2]), FLEET, "a-1")
    assert late.timestamp_T[0] == early.timestamp_T[-1] == START + 2 * SECOND


def test_short_gap_is_filled_and_flagged_and_a_long_one_ends_the_segment() -> None:
    table = lake_table([0, 4, 11], speed=[0, 8, 5], gear=[1, 2, 3])
    series = to_series(table, FLEET, "a-1")
    assert series.value_TC[:, SPEED].tolist() == [0, 2, 4, 6, 8, 5]
    assert series.value_TC[:, GEAR].tolist() == [1, 1, 1, 1, 2, 3]
    assert series.valid_TC[:, SPEED].tolist() == [1, 0, 0, 0, 1, 1]
    assert series.segments() == [(0, 5), (5, 6)]
    assert np.diff(series.timestamp_T).tolist() == [SECOND] * 4 + [7 * SECOND]


def test_a_gap_of_exactly_the_limit_is_still_filled() -> None:
    series = to_series(lake_table([0, 6], speed=[0, 6]), FLEET, "a-1")
    assert len(series.segments()) == 1 and series.rows == 7
    assert len(to_series(lake_table([0, 7], speed=[0, 6]), FLEET, "a-1").segments()) == 2


def test_long_null_run_of_a_channel_is_held_not_interpolated() -> None:
    speed = [1, *[None] * 6, 9]
    series = to_series(lake_table(list(range(8)), speed=speed), FLEET, "a-1")
    assert series.value_TC[:, SPEED].tolist() == [1] * 7 + [9]


def test_unknown_start_is_held_backwards_over_a_short_gap_only() -> None:
    series = to_series(
        lake_table(list(range(8)), speed=[None] * 5 + [7] * 3, level=[None] * 6 + [7] * 2),
        FLEET,
        "a-1",
    )
    assert series.value_TC[:5, SPEED].tolist() == [7] * 5
    assert np.isnan(series.value_TC[:6, LEVEL]).all()


def test_channel_of_another_class_is_zero_and_not_valid() -> None:
    table = lake_table([0, 1], charge=[5, 6])
    other, own = to_series(table, FLEET, "a-1"), to_series(table, FLEET, "b-1")
    assert not other.value_TC[:, CHARGE].any() and not other.valid_TC[:, CHARGE].any()
    assert own.value_TC[:, CHARGE].tolist() == [5, 6] and own.valid_TC[:, CHARGE].all()


def test_label_of_a_bin_is_the_largest_of_its_rows() -> None:
    table = lake_table([0, 0.5, 1, 3], speed=[1] * 4, label=[0, 1, 0, 0])
    assert to_series(table, FLEET, "a-1").label_T.tolist() == [1, 0, 0, 0]


def test_period_longer_than_the_gap_limit_keeps_neighbours_together() -> None:
    fleet = small_fleet(period_seconds=60)
    series = to_series(lake_table([0, 60, 120, 240], speed=[1, 2, 3, 4]), fleet, "a-1")
    assert series.segments() == [(0, 3), (3, 4)]


def test_an_empty_table_is_an_empty_series() -> None:
    bounds = SplitBounds(calibration_us=0, test_us=0)
    series = Resampler(FLEET, "a-1", bounds).add(lake_table([]), last=True)
    assert series.rows == 0 and series.segments() == []
    assert row_of(series, np.array([START]), SECOND).tolist() == [-1]


def test_row_of_finds_the_bin_of_each_lake_row() -> None:
    series = to_series(lake_table([0, 1.9, 20], speed=[1, 2, 3]), FLEET, "a-1")
    stamps = START + np.array([-1, 0, 0.5, 1.9, 2, 20.4, 21]) * SECOND
    assert row_of(series, stamps.astype(np.int64), SECOND).tolist() == [-1, 0, 0, 1, -1, 2, -1]
    one = series.rows_between(0, 1)
    assert row_of(one, stamps.astype(np.int64), SECOND).tolist() == [-1, 0, 0, -1, -1, -1, -1]


def test_split_follows_the_shares_and_purges_before_each_border() -> None:
    stamp_R = START + np.arange(100) * SECOND
    split_T = outline_of(stamp_R, FLEET).split.parts(0, 100)
    counts = [int((split_T == part).sum()) for part in (TRAIN, CALIBRATION, TEST, PURGED)]
    assert counts == [52, 12, 30, 6]
    order = split_T[split_T != PURGED]
    assert (np.diff(order.astype(int)) >= 0).all()


def test_a_border_takes_at_most_a_third_of_a_short_part() -> None:
    fleet = FLEET.model_copy(update={"split": FLEET.split.model_copy(update={"purge_rows": 100})})
    stamp_R = START + np.arange(400) * SECOND
    split_T = outline_of(stamp_R, fleet, test_us=int(stamp_R[340])).split.parts(0, 400)
    counts = [int((split_T == part).sum()) for part in (TRAIN, CALIBRATION, TEST, PURGED)]
    # 340 rows before the test part, of which 0.15 / 0.7 are 73: 267 - 89 to train, 73 - 24 after
    assert counts == [178, 49, 60, 113]


def test_a_given_start_of_the_test_part_is_kept_whole() -> None:
    stamp_R = START + np.arange(100) * SECOND
    split_T = outline_of(stamp_R, FLEET, test_us=int(stamp_R[50])).split.parts(0, 100)
    assert (split_T[50:] == TEST).all() and (split_T[:50] != TEST).all()
    # calibration_share 0.15 and test_share 0.3: 0.15 / 0.7 of what is not test
    assert (split_T[:50] == CALIBRATION).sum() == round(50 * 0.15 / 0.7) - 3


cells = st.one_of(st.none(), st.floats(-100, 100, width=32))


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[float], list, list]:
    """Times with gaps and repeats, and two channels with nulls."""
    steps = draw(st.lists(st.sampled_from([0.25, 1, 1, 1, 3, 6, 9]), min_size=6, max_size=40))
    count = len(steps)
    values = st.lists(cells, min_size=count, max_size=count)
    return np.cumsum(steps).tolist(), draw(values), draw(values)


@given(tables())
def test_the_grid_is_regular_and_keeps_every_measured_bin(data: tuple) -> None:
    seconds, speed, gear = data
    series = to_series(lake_table(seconds, speed=speed, gear=gear), FLEET, "a-1")
    for first, last in series.segments():
        assert (np.diff(series.timestamp_T[first:last]) == SECOND).all()
    stamps = (START + np.array(seconds) * SECOND).astype(np.int64)
    row = row_of(series, stamps, SECOND)
    assert (row >= 0).all() and (series.timestamp_T[row] == stamps // SECOND * SECOND).all()
    measured = {int(r) for r, value in zip(row, speed, strict=True) if value is not None}
    assert set(np.flatnonzero(series.valid_TC[:, SPEED]).tolist()) == measured
    assert set(np.unique(series.value_TC[:, GEAR][series.valid_TC[:, GEAR] == 1])) <= {
        np.float32(v) for v in gear if v is not None
    }


@settings(max_examples=200)
@pytest.mark.slow
@given(tables(), st.integers(1, 30), st.integers(0, 15), st.integers(0, 2**32 - 1))
def test_no_row_of_a_later_part_changes_an_earlier_one(
    data: tuple, calibration: int, length: int, seed: int
) -> None:
    seconds, speed, gear = data
    bounds = SplitBounds(
        calibration_us=START + calibration * SECOND,
        test_us=START + (calibration + length) * SECOND,
    )
    rng = np.random.default_rng(seed)
    for border in (bounds.calibration_us, bounds.test_us):
        later = START + np.array(seconds) * SECOND >= border

        def changed(values: list, later: np.ndarray = later) -> list:
            return [
                rng.choice([None, rng.normal() * 50]) if late else value
                for value, late in zip(values, later, strict=True)
            ]

        one, two = (
            Resampler(FLEET, "a-1", bounds).add(table, last=True)
            for table in (
                lake_table(seconds, speed=speed, gear=gear),
                lake_table(seconds, speed=changed(speed), gear=changed(gear)),
            )
        )
        before = one.timestamp_T < border
        np.testing.assert_array_equal(one.value_TC[before], two.value_TC[before])
        np.testing.assert_array_equal(one.valid_TC[before], two.valid_TC[before])
