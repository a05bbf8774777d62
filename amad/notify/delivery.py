"""After a scoring job: tell every sink of the fleet what changed, each change once.

A sink that fails stops neither the job nor another sink. It is told again by the next job.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from amad.config import (
    AmadError,
    DataError,
    InterruptionError,
    NotifyError,
    Stage,
    usable_error,
)
from amad.config.console import say, waiting_for
from amad.config.digest import json_digest
from amad.config.file_lock import locked
from amad.config.sinks import Sinks, load_sinks, missing_secrets
from amad.config.wording import count
from amad.notify.changes import brought_up_to_date, find_changes
from amad.notify.grouping import Group, causes, grouped
from amad.notify.health_notices import HealthNotice, Look, health_notices
from amad.notify.learnt import REASON, learnt
from amad.notify.ledger import Ledger, Parcel, after, ledger_file, read_ledger
from amad.notify.named_sinks import NoticeSink, Outcome, notice_sinks, state_sinks
from amad.notify.published import Window, read_window
from amad.notify.sinks.errors import NotTakenError, PartlyRefusedError, RefusedError
from amad.notify.suppressed import followed, judged_none, not_told, suppressed
from amad.notify.wording import health_lines, notice_of
from amad.scores.feedback import read_feedback
from amad.scores.job_log import FAILED, NO_SINKS, JobLog, job_logs, last_version, save
from amad.telemetry.temporary import remove_unfinished

FEW = 20  # parcels that wait; of more, the ledger is not written after each one
SECONDS_UNKEPT = 5.0  # what was sent within it is sent again, with the same keys, after a kill
LONGEST_SECONDS = 900.0  # that one job tells one sink of notices
LONGEST_ASKED = 6 * 3600.0  # a longer pause was asked for by another clock than today's
LOCK_SECONDS = 120.0  # how long a job waits for another one that tells the same fleet's sinks


@dataclass(frozen=True, kw_only=True)
class News:
    """What may be told.

    suppressed: by id, incidents of which nobody is told, and why. quiet: those of which nobody is
    told unless somebody was told before, for the sake of verdicts on others. look: what is wrong
    beside incidents; None before any job or step.
    """

    stage: Stage
    sinks: Sinks
    window: Window
    suppressed: dict[str, str]
    quiet: frozenset[str]
    look: Look | None

    @classmethod
    def read(cls, stage: Stage, sinks: Sinks, jobs: Sequence[JobLog]) -> Self:
        """The published incidents, judged by people and by the rules of the file of sinks.

        jobs: the logs of all, the newest last.

        Raises:
            NotifyError: the file of what people said is damaged; names it and the way out.
        """
        window = read_window(stage.runs, last_version(_ended(jobs)))
        try:
            feedback = followed(read_feedback(stage.runs), window)
        except DataError as error:
            raise NotifyError(f"nobody is told, since {error}") from None
        window = replace(window, none=judged_none(feedback.incidents))
        by_rule = suppressed(window, sinks.suppress, feedback)
        quiet = frozenset(set(learnt(window, feedback)) - set(by_rule))
        return cls(
            stage=stage, sinks=sinks, window=window, suppressed=by_rule, quiet=quiet,
            look=Look.of(stage.runs, jobs),
        )  # fmt: skip

    @cached_property
    def causes(self) -> list[Group]:
        """All incidents of the window in groups, the same for every sink."""
        return causes(self.window)

    @property
    def reasons(self) -> dict[str, str]:
        """By id, the incidents of which nobody is told, and why."""
        return self.suppressed | dict.fromkeys(sorted(self.quiet), REASON)

    def findings(self, ledger: Ledger) -> list[str]:
        """The ids of what is wrong now; what was told, where nobody has looked."""
        return ledger.findings if self.look is None else self.look.findings(ledger.findings)

    def added_to(self, ledger: Ledger, sink: NoticeSink) -> Ledger:
        """The ledger with a parcel, or a parcel per notice, of what is to be told now.

        What the fleet lacks is told to people with what is new of the incidents, and by itself if
        it is new; to programs, what is new or mended of it by itself.
        """
        told = brought_up_to_date(ledger.told, self.window)
        known = {name for name, item in told.items() if item.state != "withdrawn"}
        silent = {*self.suppressed, *self.window.none, *(self.quiet - known)}
        changes = find_changes(told, self.window, self.sinks.least_level, silent)
        groups = grouped(changes, self.window, self.causes)
        fleet = self.stage.fleet
        report = self.sinks.report_url or str(self.stage.folder / "report.html")
        report = report.replace("{fleet}", fleet.name)
        step = 1 if sink.single else max(1, len(groups))
        common: dict[str, Any] = {"fleet": fleet.name, "report": report}
        look = self.look
        findings = self.findings(ledger)
        fresh = [name for name in findings if name not in ledger.findings]
        if sink.people and look is not None:
            common |= {"health": health_lines(look.texts, ledger.findings), "findings": fresh}
        parcels = []
        for first in range(0, len(groups), step):
            own = groups[first : first + step]
            before = {c.incident_id: c.before for group in own for c in group.changes}
            keys = [change.key for group in own for change in group.changes]
            parcels.append(
                Parcel(
                    key=keys[0] if sink.single else json_digest(keys),
                    notices=[notice_of(group, fleet, report) for group in own],
                    before=before,
                    **common,
                )
            )
        if look is not None and sink.people and fresh and not groups:
            key = json_digest([look.seen_by, *fresh])
            parcels = [Parcel(key=key, notices=[], before={}, **common)]
        if look is not None and not sink.people:
            of_health = health_notices(look, ledger.findings, fleet.name, report)
            parcels += [_of_health(notice, common) for notice in of_health]
        return ledger.with_parcels(after(told, changes), parcels, findings)


def _of_health(notice: HealthNotice, common: dict[str, Any]) -> Parcel:
    """The parcel with one message on fleet health, for a program."""
    ids = [finding.finding_id for finding in notice.findings]
    return Parcel(
        key=notice.key,
        notices=[],
        before={},
        health=[notice.headline],
        health_notices=[notice],
        findings=ids if notice.state == "new" else [],
        mended=ids if notice.state == "mended" else [],
        **common,
    )


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What each sink of notices would be told, and a sentence on what nobody is told of.

    missing: the variables with secrets that are not set, and are needed to send it.
    """

    sinks: dict[str, list[Parcel]]
    not_told: str = ""
    missing: tuple[str, ...] = ()


def tell(stage: Stage, *, well: bool | None = True) -> dict[str, Outcome]:
    """Tell the fleet's sinks what changed, and return what became of each.

    A fleet without a file of sinks tells nobody.

    well: whether the job that has just ended did all it should; None where none has: then no
    heartbeat is sent.

    Raises:
        NotifyError: after all else is done, the sinks that failed and why.
        ConfigError: the file of sinks is wrong.
    """
    try:
        sinks = load_sinks(stage.fleet.name, stage.settings)
    except (AmadError, OSError) as error:
        if jobs := _ended(job_logs(stage.runs)[0]):
            jobs[-1].sinks |= {NO_SINKS: f"{FAILED}{usable_error(error) or error}"}
            save(stage.runs, jobs[-1])
        raise
    if sinks is None:
        jobs = _ended(job_logs(stage.runs)[0])
        if jobs and jobs[-1].sinks:  # of a file that is gone
            jobs[-1].sinks = {}
            save(stage.runs, jobs[-1])
        return {}
    outcomes: dict[str, Outcome] = {}
    with _lock(stage.runs, stage.fleet.name):
        remove_unfinished(stage.runs / Ledger.FILE)
        logs, _ = job_logs(stage.runs)
        news, jobs = News.read(stage, sinks, logs), _ended(logs)
        for sink in notice_sinks(sinks, stage):
            with waiting_for(f"telling the sink {sink.name}"):
                outcomes[sink.name] = _guarded(_deliver, sink, news)
        if jobs:
            jobs[-1].suppressed = news.reasons
        for name, work in state_sinks(stage, sinks, jobs, news.window, outcomes, well).items():
            with waiting_for(f"telling the sink {name}"):
                outcomes[name] = _guarded(work)
        for name, outcome in outcomes.items():
            say(f"{name}: {outcome}")
        if news.reasons:
            say(not_told(news.reasons, news.causes))
        if jobs:
            beat = jobs[-1].sinks.get("heartbeat") if sinks.heartbeat else None
            jobs[-1].sinks = {"heartbeat": beat} if beat else {}  # of which a job alone tells
            jobs[-1].sinks |= {name: str(outcome) for name, outcome in outcomes.items()}
            save(stage.runs, jobs[-1])
    failed = [f"{name}: {outcome.text}" for name, outcome in outcomes.items() if outcome.failed]
    if failed:
        raise NotifyError(
            f"fleet {stage.fleet.name}: {count(len(failed), 'sink')} failed, and the next job, or "
            f"'amad notify', tells them again: {'; '.join(failed)}"
        )
    return outcomes


def preview(stage: Stage) -> Preview:
    """What each sink of notices would be told now; nobody is told.

    Raises:
        ConfigError: the file of sinks is wrong.
        DataError: the ledger of a sink is damaged.
        NotifyError: the file of what people said is damaged.
    """
    sinks = load_sinks(stage.fleet.name, stage.settings)
    if sinks is None:
        return Preview(sinks={})
    news = News.read(stage, sinks, job_logs(stage.runs)[0])
    found = {}
    for sink in notice_sinks(sinks, stage):
        found[sink.name] = news.added_to(read_ledger(stage.runs, sink.name), sink).parcels
    return Preview(
        sinks=found,
        not_told=not_told(news.reasons, news.causes),
        missing=tuple(missing_secrets(sinks)),
    )


def _deliver(sink: NoticeSink, news: News) -> str:
    """Send what waits for the sink since an earlier job, then what is new; say what was done.

    Raises:
        NotTakenError: it is not known whether the sink has taken a parcel, which is kept.
        RefusedError: the sink has refused parcels, or some of those whom they are for; all others
            were sent.
    """
    runs = news.stage.runs
    file = ledger_file(runs, sink.name)
    ledger = read_ledger(runs, sink.name)
    if 0 < ledger.asked_until - time.time() <= LONGEST_ASKED:
        until_then = f"{datetime.fromtimestamp(ledger.asked_until, UTC):%Y-%m-%d %H:%M} UTC"
        raise NotTakenError(f"the server asked for a pause until {until_then}")
    kept, kept_at = ledger, 0.0
    until = time.monotonic() + LONGEST_SECONDS
    sent, refused, left, tried = 0, list[str](), list[str](), set[str]()
    try:
        for fresh in (False, True):
            if fresh and (added := news.added_to(ledger, sink)) != ledger:
                kept = ledger = added
                ledger.write_file(file)
            for parcel in [parcel for parcel in ledger.parcels if parcel.key not in tried]:
                if tried and time.monotonic() > until:
                    raise NotTakenError(
                        f"{count(sent, 'notice')} sent in {LONGEST_SECONDS / 60:.0f} minutes, and "
                        f"{count(len(ledger.parcels), 'message')} wait for the next job: the "
                        "server is slow, or much changed"
                    )
                tried.add(parcel.key)
                try:
                    mended = parcel.is_mended(news.findings(ledger))
                    if not mended and not parcel.is_too_old(news.window.first):
                        sink.send(parcel)
                        sent += max(1, len(parcel.messages))
                    ledger = ledger.taken(parcel)
                except NotTakenError as error:
                    ledger = ledger.asked_to_wait(error.pause)
                    raise
                except PartlyRefusedError as error:
                    sent += 0 if parcel.left else max(1, len(parcel.messages))
                    left.append(str(error))
                    ledger = ledger.left_to(parcel, error.left)
                except RefusedError as error:
                    (left if parcel.left else refused).append(str(error))
                    back = ledger.left_to(parcel, parcel.left)
                    ledger = back if parcel.left else ledger.taken_back(parcel)
                if len(ledger.parcels) < FEW or time.monotonic() - kept_at > SECONDS_UNKEPT:
                    ledger.write_file(file)
                    kept, kept_at = ledger, time.monotonic()
            if refused:  # what is new now is told by the next job, together with what was refused
                break
    finally:
        if kept is not ledger:
            ledger.write_file(file)
    done = f"{count(sent, 'notice')} sent" if sent or refused else "nothing to tell"
    if refused or left:
        raise RefusedError(f"{'; '.join(dict.fromkeys([*refused, *left]))} ({done})")
    return done


def _guarded(work: Callable[..., str], *arguments: object) -> Outcome:
    """Do the work and say what became of it. A bug, and an interruption, are not caught.

    Whatever the operating system refuses is the fault of the sink's place and not a bug.
    """
    try:
        return Outcome(failed=False, text=work(*arguments))
    except InterruptionError:
        raise
    except (NotTakenError, RefusedError, AmadError) as error:
        return Outcome(failed=True, text=str(error))
    except OSError as error:
        return Outcome(failed=True, text=str(usable_error(error) or error))


def _ended(jobs: Sequence[JobLog]) -> list[JobLog]:
    """The logs of the jobs that have ended, the newest last."""
    return [job for job in jobs if job.ended is not None]


@contextmanager
def _lock(runs: Path, fleet: str) -> Iterator[None]:
    """Let one job at a time tell a fleet's sinks.

    Raises:
        NotifyError: another one has done so for ``LOCK_SECONDS``.
    """
    busy = f"fleet {fleet}: another job is telling its sinks; 'amad notify' tells what is left"
    lock = locked(runs / "told.lock", lambda: NotifyError(busy), seconds=LOCK_SECONDS)
    with ExitStack() as held:
        with waiting_for("waiting for another job that tells the same sinks"):
            held.enter_context(lock)
        yield
