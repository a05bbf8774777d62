"""The two passes of ingest, into a pending change of the lake.

Pass one reads every new file, refuses what cannot be read, and spills the clean rows by
vehicle-day. Pass two sorts each vehicle-day, refuses repeated timestamps (the first row to arrive
stays), and writes its part. Memory holds a batch, the spill's buffer and one vehicle-day.

Shape legend: T rows of a vehicle-day, C channels.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config import DataError, Fleet
from amad.config.console import say, track
from amad.telemetry import lake as lakes
from amad.telemetry.commit import Pending
from amad.telemetry.events import intervals_of, label_rows, read_events
from amad.telemetry.files import write_json, write_parquet
from amad.telemetry.readers import FileRefusedError, read_batches
from amad.telemetry.rows import CleanRows, FileParser
from amad.telemetry.schemas import EVENTS, TIMESTAMP, lake_schema
from amad.telemetry.source import reading_rules, sha256_of
from amad.telemetry.spill import DayRows, Spill
from amad.telemetry.tally import Lateness, RejectedLog
from amad.telemetry.timing import index_start_us
from amad.telemetry.values import date_of

DUPLICATE = "duplicate timestamp"
EVERY = "*"


class Loading:
    """One run of ingest: what the lake held before it (``old``: its manifest), what it finds."""

    def __init__(
        self, fleet: Fleet, folder: Path, lake: Path, pending: Pending, old: dict | None
    ) -> None:
        self._fleet = fleet
        self._folder = folder  # of the raw files
        self._rules = reading_rules(fleet)
        self._schema = lake_schema(fleet)
        self._lake = lake
        self._pending = pending
        self._old = old or {}
        self._index_rows: dict[str, int] = dict(self._old.get("index_rows", {}))
        self._test_start: dict[str, int] = dict(self._old.get("test_start", {}))
        self._lateness = Lateness(self._old.get("newest", {}))
        # Vehicles whose later rows have no place in time, where rows are told by their position.
        self._lost: set[str | None] = set(self._old.get("lost", []))
        self._files: dict[str, dict] = {}  # new entries of the manifest
        self._unreadable: Counter = Counter()  # (vehicle, day) -> rows
        log_name = f"{len(self._old.get('rejected', [])):05d}.parquet"
        self._log_names = [*self._old.get("rejected", []), log_name]
        self._log = RejectedLog(pending.rejected_file(log_name))
        self._spill = Spill(pending.scratch("spill"), len(fleet.channels))
        self._days: list[dict] = []  # rows of the schema DAYS, once written

    def run(self, new: list[dict], culprits: str | None) -> None:
        """Read the files ``new`` (as ``fingerprint`` lists them) and write all that changes.

        Raises:
            DataError: the lake would be empty, or the file of culprits cannot be read.
        """
        for number, file in enumerate(track(new, "read raw files")):
            self._read(number, file)
        self._spill.flush()
        if not self._spill.days() and not self._old:
            self._say_nothing_read(new)
        early = (
            self._fleet.labels.culprits_by == "timestamp" or self._rules.timestamp.take == "index"
        )
        events = self._events() if early else None
        self._days = self._write_days([file["path"] for file in new], events)
        self._log.close()
        if events is None:  # rows of the test part are counted in the parts that are now written
            events = self._events()
        self._write_tables(events, culprits)

    def _read(self, number: int, file: dict) -> None:
        path, rows, refused, vehicle = file["path"], 0, None, None
        try:
            parser = FileParser(self._fleet, path, file["part"], self._index_rows)
            vehicle = parser.vehicle
            if self._lost & {vehicle, EVERY}:
                raise FileRefusedError(
                    "no place in time: an earlier file of the vehicle was refused"
                )
            first_us = parser.first_us
            for batch in read_batches(self._folder / path, self._rules, parser.resolve):
                clean, bad = parser.parse(batch)
                self._spill.add(clean, number)
                self._lateness.add(clean)
                if file["part"] == "test":
                    self._mark_test_start(clean, first_us)
                for row in bad:
                    self._log.add(path, row.row, row.reason, row.content)
                    if row.vehicle is not None and row.day is not None:
                        self._unreadable[row.vehicle, row.day] += 1
                rows = parser.rows
            parser.finish()
        except FileRefusedError as error:
            refused = str(error)
            self._log.add(path, rows + 1 if rows else None, refused, None)
            say(f"refused {'the rest of ' if rows else ''}{path}: {refused}")
            if self._rules.timestamp.take == "index":
                self._lost.add(vehicle or EVERY)
            rows += 1
        self._lateness.end_file()
        self._files[path] = {
            "bytes": file["bytes"], "sha256": file["sha256"], "part": file["part"],
            "rows": rows, "refused": refused,
        }  # fmt: skip

    def _mark_test_start(self, rows: CleanRows, first_us: int | None) -> None:
        """first_us: of the file's first row, which counts even if it was refused."""
        for code in np.unique(rows.code_T):
            start_us = int(rows.timestamp_T[rows.code_T == code].min())
            start_us = start_us if first_us is None else first_us
            vehicle = rows.vehicles[code]
            self._test_start[vehicle] = min(self._test_start.get(vehicle, start_us), start_us)

    def _say_nothing_read(self, new: list[dict]) -> None:
        reason, content = self._log.first or ("the files hold no rows", "")
        raise DataError(
            f"fleet {self._fleet.name}: not one row of {len(new)} raw files could be read. "
            f"First: {reason}. {f'The row: {content[:300]}. ' if content else ''}"
            "Mend the files, or the fleet file's source section"
        )

    def _write_days(self, paths: list[str], events: pa.Table | None) -> list[dict]:
        """Write the part of each vehicle-day that has new rows; returns rows of the schema DAYS."""
        drawn = self._fleet.labels.kind == "intervals"
        intervals = intervals_of(events) if drawn and events is not None else {}
        kept = {(d["vehicle"], d["date"]): d for d in self._old_days()}
        todo = self._spill.read()
        for vehicle, day, rows in track(todo, "write the lake", total=len(self._spill.days())):
            date = date_of(day)
            part = lakes.part_path(vehicle, date)
            before = kept.get((vehicle, date))
            if before is not None:
                rows = _joined(lakes.read_part(self._lake / part, self._schema), rows)
            order_T = np.argsort(rows.timestamp_T, kind="stable")
            time_T = rows.timestamp_T[order_T]
            again_T = np.diff(time_T, prepend=-1) == 0
            for at in order_T[again_T]:
                self._refuse_again(vehicle, rows, int(at), paths)
            order_T, time_T = order_T[~again_T], time_T[~again_T]
            label_T = rows.label_T[order_T]
            if drawn:
                label_T = label_rows(time_T, intervals.get(vehicle, []))
            target = self._pending.lake_file(part)
            lakes.write_part(target, self._schema, time_T, rows.value_TC[order_T], label_T)
            old_duplicates = before["duplicates"] if before else 0
            kept[vehicle, date] = {
                "vehicle": vehicle, "date": date, "rows": len(time_T),
                "sha256": sha256_of(target), "duplicates": old_duplicates + int(again_T.sum()),
                "late": before["late"] if before else 0,
                "unreadable": before["unreadable"] if before else 0,
            }  # fmt: skip
        for name, counts in (("late", self._lateness.counts), ("unreadable", self._unreadable)):
            for (vehicle, day), count in counts.items():
                if (vehicle, date_of(day)) in kept:
                    kept[vehicle, date_of(day)][name] += count
        return [kept[key] for key in sorted(kept)]

    def _refuse_again(self, vehicle: str, rows: DayRows, at: int, paths: list[str]) -> None:
        names = self._fleet.channel_names
        value_C = rows.value_TC[at]
        when = pa.scalar(int(rows.timestamp_T[at]), TIMESTAMP).as_py()
        content = {"vehicle": vehicle, "timestamp": when.isoformat()}
        content |= {n: float(v) for n, v in zip(names, value_C, strict=True) if not np.isnan(v)}
        path = paths[rows.file_T[at]]
        self._log.add(path, int(rows.row_T[at]), DUPLICATE, json.dumps(content))

    def _old_days(self) -> list[dict]:
        if not self._old:
            return []
        return pq.ParquetFile(self._lake / lakes.DAYS_FILE).read().to_pylist()

    def _events(self) -> pa.Table:
        labels = self._fleet.labels
        if not labels.culprits:
            return EVENTS.empty_table()
        vehicles = {vehicle for vehicle, _ in self._spill.days()}
        vehicles |= {day["vehicle"] for day in self._old_days()}
        return read_events(
            self._folder / labels.culprits, self._fleet, vehicles, self._rows_to_time
        )

    def _rows_to_time(self, vehicle: str, first: int, last: int) -> tuple[int, int] | None:
        """Times of rows of the vehicle's test part (of all its rows where no file is marked)."""
        if self._rules.timestamp.take == "index":
            period, zero_us = self._fleet.period_us, index_start_us(self._rules.timestamp)
            start_us = self._test_start.get(vehicle, zero_us)
            end_us = start_us + last * period
            known_us = zero_us + self._index_rows.get(vehicle, 0) * period
            return (start_us + first * period, end_us) if end_us <= known_us else None
        time_T = self._test_times(vehicle)
        if last > len(time_T):
            return None
        end_us = time_T[last] if last < len(time_T) else time_T[-1] + 1
        return int(time_T[first]), int(end_us)

    def _test_times(self, vehicle: str) -> np.ndarray:
        """Times of the vehicle's test part, from its parts that are pending and those that stay."""
        times = [np.zeros(0, np.int64)]
        for day in self._days:
            if day["vehicle"] == vehicle:
                part = lakes.part_path(vehicle, day["date"])
                pending = self._pending.lake_file(part)
                path = pending if pending.is_file() else self._lake / part
                with lakes.open_part(path) as file:
                    column = file.read(columns=["timestamp"])["timestamp"]
                times.append(pc.cast(column, pa.int64()).to_numpy())
        time_T = np.concatenate(times)
        return time_T[time_T >= self._test_start.get(vehicle, 0)]

    def _write_tables(self, events: pa.Table, culprits: str | None) -> None:
        day_table = pa.Table.from_pylist(self._days, schema=lakes.DAYS)
        write_parquet(day_table, self._pending.lake_file(lakes.DAYS_FILE), lakes.DAYS)
        write_parquet(events, self._pending.lake_file(lakes.EVENTS_FILE), EVENTS)
        for path, file in self._files.items():
            file["rejected"] = dict(self._log.counts.get(path, {}))
        write_json(
            self._pending.lake_file(lakes.MANIFEST),
            {
                "fleet": self._fleet.name,
                "contract": lakes.lake_contract(self._fleet),
                "culprits": culprits,
                "files": self._old.get("files", {}) | self._files,
                "rejected": self._log_names,
                "test_start": self._test_start,
                "newest": self._lateness.newest,
                "index_rows": self._index_rows,
                "lost": sorted(v for v in self._lost if v),
                "hash": lakes.content_hash(day_table, events, self._test_start),
            },
        )


def _joined(old: pa.Table, rows: DayRows) -> DayRows:
    """The rows a part holds already, then those that have come."""
    before = len(old)
    value_TC = np.column_stack(
        [old[name].to_numpy() for name in old.schema.names if name not in ("timestamp", "label")]
    )
    label_T = old["label"].to_numpy() if "label" in old.schema.names else np.zeros(before, np.int8)
    return DayRows(
        timestamp_T=np.concatenate(
            [pc.cast(old["timestamp"], pa.int64()).to_numpy(), rows.timestamp_T]
        ),
        value_TC=np.concatenate([value_TC, rows.value_TC]),
        label_T=np.concatenate([label_T, rows.label_T]),
        file_T=np.concatenate([np.full(before, -1), rows.file_T]),
        row_T=np.concatenate([np.zeros(before, np.int64), rows.row_T]),
    )
