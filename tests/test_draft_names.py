"""Names that a draft meets: odd files, columns that look like ids and are none, a lone clock."""

import gzip
import os
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from draft_kit import ROWS, Field, log, stamp, wave

from amad.cli.drafting import write_draft
from amad.config import DataError, load_fleet
from amad.draft import sample


def test_a_unit_column_of_a_long_log_is_no_vehicle(field):
    rows = [
        f"{stamp(n)},{signal},{wave(n)},{unit}"
        for n in range(ROWS)
        for signal, unit in (("speed", "km/h"), ("rpm", "1/min"), ("level", "%"))
    ]
    field.write("a.csv", ["time,signal,value,unit", *rows])
    fleet, _ = field.draft()
    assert fleet.source.format == "csv_long" and fleet.source.vehicle.take == "constant"
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_time_of_day_without_a_date_tells_how_far_apart_the_rows_are(field):
    field.write("a.csv", log("%H:%M:%S", step=30))
    fleet, told = field.draft()
    assert fleet.source.timestamp.take == "index" and "no path tells the date" in told
    assert fleet.period_seconds == 30 and "rows are taken as 30 s apart" in told


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_epochs_under_a_name_that_says_nothing_of_time(field, unit):
    """A large counter that rises as epochs do not is none; nor is a large number that stands."""
    scale = {"s": 1, "ms": 1000, "us": 1_000_000}[unit]
    lines = [f"{(1_767_600_000 + 5 * n) * scale},{wave(n)},{1_700_000_000},{n * n * 10_000_000}"
             for n in range(ROWS)]  # fmt: skip
    field.write("a.csv", ["X,speed,serial,energy", *lines])
    fleet, told = field.draft()
    rule = fleet.source.timestamp
    assert (rule.column, rule.unit, fleet.period_seconds) == ("X", unit, 5)
    assert "guess: the numbers of 'X' run as times do" in told
    assert fleet.channel_names == ["speed", "serial", "energy"]


def test_nanoseconds_since_1970_as_text(field):
    lines = [f"{1_767_600_000_000_000_000 + n * 10**9},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", ["timestamp,speed", *lines])
    fleet, _ = field.draft()
    assert (fleet.source.timestamp.unit, fleet.period_seconds) == ("ns", 1)
    assert field.ingest(fleet).rows_lake == ROWS


def test_spaces_part_the_columns_where_nothing_else_does(field):
    field.write("drive1.txt", ["rpm load", *(f"{n} {wave(n)}" for n in range(ROWS))])
    fleet, _ = field.draft()
    assert fleet.source.delimiter == " " and fleet.channel_names == ["rpm", "load"]
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_name_that_is_no_text_and_an_empty_file_are_told_and_left_out(field):
    field.write("good.csv", log())
    field.write("none.csv", [])
    (field.raw / "none.csv").write_bytes(b"")
    with open(os.fsencode(field.raw) + b"/caf\xe9.csv", "w") as file:  # noqa: PTH123
        file.write("\n".join(log()) + "\n")
    fleet, told = field.draft()
    assert "none.csv" in told and "caf" in told
    assert field.ingest(fleet).vehicles == {"vans": ROWS}


def test_names_that_yaml_would_take_for_something_else(field):
    columns = {
        "yes": wave,
        "1e5": wave,
        "a: b": wave,
        "it's #1": wave,
        'say "hi"': wave,
        "on": wave,
    }
    lines = log(**columns)
    field.write("a.csv", lines)
    fleet, _ = field.draft()
    headers = {channel.header for channel in fleet.channels}
    assert {"yes", "a: b", "it's #1", "on"} <= headers
    assert field.ingest(fleet).rows_lake == ROWS


def test_several_recordings_of_each_vehicle_are_set_apart(field):
    for vehicle in ("v1", "v2"):
        for name in ("run1.csv", "run2.csv"):
            field.write(f"{vehicle}/{name}", ["rpm,load", *(f"{n},{wave(n)}" for n in range(ROWS))])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.gap_between_files
    assert field.ingest(fleet).vehicles == {"v1": 2 * ROWS, "v2": 2 * ROWS}


def test_a_vehicle_has_a_file_per_day(field):
    for vehicle in ("golf", "polo"):
        for day in (5, 6):
            field.write(f"{vehicle}_2026-01-0{day}.csv", log(start=datetime(2026, 1, day)))
    fleet, told = field.draft()
    assert field.ingest(fleet).vehicles == {"golf": 2 * ROWS, "polo": 2 * ROWS}
    assert "without its date" in told
    field.write("up_2026-01-07.csv", log(start=datetime(2026, 1, 7)))  # one that comes later
    assert field.ingest(fleet).vehicles["up"] == ROWS


def test_a_cut_file_counts_with_what_can_be_read(field):
    whole = gzip.compress("\n".join(log(rows=2000, noise=lambda n: hash(str(n)))).encode())
    (field.raw / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    fleet, told = field.draft()
    assert "breaks off" in told and field.ingest(fleet).rows_lake > 100


def test_parquet_names_that_occur_twice_and_values_of_all_ones(field):
    time = pa.array([datetime(2026, 1, 5, 8, 0, n % 60, n // 60) for n in range(ROWS)])
    level = pa.array([2**64 - 1 if n % 9 == 0 else n for n in range(ROWS)], pa.uint64())
    speed = pa.array([wave(n) for n in range(ROWS)])
    obd = pa.StructArray.from_arrays([speed, pa.array([[n] for n in range(ROWS)])], ["v", "list"])
    table = pa.Table.from_arrays(
        [time, level, speed, speed, obd], ["time", "level", "speed", "speed", "obd"]
    )
    pq.write_table(table, field.raw / "a.parquet")
    fleet, told = field.draft()
    assert [channel.header for channel in fleet.channels] == ["level", "obd.v"]
    assert fleet.channels[0].nulls == [2.0**64] and "several columns have this name" in told
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_file_that_lacks_a_column_is_left_for_ingest_to_name(field):
    for n in range(4):
        columns = {} if n == 3 else {"oil": wave, "coolant": wave, "volt": wave}
        field.write(f"van{n}.csv", log(**columns))
    fleet, told = field.draft()
    assert [item.glob for item in fleet.source.files] == ["*.csv"] and "van3.csv" in told
    counts = field.ingest(fleet)
    assert [file.path for file in counts.files_refused] == ["van3.csv"]
    assert counts.vehicles == {f"van{n}": ROWS for n in range(3)}


@pytest.mark.parametrize(
    "name", ["truck_{n}_20260105.csv", "2026-01-05_truck{n}.csv", "truck{n}_1767600000{n}00.csv"]
)
def test_a_date_in_a_name_is_no_part_of_the_vehicle(field, name):
    """Else the file of the next day would be of another vehicle."""
    for n in (3, 4, 5):
        field.write(name.format(n=n), log())
    fleet, _ = field.draft()
    ids = sorted(field.ingest(fleet).vehicles)
    assert [one.replace("_", "") for one in ids] == ["truck3", "truck4", "truck5"]


def test_a_serial_number_is_no_date(field):
    for serial in ("10482231", "10482233", "99991777"):
        field.write(f"{serial}.csv", log())
    fleet, _ = field.draft()
    assert sorted(field.ingest(fleet).vehicles) == ["10482231", "10482233", "99991777"]


@pytest.mark.parametrize(
    ("name", "globs"),
    [
        ("{vehicle}/{part}.csv", ["**/*train.csv", "**/*test.csv"]),
        ("{part}/{vehicle}.csv", ["train/**/*.csv", "test/**/*.csv"]),
        ("{vehicle}/log_{part}.csv", ["**/*_train.csv", "**/*_test.csv"]),
        ("vans_{part}/{vehicle}.csv", ["vans_train/**/*.csv", "vans_test/**/*.csv"]),
        ("{vehicle}/{part}/log.csv", None),
    ],
)
def test_train_and_test_in_a_path_and_whose_they_are(field, name, globs):
    """And the globs find a file that comes later."""
    for vehicle in ("m1", "m2", "k7"):
        for part in ("train", "test"):
            field.write(name.format(vehicle=vehicle, part=part), log())
    fleet, _ = field.draft()
    assert {item.part for item in fleet.source.files} == {"train", "test"}
    if globs:
        assert [item.glob for item in fleet.source.files] == globs
    assert sorted(field.ingest(fleet).vehicles) == ["k7", "m1", "m2"]


@pytest.mark.parametrize(
    "name",
    [
        "{part}/{vehicle}_{day}.csv",
        "{part}/{vehicle}/{day}.csv",
        "{vehicle}_{day}_{part}.csv",
        "{vehicle}/{part}/{day}.csv",
        "vans_{part}/{day}_{vehicle}.csv",
    ],
)
def test_the_date_of_a_file_of_train_or_test_is_no_part_of_the_vehicle(field, name):
    for vehicle in ("m1", "m2", "k7"):
        for day, part in ((5, "train"), (6, "train"), (7, "test")):
            path = name.format(vehicle=vehicle, day=f"2026-01-0{day}", part=part)
            field.write(path, log(start=datetime(2026, 1, day)))
    fleet, _ = field.draft()
    assert {item.part for item in fleet.source.files} == {"train", "test"}
    assert sorted(field.ingest(fleet).vehicles) == ["k7", "m1", "m2"]


def test_a_folder_of_more_files_than_a_person_would_list_loses_none(field):
    """No pattern finds these without the ones of the other form."""
    for n in range(60):
        field.write(f"{n % 3}x{n}.csv", log(rows=40, start=datetime(2026, 1, 5, n % 24)))
    for n in range(20):
        field.write(f"{n % 3}x{n + 60}.csv", log(rows=40, mark=";"))
    fleet, _ = field.draft()
    assert field.ingest(fleet).files == 60


def test_what_is_no_raw_data_by_its_ending_is_named(field):
    field.write("a.csv", log())
    field.write("a.csv.bak", log())
    (field.raw / "~$a.csv").write_bytes(b"\x04Anna\0")  # a lock of Office: not named, nor read
    field.write("README.md", ["a, b, c"] * 9)
    fleet, told = field.draft()
    assert "no raw data by their ending: README.md, a.csv.bak" in told
    assert field.ingest(fleet).rows_in == ROWS


def test_rows_without_a_header_are_told_with_the_way_out(field):
    field.write("m1.txt", [f"{wave(n)},0.5,{n}" for n in range(ROWS)])
    with pytest.raises(DataError, match="put a line with the columns' names before them"):
        field.draft()


def test_a_column_without_a_name_is_named_by_its_place(field):
    field.write("a.csv", [f"{n},{line}" if n else f",{line}" for n, line in enumerate(log())])
    fleet, told = field.draft()
    assert "'column 1' (it has no name)" in told
    assert field.ingest(fleet).rows_lake == ROWS


def test_a_garbled_header_is_drafted_as_it_was_meant(field):
    field.write("a.csv", log(**{"Air [Â°C]": wave}))
    field.write("b.csv", log(**{"Air [°C]": wave}, start=datetime(2026, 1, 6)))
    fleet, _ = field.draft()
    assert fleet.channels[1].column == "Air [°C]" and fleet.channels[1].unit == "celsius"
    assert field.ingest(fleet).rows_lake == 2 * ROWS


def _sorted_by_vehicle(form, field):
    """Ten vehicles one after the other, each at a level of its own; more than a draft reads."""
    rows, channels = 30_000, 12
    vehicle = np.repeat([f"v{n}" for n in range(10)], rows)
    time_s = np.tile(1_767_600_000 + np.arange(rows), 10)
    level = np.repeat(10.0 ** np.arange(10), rows)
    noise = np.round(np.sin(np.arange(len(level)) / 7), 3)
    columns = {"vehicle": vehicle, "time": time_s}
    columns |= {f"c{n}": level + noise for n in range(channels)}
    table = pa.table(columns)
    if form == "csv":
        pa_csv.write_csv(table, field.raw / "all.csv")
    else:
        pq.write_table(table, field.raw / "all.parquet", row_group_size=10_000)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "cells"), [("csv", 400_000), ("parquet", 400_000)])
def test_a_large_file_is_looked_at_all_over(tmp_path, monkeypatch, form, cells):
    """The first rows are of one vehicle: its ranges would make nulls of the others' values."""
    monkeypatch.setitem(sample.MOST_CELLS, form, cells)
    field = Field(tmp_path)
    _sorted_by_vehicle(form, field)
    fleet, told = field.draft()
    assert "of 10 vehicles read, 0 refused" in told
    low, high = fleet.channels[0].range
    assert low < 0 and high > 1e9 and fleet.period_seconds == 1
    text = (field.settings.conf_dir / "fleet" / "vans.yaml").read_text()
    assert "a part of their rows" in text


@pytest.mark.parametrize(("cell", "decimal"), [("{:.1f}", ","), ("{:.3f}", ","), ("{:,.0f}", ".")])
def test_quoted_commas_in_a_comma_file(field, cell, decimal):
    """A comma parts thousands in "1,000" and is the fraction's in "1000,250"."""
    told = cell.format if "," in cell else lambda value: cell.format(value).replace(".", ",")
    lines = [f'{stamp(n)},"{told(1000 + n * 7.25)}",{n}' for n in range(ROWS)]
    field.write("a.csv", ["time,load,rpm", *lines])
    fleet, _ = field.draft()
    assert fleet.source.decimal == decimal and fleet.channels[0].range[0] > -2000
    assert field.ingest(fleet).rows_lake == ROWS


def test_files_that_only_their_names_find_and_what_costs_a_channel(field):
    for n in range(1, 7):
        columns = {f"c{i}": wave for i in range(6)} | (
            {"load": wave} if n != 4 else {"Load1": wave}
        )
        mark = ";" if n == 6 else ","
        field.write(f"2026-01-0{n}_trip.csv", log(start=datetime(2026, 1, n), mark=mark, **columns))
    fleet, told = field.draft()
    assert "guess: no pattern finds these files without the ones left out" in told
    assert "'load' (not in 1 of 5 files, such as 2026-01-04_trip.csv: to have it" in told
    assert field.ingest(fleet).files == 5


@pytest.mark.parametrize("name", ["on", "123", "null", "1e5", "2026-01-05", "0x1f", "1_000"])
def test_a_fleet_whose_name_yaml_would_take_for_something_else(field, name):
    field.write("a.csv", log())
    write_draft(field.raw, name, field.settings, force=False)
    assert load_fleet(name, field.settings).source.vehicle.value == name
