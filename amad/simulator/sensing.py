"""From what is to what is reported: sensor noise and steps, then a link that loses rows.

Shape legend: T rows of the day, C channels, R rows as they arrive.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from amad.simulator.catalogue import Sensor

OUTAGE_CHANCE = 0.06  # of a vehicle-day with faults: one channel is silent for a third or more


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruments:
    """The sensors of one vehicle as arrays, in the order of its channels."""

    names: list[str]
    noise_C: np.ndarray
    step_C: np.ndarray
    low_C: np.ndarray
    high_C: np.ndarray
    spread_C: np.ndarray
    zero_C: np.ndarray
    faulty_C: np.ndarray

    @classmethod
    def of(cls, sensors: dict[str, Sensor], noise_factor: float) -> "Instruments":
        """Stack the sensors of a vehicle's kind; ``noise_factor`` scales their noise."""
        stacked = {
            f"{field.name}_C": np.array(
                [getattr(sensor, field.name) for sensor in sensors.values()]
            )
            for field in fields(Sensor)
        }
        stacked["noise_C"] = stacked["noise_C"] * noise_factor
        return cls(names=list(sensors), **stacked)

    def only(self, columns: list[int]) -> "Instruments":
        """The sensors of these columns."""
        arrays = {f: getattr(self, f)[columns] for f in self.__slots__ if f != "names"}
        return replace(self, names=[self.names[i] for i in columns], **arrays)

    def digitised(self, value_TC: np.ndarray) -> np.ndarray:
        """Values as the sensor can show them: in steps, within its limits."""
        steps_TC = np.rint(value_TC / self.step_C)
        return np.clip(steps_TC * self.step_C, self.low_C, self.high_C)

    def measured(self, true_TC: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """True values with each sensor's noise and steps."""
        noise_TC = rng.standard_normal(true_TC.shape, np.float32) * self.noise_C
        noise_TC[:, self.zero_C] *= true_TC[:, self.zero_C] != 0
        return self.digitised(true_TC + noise_TC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """How a day's rows reach the file.

    row_R: which row of the day arrives, in the order of arrival, some twice, some not at all.
    late_R: arrives with the next day's file. clockless_R: the row has lost its timestamp.
    """

    row_R: np.ndarray
    late_R: np.ndarray
    clockless_R: np.ndarray


def lose_values(
    value_TC: np.ndarray, hours: float, outages: bool, rng: np.random.Generator
) -> np.ndarray:
    """A copy, NaN where a sensor fails to report: seconds now and then, hours in an outage."""
    value_TC = value_TC.copy()
    rows, channels = value_TC.shape
    if not channels:
        return value_TC
    count = rng.poisson(4 * hours)
    first = rng.integers(0, rows, count)
    channel = rng.integers(0, channels, count)
    for row, column, length in zip(first, channel, rng.integers(2, 26, count), strict=True):
        value_TC[row : row + length, column] = np.nan
    silent, begin, share = rng.random(3)
    if outages and silent < OUTAGE_CHANCE:
        length = int((0.35 + 0.35 * share) * rows)
        begin = int(begin * (rows - length))
        value_TC[begin : begin + length, rng.integers(channels)] = np.nan
    return value_TC


def arrive(rows: int, hours: float, rng: np.random.Generator) -> Arrival:
    """Draw what the link does to a day's rows: gaps, repeats, rows late by minutes or by a day."""
    kept_T = np.ones(rows, bool)
    holes = rng.poisson(3 * hours)
    long = rng.random(holes) < 0.12
    lengths = np.where(long, rng.integers(40, 120, holes), rng.integers(2, 20, holes))
    for first, length in zip(rng.integers(0, rows, holes), lengths, strict=True):
        kept_T[first : first + length] = False
    order_T = np.arange(rows, dtype=float)
    for first, length, delay in rng.integers([0, 5, 20], [rows, 30, 200], (rng.poisson(hours), 3)):
        order_T[first : first + length] += delay
    kept = np.flatnonzero(kept_T)
    repeated = rng.choice(kept, rng.binomial(len(kept), 0.002))
    row_R = np.concatenate([kept, repeated])
    key_R = np.concatenate([order_T[kept], order_T[repeated] + rng.integers(0, 30, len(repeated))])
    row_R = row_R[np.argsort(key_R, kind="stable")]
    tail = rng.integers(5, 40) if rng.random() < 0.3 else 0
    clockless_R = np.zeros(len(row_R), bool)
    if rng.random() < 0.4:
        clockless_R[rng.integers(0, len(row_R), rng.integers(1, 4))] = True
    return Arrival(row_R=row_R, late_R=row_R >= rows - tail, clockless_R=clockless_R)
