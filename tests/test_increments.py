"""Counters and angles: models see increments per period, with resets, wraps and gaps understood."""

from dataclasses import replace

import numpy as np
import pytest
from windows_kit import lake_table, small_fleet

from amad.config import Channel, Fleet
from amad.telemetry.counter_events import count_of
from amad.windows.increments import HISTORY_ROWS, LONGEST, increments
from amad.windows.resample import to_series
from amad.windows.scaler import Scaler
from amad.windows.series import TRAIN

COUNTER = Channel(name="n", kind="counter")
NAN = np.nan


def fleet_of(kind: str, **fields: object) -> Fleet:
    """The small fleet with a channel ``speed`` of this kind."""
    channels = small_fleet().model_dump()["channels"]
    channels[0] = {"name": "speed", "kind": kind, **fields}
    return small_fleet(channels=channels)


def seen(values: list, kind: str = "counter", seconds: list | None = None, **fields) -> np.ndarray:
    """What models see of these values, at 1 Hz unless ``seconds`` says otherwise."""
    table = lake_table(seconds or list(range(len(values))), speed=values)
    series = to_series(table, fleet_of(kind, **fields), "a-1")
    return np.where(series.valid_TC[:, 0] == 1, series.value_TC[:, 0], NAN)


def same(got: np.ndarray, wanted: list) -> None:
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


def events(values: list, broken: tuple[int, ...] = ()) -> tuple:
    """(resets, decreases) of these values, one per second."""
    broken_M = np.isin(np.arange(len(values)), broken)
    count = count_of(np.array(values, float), np.arange(len(values)), broken_M, COUNTER)
    return count.resets, count.decreases


def test_a_counter_is_seen_as_its_rate_whatever_its_level():
    same(seen([100, 103, 106, 109, 115]), [NAN, NAN, 3, 3, 6])
    same(seen([9e8, 9e8 + 3, 9e8 + 6, 9e8 + 9]), [NAN, NAN, 3, 3])


def test_a_bin_has_the_last_value_of_a_counter_and_not_the_mean():
    seconds = [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    same(seen([0, 5, 10, 15, 20, 25, 30, 35], seconds=seconds), [NAN, NAN, 10, 10])


def test_a_gap_spreads_the_increment_over_its_time():
    same(seen([0, 2, 4, 12, 14], seconds=[0, 1, 2, 6, 7]), [NAN, NAN, 2, NAN, NAN, NAN, 2, 2])


def test_a_restart_after_a_night_is_no_jump():
    after = seen([0, 2, 4, 90_000, 90_002, 90_004], seconds=[0, 1, 2, 40_000, 40_001, 40_002])
    same(after, [NAN, NAN, 2, NAN, NAN, 2])


def test_a_coarse_counter_has_an_even_rate_and_slows_down_when_it_is_stuck():
    minutes = [n // 60 for n in range(200)]
    rate_T = seen([*minutes, *[3] * 400])
    same(rate_T[120:240], [1 / 60] * 120)
    assert np.isnan(rate_T[:120]).all()
    same(rate_T[[300, 360, 480]], [1 / 120, 1 / 180, 1 / 300])
    assert rate_T[481] == 0 and rate_T[-1] == 0


def test_a_coarse_counter_has_the_pace_of_its_last_steps():
    seconds_in_half_second_rows = np.floor(np.arange(400) * 0.547).tolist()
    rate_T = seen(seconds_in_half_second_rows)[40:]
    assert np.abs(rate_T - 0.547).max() < 0.05
    same(seen([0, 1, 2, 4, 9, 10, 11, 12]), [NAN, NAN, 1, 2, 5, 1, 1, 1])  # not coarse


def test_two_steps_of_a_rare_counter_that_fall_together_are_no_burst():
    values = np.cumsum(np.isin(np.arange(2000), [400, 900, 1400, 1405]))
    pace = seen(values.tolist())
    same(pace[[1400, 1405]], [1 / LONGEST, 2 / (LONGEST + 5)])
    burst = np.cumsum(np.isin(np.arange(2000), [400, 900, *range(1400, 1430, 3)]))
    assert seen(burst.tolist())[1427] > 0.3, "ten steps, three rows apart"


def test_a_stuck_counter_stops_at_once_if_it_is_fine():
    same(seen([0, 5, 10, 15, 15, 15, 15, 18, 21])[2:], [5, 5, 5, 0, 0, 3 / 4, 3])


def test_a_counter_that_never_moves_has_the_rate_zero():
    rate_T = seen([7] * (LONGEST + 10))
    assert np.isnan(rate_T[: LONGEST + 1]).all() and (rate_T[LONGEST + 1 :] == 0).all()


def test_a_reset_has_no_increment_and_counts_again():
    same(seen([1000, 1010, 1020, 3, 13, 23, 33]), [NAN, NAN, 10, NAN, NAN, 10, 10])
    assert events([1000, 1010, 1020, 3, 13]) == (1, 0)
    assert events([4, 5, 6, 1, 2, 3]) == (1, 0)  # a short run: it can have counted to 1 since


def test_another_level_after_a_silence_is_a_replaced_unit():
    assert events([150_000, 150_001, 80_000, 80_001], broken=(2,)) == (1, 0)
    assert events([150_000, 150_001, 160_000, 160_001], broken=(2,)) == (0, 0)


@pytest.mark.parametrize("size", [2**8, 2**16, 2**32])
def test_a_register_that_wraps_counts_on(size):
    values = [(size - 30 + 10 * n) % size for n in range(8)]
    same(seen(values), [NAN, NAN, *[10] * 6])
    assert events(values) == (0, 0)


def test_a_register_ends_at_the_top_of_the_range():
    values = [999_997, 999_998, 999_999, 0, 1]
    same(seen(values, range=[0, 1_000_000]), [NAN, NAN, 1, 1, 1])
    np.testing.assert_allclose(seen(values, range=[0, 999_999])[-3:], [1, 0, 1], atol=1e-6)


def test_a_counter_near_the_end_of_a_register_can_be_reset():
    assert events([240, 241, 242, 5, 6]) == (1, 0)


def test_a_counter_that_runs_backwards_is_told_and_seen():
    same(seen([100, 110, 120, 90, 100, 110]), [NAN, NAN, 10, -30, NAN, 10])
    assert events([100, 110, 120, 90, 100, 110]) == (0, 1)
    assert events([9, 8, 7, 6, 5]) == (0, 4)


def test_a_heading_that_crosses_north_does_not_jump():
    same(seen([355, 357, 359, 1, 3], kind="angle"), [NAN, 2, 2, 2, 2])
    same(seen([3, 1, 359, 357], kind="angle", range=[0, 359]), [NAN, -2, -2, -2])
    same(seen([178, 179, -180, -179], kind="angle", range=[-180, 180]), [NAN, 1, 1, 1])


def test_an_angle_turns_by_the_width_of_its_range():
    assert Channel(name="a", kind="angle").turn == 360
    assert Channel(name="a", kind="angle", range=[-3.14, 3.14]).turn == 2 * np.pi
    assert Channel(name="a", kind="angle", range=[0, 24]).turn == 24
    same(seen([23, 1, 2], kind="angle", range=[0, 24]), [NAN, 2, 1])


def test_a_turn_over_a_gap_is_spread_over_its_time():
    same(seen([350, 358, 6], kind="angle", seconds=[0, 4, 6]), [NAN, *[NAN] * 3, 2, NAN, 4])


@pytest.mark.parametrize("unit", [1.0, 0.1])
def test_no_later_row_and_no_row_long_ago_changes_an_increment(unit: float):
    rng = np.random.default_rng(3)
    value_T = np.cumsum(rng.random(3000) < 0.05) * unit
    value_T[rng.random(3000) < 0.2] = NAN
    segment_T = np.zeros(3000, np.int32)
    whole_T, _ = increments(value_T, segment_T, COUNTER)
    early_T, _ = increments(value_T[:2000], segment_T[:2000], COUNTER)
    np.testing.assert_array_equal(early_T, whole_T[:2000])
    first = int(np.flatnonzero(~np.isnan(value_T[900:]))[0]) + 900
    late_T, _ = increments(value_T[first:], segment_T[first:], COUNTER)
    np.testing.assert_array_equal(late_T[HISTORY_ROWS:], whole_T[first + HISTORY_ROWS :])


def test_an_unknown_vehicle_with_another_level_looks_like_the_fleet():
    fleet = fleet_of("counter")
    old, new = [900_000 + 2 * n for n in range(40)], [5 + 2 * n for n in range(40)]
    known, unknown = (
        to_series(lake_table(list(range(40)), speed=values), fleet, vehicle)
        for values, vehicle in ((old, "a-1"), (new, "a-9"))
    )
    train = replace(known, split_T=np.full(known.rows, TRAIN, np.uint8))
    scaler = Scaler.fit([train], fleet, "vehicle")
    one, other = scaler.apply(known), scaler.apply(unknown)
    np.testing.assert_array_equal(one.value_TC[:, 0], other.value_TC[:, 0])
    assert not other.value_TC[2:, 0].any()


def test_where_a_stuck_counter_stands_is_scaled_as_the_vehicle_is():
    fleet = fleet_of("counter")
    paces = {"a-1": 2, "a-2": 6}
    train = [
        to_series(
            lake_table(list(range(40)), speed=[pace * n + n % 3 for n in range(40)]), fleet, v
        )
        for v, pace in paces.items()
    ]
    train = [replace(s, split_T=np.full(s.rows, TRAIN, np.uint8)) for s in train]
    scaler = Scaler.fit(train, fleet, "vehicle")
    one = scaler.apply(train[0])
    still_C = scaler.as_unknown(one).behaviour.still_C
    fleet_mean_C, fleet_scale_C = scaler.figures("", one.vehicle_class)
    assert still_C[0] == pytest.approx(-fleet_mean_C[0] / fleet_scale_C[0])
