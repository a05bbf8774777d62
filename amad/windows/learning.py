"""What a vehicle's train rows tell the scaler, learnt in one reading and in bounded memory.

Sums are of the distances from a channel's first measured value. No row is further from the mean
than the spread times the root of the number of rows, so such sums lose no digit that counts, and
those of a channel that never moves are exactly 0. The rows are added in blocks of ``BLOCK_ROWS``,
so the figures are the same bits however the rows come in pieces.

Shape legend: T rows of a piece or block, C channels, P positions, N lengths of stretches.
"""

from dataclasses import dataclass

import numpy as np

from amad.config import Fleet
from amad.windows.codes import CodeCounts, CodeTally
from amad.windows.series import TRAIN, Series
from amad.windows.short_history import Stretches, stretch_rows

BLOCK_ROWS = 1 << 11  # that are added at once: few enough for a processor's cache


@dataclass(slots=True)
class Moments:
    """Count, mean and sum of squared deviations of each channel, float64 (C,)."""

    count_C: np.ndarray
    mean_C: np.ndarray
    square_C: np.ndarray

    @classmethod
    def none(cls, channels: int) -> "Moments":
        """Of no cell."""
        return cls(np.zeros(channels), np.zeros(channels), np.zeros(channels))

    def __add__(self, other: "Moments") -> "Moments":
        """The moments of both sets of cells (Chan, Golub, LeVeque 1979, pairwise update)."""
        count_C = self.count_C + other.count_C
        total_C = np.maximum(count_C, 1)
        step_C = other.mean_C - self.mean_C
        return Moments(
            count_C,
            self.mean_C + step_C * other.count_C / total_C,
            self.square_C + other.square_C + step_C**2 * self.count_C * other.count_C / total_C,
        )

    @property
    def spread_C(self) -> np.ndarray:
        """The standard deviation of each channel."""
        return np.sqrt(self.square_C / np.maximum(self.count_C, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Learnt:
    """What a vehicle's train rows tell the scaler; counts: of each categorical channel."""

    vehicle: str
    vehicle_class: str
    rows: int
    moments: Moments
    stretches: Stretches
    counts: dict[int, CodeCounts]

    @classmethod
    def of(cls, series: Series, fleet: Fleet) -> "Learnt":
        """Of a series in engineering units."""
        train = series.part(TRAIN)
        rows = TrainRows(fleet, train.rows)
        rows.add(train.value_TC, train.valid_TC)
        return rows.learnt(series.vehicle, series.vehicle_class)


class TrainRows:
    """Adds up the train rows of a vehicle, which come in pieces in time order.

    rows: how many will come, in engineering units.

    Example::

        found = TrainRows(fleet, rows=5000)
        found.add(value_TC, valid_TC)  # and so on, until there were 5,000
        learnt = found.learnt("bev-03", "bev")
    """

    def __init__(self, fleet: Fleet, rows: int) -> None:
        self._rows, channels = rows, len(fleet.channels)
        self._stretches = stretch_rows(rows)
        self._position_P = np.unique(np.concatenate([*map(np.ravel, self._stretches), [rows]]))
        self._first_C = np.full(channels, np.nan)  # the first measured value
        # In the rows before each position: measured cells, the sum of their distances from the
        # first value, and of the squares of these.
        self._sum_3PC = np.zeros((3, len(self._position_P), channels))
        self._so_far_3C = np.zeros((3, channels))
        self._added = 0
        self._waiting = (np.zeros((0, channels)), np.zeros((0, channels), np.uint8))
        self._tallies = {c: CodeTally(c, channels) for c in categorical(fleet)}

    def add(self, value_TC: np.ndarray, valid_TC: np.ndarray) -> None:
        """Add the next rows."""
        if waiting := len(self._waiting[0]):
            new = slice(BLOCK_ROWS - waiting)  # what the block that was begun still lacks
            self._waiting = (
                np.concatenate([self._waiting[0], value_TC[new]]),
                np.concatenate([self._waiting[1], valid_TC[new]]),
            )
            if len(self._waiting[0]) < BLOCK_ROWS:
                return
            self._add_block(*self._waiting)
            value_TC, valid_TC = value_TC[new.stop :], valid_TC[new.stop :]
        whole = len(value_TC) - len(value_TC) % BLOCK_ROWS
        for first in range(0, whole, BLOCK_ROWS):
            block = slice(first, first + BLOCK_ROWS)
            self._add_block(value_TC[block], valid_TC[block])
        self._waiting = value_TC[whole:].copy(), valid_TC[whole:].copy()

    def _add_block(self, value_TC: np.ndarray, valid_TC: np.ndarray) -> None:
        known_TC = valid_TC == 1
        if (unknown_C := np.isnan(self._first_C)).any():
            for c in np.flatnonzero(unknown_C & known_TC.any(axis=0)):
                self._first_C[c] = value_TC[known_TC[:, c].argmax(), c]
        away_TC = value_TC - self._first_C
        away_TC[~known_TC] = 0.0
        begin, end = self._added, self._added + len(value_TC)
        first, last = np.searchsorted(self._position_P, [begin, end], side="right")
        edge_K = self._position_P[first:last] - begin
        inner_K = edge_K[edge_K < len(value_TC)]
        start_K = np.concatenate([[0], inner_K])
        for k, part_TC in enumerate((known_TC, away_TC, np.square(away_TC))):
            sum_KC = np.add.reduceat(part_TC, start_K, axis=0, dtype=float)
            sum_KC[0] += self._so_far_3C[k]
            running_KC = np.cumsum(sum_KC, axis=0)
            self._sum_3PC[k, first:last] = running_KC[: len(edge_K)]
            self._so_far_3C[k] = running_KC[-1]
        for tally in self._tallies.values():
            tally.add(value_TC, valid_TC)
        self._added = end

    def learnt(self, vehicle: str, vehicle_class: str) -> Learnt:
        """What all rows tell, once they are added."""
        if len(self._waiting[0]):
            self._add_block(*self._waiting)
        assert self._added == self._rows, f"{vehicle}: {self._added} rows, not {self._rows}"
        count_C, total_C, square_C = self._so_far_3C
        mean_C = total_C / np.maximum(count_C, 1)  # of the distances
        moments = Moments(
            count_C,
            np.nan_to_num(self._first_C) + mean_C,
            np.maximum(square_C - count_C * mean_C**2, 0.0),
        )
        spread_C = moments.spread_C
        count_PC, total_PC, square_PC = self._sum_3PC
        spread = np.where(spread_C > 0, spread_C, 1.0)
        scaled_3PC = np.stack([
            count_PC,
            (total_PC - count_PC * mean_C) / spread,
            (square_PC - 2 * mean_C * total_PC + count_PC * mean_C**2) / spread**2,
        ])  # fmt: skip
        at_NS, to_NS = (np.searchsorted(self._position_P, row_NS) for row_NS in self._stretches)
        sum_3NSC = scaled_3PC[:, to_NS] - scaled_3PC[:, at_NS]
        return Learnt(
            vehicle=vehicle,
            vehicle_class=vehicle_class,
            rows=self._rows,
            moments=moments,
            stretches=Stretches.of(np.moveaxis(sum_3NSC, 3, 1), spread_C),
            counts={c: tally.counts() for c, tally in self._tallies.items()},
        )


def categorical(fleet: Fleet) -> list[int]:
    """The positions of the categorical channels."""
    return [c for c, item in enumerate(fleet.channels) if item.kind == "categorical"]
