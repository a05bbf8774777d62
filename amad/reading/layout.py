"""The header of a CSV file: which line it is, and how the lines after it are split into fields."""

import math
import re
from dataclasses import dataclass

from amad.config.source import Source
from amad.reading.batch import NOTHING, FileRefusedError, Resolve
from amad.reading.fields import BrokenLineError, join, split, texts_of, without_empty_end
from amad.reading.headers import tidy
from amad.reading.json_file import JSON
from amad.reading.lines import FIRST, refuse_bytes
from amad.reading.numbers import FALSE_WORDS, NULL_WORDS, TRUE_WORDS, shown
from amad.reading.units import TENTHS, is_known

HEADER_WITHIN_LINES = 100
EMPTY = b'""'  # a row with one empty field, because an empty line is no row
CUT = "a cut row: the file ends in it, without a line end, {}"
DELIMITERS = {",": "','", ";": "';'", "\t": r'"\t"', "|": "'|'"}
BEFORE = "a row before the header"
# The names under which columns are read that hold no channel's value.
NO_VALUES = {
    "timestamp",
    "timestamp, second",
    "timestamp, parts",
    "start",
    "vehicle",
    "signal",
    "label",
}
# A cell of a row begins so, or is one of these words; "1/min" does not.
VALUE = re.compile(rf"[-+]?[.,]?\d(?!/)|({'|'.join((*TRUE_WORDS, *FALSE_WORDS))})$")
# A header of times: at most two words, of which one says so.
NAMES_TIME = re.compile(r"^(\S+ )?\S*(time|date|stamp|zeit|datum|utc)\S*( \S+)?$")
# Of a column, such as f8, float64 and Nullable(DateTime64(3)).
TYPE = re.compile(r"[a-z]+\d{1,2}|([a-z]+\d{0,2}\()+[^()]*\)+", re.I)
END_OF_HEADER = re.compile(r"\W*end[ _-]*of[ _-]*header\W*", re.I)  # a line above the names
TIME = re.compile(r"(?!\s*[^\W\d]\w*\s*$).*\d")  # has a digit, and is no name such as X0
NUMERIC = re.compile(r"[-+\d.,eE\s]*")
# What a line of numbers begins with that make values of the counts in the rows.
FACTOR = re.compile(
    r"\W*(scal(e|ing)|fa[ck]tor|gain|multiplier|slope|resolution|lsb|offset)"
    r"([ _-]?fa[ck]tor)?\W*",
    re.I,
)
FACTORS = (
    "a line of factors: {} makes values of the counts in the rows, which is not done here: write "
    "the values, without this line; if it is a setting that changes no value, delete the line"
)
MAY_BE_FACTORS = (
    "a line of numbers without a time under the line of units, {}: if they are factors, write the "
    "values that they make of the rows; if they are a row, write its time; else delete the line"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a CSV file; the last ones may have no name, and rows may still fill them."""

    headers: list[str]
    position: dict[str, int]  # name under which a column is read -> its position
    text: str = ""  # the header's line

    @property
    def width(self) -> int:
        """The most fields that a row may have."""
        return len(self.headers)

    @property
    def named(self) -> int:
        """The number of fields that a row should have."""
        return len(without_empty_end(self.headers))

    @property
    def names(self) -> dict[str, str]:
        """Name under which a column is read -> its header."""
        return {name: self.headers[at] for name, at in self.position.items()}

    def repeats(self, fields: list[str]) -> bool:
        """Is this line the same header again?"""
        return _tidied(fields) == _tidied(self.headers)

    def resembles(self, fields: list[str]) -> bool:
        """Is this line a header, of the same columns or of others?

        It is one if at least half of its fields are headers of this layout; headers that are
        numbers do not count. It is one, too, if it has words alone, and in the column of times
        that column's header, as no row has: another table begins.
        """
        at = self.position.get("timestamp", len(fields))
        if at < len(fields) > 1 and tidy(fields[at]) == tidy(self.headers[at]) != "":
            return not any(VALUE.match(text.strip().lower()) for text in fields)
        known = {name for name in _tidied(self.headers) if not NUMERIC.fullmatch(name)}
        told = [name for name in _tidied(fields) if name]
        hits = sum(name in known for name in told)
        return hits >= min(2, len(known)) and hits > 0 and 2 * hits >= len(told)

    def begins_another(self, fields: list[str], below: list[list[str]]) -> bool:
        """Does another table begin here, whose column of times has a name of its own?

        fields: of a line of words. below: the fields of the lines below it. It does if the name of
        a time stands where this layout has its times, no word occurs twice, and the lines below
        have times there and as many fields.
        """
        at, told = self._time_at(), without_empty_end([text.strip().lower() for text in fields])
        if not at < len(told) > 1 or len(set(told)) < len(told) or not NAMES_TIME.search(told[at]):
            return False
        if any(text in NULL_WORDS or VALUE.match(text) for text in told):
            return False
        rows = [without_empty_end([text.strip() for text in row]) for row in below]
        return bool(rows) and all(
            at < len(row) <= len(told) and any(map(str.isdigit, row[at])) for row in rows
        )

    def fits(self, fields: list[str]) -> bool:
        """Is this line a row? A row has digits in its time, and a number in a channel's column."""
        cells = {name: fields[at] for name, at in self.position.items() if at < len(fields)}
        time = cells.get("timestamp", "")
        timed = "timestamp" not in self.position or bool(TIME.match(time))
        values = (text for name, text in cells.items() if name not in NO_VALUES)
        return timed and any(_is_number(text) for text in values)

    def tells_units(self, fields: list[str]) -> bool:
        """Is this line under the header one of units and not a row: no time, and no number?"""
        cells = {name: fields[at] for name, at in self.position.items() if at < len(fields)}
        time = cells.get("timestamp", "")
        if any(map(str.isdigit, time)) and not TYPE.fullmatch(time.strip()):
            return False
        told = [text.strip().lower() for name, text in cells.items() if name not in NO_VALUES]
        told = [text for text in told if re.search(r"[^\W_]|[%°]", text) and text not in NULL_WORDS]
        told = [TENTHS.sub("", text) if is_known(text) else text for text in told]
        if any(map(is_known, told)):  # N, T and F beside it are units, too, and not no, true, false
            return not any(VALUE.match(text) for text in told if len(text) > 1 or text.isdigit())
        return bool(told) and not any(VALUE.match(text) for text in told)

    def tells_factors(self, fields: list[str], *, below_units: bool | None) -> bool:
        """Does a line beside the header tell factors or offsets of its columns that change nothing?

        below_units: it is the next line after one of units, where factors may have no name; None:
        it stands above the header, where a line of fewer fields is a setting of another kind.

        Raises:
            FileRefusedError: it tells some, and they change the values.
        """
        at, told = self._time_at(), [text.strip() for text in fields]
        if not at < len(told) or any(map(str.isdigit, told[at])):
            return False
        names = [text for text in told[: at + 1] if FACTOR.fullmatch(text)]
        rest = [text for n, text in enumerate(told) if n != at and text and text not in names]
        if not rest or not all(map(_is_number, rest)):
            return False
        number_C = [float(text.replace(",", ".")) for text in rest]
        whole = len(rest) == self.named - 1
        if below_units and whole and not told[at] and all(map(_is_part, number_C)):
            raise FileRefusedError(MAY_BE_FACTORS.format(shown(",".join(told))))
        nothing = float(not any("offset" in name.lower() for name in names))
        if names and (whole or below_units is not None) and set(number_C) != {nothing}:
            raise FileRefusedError(FACTORS.format(shown(",".join(told))))
        return bool(names)

    def _time_at(self) -> int:
        """The position of the times, by its header where nothing else tells it."""
        named = (n for n, header in enumerate(self.headers) if NAMES_TIME.search(header.lower()))
        return self.position.get("timestamp", next(named, len(self.headers)))

    def tokens(self) -> list[bytes]:
        """Lower-case texts: each header like this one holds at least one, and few rows hold any."""
        names = [self.headers[at].strip().strip('"') for at in self.position.values()]
        names = [name for name in names if not NUMERIC.fullmatch(name)]
        chosen = sorted(names, key=len, reverse=True)[:2]
        if "timestamp" in self.position:
            chosen.append(self.headers[self.position["timestamp"]].strip().strip('"'))
        tokens = {name.encode().lower() for name in chosen if name}
        if not all(NUMERIC.fullmatch(name) for name in self.headers):
            tokens.add(self.text.encode().lower())
        return sorted(tokens)


def rows_before(lines: list[bytes], layout: Layout, delimiter: str) -> list[tuple[int, str]]:
    """The lines before the header that are rows, each with the reason why it cannot be read.

    Rows come before the header where a log continues from the file before, or where an earlier
    header lacks a column. Every other line belongs to the preamble, and so do all above a line that
    says where the header ends.
    """
    found: list[tuple[int, str]] = []
    under: str | None = None
    for at, line in enumerate(lines):
        text = line.decode(errors="replace")
        fields = _fields(text, delimiter)
        if END_OF_HEADER.fullmatch(text):
            found, under = [], None
        elif len(fields) > 1 and layout.resembles(fields):
            under = text.strip()
        elif under is not None and len(fields) > 1 and any(map(str.isdigit, text)):
            found.append((at, f"{BEFORE}: it stands under another one, {shown(under)}"))
        elif layout.fits(fields):
            found.append((at, f"{BEFORE}: nothing tells its columns"))
    return found


def preamble_of_restart(
    lines: list[bytes], before: list[str], width: int, delimiter: str
) -> list[str]:
    """Those of the lines above a repeated header that can be the preamble of another recording.

    lines: at most as many as ``before``, the preamble so far. If they are all of its length
    and none is a row, these; else the last ones that tell the same as its last lines, but for
    numbers, where what tells the whole file is not repeated.

    >>> preamble_of_restart([b"1;2", b"Unit 2: b"], ["Site: a", "Unit 1: a"], 2, ";")
    ['Unit 2: b']
    """
    told = [line.decode(errors="replace") for line in lines]
    names = {line.split(delimiter)[0] for line in before}
    fields = [line.split(delimiter) for line in told]
    rows = (len(f) == width and f[0] not in names for f in fields)
    if len(told) == len(before) and not any(rows):
        return told
    for first in range(len(told)):
        own = [*map(_named, told[first:])]
        alike = all(own) and own == [*map(_named, before[-len(own) :])]
        if alike and all(len(line) != width for line in fields[first:]):
            return told[first:]
    return []


def _named(line: str) -> str:
    """What a line of a preamble tells, without its value and numbers; empty if it has no word."""
    name = re.split("[:=;,\t]", line)[0].strip(' #"')
    return re.sub(r"\d+", "#", name) if re.search(r"[^\W\d_]{2}", name) else ""


def mended(line: bytes, layout: Layout, source: Source, *, is_open: bool) -> bytes:
    """The line with the layout's number of fields: empty ones at its end are added or removed.

    is_open: it is the last line of a file that does not end in a line end.

    Raises:
        BrokenLineError: the line cannot be read; the message is the reason.
    """
    delimiter = source.delimiter.encode()
    if not is_open and b'"' not in line and b"\0" not in line and line.isascii():
        bare = line.rstrip(delimiter + b" ")
        missing = layout.width - 1 - bare.count(delimiter)
        if missing >= 0:
            return bare + missing * delimiter or EMPTY
    if b"\0" in line:
        raise BrokenLineError(f"it holds zeros, or bytes that are no {source.encoding}")
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise BrokenLineError(
            f"it holds bytes that are no UTF-8 (0x{line[error.start]:02x}); if the file is of "
            "another encoding, set source.encoding, such as cp1252"
        ) from None
    try:
        told = split(text, source.delimiter)
    except BrokenLineError:
        if is_open:
            raise BrokenLineError(CUT.format("in a quote")) from None
        raise
    fields = [value for value, _ in told]
    if is_open and len(fields) < layout.named:
        raise BrokenLineError(CUT.format(f"after {len(fields)} of {layout.named} fields"))
    count = len(without_empty_end(fields))
    if count > layout.width:
        raise BrokenLineError(
            f"wrong number of fields: it has {count}, the header {layout.named or layout.width}"
        )
    for name, at in layout.position.items():
        if name in NO_VALUES and at < len(told) and '"' in told[at][0] and not told[at][1]:
            raise BrokenLineError(f"a stray quote: in column {layout.headers[at].strip()!r}")
    fields = fields[: layout.width] + [""] * (layout.width - len(fields))
    return join(fields, source.delimiter).encode() or EMPTY


def find_header(lines: list[bytes], source: Source, resolve: Resolve) -> tuple[int, Layout]:
    """The index of the first line that holds the required columns, and its layout.

    Raises:
        FileRefusedError: no line does. The message is about the line with most fields, or names
            the delimiter or the encoding that should be set.
    """
    best: tuple[int, FileRefusedError] | None = None
    for at, line in enumerate(lines):
        fields = _fields(line.decode(errors="replace"), source.delimiter)
        if not fields:
            continue
        try:
            return at, Layout(fields, resolve(fields), line.decode(errors="replace").strip())
        except FileRefusedError as error:
            count = len(without_empty_end(fields))
            if best is None or count > best[0]:
                best = count, error
    if best is None:
        raise FileRefusedError(NOTHING)
    if JSON.match(b"\n".join(lines[:FIRST]).decode(errors="replace")):
        raise FileRefusedError("it is JSON: set source.format: json, or let 'files' leave it out")
    _suggest_encoding(lines, source)
    _suggest_delimiter(lines, source, resolve, best[0])
    raise best[1]


def _suggest_encoding(lines: list[bytes], source: Source) -> None:
    if all(b"\0" in line for line in lines if line.strip()):
        raise FileRefusedError(
            "unreadable file: it holds zeros, as a crash or a failed copy leaves: copy it again"
        )
    refuse_bytes(b"\n".join(lines[:FIRST]).decode(errors="replace"))
    for at, line in enumerate(lines, 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            raise FileRefusedError(
                f"unreadable file: byte 0x{line[error.start]:02x} in line {at} is no UTF-8; set "
                "source.encoding to the file's (cp1252 is common, or latin-1)"
            ) from None
        if b"\0" in line and source.encoding != "utf-8":
            raise FileRefusedError(
                f"unreadable file: line {at} holds bytes that are no {source.encoding}; set "
                "source.encoding to the file's (utf-8, cp1252 and latin-1 are common)"
            )


def _suggest_delimiter(lines: list[bytes], source: Source, resolve: Resolve, fields: int) -> None:
    for delimiter, written in DELIMITERS.items():
        if delimiter == source.delimiter:
            continue
        for at, line in enumerate(lines, 1):
            headers = _fields(line.decode(errors="replace"), delimiter)
            if len(headers) <= 1:
                continue
            try:
                resolve(headers)
            except FileRefusedError:
                if fields > 1:
                    continue
            raise FileRefusedError(
                f"wrong delimiter: line {at} does not split at {source.delimiter!r} but does at "
                f"{delimiter!r}: set source.delimiter: {written}"
            )


def _fields(line: str, delimiter: str) -> list[str]:
    """The fields of a line; the whole line as one field if its quotes are broken."""
    told = texts_of(line, delimiter) if line.strip() else []
    return [line] if told is None else told


def _tidied(fields: list[str]) -> list[str]:
    return without_empty_end([tidy(text) for text in fields])


def _is_part(number: float) -> bool:
    """Is it 1 / n, as factors are and values seldom?"""
    return 0 < number <= 1 and math.isclose(1 / number, round(1 / number), rel_tol=1e-6)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text.strip().replace(",", ".")))
    except ValueError:
        return False
