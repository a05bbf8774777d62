"""What people say about incidents: ``runs/<fleet>/feedback.json``, the newest verdict of each."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import ClassVar, Literal, cast, get_args

from amad.config import ConfigError, DataError, ServiceError
from amad.config.file_lock import locked
from amad.config.settings import user_name
from amad.incidents.incident import Incident, joined
from amad.scores import partitions
from amad.scores.partition_manifest import PartitionManifest
from amad.scores.run_log import Moment
from amad.telemetry.artifact import Artifact, Entry

Verdict = Literal["true", "false", "planned"]
COLUMNS = ("incident", "verdict", "note")  # of a CSV file
LOCK_SECONDS = 60.0


class Judgement(Entry):
    """The verdict on one incident.

    verdict: ``true`` (something was wrong with the vehicle), ``false`` (nothing was) or ``planned``
    (work on the vehicle that was known beforehand). by: the user who said so. The rest is what the
    incident was at that time; margin: its peak's score above the threshold of its row. Earlier
    releases of amad kept neither shares, margin, end nor the vehicle's class.
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
    shares: list[float] = []
    margin: float | None = None
    end: int | None = None
    vehicle_class: str | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody says of one incident. where: the line of a file that says so, or empty."""

    incident_id: str
    verdict: Verdict
    note: str = ""
    where: str = ""


def keep(
    runs: Path, said: Sequence[Said], moved: Mapping[str, str] | None = None
) -> dict[str, Judgement]:
    """Keep verdicts, all or none; each replaces an earlier one on its incident.

    moved: by an id of which there is no incident any more, the one that its incident has now.

    Raises:
        ConfigError: there is no such incident, or two of these verdicts are on one.
        DataError: the file of judgements, or the table of an incident's date, is damaged.
    """
    made, published = {}, partitions.manifests(runs)
    for item in said:
        try:
            found = find_incident(runs, item.incident_id, published, moved)
            if found.incident_id in made:
                raise ConfigError(
                    f"{item.incident_id} is now incident {found.incident_id}, which another of "
                    "these verdicts judges; leave one of them out"
                )
        except ConfigError as error:
            raise ConfigError(f"{item.where}: {error}" if item.where else str(error)) from None
        made[found.incident_id] = Judgement(
            verdict=item.verdict,
            note=item.note,
            by=user_name(),
            at=datetime.now(UTC),
            margin=found.peak_score - found.threshold,
            **partitions.fields_of(found),
        )
    lock = runs / "feedback.lock"
    held = f"{lock} is held by another process; wait for it"
    with locked(lock, lambda: ServiceError(held), seconds=LOCK_SECONDS):
        known = read_feedback(runs).incidents
        Feedback(incidents=known | made).write(runs)
    return made


def read_verdicts(file: Path) -> list[Said]:
    """The verdicts of a CSV file with the columns incident, verdict and note.

    A line without a verdict says nothing and is left out.

    Raises:
        DataError: the file cannot be read, lacks a column, or has a line that is wrong; names the
            file, the line and what is accepted.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"there is no file {file}; name the one that the report saved") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 text ({error}); save it as CSV in UTF-8") from None
    # Strict: a quote that is never closed would take the lines after it for a note.
    lines = csv.DictReader(io.StringIO(text, newline=""), restkey="", strict=True)
    try:
        rows = [(lines.line_num, row) for row in lines]
        header = list(lines.fieldnames or [])
    except csv.Error as error:
        raise DataError(f"{file}, line {lines.reader.line_num}: {error}") from None
    if wrong := [name for name in COLUMNS[:2] if header.count(name) != 1]:
        raise DataError(
            f"{file} has no column {' and '.join(wrong)}, or two of them; its first line must be "
            f"{','.join(COLUMNS)}"
        )
    said: dict[str, Said] = {}
    for number, row in rows:
        where, name = f"{file}, line {number}", (row["incident"] or "").strip()
        verdict = (row["verdict"] or "").strip().lower()  # spreadsheets write TRUE
        if "" in row:
            raise DataError(f"{where}: more cells than columns; a note with a comma needs quotes")
        if not verdict:
            continue
        if verdict not in get_args(Verdict):
            raise DataError(
                f"{where}: verdict {verdict!r}; accepted: {', '.join(get_args(Verdict))}, or empty"
            )
        if not name or name in said:
            why = f"{name} stands there twice; leave one of the lines out"
            raise DataError(f"{where}: {why if name else 'names no incident; put its id there'}")
        said[name] = Said(
            incident_id=name,
            verdict=cast(Verdict, verdict),
            note=(row.get("note") or "").strip(),
            where=where,
        )
    return list(said.values())


def find_incident(
    runs: Path,
    incident_id: str,
    found: partitions.Manifests,
    moved: Mapping[str, str] | None = None,
) -> Incident:
    """The incident of that id, joined over its dates.

    Of each date, the newest version that has a part of it counts.

    found: the manifests of the published dates. moved: see ``keep``.

    Raises:
        ConfigError: there is no such incident.
        DataError: the table of one of its dates is damaged.
    """
    try:
        first = date.fromisoformat(incident_id[:8])
    except ValueError:
        first = date.max
    parts = list[Incident]()
    for day in sorted(day for day in found if day >= first):
        part = _part(runs, incident_id, found[day])
        if part is None:  # an incident has a part on each of its dates
            break
        parts.append(part)
    if not parts and moved and incident_id in moved:
        return find_incident(runs, moved[incident_id], found)
    if not parts:
        raise ConfigError(
            f"there is no incident {incident_id!r}; its id stands in the message about it, in the "
            f"report, and in the tables below {runs / 'incidents'}"
        )
    return joined(parts)


def _part(
    runs: Path, incident_id: str, versions: Mapping[str, PartitionManifest]
) -> Incident | None:
    """The part of an incident on one date, whose manifests are ``versions``.

    What another release wrote counts only on a date that was not scored since. No job writes the
    others anew, and their tables may have other columns.
    """
    now = [name for name, item in versions.items() if item.contract == partitions.CONTRACT]
    for version in sorted(now or versions, key=int, reverse=True):
        for item in partitions.incidents_of_date(runs, version, versions[version].date):
            if item.incident_id == incident_id:
                return item
    return None
