"""A Parquet or Arrow file as batches. A field of a struct is a column, too: obd.speed."""

import contextlib
import re
import uuid
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import Source
from amad.reading.arrow_file import TABLES, opened
from amad.reading.batch import NOTHING, FileRefusedError, RawBatch, Resolve
from amad.reading.numbers import is_text
from amad.reading.unpack import UNPACK, is_packed

BATCH_CELLS = 1 << 21
IS_BYTES = (
    pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view,
    pa.types.is_fixed_size_binary,
)  # fmt: skip

CONTROL = r"[\x00-\x08\x0e-\x1f\x7f]"  # characters that no text has, but the bytes of an id
UNIT_KEYS = (b"unit", b"units", b"uom")
SCALE_KEYS = (b"scale", b"scale_factor", b"factor", b"gain", b"multiplier")
OFFSET_KEYS = (b"offset", b"add_offset")


class Scale(NamedTuple):
    """Values are ``factor`` times the whole numbers of a column, plus ``offset``."""

    factor: Decimal
    offset: Decimal

    def __str__(self) -> str:
        return f"{self.factor} times its whole numbers" + f" plus {self.offset}" * (
            self.offset != 0
        )

    def values(self, column: pa.Array) -> pa.Array:
        """float64, with as many decimals as the scale has."""
        exponents = (number.as_tuple().exponent for number in self)
        decimals = max(0, *(-e for e in exponents if isinstance(e, int)))
        whole_R = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        value_R = whole_R * float(self.factor) + float(self.offset)
        return pa.array(np.rint(value_R * 10.0**decimals) / 10.0**decimals, from_pandas=True)


Names = tuple[str, ...]  # the name of a column, then of the fields down into its structs


def read_parquet(path: Path, source: Source, resolve: Resolve) -> Iterator[RawBatch]:
    """Stream a Parquet file; see ``readers.read_batches``."""
    with path.open("rb") as raw:
        _refuse_others(raw.read(10))
        raw.seek(0)
        schema, batches = opened(raw)
        fields = fields_of(schema)
        headers = [".".join(path) for path, _ in fields]
        position = resolve(headers)
        names = {name: headers[at] for name, at in position.items()}
        for at in position.values():
            _check(headers[at], fields[at][1].type, headers)
        told = {name: _told(fields[at][1], UNIT_KEYS) for name, at in position.items()}
        scales = {name: scale_of(fields[at][1]) for name, at in position.items()}
        size = max(1024, BATCH_CELLS // max(1, len(position)))
        done = 0
        for batch in batches(batch_size=size, columns=sorted(set(names.values()))):
            yield RawBatch(
                row_R=np.arange(done + 1, done + 1 + batch.num_rows),
                columns={
                    name: _taken(batch, fields[at][0], scales[name])
                    for name, at in position.items()
                },
                headers=names,
                units={name: unit for name, unit in told.items() if unit},
            )
            done += batch.num_rows


def fields_of(schema: pa.Schema) -> list[tuple[Names, pa.Field]]:
    """Each column, then each field of a struct unless a column has its name; with their paths."""
    columns: list[tuple[Names, pa.Field]] = [((field.name,), field) for field in schema]
    inner = [found for path, field in columns for found in _fields_of(path, field.type)]
    return columns + [(path, field) for path, field in inner if ".".join(path) not in schema.names]


def scale_of(field: pa.Field) -> Scale | None:
    """How the metadata of a field of whole numbers makes values of them; None if it does not.

    Raises:
        FileRefusedError: what it tells is no number.
    """
    if not pa.types.is_integer(field.type):
        return None
    told = [_told(field, SCALE_KEYS) or "1", _told(field, OFFSET_KEYS) or "0"]
    try:
        factor, offset = map(Decimal, told)
    except InvalidOperation:
        raise FileRefusedError(
            f"unreadable scale: the metadata of column {field.name!r} tells {' and '.join(told)}, "
            "which are no numbers; write numbers, or the values themselves"
        ) from None
    return None if (factor, offset) == (1, 0) else Scale(factor, offset)


def _told(field: pa.Field, keys: tuple[bytes, ...]) -> str:
    """What the metadata of a field tells under one of these keys; empty if nothing."""
    told = field.metadata or {}
    texts = (told[key] for key in told if key.lower() in keys)
    return next(texts, b"").decode(errors="replace").strip()


def _refuse_others(start: bytes) -> None:
    if start.startswith(TABLES):
        return
    if start.startswith(b"PARE"):
        raise FileRefusedError("unreadable file: its footer is encrypted; write it without")
    if is_packed(start):
        raise FileRefusedError(f"unreadable file: it is compressed as a whole: {UNPACK}")
    raise FileRefusedError(
        "unreadable file: it is no Parquet file; text is read with source.format: csv"
        if start
        else NOTHING
    )


def _fields_of(path: Names, kind: pa.DataType) -> Iterator[tuple[Names, pa.Field]]:
    for field in kind if pa.types.is_struct(kind) else ():
        inner = (*path, field.name)
        yield inner, field
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


def _taken(batch: pa.RecordBatch, path: Names, scale: Scale | None) -> pa.Array:
    """A column without what only tells how it was stored; text is ``string``."""
    column = batch.column(batch.schema.names.index(path[0]))
    if len(path) > 1:
        column = pc.struct_field(column, path[1:])
    is_uuid = isinstance(column.type, pa.UuidType)
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_decimal32(column.type) or pa.types.is_decimal64(column.type):
        column = column.cast(pa.decimal128(column.type.precision, column.type.scale))
    if scale is not None:
        return scale.values(column)
    if is_text(column.type):
        return pc.cast(column, pa.string())
    if pa.types.is_float16(column.type):  # few functions of Arrow know it
        return pc.cast(column, pa.float32())
    return _text_of(column, is_uuid=is_uuid) if any(k(column.type) for k in IS_BYTES) else column


def _text_of(column: pa.Array, *, is_uuid: bool) -> pa.Array:
    """Bytes as text, as some writers store it, without the zeros at its end; others as 0x1f."""
    if not is_uuid:
        with contextlib.suppress(pa.ArrowInvalid):
            text = pc.utf8_rtrim(pc.cast(pc.cast(column, pa.binary()), pa.string()), "\0")
            if not pc.any(pc.match_substring_regex(text, CONTROL)).as_py():
                return text
    codes = pc.dictionary_encode(column)
    texts = [_shown(value, is_uuid=is_uuid) for value in codes.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(codes.indices)


def _shown(value: bytes, *, is_uuid: bool) -> str:
    if is_uuid:
        return str(uuid.UUID(bytes=value))
    with contextlib.suppress(UnicodeDecodeError):
        if not re.search(CONTROL, text := value.rstrip(b"\0").decode()):
            return text
    return f"0x{value.hex()}"
