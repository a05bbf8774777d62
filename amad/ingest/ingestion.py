"""Bring raw files into the lake: every row is counted, and none is dropped silently.

A second run reads only files that are new; their rows are merged into the parts. If a file that is
in the lake has changed, all files are read anew. The lake only grows: the rows of raw files that
are gone from their folder stay, until ``rebuild`` asks for a lake of what is there.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amad.config import ConfigError, Fleet, ServiceError, Settings, Stage
from amad.config.console import say
from amad.config.units import RunUnits, in_process
from amad.config.wording import count
from amad.ingest.lake_counts import count_lake
from amad.ingest.loading import Loading
from amad.ingest.pending_change import Pending
from amad.ingest.raw_files import CULPRITS, bring, fingerprint, held_manifest, passed_by
from amad.ingest.reading_plan import make_plan, refuse_to_forget
from amad.reading.cut_rows import of_short_rows
from amad.reading.rules import reading_rules
from amad.telemetry.files import full_disk_named
from amad.telemetry.ingest_result import IngestResult
from amad.telemetry.lake import Lake
from amad.telemetry.manifest import Manifest

NAMED = 5  # of each kind in the messages


def ingest_fleet(
    stage: Stage, *, rebuild: bool = False, run: RunUnits = in_process
) -> IngestResult:
    """The stage ``ingest``: bring the lake up to date, write ``ingest.json``, say what was done.

    rebuild, run, and what it raises: see ``ingest``.
    """
    result = ingest(stage.fleet, stage.settings, rebuild=rebuild, run=run)
    result.write(stage.folder)
    for line in sentences(result, stage.fleet.name, stage.fleet.source_place(stage.settings)):
        say(line)
    return result


def ingest(
    fleet: Fleet, settings: Settings, *, rebuild: bool = False, run: RunUnits = in_process
) -> IngestResult:
    """Bring the lake of a fleet up to date with the raw files, and count it.

    rebuild: forget the lake so far, also the rows of raw files that are gone. run: what writes the
    vehicle-days.

    Raises:
        DataError: raw data is missing, not one row of it can be read, the lake is damaged, or the
            contract has changed and files are gone that would have to be read by the new one.
        ConfigError: the contract contradicts itself.
        ServiceError: another ingest of the fleet is running.
    """
    lake, rejected = (settings.fleet_dir(fleet.name) / name for name in ("lake", "rejected"))
    _check(fleet)
    with _only_one(settings.runs_dir(fleet.name) / "ingest.lock"):
        pending = Pending(lake, rejected)
        pending.recover(forget=rebuild)
        found = fingerprint(fleet, settings).files
        for line in passed_by(fleet, settings, [file.path for file in found]):
            say(line)
        culprits = next((file.sha256 for file in found if file.part == CULPRITS), None)
        raw = [file for file in found if file.part != CULPRITS]
        if rebuild:
            refuse_to_forget(raw, held_manifest(fleet, settings))
        manifest = None if rebuild else Manifest.read(lake)
        plan = make_plan(fleet, settings, manifest, raw, culprits)
        done = {"files_read": 0, "rows_added": 0, "days_changed": 0, "first_rejected": {}}
        if plan is not None:
            with pending, full_disk_named(lake):
                folder = fleet.source_folder(settings)
                bring(fleet, settings, [*plan.read, *(f for f in found if f.part == CULPRITS)])
                done = Loading(fleet, folder, rejected, pending, plan).run(run)
                pending.commit(rebuild=plan.anew)
        return count_lake(Lake(lake, fleet), raw, done)


def _check(fleet: Fleet) -> None:
    rules = reading_rules(fleet)
    labels = fleet.labels
    gap, longest = rules.timestamp.gap_between_files, fleet.missing.max_gap_seconds
    if gap is not None and gap <= longest:
        raise ConfigError(
            f"fleet {fleet.name}: source.timestamp.gap_between_files: {gap:g} seconds would be "
            f"filled as a gap; let it be more than missing.max_gap_seconds, {longest:g}"
        )
    if gap is not None and labels.culprits and labels.culprits_by == "row":
        raise ConfigError(
            f"fleet {fleet.name}: with source.timestamp.gap_between_files rows of several files "
            "cannot be counted through; tell the intervals by time (culprits_by: timestamp)"
        )
    by_row = labels.kind == "intervals" and labels.culprits_by == "row"
    if by_row and rules.timestamp.take != "index":
        raise ConfigError(
            f"fleet {fleet.name}: labels.kind: intervals with labels.culprits_by: row needs "
            "source.timestamp.take: index; tell the intervals by time (culprits_by: timestamp)"
        )


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold a file lock: two ingests of one fleet at once would undo each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceError(
                f"another ingest of this fleet holds the lock {path}; wait until it has ended, "
                "then run the command again"
            ) from None
        yield


def sentences(result: IngestResult, fleet: str, folder: str) -> Iterator[str]:
    """What was done, what the lake holds now, and what waits for a person.

    fleet: its name. folder: of the raw files.
    """
    yield (
        f"ingested fleet {fleet}: {result.files_read:,} files read now, "
        f"{result.rows_added:+,} rows, {count(result.days_changed, 'vehicle-day')} written"
    )
    merged = f" + {result.rows_merged:,} merged into others" if result.rows_merged else ""
    yield (
        f"the lake: {result.rows_in:,} rows in = {result.rows_lake:,} in the lake{merged} + "
        f"{result.rows_rejected:,} rejected; {count(len(result.vehicles), 'vehicle')}, "
        f"{count(result.days, 'vehicle-day')}"
    )
    for reason, rows in result.rejected_by_reason.items():
        first = result.first_rejected.get(reason)
        yield f"  rejected, {reason}: {rows:,}" + f", such as {first}" * bool(first)
    for what, lines in result.ignored.items():
        yield f"  no rows and left out, {what}: {lines:,}"
    if result.rows_short:
        yield f"  {of_short_rows(result.rows_short)}"
    nulls = result.nulls_by_channel
    for channel, values in list(nulls.items())[:NAMED]:
        yield f"  values that are words for none, {channel}: {values:,}"
    if len(nulls) > NAMED:
        yield f"  and of {len(nulls) - NAMED:,} more channels, in ingest.json"
    gone = result.files_gone
    rows, days = sum(file.rows for file in gone), sum(file.days for file in gone)
    lists = {
        "raw files refused, until they are mended": [
            f"{file.path}: {file.reason}" for file in result.files_refused
        ],
        "raw files delivered twice, whose rows are refused as repeats": [
            f"{file.path} is {file.original}" for file in result.files_twice
        ],
        "vehicles in no vehicle class of the fleet file": list(result.vehicles_unknown),
        "ids that may be one vehicle, which source.vehicle.aliases joins": [
            " = ".join(map(repr, ids)) for ids in result.likely_doubles
        ],
        "channels that the class of a vehicle lacks, whose values are read as null (add the class "
        "to the channel's classes, or correct vehicle_classes)": [
            f"{item.vehicle}, {item.channel}: {count(item.values, 'value')} until {item.last}"
            for item in result.outside_class
        ],
        f"raw files gone from {folder}; the lake keeps their {rows:,} rows "
        f"on {days:,} vehicle-days (`amad ingest --rebuild` would drop them)": [
            file.path for file in gone
        ],
    }
    for what, items in lists.items():
        if items:
            yield f"{what}: {len(items):,}"
            yield from (f"  {item}" for item in items[:NAMED])
        if len(items) > NAMED:
            yield f"  and {len(items) - NAMED:,} more, in ingest.json"
