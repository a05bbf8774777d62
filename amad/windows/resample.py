"""Puts a vehicle's lake rows on its regular grid: binned, cut into segments, imputed and split.

The grid is aligned to the epoch: bin k is [k * period, (k + 1) * period), and its timestamp is its
start. So the same rows lie on the same grid, whichever part of them is read.

An impossible value (``amad.telemetry.valid_values``: outside the channel's physical range,
infinite, or a code for "not available") is null from here on; ``made_null`` counts such cells.

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
  units after ``Scaler.fill``, as 0 after ``Scaler.apply``.

Values are never carried backwards over a border of the split: a missing value is filled from later
rows of its own part only.

Shape legend: R rows of the lake, K occupied bins, T rows of the grid, C channels.
"""

import datetime
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Fleet
from amad.telemetry.valid_values import is_impossible
from amad.windows.increments import increments
from amad.windows.series import CALIBRATION, PURGED, TEST, TRAIN, Series


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBounds:
    """Borders of a vehicle's split in microseconds: train < calibration_us <= ... < test_us <= ...

    The purge_rows rows before each border belong to no part. They are taken from the earlier part,
    so that a test part that the data itself defines keeps all its rows.
    """

    calibration_us: int
    test_us: int
    purge_rows: int = 0

    def split(self, timestamp_T: np.ndarray) -> np.ndarray:
        """The part of each row, uint8 (T,); timestamp_T is sorted."""
        first, second = np.searchsorted(timestamp_T, [self.calibration_us, self.test_us])
        split_T = np.full(len(timestamp_T), TEST, np.uint8)
        split_T[:first] = TRAIN
        split_T[first:second] = CALIBRATION
        split_T[max(0, first - self.purge_rows) : first] = PURGED
        split_T[max(first, second - self.purge_rows) : second] = PURGED
        return split_T


def split_bounds(timestamp_R: np.ndarray, fleet: Fleet, test_us: int | None = None) -> SplitBounds:
    """Borders by the shares of ``fleet.split`` over the occupied bins of a vehicle.

    timestamp_R: int64 microseconds, sorted. test_us: start of the test part if the data defines it;
    the rows before it are then divided into train and calibration in the ratio of their shares.
    """
    bin_R = timestamp_R // fleet.period_us
    bin_K = bin_R[np.diff(bin_R, prepend=bin_R[:1] - 1) != 0] * fleet.period_us
    split = fleet.split
    if test_us is None:
        before = len(bin_K) - round(split.test_share * len(bin_K))
        test_us = _border(bin_K, before)
    else:
        test_us = test_us // fleet.period_us * fleet.period_us
        before = int(np.searchsorted(bin_K, test_us))
    calibration = round(before * split.calibration_share / (1.0 - split.test_share))
    return SplitBounds(
        calibration_us=min(_border(bin_K, before - calibration), test_us),
        test_us=test_us,
        purge_rows=split.purge_rows,
    )


def _border(bin_K: np.ndarray, position: int) -> int:
    if len(bin_K) == 0:
        return 0
    return int(bin_K[position]) if position < len(bin_K) else int(bin_K[-1]) + 1


def to_series(
    table: pa.Table, fleet: Fleet, vehicle: str, *, bounds: SplitBounds | None = None
) -> Series:
    """The vehicle's lake rows on the regular grid, in engineering units, float64.

    Counters and angles are given as their increment per period.

    table: of the lake schema, sorted by timestamp. bounds: default: every row is in the test part.
    Values from which nothing can be imputed are NaN; channels that the class lacks are 0.
    """
    period = fleet.period_us
    max_gap_bins = int(fleet.missing.max_gap_seconds * 1_000_000 // period)
    vehicle_class = fleet.class_of(vehicle)
    timestamp_R = table["timestamp"].cast(pa.int64()).to_numpy()
    bin_R = timestamp_R // period
    assert np.all(np.diff(bin_R) >= 0), "the lake's rows must be sorted by time"
    start_K = np.flatnonzero(np.diff(bin_R, prepend=np.int64(-1) << 62))
    bin_K = bin_R[start_K]

    step_K = np.diff(bin_K, prepend=bin_K[:1] - 1)
    new_segment_K = step_K - 1 > max_gap_bins
    row_K = np.cumsum(np.where(new_segment_K, 1, step_K)) - 1
    rows = int(row_K[-1]) + 1 if len(row_K) else 0
    # The last occupied bin up to each row of the grid; a row that is not occupied was added.
    at_T = np.zeros(rows, np.int64)
    at_T[row_K] = 1
    at_T = np.cumsum(at_T) - 1
    timestamp_T = (bin_K[at_T] + np.arange(rows) - row_K[at_T]) * period
    segment_T = np.cumsum(new_segment_K)[at_T].astype(np.int32)
    part_T = np.zeros(rows, np.uint8)
    if bounds is not None:
        borders = [bounds.calibration_us, bounds.test_us]
        part_T = np.searchsorted(borders, timestamp_T, side="right").astype(np.uint8)

    value_CT = np.zeros((len(fleet.channels), rows))
    valid_CT = np.zeros((len(fleet.channels), rows), np.uint8)
    has_C = fleet.has_channel(vehicle_class)
    for c, channel in enumerate(fleet.channels):
        if not has_C[c]:
            continue
        raw_R = _floats(table[channel.name])
        impossible_R = is_impossible(raw_R, channel)
        if impossible_R.any():
            raw_R = np.where(impossible_R, np.nan, raw_R)
        value_K = _binned(raw_R, start_K, mean=channel.kind == "continuous")
        value_T = value_CT[c]
        if len(row_K) < rows:
            value_T[:] = np.nan
        value_T[row_K] = value_K
        if channel.is_increment:
            value_T[:] = increments(value_T, segment_T, channel)[0]
        valid_CT[c] = ~np.isnan(value_T)
        linear = channel.kind == "continuous" or channel.is_increment
        _impute(value_T, segment_T, part_T, max_gap_bins, linear=linear)
    label_T = None
    if "label" in table.column_names:
        label_R = table["label"].fill_null(0).to_numpy().astype(np.int8)
        label_T = _reduce(np.maximum, label_R, start_K)[at_T]
    return Series(
        vehicle=vehicle,
        vehicle_class=vehicle_class,
        timestamp_T=timestamp_T,
        value_TC=np.ascontiguousarray(value_CT.T),
        valid_TC=np.ascontiguousarray(valid_CT.T),
        segment_T=segment_T,
        split_T=bounds.split(timestamp_T) if bounds else np.full(rows, TEST, np.uint8),
        label_T=label_T,
    )


def made_null(table: pa.Table, fleet: Fleet, vehicle_class: str) -> dict[str, int]:
    """For each channel, how many cells of these rows ``to_series`` takes for null.

    Only channels of the class, and only those with such cells.
    """
    has_C = fleet.has_channel(vehicle_class)
    cells = {
        channel.name: int(is_impossible(_floats(table[channel.name]), channel).sum())
        for channel, has in zip(fleet.channels, has_C, strict=True)
        if has
    }
    return {name: count for name, count in cells.items() if count}


def without_days(table: pa.Table, days: Collection[datetime.date]) -> pa.Table:
    """The rows of a table with a ``timestamp`` column that are on none of these dates (UTC)."""
    if not days:
        return table
    left_out = pa.array(sorted(days), pa.date32())
    return table.filter(pc.invert(pc.is_in(table["timestamp"].cast(pa.date32()), left_out)))


def row_of(series: Series, timestamps_us: np.ndarray) -> np.ndarray:
    """The series row whose bin holds each timestamp (int64 microseconds); -1 if there is none.

    The period is taken from the series, whose rows within a segment are one period apart.
    """
    timestamps_us = np.asarray(timestamps_us, np.int64)
    if series.rows == 0:
        return np.full(len(timestamps_us), -1, np.int64)
    row = np.searchsorted(series.timestamp_T, timestamps_us, side="right") - 1
    steps = np.diff(series.timestamp_T)
    period = int(steps.min()) if len(steps) else np.iinfo(np.int64).max
    late = timestamps_us - series.timestamp_T[np.maximum(row, 0)] >= period
    return np.where((row < 0) | late, -1, row)


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    """float64 with NaN for null."""
    return column.fill_null(float("nan")).to_numpy().astype(np.float64, copy=False)


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


def _impute(
    value_T: np.ndarray, segment_T: np.ndarray, part_T: np.ndarray, max_gap: int, *, linear: bool
) -> None:
    """Fill the NaN of one channel in place, by the rules in the docstring of this module.

    max_gap: how many missing rows are interpolated or held backwards at most.
    """
    hole_T = np.isnan(value_T)
    rows, hole = len(value_T), np.flatnonzero(hole_T)
    if len(hole) in (0, rows):
        return
    known = np.flatnonzero(~hole_T)
    nth = hole - np.arange(len(hole))  # known rows before each hole
    before = np.where(nth > 0, known[nth - 1], -1)
    after = np.where(nth < len(known), known[np.minimum(nth, len(known) - 1)], rows)
    start_T = np.flatnonzero(np.diff(segment_T, prepend=segment_T[:1] - 1))
    first = start_T[np.searchsorted(start_T, hole, side="right") - 1]  # of the hole's segment
    has_before = before >= first
    safe = np.minimum(after, rows - 1)
    usable_after = (
        (after < rows) & (segment_T[safe] == segment_T[hole]) & (part_T[safe] == part_T[hole])
    )
    gap = after - np.where(has_before, before, first - 1) - 1
    short_after = usable_after & (gap <= max_gap)

    filled = np.where(has_before, value_T[np.maximum(before, 0)], np.nan)
    filled = np.where(~has_before & short_after, value_T[safe], filled)
    if linear:
        share = (hole - before) / np.maximum(after - before, 1)
        line = value_T[np.maximum(before, 0)] * (1 - share) + value_T[safe] * share
        filled = np.where(has_before & short_after, line, filled)
    value_T[hole] = filled
