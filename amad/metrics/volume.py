"""VUS: the volume under the surface of range-based curves over buffer sizes.

Source: Paparrizos et al., "Volume Under the Surface", VLDB 2022, section 4, in the form of TSB-AD
1.5 ("opt", 250 thresholds). For each buffer b = 0..B every event grows a border of b // 2 rows on
each side, worth sqrt(1 - d / b) at distance d; recall is weighted by the share of (merged) grown
events that are touched at all.

It is fast because a border row is worth at least sqrt(1/2), so a row in the borders of two events
is worth 1: the distances to the two nearest events are all that is needed. Per buffer one histogram
over the thresholds remains.

Shape legend: T rows, E events, K thresholds, N rows near an event but outside, B the buffer.
"""

import numpy as np

from amad.metrics.arrays import events_of, scorable


def vus(label, score, buffer: int = 100, thresholds: int = 250) -> tuple[float, float]:
    """(VUS-PR, VUS-ROC): volumes under the precision-recall and the ROC surface.

    buffer: the largest, in rows; smaller ones down to 0 count too. thresholds: how many are tried.
    """
    label_T, score_T = scorable(label, score)
    rows, positives = len(label_T), int(label_T.sum())
    start_E, end_E = events_of(label_T)
    # Thresholds stand at equally spaced ranks; bin_T is the first at which a row is an alarm.
    descending_T = np.sort(score_T)[::-1]
    threshold_K = descending_T[np.linspace(0, rows - 1, thresholds).astype(int)]
    bin_T = np.searchsorted(-threshold_K, -score_T, side="left")
    alarms_K = np.cumsum(np.bincount(bin_T, minlength=thresholds))
    inside_K = np.cumsum(np.bincount(bin_T[label_T], minlength=thresholds))

    near_N, first_N, second_N = _near(label_T, start_E, end_E, buffer // 2)
    bin_N = bin_T[near_N]
    within = np.searchsorted(first_N, np.arange(buffer // 2 + 1), side="right")
    touched = _touched(bin_T, start_E, end_E, buffer // 2, thresholds)
    area_pr = area_roc = 0.0
    for size in range(buffer + 1):
        half = size // 2
        cut = slice(0, within[half])  # rows are sorted by distance: those in reach come first
        worth = np.sqrt(1.0 - np.arange(half + 1) / max(size, 1))
        worth_N = np.where(second_N[cut] <= half, 1.0, worth[first_N[cut]])
        border_K = np.cumsum(np.bincount(bin_N[cut], weights=worth_N, minlength=thresholds))
        true_K = inside_K + border_K
        positive_K = positives + border_K / 2
        recall_K = np.minimum(true_K / positive_K, 1.0) * touched[half]
        false_K = (alarms_K - true_K) / (rows - positive_K)
        area_pr += np.sum(np.diff(recall_K, prepend=0.0) * true_K / alarms_K)
        area_roc += np.trapezoid(
            np.concatenate([[0.0], recall_K, [1.0]]), np.concatenate([[0.0], false_K, [1.0]])
        )
    return float(area_pr / (buffer + 1)), float(area_roc / (buffer + 1))


def _near(
    label_T: np.ndarray, start_E: np.ndarray, end_E: np.ndarray, reach: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows outside events within ``reach``, and distances to their nearest and second events.

    Sorted by the first distance. A distance beyond every event is ``reach + 1`` or more.
    """
    row = np.flatnonzero(~label_T)
    before = np.searchsorted(end_E, row, side="right")  # events that ended before the row
    far = reach + 1
    last_E = np.concatenate([[-far - len(label_T)] * 2, end_E - 1])
    first_E = np.concatenate([start_E, [len(label_T) + far] * 2])
    distance = np.stack([
        row - last_E[before + 1], row - last_E[before],
        first_E[before] - row, first_E[before + 1] - row,
    ])  # fmt: skip
    distance.sort(axis=0)
    keep = np.flatnonzero(distance[0] <= reach)
    keep = keep[np.argsort(distance[0, keep], kind="stable")]
    return row[keep], distance[0, keep], distance[1, keep]


def _touched(
    bin_T: np.ndarray, start_E: np.ndarray, end_E: np.ndarray, reach: int, thresholds: int
) -> np.ndarray:
    """(reach + 1, K): share of the events grown by 0..reach rows that hold an alarm.

    Grown events that meet are one.
    """
    padding = np.full(reach, thresholds)
    padded = np.concatenate([padding, bin_T, padding])
    # reduceat over [start, end) pairs; an event may end at the last row, hence the sentinel
    edges = np.stack([start_E, end_E], axis=1).ravel()
    best_E = np.minimum.reduceat(np.append(bin_T, thresholds), edges)[::2]
    gap_E = start_E[1:] - end_E[:-1] + 1
    share = np.empty((reach + 1, thresholds))
    for half in range(reach + 1):
        best_E = np.minimum(best_E, padded[start_E + reach - half])
        best_E = np.minimum(best_E, padded[end_E - 1 + reach + half])
        heads = np.concatenate([[0], np.flatnonzero(gap_E > 2 * half) + 1])
        group = np.minimum.reduceat(best_E, heads)
        hit = np.cumsum(np.bincount(group, minlength=thresholds + 1)[:thresholds])
        share[half] = hit / len(heads)
    return share
