"""Sums and extremes of sliding windows, in pieces that stay in the processor's cache.

A window of 2 n rows is two windows of n rows, so log2(width) passes over an array give all of its
windows. No running sum is kept: a window depends on its own rows alone, to the last bit, wherever
the rows were cut, and a wild value costs no later window its digits.

Shape legend: T rows of a series, P positions of a piece, R rows of a piece.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

CHUNK = 4096  # positions of a piece, unless the windows are as wide
CHUNK_ROWS = 2048  # of several arrays at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """Some rows of a series, each with the rows that its windows reach into.

    rows: of the series. source_P: the row at each position; beyond the ends of a segment, the row
    at its end. outside_P: the positions beyond an end. place_R: the position of each row. beyond:
    where ``source_P`` is a slice, how many positions before and after it are beyond an end.
    """

    rows: slice
    source_P: slice | np.ndarray
    outside_P: np.ndarray
    place_R: slice | np.ndarray
    beyond: tuple[int, int] = (0, 0)

    def take(self, x_T: np.ndarray, outside: np.ndarray | float | None = None) -> np.ndarray:
        """The rows of an array (T, ...) at each position, (P, ...); a view where that is enough.

        outside: what stands beyond the ends of a segment; None: the row at its end.
        """
        if isinstance(self.source_P, slice):
            return self._around(x_T[self.source_P], outside)
        x_P = x_T.take(self.source_P, axis=0)
        if outside is not None and len(self.outside_P):
            x_P[self.outside_P] = outside
        return x_P

    def _around(self, inside_P: np.ndarray, outside: np.ndarray | float | None) -> np.ndarray:
        before, after = self.beyond
        if not before and not after:
            return inside_P
        last = before + len(inside_P)
        x_P = np.empty((last + after, *inside_P.shape[1:]), inside_P.dtype)
        x_P[before:last] = inside_P
        x_P[:before] = inside_P[0] if outside is None else outside
        x_P[last:] = inside_P[-1] if outside is None else outside
        return x_P

    def of_rows(self, window_P: np.ndarray, before: int) -> np.ndarray:
        """For each row the window that begins ``before`` rows before it, (R, ...).

        window_P: for each position, the window that begins there.
        """
        if isinstance(self.place_R, slice):
            return window_P[self.place_R.start - before : self.place_R.stop - before]
        return window_P.take(self.place_R - before, axis=0)

    def places(self, nth: np.ndarray) -> np.ndarray:
        """The positions of the n-th of the rows."""
        if isinstance(self.place_R, slice):
            return self.place_R.start + nth
        return self.place_R[nth]


def pieces(segments: Iterable[tuple[int, int]], before: int, after: int) -> list[Piece]:
    """Pieces of about ``CHUNK`` positions that hold all rows of these segments, in order.

    segments: (first, last) row positions, last exclusive. before, after: how many rows before and
    after a row its windows reach.
    """
    return pieces_of([(*segment, *segment) for segment in segments], before, after)


def pieces_of(parts: Iterable[tuple[int, int, int, int]], before: int, after: int) -> list[Piece]:
    """As ``pieces``, but of some rows of the segments.

    parts: (first, last) row of a segment, and (begin, end) of the rows in it that are wanted.
    """
    step = max(CHUNK - before - after, before + after, 1)
    found: list[Piece] = []
    waiting: list[tuple[int, int, int, int]] = []
    held = 0
    for first, last, start, stop in parts:
        for begin in range(start, stop, step):
            end = min(begin + step, stop)
            size = end - begin + before + after
            if waiting and (held + size > CHUNK or waiting[-1][3] != begin):
                found.append(_piece(waiting, before, after))
                waiting, held = [], 0
            waiting.append((first, last, begin, end))
            held += size
    return [*found, _piece(waiting, before, after)] if waiting else found


def _piece(parts: Sequence[tuple[int, int, int, int]], before: int, after: int) -> Piece:
    """parts: (first, last) row of a segment, and (begin, end) of its rows in the piece."""
    rows = slice(parts[0][2], parts[-1][3])
    if len(parts) == 1:
        first, last, begin, end = parts[0]
        inner = slice(max(begin - before, first), min(end + after, last))
        return Piece(
            rows=rows,
            source_P=inner,
            outside_P=np.zeros(0, int),
            place_R=slice(before, before + end - begin),
            beyond=(inner.start - (begin - before), end + after - inner.stop),
        )
    row_P = np.concatenate([np.arange(b - before, e + after) for _, _, b, e in parts])
    sizes = [e - b + before + after for _, _, b, e in parts]
    first_P, last_P = (np.repeat([part[k] for part in parts], sizes) for k in (0, 1))
    outside = np.flatnonzero((row_P < first_P) | (row_P >= last_P))
    source_P = np.clip(row_P, first_P, last_P - 1)
    starts = np.cumsum([0, *sizes[:-1]]) + before
    places = [s + np.arange(e - b) for s, (_, _, b, e) in zip(starts, parts, strict=True)]
    return Piece(rows=rows, source_P=source_P, outside_P=outside, place_R=np.concatenate(places))


def chunks(first: int, last: int) -> list[tuple[int, int]]:
    """The rows from ``first`` to before ``last``, so many at once as stay in the cache."""
    return [(begin, min(begin + CHUNK_ROWS, last)) for begin in range(first, last, CHUNK_ROWS)]


def sliding(x_P: np.ndarray, widths: Sequence[int], combine: np.ufunc) -> list[np.ndarray]:
    """For each width, the windows that begin at each position and end within these (P, ...).

    combine: of two arrays, such as ``np.add`` or ``np.maximum``. The results may be views of
    ``x_P``.
    """
    found: list[np.ndarray | None] = [None] * len(widths)
    offsets, span = [0] * len(widths), 1
    while True:
        for k, width in enumerate(widths):
            if width & span:
                rows = len(x_P) + span - width
                part = x_P[offsets[k] : offsets[k] + rows]
                old = found[k]
                found[k] = part if old is None else combine(old, part)
                offsets[k] += span
        if 2 * span > max(widths):
            return [x for x in found if x is not None]
        x_P = combine(x_P[:-span], x_P[span:])
        span *= 2
