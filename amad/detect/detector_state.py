"""The scores of a series, and what a detector has learnt at one level.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from amad.detect.chain import Calibration
from amad.windows.series import Series

FLEET = "fleet"
OWN_ROWS = 500  # train rows from which a vehicle is calibrated on its own
POOL_VEHICLES = 16  # at most, spread evenly over the sorted vehicles of a class
POOL_ROWS = 80_000  # at most, in all: bounds the time and memory of a pooled level


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The score, alarm and contributions of each row of a series.

    score_T float32, NaN where the row is not scored (segment shorter than the fleet's
    ``min_segment_rows``, or no member serves the vehicle). alarm_T bool. contribution_TC float32
    >= 0: how much of the evidence each channel gives. left_out: members without a finite residual.
    """

    score_T: np.ndarray
    alarm_T: np.ndarray
    contribution_TC: np.ndarray
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is ordinary at one level.

    calibration: of each member that serves it. ordinary: train mean of the members' mean evidence.
    excess_threshold: of each member that also counts by its excess, the ``EXCESS_QUANTILE`` of its
    evidence. allowance: what is taken off a score at a pooled level, so that the one threshold
    keeps its promise there: vehicles without history score higher. constant: the channels that
    never moved in train, and the scaled values that they are known to have. nearly_constant: of a
    vehicle's channels that hardly ever moved, the usual value, and the periods after which another
    becomes ordinary. For both see ``constant_channels``.
    """

    calibration: dict[str, Calibration]
    ordinary: float
    excess_threshold: dict[str, float] = field(default_factory=dict)
    allowance: float = 0.0
    constant: dict[int, tuple[float, ...]] = field(default_factory=dict)
    nearly_constant: dict[int, tuple[float, int]] = field(default_factory=dict)

    @property
    def remembered(self) -> list[int]:
        """The channels whose memory is longer than that of the members, in order."""
        return sorted({*self.constant, *self.nearly_constant})


def pooled(train: Sequence[Series]) -> list[Series]:
    """A bounded sample of several vehicles: some of them, and of each a stretch of its middle."""
    step = max(1, -(-len(train) // POOL_VEHICLES))
    chosen = list(train[::step])
    rows = POOL_ROWS // len(chosen)
    out = []
    for series in chosen:
        first = max(0, (series.rows - rows) // 2)
        out.append(series.rows_between(first, min(series.rows, first + rows)))
    return out
