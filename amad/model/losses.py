"""The training objective: reconstruct what was hidden, Max-Min, Local-Global contrast.

Shape legend: B windows, L steps, C channels, D model width, K learned masks.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.config.params import LossParams
from amad.model.augment import (
    MASKS,
    LearnedMasks,
    cosine_distance,
    hinge,
    margin,
    mask_cost,
    opposed,
    strength,
)
from amad.model.network import Amad, AmadOutput

ERROR_LIMIT = 10.0  # train spreads
NEAR = 2  # steps: such close neighbours look alike, so they are no negatives of each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The terms of the objective, scalars. ``total`` is what is minimised.

    error_sum, error_count: squared error over the counted cells, in the network's units (see
    ``AmadOutput``), and their number, by which workers weight their shares. discrepancy: mean
    bounded association discrepancy. contrast: the Local-Global contrast, which for ``latad``
    includes the masks' own cost and may fall below 0. Both are 0 where they are switched off.
    """

    total: Tensor
    error_sum: Tensor
    error_count: Tensor
    discrepancy: Tensor
    contrast: Tensor


class Objective(nn.Module):
    """The network with its losses: the module that is trained, and wrapped for several workers.

        losses = Objective(network, LossParams())(x_BLC, hidden_BLC, counted_BLC)

    total = reconstruction + (k / 2) D + c contrast, with k = ``params.maxmin`` and c =
    ``params.contrast``. D has the gradient reversal of Max-Min, so one backward pass is the mean of
    the Max phase (L_rec - k D(stop P, G)) and the Min phase (L_rec + k D(P, stop G)). What has
    weight 0 is not computed.

    Projections and, for ``latad``, learned masks belong to the training and not to the network:
    they are in the objective's state, which a checkpoint holds and a bundle does not.
    """

    def __init__(self, network: Amad, params: LossParams) -> None:
        super().__init__()
        self.network, self.params = network, params
        self.use_maxmin = params.maxmin > 0 and network.two_views
        self.use_contrast = params.contrast > 0 and network.two_views
        if self.use_contrast:
            width = network.params.width
            self.project_local = nn.Linear(width, width)
            self.project_global = nn.Linear(width, width)
            if params.contrast_form == "latad":
                self.masks = LearnedMasks(network.channels)

    def forward(
        self,
        x_BLC: Tensor,
        hidden_BLC: Tensor,
        counted_BLC: Tensor,
        mean_count: Tensor | None = None,
        level_B: Tensor | None = None,
    ) -> Losses:
        """Losses of a batch of scaled windows.

        hidden_BLC, counted_BLC: bool, what the network may not see, and the cells whose errors are
        the reconstruction loss; see ``hidden_and_counted``. mean_count: what the squared error is
        divided by; default: the counted cells of this batch. Several workers give the mean over all
        of them, so that their averaged gradient is that of the whole batch. level_B: see ``Amad``.
        """
        output = self.network(x_BLC, hidden_BLC, self.use_maxmin, level_B)
        error_sum, error_count = squared_error(
            x_BLC / output.unit_BLC, output.recon_BLC / output.unit_BLC, counted_BLC
        )
        count = error_count if mean_count is None else mean_count
        total = error_sum / count.clamp_min(1)
        discrepancy = contrast = total.new_zeros(())
        if self.use_maxmin:
            discrepancy = output.discrepancy_BL.mean()
            total = total + 0.5 * self.params.maxmin * discrepancy
        if self.use_contrast:
            contrast = self._contrast(output, x_BLC, hidden_BLC, level_B)
            total = total + self.params.contrast * contrast
        return Losses(
            total=total,
            error_sum=error_sum.detach(),
            error_count=error_count,
            discrepancy=discrepancy.detach(),
            contrast=contrast.detach(),
        )

    def _contrast(
        self, output: AmadOutput, x_BLC: Tensor, hidden_BLC: Tensor, level_B: Tensor | None
    ) -> Tensor:
        local_BLD = self.project_local(output.local_BLD).float()
        global_BLD = self.project_global(output.global_BLD).float()
        if self.params.contrast_form == "latad":
            mask_BKLC = self.masks(x_BLC.masked_fill(hidden_BLC, 0.0))
            # One mask per window, in turn, costs one more pass through the network instead of K.
            window_B = torch.arange(len(x_BLC), device=x_BLC.device)
            mask_BLC = mask_BKLC[window_B, window_B % MASKS]
            masked = self.network(opposed(mask_BLC) * x_BLC, hidden_BLC, False, level_B)
            hard_BLD = self.project_local(masked.local_BLD).float()
            with torch.autocast(x_BLC.device.type, enabled=False):
                strength_B = strength(mask_BLC[:, None], ~hidden_BLC)[:, 0]
                cost = mask_cost(mask_BKLC, ~hidden_BLC)
                return masked_contrast(local_BLD, global_BLD, hard_BLD, strength_B) + cost
        with torch.autocast(x_BLC.device.type, enabled=False):
            return info_nce(local_BLD, global_BLD, self.params.temperature)


def hidden_and_counted(mask_BLC: Tensor, valid_BLC: Tensor) -> tuple[Tensor, Tensor]:
    """What the network may not see, and which cells count in the reconstruction loss (both bool).

    valid_BLC: what was measured. The rest, imputed cells and channels that the vehicle lacks, is
    hidden as well and counts nowhere. Of the measured cells only the hidden ones count, as a
    visible value could simply be copied.
    """
    return mask_BLC | ~valid_BLC, mask_BLC & valid_BLC


def squared_error(x_BLC: Tensor, recon_BLC: Tensor, counted_BLC: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the squared errors of the cells that count, and their number.

    Beyond ERROR_LIMIT an error counts linearly (Huber), so that one broken sensor in train does
    not dominate the gradient.
    """
    error_BLC = functional.huber_loss(recon_BLC.float(), x_BLC, delta=ERROR_LIMIT, reduction="none")
    return 2 * error_BLC.mul(counted_BLC).sum(), counted_BLC.sum()


def info_nce(local_BLD: Tensor, global_BLD: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE over the steps of a window. Scalar.

    The local view of a step should be closest to the global view of the same step, among those of
    all steps, and the reverse. Other steps up to NEAR away are neither positive nor negative.
    """
    local_BLD = functional.normalize(local_BLD, dim=-1)
    global_BLD = functional.normalize(global_BLD, dim=-1)
    logit_BLL = local_BLD @ global_BLD.transpose(1, 2) / temperature
    step_L = torch.arange(local_BLD.shape[1], device=logit_BLL.device)
    lag_LL = (step_L[:, None] - step_L).abs()
    near_LL = (lag_LL > 0) & (lag_LL <= NEAR)
    logit_BLL = logit_BLL.masked_fill(near_LL, -math.inf)
    same_BL = logit_BLL.diagonal(dim1=1, dim2=2)
    forth, back = logit_BLL.logsumexp(2) - same_BL, logit_BLL.logsumexp(1) - same_BL
    return 0.5 * (forth.mean() + back.mean())


def masked_contrast(
    local_BLD: Tensor, global_BLD: Tensor, hard_BLD: Tensor, strength_B: Tensor
) -> Tensor:
    """LATAD's separation of the two views, with hard negatives by learned masks. Scalar.

        mean_i d+_i + mean_i max(0, d+_i - d(hard_i, global_i) + margin)
        d+_i = mean over |s| <= NEAR of d(local_{i+s}, global_i),    d = 1 - cosine

    hard_BLD: the local view of the same window after a learned mask took ``strength_B`` (in [0, 1])
    of it away; the margin grows with that share. The steps beside i are its temporal
    neighbourhood. All of them count, where LATAD draws one. The contrast form ``latad`` adds
    ``mask_cost``; ``amad.model.augment`` says which side gets which gradient.
    """
    unit_BLD = functional.normalize(local_BLD, dim=-1)
    around_BLD = functional.avg_pool1d(
        unit_BLD.transpose(1, 2), 2 * NEAR + 1, stride=1, padding=NEAR, count_include_pad=False
    ).transpose(1, 2)
    near_BL = 1 - (around_BLD * functional.normalize(global_BLD, dim=-1)).sum(-1)
    far_BL = cosine_distance(hard_BLD, global_BLD)
    return near_BL.mean() + hinge(near_BL, far_BL, margin(strength_B)[:, None])
