"""LATAD as a detector of its own: our reading of arXiv 2406.12260.

A window becomes one latent on the unit sphere. A latent far from every centre of the train latents
is anomalous, and the gradient of that distance says which channel made it so.

All negatives come from masks, so training draws the latents of whole windows close together. This
does no harm, as distances are compared with those of train, and guards against it made the results
worse (docs/explanation/latad.md). Latents that are all one point, up to rounding, are refused.

Shape legend: B windows in a batch, L steps, C channels, D latent width, K masks, N centres,
S window starts, T rows, X channels of a convolution or copies of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.baselines.latad_masks import (
    LearnedMasks,
    cosine_distance,
    draw_neighbours,
    hinge,
    margin,
    mask_cost,
    opposed,
    strength,
)
from amad.baselines.network import CLIP, seeded
from amad.model.network import INPUT_LIMIT
from amad.model.training import AdamW, learning_rate, minimising_step
from amad.windows.series import Series

WINDOW = 32  # rows, about as many as the causal convolutions together see
WIDTH = 32
HEADS = 2
DILATIONS = (1, 2, 4, 8)
LEAK = 0.2  # LeakyReLU of the graph attention
ETA = 8  # rows: the largest distance of a positive
BATCH = 64
PEAK_RATE = 3e-3
CENTRES = 20
CLUSTERED = 4000  # the most train latents that K-means sees
COLLAPSED = 1e-4  # a smaller mean distance is the rounding of float32


class FeatureAttention(nn.Module):
    """Graph attention over the channels of a window, complete graph, one head.

    A node is the L values of a channel. Channels that are not present are no node's neighbour.
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        self.project = nn.Linear(length, length)
        self.target, self.source = nn.Linear(length, 1), nn.Linear(length, 1, bias=False)

    def forward(self, x_BLC: Tensor, present_BC: Tensor) -> Tensor:
        """(B, L, C), 0 in channels that are not present."""
        node_BCL = self.project(x_BLC.transpose(1, 2))
        logit_BCC = functional.leaky_relu(
            self.target(node_BCL) + self.source(node_BCL).transpose(1, 2), LEAK
        )
        weight_BCC = logit_BCC.masked_fill(~present_BC[:, None], -1e9).softmax(-1)
        mixed_BCL = functional.elu(weight_BCC @ node_BCL)
        return (mixed_BCL * present_BC[..., None]).transpose(1, 2)


class LatadNetwork(nn.Module):
    """Windows to latents of length 1.

        z_BD = LatadNetwork(channels)(x_BLC, present_BC)

    A convolution of width 7 over time, then attention over channels and, in parallel, a transformer
    encoder over time, then causal dilated convolutions over both. The last step is the latent.
    present_BC: bool, channels that were measured in the window; the others have no influence.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.smooth = nn.Conv1d(channels, channels, 7, padding=3)
        self.across = FeatureAttention(WINDOW)
        self.enter = nn.Linear(channels, WIDTH)
        self.along = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, dropout=0.0, activation="gelu", batch_first=True
        )
        widths = [channels + WIDTH] + [WIDTH] * (len(DILATIONS) - 1)
        self.causal = nn.ModuleList(
            nn.Conv1d(width, WIDTH, 3, dilation=d)
            for width, d in zip(widths, DILATIONS, strict=True)
        )
        self.leave = nn.Linear(WIDTH, WIDTH)

    def forward(self, x_BLC: Tensor, present_BC: Tensor) -> Tensor:
        """z_BD. The caller limits the values to INPUT_LIMIT."""
        here_B1C = present_BC[:, None].to(x_BLC.dtype)
        smooth_BLC = self.smooth((x_BLC * here_B1C).transpose(1, 2)).transpose(1, 2) * here_B1C
        across_BLC = self.across(smooth_BLC, present_BC)
        along_BLD = self.along(self.enter(smooth_BLC))
        token_BXL = torch.cat([across_BLC, along_BLD], dim=-1).transpose(1, 2)
        for dilation, conv in zip(DILATIONS, self.causal, strict=True):
            out_BDL = functional.gelu(conv(functional.pad(token_BXL, (2 * dilation, 0))))
            token_BXL = token_BXL + out_BDL if out_BDL.shape == token_BXL.shape else out_BDL
        return functional.normalize(self.leave(token_BXL[..., -1]), dim=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Latad:
    """A trained network with the centres of some train latents.

    ordinary: mean distance of the same latents to the nearest centre.
    """

    network: LatadNetwork
    centre_ND: Tensor
    ordinary: float

    def diagnose(self, x_BLC: Tensor, present_BC: Tensor) -> tuple[Tensor, Tensor]:
        """Distance of each window to the nearest centre (B,), and each channel's share (B, C).

        The share is the sum over steps of |x d distance / d x|, divided by its sum over channels:
        how much of the distance, to first order, comes from the channel's difference from its train
        mean (0 in scaled units). The slope alone says where the network is steep, not what
        happened. Both are taken at the limited values, as a value beyond the limit has no slope.
        """
        x_BLC = x_BLC.clamp(-INPUT_LIMIT, INPUT_LIMIT).requires_grad_()
        z_BD = self.network(x_BLC, present_BC)
        distance_B = nearest(z_BD, self.centre_ND)
        (slope_BLC,) = torch.autograd.grad(distance_B.sum(), x_BLC)
        part_BC = (slope_BLC * x_BLC.detach()).abs().sum(1)
        share_BC = part_BC / part_BC.sum(1, keepdim=True).clamp_min(1e-12)
        return distance_B.detach(), share_BC


def nearest(z_BD: Tensor, centre_ND: Tensor) -> Tensor:
    """Euclidean distance to the nearest centre, (B,); its gradient is finite at a centre too."""
    square_BN = (z_BD[:, None] - centre_ND).square().sum(-1)
    return (square_BN.amin(1) + 1e-12).sqrt()


def latad_loss(
    network: LatadNetwork,
    masks: LearnedMasks,
    x_BLC: Tensor,
    near_BLC: Tensor,
    present_BC: Tensor,
) -> Tensor:
    """What network and masks minimise, a scalar; but the masks maximise the hinge.

        mean d(z, z+) + mean_k max(0, d(z, z+) - d(z, z_k) + margin_k)
        + lambda (mean(1 - m) - rho diversity)                      the masks' own

    x_BLC, near_BLC: windows and their neighbours, limited to INPUT_LIMIT.
    """
    B, L, C = x_BLC.shape
    present_BLC = present_BC[:, None].expand(B, L, C)
    mask_BKLC = masks(x_BLC * present_BLC)
    K = mask_BKLC.shape[1]
    copy_BKLC = opposed(mask_BKLC) * x_BLC[:, None]
    batch = torch.cat([x_BLC, near_BLC, copy_BKLC.flatten(0, 1)])
    present = torch.cat([present_BC, present_BC, present_BC.repeat_interleave(K, 0)])
    z_BD, near_BD, copy_XD = network(batch, present).split([B, B, B * K])
    close_B = cosine_distance(z_BD, near_BD)
    far_BK = cosine_distance(z_BD[:, None], copy_XD.unflatten(0, (B, K)))
    margin_BK = margin(strength(mask_BKLC, present_BLC))
    separation = hinge(close_B[:, None], far_BK, margin_BK)
    return close_B.mean() + separation + mask_cost(mask_BKLC, present_BLC)


def train_latad(train: Sequence[Series], seed: int, steps: int) -> LatadNetwork | None:
    """A network trained on scaled series; None where no window fits.

    Deterministic by seed; torch's own random state is left as it was.
    """
    windows = _Windows(train)
    if len(windows.start_S) == 0:
        return None
    rng = np.random.default_rng(seed)
    with seeded(seed):
        network, masks = LatadNetwork(windows.channels), LearnedMasks(windows.channels)
    weights = [*network.parameters(), *masks.parameters()]
    optimiser = AdamW(weights, weight_decay=1e-4)
    for step in range(steps):
        loss = latad_loss(network, masks, *windows.draw(rng))
        rate = learning_rate(step, steps, PEAK_RATE)
        minimising_step(optimiser, weights, loss, rate=rate, clip=CLIP)
    return network.eval().requires_grad_(False)


@torch.inference_mode()
def latents(network: LatadNetwork, train: Sequence[Series]) -> Tensor | None:
    """z_SD of at most CLUSTERED windows, evenly spread; None where no window fits."""
    windows = _Windows(train)
    count = min(CLUSTERED, len(windows.start_S))
    if count == 0:
        return None
    evenly = np.linspace(0, len(windows.start_S) - 1, count).astype(np.int64)
    parts = np.array_split(windows.start_S[evenly], -(-count // (4 * BATCH)))
    return torch.cat([network(*windows.gather(part_B)) for part_B in parts]).clone()


class _Windows:
    """Every window of several series, with the first and last start that its segment allows."""

    def __init__(self, series: Sequence[Series]) -> None:
        self.value_TC = np.concatenate([s.value_TC for s in series])
        self.value_TC = np.clip(self.value_TC, -INPUT_LIMIT, INPUT_LIMIT)
        self.valid_TC = np.concatenate([s.valid_TC for s in series])
        self.channels = self.value_TC.shape[1]
        offsets = np.cumsum([0, *(s.rows for s in series)])
        bounds = [
            (offset + first, offset + last - WINDOW)
            for offset, s in zip(offsets, series, strict=False)
            for first, last in s.segments()
            if last - first >= WINDOW
        ]
        empty = [np.zeros(0, np.int64)]
        self.start_S = np.concatenate(empty + [np.arange(a, b + 1) for a, b in bounds])
        counts = [b + 1 - a for a, b in bounds]
        self.first_S = np.repeat(np.array([a for a, _ in bounds], np.int64), counts)
        self.last_S = np.repeat(np.array([b for _, b in bounds], np.int64), counts)

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """x_BLC, near_BLC and present_BC of BATCH windows that are drawn at random."""
        ids_B = rng.integers(len(self.start_S), size=BATCH)
        start_B = self.start_S[ids_B]
        near_B = draw_neighbours(start_B, self.first_S[ids_B], self.last_S[ids_B], ETA, rng)
        x_BLC, present_BC = self.gather(start_B)
        return x_BLC, self.gather(near_B)[0], present_BC

    def gather(self, start_B: np.ndarray) -> tuple[Tensor, Tensor]:
        """Limited windows x_BLC and present_BC."""
        return gather(self.value_TC, self.valid_TC, start_B)


def gather(
    value_TC: np.ndarray, valid_TC: np.ndarray, start_B: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Windows x_BLC from each start, and present_BC: channels with a measured value in there."""
    row_BL = start_B[:, None] + np.arange(WINDOW)
    present_BC = (valid_TC[row_BL] == 1).any(axis=1)
    return torch.from_numpy(value_TC[row_BL]), torch.from_numpy(present_BC)
