"""The tables of Parquet files, of Arrow files (as Feather writes them) and of streams of Arrow."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

FILE, STREAM = b"ARROW1", b"\xff\xff\xff\xff"  # the first bytes
TABLES = (b"PAR1", FILE, STREAM)  # those of a Parquet file, too


def opened(raw: BinaryIO) -> tuple[pa.Schema, Callable[..., Iterator[pa.RecordBatch]]]:
    """The schema of a file, and a function that reads it, as ``ParquetFile.iter_batches``.

    Raises:
        ArrowInvalid: it is damaged or cut; so does the function.
    """
    start = raw.read(len(FILE))
    raw.seek(0)
    if start.startswith(STREAM):
        stream = pa.ipc.open_stream(raw)
        return stream.schema, partial(_pieces, stream)
    if start.startswith(FILE):
        file = pa.ipc.open_file(raw)
        batches = map(file.get_batch, range(file.num_record_batches))
        return file.schema, partial(_pieces, batches)
    parquet = pq.ParquetFile(raw, coerce_int96_timestamp_unit="us")
    return parquet.schema_arrow, parquet.iter_batches


def _pieces(
    batches: Iterable[pa.RecordBatch], batch_size: int, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    """Batches of up to so many rows; fields of structs come with their whole column."""
    for batch in batches:
        batch.validate(full=True)  # a damaged offset would lead out of the file
        names = batch.schema.names
        kept = batch.select([*dict.fromkeys(c if c in names else c.split(".")[0] for c in columns)])
        for start in range(0, len(kept), batch_size):
            yield kept.slice(start, batch_size)
