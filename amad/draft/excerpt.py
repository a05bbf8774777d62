"""A small file with pieces from all over a large one.

The first rows of a file may be of one vehicle or one day, so their ranges are not the fleet's.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from amad.reading.batch import FileRefusedError
from amad.reading.unpack import is_packed, unpacked

PIECES = 16
LEAST_BYTES = 4 << 20  # least size of an excerpt of text
HEAD_BYTES = 64 << 10  # first bytes, which hold the header and show how long a line is
LARGE = 2  # a file with less than so many times the excerpt's size is read from its start


def excerpt_of_text(path: Path, rows: int, into: Path) -> Path:
    """Write about ``rows`` lines of a text file to ``into``, the first ones among them.

    Returns ``path`` itself if the file is small, compressed or in an encoding with zero bytes.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        lines = head.count(b"\n")
        if not lines or b"\0" in head or is_packed(head):
            return path
        wanted = max(LEAST_BYTES, rows * len(head) // lines)
        if size <= LARGE * wanted:
            return path
        with into.open("wb") as excerpt:
            for number in range(PIECES):
                file.seek(number * (size // PIECES))
                if number:
                    file.readline()  # the rest of a line
                excerpt.write(file.read(wanted // PIECES))
                excerpt.write(file.readline())
    return into


def excerpt_of_json(path: Path, into: Path) -> Path:
    """As ``excerpt_of_text``, or the beginning of a large compressed file, in which keys are."""
    with path.open("rb") as file:
        if not is_packed(file.read(HEAD_BYTES)):
            return excerpt_of_text(path, 0, into)
    with into.open("wb") as excerpt, contextlib.suppress(FileRefusedError):
        for piece in unpacked(path):
            excerpt.write(piece)
            if excerpt.tell() > LARGE * LEAST_BYTES:
                return into
    return path


def excerpt_of_parquet(path: Path, rows: int, into: Path) -> Path:
    """Write about ``rows`` rows of a Parquet file to ``into``, from all over its row groups.

    Returns ``path`` itself if the file is small, has one row group or is damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            groups = file.num_row_groups
            if groups < 2 or file.metadata.num_rows <= LARGE * rows:
                return path
            chosen = sorted({number * (groups - 1) // (PIECES - 1) for number in range(PIECES)})
            with pq.ParquetWriter(into, file.schema_arrow) as writer:
                for batch in _first_rows(file, chosen, rows // len(chosen)):
                    writer.write_batch(batch)
    except (pa.ArrowException, OSError):
        return path
    return into


def _first_rows(file: pq.ParquetFile, groups: list[int], rows: int) -> Iterator[pa.RecordBatch]:
    for group in groups:
        batch = next(file.iter_batches(batch_size=rows, row_groups=[group]), None)
        if batch is not None:
            yield batch
