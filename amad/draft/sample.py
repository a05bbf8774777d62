"""A bounded look into raw files: rows of some."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import Source
from amad.draft.dialect import Dialect, dialect_of
from amad.draft.excerpt import excerpt_of_json, excerpt_of_parquet, excerpt_of_text
from amad.draft.foreign_text import foreign_keys
from amad.reading.arrow_file import TABLES, opened
from amad.reading.batch import RawBatch, Resolve
from amad.reading.fields import without_empty_end
from amad.reading.headers import AmbiguousHeaderError, Headers, by_place, tidy
from amad.reading.json_file import json_headers
from amad.reading.numbers import shown
from amad.reading.parquet_file import fields_of, scale_of
from amad.reading.readers import FileRefusedError, read_batches
from amad.reading.timestamp_guess import looks_like

MOST_FILES = 80
MOST_CELLS = {"csv": 3_000_000, "json": 3_000_000, "parquet": 12_000_000}  # in all files
FEWEST_ROWS, MOST_ROWS = 2_000, 200_000  # in one file
ONE_OBJECT = "it holds one object of JSON, which is one row: write an object for each row"
LOOKED_AT = 5000  # cells of a column, from all over a file, that are looked at


@dataclass(slots=True, kw_only=True, eq=False)
class Sampled:
    """Rows of one file: all, the first ones, or pieces from all over it."""

    path: str  # below the folder
    file: Path  # the file itself, or an excerpt that holds the rows
    size: int  # bytes
    dialect: Dialect | None  # None for Parquet
    headers: tuple[str, ...]  # of columns with one value per row and a header that occurs once
    columns: dict[str, pa.Array]  # tidied header -> cells
    twice: tuple[str, ...]  # headers that occur more than once
    nested: tuple[str, ...]  # headers of columns with several values per row
    nameless: tuple[str, ...]  # columns without a header, by their place, except the last ones
    units: dict[str, str]  # tidied header -> what a line of units under the header tells
    scales: dict[str, str]  # header -> how the metadata of a Parquet file makes values of it
    later: tuple[str, ...]  # headers that are only in a line of headers further below
    preamble: list[str]  # lines before the header
    restarts: tuple[str, ...]  # other lines before the header where that is repeated further below
    rows: int  # of the sample
    whole: bool  # does the sample hold all rows of the file?
    lacking: tuple[str, ...] = ()  # of ``headers``, keys of other files of JSON

    def header_of(self, header: str) -> str | None:
        """How a column's header is spelt here, as ingest finds it; None if it does not find one."""
        try:
            at = _headers(self.headers).find(header)
        except AmbiguousHeaderError:
            return None
        return None if at is None else self.headers[at]

    def column(self, header: str) -> pa.Array | None:
        """The cells of a column, whose header may be spelt differently here; None if not found."""
        own = self.header_of(header)
        return None if own is None else self.columns[tidy(own)]

    @property
    def form(self) -> tuple:
        """Format, delimiter and encoding, which the files of one fleet file must share."""
        if self.dialect is None:
            return ("parquet",)
        return (self.dialect.format, self.dialect.delimiter, self.dialect.encoding)


@lru_cache(maxsize=MOST_FILES)
def _headers(headers: tuple[str, ...]) -> Headers:
    return Headers([*headers])


def shared_columns(samples: list[Sampled]) -> dict[str, list[pa.Array]]:
    """Header of the first file -> the column in each file, for the columns that all files have."""
    columns = {header: [s.column(header) for s in samples] for header in samples[0].headers}
    return {header: cells for header, cells in columns.items() if all(c is not None for c in cells)}


def some_of(column: pa.Array) -> pa.Array:
    """Cells from all over a column; all if they are few."""
    if len(column) <= LOOKED_AT:
        return column
    return column.take(pa.array(np.linspace(0, len(column) - 1, LOOKED_AT).astype(int)))


def look(folder: Path, names: list[str], scratch: Path) -> tuple[list[Sampled], dict[str, str]]:
    """Samples of some of the files, and why others could not be read.

    If there are many files, half of them are drawn at random, the same ones every time, and half
    follow each other. Excerpts of large files are written to ``scratch``.
    """
    chosen = names
    if len(names) > MOST_FILES:
        half = MOST_FILES // 2
        drawn = random.Random(7).sample(names, half - 2)
        run = names[len(names) // 2 :][:half]
        chosen = sorted({names[0], names[-1], *drawn, *run})
    found: list[Sampled] = []
    refused: dict[str, str] = {}
    for number, name in enumerate(chosen):
        try:
            found.append(_sampled(folder, name, len(chosen), scratch / str(number)))
        except FileRefusedError as error:
            refused[name] = str(error)
        except OSError as error:
            refused[name] = (error.strerror or "not readable").lower()
    if all(s.rows == 1 and (len(found) == 1 or _is_of_columns(s)) for s in found):
        refused |= {s.path: ONE_OBJECT for s in found if s.form[0] == "json"}
        found = [s for s in found if s.form[0] != "json"]
    _add_keys_of_others([sample for sample in found if sample.form[0] == "json"])
    return found, refused


def _is_of_columns(sample: Sampled) -> bool:
    """Do most keys of the one object end in the number of a row, as where it holds columns?"""
    return 2 * sum(key.rpartition(".")[2].isdigit() for key in sample.headers) > len(sample.headers)


def _add_keys_of_others(found: list[Sampled]) -> None:
    """Give each file of JSON the keys of the others, as a row leaves out what has no value then.

    Not to files that lack more than half of the keys which most have: these are something else.
    """
    often = Counter(header for sample in found for header in sample.headers)
    usual = {header for header, files in often.items() if 2 * files > len(found)}
    alike = [s for s in found if 2 * len(usual.intersection(s.headers)) > len(usual)]
    every = dict.fromkeys(header for sample in alike for header in sample.headers)
    for sample in alike:
        sample.lacking = tuple(header for header in every if sample.header_of(header) is None)
        sample.columns |= {tidy(header): pa.nulls(sample.rows) for header in sample.lacking}
        sample.headers += sample.lacking


def _sampled(folder: Path, name: str, files: int, scratch: Path) -> Sampled:
    path = file = folder / name
    with path.open("rb") as raw:
        is_parquet = raw.read(6).startswith(TABLES)
    dialect = None if is_parquet else dialect_of(path)
    if dialect is not None and dialect.format == "json":
        file = excerpt_of_json(path, scratch)
    headers, nested, scales = _headers_of(file, dialect)
    placed = () if dialect is None else tuple(by_place(without_empty_end([*headers])))
    known = _wanted(placed or headers)
    source = Source.model_validate(
        {"format": "parquet" if dialect is None else dialect.format, "files": [{"glob": "*"}]}
        | ({} if dialect is None
           else {"delimiter": dialect.delimiter, "encoding": dialect.encoding})
    )  # fmt: skip
    most = MOST_CELLS[source.format] // (files * max(1, len(known)))
    most = min(MOST_ROWS, max(FEWEST_ROWS, most))
    if source.format != "json":
        shorten = excerpt_of_parquet if dialect is None else excerpt_of_text
        file = shorten(path, most, scratch)
    later: dict[str, None] = {}
    reading = read_batches(file, source, _resolve(known, headers, dialect, later))
    batches, rows, ended = _first_batches(reading, most if file == path else None)
    columns = {
        tidy(header): _one([batch.columns[header] for batch in batches])[:most] for header in known
    }
    nameless = [h for h in placed if h not in headers and not _tells_times(columns[tidy(h)])]
    known = {header: at for header, at in known.items() if header not in nameless}
    first = batches[0].preamble
    restarts = (line for batch in batches for line in batch.preamble if line not in first)
    return Sampled(
        path=name,
        file=file,
        size=path.stat().st_size,
        dialect=dialect,
        headers=tuple(known),
        columns={tidy(header): columns[tidy(header)] for header in known},
        twice=_twice(headers),
        nested=nested,
        nameless=tuple(nameless),
        units=_units_of(batches),
        scales=scales,
        later=tuple(later),
        preamble=first,
        restarts=tuple(dict.fromkeys(restarts)),
        rows=min(rows, most) if file == path else rows,
        whole=ended and file == path,
    )


def _headers_of(
    path: Path, dialect: Dialect | None
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, str]]:
    """The columns with one value per row, those with several, and how values are made of some.

    The fields of a struct are named by their paths.

    Raises:
        FileRefusedError: they show that the file cannot be read.
    """
    headers, several, scales = () if dialect is None else dialect.headers, [], {}
    if dialect is None:
        try:
            with path.open("rb") as raw:
                fields = [(".".join(place), f) for place, f in fields_of(opened(raw)[0])]
        except pa.ArrowException as error:
            raise FileRefusedError(f"unreadable file: {error}") from None
        headers = tuple(h for h, field in fields if not pa.types.is_nested(field.type))
        nested = [(h, f.type) for h, f in fields if pa.types.is_nested(f.type)]
        several = [h for h, kind in nested if not pa.types.is_struct(kind)]
        scales = {h: str(scale) for h, f in fields if (scale := scale_of(f)) is not None}
    elif dialect.format == "json":
        headers = tuple(json_headers(path, dialect.encoding))
        if what := foreign_keys(headers):
            raise FileRefusedError(f"it is {what}")
    if any("\0" in header for header in headers):
        raise FileRefusedError(
            "its header holds zeros, or bytes that are neither UTF-8 nor cp1252: write it in UTF-8"
        )
    if not _wanted(headers):
        raise FileRefusedError(
            f"in its header, {shown(', '.join(headers))}, no column has a name of its own: give "
            "each column one"
        )
    return headers, tuple(several), scales


def _first_batches(
    reading: Iterator[RawBatch], most: int | None
) -> tuple[list[RawBatch], int, bool]:
    """The first batches, with ``most`` rows or all; their rows; and whether these are all.

    Raises:
        FileRefusedError: there is not one row.
    """
    batches, rows, ended = [], 0, True
    try:
        for batch in reading:
            batches.append(batch)
            rows += len(batch.row_R)
            if most is not None and rows >= most:
                ended = next(reading, None) is None
                break
    except FileRefusedError:
        if not rows:
            raise
    broken = [reason for batch in batches for _, reason, _ in batch.broken]
    if not rows:
        why = f"none of its rows can be split into fields: {broken[0]}" if broken else ""
        raise FileRefusedError(why or "it holds no rows")
    return batches, rows, ended


def _units_of(batches: list[RawBatch]) -> dict[str, str]:
    """The first units: where a later line tells others, the rows below it are refused."""
    told = (item for batch in reversed(batches) for item in batch.units.items())
    return {tidy(header): unit for header, unit in told if unit}


def _one(pieces: list[pa.Array]) -> pa.Array:
    """The pieces of a column as one, as text if they have several types, as in JSON they may."""
    kinds = {piece.type for piece in pieces if not pa.types.is_null(piece.type)}
    if len({piece.type for piece in pieces}) > 1:
        kind = kinds.pop() if len(kinds) == 1 else pa.string()
        pieces = [pc.cast(piece, kind) for piece in pieces]
    return pa.concat_arrays(pieces)


def _twice(headers: tuple[str, ...]) -> tuple[str, ...]:
    first: dict[str, int] = {}
    return tuple(
        h for at, h in enumerate(headers) if first.setdefault(tidy(h), at) < at and tidy(h)
    )


def _wanted(headers: tuple[str, ...]) -> dict[str, int]:
    """Position of each header that is not empty and does not occur twice."""
    told = [tidy(header) for header in headers]
    times = Counter(told)
    return {h: at for at, h in enumerate(headers) if told[at] and times[told[at]] == 1}


def _tells_times(column: pa.Array) -> bool:
    """Does a column without a name hold times, and no numbers of rows?"""
    told = looks_like(map(str, pc.drop_null(column)[:LOOKED_AT].to_pylist()))
    settings = {} if told is None else told.settings
    return (
        told is not None
        and settings.get("take") != "elapsed"
        and settings.get("unit") != "days_1900"
    )


def _resolve(
    wanted: dict[str, int],
    headers: tuple[str, ...],
    dialect: Dialect | None,
    later: dict[str, None],
) -> Resolve:
    """A function that asks for the wanted columns of the header that was found.

    later: gets those that only another header further below has.
    """
    known = set(headers)

    def resolve(told: list[str]) -> dict[str, int]:
        own = told if dialect is None else by_place(told)
        place = {header: at for at, header in reversed(list(enumerate(own)))}
        if dialect is not None and tuple(told) != headers:
            if not wanted.keys() <= place.keys():
                raise FileRefusedError("another header")
            later.update(dict.fromkeys(h for h in told if tidy(h) and h not in known))
        return {header: place[header] for header in wanted}

    return resolve
