"""What a reliability engineer must be told of a fleet every night until it is mended.

Silent vehicles, vanished channels, vehicles and files that never got in, files that are gone,
quarantined days, failed sensors: found in what ingest and validate left behind. The report,
``amad doctor`` and the log of each scoring job tell the same findings.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa

from amad.config import ConfigError, DataError, Fleet, Settings
from amad.config.wording import NAMED, count, some
from amad.reading import times
from amad.telemetry.counter_findings import CounterFinding, counter_findings
from amad.telemetry.files import read_table
from amad.telemetry.ingest_result import IngestResult
from amad.telemetry.judged_days import JudgedDays
from amad.telemetry.kept_out import kept_out
from amad.telemetry.lake import Lake
from amad.telemetry.other_scale import scale_findings
from amad.telemetry.refusals import (
    FileRefusals,
    RefusedRun,
    files_of,
    much_refused,
    refused_runs,
)
from amad.telemetry.refused_files import RefusedSeries, refused_series
from amad.telemetry.schemas import PROFILE, QUARANTINE
from amad.telemetry.silence import Silence, silent_vehicles, vanished_channels
from amad.telemetry.trouble import KINDS, Health, Trouble

NEW_IDS = 3  # vehicles at most that are named as perhaps the same as a silent one
RECENT = 7  # dates of a vehicle: a sensor that failed on one of them is told
VALIDATE = "run 'amad validate' again"
BACKWARDS = "ran backwards, which no counter can, on"


def fleet_health(
    fleet: Fleet, settings: Settings, lake: Lake | None = None, fresh: pa.Table | None = None
) -> Health:
    """All troubles of the fleet.

    lake: the fleet's, where it is open already. fresh: the profile as it is now, given by
    the stage that judges it; what was quarantined before is then left out.

    Raises:
        DataError: there is no lake, or a file in ``data/<fleet>`` is damaged; names it and the
            remedy.
    """
    folder = settings.fleet_dir(fleet.name)
    lake = lake or Lake(folder / "lake", fleet)
    ingested = IngestResult.read(folder)
    profile, quarantine = fresh, None
    if fresh is None:
        profile, quarantine = (
            read_table(folder / name, schema, VALIDATE) if (folder / name).exists() else None
            for name, schema in (("profile.parquet", PROFILE), ("quarantine.parquet", QUARANTINE))
        )
    much = much_refused(lake, fleet)
    found, events = _future(lake, fleet) + _silent(lake, fleet, much), []
    if profile is not None:
        counters = counter_findings(profile)
        found += _vanished(profile, fleet) + _backwards(counters, fleet)
        found += _scaled(profile, fleet)
        events = _resets(counters, fleet)
    if ingested is not None:
        found += _from_ingest(ingested) + _outside_class(ingested, lake)
    found += _refused(ingested, lake, fleet, much)
    if fresh is None:
        judged = _judged(settings.runs_dir(fleet.name), fleet, lake)
        rows = [] if quarantine is None else quarantine.to_pylist()
        rows = [row for row in rows if (row["vehicle"], row["date"]) not in judged]
        found += _failed(rows + [row for rows in judged.values() for row in rows], fleet, lake)
    order = [kind.name for kind in KINDS]
    stages = {"ingest": ingested, "validate": profile}
    return Health(
        troubles=sorted(found, key=lambda trouble: order.index(trouble.kind)),
        unseen=[name for name, content in stages.items() if content is None],
        events=events,
    )


def latest_date() -> date:
    """The last date that does not lie in the future: ingest takes rows of a day ahead."""
    return datetime.fromtimestamp((times.now_us() + times.DAY_US) / 1e6, UTC).date()


def _future(lake: Lake, fleet: Fleet) -> list[Trouble]:
    """Rows that got in while this machine's clock was ahead; or it is behind now."""
    if not fleet.source.has_clock:
        return []
    latest = latest_date()
    ahead: dict[str, list[date]] = {}
    for vehicle, day, _ in lake.days():
        if day > latest:
            ahead.setdefault(vehicle, []).append(day)
    many = len(lake.vehicles())
    if len(ahead) > max(1, many / 2):
        text = (
            f"of {len(ahead):,} of {count(many, 'vehicle')} lie in the future by the clock of this "
            f"machine, up to {max(map(max, ahead.values()))}: is that clock behind?"
        )
        return [Trouble(kind="future", subject="rows", text=text)]
    return [
        Trouble(
            kind="future",
            subject=vehicle,
            text=f"has rows of {some(days)}, which lie in the future by the clock of this machine",
        )
        for vehicle, days in sorted(ahead.items())
    ]


def _silent(lake: Lake, fleet: Fleet, much: list[FileRefusals]) -> list[Trouble]:
    days = [(vehicle, day) for vehicle, day, _ in lake.days()]
    newest = max((day for _, day in days), default=None)
    first: dict[str, date] = {}
    for vehicle, day in days:
        first[vehicle] = min(day, first.get(vehicle, day))
    return [
        Trouble(
            kind="silent",
            subject=item.vehicle,
            since=item.last,
            text=f"has been silent since {item.last}, {item.days} days before the fleet's newest "
            f"date, {newest}; it "
            + ("reported on that date alone, and a vehicle of this fleet " if item.of_fleet else "")
            + "usually reports "
            + ("every day" if item.usual == 1 else f"every {item.usual} days at the least")
            + (
                f"; it is not, if its rows are among those refused of {some(files)}"
                if files
                else ""
            )
            + (
                f"; if {' or '.join(others)}, of its class and first seen when it fell silent, is "
                "this vehicle under a new id, join the two under source: vehicle: aliases: in the "
                "fleet file"
                if others
                else ""
            ),
        )
        for item in silent_vehicles(days, newest, fleet.quality.retired)
        for files in [files_of(item.vehicle, much, fleet)]
        for others in [_successors(item, first, fleet)]
    ]


def _successors(gone: Silence, first: dict[str, date], fleet: Fleet) -> list[str]:
    """The vehicles of its class that came when a silent one would have reported next.

    None where there are so many that the fleet was enlarged. first: by vehicle, its first date.
    """
    found, begin = list[str](), min(first.values())  # of the fleet: then nobody has come
    for vehicle, day in sorted(first.items()):
        if vehicle != gone.vehicle and day > begin and 0 <= (day - gone.last).days <= gone.usual:
            with suppress(ConfigError):  # of a class that the fleet file has no more
                if fleet.class_of(vehicle) == fleet.class_of(gone.vehicle):
                    found.append(vehicle)
    return found if len(found) <= NEW_IDS else []


def _vanished(profile: pa.Table, fleet: Fleet) -> list[Trouble]:
    """One finding per channel: where many vehicles lose it, the export is at fault, no sensor."""
    of: dict[str, list] = {}
    for item in vanished_channels(profile, fleet.quality.retired):
        of.setdefault(item.channel, []).append(item)
    found = []
    for channel, items in of.items():
        items.sort(key=lambda item: (item.since, item.vehicle))
        named = [f"{i.vehicle} since {i.since} ({count(i.days, 'day')})" for i in items]
        text = f"has had no value from {some(named)}"
        found.append(_about(channel, fleet, "vanished", text, items[0].since))
    return found


def _backwards(counters: list[CounterFinding], fleet: Fleet) -> list[Trouble]:
    return [
        _about(item.channel, fleet, "backwards", f"{BACKWARDS} {on}", item.since)
        for item in counters
        if (on := _by_vehicle(item.decreases))
    ]


def _scaled(profile: pa.Table, fleet: Fleet) -> list[Trouble]:
    return [
        _about(item.channel, fleet, "scale", item.text, item.dates[0], item.vehicle)
        for item in scale_findings(profile, fleet)
    ]


def _about(
    channel: str, fleet: Fleet, kind: str, text: str, since: date | None, vehicle: str = ""
) -> Trouble:
    """A finding about a channel, of one vehicle where that is given."""
    subject, name = (f"{vehicle} {of}".lstrip() for of in (fleet.title_of(channel), channel))
    return Trouble(kind=kind, subject=subject, name=name, text=text, since=since)


def _resets(counters: list[CounterFinding], fleet: Fleet) -> list[str]:
    """Sentences; a reset is ordinary, and its increment is missing."""
    return [
        f"{fleet.title_of(item.channel)} was reset on {on}"
        for item in counters
        if (on := _by_vehicle(item.resets))
    ]


def _by_vehicle(often: Counter[str]) -> str:
    counted = often.most_common()
    return some(f"{name} ({count(number, 'time')})" for name, number in counted if number)


def _from_ingest(ingested: IngestResult) -> list[Trouble]:
    unknown = [
        (vehicle, "is in no vehicle class of the fleet file: none of its rows is read")
        for vehicle in sorted(ingested.vehicles_unknown)
    ]
    doubles = [
        (" and ".join(ids), "look like spellings of one vehicle") for ids in ingested.likely_doubles
    ]
    files = ingested.files_gone
    if len(files) > NAMED:  # a raw folder that keeps only some days loses one every night
        paths, rows = some([file.path for file in files]), sum(file.rows for file in files)
        text = f"are gone from the raw folder ({paths}); the lake keeps their {count(rows, 'row')}"
        gone = [(f"{len(files):,} files", text)]
    else:
        gone = [
            (
                file.path,
                f"is gone from the raw folder; the lake keeps its {count(file.rows, 'row')} of "
                f"{count(file.days, 'day')}",
            )
            for file in files
        ]
    kinds = {"unknown": unknown, "doubles": doubles, "gone": gone}
    return [
        Trouble(kind=kind, subject=subject, text=text)
        for kind, found in kinds.items()
        for subject, text in found
    ]


def _outside_class(ingested: IngestResult, lake: Lake) -> list[Trouble]:
    """One finding per vehicle, until its newest ``RECENT`` dates have no such value."""
    of: dict[str, list[str]] = {}
    recent = {vehicle: lake.dates(vehicle)[-RECENT:] for vehicle in lake.vehicles()}
    for item in ingested.outside_class:
        if item.last >= str(min(recent.get(item.vehicle, []), default=date.max)):
            named = f"{item.channel} ({count(item.values, 'value')})"
            of.setdefault(item.vehicle, []).append(named)
    return [
        Trouble(
            kind="outside_class",
            subject=vehicle,
            text=f"has values of channels that its class lacks, read as null: {some(named)}",
        )
        for vehicle, named in of.items()
    ]


def _refused(
    ingested: IngestResult | None, lake: Lake, fleet: Fleet, much: list[FileRefusals]
) -> list[Trouble]:
    whole = ingested.files_refused if ingested is not None else []
    found: dict[str, Sequence[RefusedSeries | RefusedRun]] = {}
    found["refused"] = refused_series(whole, lake, fleet)
    found["rows"] = refused_runs(much, lake, fleet)
    return [
        Trouble(kind=kind, subject=run.subject, name=run.name, text=run.text)
        for kind, runs in found.items()
        for run in runs
    ]


def _judged(runs: Path, fleet: Fleet, lake: Lake) -> dict[tuple[str, date], list[dict]]:
    """The vehicle-days that a scoring job judged as they are now, with the reasons it found."""
    try:
        judged = JudgedDays.under(fleet.digest, runs)
    except DataError:  # the next job judges its days again
        return {}
    columns = (lake.day_table()[name].to_pylist() for name in ("vehicle", "date", "sha256"))
    return {
        (vehicle, day): judged.failures(vehicle, day)
        for vehicle, day, sha256 in zip(*columns, strict=True)
        if judged.reasons(vehicle, day, sha256) is not None
    }


def _failed(rows: list[dict], fleet: Fleet, lake: Lake) -> list[Trouble]:
    """A finding per vehicle with days left out, and per sensor without which days are scored.

    A sensor is told until the newest ``RECENT`` dates of its vehicle are sound.
    """
    out = kept_out(fleet, rows)
    recent = {vehicle: lake.dates(vehicle)[-RECENT:] for vehicle, _ in out}
    by_sensor: dict[tuple[str, str], list[dict]] = {}
    for row in rows:
        channel = row["channel"] if out[row["vehicle"], row["date"]] else ""
        if not channel or row["date"] in recent[row["vehicle"]]:
            by_sensor.setdefault((row["vehicle"], channel), []).append(row)
    found = []
    for (vehicle, channel), own in sorted(by_sensor.items()):
        days = len({row["date"] for row in own})
        newest = max(own, key=lambda row: row["date"])
        reason = (newest["reason"] or "").partition(": ")[2]
        what = f"has {count(days, 'day')} quarantined"
        if channel:
            what = f"failed on {days} of the last {count(len(recent[vehicle]), 'day')}"
        text, since = f"{what}, the newest {newest['date']}: {reason}", min(r["date"] for r in own)
        if channel:
            found.append(_about(channel, fleet, "sensor", text, since, vehicle))
        else:
            found.append(Trouble(kind="quarantined", subject=vehicle, text=text, since=since))
    return found
