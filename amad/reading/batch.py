"""What a reader yields, and what it raises."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

# Given the headers of a file, the position of each column to read, by the name it is read under.
Resolve = Callable[[list[str]], dict[str, int]]

REPEATED_HEADER = "repeated header"
REPEATED_PREAMBLE = "repeated line before the header"


class FileRefusedError(Exception):
    """The file cannot be read (on); the message says why. It goes to ``rejected/`` as one entry."""


@dataclass(slots=True, kw_only=True)
class RawBatch:
    """Some consecutive rows of a file. R rows.

    ``ignored`` counts what is no row and is left out, such as a repeated header. Where a file is
    several recordings one after the other, ``preamble`` is that of the batch's own recording.
    """

    row_R: np.ndarray  # int64, the rows' numbers in the file
    columns: dict[str, pa.Array]  # (R,) each, by the name asked for
    headers: dict[str, str]  # the column's own header, by the name asked for
    broken: list[tuple[int, str, str]] = field(default_factory=list)  # (number, reason, text)
    preamble: list[str] = field(default_factory=list)  # the lines before the header
    ignored: dict[str, int] = field(default_factory=dict)  # what: how many
