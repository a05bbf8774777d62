"""How far the last days of a vehicle are from the days that its model was trained on.

Days differ by themselves: week and weekend, warm and cold, town and motorway. So the train days are
cut into blocks that are as long as the last days, and each block is compared with the other blocks
in the same way. What the last days have beyond the worst of the blocks is drift.

Per class and channel the median over the vehicles counts: one vehicle that behaves unlike before is
an incident, not a reason to retrain.

Shape legend: T rows, C channels, B blocks of train days, V values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from amad.config import Fleet
from amad.drift.distance import RANGE_SHARE, Sample, distance, share_moved
from amad.scores.daily import day_bounds
from amad.windows.series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """The days that are compared; each block, and ``recent``, is (first, last) date.

    blocks: of the train days, in time order, none shared; fewer than two are not comparable.
    """

    blocks: tuple[tuple[date, date], ...]
    recent: tuple[date, date] | None

    @classmethod
    def of(cls, dates: Sequence[date], test_start: date, days: int) -> "Periods":
        """The periods of a fleet with rows on ``dates``; its train days end before ``test_start``.

        days: how many of the newest dates count as recent; those of the train days do not.
        """
        train = [day for day in dates if day < test_start]
        recent = [day for day in dates if day >= test_start][-days:]
        length = max(1, min(len(recent) or days, len(train) // 2))
        starts = range(0, len(train) - length + 1, length)
        blocks = [train[first : first + length] for first in starts]
        if blocks:
            blocks[-1] = train[starts[-1] :]  # what is left over belongs to the last block
        return cls(
            blocks=tuple((block[0], block[-1]) for block in blocks),
            recent=(recent[0], recent[-1]) if recent else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleInputs:
    """The distances of one vehicle; NaN where there are too few values on either side.

    recent_C: of the last days from all train days. own_BC: of each block from the others.
    uncovered, uncovered_B: the share of their rows with a value outside what the others covered.
    known: whether the vehicle has train days at all, or the champion figures of its own for it.
    """

    vehicle: str
    vehicle_class: str
    recent_C: np.ndarray
    own_BC: np.ndarray
    uncovered: float
    uncovered_B: np.ndarray
    known: bool


def vehicle_inputs(series: Series, fleet: Fleet, periods: Periods) -> VehicleInputs:
    """Compare the days of one vehicle.

    series: in engineering units (counters and angles as increments), with the rows of all periods;
    only measured cells count.
    """
    rows_B = [_rows(series, period) for period in periods.blocks]
    rows = _rows(series, periods.recent) if periods.recent else slice(0, 0)
    channels, blocks = len(fleet.channels), len(rows_B)
    recent_C, own_BC = np.full(channels, np.nan), np.full((blocks, channels), np.nan)
    outside_T = np.zeros(series.rows, bool)
    has_C = fleet.has_channel(series.vehicle_class)
    least = fleet.missing.min_segment_rows
    for c, channel in enumerate(fleet.channels):
        if not has_C[c]:
            continue
        coded = channel.has_codes
        width = 0.0
        if channel.range is not None and not channel.is_increment:
            width = channel.range[1] - channel.range[0]
        known_T = series.valid_TC[:, c] == 1
        value_T = series.value_TC[:, c]
        sample_B = [Sample.of(value_T[cut][known_T[cut]], coded=coded) for cut in rows_B]
        now = Sample.of(value_T[rows][known_T[rows]], coded=coded)

        def away(one: Sample, rest: Sample, coded: bool = coded, width: float = width) -> float:
            if min(one.rows, rest.rows) < least:
                return np.nan
            return share_moved(one, rest) if coded else distance(one, rest, width)

        pairs = [(cut, sample_B[:b] + sample_B[b + 1 :]) for b, cut in enumerate(rows_B)]
        for b, (cut, others) in enumerate(pairs):
            rest = Sample.joined(others)
            own_BC[b, c] = away(sample_B[b], rest)
            outside_T[cut] |= known_T[cut] & _outside(value_T[cut], rest, coded, width)
        whole = Sample.joined(sample_B)
        recent_C[c] = away(now, whole)
        outside_T[rows] |= known_T[rows] & _outside(value_T[rows], whole, coded, width)
    return VehicleInputs(
        vehicle=series.vehicle,
        vehicle_class=series.vehicle_class,
        recent_C=recent_C,
        own_BC=own_BC,
        uncovered=_share(outside_T[rows], least),
        uncovered_B=np.array([_share(outside_T[cut], least) for cut in rows_B]),
        known=sum(cut.stop - cut.start for cut in rows_B) >= least,
    )


def _rows(series: Series, period: tuple[date, date]) -> slice:
    """The rows from the first to the last date, both included."""
    edges = [day_bounds(period[0])[0], day_bounds(period[1])[1]]
    first, last = np.searchsorted(series.timestamp_T, edges)
    return slice(int(first), int(last))


def _outside(value_V: np.ndarray, train: Sample, coded: bool, width: float) -> np.ndarray:
    """Which values no train row came near: an unseen code, or a spread beyond all of them.

    The outermost quantiles stand for the extremes; a spread beyond them allows for that.
    """
    if train.rows == 0:
        return np.zeros(len(value_V), bool)
    if coded:
        return ~np.isin(value_V, train.value_P)
    room = max(train.spread, RANGE_SHARE * width, 1e-9 * float(np.abs(train.value_P).max()))
    return (value_V < train.value_P.min() - room) | (value_V > train.value_P.max() + room)


def _share(outside_V: np.ndarray, least: int) -> float:
    return float(outside_V.mean()) if len(outside_V) >= least else np.nan
