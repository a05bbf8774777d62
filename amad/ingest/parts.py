"""The second pass of ingest: each vehicle-day that has new rows is merged, sorted and written.

Shape legend: T rows of a vehicle-day as they arrived, K different times, C channels.
"""

import datetime
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config import Fleet
from amad.config.console import track
from amad.config.digest import file_sha256
from amad.ingest import origins
from amad.ingest.events import intervals_of, label_rows
from amad.ingest.merging import FIRST, MERGED, Merged, merge
from amad.ingest.pending_change import Pending
from amad.ingest.refused_rows import RejectedLog
from amad.ingest.spill import DayRows, Spill, content_of, joined
from amad.reading.times import date_of
from amad.telemetry import lake as lakes
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import lake_schema

DUPLICATE = "duplicate timestamp"
Day = tuple[str, datetime.date]


class Parts:
    """Writes the parts of a pending lake, and counts what became of the rows.

    before: the lake so far. stays: its raw files whose rows are kept. anew: every part is written
    again, with the rows of those files alone; else a part keeps all that it holds. copies: files
    whose rows repeat those of another, which count as no duplicates of a day.
    """

    def __init__(
        self, fleet: Fleet, pending: Pending, before: Lake | None, stays: set[str],
        copies: set[str], *, anew: bool,
    ) -> None:  # fmt: skip
        self._fleet = fleet
        self._schema = lake_schema(fleet)
        self._pending = pending
        self._before = before
        self._stays = stays
        self._copies = copies
        self._anew = anew
        old = before.day_table().to_pylist() if before is not None else []
        self._old: dict[Day, dict] = {(row["vehicle"], row["date"]): row for row in old}
        self.days: dict[Day, dict] = {} if anew else dict(self._old)  # of the schema DAYS
        self.changed = 0  # vehicle-days that were written
        # (path, vehicle, date) -> {rows, duplicates} of the files that are read now
        self.counts: dict[tuple[str, str, datetime.date], Counter] = defaultdict(Counter)
        self.merged: Counter = Counter()  # path -> rows that became part of another's row
        self.first: Counter = Counter()  # path of ``stays`` -> rows that it was the first to tell
        self.newest: dict[str, int] = {}  # vehicle -> newest time in the parts that were written

    def vehicles(self, spill: Spill) -> set[str]:
        """Every vehicle that the new lake will hold."""
        return {vehicle for vehicle, _ in self._keys(spill)} | {vehicle for vehicle, _ in self.days}

    def write(
        self, spill: Spill, read: list[str], log: RejectedLog, events: pa.Table | None
    ) -> None:
        """Write all parts with rows of the files ``read`` (in the order of their numbers)."""
        drawn = self._fleet.labels.kind == "intervals"
        intervals = intervals_of(events) if drawn and events is not None else {}
        paths = [*read, *sorted(self._stays)]
        codes = {path: number for number, path in enumerate(paths) if path in self._stays}
        for vehicle, day in track(self._keys(spill), "write the lake"):
            date = date_of(day)
            old, new = self._old.get((vehicle, date)), spill.rows(vehicle, day)
            rows = [] if new is None else [new]
            known = 0  # rows of files that stay
            if old is not None and self._before is not None:
                kept = origins.rows_in_lake(self._before, old, codes, drawn=drawn)
                rows.insert(0, kept)
                known = len(kept.timestamp_T)
            all_rows = joined(rows)
            merged = merge(all_rows, known)
            label_K = merged.label_K
            if drawn:
                label_K = label_rows(merged.timestamp_K, intervals.get(vehicle, []))
            part = _Part(vehicle=vehicle, date=date, rows=all_rows, merged=merged, paths=paths)
            self._refuse(part, log)
            self._count(part, known)
            self._write(part, label_K)

    def _keys(self, spill: Spill) -> list[tuple[str, int]]:
        keys = set(spill.days())
        if self._anew and self._before is not None:
            table = self._before.origins()
            stays = pa.array(sorted(self._stays), pa.string())
            wanted = pc.and_(pc.is_in(table["path"], stays), pc.greater(table["rows"], 0))
            table = table.filter(wanted)
            zero = datetime.date(1970, 1, 1)
            dates = ((date - zero).days for date in table["date"].to_pylist())
            keys |= set(zip(table["vehicle"].to_pylist(), dates, strict=True))
        return sorted(keys)

    def _refuse(self, part: "_Part", log: RejectedLog) -> None:
        names, merged, rows = self._fleet.channel_names, part.merged, part.rows
        clash_of = dict(zip(merged.contradicting_X.tolist(), merged.clash_XC, strict=True))
        for at in np.flatnonzero(~merged.stays_T).tolist():
            reason = f"{DUPLICATE}: it repeats an earlier row"
            if at in clash_of:
                channels = ", ".join(n for n, bad in zip(names, clash_of[at], strict=True) if bad)
                reason = f"{DUPLICATE}: it contradicts an earlier row in {channels}"
            path = part.paths[rows.file_T[at]]
            content = content_of(rows, at, part.vehicle, self._fleet)
            log.add(path, int(rows.row_T[at]), reason, content)
            duplicates = path not in self._copies
            self.counts[path, part.vehicle, part.date]["duplicates"] += duplicates

    def _count(self, part: "_Part", known: int) -> None:
        rows, merged = part.rows, part.merged
        new_T = np.arange(len(rows.file_T)) >= known
        times = len(merged.timestamp_K)
        file_N = rows.file_T[new_T & merged.stays_T]
        if times < len(new_T):  # a file's rows of one time count once
            pair_N = file_N * times + merged.at_T[new_T & merged.stays_T]
            file_N = np.unique(pair_N) // times
        for path, count in part.counted(file_N):
            self.counts[path, part.vehicle, part.date]["rows"] += count
        for path, count in part.counted(rows.file_T[new_T & (merged.fate_T == MERGED)]):
            self.merged[path] += count
        for path, count in part.counted(rows.file_T[~new_T & (merged.fate_T == FIRST)]):
            self.first[path] += count
        newest = int(merged.timestamp_K[-1])
        self.newest[part.vehicle] = max(self.newest.get(part.vehicle, newest), newest)

    def _write(self, part: "_Part", label_K: np.ndarray) -> None:
        vehicle, date, merged = part.vehicle, part.date, part.merged
        file = self._pending.lake_file(lakes.part_path(vehicle, date))
        lakes.write_part(file, self._schema, merged.timestamp_K, merged.value_KC, label_K)
        row = {
            "vehicle": vehicle, "date": date, "rows": len(merged.timestamp_K),
            "sha256": file_sha256(file), "origin": None, "origins_sha256": None,
        }  # fmt: skip
        origin_T = part.rows.file_T[merged.stays_T]
        if (origin_T == origin_T[0]).all():
            row["origin"] = part.paths[origin_T[0]]
        else:
            file = self._pending.lake_file(lakes.origins_path(vehicle, date))
            table = origins.of_merged(part.rows, merged, part.paths)
            pq.write_table(table, file, compression="zstd")
            row["origins_sha256"] = file_sha256(file)
        self.days[vehicle, date] = row
        self.changed += 1

    def times(self, vehicle: str) -> np.ndarray:
        """int64 microseconds: times of the vehicle's rows in the pending lake, once written."""
        found = [np.zeros(0, np.int64)]
        for name, date in sorted(self.days):
            if name != vehicle:
                continue
            path = self._pending.lake_file(lakes.part_path(vehicle, date))
            if path.is_file():
                with pq.ParquetFile(path) as file:
                    column = file.read(columns=["timestamp"])["timestamp"]
            else:
                assert self._before is not None, "a part that is not pending was there before"
                column = self._before.read_day(vehicle, date)["timestamp"]
            found.append(pc.cast(column, pa.int64()).to_numpy())
        return np.concatenate(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One vehicle-day: its rows as they arrived, what they make, and the paths of the files."""

    vehicle: str
    date: datetime.date
    rows: DayRows
    merged: Merged
    paths: list[str]  # by the numbers in ``rows.file_T``

    def counted(self, code_N: np.ndarray) -> Iterator[tuple[str, int]]:
        """How often each file's number occurs in ``code_N``."""
        if len(code_N) and (code_N == code_N[0]).all():
            yield self.paths[code_N[0]], len(code_N)
            return
        codes, counts = np.unique(code_N, return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            yield self.paths[code], count
