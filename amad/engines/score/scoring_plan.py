"""Which dates a scoring job scores and why, which it refuses, and what it says of the others."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from amad.config import DataError
from amad.config.wording import some
from amad.engines.score.lake_snapshot import DAMAGED, Snapshot
from amad.scores import partitions
from amad.scores.job_log import Refused
from amad.scores.partition_manifest import PartitionManifest
from amad.telemetry.checksums import Checksums

NEW, ASKED = "no scores yet", "asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringRequest:
    """What a scoring job is asked to do.

    dates: the first and the last date to score, both included; ``date.max`` as the last for an open
    end; None for everything new, see ``make_plan``. vehicles: those that alone are scored again,
    while the others stay as they are published; empty for all. engine: ``process``, ``ray`` or
    ``auto``; None for the cluster profile's. force: publish a date even if vehicles that are
    published of it can no longer be scored.
    """

    dates: tuple[date, date] | None = None
    vehicles: tuple[str, ...] = ()
    engine: str | None = None
    force: bool = False


EVERYTHING_NEW = ScoringRequest()


@dataclass(kw_only=True)
class Plan:
    """What a job is going to do.

    days: to be scored, in order, each with the reason. published: the vehicles of each that are
    published now. kept: what is published of each date of which only some vehicles are scored.
    refused: dates that are left as they are. told: sentences about dates that were asked for and
    are not scored, or are scored without being asked for.
    """

    days: dict[date, str] = field(default_factory=dict)
    published: dict[date, frozenset[str]] = field(default_factory=dict)
    kept: dict[date, PartitionManifest] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def make_plan(
    snapshot: Snapshot,
    runs: Path,
    champion: str,
    start: date,
    sums: Checksums,
    request: ScoringRequest = EVERYTHING_NEW,
    left_out: Collection[tuple[date, str]] = (),
) -> Plan:
    """The dates to score: those asked for, or everything new. left_out: as of ``begun``.

    New is a date from ``start`` (of the test part) on that no version has scored, and a scored date
    whose partition is stale, incomplete or damaged.

    Raises:
        DataError: dates are asked for, and there is nothing to score on any of them.
    """
    found = {
        day: versions[partitions.current(versions, champion)]
        for day, versions in partitions.begun(runs, left_out).items()
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
        wanted = {day: NEW for day in there if day not in found and day >= start}
        for day in there:
            if day in whole and (why := snapshot.why_stale(runs, whole[day], champion, sums)):
                wanted[day] = why
        if damaged := sorted(broken & set(there)):
            wanted |= dict.fromkeys(damaged, DAMAGED)
            plan.told.append(f"scored again, files are damaged or missing: {some(damaged)}")
    for day, why in sorted(wanted.items()):
        if request.vehicles and why == ASKED:
            _in_part(snapshot, plan, day, whole.get(day), day in found, champion, request.vehicles)
        else:
            _as_a_whole(snapshot, plan, day, why, found.get(day), request.force)
    if request.dates is not None and not plan.days and not plan.refused:
        # Whoever asks for dates would take a job that scored none of them for a sound one.
        raise DataError(
            f"{'; '.join(plan.told)}. Bring the raw files and run 'amad ingest', or ask for other "
            "dates"
        )
    return plan


def _as_a_whole(
    snapshot: Snapshot,
    plan: Plan,
    day: date,
    why: str,
    manifest: PartitionManifest | None,
    force: bool,
) -> None:
    """Plan a date of which all vehicles are scored, or refuse it where one would be lost.

    manifest: of the date's partition if that can be read.
    """
    published = frozenset(manifest.vehicles if manifest else ())
    lost = sorted(published - set(snapshot.vehicles(day)))
    if lost and not force:
        reason = (
            f"the lake no longer has rows of {some(lost)}, published before; bring them back, or "
            f"publish without them: amad score --date {day} --force"
        )
        plan.refused.append(Refused(date=day, vehicles=lost, reason=reason))
        return
    plan.days[day] = why
    plan.published[day] = published


def _in_part(
    snapshot: Snapshot,
    plan: Plan,
    day: date,
    manifest: PartitionManifest | None,
    begun: bool,
    champion: str,
    vehicles: tuple[str, ...],
) -> None:
    """Plan a date of which only some vehicles are scored; the others stay as they are published.

    manifest: of the date's partition if that is whole.
    """
    there = [vehicle for vehicle in vehicles if vehicle in snapshot.vehicles(day)]
    if not there:
        plan.told.append(f"no rows of {some(vehicles)} on {day}, so nothing to score there")
        return
    why = None
    if manifest is None:
        why = DAMAGED if begun else "it has no scores yet"
    elif manifest.model_version != champion:
        why = f"version {manifest.model_version} scored it, and the champion is {champion}"
    elif manifest.contract != partitions.CONTRACT or not manifest.parts:
        why = "another release of amad scored it"
    if why:
        reason = f"{why}, so its vehicles are scored together only: amad score --date {day}"
        plan.refused.append(Refused(date=day, vehicles=there, reason=reason))
        return
    assert manifest is not None
    plan.days[day] = ASKED
    plan.published[day] = frozenset(manifest.vehicles)
    plan.kept[day] = manifest


def _asked(
    there: list[date], snapshot: Snapshot, broken: set[date], plan: Plan, first: date, last: date
) -> dict[date, str]:
    """The dates from ``first`` to ``last`` that have rows."""
    days = [day for day in there if first <= day <= last]
    if not days:
        asked = f"on {first}" if first == last else f"from {first} to {last}"
        asked = f"from {first} on" if last == date.max else asked
        dates = snapshot.lake.dates()
        span = f"rows from {dates[0]} to {dates[-1]}" if dates else "no rows"
        plan.told.append(f"no rows {asked}, so nothing to score; the lake has {span}")
        return {}
    last = days[-1] if last == date.max else last
    asked_for = (first + timedelta(days=n) for n in range(min(366, (last - first).days + 1)))
    if empty := [day for day in asked_for if day not in set(days)]:
        plan.told.append(f"no rows on {some(empty)}, so nothing to score there")
    wanted = dict.fromkeys(days, ASKED)
    eve = days[0] - timedelta(days=1)
    if eve in broken and eve in there:
        plan.told.append(
            f"{eve} is scored as well: its files are damaged or missing, and incidents may go on "
            f"into {days[0]}"
        )
        wanted[eve] = DAMAGED
    return wanted
