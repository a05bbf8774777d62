"""Clocks that tell less than the time in UTC, and those that are wrong."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.ingest.clock_errors import wrong_days
from amad.reading.clocks import (
    REGISTERS_US,
    RESTART_US,
    DayCounter,
    LocalClock,
    Stopwatch,
    local_to_utc,
)
from amad.reading.times import DAY_US

SECOND = 1_000_000
MINUTE = 60 * SECOND
ZONES = {"Europe/Berlin": "2025-10-26T00:00", "America/New_York": "2025-11-02T05:00"}
HALF_AN_HOUR = "Australia/Lord_Howe", "2025-04-05T15:00"  # by which its clocks are put back


def us_of(text: str) -> int:
    return int(np.datetime64(text, "us").astype(np.int64))


def day_of(text: str) -> int:
    return us_of(text) // DAY_US


def told_in(zone: str, utc_R: np.ndarray) -> np.ndarray:
    """What a clock of the zone tells at these times."""
    local = pc.local_timestamp(pa.array(utc_R, pa.timestamp("us", tz=zone)))
    return pc.cast(local, pa.int64()).to_numpy()


def follow(local_R, zone="Europe/Berlin", last=None, cuts=()):
    clock = LocalClock(zone, {"v": last} if last is not None else {})
    parts = [clock.follow(["v"], np.zeros(len(x), np.int64), x) for x in np.split(local_R, cuts)]
    return [np.concatenate(found) for found in zip(*parts, strict=True)]


@given(
    start=st.integers(0, DAY_US - 1),
    steps=st.lists(st.integers(-500_000_000, DAY_US // 2 - 1), max_size=30),
    cut=st.integers(0, 30),
)
@settings(max_examples=200)
def test_the_day_counter_follows_a_clock_over_midnights(start, steps, cut):
    """Any clock that never jumps half a day, and never back before the day it began on."""
    true = [start]
    for step in steps:
        true.append(max(start, true[-1] + step))
    true = np.array(true)
    counter = DayCounter()
    of_day = true % DAY_US
    day = np.concatenate([counter.follow(of_day[:cut]), counter.follow(of_day[cut:])])
    assert day.tolist() == (true // DAY_US).tolist()


def test_local_clocks_over_summer_time():
    told = np.array(["2025-03-30T01:59", "2025-03-30T03:00"], "datetime64[us]")
    utc = local_to_utc(told.astype(np.int64), "Europe/Berlin").astype("datetime64[us]")
    assert [str(t)[:16] for t in utc] == ["2025-03-30T00:59", "2025-03-30T01:00"]


@given(
    zone=st.sampled_from(list(ZONES)),
    before=st.integers(1, 180),
    after=st.integers(61, 180),
    step=st.sampled_from([0.25, 0.999, 7.0, 60.0, 290.0]),
    jitter=st.booleans(),
    cuts=st.lists(st.floats(0, 1), max_size=3),
)
@settings(max_examples=60)
def test_the_hour_told_twice_is_resolved_by_the_order_of_the_rows(
    zone, before, after, step, jitter, cuts
):
    """Wherever the recording begins before the change, and however it is cut into batches."""
    change = us_of(ZONES[zone]) + 3600 * SECOND
    every = round(step * SECOND)
    utc = np.arange(change - before * MINUTE, change + after * MINUTE, every)
    utc += 123_000
    if jitter:
        utc[2::7] -= every + every // 2  # rows that come one late
    at = sorted(round(cut * len(utc)) for cut in cuts) if before > 60 else []
    found, unknown, never = follow(told_in(zone, utc), zone, cuts=at)
    assert not unknown.any() and not never.any()
    assert found.tolist() == utc.tolist()


def test_the_second_telling_is_known_from_what_follows_it():
    change = us_of("2025-10-26T01:00")
    utc = np.arange(change + 20 * MINUTE, change + 90 * MINUTE, 10 * SECOND)
    found, unknown, _ = follow(told_in("Europe/Berlin", utc))
    assert not unknown.any() and found.tolist() == utc.tolist()


def test_an_hour_that_nothing_decides_is_not_guessed():
    change = us_of("2025-10-26T01:00")
    alone = told_in("Europe/Berlin", np.arange(change + 5 * MINUTE, change + 40 * MINUTE, SECOND))
    assert follow(alone)[1].all()
    rng = np.random.default_rng(0)
    utc = np.arange(change - 120 * MINUTE, change + 120 * MINUTE, 10 * SECOND)
    mixed = told_in("Europe/Berlin", utc)[rng.permutation(len(utc))]
    _, unknown, _ = follow(mixed)
    hour = (mixed >= us_of("2025-10-26T02:00")) & (mixed < us_of("2025-10-26T03:00"))
    assert unknown.tolist() == hour.tolist(), "no order, no telling"
    once = np.arange(us_of("2025-10-26T01:30"), us_of("2025-10-26T03:30"), SECOND)
    assert follow(once)[1].sum() == 3600, "a clock that never went back: which hour is missing?"


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60])
@pytest.mark.parametrize("offset", [1, 7, 14, 29])
def test_clocks_that_change_by_half_an_hour(minutes: int, offset: int):
    """Rows as far apart as the change follow each other by either pass, which decides nothing."""
    zone, change = HALF_AN_HOUR[0], us_of(HALF_AN_HOUR[1])
    utc = np.arange(change - 300 * MINUTE, change + 300 * MINUTE, minutes * MINUTE)
    utc += offset * MINUTE
    for cuts in ((), range(1, len(utc))):
        found, unknown, never = follow(told_in(zone, utc), zone, cuts=list(cuts))
        assert found[~unknown].tolist() == utc[~unknown].tolist() and not never.any()
        assert not unknown.any() or minutes > 15


def test_rows_newest_first_are_resolved_too():
    change = us_of("2025-10-26T01:00")
    utc = np.arange(change - 120 * MINUTE, change + 120 * MINUTE, SECOND)[::-1]
    found, unknown, _ = follow(told_in("Europe/Berlin", utc))
    assert not unknown.any() and found.tolist() == utc.tolist()


def test_the_row_before_may_be_of_another_file():
    change = us_of("2025-10-26T01:00")
    utc = np.arange(change - 20 * MINUTE, change + 20 * MINUTE, SECOND)
    local = told_in("Europe/Berlin", utc)
    assert not follow(local, last=change - 21 * MINUTE)[1].any()
    second = utc >= change
    found, unknown, _ = follow(local[second], last=change - SECOND)
    assert not unknown.any() and found.tolist() == utc[second].tolist()


def test_vehicles_that_share_a_file_have_clocks_of_their_own():
    change = us_of("2025-10-26T01:00")
    utc = np.arange(change - 90 * MINUTE, change + 90 * MINUTE, SECOND)
    code = np.arange(len(utc)) % 3
    utc = utc - code * 40 * SECOND  # one is behind
    clock = LocalClock("Europe/Berlin")
    found, unknown, _ = clock.follow(["a", "b", "c"], code, told_in("Europe/Berlin", utc))
    assert not unknown.any() and found.tolist() == utc.tolist()


def test_the_hour_that_spring_leaves_out_is_no_time():
    told = np.array(
        [us_of("2025-03-30T01:59"), us_of("2025-03-30T02:30"), us_of("2025-03-30T03:00")]
    )
    _, unknown, never = follow(told)
    assert never.tolist() == [False, True, False] and not unknown.any()


def test_a_stopwatch_that_is_started_again_is_noticed():
    watch = Stopwatch()
    assert not watch.follow(np.array([0, 100, 90, 5000]) * 1000)[1].any()
    assert watch.follow(np.array([6000, 0, 100]) * 1000)[1].tolist() == [False, True, True]
    assert watch.follow(np.array([9000]) * 1000)[1].all()
    late = Stopwatch()
    assert not late.follow(np.array([10, 11, 30, 28, 31]) * SECOND)[1].any()
    assert late.follow(np.array([20]) * SECOND)[1].all()


@given(
    register=st.sampled_from(REGISTERS_US),
    start=st.floats(0, 0.99),
    steps=st.lists(st.floats(0.02, 0.04), min_size=30, max_size=120),
    late=st.booleans(),
    cuts=st.lists(st.integers(0, 120), max_size=3).map(sorted),
)
@settings(max_examples=200)
def test_a_stopwatch_counts_on_over_the_wraps_of_its_register(register, start, steps, late, cuts):
    true = ((start / 2 + np.cumsum([0.0, *steps])) * register).astype(np.int64)
    if late:  # rows that changed places, also over a wrap
        at = np.arange(30, len(true), 7)
        step = np.minimum(true[at] - true[at - 1], RESTART_US)
        true[at - 1], true[at] = true[at - 1] + step, true[at - 1]
    watch = Stopwatch()
    told, again = zip(*map(watch.follow, np.split(true % register, cuts)), strict=True)
    assert np.concatenate(told).tolist() == true.tolist()
    assert not np.concatenate(again).any()


@pytest.mark.parametrize("last", [30.0, 60.0, 63.2, 70.0])
def test_a_recording_that_ends_before_its_register_is_full_is_no_wrap(last):
    told, again = Stopwatch().follow(np.arange(0, last * SECOND, SECOND).astype(np.int64))
    assert not again.any()
    watch = Stopwatch()
    told, again = watch.follow((np.r_[0:last, 0:20] * SECOND).astype(np.int64))
    assert again.sum() == 20 and told.max() < last * SECOND and watch.register == 0


TODAY = day_of("2025-06-10")


@pytest.mark.parametrize(
    ("rows", "known", "stray"),
    [
        ({TODAY: 3600, TODAY - 4000: 1}, [], {TODAY - 4000}),
        ({TODAY: 3600, TODAY + 1: 40}, [], set()),
        ({TODAY: 3600, TODAY - 5: 1}, [], set()),
        ({TODAY: 3600, TODAY - 200: 3600}, [], set()),
        ({d: 900 for d in range(TODAY - 300, TODAY - 90)} | {TODAY: 700}, [], set()),
        ({day_of("2000-01-01"): 5000, TODAY: 900}, [], {day_of("2000-01-01")}),
        ({day_of("1999-08-22"): 800, TODAY: 900}, [], {day_of("1999-08-22")}),
        ({day_of("2000-01-01"): 5000}, [], set()),
        ({day_of("2000-01-01"): 5000}, [TODAY], {day_of("2000-01-01")}),
        ({TODAY - 7168: 5000, TODAY: 900}, [], {TODAY - 7168}),
        ({TODAY - 7168: 5000}, [TODAY - 1], {TODAY - 7168}),
        ({TODAY: 3600, TODAY - 200: 5}, [TODAY - 205], set()),
        ({TODAY: 2, TODAY - 200: 1}, [], set()),
        ({}, [], set()),
    ],
)  # fmt: skip
def test_days_of_a_clock_that_was_wrong(rows, known, stray):
    assert wrong_days(rows, known) == stray
