"""The papers' own anomaly criterion, for comparison only: no chain, no smoothing, no calibration.

    score_i = softmax_i(-D_i) e_i    over the steps i of one window; windows do not overlap

with D the association discrepancy of a step and e its mean squared reconstruction error (Anomaly
Transformer, arXiv 2110.02642, section 3.3, which our reading of AMAD takes over).

Shape legend: T rows of a vehicle, B windows, L steps in a window, C channels, N rows of a tile.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect.scorer import RawScore, Scorer
from amad.windows.scaler import Scaler
from amad.windows.series import Series

if TYPE_CHECKING:
    from amad.model.bundle import Bundle
    from amad.model.network import Amad
    from amad.model.residual import Tile

BATCH = 32  # windows per pass through the network


class CriterionScorer(Scorer):
    """The criterion of a trained network, with a threshold like any method's.

        criterion_detector(bundle, params.detect).fit(train, calibration).score(series)

    The error is that of visible values; what was not measured is hidden from the network and counts
    nowhere. The network bounds its discrepancy to [0, 1). The softmax takes the unbounded one,
    D / (1 - D), which for one layer and head is the discrepancy itself. A channel's contribution to
    a row is its share of the squared error. Only the threshold is learnt. Segments shorter than a
    window have no score.
    """

    def __init__(
        self,
        network: "Amad | None",
        params: DetectParams,
        fleet: Fleet,
        scaler: Scaler | None,
        name: str,
    ) -> None:
        """network: None where a subclass trains one in ``learn``."""
        super().__init__(params, fleet, scaler, name)
        self.network = network

    @property
    def context_rows(self) -> int:
        """How many rows before a row its window may begin."""
        return self.network.params.window if self.network else 0

    @property
    def lookahead_rows(self) -> int:
        """How many rows after a row its window may end."""
        return self.context_rows

    def raw_score(self, series: Series) -> RawScore:
        """The criterion; NaN, with contributions of 0, where there is no window."""
        from amad.model.residual import tiles

        assert self.network is not None, "the network is given or fitted"
        score_T = np.full(series.rows, np.nan)
        contribution_TC = np.zeros(series.value_TC.shape)
        todo = tiles(series, self.network.params.window, 0)
        passes = visible_passes(self.network, series, todo, need_discrepancy=True)
        for tile, error_NC, weight_N in passes:
            rows = tile.rows
            known_NC = series.valid_TC[rows] == 1
            square_NC = np.where(known_NC, error_NC.astype(np.float64) ** 2, 0.0)
            share_NC = square_NC / np.maximum(known_NC.sum(axis=1, keepdims=True), 1)
            assert weight_N is not None, "the discrepancy was asked for"
            contribution_TC[rows] = weight_N[:, None] * share_NC
            score_T[rows] = contribution_TC[rows].sum(axis=1)
        return self._where_scored(score_T, contribution_TC, self.too_short(series))


def criterion_detector(bundle: "Bundle", params: DetectParams) -> CriterionScorer:
    """The criterion of a bundle's network, unfitted: ``amad_criterion``."""
    return CriterionScorer(bundle.model, params, bundle.fleet, bundle.scaler, name="amad_criterion")


def visible_passes(
    network: "Amad", series: Series, todo: Sequence["Tile"], *, need_discrepancy: bool
) -> Iterator[tuple["Tile", np.ndarray, np.ndarray | None]]:
    """The network's error where it sees everything that was measured.

    Yields each of the tiles ``todo``, and for the rows that it answers for x - x_hat (N, C) float32
    and, if asked for, softmax over the whole window of minus the unbounded discrepancy (N,)
    float64.
    """
    import torch

    from amad.model.residual import gather_tiles

    window = network.params.window
    owner = network.owners.index(series.vehicle, series.vehicle_class)
    network.eval()
    for at in range(0, len(todo), BATCH):
        part = todo[at : at + BATCH]
        x_BLC, valid_BLC = gather_tiles(series, part, window)
        with torch.inference_mode():
            output = network(
                x_BLC,
                ~valid_BLC,
                need_discrepancy=need_discrepancy,
                owner_B=torch.full((len(part),), owner),
            )
            error_BLC = (x_BLC - output.recon_BLC).numpy()
            weight_BL = None
            if need_discrepancy:
                bounded_BL = output.discrepancy_BL.double()
                weight_BL = (-bounded_BL / (1 - bounded_BL)).softmax(-1).numpy()
        for b, tile in enumerate(part):
            weight_N = None if weight_BL is None else weight_BL[b, tile.steps]
            yield tile, error_BLC[b, tile.steps], weight_N
