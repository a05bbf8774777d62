"""Mahalanobis distance: how unlikely a row is under one Gaussian of the train rows.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Sequence

import numpy as np

from amad.baselines.pca import PcaMember, mean_and_covariance
from amad.detect.members.member import Arrays


class MahalanobisMember(PcaMember):
    """Residuals whose squares sum to the Mahalanobis distance of the row, with a ridge.

    With S the train covariance and f the least residual scale of the chain,

        r = f (S + f^2 I)^(-1/2) (x - mean),    |r|^2 = f^2 (x - mean)' (S + f^2 I)^-1 (x - mean)

    The symmetric root is the whitening that stays closest to the channels themselves (Kessy, Lewin
    and Strimmer 2018, "Optimal whitening and decorrelation", ZCA), so the contribution of a
    channel is known. With the ridge f^2 no direction varies less than the chain's floor. The factor
    f makes r the value itself where train does not vary at all, so the floor means the same here as
    in every other member. A whitened channel has the scale f or a little less, which the chain
    raises to f, so its z2 is the channel's part of the squared distance.
    """

    def __init__(self, name: str, *, floor: float) -> None:
        super().__init__(name)
        self.floor = floor

    def solve(self, summaries: Sequence[Arrays]) -> Arrays:
        """Mean (C,) and the symmetric map (C, C) of rows to residuals."""
        mean_C, covariance = mean_and_covariance(summaries)
        variance, vectors = np.linalg.eigh(covariance)
        shrink = self.floor / np.sqrt(np.maximum(variance, 0.0) + self.floor**2)
        return {"mean": mean_C, "rest": (vectors * shrink) @ vectors.T}
