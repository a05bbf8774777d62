"""What people say about incidents: ``runs/<fleet>/feedback.json``, the newest verdict of each."""

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from filelock import FileLock
from pydantic import AwareDatetime, PlainSerializer

from amad.config import ConfigError
from amad.detect.incidents import Incident, joined
from amad.scores import partitions
from amad.scores.partition_manifest import PartitionManifest
from amad.telemetry.artifact import Artifact, Entry
from amad.telemetry.files import read_table
from amad.telemetry.schemas import INCIDENTS

Verdict = Literal["true", "false", "planned"]
Moment = Annotated[AwareDatetime, PlainSerializer(lambda at: at.isoformat(timespec="seconds"))]
LOCK_SECONDS = 60.0


class Judgement(Entry):
    """The verdict on one incident.

    verdict: ``true`` (something was wrong with the vehicle), ``false`` (nothing was) or ``planned``
    (work on the vehicle that was known beforehand). by: the user who said so. The rest is what the
    incident was at that time.
    """

    verdict: Verdict
    note: str = ""
    by: str
    at: Moment
    vehicle: str
    start: int
    level: str
    type: str
    channels: list[str]


class Feedback(Artifact):
    """The newest judgement of each incident, by its id."""

    FILE: ClassVar[str] = "feedback.json"
    REMEDY: ClassVar[str] = "bring back a backup, or move it away to begin anew"
    SEALED: ClassVar[bool] = True

    incidents: dict[str, Judgement] = {}

    @property
    def precision(self) -> tuple[int, int]:
        """(true, judged): planned work is neither a true nor a false alarm, and is left out."""
        verdicts = [item.verdict for item in self.incidents.values()]
        true = verdicts.count("true")
        return true, true + verdicts.count("false")


def read_feedback(runs: Path) -> Feedback:
    """The judgements of a fleet; none where nobody has judged.

    Raises:
        DataError: the file is damaged; names it and the way out.
    """
    return Feedback.read(runs) or Feedback()


def judge(runs: Path, incident_id: str, verdict: Verdict, note: str = "") -> Judgement:
    """Keep a verdict on an incident; it replaces an earlier one.

    Raises:
        ConfigError: there is no such incident.
        DataError: the file of judgements, or the table of the incident's date, is damaged.
    """
    found = find_incident(runs, incident_id)
    made = Judgement(
        verdict=verdict,
        note=note,
        by=getpass.getuser(),
        at=datetime.now(UTC),
        vehicle=found.vehicle,
        start=found.start,
        level=found.level,
        type=found.type,
        channels=list(found.channels),
    )
    with _lock(runs):
        known = read_feedback(runs).incidents
        Feedback(incidents=known | {incident_id: made}).write(runs)
    return made


def find_incident(runs: Path, incident_id: str) -> Incident:
    """The incident of that id, joined over its dates.

    Of each date, the newest version that has a part of it counts.

    Raises:
        ConfigError: there is no such incident.
        DataError: the table of one of its dates is damaged.
    """
    try:
        first = date.fromisoformat(incident_id[:8])
    except ValueError:
        first = date.max
    parts = list[Incident]()
    found = partitions.manifests(runs)
    for day in sorted(day for day in found if day >= first):
        part = _part(runs, incident_id, found[day])
        if part is None:  # an incident has a part on each of its dates
            break
        parts.append(part)
    if not parts:
        raise ConfigError(
            f"there is no incident {incident_id!r}; its id stands in the message about it, in the "
            f"report, and in the tables below {runs / 'incidents'}"
        )
    return joined(parts)


def _part(
    runs: Path, incident_id: str, versions: Mapping[str, PartitionManifest]
) -> Incident | None:
    """The part of an incident on one date, whose manifests are ``versions``."""
    for version in sorted(versions, key=int, reverse=True):
        day = versions[version].date
        file = partitions.table_file(runs, "incidents", version, day)
        remedy = f"run 'amad score --date {day}' to write it again"
        for item in partitions.incidents_in(read_table(file, INCIDENTS, remedy)):
            if item.incident_id == incident_id:
                return item
    return None


@contextmanager
def _lock(runs: Path) -> Iterator[None]:
    with FileLock(runs / "feedback.lock", timeout=LOCK_SECONDS):
        yield
