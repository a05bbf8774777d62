"""What a vehicle's train rows tell the scaler, learnt piece by piece in bounded memory.

Moments, stretches and code counts need the mean of the whole before the distances from it, and the
spread before the sums of scaled values. So the train rows are read three times. The figures are bit
for bit those of arrays of the whole: running sums go on where the piece before ended, and
``PairwiseSum`` adds in the order in which NumPy adds an array.

Shape legend: T rows of a piece, C channels, P positions, N lengths of stretches.
"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from amad.config import Fleet
from amad.windows.codes import CodeCounts, CodeTally
from amad.windows.series import TRAIN, Series
from amad.windows.short_history import Stretches, stretch_rows
from amad.windows.vehicle_file import pieces

LEAF = 1 << 13  # values that are added at once

# Reads the pieces of a train part in time order: value_CT float64 and valid_CT, by channel.
Pieces = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]


class PairwiseSum:
    """The sum of so many values that come in pieces: the same bits as ``np.sum`` of all.

    NumPy adds an array of more than 128 values as the sum of its halves, the first of which has a
    multiple of eight values (Higham 1993, "The Accuracy of Floating Point Summation").
    """

    def __init__(self, count: int) -> None:
        self._rest = np.zeros(0)
        self._tree = _tree(count)
        self.total = 0.0
        self._wanted = next(self._tree) if count else 0

    def add(self, values: np.ndarray) -> None:
        """Add the next values."""
        values = np.concatenate([self._rest, values]) if len(self._rest) else values
        at = 0
        while self._wanted and len(values) - at >= self._wanted:
            leaf = values[at : at + self._wanted].sum()
            at += self._wanted
            try:
                self._wanted = self._tree.send(leaf)
            except StopIteration as end:
                self._wanted, self.total = 0, end.value
        self._rest = values[at:].copy()


def _tree(count: int) -> Generator[int, float, float]:
    """Yields how many values it wants the sum of; returns the sum of ``count`` values."""
    if count <= LEAF:
        return (yield count)
    half = count // 2
    half -= half % 8
    first = yield from _tree(half)
    return first + (yield from _tree(count - half))


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

        def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for first, last in pieces(train.rows):
                yield by_channel(train.value_TC[first:last], train.valid_TC[first:last])

        count_C = (train.valid_TC == 1).sum(axis=0)
        return cls.of_pieces(series.vehicle, series.vehicle_class, fleet, train.rows, count_C, read)

    @classmethod
    def of_pieces(
        cls,
        vehicle: str,
        vehicle_class: str,
        fleet: Fleet,
        rows: int,
        count_C: np.ndarray,
        read: Pieces,
    ) -> "Learnt":
        """Of so many train rows that are read in pieces; count_C: the measured cells in them."""
        moments = Moments.none(len(count_C))
        moments.count_C[:] = count_C
        tallies = {c: CodeTally(c, len(count_C)) for c in categorical(fleet)}
        moments.mean_C[:] = _means(count_C, read, tallies.values())
        moments.square_C, whole_C = _squares(rows, moments, read)
        return cls(
            vehicle=vehicle,
            vehicle_class=vehicle_class,
            rows=rows,
            moments=moments,
            stretches=_stretches(rows, moments, whole_C, read),
            counts={c: tally.counts() for c, tally in tallies.items()},
        )


def by_channel(value_TC: np.ndarray, valid_TC: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same cells with each channel contiguous in memory: float64 (C, T) and (C, T)."""
    return np.ascontiguousarray(value_TC.T, np.float64), np.ascontiguousarray(valid_TC.T)


def categorical(fleet: Fleet) -> list[int]:
    """The positions of the categorical channels."""
    return [c for c, item in enumerate(fleet.channels) if item.kind == "categorical"]


def _known(value_T: np.ndarray, valid_T: np.ndarray) -> np.ndarray:
    """The measured values."""
    known_T = valid_T == 1
    return value_T if known_T.all() else value_T[known_T]


def _means(count_C: np.ndarray, read: Pieces, tallies: Iterable[CodeTally]) -> np.ndarray:
    """The mean of each channel, 0 if nothing was measured; adds the rows to the tallies."""
    sum_C = [PairwiseSum(int(count)) for count in count_C]
    for value_CT, valid_CT in read():
        for c in np.flatnonzero(count_C):
            sum_C[c].add(_known(value_CT[c], valid_CT[c]))
        for tally in tallies:
            tally.add(value_CT, valid_CT)
    return np.array([one.total for one in sum_C]) / np.maximum(count_C, 1)


def _squares(rows: int, moments: Moments, read: Pieces) -> tuple[np.ndarray, np.ndarray]:
    """The sum of squared deviations of each channel, added over its measured cells, and over all.

    In the second sum every other cell counts as the mean. The two differ in rounding alone.
    """
    count_C = moments.count_C.astype(int)
    sum_C = [PairwiseSum(count) for count in count_C]
    whole = {c: PairwiseSum(rows) for c in np.flatnonzero((count_C > 0) & (count_C < rows))}
    for value_CT, valid_CT in read():
        for c in np.flatnonzero(count_C):
            square_T = np.square(value_CT[c] - moments.mean_C[c])
            sum_C[c].add(_known(square_T, valid_CT[c]))
            if c in whole:
                whole[c].add(np.where(valid_CT[c] == 1, square_T, 0.0))
    square_C = np.array([one.total for one in sum_C])
    whole_C = square_C.copy()
    for c, one in whole.items():
        whole_C[c] = one.total
    return square_C, whole_C


def _stretches(rows: int, moments: Moments, square_C: np.ndarray, read: Pieces) -> Stretches:
    """How far stretches of the rows are from the whole; see ``Stretches``."""
    first_NS, last_NS = stretch_rows(rows)
    channels = len(square_C)
    spread_C = [
        math.sqrt(square / count) if count else 0.0
        for square, count in zip(square_C, moments.count_C, strict=True)
    ]
    moving = [c for c in range(channels) if spread_C[c] > 0]
    position_P = np.unique(np.concatenate([first_NS.ravel(), last_NS.ravel()]))
    # Measured cells, and the sums of scaled values and of their squares, in the rows before each.
    running_3CP = np.zeros((3, channels, len(position_P)))
    if len(position_P) and moving:
        measured_C, sum_2C, begin = np.zeros(channels), np.zeros((2, channels)), 0
        for value_CT, valid_CT in read():
            end = begin + value_CT.shape[1]
            here = slice(*np.searchsorted(position_P, [begin, end], side="right"))
            row_P = position_P[here] - begin  # of the piece
            for c in moving:
                hole = np.flatnonzero(valid_CT[c] != 1)
                value_T = value_CT[c] - moments.mean_C[c]
                value_T[hole] = 0.0
                value_T /= spread_C[c]
                running_3CP[0, c, here] = measured_C[c] + row_P - np.searchsorted(hole, row_P)
                measured_C[c] += end - begin - len(hole)
                for k, part_T in enumerate((value_T, np.square(value_T))):
                    part_T[0] += sum_2C[k, c]
                    running_T = np.cumsum(part_T, out=part_T)
                    running_3CP[1 + k, c, here] = running_T[row_P - 1]
                    sum_2C[k, c] = running_T[-1]
            begin = end
    at_NS, to_NS = (np.searchsorted(position_P, x_NS) for x_NS in (first_NS, last_NS))
    return Stretches.of(running_3CP[:, :, to_NS] - running_3CP[:, :, at_NS], spread_C)
