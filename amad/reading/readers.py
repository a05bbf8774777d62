"""Raw files as a stream of batches of a few megabytes, whatever their format.

A reader yields the cells of the columns that the fleet file asks for as they are in the file, and
apart from them the lines that are no rows. Whether a cell is a valid value is decided in ``rows``.

Rows are numbered from 1. Lines before the header, headers and empty lines have no number.
"""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from amad.config.errors import AmadError
from amad.config.source import Source
from amad.reading.batch import FileRefusedError, RawBatch, Resolve
from amad.reading.csv_file import read_csv
from amad.reading.json_file import read_json
from amad.reading.parquet_file import read_parquet

__all__ = ["FileRefusedError", "RawBatch", "Resolve", "read_batches", "refusing"]


def read_batches(
    path: Path, source: Source, resolve: Resolve, plain: Collection[str] = ()
) -> Iterator[RawBatch]:
    """Stream a file in the source's format.

    plain: names of columns that mostly hold plain numbers. A reader of text gives such a column as
    float64 where every cell of it is a plain number or empty, and as text otherwise.

    Raises:
        FileRefusedError: the file has another format, is damaged, or ``resolve`` refused its
            headers. The batches yielded before remain valid.
    """
    with refusing():
        if source.container == "parquet":
            yield from read_parquet(path, source, resolve)
        elif source.container == "json":
            yield from read_json(path, source, resolve)
        else:
            yield from read_csv(path, source, resolve, plain)


@contextmanager
def refusing() -> Iterator[None]:
    """Whatever goes wrong in reading a file refuses that file alone.

    Raises:
        FileRefusedError: something went wrong.
    """
    try:
        yield
    except (FileRefusedError, AmadError, MemoryError):
        raise
    except Exception as error:  # no error of a library may stop the other files
        raise _refusal(error) from error


def _refusal(error: Exception) -> FileRefusedError:
    """The refusal of a file for an error whose message does not speak of a file."""
    if isinstance(error, OSError) and error.strerror:
        return FileRefusedError(f"unreadable file: {error.strerror.lower()}")
    text = re.sub(r"\s+", " ", str(error)).strip()
    kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
    return FileRefusedError(f"unreadable file: {kind}{text}"[:500])
