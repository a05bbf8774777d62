"""Raw files as streams: headers however spelt, cells of any type, row numbers that hold."""

import gzip
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_kit import everything
from reading_kit import source as csv_source

from amad.reading import lines as lines_module
from amad.reading import parquet_file
from amad.reading.headers import AmbiguousHeaderError, Headers, find
from amad.reading.numbers import numbers
from amad.reading.readers import FileRefusedError, read_batches


@pytest.mark.parametrize(
    ("name", "headers", "position"),
    [
        ("Temp [°C]", ["Time", "Temp [°C]"], 1),
        ("Temp [°C]", ["Time", "Temp [Â°C]"], 1),
        ("Temp [°C]", ["Time", "Temp [Ã‚Â°C]"], 1),
        ("Temp [°C]", ["\ufeffTemp [℃]", "Time"], 0),
        ("Vehicle speed", ["  vehicle  SPEED ", "x"], 0),
        ("Vehicle Speed [km/h]", ["vehicle_speed", "vehiclespeed"], 0),
        ("cell_1_1", ["cell_11", "cell_1"], None),
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


def joined(path, source):
    rows, cells, broken = [], [], []
    for batch in read_batches(path, source, everything):
        rows += batch.row_R.tolist()
        cells += zip(*(column.to_pylist() for column in batch.columns.values()), strict=True)
        broken += [(number, text) for number, _, text in batch.broken]
    return rows, cells, broken


@given(lines=st.lists(st.sampled_from(["good", "short", "long", "empty"]), max_size=60))
@settings(max_examples=60)
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


CELLS = st.sampled_from([
    "1", "-2.50", "1e3", "", "nan", "NaN", " 7 ", "inf", "-inf", "9007199254740993", "1e30", "err",
    "12 %", "true", "1,5", "+3", "-999", "0x1F", "\"4\"", "-0.0",
])  # fmt: skip


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6))
@settings(max_examples=80)
def test_plain_columns_read_as_numbers_are_those_of_their_text(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "a.csv"
    path.write_text("x;y\n" + "".join(f"{x};{y}\n" for x, y in rows))
    source = csv_source(delimiter=";")
    (text,) = read_batches(path, source, everything)
    (quick,) = read_batches(path, source, everything, ["x", "y"])
    assert {n: c.to_pylist() for n, c in quick.cells().items()} == {
        n: c.to_pylist() for n, c in text.columns.items()
    }
    for name in ("x", "y"):
        by_text, by_number = (
            numbers(batch.columns[name], nulls=["-999", "err"]) for batch in (text, quick)
        )
        np.testing.assert_array_equal(by_text.value_R, by_number.value_R)
        np.testing.assert_array_equal(by_text.null_R, by_number.null_R)
        assert [(r.tolist(), w) for r, w in by_text.refused] == [
            (r.tolist(), w) for r, w in by_number.refused
        ]


def test_a_block_of_plain_numbers_is_read_as_numbers_and_keeps_its_text(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1.50,a\n,b\n")
    (batch,) = read_batches(tmp_path / "a.csv", csv_source(), everything, ["x"])
    assert batch.columns["x"].type == pa.float64() and batch.columns["x"].to_pylist() == [1.5, None]
    assert batch.cells()["x"].to_pylist() == ["1.50", None]


def test_of_several_names_of_a_column_a_file_has_one():
    names = ["rpm", "engine_rpm"]
    assert Headers(["time", "Engine RPM"]).find_any(names) == 1
    assert Headers(["time", "RPM"]).find_any(names) == 1
    assert Headers(["time", "speed"]).find_any(names) is None
    with pytest.raises(AmbiguousHeaderError, match="'rpm', 'engine rpm' match 'rpm' or 'engine"):
        Headers(["rpm", "engine rpm"]).find_any(names)
