"""A detector is fitted from parts that are read when they are asked, as from series in memory."""

import weakref
from dataclasses import dataclass, field, replace

import numpy as np
from detect_kit import (
    LINEAR,
    coupled,
    fleet_of,
    linear_members,
)

from amad.detect.detector import Detector
from amad.detect.learnt_figures import POOL_VEHICLES
from amad.windows.series import Series

VEHICLES = [f"b-{k:02d}" for k in range(3 * POOL_VEHICLES)]


@dataclass
class Reader:
    """Reads its series anew each time; the readers of a fleet count together what is in memory."""

    series: Series
    known: list[weakref.ref] = field(repr=False)
    held: list[int] = field(repr=False)

    @property
    def vehicle(self) -> str:
        return self.series.vehicle

    @property
    def vehicle_class(self) -> str:
        return self.series.vehicle_class

    @property
    def rows(self) -> int:
        return self.series.rows

    @property
    def timestamp_T(self) -> np.ndarray:
        return self.series.timestamp_T

    @property
    def rows_before(self) -> int:
        return 0

    def rows_between(self, first: int, last: int) -> Series:
        found = self.series.rows_between(first, last)
        found = replace(found, value_TC=found.value_TC.copy())
        self.known.append(weakref.ref(found.value_TC))
        self.held.append(sum(ref() is not None for ref in self.known))
        return found


def test_memory_holds_one_vehicle_or_the_sample_of_pooled_figures() -> None:
    train = [coupled(vehicle, 200, seed=k) for k, vehicle in enumerate(VEHICLES)]
    calibration = [coupled(v, 100, seed=99 + k, begin=200) for k, v in enumerate(VEHICLES)]
    known: list[weakref.ref] = []
    held: list[int] = []
    readers = [[Reader(s, known, held) for s in part] for part in (train, calibration)]
    in_memory, read = (
        Detector(linear_members(), LINEAR, fleet_of(), None).fit(*parts)
        for parts in ((train, calibration), readers)
    )
    samples = 6 * POOL_VEHICLES
    assert 2 * len(VEHICLES) < len(held) <= 2 * len(VEHICLES) + samples, "each vehicle is read once"
    assert max(held) <= POOL_VEHICLES + 2
    assert read.operating_point == in_memory.operating_point
    for vehicle in (VEHICLES[0], VEHICLES[-1], "stranger"):
        series = coupled(vehicle, 300, seed=7)
        np.testing.assert_array_equal(read.score(series).score_T, in_memory.score(series).score_T)
