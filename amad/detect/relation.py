"""The relation member: each channel from the others, for faults that no channel's own past shows.

A sensor that is stuck, late or cut loose from what it measures stays within its habits: its own
history predicts it well. What the other channels say of it does not agree any more.

Shape legend: T rows of a vehicle, C channels, K own lags, X = C (K + 1) + 1 columns.
"""

from collections.abc import Sequence

import numpy as np

from amad.detect.members import Arrays, Member, rows_into_segment
from amad.windows.series import Series


class RelationMember(Member):
    """Closed-form ridge of each channel on the others in the same row and its own distant past.

    The distant past (``LAGS``) stands for slow states that no other channel shows, such as a
    temperature; the recent past is left out, since a stuck or late sensor agrees with it. It
    joins a detector by its excess: see ``amad.detect.detector``.
    """

    LAGS = tuple(range(10, 30, 3))
    PENALTY = 1e-2  # of the squared coefficients, a row; scaled channels have about unit variance
    LIMIT = 10.0  # spreads: what a broken sensor may say of the others

    joins_by_excess = True

    def __init__(self, name: str = "relation", weight: float = 1.0) -> None:
        super().__init__(name, weight)
        self.context_rows = max(self.LAGS)

    def summarise(self, series: Series) -> Arrays:
        """Gram matrix (X, X) float64 of [every channel, every channel's lags, 1]."""
        columns = series.value_TC.shape[1] * (1 + len(self.LAGS)) + 1
        gram = np.zeros((columns, columns))
        rows = np.flatnonzero(rows_into_segment(series) >= self.context_rows)
        value_TC = self._limited(series)
        for part in np.array_split(rows, max(1, len(rows) // 20_000)):
            design = np.concatenate(
                [value_TC[part], *(value_TC[part - lag] for lag in self.LAGS)], axis=1,
                dtype=np.float64,
            )  # fmt: skip
            design = np.concatenate([design, np.ones((len(part), 1))], axis=1)
            gram += design.T @ design
        return {"gram": gram}

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """peer (C, C): of the other channels, zero on the diagonal; own (C, K); constant (C,)."""
        gram = np.sum([s["gram"] for s in summaries], axis=0)
        channels = (len(gram) - 1) // (1 + len(self.LAGS))
        ridge = self.PENALTY * max(gram[-1, -1], 1.0)
        peer_CC = np.zeros((channels, channels))
        own_CK, constant_C = np.zeros((channels, len(self.LAGS))), np.zeros(channels)
        for c in range(channels):
            others = np.delete(np.arange(channels), c)
            lags = channels * (1 + np.arange(len(self.LAGS))) + c
            index = np.concatenate([others, lags, [-1]])
            normal = gram[np.ix_(index, index)]
            normal[np.diag_indices_from(normal)] += np.append(np.full(len(index) - 1, ridge), 1e-9)
            found = np.linalg.solve(normal, gram[index, c])
            peer_CC[c, others], own_CK[c] = found[: len(others)], found[len(others) : -1]
            constant_C[c] = found[-1]
        return {"peer": peer_CC, "own": own_CK, "constant": constant_C}

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """x - x_hat; NaN in the first ``context_rows`` rows of each segment."""
        peer_CC, own_CK, constant_C = (
            coefficients[name].astype(np.float32) for name in ("peer", "own", "constant")
        )
        value_TC = self._limited(series)
        error_TC = series.value_TC - (value_TC @ peer_CC.T + constant_C)
        for k, lag in enumerate(self.LAGS):
            error_TC[lag:] -= own_CK[:, k] * value_TC[:-lag]
        error_TC[rows_into_segment(series) < self.context_rows] = np.nan
        return error_TC

    def _limited(self, series: Series) -> np.ndarray:
        return np.clip(series.value_TC, -self.LIMIT, self.LIMIT)
