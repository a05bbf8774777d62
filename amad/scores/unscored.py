"""What is left to do: dates without scores, which jobs score unasked, and steps that failed."""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from amad.config import DataError
from amad.config.wording import count, some
from amad.scores.job_log import JobLog, left_undone
from amad.scores.retention import Retention
from amad.scores.step_log import BESIDE_JOBS, StepLog, step_logs
from amad.telemetry.lake import Lake
from amad.telemetry.trouble import UNDONE, Trouble


def first_date(jobs: Sequence[JobLog], runs: Path) -> date | None:
    """The first date that is scored without being asked for; None where no job told one.

    jobs: the newest last.
    """
    starts = [job.test_start for job in jobs if job.test_start is not None]
    kept = None
    with suppress(DataError):  # the job says what to do about it
        kept = Retention.read(runs)
    return max([*starts[-1:], *([kept.first] if kept else [])], default=None)


def failed_steps(steps: Sequence[StepLog], jobs: Sequence[JobLog]) -> list[Trouble]:
    """A finding for each step whose last run did not get to its end.

    jobs: the newest last. A ``score`` that began a job is told by the job's log, and a step that
    not every night has is told until the next job. Jobs are compared by their numbers, since a
    clock may have been wrong.
    """
    newest = jobs[-1].number if jobs else 0
    return [
        Trouble(kind=UNDONE, subject=f"the last 'amad {log.step}'", text=log.trouble)
        for log in steps
        if log.trouble
        if not (log.step in BESIDE_JOBS and newest > log.after)
    ]


def step_troubles(steps: Sequence[StepLog], jobs: Sequence[JobLog]) -> list[Trouble]:
    """``failed_steps``, and a ``score`` that was killed before it told what its job had done.

    Until ``amad notify`` or the next job has told it, for those who ask: nobody else can be told
    of it before. jobs: the newest last.
    """
    found = failed_steps(steps, jobs)
    last = jobs[-1] if jobs else None
    if last is None or last.status != "done" or last.sinks:
        return found
    for log in steps:
        if log.step == "score" and log.status == "killed" and last.number == log.after + 1:
            text = (
                "was killed after its job was done, so it may be that nobody was told what "
                "changed: run it again"
            )
            found.append(Trouble(kind=UNDONE, subject="the last 'amad score'", text=text))
    return found


def undone(jobs: Sequence[JobLog], runs: Path) -> list[Trouble]:
    """The steps that failed, and what the last job left undone. jobs: the newest last."""
    return [*failed_steps(step_logs(runs), jobs), *(left_undone(jobs[-1]) if jobs else [])]


def unscored_dates(lake: Lake, first: date | None, scored: Collection[date]) -> list[date]:
    """The dates of the lake from the first one on, see ``first_date``, that have no scores."""
    return [day for day in lake.dates() if first and day >= first and day not in scored]


def open_troubles(
    lake: Lake, jobs: Sequence[JobLog], runs: Path, scored: Collection[date]
) -> list[Trouble]:
    """Steps that failed, what the last job left undone, and the dates that no job has come to.

    jobs: the newest last. scored: the dates with scores.
    """
    found = undone(jobs, runs)
    named = {item.since for item in found}
    unscored = unscored_dates(lake, first_date(jobs, runs), scored)
    if dates := [day for day in unscored if day not in named]:
        text = f"of the lake {'has' if len(dates) == 1 else 'have'} no scores yet: {some(dates)}"
        found.append(Trouble(kind=UNDONE, subject=count(len(dates), "date"), text=text))
    return found
