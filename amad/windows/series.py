"""The regular time series of one vehicle, which every detector is fitted on and scores.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np

TRAIN, CALIBRATION, TEST, PURGED = 0, 1, 2, 3  # values of split_T
SHORT_PART = 500  # rows; a part with fewer is scored after the rows before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """What the channels of a scaled series can do, for whoever puts faults into it.

    still_C: the value of a channel whose sensor is stuck, NaN where that is the value it stuck at;
    of an increment it is no movement. coded_C: bool, which channels only have a few values.
    """

    still_C: np.ndarray
    coded_C: np.ndarray


class Part(Protocol):
    """Rows of one vehicle: a series, or what reads one whenever it is asked."""

    @property
    def vehicle(self) -> str:
        """Its id."""

    @property
    def vehicle_class(self) -> str:
        """Its class."""

    @property
    def rows(self) -> int:
        """T, the number of rows."""

    @property
    def timestamp_T(self) -> np.ndarray:
        """int64, microseconds since the epoch, UTC."""

    @property
    def rows_before(self) -> int:
        """How many earlier rows of the vehicle can be read, as rows -1, -2, ..."""

    def rows_between(self, first: int, last: int) -> "Series":
        """Rows first (inclusive) to last (exclusive)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A vehicle on the regular grid of its fleet.

    value_TC is finite everywhere. In the store it is in engineering units and float64, so that a
    counter of hundreds of millions keeps its last digit. After ``Scaler.apply`` it is in scaled
    units and float32, with about zero mean and unit spread on the train rows, and 0 for channels
    that the vehicle's class lacks. Rows of one segment are exactly one period apart. Segments are
    numbered from 0 in time order, and no window crosses one. behaviour: set by ``Scaler.apply``.
    """

    vehicle: str
    vehicle_class: str
    timestamp_T: np.ndarray  # int64, microseconds since the epoch, UTC
    value_TC: np.ndarray  # float64 in engineering units, float32 in scaled ones
    valid_TC: np.ndarray  # uint8: 1 measured, 0 imputed or not there
    segment_T: np.ndarray  # int32
    split_T: np.ndarray  # uint8: TRAIN, CALIBRATION, TEST or PURGED
    label_T: np.ndarray | None = None  # int8: 1 in an event; only evaluation may read it
    behaviour: Behaviour | None = None

    @property
    def rows(self) -> int:
        """T, the number of rows."""
        return len(self.timestamp_T)

    @property
    def rows_before(self) -> int:
        """0: a series is all that there is."""
        return 0

    def part(self, split: int) -> "Series":
        """The rows of one part of the split, as views."""
        index = np.flatnonzero(self.split_T == split)
        if len(index) == 0:
            return self.rows_between(0, 0)
        first, last = int(index[0]), int(index[-1]) + 1
        assert last - first == len(index), "the rows of a part must be contiguous in time"
        return self.rows_between(first, last)

    def rows_between(self, first: int, last: int) -> "Series":
        """Rows first (inclusive) to last (exclusive), as views."""
        cut = slice(first, last)
        return replace(
            self,
            timestamp_T=self.timestamp_T[cut],
            value_TC=self.value_TC[cut],
            valid_TC=self.valid_TC[cut],
            segment_T=self.segment_T[cut],
            split_T=self.split_T[cut],
            label_T=None if self.label_T is None else self.label_T[cut],
        )

    def with_values(self, value_TC: np.ndarray, label_T: np.ndarray | None = None) -> "Series":
        """The same rows with other values (and labels)."""
        return replace(
            self, value_TC=value_TC, label_T=self.label_T if label_T is None else label_T
        )

    def segments(self) -> list[tuple[int, int]]:
        """(first, last) row positions of each segment, last exclusive, in time order."""
        if self.rows == 0:
            return []
        if (self.segment_T == self.segment_T[0]).all():
            return [(0, self.rows)]
        cuts = np.flatnonzero(np.diff(self.segment_T)) + 1
        edges = [0, *cuts.tolist(), self.rows]
        return list(pairwise(edges))


Reader = Callable[[Part], Series]  # which rows of a part, and perhaps before it, are read


def read(part: Part) -> Series:
    """All rows of a part."""
    return part.rows_between(0, part.rows)


def lead_of(part: Part) -> Series:
    """The lead of a part: all earlier rows of the vehicle if the part is short, else none.

    Without it many rows of a short part would lack the rows before them, on which their scores
    depend; in a long one they are few.
    """
    return part.rows_between(-_lead_rows(part), 0)


def read_with_lead(part: Part) -> Series:
    """All rows of a part after its lead."""
    return part.rows_between(-_lead_rows(part), part.rows)


def _lead_rows(part: Part) -> int:
    return part.rows_before if 0 < part.rows < SHORT_PART else 0


def without_lead(series: Series) -> Series:
    """The rows of the part of the split that a series ends with."""
    return series.part(series.split_T[-1])


def joined(series: Sequence[Series]) -> Series:
    """Series of one vehicle that follow each other, as one without labels."""
    filled = [item for item in series if item.rows] or [series[-1]]
    if len(filled) == 1:
        return filled[0]
    return replace(
        filled[-1],
        timestamp_T=np.concatenate([item.timestamp_T for item in filled]),
        value_TC=np.concatenate([item.value_TC for item in filled]),
        valid_TC=np.concatenate([item.valid_TC for item in filled]),
        segment_T=np.concatenate([item.segment_T for item in filled]),
        split_T=np.concatenate([item.split_T for item in filled]),
        label_T=None,
    )


def apart(series: Sequence[Series]) -> Series:
    """Series of one vehicle in time order, as one; no segment goes from one into the next."""
    found, rows = joined(series), [item.rows for item in series]
    number_T = np.repeat(np.arange(len(rows)), rows) * sum(rows) + found.segment_T
    _, segment_T = np.unique(number_T, return_inverse=True)
    return replace(found, segment_T=segment_T.astype(np.int32))
