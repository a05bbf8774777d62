"""What the objects of JSON and the types of Arrow hold, however a writer wraps it."""

import json
from datetime import UTC
from decimal import Decimal

import pyarrow as pa
import pytest
from draft_kit import MONDAY, ROWS, stamp, wave

START = MONDAY.replace(tzinfo=UTC)
START_US = round(START.timestamp() * 1e6)


def rows_of(make):
    return [json.dumps(make(n)) for n in range(ROWS)]


def test_numbers_that_mongodb_wraps_with_their_types_are_one_column(field):
    def row(n):
        kind = ("$numberInt", str(n)) if n % 3 == 0 else ("$numberDouble", f"{n}.5")
        when = {"$date": {"$numberLong": str(START_US // 1000 + n * 1000)}}
        return {"_id": {"$oid": f"{n:024x}"}, "ts": when, "speed": dict([kind])}

    field.write("a.json", rows_of(row))
    fleet, _ = field.draft()
    assert fleet.channel_names == ["speed"]
    field.ingest(fleet)
    assert field.first_row(fleet) == {"timestamp": START, "speed": 0.0}


def test_the_schema_that_kafka_connect_repeats_makes_no_rows(field):
    fields = [{"type": "double", "field": "speed"}, {"type": "int64", "field": "time"}]
    field.write(
        "a.json",
        rows_of(
            lambda n: {
                "schema": {"type": "struct", "fields": fields},
                "payload": {"time": stamp(n), "speed": wave(n)},
            }
        ),
    )
    fleet, _ = field.draft()
    done = field.ingest(fleet)
    assert (fleet.channel_names, done.rows_in, done.rows_lake) == (["payload.speed"], ROWS, ROWS)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (
            [{"bn": "urn:van", "bt": 1, "n": "speed", "v": 1.5}, {"n": "rpm", "v": 900, "t": 1}],
            "it is SenML",
        ),
        (
            {"result": [{"metric": {"vehicle": v}, "values": [[1, "2"]]} for v in ("a", "b")]},
            "no column of a.json tells the time ('result.values': it holds JSON",
        ),
    ],
)
def test_json_whose_times_are_not_read_is_refused(field, made, told):
    field.write("a.json", [json.dumps(made)])
    assert told in field.refusal()


@pytest.mark.parametrize(
    "cells",
    [
        pa.RunEndEncodedArray.from_arrays(pa.array([ROWS // 2, ROWS], pa.int32()), [1.0, 2.0]),
        pa.array([Decimal("1.25")] * (ROWS - 1) + [Decimal("2.5")], pa.decimal32(5, 2)),
    ],
)
def test_how_arrow_stores_a_column_does_not_matter(field, cells):
    time = pa.array([START_US + n * 10**6 for n in range(ROWS)]).cast(pa.timestamp("us"))
    table = pa.table({"time": time, "speed": [wave(n) for n in range(ROWS)], "load": cells})
    with pa.ipc.new_file(field.raw / "a.arrow", table.schema) as file:
        file.write_table(table)
    fleet, _ = field.draft()
    assert fleet.channel_names == ["speed", "load"]
    assert field.ingest(fleet).rows_lake == ROWS


def test_times_in_two_forms_that_are_both_read_are_said_so(field):
    rows = rows_of(
        lambda n: {"ts": stamp(n) + "Z" if n % 2 else START_US // 1000 + n * 1000, "speed": wave(n)}
    )
    field.write("a.json", rows)
    fleet, told = field.draft()
    assert "column 'ts', ISO 8601 or a number in ms" in told
    assert field.ingest(fleet).rows_lake == ROWS
