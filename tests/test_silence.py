"""Silence is judged by a vehicle's own habit, against the fleet's newest date, and no clock."""

from datetime import date, timedelta
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amad.telemetry.schemas import PROFILE
from amad.telemetry.silence import silent_vehicles, vanished_channels

MONDAY = date(2026, 1, 5)


def on(*numbers):
    return [MONDAY + timedelta(days=n) for n in numbers]


def days(**vehicles):
    return [(vehicle, day) for vehicle, dates in vehicles.items() for day in dates]


def silent(newest=None, retired=(), **vehicles):
    return {s.vehicle: s for s in silent_vehicles(days(**vehicles), newest, retired)}


def test_a_vehicle_that_reports_daily_and_stops_is_silent_since_its_last_date():
    found = silent(busy=on(*range(20)), quiet=on(*range(10)))
    assert set(found) == {"quiet"}
    quiet = found["quiet"]
    assert (quiet.last, quiet.days, quiet.usual) == (MONDAY + timedelta(days=9), 10, 1)


@pytest.mark.parametrize(("away", "told"), [(0, False), (1, False), (2, False), (3, True)])
def test_a_daily_vehicle_may_miss_a_day(away, told):
    found = silent(busy=on(*range(20)), other=on(*range(20 - away)))
    assert ("other" in found) == told


def test_a_vehicle_of_mondays_is_not_silent_on_thursday_but_after_two_mondays():
    mondays = on(0, 7, 14, 21)
    for newest, told in ((24, False), (28, False), (34, False), (36, True)):
        found = silent(busy=on(*range(newest + 1)), weekly=mondays)
        assert ("weekly" in found) == told, newest


def test_weekends_are_a_habit():
    weekdays = [n for n in range(40) if n % 7 < 5]
    assert not silent(busy=on(*range(42)), office=on(*weekdays)), "a Sunday"
    assert "office" in silent(busy=on(*range(46)), office=on(*weekdays)), "no word on Wednesday"


def test_one_long_absence_excuses_no_other():
    dates = on(*range(30), *range(60, 90))
    found = silent(busy=on(*range(95)), workshop=dates)
    assert found["workshop"].usual == 1


def test_a_new_habit_replaces_an_old_one():
    daily, weekly = list(range(200)), [200 + 7 * n for n in range(60)]
    end = weekly[-1] + 4
    assert not silent(busy=on(*range(end + 1)), changed=on(*daily, *weekly))


def test_a_vehicle_with_one_date_is_held_against_the_fleet():
    assert set(silent(a=on(*range(10)), b=on(*range(10)), once=on(2))) == {"once"}
    assert not silent(a=on(*range(10)), once=on(8))
    assert not silent(a=on(0, 14, 28), once=on(10)), "a fleet that reports every two weeks"
    assert not silent(a=on(0), b=on(9)), "nobody has a habit"


def test_a_whole_fleet_is_held_against_the_date_of_the_job():
    daily = on(*range(10))
    assert not silent(a=daily, b=daily)
    assert set(silent(newest=MONDAY + timedelta(days=30), a=daily, b=daily)) == {"a", "b"}


def test_a_retired_vehicle_is_not_silent():
    vehicles = {"busy": on(*range(20)), "old-1": on(*range(3)), "new-1": on(*range(3))}
    assert set(silent(retired=["old-*"], **vehicles)) == {"new-1"}


def test_the_longest_silence_comes_first():
    found = silent_vehicles(days(busy=on(*range(30)), a=on(*range(20)), b=on(*range(9))))
    assert [s.vehicle for s in found] == ["b", "a"]
    assert silent_vehicles([]) == []


@given(st.lists(st.integers(0, 200), min_size=2, max_size=40, unique=True), st.integers(0, 30))
def test_nobody_is_silent_within_the_longest_gap_of_a_short_history(numbers, more):
    numbers = sorted(numbers)
    longest = max(b - a for a, b in pairwise(numbers))
    away = min(more, longest)
    newest = MONDAY + timedelta(days=numbers[-1] + away)
    found = silent(newest=newest, v=on(*numbers))
    assert not found or len(numbers) > 20, "only a long history tells a gap that is unusual"


def profile(**channels):
    """channel -> a letter per date: x where it has values, . where it has none."""
    rows = [
        {
            "vehicle": "v", "date": MONDAY + timedelta(days=n), "channel": name, "expected": True,
            "rows": 100, "min": 1.0 if mark == "x" else None,
        }
        for name, marks in channels.items()
        for n, mark in enumerate(marks)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PROFILE)


def test_a_channel_that_was_always_there_vanishes_at_once():
    (found,) = vanished_channels(profile(speed="xxxxx", oil="xxx.."))
    assert (found.vehicle, found.channel, found.days) == ("v", "oil", 2)
    assert (found.last, found.since) == (MONDAY + timedelta(2), MONDAY + timedelta(3))
    assert len(vanished_channels(profile(oil="x."))) == 1


def test_a_channel_that_comes_and_goes_has_a_habit_too():
    assert not vanished_channels(profile(charge="x..x..x..")), "it charges every third day"
    assert vanished_channels(profile(charge="x..x..x..."))


def test_a_channel_that_never_was_or_is_back_or_of_another_class_has_not_vanished():
    assert not vanished_channels(profile(never="....", back="x..x"))
    table = profile(oil="xx..")
    lacking = pa.array([False] * table.num_rows)
    at = table.schema.get_field_index("expected")
    assert not vanished_channels(table.set_column(at, PROFILE.field("expected"), lacking))
    assert not vanished_channels(table, retired=["v*"])
