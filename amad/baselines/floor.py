"""The floor: what a score without any knowledge reaches on the same labels.

Shape legend: T rows of a vehicle, C channels.
"""

import zlib

import numpy as np

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect.chain import EvidenceChain
from amad.detect.scorer import RawScore, Scorer
from amad.windows.scaler import Scaler
from amad.windows.series import Series


class RandomScorer(Scorer):
    """Uniform scores and contributions, without the evidence chain.

    The numbers depend on the seed and on the series itself: the same series always has the same
    scores, and two copies with different faults have different ones.
    """

    def __init__(
        self, params: DetectParams, fleet: Fleet, scaler: Scaler | None, seed: int
    ) -> None:
        super().__init__(params, fleet, scaler, name="random")
        self.seed = seed

    @property
    def context_rows(self) -> int:
        """A score depends on no row before its own."""
        return 0

    @property
    def lookahead_rows(self) -> int:
        """As many as for the methods that it is compared with."""
        return EvidenceChain(self.params).reach()[1]

    def raw_score(self, series: Series) -> RawScore:
        """Uniform in [0, 1); NaN in segments too short to be scored."""
        content = zlib.crc32(np.ascontiguousarray(series.value_TC).data)
        vehicle = zlib.crc32(series.vehicle.encode())
        rng = np.random.default_rng([self.seed, vehicle, content])
        score_T = rng.random(series.rows)
        contribution_TC = rng.random(series.value_TC.shape, np.float32) * self.present(series)
        return self._where_scored(score_T, contribution_TC, self.too_short(series))
