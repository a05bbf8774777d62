"""The linear skip: what ridge regressions predict for hidden values; the network adds to it.

Two predictions, both in closed form from train rows, for each owner (a vehicle, a class, the
fleet):

- *over time*: a short block hidden in a channel, from visible values of the same channel beside it;
- *over channels*: a channel hidden for the whole window, from the other channels of the same row.

Shape legend: B windows, L steps, C channels, V owners, K rows of a hidden block, W neighbours that
a regression sees, X = W + 1 (the intercept), S = W + K rows of a stretch, N stretches, T rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from amad.model.owners import FLEET, Owners
from amad.windows.ridge import solve_ridge
from amad.windows.scaler import UnknownVehicles
from amad.windows.series import TRAIN, Series
from amad.windows.store import WindowStore

SIDE = 5  # neighbours on either side of a block
PAST = 10  # neighbours before a block, where only the past counts
PENALTY = 1e-3  # of the squared coefficients, per stretch; scaled channels have about variance 1
SHRINKAGE = 0.03  # share by which correlations are shrunk towards 0
LEAST_SPREAD = 0.05  # scaled units; limits the influence of channels that hardly moved in train
LEAST_MISS = 0.05  # scaled units; the least unit of a residual
LIMIT = 10.0  # spreads; limits what a broken sensor does to the other channels
STRETCHES = 10_000  # about the most per vehicle, evenly spaced; more would add nothing


class LinearSkip(nn.Module):
    """Linear predictions of hidden values, (B, L, C), from the visible ones.

        skip = LinearSkip(channels=12, owners=owners, block=5, past_only=False)
        skip.fit(store)
        value_BLC, miss_BLC = skip(line_BLC, hidden_BLC, owner_B)

    *Over time*: a block of ``block`` hidden rows with SIDE visible values of its channel on either
    side of it (where ``block`` is less than SIDE: ``block``); with ``past_only``, up to ``block``
    rows after PAST visible ones. Each row of the block has a regression of its own. All other
    hidden values keep ``line_BLC``, the bridge. Coefficients are shrunk to those of the bridge, so
    without data the prediction is the bridge.

    *Over channels*: the conditional mean of a Gaussian, mu_h + S_hv S_vv^-1 (x_v - mu_v), with h
    the channels that are hidden for the whole window and v the others that the owner knows. S is
    the train covariance with its correlations shrunk by SHRINKAGE. Hidden values of v are those
    predicted over time.

    Beside the prediction it gives its expected error ``miss_BLC``: over time the root mean square
    on train (of the bridge, where the bridge is used), over channels the root of the conditional
    variance. This is the unit of the network's output, so that the network adds little noise to a
    channel that is predicted well.

    Buffers are saved with the weights: time_VCXK, miss_time_VC, miss_line_VC (of the bridge),
    mean_VC, spread_VC (0: never measured in train) and correlation_VCC.
    """

    time_VCXK: Tensor
    mean_VC: Tensor
    spread_VC: Tensor
    correlation_VCC: Tensor
    miss_time_VC: Tensor
    miss_line_VC: Tensor

    def __init__(self, channels: int, owners: Owners, block: int, past_only: bool) -> None:
        super().__init__()
        self.owners, self.block, self.past_only = owners, block, past_only
        self.before = PAST if past_only else min(SIDE, block)
        self.after = 0 if past_only else self.before
        V, C = len(owners), channels
        line_XK = self._bridge_coefficients()
        self.register_buffer("time_VCXK", line_XK.expand(V, C, *line_XK.shape).clone())
        self.register_buffer("mean_VC", torch.zeros(V, C))
        self.register_buffer("spread_VC", torch.zeros(V, C))
        self.register_buffer("correlation_VCC", torch.eye(C).expand(V, C, C).clone())
        self.register_buffer("miss_time_VC", torch.ones(V, C))
        self.register_buffer("miss_line_VC", torch.ones(V, C))

    def forward(
        self, line_BLC: Tensor, hidden_BLC: Tensor, owner_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The prediction where hidden, the value itself where visible; and its expected error.

        line_BLC: the windows with the bridge in place of hidden values. owner_B: long.
        """
        with torch.autocast(line_BLC.device.type, enabled=False):
            value_BLC, miss_BLC = self._over_time(line_BLC.float(), hidden_BLC, owner_B)
            return self._over_channels(value_BLC, miss_BLC, hidden_BLC, owner_B)

    def _over_time(
        self, line_BLC: Tensor, hidden_BLC: Tensor, owner_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        B, L, C = line_BLC.shape
        K, before = self.block, self.before
        span = before + K + self.after
        miss_BLC = self.miss_line_VC[owner_B][:, None].expand(B, L, C)
        if span > L:
            return line_BLC, miss_BLC
        seen_BLC, blocks = ~hidden_BLC, L - span + 1
        inside = throughout(hidden_BLC, 1 if self.past_only else K)[:, before : before + blocks]
        fits = inside & throughout(seen_BLC, before)[:, :blocks]
        if self.after:
            fits &= throughout(seen_BLC, self.after)[:, before + K :]
        window_N, first_N, channel_N = fits.nonzero(as_tuple=True)
        base_N = (window_N * L + first_N) * C + channel_N
        place_S = torch.arange(span, device=line_BLC.device) * C
        near_W = torch.cat([place_S[:before], place_S[before + K :]])
        flat = line_BLC.flatten()
        near_NW = flat[base_N[:, None] + near_W]
        weight_NXK = self.time_VCXK.flatten(0, 1)[owner_B[window_N] * C + channel_N]
        found_NK = torch.baddbmm(weight_NXK[:, -1:], near_NW[:, None], weight_NXK[:, :-1])[:, 0]
        at_NK = base_N[:, None] + place_S[before : before + K]
        if self.past_only:  # the block may end early, and what comes after it is visible
            hidden_NK = hidden_BLC.flatten()[at_NK].int().cummin(1).values.bool()
            at_NK, found_NK = at_NK[hidden_NK], found_NK[hidden_NK]
        served_BLC = torch.zeros_like(hidden_BLC).flatten()
        served_BLC[at_NK] = True
        miss_BLC = torch.where(
            served_BLC.view(B, L, C), self.miss_time_VC[owner_B][:, None], miss_BLC
        )
        return flat.index_put((at_NK,), found_NK).view(B, L, C), miss_BLC

    def _over_channels(
        self, value_BLC: Tensor, miss_BLC: Tensor, hidden_BLC: Tensor, owner_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        gone_BC = throughout(hidden_BLC, hidden_BLC.shape[1])[:, 0]
        at_B = (gone_BC & (self.spread_VC[owner_B] > 0)).any(1).nonzero()[:, 0]
        if len(at_B) == 0:
            return value_BLC, miss_BLC
        owner_B, gone_BC = owner_B[at_B], gone_BC[at_B]
        mean_BC, spread_BC = self.mean_VC[owner_B], self.spread_VC[owner_B]
        known_BC = ~gone_BC & (spread_BC > 0)
        weight_BCC, left_BC = conditional(self.correlation_VCC[owner_B], known_BC)
        part_BLC = value_BLC[at_B]
        unit_BLC = (part_BLC - mean_BC[:, None]) / spread_BC.clamp_min(LEAST_SPREAD)[:, None]
        found_BLC = unit_BLC.clamp(-LIMIT, LIMIT) @ weight_BCC
        found_BLC = mean_BC[:, None] + spread_BC[:, None] * found_BLC
        out_BLC = value_BLC.clone()
        out_BLC[at_B] = torch.where(gone_BC[:, None], found_BLC, part_BLC)
        left_BC = (spread_BC * left_BC.sqrt()).clamp_min(LEAST_MISS)
        miss_BLC = miss_BLC.clone()
        miss_BLC[at_B] = torch.where(gone_BC[:, None], left_BC[:, None], miss_BLC[at_B])
        return out_BLC, miss_BLC

    def fit(self, store: WindowStore) -> None:
        """Learn every owner's figures from a store's TRAIN rows, a vehicle in memory at a time.

        Pooled owners learn from vehicles scaled as if they were unknown, as in a detector.
        """
        classes = {vehicle: store.vehicle_class(vehicle) for vehicle in store.vehicles}
        self.fit_series(
            (store.scaler.apply(store.series(vehicle).part(TRAIN)) for vehicle in store.vehicles),
            UnknownVehicles(store.scaler, classes),
        )

    def fit_series(self, train: Iterable[Series], unknown: UnknownVehicles | None = None) -> None:
        """Learn every owner's figures from scaled train series, one per vehicle.

        unknown: how a pooled owner sees a vehicle; None pools the series as they are.
        """
        sums: dict[int, _Sums] = {}
        for series in train:
            own = self._summarise(series)
            own_class = self.owners.class_number(series.vehicle_class)
            owner = self.owners.index(series.vehicle, series.vehicle_class)
            # FLEET is visited first. In a fleet of one class, a vehicle unknown to the fleet is
            # also unknown to the class, so the result is used again.
            met = own
            for pooled in sorted({FLEET, own_class}):
                if unknown is not None and (pooled == FLEET or len(self.owners.classes) > 1):
                    met = self._summarise(unknown.of(series, whole_fleet=pooled == FLEET))
                sums[pooled] = met if pooled not in sums else sums[pooled] + met
            if owner > len(self.owners.classes):
                self._solve(owner, own)
        for owner, summed in sums.items():
            self._solve(owner, summed)

    def _summarise(self, series: Series) -> "_Sums":
        known_TC = (series.valid_TC == 1).astype(np.float64)
        value_TC = np.clip(series.value_TC, -LIMIT, LIMIT) * known_TC
        return _Sums(
            gram_CSS=self._gram(series),
            count_CC=known_TC.T @ known_TC,
            total_CC=value_TC.T @ known_TC,
            square_CC=value_TC.T @ value_TC,
        )

    def _gram(self, series: Series) -> np.ndarray:
        """Sums over measured stretches [before, block, after, 1] of a channel, (C, S+1, S+1)."""
        span, C = self.before + self.block + self.after, series.value_TC.shape[1]
        gram_CSS = np.zeros((C, span + 1, span + 1))
        count = series.rows - span + 1
        if count < 1:
            return gram_CSS
        first_N = np.arange(0, count, -(-count // STRETCHES))
        first_N = first_N[series.segment_T[first_N] == series.segment_T[first_N + span - 1]]
        for c in range(C):
            missing_T = np.concatenate([[0], np.cumsum(series.valid_TC[:, c] == 0)])
            use_N = first_N[missing_T[first_N + span] == missing_T[first_N]]
            stretch_NS = np.ones((len(use_N), span + 1))
            stretch_NS[:, :-1] = series.value_TC[use_N[:, None] + np.arange(span), c]
            gram_CSS[c] = stretch_NS.T @ stretch_NS
        return gram_CSS

    def _solve(self, owner: int, sums: "_Sums") -> None:
        gram_CSS, count_CC, total_CC = sums.gram_CSS, sums.count_CC, sums.total_CC
        line_XK = self._bridge_coefficients().double().numpy()
        block_K = np.arange(self.before, self.before + self.block)
        near_X = np.setdiff1d(np.arange(gram_CSS.shape[1]), block_K)
        normal_CXX = gram_CSS[:, near_X[:, None], near_X]
        cross_CXK = gram_CSS[:, near_X[:, None], block_K]
        count_C = np.maximum(gram_CSS[:, -1, -1], 1.0)
        time_CXK = solve_ridge(
            gram_CSS, near_X, block_K,
            penalty=PENALTY * count_C, intercept_penalty=1e-9 * count_C, prior_XY=line_XK,
        )  # fmt: skip

        def missed(weight_CXK: np.ndarray) -> np.ndarray:
            bent_CK = np.sum(weight_CXK * (normal_CXX @ weight_CXK - 2 * cross_CXK), axis=1)
            left_CK = gram_CSS[:, block_K, block_K] + bent_CK
            return np.sqrt(left_CK.mean(1).clip(0) / count_C)

        own_C = np.diagonal(count_CC)
        mean_C = np.diagonal(total_CC) / np.maximum(own_C, 1)
        product_CC = (
            sums.square_CC - total_CC * mean_C - (total_CC * mean_C).T
            + count_CC * np.outer(mean_C, mean_C)
        )  # fmt: skip
        spread_C = np.sqrt(np.diagonal(product_CC).clip(0) / np.maximum(own_C, 1))
        spread_C = spread_C.clip(LEAST_SPREAD)
        # The geometric mean of the counts of a pair, unlike the count of their common rows, keeps
        # the matrix positive semi-definite.
        scale_C = spread_C * np.sqrt(np.maximum(own_C, 1))
        correlation_CC = (1 - SHRINKAGE) * product_CC / np.outer(scale_C, scale_C)
        np.fill_diagonal(correlation_CC, 1.0)
        for buffer, value in (
            (self.time_VCXK, time_CXK),
            (self.mean_VC, mean_C),
            (self.spread_VC, np.where(own_C > 0, spread_C, 0.0)),
            (self.correlation_VCC, correlation_CC),
            (self.miss_time_VC, missed(time_CXK).clip(LEAST_MISS)),
            (self.miss_line_VC, missed(line_XK[None]).clip(LEAST_MISS)),
        ):
            buffer[owner] = torch.from_numpy(value).to(buffer)

    def _bridge_coefficients(self) -> Tensor:
        """The straight line as coefficients of [before, after, 1], (X, K)."""
        line_XK = torch.zeros(self.before + self.after + 1, self.block)
        share_K = torch.arange(1, self.block + 1) / (self.block + 1)
        if self.past_only:
            share_K = torch.zeros(self.block)
        else:
            line_XK[self.before] = share_K
        line_XK[self.before - 1] = 1 - share_K
        return line_XK


def throughout(flag_BLC: Tensor, steps: int) -> Tensor:
    """Whether a flag holds at a step and the ``steps`` - 1 after it; (B, L - steps + 1, C)."""
    covered = 1
    while covered < steps:
        ahead = min(covered, steps - covered)
        flag_BLC = flag_BLC[:, :-ahead] & flag_BLC[:, ahead:]
        covered += ahead
    return flag_BLC


def conditional(correlation_BCC: Tensor, known_BC: Tensor) -> tuple[Tensor, Tensor]:
    """The conditional mean and variance of a standard Gaussian, given the known channels.

    Returns weight_BCC, of known channel (row) in the mean of each channel (column), 0 in the rows
    of the others; and the variance left_BC in [0, 1].
    """
    both_BCC = known_BC[:, :, None] & known_BC[:, None, :]
    own_BC = torch.ones_like(known_BC, dtype=correlation_BCC.dtype)
    visible_BCC = (correlation_BCC * both_BCC).diagonal_scatter(own_BC, dim1=1, dim2=2)
    cross_BCC = correlation_BCC * known_BC[:, :, None]
    weight_BCC = torch.cholesky_solve(cross_BCC, torch.linalg.cholesky(visible_BCC))
    return weight_BCC, (1 - (cross_BCC * weight_BCC).sum(1)).clamp(0, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """What the solutions need to know of some rows; sums of vehicles are added up.

    gram_CSS: (C, S+1, S+1). count_CC, total_CC, square_CC: of the rows where both channels were
    measured, their number, the sum of the first channel's value and of the product.
    """

    gram_CSS: np.ndarray
    count_CC: np.ndarray
    total_CC: np.ndarray
    square_CC: np.ndarray

    def __add__(self, other: "_Sums") -> "_Sums":
        names = [item.name for item in fields(self)]
        return _Sums(**{name: getattr(self, name) + getattr(other, name) for name in names})
