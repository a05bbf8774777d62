"""LATAD's learnable augmentation (arXiv 2406.12260, our reading): hard negatives of a contrast.

Small residual convolutions look at a window and say how much of each value to keep: masks
m_k = sigmoid(g_k(x)). The copies x_k = m_k x are the negatives. Masks and encoder are trained
against each other in one backward pass:

    encoder   minimises  mean d(z, z+) + mean max(0, d(z, z+) - d(z, z_k) + margin_k)
    masks     minimise   WEIGHT (mean(1 - m) - RHO diversity - the same hinge)

The masks stay close to "keep everything", as a negative is otherwise too easy. They differ from
each other, and search for the copies that the encoder cannot yet tell from the window.
d = 1 - cosine.

Shape legend: B windows, L steps, C channels, K masks, P pairs of masks, X convolution channels.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.model.attention import reverse_gradient
from amad.model.network import INPUT_LIMIT

MASKS = 3  # K
WIDTH = 8  # convolution channels of each mask
START_LOGIT = 1.5  # an untrained mask keeps about four fifths: a mild change, so a hard negative
LOGIT_LIMIT = 4.0  # keeps a mask between 0.018 and 0.982, where it has a gradient
MARGINS = (0.1, 1.0)  # of the triplet, from no change to a window of zeros
WEIGHT = 0.1  # lambda, the weight of everything that the masks are trained by
RHO = 0.3  # weight of the diversity; with more, masks are so strong that the hinge is soon 0


class LearnedMasks(nn.Module):
    """K masks of a window, each from a residual convolution of its own.

        mask_BKLC = LearnedMasks(channels)(x_BLC)      # in (0, 1): the share that is kept

    x_BLC: scaled windows; 0 where the network may not look.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = MASKS * WIDTH
        self.enter = nn.Conv1d(channels, inner, 1)
        self.first = nn.Conv1d(inner, inner, 3, padding=1, groups=MASKS)
        self.second = nn.Conv1d(inner, inner, 3, padding=1, groups=MASKS)
        self.leave = nn.Conv1d(inner, MASKS * channels, 1, groups=MASKS)
        assert self.leave.bias is not None
        nn.init.constant_(self.leave.bias, START_LOGIT)

    def forward(self, x_BLC: Tensor) -> Tensor:
        """mask_BKLC float32."""
        token_BXL = self.enter(x_BLC.clamp(-INPUT_LIMIT, INPUT_LIMIT).transpose(1, 2))
        token_BXL = token_BXL + self.second(functional.gelu(self.first(token_BXL)))
        logit_BXL = self.leave(functional.gelu(token_BXL)).float()
        logit_BKLC = logit_BXL.unflatten(1, (MASKS, -1)).transpose(2, 3)
        return (LOGIT_LIMIT * torch.tanh(logit_BKLC / LOGIT_LIMIT)).sigmoid()


def strength(mask_BKLC: Tensor, real_BLC: Tensor) -> Tensor:
    """The share of a window that each mask takes away, (B, K) in [0, 1].

    It is mean(1 - m) over the real cells (bool), as masking the others has no effect.
    """
    real_B1LC = real_BLC[:, None]
    gone_BK = ((1 - mask_BKLC) * real_B1LC).sum((2, 3))
    return gone_BK / real_B1LC.sum((2, 3)).clamp_min(1)


def diversity(mask_BKLC: Tensor, real_BLC: Tensor) -> Tensor:
    """Root mean square difference of two masks, mean over pairs and windows. Scalar in [0, 1].

    The root keeps the masks from taking nothing away: a share p costs p and gains about sqrt(p), so
    the least cost is always at a share above 0.
    """
    one_P, other_P = torch.triu_indices(mask_BKLC.shape[1], mask_BKLC.shape[1], offset=1)
    gap_BPLC = (mask_BKLC[:, one_P] - mask_BKLC[:, other_P]).square() * real_BLC[:, None]
    count_B1 = real_BLC.sum((1, 2)).clamp_min(1)[:, None]
    return (gap_BPLC.sum((2, 3)) / count_B1 + 1e-8).sqrt().mean()


def mask_cost(mask_BKLC: Tensor, real_BLC: Tensor) -> Tensor:
    """WEIGHT (mean(1 - m) - RHO diversity): the masks' own term of the loss. Scalar."""
    closeness = strength(mask_BKLC, real_BLC).mean()
    return WEIGHT * (closeness - RHO * diversity(mask_BKLC, real_BLC))


def opposed(mask: Tensor) -> Tensor:
    """The mask itself; on the way back its gradient is multiplied by -WEIGHT.

    So the masks maximise what the encoder, which comes after it, minimises.
    """
    return mask.detach() + reverse_gradient(WEIGHT * (mask - mask.detach()))


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """1 - cosine over the last dimension, in [0, 2]."""
    return 1 - functional.cosine_similarity(a, b, dim=-1)


def margin(strength_BK: Tensor) -> Tensor:
    """The triplet margin of each copy, from one of MARGINS to the other, as the masks take more.

    It is a target and is not trained: no gradient passes.
    """
    low, high = MARGINS
    return low + (high - low) * strength_BK.detach()


def hinge(near: Tensor, far: Tensor, margin: Tensor) -> Tensor:
    """mean max(0, near - far + margin): 0 once every negative is a margin further away. Scalar."""
    return functional.relu(near - far + margin).mean()


def draw_neighbours(
    start_B: np.ndarray,
    first_B: np.ndarray,
    last_B: np.ndarray,
    eta: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Starts of the positives: windows up to ``eta`` rows away in the same segment, (B,) int64.

    first_B, last_B: the first and last start that the segment of each window allows, both
    inclusive. A window is its own positive only where its segment holds no other.
    """
    low_B, high_B = np.maximum(first_B, start_B - eta), np.minimum(last_B, start_B + eta)
    drawn_B = rng.integers(low_B, np.maximum(high_B, low_B + 1))
    return np.minimum(drawn_B + (drawn_B >= start_B), high_B)
