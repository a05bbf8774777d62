"""Raw files as a stream of batches, whatever their format; a batch is a few megabytes.

A reader yields the columns that the contract asks for as they stand in the file, each row with its
number, and apart from them the lines that are no rows. It judges no value: that is ``rows.py``.

Row numbers count from 1. No rows, and without a number, are: the lines before the header, the
header wherever it stands, and empty lines.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from amad.config.errors import AmadError
from amad.config.source import Source
from amad.reading.batch import FileRefusedError, RawBatch, Resolve
from amad.reading.csv_file import read_csv
from amad.reading.parquet_file import read_parquet

__all__ = ["FileRefusedError", "RawBatch", "Resolve", "read_batches"]


def read_batches(path: Path, source: Source, resolve: Resolve) -> Iterator[RawBatch]:
    """Stream a file in the source's format.

    Raises:
        FileRefusedError: the file is of another format, is damaged, or ``resolve`` refused its
            headers. What was yielded before is good.
    """
    reader = read_parquet if source.format == "parquet" else read_csv
    try:
        yield from reader(path, source, resolve)
    except (FileRefusedError, AmadError, MemoryError):
        raise
    except Exception as error:  # whatever a library raises is of this file alone
        raise refusal(error) from error


def refusal(error: Exception) -> FileRefusedError:
    """Why a file is refused, for an error that says nothing of files."""
    if isinstance(error, OSError) and error.strerror:
        return FileRefusedError(f"unreadable file: {error.strerror.lower()}")
    text = re.sub(r"\s+", " ", str(error)).strip()
    kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
    return FileRefusedError(f"unreadable file: {kind}{text}"[:500])
