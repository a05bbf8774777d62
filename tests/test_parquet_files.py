"""Parquet files of any writer: types, structs, names, and what is refused."""

import datetime
import decimal
import uuid
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, Field, wave
from ingest_kit import SECOND, START_US, Yard, raw_fleet, seconds_of
from pyarrow import feather
from reading_kit import only, seen, source

from amad.reading import parquet_file
from amad.reading.readers import read_batches

RULES = source(format="parquet")


def written(tmp_path, table, **options):
    pq.write_table(table, tmp_path / "x.parquet", **options)
    return tmp_path / "x.parquet"


OBD = pa.array([{"speed": 50.0, "engine": {"rpm": 900}}, None, {"speed": None, "engine": None}])


def test_fields_of_structs_are_columns(tmp_path):
    path = written(tmp_path, pa.table({"obd": OBD, "level": [1, 2, 3]}))
    told = seen(path, RULES, only("obd.speed", "obd.engine.rpm", "level"))
    assert told.rows == {1: (50.0, 900, 1), 2: (None, None, 2), 3: (None, None, 3)}


@pytest.mark.parametrize("order", [1, -1])
def test_a_column_of_the_same_name_wins_over_a_field(tmp_path, order):
    columns = {"obd": OBD, "obd.speed": [1.0, 2.0, 3.0]}
    path = written(tmp_path, pa.table(dict(list(columns.items())[::order])))
    told = seen(path, RULES, only("obd.speed", "obd.engine.rpm"))
    assert told.rows == {1: (1.0, 900), 2: (2.0, None), 3: (3.0, None)}


def test_a_struct_and_a_list_are_refused_with_the_way_out(tmp_path):
    lists = pa.array([[1.0], [2.0, 3.0], None])
    path = written(tmp_path, pa.table({"obd": OBD, "speeds": lists, "level": [1, 2, 3]}))
    assert "obd.speed, obd.engine, obd.engine.rpm" in seen(path, RULES, only("obd")).refused
    told = seen(path, RULES, only("speeds"))
    assert "'speeds'" in told.refused and "several values in a row" in told.refused
    assert len(seen(path, RULES, only("level")).rows) == 3  # columns not asked for do no harm


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
        (pa.array(["a", None], pa.large_string()), ["a", None]),
        (pa.array(["a", None], pa.string_view()), ["a", None]),
        (pa.array([b"a", None], pa.binary()), ["a", None]),
        (pa.array([b"5", b"2.5"], pa.large_binary()), ["5", "2.5"]),
        (pa.array([decimal.Decimal("5.25"), None]), [decimal.Decimal("5.25"), None]),
        (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
        (pa.array(np.array([0.5, 2], np.float16)), [0.5, 2]),
        (pa.array([True, None]), [True, None]),
        (pa.nulls(2), [None, None]),
    ],
)
def test_types_that_writers_use(tmp_path, column, expected):
    told = seen(written(tmp_path, pa.table({"x": column})), RULES)
    assert [row[0] for row in told.rows.values()] == expected


def test_times_of_the_old_form_keep_their_years(tmp_path):
    times = [datetime.datetime(2026, 1, 5), datetime.datetime(9000, 1, 1)]
    table = pa.table({"t": pa.array(times, pa.timestamp("us"))})
    path = written(tmp_path, table, use_deprecated_int96_timestamps=True)
    assert seen(path, RULES).rows[1] == (times[0],)


@pytest.mark.parametrize(
    ("cells", "read"),
    [
        ([b"\xff\x01", b"1", None], ["0xff01", "1", None]),
        ([b"\0\0\x07", b"\0\0\t"], ["0x000007", "0x000009"]),  # ids that are UTF-8 by chance
        ([b"V1\0\0", b"V22\0"], ["V1", "V22"]),  # padded
    ],
)
def test_bytes_that_are_no_text_come_as_hexadecimal_digits(tmp_path, cells, read):
    path = written(tmp_path, pa.table({"x": pa.array(cells, pa.binary())}))
    assert [row[0] for row in seen(path, RULES).rows.values()] == read


def test_ids_of_fixed_length_and_uuids_are_text(tmp_path):
    told = [uuid.UUID(int=7), uuid.UUID(int=8)]
    ids = pa.array([one.bytes for one in told], pa.binary(16))
    table = {
        "vin": pa.array([b"WDB1", b"WDB2"], pa.binary(4)),
        "id": pa.ExtensionArray.from_storage(pa.uuid(), ids),
    }
    rows = seen(written(tmp_path, pa.table(table)), RULES).rows
    assert rows == {1: ("WDB1", str(told[0])), 2: ("WDB2", str(told[1]))}


def test_a_unit_in_the_metadata_of_a_column_is_compared(tmp_path):
    yard = Yard(tmp_path)
    for day, unit in enumerate(("km/h", "mph")):
        fields = [
            pa.field("vehicle", pa.string()),
            pa.field("timestamp", pa.timestamp("us", tz="UTC")),
            pa.field("speed", pa.float64(), metadata={"Unit": unit}),
            pa.field("level", pa.float64()),
        ]
        columns = [["a-1"], [START_US + day * SECOND], [1.0], [2.0]]
        path = yard.raw / f"{day}.parquet"
        pq.write_table(pa.table(columns, schema=pa.schema(fields)), path)
    fleet = raw_fleet(
        source={"format": "parquet", "files": [{"glob": "*.parquet"}]},
        channels=[{"name": "speed", "unit": "km/h"}, {"name": "level"}],
    )
    counts, _ = yard.ingest(fleet)
    assert counts.rows_lake == 1
    assert "the file tells 'mph'" in counts.files_refused[0].reason


def test_a_file_without_rows_and_a_file_that_is_none(tmp_path):
    path = written(tmp_path, pa.table({"x": pa.array([], pa.float64())}))
    told = seen(path, RULES)
    assert not told.rows and not told.refused
    path.write_text("time,speed\n1,2\n")
    assert "source.format: csv" in seen(path, RULES).refused
    path.write_bytes(b"")
    assert "empty" in seen(path, RULES).refused


def test_what_a_library_raises_is_of_that_file_alone(tmp_path, monkeypatch):
    path = written(tmp_path, pa.table({"x": [1]}))

    def fail(*_):
        raise KeyError("no such field")

    monkeypatch.setattr(parquet_file, "_taken", fail)
    assert seen(path, RULES).refused == "unreadable file: KeyError: 'no such field'"
    assert "no such file" in seen(tmp_path / "gone", RULES).refused


def test_batches_are_of_a_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_file, "BATCH_CELLS", 1)
    path = written(tmp_path, pa.table({"a": np.arange(3000)}))
    sizes = [len(batch.row_R) for batch in read_batches(path, RULES, lambda _: {"a": 0})]
    assert sizes == [1024, 1024, 952]


def test_one_file_with_a_struct_for_vehicle_stops_no_other(tmp_path):
    yard = Yard(tmp_path)
    stamp = pa.array([START_US + n * SECOND for n in range(3)], pa.timestamp("us", tz="UTC"))
    rest = {"timestamp": stamp, "speed": [1.0] * 3, "level": [1, 2, 3]}
    pq.write_table(pa.table({"vehicle": OBD, **rest}), yard.raw / "1.parquet")
    pq.write_table(pa.table({"vehicle": ["a-1"] * 3, **rest}), yard.raw / "2.parquet")
    twice = pa.Table.from_arrays(
        [pa.array(["a-1"] * 3), stamp, *[pa.array([1.0] * 3)] * 3],
        ["vehicle", "timestamp", "speed", "speed", "level"],
    )
    pq.write_table(twice, yard.raw / "3.parquet")
    fleet = raw_fleet(source={"format": "parquet", "files": [{"glob": "*.parquet"}]})
    counts, lake = yard.ingest(fleet)
    assert seconds_of(lake.read("a-1")) == [0, 1, 2]
    refused = {file.path: file.reason for file in counts.files_refused}
    assert "one of the fields of 'vehicle'" in refused["1.parquet"]
    assert "'speed', 'speed' all match" in refused["3.parquet"]


def scaled(tmp_path, kind, **metadata):
    field = pa.field("level", kind, metadata=metadata)
    return written(tmp_path, pa.table([pa.array([5, None, 57], kind)], pa.schema([field])))


def test_whole_numbers_are_read_as_their_metadata_scale_them(tmp_path):
    path = scaled(tmp_path, pa.int16(), scale="0.01", offset="-40", unit="V")
    assert seen(path, RULES).rows == {1: (-39.95,), 2: (None,), 3: (-39.43,)}
    path = scaled(tmp_path, pa.int16(), scale_factor="0.01")
    assert seen(path, RULES).rows == {1: (0.05,), 2: (None,), 3: (0.57,)}
    path = scaled(tmp_path, pa.float64(), factor="0.01")  # of values that were scaled before
    assert seen(path, RULES).rows == {1: (5.0,), 2: (None,), 3: (57.0,)}


def test_a_scale_that_is_no_number_is_refused(tmp_path):
    told = seen(scaled(tmp_path, pa.int16(), scale="x 10"), RULES).refused
    assert "the metadata of column 'level' tells x 10 and 0, which are no numbers" in told


def test_a_draft_names_columns_that_are_scaled(field):
    names = [
        pa.field("time", pa.timestamp("us")),
        pa.field("v", pa.int32(), metadata={"gain": ".1"}),
    ]
    times = [START_US + n * SECOND for n in range(240)]
    columns = [pa.array(times, pa.timestamp("us")), pa.array(range(240), pa.int32())]
    pq.write_table(pa.table(columns, pa.schema(names)), field.raw / "a.parquet")
    assert "'v' is read as its metadata tells, 0.1 times its whole numbers" in field.draft()[1]


def write_arrow(path, table, way):
    if way == "feather":
        feather.write_feather(table, path, chunksize=50)
        return
    new = pa.ipc.new_file if way == "file" else pa.ipc.new_stream
    with new(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=50)


@pytest.mark.parametrize("way", ["file", "stream", "feather"])
def test_arrow_files_are_read_as_parquet_files(tmp_path, way, monkeypatch):
    monkeypatch.setattr(parquet_file, "BATCH_CELLS", 1024 * 3)
    columns = {"obd": pa.array([{"speed": float(n)} for n in range(120)]), "level": range(120)}
    path = tmp_path / "x.feather"
    write_arrow(path, pa.table(columns), way)
    told = seen(path, RULES, only("obd.speed", "level"))
    assert told.rows == {n + 1: (float(n), n) for n in range(120)}
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    assert "unreadable file" in seen(path, RULES, only("level")).refused


def test_a_draft_is_made_of_arrow_files(tmp_path):
    field = Field(tmp_path)
    for van in (1, 2):
        times = [MONDAY + timedelta(seconds=n) for n in range(ROWS)]
        table = pa.table({"time": times, "speed": [wave(n + van) for n in range(ROWS)]})
        write_arrow(field.raw / f"van{van}.feather", table, "feather")
    fleet, _ = field.draft()
    assert fleet.source.format == "parquet" and fleet.channel_names == ["speed"]
    assert field.ingest(fleet).vehicles == {"van1": ROWS, "van2": ROWS}
