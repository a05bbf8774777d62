"""A cache of residuals, so that rows which were predicted before are not predicted again.

An injected case is a copy of rows that were scored before, with a fault in a few of them. A
member's residual depends on ``context_rows`` rows before and ``lookahead_rows`` rows after it. So
only rows near a change, or near an end where the copy was cut, are predicted again. The result is
the same as predicting all rows.

Shape legend: T rows, C channels.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from amad.windows.series import Series

LIMIT_BYTES = 100_000_000  # of all series and residuals in the cache

Arrays = dict[str, np.ndarray]


class Predictor(Protocol):
    """The fields of a member that the cache uses."""

    name: str
    context_rows: int
    lookahead_rows: int

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Residual (T, C) float32, see ``amad.detect.members.member``."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    coefficients: Arrays
    series: Series
    residual_TC: np.ndarray

    @property
    def bytes(self) -> int:
        return self.series.value_TC.nbytes + self.residual_TC.nbytes


class ResidualCache:
    """The residuals that members have predicted, the newest last; detectors may share one cache.

    Members are told apart by name and coefficients, so two networks of one name need two caches.
    """

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def error_of(self, member: Predictor, series: Series, coefficients: Arrays) -> np.ndarray:
        """``member.predict_error(series, coefficients)``, from the cache where known."""
        found = self._find(member, series, coefficients)
        if found is None:
            residual_TC = member.predict_error(series, coefficients)
            self._keep(_Entry(member.name, coefficients, series, residual_TC.copy()))
            return residual_TC
        known, first = found
        rows = slice(first, first + series.rows)
        residual_TC = known.residual_TC[rows].copy()
        stale_T = (known.series.value_TC[rows] != series.value_TC).any(axis=1)
        before, after = member.context_rows, member.lookahead_rows
        reach, margin = before + after, 2 * max(before, after)
        if first > 0:
            stale_T[:reach] = True
        if first + series.rows < known.series.rows:
            stale_T[max(series.rows - reach, 0) :] = True
        for low, high in _stretches(stale_T, before=after, after=before, join=4 * reach):
            begin, end = max(low - margin, 0), min(high + margin, series.rows)
            piece_TC = member.predict_error(series.rows_between(begin, end), coefficients)
            residual_TC[low:high] = piece_TC[low - begin : high - begin]
        return residual_TC

    def _find(
        self, member: Predictor, series: Series, coefficients: Arrays
    ) -> tuple[_Entry, int] | None:
        """The newest entry with these rows, whatever their values, and the row where they start."""
        for known in reversed(self._entries):
            if known.name == member.name and _equal(known.coefficients, coefficients):
                first = _position(known.series, series)
                if first is not None:
                    return known, first
        return None

    def _keep(self, entry: _Entry) -> None:
        self._entries.append(entry)
        while sum(e.bytes for e in self._entries) > LIMIT_BYTES and len(self._entries) > 1:
            self._entries.popleft()


def _equal(ours: Arrays, theirs: Arrays) -> bool:
    if ours is theirs:
        return True
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[k], theirs[k]) for k in ours)


def _position(known: Series, series: Series) -> int | None:
    """The row of ``known`` where the rows of ``series`` start, whatever their values."""
    if series.rows == 0 or (known.vehicle, known.vehicle_class) != (
        series.vehicle, series.vehicle_class,
    ):  # fmt: skip
        return None
    first = int(np.searchsorted(known.timestamp_T, series.timestamp_T[0]))
    rows = slice(first, first + series.rows)
    same = (
        np.array_equal(known.timestamp_T[rows], series.timestamp_T)
        and np.array_equal(known.segment_T[rows], series.segment_T)
        and np.array_equal(known.valid_TC[rows], series.valid_TC)
    )
    return first if same else None


def _stretches(stale_T: np.ndarray, *, before: int, after: int, join: int) -> list[tuple[int, int]]:
    """(first, end) of each widened run of stale rows; runs nearer than ``join`` are merged."""
    out: list[tuple[int, int]] = []
    rows = np.flatnonzero(stale_T)
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else ():
        low = max(int(run[0]) - before, 0)
        high = min(int(run[-1]) + 1 + after, len(stale_T))
        if out and low - out[-1][1] < join:
            out[-1] = (out[-1][0], high)
        else:
            out.append((low, high))
    return out
