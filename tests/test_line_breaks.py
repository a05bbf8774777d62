"""Rows that go on in the next line, because a text in quotes holds a line break."""

import pytest
from draft_kit import ROWS, log

from amad.reading.line_breaks import MOST_LINES, with_whole_names, without_breaks


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('1,"a\nb",3\n', '1,"a b",3\n'),
        ('1,"a\n\nb",3\n4,5,6\n7,8,"c\nd"\n', '1,"a  b",3\n4,5,6\n7,8,"c d"\n'),
        ('1,2,"a ""x"" b\nc"\n', '1,2,"a ""x"" b c"\n'),
        # A quote in the wrong place takes no row along,
        ('1,"a,3\n4,5,6\n7,b",9\n', None),
        ('1,"a,3\n4,b",6\n', None),
        ('1,2,"a\n4,5,b"\n', None),
        # nor does one whose row would have too many fields, or too few, or that is never closed.
        ('1,2,3,"a\nb"\n', None),
        ('1,"a\nb"\n', None),
        ('1,2,"a\nb\n', None),
        ('1,2,"a\n' + "b\n" * MOST_LINES + 'c"\n', None),
        ('1,2,3" pipe\n4,5,6" pipe\n', None),
    ],
)
def test_a_line_break_in_quotes_is_a_space(text, read):
    assert without_breaks(text.encode(), ",", 3, 3) == (read or text).encode()


def test_rows_with_notes_of_several_lines_are_read(field):
    field.write("a.csv", log(note=lambda n: '"driver\nsaid"' if n % 9 == 4 else ""))
    fleet, told = field.draft()
    assert "column 'time', ISO 8601; a row every 1 s" in told and f"{ROWS} rows of 1" in told
    counts = field.ingest(fleet)
    assert (counts.rows_lake, counts.rows_rejected) == (ROWS, 0)


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        (['"Time', '(UTC)","Speed', '[km/h]","Note"', "1,2,3"], 2),
        (["Pump 7", 'Zeit;"Druck', "", '[bar]";Temp', "1;2;3"], 3),
        (['"a ""x""', 'b",c', "1,2"], 2),
        (['time,"1 h', 'mean"', "1,2"], 2),
        # No header: a row, a quote in the wrong place, one that is never closed, one column.
        (['1,"a', 'b",3'], 2),
        (['Pipe 5" wide', "time,speed", 'Pipe 6" wide'], 3),
        (['time,"speed', "1,2", "3,4"], 3),
        (['"time', 'speed"', "1"], 3),
        (['"Comment: none', "time,speed", "1,2", '3,"4'], 4),
    ],
)
def test_a_header_over_several_lines_is_one(lines, read):
    found = with_whole_names([line.encode() for line in lines])
    assert len(found) == read
    assert b" ".join(found).decode() == " ".join(lines)


def test_names_that_are_broken_before_their_units_are_read(field):
    body = log(rows=ROWS, note=lambda n: "")[1:]
    header = ['"time', '(UTC)","Speed', '[km/h]","Note"']
    field.write("a.csv", [*header, *body, *header, *body[:9]])
    fleet, _ = field.draft()
    assert [(c.name, c.unit) for c in fleet.channels] == [("Speed", "km/h")]
    counts = field.ingest(fleet)
    assert (counts.rows_lake, counts.rows_rejected) == (ROWS, 9), "the last rows come twice"
