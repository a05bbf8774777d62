"""One measured value a row: signals to channels, others counted, none at all refused."""

import pytest
from ingest_kit import at, raw_fleet, seconds_of

HEADER = "vehicle,timestamp,signal,value"


def long_fleet(**changes):
    channels = [
        {"name": "speed", "column": "OBD.Speed [km/h]"}, {"name": "level", "column": "FuelLevel"},
    ]  # fmt: skip
    source = {"format": "csv_long"} | changes.pop("source", {})
    return raw_fleet(channels=channels, source=source, **changes)


def log(*rows):
    return [f"a-1,{at(seconds)},{signal},{value}" for seconds, signal, value in rows]


def test_each_row_fills_the_channel_of_its_signal(yard):
    rows = log((0, "FuelLevel", "7"), (1, "obd.speed [km/h]", "50"), (2, "FuelLevel", "-"),
               (3, "obd.speed", "60"), (4, "Fuellevel", "full"))  # fmt: skip
    yard.csv("1.csv", [*rows[:3], "", rows[4]], header=HEADER)
    counts, lake = yard.ingest(long_fleet())
    table = lake.read("a-1")
    assert seconds_of(table) == [0, 1, 2] and counts.rows_rejected == 1
    assert table["level"].to_pylist() == [7, None, None]
    assert table["speed"].to_pylist() == [None, 50, None]
    refused = yard.rejected(long_fleet())[0]
    assert refused["row"] == 4 and "level" in refused["reason"]


def test_rows_of_one_time_come_late_together_or_not_at_all(yard):
    signals = ("FuelLevel", "OBD.Speed [km/h]")
    by_time = [(n, signal, n) for n in (0, 3, 1, 2, 4) for signal in signals]
    yard.csv("1.csv", log(*by_time), header=HEADER)
    _, lake = yard.ingest(long_fleet())
    assert lake.day_table()["late"].to_pylist() == [2] and lake.rows() == 5


def test_one_signal_after_the_other_is_not_late(yard):
    signals = ("FuelLevel", "OBD.Speed [km/h]")
    yard.csv("1.csv", log(*((n, s, n) for s in signals for n in range(50))), header=HEADER)
    _, lake = yard.ingest(long_fleet())
    assert lake.day_table()["late"].to_pylist() == [0] and lake.rows() == 50


def test_signals_of_no_channel_are_ignored_and_not_refused(yard):
    rows = log(*((n, "Latitude" if n % 2 else "FuelLevel", n) for n in range(10)))
    yard.csv("1.csv", [*rows, f"a-1,{at(10)},,5"], header=HEADER)
    counts, lake = yard.ingest(long_fleet())
    assert lake.read("a-1")["level"].to_pylist() == [0, 2, 4, 6, 8]
    assert counts.rows_in == 6 and counts.rows_rejected == 1
    assert yard.rejected(long_fleet())[0]["row"] == 11
    assert "signal's name is missing" in yard.rejected(long_fleet())[0]["reason"]


def test_a_file_with_none_of_the_signals_is_refused_with_those_it_has(yard):
    yard.csv("1.csv", log((0, "FuelLevel", 1)), header=HEADER)
    yard.csv("2.csv", log((1, "Latitude", 48.7), (2, "Longitude", 9.1)), header=HEADER)
    counts, lake = yard.ingest(long_fleet())
    assert lake.rows() == 1
    reason = counts.files_refused[0].reason
    assert counts.files_refused[0].path == "2.csv"
    assert "'Latitude', 'Longitude'" in reason and "'signal'" in reason


def test_two_signals_of_one_channel_are_told(yard):
    rows = log((0, "FuelLevel", 1), (1, "FuelLevel [l]", 2), (2, "FuelLevel (%)", 3))
    yard.csv("1.csv", rows, header=HEADER)
    yard.csv("2.csv", log((5, "FuelLevel", 1)), header=HEADER)
    counts, _ = yard.ingest(long_fleet())
    assert "ambiguous signal" in counts.files_refused[0].reason


def test_columns_by_other_names(yard):
    fleet = long_fleet(source={"long": {"signal": "Name", "value": "Reading"}, "delimiter": ";"})
    yard.csv("1.csv", [f"a-1;FuelLevel;{at(0)};3,5"], header="vehicle;Name;timestamp;Reading")
    counts, _ = yard.ingest(fleet.model_copy(
        update={"source": fleet.source.model_copy(update={"decimal": ","})}
    ))  # fmt: skip
    assert counts.rows_lake == 1


def test_a_long_file_needs_times():
    with pytest.raises(ValueError, match="csv_long needs a time in each row"):
        long_fleet(source={"timestamp": {"take": "index", "start": "2026-01-01"}})


def test_a_signal_that_was_renamed_is_found_under_both_names(yard):
    channels = [{"name": "speed", "column": ["OBD.Speed", "v"]}, {"name": "level"}]
    fleet = raw_fleet(channels=channels, source={"format": "csv_long"})
    yard.csv("1.csv", log((0, "obd speed", 5), (0, "OBD.Speed", 6), (1, "level", 1)), header=HEADER)
    yard.csv("2.csv", log((2, "V", 7), (2, "level", 2)), header=HEADER)
    yard.csv("3.csv", log((3, "v", 7), (3, "OBD.Speed", 8)), header=HEADER)
    counts, lake = yard.ingest(fleet)
    assert [v for v in lake.read("a-1")["speed"].to_pylist() if v] == [6, 7]
    (refused,) = counts.files_refused
    assert refused.path == "3.csv" and "both match the channel speed" in refused.reason
