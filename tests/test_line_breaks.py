"""Rows that go on in the next line, because a text in quotes holds a line break."""

import pytest
from draft_kit import ROWS, log

from amad.reading.line_breaks import MOST_LINES, without_breaks


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
