"""What a detector has learnt about one vehicle, one class or the whole fleet.

Figures have an *owner*: ``vehicle/<id>``, ``class/<name>`` or ``fleet``. The figures of a class and
of the fleet are pooled over several vehicles; they serve vehicles that have none of their own.

There is no number of rows at which a vehicle is suddenly known. Its own figures are moved towards
those of its class by how little it has shown (``prior_rows``): coefficients, calibration, excess
thresholds, and what they explain. What is left unknown raises its scores, so an allowance is
subtracted that fades in the same way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from amad.detect.chain import Calibration
from amad.detect.pauses import Runs
from amad.detect.predictability import FULL, Explained, Predictability
from amad.detect.residual_cache import Arrays
from amad.windows.scaler import Scaler, UnknownVehicles
from amad.windows.series import Part, Reader, Series, apart, read
from amad.windows.short_history import evenly_spaced, unknown_share

FLEET = "fleet"
PRIOR = "prior/"  # and a class, or nothing for the fleet: figures that others are moved towards
SHORT_ROWS = 60  # a vehicle with fewer train rows has no figures of its own
PRIOR_SHARE = 0.25  # what the figures of the class count as beside no rows, in long histories
ALLOWANCE = 1.5  # of figures that are all of the class, in score units; own figures have none
POOL_VEHICLES = 16  # pooled figures are learnt from at most this many vehicles
POOL_ROWS = 80_000  # and from at most this many rows, which bounds time and memory
OWN_ROWS = 100_000  # the figures of a vehicle are learnt from at most this many of its train rows
OWN_STRETCHES = 40  # of equal length, if it has more


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntFigures:
    """What is ordinary for one owner.

    calibration: of each member that can serve the owner, by the member's name.
    predictability: by the best member over time, in its cross-fitted train residuals;
    ``amad.detect.combine`` weighs the kinds of members by it.
    explained: what it was chosen from; None of a detector that was loaded.
    excess_threshold: for each member whose excess counts, the ``EXCESS_QUANTILE`` of its evidence.
    allowance: subtracted from every score, in score units. It is above 0 for pooled figures and
    short histories only: their scores are higher, and one threshold serves all vehicles.
    constant: channels that never moved in the train rows, and the scaled values they are known to
    have had.
    paused: those of them whose first move is not reported, because it is ordinary in the class.
    nearly_constant: channels that hardly ever moved in the train rows of a vehicle: the usual
    scaled value, and the number of periods after which another value becomes ordinary.

    ``constant_channels`` explains the last three.
    """

    calibration: Mapping[str, Calibration]
    predictability: Predictability = FULL
    explained: Explained | None = None
    excess_threshold: dict[str, float] = field(default_factory=dict)
    allowance: float = 0.0
    constant: dict[int, tuple[float, ...]] = field(default_factory=dict)
    paused: frozenset[int] = frozenset()
    nearly_constant: dict[int, tuple[float, int]] = field(default_factory=dict)

    @property
    def reported(self) -> set[int]:
        """The constant channels whose first move is reported."""
        return self.constant.keys() - self.paused


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What the vehicles of a class have in common, each in its own units.

    The figures of a vehicle with a short history are moved towards it. figures: as for any owner.
    sums: by member, what its ``summarise`` adds up to. rows: of these sums. runs: by vehicle, how
    long each channel kept each value. counts_as: how many rows of the vehicle it is worth.
    """

    figures: LearntFigures
    sums: dict[str, Arrays]
    rows: int
    runs: Runs
    counts_as: float = 0.0


def prior_rows(rows: int, long_rows: int) -> float:
    """How many rows the figures of the class count as beside a vehicle's own.

    The fewer of its own, the more: ``PRIOR_SHARE`` of a long history, and none from there on.
    """
    return PRIOR_SHARE * long_rows * unknown_share(rows, long_rows)


def own_share(rows: int, counts_as: float) -> float:
    """The share of a vehicle's own figures, 0 to 1. counts_as: see ``Prior``."""
    return rows / (rows + counts_as)


def long_histories(train: Sequence[Part]) -> list[Part]:
    """The parts with at least half as many rows as the longest: what a class is known by."""
    longest = max((part.rows for part in train), default=0)
    return [part for part in train if 2 * part.rows >= longest]


def pooled(parts: Sequence[Part], reader: Reader = read) -> list[Series]:
    """A bounded sample of several vehicles: some of them, and the middle rows of each.

    reader: reads a part that is taken whole.
    """
    chosen = evenly_spaced(parts, POOL_VEHICLES)
    rows = POOL_ROWS // len(chosen)
    sample = []
    for part in chosen:
        first = (part.rows - rows) // 2
        sample.append(reader(part) if first <= 0 else part.rows_between(first, first + rows))
    return sample


def in_stretches(part: Part) -> Series:
    """At most ``OWN_ROWS`` rows of a vehicle, in stretches evenly spaced over all of them."""
    if part.rows <= OWN_ROWS:
        return read(part)
    length = OWN_ROWS // OWN_STRETCHES
    first_S = np.linspace(0, part.rows - length, OWN_STRETCHES).astype(int).tolist()
    return apart([part.rows_between(first, first + length) for first in first_S])


def without_history(
    parts: Sequence[Part], owner: str, scaler: Scaler, reader: Reader = read
) -> list[Series]:
    """A bounded sample of a class or the fleet, each vehicle scaled as if it were unknown.

    The figures of a fleet with several classes also serve vehicles of an unknown class, so there a
    vehicle is scaled as if only the other classes were known. reader: as in ``pooled``.
    """
    own = [part for part in parts if owner in (FLEET, f"class/{part.vehicle_class}")]
    sample = pooled(long_histories(own), reader) if own else []
    unknown = UnknownVehicles(scaler, {part.vehicle: part.vehicle_class for part in parts})
    return [unknown.of(series, whole_fleet=owner == FLEET) for series in sample]
