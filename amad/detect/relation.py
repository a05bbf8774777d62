"""The relation member: each channel from the others, for faults that no channel's own past shows.

A sensor that is stuck, late or cut loose from what it measures stays within its habits: its own
history predicts it well. What the other channels say of it does not agree any more.

Shape legend: T rows of a vehicle, C channels, N near offsets, K distant offsets,
X = C (offsets + 1) + 1 columns.
"""

from collections.abc import Sequence

import numpy as np

from amad.detect.members import Arrays, Member
from amad.windows.series import Series


class RelationMember(Member):
    """Closed-form ridge of each channel on the others nearby and its own distant rows.

    The other channels are taken in the same row and a few rows around it (``near``): sensors answer
    with a lag. The channel's own rows far away (``distant``) stand for slow states that no other
    channel shows, such as a temperature; its rows nearby are left out, since a stuck or late sensor
    agrees with them. ``near`` is cut to the same row where there are more than ``WIDE`` channels.

    The penalty is worth a fixed number of rows, not a share of them: what few rows say of a
    relation is trusted less.

    trailing: look back alone, for online use.
    """

    NEAR = (-8, -4, -2, -1, 0, 1, 2, 4, 8)
    DISTANT = (-28, -22, -16, -10, 10, 16, 22, 28)
    NEAR_BACK = (0, 1, 2, 4, 8)
    DISTANT_BACK = tuple(range(10, 30, 3))
    PENALTY = 400.0  # of the squared coefficients; channels have about unit variance a row
    LIMIT = 10.0  # spreads: what a broken sensor may say of the others
    WIDE = 96  # channels: the cost grows with the square of offsets times channels

    between_channels = True

    def __init__(
        self, name: str = "relation", weight: float = 1.0, *, trailing: bool = False
    ) -> None:
        super().__init__(name, weight)
        self.near = self.NEAR_BACK if trailing else self.NEAR
        self.distant = self.DISTANT_BACK if trailing else self.DISTANT
        self.context_rows = max(self.distant)
        self.lookahead_rows = max(0, -min(self.distant))

    def summarise(self, series: Series) -> Arrays:
        """gram (X, X) float64 of [all channels at each offset, all channels, 1]; channels: C."""
        channels = series.value_TC.shape[1]
        offsets = [*self._near(channels), *self.distant, 0]
        columns = channels * len(offsets) + 1
        gram = np.zeros((columns, columns))
        rows = np.flatnonzero(self._within(series))
        value_TC = self._limited(series)
        for part in np.array_split(rows, max(1, len(rows) // 20_000)):
            design = np.ones((len(part), columns))
            for k, offset in enumerate(offsets):
                design[:, k * channels : (k + 1) * channels] = value_TC[part - offset]
            gram += design.T @ design
        return {"gram": gram, "channels": np.array(channels)}

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """peer (N, C, C): of other channels, zero on the diagonals; own (C, K); constant (C,)."""
        gram = np.sum([s["gram"] for s in summaries], axis=0)
        channels = int(summaries[0]["channels"])
        near = len(self._near(channels))
        peer_NCC = np.zeros((near, channels, channels))
        own_CK, constant_C = np.zeros((channels, len(self.distant))), np.zeros(channels)
        target = channels * (near + len(self.distant))  # where the columns to predict begin
        for c in range(channels):
            others = np.delete(np.arange(channels), c)
            peers = (others + channels * np.arange(near)[:, None]).ravel()
            own = channels * (near + np.arange(len(self.distant))) + c
            index = np.concatenate([peers, own, [-1]])
            normal = gram[np.ix_(index, index)]
            slopes = np.diag_indices(len(index) - 1)
            normal[slopes] += self.PENALTY
            normal[-1, -1] += 1e-9  # where there is not one row
            found = np.linalg.solve(normal, gram[index, target + c])
            peer_NCC[:, c, others] = found[: len(peers)].reshape(near, -1)
            own_CK[c], constant_C[c] = found[len(peers) : -1], found[-1]
        return {"peer": peer_NCC, "own": own_CK, "constant": constant_C}

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """x - x_hat; NaN in the first ``context_rows`` and last ``lookahead_rows`` of a segment."""
        peer_NCC, own_CK, constant_C = (
            coefficients[name].astype(np.float32) for name in ("peer", "own", "constant")
        )
        value_TC = self._limited(series)
        channels = value_TC.shape[1]
        error_TC = np.full(value_TC.shape, np.nan, np.float32)
        first, last = self.context_rows, series.rows - self.lookahead_rows
        if last <= first:
            return error_TC
        error = series.value_TC[first:last] - constant_C
        for n, offset in enumerate(self._near(channels)):
            error -= value_TC[first - offset : last - offset] @ peer_NCC[n].T
        for k, offset in enumerate(self.distant):
            error -= own_CK[:, k] * value_TC[first - offset : last - offset]
        error_TC[first:last] = error
        error_TC[~self._within(series)] = np.nan
        return error_TC

    def _near(self, channels: int) -> tuple[int, ...]:
        return self.near if channels <= self.WIDE else (0,)

    def _limited(self, series: Series) -> np.ndarray:
        return np.clip(series.value_TC, -self.LIMIT, self.LIMIT)
