"""What the network cannot predict: the residual of each value, predicted while it was hidden.

Shape legend: T rows of a vehicle, B windows in a batch, L steps, C channels, K masks.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from amad.config.params import Hide
from amad.model.masks import complementary_masks
from amad.model.network import Amad
from amad.windows.series import Series


@dataclass(frozen=True, slots=True)
class Tile:
    """A window from row ``start``, which answers for rows ``first`` to ``last`` (exclusive).

    end: where its segment ends; rows of the window from there on do not exist.
    """

    start: int
    first: int
    last: int
    end: int

    @property
    def rows(self) -> slice:
        """The rows that it answers for, in the series."""
        return slice(self.first, self.last)

    @property
    def steps(self) -> slice:
        """The rows that it answers for, in the window."""
        return slice(self.first - self.start, self.last - self.start)


@torch.inference_mode()
def hidden_residual(
    model: Amad,
    series: Series,
    block: int,
    batch: int = 64,
    family: Hide = "time",
) -> np.ndarray:
    """x - x_hat for each row and channel of a scaled series, (T, C) float32.

    K complementary masks (see ``complementary_masks``) hide, all in one batch, blocks of ``block``
    rows (family ``time``) or groups of channels for a whole window (``channel``). The prediction of
    a value comes from the pass that hides it, so no residual is a copied input. What was not
    measured (``valid_TC`` 0) is hidden in every pass and has residual 0: no evidence. Rows of a
    segment shorter than the window are NaN.

    A network of direction ``past`` predicts a block of rows from the rows before it, with
    ``channel`` from the visible channels of the block as well. The first rows of a segment, without
    a window of history, are NaN.

    batch: windows in one pass through the network, counting each mask. The same series gives the
    same bytes. ``tiles`` and ``past_tiles`` say which window answers for which rows.
    """
    device, window = next(model.parameters()).device, model.params.window
    residual_TC = np.full(series.value_TC.shape, np.nan, np.float32)
    direction, C = model.params.direction, series.value_TC.shape[1]
    mask_KLC = complementary_masks(window, C, block, family, direction).to(device)
    if direction == "past":
        todo = past_tiles(series, window, block)
    else:
        todo = tiles(series, window, block if family == "time" else 0)
    owner = model.owners.index(series.vehicle, series.vehicle_class)
    size = max(1, batch // len(mask_KLC))
    model.eval()
    for at in range(0, len(todo), size):
        part = todo[at : at + size]
        x_BLC, valid_BLC = (found.to(device) for found in gather_tiles(series, part, window))
        hidden_KBLC = mask_KLC[:, None] | ~valid_BLC
        asked_KBL = mask_KLC.any(2)[:, None] & _answered(part, window).to(device)
        output = model(
            x_BLC.expand_as(hidden_KBLC).flatten(0, 1),
            hidden_KBLC.flatten(0, 1),
            need_discrepancy=False,
            owner_B=torch.full((len(mask_KLC) * len(part),), owner, device=device),
            asked_BL=asked_KBL.flatten(0, 1),
        )
        recon_KBLC = output.recon_BLC.unflatten(0, hidden_KBLC.shape[:2])
        recon_BLC = (recon_KBLC * mask_KLC[:, None]).sum(0)
        error_BLC = ((x_BLC - recon_BLC) * valid_BLC).cpu().numpy()
        for tile, error_LC in zip(part, error_BLC, strict=True):
            residual_TC[tile.rows] = error_LC[tile.steps]
    return residual_TC


def gather_tiles(series: Series, part: Sequence[Tile], window: int) -> tuple[Tensor, Tensor]:
    """x_BLC (float32) and valid_BLC (bool) of some tiles; beyond its segment nothing is valid."""
    row_BL = np.array([tile.start for tile in part])[:, None] + np.arange(window)
    inside_BL = row_BL < np.array([tile.end for tile in part])[:, None]
    row_BL = np.minimum(row_BL, series.rows - 1)
    valid_BLC = (series.valid_TC[row_BL] == 1) & inside_BL[..., None]
    return torch.from_numpy(series.value_TC[row_BL]), torch.from_numpy(valid_BLC)


def _answered(part: Sequence[Tile], window: int) -> Tensor:
    """Which steps of its window each tile answers for, bool (B, L)."""
    answered_BL = torch.zeros(len(part), window, dtype=torch.bool)
    for tile, own_L in zip(part, answered_BL, strict=True):
        own_L[tile.steps] = True
    return answered_BL


def tiles(series: Series, window: int, block: int) -> list[Tile]:
    """The windows that answer for each row of the segments of at least ``window`` rows, once.

    A window answers for its middle; ``block`` rows on either side (a quarter of the window at the
    most) are context, so that each hidden block has a visible one before and after it. Windows
    start on a grid counted in sampling periods since the epoch, so the window of a row does not
    depend on where the series was cut. The rows that none of these answers for, at the ends of a
    segment, have windows aligned to its ends.
    """
    margin = min(block, window // 4)
    advance = window - 2 * margin
    out: list[Tile] = []
    for first, last, number in numbered_segments(series, window):
        grid = range(first + -number % advance, last - window + 1, advance)
        starts = sorted({first, *grid, last - window})
        edges = [
            after + margin if after in grid else before + window - margin
            for before, after in pairwise(starts)
        ]
        bounds = zip(starts, [first, *edges], [*edges, last], strict=True)
        out += [Tile(*tile, end=last) for tile in bounds]
    return out


def past_tiles(series: Series, window: int, block: int) -> list[Tile]:
    """The windows that answer for the last ``block`` rows of theirs, from their history alone.

    The blocks are on a grid counted in sampling periods since the epoch. The last block of a
    segment may end early: its window then reaches beyond the segment, into rows that are hidden
    anyway. Rows before the first whole history of a segment have no window.
    """
    block = min(block, math.ceil(window / 2))
    before = window - block
    return [
        Tile(at - before, at, min(at + block, last), end=last)
        for first, last, number in numbered_segments(series, window)
        for at in range(first + before + -(number + before) % block, last, block)
    ]


def numbered_segments(series: Series, least: int) -> Iterator[tuple[int, int, int]]:
    """(first row, last row (exclusive), number) of each segment of at least ``least`` > 1 rows.

    number: of the first row, in sampling periods since the epoch.
    """
    for first, last in series.segments():
        if last - first >= least:
            start, following = series.timestamp_T[first : first + 2].tolist()
            yield first, last, start // (following - start)
