"""The level of a channel in some rows: the median of the values that were measured in them.

The levels of a vehicle-day are found while it is scored, when its rows are in memory, so that
``amad.incidents.peers`` can compare incidents with other vehicles without reading the lake again.
Only continuous channels have levels: codes have no distances, and where a counter or an angle
stands says nothing.

Shape legend: C channels, R rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from amad.config import Channel
from amad.incidents.incident import Incident

Level = dict[str, float]  # channel -> level; NaN where nothing was measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """The levels of a vehicle's continuous channels on one date.

    of_day: in all rows of the date. of_incidents: by the key of an incident, in its rows of the
    date, of the channels that it names.
    """

    of_day: Level = field(default_factory=dict)
    of_incidents: Mapping[tuple[str, int], Level] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        channels: Sequence[Channel],
        value_CR: np.ndarray,
        time_R: np.ndarray,
        incidents: Iterable[Incident],
    ) -> Self:
        """value_CR: measured values, NaN where there is none. time_R: microseconds, rising."""
        at = [c for c, channel in enumerate(channels) if channel.kind == "continuous"]
        names = [channels[c].name for c in at]

        def level(index: Sequence[int], rows: slice = slice(None)) -> Level:
            level_N = medians(value_CR[[at[n] for n in index], rows])
            return dict(zip((names[n] for n in index), level_N.tolist(), strict=True))

        def of_incident(item: Incident) -> Level:
            first, last = np.searchsorted(time_R, [item.start, item.end])
            return level([names.index(c) for c in item.channels if c in names], slice(first, last))

        return cls(
            of_day=level(range(len(at))),
            of_incidents={item.key: of_incident(item) for item in incidents},
        )


NO_LEVELS = Levels()


def medians(value_NR: np.ndarray) -> np.ndarray:
    """The median of the known values of each row of an array, (N,); NaN where none is known."""
    sorted_NR = np.sort(value_NR, axis=1)  # NaN comes last
    count_N = np.count_nonzero(np.isfinite(value_NR), axis=1)
    if not value_NR.shape[1]:
        return np.full(len(value_NR), np.nan)
    row_N, last = np.arange(len(value_NR)), np.maximum(count_N - 1, 0)
    median_N = (sorted_NR[row_N, last // 2] + sorted_NR[row_N, (last + 1) // 2]) / 2
    return np.where(count_N > 0, median_N, np.nan)
