"""Which dates a scoring job takes on, which it refuses, and what it has to say about the others."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from amad.engines.score.lake_snapshot import Snapshot
from amad.scores import partitions
from amad.scores.checksums import Checksums

SHOWN = 5  # vehicles or dates named in one sentence


@dataclass(kw_only=True)
class Plan:
    """days: to be scored, in order. published: the vehicles of each that are published now.

    refused: dates that would lose published vehicles, with these vehicles. told: sentences about
    what was asked for and is not done, or is done though nobody asked.
    """

    days: list[date] = field(default_factory=list)
    published: dict[date, frozenset[str]] = field(default_factory=dict)
    refused: dict[date, list[str]] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)


def make_plan(
    snapshot: Snapshot,
    runs: Path,
    champion: str,
    start: date,
    sums: Checksums,
    *,
    first: date | None = None,
    last: date | None = None,
    force: bool = False,
) -> Plan:
    """The dates to score: those asked for, or everything new.

    New is a date from ``start`` (of the test part) on that no version has scored, and a scored date
    whose partition is stale, incomplete or damaged. force: also where vehicles that are published
    have no rows in the lake any more.
    """
    begun = partitions.begun(runs)
    found = {
        day: versions[partitions.current(versions, champion)] for day, versions in begun.items()
    }
    whole = {
        day: manifest
        for day, manifest in found.items()
        if manifest is not None and partitions.is_whole(runs, manifest, sums)
    }
    broken = set(found) - set(whole)
    plan = Plan()
    there = snapshot.dates()
    if first is not None or last is not None:
        wanted = _asked(there, snapshot, broken, plan, first, last)
    else:
        wanted = [day for day in there if day not in found and day >= start]
        wanted += [
            day
            for day in there
            if day in broken or (day in whole and snapshot.is_stale(runs, whole[day], sums))
        ]
        if damaged := sorted(broken & set(there)):
            plan.told.append(f"scored again, files are damaged or missing: {some(damaged)}")
    for day in sorted(wanted):
        manifest = found.get(day)
        before = frozenset(manifest["vehicles"] if manifest else ())
        lost = sorted(before - {vehicle for vehicle, d in snapshot.parts if d == day})
        if lost and not force:
            plan.refused[day] = lost
        else:
            plan.days.append(day)
            plan.published[day] = before
    return plan


def _asked(
    there: list[date],
    snapshot: Snapshot,
    broken: set[date],
    plan: Plan,
    first: date | None,
    last: date | None,
) -> list[date]:
    """The dates asked for that have rows."""
    days = [day for day in there if (first or day) <= day <= (last or day)]
    if not days:
        asked = f"on {first}" if first == last else f"from {first or 'the start'} to {last}"
        dates = snapshot.lake.dates()
        span = f"rows from {dates[0]} to {dates[-1]}" if dates else "no rows"
        plan.told.append(f"no rows {asked}, so nothing to score; the lake has {span}")
        return []
    if first is not None and last is not None:
        asked_for = (first + timedelta(days=n) for n in range(min(366, (last - first).days + 1)))
        empty = [day for day in asked_for if day not in set(days)]
        if empty:
            plan.told.append(f"no rows on {some(empty)}, so nothing to score there")
    eve = days[0] - timedelta(days=1)
    if eve in broken and eve in there:
        plan.told.append(
            f"{eve} is scored as well: its files are damaged or missing, and incidents may go on "
            f"into {days[0]}"
        )
        days = [eve, *days]
    return days


def some(items: Iterable[object], most: int = SHOWN, separator: str = ", ") -> str:
    """``a, b and 3 more``."""
    texts = [str(item) for item in items]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more
