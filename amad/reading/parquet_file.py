"""A Parquet file as batches. A field of a struct is a column too, named by its path: obd.speed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config.source import Source
from amad.reading.batch import FileRefusedError, RawBatch, Resolve
from amad.reading.numbers import is_text
from amad.reading.unpack import UNPACK

BATCH_CELLS = 1 << 21
MAGIC = b"PAR1"

Field = tuple[str, ...]  # the name of a column, then of the fields down into its structs


def read_parquet(path: Path, source: Source, resolve: Resolve) -> Iterator[RawBatch]:
    """Stream a Parquet file; see ``readers.read_batches``."""
    with path.open("rb") as raw:
        _refuse_others(raw.read(4))
        with pq.ParquetFile(raw, coerce_int96_timestamp_unit="us") as file:
            fields = fields_of(file.schema_arrow)
            headers = [".".join(path) for path, _ in fields]
            position = resolve(headers)
            names = {name: headers[at] for name, at in position.items()}
            for at in position.values():
                _check(headers[at], fields[at][1], headers)
            size = max(1024, BATCH_CELLS // max(1, len(position)))
            done = 0
            for batch in file.iter_batches(batch_size=size, columns=sorted(set(names.values()))):
                yield RawBatch(
                    row_R=np.arange(done + 1, done + 1 + batch.num_rows),
                    columns={name: _taken(batch, fields[at][0]) for name, at in position.items()},
                    headers=names,
                )
                done += batch.num_rows


def fields_of(schema: pa.Schema) -> list[tuple[Field, pa.DataType]]:
    """Path and type of each column, then of each field of a struct unless a column has its name."""
    columns: list[tuple[Field, pa.DataType]] = [((field.name,), field.type) for field in schema]
    inner = [found for path, kind in columns for found in _fields_of(path, kind)]
    return columns + [(path, kind) for path, kind in inner if ".".join(path) not in schema.names]


def _refuse_others(start: bytes) -> None:
    if start == MAGIC:
        return
    if start == b"PARE":
        raise FileRefusedError("unreadable file: its footer is encrypted; write it without")
    if start.startswith((b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfd", b"BZh")):
        raise FileRefusedError(f"unreadable file: it is compressed as a whole: {UNPACK}")
    raise FileRefusedError(
        "unreadable file: it is no Parquet file; text is read with source.format: csv"
        if start
        else "unreadable file: it is empty"
    )


def _fields_of(path: Field, kind: pa.DataType) -> Iterator[tuple[Field, pa.DataType]]:
    for field in kind if pa.types.is_struct(kind) else ():
        inner = (*path, field.name)
        yield inner, field.type
        yield from _fields_of(inner, field.type)


def _check(name: str, kind: pa.DataType, headers: list[str]) -> None:
    if pa.types.is_struct(kind):
        fields = [header for header in headers if header.startswith(name + ".")]
        raise FileRefusedError(
            f"a struct is no value: name one of the fields of {name!r}: {', '.join(fields)}"
        )
    if pa.types.is_nested(kind):
        raise FileRefusedError(
            f"several values in a row: column {name!r} holds {kind}; write one value per row"
        )


def _taken(batch: pa.RecordBatch, path: Field) -> pa.Array:
    """A column without what only tells how it was stored; text is ``string``."""
    column = batch.column(batch.schema.names.index(path[0]))
    if len(path) > 1:
        column = pc.struct_field(column, path[1:])
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    # Some writers store text as bytes.
    is_bytes = pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view
    if is_text(column.type) or any(is_kind(column.type) for is_kind in is_bytes):
        column = pc.cast(column, pa.string())
    return column
