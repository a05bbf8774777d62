"""Names that a draft meets: odd files, columns that look like ids and are none, a lone clock."""

import gzip
import os
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
from draft_kit import ROWS, Field, log, stamp, wave


def test_a_unit_column_of_a_long_log_is_no_vehicle(tmp_path):
    field = Field(tmp_path)
    rows = [
        f"{stamp(n)},{signal},{wave(n)},{unit}"
        for n in range(ROWS)
        for signal, unit in (("speed", "km/h"), ("rpm", "1/min"), ("level", "%"))
    ]
    field.write("a.csv", ["time,signal,value,unit", *rows])
    fleet, _ = field.draft()
    assert fleet.source.format == "csv_long" and fleet.source.vehicle.take == "constant"
    assert field.ingest(fleet)["rows_lake"] == ROWS


def test_a_time_of_day_without_a_date_is_told(tmp_path):
    field = Field(tmp_path)
    field.write("a.csv", log("%H:%M:%S"))
    fleet, told = field.draft()
    assert fleet.source.timestamp.take == "index" and "no path tells the date" in told


def test_a_name_that_is_no_text_and_an_empty_file_are_told_and_left_out(tmp_path):
    field = Field(tmp_path)
    field.write("good.csv", log())
    field.write("none.csv", [])
    (field.raw / "none.csv").write_bytes(b"")
    with open(os.fsencode(field.raw) + b"/caf\xe9.csv", "w") as file:  # noqa: PTH123
        file.write("\n".join(log()) + "\n")
    fleet, told = field.draft()
    assert "none.csv" in told and "caf" in told
    assert field.ingest(fleet)["vehicles"] == {"vans": ROWS}


def test_names_that_yaml_would_take_for_something_else(tmp_path):
    field = Field(tmp_path)
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
    assert field.ingest(fleet)["rows_lake"] == ROWS


def test_several_recordings_of_each_vehicle_are_set_apart(tmp_path):
    field = Field(tmp_path)
    for vehicle in ("v1", "v2"):
        for name in ("run1.csv", "run2.csv"):
            field.write(f"{vehicle}/{name}", ["rpm,load", *(f"{n},{wave(n)}" for n in range(ROWS))])
    fleet, _ = field.draft()
    assert fleet.source.timestamp.gap_between_files
    assert field.ingest(fleet)["vehicles"] == {"v1": 2 * ROWS, "v2": 2 * ROWS}


def test_a_vehicle_has_a_file_per_day(tmp_path):
    field = Field(tmp_path)
    for vehicle in ("golf", "polo"):
        for day in (5, 6):
            field.write(f"{vehicle}_2026-01-0{day}.csv", log(start=datetime(2026, 1, day)))
    fleet, told = field.draft()
    assert field.ingest(fleet)["vehicles"] == {"golf": 2 * ROWS, "polo": 2 * ROWS}
    assert "without its date" in told
    field.write("up_2026-01-07.csv", log(start=datetime(2026, 1, 7)))  # one that comes later
    assert field.ingest(fleet)["vehicles"]["up"] == ROWS


def test_a_cut_file_counts_with_what_can_be_read(tmp_path):
    field = Field(tmp_path)
    whole = gzip.compress("\n".join(log(rows=2000, noise=lambda n: hash(str(n)))).encode())
    (field.raw / "a.csv.gz").write_bytes(whole[: len(whole) // 2])
    fleet, told = field.draft()
    assert "breaks off" in told and field.ingest(fleet)["rows_lake"] > 100


def test_parquet_names_that_occur_twice_and_values_of_all_ones(tmp_path):
    field = Field(tmp_path)
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
    assert field.ingest(fleet)["rows_lake"] == ROWS


def test_a_file_that_lacks_a_column_is_left_for_ingest_to_name(tmp_path):
    field = Field(tmp_path)
    for n in range(4):
        columns = {} if n == 3 else {"oil": wave, "coolant": wave}
        field.write(f"van{n}.csv", log(**columns))
    fleet, told = field.draft()
    assert [item.glob for item in fleet.source.files] == ["*.csv"] and "van3.csv" in told
    counts = field.ingest(fleet)
    assert [file["path"] for file in counts["files_refused"]] == ["van3.csv"]
    assert counts["vehicles"] == {f"van{n}": ROWS for n in range(3)}
