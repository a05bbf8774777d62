"""How a text file is written: its encoding, its delimiter, and which line is its header."""

import re
from collections import Counter
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Literal

from amad.draft.clock_rule import NAMED, TIME
from amad.draft.foreign_text import foreign
from amad.reading.batch import FileRefusedError
from amad.reading.fields import texts_of, without_empty_end
from amad.reading.headers import name_and_unit
from amad.reading.json_file import JSON
from amad.reading.layout import END_OF_HEADER, HEADER_WITHIN_LINES, NUMERIC
from amad.reading.line_breaks import with_whole_names
from amad.reading.line_protocol import is_line
from amad.reading.lines import WideTextError, blocks, refuse_bytes
from amad.reading.units import is_known
from amad.reading.unpack import unpacked

DELIMITERS = ",;\t|~^\x01"  # the last one is Hive's
CLOCK = re.compile(  # a header holds no times
    r"(?<![+-]\d)(?<![+-])\d:\d\d|\d{4}([-/.])\d\d\1\d\d|\b\d\d?([-/.])\d\d?\2(19|20)\d\d\b"
)
ANNOTATION = re.compile("#(group|datatype|default),")  # above the header of a table of InfluxDB
# Under the names of a listing that SQL*Plus or sqlcmd printed.
RULED = re.compile(r"-{2,}( +-{2,})+\s*")
ALIGNED = re.compile(r"\S {2,}\S.* {2,}\S")
# Tried in this order where a text is no UTF-8; the first one where none can decode all bytes.
ENCODINGS = ("cp1252", "cp932")
CHINESE, KOREAN = "gb18030", "cp949"
GUESSED = (*ENCODINGS, CHINESE, KOREAN)
# The first of the two bytes of a character in GB 2312: of a mark, and of one that is common.
OF_MARKS, OF_COMMON = range(0xA1, 0xA4), range(0xB0, 0xD8)
LAST_OF_HANGUL = 0xC8  # Korean syllables have no higher first byte
FEWEST_COMMON, MOSTLY_COMMON = 4, 0.9  # characters, and share of all that are not ASCII
SETTING = re.compile(r"[^:]{1,40}: +\S")  # such as Time zone: CET, Amsterdam
COMMENT = re.compile("comments?|remarks?|notes?|kommentar|bemerkung", re.I)  # a last column
SECOND_LINE = (
    "line {} names several columns alike, and the line below it goes on with their names ({}...): "
    "write both into one line, a name for each column"
)
SHOWN = 60  # characters of a line in a message
LINES = 400  # lines that are looked at
ROWS = 50  # rows after a line that show whether it is their header
LEAST_FIT = 0.6  # share of these rows that must fit it
MOST_LIKE_ROWS = 3  # lines of a preamble, such as serial numbers, that look like rows
MOST_SETTINGS = 20  # the same, below names of which none is of a time


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What ``source`` must say so that the file is split into fields, and its header."""

    encoding: str
    format: Literal["csv", "json"] = "csv"
    delimiter: str = ","
    headers: tuple[str, ...] = ()  # of JSON, the whole file tells them


def dialect_of(path: Path) -> Dialect:
    """Look at the beginning of a text file.

    Raises:
        FileRefusedError: it is no text, or no line of it looks like a header.
    """
    encoding, lines = _lines(path)
    refuse_bytes("\n".join(lines))
    told = [line for line in lines if line.strip()]
    is_json = JSON.match("\n".join(lines)) or sum(map(bool, map(JSON.match, told))) > len(told) / 2
    if is_json or is_line(next((line for line in told if line[0] != "#"), "")):
        return Dialect(encoding=encoding, format="json")
    what = foreign(lines)
    if what is not None:
        raise FileRefusedError(f"it is {what}")
    found = _headers(lines, DELIMITERS) or _headers(lines, " ")
    if not found:
        raise FileRefusedError(
            f"no line looks like a header with rows of values below it{_remedy(lines)}"
        )
    _, at, headers, delimiter = max(found, key=itemgetter(0))
    if _goes_on(headers, next((texts_of(x, delimiter) or [] for x in lines[at + 1 :] if x), [])):
        raise FileRefusedError(SECOND_LINE.format(at + 1, lines[at + 1][:SHOWN]))
    return Dialect(encoding=encoding, delimiter=delimiter, headers=tuple(headers))


def _goes_on(headers: list[str], below: list[str]) -> bool:
    """Do several columns have one name, and does the line below tell their own ones?"""
    pairs = [(name.strip(), own.strip()) for name, own in zip(headers, below, strict=False)]
    often = Counter(name for name, _ in pairs if name)
    again = [(name, own) for name, own in pairs if often[name] > 1]
    are_names = again and _names(below) and all(own and not is_known(own) for _, own in again)
    return bool(are_names and len({*again}) == len(again))


def _remedy(lines: list[str]) -> str:
    """What to do with a text in which no header was found."""
    told = [line.strip() for line in lines if line.strip()]
    if told and told[0].count('"') % 2:
        return "; a quoted text in its first line goes on in the next: write each name on one line"
    if sum(line[0] == line[-1] == '"' and line.count('"') == 2 for line in told) > len(told) / 2:
        return "; each line stands in quotes as a whole: write the lines without them"
    if sum('\\"' in line for line in told) > len(told) / 2:
        return "; its quotes are marked with a backslash: double them instead"
    if any(map(RULED.fullmatch, told)):
        return (
            "; it seems to be what a query printed on a screen: export its rows as CSV (in "
            "SQL*Plus: SET MARKUP CSV ON; in sqlcmd: -s, -W)"
        )
    if len(told) < 2:
        return "; it holds one line only" * len(told)
    if all(map(ALIGNED.search, told[:ROWS])):
        return "; its columns seem to be aligned by runs of spaces: write one comma instead of each"
    tables = [[texts_of(line, d) or [] for line in told[:ROWS]] for d in f"{DELIMITERS} "]
    for rows in tables:
        if fields := _fields_below_names(rows):
            return (
                f"; its first line names {len(rows[0])} columns, and the rows below it have "
                f"{fields} fields: name each column (R needs row.names = FALSE), and write "
                "fractions with a point where commas part the columns"
            )
    if any(map(_names_times, tables)):
        return "; its first line holds times: write a row for each of them, below the names"
    if any(map(_begins_at_once, tables)):
        return "; its rows begin at once: put a line with the columns' names before them"
    return ""


def _fields_below_names(rows: list[list[str]]) -> int:
    """The number of fields of the rows, if the first line names fewer columns; else 0."""
    head, *below = rows
    fewest = min(map(len, below), default=0)
    if not 1 < len(head) < fewest or not _names(head) or not any(map(_is_row, below)):
        return 0
    return max(map(len, below))


def _names_times(rows: list[list[str]]) -> bool:
    """Does the first line hold a name and times behind it?"""
    name, *times = rows[0]
    return len(times) > 2 and not CLOCK.search(name) and all(map(CLOCK.search, times))


def _begins_at_once(rows: list[list[str]]) -> bool:
    """Is there no line of names: is a line all numbers and times, or is one column all numbers?"""
    if len(rows[0]) > 1 and _names(rows[0]):
        return False
    if any(len(row) > 1 and _is_row(row) for row in rows):
        return True
    widths = {len(row) for row in rows}
    columns = zip(*rows, strict=True) if len(rows) > 1 and len(widths) == 1 != max(widths) else ()
    return any(all(NUMERIC.fullmatch(x) and x.strip() for x in column) for column in columns)


def _is_row(fields: list[str]) -> bool:
    """Is this a row of values: all of them numbers, or numbers and a time?"""
    bare = [text.strip() for text in fields]
    numeric = sum(bool(text and NUMERIC.fullmatch(text)) for text in bare)
    return all(map(NUMERIC.fullmatch, bare)) or (numeric > 0 and any(map(CLOCK.search, bare)))


def _headers(lines: list[str], delimiters: str) -> list[tuple[float, int, list[str], str]]:
    """For each delimiter with a header: how well it fits, its line, its fields, the delimiter."""
    found = ((_header(lines, delimiter), delimiter) for delimiter in delimiters)
    return [(*header, delimiter) for header, delimiter in found if header is not None]


def _lines(path: Path) -> tuple[str, list[str]]:
    encoding = "utf-8"
    try:
        data = _beginning(path, encoding)
    except WideTextError as error:
        encoding = error.args[0]
        data = _beginning(path, encoding)
    try:
        data.decode()
    except UnicodeDecodeError:
        fits = (e for e in ENCODINGS if b"\0" not in _beginning(path, e))
        encoding = _of_east_asia(path) or next(fits, ENCODINGS[0])
        data = _beginning(path, encoding)
    lines = with_whole_names(data.split(b"\n", LINES)[:LINES])
    return encoding, [line.decode(errors="replace") for line in lines]


def _of_east_asia(path: Path) -> str | None:
    """The encoding of a Chinese or Korean text: nearly all of its characters are common ones.

    Accents of Latin letters stand alone, and make no such pairs of bytes with what is behind them.
    """
    text = _beginning(path, CHINESE).decode()
    pairs = [character.encode(CHINESE) for character in text if not character.isascii()]
    firsts = [pair[0] for pair in pairs if len(pair) == 2 and pair[1] > 0xA0]
    common = [first for first in firsts if first in OF_COMMON]
    usual = len(common) + sum(first in OF_MARKS for first in firsts)
    if "\0" in text or len(common) < FEWEST_COMMON or usual < MOSTLY_COMMON * len(pairs):
        return None
    is_korean = max(common) <= LAST_OF_HANGUL and b"\0" not in _beginning(path, KOREAN)
    return KOREAN if is_korean else CHINESE


def _beginning(path: Path, encoding: str) -> bytes:
    block = next(blocks(unpacked(path), encoding), None)
    if block is None:
        raise FileRefusedError("it is empty")
    return block.data


def _header(lines: list[str], delimiter: str) -> tuple[float, int, list[str]] | None:
    """How well the header fits its rows, its line and its fields; None if there is none.

    Lines before the header, and lines of units below it, may look like one too. Of several lines
    of names with nothing else between them and the rows, the header is the first that names a time
    or a unit and is no setting, or else the first. A few lines without a time that look like rows,
    such as serial numbers, may stand above a header that names a time.
    """
    rows = [texts_of(line, delimiter) or [] for line in lines]
    found: list[tuple[float, int, list[str]]] = []
    end = len(rows)  # the first line of values below
    start = max((at for at, line in enumerate(lines) if END_OF_HEADER.fullmatch(line)), default=0)
    for at, fields in enumerate(rows[:HEADER_WITHIN_LINES]):
        told = without_empty_end(fields)
        if at < start or len(told) < 2 or ANNOTATION.match(lines[at]):
            continue
        if not _names(told):
            if found and len(fields) >= len(without_empty_end(found[0][2])):
                end = min(end, at)
                timed = any(map(NAMED.search, found[0][2]))
                most = MOST_LIKE_ROWS if timed else MOST_SETTINGS
                if at - end >= most or (timed and any(map(CLOCK.search, told))):
                    break
            continue
        if at > end and not any(map(NAMED.search, told)):
            continue
        after = [row for row in rows[at + 1 :] if without_empty_end(row)][:ROWS]
        least = len(told) - bool(COMMENT.fullmatch(told[-1].strip()))  # which rows may lack
        fit = [
            len(row) >= least
            and len(without_empty_end(row)) <= len(fields)
            and any(character.isdigit() for text in row for character in text)
            for row in after
        ]
        share = sum(fit) / len(fit) if fit else 0
        if share >= LEAST_FIT:
            found.append((share * len(told), at, fields))
    if not found:
        return None
    near = [
        header
        for header in found
        if all(len(row) >= len(without_empty_end(header[2])) for row in rows[header[1] + 1 : end])
    ]
    named = [header for header in near if any(map(_names_time_or_unit, header[2]))]
    plain = [header for header in named if not SETTING.match(header[2][0])]
    return (plain or named or near or found)[0]


def _names_time_or_unit(field: str) -> bool:
    return bool(NAMED.search(field) or name_and_unit(field)[1])


def _names(fields: list[str]) -> bool:
    """Are these names and not a row of values? Beside the name of a time, others may be numbers."""
    numeric = sum(bool(name.strip() and NUMERIC.fullmatch(name)) for name in fields)
    few = numeric < len(fields) / 4 or any(TIME.fullmatch(name.strip()) for name in fields)
    return few and not any(CLOCK.search(name) for name in fields)
