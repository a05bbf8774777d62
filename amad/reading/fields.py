"""One line is split into fields and joined again: the slow way, for lines that are not clean.

A quote must be closed in the line that opens it; otherwise the line is refused. So a stray quote
never takes the lines after it along.
"""

import re
from functools import lru_cache

UNCLOSED = "a quote that is not closed in its line, or stands in the wrong place"


class BrokenLineError(ValueError):
    """The line is no row; the message says why."""


def split(line: str, delimiter: str) -> list[tuple[str, bool]]:
    """The fields of a line and whether each was quoted; quotes are taken off.

    A spreadsheet's ="0012", which keeps the zeros of an id, is a field in quotes, too.

    Raises:
        BrokenLineError: a field begins with a quote that is not closed at its end.
    """
    if '"' not in line:
        return [(text, False) for text in line.split(delimiter)]
    fields: list[tuple[str, bool]] = []
    at, field = 0, _field(delimiter)
    while at <= len(line):
        match = field.match(line, at)
        assert match is not None
        quoted, bare = match["quoted"], match["bare"]
        if quoted is None and bare.lstrip().removeprefix("=").startswith('"'):
            raise BrokenLineError(UNCLOSED)
        fields.append((bare, False) if quoted is None else (quoted.replace('""', '"'), True))
        at = match.end() + 1
    return fields


def texts_of(line: str, delimiter: str) -> list[str] | None:
    """The fields of a line; None if a quote in it is not closed, or stands in the wrong place."""
    try:
        return [text for text, _ in split(line.lstrip("\ufeff"), delimiter)]
    except BrokenLineError:
        return None


def join(fields: list[str], delimiter: str) -> str:
    """The fields as one line, with quotes where a CSV reader needs them."""
    return delimiter.join(
        '"' + text.replace('"', '""') + '"' if '"' in text or delimiter in text else text
        for text in fields
    )


def without_empty_end(fields: list[str]) -> list[str]:
    """The fields without the empty ones at the end."""
    count = len(fields)
    while count and not fields[count - 1].strip():
        count -= 1
    return fields[:count]


@lru_cache(maxsize=8)
def _field(delimiter: str) -> re.Pattern:
    d = re.escape(delimiter)
    space = r"[^\S\t]*" if delimiter == "\t" else ("" if delimiter == " " else r"\s*")
    return re.compile(rf'{space}=?"(?P<quoted>(?:[^"]|"")*)"{space}(?={d}|$)|(?P<bare>[^{d}]*)')
