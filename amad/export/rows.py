"""The rows of the tables, from the published partitions of a fleet."""

from collections.abc import Collection
from datetime import UTC, date
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from amad.config.digest import json_digest
from amad.config.number_text import utc
from amad.incidents.incident import GAPS, Incident
from amad.notify.published import Published, Window, context_of
from amad.scores import partitions
from amad.scores.feedback import Judgement
from amad.scores.partition_manifest import PartitionManifest

Row = dict[str, Any]


def date_row(fleet: str, manifest: PartitionManifest, window: Window) -> Row:
    """The row of ``amad_dates`` of a published date.

    Its digest changes with the partition, and with what people judged of the date's incidents.
    """
    content, day = manifest.content(), manifest.date
    known = {name: window.incidents[name] for name in window.none & window.incidents.keys()}
    if none := [
        name for name, item in known.items() if utc(item.incident.start).date() <= day <= item.last
    ]:
        content["judged_none"] = sorted(none)
    return {
        "fleet": fleet,
        "date": day,
        "model_version": int(manifest.model_version),
        "detector": manifest.detector,
        "sha256": json_digest(content),
    }


def vehicle_day_rows(
    runs: Path, fleet: str, manifest: PartitionManifest, none: Collection[str]
) -> list[Row]:
    """The rows of ``amad_vehicle_days`` of one date, sorted by vehicle.

    none: ids of the incidents that people judged false or planned, which are no vehicle's worst.
    """
    version, day = manifest.model_version, manifest.date
    table = partitions.read_scores(runs, version, day, ["vehicle", "score", "alarm", "status"])
    table = table.append_column("scored", pc.equal(table["status"], "scored"))
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
        found, incidents = own.get(vehicle, nothing), parts.get(vehicle, [])
        counting = (part for part in incidents if part.incident_id not in none)
        worst = max(counting, key=lambda part: part.severity, default=None)
        rows.append(
            {
                "fleet": fleet,
                "date": day,
                "vehicle": vehicle,
                "rows": found["status_count"],
                "scored": found["scored_sum"],
                "alarms": found["alarm_sum"],
                "incidents": len(incidents),
                "highest_score": found["score_max"],
                "severity": worst and worst.severity,
                "level": worst and worst.level,
                "quarantined": vehicle in manifest.quarantined,
                "model_version": int(version),
                "withheld": manifest.withheld.get(vehicle, []),
            }
        )
    return rows


def incident_row(fleet: str, published: Published, judged: Judgement | None) -> Row:
    """The row of ``amad_incidents`` of an incident as it is published now, without its cause.

    judged: what people said of it.
    """
    item = published.incident
    copied = (
        "incident_id", "vehicle", "vehicle_class", "peak_score", "threshold", "severity", "level",
        "type", "alarm_rows", "deviation", "partner", "return_days",
    )  # fmt: skip
    listed = ("channels", "shares", *GAPS)
    return {name: getattr(item, name) for name in copied} | {
        **{name: list(getattr(item, name)) for name in listed},
        "context": context_of(item),
        "fleet": fleet,
        "start_at": utc(item.start),
        "end_at": utc(item.end),
        "peak_at": utc(item.peak),
        "last_date": published.last,
        "ongoing": published.ongoing,
        "withdrawn": False,
        "judged": judged and judged.verdict,
        "model_version": int(published.model_version),
    }


def first_date(row: Row) -> date:
    """The date (UTC) on which an incident began, of a row that was read or made."""
    start = row["start_at"]
    return (start.astimezone(UTC) if start.tzinfo else start).date()
