"""Raw files as streams: headers however spelt, cells of any type, row numbers that hold."""

import datetime
import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.config.source import Source
from amad.telemetry import values
from amad.telemetry.headers import AmbiguousHeaderError, find
from amad.telemetry.readers import FileRefusedError, read_batches
from amad.telemetry.reading import lines as lines_module
from amad.telemetry.reading import parquet_file
from amad.telemetry.values import DAY_US, DayCounter, local_to_utc, numbers, times, times_of_day

UTC_2026 = 1_767_607_200_000_000  # 2026-01-05 10:00


@pytest.mark.parametrize(
    ("name", "headers", "position"),
    [
        ("Temp [°C]", ["Time", "Temp [°C]"], 1),
        ("Temp [°C]", ["Time", "Temp [Â°C]"], 1),
        ("Temp [°C]", ["Time", "Temp [Ã‚Â°C]"], 1),
        ("Temp [°C]", ["\ufeffTemp [℃]", "Time"], 0),
        ("Vehicle speed", ["  vehicle  SPEED ", "x"], 0),
        ("speed", ["speed [km/h]"], 0),
        ("speed (km/h)", ["speed"], 0),
        ("speed [km/h]", ["speed [mph]"], None),
        ("speed", ["Speed", "speed"], 1),
        ("rpm", ["speed"], None),
    ],
)
def test_a_column_is_found_however_it_is_spelt(name, headers, position):
    assert find(name, headers) == position


def test_two_columns_that_match_equally_well_are_told():
    with pytest.raises(AmbiguousHeaderError, match=r"speed \[km/h\].*Speed \(mph\)"):
        find("speed", ["speed [km/h]", "Speed (mph)"])


@pytest.mark.parametrize(
    ("cells", "expected", "bad"),
    [
        (["1", None, " 2.5 ", "x", "", "1,5"], [1, None, 2.5, None, None, None], [3, 5]),
        (["1e3", "-.5", "+2", "0x1", "NaN"], [1000, -0.5, 2, None, None], [3]),
        (["True", "false", "inf", "1e309"], [1, 0, None, None], [2, 3]),
        ([1, None, 3], [1, None, 3], []),
        ([True, None], [1, None], []),
        ([1.5, float("nan"), float("inf")], [1.5, None, None], [2]),
        ([None, None], [None, None], []),
    ],
)
def test_numbers_of_any_column(cells, expected, bad):
    value, is_bad = numbers(pa.array(cells))
    assert [None if np.isnan(v) else float(v) for v in value] == expected
    assert np.flatnonzero(is_bad).tolist() == bad


def test_a_column_of_no_numbers_is_refused_as_a_whole():
    with pytest.raises(values.NotReadableError, match="list"):
        numbers(pa.array([[1.0]]))


@pytest.mark.parametrize(
    ("cells", "unit", "timezone"),
    [
        (["2026-01-05T10:00:00Z"], "us", "Europe/Berlin"),
        (["2026-01-05 11:00:00+01:00"], "us", "UTC"),
        (["2026-01-05 11:00:00.000"], "us", "Europe/Berlin"),
        (["1767607200"], "s", "Europe/Berlin"),
        (["1767607200.0"], "s", "UTC"),
        ([1767607200000], "ms", "UTC"),
        ([1767607200.0], "s", "UTC"),
        ([1767607200000000000], "ns", "UTC"),
        ([datetime.datetime(2026, 1, 5, 11)], "us", "Europe/Berlin"),
        ([datetime.datetime(2026, 1, 5, 10, tzinfo=datetime.UTC)], "us", "Europe/Berlin"),
    ],
)
def test_times_of_any_column(cells, unit, timezone):
    time, bad = times(pa.array(cells), unit, timezone)
    assert time.tolist() == [UTC_2026] and not bad.any()


def test_times_of_mixed_and_broken_text():
    cells = ["2026-01-05T10:00:00Z", "05.01.2026 10:00", None, "2026-13-01 00:00:00", "x", "-5"]
    time, bad = times(pa.array([*cells, "2026-01-05 10:00:00", "1767607200"]), "s", "UTC")
    assert bad.tolist() == [False, True, True, True, True, True, False, False]
    assert time[~bad].tolist() == [UTC_2026] * 3


def test_an_epoch_in_the_wrong_unit_is_bad_not_1970():
    assert times(pa.array([1767607200]), "us", "UTC")[1].all()
    assert times(pa.array([1767607200000]), "s", "UTC")[1].all()


def test_local_clocks_over_summer_time():
    told = np.array(["2025-03-30T01:59", "2025-03-30T03:00", "2025-10-26T02:30"], "datetime64[us]")
    utc = local_to_utc(told.astype(np.int64), "Europe/Berlin").astype("datetime64[us]")
    assert [str(t)[:16] for t in utc] == [
        "2025-03-30T00:59", "2025-03-30T01:00", "2025-10-26T00:30",
    ]  # fmt: skip


def test_times_of_day():
    cells = ["07:16:30.444", "7:16:30,5", "12:00", "24:00:00", "noon", None]
    time, bad = times_of_day(pa.array(cells))
    assert time[:3].tolist() == [26_190_444_000, 26_190_500_000, 43_200_000_000]
    assert bad.tolist() == [False, False, False, True, True, True]
    clock = pa.array([datetime.time(7, 16, 30, 444_000)])
    assert times_of_day(clock)[0].tolist() == [26_190_444_000]


@given(
    start=st.integers(0, DAY_US - 1),
    steps=st.lists(st.integers(-500_000_000, DAY_US // 2 - 1), max_size=30),
    cut=st.integers(0, 30),
)
@settings(max_examples=200, deadline=None)
def test_the_day_counter_follows_a_clock_over_midnights(start, steps, cut):
    """Any clock that never jumps half a day, and never back before the day it began on."""
    true = [start]
    for step in steps:
        true.append(max(start, true[-1] + step))
    true = np.array(true)
    counter = DayCounter()
    of_day = true % DAY_US
    day = np.concatenate([counter.follow(of_day[:cut]), counter.follow(of_day[cut:])])
    assert day.tolist() == (true // DAY_US).tolist()


def everything(headers):
    return {name: position for position, name in enumerate(headers)}


def csv_source(**changes):
    return Source.model_validate({"format": "csv", "files": [{"glob": "*"}]} | changes)


def joined(path, source):
    rows, cells, broken = [], [], []
    for batch in read_batches(path, source, everything):
        rows += batch.row_R.tolist()
        cells += zip(*(column.to_pylist() for column in batch.columns.values()), strict=True)
        broken += [(number, text) for number, _, text in batch.broken]
    return rows, cells, broken


@given(lines=st.lists(st.sampled_from(["good", "short", "long", "empty"]), max_size=60))
@settings(max_examples=60, deadline=None)
def test_every_csv_line_keeps_its_number(lines, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    text = {"good": "1,{n}", "short": "{n}", "long": "1,2,{n}", "empty": ""}
    filled = [text[kind].format(n=n) for n, kind in enumerate(lines)]
    path.write_text("a,b\n" + "".join(line + "\n" for line in filled))
    numbered = [line for line in filled if line]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines_module, "BLOCK_BYTES", 64)  # many blocks
        rows, cells, broken = joined(path, csv_source())
    told = [(row, ",".join(c or "" for c in cell)) for row, cell in zip(rows, cells, strict=True)]
    assert told == [
        (n, line if "," in line else line + ",")  # what a short row lacks at its end is null
        for n, line in enumerate(numbered, 1)
        if line.count(",") < 2
    ]
    assert broken == [(n, line) for n, line in enumerate(numbered, 1) if line.count(",") == 2]


def test_csv_dialects(tmp_path):
    (tmp_path / "a.csv").write_bytes("a;größe\r\n1;2\r\n".encode("latin-1"))
    rows = joined(tmp_path / "a.csv", csv_source(delimiter=";", encoding="latin-1"))
    assert rows == ([1], [("1", "2")], [])
    (tmp_path / "b.csv").write_text('\ufeffa,"b, c"\n1,"x, y"\n', encoding="utf-8")
    assert joined(tmp_path / "b.csv", csv_source()) == ([1], [("1", "x, y")], [])
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert joined(tmp_path / "c.csv.gz", csv_source()) == ([1], [("1", "2")], [])
    (tmp_path / "d.csv").write_text("a,b")
    assert joined(tmp_path / "d.csv", csv_source()) == ([], [], [])


@pytest.mark.parametrize(
    ("content", "source"),
    [
        (b"", csv_source()),
        (b"no parquet", csv_source(format="parquet")),
    ],
)
def test_a_damaged_file_is_refused(content, source, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(FileRefusedError, match="unreadable file"):
        joined(tmp_path / "x", source)


def test_parquet_comes_in_batches_with_its_types(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_file, "BATCH_CELLS", 1)
    table = pa.table({"a": np.arange(3000), "b": ["x"] * 3000})
    pq.write_table(table, tmp_path / "x.parquet")
    batches = list(read_batches(tmp_path / "x.parquet", csv_source(format="parquet"), everything))
    assert [len(batch.row_R) for batch in batches] == [1024, 1024, 952]
    assert np.concatenate([batch.row_R for batch in batches]).tolist() == list(range(1, 3001))
    assert batches[0].columns["a"].type == pa.int64()


def test_half_a_parquet_file_is_refused(tmp_path):
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": np.arange(10_000)}), sink)
    (tmp_path / "x").write_bytes(sink.getvalue()[:-2000])
    with pytest.raises(FileRefusedError):
        joined(tmp_path / "x", csv_source(format="parquet"))
