"""Which rows lie around each row of a series: its segment, the boxes of some widths, its past.

Shape legend: T rows, R of them, C channels, W widths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amad.detect.sliding import Piece, pieces, pieces_of
from amad.windows.series import Series

Boxes = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # see ``Layout.boxes``
JOINED_ROWS = 256  # rows whose contributions are wanted, and such as lie between, are taken at once


@dataclass(frozen=True, slots=True)
class Past:
    """The last ``rows`` periods up to each row; first_T: the first row among them, int (T,)."""

    first_T: np.ndarray
    rows: int

    @classmethod
    def of(cls, timestamp_T: np.ndarray, rows: int, *, period_us: int) -> "Past":
        """For rows with these timestamps; rows that are missing there make the past shorter."""
        start_T = timestamp_T - rows * period_us
        return cls(np.searchsorted(timestamp_T, start_T, side="right"), rows)

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Mean of x (T, ...) over the past of each row; a period without a row counts as 0."""
        sums = running(x)
        return (sums[1:] - sums[self.first_T]) / self.rows


class Layout:
    """Where the segments are and which channels exist, for one series or several in a row.

    present_TC: bool; (1, C) for one series, (T, C) for several.
    """

    def __init__(
        self, series: Sequence[Series], present: Sequence[np.ndarray], *, trailing: bool
    ) -> None:
        offsets = np.cumsum([0, *(item.rows for item in series)])
        segments = [
            (offset + first, offset + last)
            for item, offset in zip(series, offsets, strict=False)
            for first, last in item.segments()
        ]
        starts, ends = np.array(segments, int).reshape(-1, 2).T
        self.rows = int(offsets[-1])
        self.segments = segments
        self.trailing = trailing
        self._boxes: dict[tuple[int, ...], Boxes] = {}
        self._pieces: dict[tuple[int, int], list[Piece]] = {}
        self.first_T = np.repeat(starts, ends - starts)
        self.last_T = np.repeat(ends, ends - starts)
        if len(series) == 1:
            self.present_TC = present[0][None]
        else:
            self.present_TC = np.repeat(np.stack(present), [s.rows for s in series], axis=0)

    def boxes(self, widths: Sequence[int]) -> Boxes:
        """The boxes of these widths around each row, cut at the ends of its segment.

        Returns: first rows (W, T), end rows (W, T) (exclusive), the rows of whole boxes (W, 1), and
        how many of them each row's segment lacks (W, T).
        """
        if tuple(widths) not in self._boxes:
            row_T = np.arange(self.rows)
            reaches = np.array([reach(width, trailing=self.trailing) for width in widths])
            before_W1, after_W1 = reaches.T[..., None]
            low_WT = np.maximum(row_T - before_W1, self.first_T)
            high_WT = np.minimum(row_T + after_W1 + 1, self.last_T)
            rows_W1 = before_W1 + after_W1 + 1
            self._boxes[tuple(widths)] = low_WT, high_WT, rows_W1, rows_W1 - (high_WT - low_WT)
        return self._boxes[tuple(widths)]

    def pieces(self, before: int, after: int) -> list[Piece]:
        """All rows in pieces, for boxes that reach so many rows before and after a row."""
        if (before, after) not in self._pieces:
            self._pieces[before, after] = pieces(self.segments, before, after)
        return self._pieces[before, after]

    def pieces_with(self, row_R: np.ndarray, before: int, after: int) -> list[Piece]:
        """As ``pieces``, but only of these rows (ascending) and the few that lie between them."""
        one_R, next_R = row_R[:-1], row_R[1:]
        apart_R = (next_R - one_R > JOINED_ROWS) | (self.first_T[next_R] > one_R)
        begins = row_R[np.append(True, apart_R)]
        ends = row_R[np.append(apart_R, True)] + 1
        bounds = (self.first_T[begins], self.last_T[begins], begins, ends)
        return pieces_of(zip(*(bound.tolist() for bound in bounds), strict=True), before, after)


def reach(width: int, *, trailing: bool) -> tuple[int, int]:
    """How many rows before and after a row its box of ``width`` covers.

    A trailing box is the row and the half before it. A trailing box of the full width would show an
    event for twice as long after its end, and need twice as long to notice its start.
    """
    return (width - 1) // 2, 0 if trailing else width // 2


def running(x: np.ndarray) -> np.ndarray:
    """Running sums (T + 1, ...): entry t is the sum of the first t rows."""
    out = np.zeros((len(x) + 1, *x.shape[1:]))
    np.cumsum(x, axis=0, out=out[1:])
    return out
