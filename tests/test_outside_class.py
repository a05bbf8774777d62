"""Values of a channel that the vehicle's class lacks are null, and never in silence."""

import pytest

from amad.telemetry.health import fleet_health
from tests.ingest_kit import DAY, at, content_of, line, raw_fleet, said

WITH_RPM = "vehicle,timestamp,speed,level,EngineSpeed"
CHANNELS = [
    {"name": "speed"},
    {"name": "level"},
    {"name": "EngineSpeed", "classes": ["car"], "nulls": ["none", 65535, 0.1]},
]


def fleet_of(van: list[str], **changes):
    """Class van has no EngineSpeed. van: the patterns of its vehicles."""
    classes = [{"name": "van", "vehicles": van}, {"name": "car", "vehicles": ["*"]}]
    return raw_fleet(channels=CHANNELS, vehicle_classes=classes, **changes)


def rows(vehicle: str, *cells: object, day: int = 0) -> list[str]:
    return [f"{line(vehicle, day * DAY + n)},{cell}" for n, cell in enumerate(cells)]


def found(yard, fleet, rebuild=False):
    """What ingest counts of such values, what it prints of them, and what is told of the health."""
    counts, _ = yard.ingest(fleet, rebuild=rebuild)
    counts.write(yard.settings.fleet_dir(fleet.name))
    told = [text for text in said(yard, counts).splitlines() if "EngineSpeed: " in text]
    troubles = fleet_health(fleet, yard.settings).by_kind
    health = [str(t) for kind, own in troubles.items() if kind.name == "outside_class" for t in own]
    return [(i.vehicle, i.channel, i.values) for i in counts.outside_class], told, health


def test_real_values_that_a_wrong_class_takes_away_are_told_until_it_is_mended(yard):
    """A pattern that matches too much, and cells that are no values."""
    cells = (800, "", "none", 65535, 810.5, 0.1, 790)
    yard.csv(
        "1.csv", [*rows("van-03", *cells), *rows("van-04", 0, 0), *rows("car-1", 700, 9)], WITH_RPM
    )
    for _ in range(2):  # also on a night on which nothing is new
        counted, told, health = found(yard, fleet_of(["van-*"]))
        assert counted == [("van-03", "EngineSpeed", 3)]
        assert told == ["  van-03, EngineSpeed: 3 values until 2026-01-05"]
        assert health == [
            "van-03 has values of channels that its class lacks, read as null: "
            "EngineSpeed (3 values)"
        ]
    mended = fleet_of(["van-04"])
    assert found(yard, mended) == ([], [], [])
    kept = content_of(yard.ingest(mended)[1])["van-03"]
    assert [row["EngineSpeed"] for row in kept] == [800, None, None, 65535, 810.5, 0.1, 790]


@pytest.mark.parametrize("by", ["file", "signal"])
def test_values_are_counted_wherever_the_vehicle_is_told(yard, by):
    """The vehicle in the path, each file of one value; and a signal in each row."""
    source = {"vehicle": {"take": "path", "pattern": "(?P<vehicle>van-[0-9]+)"}}
    if by == "file":
        for n, cell in enumerate((0, 7)):
            yard.csv(f"van-03_{n}.csv", rows("x", cell, cell, day=n), WITH_RPM)
    else:
        source = {"format": "csv_long", "vehicle": {"take": "column"}}
        cells = [(n, "EngineSpeed", n // 2 * 7) for n in range(4)] + [(9, "speed", 1)]
        lines = [f"van-03,{at(n)},{name},{value}" for n, name, value in cells]
        yard.csv("1.csv", lines, "vehicle,timestamp,signal,value")
    counted, _, health = found(yard, fleet_of(["van-*"], source=source))
    assert counted == [("van-03", "EngineSpeed", 4)] and len(health) == 1


def test_rows_that_are_refused_or_delivered_twice_do_not_count(yard):
    lines = [*rows("van-03", 1, 2), f"van-03,{at(9)},word,2,3"]
    for name in ("1.csv", "2.csv"):
        yard.csv(name, lines, WITH_RPM)
    assert found(yard, fleet_of(["van-*"]))[0] == [("van-03", "EngineSpeed", 2)]


def test_a_channel_that_a_class_has_no_more_is_told_for_seven_dates(yard):
    """Who takes it from the class, since it vanished, is not told of its older values for ever."""
    yard.csv("0.csv", rows("van-03", 1, 2), WITH_RPM)
    for day in range(1, 8):
        yard.csv(f"{day}.csv", rows("van-03", "", "", day=day), WITH_RPM)
        counted, _, health = found(yard, fleet_of(["van-*"]))
        assert counted == [("van-03", "EngineSpeed", 2)] and len(health) == (day < 7), day
