"""What the simulated kinds of machine share: a vehicle with its faults, and their building blocks.

Every array has one value per row of a vehicle. The random numbers of a vehicle do not depend on its
faults: with another plan of faults, or none, all else is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter
from scipy.stats import poisson

from bench.kinds.fleets.events import event_channels

STRENGTHS = (0.5, 1.0, 2.0)
CALM_END = 50  # rows without a fault at the end of a vehicle


class Fault(NamedTuple):
    """A fault from row ``first`` to before row ``end``; both its rows and their label."""

    first: int
    end: int
    name: str
    strength: float

    @property
    def rows(self) -> slice:
        """Where the fault is."""
        return slice(self.first, self.end)

    def ramp(self, first: float, last: float) -> np.ndarray:
        """A straight line over the rows of the fault."""
        return np.linspace(first, last, self.end - self.first)

    def noise(self) -> np.ndarray:
        """Noise of variance 1 over its rows, by a generator of its own."""
        rng = np.random.default_rng([self.first, self.end])
        return rng.normal(size=self.end - self.first)


class Vehicle:
    """One machine: how many rows it has, its source of random numbers, and its faults.

    number: within the fleet, from 0. train_rows: rows before the test part, without any fault.
    """

    def __init__(
        self, number: int, rows: int, train_rows: int, rng: np.random.Generator,
        faults: Sequence[Fault],
    ) -> None:  # fmt: skip
        self.number, self.rows, self.train_rows = number, rows, train_rows
        self.rng, self.faults = rng, faults

    @property
    def row(self) -> np.ndarray:
        """The number of each row."""
        return np.arange(self.rows)

    def noise(self, scale: float = 1.0) -> np.ndarray:
        """Independent normal noise with this standard deviation."""
        return self.rng.normal(0, scale, self.rows)

    def wander(self, steps: float) -> np.ndarray:
        """An Ornstein-Uhlenbeck process of variance 1 that forgets its past within ``steps`` rows.

        At row t it is a x(t-1) + e(t), with a = exp(-1 / steps).
        """
        kept = np.exp(-1 / steps)
        pushes = self.noise()
        pushes[1:] *= np.sqrt(1 - kept**2)
        return lfilter([1.0], [1.0, -kept], pushes)

    def day(self, rows: float, shift: float) -> np.ndarray:
        """A sine with a period of so many rows, moved by ``shift`` (radians)."""
        return np.sin(2 * np.pi * self.row / rows + shift)

    def counts(self, mean: np.ndarray) -> np.ndarray:
        """Poisson counts with these means, by inversion: each row has its own random number."""
        return poisson.ppf(self.rng.random(self.rows), mean)

    def named(self, name: str) -> Iterator[Fault]:
        """The faults of this name."""
        return (fault for fault in self.faults if fault.name == name)

    def strength(self, name: str) -> np.ndarray:
        """The strength of the faults of this name where they are, 0 elsewhere."""
        found = np.zeros(self.rows)
        for fault in self.named(name):
            found[fault.rows] = fault.strength
        return found

    def growing(self, name: str, first: float, last: float) -> np.ndarray:
        """A line from ``first`` to ``last`` times the strength within each fault, 0 elsewhere."""
        found = np.zeros(self.rows)
        for fault in self.named(name):
            found[fault.rows] = fault.ramp(first, last * fault.strength)
        return found

    def shaken(self, scale: float) -> np.ndarray:
        """Noise of ``scale`` times the strength within each fault ``noise``, 0 elsewhere."""
        found = np.zeros(self.rows)
        for fault in self.named("noise"):
            found[fault.rows] = scale * fault.strength * fault.noise()
        return found

    def held(self, name: str, value: np.ndarray) -> np.ndarray:
        """The values, which stay at the first of each fault of this name until its end."""
        found = value.copy()
        for fault in self.named(name):
            found[fault.rows] = found[fault.first]
        return found


def lagged(value: np.ndarray, steps: float) -> np.ndarray:
    """First-order lag: each row goes 1 / ``steps`` of the way to the value; starts at the first."""
    share = 1 / steps
    start = [(1 - share) * value[0]]
    found, _ = lfilter([share], [1.0, share - 1], value, zi=start)
    return found


Channels = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of machine, and its fleet.

    what: in a sentence without a full stop, with the faults. simulate: the channels of a vehicle.
    faults: names, which come in turn. lengths: least and most rows of a fault, drawn evenly on a
    logarithmic scale. gaps: rows between two faults, from the least to before the most. calm: rows
    of the test part before the first gap. turn: by how many faults a vehicle's plan begins later
    than that of the vehicle before. varied: do gains and offsets of channels differ by vehicle?
    events: are there channels of events as well?
    """

    name: str
    what: str
    seed: int
    simulate: Callable[[Vehicle], Channels]
    faults: tuple[str, ...]
    lengths: tuple[int, int]
    period_seconds: float
    gaps: tuple[int, int] = (200, 900)
    calm: int = 300
    rows: int = 12_000
    train_rows: int = 7_000
    vehicles: int = 5
    turn: int = 1
    varied: bool = True
    events: bool = False

    def with_events(self) -> "Kind":
        """The same fleet, with four channels of events beside the others."""
        what = f"the fleet {self.name} with a door, a count of fault codes, a set point and a mode"
        return replace(self, name=f"{self.name}_events", what=what, events=True)

    def plan(self, number: int) -> list[Fault]:
        """The faults of a vehicle, all in its test part and none beside another."""
        rng = np.random.default_rng([self.seed, number, 0])
        found: list[Fault] = []
        at = self.train_rows + self.calm
        while True:
            rows = int(np.exp(rng.uniform(*np.log(self.lengths))))
            at += int(rng.integers(*self.gaps))
            if at + rows > self.rows - CALM_END:
                return found
            name = self.faults[(len(found) + self.turn * number) % len(self.faults)]
            found.append(Fault(at, at + rows, name, float(rng.choice(STRENGTHS))))
            at += rows

    def channels(self, number: int, faults: Sequence[Fault]) -> Channels:
        """What the vehicle measures with these faults."""
        rng = np.random.default_rng([self.seed, number, 1])
        vehicle = Vehicle(number, self.rows, self.train_rows, rng, faults)
        found = self.simulate(vehicle)
        if self.varied:
            rng = np.random.default_rng([self.seed, number, 2])
            found = {name: self._varied(value, rng) for name, value in found.items()}
        if self.events:
            rng = np.random.default_rng([self.seed, number, 3])
            found |= event_channels(self.rows, rng)
        return {name: value.astype(np.float32) for name, value in found.items()}

    def label(self, faults: Sequence[Fault]) -> np.ndarray:
        """1 where there is a fault, 0 elsewhere."""
        found = np.zeros(self.rows, np.int8)
        for fault in faults:
            found[fault.rows] = 1
        return found

    def _varied(self, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sensors of one kind differ: a gain of about 5 %, an offset of 2 % of the deviation."""
        gain, offset = rng.normal(size=2)
        return value * (1 + 0.05 * gain) + 0.02 * value[: self.train_rows].std() * offset
