"""Affiliation F1: how near alarms and events are, against an alarm placed at random.

Source: Huet et al., "Local Evaluation of Time Series Anomaly Detection Algorithms", KDD 2022,
sections 3 and 4. Row t is the stretch [t, t + 1) of time. Each event owns the zone up to midway to
its neighbours. Precision of a zone: mean over its alarms of the chance that a random place in the
zone lies further from the event; recall: mean over the event of the chance that a random place lies
further than the nearest alarm of the zone. A random score reaches about 0.67: read it as a lift.

Shape legend: T rows, E events, K distinct scores from the highest (rank 0) to the lowest, P pieces
(rows cut at the borders of the zones), Q quarter rows of the events.
"""

import heapq

import numpy as np

from amad.metrics.arrays import (
    events_of,
    heads_of,
    ranked,
    running_by_group,
    scorable,
    sum_by_rank,
)

TOLERANCE = 1e-6  # the search for the best threshold stops once no other can be better by this


def affiliation_f1(label, score) -> float:
    """Best affiliation F1 over all thresholds, at most 1e-6 short."""
    label_T, score_T = scorable(label, score)
    rank_T, score_K = ranked(score_T)
    start_E, end_E = events_of(label_T)
    zone_E = _zones(start_E, end_E, len(label_T))
    precision_K = _precision(rank_T, len(score_K), start_E, end_E, zone_E)
    return _search(precision_K, _Recall(rank_T, start_E, end_E, zone_E))


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def _search(precision_K: np.ndarray, recall: "_Recall") -> float:
    """Branch and bound over ranks: recall only grows with the rank, precision is known everywhere.

    Between two ranks no F1 exceeds that of the highest precision with the recall at the lower end.
    """
    last = len(precision_K) - 1
    low, high = recall.at(0), recall.at(last)
    best = max(_f1(precision_K[0], low), _f1(precision_K[last], high))

    def bound(first: int, end: int, recall_end: float) -> float:
        if end - first < 2:
            return 0.0
        return _f1(float(precision_K[first + 1 : end].max()), recall_end)

    heap = [(-bound(0, last, high), 0, last, high)]
    while heap and -heap[0][0] > best + TOLERANCE:
        _, first, end, recall_end = heapq.heappop(heap)
        # The early ranks hold the interesting thresholds: split by ratio, not by difference.
        middle = min(max(int(np.sqrt((first + 1.0) * (end + 1.0))) - 1, first + 1), end - 1)
        recall_middle = recall.at(middle)
        best = max(best, _f1(precision_K[middle], recall_middle))
        for part in ((first, middle, recall_middle), (middle, end, recall_end)):
            heapq.heappush(heap, (-bound(*part), *part))
    return best


def _zones(start_E: np.ndarray, end_E: np.ndarray, rows: int) -> np.ndarray:
    """Borders (E + 1,) of the zones."""
    return np.concatenate([[0.0], (end_E[:-1] + start_E[1:]) / 2, [float(rows)]])


def _precision(
    rank_T: np.ndarray,
    distinct: int,
    start_E: np.ndarray,
    end_E: np.ndarray,
    zone_E: np.ndarray,
) -> np.ndarray:
    """Affiliation precision (K,): mean over the zones that hold an alarm at that threshold."""
    edge = np.union1d(np.arange(len(rank_T) + 1), zone_E)
    low_P, high_P = edge[:-1], edge[1:]
    zone_P = np.searchsorted(zone_E, low_P, side="right") - 1
    start_P, end_P = start_E[zone_P], end_E[zone_P]
    left_P, right_P = zone_E[zone_P], zone_E[zone_P + 1]
    nearest_P = np.maximum(np.maximum(start_P - high_P, low_P - end_P), 0.0)
    length_P = high_P - low_P
    side_P = np.minimum(start_P - left_P, right_P - end_P)

    # Integrals over a piece, d its distance to the event: of d, and of min(d, the shorter side).
    def capped(d):
        m = np.minimum(d, side_P)
        return m * m / 2 + side_P * (d - m)

    outside_P = (low_P >= end_P) | (high_P <= start_P)
    furthest_P = nearest_P + length_P
    closer_P = (
        (end_P - start_P) * length_P
        + (furthest_P**2 - nearest_P**2) / 2
        + capped(furthest_P)
        - capped(nearest_P)
    ) / (right_P - left_P)
    worth_P = length_P - np.where(outside_P, closer_P, 0.0)

    rank_P = rank_T[low_P.astype(np.int64)]
    order = np.lexsort((rank_P, zone_P))
    zone_P, rank_P = zone_P[order], rank_P[order]
    head = heads_of(zone_P)
    value_P = running_by_group(worth_P[order], head) / running_by_group(length_P[order], head)
    total_K = sum_by_rank(value_P, head, rank_P, distinct)
    return total_K / np.cumsum(np.bincount(rank_P[head], minlength=distinct))


class _Recall:
    """Affiliation recall at one threshold at a time.

    Everything bends at multiples of a quarter row, so the value in the middle of each quarter row
    integrates exactly.
    """

    def __init__(
        self, rank_T: np.ndarray, start_E: np.ndarray, end_E: np.ndarray, zone_E: np.ndarray
    ):
        length_E = end_E - start_E
        event = np.repeat(np.arange(len(start_E)), length_E)
        self.rank_T = rank_T
        self.row = np.concatenate([np.arange(a, b) for a, b in zip(start_E, end_E, strict=True)])
        self.left, self.right = zone_E[event], zone_E[event + 1]
        self.weight = 1 / (length_E[event] * len(start_E) * 4.0)
        self.offset_Q = np.array([[0.125], [0.375], [0.625], [0.875]])

    def at(self, rank: int) -> float:
        """Recall when the rows of rank 0..``rank`` are alarms."""
        alarm_T = self.rank_T <= rank
        position = np.concatenate([[-np.inf], np.flatnonzero(alarm_T), [np.inf]])
        before = np.cumsum(alarm_T)[self.row]  # alarms up to and with the row
        previous, following = position[before] + 1, position[before + 1]
        hit = alarm_T[self.row]
        previous = np.where(previous > self.left, previous, -np.inf)
        following = np.where(following < self.right, following, np.inf)
        open_ = ~hit & (np.isfinite(previous) | np.isfinite(following))
        y = self.row[open_] + self.offset_Q
        left, right = self.left[open_], self.right[open_]
        distance = np.minimum(y - previous[open_], following[open_] - y)
        side = np.minimum(y - left, right - y)
        further = 1 - (distance + np.minimum(distance, side)) / (right - left)
        return float(4 * self.weight[hit].sum() + (self.weight[open_] * further).sum())
