"""What a reader of raw files yields and raises."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

# Takes the headers of a file; returns the name of each column to read -> its position.
Resolve = Callable[[list[str]], dict[str, int]]

NOTHING = "unreadable file: it is empty"
REPEATED_HEADER = "repeated header"
COMMENT = "comment, name of a section or line of dashes"
UNITS = "line of units under the header"
REPEATED_PREAMBLE = "repeated line before the header"


class FileRefusedError(Exception):
    """The file, or the rest of it, cannot be read; the message says why.

    It becomes one entry in ``rejected/``. channels: those for which it lacks the column, where it
    lacks nothing else.
    """

    def __init__(self, reason: str, channels: Collection[str] = ()) -> None:
        super().__init__(reason)
        self.channels = channels


@dataclass(slots=True, kw_only=True)
class RawBatch:
    """R consecutive rows of a file.

    ``ignored`` counts lines that are no rows, such as a repeated header. Where a file holds several
    recordings one after the other, ``preamble`` is that of the batch's own recording.
    """

    row_R: np.ndarray  # int64, the rows' numbers in the file
    columns: dict[str, pa.Array]  # name asked for -> cells (R,)
    headers: dict[str, str]  # name asked for -> the column's header in the file
    texts: Callable[[], dict[str, pa.Array]] | None = None  # see ``cells``
    broken: list[tuple[int, str, str]] = field(default_factory=list)  # row number, reason, text
    preamble: list[str] = field(default_factory=list)  # the lines before the header
    ignored: dict[str, int] = field(default_factory=dict)  # kind of line -> how many
    units: dict[str, str] = field(default_factory=dict)  # name -> what the file tells
    short: int = 0  # rows with fewer fields than the header has names
    _read: dict[str, pa.Array] | None = None  # what ``texts`` returned

    def cells(self) -> dict[str, pa.Array]:
        """The columns as they stand in the file, also where ``columns`` holds numbers of text."""
        if self._read is None:
            self._read = self.columns if self.texts is None else self.texts()
        return self._read

    def content(self, cells: dict[str, pa.Array], at: int) -> str:
        """A row of the cells as JSON: header -> cell."""
        row = {self.headers[name]: column[at].as_py() for name, column in cells.items()}
        return json.dumps(row, default=str, ensure_ascii=False)
