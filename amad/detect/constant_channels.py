"""Channels that never moved in train: a first move is reported once, and is then ordinary.

Such a channel has no spread to measure a move by. Its residual would depend on nothing but its
scale, for as long as it keeps the new value: it would hide every other channel, or, inside a wide
physical range, be invisible. So at a level where a channel is constant the members see it held at
0, and a rule of its own reports when it moves:

- A *first move* is a measured value that differs from the one value that the channel held for the
  last ``MEMORY_DAYS`` days. Where it was not measured in that time, from what it is known to have
  been: its value in train, or its last one in calibration.
- The score of the ``REPORTED_ROWS`` periods from a first move on is at least ``REPORTED_MARGIN``
  above the threshold, and the channel is to blame.

After that the new value is ordinary, and so is any other move within ``MEMORY_DAYS``: a signal that
came alive is one incident. No move counts more than another, so that none hides the other
channels. What is reported depends on ``MEMORY_DAYS`` before a row and on nothing else.

A channel is *nearly constant* where ``MOSTLY`` of a vehicle's train rows hold one value. The
members see it, and know its short excursions, but they would never get used to a new value that
stays. Once a new value has been measured for ``SETTLED_ROWS`` periods without a break, or for as
long as the longest excursion in train, it is ordinary for ``MEMORY_DAYS``, and the members see the
usual value in its place.

Shape legend: T rows of a vehicle, C channels, K constant channels, M measured rows of one of them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from amad.detect.detector_state import Level
from amad.windows.resample import row_of
from amad.windows.series import Series

MEMORY_DAYS = 8  # a vehicle that drives on one day of the week remembers the week before
MEMORY_US = MEMORY_DAYS * 86_400_000_000
REPORTED_ROWS = 5  # periods; a move is one moment, however long the new value is kept
REPORTED_MARGIN = 1.0  # score units above the threshold: a severity of about 40, medium
MOSTLY = 0.99  # of the measured train rows
SETTLED_ROWS = 60  # periods
DIGITS, FLOAT32 = 1e-12, 1e-6  # noise: of the magnitude in float64, of the scaled value

Known = Mapping[int, tuple[float, ...]]  # channel -> scaled values it is known to have


def noise_of(figures: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """How far equal values may lie apart in scaled units by rounding alone, (C,).

    figures: (mean_C, scale_C) that the values were scaled with.
    """
    mean_C, scale_C = figures
    return DIGITS * np.abs(mean_C) / scale_C


def constant_channels(group: Sequence[Series], noise_C: np.ndarray) -> dict[int, tuple[float, ...]]:
    """The channels that hold one value in each of the train series, and that value.

    No value is known where the vehicles differ in it.
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
    """The channels that hold one value in ``MOSTLY`` of a vehicle's train rows, but not in all.

    Each with that value and the periods after which another one is ordinary. Several vehicles, as
    a pooled level has them, have none.
    """
    found = {}
    for c in range(group[0].value_TC.shape[1] if len(group) == 1 else 0):
        value_M = group[0].value_TC[group[0].valid_TC[:, c] == 1, c]
        usual = float(np.median(value_M)) if len(value_M) else 0.0
        away_M = ~_near(value_M, usual, noise_C[c])
        if len(value_M) and 0 < away_M.mean() <= 1 - MOSTLY:
            found[c] = (usual, max(SETTLED_ROWS, _longest(away_M)))
    return found


def settled(
    series: Series,
    memory: Series | None,
    level: Level,
    figures: tuple[np.ndarray, np.ndarray],
) -> Series:
    """The series with the usual value wherever a channel that hardly moves has settled at another.

    memory, level, figures: as in ``first_moves``.
    """
    if not level.nearly_constant or not series.rows:
        return series
    noise_C, value_TC = noise_of(figures), None
    record = series if memory is None else memory
    for c, (value, limit) in level.nearly_constant.items():
        at = c if memory is None else level.remembered.index(c)
        rows = np.flatnonzero(record.valid_TC[:, at])
        value_M = record.value_TC[rows, at]
        if memory is not None:
            value_M = ((value_M - figures[0][c]) / figures[1][c]).astype(np.float32)
        ordinary_M = _settled_at(record.timestamp_T[rows], value_M, value, limit, noise_C[c])
        if ordinary_M.any():
            ordinary_T = np.zeros(record.rows, bool)
            ordinary_T[rows] = ordinary_M
            row_T = row_of(record, series.timestamp_T)
            value_TC = series.value_TC.copy() if value_TC is None else value_TC
            value_TC[ordinary_T[row_T] & (row_T >= 0), c] = value
    return series if value_TC is None else series.with_values(value_TC)


def _settled_at(
    time_M: np.ndarray, value_M: np.ndarray, usual: float, limit: int, noise: float
) -> np.ndarray:
    """Which measured values are another one than the usual that has become ordinary, bool (M,)."""
    ordinary_M = np.zeros(len(value_M), bool)
    index_M = np.arange(len(value_M))
    step_M = np.append(True, ~_near(value_M[1:], value_M[:-1], noise))[: len(value_M)]
    since_M = np.maximum.accumulate(np.where(step_M, index_M, 0))
    stays_M = (index_M - since_M >= limit) & ~_near(value_M, usual, noise)
    left = np.flatnonzero(stays_M)
    while len(left):
        same_M = _near(value_M, value_M[left[0]], noise)
        last_M = np.maximum.accumulate(np.where(same_M & stays_M, time_M, time_M[0] - MEMORY_US))
        ordinary_M |= same_M & (time_M - last_M < MEMORY_US)
        left = left[~same_M[left]]
    return ordinary_M


def _longest(mask_M: np.ndarray) -> int:
    """The longest run of True."""
    edge = np.flatnonzero(np.diff(np.concatenate([[0], mask_M.astype(np.int8), [0]])))
    return int((edge[1::2] - edge[::2]).max(initial=0))


def last_known(known: Known, series: Series, noise_C: np.ndarray) -> dict[int, tuple[float, ...]]:
    """``known`` with the last measured value of the (calibration) series beside that of train."""
    found = dict(known)
    for c, values in known.items():
        rows = np.flatnonzero(series.valid_TC[:, c])
        if len(rows):
            last = float(series.value_TC[rows[-1], c])
            if not any(_near(last, value, noise_C[c]) for value in values):
                found[c] = (*values, last)
    return found


def hold(series: Series, channels: Iterable[int]) -> Series:
    """The series with these channels at 0, as they were when the members were fitted."""
    columns = list(channels)
    if not columns or not series.value_TC[:, columns].any():
        return series
    value_TC = series.value_TC.copy()
    value_TC[:, columns] = 0.0
    return series.with_values(value_TC)


def first_moves(
    series: Series,
    memory: Series | None,
    level: Level,
    figures: tuple[np.ndarray, np.ndarray],
    *,
    period_us: int,
    too_short: Callable[[Series], np.ndarray],
) -> dict[int, np.ndarray]:
    """The rows in which a first move of each constant channel is reported, bool (T,).

    Channels that do not move are left out.

    series: scaled with figures, (mean_C, scale_C). memory: a longer record that ends with it, of
    the channels that the level follows alone, in their order and in engineering units; None: the
    series itself. level: that serves the vehicle. too_short: which rows lie in stretches too short
    to be scored. They are not looked at: a move there is reported when it is next seen.
    """
    channels = sorted(level.constant)
    among = [level.remembered.index(c) for c in channels]
    if not channels or not series.rows:
        return {}
    if memory is None:
        record, value_TK = series, series.value_TC[:, channels]
        valid_TK = series.valid_TC[:, channels]
    else:
        mean_K, scale_K = (part[channels] for part in figures)
        value_TK = ((memory.value_TC[:, among] - mean_K) / scale_K).astype(np.float32)
        record, valid_TK = memory, memory.valid_TC[:, among]
    usable_T = ~too_short(record)
    row_T = row_of(record, series.timestamp_T)
    moves = {}
    for c, noise, value_T, valid_T in zip(
        channels, noise_of(figures)[channels], value_TK.T, valid_TK.T, strict=True
    ):
        rows = np.flatnonzero((valid_T == 1) & usable_T)
        time_M = record.timestamp_T[rows]
        first_M = _first_moves(time_M, value_T[rows], level.constant[c], noise)
        if first_M.any():
            begin_M = time_M[first_M]
            edge_T = np.zeros(record.rows + 1, np.int64)
            np.add.at(edge_T, np.searchsorted(record.timestamp_T, begin_M), 1)
            end_M = begin_M + REPORTED_ROWS * period_us
            np.add.at(edge_T, np.searchsorted(record.timestamp_T, end_M), -1)
            moves[c] = (np.cumsum(edge_T)[:-1] > 0)[row_T] & (row_T >= 0)
    return moves


def raise_scores(
    moves: Mapping[int, np.ndarray],
    score_T: np.ndarray,
    contribution_TC: np.ndarray,
    *,
    threshold: float,
) -> None:
    """Raise scores and contributions, in place, in the rows in which first moves are reported.

    Where a row is an alarm for this reason alone, the channels that moved give at least half of its
    score. A row that is an alarm anyway keeps its contributions, and these are added.
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
    """Are these scaled values the same but for rounding?"""
    return np.abs(one - other) <= noise + FLOAT32 * np.maximum(np.abs(one), np.abs(other))
