"""Rows and headers of CSV files that go on in the next line: quoted texts hold line breaks."""

import re

import numpy as np

from amad.reading.fields import texts_of

MOST_LINES = 50  # that one row may have
MOST_OF_HEADER = 20  # lines that one header may have
LINE_FEED, QUOTE, SPACE = b'\n" '
DELIMITERS = ",;\t|"
OPENS = re.compile(r"(^|[,;\t|])[^\S\t]*\"(?:[^\"]|\"\")*$")  # the last quote of a line
VALUE = re.compile(r"\s*[-+]?[\d.,]+(e[-+]?\d+)?\s*|.*\d:\d\d.*", re.I)  # no name is one


def with_whole_names(lines: list[bytes]) -> list[bytes]:
    """The first lines of a file, of which those that a header takes with line breaks are one.

    A name such as Speed [km/h] is often broken before its unit. Only a text in quotes can be, and
    no field of the whole line may be a number or a time.
    """
    found: list[bytes] = []
    at = 0
    while at < len(lines):
        end = _end_of_header(lines, at)
        found.append(b" ".join(lines[at : end + 1]))
        at = end + 1
    return found


def _end_of_header(lines: list[bytes], at: int) -> int:
    """The last line of the header that begins in a line; the same line where none goes on."""
    if lines[at].count(b'"') % 2 == 0 or not OPENS.search(lines[at].decode(errors="replace")):
        return at
    for end in range(at + 1, min(at + MOST_OF_HEADER, len(lines))):
        if lines[end].count(b'"') % 2:
            text = b" ".join(lines[at : end + 1]).decode(errors="replace")
            told = (texts_of(text, delimiter) or [] for delimiter in DELIMITERS)
            whole = any(len(names) > 1 and not any(map(VALUE.fullmatch, names)) for names in told)
            return end if whole else at
    return at


def without_breaks(data: bytes, delimiter: str, named: int, width: int) -> bytes:
    """Whole lines in which each line break in quotes is a space, so that a row is one line.

    A row over several lines has as many fields as the header (``named`` to ``width``), and no line
    of it but the first can be a row by itself. What else a quote opens stays as it is: a quote in
    the wrong place must not swallow the rows after it.
    """
    if b'"' not in data:
        return data
    byte_N = np.frombuffer(data, np.uint8)
    end_L = np.flatnonzero(byte_N == LINE_FEED)
    quotes_L = np.diff(np.searchsorted(np.flatnonzero(byte_N == QUOTE), end_L), prepend=0)
    odd = np.flatnonzero(quotes_L % 2)
    if len(odd) < 2:
        return data
    start_L = np.concatenate([[0], end_L[:-1] + 1])
    mended = bytearray(data)
    at = 0
    while at + 1 < len(odd):
        first, last = int(odd[at]), int(odd[at + 1])
        near = range(first, last + 1) if last - first < MOST_LINES else ()
        lines = [data[start_L[line] : end_L[line]] for line in near]
        if lines and _is_row(lines, delimiter, named, width):
            for line in range(first, last):
                mended[end_L[line]] = SPACE
            at += 1
        at += 1
    return bytes(mended)


def _is_row(lines: list[bytes], delimiter: str, named: int, width: int) -> bool:
    """Are these lines one row, and none of them but the first a row?"""
    mark = delimiter.encode()
    if any(line.count(mark) + 1 >= named for line in lines[1:]):
        return False
    fields = texts_of(b" ".join(lines).decode(errors="replace"), delimiter)
    return fields is not None and named <= len(fields) <= width
