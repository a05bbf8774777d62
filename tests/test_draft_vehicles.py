"""Which part of a path, or which column, names the vehicles."""

from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from draft_kit import MONDAY, ROWS, Field, log, stamp, wave


@pytest.fixture
def field(tmp_path):
    return Field(tmp_path)


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("2026-01-0{day}/van{van}/log.csv", {"van1", "van2"}),
        ("2026-01-0{day}/van{van}.csv", {"van1", "van2"}),
        ("2026/01/0{day}/van{van}.csv", {"van1", "van2"}),
        ("year=2026/month=01/day=0{day}/00{van}/log.csv", {"001", "002"}),
        ("202{day}/00{van}/log.csv", {"001", "002"}),
        ("{van}/0{day}/log.csv", {"1", "2"}),
    ],
)
def test_folders_of_dates_are_no_vehicles(field, path, ids):
    for day, van in ((d, v) for d in (5, 6, 7) for v in (1, 2)):
        lines = log(start=MONDAY + timedelta(days=day), temp=lambda n, van=van: n % (9 + van))
        field.write(path.format(day=day, van=van), lines)
    fleet, _ = field.draft()
    counts = field.ingest(fleet)
    assert set(counts.vehicles) == ids and counts.rows_lake == 6 * ROWS


def test_ids_in_a_column_of_decimals_and_of_vehicles_with_few_rows(field):
    rows = [(float(7 + v), stamp(n), wave(n + v)) for n in range(6) for v in range(40)]
    table = dict(
        zip(("vehicle_id", "time", "speed"), map(list, zip(*rows, strict=True)), strict=True)
    )
    table["vehicle_id"][3] = None
    pq.write_table(pa.table(table), field.raw / "a.parquet")
    counts = field.ingest(field.draft()[0])
    assert len(counts.vehicles) == 40 and (counts.rows_lake, counts.rows_rejected) == (239, 1)


def test_a_column_of_any_name_that_tells_rows_of_one_time_apart(field):
    rows = [f"{plate},{stamp(n)},{'idle' if n % 9 else 'run'},{wave(n + len(plate))}"
            for n in range(ROWS) for plate in ("B-AB 12", "M-X 3")]  # fmt: skip
    field.write("a.csv", ["Kennzeichen,time,state,speed", *rows])
    fleet, told = field.draft()
    assert fleet.source.vehicle.column == "Kennzeichen" and "tells rows of one time apart" in told
    counts = field.ingest(fleet)
    assert set(counts.vehicles) == {"B-AB 12", "M-X 3"} and counts.rows_lake == 2 * ROWS
