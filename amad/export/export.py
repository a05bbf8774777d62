"""Brings the tables of a database up to what is published of a fleet.

Dates whose partition has changed since the last export, or of which people judged an incident, are
replaced: their vehicle-days are deleted and inserted in one transaction. Incidents are compared one
by one. An incident of the database that is no longer published, although the dates on which it
began and ended are, is marked as withdrawn. What `amad prune` removed stays in the database. Dates
in the future whose scores were set aside go.

Causes follow the incidents: all that is published is grouped anew as the notices group it. Only an
incident whose cause began on a date that was removed keeps the cause that the database has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from sqlalchemy import URL, Connection, Table, bindparam, delete, insert, select, update

from amad.config import Fleet, Stage
from amad.config.wording import count, some
from amad.export.database import opened, public
from amad.export.rows import Row, date_row, first_date, incident_row, vehicle_day_rows
from amad.export.tables import DATES, INCIDENTS, VEHICLE_DAYS
from amad.notify.grouping import causes
from amad.notify.published import Window, read_window
from amad.notify.suppressed import followed, judged_none
from amad.notify.wording import headline_of_cause
from amad.scores import partitions
from amad.scores.feedback import Judgement, read_feedback
from amad.scores.job_log import job_logs, last_version

ALL_DAYS = 1 << 20


@dataclass(slots=True, kw_only=True)
class Exported:
    """What an export changed. dates: those that were written; incidents: by what became of them.

    published: how many dates have scores that can be exported. left_out: dates whose files are
    damaged, unfinished or of an earlier amad; of these the database keeps what it has. removed:
    dates in the future whose scores were set aside.
    """

    fleet: str
    where: str
    dates: list[date] = field(default_factory=list)
    vehicle_days: int = 0
    new: int = 0
    changed: int = 0
    withdrawn: int = 0
    left_out: list[date] = field(default_factory=list)
    removed: list[date] = field(default_factory=list)
    published: int = 0

    def __str__(self) -> str:
        incidents = [(self.new, "new"), (self.changed, "changed"), (self.withdrawn, "withdrawn")]
        changes = [f"{number} {word}" for number, word in incidents if number]
        if not self.published:
            return (
                f"fleet {self.fleet}: no date is published, so nothing was written to "
                f"{self.where}; run 'amad score' first"
            )
        if not self.dates and not self.removed and not changes:
            return f"fleet {self.fleet}: {self.where} is up to date"
        return (
            f"fleet {self.fleet}: {count(len(self.dates), 'date')} with "
            f"{count(self.vehicle_days, 'vehicle-day')} written to {self.where}; incidents: "
            f"{', '.join(changes) or 'none changed'}"
            + (f"; removed, as set aside: {some(self.removed)}" if self.removed else "")
        )


def export(stage: Stage, url: URL) -> Exported:
    """Write what is new or changed; the same call again writes nothing.

    Raises:
        ServiceError: the database does not answer, or gives no right.
        DataError: its tables are of another format, or a published file, or what people judged, is
            damaged.
    """
    runs = stage.runs
    window = read_window(runs, last_version(job_logs(runs)[0]), ALL_DAYS)
    judged = followed(read_feedback(runs), window).incidents
    window = replace(window, none=judged_none(judged))
    done = Exported(fleet=stage.fleet.name, where=public(url), published=len(window.dates))
    done.left_out = sorted(set(partitions.begun(runs)) - set(window.dates))
    with opened(url) as connection:
        _dates(connection, stage, window, done)
        _incidents(connection, stage.fleet, window, judged, done)
    return done


def _dates(connection: Connection, stage: Stage, window: Window, done: Exported) -> None:
    """window: all that is published, with what people judged of it."""
    fleet, runs = stage.fleet.name, stage.runs
    columns = select(DATES.c.date, DATES.c.sha256).where(DATES.c.fleet == fleet)
    known = {day: sha256 for day, sha256 in connection.execute(columns)}
    newest = max(window.dates, default=date.max)
    done.removed = sorted(
        day for day in known if day > newest and partitions.was_set_aside(runs, day)
    )
    for day in done.removed:
        _replace(connection, fleet, day, {VEHICLE_DAYS: [], DATES: []})
    for day in sorted(window.dates):
        manifest = window.manifest(day)
        if manifest is None:  # it was changed since
            continue
        row = date_row(fleet, manifest, window)
        if known.get(day) == row["sha256"]:
            continue
        rows = vehicle_day_rows(runs, fleet, manifest, window.none)
        _replace(connection, fleet, day, {VEHICLE_DAYS: rows, DATES: [row]})
        done.dates.append(day)
        done.vehicle_days += len(rows)


def _replace(
    connection: Connection, fleet: str, day: date, rows_of: Mapping[Table, list[Row]]
) -> None:
    """Put these rows in the place of what the tables have of a date."""
    for table, rows in rows_of.items():
        here = (table.c.fleet == fleet) & (table.c.date == day)
        connection.execute(delete(table).where(here))
        if rows:
            connection.execute(insert(table), rows)


def _incidents(
    connection: Connection,
    fleet: Fleet,
    window: Window,
    judged: Mapping[str, Judgement],
    done: Exported,
) -> None:
    """window: all that is published. judged: what people said, by incident."""
    published = {*window.dates, *done.removed}
    columns = select(INCIDENTS).where(INCIDENTS.c.fleet == fleet.name)
    known = {row["incident_id"]: dict(row) for row in connection.execute(columns).mappings()}
    cause_of = _causes(window, known, fleet)
    for name, item in window.incidents.items():
        row = incident_row(fleet.name, item, judged.get(name)) | cause_of[name]
        before = known.pop(row["incident_id"], None)
        if before is not None and first_date(before) not in published:
            row["start_at"] = before["start_at"]  # the date on which it began was removed since
        if before is None:
            connection.execute(insert(INCIDENTS), [row])
            done.new += 1
        elif _plain(before) != _plain(row):
            key = INCIDENTS.c.incident_id == row["incident_id"]
            connection.execute(update(INCIDENTS).where(key).values(row))
            done.changed += 1
    gone = [
        row
        for row in known.values()
        if not row["withdrawn"] and {first_date(row), row["last_date"]} <= published
    ]
    if gone:
        key = INCIDENTS.c.incident_id == bindparam("gone")
        marked = update(INCIDENTS).where(key).values(withdrawn=True, ongoing=False)
        connection.execute(marked, [{"gone": row["incident_id"]} for row in gone])
        done.withdrawn += len(gone)


def _causes(window: Window, known: dict[str, Row], fleet: Fleet) -> dict[str, Row]:
    """By id of the published incidents, the columns on their causes. known: the rows there are."""
    found: dict[str, Row] = {
        change.incident_id: {"cause_id": cause.id, "cause": headline_of_cause(cause, fleet)}
        for cause in causes(window)
        for change in cause.changes
    }
    for name in found.keys() & known.keys():
        began = known.get(known[name]["cause_id"])
        if began is not None and first_date(began) not in window.dates:
            found[name] = {column: known[name][column] for column in ("cause_id", "cause")}
    return found


def _plain(row: Row) -> dict[str, Any]:
    """For a comparison: SQLite keeps no zone, and PostgreSQL gives its own."""
    return {
        name: value.replace(tzinfo=None) if hasattr(value, "tzinfo") else value
        for name, value in row.items()
    }
