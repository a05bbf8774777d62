"""Raw files as a stream of batches, whatever their format; a batch is a few megabytes.

A reader yields the columns that the contract asks for as they stand in the file, each row with its
number, and apart from them the lines that are no rows. It judges no value: that is ``rows.py``.

Row numbers count from 1; the header and empty lines are no rows.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from amad.config.source import Source

CSV_BLOCK_BYTES = 4 << 20
PARQUET_BATCH_CELLS = 1 << 21

# Given the headers of a file, the position of each column to read, by the name it is read under.
Resolve = Callable[[list[str]], dict[str, int]]


class FileRefusedError(Exception):
    """The file cannot be read (on); the message says why. It goes to ``rejected/`` as one entry."""


@dataclass(slots=True, kw_only=True)
class RawBatch:
    """Some consecutive rows of a file. R rows."""

    row_R: np.ndarray  # int64, the rows' numbers in the file
    columns: dict[str, pa.Array]  # (R,) each, by the name asked for
    headers: dict[str, str]  # the column's own header, by the name asked for
    broken: list[tuple[int, str, str]] = field(default_factory=list)  # (number, reason, text)
    preamble: list[str] = field(default_factory=list)  # the file's lines before its header
    ignored: dict[str, int] = field(default_factory=dict)  # what is left out and no row: how many


def read_batches(path: Path, source: Source, resolve: Resolve) -> Iterator[RawBatch]:
    """Stream a file in the source's format.

    Raises:
        FileRefusedError: the file is of another format, is damaged, or ``resolve`` refused its
            headers. What was yielded before is good.
    """
    reader = _parquet if source.format == "parquet" else _csv
    try:
        yield from reader(path, source, resolve)
    except (pa.ArrowException, OSError, UnicodeError, csv.Error) as error:
        raise FileRefusedError(f"unreadable file: {' '.join(str(error).split())}") from None


def _parquet(path: Path, source: Source, resolve: Resolve) -> Iterator[RawBatch]:
    with pq.ParquetFile(path) as file:
        headers = file.schema_arrow.names
        position = resolve(headers)
        names = {name: headers[at] for name, at in position.items()}
        size = max(1024, PARQUET_BATCH_CELLS // max(1, len(position)))
        done = 0
        for batch in file.iter_batches(batch_size=size, columns=list(names.values())):
            yield RawBatch(
                row_R=np.arange(done + 1, done + 1 + batch.num_rows),
                columns={name: batch.column(header) for name, header in names.items()},
                headers=names,
            )
            done += batch.num_rows


def _csv(path: Path, source: Source, resolve: Resolve) -> Iterator[RawBatch]:
    headers = _csv_headers(path, source)
    position = resolve(headers)
    columns = [f"f{at}" for at in range(len(headers))]
    broken: list[tuple[int, str, str]] = []

    def note(line: pa_csv.InvalidRow) -> str:
        reason = "wrong number of fields"
        broken.append((line.number - 1, reason, line.text))  # Arrow counts the header as line 1
        return "skip"

    try:
        stream = pa_csv.open_csv(
            path,
            read_options=pa_csv.ReadOptions(
                column_names=columns, skip_rows=1, block_size=CSV_BLOCK_BYTES,
                encoding=source.encoding, use_threads=False,
            ),
            parse_options=pa_csv.ParseOptions(
                delimiter=source.delimiter, invalid_row_handler=note, ignore_empty_lines=True
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()),
                include_columns=[columns[at] for at in position.values()],
                strings_can_be_null=True,
            ),
        )  # fmt: skip
    except pa.ArrowInvalid as error:
        if "skip initial 1 rows" in str(error):  # Arrow's word for a header without a line end
            return
        raise
    names = {name: headers[at] for name, at in position.items()}
    done = 0
    for batch in stream:
        row_R = _row_numbers(batch.num_rows, done, [number for number, *_ in broken])
        done = int(row_R[-1]) if len(row_R) else done
        count = sum(number <= done for number, *_ in broken)
        yield RawBatch(
            row_R=row_R,
            columns=dict(zip(position, batch.columns, strict=True)),
            headers=names,
            broken=broken[:count],
        )
        del broken[:count]
    if broken:
        nothing = {name: pa.nulls(0, pa.string()) for name in position}
        yield RawBatch(row_R=np.zeros(0, np.int64), columns=nothing, headers=names, broken=broken)


def _row_numbers(rows: int, done: int, broken: list[int]) -> np.ndarray:
    """Numbers (rows,) of the next good rows after row ``done``: those that no broken line has."""
    candidate = np.arange(done + 1, done + 1 + rows + len(broken))
    return np.setdiff1d(candidate, broken, assume_unique=True)[:rows]


def _csv_headers(path: Path, source: Source) -> list[str]:
    # A byte order mark is no part of the first header.
    encoding = "utf-8-sig" if codecs.lookup(source.encoding).name == "utf-8" else source.encoding
    with (
        pa.input_stream(path, compression="detect") as raw,
        io.TextIOWrapper(raw, encoding=encoding, newline="") as text,
    ):
        headers = next(csv.reader(text, delimiter=source.delimiter), None)
    if headers is None:
        raise FileRefusedError("unreadable file: it is empty")
    return headers
