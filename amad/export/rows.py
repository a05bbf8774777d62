"""The rows of the tables, from the published partitions of a fleet."""

from dataclasses import dataclass
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Fleet
from amad.config.digest import json_digest
from amad.config.number_text import utc
from amad.detect.incidents import GAPS, Incident
from amad.notify.grouping import causes
from amad.notify.published import Published, Window
from amad.notify.wording import headline_of_cause
from amad.scores import partitions
from amad.scores.partition_manifest import PartitionManifest

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedDate:
    """A published date. row: of ``amad_dates``."""

    row: Row
    manifest: PartitionManifest


def dates_of(runs: Path, fleet: str, window: Window) -> list[ExportedDate]:
    """The published dates, in order; of a date that was changed since, nothing."""
    found = []
    for day in sorted(window.dates):
        manifest = partitions.read_manifest(runs, window.versions[day], day)
        if manifest is None:
            continue
        row = {
            "fleet": fleet,
            "date": day,
            "model_version": int(manifest.model_version),
            "detector": manifest.detector,
            "sha256": json_digest(manifest.content()),
        }
        found.append(ExportedDate(row=row, manifest=manifest))
    return found


def vehicle_day_rows(runs: Path, exported: ExportedDate) -> list[Row]:
    """The rows of ``amad_vehicle_days`` of one date, sorted by vehicle."""
    manifest, day = exported.manifest, exported.manifest.date
    version = manifest.model_version
    columns = ["vehicle", "score", "alarm", "status"]
    table = partitions.read_scores(runs, version, day, columns)
    scored = pc.cast(pc.equal(table["status"], "scored"), pa.int64())
    table = table.append_column("scored", scored)
    table = table.set_column(2, "alarm", pc.cast(table["alarm"], pa.int64()))
    totals = table.group_by("vehicle").aggregate(
        [("status", "count"), ("scored", "sum"), ("alarm", "sum"), ("score", "max")]
    )
    own = {row["vehicle"]: row for row in totals.to_pylist()}
    parts: dict[str, list[Incident]] = {}
    for part in partitions.incidents_of_date(runs, version, day):
        parts.setdefault(part.vehicle, []).append(part)
    nothing = {"status_count": 0, "scored_sum": 0, "alarm_sum": 0, "score_max": None}
    rows = []
    for vehicle in sorted(manifest.vehicles):
        found = own.get(vehicle, nothing)
        worst = max(parts.get(vehicle, []), key=lambda part: part.severity, default=None)
        rows.append(
            {
                "fleet": exported.row["fleet"],
                "date": day,
                "vehicle": vehicle,
                "rows": found["status_count"],
                "scored": found["scored_sum"],
                "alarms": found["alarm_sum"],
                "incidents": len(parts.get(vehicle, [])),
                "highest_score": found["score_max"],
                "severity": worst and worst.severity,
                "level": worst and worst.level,
                "quarantined": vehicle in manifest.quarantined,
                "model_version": int(version),
                "withheld": manifest.withheld.get(vehicle, []),
            }
        )
    return rows


def causes_by_incident(window: Window, fleet: Fleet) -> dict[str, Row]:
    """By id of the incident, the columns of ``amad_incidents`` on its cause."""
    return {
        change.incident_id: {"cause_id": cause.id, "cause": headline_of_cause(cause, fleet)}
        for cause in causes(window)
        for change in cause.changes
    }


def incident_row(fleet: str, published: Published) -> Row:
    """The row of ``amad_incidents`` of an incident as it is published now, without its cause."""
    item = published.incident
    copied = (
        "incident_id", "vehicle", "vehicle_class", "peak_score", "threshold", "severity", "level",
        "type", "alarm_rows", "deviation", "partner", "return_days",
    )  # fmt: skip
    listed = ("channels", "shares", *GAPS)
    return {name: getattr(item, name) for name in copied} | {
        **{name: list(getattr(item, name)) for name in listed},
        "context": dict(zip(item.context_channels, item.context_values, strict=True)),
        "fleet": fleet,
        "start_at": utc(item.start),
        "end_at": utc(item.end),
        "peak_at": utc(item.peak),
        "last_date": published.last,
        "ongoing": published.ongoing,
        "withdrawn": False,
        "model_version": int(published.model_version),
    }


def first_date(row: Row) -> date:
    """The date (UTC) on which an incident began, of a row that was read or made."""
    start = row["start_at"]
    return (start.astimezone(UTC) if start.tzinfo else start).date()
