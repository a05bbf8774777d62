"""Metrics of rows alone: no event structure, every distinct score a threshold.

Shape legend: T rows, K distinct scores from the highest to the lowest.
"""

import numpy as np

from amad.metrics.arrays import harmonic, ranked, scorable


def _counts(label_T: np.ndarray, score_T: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives (K,) and alarms (K,) at each threshold ``score >= score_K``, and score_K."""
    rank_T, score_K = ranked(score_T)
    alarms_K = np.cumsum(np.bincount(rank_T))
    hits_K = np.cumsum(np.bincount(rank_T[label_T], minlength=len(score_K)))
    return hits_K, alarms_K, score_K


def precision_recall(label, score) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision (K,), recall (K,) and threshold (K,), highest threshold first."""
    label_T, score_T = scorable(label, score)
    hits_K, alarms_K, score_K = _counts(label_T, score_T)
    return hits_K / alarms_K, hits_K / hits_K[-1], score_K


def auc_pr(label, score) -> float:
    """Average precision: the step integral of precision over recall, not interpolated."""
    precision_K, recall_K, _ = precision_recall(label, score)
    return float(np.sum(np.diff(recall_K, prepend=0.0) * precision_K))


def auc_roc(label, score) -> float:
    """Chance that a row in an event scores above one that is not; ties count half."""
    label_T, score_T = scorable(label, score)
    hits_K, alarms_K, _ = _counts(label_T, score_T)
    false_K = alarms_K - hits_K
    area = np.trapezoid(np.concatenate([[0], hits_K]), np.concatenate([[0], false_K]))
    return float(area / (hits_K[-1] * false_K[-1]))


def best_f1(label, score) -> float:
    """F1 of rows at the threshold that serves it best."""
    precision_K, recall_K, _ = precision_recall(label, score)
    return float(harmonic(precision_K, recall_K).max())
