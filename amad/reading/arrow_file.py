"""An Arrow file (as Feather writes it) or a stream of Arrow, with the methods of a Parquet file."""

from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Self

import pyarrow as pa
import pyarrow.parquet as pq

FILE, STREAM = b"ARROW1", b"\xff\xff\xff\xff"  # the first bytes
TABLES = (b"PAR1", FILE, STREAM)  # those of a Parquet file, too


class ArrowFile:
    """Batches of an Arrow file or stream; see ``pyarrow.parquet.ParquetFile``."""

    def __init__(self, raw: BinaryIO, *, is_stream: bool) -> None:
        self._reader = pa.ipc.open_stream(raw) if is_stream else pa.ipc.open_file(raw)
        self._is_stream = is_stream
        self.schema_arrow: pa.Schema = self._reader.schema

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass  # whoever opened the file closes it

    def iter_batches(self, batch_size: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Batches of up to so many rows; fields of structs come with their whole column.

        Raises:
            ArrowInvalid: the file is damaged or cut.
        """
        reader = self._reader
        numbers = () if self._is_stream else range(reader.num_record_batches)
        batches = reader if self._is_stream else (reader.get_batch(n) for n in numbers)
        names = self.schema_arrow.names
        wanted = dict.fromkeys(c if c in names else c.split(".")[0] for c in columns)
        for batch in batches:
            batch.validate(full=True)  # a damaged offset would lead out of the file
            kept = batch.select([*wanted])
            for start in range(0, len(kept), batch_size):
                yield kept.slice(start, batch_size)


def opened(raw: BinaryIO) -> pq.ParquetFile | ArrowFile:
    """The file that its first bytes show.

    Raises:
        ArrowInvalid: it is damaged or cut.
    """
    start = raw.read(len(FILE))
    raw.seek(0)
    if start.startswith((FILE, STREAM)):
        return ArrowFile(raw, is_stream=start.startswith(STREAM))
    return pq.ParquetFile(raw, coerce_int96_timestamp_unit="us")
