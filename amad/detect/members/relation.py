"""The member that predicts each channel from the others: it sees faults that no past shows.

A sensor that is stuck, late or disconnected often behaves as it usually does, so its own past
predicts it well, but the prediction from the other channels no longer agrees.

Shape legend: T rows of a vehicle, C channels, N near offsets, K distant offsets,
Q products of two channels, X = C (offsets + 1) + Q + 1 columns.
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from amad.config.threads import one_thread
from amad.detect.members.member import Arrays, rows_into_segment, without_each
from amad.detect.members.products import PRODUCT_SCALE, chosen_pairs, products
from amad.detect.members.tolerance import TolerantMember
from amad.detect.sliding import CHUNK_ROWS, chunks
from amad.windows.ridge import SharedRidge
from amad.windows.series import Series


class RelationMember(TolerantMember):
    """Closed-form ridge regression of each channel on the other channels and its own distant rows.

    The other channels are used in the same row and in a few rows around it (``near``), because some
    sensors respond later than others. With more than ``WIDE`` channels only the same row is used.
    The channel's own rows far away (``distant``) stand for slow states that no other channel shows,
    such as a temperature. Its rows nearby are left out, because a sensor that is stuck or late
    agrees with them.

    Much of physics is a product, such as power, which is torque times speed. So products of two
    channels in the same row, squares included, also predict the channels that are not in them.
    ``fit_shared`` chooses which, for the whole fleet, see ``amad.detect.members.products``; without
    it there are none.

    The penalty is a fixed number and not a share of the rows, so a relation that was learnt from
    few rows counts less. It is the first of ``PENALTIES``, and a lower one where rows that were
    held out are predicted clearly better with it: exact relations, such as laws of physics, need
    large coefficients, and where relations are loose these would only fit what does not last.

    A cell is *stale* if its channel has not been measured for longer than is usual for it: its last
    value then says little about the other channels. If a prediction depends too much on stale
    cells, there is no residual, so a failed sensor raises no alarms on other channels.

    Its errors count beside what is ordinary while the other channels do what they do, see
    ``amad.detect.members.tolerance``.

    trailing: look back only, for online use.
    """

    NEAR = (-8, -4, -2, -1, 0, 1, 2, 4, 8)
    DISTANT = (-28, -22, -16, -10, 10, 16, 22, 28)
    NEAR_BACK = (0, 1, 2, 4, 8)
    DISTANT_BACK = tuple(range(10, 30, 3))
    PENALTIES = (400.0, 100.0, 25.0, 6.25)  # of the squared coefficients of scaled channels
    GAIN = 0.05  # of the squared error of held-out rows, that a lower penalty must bring
    LIMIT = (
        10.0  # spreads; a value is cut to this, so that a broken sensor does not blame the others
    )
    WIDE = 96  # channels; the cost grows with the square of offsets times channels
    STALE = 0.05  # with a larger share of the squared coefficients on stale cells: no residual
    PATIENCE = 100  # rows; a channel that is often silent for longer is never stale

    between_channels = True

    def __init__(
        self, name: str = "relation", weight: float = 1.0, *, trailing: bool = False
    ) -> None:
        super().__init__(name, weight)
        self.trailing = trailing
        self.near = self.NEAR_BACK if trailing else self.NEAR
        self.distant = self.DISTANT_BACK if trailing else self.DISTANT
        self.reach_rows = max(self.distant)
        self.context_rows = self.reach_rows + self.PATIENCE
        self.lookahead_rows = max(0, -min(self.distant))
        self.pairs_2Q = np.empty((2, 0), np.int64)  # the two channels of each product

    @classmethod
    def left_out(cls, channels: int) -> str:
        """What it does not use where there are so many channels, as a sentence; empty if all."""
        if channels <= cls.WIDE:
            return ""
        return (
            f"with {channels} channels, relation predicts a channel with no rows around a row "
            f"(above {cls.WIDE} channels)"
        )

    def fit_shared(self, train: Sequence[Series]) -> None:
        """Choose the products of two channels."""
        self.pairs_2Q = chosen_pairs(train)

    def summarise(self, series: Series) -> Arrays:
        """gram: sums of products of the columns, (X, X) float64.

        The columns are all channels at each offset, the products of channels, all channels, and 1.

        channels: C. silence: for each channel, the longest run of rows without a measured value,
        float64 (C,); NaN if it was never measured.
        """
        channels = series.value_TC.shape[1]
        offsets = [*self._near(channels), *self.distant, 0]
        last = channels * len(offsets[:-1]) + self.pairs_2Q.shape[1]
        columns = last + channels + 1
        gram = np.zeros((columns, columns))
        rows = np.flatnonzero(self._within(series, self.reach_rows))
        value_TC = self._limited(series)
        for part in np.array_split(rows, max(1, len(rows) // CHUNK_ROWS)):
            design = np.ones((len(part), columns))
            first = 0
            for offset in offsets[:-1]:
                design[:, first : first + channels] = value_TC[part - offset]
                first += channels
            design[:, first:last] = products(value_TC[part], self.pairs_2Q).T
            design[:, last:-1] = value_TC[part]
            gram += design.T @ design
        silence_C = silent_rows(series).max(axis=0, initial=0).astype(np.float64)
        silence_C[~series.valid_TC.any(axis=0)] = np.nan
        return {"gram": gram, "channels": np.array(channels), "silence": silence_C}

    def sums(self, owner: str, train: Sequence[Series]) -> Arrays:
        """gram: as in ``summarise``, of all series together. It tells nothing of silences."""
        summaries = [self.summarise(series) for series in train]
        return {"gram": np.sum([s["gram"] for s in summaries], axis=0)}

    def solve_folds(
        self, folds: Sequence[Sequence[Arrays]], added: Sequence[Arrays]
    ) -> tuple[Arrays, list[Arrays]]:
        """With the next lower penalty as long as that brings ``GAIN``."""
        rests = without_each(folds, added)
        penalty, least, others = self.PENALTIES[0], np.inf, []
        for tried in self.PENALTIES if rests else ():
            found = [self.coefficients_of(rest, tried) for rest in rests]
            error = sum(
                squared_error(coefficient_CX, summary["gram"])
                for coefficient_CX, fold in zip(found, folds, strict=True)
                for summary in fold
            )
            if error > (1 - self.GAIN) * least:
                break
            penalty, least, others = tried, error, found
        parts = [self._parts(*pair) for pair in zip(others, rests, strict=True)]
        return self.solve([*chain.from_iterable(folds), *added], penalty), parts

    def solve(self, summaries: Sequence[Arrays], penalty: float = PENALTIES[0]) -> Arrays:
        """peer (N, C, C), 0 for the channel itself; own (C, K); constant (C,); patience (C,).

        pairs (2, Q): the two channels of each product; product (C, Q), 0 where one of them is the
        channel itself.

        patience: a channel is stale after this many rows without a measured value: twice the
        longest run of a stretch, in the median over the stretches, so that one outage in the train
        rows does not count.
        """
        return self._parts(self.coefficients_of(summaries, penalty), summaries)

    def _parts(self, coefficient_CX: np.ndarray, summaries: Sequence[Arrays]) -> Arrays:
        channels = len(coefficient_CX)
        near, distant = len(self._near(channels)), len(self.distant)
        first_own, first_product, target = self._places(channels)
        own_CKC = coefficient_CX[:, first_own:first_product].reshape(channels, distant, channels)
        silences = [s["silence"] for s in summaries if "silence" in s]
        silence_SC = np.ma.masked_invalid(np.stack(silences))
        patience_C = 2 * np.ma.median(silence_SC, axis=0).filled(0)
        patience_C[patience_C > self.PATIENCE] = np.inf
        peer_CNC = coefficient_CX[:, :first_own].reshape(channels, near, channels)
        return {
            "peer": peer_CNC.transpose(1, 0, 2).copy(),
            "own": own_CKC[np.arange(channels), :, np.arange(channels)],
            "pairs": self.pairs_2Q,
            "product": coefficient_CX[:, first_product:target],
            "constant": coefficient_CX[:, -1],
            "patience": patience_C,
        }

    def _places(self, channels: int) -> tuple[int, int, int]:
        """The first columns of distant rows, of products, and of the channels to predict."""
        first_own = channels * len(self._near(channels))
        first_product = first_own + channels * len(self.distant)
        return first_own, first_product, first_product + self.pairs_2Q.shape[1]

    def coefficients_of(self, summaries: Sequence[Arrays], penalty: float) -> np.ndarray:
        """Of each channel on all columns of the Gram matrix, (C, X); 0 where one is not used."""
        gram = np.sum([s["gram"] for s in summaries], axis=0)
        channels = int(summaries[0]["channels"])
        one_Q, other_Q = self.pairs_2Q
        near, distant = len(self._near(channels)), len(self.distant)
        first_own, first_product, target = self._places(channels)
        moves_X = np.diag(gram) > 0  # a column of zeros predicts nothing
        coefficient_CX = np.zeros((channels, len(gram)))
        columns = np.r_[:first_own, first_product:target]
        shared = np.append(columns[moves_X[columns]], len(gram) - 1)
        place_X = np.full(len(gram), -1)
        place_X[shared] = np.arange(len(shared))
        with one_thread():  # for many small systems, threads cost more than they give
            ridge = SharedRidge(gram, shared, penalty=penalty, intercept_penalty=1e-9)
            for c in np.flatnonzero(moves_X[target:-1]):
                same = c + channels * np.arange(near)
                inside = first_product + np.flatnonzero((one_Q == c) | (other_Q == c))
                left_out = place_X[np.concatenate([same, inside])]
                own = first_own + channels * np.arange(distant) + c
                own = own[moves_X[own]]
                found = ridge.solve(target + int(c), left_out[left_out >= 0], own)
                coefficient_CX[c, shared], coefficient_CX[c, own] = found
        return coefficient_CX

    def predict_error(self, series: Series, coefficients: Arrays) -> np.ndarray:
        """Measured minus predicted value, (T, C) float32.

        NaN in the first ``reach_rows`` and the last ``lookahead_rows`` rows of a segment, and where
        more than ``STALE`` of the target's squared coefficients are on stale cells.
        """
        peer_NCC, own_CK, product_CQ, constant_C = (
            coefficients[name].astype(np.float32) for name in ("peer", "own", "product", "constant")
        )
        pairs_2Q = coefficients["pairs"]
        value_TC = self._limited(series)
        channels = value_TC.shape[1]
        error_TC = np.full(value_TC.shape, np.nan, np.float32)
        first, last = self.reach_rows, series.rows - self.lookahead_rows
        if last <= first:
            return error_TC
        for begin, end in chunks(first, last):
            error, part = error_TC[begin:end], np.empty((end - begin, channels), np.float32)
            np.subtract(series.value_TC[begin:end], constant_C, out=error)
            for peer_CC, offset in zip(peer_NCC, self._near(channels), strict=True):
                error -= np.matmul(value_TC[begin - offset : end - offset], peer_CC.T, out=part)
            for own_C, offset in zip(own_CK.T.copy(), self.distant, strict=True):
                error -= np.multiply(value_TC[begin - offset : end - offset], own_C, out=part)
            if pairs_2Q.size:
                product_QT = products(value_TC[begin:end], pairs_2Q)
                error -= np.matmul(product_QT.T, product_CQ.T, out=part)
        patience_C = coefficients["patience"]
        share = self._stale_share(series, patience_C, peer_NCC, own_CK, pairs_2Q, product_CQ)
        if share is not None:
            error_TC[first:last][share > self.STALE] = np.nan
        error_TC[~self._within(series, self.reach_rows)] = np.nan
        return error_TC

    def _stale_share(
        self,
        series: Series,
        patience_C: np.ndarray,
        peer_NCC: np.ndarray,
        own_CK: np.ndarray,
        pairs_2Q: np.ndarray,
        product_CQ: np.ndarray,
    ) -> np.ndarray | None:
        """The share of a target's squared coefficients on stale cells, for the predicted rows.

        None where no cell that a prediction uses is stale.
        """
        first, last = self.reach_rows, series.rows - self.lookahead_rows
        channels = len(own_CK)
        used_C = np.logical_or(peer_NCC.any(axis=(0, 1)), own_CK.any(axis=1))
        used_C[pairs_2Q[:, product_CQ.any(axis=0)]] = True
        gone = np.flatnonzero(used_C & ~series.valid_TC.all(axis=0))  # G channels
        stale_TG = silent_rows(series, gone) > patience_C[gone]
        if not stale_TG.any():
            return None
        near, distant = self._near(channels), self.distant
        changed_T = np.append(True, (stale_TG[1:] != stale_TG[:-1]).any(axis=1))
        new_R = np.any([changed_T[first - k : last - k] for k in (*near, *distant)], axis=0)
        new_R[0] = True
        # Around each of the others the same cells are stale as around the row before it.
        row_S = first + np.flatnonzero(new_R)
        stale_TG = stale_TG.astype(np.float32)
        share_SC = np.zeros((len(row_S), channels), np.float32)
        product_CQ = product_CQ * np.float32(PRODUCT_SCALE)  # of the product, not its column
        for n, offset in enumerate(near):
            share_SC += stale_TG[row_S - offset] @ peer_NCC[n].T[gone] ** 2
        for k, offset in enumerate(distant):
            share_SC[:, gone] += stale_TG[row_S - offset] * own_CK[gone, k] ** 2
        stale_SC = np.zeros_like(share_SC)
        stale_SC[:, gone] = stale_TG[row_S]
        share_SC += stale_SC[:, pairs_2Q].max(axis=1) @ product_CQ.T**2
        whole_C = sum((x**2).sum(axis=-1) for x in (*peer_NCC, own_CK, product_CQ))
        share_SC /= np.maximum(whole_C, np.finfo(np.float32).tiny)
        return share_SC[np.cumsum(new_R) - 1]

    def _near(self, channels: int) -> tuple[int, ...]:
        return self.near if channels <= self.WIDE else (0,)

    def _limited(self, series: Series) -> np.ndarray:
        return np.clip(series.value_TC, -self.LIMIT, self.LIMIT)


def squared_error(coefficient_CX: np.ndarray, gram: np.ndarray) -> float:
    """Of predictions of the channels in the rows of a Gram matrix, summed over both.

    The columns of the channels are the last ones before that of ones.
    """
    channels = len(coefficient_CX)
    error_CX = coefficient_CX.copy()
    columns = np.arange(len(gram) - channels - 1, len(gram) - 1)
    error_CX[np.arange(channels), columns] -= 1.0
    return float(np.sum((error_CX @ gram) * error_CX))


def silent_rows(series: Series, channels: np.ndarray | slice = slice(None)) -> np.ndarray:
    """For how many rows of its segment each channel has not been measured; int64 (T, C).

    0 where it was measured. Later rows are not used. channels: those to tell of, default all.
    """
    row_T = np.arange(series.rows)
    begin_T = row_T - rows_into_segment(series)
    measured_TC = np.where(series.valid_TC[:, channels] > 0, row_T[:, None], begin_T[:, None] - 1)
    return row_T[:, None] - np.maximum.accumulate(measured_TC, axis=0)
