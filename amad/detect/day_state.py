"""What the days after a vehicle-day need of it, so that scoring a day reads no long history.

The windows of the members and of the chain reach a few hundred periods back. What looks back
further adds up figures of single rows, and these are kept by day:

- the score without window ranges, and the excess of each window range, from which the slow
  baseline and the threshold of a later row follow;
- per block of rows, how far each channel strayed, which tells whether it was far off before;
- the values of channels that never or hardly ever moved, for their memory of eight days.

The figures of a day are computed from the rows of that day and the ``context_us`` before it, and
never with a row after its end: in the same way when the day is scored and when a later day finds
that they were not kept. So they save time and change nothing.

Shape legend: T rows of a day, B blocks of rows, C channels, H rows of earlier days.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Self

import numpy as np

from amad.detect.alarms import DAY_US
from amad.detect.combine import Before
from amad.detect.constant_channels import MEMORY_DAYS, MEMORY_US, Record, records
from amad.detect.moving_threshold import CONTEXT_ROWS
from amad.detect.residual_cache import Arrays

if TYPE_CHECKING:
    from amad.detect.member_scorer import MemberScorer
    from amad.windows.series import Series

RECORD = ("time_M", "value_M", "index_M")  # the arrays of a record

LEAST_CONTEXT_ROWS = 200  # periods before a day; the shape of an incident is told from so many


def context_us(detector: "MemberScorer") -> int:
    """How many microseconds before a day are read with its rows."""
    rows = max(detector.window_rows, LEAST_CONTEXT_ROWS, detector.fleet.missing.min_segment_rows)
    return rows * detector.fleet.period_us


def figures_us(detector: "MemberScorer") -> int:
    """How many microseconds before a day the figures of earlier days count."""
    return (CONTEXT_ROWS + detector.baseline_rows) * detector.fleet.period_us


def figure_days(detector: "MemberScorer") -> int:
    """How many days before a day have figures that count."""
    return -(-figures_us(detector) // DAY_US)


def history_us(detector: "MemberScorer") -> int:
    """How many microseconds before a day the rows begin that its scores depend on.

    The figures of an earlier day are those of the whole day with the context before it, and its
    values may be settled by what was remembered then.
    """
    before_us = figure_days(detector) * DAY_US + _settling_us(detector)
    still = any(figures.constant for figures in detector.figures.values())
    if still and detector.reported_moves:
        before_us = max(before_us, MEMORY_US)
    return before_us + context_us(detector)


def state_us(detector: "MemberScorer") -> int:
    """How many microseconds before a day the rows begin that its state is made of."""
    return _settling_us(detector) + context_us(detector)


def _settling_us(detector: "MemberScorer") -> int:
    nearly = any(figures.nearly_constant for figures in detector.figures.values())
    return MEMORY_US if nearly else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """How far the channels strayed from one member's prediction, per block of rows.

    begin_B: microseconds. z2_BC: sum of the squared residuals in tolerances, float32. rows_BC: how
    many rows it is a sum of, uint8.
    """

    begin_B: np.ndarray
    z2_BC: np.ndarray
    rows_BC: np.ndarray

    @classmethod
    def of(cls, time_T: np.ndarray, z2_TC: np.ndarray, known_TC: np.ndarray, block_us: int) -> Self:
        """The sums of these rows, of which there is at least one, by blocks since the epoch."""
        begin_B, first_B = np.unique(time_T // block_us, return_index=True)
        return cls(
            begin_B=begin_B * block_us,
            z2_BC=np.add.reduceat(z2_TC, first_B, axis=0).astype(np.float32),
            rows_BC=np.add.reduceat(known_TC, first_B, axis=0, dtype=np.int64).astype(np.uint8),
        )

    def since(self, time_us: int) -> Self:
        """The blocks that begin at this time or later."""
        kept = slice(int(np.searchsorted(self.begin_B, time_us)), None)
        return type(self)(
            begin_B=self.begin_B[kept], z2_BC=self.z2_BC[kept], rows_BC=self.rows_BC[kept]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DayFigures:
    """The figures of the rows of one day, or of its last ones.

    time_T: int64 microseconds. predicted_T, excess: float32, as in ``combine.Combined``; NaN where
    a row has no score. usual: of each member that ranks channels.
    """

    time_T: np.ndarray
    predicted_T: np.ndarray
    excess: dict[str, np.ndarray] = field(default_factory=dict)
    usual: dict[str, Usual] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayState:
    """What the days after a vehicle-day need of it.

    records: of the channels that are remembered. figures: None where only those are known, because
    the day is too old for more.
    """

    records: dict[int, Record]
    figures: DayFigures | None = None

    def arrays(self) -> Arrays:
        """All of it by name, for a file."""
        found = {
            f"record/{name}": np.concatenate([getattr(r, name) for r in self.records.values()])
            for name in RECORD
            if self.records
        }
        counts = [len(record.time_M) for record in self.records.values()]
        found["channel"] = np.repeat(np.array(list(self.records), np.int32), counts)
        if self.figures is None:
            return found
        found |= {"time": self.figures.time_T, "predicted": self.figures.predicted_T}
        found |= {f"excess/{name}": excess_T for name, excess_T in self.figures.excess.items()}
        return found | {
            f"usual/{member}/{name}": getattr(usual, name)
            for member, usual in self.figures.usual.items()
            for name in ("begin_B", "z2_BC", "rows_BC")
        }

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The inverse of ``arrays``."""
        groups: dict[str, dict[str, dict[str, np.ndarray]]] = {}
        for name, array in arrays.items():
            kind, _, rest = name.partition("/")
            group, _, last = rest.rpartition("/")
            groups.setdefault(kind, {}).setdefault(group, {})[last] = array
        runs = np.unique(arrays["channel"], return_index=True, return_counts=True)
        known = {
            int(c): Record(**{name: arrays[f"record/{name}"][a : a + n] for name in RECORD})
            for c, a, n in zip(*runs, strict=True)
        }
        if "time" not in arrays:
            return cls(records=known)
        figures = DayFigures(
            time_T=arrays["time"],
            predicted_T=arrays["predicted"],
            excess=groups.get("excess", {}).get("", {}),
            usual={name: Usual(**found) for name, found in groups.get("usual", {}).items()},
        )
        return cls(records=known, figures=figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of the days before a day. usual: by member, its blocks in time order."""

    before: Before
    memory: dict[int, Record]
    usual: dict[str, list[Usual]]


def history(detector: "MemberScorer", states: Mapping[date, DayState], start_us: int) -> History:
    """What the states of the days before ``start_us`` say about the rows from there on.

    states: without a day that may not count.
    """
    figures = [s.figures for _, s in sorted(states.items()) if s.figures is not None]
    days = [Before(time_H=f.time_T, predicted_H=f.predicted_T, excess=f.excess) for f in figures]
    before = Before.joined(days, start_us - figures_us(detector))
    return History(before=before, memory=_memory(states, start_us), usual=_usual(figures))


def _usual(figures: list[DayFigures]) -> dict[str, list[Usual]]:
    names = sorted({name for f in figures for name in f.usual})
    return {name: [f.usual[name] for f in figures if name in f.usual] for name in names}


def _memory(states: Mapping[date, DayState], start_us: int) -> dict[int, Record]:
    """The records of the ``MEMORY_DAYS`` days before the day that begins at ``start_us``."""
    first = start_us // DAY_US - MEMORY_DAYS
    kept = [
        state.records
        for day, state in sorted(states.items())
        if first <= (day - date(1970, 1, 1)).days < start_us // DAY_US
    ]
    return {
        c: Record.joined([found[c] for found in kept if c in found])
        for c in sorted({c for found in kept for c in found})
    }


def remember(detector: "MemberScorer", series: "Series", rows: slice) -> dict[int, Record]:
    """The records of the remembered channels in these rows of a scaled series."""
    owner = detector.owner_of(series)
    return records(
        detector.scaled_for(series, owner).rows_between(rows.start, rows.stop),
        detector.remembered_channels(series.vehicle, series.vehicle_class),
        ~detector.too_short(series)[rows],
        detector.figures[owner].constant,
    )
