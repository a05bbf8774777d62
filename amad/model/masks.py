"""What is hidden from the network: random masks for training, complementary ones for scoring.

Shape legend: B windows, L steps, C channels, K complementary masks, N things to choose from.
"""

import math

import torch
from torch import Tensor

from amad.config.params import Direction, Hide, MaskParams

GROUPS = 4  # of channels, hidden in turn when scoring


def draw_mask(
    params: MaskParams,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    direction: Direction = "both",
) -> Tensor:
    """Draw hidden_BLC (bool, CPU) for a batch of windows of ``shape`` (B, L, C).

    - ``time``: blocks of ``params.block`` steps, in all channels at once, with a random phase in
      each window. Up to a ratio of 1/2 no two blocks are neighbours, as in scoring. For direction
      ``past`` the last ``params.block`` steps of each window, so that nothing after a hidden value
      is seen
    - ``channel``: whole channels, for the whole window; at least one channel stays visible
    - ``mixed``: each window is of the time or of the channel family, with equal probability

    ``params.ratio`` of the blocks or channels is hidden, rounded up or down at random so that the
    mean is right, but at least one. The same generator state gives the same mask.
    """
    B, L, C = shape
    blocks = _time_blocks if direction == "both" else _last_block
    if params.family == "time":
        return blocks(params, B, L, generator)[:, :, None].expand(shape).clone()
    if params.family == "channel":
        return _channels(params, B, C, generator)[:, None, :].expand(shape).clone()
    by_time_B = torch.rand(B, generator=generator) < 0.5
    time_BL = blocks(params, B, L, generator) & by_time_B[:, None]
    channel_BC = _channels(params, B, C, generator) & ~by_time_B[:, None]
    return time_BL[:, :, None] | channel_BC[:, None, :]


def complementary_masks(
    length: int,
    channels: int,
    block: int,
    family: Hide = "time",
    direction: Direction = "both",
) -> Tensor:
    """Masks hidden_KLC (bool) that together hide each position to be predicted exactly once.

    - ``time``: K = 2, each hides every other block of ``block`` steps in all channels, so that a
      hidden value is predicted from the blocks before and after it and never from itself. A block
      is at most half a window.
    - ``time``, direction ``past``: K = 1, the last ``block`` steps, the only ones predicted.
    - ``channel``: K = min(GROUPS, C) groups of channels, each hidden for the whole window once and
      predicted from the others. Neighbours in the fleet's list of channels, which are often of one
      kind, are in different groups.
    """
    block = min(block, math.ceil(length / 2))
    if family == "channel":
        groups = min(GROUPS, channels)
        hidden_KC = torch.arange(channels) % groups == torch.arange(groups)[:, None]
        return hidden_KC[:, None, :].expand(groups, length, channels).clone()
    if direction == "past":
        hidden_KL = (torch.arange(length) >= length - block)[None]
    else:
        hidden_L = (torch.arange(length) // block) % 2 == 0
        hidden_KL = torch.stack([hidden_L, ~hidden_L])
    return hidden_KL[:, :, None].expand(len(hidden_KL), length, channels).clone()


def _last_block(params: MaskParams, B: int, L: int, generator: torch.Generator) -> Tensor:
    return (torch.arange(L) >= L - min(params.block, math.ceil(L / 2))).expand(B, L)


def _time_blocks(params: MaskParams, B: int, L: int, generator: torch.Generator) -> Tensor:
    """hidden_BL: blocks, as scoring hides them: no two are neighbours where the ratio allows it."""
    block = min(params.block, math.ceil(L / 2))
    phase_B1 = torch.randint(2 * block, (B, 1), generator=generator)
    block_BL = (torch.arange(L) + phase_B1) // block
    number_N = torch.arange(math.ceil((L + 2 * block - 1) / block))
    among_BN = (number_N >= block_BL[:, :1]) & (number_N <= block_BL[:, -1:])
    ratio = params.ratio
    if ratio <= 0.5:
        among_BN, ratio = among_BN & (number_N % 2 == 0), 2 * ratio
    return _choose(ratio, among_BN, generator).gather(1, block_BL)


def _channels(params: MaskParams, B: int, C: int, generator: torch.Generator) -> Tensor:
    return _choose(params.ratio, torch.ones(B, C, dtype=torch.bool), generator)


def _choose(ratio: float, among_BN: Tensor, generator: torch.Generator) -> Tensor:
    """chosen_BN: a random share of those in each row, at least 1, at most N - 1 (where N > 1)."""
    B, N = among_BN.shape
    count_B1 = among_BN.sum(1, keepdim=True)
    wanted_B1 = (ratio * count_B1 + torch.rand(B, 1, generator=generator)).floor()
    order_BN = torch.rand(B, N, generator=generator).masked_fill(~among_BN, 2.0)
    rank_BN = order_BN.argsort(1).argsort(1)
    return rank_BN < wanted_B1.clamp_min(1).clamp_max(count_B1.clamp_max(max(1, N - 1)))
