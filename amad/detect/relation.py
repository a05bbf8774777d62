"""The relation member: each channel from the others, for faults that no channel's own past shows.

A sensor that is stuck, late or detached from what it measures still behaves as it usually does, so
its own history predicts it well. But the prediction from the other channels no longer agrees.

Shape legend: T rows of a vehicle, C channels, N near offsets, K distant offsets,
X = C (offsets + 1) + 1 columns.
"""

from collections.abc import Sequence

import numpy as np

from amad.detect.members import Arrays, Member, rows_into_segment
from amad.windows.ridge import solve_ridge
from amad.windows.series import Series


class RelationMember(Member):
    """Closed-form ridge of each channel on the others nearby and its own distant rows.

    The other channels are taken in the same row and a few rows around it (``near``): sensors answer
    with a lag. The channel's own rows far away (``distant``) stand for slow states that no other
    channel shows, such as a temperature; its rows nearby are left out, since a stuck or late sensor
    agrees with them. ``near`` is cut to the same row where there are more than ``WIDE`` channels.

    The penalty is a fixed number, not a share of the rows: a relation that was learnt from few rows
    is trusted less.

    The last value of a channel says less and less about the others once it is no longer measured. A
    cell is *stale* where its channel has been silent for longer than is ordinary for it. Where a
    prediction depends too much on stale cells, the member has no residual: a sensor that has
    failed does not raise alarms on the channels beside it.

    trailing: look back alone, for online use.
    """

    NEAR = (-8, -4, -2, -1, 0, 1, 2, 4, 8)
    DISTANT = (-28, -22, -16, -10, 10, 16, 22, 28)
    NEAR_BACK = (0, 1, 2, 4, 8)
    DISTANT_BACK = tuple(range(10, 30, 3))
    PENALTY = 400.0  # of the squared coefficients; channels have about unit variance a row
    LIMIT = 10.0  # spreads: what a broken sensor may say of the others
    WIDE = 96  # channels: the cost grows with the square of offsets times channels
    STALE = 0.05  # of a target's squared coefficients: with more on stale cells, no residual
    PATIENCE = 100  # rows; a channel that may well be silent for longer is never stale

    between_channels = True

    def __init__(
        self, name: str = "relation", weight: float = 1.0, *, trailing: bool = False
    ) -> None:
        super().__init__(name, weight)
        self.near = self.NEAR_BACK if trailing else self.NEAR
        self.distant = self.DISTANT_BACK if trailing else self.DISTANT
        self.reach_rows = max(self.distant)
        self.context_rows = self.reach_rows + self.PATIENCE
        self.lookahead_rows = max(0, -min(self.distant))

    def summarise(self, series: Series) -> Arrays:
        """gram (X, X) float64 of [all channels at each offset, all channels, 1]; channels: C.

        silence: the most rows in a row that a channel was not measured in, float64 (C,); NaN where
        it never was.
        """
        channels = series.value_TC.shape[1]
        offsets = [*self._near(channels), *self.distant, 0]
        columns = channels * len(offsets) + 1
        gram = np.zeros((columns, columns))
        rows = np.flatnonzero(self._within(series, self.reach_rows))
        value_TC = self._limited(series)
        for part in np.array_split(rows, max(1, len(rows) // 20_000)):
            design = np.ones((len(part), columns))
            for k, offset in enumerate(offsets):
                design[:, k * channels : (k + 1) * channels] = value_TC[part - offset]
            gram += design.T @ design
        silence_C = silent_rows(series).max(axis=0, initial=0).astype(np.float64)
        silence_C[~series.valid_TC.any(axis=0)] = np.nan
        return {"gram": gram, "channels": np.array(channels), "silence": silence_C}

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """peer (N, C, C): of other channels, zero on the diagonals; own (C, K); constant (C,).

        patience (C,): after how many rows of silence a channel is stale: twice the longest of a
        stretch, in the median over the stretches, so that one outage in train does not count.
        """
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
            found = solve_ridge(  # the intercept's penalty serves where there is not one row
                gram, index, np.array([target + c]), penalty=self.PENALTY, intercept_penalty=1e-9
            )[:, 0]
            peer_NCC[:, c, others] = found[: len(peers)].reshape(near, -1)
            own_CK[c], constant_C[c] = found[len(peers) : -1], found[-1]
        silence_SC = np.ma.masked_invalid(np.stack([s["silence"] for s in summaries]))
        patience_C = 2 * np.ma.median(silence_SC, axis=0).filled(0)
        patience_C[patience_C > self.PATIENCE] = np.inf
        return {"peer": peer_NCC, "own": own_CK, "constant": constant_C, "patience": patience_C}

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """x - x_hat; NaN in the first ``reach_rows`` and last ``lookahead_rows`` of a segment.

        NaN too where more than ``STALE`` of the target's squared coefficients are of stale cells.
        """
        peer_NCC, own_CK, constant_C = (
            coefficients[name].astype(np.float32) for name in ("peer", "own", "constant")
        )
        value_TC = self._limited(series)
        channels = value_TC.shape[1]
        error_TC = np.full(value_TC.shape, np.nan, np.float32)
        first, last = self.reach_rows, series.rows - self.lookahead_rows
        if last <= first:
            return error_TC
        error = series.value_TC[first:last] - constant_C
        for n, offset in enumerate(self._near(channels)):
            error -= value_TC[first - offset : last - offset] @ peer_NCC[n].T
        for k, offset in enumerate(self.distant):
            error -= own_CK[:, k] * value_TC[first - offset : last - offset]
        stale_TC = silent_rows(series) > coefficients["patience"]
        if stale_TC.any():
            error[self._stale_share(stale_TC, peer_NCC, own_CK) > self.STALE] = np.nan
        error_TC[first:last] = error
        error_TC[~self._within(series, self.reach_rows)] = np.nan
        return error_TC

    def _stale_share(
        self, stale_TC: np.ndarray, peer_NCC: np.ndarray, own_CK: np.ndarray
    ) -> np.ndarray:
        """Of each target's squared coefficients, from row ``reach_rows`` to ``lookahead_rows``."""
        first, last = self.reach_rows, len(stale_TC) - self.lookahead_rows
        share = np.zeros((last - first, stale_TC.shape[1]), np.float32)
        gone = np.flatnonzero(stale_TC.any(axis=0))
        for n, offset in enumerate(self._near(stale_TC.shape[1])):
            stale = stale_TC[first - offset : last - offset, gone].astype(np.float32)
            share += stale @ peer_NCC[n].T[gone] ** 2
        for k, offset in enumerate(self.distant):
            share += stale_TC[first - offset : last - offset] * own_CK[:, k] ** 2
        whole_C = (peer_NCC**2).sum(axis=(0, 2)) + (own_CK**2).sum(axis=1)
        return share / np.maximum(whole_C, np.finfo(np.float32).tiny)

    def _near(self, channels: int) -> tuple[int, ...]:
        return self.near if channels <= self.WIDE else (0,)

    def _limited(self, series: Series) -> np.ndarray:
        return np.clip(series.value_TC, -self.LIMIT, self.LIMIT)


def silent_rows(series: Series) -> np.ndarray:
    """For how many rows in its segment a channel has not been measured; int64 (T, C).

    0 where it was measured. Later rows are not looked at.
    """
    row_T = np.arange(series.rows)
    begin_T = row_T - rows_into_segment(series)
    measured_TC = np.where(series.valid_TC > 0, row_T[:, None], begin_T[:, None] - 1)
    return row_T[:, None] - np.maximum.accumulate(measured_TC, axis=0)
