"""Which dates of the lake have no scores, though jobs score them without being asked to."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from amad.config import DataError
from amad.config.wording import count, some
from amad.scores.job_log import JobLog, left_undone
from amad.scores.partitions import manifests
from amad.scores.retention import Retention
from amad.telemetry.health import Trouble
from amad.telemetry.lake import Lake


def first_date(jobs: Sequence[JobLog], runs: Path) -> date | None:
    """The first date that is scored without being asked for; None where no job told one.

    jobs: the newest last.
    """
    starts = [job.test_start for job in jobs if job.test_start is not None]
    kept = None
    with suppress(DataError):  # the job says what to do about it
        kept = Retention.read(runs)
    return max([*starts[-1:], *([kept.first] if kept else [])], default=None)


def unscored_dates(lake: Lake, jobs: Sequence[JobLog], runs: Path) -> list[date]:
    """The dates of the lake from the first one on that have no scores. jobs: the newest last."""
    first, scored = first_date(jobs, runs), manifests(runs)
    return [day for day in lake.dates() if first and day >= first and day not in scored]


def open_troubles(lake: Lake, jobs: Sequence[JobLog], runs: Path) -> list[Trouble]:
    """What the last job left undone, and the dates that no job has come to.

    jobs: the newest last.
    """
    found = left_undone(jobs[-1]) if jobs else []
    told = {item.since for item in found}
    if dates := [day for day in unscored_dates(lake, jobs, runs) if day not in told]:
        text = f"of the lake {'has' if len(dates) == 1 else 'have'} no scores yet: {some(dates)}"
        found.append(Trouble(kind="unscored", subject=count(len(dates), "date"), text=text))
    return found
