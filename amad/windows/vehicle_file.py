"""The Arrow file of one vehicle in the window store: written in pieces, mapped when it is read.

It is one record batch of: timestamp (us, UTC), value (fixed-size list of C float64, engineering
units), valid (fixed-size list of C uint8), segment int32, split uint8, and label int8 if there are
labels. A column lies in one stretch of the file, so that a mapped series is an array without a
copy; and since the number of rows is known before the first is written, each piece goes straight to
its place in every column.

Shape legend: T rows of a vehicle, C channels.
"""

import mmap
from collections.abc import Iterator
from contextlib import ExitStack
from io import BufferedRandom
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from amad.telemetry import disk
from amad.telemetry.schemas import TIMESTAMP
from amad.windows.series import Series

COLUMNS: dict[str, np.dtype] = {
    "timestamp": np.dtype(np.int64), "value": np.dtype(np.float64), "valid": np.dtype(np.uint8),
    "segment": np.dtype(np.int32), "split": np.dtype(np.uint8), "label": np.dtype(np.int8),
}  # fmt: skip
WIDE = ("value", "valid")  # columns of C numbers per row
PIECE_ROWS = 1 << 14  # read or written at a time: few enough for a processor's cache


class VehicleFile:
    """A file that is filled piece by piece; between pieces it holds zeros.

    Example::

        with VehicleFile.create(path, rows=3, channels=2, labels=False) as file:
            file.write(0, series_of_two_rows)
            file.write(2, series_of_one_row)
            value_TC = file.values(0, 3)
    """

    def __init__(self, file: BufferedRandom, offsets: dict[str, int], channels: int) -> None:
        self._file, self._offsets, self._channels = file, offsets, channels

    @classmethod
    def create(cls, path: Path, *, rows: int, channels: int, labels: bool) -> "VehicleFile":
        """Write all of the file but its rows, and leave it open."""
        names = [name for name in COLUMNS if labels or name != "label"]
        columns = {}
        for name in names:
            width = channels if name in WIDE else 1
            kind = pa.from_numpy_dtype(COLUMNS[name])
            column = pa.Array.from_buffers(
                kind, rows * width, [None, _zeros(rows * width * COLUMNS[name].itemsize)], 0
            )
            columns[name] = (
                pa.FixedSizeListArray.from_arrays(column, channels) if name in WIDE else column
            )
        columns["timestamp"] = columns["timestamp"].view(TIMESTAMP)
        batch = pa.record_batch(columns)
        with ExitStack() as on_error:
            file = on_error.enter_context(path.open("w+b"))
            sink = _Sink(file)
            with pa.PythonFile(sink, mode="w") as out, pa.ipc.new_file(out, batch.schema) as writer:
                writer.write_batch(batch)
            on_error.pop_all()
        return cls(file, dict(zip(names, sink.skipped, strict=False)), channels)

    @classmethod
    def open(cls, path: Path, *, channels: int) -> "VehicleFile":
        """Open a written file to read its values and to replace them."""
        with pa.memory_map(str(path)) as source:
            begin = source.read_buffer(1).address
            source.seek(0)
            batch = pa.ipc.open_file(source).get_batch(0)
            offsets = {}
            if batch.num_rows:
                offsets["value"] = batch["value"].values.buffers()[1].address - begin
        return cls(path.open("r+b"), offsets, channels)

    def __enter__(self) -> "VehicleFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, first: int, series: Series) -> None:
        """Write the rows of a series from row ``first`` of the file on."""
        for name in self._offsets:
            column = getattr(series, f"{name}_TC" if name in WIDE else f"{name}_T")
            self._put(name, first, column)

    def values(self, first: int, last: int) -> np.ndarray:
        """value_TC of rows first (inclusive) to last (exclusive)."""
        column = np.empty((last - first, self._channels), COLUMNS["value"])
        self._file.seek(self._offsets["value"] + first * column.strides[0])
        self._file.readinto(column.data)
        return column

    def write_values(self, first: int, value_TC: np.ndarray) -> None:
        """Replace the values from row ``first`` on."""
        self._put("value", first, value_TC)

    def _put(self, name: str, first: int, column: np.ndarray) -> None:
        if len(column) == 0:
            return
        column = np.ascontiguousarray(column, COLUMNS[name])
        self._file.seek(self._offsets[name] + first * column.strides[0])
        self._file.write(column.data)


def pieces(rows: int) -> Iterator[tuple[int, int]]:
    """First (inclusive) and last (exclusive) row of each piece of so many rows."""
    for first in range(0, rows, PIECE_ROWS):
        yield first, min(first + PIECE_ROWS, rows)


def read_series(path: Path, vehicle: str, vehicle_class: str, channels: int) -> Series:
    """The series in a file: read-only views of it."""
    with disk.mapped(path) as source:
        batch = pa.ipc.open_file(source).get_batch(0)
    shape = (batch.num_rows, channels)
    return Series(
        vehicle=vehicle,
        vehicle_class=vehicle_class,
        timestamp_T=batch["timestamp"].view(pa.int64()).to_numpy(),
        value_TC=batch["value"].values.to_numpy().reshape(shape),
        valid_TC=batch["valid"].values.to_numpy().reshape(shape),
        segment_T=batch["segment"].to_numpy(),
        split_T=batch["split"].to_numpy(),
        label_T=batch["label"].to_numpy() if "label" in batch.schema.names else None,
    )


def _zeros(size: int) -> pa.Buffer:
    """A buffer of zeros that takes no memory as long as nobody reads it."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    return pa.py_buffer(mmap.mmap(-1, max(size, 1), flags=flags, prot=mmap.PROT_READ))


class _Sink:
    """What Arrow writes a file with: it leaves room for a column and notes where it begins."""

    closed = False

    def __init__(self, file: BufferedRandom) -> None:
        self._file = file
        self.skipped: list[int] = []

    def write(self, content: Any) -> int:
        if isinstance(content, pa.Buffer):  # Arrow's own words come as bytes, columns as they lie
            self.skipped.append(self._file.tell())
            self._file.seek(content.size, 1)
            return content.size
        return self._file.write(content)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None: ...

    def close(self) -> None: ...
