"""The lake as its readers see it: ranges, days, hash, and what it refuses."""

import datetime

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amad.config import DataError
from amad.telemetry.lake import Lake, part_path, write_part
from amad.telemetry.schemas import lake_schema
from tests.ingest_kit import SECOND, START_US, Yard, at, raw_fleet, seconds_of

DAY = 86_400
TIMES = [0, 1, 2.5, DAY - 1, DAY, 2 * DAY + 3]


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> Lake:
    yard = Yard(tmp_path_factory.mktemp("yard"))
    yard.csv("x.csv", [f"a-1,{at(s)},{s},1" for s in TIMES] + [f"b-1,{at(1)},1,1"], HEADER)
    (yard.raw / "x.csv").write_text((yard.raw / "x.csv").read_text().replace(",1\n", ",1,\n"))
    return yard.ingest(raw_fleet())[1]


HEADER = "vehicle,timestamp,speed,level,charge"


def test_what_there_is(lake):
    first = datetime.date(2026, 1, 5)
    days = [first + datetime.timedelta(days=n) for n in range(3)]
    assert lake.vehicles() == ["a-1", "b-1"]
    assert lake.dates() == lake.dates("a-1") == days and lake.dates("b-1") == [first]
    assert lake.days() == [
        ("a-1", days[0], 4), ("a-1", days[1], 1), ("a-1", days[2], 1), ("b-1", days[0], 1),
    ]  # fmt: skip
    assert lake.rows() == 7 and lake.test_start() == {} and lake.events().num_rows == 0
    assert lake.part("a-1", first).is_file()
    assert lake.read_day("a-1", days[1])["speed"].to_pylist() == [DAY]


def test_a_table_has_the_contract_s_schema_even_without_rows(lake):
    schema = lake_schema(raw_fleet())
    assert lake.read("a-1").schema == schema
    for empty in (lake.read("nobody"), lake.read_day("b-1", datetime.date(2020, 1, 1))):
        assert empty.schema == schema and empty.num_rows == 0


bound = st.none() | st.sampled_from(TIMES) | st.floats(-5, 3 * DAY)


@given(start=bound, end=bound, keep=st.integers(0, 3 * DAY))
def test_a_range_holds_its_start_and_not_its_end(start, end, keep, lake):
    bounds = [None if s is None else START_US + round(s * SECOND) for s in (start, end)]
    expected = [
        s for s in TIMES
        if (bounds[0] is None or START_US + s * SECOND >= bounds[0])
        and (bounds[1] is None or START_US + s * SECOND < bounds[1])
    ]  # fmt: skip
    keep_us = 0 if end is None else keep * SECOND
    assert seconds_of(lake.read("a-1", *bounds, keep_us=keep_us)) == expected


def test_a_channel_that_is_withheld_is_null_however_a_day_is_read(lake):
    first = datetime.date(2026, 1, 5)
    blind = lake.without({("a-1", first): ["speed"]})
    [piece] = blind.batches("a-1", [first], 100)
    for table in (blind.read_day("a-1", first), blind.read("a-1").slice(0, 4), piece):
        assert table["speed"].null_count == 4
    [next_day] = blind.batches("a-1", [first + datetime.timedelta(days=1)], 100)
    assert next_day["speed"].null_count == 0 and lake.read("a-1")["speed"].null_count == 0


def test_what_a_lake_keeps_of_a_day_is_not_read_again(lake, monkeypatch):
    """Unless there is no room for it, or more is asked for than was kept."""
    lake, midnight = Lake(lake.path, raw_fleet()), START_US + DAY * SECOND
    path = lake.part("a-1", datetime.date(2026, 1, 5))
    content = path.read_bytes()
    first = (START_US, midnight)
    next_day = (midnight - 2 * SECOND, midnight + DAY * SECOND)
    lake.read("a-1", *first, keep_us=2 * SECOND)
    path.unlink()
    try:
        assert seconds_of(lake.read("a-1", *next_day)) == [DAY - 1, DAY]
        with pytest.raises(DataError, match="missing"):
            lake.read("a-1", midnight - 3 * SECOND, midnight)
        path.write_bytes(content)
        monkeypatch.setattr("amad.telemetry.lake.ENDS_BYTES", 0)
        lake.read("a-1", *first, keep_us=2 * SECOND)
        path.unlink()
        with pytest.raises(DataError, match="missing"):
            lake.read("a-1", *next_day)
    finally:
        path.write_bytes(content)


def test_no_lake_or_another_contract_is_told(lake, tmp_path):
    with pytest.raises(DataError, match="amad ingest"):
        Lake(tmp_path, raw_fleet())
    with pytest.raises(DataError, match="another version of fleet tiny"):
        Lake(lake.path, raw_fleet(channels=[{"name": "speed"}]))
    Lake(lake.path, raw_fleet(quality={"min_rows": 7}))  # limits do not shape the lake


def test_a_damaged_part_is_told(lake, tmp_path):
    path = lake.part("b-1", datetime.date(2026, 1, 5))
    content = path.read_bytes()
    path.write_bytes(content[:-4])
    try:
        with pytest.raises(DataError, match=r"vehicle=b-1.*is damaged.*--rebuild"):
            lake.read("b-1")
    finally:
        path.write_bytes(content)


def test_the_same_rows_make_the_same_bytes(tmp_path):
    schema = lake_schema(raw_fleet())
    time, value = np.arange(1000) + START_US, np.random.default_rng(1).normal(size=(1000, 3))
    value[::7] = np.nan
    for name in "ab":
        write_part(tmp_path / name, schema, time, value, None)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert pq.read_table(tmp_path / "a")["speed"].null_count == 143


def test_regular_times_take_next_to_no_room(tmp_path):
    schema = lake_schema(raw_fleet())
    time, value = np.arange(50_000) * SECOND + START_US, np.zeros((50_000, 3))
    write_part(tmp_path / "part", schema, time, value, None)
    with pq.ParquetFile(tmp_path / "part") as file:
        assert file.metadata.row_group(0).column(0).total_compressed_size < 5_000
        assert (file.read()["timestamp"].cast("int64").to_numpy() == time).all()


def test_paths_of_parts():
    path = part_path("a/b =1", datetime.date(2026, 1, 5))
    assert path.as_posix() == "vehicle=a%2Fb%20%3D1/date=2026-01-05/part.parquet"
