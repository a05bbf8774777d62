"""The networks that AMAD's training step is measured against, written from their papers.

Shape legend: B windows, L steps, C channels, D model width, H heads, E width of a head.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from amad.config.params import ModelParams

FEED_FORWARD = 2  # width of the feed-forward layer over D, as in AMAD


class Encoder(nn.Module):
    """torch's own ``nn.TransformerEncoder`` between two linear maps, which copies its window."""

    def __init__(self, channels: int, params: ModelParams) -> None:
        super().__init__()
        width = params.width
        layer = nn.TransformerEncoderLayer(
            width, params.heads, FEED_FORWARD * width, dropout=0.0, activation="gelu",
            batch_first=True, norm_first=True,
        )  # fmt: skip
        self.embed, self.head = nn.Linear(channels, width), nn.Linear(width, channels)
        self.encoder = nn.TransformerEncoder(layer, params.layers, enable_nested_tensor=False)

    def step(
        self, x_BLC: Tensor, precision: Callable[[], AbstractContextManager] = nullcontext
    ) -> None:
        """Run the backward pass of one batch. precision: the context of the forward pass."""
        with precision():
            recon_BLC = self.head(self.encoder(self.embed(x_BLC)))
        functional.mse_loss(recon_BLC.float(), x_BLC).backward()


class AnomalyTransformer(nn.Module):
    """The Max-Min step of arXiv 2110.02642 in its published form, in the size of AMAD.

    Projections of their own for queries, keys, values and sigma; explicit maps of prior and series;
    norms after the layers; a feed-forward of convolutions of width 1; both divergences by
    logarithms with a small constant, each with one side detached, on a prior that is normalised for
    each of them; and one backward pass per phase.
    """

    def __init__(self, channels: int, params: ModelParams, k: float = 3.0) -> None:
        super().__init__()
        width = params.width
        self.k = k
        self.embed = nn.Conv1d(channels, width, 3, padding=1, padding_mode="circular", bias=False)
        self.layers = nn.ModuleList(_AssociationLayer(params) for _ in range(params.layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, channels)
        self.register_buffer("position_LD", torch.randn(params.window, width))

    def step(
        self, x_BLC: Tensor, precision: Callable[[], AbstractContextManager] = nullcontext
    ) -> None:
        """Run both backward passes of one batch; they add to the gradients of the weights."""
        with precision():
            max_loss, min_loss = self._losses(x_BLC)
        max_loss.backward(retain_graph=True)
        min_loss.backward()

    def _losses(self, x_BLC: Tensor) -> tuple[Tensor, Tensor]:
        """The losses of the Max and the Min phase."""
        token_BLD = self.embed(x_BLC.transpose(1, 2)).transpose(1, 2) + self.position_LD
        series_phase = prior_phase = x_BLC.new_zeros(())
        for layer in self.layers:
            token_BLD, series_BHLL, prior_BHLL = layer(token_BLD)
            series_phase = series_phase + (
                divergence(series_BHLL, normalised(prior_BHLL).detach())
                + divergence(normalised(prior_BHLL).detach(), series_BHLL)
            )
            prior_phase = prior_phase + (
                divergence(normalised(prior_BHLL), series_BHLL.detach())
                + divergence(series_BHLL.detach(), normalised(prior_BHLL))
            )
        error = functional.mse_loss(self.head(self.norm(token_BLD)).float(), x_BLC)
        share = self.k / len(self.layers)
        return error - share * series_phase, error + share * prior_phase


class _AssociationLayer(nn.Module):
    def __init__(self, params: ModelParams) -> None:
        super().__init__()
        width, self.heads = params.width, params.heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.sigma = nn.Linear(width, params.heads)
        self.feed_in = nn.Conv1d(width, FEED_FORWARD * width, 1)
        self.feed_out = nn.Conv1d(FEED_FORWARD * width, width, 1)
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        step_L = torch.arange(params.window)
        self.register_buffer("lag_LL", (step_L[:, None] - step_L).abs())

    def forward(self, token_BLD: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_BLHE, k_BLHE, v_BLHE = (
            project(token_BLD).unflatten(2, (self.heads, -1))
            for project in (self.query, self.key, self.value)
        )
        logit_BHLL = torch.einsum("bihe,bjhe->bhij", q_BLHE, k_BLHE) / q_BLHE.shape[-1] ** 0.5
        series_BHLL = logit_BHLL.softmax(-1)
        sigma_BLH = 3 ** (torch.sigmoid(5 * self.sigma(token_BLD)) + 1e-5) - 1
        sigma_BHLL = sigma_BLH.transpose(1, 2)[..., None].repeat(1, 1, 1, len(self.lag_LL))
        bell_BHLL = torch.exp(-(self.lag_LL**2) / (2 * sigma_BHLL**2))
        prior_BHLL = bell_BHLL / (math.sqrt(2 * math.pi) * sigma_BHLL)
        mixed_BLD = torch.einsum("bhij,bjhe->bihe", series_BHLL, v_BLHE).flatten(2)
        token_BLD = self.attention_norm(token_BLD + self.out(mixed_BLD))
        fed_BDL = self.feed_out(functional.gelu(self.feed_in(token_BLD.transpose(1, 2))))
        return self.feed_norm(token_BLD + fed_BDL.transpose(1, 2)), series_BHLL, prior_BHLL


def normalised(prior_BHLL: Tensor) -> Tensor:
    """A prior whose rows sum to 1."""
    return prior_BHLL / prior_BHLL.sum(-1, keepdim=True)


def divergence(p_BHLL: Tensor, q_BHLL: Tensor) -> Tensor:
    """Mean of KL(p||q), with logarithms."""
    return (p_BHLL * (torch.log(p_BHLL + 1e-4) - torch.log(q_BHLL + 1e-4))).sum(-1).mean()
