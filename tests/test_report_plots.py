"""How the report draws lines and writes numbers, shares and spans of time."""

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_kit import (
    FIRST_DAY,
    SECOND,
    an_incident,
    day_start,
    stage_of,
    write_data,
    write_fleet,
    write_profile,
    write_run,
)

from amad.config import number_text as text
from amad.config.fleet import Channel
from amad.report import build_report
from amad.report.days_before import daily_figures, days_before, read_daily
from amad.report.fleet_overview import overview
from amad.report.incident_plot import _fact, _ticks
from amad.report.scoring_run import Cell, Coverage, Incident, ScoringRun
from amad.report.svg_plots import BUCKETS, HEIGHT, WIDTH, Frame, Scale, line
from amad.scores.partitions import fields_of
from amad.telemetry.lake import Lake


@given(
    rows=st.integers(1, 4000),
    gaps=st.lists(st.integers(1, 3999), max_size=5, unique=True),
    seed=st.integers(0, 99),
)
def test_a_line_breaks_at_each_gap_and_loses_no_peak(rows: int, gaps: list[int], seed: int):
    rng = np.random.default_rng(seed)
    step = np.full(rows, SECOND)
    here = [g for g in gaps if g < rows]
    step[here] = 100 * SECOND
    us_T, value_T = np.cumsum(step), rng.normal(size=rows)
    frame = Frame(start=int(us_T[0]), end=int(us_T[-1]) + 1)
    scale = Scale.over(value_T)
    path = line(us_T, value_T, frame, scale, 10 * SECOND)
    assert path.count("M") == len(here) + 1
    at = [float(y) for y in re.findall(r" (-?[\d.]+)", path)]
    assert min(at) == scale.y(float(value_T.max())) and max(at) == scale.y(float(value_T.min()))
    assert len(at) <= 4 * (BUCKETS + len(here) + 1)


@given(
    low=st.floats(-1e5, 1e5),
    span=st.floats(1e-3, 1e5),
    band=st.floats(0, 1e4),
    seed=st.integers(0, 9),
)
def test_a_scale_holds_its_values_and_has_ticks_in_order(low, span, band, seed):
    value_T = low + span * np.random.default_rng(seed).random(50)
    scale = Scale.over(value_T, (low - band, low + band))
    assert all(0 <= scale.y(float(v)) <= HEIGHT for v in value_T)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 5 and all(0 <= t.at <= HEIGHT for t in ticks)
    assert 2 <= len(scale.ticks(2)) <= 4, "of the score, whose plot is low"
    assert [t.at for t in ticks] == sorted((t.at for t in ticks), reverse=True)
    assert len({t.text for t in ticks}) == len(ticks)


def test_codes_have_the_words_of_the_fleet_file():
    codes = {"auto": 0, "eco": 1, "automatic": 0, "sport": 2}
    mode = Channel(name="mode", kind="categorical", codes=codes)
    assert _fact(np.array([1.0, 0, 1, 7]), None, mode) == "auto, eco, 7"
    assert _fact(np.array([2.0, 2]), None, mode) == "constant at sport"
    ticks = _ticks(Scale.over(np.array([0.0, 1.0])), mode)
    assert [tick.text for tick in ticks] == ["auto", "eco"] and ticks[0].at > ticks[1].at
    many = mode.model_copy(update={"codes": {f"state {n}": n for n in range(30)}})
    ticks = _ticks(Scale.over(np.array([0.0, 29.0])), many)
    assert 2 <= len(ticks) <= 5, "30 words would lie on each other"
    gear = Channel(name="gear", kind="categorical")
    assert _fact(np.array([1.0, 6, 2]), None, gear) == "1 to 6"


def test_a_constant_line_is_in_the_middle():
    for value in (0.0, -3.0, 1e6):
        assert Scale.over(np.full(9, value)).y(value) == HEIGHT / 2


@given(start=st.integers(0, 2 * 10**15), span=st.integers(10 * SECOND, 3 * 10**13))
def test_times_are_round_few_and_inside(start: int, span: int):
    frame = Frame(start=start, end=start + span)
    ticks = frame.ticks()
    assert 1 <= len(ticks) <= 7 and all(0 <= t.at <= 100 for t in ticks)
    assert [t.at for t in ticks] == sorted(t.at for t in ticks)
    left, width = frame.block(start - span, start + 2 * span)
    assert (left, width) == (0.0, WIDTH)


@pytest.mark.parametrize(
    ("us", "told"),
    [
        (45 * SECOND, "45 s"), (60 * SECOND, "1 min"), (3723 * SECOND, "1 h 2 min"),
        (86400 * SECOND, "1 d"), (90061 * SECOND, "1 d 1 h"), (86460 * SECOND, "1 d"),
        (SECOND // 4, "0.25 s"),
    ],
)  # fmt: skip
def test_spans_are_told_in_two_units(us: int, told: str):
    assert text.span(us) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"), (-0.0, "0"), (12.345, "12.3"), (0.001234, "0.00123"), (1234567.0, "1,234,567"),
        (-40.0, "-40"), (100.0, "100"), (None, "–"), (float("nan"), "–"), (5e8, "5.00e+08"),
    ],
)  # fmt: skip
def test_numbers_are_readable(value, told: str):
    assert text.number(value) == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(0, "0 %"), (1, "100 %"), (0.0004, "<0.1 %"), (0.9996, ">99.9 %"), (0.034, "3.4 %"),
     (0.62, "62 %"), (0.998, "99.8 %")],
)  # fmt: skip
def test_shares_never_hide_something_as_nothing(value, told: str):
    assert text.share(value) == told


def test_the_days_before_show_a_slow_change_of_the_channel_blamed_most(home: Path):
    fleet = write_fleet(home)
    settings = write_data(fleet, home, ["bev-01"], days=4)
    write_run(fleet, settings, {3: [an_incident(fleet, "bev-01", 3, 100, 40)]}, days=(3,))
    folder = settings.fleet_dir(fleet.name)
    assert read_daily(folder) is None, "nothing was validated yet"
    write_profile(fleet, settings)
    incident = ScoringRun.last(stage_of(fleet, settings)).incidents()[0]
    daily = daily_figures(read_daily(folder), [incident])
    lake = Lake(folder / "lake", fleet)
    ((key, days),) = daily.items()
    assert key == ("bev-01", "Vehicle.Coolant") and len(days) == 4
    for day, mean, std in days:
        value_T = lake.read_day("bev-01", day)["Vehicle.Coolant"].to_numpy()
        assert mean == pytest.approx(value_T.mean()) and std == pytest.approx(value_T.std())
    drift = {key: [(day, 88.0 - n, 0.5) for n, (day, _, _) in enumerate(days)]}
    found = days_before(incident, fleet, None, drift)
    assert found is not None
    (track,) = found.tracks
    assert track.fact == "daily mean 86 to 88 °C before, 85 °C on 12 Jan"
    tops = [top for _, top, _, _ in track.bars]
    assert tops == sorted(tops) and len(set(tops)) == 4, "it falls"
    left, width = found.block
    assert left < track.bars[-1][0] < left + width and found.ticks[-1].text == "12 Jan"
    assert days_before(incident, fleet, None, {key: drift[key][2:]}) is None, "too few days"
    page = build_report(stage_of(fleet, settings)).path.read_text(encoding="utf-8")
    assert page.count("The days before</h4>") == 1 and page.count('<rect class="day"') == 4


def test_the_spread_of_a_day_stays_within_what_can_be(home: Path):
    fleet = write_fleet(home)
    slow = ("Vehicle.Speed",)  # from 0 to 250 km/h
    incident = an_incident(fleet, "bev-01", 3, 100, 40, channels=slow, shares=(0.9,))
    days = [(FIRST_DAY + timedelta(days=n), 2.0, 6.0) for n in range(4)]
    found = days_before(incident, fleet, None, {("bev-01", "Vehicle.Speed"): days})
    assert found is not None
    (track,) = found.tracks
    zero = next(tick.at for tick in track.ticks if tick.text == "0")
    assert all(top + height == pytest.approx(zero, abs=0.2) for _, top, _, height in track.bars)
    assert track.fact == "daily mean 2 km/h before, 2 km/h on 12 Jan"


def test_an_hour_after_the_end_of_an_incident_is_quiet(home: Path):
    fleet = write_fleet(home)
    hour = 3600
    cells = {
        day_start(0) + n * hour * SECOND: Cell(rows=hour, scored=hour, alarms=n == 0)
        for n in range(2)
    }
    of = Incident(**fields_of(an_incident(fleet, "bev-01", 0, hour - 50, 50)))
    (row,) = overview([of], {"bev-01": Coverage(cells=cells)}, hour * SECOND).rows
    assert [box.state for box in row.boxes] == ["high", "clean"]
    assert row.boxes[0].title.endswith(": high, 1 incident, 1 alarm")
