"""The training objective: reconstruct what was hidden, Max-Min, Local-Global contrast.

Shape legend: B windows, L steps, C channels, D model width.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.config.params import LossParams
from amad.model.network import Amad, AmadOutput

ERROR_LIMIT = 10.0  # train spreads
NEAR = 2  # steps: such close neighbours look alike, so they are no negatives of each other


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """The terms of the objective, scalars. ``total`` is what is minimised.

    error_sum, error_count: squared error over the counted cells, in the network's units (see
    ``AmadOutput``), and their number, by which workers weight their shares. discrepancy: mean
    bounded association discrepancy. contrast: the Local-Global contrast. Both are 0 where they are
    switched off.
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

    The projections of the contrast belong to the training and not to the network: they are in the
    objective's state, which a checkpoint holds and a bundle does not.
    """

    def __init__(self, network: Amad, params: LossParams) -> None:
        super().__init__()
        self.network, self.params = network, params
        self.use_maxmin = params.maxmin > 0
        self.use_contrast = params.contrast > 0
        self.compiled: Callable[..., Losses] | None = None
        self.compiled_windows = 0  # in a batch that ``compiled`` computes
        if self.use_contrast:
            width = network.params.width
            self.project_local = nn.Linear(width, width)
            self.project_global = nn.Linear(width, width)

    def forward(
        self,
        x_BLC: Tensor,
        hidden_BLC: Tensor,
        counted_BLC: Tensor,
        mean_count: Tensor | None = None,
        owner_B: Tensor | None = None,
        share: float = 1.0,
    ) -> Losses:
        """Losses of a batch of scaled windows.

        hidden_BLC, counted_BLC: bool, what the network may not see, and the cells whose errors are
        the reconstruction loss; see ``hidden_and_counted``. mean_count: what the squared error is
        divided by; default: the counted cells of this batch. share: by which the terms that are
        means over windows are multiplied. Several workers give the mean count over all of them, and
        the ratio of their windows to the mean, so that their averaged gradient is that of the whole
        batch. owner_B: see ``Amad``.
        """
        skip = self.network.skip_of(x_BLC, hidden_BLC, owner_B)
        given = x_BLC, hidden_BLC, counted_BLC, mean_count, share, skip
        if self.compiled is not None and len(x_BLC) == self.compiled_windows:
            return self.compiled(*given)
        return self.on_skip(*given)

    def on_skip(
        self,
        x_BLC: Tensor,
        hidden_BLC: Tensor,
        counted_BLC: Tensor,
        mean_count: Tensor | None,
        share: float,
        skip: tuple[Tensor, Tensor | float],
    ) -> Losses:
        """The losses with the skip given, whose shapes depend on the data; see ``forward``."""
        # The contrast reads the views of every step, the reconstruction loss only what counts.
        asked_BL = None if self.use_contrast else counted_BLC.any(2)
        output = self.network(x_BLC, hidden_BLC, self.use_maxmin, None, asked_BL, skip)
        error_sum, error_count = squared_error(
            x_BLC / output.unit_BLC, output.recon_BLC / output.unit_BLC, counted_BLC
        )
        count = error_count if mean_count is None else mean_count
        total = error_sum / count.clamp_min(1)
        discrepancy = contrast = total.new_zeros(())
        if self.use_maxmin:
            discrepancy = share * output.discrepancy_BL.mean()
            total = total + 0.5 * self.params.maxmin * discrepancy
        if self.use_contrast:
            contrast = share * self._contrast(output)
            total = total + self.params.contrast * contrast
        return Losses(
            total=total,
            error_sum=error_sum.detach(),
            error_count=error_count,
            discrepancy=discrepancy.detach(),
            contrast=contrast.detach(),
        )

    def _contrast(self, output: AmadOutput) -> Tensor:
        local_BLD = self.project_local(output.local_BND).float()
        global_BLD = self.project_global(output.global_BND).float()
        with torch.autocast(local_BLD.device.type, enabled=False):
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
