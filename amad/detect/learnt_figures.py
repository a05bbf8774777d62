"""What a detector has learnt about one vehicle, one class or the whole fleet.

Figures have an *owner*: ``vehicle/<id>``, ``class/<name>`` or ``fleet``. The figures of a class and
of the fleet are pooled over several vehicles; they serve vehicles that have none of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from amad.detect.chain import Calibration
from amad.windows.series import Series

FLEET = "fleet"
OWN_ROWS = 500  # a vehicle with at least this many train rows has figures of its own
SHORT_ROWS = 60  # in a fleet where no vehicle has that many, these are enough
POOL_VEHICLES = 16  # pooled figures are learnt from at most this many vehicles
POOL_ROWS = 80_000  # and from at most this many rows, which bounds time and memory


@dataclass(frozen=True, slots=True, kw_only=True)
class LearntFigures:
    """What is ordinary for one owner.

    calibration: of each member that can serve the owner, by the member's name.
    explained: share of the variance of the train rows that the predicting members explain, 0 to 1,
    cross-fitted; ``amad.detect.combine`` weighs the window range members by it.
    excess_threshold: for each member whose excess counts, the ``EXCESS_QUANTILE`` of its evidence.
    allowance: subtracted from every score, in score units. It is above 0 for pooled figures only:
    vehicles without history have higher scores, and one threshold serves all vehicles.
    constant: channels that never moved in the train rows, and the scaled values they are known to
    have had.
    nearly_constant: channels that hardly ever moved in the train rows of a vehicle: the usual
    scaled value, and the number of periods after which another value becomes ordinary.

    ``constant_channels`` explains the last two.
    """

    calibration: dict[str, Calibration]
    explained: float = 1.0
    excess_threshold: dict[str, float] = field(default_factory=dict)
    allowance: float = 0.0
    constant: dict[int, tuple[float, ...]] = field(default_factory=dict)
    nearly_constant: dict[int, tuple[float, int]] = field(default_factory=dict)

    @property
    def remembered(self) -> list[int]:
        """Channels whose history is read further back than the members need, in order."""
        return sorted({*self.constant, *self.nearly_constant})


def own_rows(train: Sequence[Series]) -> int:
    """From how many train rows on a vehicle of this fleet has figures of its own.

    Figures from few rows give higher scores. One threshold serves all vehicles, so it can keep its
    promise if all histories are short, but not for a few short ones among long ones: these are
    better served by pooled figures.
    """
    return OWN_ROWS if any(series.rows >= OWN_ROWS for series in train) else SHORT_ROWS


def pooled(train: Sequence[Series]) -> list[Series]:
    """A bounded sample of several vehicles: some of them, and the middle rows of each."""
    step = max(1, -(-len(train) // POOL_VEHICLES))
    chosen = list(train[::step])
    rows = POOL_ROWS // len(chosen)
    sample = []
    for series in chosen:
        first = max(0, (series.rows - rows) // 2)
        sample.append(series.rows_between(first, min(series.rows, first + rows)))
    return sample
