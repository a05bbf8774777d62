"""Ids of vehicles as spreadsheets, decimals and partitioned folders write them."""

import decimal
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, log, stamp, wave
from ingest_kit import START_US, Yard, balanced, line, raw_fleet

from amad.config import DataError


def test_an_id_that_a_spreadsheet_rounded_is_refused(tmp_path):
    yard = Yard(tmp_path)
    yard.csv("a.csv", [line("3.56307E+14"), line("a-1e5"), line("a-2")])
    fleet = raw_fleet(vehicle_classes=[{"name": "a", "vehicles": ["*"]}],
                      channels=[{"name": "speed"}, {"name": "level"}])  # fmt: skip
    counts, lake = yard.ingest(fleet)
    assert lake.vehicles() == ["a-1e5", "a-2"] and balanced(counts)
    reason = yard.rejected(fleet)[0]["reason"]
    assert "vehicle id is rounded: '3.56307E+14' may stand for several vehicles" in reason


@pytest.mark.parametrize(
    ("ids", "vehicles"),
    [
        (pa.array([356307042441013.0, 356307042441014.0]), ["356307042441013", "356307042441014"]),
        (pa.array([356307042441013.0, 7], pa.float32()), ["7"]),
        (pa.array([2.0**53, 7]), ["7"]),
        (pa.array([7, 8], pa.float16()), ["7", "8"]),
        (pa.array([decimal.Decimal("7.00"), decimal.Decimal("7.50")]), ["7", "7.50"]),
    ],
)
def test_an_id_that_is_a_number(tmp_path, ids, vehicles):
    yard = Yard(tmp_path)
    columns = {"vehicle": ids, "speed": [1.0, 2.0], "level": [1.0, 2.0]}
    stamps = pa.array([START_US] * 2, pa.timestamp("us", tz="UTC"))
    pq.write_table(pa.table(columns | {"timestamp": stamps}), yard.raw / "a.parquet")
    fleet = raw_fleet(
        source={"format": "parquet", "files": [{"glob": "*.parquet"}]},
        vehicle_classes=[{"name": "a", "vehicles": ["*"]}],
        channels=[{"name": "speed"}, {"name": "level"}],
    )
    counts, lake = yard.ingest(fleet)
    assert lake.vehicles() == vehicles and balanced(counts)


def test_ids_and_values_of_sixteen_bits(field):
    speed = pa.array([n / 4 for n in range(ROWS)], pa.float16())
    times = [MONDAY + timedelta(seconds=n) for n in range(ROWS)]
    ids = pa.array([7 + n % 2 for n in range(ROWS)], pa.float16())
    pq.write_table(pa.table({"van": ids, "time": times, "speed": speed}), field.raw / "a.parquet")
    fleet, _ = field.draft()
    assert set(field.ingest(fleet).vehicles) == {"7", "8"} and fleet.channel_names == ["speed"]


def test_folders_of_a_partitioned_data_set_are_read_as_their_writers_mean_them(field):
    for name in ("van%201", "M%2FX 2", "__HIVE_DEFAULT_PARTITION__"):
        field.write(f"vehicle={name}/a.csv", log())
    fleet, _ = field.draft()
    counts = field.ingest(fleet)
    assert set(counts.vehicles) == {"van 1", "M/X 2"}
    assert "vehicle id is missing" in counts.files_refused[0].reason


@pytest.mark.parametrize(
    "header",
    ["Registration", "Kfz-Kennzeichen", "VehicleRef", "Reg No", "Tail Number", "drone",
     "Vehicle Identification Number", "meta.vehicle_id", "device.id", "Asset Tag"],
)  # fmt: skip
def test_a_column_that_names_vehicles_in_other_words(field, header):
    lines = [f"{('A12', 'B34')[n > 100]},{stamp(n)},{wave(n)}" for n in range(ROWS)]
    field.write("a.csv", [f"{header},time,speed", *lines])
    assert set(field.ingest(field.draft()[0]).vehicles) == {"A12", "B34"}


@pytest.mark.parametrize(
    ("cell", "named"),
    [
        (lambda n: ("AB-12", "CD-34")[n > 100], True),
        (lambda n: ("idle", "driving")[n > 100], False),
        (lambda n: f"{n} km", False),
    ],
)
def test_a_column_that_may_name_vehicles_is_told(field, cell, named):
    field.write("a.csv", log(depot=cell))
    assert ("guess: column 'depot' holds few texts, such as 'AB-12'" in field.draft()[1]) is named


def test_files_that_tell_the_same_rows_again_are_of_one_vehicle(field):
    rows = [f"{stamp(n)},{wave(n)}" for n in range(2 * ROWS)]
    for name, part in {"export a": rows[:ROWS], "export b": rows, "more": rows[100:]}.items():
        field.write(f"{name}.csv", ["time,speed", *part])
    fleet, _ = field.draft()
    counts = field.ingest(fleet)
    assert len(counts.vehicles) == 1 and counts.rows_lake == 2 * ROWS


@pytest.mark.parametrize("log_of", ["_delta_log/0.json", "metadata/v1.metadata.json"])
def test_the_log_of_a_table_whose_files_do_not_all_count_is_named(field, log_of):
    field.write("a.csv", log())
    field.write("b.csv", log(start=MONDAY + timedelta(hours=1)))
    field.write(log_of, ["{}"])
    assert "files that it has replaced or deleted may still" in field.draft()[1]


def test_only_rounded_ids_are_told_with_the_way_out(field):
    field.write("a.csv", log(imei=lambda n: "3.5E+14"))
    with pytest.raises(DataError, match="write the column as text with all its digits"):
        field.draft()
