"""The AMAD network: embed a window, mix local and global attention, reconstruct what was hidden.

Shape legend: B windows, L steps, N steps that are asked for, C channels, D model width, X inputs of
the embedding.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.config.params import ModelParams
from amad.model.attention import MakeKernel, MixupAttention, by_pieces, put_at_steps, steps_of
from amad.model.kernel import AutoMask
from amad.model.owners import FLEET, Owners
from amad.model.skip import LinearSkip

MOST_STEPS = 0.9  # share of a window; with more of it, taking it out costs what it saves
INPUT_LIMIT = 10.0  # train spreads; limits what a broken sensor does to the other channels


@dataclass(frozen=True, slots=True, kw_only=True)
class AmadOutput:
    """What the network says about a batch of windows.

    recon_BLC: reconstruction in scaled units. discrepancy_BL: association discrepancy in [0, 1),
    mean over layers and heads; None where it was not asked for. local_BND, global_BND: the two
    views of the last layer, before they are mixed, of the steps that it computed. unit_BLC: the
    unit of each error, in scaled units: the error that the linear skip should have; 1 without a
    skip.
    """

    recon_BLC: Tensor
    discrepancy_BL: Tensor | None
    local_BND: Tensor
    global_BND: Tensor
    unit_BLC: Tensor | float = 1.0


class Amad(nn.Module):
    """Our reading of AMAD (arXiv 2504.06643), for windows of a fleet with ``channels`` channels.

        network = Amad(channels=12, params=ModelParams())
        network(x_BLC, hidden_BLC).recon_BLC

    x_BLC: scaled windows. hidden_BLC: bool, what the network may not see. It is replaced by the
    skip (``params.skip``: what linear regressions predict, ``LinearSkip``; or 0). A flag says so,
    which acts as a learned token for each hidden channel. Inputs are limited to +-INPUT_LIMIT.

    A circular convolution of width 3 embeds values and flags, and sinusoidal positions are added.
    The layers follow, each with attention and a GELU feed-forward, both on normalised tokens and
    added to them. The output of a linear head is added to the skip, in units of the skip's error.
    With a skip the head starts at zero: the untrained network is its skip, and training can only
    add to that. At visible values there is no skip, which could simply be copied.

    owners: those of the linear skip; default: one, the fleet's. block: rows of a hidden block that
    the linear skip is made for. kernel: of the local view; another than AutoMask is for comparison.
    """

    def __init__(
        self,
        channels: int,
        params: ModelParams,
        owners: Owners | None = None,
        block: int = 5,
        kernel: MakeKernel = AutoMask,
    ) -> None:
        super().__init__()
        assert channels >= 1
        self.channels, self.params = channels, params
        self.owners = owners or Owners()
        self.embed = nn.Linear(3 * 2 * channels, params.width)
        self.layers = nn.ModuleList(_Layer(params, kernel) for _ in range(params.layers))
        self.norm = nn.LayerNorm(params.width)
        self.head = nn.Linear(params.width, channels)
        position_LD = sinusoids(params.window, params.width)
        self.register_buffer("position_LD", position_LD, persistent=False)
        self.linear = None
        if params.skip == "linear":
            nn.init.zeros_(self.head.weight)
            nn.init.zeros_(self.head.bias)
            self.linear = LinearSkip(channels, self.owners, block, params.direction == "past")

    def forward(
        self,
        x_BLC: Tensor,
        hidden_BLC: Tensor | None = None,
        need_discrepancy: bool = True,
        owner_B: Tensor | None = None,
        asked_BL: Tensor | None = None,
        skip: tuple[Tensor, Tensor | float] | None = None,
    ) -> AmadOutput:
        """Reconstruct; L is ``params.window``.

        need_discrepancy: without it the pass needs less memory. owner_B: long, the number of each
        window's owner (``owners.index``); default: the fleet's. asked_BL: bool, the steps whose
        reconstruction is read; default: all. At others it may be the skip alone, because on a CPU
        the last layer then computes little more than these. skip: what ``skip_of`` gave for these
        windows; default: it is computed here.
        """
        assert x_BLC.shape[1:] == (self.params.window, self.channels), x_BLC.shape
        if hidden_BLC is None:
            hidden_BLC = torch.zeros_like(x_BLC, dtype=torch.bool)
        skip_BLC, unit_BLC = skip or self.skip_of(x_BLC, hidden_BLC, owner_B)
        value_BLC = torch.where(hidden_BLC, skip_BLC, x_BLC).clamp(-INPUT_LIMIT, INPUT_LIMIT)
        token_BLD = self._embed(value_BLC, hidden_BLC)
        distances = []
        *before, last = self.layers
        for layer in before:
            token_BLD, _, _, discrepancy_BL = layer(token_BLD, need_discrepancy)
            distances.append(discrepancy_BL)
        step_BN = None if need_discrepancy else _steps(asked_BL)
        token_BND, local_BND, global_BND, discrepancy_BL = last(
            token_BLD, need_discrepancy, step_BN
        )
        distances.append(discrepancy_BL)
        said_BLC = self.head(self.norm(token_BND))
        if step_BN is not None:
            said_BLC = put_at_steps(said_BLC, step_BN, self.params.window)
        return AmadOutput(
            recon_BLC=skip_BLC + unit_BLC * said_BLC,
            unit_BLC=unit_BLC,
            discrepancy_BL=torch.stack(distances).mean(0) if need_discrepancy else None,
            local_BND=local_BND,
            global_BND=global_BND,
        )

    def skip_of(
        self, x_BLC: Tensor, hidden_BLC: Tensor, owner_B: Tensor | None = None
    ) -> tuple[Tensor, Tensor | float]:
        """What the head's output is added to, and its unit. No gradient goes through them."""
        if self.linear is None:
            return torch.zeros_like(x_BLC), 1.0
        if owner_B is None:
            owner_B = torch.full((len(x_BLC),), FLEET, device=x_BLC.device)
        skip_BLC, unit_BLC = self.linear(bridge(x_BLC, hidden_BLC), hidden_BLC, owner_B)
        return skip_BLC.masked_fill(~hidden_BLC, 0.0), unit_BLC

    def _embed(self, value_BLC: Tensor, hidden_BLC: Tensor) -> Tensor:
        input_BLX = torch.cat([value_BLC, hidden_BLC.to(value_BLC.dtype)], dim=-1)
        # The circular convolution as one matrix product of the steps before, at and after.
        around_BLX = torch.cat([input_BLX.roll(1, 1), input_BLX, input_BLX.roll(-1, 1)], dim=-1)
        return self.embed(around_BLX) + self.position_LD


class _Layer(nn.Module):
    def __init__(self, params: ModelParams, kernel: MakeKernel) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(params.width)
        self.attention = MixupAttention(params, kernel)
        self.feed_norm = nn.LayerNorm(params.width)
        self.feed_in = nn.Linear(params.width, 2 * params.width)
        self.feed_out = nn.Linear(2 * params.width, params.width)

    def forward(self, token_BLD: Tensor, need_discrepancy: bool, step_BN: Tensor | None = None):
        mixed_BND, local_BND, global_BND, discrepancy_BL = self.attention(
            self.attention_norm(token_BLD), need_discrepancy, step_BN
        )
        token_BND = token_BLD if step_BN is None else steps_of(token_BLD, step_BN)
        token_BND = token_BND + mixed_BND
        fed_BND = self.feed_out(functional.gelu(self.feed_in(self.feed_norm(token_BND))))
        return token_BND + fed_BND, local_BND, global_BND, discrepancy_BL


def _steps(asked_BL: Tensor | None) -> Tensor | None:
    """The steps that the last layer computes: those asked for, and others up to a common number.

    In order, (B, N); None for all of them: where N would be nearly all, and on a GPU, where a step
    at the default width is many small kernels and fewer operations save nothing.
    """
    if asked_BL is None or not by_pieces(asked_BL):
        return None
    count = max(1, int(asked_BL.sum(1).max()))
    if count > MOST_STEPS * asked_BL.shape[1]:
        return None
    return asked_BL.byte().argsort(dim=1, descending=True, stable=True)[:, :count].sort(1).values


def bridge(value_BLC: Tensor, hidden_BLC: Tensor) -> Tensor:
    """Hidden values interpolated linearly in time between the visible ones; (B, L, C).

    Where one side has no visible value, the nearest on the other side; 0 where the whole channel is
    hidden. Visible values stay.
    """
    L = value_BLC.shape[1]
    step_L1 = torch.arange(L, device=value_BLC.device, dtype=torch.int16)[:, None]
    before_BLC = _running_maximum(torch.where(hidden_BLC, -1, step_L1))
    from_end_BLC = _running_maximum(torch.where(hidden_BLC.flip(1), -1, step_L1))
    after_BLC = (L - 1 - from_end_BLC).flip(1)
    first_BLC, last_BLC = before_BLC < 0, after_BLC == L
    share_BLC = (step_L1 - before_BLC) / (after_BLC - before_BLC).clamp_min_(1)
    low_BLC = torch.where(first_BLC, after_BLC, before_BLC).clamp_max_(L - 1)
    high_BLC = torch.where(last_BLC, before_BLC, after_BLC).clamp_min_(0)
    low_BLC, high_BLC = (value_BLC.gather(1, at_BLC.long()) for at_BLC in (low_BLC, high_BLC))
    line_BLC = torch.lerp(low_BLC, high_BLC, share_BLC.to(value_BLC.dtype))
    return line_BLC.masked_fill(first_BLC & last_BLC, 0.0)


def _running_maximum(step_BLC: Tensor) -> Tensor:
    """The largest of a step and those before it, by doubling, which is faster than ``cummax``."""
    ahead = 1
    while ahead < step_BLC.shape[1]:
        best_BLC = step_BLC.clone()
        torch.maximum(step_BLC[:, :-ahead], step_BLC[:, ahead:], out=best_BLC[:, ahead:])
        step_BLC, ahead = best_BLC, 2 * ahead
    return step_BLC


def sinusoids(length: int, width: int) -> Tensor:
    """Positions as sines and cosines of wavelengths 2 pi to 20,000 pi, (length, width) float32.

    Source: "Attention is all you need", section 3.5.
    """
    step_L1 = torch.arange(length)[:, None]
    rate_D = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    table_LD = torch.zeros(length, width)
    table_LD[:, 0::2] = torch.sin(step_L1 * rate_D)
    table_LD[:, 1::2] = torch.cos(step_L1 * rate_D)[:, : width // 2]
    return table_LD
