"""Which products of two channels predict other channels.

There are about half the square of the channels of products, and few of them tell anything. So the
best ones of each channel are chosen, by the partial correlation of channel and product given all
other channels, which is 0 where a linear regression leaves nothing for the product to explain. This
is sure independence screening (Fan and Lv, "Sure independence screening for ultrahigh dimensional
feature space", J. R. Stat. Soc. B 70, 2008) after the linear part.

Shape legend: T rows, C channels, Q pairs of channels, B pairs that are judged at once.
"""

from collections.abc import Sequence

import numpy as np

from amad.config.threads import one_thread
from amad.windows.series import Series

PER_CHANNEL = 6  # of each channel's products, the best
ROWS = 16_000  # of the whole sample, evenly spaced; more rows hardly change the choice
PENALTY = 0.01  # of the squared linear coefficients, per row
LIMIT = 10.0  # spreads; a value is cut to this
FACTOR_LIMIT = 3.0  # spreads; a factor of a product is cut to this
PRODUCT_SCALE = 20.0**-0.5  # of a product's column: as if its penalty were 20 times as large
BLOCK = 256  # pairs that are judged at once, which bounds the memory


def products(value_TC: np.ndarray, pairs_2Q: np.ndarray) -> np.ndarray:
    """The products of these pairs of channels, times ``PRODUCT_SCALE``; (Q, T) float32."""
    factor_CT = np.clip(value_TC.T, -FACTOR_LIMIT, FACTOR_LIMIT, order="C")
    one_Q, other_Q = pairs_2Q
    product_QT = factor_CT[one_Q]
    product_QT *= (factor_CT * np.float32(PRODUCT_SCALE))[other_Q]
    return product_QT


def chosen_pairs(sample: Sequence[Series]) -> np.ndarray:
    """The pairs of channels whose products are used for all channels, int (2, Q), in order.

    They are the best ``PER_CHANNEL`` of each channel, in the mean over the series in which the
    channel moves. Squares are among them. A product does not predict its own factors.

    sample: scaled series.
    """
    step = max(1, sum(series.rows for series in sample) // ROWS)
    with one_thread():  # keeps the order of summation, and so the choice, the same
        stretches = [_Stretch(series.value_TC[::step]) for series in sample]
        moving_C = np.maximum(np.sum([stretch.moves_C for stretch in stretches], axis=0), 1)
        channels = len(moving_C)
        pairs_2Q = np.stack(np.triu_indices(channels))
        best_2CK = np.zeros((2, channels, 0))  # of each channel: what it explains, its position
        for first in range(0, pairs_2Q.shape[1], BLOCK):
            one_B, other_B = pairs_2Q[:, first : first + BLOCK]
            explained_CB = np.sum([s.explained(one_B, other_B) for s in stretches], axis=0)
            explained_CB /= moving_C[:, None]
            for own_B in (one_B, other_B):
                explained_CB[own_B, np.arange(len(own_B))] = 0.0
            position_CB = np.broadcast_to(first + np.arange(len(one_B)), explained_CB.shape)
            found_2CK = np.concatenate([best_2CK, np.stack([explained_CB, position_CB])], axis=2)
            order_CK = np.argsort(-found_2CK[0], axis=1, kind="stable")[:, :PER_CHANNEL]
            best_2CK = np.take_along_axis(found_2CK, order_CK[None], axis=2)
    explained_CK, position_CK = best_2CK
    return pairs_2Q[:, np.unique(position_CK[explained_CK > 0]).astype(np.int64)]


class _Stretch:
    """Rows of one vehicle, and the inverse of the covariance of its channels."""

    def __init__(self, value_TC: np.ndarray) -> None:
        value_TC = np.clip(value_TC, -LIMIT, LIMIT).astype(np.float64)
        self.value_TC = value_TC - value_TC.mean(axis=0)
        self.factor_CT = np.clip(self.value_TC.T, -FACTOR_LIMIT, FACTOR_LIMIT, order="C")
        covariance_CC = self.value_TC.T @ self.value_TC / len(value_TC)
        self.moves_C = np.diag(covariance_CC) > 1e-9
        self.inverse_CC = np.linalg.inv(covariance_CC + PENALTY * np.eye(len(covariance_CC)))

    def explained(self, one_B: np.ndarray, other_B: np.ndarray) -> np.ndarray:
        """Squared partial correlations of the channels with products of two channels, (C, B).

        The joint inverse of channels and product follows from that of the channels (Schur).
        """
        product_BT = self.factor_CT[one_B] * self.factor_CT[other_B]
        product_BT -= product_BT.mean(axis=1, keepdims=True)
        covariance_CB = self.value_TC.T @ product_BT.T / len(self.value_TC)
        weight_CB = self.inverse_CC @ covariance_CB
        left_B = np.square(product_BT).mean(axis=1) - (covariance_CB * weight_CB).sum(axis=0)
        square_CB = np.square(weight_CB)
        whole_CB = square_CB + np.diag(self.inverse_CC)[:, None] * np.maximum(left_B, 1e-9)
        return np.where(self.moves_C[:, None], square_CB / whole_CB, 0.0)
