"""Raw files into the lake: streamed, counted, and nothing dropped without a word.

A second run reads only files that are new; their rows are merged into the parts. If a file that is
in the lake has changed, all files are read anew. The lake only grows: the rows of raw files that
are gone from their folder stay, until ``rebuild`` asks for a lake of what is there.
"""

import datetime
import fcntl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from amad.config import ConfigError, DataError, Fleet, Settings
from amad.config.console import say
from amad.ingest.loading import Loading, Plan
from amad.ingest.pending_change import Pending
from amad.ingest.raw_files import CULPRITS, fingerprint, globs_found, links_not_followed
from amad.ingest.vehicle_spellings import likely_doubles
from amad.reading.rules import PARTS, reading_rules
from amad.telemetry.files import full_disk_named
from amad.telemetry.lake import Lake, lake_contract, read_manifest, reading_contract

NAMED = 5  # files in one sentence
PACKED = ("gz", "bz2", "xz", "zst", "lz4", "zip")


def ingest(
    fleet: Fleet, settings: Settings, lake: Path, rejected: Path, *, rebuild: bool = False
) -> dict:
    """Bring the lake up to date with the raw files and return the counts of the whole lake.

    Returns what ``summary`` does, and of this run ``{files_read, rows_added, days_changed}``.
    rebuild: forget the lake so far, also the rows of raw files that are gone.

    Raises:
        DataError: raw data is missing, not one row of it can be read, the lake is damaged, or the
            contract has changed and files are gone that would have to be read by the new one.
        ConfigError: the contract contradicts itself.
    """
    lake, rejected = Path(lake), Path(rejected)
    _check(fleet)
    with _only_one(settings.runs_dir(fleet.name) / "ingest.lock"):
        pending = Pending(lake, rejected)
        pending.recover(forget=rebuild)
        found = fingerprint(fleet, settings)["files"]
        for link in links_not_followed(fleet, settings, [file["path"] for file in found]):
            say(
                f"{link} is a link to a folder, which '**' does not follow: nothing in it is read. "
                f"To read it, add a glob that begins with {link}/ to source.files"
            )
        culprits = next((f["sha256"] for f in found if f["part"] == CULPRITS), None)
        raw = [file for file in found if file["part"] != CULPRITS]
        manifest = None if rebuild else read_manifest(lake)
        raw = _readable(raw, manifest)
        plan = _plan(fleet, settings, lake, manifest, raw, culprits)
        done = {"files_read": 0, "rows_added": 0, "days_changed": 0}
        if plan is not None:
            with pending, full_disk_named(lake):
                folder = fleet.source_folder(settings)
                done = Loading(fleet, folder, rejected, pending, plan).run()
                pending.commit(rebuild=plan.anew)
        return summary(Lake(lake, fleet), {file["path"] for file in raw}) | done


def summary(lake: Lake, there: set[str]) -> dict:
    """The counts of a lake; ``there``: the raw files that are in their folder.

    ``{rows_in, rows_lake, rows_merged, rows_rejected, rejected_by_reason, ignored: {what: lines},
    vehicles: {id: rows}, files, files_refused: [{path, reason}], files_gone: [{path, rows, days}],
    files_twice: [{path, original}],
    vehicles_unknown: {id: rows}, likely_doubles: [[id, id]], nulls_by_channel: {channel: values},
    days, newest: {id: ISO time}}`` with rows_in == rows_lake + rows_rejected + rows_merged. days
    counts vehicle-days. A merged row became part of another row of its time. A file (or its rest)
    that cannot be read counts as one row in and one rejected, so that rows_rejected is the number
    of rows in ``rejected/``. Files that are gone and gave nothing to the lake are not told.
    """
    reasons: Counter = Counter()
    unknown: Counter = Counter()
    nulls: Counter = Counter()
    ignored: Counter = Counter()
    for file in lake.files.values():
        reasons.update(file["rejected"])
        unknown.update(file["unknown"])
        nulls.update(file["nulls"])
        ignored.update(file.get("ignored", {}))
    vehicles: Counter = Counter()
    for vehicle, _, rows in lake.days():
        vehicles[vehicle] += rows
    newest = lake.newest().items()
    counts = {
        "rows_in": sum(file["rows"] for file in lake.files.values()),
        "rows_lake": sum(vehicles.values()),
        "rows_merged": sum(file["merged"] for file in lake.files.values()),
        "rows_rejected": sum(reasons.values()),
        "rejected_by_reason": dict(sorted(reasons.items())),
        "ignored": dict(sorted(ignored.items())),
        "vehicles": dict(sorted(vehicles.items())),
        "files": len(lake.files),
        "files_refused": [
            {"path": path, "reason": file["refused"]}
            for path, file in sorted(lake.files.items())
            if file["refused"] and path in there
        ],
        "files_gone": _gone(lake, set(lake.files) - there),
        "files_twice": [
            {"path": path, "original": file["copy_of"]}
            for path, file in sorted(lake.files.items())
            if file.get("copy_of") and path in there
        ],
        "vehicles_unknown": dict(sorted(unknown.items())),
        "likely_doubles": likely_doubles([*vehicles, *unknown]),
        "nulls_by_channel": dict(sorted(nulls.items())),
        "days": len(lake.days()),
        "newest": {vehicle: _iso(time_us) for vehicle, time_us in sorted(newest)},
    }
    assert counts["rows_in"] == sum(counts[f"rows_{n}"] for n in ("lake", "rejected", "merged"))
    return counts


def _plan(
    fleet: Fleet, settings: Settings, lake: Path, manifest: dict | None, raw: list[dict],
    culprits: str | None,
) -> Plan | None:  # fmt: skip
    """What to read, and what to keep; None where there is nothing to do."""
    there = {file["path"]: file for file in raw}
    everything = Plan(read=raw, culprits=culprits, globs=globs_found(fleet, settings))
    if manifest is None:
        return everything
    if fleet.source.format == "simulator" and (
        manifest["contract"] != lake_contract(fleet) or not set(manifest["files"]) <= set(there)
    ):
        return everything  # its raw files were made anew
    way_out = (
        f"are no longer in {fleet.source_folder(settings)}. Bring them back, or run `amad ingest "
        "--rebuild` to make the lake of the files that are there; the rows of the others are then "
        "lost. The lake stays as it is"
    )
    why = []
    if manifest["contract"] != lake_contract(fleet):
        lost = _lost(manifest, there)
        if not lost:
            say(f"the fleet file has changed: all {len(raw):,} raw files are read anew")
            return everything
        if not _same_for_known(manifest, fleet):
            raise DataError(
                f"fleet {fleet.name}: the fleet file has changed, so that all raw files must be "
                f"read anew, but {_some(lost)} of the lake {way_out}"
            )
        why.append("the vehicle classes changed")
    before = Lake(lake, fleet, any_classes=True)
    known = before.files
    gone = {file["path"] for file in _gone(before, set(known) - set(there))}
    changed = [path for path in known if path in there and _differs(known[path], there[path])]
    path_of = {known[path]["sha256"]: path for path in sorted(gone)}
    path_of |= {_unpacked(path): path for path in sorted(gone)}
    replaces = {path: path for path in changed if _rows(known[path])}
    for file in raw:
        keys = [key for key in (file["sha256"], _unpacked(file["path"])) if key in path_of]
        if keys and file["path"] not in known:
            replaces[file["path"]] = path_of[keys[0]]
    new = [file for file in raw if file["path"] not in known or file["path"] in changed]
    by_index = reading_rules(fleet).timestamp.take == "index"
    if replaces:
        why.append(f"{_some(sorted(replaces))} changed or moved")
    if manifest["culprits"] != culprits:
        why.append(f"{fleet.labels.culprits} changed")
    if by_index and not why and _slips_in(known, new):
        why.append(f"{_some([file['path'] for file in new])} stand before others in the lake")
    if not why:
        if not new:
            say(f"nothing new: all {len(raw):,} raw files were read before")
            return None
        stays = frozenset(set(known) - set(changed))
        return replace(everything, read=new, before=before, stays=stays, anew=False)
    stays = frozenset(gone - set(replaces.values()))
    if by_index and stays:
        raise DataError(
            f"fleet {fleet.name}: {' and '.join(why)}, so that all raw files must be read anew, "
            f"since their rows are told by position, but {_some(sorted(stays))} of the lake "
            f"{way_out}"
        )
    kept = f"; the rows of {_some(sorted(stays))}, which are gone, are kept" if stays else ""
    say(f"{' and '.join(why)}: all {len(raw):,} raw files are read anew{kept}")
    return replace(everything, before=before, stays=stays, replaces=replaces)


def _readable(raw: list[dict], manifest: dict | None) -> list[dict]:
    """Without files that gave rows to the lake and cannot be opened now: they count as gone."""
    known = {} if manifest is None else manifest["files"]
    kept = []
    for file in raw:
        if "error" in file and _rows(known.get(file["path"])):
            say(f"{file['path']} cannot be opened ({file['error']}); its rows stay in the lake")
        else:
            kept.append(file)
    return kept


def _rows(entry: dict | None) -> int:
    """Rows that a raw file gave to the lake, by its entry in the manifest."""
    return 0 if entry is None else entry["rows"] - sum(entry["rejected"].values())


def _lost(manifest: dict, there: dict[str, dict]) -> list[str]:
    """Raw files that gave rows to the lake, and whose content is no longer in the folder."""
    shas = {file["sha256"] for file in there.values()}
    return [
        path
        for path, file in sorted(manifest["files"].items())
        if path not in there and file["sha256"] not in shas and _rows(file)
    ]


def _gone(lake: Lake, paths: set[str]) -> list[dict]:
    """Of the files ``paths`` those that gave rows to the lake: {path, rows, days}."""
    if not paths:
        return []
    table = lake.origins()
    mine = pc.and_(pc.is_in(table["path"], pa.array(sorted(paths))), pc.greater(table["rows"], 0))
    sums = table.filter(mine).group_by("path").aggregate([("rows", "sum"), ("rows", "count")])
    found = [
        {"path": row["path"], "rows": row["rows_sum"], "days": row["rows_count"]}
        for row in sums.to_pylist()
    ]
    return sorted(found, key=lambda file: file["path"])


def _same_for_known(manifest: dict, fleet: Fleet) -> bool:
    """Would each vehicle of the lake be read as it was?"""
    try:
        classes = {vehicle: fleet.class_of(vehicle) for vehicle in manifest.get("class_of", {})}
    except ConfigError:
        return False
    same = manifest.get("class_of") == classes
    return same and manifest["reading"] == reading_contract(fleet)


def _unpacked(path: str) -> str:
    """The path without the ending of a compressed file: ``x.csv.gz`` is ``x.csv`` packed."""
    name, dot, ending = path.rpartition(".")
    return name if dot and ending in PACKED else path


def _differs(entry: dict, file: dict) -> bool:
    return any(entry[key] != file[key] for key in ("sha256", "part"))


def _slips_in(known: dict[str, dict], new: list[dict]) -> bool:
    """Where a row is told by its position, a file that comes before others moves their rows."""

    def place(path: str, file: dict) -> tuple[int, str]:
        return PARTS.index(file["part"]), path

    last = max(place(path, file) for path, file in known.items())
    return any(place(file["path"], file) <= last for file in new)


def _some(paths: list[str]) -> str:
    """A text such as ``3 raw files (a.csv, b.csv, c.csv)``."""
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    count = f"{len(paths):,} raw file{'' if len(paths) == 1 else 's'}"
    return f"{count} ({', '.join(paths[:NAMED])}{more})"


def _iso(time_us: int) -> str:
    zero = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (zero + datetime.timedelta(microseconds=time_us)).isoformat()


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
        except OSError:
            raise DataError(
                f"another ingest of this fleet holds the lock {path}; wait until it has ended"
            ) from None
        yield
