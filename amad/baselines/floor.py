"""The floor: what a score without any knowledge reaches on the same labels.

Shape legend: T rows of a vehicle, C channels.
"""

import zlib
from collections.abc import Sequence

import numpy as np

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect.detector import Detector
from amad.detect.detector_state import FLEET, Level
from amad.windows.scaler import Scaler
from amad.windows.series import Series


class RandomDetector(Detector):
    """Uniform scores and parts, unsmoothed: the evidence chain has nothing to work on.

    The numbers depend on the seed and on the series itself: the same series gets the same scores,
    two copies with different faults in them do not.
    """

    def __init__(
        self, params: DetectParams, fleet: Fleet, scaler: Scaler | None, seed: int
    ) -> None:
        super().__init__([], params, fleet, scaler, name="random")
        self.seed = seed

    def fit_levels(self, train: Sequence[Series]) -> None:
        """Nothing to learn."""
        self.levels = {FLEET: Level(calibration={}, ordinary=0.0)}

    def raw_score(self, series: Series) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Uniform in [0, 1); NaN in segments too short to be scored."""
        content = zlib.crc32(np.ascontiguousarray(series.value_TC).data)
        vehicle = zlib.crc32(series.vehicle.encode())
        rng = np.random.default_rng([self.seed, vehicle, content])
        score_T = rng.random(series.rows)
        part_TC = rng.random(series.value_TC.shape, np.float32) * self.present(series)
        unscored_T = self.too_short(series)
        score_T[unscored_T] = np.nan
        part_TC[unscored_T] = 0.0
        return score_T, part_TC, ()
