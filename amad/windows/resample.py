"""Puts a vehicle's lake rows on its regular grid: binned, cut into segments, imputed and split.

The grid is aligned to the epoch: bin k is [k * period, (k + 1) * period), and its timestamp is its
start. So the same rows lie on the same grid, whichever part of them is read.

An impossible value (``amad.telemetry.valid_values``: outside the channel's physical range,
infinite, or a code for "not available") is null from here on.

The value of a bin is the mean of its values for a continuous channel, and the last value for every
other kind, because the mean of two gears is no gear. Of counters and angles, what follows is then
the increment per period (``amad.windows.increments``).

Missing values are filled by ``fleet.missing``:

- Bins without any row: up to ``max_gap_seconds`` in a row are added and imputed; a longer gap ends
  the segment.
- A gap of one channel inside a segment: linear in time if the channel is continuous, a counter or
  an angle and the gap is at most ``max_gap_seconds``, otherwise the last value is held. (In sparse
  data every channel is reported more rarely than the period; then the short gaps between its values
  are linear.)
- A channel without an earlier value in the segment: its first value is held backwards over at most
  ``max_gap_seconds``. What is still unknown is NaN here, and later the train mean: in engineering
  units in the store, as 0 after ``Scaler.apply``.

Values are never carried backwards over a border of the split: a missing value is filled from later
rows of its own part only.

Shape legend: R rows of the lake, K occupied bins, T rows of the grid, C channels.
"""

import datetime
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Fleet
from amad.telemetry.lake import times_of
from amad.telemetry.valid_values import measured
from amad.windows.increments import Measured, increments
from amad.windows.series import TEST, Series
from amad.windows.split import SplitBounds, bin_starts, grid_rows, grid_timestamps, max_gap_bins

TOGETHER = 8  # channels that are imputed at once; more would take memory where many are missing


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Rows of the grid before they are imputed, NaN where nothing was measured."""

    timestamp_T: np.ndarray
    segment_T: np.ndarray
    part_T: np.ndarray  # uint8: before, between and after the borders of the split
    value_CT: np.ndarray
    valid_CT: np.ndarray
    label_T: np.ndarray | None

    @classmethod
    def none(cls, channels: int, labels: bool) -> "_Rows":
        """No rows."""
        return cls(
            timestamp_T=np.zeros(0, np.int64), segment_T=np.zeros(0, np.int32),
            part_T=np.zeros(0, np.uint8), value_CT=np.zeros((channels, 0)),
            valid_CT=np.zeros((channels, 0), np.uint8),
            label_T=np.zeros(0, np.int8) if labels else None,
        )  # fmt: skip

    @property
    def rows(self) -> int:
        return len(self.timestamp_T)

    def cut(self, first: int, last: int) -> "_Rows":
        """Rows first (inclusive) to last (exclusive), as views."""
        return self._each(lambda column: column[..., first:last])

    def copied(self) -> "_Rows":
        """A copy of its own, which keeps nothing else in memory."""
        return self._each(np.copy)

    def _each(self, change: Callable[[np.ndarray], np.ndarray]) -> "_Rows":
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {k: None if v is None else change(v) for k, v in columns.items()}
        return _Rows(**changed)


class Resampler:
    """Puts the lake rows of a vehicle on its grid, piece by piece in bounded memory.

    The series is the same however its rows are cut, as long as no bin is. A row is given out when
    no later one can change it.

    bounds: of the split, over which no value is carried backwards; None: there is no split. The
    series says nothing of it: all its rows are in the test part.

    Example::

        grid = Resampler(fleet, "bev-03")
        series = [grid.add(one), grid.add(two), grid.add(three, last=True)]
    """

    def __init__(self, fleet: Fleet, vehicle: str, bounds: SplitBounds | None = None) -> None:
        self._fleet, self._vehicle = fleet, vehicle
        self._class = fleet.class_of(vehicle)
        has_C = fleet.has_channel(self._class)
        self._channels = [(c, one) for c, one in enumerate(fleet.channels) if has_C[c]]
        self._linear_C = np.array(
            [c.kind == "continuous" or c.is_increment for c in fleet.channels]
        )
        self._max_gap = max_gap_bins(fleet)
        self._borders = [] if bounds is None else [bounds.calibration_us, bounds.test_us]
        self._last: int | None = None  # the last occupied bin, its segment, and its label
        self._segment, self._label = 0, np.int8(0)
        self._measured: dict[int, Measured] = {}  # by channel, of increments
        self._waiting: _Rows | None = None  # rows that were given out, and those that wait
        self._given = 0
        self.made_null: Counter[str] = Counter()  # impossible cells so far, by channel

    def add(self, table: pa.Table, *, last: bool = False) -> Series:
        """Add the next lake rows, all of their bins, and return the rows that are known now.

        last: no more rows follow, so that all are known.
        """
        rows = self._placed(table)
        given, ready = self._given, rows.rows
        if not last:
            ready = max(given, ready - self._max_gap)
            # A gap that is interpolated begins at most max_gap rows before the next row; what a
            # longer one holds stands in the first row that is kept.
            keep = max(0, ready - self._max_gap - 1)
            self._waiting = self._kept(rows, keep)
            self._given = ready - keep
        start_S = _starts(rows.segment_T)
        for first in range(0, len(rows.value_CT), TOGETHER):
            some = slice(first, first + TOGETHER)
            _impute(rows, some, start_S, self._max_gap, self._linear_C[some])
        known = rows.cut(given, ready)
        return Series(
            vehicle=self._vehicle,
            vehicle_class=self._class,
            timestamp_T=known.timestamp_T,
            value_TC=np.ascontiguousarray(known.value_CT.T),
            valid_TC=np.ascontiguousarray(known.valid_CT.T),
            segment_T=known.segment_T,
            split_T=np.full(known.rows, TEST, np.uint8),
            label_T=known.label_T,
        )

    def _placed(self, table: pa.Table) -> _Rows:
        """The rows that wait, and those up to the last of these lake rows, not imputed."""
        fleet, last = self._fleet, self._last
        before = self._waiting or _Rows.none(len(fleet.channels), "label" in table.column_names)
        bin_R = times_of(table) // fleet.period_us
        start_K = bin_starts(bin_R)
        bin_K = bin_R[start_K]
        row_K, new_segment_K = grid_rows(bin_K, last, self._max_gap)
        timestamp_T, nth_T = grid_timestamps(bin_K, row_K, last, fleet.period_us)
        rows = len(timestamp_T)
        segment_K1 = self._segment + np.concatenate([[0], np.cumsum(new_segment_K)])
        part_T = np.zeros(rows, np.uint8)
        for begin in np.searchsorted(timestamp_T, self._borders):
            part_T[begin:] += 1
        label_T = None
        if "label" in table.column_names:
            label_R = table["label"].fill_null(0).to_numpy().astype(np.int8)
            label_K1 = np.concatenate([[self._label], _reduce(np.maximum, label_R, start_K)])
            label_T, self._label = label_K1[nth_T], label_K1[-1]
        segment_T = segment_K1[nth_T].astype(np.int32)
        if len(bin_K):
            self._last, self._segment = int(bin_K[-1]), int(segment_K1[-1])

        old = before.rows
        value_CT = np.zeros((len(fleet.channels), old + rows))
        valid_CT = np.zeros((len(fleet.channels), old + rows), np.uint8)
        value_CT[:, :old], valid_CT[:, :old] = before.value_CT, before.valid_CT
        for c, channel in self._channels:
            value_T = value_CT[c, old:]
            raw_R, nulls = measured(table[channel.name], channel)
            if nulls:
                self.made_null[channel.name] += nulls
            value_K = _binned(raw_R, start_K, mean=channel.kind == "continuous")
            if len(row_K) < rows:
                value_T[:] = np.nan
                value_T[row_K] = value_K
            else:
                value_T[:] = value_K
            if channel.is_increment:
                value_T[:], self._measured[c] = increments(
                    value_T, segment_T, channel, self._measured.get(c)
                )
            np.logical_not(np.isnan(value_T), out=valid_CT[c, old:].view(bool))
        return _Rows(
            timestamp_T=np.concatenate([before.timestamp_T, timestamp_T]),
            segment_T=np.concatenate([before.segment_T, segment_T]),
            part_T=np.concatenate([before.part_T, part_T]),
            value_CT=value_CT,
            valid_CT=valid_CT,
            label_T=None if label_T is None else np.concatenate([before.label_T, label_T]),
        )

    def _kept(self, rows: _Rows, first: int) -> _Rows:
        """A copy of the rows from ``first`` on, whose first one has the values held until there."""
        kept = rows.cut(first, rows.rows).copied()
        if kept.rows == 0:
            return kept
        start = int(np.searchsorted(rows.segment_T, kept.segment_T[0]))
        for c in np.flatnonzero(np.isnan(kept.value_CT[:, 0])):
            known = np.flatnonzero(~np.isnan(rows.value_CT[c, start:first]))
            if len(known):
                kept.value_CT[c, 0] = rows.value_CT[c, start + known[-1]]
        return kept


def to_series(table: pa.Table, fleet: Fleet, vehicle: str) -> Series:
    """The vehicle's lake rows on the regular grid, in engineering units, float64.

    Counters and angles are given as their increment per period. Every row is in the test part.

    table: of the lake schema, sorted by timestamp. Values from which nothing can be imputed are
    NaN; channels that the class lacks are 0.
    """
    return Resampler(fleet, vehicle).add(table, last=True)


def without_days(table: pa.Table, days: Collection[datetime.date]) -> pa.Table:
    """The rows of a table with a ``timestamp`` column that are on none of these dates (UTC)."""
    if not days:
        return table
    left_out = pa.array(sorted(days), pa.date32())
    return table.filter(pc.invert(pc.is_in(table["timestamp"].cast(pa.date32()), left_out)))


def row_of(series: Series, timestamps_us: np.ndarray, period_us: int) -> np.ndarray:
    """The series row whose bin holds each timestamp (int64 microseconds); -1 if there is none."""
    timestamps_us = np.asarray(timestamps_us, np.int64)
    if series.rows == 0:
        return np.full(len(timestamps_us), -1, np.int64)
    row = np.searchsorted(series.timestamp_T, timestamps_us, side="right") - 1
    late = timestamps_us - series.timestamp_T[np.maximum(row, 0)] >= period_us
    return np.where((row < 0) | late, -1, row)


def _reduce(function: np.ufunc, value_R: np.ndarray, start_K: np.ndarray) -> np.ndarray:
    """``reduceat`` over the bins; numpy raises an error for an empty array."""
    return function.reduceat(value_R, start_K) if len(start_K) else value_R


def _binned(raw_R: np.ndarray, start_K: np.ndarray, *, mean: bool) -> np.ndarray:
    """One value per bin: the mean, or the last in time; NaN if the bin has none."""
    if len(start_K) == len(raw_R):
        return raw_R
    known_R = ~np.isnan(raw_R)
    if mean:
        total_K = _reduce(np.add, np.where(known_R, raw_R, 0.0), start_K)
        count_K = _reduce(np.add, known_R.astype(np.int64), start_K)
        return np.where(count_K > 0, total_K / np.maximum(count_K, 1), np.nan)
    last_K = _reduce(np.maximum, np.where(known_R, np.arange(len(raw_R)), -1), start_K)
    return np.where(last_K >= 0, raw_R[np.maximum(last_K, 0)], np.nan)


def _starts(segment_T: np.ndarray) -> np.ndarray:
    """The first row of each segment."""
    return np.flatnonzero(np.diff(segment_T, prepend=segment_T[:1] - 1))


def _impute(
    rows: _Rows, channels: slice, start_S: np.ndarray, max_gap: int, linear_C: np.ndarray
) -> None:
    """Fill the NaN of some channels in place, by the rules in the docstring of this module.

    start_S: the first row of each segment. max_gap: how many missing rows are interpolated or held
    backwards at most. linear_C: which of these channels are linear in a gap.
    """
    value_N, count = rows.value_CT[channels].reshape(-1), rows.rows  # a view: rows are contiguous
    segment_T, part_T = rows.segment_T, rows.part_T
    cell = np.flatnonzero(np.isnan(value_N))
    if len(cell) == 0:
        return
    channel, hole = np.divmod(cell, count)
    row_0 = cell - hole  # of the cell's channel
    begins = (np.diff(cell, prepend=-2) != 1) | (hole == 0)  # a gap
    gap_of = np.cumsum(begins) - 1
    before = hole[begins][gap_of] - 1  # the known row before each hole; -1: there is none
    after = hole[np.append(begins[1:], True)][gap_of] + 1  # ``count``: there is none
    safe = np.minimum(after, count - 1)
    first, usable_after = start_S[0], after < count  # first: of the hole's segment
    if len(start_S) > 1:
        first = start_S[np.searchsorted(start_S, hole, side="right") - 1]
        usable_after &= segment_T[safe] == segment_T[hole]
    if part_T[0] != part_T[-1]:
        usable_after &= part_T[safe] == part_T[hole]
    has_before = before >= first
    gap = after - np.where(has_before, before, first - 1) - 1
    short_after = usable_after & (gap <= max_gap)

    held = value_N[row_0 + np.maximum(before, 0)]
    next_ = value_N[row_0 + safe]
    filled = np.where(has_before, held, np.where(short_after, next_, np.nan))
    share = (hole - before) / np.maximum(after - before, 1)
    line = held * (1 - share) + next_ * share
    value_N[cell] = np.where(has_before & short_after & linear_C[channel], line, filled)
