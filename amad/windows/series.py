"""One vehicle's regular time series: what every detector is fitted on and scores.

Shape legend: T rows of a vehicle, C channels.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

TRAIN, CALIBRATION, TEST, PURGED = 0, 1, 2, 3  # values of split_T


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A vehicle on the fleet's regular grid.

    value_TC is finite everywhere: in engineering units as the store holds it (float64, so that a
    counter of hundreds of millions keeps its units), or in scaled units after ``Scaler.apply``
    (float32, about zero mean and unit spread on train; 0 where the vehicle's class lacks the
    channel). Rows within one segment are exactly one sampling period
    apart; segments are numbered from 0 in time order and no window crosses one.
    """

    vehicle: str
    vehicle_class: str
    timestamp_T: np.ndarray  # int64, microseconds since the epoch, UTC
    value_TC: np.ndarray  # float64 in engineering units, float32 in scaled ones
    valid_TC: np.ndarray  # uint8: 1 measured, 0 imputed or not there
    segment_T: np.ndarray  # int32
    split_T: np.ndarray  # uint8: TRAIN, CALIBRATION, TEST or PURGED
    label_T: np.ndarray | None = None  # int8: 1 in an event; only evaluate may look

    @property
    def rows(self) -> int:
        """T."""
        return len(self.timestamp_T)

    def part(self, split: int) -> "Series":
        """The rows of one split, as views where they are contiguous (they are, in time order)."""
        index = np.flatnonzero(self.split_T == split)
        if len(index) == 0:
            return self.rows_between(0, 0)
        first, last = int(index[0]), int(index[-1]) + 1
        assert last - first == len(index), "a split's rows must be contiguous in time"
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
        cuts = np.flatnonzero(np.diff(self.segment_T)) + 1
        edges = [0, *cuts.tolist(), self.rows]
        return list(pairwise(edges))
