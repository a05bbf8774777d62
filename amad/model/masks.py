"""What is hidden from the network: random masks for training, complementary ones for scoring.

Shape legend: B windows, L steps, C channels, K complementary masks, N things to choose from.
"""

import math

import torch
from torch import Tensor

from amad.config.params import MaskParams


def draw_mask(
    params: MaskParams, shape: tuple[int, int, int], generator: torch.Generator
) -> Tensor:
    """Draw hidden_BLC (bool, CPU) for a batch of windows of ``shape`` (B, L, C).

    - ``time``: blocks of ``params.block`` steps, in all channels at once, at a phase of their own
      in each window
    - ``channel``: whole channels, for the whole window; one channel at the least stays visible
    - ``point``: single values
    - ``mixed``: each window is of the time or of the channel family, at even odds; points are left
      out, as their neighbours give them away
    - ``none``: nothing

    ``params.ratio`` of the blocks, channels or points is hidden, rounded up or down at random so
    that the mean is right, and at least one block or channel where the ratio is not 0. The same
    generator state gives the same mask.
    """
    B, L, C = shape
    if params.family == "none" or params.ratio == 0:
        return torch.zeros(shape, dtype=torch.bool)
    if params.family == "point":
        return torch.rand(shape, generator=generator) < params.ratio
    if params.family == "time":
        return _time_blocks(params, B, L, generator)[:, :, None].expand(shape).clone()
    if params.family == "channel":
        return _channels(params, B, C, generator)[:, None, :].expand(shape).clone()
    assert params.family == "mixed", params.family
    by_time_B = torch.rand(B, generator=generator) < 0.5
    time_BL = _time_blocks(params, B, L, generator) & by_time_B[:, None]
    channel_BC = _channels(params, B, C, generator) & ~by_time_B[:, None]
    return time_BL[:, :, None] | channel_BC[:, None, :]


def complementary_masks(length: int, channels: int, block: int) -> Tensor:
    """Masks hidden_KLC (bool) that together hide each position exactly once: K = 2.

    Each hides every other block of ``block`` steps in all channels, so that a hidden value is
    predicted from the blocks before and after it and never from itself. Where one block would
    cover the window, half of it stands in its place.
    """
    block = min(block, math.ceil(length / 2))
    hidden_L = (torch.arange(length) // block) % 2 == 0
    return torch.stack([hidden_L, ~hidden_L])[:, :, None].expand(2, length, channels).clone()


def _time_blocks(params: MaskParams, B: int, L: int, generator: torch.Generator) -> Tensor:
    block = min(params.block, math.ceil(L / 2))
    phase_B = torch.randint(block, (B,), generator=generator)
    block_BL = (torch.arange(L) + phase_B[:, None]) // block
    blocks = math.ceil((L + block - 1) / block)
    chosen_BN = _choose(params.ratio, B, blocks, generator)
    return chosen_BN.gather(1, block_BL)


def _channels(params: MaskParams, B: int, C: int, generator: torch.Generator) -> Tensor:
    return _choose(params.ratio, B, C, generator)


def _choose(ratio: float, B: int, N: int, generator: torch.Generator) -> Tensor:
    """chosen_BN: at random ratio N of N in each row, at least 1, at most N - 1 (where N > 1)."""
    count_B1 = (ratio * N + torch.rand(B, 1, generator=generator)).floor()
    rank_BN = torch.rand(B, N, generator=generator).argsort(1).argsort(1)
    return rank_BN < count_B1.clamp(1, max(1, N - 1))
