"""Metrics of events. An event is a run of positive labels, an alarm run is a run of alarms.

Every distinct score is tried as a threshold, all in one pass. Shape legend: T rows, E events,
K distinct scores from the highest (rank 0) to the lowest.
"""

import numpy as np

from amad.metrics.arrays import (
    events_of,
    harmonic,
    heads_of,
    ranked,
    running_by_group,
    scorable,
    sum_by_rank,
)
from amad.metrics.curves import best_f1, precision_recall

EXISTENCE = 0.2  # weight of touching an event at all in range recall; TSB-AD's alpha


def range_f1(label, score) -> float:
    """Best F1 of range precision and range recall with a flat positional bias.

    Range recall is the mean over events of 0.2 for being touched plus 0.8 of the share covered,
    divided by the number of alarm runs that cover it; range precision is the mean over alarm runs
    of the share in events, divided by the number of events it meets. Source: Tatbul et al.,
    "Precision and Recall for Time Series", NeurIPS 2018, with the settings of TSB-AD.
    """
    label_T, score_T = scorable(label, score)
    rank_T, score_K = ranked(score_T)
    start_E, end_E = events_of(label_T)
    recall_K = _range_recall(rank_T, len(score_K), start_E, end_E)
    precision_K = _range_precision(rank_T, len(score_K), label_T, start_E, end_E)
    return float(harmonic(precision_K, recall_K).max())


def event_f1(label, score) -> float:
    """Best F1 of the share of events touched by an alarm and the precision of rows."""
    label_T, score_T = scorable(label, score)
    precision_K, _, score_K = precision_recall(label_T, score_T)
    peak_E = _peaks(score_T, *events_of(label_T))
    recall_K = np.searchsorted(np.sort(-peak_E), -score_K, side="right") / len(peak_E)
    return float(harmonic(precision_K, recall_K).max())


def point_adjusted_f1(label, score) -> float:
    """Best F1 of rows after one alarm in an event has marked the whole event.

    It is worthless: a random score reaches 0.8 and more where events are long. It is computed to
    show that.
    """
    label_T, score_T = scorable(label, score)
    return best_f1(label_T, _adjusted(label_T, score_T, 0.0))


def pa_k_curve(label, score) -> np.ndarray:
    """Best F1 (11,) when an event is marked whole once more than a share of its rows are alarms.

    The shares are 0, 0.1 .. 1: the first is point adjustment, the last the plain F1.
    Source: Kim et al., "Towards a Rigorous Evaluation of Time-Series Anomaly Detection", AAAI 2022.
    """
    label_T, score_T = scorable(label, score)
    adjusted = (_adjusted(label_T, score_T, share) for share in np.linspace(0, 1, 11))
    return np.array([best_f1(label_T, adjusted_T) for adjusted_T in adjusted])


def _peaks(score_T: np.ndarray, start_E: np.ndarray, end_E: np.ndarray) -> np.ndarray:
    edges = np.stack([start_E, end_E], axis=1).ravel()
    return np.maximum.reduceat(np.append(score_T, -np.inf), edges)[::2]


def _adjusted(label_T: np.ndarray, score_T: np.ndarray, share: float) -> np.ndarray:
    """Scores (T,) that give, without adjustment, the alarms of the adjusted ones at any threshold.

    In an event no score is below the highest threshold at which more than ``share`` of its rows are
    alarms.
    """
    adjusted_T = score_T.copy()
    for start, end in zip(*events_of(label_T), strict=True):
        needed = int(np.floor(share * (end - start) + 1e-9)) + 1
        if needed <= end - start:
            part = score_T[start:end]
            least = np.partition(part, len(part) - needed)[len(part) - needed]
            adjusted_T[start:end] = np.maximum(part, least)
    return adjusted_T


def _range_recall(
    rank_T: np.ndarray, distinct: int, start_E: np.ndarray, end_E: np.ndarray
) -> np.ndarray:
    """Range recall (K,), from the changes of each event's coverage and number of alarm runs."""
    event = np.repeat(np.arange(len(start_E)), end_E - start_E)
    first = start_E[event]
    row = np.concatenate([np.arange(a, b) for a, b in zip(start_E, end_E, strict=True)])
    rank = rank_T[row]
    # A row opens a run when it becomes an alarm unless the row before it is one already; the run
    # is joined to the one before it once that row is an alarm too.
    previous = np.where(row > first, rank_T[row - 1], distinct)
    opens = previous > rank
    joins = opens & (previous < distinct)
    who = np.concatenate([event, event[joins]])
    when = np.concatenate([rank, previous[joins]])
    covered = np.concatenate([1 / (end_E - start_E)[event], np.zeros(int(joins.sum()))])
    runs = np.concatenate([opens.astype(np.int64), np.full(int(joins.sum()), -1)])
    order = np.lexsort((-runs, when, who))
    who, when = who[order], when[order]
    head = heads_of(who)
    covered = running_by_group(covered[order], head)
    runs = running_by_group(runs[order], head)
    value = EXISTENCE + (1 - EXISTENCE) * covered / np.maximum(runs, 1)
    return sum_by_rank(value, head, when, distinct) / len(start_E)


def _range_precision(
    rank_T: np.ndarray, distinct: int, label_T: np.ndarray, start_E: np.ndarray, end_E: np.ndarray
) -> np.ndarray:
    """Range precision (K,), from every alarm run that occurs at any threshold.

    While the threshold falls, a run begins when the lowest of its rows becomes an alarm and ends
    when a neighbouring row joins it. So each run follows from the nearest lower rows on either side
    of its lowest row.
    """
    left, right = _lower_neighbours(rank_T.tolist())
    bounded = np.append(rank_T, distinct)  # position -1 and T: nothing, never an alarm
    death = np.minimum(bounded[left], bounded[right])
    # Where several rows of a run are equally low, the run is counted for the first of them.
    own = np.flatnonzero(death > rank_T)
    birth, death, left, right = rank_T[own], death[own], left[own] + 1, right[own]
    inside = np.concatenate([[0], np.cumsum(label_T)])
    met = np.searchsorted(start_E, right, side="left") - np.searchsorted(end_E, left, side="right")
    value = (inside[right] - inside[left]) / (right - left) / np.maximum(met, 1)
    total_K = _steps(birth, death, value, distinct)
    return total_K / _steps(birth, death, np.ones(len(own)), distinct)


def _steps(birth: np.ndarray, death: np.ndarray, value: np.ndarray, distinct: int) -> np.ndarray:
    """Sum (K,) of the values that exist from rank ``birth`` up to before ``death``."""
    change = np.bincount(birth, weights=value, minlength=distinct + 1)
    change -= np.bincount(death, weights=value, minlength=distinct + 1)
    return np.cumsum(change)[:distinct]


def _lower_neighbours(rank: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The nearest row to the left that is as low or lower, and to the right that is lower.

    Rows (T,) each; -1 and T where there is none.
    """
    left, right = [-1] * len(rank), [len(rank)] * len(rank)
    stack: list[int] = []
    for row, own in enumerate(rank):
        while stack and rank[stack[-1]] < own:
            right[stack.pop()] = row
        if stack:
            left[row] = stack[-1]
        stack.append(row)
    return np.array(left), np.array(right)
