"""What the fleet lacks, for programs: a message per kind of finding that is new, or was mended.

A finding is told once when it is new and once when it is mended, also where no incident changed.
People get the same in their digest, see ``amad.notify.wording.health_lines``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import Field

from amad.config.digest import sha256_of
from amad.config.wording import capitalised, some
from amad.notify.wording import LISTED, NoticeIncident
from amad.scores.job_log import JobLog, last_look
from amad.scores.step_log import step_logs
from amad.scores.unscored import undone
from amad.telemetry.artifact import Entry
from amad.telemetry.trouble import KINDS, UNDONE, Kind, parts_of

DIGITS = 10  # of the digest of a finding in its key


@dataclass(frozen=True, kw_only=True)
class Look:
    """What is wrong with a fleet and its nights beside incidents.

    seen_by: the job or the step that ran last. texts: a sentence per finding, by its id. whole:
    whether a job could look at the fleet; else only what was left undone is known.
    """

    seen_by: str
    texts: dict[str, str]
    whole: bool

    @classmethod
    def of(cls, runs: Path, jobs: Sequence[JobLog]) -> Self | None:
        """What the newest job that could look saw, and what is left undone; None before any.

        jobs: all of them, the newest last.
        """
        job = last_look(jobs)
        texts = dict(job.named) if job else {}
        for trouble in undone(jobs, runs):
            texts.setdefault(trouble.id, str(trouble))
        ran = [(log.started, f"{log.started:%Y%m%dT%H%M%S}-{log.step}") for log in step_logs(runs)]
        ran += [(item.started, item.id) for item in jobs[-1:]]
        if not ran or not (job or texts):
            return None
        seen_by = max(ran)[1]
        return cls(seen_by=seen_by, texts=texts, whole=job is not None)

    def findings(self, known: Collection[str]) -> list[str]:
        """The ids of what is wrong now. known: those told, which last where nobody looked."""
        lasting = [name for name in known if not self.whole and parts_of(name)[0] != UNDONE]
        return [*self.texts, *(name for name in lasting if name not in self.texts)]


class HealthFinding(Entry):
    """One finding. key: of the finding, its state and what saw it. text: a sentence."""

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
    look: Look, known: Collection[str], fleet: str, report: str
) -> list[HealthNotice]:
    """What is wrong and nobody was told, and what was told and is wrong no more.

    known: ids of the findings that were told.
    """
    now = look.findings(known)
    found = []
    for kind in KINDS:
        of_kind = [name for name in now if parts_of(name)[0] == kind.name]
        new = {name: look.texts[name] for name in of_kind if name not in known}
        gone = sorted(name for name in known if parts_of(name)[0] == kind.name and name not in now)
        end = ": nothing is left undone." if kind.name == UNDONE else " is no longer found."
        mended = {name: f"{parts_of(name)[1]}{end}" for name in gone}
        found += [_notice(look, kind, "new", new, fleet, report)] if new else []
        found += [_notice(look, kind, "mended", mended, fleet, report)] if mended else []
    return found


def _notice(
    look: Look,
    kind: Kind,
    state: Literal["new", "mended"],
    texts: dict[str, str],
    fleet: str,
    report: str,
) -> HealthNotice:
    findings = [
        HealthFinding(
            key=f"{look.seen_by}-{sha256_of(name)[:DIGITS]}-{state}",
            finding_id=name,
            subject=parts_of(name)[1],
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
