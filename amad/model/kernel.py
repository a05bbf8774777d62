"""AutoMask, the kernel of the distance in time for the local view of the attention.

A kernel adds the logits M_ij to those of the attention. It factors,

    M_ij = psi_i . phi_j + (a number that depends on i alone, which a softmax over j ignores),

so no L x L map is needed to use one: psi is appended to the queries and phi to the keys.

Shape legend: B windows, L steps, N steps that ask (queries), D model width, H heads, S scales, F
frequencies, R rank of the factors (2F), K lags, i query step, j key step.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.config.params import ModelParams

FREQUENCIES = 8  # F
SCALES = 4  # S, or as many as there are heads: a scale without a head would have no use
FINEST_SIGMA = 5.0  # steps: width of the Gaussian in which the finest scale starts


class AutoMask(nn.Module):
    """Any kernel of the lag, up to a truncated spectral expansion, chosen by the token itself.

        M_ij = sum_m a_im cos(w_m (i - j)) + b_im sin(w_m (i - j))

    The coefficients [a_i, b_i] are a linear map of token i, per head. The F frequencies of a head
    are learned. They start log-spaced from pi / L, half a period in the window, to pi / 2^s, the
    finest detail that scale s resolves; the scales are divided among the heads. With
    phi_j = [cos w j, sin w j] the addition theorems make M a product of rank at most 2F.

    The expansion is of the logits. In a window of 100 steps, eight frequencies then approximate
    every Gaussian of interest and kernels of several peaks; the softmax makes a distribution of
    them. Each head starts as a mild Gaussian, wider for coarser scales. Our reading of AMAD (arXiv
    2504.06643), AutoMask.
    """

    scale_H: Tensor

    def __init__(self, params: ModelParams) -> None:
        super().__init__()
        self.window, self.heads = params.window, params.heads
        scales = min(SCALES, self.heads)
        frequency_SF = torch.stack([frequency_bank(params.window, s) for s in range(scales)])
        self.log_frequency_SF = nn.Parameter(frequency_SF.log().float())
        scale_H = torch.arange(self.heads) * scales // self.heads
        self.register_buffer("scale_H", scale_H, persistent=False)
        self.coefficient = nn.Linear(params.width, self.heads * 2 * FREQUENCIES)
        with torch.no_grad():
            bias_H2F = self.coefficient.bias.view(self.heads, 2, FREQUENCIES)
            bias_H2F.zero_()
            for head, scale in enumerate(scale_H.tolist()):
                sigma = min(FINEST_SIGMA * 2**scale, params.window / 2)
                bias_H2F[head, 0] = gaussian_coefficients(frequency_SF[scale], sigma, params.window)
            # At the start a token changes the shape of the Gaussian only a little.
            self.coefficient.weight.mul_(0.1)

    def forward(self, x_BND: Tensor, step_BN: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return psi_BNHR and phi_HLR with R = 2F.

        x_BND: the layer's normalised tokens that ask. step_BN: which steps of the window they are;
        default: all of them.
        """
        frequency_HF = self.log_frequency_SF.exp()[self.scale_H]
        angle_LHF = centred_steps(self.window, x_BND)[:, None, None] * frequency_HF
        cos_LHF, sin_LHF = angle_LHF.cos(), angle_LHF.sin()
        coefficient_BNHR = self.coefficient(x_BND).unflatten(-1, (self.heads, -1))
        # psi = [a cos + b sin, a sin - b cos] from [a, b] and [b, a]
        own_LHR = torch.cat([cos_LHF, -cos_LHF], dim=-1)
        swapped_LHR = torch.cat([sin_LHF, sin_LHF], dim=-1)
        psi_BNHR = coefficient_BNHR * at_steps(own_LHR, step_BN)
        swapped_BNHR = coefficient_BNHR.roll(FREQUENCIES, dims=-1)
        psi_BNHR = torch.addcmul(psi_BNHR, swapped_BNHR, at_steps(swapped_LHR, step_BN))
        return psi_BNHR, torch.cat([cos_LHF, sin_LHF], dim=-1).transpose(0, 1)


def centred_steps(length: int, like: Tensor) -> Tensor:
    """The numbers of the steps (L,), 0 in the middle of the window. length: L."""
    return torch.arange(length, device=like.device, dtype=like.dtype) - (length - 1) / 2


def at_steps(table_LHR: Tensor, step_BN: Tensor | None) -> Tensor:
    """The rows of a table at some steps, (B, N, H, R); the table itself where all are meant."""
    if step_BN is None:
        return table_LHR
    # As an embedding, whose gradient is summed several times faster than that of an index.
    row_BNX = functional.embedding(step_BN, table_LHR.flatten(1))
    return row_BNX.unflatten(-1, table_LHR.shape[1:])


def frequency_bank(length: int, scale: int) -> Tensor:
    """F angular frequencies per step (float64), log-spaced from pi / L to pi / 2^scale.

    length: L. In a short window a coarse scale still spans two octaves.
    """
    lowest = math.pi / length
    highest = max(math.pi / 2**scale, 4 * lowest)
    return torch.logspace(math.log10(lowest), math.log10(highest), FREQUENCIES, dtype=torch.float64)


def gaussian_coefficients(frequency_F: Tensor, sigma: float, length: int) -> Tensor:
    """The cosine coefficients a_F whose kernel is a Gaussian of width ``sigma`` steps.

    Least squares of sum_m a_m cos(w_m d) + constant on -d^2 / (2 sigma^2) over all lags |d| < L.
    Each lag has its weight in the softmax, and a little more, so that far lags stay far. The ridge
    keeps the coefficients small where several sets of them would do.
    """
    lag_K = torch.arange(length, dtype=torch.float64)
    logit_K = -lag_K.square() / (2 * sigma**2)
    weight_K = (logit_K / 2).exp() + 1e-6
    base_KF = torch.cat(
        [(lag_K[:, None] * frequency_F.double()).cos(), torch.ones(length, 1).double()], dim=1
    )
    left = base_KF.T @ (weight_K[:, None] * base_KF)
    left += 1e-9 * torch.eye(len(left), dtype=torch.float64)
    right = base_KF.T @ (weight_K * logit_K)
    return torch.linalg.solve(left, right)[:-1]
