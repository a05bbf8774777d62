"""What the fleet lacks, for programs: a message per kind of finding that is new, or was mended.

A finding is told once when it is new and once when it is mended, also where no incident changed.
People get the same in their digest, see ``amad.notify.wording.health_lines``.
"""

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from amad.config.digest import sha256_of
from amad.config.wording import capitalised, some
from amad.notify.wording import LISTED, NoticeIncident
from amad.scores.job_log import JobLog
from amad.telemetry.artifact import Entry
from amad.telemetry.health import KINDS, Kind

DIGITS = 10  # of the digest of a finding in its key


class HealthFinding(Entry):
    """One finding. key: of the finding, its state and the job that saw it. text: a sentence."""

    key: str
    finding_id: str
    subject: str
    text: str


class HealthNotice(Entry):
    """Findings of one kind in one state. key: of the first one; no other message has it.

    kind: a name of ``KINDS``. incidents: always empty, for receivers that read incidents alone.
    """

    type: Literal["health"] = "health"
    key: str
    fleet: str
    state: Literal["new", "mended"]
    kind: str
    headline: str
    sentences: list[str]
    report: str
    findings: list[HealthFinding] = Field(min_length=1)
    incidents: list[NoticeIncident] = Field(default=[], max_length=0)


def health_notices(
    job: JobLog, known: Collection[str], fleet: str, report: str
) -> list[HealthNotice]:
    """What a job found and nobody was told, and what was told and it did not find.

    job: one that looked at the fleet's health. known: ids of the findings that were told.
    """
    now = job.findings or []
    found = []
    for kind in KINDS:
        of_kind = [name for name in now if _kind_of(name) == kind.name]
        text = dict(zip(of_kind, job.health.get(kind.name, []), strict=False))
        new = {name: text.get(name, name) for name in of_kind if name not in known}
        gone = sorted(name for name in known if _kind_of(name) == kind.name and name not in now)
        mended = {name: f"{_subject_of(name)} is no longer found." for name in gone}
        if new:
            found.append(_notice(job, kind, "new", new, fleet, report))
        if mended:
            found.append(_notice(job, kind, "mended", mended, fleet, report))
    return found


def _notice(
    job: JobLog,
    kind: Kind,
    state: Literal["new", "mended"],
    texts: dict[str, str],
    fleet: str,
    report: str,
) -> HealthNotice:
    findings = [
        HealthFinding(
            key=f"{job.id}-{sha256_of(name)[:DIGITS]}-{state}",
            finding_id=name,
            subject=_subject_of(name),
            text=text,
        )
        for name, text in texts.items()
    ]
    title = kind.title if state == "new" else f"Mended: {kind.title.lower()}"
    more = [f"And {len(texts) - LISTED:,} more."] if len(texts) > LISTED else []
    todo = [f"{capitalised(kind.remedy)}."] if state == "new" else []
    return HealthNotice(
        key=findings[0].key,
        fleet=fleet,
        state=state,
        kind=kind.name,
        headline=f"{title}: {some(finding.subject for finding in findings)}",
        sentences=[*list(texts.values())[:LISTED], *more, *todo, f"Report: {report}"],
        report=report,
        findings=findings,
    )


def _kind_of(finding_id: str) -> str:
    return finding_id.partition(": ")[0]


def _subject_of(finding_id: str) -> str:
    return finding_id.partition(": ")[2]
