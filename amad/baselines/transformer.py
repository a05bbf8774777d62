"""An Anomaly-Transformer-style network (arXiv 2110.02642), built from AMAD's own parts.

Attention over the whole window reconstructs what it sees. The Max-Min phases drive it away from and
towards a Gaussian prior with a learned width for each step and head. The size is AMAD's, not the
paper's.

Shape legend: T rows of a vehicle, B windows in a batch, L steps, C channels, D model width,
H heads, R rank of the prior's factors (2), N rows of a tile.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from amad.baselines.criterion import CriterionScorer, visible_passes
from amad.baselines.network import NetworkMember, minimise, seeded
from amad.config.params import LossParams, ModelParams
from amad.detect.learnt_figures import pooled
from amad.model.kernel import centred_steps
from amad.model.losses import Objective
from amad.model.network import Amad
from amad.model.residual import past_tiles, tiles
from amad.windows.series import Part, Series

MODEL = ModelParams(skip="none")
LOSS = LossParams(maxmin=3.0, contrast=0.0)  # k of the paper
STRIDE = 25
BATCH = 32
RATE = 3e-3
SHUT = -30.0  # bias of the gate to the local view: its sigmoid, 1e-13, is nothing in float32
STEPS = 200
TAIL = 10  # rows that a window answers for in the trailing form
# With a narrower peak the nearest neighbour weighs less than 1e-21: the same prior in float32.
LEAST_SIGMA = 0.1


class GaussianPrior(nn.Module):
    """The Anomaly Transformer's prior: one peak at lag 0, its width chosen by the token.

        M_ij = -(i - j)^2 / (2 sigma_i^2),   sigma = 3^(sigmoid(5 s) + 1e-5) - 1 in (0, 2]

    with s a linear map of token i, per head (arXiv 2110.02642, section 3.2 and its code). The
    square, written out, factors with R = 2; the term i^2 is left out, as a softmax over j ignores
    it.
    """

    def __init__(self, params: ModelParams) -> None:
        super().__init__()
        self.window = params.window
        self.width_of_peak = nn.Linear(params.width, params.heads)

    def forward(self, x_BND: Tensor, step_BN: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return psi_BNHR and phi_HLR with R = 2; the arguments are those of ``AutoMask``."""
        s_BNH = self.width_of_peak(x_BND)
        sigma_BNH = (3.0 ** (torch.sigmoid(5 * s_BNH) + 1e-5) - 1).clamp_min(LEAST_SIGMA)
        step_L = centred_steps(self.window, x_BND)
        slope_BNH = sigma_BNH.square().reciprocal()
        own_BN = step_L if step_BN is None else step_L[step_BN]
        psi_BNHR = torch.stack([slope_BNH * own_BN[..., None], -0.5 * slope_BNH], dim=-1)
        phi_LR = torch.stack([step_L, step_L.square()], dim=-1)
        return psi_BNHR, phi_LR.expand(s_BNH.shape[2], *phi_LR.shape)


def train_transformer(train: Sequence[Series], seed: int, steps: int) -> Amad:
    """The network, trained on windows of these scaled series with every measured value visible.

    Its gates are frozen shut: only the global attention reconstructs, as in the paper, and the
    prior acts through the association discrepancy alone.

    Raises:
        DataError: no window fits into any segment.
    """
    with seeded(seed):
        network = Amad(train[0].value_TC.shape[1], MODEL, kernel=GaussianPrior)
        objective = Objective(network, LOSS)
    for name, weight in network.named_parameters():
        if ".attention.gate." in name:
            weight.requires_grad_(False).fill_(SHUT if name.endswith("bias") else 0.0)

    def loss(x_BLC: Tensor, valid_BLC: Tensor) -> Tensor:
        return objective(x_BLC, hidden_BLC=~valid_BLC, counted_BLC=valid_BLC).total

    minimise(
        objective.parameters(), loss, train, window=MODEL.window, stride=STRIDE,
        batch=BATCH, steps=steps, rate=RATE, seed=seed,
    )  # fmt: skip
    return network.eval()


class TransformerMember(NetworkMember[Amad]):
    """The reconstruction error of the network as a residual, under the evidence chain.

    Windows do not overlap, as in the paper; segments shorter than one have no residual. With
    ``trailing`` windows overlap and each answers for its last 10 rows alone: a residual waits for
    at most 9 rows, and the first 90 rows of a segment have none.
    """

    def __init__(self, name: str, *, trailing: bool, seed: int) -> None:
        super().__init__(name, seed=seed)
        self.trailing = trailing
        self.context_rows = MODEL.window
        self.lookahead_rows = TAIL - 1 if trailing else MODEL.window

    def train_network(self, train: Sequence[Series]) -> Amad:
        """See ``train_transformer``."""
        return train_transformer(train, self.seed, STEPS)

    def predict_error(self, series: Series, coefficients: dict) -> np.ndarray:
        """x - x_hat (T, C) of visible values; NaN where no window answers for the row."""
        assert self.network is not None, "fit or restore comes first"
        residual_TC = np.full(series.value_TC.shape, np.nan, np.float32)
        if self.trailing:
            todo = past_tiles(series, MODEL.window, TAIL)
        else:
            todo = tiles(series, MODEL.window, 0)
        passes = visible_passes(self.network, series, todo, need_discrepancy=False)
        for tile, error_NC, _ in passes:
            residual_TC[tile.rows] = error_NC
        return residual_TC


class TransformerCriterion(CriterionScorer):
    """The same network under the paper's own criterion, without the chain."""

    def __init__(self, *args, seed: int, **kwargs) -> None:
        super().__init__(None, *args, **kwargs)
        self.seed = seed

    def learn(self, train: Sequence[Part], calibration: Sequence[Part]) -> None:
        """Train the network on the sample that the figures of the fleet are learnt from."""
        self.network = train_transformer(pooled(train), self.seed, STEPS)
