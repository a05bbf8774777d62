"""The second pass of ingest: each vehicle-day that has new rows is merged, sorted and written.

Shape legend: T rows of a vehicle-day as they arrived, K different times, C channels.
"""

import datetime
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from amad.config import Fleet
from amad.config.console import track
from amad.config.units import RunUnits
from amad.ingest.events import intervals_of
from amad.ingest.part_writer import PartWriter, Written
from amad.ingest.pending_change import Pending
from amad.ingest.refused_rows import RejectedLog
from amad.ingest.spill import Spill
from amad.reading.times import date_of, day_of
from amad.telemetry import lake as lakes
from amad.telemetry.lake import Lake

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
        self, spill: Spill, read: list[str], log: RejectedLog, events: pa.Table | None,
        run: RunUnits,
    ) -> None:  # fmt: skip
        """Write all parts with rows of the files ``read`` (in the order of their numbers)."""
        drawn = self._fleet.labels.kind == "intervals"
        paths = [*read, *sorted(self._stays)]
        work = PartWriter(
            fleet=self._fleet,
            pending=self._pending,
            before=self._before,
            spill=spill,
            paths=paths,
            codes={path: number for number, path in enumerate(paths) if path in self._stays},
            intervals=intervals_of(events) if drawn and events is not None else {},
        )
        units = [
            (vehicle, day, self._old.get((vehicle, date_of(day))))
            for vehicle, day in self._keys(spill)
        ]
        written = run(work, units, vehicle_days=len(units))
        for part in track(written, "write the lake", len(units)):
            self._take(part, log)

    def _take(self, part: Written, log: RejectedLog) -> None:
        vehicle, date = part.row["vehicle"], part.row["date"]
        for path, row, reason, content in part.refused:
            log.add(path, row, reason, content, vehicle=vehicle)
            duplicates = path not in self._copies
            self.counts[path, vehicle, date]["duplicates"] += duplicates
        for path, rows in part.rows.items():
            self.counts[path, vehicle, date]["rows"] += rows
        self.merged.update(part.merged)
        self.first.update(part.first)
        self.newest[vehicle] = max(self.newest.get(vehicle, part.newest), part.newest)
        self.days[vehicle, date] = part.row
        self.changed += 1

    def _keys(self, spill: Spill) -> list[tuple[str, int]]:
        keys = set(spill.days())
        if self._anew and self._before is not None:
            table = self._before.origins()
            stays = pa.array(sorted(self._stays), pa.string())
            wanted = pc.and_(pc.is_in(table["path"], stays), pc.greater(table["rows"], 0))
            table = table.filter(wanted)
            days = map(day_of, table["date"].to_pylist())
            keys |= set(zip(table["vehicle"].to_pylist(), days, strict=True))
        return sorted(keys)

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
