"""The marks in the numbers of text files: the one before fractions and the one in thousands."""

import re

import pyarrow as pa
import pyarrow.compute as pc

from amad.draft.long_names import SIGNAL
from amad.draft.sample import Sampled, some_of
from amad.reading.headers import name_and_unit
from amad.reading.numbers import Marks, hide_thousands, is_text

GROUP = " '\u00a0\u202f\u2007\u2009\u2019"  # marks between thousands
UNIT = r"[^\s\d.,;'+-][^\d,;]{0,11}"  # behind a number
COMMA = rf"^\s*[+-]?\d+(?:[{GROUP}]\d{{3}})*,\d+(?:[eE][+-]?\d+)?\s*({UNIT})?\s*$"
# For quoted cells of a file with comma as delimiter: 1,5 is a fraction, but 1,500 may be 1500.
NO_GROUPS = r"^\s*[+-]?(\d+,(\d{1,2}|\d{4,})|0,\d+|\d{4,},\d+)\s*$"
POINT = rf"^\s*[+-]?\d+\.\d+\s*({UNIT})?\s*$"
GROUPS = r"^\s*[+-]?\d{1,3}(\.\d{3})+\s*$"
# One mark with three digits behind it, which may set thousands apart or be before a fraction.
LONE_GROUP = r"^\s*[+-]?[1-9]\d{0,2}[.,]\d{3}\s*$"


def marks_of(samples: list[Sampled]) -> Marks:
    """The decimal mark, a comma only if the cells show it; and that of thousands, if they do."""
    decimal = "," if _shows_comma(_marks(samples)) else "."
    other = Marks(decimal, None).other
    texts = (c for s in samples if s.dialect for c in _of_one_quantity(s) if is_text(c.type))
    return Marks(decimal, other if any(_shows_groups(c, decimal, other) for c in texts) else None)


def _of_one_quantity(sample: Sampled) -> list[pa.Array]:
    """The columns, but none of a file with a column of signals, whose values stand in another."""
    is_long = any(SIGNAL.fullmatch(name_and_unit(header)[0].strip()) for header in sample.headers)
    return [] if is_long else list(sample.columns.values())


def _shows_groups(column: pa.Array, decimal: str, mark: str) -> bool:
    """Are there cells such as 1.000, and others that show that their mark sets thousands apart?

    Others show it if they are 1.234,5, or below 1000 and of three digits before the fraction.
    """
    point, group = re.escape(decimal), re.escape(mark)
    told = pc.unique(pc.drop_null(some_of(column)))
    is_marked = pc.match_substring(told, mark)
    marked, rest = told.filter(is_marked), told.filter(pc.invert(is_marked))
    grouped = pc.match_substring_regex(
        marked, rf"^\s*[+-]?\d{{1,3}}({group}\d{{3}})+({point}\d*)?\s*$"
    )
    lone = pc.match_substring_regex(marked, LONE_GROUP)
    if not (pc.any(lone).as_py() and pc.all(grouped).as_py()):
        return False
    if not pc.all(lone).as_py():
        return True
    long = pc.match_substring_regex(rest, r"\d{4}")
    hundreds = pc.match_substring_regex(rest, rf"^\s*[+-]?\d{{3}}({point}\d*)?\s*$")
    return bool(pc.any(hundreds).as_py() and not pc.any(long).as_py())


def _shows_comma(marks: tuple[int, int, int]) -> bool:
    commas, points, thousands = marks
    return commas > points or (thousands > 0 and points == 0)


def lone_groups(columns: dict[str, list[pa.Array]], mark: str) -> dict[str, str]:
    """Header -> a cell, of the columns that have the mark, if it may set thousands apart in all.

    It may where all cells that have it have three digits behind it and no zero before.
    """
    found: dict[str, str] = {}
    for header, cells in columns.items():
        for column in map(some_of, filter(lambda column: is_text(column.type), cells)):
            marked = column.filter(pc.match_substring(column, mark))
            if not len(marked):
                continue
            if not pc.all(pc.match_substring_regex(marked, LONE_GROUP)).as_py():
                return {}
            found.setdefault(header, str(marked[0]))
    return found


def of_other_decimal(samples: list[Sampled]) -> list[Sampled]:
    """The files whose fractions are written with another mark than those of most files."""
    told = {sample.path: _marks([sample]) for sample in samples}
    comma = [s for s in samples if _shows_comma(told[s.path])]
    point = [s for s in samples if told[s.path][1] > told[s.path][0]]
    return min(comma, point, key=lambda found: sum(sample.size for sample in found))


def _marks(samples: list[Sampled]) -> tuple[int, int, int]:
    """Cells with a comma before a fraction, a point before one, and a point that groups."""
    if samples[0].dialect is None:
        return 0, 0, 0
    comma = COMMA if samples[0].dialect.delimiter != "," else NO_GROUPS
    commas = points = thousands = 0
    for sample in samples:
        for column in sample.columns.values():
            if not is_text(column.type):
                continue
            commas += _count(column, comma)
            pointed = _count(column, POINT)
            grouped = _count(column, GROUPS)
            points += pointed if grouped < pointed else 0
        for column in filter(lambda c: is_text(c.type), _of_one_quantity(sample)):
            # As in 998, 999, 1.000; 18.250 alone may be either.
            thousands += int(hide_thousands(pc.utf8_trim_whitespace(column), ".").sum())
    return commas, points, thousands


def _count(column: pa.Array, pattern: str) -> int:
    return pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0
