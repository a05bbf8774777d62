"""The mean and scale of a vehicle with few train rows: its own, moved towards those of its class.

A few rows show a stretch of what a vehicle does, and how much a stretch tells differs by channel
and fleet: four minutes of one drive say little about a speed, a few hours of a server say much
about its usual load. The vehicles with longer histories show it. Their stretches of as many rows
give the error of a mean or a spread that is learnt from one, and the differences between vehicles
give what there is to learn (empirical Bayes; Morris 1983, "Parametric Empirical Bayes Inference"):

    mean   = w own + (1 - w) class,                     w = D / (D + error of a stretch's mean)
    ln s   = u (ln own - bias) + (1 - u) ln class,      u likewise, of the logarithms of spreads
    scale  = sqrt(s^2 + (1 - w) D)

D is the variance of the means of the vehicles of the class. Without rows this is the scale of an
unknown vehicle. The errors fade to none at ``long_rows``, from which on own figures count alone.
They also do where no two other vehicles have histories of twice as many rows, and from twice the
longest of ``LENGTHS`` on.

How many rows are a long history depends on the class, too. At a row per second, 2,000 rows are a
single drive, and vehicles of one model differ less than their drives do. So a history is long once
stretches of its length differ less than the vehicles do.

Shape legend: T rows, C channels, N lengths, V vehicles.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

LONG_ROWS = 2000  # the fewest train rows from which a vehicle is known by its own rows alone
LENGTHS = (60, 120, 240, 480, 960, 1920, 3840, 7680)  # rows; other lengths lie between these
STRETCHES = 16  # of each length and vehicle, evenly spread
LEAST_SPREAD = 0.05  # of the spread of the whole: a stretch in which less moves counts as this
TELLING = 0.5  # a stretch tells more of its vehicle than of what it was doing then
KNOWN_VEHICLES = 2  # fewer do not show how vehicles differ
MOST_VEHICLES = 256  # more tell little more, and the cost would grow with the square of the fleet


def unknown_share(rows: int, long_rows: int) -> float:
    """What a history of so many train rows leaves unknown: 1 for none, 0 from long_rows on."""
    return max(0.0, 1.0 - rows / long_rows)


@dataclass(frozen=True, slots=True)
class Stretches:
    """How far the stretches of a vehicle are from its whole train part, float64 (N, C).

    square_NC: mean squared distance of their means from the mean. bias_NC: mean of ln(spread /
    spread of the whole). vary_NC: variance of the same. NaN where the vehicle has not twice as many
    rows, or no measured cell.
    """

    square_NC: np.ndarray
    bias_NC: np.ndarray
    vary_NC: np.ndarray

    @classmethod
    def of(cls, sum_3CNS: np.ndarray, spread_C: np.ndarray) -> "Stretches":
        """Of the train rows of one vehicle.

        sum_3CNS: in each stretch of ``stretch_rows``, the measured cells, the sum of their
        distances from the mean in spreads, and the sum of the squares of these. spread_C: 0 for a
        channel in which nothing moved.
        """
        figures = np.full((3, len(LENGTHS), len(spread_C)), np.nan)
        lengths = sum_3CNS.shape[2]
        for c in np.flatnonzero(spread_C > 0) if lengths else ():
            count_NS, total_NS, square_NS = sum_3CNS[:, c]
            measured_NS = count_NS > 1
            if measured_NS.all():
                figures[:, :lengths, c] = _of_stretches(count_NS, total_NS, square_NS)
            else:
                for n, at_S in enumerate(measured_NS):
                    if at_S.any():
                        sums = (x_NS[n, at_S] for x_NS in (count_NS, total_NS, square_NS))
                        figures[:, n, c] = _of_stretches(*sums)
            figures[0, :, c] *= spread_C[c] ** 2
        return cls(*figures)


def stretch_rows(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The first row (inclusive) and the last (exclusive) of each stretch of so many rows, (N, S).

    N counts the lengths of which the rows hold two.
    """
    lengths = [length for length in LENGTHS if rows >= 2 * length]
    first_NS = np.array(
        [np.linspace(0, rows - length, STRETCHES).astype(int) for length in lengths]
    ).reshape(len(lengths), STRETCHES)
    return first_NS.astype(int), first_NS.astype(int) + np.array(lengths, int)[:, None]


def _of_stretches(count: np.ndarray, total: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Mean square of the stretches' means; mean and variance of the logs of their spreads.

    The arrays are (..., S): measured cells, their sum, the sum of their squares. Returns (3, ...).
    """
    mean = total / count
    log = np.log(np.maximum(square / count - mean**2, LEAST_SPREAD**2)) / 2
    return np.stack([np.mean(mean**2, axis=-1), log.mean(axis=-1), log.var(axis=-1)])


class Known:
    """The vehicles of a class with figures of their own, with which short histories are compared.

    figures: of each vehicle, its mean_C and scale_C. longest: the train rows of the longest
    history.
    """

    def __init__(
        self,
        figures: Mapping[str, tuple[np.ndarray, np.ndarray]],
        stretches: Mapping[str, Stretches],
        longest: int,
    ) -> None:
        self._place = {vehicle: place for place, vehicle in enumerate(figures)}
        self._mean_VC = np.stack([mean_C for mean_C, _ in figures.values()])
        self._log_VC = np.log(np.stack([scale_C for _, scale_C in figures.values()]))
        errors_3NVC = np.stack(
            [
                np.stack([getattr(stretches[name], error) for name in figures], axis=1)
                for error in ("square_NC", "bias_NC", "vary_NC")
            ]
        )
        self._errors_N3VC = np.ascontiguousarray(errors_3NVC.transpose(1, 0, 2, 3))
        self._long_NV = np.isfinite(self._errors_N3VC[:, 0]).any(axis=2)
        self._longest = longest
        self._compared = [
            evenly_spaced(np.flatnonzero(long_V), MOST_VEHICLES) for long_V in self._long_NV
        ]

    @cached_property
    def long_rows(self) -> int:
        """The train rows from which a vehicle of the class is known by its own alone.

        As many as a stretch must have to differ less than the vehicles do; if none of ``LENGTHS``
        has, half of the longest history. At least ``LONG_ROWS``.
        """
        shares = map(self._error_share, range(len(LENGTHS)))
        found = (rows for rows, share in zip(LENGTHS, shares, strict=True) if share < TELLING)
        return max(LONG_ROWS, min(next(found, self._longest), self._longest // 2))

    def _error_share(self, n: int) -> float:
        """error / (error + D) of the means of stretches of ``LENGTHS[n]``, mean over channels.

        Of those channels that have an error; 1 where there are none or too few vehicles.
        """
        at_V = self._long_NV[n]
        if at_V.sum() < KNOWN_VEHICLES:
            return 1.0
        error_C, differ_C = _mean(self._errors_N3VC[n, 0, at_V]), self._mean_VC[at_V].var(0, ddof=1)
        share_M = 1.0 - _share(differ_C, error_C)[error_C > 0]
        return float(np.mean(share_M)) if len(share_M) else 1.0

    def others(self, vehicle: str, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """mean_VC, the logarithms log_VC of the scales and errors_3VC of ``LENGTHS[n]`` rows.

        Of those other vehicles that have the errors, at most ``MOST_VEHICLES`` of them.
        """
        at = self._compared[n]
        at = at[at != self._place[vehicle]]
        return self._mean_VC[at], self._log_VC[at], self._errors_N3VC[n][:, at]


def shrunk(
    vehicle: str,
    own: tuple[np.ndarray, np.ndarray],
    rows: int,
    known: Known,
    coded_C: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(mean_C, scale_C) of a vehicle with ``rows`` train rows.

    own: the same from its own rows. known: the vehicles of its class, and it itself. coded_C:
    categorical channels, whose own figures count by their share of ``known.long_rows``.
    """
    last = max((n for n, length in enumerate(LENGTHS) if length <= rows), default=0)
    above = math.log(min(max(rows / LENGTHS[last], 1.0), 2.0)) / math.log(2.0)
    unknown = unknown_share(rows, known.long_rows)
    low = _at(own, unknown, known.others(vehicle, last), coded_C)
    high = own
    if last + 1 < len(LENGTHS):
        high = _at(own, unknown, known.others(vehicle, last + 1), coded_C)
    mean_C = (1 - above) * low[0] + above * high[0]
    scale_C = low[1] ** (1 - above) * high[1] ** above
    return mean_C, scale_C


def _at(
    own: tuple[np.ndarray, np.ndarray],
    unknown: float,
    others: tuple[np.ndarray, np.ndarray, np.ndarray],
    coded_C: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """``shrunk`` with the errors of stretches of one length; others: see ``Known.others``."""
    mean_VC, log_VC, errors_3VC = others
    if len(mean_VC) < KNOWN_VEHICLES:
        return own
    square_C, bias_C, vary_C = (_mean(error_VC) for error_VC in errors_3VC)
    differ_C = mean_VC.var(axis=0, ddof=1)
    own_C = _share(differ_C, unknown * square_C)
    own_log_C = _share(log_VC.var(axis=0, ddof=1), unknown * vary_C)
    own_C[coded_C], own_log_C[coded_C] = 1 - unknown, 1 - unknown
    usual_C = log_VC.mean(axis=0)
    least_C = usual_C + math.log(LEAST_SPREAD)
    log_C = np.maximum(np.log(own[1]), least_C) - unknown * bias_C
    log_C = own_log_C * log_C + (1 - own_log_C) * usual_C
    mean_C = own_C * own[0] + (1 - own_C) * mean_VC.mean(axis=0)
    return mean_C, np.sqrt(np.exp(2 * log_C) + (1 - own_C) * differ_C)


def evenly_spaced(items, most: int):
    """At most so many of the items, of a sequence or an array, evenly spaced."""
    return items[:: max(1, -(-len(items) // most))]


def _mean(error_VC: np.ndarray) -> np.ndarray:
    """Of the vehicles that have a figure; 0 for channels without a measured cell."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nan_to_num(np.nanmean(error_VC, axis=0))


def _share(differ_C: np.ndarray, error_C: np.ndarray) -> np.ndarray:
    """The share of own figures, 0 to 1; 1 where there is neither difference nor error."""
    whole_C = differ_C + error_C
    return np.where(whole_C > 0, differ_C / np.where(whole_C > 0, whole_C, 1.0), 1.0)
