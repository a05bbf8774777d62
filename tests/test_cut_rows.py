"""Rows that the end of a recording cut, and lines that are no rows."""

import pytest
from reading_kit import seen, source

ROWS = [f"2026-01-05 08:00:{n:02d},{n}.25,{1234.5 + n}" for n in range(40)]
HEADER = "time,speed,temp"
CUT = "a cut row: its last value is cut or missing, as the rows before it show"


def read(tmp_path, text, **rules):
    path = tmp_path / "a.csv"
    path.write_text(text)
    return seen(path, source(**rules))


@pytest.mark.parametrize("last", ["2026-01-05 08:01:00,9.25,12", "2026-01-05 08:01:00,9.25,"])
@pytest.mark.parametrize("after", ["", f"\n{HEADER}\n2026-01-05 08:02:00,9.25,1300.5\n"])
def test_a_last_number_that_was_cut_is_refused(tmp_path, last, after):
    told = read(tmp_path, "\n".join([HEADER, *ROWS, last]) + after)
    assert told.broken == {41: CUT} and told.texts == [last]
    assert len(told.rows) == 40 + bool(after)


@pytest.mark.parametrize(
    ("rows", "last"),
    [
        (ROWS, "2026-01-05 08:01:00,9.25,1300.5"),
        (ROWS, "2026-01-05 08:01:00,9.25,-"),
        (ROWS[:9], "2026-01-05 08:01:00,9.25,12"),  # too few rows to tell how it is written
        ([f"08:00:{n:02d},1,{n / 4:g}" for n in range(40)], "08:01:00,1,7"),
        ([f"08:00:{n:02d},1,{n / 4:g}" for n in range(40)], "08:01:00,1,-"),
        ([f"08:00:{n:02d},1.5,{n}" for n in range(40)], "08:01:00,1.5,1"),
    ],
)
def test_a_last_row_that_may_be_whole_is_read(tmp_path, rows, last):
    told = read(tmp_path, "\n".join([HEADER, *rows, last]))
    assert not told.broken and len(told.rows) == len(rows) + 1


def test_a_last_row_with_a_line_end_is_read(tmp_path):
    told = read(tmp_path, "\n".join([HEADER, *ROWS, "2026-01-05 08:01:00,9.25,12"]) + "\n")
    assert not told.broken and told.rows[41][2] == "12"


def test_a_sparse_row_may_lack_its_last_value(tmp_path):
    text = "\n".join([HEADER, *ROWS, "2026-01-05 08:01:00,9.25,"])
    assert not read(tmp_path, text, format="csv_sparse").broken


def test_comments_and_lines_of_dashes_are_no_rows(tmp_path):
    text = "\n".join(
        [HEADER, "-----+-----", *ROWS[:2], "# pause", "//x", "[data]", *ROWS[2:], "#1,2,3", ""]
    )
    told = read(tmp_path, text)
    assert told.ignored == {"comment, name of a section or line of dashes": 4}
    assert list(told.rows) == list(range(1, 42)) and told.rows[41][0] == "#1"
