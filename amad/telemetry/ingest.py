"""Raw files into the lake: streamed, counted, and nothing dropped without a word.

A second run reads only files that are new; their rows are merged into the parts. If a file that is
in the lake has changed or gone, or the contract has, everything is read anew.
"""

import fcntl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from amad.config import ConfigError, DataError, Fleet, Settings
from amad.config.console import say
from amad.telemetry.commit import Pending
from amad.telemetry.lake import Lake, lake_contract, read_manifest
from amad.telemetry.loading import Loading
from amad.telemetry.source import CULPRITS, fingerprint, reading_rules
from amad.telemetry.values import check_timezone


def ingest(fleet: Fleet, settings: Settings, lake: Path, rejected: Path) -> dict:
    """Bring the lake up to date with the raw files and return the counts of the whole lake.

    Returns ``{rows_in, rows_lake, rows_rejected, rejected_by_reason, vehicles: {id: rows}, files,
    files_refused: [{path, reason}], files_gone: [{path, rows, days}], vehicles_unknown: {id: rows},
    likely_doubles: [[id, id]], nulls_by_channel: {channel: values}, rows_merged, days, newest: {id:
    ISO time}}`` with rows_in == rows_lake + rows_rejected + rows_merged; days counts vehicle-days.
    A file (or its rest) that cannot be read counts as one row in and one rejected, so
    that rows_rejected is the number of rows in ``rejected/``.

    Raises:
        DataError: raw data is missing, or not one row of it can be read.
        ConfigError: the contract contradicts itself.
    """
    lake, rejected = Path(lake), Path(rejected)
    _check(fleet)
    with _only_one(settings.runs_dir(fleet.name) / "ingest.lock"):
        pending = Pending(lake, rejected)
        pending.recover()
        found = fingerprint(fleet, settings)["files"]
        raw = [file for file in found if file["part"] != CULPRITS]
        culprits = next((f["sha256"] for f in found if f["part"] == CULPRITS), None)
        old = read_manifest(lake)
        if old is not None and not _fits(old, fleet, raw, culprits):
            say("the raw files or the fleet file have changed: everything is read anew")
            old = None
        new = [file for file in raw if old is None or file["path"] not in old["files"]]
        if new:
            with pending:
                loading = Loading(fleet, fleet.source_folder(settings), lake, pending, old)
                loading.run(new, culprits)
                pending.commit(rebuild=old is None)
        else:
            say(f"all {len(raw)} raw files are in the lake already")
        return summary(Lake(lake, fleet))


def summary(lake: Lake) -> dict:
    """The counts of a lake, as ``ingest`` returns them."""
    reasons: Counter = Counter()
    for file in lake.files.values():
        reasons.update(file["rejected"])
    vehicles: Counter = Counter()
    for vehicle, _, rows in lake.days():
        vehicles[vehicle] += rows
    counts = {
        "rows_in": sum(file["rows"] for file in lake.files.values()),
        "rows_lake": sum(vehicles.values()),
        "rows_rejected": sum(reasons.values()),
        "rejected_by_reason": dict(sorted(reasons.items())),
        "vehicles": dict(sorted(vehicles.items())),
        "rows_merged": 0,
        "files": len(lake.files),
        "files_gone": [],
        "vehicles_unknown": {},
        "likely_doubles": [],
        "nulls_by_channel": {},
        "newest": {},
        "files_refused": [
            {"path": path, "reason": file["refused"]}
            for path, file in sorted(lake.files.items())
            if file["refused"]
        ],
        "days": len(lake.days()),
    }
    assert counts["rows_in"] == sum(counts[f"rows_{n}"] for n in ("lake", "rejected", "merged"))
    return counts


def _fits(manifest: dict, fleet: Fleet, raw: list[dict], culprits: str | None) -> bool:
    """May new files be added to this lake?"""
    known = manifest["files"]
    sha_of = {file["path"]: file["sha256"] for file in raw}
    if manifest["contract"] != lake_contract(fleet) or manifest["culprits"] != culprits:
        return False
    if any(sha_of.get(path) != file["sha256"] for path, file in known.items()):
        return False
    # Where a row is told by its position, a file that slips in before others moves their rows.
    in_order = all(file["path"] in known for file in raw[: len(known)])
    return in_order or reading_rules(fleet).timestamp.take != "index"


def _check(fleet: Fleet) -> None:
    rules = reading_rules(fleet)
    check_timezone(rules.timestamp.timezone, fleet.name)
    labels = fleet.labels
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
