"""Vehicles that stopped reporting and channels that vanished, each judged by its own habit.

A habit is read from the gaps between the dates on which a vehicle reported. Nothing here looks at a
clock: the newest date of the fleet stands for today.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

HABIT = 60  # gaps that make a habit, the newest ones: a new habit replaces an old one
USUAL = 0.95  # quantile of the gaps that is still usual


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A vehicle that has not reported for longer than it usually does not.

    last: the last date with rows of it. days: from there to the newest date of the fleet. usual:
    its longest usual gap between two reporting dates, in days (1: it reports every day). of_fleet:
    it has reported on a single date, so that the usual gap is that of the whole fleet.
    """

    vehicle: str
    last: date
    days: int
    usual: int
    of_fleet: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """A channel that a vehicle had, and that has no value on its newest reporting dates.

    last: the last date with a value. since: the first reporting date without. days: how many of its
    reporting dates have passed without.
    """

    vehicle: str
    channel: str
    last: date
    since: date
    days: int


def silent_vehicles(
    days: Iterable[tuple[str, date]], newest: date | None = None, retired: Sequence[str] = ()
) -> list[Silence]:
    """The vehicles that are silent on ``newest``, the longest silence first.

    A vehicle is silent once it has been away for longer than its longest usual gap and its median
    gap together: one that reports daily after three days, one that reports on Mondays after the
    second Monday without. A vehicle with a single date has no habit of its own and is held against
    the gaps of the whole fleet.

    days: (vehicle, date) of every vehicle-day with rows, in any order. newest: default, the newest
    of these dates. retired: shell patterns of vehicles that are not expected any more.
    """
    dates_of: dict[str, set[date]] = {}
    for vehicle, day in days:
        dates_of.setdefault(vehicle, set()).add(day)
    if not dates_of:
        return []
    newest = newest or max(map(max, dates_of.values()))
    gaps_of = {v: _gaps(sorted(d.toordinal() for d in dates)) for v, dates in dates_of.items()}
    of_all = [gap for gaps in gaps_of.values() for gap in gaps]
    found = []
    for vehicle, dates in dates_of.items():
        gaps, last = gaps_of[vehicle] or of_all, max(dates)
        if not gaps or any(fnmatchcase(vehicle, pattern) for pattern in retired):
            continue
        usual, away = _usual(gaps), (newest - last).days
        if away > usual + float(np.median(gaps)):
            alone = not gaps_of[vehicle]
            found.append(
                Silence(vehicle=vehicle, last=last, days=away, usual=usual, of_fleet=alone)
            )
    return sorted(found, key=lambda s: (-s.days, s.vehicle))


def vanished_channels(profile: pa.Table, retired: Sequence[str] = ()) -> list[Vanished]:
    """The channels that vehicles had in their earlier days and lack since, sorted.

    A channel has vanished once the vehicle has reported on more dates without a value of it than it
    usually does: at once, where it always had one.

    profile: of the schema PROFILE. retired: as in ``silent_vehicles``.
    """
    seen: dict[tuple[str, str], list[tuple[date, bool]]] = {}
    for row in _without_a_value_at_the_end(profile).to_pylist():
        mark = (row["date"], row["min"] is not None)
        seen.setdefault((row["vehicle"], row["channel"]), []).append(mark)
    found = []
    for (vehicle, channel), marks in sorted(seen.items()):
        marks.sort()
        there = [number for number, (_, has) in enumerate(marks) if has]
        without = len(marks) - 1 - there[-1]
        if any(fnmatchcase(vehicle, pattern) for pattern in retired):
            continue
        if without >= _usual(_gaps(there) or [1]):
            found.append(
                Vanished(
                    vehicle=vehicle,
                    channel=channel,
                    last=marks[there[-1]][0],
                    since=marks[there[-1] + 1][0],
                    days=without,
                )
            )
    return found


def _without_a_value_at_the_end(profile: pa.Table) -> pa.Table:
    """Of the channels that had values once and none on the newest date: all their rows."""
    pair = ["vehicle", "channel"]
    rows = profile.filter(profile["expected"]).select([*pair, "date", "min"])
    valued = rows.filter(pc.is_valid(rows["min"]))
    newest, last = (t.group_by(pair).aggregate([("date", "max")]) for t in (rows, valued))
    both = newest.join(last, pair, join_type="inner", right_suffix="_valued")
    gone = both.filter(pc.less(both["date_max_valued"], both["date_max"]))
    return rows.join(gone.select(pair), pair, join_type="left semi")


def _gaps(numbers: Sequence[int]) -> list[int]:
    """The newest steps between sorted numbers."""
    return np.diff(numbers)[-HABIT:].tolist()


def _usual(gaps: Sequence[int]) -> int:
    """The longest usual gap: a high quantile, so that one long absence excuses no other."""
    return int(np.quantile(gaps, USUAL, method="higher"))
