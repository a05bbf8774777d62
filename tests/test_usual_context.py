"""Incidents that begin where the vehicles seldom are, told beside how seldom that is."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from report_kit import FIRST_DAY, an_incident, write_data, write_fleet, write_run

from amad.config import Channel
from amad.notify.published import Published, Window, read_window
from amad.report import usual_context as usual
from amad.report.usual_context import ContextSamples, gathered, usual_context
from amad.telemetry.lake import Lake

HEAT = Channel(name="heat", label="Heat", unit="°C", context=True)
GEAR = Channel(name="gear", label="Gear", kind="categorical", context=True)
VANS = ["van-1", "van-2"]


def test_the_place_where_they_gather_is_found_with_both_counts():
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.uniform(0, 10, 30), rng.uniform(60, 100, 970)])
    found = gathered(HEAT, np.array([3.0, 4, 5, 6, 7, 8, 4, 5, 70, 90]), rows)
    assert found is not None
    assert (found.inside, found.incidents) == (8, 10) and found.low <= 3 and 8 <= found.high < 60
    assert found.rows == pytest.approx(0.03, abs=0.005)
    assert found.sentence.startswith("8 of the 10 incidents of 14 days began at Heat 0.0")
    assert found.sentence.endswith("where 3.1 % of the rows are")


def test_a_code_is_a_place():
    rows = np.repeat([1.0, 2.0, 3.0], [980, 15, 5])
    found = gathered(GEAR, np.array([2.0, 2.0, 2.0, 2.0, 1.0]), rows)
    assert found is not None and found.where == "Gear 2" and found.inside == 4
    named = GEAR.model_copy(update={"codes": {"park": 1, "drive": 2}})
    assert replace(found, channel=named).where == "Gear drive"


def test_by_chance_a_place_is_hardly_ever_told():
    """Incidents drawn from the rows themselves."""
    rng = np.random.default_rng(1)
    rows = rng.normal(60, 20, 5000)
    told = [gathered(HEAT, rng.choice(rows, n), rows) for n in (5, 10, 30) * 100]
    assert sum(place is not None for place in told) / len(told) < 0.05


@pytest.mark.parametrize("rows", [np.full(50, 7.0), np.empty(0)])
def test_where_nothing_moves_or_no_row_is_known_nothing_breaks(rows):
    assert gathered(HEAT, np.full(6, 7.0), rows) is None


def test_the_rows_are_those_of_the_window_and_each_date_is_read_once(tmp_path, monkeypatch):
    fleet = write_fleet(tmp_path)
    settings = write_data(fleet, tmp_path, VANS)
    marked = [c.model_copy(update={"context": c.kind == "continuous"}) for c in fleet.channels]
    fleet = fleet.model_copy(update={"channels": marked})
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    names = ("Vehicle.Coolant", "Vehicle.Speed")
    items = [
        an_incident(fleet, "van-1", n % 2, 60 * n, 30, context_channels=names,
                    context_values=(20.0, speed))
        for n, speed in enumerate((22.0, 30.0, 45.0, 60.0, 80.0, 98.0))
    ]  # fmt: skip
    days = [FIRST_DAY, FIRST_DAY + timedelta(days=1)]
    window = Window(
        dates=dict.fromkeys(days, frozenset(VANS)),
        versions=dict.fromkeys(days, "1"),
        incidents={
            item.incident_id: Published(
                incident=item, last=days[-1], ongoing=False, model_version="1"
            )
            for item in items
        },
    )
    samples = ContextSamples(lake=lake)
    found = usual_context(window, fleet, samples)
    assert found is not None
    (place,) = found.ranges
    assert place.sentence == (
        "6 of the 6 incidents of 14 days began at Coolant temperature 20 to 27 °C, where <0.1 % of "
        "the rows are"
    )
    assert found.of(items[0]) == [f"Such a moment is rare: {place.sentence}."]
    assert found.of(replace(items[0], context_values=(88.0, 60.0))) == []
    assert found.quiet == [
        "Speed: incidents begin where the rows are.",
        "Battery voltage: 0 incidents of 14 days, too few to say.",
    ]
    monkeypatch.setattr(Lake, "read_day", None)
    assert usual_context(window, fleet, samples) == found
    plain = fleet.model_copy(
        update={"channels": [c.model_copy(update={"context": False}) for c in marked]}
    )
    assert usual_context(window, plain, samples) is None


def test_values_of_failed_sensors_and_quarantined_days_are_not_among_the_rows(tmp_path):
    fleet = write_fleet(tmp_path)
    settings = write_data(fleet, tmp_path, VANS)
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    channels = [fleet.channel_by_name[name] for name in ("Vehicle.Coolant", "Vehicle.Speed")]

    def rows(**left_out) -> list[int]:
        write_run(fleet, settings, {}, **left_out)
        window = read_window(settings.runs_dir(fleet.name), "1")
        return [len(values) for values in ContextSamples(lake=lake).of(window, channels).values()]

    coolant, speed = rows()
    assert coolant == speed > 0
    assert rows(withheld={"van-1": ["Vehicle.Coolant"]}) == [coolant // 2, speed]
    assert rows(quarantined=(("van-1", 0), ("van-1", 1))) == [coolant // 2, speed // 2]


@pytest.mark.parametrize("cycle", [24, 60])
def test_a_cycle_of_the_rows_does_not_hide_most_of_them(tmp_path, monkeypatch, cycle):
    """Rows at equal distances would all meet the same moment of the cycle."""
    fleet = write_fleet(tmp_path)
    settings = write_data(fleet, tmp_path, VANS)
    channel = fleet.channel_by_name["Vehicle.Speed"]
    day = pa.table({channel.name: np.arange(3000.0) % cycle})
    monkeypatch.setattr(Lake, "read_day", lambda *args: day)
    monkeypatch.setattr(usual, "MOST_ROWS", 300)
    lake = Lake(settings.fleet_dir(fleet.name) / "lake", fleet)
    drawn = usual._read(lake, FIRST_DAY, ["van-1"], [channel])[channel.name]
    assert len(drawn) == 300 and len(np.unique(drawn)) > 0.9 * cycle
    again = usual._read(lake, FIRST_DAY, ["van-1"], [channel])[channel.name]
    assert np.array_equal(drawn, again)
