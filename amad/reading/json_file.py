"""A JSON file as batches: each object is a row, and the keys of objects within it are joined.

Objects may stand one per line, one behind the other, or in an array, and over several lines. In
``{"id": 7, "values": {"speed": 50}}`` the columns are ``id`` and ``values.speed``. An object that
holds one list of objects is a row for each of them, with its other keys repeated. Lists of objects
with the same keys, a time among them, that are all that an object holds are series: each of their
objects is a row, whose ``signal`` is the name of the list. A number that MongoDB wraps with its
type is this number, and of a row of Kafka Connect its ``payload`` is read. Lines of InfluxDB's line
protocol are rows, too (``line_protocol``).
"""

import codecs
import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from amad.config.source import Source
from amad.reading.batch import NOTHING, FileRefusedError, RawBatch, Resolve
from amad.reading.line_protocol import as_json
from amad.reading.lines import KEPT_BYTES, LONGEST_LINE_BYTES, in_utf8
from amad.reading.unpack import unpacked

BATCH_CELLS = 1 << 16
FIRST_ROWS = 1024  # and the fewest in a batch
JSON = re.compile(r'[\s\[]*\{\s*["}]')  # the beginning of a file of rows
BEGINS = re.compile(r"[^\s,\[\]\ufeff]")  # other than what stands between objects
NUMBER = re.compile(r"\$number(Int|Long|Double|Decimal)")  # of MongoDB, around one value
END = re.compile(r"\n")
NEXT = re.compile(r"\n(?=[\s,\[]*\{)")  # where reading goes on behind what is no JSON
WITHIN = 16  # characters before the end of a text in which an object that goes on fails
CUT = "a cut row: the file ends in it, before its last bracket"
OPEN = (
    "no bracket closes the list of rows: the file was cut behind a row, and others may be missing"
)
SIGNAL = "signal"  # column of the names of series
NAMES_TIME = re.compile(r"ts|t|time|timestamp|date|datetime", re.I)
TWICE = "a key stands twice in it"
NO_TABLE = (
    "unreadable file: no object of JSON is in it, {{...}} with the names and values of a row{}"
)
TOO_LONG = "an object of over 16 MB behind row {:,}: write each row as an object on its own line"
NOT_ON = (
    "no JSON: {1} behind row {0:,}, and no line below begins with an object: write each object on "
    "a line of its own"
)

Row = dict[str, Any]
Broken = tuple[str, str]  # reason, text


def read_json(path: Path, source: Source, resolve: Resolve) -> Iterator[RawBatch]:
    """Stream a JSON file; see ``readers.read_batches``.

    It is read twice if its first rows lack a key that is asked for: a later row may have it.
    """
    told, size = enumerate(_rows(path, source.encoding), 1), FIRST_ROWS
    headers: Row = {}
    names: dict[str, str] = {}
    fault, done = None, False
    while not done:
        found: list[tuple[int, Row | Broken]] = []
        try:
            found.extend(islice(told, size))
        except FileRefusedError as error:  # the rows before the fault stay
            fault = error
        rows = [(number, row) for number, row in found if isinstance(row, dict)]
        known = len(headers)
        for _, row in rows:
            headers.update(row)
        if not names or len(headers) > known:
            try:
                names = _found(resolve, [*headers] or json_headers(path, source.encoding))
            except FileRefusedError:
                if names:
                    raise
                headers = dict.fromkeys(json_headers(path, source.encoding))
                names = _found(resolve, [*headers])
        yield RawBatch(
            row_R=np.array([number for number, _ in rows], np.int64),
            columns={n: _column([row.get(h) for _, row in rows]) for n, h in names.items()},
            headers=names,
            broken=[(number, *row) for number, row in found if isinstance(row, tuple)],
        )
        done = len(found) < size
        size = max(FIRST_ROWS, BATCH_CELLS // max(1, len(names)))
    if fault is not None:
        raise fault


def _found(resolve: Resolve, headers: list[str]) -> dict[str, str]:
    return {name: headers[at] for name, at in resolve(headers).items()}


def json_headers(path: Path, encoding: str) -> list[str]:
    """The keys of all rows, in the order in which they are met first.

    Raises:
        FileRefusedError: there is no row.
    """
    names: Row = {}
    why = ""
    try:
        for row in _rows(path, encoding):
            if isinstance(row, dict):
                names.update(row)
            else:
                why = why or f": {row[0]}"
    except FileRefusedError:
        if not names:
            raise
    if not names:
        raise FileRefusedError(NO_TABLE.format(why) if why or path.stat().st_size else NOTHING)
    return [*names]


def _rows(path: Path, encoding: str) -> Iterator[Row | Broken]:
    """The rows of a file: the keys and values of each, or why it is none and its text."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text, rows, twice = "", 0, []  # type: str, int, list[str]
    why, lists, counted = "", 0, 0  # lists that have begun and not ended, up to this character
    decode = json.JSONDecoder(object_pairs_hook=partial(_joined, twice)).raw_decode
    for piece in chain(as_json(in_utf8(unpacked(path), encoding)), [None]):
        is_last = piece is None
        # Zeros, which JSON does not allow, stand in place of bytes that cannot be decoded.
        text += decoder.decode(piece or b"", final=is_last).replace("\ufffd", "\0")
        at = 0
        while begins := BEGINS.search(text, at):
            between = text[max(at, counted) : begins.start()]
            lists += between.count("[") - between.count("]")
            at = begins.start()
            twice.clear()
            try:
                if text[at] != "{":
                    raise json.JSONDecodeError("Expecting an object", text, at)
                row, end = decode(text, at)
                found: list[Row | Broken] = _unfolded(twice, row)
                why = twice[0] if twice else ""
            except (ValueError, RecursionError) as error:
                told, fault = _told(error, text, at)
                is_cut = told.startswith("unterminated") or fault >= len(text) - WITHIN
                line = _next_line(text, at, fault) if is_last or not is_cut else None
                if line is None and not is_last:
                    break  # the next piece tells
                end = len(text) if line is None else line.start()
                is_cut &= line is None and text[at] == "{" and text.rstrip()[-1] != "}"
                why = CUT if is_cut else f"no JSON: {told}"
                if rows and line is None and end - at > KEPT_BYTES:
                    raise FileRefusedError(NOT_ON.format(rows, told)) from None
            if why:
                found = [(why, text[at : min(end, at + KEPT_BYTES)])]
            yield from found
            rows, at = rows + len(found), end
            if why:  # an error counts the lines before it, so text that is read is let go
                text, at, counted = text[end:], 0, 0
        counted = _indent(text, at)
        text = text[at - counted :]
        if len(text) > LONGEST_LINE_BYTES:
            raise FileRefusedError(TOO_LONG.format(rows))
    if rows and not why and lists + text.count("[") > text.count("]"):
        yield OPEN, text.strip()


def _told(error: Exception, text: str, at: int) -> tuple[str, int]:
    """Why the object at ``at`` is no JSON, and where that shows."""
    if isinstance(error, RecursionError):
        return "too many objects or lists within each other", at
    if not isinstance(error, json.JSONDecodeError):
        return "a number of over 4,300 digits", at
    if text.startswith("\0", error.pos):
        return "zeros, or bytes that source.encoding cannot decode", error.pos
    told = error.msg.removesuffix(" at").removesuffix(" starting")
    return told[0].lower() + told[1:], error.pos


def _next_line(text: str, at: int, fault: int) -> re.Match | None:
    """Before which line reading goes on, behind what stands at ``at`` and is no JSON at ``fault``.

    It is the next line, or behind a damaged object the next one that begins with an object. That
    stands no further to the right, as objects within an object do. So a line that is cut does
    not take the next one along, which JSON would take for the value of its last key.
    """
    if text[at] != "{":
        return END.search(text, at)
    most = _indent(text, at) + 2  # { may be followed by , { in the next line
    own = re.compile(rf"\n(?=[ \t,\[]{{0,{most}}}\{{)")
    return own.search(text, at) or NEXT.search(text, fault)


def _indent(text: str, at: int) -> int:
    """How many spaces, commas and brackets are all that stands before ``at`` in its line."""
    before = text[text.rfind("\n", 0, at) + 1 : at]
    return 0 if before.strip(" \t,[") else len(before)


def _joined(twice: list[str], pairs: list[tuple[str, Any]]) -> Row:
    """The keys and values of an object, with those of objects in it behind their key and a point.

    twice: gets a reason if two keys are the same, as one of their values would be lost.
    """
    row: Row = {}
    cells = 0
    if [key for key, _ in pairs] == ["schema", "payload"]:  # Kafka Connect; its types are no rows
        del pairs[0]
    for key, cell in pairs:
        if type(cell) is dict and len(cell) == 1 and NUMBER.fullmatch(next(iter(cell))):
            (row[key],) = cell.values()
            cells += 1
        elif type(cell) is dict:
            row |= {f"{key}.{name}": inner for name, inner in cell.items()}
            cells += len(cell)
        else:
            row[key] = cell
            cells += 1
    if len(row) < cells:
        twice.append(TWICE)
    return row


def _unfolded(twice: list[str], row: Row) -> list[Any]:
    """The row, or a row for each object of the series, or of the one list of objects, in it.

    twice: as of ``_joined``.
    """
    if list not in map(type, row.values()):
        return [row]
    lists = [
        key for key, cell in row.items() if type(cell) is list and {*map(type, cell)} == {dict}
    ]
    if len(lists) == len(row) > 1 and _are_series(row):
        return [{SIGNAL: key} | one for key, objects in row.items() for one in objects]
    if len(lists) != 1:
        return [row]
    key, objects = lists[0], row.pop(lists[0])
    rows = [row | {f"{key}.{name}": cell for name, cell in one.items()} for one in objects]
    if any(len(one) < len(row) + len(inner) for one, inner in zip(rows, objects, strict=True)):
        twice.append(TWICE)
    return rows


def _are_series(row: Row) -> bool:
    """Have all objects of these lists the same keys: one of a time, and others?"""
    keys = {tuple(sorted(one)) for objects in row.values() for one in objects}
    names = keys.pop()
    return not keys and len(names) > 1 and any(map(NAMES_TIME.fullmatch, names))


def _column(cells: list[Any]) -> pa.Array:
    """Numbers, true and false, or text if all are; else the text of each in JSON."""
    try:
        column = pa.array(cells)
        if not pa.types.is_nested(column.type):
            return column
    except (ValueError, TypeError, OverflowError):  # of several types, or beyond a type
        pass
    texts = (c if c is None or isinstance(c, str) else json.dumps(c) for c in cells)
    return pa.array([t and t.encode(errors="replace").decode() for t in texts], pa.string())
