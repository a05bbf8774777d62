"""A Parquet file as batches. A field of a struct is a column too, named by its path: obd.speed."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config.source import Source
from amad.reading.batch import FileRefusedError, RawBatch, Resolve
from amad.reading.unpack import UNPACK

BATCH_CELLS = 1 << 21
MAGIC = b"PAR1"


def read_parquet(path: Path, source: Source, resolve: Resolve) -> Iterator[RawBatch]:
    """Stream a Parquet file; see ``readers.read_batches``."""
    with path.open("rb") as raw:
        _refuse_others(raw.read(4))
        with pq.ParquetFile(raw, coerce_int96_timestamp_unit="us") as file:
            leaves = _leaves(file.schema_arrow)
            headers = [".".join(leaf) for leaf in leaves]
            position = resolve(headers)
            chosen = {name: leaves[at] for name, at in position.items()}
            for leaf in chosen.values():
                _check(leaf, _type_of(leaf, file.schema_arrow), headers)
            size = max(1024, BATCH_CELLS // max(1, len(position)))
            done = 0
            columns = sorted({".".join(leaf) for leaf in chosen.values()})
            for batch in file.iter_batches(batch_size=size, columns=columns):
                yield RawBatch(
                    row_R=np.arange(done + 1, done + 1 + batch.num_rows),
                    columns={name: _plain(_taken(batch, leaf)) for name, leaf in chosen.items()},
                    headers={name: ".".join(leaf) for name, leaf in chosen.items()},
                )
                done += batch.num_rows


def columns_of(schema: pa.Schema) -> list[tuple[str, pa.DataType]]:
    """Name and type of each column that a fleet file can name, fields of structs too."""
    return [(".".join(leaf), _type_of(leaf, schema)) for leaf in _leaves(schema)]


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


def _leaves(schema: pa.Schema) -> list[tuple[str, ...]]:
    """The path of each column, and of each field of a struct unless a column has its name."""
    leaves: list[tuple[str, ...]] = [(name,) for name in schema.names]
    taken = set(schema.names)
    for field in schema:
        leaves += [leaf for leaf in _fields_of(field) if ".".join(leaf) not in taken]
    return leaves


def _fields_of(field: pa.Field) -> list[tuple[str, ...]]:
    if not pa.types.is_struct(field.type):
        return []
    leaves: list[tuple[str, ...]] = []
    for inner in field.type:
        leaves.append((field.name, inner.name))
        leaves += [(field.name, *leaf) for leaf in _fields_of(inner)]
    return leaves


def _type_of(leaf: tuple[str, ...], schema: pa.Schema) -> pa.DataType:
    kind = schema.field(schema.names.index(leaf[0])).type
    for name in leaf[1:]:
        kind = kind.field(name).type
    return kind


def _check(leaf: tuple[str, ...], kind: pa.DataType, headers: list[str]) -> None:
    name = ".".join(leaf)
    if pa.types.is_struct(kind):
        fields = [header for header in headers if header.startswith(name + ".")]
        raise FileRefusedError(
            f"a struct is no value: name one of the fields of {name!r}: {', '.join(fields)}"
        )
    if pa.types.is_nested(kind):
        raise FileRefusedError(
            f"several values in a row: column {name!r} holds {kind}; write one value per row"
        )


def _taken(batch: pa.RecordBatch, leaf: tuple[str, ...]) -> pa.Array:
    column = batch.column(batch.schema.names.index(leaf[0]))
    for name in leaf[1:]:
        column = pc.struct_field(column, column.type.get_field_index(name))
    return column


def _plain(column: pa.Array) -> pa.Array:
    """The column without what only tells how it was stored; text is ``string``."""
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if (
        pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_binary(kind)  # text of writers that do not say that it is text
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
    ):
        column = pc.cast(column, pa.string())
    return column
