"""Baselines without a model, on the values themselves.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Sequence

import numpy as np

from amad.detect.members.member import Arrays, Member
from amad.windows.series import Series


class RawMember(Member):
    """The scaled value is the residual: the chain then scores the squared length of a row."""

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """The scaled values (T, C)."""
        return series.value_TC.astype(np.float32)


class RangeMember(Member):
    """How far a value is outside the range of its channel in train; 0 inside."""

    def summarise(self, series: Series) -> Arrays:
        """Lowest and highest measured value of each channel, inf and -inf where there is none."""
        known_TC = series.valid_TC == 1
        return {
            "low": np.where(known_TC, series.value_TC, np.inf).min(axis=0, initial=np.inf),
            "high": np.where(known_TC, series.value_TC, -np.inf).max(axis=0, initial=-np.inf),
        }

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """The range over all stretches."""
        return {
            "low": np.min([s["low"] for s in summaries], axis=0).astype(np.float64),
            "high": np.max([s["high"] for s in summaries], axis=0).astype(np.float64),
        }

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Distance to the range (T, C), signed; NaN where train has no value of the channel."""
        low_C, high_C = coefficients["low"], coefficients["high"]
        known_C = low_C <= high_C
        nearest_TC = np.clip(series.value_TC, low_C, np.where(known_C, high_C, np.inf))
        return np.where(known_C, series.value_TC - nearest_TC, np.nan).astype(np.float32)
