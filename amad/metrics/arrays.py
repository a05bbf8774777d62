"""What every metric begins with: checked arrays, events, and the ranks of the scores.

Shape legend: T rows, E events, K distinct scores, from the highest (rank 0) to the lowest.
"""

import numpy as np


def scorable(label, score) -> tuple[np.ndarray, np.ndarray]:
    """Return ``label`` as bool (T,) and ``score`` as float64 (T,).

    Raises:
        ValueError: shapes differ, a score is not finite, or the labels hold one class only; the
            last two messages start with ``unscorable``.
    """
    label_T = np.asarray(label) > 0
    score_T = np.asarray(score, dtype=np.float64)
    if label_T.ndim != 1 or label_T.shape != score_T.shape:
        raise ValueError(
            f"label {label_T.shape} and score {score_T.shape} must be one-dimensional and as long"
        )
    if label_T.all() or not label_T.any():
        raise ValueError(
            f"unscorable: the {len(label_T)} labels hold one class only, both are needed"
        )
    if not np.isfinite(score_T).all():
        raise ValueError(
            f"unscorable: {int((~np.isfinite(score_T)).sum())} of {len(score_T)} scores are not "
            "finite"
        )
    return label_T, score_T


def events_of(label) -> tuple[np.ndarray, np.ndarray]:
    """First row (E,) and end row, exclusive, (E,) of each run of positive labels."""
    flag_T = (np.asarray(label) > 0).astype(np.int8)
    edge = np.diff(flag_T, prepend=0, append=0)
    return np.flatnonzero(edge == 1), np.flatnonzero(edge == -1)


def ranked(score_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank of each row (T,), 0 the highest score and ties equal, and the scores by rank (K,)."""
    negative_K, rank_T = np.unique(-score_T, return_inverse=True)
    return rank_T, -negative_K


def harmonic(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Harmonic mean, elementwise; 0 where both are 0."""
    total = a + b
    return np.divide(2 * a * b, total, out=np.zeros_like(total, dtype=np.float64), where=total > 0)


def heads_of(group: np.ndarray) -> np.ndarray:
    """Where each group begins, of the sorted numbers of the groups."""
    return np.flatnonzero(np.diff(group, prepend=-1))


def running_by_group(values: np.ndarray, head: np.ndarray) -> np.ndarray:
    """Cumulative sums that begin anew at each ``head``."""
    total = np.cumsum(values)
    before = np.concatenate([np.zeros(1, total.dtype), total[head[1:] - 1]])
    return total - np.repeat(before, np.diff(np.append(head, len(values))))


def sum_by_rank(
    values: np.ndarray, head: np.ndarray, rank: np.ndarray, distinct: int
) -> np.ndarray:
    """Sum (K,) over the groups of the value that each has from a rank on; 0 before its first."""
    change = np.diff(values, prepend=0.0)
    change[head] = values[head]
    return np.cumsum(np.bincount(rank, weights=change, minlength=distinct))
