"""Raw files into the lake: streamed, counted, and nothing dropped without a word.

Pass one reads every new file, refuses what cannot be read, and spills the clean rows by
vehicle-day. Pass two sorts each vehicle-day, refuses repeated timestamps (the first row to arrive
stays), and writes its part. Memory holds a batch, the spill's buffer and one vehicle-day.

A second run reads only files that are new; their rows are merged into the parts. If a file that
is in the lake has changed or gone, or the contract has, everything is read anew.
"""

import fcntl
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config import ConfigError, DataError, Fleet, Settings
from amad.config.console import say, track
from amad.telemetry import lake as lakes
from amad.telemetry.commit import Pending
from amad.telemetry.events import intervals_of, label_rows, read_events
from amad.telemetry.files import write_json
from amad.telemetry.readers import FileRefused, read_batches
from amad.telemetry.rows import FileParser
from amad.telemetry.schemas import EVENTS, lake_schema
from amad.telemetry.source import CULPRITS, fingerprint, reading_rules, sha256_of
from amad.telemetry.spill import DayRows, Spill
from amad.telemetry.tally import Lateness, RejectedLog
from amad.telemetry.values import DAY_US, check_timezone, date_of


def ingest(fleet: Fleet, settings: Settings, lake: Path, rejected: Path) -> dict:
    """Bring the lake up to date with the raw files and return the counts.

    Returns ``{rows_in, rows_lake, rows_rejected, rejected_by_reason, vehicles: {id: rows}, files,
    files_refused: [{path, reason}], days}``, of the whole lake, with rows_in == rows_lake +
    rows_rejected. A file (or its rest) that cannot be read counts as one row in and one rejected.

    Raises:
        DataError: raw data is missing, or not one row of it can be read.
        ConfigError: the contract contradicts itself.
    """
    _check(fleet)
    with _only_one(settings.runs_dir(fleet.name) / "ingest.lock"):
        run = _Ingest(fleet, settings, Path(lake), Path(rejected))
        run.bring_up_to_date()
        return run.summary()


def _check(fleet: Fleet) -> None:
    rules = reading_rules(fleet)
    check_timezone(rules.timestamp.timezone, fleet.name)
    if (
        fleet.labels.kind == "intervals"
        and fleet.labels.culprits_by == "row"
        and rules.timestamp.take != "index"
    ):
        raise ConfigError(
            f"fleet {fleet.name}: labels.culprits_by: row needs source.timestamp.take: index; "
            "tell the intervals of this fleet by time (culprits_by: timestamp)"
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
                f"another ingest of this fleet is running (lock {path}); wait for it to end"
            ) from None
        yield


class _Ingest:
    """One run: what is known of the lake before it, and what the run finds."""

    def __init__(self, fleet: Fleet, settings: Settings, lake: Path, rejected: Path) -> None:
        self._fleet = fleet
        self._folder = fleet.source_folder(settings)
        self._rules = reading_rules(fleet)
        self._schema = lake_schema(fleet)
        self._lake = lake
        self._pending = Pending(lake, rejected)
        self._pending.recover()
        found = fingerprint(fleet, settings)["files"]
        self._raw = [file for file in found if file["part"] != CULPRITS]
        self._culprits = next((f["sha256"] for f in found if f["part"] == CULPRITS), None)
        self._old = lakes.read_manifest(lake)

    def summary(self) -> dict:
        """The counts of the lake as it stands."""
        manifest = lakes.read_manifest(self._lake)
        assert manifest is not None
        reasons: Counter = Counter()
        for file in manifest["files"].values():
            reasons.update(file["rejected"])
        days = lakes.Lake(self._lake, self._fleet).days()
        vehicles: Counter = Counter()
        for vehicle, _, rows in days:
            vehicles[vehicle] += rows
        summary = {
            "rows_in": sum(file["rows"] for file in manifest["files"].values()),
            "rows_lake": sum(vehicles.values()),
            "rows_rejected": sum(reasons.values()),
            "rejected_by_reason": dict(sorted(reasons.items())),
            "vehicles": dict(sorted(vehicles.items())),
            "files": len(manifest["files"]),
            "files_refused": [
                {"path": path, "reason": file["refused"]}
                for path, file in sorted(manifest["files"].items())
                if file["refused"]
            ],
            "days": len(days),
        }
        assert summary["rows_in"] == summary["rows_lake"] + summary["rows_rejected"], summary
        return summary

    def bring_up_to_date(self) -> None:
        """Read what is new, or everything where the old lake does not fit any more."""
        new = self._new_files()
        if new is None:
            if self._old is not None:
                say("the raw files or the fleet file changed: read everything anew")
            self._old, new = None, self._raw
        elif not new:
            say(f"all {len(self._raw)} raw files are in the lake already")
            return
        self._pending.start()
        try:
            self._write(new)
            self._pending.commit(rebuild=self._old is None)
        finally:
            if self._pending_is_open():
                self._pending.discard()

    def _pending_is_open(self) -> bool:
        return not self._pending.committed

    def _new_files(self) -> list[dict] | None:
        """Raw files that are not in the lake; None if it must be written anew."""
        if self._old is None:
            return None
        known = self._old["files"]
        sha_of = {file["path"]: file["sha256"] for file in self._raw}
        new = [file for file in self._raw if file["path"] not in known]
        unfit = (
            self._old["contract"] != lakes.lake_contract(self._fleet)
            or self._old["culprits"] != self._culprits
            or any(sha_of.get(path) != file["sha256"] for path, file in known.items())
            # Rows are told by their position: a file that slips in before others moves them.
            or (self._rules.timestamp.take == "index" and self._raw[-len(new) :] != new)
        )
        return None if unfit and (new or self._differs(known, sha_of)) else new
