"""Residuals that are known already are not predicted again.

An injected case is a copy of rows that were scored before, with a fault in a few of them. A
member's residual depends on ``context_rows`` before and ``lookahead_rows`` after a row, so only the
rows that near a change, or that near an end where the copy was cut, are predicted anew; the rest is
taken over. The result is that of predicting all of it.

Shape legend: T rows, C channels.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from amad.detect.detector import Detector
from amad.detect.members import Arrays, Member
from amad.windows.series import Series

LIMIT_BYTES = 250_000_000  # of what is remembered, series and residuals


@dataclass(frozen=True, slots=True)
class _Known:
    name: str
    coefficients: Arrays
    series: Series
    residual_TC: np.ndarray

    @property
    def bytes(self) -> int:
        return self.series.value_TC.nbytes + self.residual_TC.nbytes


class Memory:
    """What members of one kind have predicted, the newest last; shared by several detectors."""

    def __init__(self) -> None:
        self._known: deque[_Known] = deque()

    def attach(self, detector: Detector) -> None:
        """Let the members of the detector look here before they predict."""
        for member in detector.members:
            member.predict_error = self._remembering(member, member.predict_error)

    def clear(self) -> None:
        """Forget everything."""
        self._known.clear()

    def _remembering(
        self, member: Member, predict: Callable[[Series, Arrays], np.ndarray]
    ) -> Callable[[Series, Arrays], np.ndarray]:
        def predict_error(series: Series, coefficients: Arrays) -> np.ndarray:
            first = None
            for known in reversed(self._known):
                same = known.name == member.name and _equal(known.coefficients, coefficients)
                first = _position(known.series, series) if same else None
                if first is not None:
                    break
            if first is None:
                residual_TC = predict(series, coefficients)
                self._keep(_Known(member.name, coefficients, series, residual_TC.copy()))
                return residual_TC
            rows = slice(first, first + series.rows)
            residual_TC = known.residual_TC[rows].copy()
            stale_T = (known.series.value_TC[rows] != series.value_TC).any(axis=1)
            before, after = member.context_rows, member.lookahead_rows
            reach = before + after
            if first > 0:
                stale_T[:reach] = True
            if first + series.rows < known.series.rows:
                stale_T[max(series.rows - reach, 0) :] = True
            for low, high in _stretches(stale_T, before=after, after=before, join=4 * reach):
                begin, end = max(low - 2 * reach, 0), min(high + 2 * reach, series.rows)
                piece_TC = predict(series.rows_between(begin, end), coefficients)
                residual_TC[low:high] = piece_TC[low - begin : high - begin]
            return residual_TC

        return predict_error

    def _keep(self, known: _Known) -> None:
        self._known.append(known)
        while sum(k.bytes for k in self._known) > LIMIT_BYTES and len(self._known) > 1:
            self._known.popleft()


def _equal(ours: Arrays, theirs: Arrays) -> bool:
    if ours is theirs:
        return True
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[k], theirs[k]) for k in ours)


def _position(known: Series, series: Series) -> int | None:
    """Row of ``known`` from which it holds the rows of ``series``, whatever their values."""
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
    """(first, end) of the runs of stale rows, widened; those nearer than ``join`` are one."""
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
