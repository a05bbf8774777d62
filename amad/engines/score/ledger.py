"""The ledger of a fleet's dates: what is published of each, what is open, and why.

It is read from what exists (the lake, the manifests of the partitions, the logs of the jobs), so
there is no second bookkeeping that could disagree. Reading it changes nothing, asks no registry and
judges no data: a vehicle-day that no job has judged as it is counts as it did before.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import Literal

from amad.config import Stage
from amad.config.wording import some
from amad.engines.score.lake_snapshot import DAMAGED, Snapshot, take_snapshot
from amad.engines.score.watermark import is_over, newest_row
from amad.notify.grouping import causes, causes_on
from amad.notify.published import DAYS, Window, window_of
from amad.scores import partitions
from amad.scores.job_log import JobLog, job_logs, last_version, why_unscored
from amad.scores.partition_manifest import PartitionManifest
from amad.scores.step_log import StepLog, step_logs
from amad.scores.unscored import first_date, step_troubles
from amad.telemetry.checksums import Checksums
from amad.telemetry.health import latest_date

State = Literal[
    "scored", "quarantined", "without scores", "not scored", "stale", "incomplete", "damaged",
    "refused",
]  # fmt: skip
OPEN = ("not scored", "stale", "incomplete", "damaged", "refused")


@dataclass(kw_only=True)
class DateEntry:
    """One date.

    state: ``scored``; ``quarantined``, all of its vehicle-days, so that no row has a score;
    ``without scores``, no row could get one for other reasons; ``not scored`` yet; ``stale``, so
    that the next job scores it again; ``incomplete``, published without vehicles that failed;
    ``damaged``, a file is missing or altered; ``refused``, left as it is until somebody acts. why:
    of other states than ``scored``. over: see ``watermark``. causes: of its incidents, for the
    newest dates; None for others. inputs, detector: short digests. attempts: jobs that began it;
    seconds: of the last one that finished it. job: the last one that began it, and job_status how
    that ended. failed: vehicles that the next job tries again. quarantined: vehicle-days that are
    not scored. withheld: by vehicle, channels that failed their checks.
    """

    date: date
    state: State
    why: str = ""
    over: bool = True
    vehicles: int = 0
    rows: int = 0
    scored: int = 0
    incidents: int = 0
    causes: int | None = None
    quarantined: int = 0
    withheld: dict[str, list[str]] = field(default_factory=dict)
    model_version: str | None = None
    inputs: str = ""
    detector: str = ""
    attempts: int = 0
    seconds: float | None = None
    job: str | None = None
    job_status: str | None = None
    failed: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Is there something that the next job, or somebody, still has to do?"""
        return self.state in OPEN


@dataclass(kw_only=True)
class Ledger:
    """What is known of a fleet's dates.

    dates: in order of time; those before ``first`` that were never scored are left out, as no job
    scores them without being asked, and before the first job, which tells ``first``, all.
    newest_row: the watermark of the lake. newest_scored: the newest date with scores. behind: dates
    of the lake after that. unjudged: vehicle-days that the next job judges before it scores. job:
    the last one. damaged_logs: files that are left out.
    steps: the last run of each step of a night. failed_steps: what went wrong with them. ahead:
    that the newest date lies in the future; empty where it does not.
    """

    fleet: str
    dates: list[DateEntry]
    first: date | None
    newest_row: datetime | None
    newest_scored: date | None
    behind: int
    unjudged: int
    job: JobLog | None
    damaged_logs: list[str]
    steps: list[StepLog] = field(default_factory=list)
    failed_steps: list[str] = field(default_factory=list)
    ahead: str = ""

    @property
    def open(self) -> list[DateEntry]:
        """The dates with something left to do."""
        return [item for item in self.dates if item.is_open]

    @property
    def job_trouble(self) -> str | None:
        """What is wrong with the last job as a whole."""
        if self.job is None and self.damaged_logs:
            return "no log of a job can be read; run 'amad score', which writes one"
        if self.job is None:
            return "no job has run yet: run 'amad score', which needs a registered model"
        if self.job.trouble:
            mend = ". Once that is mended," if self.job.status == "failed" else ";"
            return f"the last job {self.job.trouble}{mend} run 'amad score' again"
        if self.job.blank:
            return f"no row has a score of {self.job.dates_without_score}"
        return None

    @property
    def troubles(self) -> list[str]:
        """What is wrong with the last job as a whole, its sinks and the night's other steps."""
        found = [*([self.job_trouble] if self.job_trouble else []), *self.failed_steps]
        if self.job is not None and self.job.untold:
            told = "; ".join(self.job.untold)
            found.append(f"{told}. Once that is mended, run {self.job.tells_again}")
        return found + ([self.ahead] if self.ahead else [])

    @property
    def is_well(self) -> bool:
        """Is nothing left to do?"""
        return not self.open and not self.troubles

    def content(self, days: int) -> dict:
        """For a monitor: all that is open, and the newest ``days`` dates."""
        shown = set(map(id, [*self.dates[-days:], *self.open]))
        job = self.job
        return {
            "fleet": self.fleet,
            "ok": self.is_well,
            "open": len(self.open),
            "trouble": "; ".join(self.troubles) or None,
            "first": _text(self.first),
            "newest_row": _text(self.newest_row),
            "newest_scored": _text(self.newest_scored),
            "behind": self.behind,
            "unjudged": self.unjudged,
            "job": job and {
                "id": job.id,
                "status": job.status,
                "started": job.started.isoformat(timespec="seconds"),
                "ended": job.ended and job.ended.isoformat(timespec="seconds"),
                "error": job.error,
            },
            "damaged_logs": self.damaged_logs,
            "steps": [step.content() for step in self.steps],
            "dates": [
                asdict(item) | {"date": str(item.date)}
                for item in self.dates
                if id(item) in shown
            ],
        }  # fmt: skip


def read_ledger(stage: Stage) -> Ledger:
    """Read the ledger of a fleet.

    Raises:
        DataError: there is no lake, or it or what the validate stage left is damaged or of another
            contract.
    """
    runs = stage.runs
    snapshot = take_snapshot(stage, look=True)
    logs, unreadable = job_logs(runs)
    version = last_version(logs) or "0"
    first, touches = first_date(logs, runs), _touches(logs)
    found = partitions.begun(runs)
    newest = newest_row(snapshot.lake)
    sums = Checksums(runs)
    entries = []
    for day in sorted({*snapshot.dates(), *found}):
        if day not in found and (first is None or day < first):
            continue
        entry = _entry(snapshot, stage, day, found.get(day, {}), version, sums)
        entry.over = newest is None or is_over(day, newest)
        _add_jobs(entry, touches.get(day, []))
        entries.append(entry)
    _count_causes(entries, window_of(runs, partitions.finished(found), version, sums))
    scored = [item.date for item in entries if item.model_version is not None]
    steps = step_logs(runs)
    newest_scored = max(scored, default=None)
    return Ledger(
        fleet=stage.fleet.name,
        dates=entries,
        first=first,
        newest_row=None if newest is None else datetime.fromtimestamp(newest / 1e6, UTC),
        newest_scored=newest_scored,
        behind=sum(newest_scored is None or item.date > newest_scored for item in entries),
        unjudged=snapshot.unjudged,
        job=logs[-1] if logs else None,
        damaged_logs=[str(path) for path in unreadable],
        steps=steps,
        failed_steps=[str(trouble) for trouble in step_troubles(steps, logs)],
        ahead=_ahead(stage, entries),
    )


def _ahead(stage: Stage, entries: list[DateEntry]) -> str:
    """That the newest date lies in the future by this machine's clock, and what follows."""
    newest = max((item.date for item in entries), default=date.min)
    if not stage.fleet.source.has_clock or newest <= latest_date():
        return ""
    return (
        f"{newest} lies in the future by the clock of this machine, and nobody is told of "
        f"incidents that are more than {DAYS} days older: 'amad doctor' says what to do"
    )


def _count_causes(entries: list[DateEntry], window: Window) -> None:
    """Say of each date of the window how many causes its incidents have."""
    found = causes(window)
    for entry in entries:
        if entry.date in window.dates:
            entry.causes = len(causes_on(found, [entry.date])) if entry.incidents else 0


def _entry(
    snapshot: Snapshot,
    stage: Stage,
    day: date,
    versions: Mapping[str, PartitionManifest | None],
    champion: str,
    sums: Checksums,
) -> DateEntry:
    """State and content of a date, as far as its files tell."""
    here = snapshot.vehicles(day)
    if not versions:
        out = [name for name in here if day in snapshot.quarantined.get(name, ())]
        return DateEntry(
            date=day, state="not scored", why="no scores yet", vehicles=len(here),
            rows=sum(snapshot.parts[name, day][0] for name in here), quarantined=len(out),
            withheld={name: of for name in here if (of := snapshot.lake.withheld(name, day))},
        )  # fmt: skip
    manifest = versions[partitions.current(versions, champion)]
    if manifest is None:
        return DateEntry(date=day, state="damaged", why=DAMAGED, vehicles=len(here))
    entry = DateEntry(
        date=day,
        state="scored",
        vehicles=manifest.vehicle_days,
        rows=manifest.rows,
        scored=manifest.scored,
        incidents=manifest.incidents,
        quarantined=len(manifest.quarantined),
        withheld=manifest.withheld,
        model_version=manifest.model_version,
        inputs=manifest.inputs,
        detector=manifest.detector,
    )
    if manifest.rows and not manifest.scored:
        whole = len(manifest.quarantined) == len(manifest.vehicles)
        entry.state = "quarantined" if whole else "without scores"
        entry.why = why_unscored(manifest.unscored)
    if here and (lost := sorted(set(manifest.vehicles) - set(here))):
        entry.state = "refused"
        entry.why = f"the lake no longer has rows of {some(lost)}, which are published"
    elif not partitions.is_whole(stage.runs, manifest, sums):
        entry.state, entry.why = "damaged", DAMAGED
    elif not here:
        entry.why = "the lake no longer has rows of this date"
    elif why := snapshot.why_stale(stage.runs, manifest, champion, sums):
        entry.state, entry.why = "stale", why
    return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Touch:
    """What one job did with one date. began: whether it got as far as scoring it."""

    log: JobLog
    began: bool
    seconds: float | None
    refused: str
    failed: dict[str, str]


def _touches(logs: list[JobLog]) -> dict[date, list[_Touch]]:
    """What the jobs did, by date, the newest last."""
    found: dict[date, list[_Touch]] = {}
    for log in logs:
        began = dict.fromkeys(log.dates) | {item.date: item.seconds for item in log.attempts}
        refused = {item.date: item.reason for item in log.refused}
        failed: dict[date, dict[str, str]] = {}
        for item in log.failed:
            failed.setdefault(item.date, {})[item.vehicle] = item.reason
        for day in {*began, *refused}:
            found.setdefault(day, []).append(
                _Touch(
                    log=log,
                    began=day in began,
                    seconds=began.get(day),
                    refused=refused.get(day, ""),
                    failed=failed.get(day, {}),
                )
            )
    return found


def _add_jobs(entry: DateEntry, touches: list[_Touch]) -> None:
    """What the jobs did with the date; the last one says which vehicles failed."""
    if not touches:
        return
    last = touches[-1]
    entry.attempts = sum(touch.began for touch in touches)
    entry.job, entry.job_status = last.log.id, last.log.status
    seconds = [touch.seconds for touch in touches if touch.seconds is not None]
    entry.seconds = seconds[-1] if seconds else None
    if entry.state not in ("stale", "not scored"):
        return
    entry.failed = sorted(last.failed)
    if last.refused:
        entry.state, entry.why = "refused", last.refused
    elif last.failed:
        vehicle, reason = next(iter(last.failed.items()))
        entry.state, entry.why = "incomplete", f"{vehicle}: {reason}; the next job tries again"


def _text(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return None if value is None else str(value)
