"""What of a fleet's old results may go, and removing it without any of it coming back.

Removed are the scores and incidents of dates that are older than a number of days before the newest
scored date, the pages of the report of these dates, the logs of jobs that began before that, what
was set aside of these dates, and checkpoints of trainings and sweeps and states of vehicles that
nothing has written to for as many days. The lake, the newest report, the models and the ledgers of
the sinks stay.

A date without scores would be new to the next job. So ``retention.json`` says from which date on
dates are scored without being asked for.
"""

import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import ClassVar

from amad.config import DataError
from amad.scores import partitions
from amad.scores.job_log import job_logs, scoring_lock
from amad.telemetry.artifact import Artifact
from amad.telemetry.files import files_below, listed
from amad.telemetry.health import latest_date
from amad.telemetry.temporary import STAGE

DAY_SECONDS = 86_400
SCORES, PAGES, SET_ASIDE, JOBS, CHECKPOINTS, STATES = (
    "scores and incidents",
    "pages of the report",
    "scores that were set aside",
    "job logs",
    "checkpoints",
    "states of vehicles",
)


class Retention(Artifact):
    """What was removed.

    first: the first date whose scores are kept; earlier ones are scored only if asked for.
    removing: paths below ``runs/<fleet>`` that are being removed; after a kill some are left.
    """

    FILE: ClassVar[str] = "retention.json"
    REMEDY: ClassVar[str] = "run 'amad prune' again, which writes it"
    SEALED: ClassVar[bool] = True
    WHOLE: ClassVar[bool] = True

    first: date
    removing: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Old:
    """Something that may go. kind: one of the kinds above. day: its date, where it has one."""

    kind: str
    path: Path
    size: int
    day: date | None = None


def first_kept(runs: Path) -> date:
    """The first date that is scored without being asked for, as far as old scores were removed.

    What a killed run was removing is removed first; the caller holds the fleet's lock.

    Raises:
        DataError: the file that says it is damaged.
    """
    found = Retention.read(runs)
    if found is None:
        return date.min
    if found.removing:
        _remove([runs / name for name in found.removing])
        found = Retention(first=found.first)
        found.write(runs)
    return found.first


def old_results(runs: Path, days: int) -> list[Old]:
    """What may go of a fleet, in the order in which it goes; nothing where nothing is scored.

    days: kept before the newest scored date, itself included.

    Raises:
        DataError: that date lies in the future, so that too much would go.
    """
    newest = max(partitions.begun(runs), default=None)
    if newest is None:
        return []
    if newest > latest_date():
        raise DataError(
            f"{runs}: the newest scored date, {newest}, lies in the future by the clock of this "
            "machine, and counted from it too much would be removed. Set the clock right; if it is "
            "right, 'amad doctor' tells how to take these rows out of the lake, and the next "
            "'amad score' then sets their scores aside"
        )
    return [
        Old(kind=kind, path=path, size=_size(path), day=day)
        for kind, path, day in _older(runs, newest - timedelta(days=days - 1), days)
    ]


def prune(runs: Path, fleet: str, days: int) -> list[Old]:
    """Remove what ``old_results`` names and return it; after a kill, the next job removes the rest.

    Raises:
        ServiceError: a scoring job of the fleet is running.
    """
    with scoring_lock(runs, fleet):
        partitions.recover(runs)
        damaged = False
        try:
            known = first_kept(runs)
        except DataError:  # written anew; what was removed is older than what is still there
            known, damaged = min(partitions.begun(runs), default=date.min), True
        found = old_results(runs, days)
        dates = [item.day for item in found if item.kind == SCORES and item.day is not None]
        if found or damaged:
            # Written first, so that no date that is gone is taken for a new one after a kill.
            first = max([known, *(day + timedelta(days=1) for day in dates)])
            paths = [str(item.path.relative_to(runs)) for item in found]
            Retention(first=first, removing=paths).write(runs)
            first_kept(runs)
        for folder in listed(runs / "set_aside", "*"):
            if all(path.name != "part.parquet" for path in files_below(folder)):
                shutil.rmtree(folder)
    return found


def _older(runs: Path, first: date, days: int) -> Iterator[tuple[str, Path, date | None]]:
    """Kind, path and date of what may go. first: the first date that is kept."""
    jobs = job_logs(runs)[0]
    last_shown = [job for job in jobs if job.is_shown][-1:]  # in the report, so its dates stay
    shown = {day for job in last_shown for day in job.dates}
    results = [item for kind in partitions.RESULTS for item in partitions.folders(runs / kind)]
    for day, _, path in sorted(results, key=lambda item: item[:2]):
        if day < first and day not in shown:
            yield SCORES, path, day
    for day, path in partitions.pages(runs):
        if day < first and day not in shown:
            yield PAGES, path, day
    for folder in listed(runs / "set_aside", "*"):
        for kind in partitions.RESULTS:
            for day, _, path in sorted(partitions.folders(folder / kind)):
                if day < first:
                    yield SET_ASIDE, path, day
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    kept = {job.id for job in (*last_shown, *jobs[-1:])}
    for job in jobs:
        if job.started < start and job.id not in kept and job.status != "running":
            yield JOBS, runs / "jobs" / f"{job.id}.json", None
    limit = time.time() - days * DAY_SECONDS
    for kind, place in ((CHECKPOINTS, "ray"), (STATES, "state")):
        for path in listed(runs / place, "*"):
            if max(file.lstat().st_mtime for file in [path, *path.rglob("*")]) < limit:
                yield kind, path, None


def _remove(paths: list[Path]) -> None:
    """Remove files and folders, if they are there.

    All folders are renamed before the first one is removed, which takes long. So whoever reads
    meanwhile, or after a kill, finds whole dates; ``recover`` removes what is left.
    """
    aside = []
    for path in paths:
        if path.is_dir():
            aside.append(path.with_name(f"{STAGE}{uuid.uuid4().hex[:8]}-{path.name}"))
            path.rename(aside[-1])
        else:
            path.unlink(missing_ok=True)
    for path in aside:
        shutil.rmtree(path)


def _size(path: Path) -> int:
    files = [path] if path.is_file() else files_below(path)
    return sum(file.stat().st_size for file in files if file.is_file())
