"""What ingest counts on the way: refused rows, and per vehicle-day what was late or unreadable."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amad.telemetry.rows import DAY_US, CleanRows
from amad.telemetry.schemas import REJECTED

CHUNK_ROWS = 20_000


class RejectedLog:
    """Writes refused rows to one Parquet file of the schema REJECTED, and counts them by reason."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, REJECTED, compression="zstd")
        self._rows: list[tuple] = []
        self.counts: dict[str, Counter] = defaultdict(Counter)  # file -> reason -> rows
        self.first: tuple[str, str] | None = None  # reason and content of the first one

    def add(self, file: str, row: int | None, reason: str, content: str | None) -> None:
        """Note a row, or with ``row`` None a whole file, as refused.

        What follows a colon in ``reason`` is detail and not counted apart.
        """
        self.counts[file][reason.split(":")[0]] += 1
        where = file if row is None else f"{file}, row {row}"
        self.first = self.first or (f"{where}: {reason}", content or "")
        self._rows.append((file, row, reason, content))
        if len(self._rows) >= CHUNK_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the rest."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        columns = list(zip(*self._rows, strict=True)) or [[]] * len(REJECTED)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, REJECTED, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=REJECTED))
        self._rows = []


class Lateness:
    """Counts rows that arrive after newer rows of their vehicle, by vehicle and day.

    Late is a row older than another that stood before it in its file, or than a row of an earlier
    file, provided that its own file also brings newer ones: a file that lies in the past as a whole
    is a backfill, and nothing in it is late.
    """

    def __init__(self, newest: dict[str, int]) -> None:
        self.newest = dict(newest)  # vehicle -> newest time in the files before
        self.counts: Counter = Counter()  # (vehicle, day) -> late rows
        self._in_file: dict[str, int] = {}
        self._older: dict[str, Counter] = defaultdict(Counter)

    def add(self, rows: CleanRows) -> None:
        """Follow the next rows of the current file."""
        for code, vehicle in enumerate(rows.vehicles):
            time_T = rows.timestamp_T if len(rows.vehicles) == 1 else None
            if time_T is None:
                time_T = rows.timestamp_T[rows.code_T == code]
            if len(time_T) == 0:
                continue
            before = self._in_file.get(vehicle, -1)
            highest_T = np.maximum(np.maximum.accumulate(time_T), before)
            late_T = time_T < np.concatenate([[before], highest_T[:-1]])
            older_T = ~late_T & (time_T < self.newest.get(vehicle, -1))
            self._count(self.counts, vehicle, time_T[late_T])
            self._count(self._older[vehicle], vehicle, time_T[older_T])
            self._in_file[vehicle] = int(highest_T[-1])

    def end_file(self) -> None:
        """The current file is read: decide about its rows that older files had overtaken."""
        for vehicle, newest in self._in_file.items():
            if newest > self.newest.get(vehicle, -1):
                self.counts.update(self._older[vehicle])
                self.newest[vehicle] = newest
        self._in_file, self._older = {}, defaultdict(Counter)

    @staticmethod
    def _count(into: Counter, vehicle: str, time_T: np.ndarray) -> None:
        days, counts = np.unique(time_T // DAY_US, return_counts=True)
        for day, count in zip(days.tolist(), counts.tolist(), strict=True):
            into[vehicle, day] += count
