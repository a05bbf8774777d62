"""A common baseline: what the principal components of the channels do not explain.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Sequence
from functools import reduce

import numpy as np

from amad.detect.members.member import Arrays, Member
from amad.windows.series import Series


class PcaMember(Member):
    """Reconstruction error of the fewest components that explain ``EXPLAINED`` of the variance."""

    EXPLAINED = 0.9

    def summarise(self, series: Series) -> Arrays:
        """Number of rows, sums (C,) and sums of products (C, C); imputed cells as they are."""
        value_TC = series.value_TC.astype(np.float64)
        return {
            "count": np.array(series.rows, np.float64),
            "sum": value_TC.sum(axis=0),
            "product": value_TC.T @ value_TC,
        }

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """Mean (C,) and the projection (C, C) on what the components do not explain."""
        mean_C, covariance = mean_and_covariance(summaries)
        variance, vectors = np.linalg.eigh(covariance)
        variance = np.maximum(variance[::-1], 0.0)
        explained = np.cumsum(variance) / max(float(variance.sum()), 1e-30)
        kept = int(np.searchsorted(explained, self.EXPLAINED)) + 1
        basis = vectors[:, ::-1][:, :kept]
        return {"mean": mean_C, "rest": np.eye(len(mean_C)) - basis @ basis.T}

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """x - x_hat (T, C), where x_hat is in the plane of the components."""
        centred_TC = series.value_TC - coefficients["mean"].astype(np.float32)
        return centred_TC @ coefficients["rest"].astype(np.float32)


def mean_and_covariance(summaries: Sequence[Arrays]) -> tuple[np.ndarray, np.ndarray]:
    """Mean (C,) and covariance (C, C) of all rows behind the summaries of a ``PcaMember``."""
    count = sum(s["count"] for s in summaries)
    mean_C = reduce(np.add, (s["sum"] for s in summaries)) / count
    covariance = reduce(np.add, (s["product"] for s in summaries)) / count
    covariance -= np.outer(mean_C, mean_C)
    return mean_C, covariance
