"""A scoring run (the last job, or one date) with its incidents and scores, read date by date."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import DataError, Stage
from amad.config.console import say
from amad.config.number_text import dates
from amad.incidents import incident as incidents
from amad.report.score_rows import ScoreRows
from amad.scores import partitions
from amad.scores.job_log import JobLog, job_logs, left_undone
from amad.scores.receipts import ScoringReceipt
from amad.scores.vehicle_days import day_bounds
from amad.telemetry.trouble import Health, Trouble, parts_of


@dataclass(frozen=True, kw_only=True)
class Incident(incidents.Incident):
    """An incident joined over the dates it spans, with the severity of the whole.

    continued: it began before the first date of this run.
    """

    open: bool = False  # the vehicle's last scored row is still in it


@dataclass(kw_only=True)
class Cell:
    """The scored rows of one vehicle in one stretch of time."""

    rows: int = 0
    scored: int = 0
    quarantined: int = 0
    imputed: int = 0
    alarms: int = 0

    def __iadd__(self, other: "Cell") -> "Cell":
        for name in ("rows", "scored", "quarantined", "imputed", "alarms"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


@dataclass(kw_only=True)
class Coverage:
    """The scored rows of one vehicle. cells: by the start of their stretch. last: newest row."""

    cells: dict[int, Cell] = field(default_factory=dict)
    last: int = 0

    @property
    def total(self) -> Cell:
        """All cells together."""
        total = Cell()
        for cell in self.cells.values():
            total += cell
        return total


@dataclass(frozen=True, kw_only=True)
class ScoringRun:
    """What a scoring job published, whether it got to its end or not, and where it lies.

    unscored: why there is no job yet, for a fleet without a champion; else empty. until: the time
    (us) from which on nothing was known yet, None for all that there is. rows: reads the scores of
    single vehicles.
    """

    job: JobLog | None
    version: str
    dates: list[date]
    runs: Path
    unscored: str = ""
    until: int | None = None
    rows: ScoreRows = field(default_factory=ScoreRows, repr=False, compare=False)

    @classmethod
    def last(cls, stage: Stage) -> Self:
        """The last job with a date that still counts; an empty run for a fleet without a champion.

        A job that was killed or failed counts with the dates that it published before.

        Raises:
            DataError: the fleet was never scored, though it has a champion.
        """
        runs = stage.runs
        jobs, unreadable = job_logs(runs)
        for path in unreadable:
            say(f"the job log {path} is damaged and left out; delete it")
        for job in reversed(jobs):
            if job.is_shown and job.model_version:
                version, dates = job.model_version, sorted(set(job.dates))
                dates = [d for d in dates if not partitions.was_set_aside(runs, d, version)]
                if dates:
                    return cls(job=job, version=version, dates=dates, runs=runs)
        scoring = ScoringReceipt.read(stage.folder)
        if scoring is not None and scoring.no_champion:
            return cls(job=None, version="", dates=[], runs=runs, unscored=scoring.no_champion)
        raise DataError(_without_job(stage.fleet.name, runs))

    @classmethod
    def of_date(cls, runs: Path, day: date, version: str, jobs: list[JobLog]) -> Self:
        """One date, with the newest of the jobs that scored it with this version, if any did.

        Nothing later is known of it, so that its page is the same whenever it is made.
        """
        own = [job for job in jobs if day in job.dates and job.model_version == version]
        job, (_, until) = own[-1] if own else None, day_bounds(day)
        return cls(job=job, version=version, dates=[day], runs=runs, until=until)

    @property
    def detector(self) -> str:
        """The digest of the detector that scored; empty where no job tells."""
        return self.job.detector if self.job else ""

    def known(self, end: int) -> int:
        """The end of a stretch of time (us), as far as it was known."""
        return end if self.until is None else min(end, self.until)

    @property
    def health(self) -> Health | None:
        """What the fleet lacked when the job ran; None where the log of the job is gone."""
        if self.job is None:
            return None
        lacking = [
            Trouble(kind=kind, subject="", text=sentence, name=name)
            for found, sentence in self.job.named.items()
            for kind, name in [parts_of(found)]
        ]
        undone = [item for item in left_undone(self.job) if item.since in self.dates]
        return Health(troubles=[*lacking, *undone], unseen=[])

    def incidents(self) -> list[Incident]:
        """Every incident once, the worst first.

        Raises:
            DataError: the table of a date is damaged or missing.
        """
        by_date: dict[str, list[incidents.Incident]] = {}
        for day in self.dates:
            for item in partitions.incidents_of_date(self.runs, self.version, day):
                by_date.setdefault(item.incident_id, []).append(item)
        whole = map(incidents.joined, by_date.values())
        found = [Incident(**partitions.fields_of(item)) for item in whole]
        return sorted(found, key=lambda i: (-i.severity, i.start, i.vehicle, i.incident_id))

    def coverage(self, stretch_us: int) -> dict[str, Coverage]:
        """Counts of each vehicle's rows by stretches of ``stretch_us``, and its last scored row.

        Raises:
            DataError: the table of a date is damaged or missing.
        """
        found: dict[str, Coverage] = {}
        columns = ["vehicle", "timestamp", "alarm", "imputed", "status"]
        for day in self.dates:
            table = partitions.read_scores(self.runs, self.version, day, columns)
            us = table["timestamp"].cast(pa.int64())
            stretch = pc.multiply(pc.divide(us, stretch_us), stretch_us)
            parts = pa.table({
                "vehicle": table["vehicle"], "stretch": stretch, "status": table["status"],
                "us": us, "alarm": table["alarm"].cast(pa.int64()),
                "imputed": table["imputed"].cast(pa.int64()),
            }).group_by(["vehicle", "stretch", "status"]).aggregate(
                [("us", "count"), ("us", "max"), ("alarm", "sum"), ("imputed", "sum")]
            )  # fmt: skip
            for row in parts.to_pylist():
                coverage = found.setdefault(row["vehicle"], Coverage())
                cell = coverage.cells.setdefault(row["stretch"], Cell())
                scored = row["status"] == "scored"
                cell += Cell(
                    rows=row["us_count"],
                    scored=row["us_count"] if scored else 0,
                    quarantined=row["us_count"] if row["status"] == "quarantined" else 0,
                    imputed=row["imputed_sum"] or 0,
                    alarms=row["alarm_sum"] or 0,
                )
                if scored:
                    coverage.last = max(coverage.last, row["us_max"])
        return dict(sorted(found.items()))

    def scores(
        self, vehicle: str, start: int, end: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(timestamp_T int64 us, score_T, threshold_T) in [start, end), as far as it was known.

        Scores and thresholds are float64, NaN where a row is unscored.

        Dates before the run are included, since a plot shows the time before its incident.

        Raises:
            DataError: the table of a date is damaged, or missing though of the run.
        """
        found, end = [], self.known(end)
        for day in dates(start, end - 1):
            file = partitions.table_file(self.runs, "scores", self.version, day)
            if day in self.dates or file.exists():
                found.append(self.rows.of(vehicle, file, day))
        if not found:
            return np.empty(0, np.int64), np.empty(0), np.empty(0)
        table = pa.concat_tables(found).sort_by("timestamp")
        us_T = table["timestamp"].cast(pa.int64()).to_numpy()
        begin, stop = np.searchsorted(us_T, [start, end])
        score_T, threshold_T = (
            table[name].cast(pa.float64()).to_numpy()[begin:stop] for name in ("score", "threshold")
        )
        return us_T[begin:stop], score_T, threshold_T


def _without_job(fleet: str, runs: Path) -> str:
    """Why there is no page: nothing was scored, or the logs of the jobs are lost."""
    found = partitions.begun(runs)
    if not found:
        return (
            f"fleet {fleet} was never scored (no finished job in {runs / 'jobs'}); "
            "run 'amad score' first"
        )
    return (
        f"{runs / 'jobs'} holds no readable log of a finished job, though dates are scored; run "
        f"'amad score --from {min(found)} --to {max(found)}' to score them again"
    )
