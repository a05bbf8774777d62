"""A threshold that follows the ordinary scores of a vehicle.

The threshold is chosen on calibration rows. Later the bulk of a healthy vehicle's scores may lie
higher, because its load or its software changed, or be narrower. ``thresholds`` moves the threshold
with the median of the scores just before, and lowers it where the highest twentieth of them came
closer to the median:

    threshold_t = threshold + d - (threshold - m) (1 - w)
    d = min(short median - m, max(long median - m, 0))
    w = (short 95 % quantile - short median) / (95 % quantile - m) of the usual scores, 0.5 to 1

m is the median of the vehicle's usual scores, those of its calibration rows, and m + d the usual
score of the row, from which the release level follows (``amad.detect.alarms``). The short and the
long stretch are the last 2,000 and 4,000 periods; a period without a score counts as usual scores
do. So a change raises the threshold only after half of the long stretch: an incident of up to 2,000
periods does not raise its own threshold by more than the usual scores vary.

Scores alone are read, never alarms or thresholds, so nothing has to be remembered between days: the
threshold of a row depends on the scores of the ``CONTEXT_ROWS`` periods before it alone.

Shape legend: T rows of a series, K rows with a score, B blocks, U usual scores.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from amad.detect.alarms import release_level

NEAR_ROWS, FAR_ROWS = 2000, 4000  # periods before a block
BLOCK_ROWS = 50  # periods that share a threshold
CONTEXT_ROWS = FAR_ROWS + BLOCK_ROWS
BULK, TOP = 0.5, 0.95  # quantiles of the scores
LEAST_SPREAD = 0.1  # between the two, in score units; smaller ones count as this
NARROWEST = 0.5  # least factor of the distance between the threshold and the median
USUAL_SCORES = 100
USUAL_MEDIAN = 49  # place of the median among them
USUAL_ROWS = 60  # a vehicle with fewer calibration rows takes the usual scores of all vehicles
DIGITS = 4  # of a usual score


def usual_scores(score_T: np.ndarray) -> tuple[float, ...]:
    """The percentiles 1 to 100 of the scores; NaN is ignored."""
    share_U = np.arange(1, USUAL_SCORES + 1) / USUAL_SCORES
    value_U = np.quantile(score_T[np.isfinite(score_T)], share_U)
    return tuple(np.round(value_U.astype(np.float64), DIGITS).tolist())


class Thresholds(NamedTuple):
    """Of each row, float64: above ``threshold_T`` is an alarm, below ``release_T`` it ends."""

    threshold_T: np.ndarray
    release_T: np.ndarray


def thresholds(
    threshold: float,
    usual: Sequence[float],
    timestamp_T: np.ndarray,
    score_T: np.ndarray,
    first: int = 0,
    *,
    period_us: int,
) -> Thresholds:
    """Those of each row from row ``first`` on; the rows before are history.

    threshold: the one chosen on calibration rows. usual: ``usual_scores`` of the vehicle.
    timestamp_T: microseconds, rising. score_T: NaN where a row has no score.

    Blocks begin at multiples of their length since the epoch, so a row's block does not depend on
    where the series begins.
    """
    if not len(timestamp_T) - first:
        return Thresholds(np.zeros(0), np.zeros(0))
    usual_U = np.asarray(usual, np.float64)
    known_T = np.isfinite(score_T)
    time_K, score_K = timestamp_T[known_T], score_T[known_T].astype(np.float64)
    block_us = BLOCK_ROWS * period_us
    block_B, block_T = np.unique(timestamp_T[first:] // block_us, return_inverse=True)
    begin_B = block_B * block_us
    end_B = np.searchsorted(time_K, begin_B)
    median, top = _quantiles(score_K[:0], usual_U, NEAR_ROWS, (BULK, TOP))
    spread = max(top - median, LEAST_SPREAD)
    distance = max(threshold - median, 0.0)
    threshold_B, usual_B = np.empty(len(block_B)), np.empty(len(block_B))
    starts = [np.searchsorted(time_K, begin_B - n * period_us) for n in (NEAR_ROWS, FAR_ROWS)]
    for b, (short, long, end) in enumerate(zip(*starts, end_B, strict=True)):
        near, near_top = _quantiles(score_K[short:end], usual_U, NEAR_ROWS, (BULK, TOP))
        move = near - median
        if move > 0:
            (far,) = _quantiles(score_K[long:end], usual_U, FAR_ROWS, (BULK,))
            move = min(move, max(far - median, 0.0))
        width = max(near_top - near, LEAST_SPREAD) / spread
        threshold_B[b] = threshold + move - distance * (1 - min(max(width, NARROWEST), 1.0))
        usual_B[b] = median + move
    return Thresholds(threshold_B[block_T], release_level(threshold_B, usual_B)[block_T])


def _quantiles(
    score_K: np.ndarray, usual_U: np.ndarray, rows: int, shares: Sequence[float]
) -> list[float]:
    """Quantiles of these scores and, for the rest of ``rows``, of usual ones, which rise.

    A quantile is the least value such that at least this share of all values are not above it.
    """
    missing = rows - len(score_K)
    if missing <= 0:
        places = [math.ceil(share * len(score_K)) - 1 for share in shares]
        return [float(np.partition(score_K, place)[place]) for place in places]
    score_K = np.sort(score_K)
    weight = missing / len(usual_U)
    below_U = np.searchsorted(score_K, usual_U, side="right")  # scores that are not above it
    reached_U = below_U + weight * np.arange(1, len(usual_U) + 1)
    found = []
    for share in shares:
        wanted = share * rows - 1e-6
        u = int(np.searchsorted(reached_U, wanted))  # the first usual score that reaches it
        k = math.ceil(wanted - weight * u) - 1  # and the first other one, with u usual ones below
        found.append(float(min(*usual_U[u : u + 1], *score_K[k : k + 1], math.inf)))
    return found
