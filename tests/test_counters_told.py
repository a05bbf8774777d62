"""Resets of counters and counters that ran backwards are counted by validate and told."""

import pytest

from amad.telemetry import profile as profiles
from amad.telemetry.files import write_json, write_parquet
from amad.telemetry.health import fleet_health
from amad.telemetry.profile import profile
from amad.telemetry.schemas import PROFILE
from tests.ingest_kit import Yard, at, raw_fleet

DAY = 86_400
CHANNELS = [
    {"name": "speed", "label": "Trip", "kind": "counter", "range": [0, 1e6]},
    {"name": "level"},
]


def told(yard: Yard, days: dict[str, list[list[float]]]):
    """Health and profile of vehicles whose counter has these values on each day, one per second."""
    for vehicle, of_vehicle in days.items():
        lines = [
            f"{vehicle},{at(DAY * day + second)},{value},1"
            for day, values in enumerate(of_vehicle)
            for second, value in enumerate(values)
        ]
        yard.csv(f"{vehicle}.csv", lines)
    fleet = raw_fleet(channels=CHANNELS)
    found, lake = yard.ingest(fleet)
    folder, table = yard.settings.fleet_dir(fleet.name), profile(lake, fleet)
    write_json(folder / "ingest.json", found.content())
    write_parquet(table, folder / "profile.parquet", PROFILE)
    return fleet_health(fleet, yard.settings), table.to_pylist()


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_resets_and_decreases_are_counted_whatever_the_batches(yard: Yard, batch, monkeypatch):
    monkeypatch.setattr(profiles, "BATCH_ROWS", batch)
    values = [100, 110, 120, 2_000_000, 3, 3, 13, 23, 21, 31, 41, 1, 11]
    _, rows = told(yard, {"a-1": [values]})
    assert [(r["resets"], r["decreases"]) for r in rows] == [(2, 1), (None, None)]


def test_a_reset_is_told_as_an_event_and_is_no_trouble(yard: Yard):
    health, _ = told(yard, {"a-1": [[50, 60, 70, 1, 11]], "a-2": [[5, 6, 7]]})
    assert health.troubles == []
    assert health.events == ["Trip was reset on a-1 (1 time)"]


def test_a_unit_that_was_replaced_overnight_is_a_reset(yard: Yard):
    health, rows = told(yard, {"a-1": [[9000, 9010], [9020, 9030], [400, 410], [420, 430]]})
    assert [r["resets"] for r in rows if r["channel"] == "speed"] == [0, 0, 0, 0]
    assert health.events == ["Trip was reset on a-1 (1 time)"] and health.troubles == []


def test_a_counter_that_ran_backwards_is_a_trouble_with_its_vehicles(yard: Yard):
    health, _ = told(yard, {"a-1": [[50, 60], [70, 65, 61]], "a-2": [[90, 80, 90], [100, 110]]})
    (found,) = health.troubles
    assert (found.kind, found.subject, found.id) == ("backwards", "Trip", "backwards: speed")
    assert found.since.isoformat() == "2026-01-05" and health.events == []
    assert found.text == "ran backwards, which no counter can, on a-1 (2 times), a-2 (1 time)"
