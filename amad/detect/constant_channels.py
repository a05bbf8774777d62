"""Channels that never moved in the train rows: their first move is reported once.

Such a channel has no spread by which a move could be measured. Its residual would depend on its
scale only, for as long as it keeps the new value: it would hide every other channel or, inside a
wide physical range, not be seen. So the members see a constant channel as 0, and a rule reports
when it moves:

- A *first move* is a measured value that differs from the one value that the channel held for the
  last ``MEMORY_DAYS`` days. If it was not measured in that time, the value is compared with those
  that it is known to have had: in train, and last in calibration.
- It is a *switched* one if the channel has codes, or went from 0 to 1 or back; any other is a
  *measured* one. A command that is sent for the first time, or a lamp that lights, is news of
  another kind than a sensor that leaves a value which it always had, and may come far more often.
- In the ``REPORTED_ROWS`` periods from a first move on, the score is at least ``REPORTED_MARGIN``
  above the threshold, and the channel is to blame.

In a short history a channel may only pause: ``amad.detect.pauses``.

After that the new value is ordinary, and so is every other move for ``MEMORY_DAYS`` days: a signal
that comes alive is one incident. All moves count the same, so that none hides other channels. What
is reported depends on the ``MEMORY_DAYS`` days before a row and on nothing else.

A channel is *nearly constant* if it holds one value in a share of at least ``MOSTLY`` of a
vehicle's train rows. The members see it and know its short excursions, but would never get used to
a new value that stays. So once a new value was measured for ``SETTLED_ROWS`` periods without a
break, or for as long as the longest excursion in train, it is ordinary for ``MEMORY_DAYS`` days,
and the members see the usual value instead.

Shape legend: T rows of a vehicle, C channels, K constant channels, M measured rows of one of them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from amad.config import Fleet
from amad.detect.alarms import DAY_US
from amad.detect.learnt_figures import LearntFigures
from amad.windows.scaler import Scaler
from amad.windows.series import Series

MEMORY_DAYS = 8  # a vehicle that drives once a week remembers the week before
MEMORY_US = MEMORY_DAYS * DAY_US
SWITCHED, MEASURED = "switched", "measured"  # kinds of first moves
REPORTED_ROWS = {SWITCHED: 5, MEASURED: 20}  # periods; a move is one moment, even if it stays
REPORTED_MARGIN = 1.0  # score units above the threshold; a severity of about 40, medium
MOSTLY = 0.99  # of the measured train rows
SETTLED_ROWS = 60  # periods
DIGITS, FLOAT32 = 1e-12, 1e-6  # rounding: of a value in float64, of a scaled value in float32

Known = Mapping[int, tuple[float, ...]]  # channel -> scaled values that it is known to have had


class Units(NamedTuple):
    """What the scaled values of each channel are in engineering units.

    noise_C: by how much equal values can differ through rounding alone. zero_C, one_C: the scaled
    values of 0 and of 1. codes_C: bool, the channel has codes, whatever they are.
    """

    noise_C: np.ndarray
    zero_C: np.ndarray
    one_C: np.ndarray
    codes_C: np.ndarray

    @classmethod
    def of(cls, fleet: Fleet, scaler: Scaler, vehicle: str, vehicle_class: str) -> "Units":
        """Those of the values that the scaler gives for a vehicle."""
        codes_C = np.array([channel.has_codes for channel in fleet.channels], bool)
        mean_C, scale_C = scaler.figures(vehicle, vehicle_class)
        noise_C = DIGITS * np.abs(mean_C) / scale_C
        return cls(noise_C, -mean_C / scale_C, (1.0 - mean_C) / scale_C, codes_C)

    def switched(self, c: int, known: Sequence[float], value_M: np.ndarray) -> np.ndarray:
        """Which values a channel is switched to from those that it is known to have had."""
        if self.codes_C[c]:
            return np.ones(len(value_M), bool)
        known_M = np.concatenate([np.asarray(known, value_M.dtype), value_M])
        flag_M = np.zeros(len(known_M), bool)
        for value in (self.zero_C[c], self.one_C[c]):
            flag_M |= _near(known_M, value, self.noise_C[c])
        return flag_M[len(known) :] & flag_M[: len(known)].all()


def constant_channels(group: Sequence[Series], noise_C: np.ndarray) -> dict[int, tuple[float, ...]]:
    """The channels that hold one value in each of the train series, and that value.

    The value is left out if it differs between the vehicles.
    """
    found: dict[int, tuple[float, ...]] = {}
    for c in range(group[0].value_TC.shape[1]):
        values = []
        for series in group:
            value_M = series.value_TC[series.valid_TC[:, c] == 1, c]
            if len(value_M):
                values.append((float(value_M.min()), float(value_M.max())))
        if values and all(_near(low, high, noise_C[c]) for low, high in values):
            lowest, highest = min(v[0] for v in values), max(v[1] for v in values)
            found[c] = (values[0][0],) if _near(lowest, highest, noise_C[c]) else ()
    return found


def nearly_constant_channels(
    group: Sequence[Series], noise_C: np.ndarray
) -> dict[int, tuple[float, int]]:
    """The channels that hold one value in most of a vehicle's train rows, see ``MOSTLY``.

    Returns: for each such channel, the value and the number of periods after which another value is
    ordinary. Empty for several vehicles, because pooled figures have no such channels.
    """
    found = {}
    for c in range(group[0].value_TC.shape[1] if len(group) == 1 else 0):
        usual, away_M = _usual_and_away(group[0], c, noise_C[c])
        if len(away_M) and 0 < away_M.mean() <= 1 - MOSTLY:
            found[c] = (usual, max(SETTLED_ROWS, _longest(away_M)))
    return found


def perhaps_still(some: Series, noise_C: np.ndarray, rows: int) -> np.ndarray:
    """The channels that may be constant or nearly constant in all rows, of which these are some.

    rows: how many there are. Returns: int (K,); any channel that ``constant_channels`` or
    ``nearly_constant_channels`` finds in all of them is among these.
    """
    away = [_usual_and_away(some, c, noise)[1].sum() for c, noise in enumerate(noise_C)]
    return np.flatnonzero(np.array(away) <= (1 - MOSTLY) * rows)


def _usual_and_away(series: Series, c: int, noise: float) -> tuple[float, np.ndarray]:
    """The median of the measured values of a channel, and which of them differ from it, bool."""
    value_M = series.value_TC[series.valid_TC[:, c] == 1, c]
    usual = float(np.median(value_M)) if len(value_M) else 0.0
    return usual, ~_near(value_M, usual, noise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Measured values of one channel, scaled, in time order; of a run of equal ones the ends alone.

    index_M: how many measured values lie between each one and the end of the record, as -1, -2 ...;
    rises by one per measured value, also over those that were left out.
    """

    time_M: np.ndarray  # int64, microseconds
    value_M: np.ndarray  # float32
    index_M: np.ndarray  # int32, below 0

    @classmethod
    def of(cls, time_M: np.ndarray, value_M: np.ndarray) -> "Record":
        """The record of all measured values of a day."""
        if len(value_M) and (value_M == value_M[0]).all():
            kept = np.arange(0, len(value_M), max(len(value_M) - 1, 1))
        else:
            kept = cls._edges(value_M)
        index_M = (kept - len(value_M)).astype(np.int32)
        return cls(time_M=time_M[kept], value_M=value_M[kept], index_M=index_M)

    @staticmethod
    def _edges(value_M: np.ndarray) -> np.ndarray:
        """The first and the last of each run of equal values."""
        edge_M = np.append(True, value_M[1:] != value_M[:-1])[: len(value_M)]
        edge_M[:-1] |= edge_M[1:].copy()
        edge_M[-1:] = True
        return np.flatnonzero(edge_M)

    @classmethod
    def joined(cls, records: Sequence["Record"]) -> "Record":
        """The record of several days, in time order."""
        rows = [-int(record.index_M[0]) if len(record.index_M) else 0 for record in records]
        later = np.cumsum([0, *rows[::-1]])[-2::-1]
        index = [r.index_M - int(n) for r, n in zip(records, later, strict=True)]
        return cls(
            time_M=np.concatenate([r.time_M for r in records]),
            value_M=np.concatenate([r.value_M for r in records]),
            index_M=np.concatenate(index),
        )

    def before(self, time_us: int) -> "Record":
        """The part of the record before a time."""
        rows = slice(0, int(np.searchsorted(self.time_M, time_us)))
        return Record(
            time_M=self.time_M[rows], value_M=self.value_M[rows], index_M=self.index_M[rows]
        )


Memory = Mapping[int, Record]  # channel -> its record of the ``MEMORY_DAYS`` days before a day


def records(
    series: Series, channels: Iterable[int], usable_T: np.ndarray, constant: Collection[int]
) -> dict[int, Record]:
    """The record of each of these channels.

    series: scaled, with all channels. usable_T: the rows that count for a channel in ``constant``.
    """
    found = {}
    for c in channels:
        valid_T = series.valid_TC[:, c] == 1
        rows = np.flatnonzero(valid_T & usable_T if c in constant else valid_T)
        found[c] = Record.of(series.timestamp_T[rows], series.value_TC[rows, c])
    return found


def settled(
    series: Series,
    learnt: LearntFigures,
    noise_C: np.ndarray,
    memory: Memory,
    first: int = 0,
) -> Series:
    """The series with the usual value wherever a nearly constant channel settled at another one.

    learnt, noise_C, memory, first: as in ``first_moves``.
    """
    value_TC = None
    for c, (usual, limit) in learnt.nearly_constant.items():
        rows = np.flatnonzero(series.valid_TC[:, c] == 1)
        time_M, value_M = series.timestamp_T[rows], series.value_TC[rows, c]
        index_M = np.arange(len(rows)) - np.searchsorted(rows, first)
        earlier = 0
        if len(rows) and c in memory:
            past = memory[c].before(int(series.timestamp_T[0]))
            earlier = len(past.time_M)
            time_M = np.concatenate([past.time_M, time_M])
            value_M = np.concatenate([past.value_M, value_M])
            index_M = np.concatenate([past.index_M, index_M])
        ordinary_M = _settled_at(time_M, value_M, index_M, usual, limit, noise_C[c])[earlier:]
        if ordinary_M.any():
            value_TC = series.value_TC.copy() if value_TC is None else value_TC
            value_TC[rows[ordinary_M], c] = usual
    return series if value_TC is None else series.with_values(value_TC)


def _settled_at(
    time_M: np.ndarray,
    value_M: np.ndarray,
    index_M: np.ndarray,
    usual: float,
    limit: int,
    noise: float,
) -> np.ndarray:
    """Which measured values are unusual ones that have become ordinary, bool (M,)."""
    ordinary_M = np.zeros(len(value_M), bool)
    away_M = ~_near(value_M, usual, noise)
    if not away_M.any():
        return ordinary_M
    step_M = np.append(True, ~_near(value_M[1:], value_M[:-1], noise))[: len(value_M)]
    since_M = np.maximum.accumulate(np.where(step_M, index_M, np.iinfo(np.int64).min))
    stays_M = (index_M - since_M >= limit) & away_M
    left = np.flatnonzero(stays_M)
    while len(left):
        same_M = _near(value_M, value_M[left[0]], noise)
        last_M = np.maximum.accumulate(np.where(same_M & stays_M, time_M, time_M[0] - MEMORY_US))
        ordinary_M |= same_M & (time_M - last_M < MEMORY_US)
        left = left[~same_M[left]]
    return ordinary_M


def _longest(mask_M: np.ndarray) -> int:
    """The length of the longest run of True."""
    edge = np.flatnonzero(np.diff(np.concatenate([[0], mask_M.astype(np.int8), [0]])))
    return int((edge[1::2] - edge[::2]).max(initial=0))


def last_known(known: Known, series: Series, noise_C: np.ndarray) -> dict[int, tuple[float, ...]]:
    """``known`` and, where it is another value, the last measured one of the series."""
    found = dict(known)
    for c, values in known.items():
        rows = np.flatnonzero(series.valid_TC[:, c])
        if len(rows):
            last = float(series.value_TC[rows[-1], c])
            if not any(_near(last, value, noise_C[c]) for value in values):
                found[c] = (*values, last)
    return found


def hold(series: Series, channels: Iterable[int]) -> Series:
    """The series with these channels at 0, as the members saw them when they were fitted."""
    columns = list(channels)
    if not columns or not series.value_TC[:, columns].any():
        return series
    value_TC = series.value_TC.copy()
    value_TC[:, columns] = 0.0
    return series.with_values(value_TC)


def first_moves(
    series: Series,
    learnt: LearntFigures,
    units: Units,
    usable_T: np.ndarray,
    memory: Memory,
    first: int = 0,
    *,
    kinds: Collection[str],
    period_us: int,
) -> dict[int, np.ndarray]:
    """For each constant channel that moves, the rows in which a first move is reported, bool (T,).

    series: scaled. learnt: the figures that serve the vehicle. usable_T: False for rows of segments
    that are too short to be scored. They are ignored, so a move in one is reported when the value
    is next seen. kinds: of the moves that are reported.
    memory: what the rows before row ``first`` of the series, where a day begins, are taken from;
    without it they are those of the series.
    """
    if not series.rows or not kinds:
        return {}
    moves: dict[int, np.ndarray] = {}
    for c in sorted(learnt.reported):
        rows = first + np.flatnonzero((series.valid_TC[first:, c] == 1) & usable_T[first:])
        time_M, value_M = series.timestamp_T[rows], series.value_TC[rows, c]
        if c in memory:
            time_M = np.concatenate([memory[c].time_M, time_M])
            value_M = np.concatenate([memory[c].value_M, value_M])
        known = learnt.constant[c]
        first_M = _first_moves(time_M, value_M, known, units.noise_C[c])
        if not first_M.any():
            continue
        begin_M, switched_M = time_M[first_M], units.switched(c, known, value_M[first_M])
        for kind, of_kind_M in ((SWITCHED, switched_M), (MEASURED, ~switched_M)):
            if kind in kinds and of_kind_M.any():
                rows_T = _reported(begin_M[of_kind_M], REPORTED_ROWS[kind] * period_us, series)
                moves[c] = moves[c] | rows_T if c in moves else rows_T
    return moves


def _reported(begin_M: np.ndarray, for_us: int, series: Series) -> np.ndarray:
    """The rows of the series in the ``for_us`` microseconds after any of these times, bool (T,)."""
    begun_T = np.searchsorted(begin_M, series.timestamp_T, side="right")
    return begun_T > np.searchsorted(begin_M + for_us, series.timestamp_T, side="right")


def moved(moves: Mapping[int, np.ndarray], series: Series) -> np.ndarray:
    """The rows in which a first move of any channel is reported, bool (T,)."""
    return np.any([*moves.values(), np.zeros(series.rows, bool)], axis=0)


def raise_scores(
    moves: Mapping[int, np.ndarray],
    score_T: np.ndarray,
    contribution_TC: np.ndarray,
    *,
    threshold: float,
) -> None:
    """Raise scores and contributions, in place, in the rows in which first moves are reported.

    If a row is an alarm only because of the moves, the channels that moved get at least half of its
    contributions. A row that is an alarm anyway keeps its contributions, and these are added.
    """
    if not moves:
        return
    moves_TK = np.stack(list(moves.values()), axis=1) & np.isfinite(score_T)[:, None]
    rows = np.flatnonzero(moves_TK.any(axis=1))
    evidence = max(threshold, 0.0) + REPORTED_MARGIN
    others = np.where(score_T[rows] > threshold, 0.0, contribution_TC[rows].sum(axis=1))
    share_K = moves_TK[rows] / moves_TK[rows].sum(axis=1, keepdims=True)
    contribution_TC[np.ix_(rows, np.array(list(moves)))] += (evidence + others)[:, None] * share_K
    score_T[rows] = np.maximum(score_T[rows], threshold + REPORTED_MARGIN)


def _first_moves(
    time_M: np.ndarray, value_M: np.ndarray, known: Sequence[float], noise: float
) -> np.ndarray:
    """Which measured values are first moves, bool (M,)."""
    if len(value_M) == 0:
        return np.zeros(0, bool)
    if (value_M == value_M[0]).all():  # it never moves, and can only be new
        new = known and not any(_near(value_M[:1], value, noise)[0] for value in known)
        return np.append(True, np.diff(time_M) >= MEMORY_US) if new else np.zeros(len(time_M), bool)
    step_M = np.append(False, ~_near(value_M[1:], value_M[:-1], noise))
    remembered_M = np.append(False, np.diff(time_M) < MEMORY_US)
    # The row of the last step before each row, and when the value before that step was measured.
    position_M = np.where(step_M, np.arange(len(value_M)), 0)
    last_M = np.append(0, np.maximum.accumulate(position_M)[:-1])
    other_M = np.where(last_M > 0, time_M[last_M - 1], time_M[0] - MEMORY_US)
    was_constant_M = other_M <= time_M - MEMORY_US
    first_M = step_M & remembered_M & was_constant_M
    if known:
        unknown_M = np.all([~_near(value_M, value, noise) for value in known], axis=0)
        first_M |= ~remembered_M & unknown_M
    return first_M


def _near(one, other, noise: float):
    """Whether scaled values are equal up to rounding."""
    return np.abs(one - other) <= noise + FLOAT32 * np.maximum(np.abs(one), np.abs(other))
