"""Which dates a scoring job scores, which it refuses, and what it has to say about the others."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from amad.config.wording import some
from amad.engines.score.lake_snapshot import Snapshot
from amad.scores import partitions
from amad.scores.checksums import Checksums


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """What a scoring job is asked to do.

    dates: the first and the last date to score, both included; None for everything new, see
    ``make_plan``. engine: ``process``, ``ray`` or ``auto``; None for the cluster profile's. force:
    publish a date even if vehicles that are published of it can no longer be scored.
    """

    dates: tuple[date, date] | None = None
    engine: str | None = None
    force: bool = False


EVERYTHING_NEW = ScoringRequest()


@dataclass(kw_only=True)
class Plan:
    """days: to be scored, in order. published: the vehicles of each that are published now.

    refused: dates that would lose published vehicles, with these vehicles. told: sentences about
    dates that were asked for and are not scored, or are scored without being asked for.
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
    request: ScoringRequest = EVERYTHING_NEW,
) -> Plan:
    """The dates to score: those asked for, or everything new.

    New is a date from ``start`` (of the test part) on that no version has scored, and a scored date
    whose partition is stale, incomplete or damaged.
    """
    found = {
        day: versions[partitions.current(versions, champion)]
        for day, versions in partitions.begun(runs).items()
    }
    whole = {
        day: manifest
        for day, manifest in found.items()
        if manifest is not None and partitions.is_whole(runs, manifest, sums)
    }
    broken = set(found) - set(whole)
    plan = Plan()
    there = snapshot.dates()
    if request.dates is not None:
        wanted = _asked(there, snapshot, broken, plan, *request.dates)
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
        before = frozenset(manifest.vehicles if manifest else ())
        lost = sorted(before - {vehicle for vehicle, d in snapshot.parts if d == day})
        if lost and not request.force:
            plan.refused[day] = lost
        else:
            plan.days.append(day)
            plan.published[day] = before
    return plan


def _asked(
    there: list[date], snapshot: Snapshot, broken: set[date], plan: Plan, first: date, last: date
) -> list[date]:
    """The dates from ``first`` to ``last`` that have rows."""
    days = [day for day in there if first <= day <= last]
    if not days:
        asked = f"on {first}" if first == last else f"from {first} to {last}"
        dates = snapshot.lake.dates()
        span = f"rows from {dates[0]} to {dates[-1]}" if dates else "no rows"
        plan.told.append(f"no rows {asked}, so nothing to score; the lake has {span}")
        return []
    asked_for = (first + timedelta(days=n) for n in range(min(366, (last - first).days + 1)))
    if empty := [day for day in asked_for if day not in set(days)]:
        plan.told.append(f"no rows on {some(empty)}, so nothing to score there")
    eve = days[0] - timedelta(days=1)
    if eve in broken and eve in there:
        plan.told.append(
            f"{eve} is scored as well: its files are damaged or missing, and incidents may go on "
            f"into {days[0]}"
        )
        days = [eve, *days]
    return days
