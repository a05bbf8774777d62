"""Units that files tell: in the header, in a line below it, and whether they are the channel's."""

import pytest
from draft_kit import ROWS, Field, stamp, wave
from ingest_kit import Yard, at, raw_fleet

from amad.reading.units import are_different


@pytest.mark.parametrize(
    ("unit", "other", "different"),
    [
        ("km/h", "mph", True),
        ("[km/h]", "kph", False),
        ("degC", "celsius", False),
        ("°F", "celsius", True),
        ("furlongs", "km/h", False),  # unknown, so nothing is known of it
        ("", "km/h", False),
    ],
)
def test_known_units_are_told_apart(unit, other, different):
    assert are_different(unit, other) is different


@pytest.mark.parametrize(
    ("header", "below", "why"),
    [
        ("vehicle,timestamp,speed,level", ["x,,mph,%"], "the file tells 'mph'"),
        ("vehicle,timestamp,speed [mph],level", [], "the header 'speed [mph]' tells 'mph'"),
    ],
)
def test_a_file_in_another_unit_is_refused(tmp_path, header, below, why):
    channels = [{"name": "speed", "unit": "km/h", "range": [0, 200]}, {"name": "level"}]
    fleet = raw_fleet(channels=channels)
    yard = Yard(tmp_path)
    rows = [f"a-1,{at(n)},1,2" for n in range(20)]
    later = [f"a-1,{at(n)},1,2" for n in range(20, 40)]
    yard.csv("a.csv", ["x,,kph,%", *rows])
    yard.csv("b.csv", [*below, *later], header=header)
    counts, _ = yard.ingest(fleet)
    (refused,) = counts.files_refused
    assert refused.path == "b.csv" and counts.rows_lake == 20
    assert why in refused.reason and "the channel speed is in 'km/h'" in refused.reason


def test_a_column_that_the_fleet_file_names_with_its_unit_is_read(tmp_path):
    channels = [{"name": "speed", "unit": "km/h", "column": "speed [mph]"}]
    yard = Yard(tmp_path)
    yard.csv("a.csv", [f"a-1,{at(n)},1" for n in range(20)], header="vehicle,timestamp,speed [mph]")
    assert yard.ingest(raw_fleet(channels=channels))[0].rows_lake == 20


def test_a_draft_takes_units_from_the_line_below_the_header(tmp_path):
    field = Field(tmp_path)
    for day, unit in enumerate(("km/h", "km/h", "mph")):
        rows = [f"{stamp(86_400 * day + n)},{wave(n)},{n},{n}" for n in range(ROWS)]
        field.write(f"{day}.csv", ["time,speed,level,count", f",[{unit}],%,float", *rows])
    fleet, told = field.draft()
    assert [channel.unit for channel in fleet.channels] == ["km/h", "percent", ""]
    assert "refused: 2.csv: another unit: the file tells '[mph]'" in told
    assert field.ingest(fleet).rows_lake == 2 * ROWS


def test_the_line_below_the_header_tells_the_unit_of_the_elapsed_time(tmp_path):
    field = Field(tmp_path)
    rows = [f"{n * 500},{wave(n)}" for n in range(ROWS)]
    field.write("2026-03-04.csv", ["Time,speed", "ms,km/h", *rows])
    fleet, _ = field.draft()
    assert (fleet.source.timestamp.unit, fleet.period_seconds) == ("ms", 0.5)
