"""Where the parts of a vehicle's series begin, and how many rows it has, from timestamps alone.

The grid of a series follows from the timestamps of its lake rows. So a first pass, over one day's
timestamps at a time, tells the split and the size of a series before any value is read.

Shape legend: R rows of the lake, K occupied bins, T rows of the grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from amad.config import Fleet
from amad.windows.series import CALIBRATION, PURGED, TEST, TRAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSplit:
    """The rows of the grid at which the calibration and the test part begin.

    The purge_rows rows before each border belong to no part. They are taken from the earlier part,
    so that a test part that the data itself defines keeps all its rows, and are at most a third of
    it, so that a short history keeps rows to train on and to set the threshold on.
    """

    calibration: int
    test: int
    purge_rows: int

    @property
    def train_rows(self) -> int:
        """How many rows the train part has, from row 0 on."""
        return self.calibration - self._purged(self.calibration)

    def _purged(self, rows: int) -> int:
        """How many rows a part loses to the border at its end."""
        return min(self.purge_rows, rows // 3)

    def parts(self, first: int, last: int) -> np.ndarray:
        """The part of each row from first (inclusive) to last (exclusive), uint8."""
        part_T = np.full(last - first, TEST, np.uint8)

        def fill(start: int, end: int, part: int) -> None:
            part_T[max(start - first, 0) : max(end - first, 0)] = part

        fill(0, self.calibration, TRAIN)
        fill(self.calibration, self.test, CALIBRATION)
        fill(self.train_rows, self.calibration, PURGED)
        fill(self.test - self._purged(self.test - self.calibration), self.test, PURGED)
        return part_T


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBounds:
    """The times in microseconds at which the calibration and the test part begin."""

    calibration_us: int
    test_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A series without its values: how many rows it has, and its split in time and in rows."""

    rows: int
    bounds: SplitBounds
    split: RowSplit


def max_gap_bins(fleet: Fleet) -> int:
    """How many bins in a row may lack a row of the lake without ending the segment."""
    return int(fleet.missing.max_gap_seconds * 1_000_000 // fleet.period_us)


def bin_starts(bin_R: np.ndarray) -> np.ndarray:
    """The first row of each occupied bin, from the bin of each row, which never falls."""
    step_R = bin_R[1:] - bin_R[:-1]
    assert not len(step_R) or step_R.min() >= 0, "the lake's rows must be sorted by time"
    return np.concatenate([np.zeros(min(len(bin_R), 1), int), np.flatnonzero(step_R) + 1])


def grid_rows(bin_K: np.ndarray, last: int | None, max_gap: int) -> tuple[np.ndarray, np.ndarray]:
    """The row of the grid of each occupied bin, and which of them begin a segment, bool (K,).

    last: the occupied bin before these, after which rows are counted from 0; None: there is none.
    """
    before = bin_K[:1] - 1 if last is None else last
    if len(bin_K) and bin_K[-1] - before == len(bin_K):  # one after the other, as bins ascend
        return np.arange(len(bin_K)), np.zeros(len(bin_K), bool)
    step_K = np.diff(bin_K, prepend=before)
    new_segment_K = step_K - 1 > max_gap
    return np.cumsum(np.where(new_segment_K, 1, step_K)) - 1, new_segment_K


def grid_timestamps(
    bin_K: np.ndarray, row_K: np.ndarray, last: int | None, period_us: int
) -> tuple[np.ndarray, np.ndarray]:
    """The timestamp of each row of the grid, and how many of ``bin_K`` begin up to it, int64 (T,).

    A row that is not occupied was added; it follows the occupied one before it.
    """
    rows = int(row_K[-1]) + 1 if len(row_K) else 0
    if rows == len(row_K):
        return bin_K * period_us, np.arange(1, rows + 1)
    nth_T = np.zeros(rows, np.int64)
    nth_T[row_K] = 1
    nth_T = np.cumsum(nth_T)
    bin_K1 = np.concatenate([[0 if last is None else last], bin_K])
    row_K1 = np.concatenate([[-1], row_K])
    return (bin_K1[nth_T] + np.arange(rows) - row_K1[nth_T]) * period_us, nth_T


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is known before a day: its last occupied bin, and the bins and rows so far.

    first_us: timestamp of the day's first row of the grid.
    """

    day: int
    last: int | None
    bins: int
    rows: int
    first_us: int


class _Days:
    """The days of a vehicle, looked at one at a time."""

    def __init__(self, days: int, times: Callable[[int], np.ndarray], fleet: Fleet) -> None:
        self._times = lru_cache(maxsize=2)(times)  # the days of both borders are asked for twice
        self._period, self._max_gap = fleet.period_us, max_gap_bins(fleet)
        self._marks: list[_Mark] = []
        self.bins = self.rows = self.last = 0
        last: int | None = None
        for day in range(days):
            if len(bin_K := self._bins(day, last)) == 0:
                continue
            row_K, new_segment_K = grid_rows(bin_K, last, self._max_gap)
            first = bin_K[0] if last is None or new_segment_K[0] else last + 1
            mark = _Mark(day, last, self.bins, self.rows, int(first) * self._period)
            self._marks.append(mark)
            self.bins += len(bin_K)
            self.rows += int(row_K[-1]) + 1
            last = self.last = int(bin_K[-1])

    def _bins(self, day: int, last: int | None) -> np.ndarray:
        """The occupied bins of a day, without one that the day before has begun."""
        bin_R = self._times(day) // self._period
        before = bin_R[:1] - 1 if last is None else last
        return bin_R[np.diff(bin_R, prepend=before) != 0]

    def border_us(self, position: int) -> int:
        """The start of the occupied bin at a position; just after the last one's beyond them."""
        if not self._marks:
            return 0
        if position >= self.bins:
            return self.last * self._period + 1
        mark = next(mark for mark in reversed(self._marks) if mark.bins <= position)
        return int(self._bins(mark.day, mark.last)[position - mark.bins]) * self._period

    def before(self, time_us: int) -> tuple[int, int]:
        """How many occupied bins and how many rows of the grid begin before a time."""
        mark = next((mark for mark in reversed(self._marks) if mark.first_us < time_us), None)
        if mark is None:
            return 0, 0
        bin_K = self._bins(mark.day, mark.last)
        row_K, _ = grid_rows(bin_K, mark.last, self._max_gap)
        time_T, _ = grid_timestamps(bin_K, row_K, mark.last, self._period)
        bins = mark.bins + int(np.searchsorted(bin_K * self._period, time_us))
        return bins, mark.rows + int(np.searchsorted(time_T, time_us))


def outline(
    days: int, times: Callable[[int], np.ndarray], fleet: Fleet, test_us: int | None
) -> Outline:
    """The outline of a vehicle's series, by the shares of ``fleet.split`` over its occupied bins.

    days: their number. times: the timestamps of the n-th day, int64 microseconds, sorted. test_us:
    start of the test part if the data defines it, else None; the rows before it are then divided
    into train and calibration in the ratio of their shares.
    """
    seen, split = _Days(days, times, fleet), fleet.split
    if test_us is None:
        before = seen.bins - round(split.test_share * seen.bins)
        test_us = seen.border_us(before)
    else:
        test_us = test_us // fleet.period_us * fleet.period_us
        before, _ = seen.before(test_us)
    calibration = round(before * split.calibration_share / (1.0 - split.test_share))
    bounds = SplitBounds(
        calibration_us=min(seen.border_us(before - calibration), test_us),
        test_us=test_us,
    )
    rows = RowSplit(
        calibration=seen.before(bounds.calibration_us)[1],
        test=seen.before(bounds.test_us)[1],
        purge_rows=split.purge_rows,
    )
    return Outline(rows=seen.rows, bounds=bounds, split=rows)
