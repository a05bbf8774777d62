"""How far apart two sets of values of a channel are.

Of numbers, the Wasserstein distance of order 1, in spreads of the train rows:

    W(U, V) = integral over x of |F_U(x) - F_V(x)| dx        (Vallender 1974)

which ``scipy.stats.wasserstein_distance`` computes. 0.5 means that the values lie half a train
spread (standard deviation) away on average. Of codes (categorical and binary channels), which have
no distances between them, the total variation distance: the share of the rows that would have to
have another code, 0 to 1.

A set is kept as at most ``POINTS`` quantiles, so memory does not grow with the rows.

Shape legend: V values, P points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

POINTS = 200
MOST = 10.0  # a larger distance counts as this; also that of a value that never moved before
RANGE_SHARE = 0.01  # least spread, of the physical range; as ``amad.windows.scaler`` has it


@dataclass(frozen=True, slots=True)
class Sample:
    """Values with their weights: as many rows as the weights add up to."""

    value_P: np.ndarray
    weight_P: np.ndarray

    @classmethod
    def of(cls, value_V: np.ndarray, *, coded: bool) -> "Sample":
        """The sample of finite values; coded: each value is kept, and not quantiles."""
        if coded:
            code_P, rows_P = np.unique(value_V, return_counts=True)
            return cls(code_P, rows_P.astype(np.float64))
        if len(value_V) <= POINTS:
            return cls(np.sort(value_V), np.ones(len(value_V)))
        share_P = (np.arange(POINTS) + 0.5) / POINTS
        return cls(np.quantile(value_V, share_P), np.full(POINTS, len(value_V) / POINTS))

    @classmethod
    def joined(cls, samples: Sequence["Sample"]) -> "Sample":
        """All values of these samples."""
        if not samples:
            return cls(np.zeros(0), np.zeros(0))
        return cls(
            np.concatenate([item.value_P for item in samples]),
            np.concatenate([item.weight_P for item in samples]),
        )

    @property
    def rows(self) -> float:
        """How many rows it stands for."""
        return float(self.weight_P.sum())

    @property
    def spread(self) -> float:
        """Standard deviation; 0 of no values."""
        if not len(self.value_P):
            return 0.0
        mean = np.average(self.value_P, weights=self.weight_P)
        return float(np.sqrt(np.average(np.square(self.value_P - mean), weights=self.weight_P)))


def distance(recent: Sample, train: Sample, width: float) -> float:
    """Wasserstein distance in train spreads, at most ``MOST``; neither sample is empty.

    width: of the channel's physical range, 0 where the fleet file gives none.
    """
    from scipy.stats import wasserstein_distance

    away = wasserstein_distance(recent.value_P, train.value_P, recent.weight_P, train.weight_P)
    spread = max(train.spread, RANGE_SHARE * width)
    if away <= 1e-9 * max(1.0, float(np.abs(train.value_P).max())):
        return 0.0
    return min(away / spread, MOST) if spread > 0 else MOST


def share_moved(recent: Sample, train: Sample) -> float:
    """Total variation distance of the codes, 0 to 1; neither sample is empty."""
    code_K = np.union1d(recent.value_P, train.value_P)

    def shares(sample: Sample) -> np.ndarray:
        at_P = np.searchsorted(code_K, sample.value_P)
        return np.bincount(at_P, sample.weight_P, len(code_K)) / sample.rows

    return float(np.abs(shares(recent) - shares(train)).sum() / 2)
