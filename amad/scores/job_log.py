"""Scoring jobs: one at a time per fleet, each with a log that says how it ended.

The lock is the kernel's (flock). It ends with the process that holds it, so it is never stale. On a
shared file system without locks two jobs may overlap; even then no partition is a mixture, see
``partitions``.
"""

import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, StringConstraints

from amad.config import DataError, ServiceError
from amad.config.console import say
from amad.config.file_lock import locked
from amad.config.wording import some
from amad.scores.partition_manifest import SCORED_WITHOUT, PartitionManifest
from amad.scores.run_log import RunLog
from amad.telemetry.files import listed, read_json, write_json
from amad.telemetry.schemas import UNSCORED
from amad.telemetry.trouble import UNDONE, Trouble, parts_of

LONGEST_LOG = 64 << 20  # bytes of a job's log
KEPT = 1000  # logs of jobs
FAILED = "failed: "  # how the line of a sink begins that could not be told
NO_SINKS = "conf/notify"  # the line of all sinks, where the file that names them is wrong
LOCK, HOLDER = "scoring.lock", "scoring.holder.json"  # the holder names the job
COUNTED = ("rows", "scored", "alarms", "incidents", "vehicle_days")  # per date and per job

Day = date


class Failed(BaseModel):
    """A vehicle-day that could not be scored; the next job tries again."""

    date: Day
    vehicle: str
    reason: str


class Attempt(BaseModel):
    """A date that a job began to score. seconds: how long it took; None if it was not finished."""

    date: Day
    seconds: float | None = None


class Refused(BaseModel):
    """A date of which nothing new was published, with the vehicles that are the reason."""

    date: Day
    vehicles: list[str] = []
    reason: str


class JobLog(RunLog):
    """The state of one scoring job and what it did.

    number: how many jobs came before it, whatever the clock said; 0 in logs of earlier releases.
    test_start: the first date that is scored without being asked for. vehicles: those that alone
    were scored again; empty for all. detector: its digest. alarm_budget: incidents per vehicle-day
    that the threshold promises. dates: those published. attempts: those begun, published or not.
    rows, scored, alarms, vehicle_days: sums over the dates published; so are ``unscored`` (rows by
    status), ``made_null`` (values by channel) and ``unseen`` (rows by channel and code).
    without_score: of each date that is over by the clock and of which no row has a score, its rows
    by status; a job that publishes nothing has what the one before had, if that was ``blank``.
    incidents: of these dates; one that goes on over midnight counts once. causes: of them, those
    that are told as one counted once; None in a log without. quarantined: vehicle-days. withheld,
    unmeasured, unlearnt: as in the manifests, of all dates. health: what the fleet lacks, by kind.
    findings: the ids of that; None where the job could not look. told: the sentences that were
    printed about dates. sinks: by sink, what became of telling it what changed; empty where nobody
    is told. Where the sinks cannot be known, ``NO_SINKS`` stands for all.
    suppressed: by id, incidents of which nobody is told, and why.
    """

    FILE: ClassVar[str] = "jobs"
    WHOLE: ClassVar[bool] = True

    id: str
    number: int = 0
    fleet: str = ""
    model_version: Annotated[str, StringConstraints(pattern=r"^\d+$")] | None = None
    test_start: Day | None = None
    vehicles: list[str] = []
    threshold: float | None = None
    detector: str = ""
    alarm_budget: float | None = None
    engine: str | None = None
    dates: list[Day]
    attempts: list[Attempt] = []
    rows: int = 0
    scored: int = 0
    alarms: int = 0
    incidents: int = 0
    causes: int | None = None
    vehicle_days: int = 0
    quarantined: int = 0
    unscored: dict[str, int] = {}
    without_score: dict[Day, dict[str, int]] = {}
    made_null: dict[str, int] = {}
    withheld: dict[str, list[str]] = {}
    unmeasured: dict[str, list[str]] = {}
    unlearnt: dict[str, list[str]] = {}
    unseen: dict[str, int] = {}
    health: dict[str, list[str]] = {}
    findings: list[str] | None = None
    told: list[str] = []
    failed: list[Failed] = []
    refused: list[Refused] = []
    sinks: dict[str, str] = {}
    suppressed: dict[str, str] = {}

    @property
    def is_shown(self) -> bool:
        """Has it ended, in whichever way, with dates that a page can show?"""
        return self.status != "running" and bool(self.dates) and self.model_version is not None

    @property
    def blank(self) -> bool:
        """Has the newest date, which the night was for, no row with a score?"""
        return bool(self.without_score) and (
            not self.dates or max(self.dates) in self.without_score
        )

    @property
    def named(self) -> dict[str, str]:
        """The sentence of each finding, by its id, in the order of the kinds."""
        texts = dict[str, str]()
        for kind, sentences in self.health.items():
            own = [name for name in self.findings or [] if parts_of(name)[0] == kind]
            own += [f"{kind}: {sentence}" for sentence in sentences[len(own) :]]
            texts |= dict(zip(own, sentences, strict=False))
        return texts

    @property
    def dates_without_score(self) -> str:
        """The dates of which no row has a score, with the reasons."""
        rows_of = self.without_score.items()
        return some((f"{day} ({why_unscored(rows)})" for day, rows in rows_of), separator="; ")

    @property
    def untold(self) -> list[str]:
        """The sinks that could not be told, each with the reason."""
        return [f"{name} {line}" for name, line in self.sinks.items() if line.startswith(FAILED)]

    @property
    def tells_again(self) -> str:
        """The command that tells these sinks: a heartbeat comes from a job alone."""
        return "'amad score'" if FAILED in self.sinks.get("heartbeat", "") else "'amad notify'"

    def add(self, manifest: PartitionManifest) -> None:
        """Add a date that was published."""
        if not self.dates:
            self.without_score = {}
        self.dates.append(manifest.date)
        if manifest.rows and not manifest.scored and manifest.date < self.started.date():
            self.without_score[manifest.date] = manifest.unscored
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(manifest, name))
        self.quarantined += len(manifest.quarantined)
        for name in ("unscored", "made_null", "unseen"):
            total = Counter(getattr(self, name)) + Counter(getattr(manifest, name))
            setattr(self, name, dict(total))
        for name in SCORED_WITHOUT:
            known = getattr(self, name)
            for vehicle, channels in getattr(manifest, name).items():
                known[vehicle] = sorted({*known.get(vehicle, []), *channels})


@contextmanager
def scoring_job(runs: Path, fleet: str) -> Iterator[JobLog]:
    """Hold the fleet's lock and keep the job's log; yields the log, for the body to fill.

    The log is written at the start, by ``save``, and at the end. Earlier jobs whose log still says
    ``running`` are marked as ``killed``.

    Raises:
        ServiceError: another job of this fleet is running; the message says which.
    """
    holder = runs / HOLDER
    with scoring_lock(runs, fleet):
        earlier = _without_superseded(runs, _mark_killed(runs))
        now = datetime.now(UTC)
        if earlier and now < earlier[-1].started:
            at = f"{earlier[-1].started:%Y-%m-%d %H:%M} UTC"
            say(f"this machine's clock was put back: the last job began at {at}; is it right now?")
        log = JobLog.begun(
            now,
            id=f"{now:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:6]}",
            number=max((item.number for item in earlier), default=0) + 1,
            fleet=fleet,
            dates=[],
            without_score=earlier[-1].without_score if earlier and earlier[-1].blank else {},
        )
        write_json(holder, log.model_dump(mode="json", include={"id", "pid", "host", "started"}))
        try:
            with log.kept(partial(save, runs)):
                yield log
        finally:
            holder.unlink(missing_ok=True)


def scoring_lock(runs: Path, fleet: str) -> AbstractContextManager[None]:
    """Hold the fleet's lock, so that no job of it runs.

    Raises:
        ServiceError: a job of this fleet is running; the message says which.
    """
    return locked(
        runs / LOCK,
        lambda: ServiceError(
            f"fleet {fleet} is being scored by another job ({_read_holder(runs / HOLDER)}); wait "
            "for it or stop it, then start again"
        ),
    )


def save(runs: Path, log: JobLog) -> None:
    """Write the log as it stands."""
    log.write_file(runs / "jobs" / f"{log.id}.json")


def job_logs(runs: Path) -> tuple[list[JobLog], list[Path]]:
    """The logs of a fleet's scoring jobs, the newest last, and the files that are damaged.

    The newest one that still says ``running``, while nobody does the job, is returned as
    ``killed``, as the next job notes in it.

    Raises:
        PermissionError: a log may not be read, so it is not known to be damaged.
    """
    logs, unreadable = [], []
    for path in listed(runs / "jobs", "*.json"):
        log = _whole_log(path)
        if log is None:
            unreadable.append(path)
        else:
            logs.append(log)
    logs.sort(key=lambda log: (log.number, log.started, log.id))
    if logs:
        logs[-1].look_at(runs, runs / LOCK)
    return logs, unreadable


def newest_number(runs: Path) -> int:
    """The number of the newest scoring job; 0 before the first one.

    Of a thousand logs only the newest one is checked, the first that is not damaged.

    Raises:
        PermissionError: the logs may not be read.
    """
    numbered = []
    for path in listed(runs / "jobs", "*.json"):
        try:
            content = json.loads(path.read_bytes())
        except PermissionError:
            raise
        except (OSError, ValueError, RecursionError):
            continue
        number = content.get("number") if isinstance(content, dict) else None
        if isinstance(number, int):
            numbered.append((number, path))
    newest_first = sorted(numbered, reverse=True)
    return next((number for number, path in newest_first if _whole_log(path)), 0)


def last_version(jobs: Sequence[JobLog]) -> str | None:
    """The version that the newest job scored with; its partitions count. jobs: the newest last."""
    return next((job.model_version for job in reversed(jobs) if job.model_version), None)


def last_look(jobs: Sequence[JobLog]) -> JobLog | None:
    """The newest job that could look at what the fleet lacks. jobs: the newest last."""
    return next((job for job in reversed(jobs) if job.findings is not None), None)


def known_since(jobs: Sequence[JobLog], scored: Collection[date]) -> dict[str, date]:
    """By id, the findings that jobs for earlier dates named already, and the first of these dates.

    The date of a job is the newest one scored by then. A finding that a job in between did not name
    is known since it came back. jobs: the newest last. scored: the dates with scores; others do not
    count, such as one of a wrong clock far ahead, which was set aside since.
    """
    found, newest = dict[str, date](), date.min
    for job in jobs:
        newest = max([newest, *(day for day in job.dates if day in scored)])
        if job.findings is not None and newest > date.min:
            found = {name: found.get(name, newest) for name in job.findings}
    return {name: day for name, day in found.items() if day < newest}


def left_undone(job: JobLog) -> list[Trouble]:
    """A finding for a job that did not get to its end, and each day or date that has no scores."""
    whole = []
    if job.trouble:
        whole = [Trouble(kind=UNDONE, subject="the last scoring job", text=job.trouble)]
    found = [(item.vehicle, item.date, f"was not scored: {item.reason}") for item in job.failed]
    found += [(str(item.date), item.date, f"was not scored: {item.reason}") for item in job.refused]
    found += [
        (str(day), day, f"has no row with a score: {why_unscored(rows)}")
        for day, rows in job.without_score.items()
    ]
    return whole + [
        Trouble(kind=UNDONE, subject=subject, text=text, since=day) for subject, day, text in found
    ]


def why_unscored(rows: Mapping[str, int]) -> str:
    """Why rows have no score, in words. rows: their number, by status."""
    return ", ".join(f"{many:,} {UNSCORED.get(name, name)}" for name, many in sorted(rows.items()))


def _whole_log(path: Path) -> JobLog | None:
    """The log in a file; None where it is damaged.

    Raises:
        PermissionError: it may not be read.
    """
    try:
        return None if path.stat().st_size > LONGEST_LOG else JobLog.read_file(path)
    except PermissionError:
        raise
    except (OSError, DataError):
        return None


def _read_holder(holder: Path) -> str:
    try:
        content = read_json(holder, "wait", keys=["id", "pid", "host"], required=True)
    except DataError:
        return "it has just started or is just ending"
    return f"{content['id']}, process {content['pid']} on {content['host']}"


def _without_superseded(runs: Path, logs: list[JobLog]) -> list[JobLog]:
    """Remove old logs whose dates were all published again, once there are many; returns the rest.

    With a job per minute every job would read half a million logs after a year.

    logs: the newest last. The newest ``KEPT`` stay, and the newest one of each date and version.
    """
    if len(logs) <= KEPT + KEPT // 2:
        return logs
    newest = {(day, log.model_version): log.id for log in logs for day in log.dates}
    wanted = {*newest.values(), *(log.id for log in logs[-KEPT:])}
    for log in logs:
        if log.id not in wanted:
            (runs / "jobs" / f"{log.id}.json").unlink(missing_ok=True)
    return [log for log in logs if log.id in wanted]


def _mark_killed(runs: Path) -> list[JobLog]:
    """Mark the jobs that were killed; returns the logs of all, the newest last."""
    logs, damaged = job_logs(runs)
    for file in damaged:
        say(f"the job log {file} is damaged and left out; delete it")
    for log in logs:
        if log.status == "running":
            log.status = "killed"
            save(runs, log)
    return logs
