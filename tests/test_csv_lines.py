"""Lines of a CSV file to rows: a line is a row, whatever its commas and quotes say."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reading_kit import only, seen, source

from amad.reading import lines as text_lines
from amad.reading import unpack
from amad.reading.scan import clean_lines, delimiters, line_ends


def read(tmp_path, text, resolve=None, **changes):
    path = tmp_path / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return seen(path, source(**changes), *([resolve] if resolve else []))


@pytest.mark.parametrize("end", ["", ",", ",,", ", ,", " ,"])
def test_empty_fields_too_many_at_the_end_are_none(tmp_path, end):
    told = read(tmp_path, f"a,b\n1,2{end}\n3,4{end}\n5,6\n")
    assert [tuple(c.strip() for c in row) for row in told.rows.values()] == [
        ("1", "2"), ("3", "4"), ("5", "6"),
    ]  # fmt: skip
    assert not told.broken


def test_a_header_that_ends_in_the_delimiter_too(tmp_path):
    told = read(tmp_path, "a,b,\n1,2,\n3,4\n5,6,7\n", only("a", "b"))
    assert list(told.rows.values()) == [("1", "2"), ("3", "4"), ("5", "6")]


def test_a_row_with_a_field_too_many_tells_both_numbers(tmp_path):
    told = read(tmp_path, "a,b,c\n1,2,3\n1,2,3,4\n1,2,3,,5,\n")
    assert told.rows == {1: ("1", "2", "3")}
    assert told.broken == {
        2: "wrong number of fields: it has 4, the header 3",
        3: "wrong number of fields: it has 5, the header 3",
    }  # fmt: skip


@pytest.mark.parametrize("count", [1, 300])  # by hand, and many at once
def test_what_a_short_row_lacks_at_its_end_is_null(tmp_path, count):
    told = read(tmp_path, "a,b,c\n" + "1,2\n" * count + '"3"\n4,5,6\n')
    assert set(list(told.rows.values())[:count]) == {("1", "2", None)}
    assert list(told.rows.values())[count:] == [("3", None, None), ("4", "5", "6")]


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ("4,5", "after 2 of 3 fields"),
        ('4,"5', "in a quote"),
        ("4,5,", None),
        ("4,5,6", None),
        ("4,5\n", None),
    ],
)
def test_a_last_line_without_its_end_is_cut_where_it_lacks_fields(tmp_path, last, reason):
    told = read(tmp_path, "a,b,c\n1,2,3\n" + last)
    if reason is None:
        assert told.rows[2][:2] == ("4", "5") and not told.broken
    else:
        assert list(told.rows) == [1] and told.broken[2].startswith("a cut row")
        assert told.broken[2].endswith(reason)


def test_a_quote_that_is_not_closed_swallows_nothing(tmp_path):
    lines = [f"v1,{n},{n % 7}" for n in range(400)]
    lines[100] = 'v1,"100,2'
    lines[200] = '"v1,200,4'
    lines[300] = 'v1,300,"a" b'
    told = read(tmp_path, "\n".join(["vehicle,time,speed", *lines]) + "\n")
    assert sorted(told.broken) == [101, 201, 301] and len(told.rows) == 397
    assert all("quote" in reason for reason in told.broken.values())
    assert {row[0] for row in told.rows.values()} == {"v1"}


def test_quotes_that_are_closed_still_read(tmp_path):
    text = 'a,b,c\n"1, 2","say ""hi""",3\n "4" , "5;6" ,7\n"",\'8\',9\n'
    assert read(tmp_path, text).rows == {
        1: ("1, 2", 'say "hi"', "3"), 2: ("4", "5;6", "7"), 3: (None, "'8'", "9"),
    }  # fmt: skip


def test_a_stray_quote_matters_only_in_a_column_that_is_read(tmp_path):
    text = 'vehicle,note,speed\nv1,5" pipe,3\nv1",x,4\nv1,x,5\n'
    told = read(tmp_path, text, only("vehicle", "speed"))
    assert told.rows == {1: ("v1", "3"), 3: ("v1", "5")}
    assert told.broken == {2: "a stray quote: in column 'vehicle'"}
    # In a channel's column the cell is refused anyway, as it is no number.
    assert read(tmp_path, text, only("note", "speed")).rows[1] == ('5" pipe', "3")


def test_a_text_that_a_spreadsheet_writes_as_a_formula_is_one_in_quotes(tmp_path):
    text = 'vehicle,speed\n="0012",="1,5"\n0013,2\n="0014,3\n'
    told = read(tmp_path, text)
    assert told.rows == {1: ("0012", "1,5"), 2: ("0013", "2")} and "quote" in told.broken[3]


cells = st.text(st.sampled_from('ab1,";| \t'), max_size=4)


@given(rows=st.lists(st.lists(cells, min_size=3, max_size=3), max_size=12))
@settings(max_examples=150)
def test_what_a_csv_writer_writes_is_read_again(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["x", "y", "z"])
        writer.writerow([1, 2, 3])  # text alone under the header would be units
        writer.writerows(rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_lines, "BLOCK_BYTES", 32)
        told = seen(path, source())
    assert not told.broken
    cells = [[(cell or "").strip() for cell in row] for row in told.rows.values()]
    assert cells == [["1", "2", "3"], *([cell.strip() for cell in row] for row in rows)]


@given(lines=st.lists(st.text(st.sampled_from('a,"\x00é'), max_size=9), min_size=1, max_size=20))
@settings(max_examples=150)
def test_lines_that_look_clean_are_split_alike_by_everybody(lines):
    data = "".join(line + "\n" for line in lines).encode()
    end_L = line_ends(data)
    count_L = delimiters(data, end_L, ",")
    clean = clean_lines(data, np.append(0, end_L[:-1] + 1), end_L, count_L, ",", 3)
    for line, is_clean in zip(lines, clean, strict=True):
        if is_clean:
            assert len(next(csv.reader([line], strict=True))) == 3 and "\0" not in line
        elif '"' not in line and "\0" not in line:
            assert line.count(",") != 2


@given(lines=st.lists(st.text(st.sampled_from(',"1é'), max_size=200), max_size=9))
def test_delimiters_are_counted_in_each_line(lines):
    data = "".join(line + "\n" for line in lines).encode()
    count_L = delimiters(data, line_ends(data), ",")
    assert count_L.tolist() == [line.count(",") for line in lines]


def test_a_header_is_found_again_in_other_letters(tmp_path):
    told = read(tmp_path, "a,Time\n1,1\nA,TIME\n2,2\n")
    assert told.rows == {1: ("1", "1"), 2: ("2", "2")} and told.ignored == {"repeated header": 1}


def test_rows_are_numbered_over_blocks_headers_and_empty_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", 16)
    lines = ["1,1", "", "2,2", "a,b", "3,3,3", "   ", "4,4", "a,b,", "5,5"]
    told = read(tmp_path, "a,b\r\n" + "\r\n".join(lines))
    assert told.rows == {n: (str(n), str(n)) for n in (1, 2, 4, 5)}
    assert list(told.broken) == [3] and told.ignored == {"repeated header": 2}


def test_a_line_of_many_megabytes_is_one_refused_row(tmp_path, monkeypatch):
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", 1 << 12)
    monkeypatch.setattr(text_lines, "LONGEST_LINE_BYTES", 1 << 14)
    monkeypatch.setattr(unpack, "CHUNK_BYTES", 1 << 10)
    told = read(tmp_path, "a,b\n1,1\n" + "x" * 100_000 + "\n3,3\n" + "y" * 100_000)
    assert told.rows == {1: ("1", "1"), 3: ("3", "3")} and list(told.broken) == [2, 4]
    assert all(len(text) < 3000 for text in told.texts)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end(tmp_path, monkeypatch, end):
    monkeypatch.setattr(text_lines, "BLOCK_BYTES", 8)
    told = read(tmp_path, end.join(["a,b", *(f"{n},{n}" for n in range(9))]))
    assert list(told.rows.values()) == [(str(n), str(n)) for n in range(9)]


def test_spaces_around_cells_are_none_of_theirs(tmp_path):
    told = read(tmp_path, "a, b ,c\n1, 2 ,3\n  4 , - , \n5,6,7\n", only("a", "b", "c"))
    assert list(told.rows.values()) == [("1", "2", "3"), ("4", None, None), ("5", "6", "7")]


def test_words_for_null_come_as_null(tmp_path):
    words = ["-", "--", "---", "NaN", "null", "None", "n/a", "NA", "#N/A", "nil", "", "9999", "x"]
    told = read(tmp_path, "a,b\n" + "".join(f"1,{word}\n" for word in words), nulls=["9999"])
    # The fleet file's own words are left to numbers.py, which counts them.
    assert [row[1] for row in told.rows.values()] == [None] * 11 + ["9999", "x"]


def test_lines_with_zeros_or_bytes_of_another_encoding_are_refused_alone(tmp_path):
    told = read(tmp_path, b"a,b\n1,1\n2,\0\0\n3,\xb0C\n" + "4,°C\n".encode() + b"\0\0\0\0")
    assert told.rows == {1: ("1", "1"), 4: ("4", "°C")}
    assert "zeros" in told.broken[2] and "0xb0" in told.broken[3]
    assert "source.encoding" in told.broken[3]


pieces = st.sampled_from([
    b"time", b"speed", b",", b",", b'"', b'""', b"\n", b"\r\n", b"\r", b"1", b"2.5", b"\0", b"\xff",
    b"\xc3\xa9", b" ", b"time,speed\n", b"speed,time\n", b"\xef\xbb\xbf", b";", b"x" * 40,
])  # fmt: skip


@given(body=st.lists(pieces, max_size=40), block=st.sampled_from([8, 40, 1 << 20]))
@settings(max_examples=200)
def test_whatever_a_file_holds_each_line_has_one_fate(body, block, tmp_path_factory):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(b"time,speed\n1,2\n" + b"".join(body))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_lines, "BLOCK_BYTES", block)
        patch.setattr(unpack, "CHUNK_BYTES", block)
        told = seen(path, source(), only("time", "speed"))
    numbers = sorted([*told.rows, *told.broken])
    assert numbers == list(range(1, len(numbers) + 1))
    assert not told.refused or "another header" in told.refused


def test_memory_does_not_grow_with_the_file(tmp_path):
    """Blocks are cut from the stream as they come."""
    pieces = (b"1,2\n" * 1000 for _ in range(5000))
    sizes = [len(block.data) for block in text_lines.blocks(pieces, "utf-8")]
    assert sum(sizes) == 20_000_000 and max(sizes) < 1.1 * text_lines.BLOCK_BYTES
    assert np.min(sizes) > 0
