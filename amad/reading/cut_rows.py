"""Rows that the end of a recording cut: in the last line of a file, or before a repeated header.

A number that was cut is a number, too: 1433.5 becomes 14. Where the rows before show how the last
column is written, the cut one is recognised and refused.
"""

import re

from amad.config.source import Source
from amad.reading.fields import texts_of
from amad.reading.layout import Layout

ROWS_BEFORE = 20  # rows whose last fields are looked at
DECIMALS = re.compile(r"\s*[+-]?\d*[.,](\d+)\s*")
NUMBER = re.compile(r"\s*[+-]?(\d+[.,]?\d*|[.,]\d+)\s*")


def is_cut(before: list[bytes], line: bytes, layout: Layout, source: Source) -> bool:
    """Does the row end too early, by what the rows before it have in their last column?

    It does if these all have so many decimals and it has fewer, or if, in a wide file, these all
    have a value and it has none.
    """
    last = layout.named - 1
    if len(before) < ROWS_BEFORE or last not in layout.position.values():
        return False
    told = [_field(row, last, source.delimiter) for row in before]
    own = _field(line, last, source.delimiter)
    if not own.strip():
        return source.format == "csv" and all(text.strip() for text in told)
    decimals = {len(match[1]) if match else 0 for match in map(DECIMALS.fullmatch, told)}
    if len(decimals) > 1 or 0 in decimals or not NUMBER.fullmatch(own):
        return False
    match = DECIMALS.fullmatch(own)
    return (len(match[1]) if match else 0) < decimals.pop()


def of_short_rows(rows: int, example: str = "") -> str:
    """What is told of rows with fewer fields than the header, such as those of a file."""
    return (
        f"{rows:,} rows have fewer fields than the header{example}: their last columns count as "
        "missing; if a field in their middle is left out, values stand in wrong columns"
    )


def _field(line: bytes, at: int, delimiter: str) -> str:
    fields = texts_of(line.decode(errors="replace"), delimiter) or []
    return fields[at] if at < len(fields) else ""
