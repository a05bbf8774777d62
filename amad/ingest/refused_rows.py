"""What ingest counts on the way: refused rows, and per vehicle-day what was late or unreadable."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from amad.reading.rows import DAY_US, CleanRows
from amad.telemetry.schemas import REJECTED

CHUNK_ROWS = 20_000
KEPT_BYTES = 16 << 20  # of a file's times, before they go to the disk
KEY = 1 << 32  # more than there are days


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
        columns = list(zip(*self._rows, strict=True)) or [()] * len(REJECTED)
        arrays = [pa.array(c, f.type) for c, f in zip(columns, REJECTED, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=REJECTED))
        self._rows = []


class Lateness:
    """Counts rows that arrive after newer rows of their vehicle, by vehicle and day.

    Late is a row older than another that stood before it in its file, or than a row of an earlier
    file, provided that its own file also brings newer ones: a file that lies in the past as a whole
    is a backfill, and nothing in it is late.

    Nothing is counted before the file has been read, since only then is it known which days were
    told by a clock that was wrong. Until then the times are kept, in ``folder`` where they are
    many.
    """

    def __init__(self, newest: dict[str, int], folder: Path | None = None) -> None:
        self.newest = dict(newest)  # vehicle -> newest time in the files before
        self.counts: Counter = Counter()  # (vehicle, day) -> late rows
        self._folder = folder
        self._kept: tempfile.SpooledTemporaryFile | None
        self._start()

    def add(self, rows: CleanRows) -> None:
        """Keep the next rows of the current file."""
        if len(rows.timestamp_T) == 0:
            return
        numbers = self._numbers
        number_V = np.array([numbers.setdefault(name, len(numbers)) for name in rows.vehicles])
        number_T = number_V[rows.code_T]
        day_T = rows.timestamp_T // DAY_US
        order_T = np.lexsort((rows.timestamp_T, number_T))  # so by day too
        key_T = number_T[order_T] * KEY + day_T[order_T]
        start_D = np.flatnonzero(np.diff(key_T, prepend=-1))
        count_D = np.diff(start_D, append=len(key_T))
        for at, count in zip(order_T[start_D].tolist(), count_D.tolist(), strict=True):
            days = self.days[rows.vehicles[rows.code_T[at]]]
            first_us, before = days.get(int(day_T[at]), (int(rows.timestamp_T[at]), 0))
            days[int(day_T[at])] = (min(first_us, int(rows.timestamp_T[at])), before + count)
        if self._kept is None:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._kept = tempfile.SpooledTemporaryFile(  # noqa: SIM115 (end_file closes it)
                KEPT_BYTES, dir=None if self._folder is None else str(self._folder)
            )
        for array in (number_T.astype(np.int32), rows.timestamp_T):
            self._kept.write(array.tobytes())
        self._lengths.append(len(number_T))

    def end_file(self, stray: Mapping[str, set[int]] | None = None) -> None:
        """The current file is read: count its late rows, without the stray days of a vehicle."""
        stray = stray or {}
        vehicles = list(self._numbers)
        in_file: dict[str, int] = {}
        older: dict[str, Counter] = defaultdict(Counter)
        for number_T, time_T in self._read_back():
            for number in np.unique(number_T).tolist():
                vehicle = vehicles[number]
                of_it_T = time_T if len(vehicles) == 1 else time_T[number_T == number]
                if days := stray.get(vehicle):
                    of_it_T = of_it_T[~np.isin(of_it_T // DAY_US, list(days))]
                if len(of_it_T):
                    self._follow(vehicle, of_it_T, in_file, older)
        for vehicle, newest in in_file.items():
            if newest > self.newest.get(vehicle, -1):
                self.counts.update(older[vehicle])
                self.newest[vehicle] = newest
        self._start()

    def _read_back(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The batches of the current file again: number of the vehicle, time."""
        if self._kept is None:
            return
        with self._kept as kept:
            kept.seek(0)
            for length in self._lengths:
                number_T = np.frombuffer(kept.read(4 * length), np.int32)
                yield number_T, np.frombuffer(kept.read(8 * length), np.int64)

    def _start(self) -> None:
        self._numbers: dict[str, int] = {}
        self._lengths: list[int] = []
        self._kept = None
        # Of the current file: vehicle -> day since 1970-01-01 -> (first time, rows).
        self.days: dict[str, dict[int, tuple[int, int]]] = defaultdict(dict)

    def _follow(
        self, vehicle: str, time_T: np.ndarray, in_file: dict[str, int], older: dict[str, Counter]
    ) -> None:
        before = in_file.get(vehicle, -1)
        highest_T = np.maximum(np.maximum.accumulate(time_T), before)
        late_T = time_T < np.concatenate([[before], highest_T[:-1]])
        older_T = ~late_T & (time_T < self.newest.get(vehicle, -1))
        self._count(self.counts, vehicle, time_T[late_T])
        self._count(older[vehicle], vehicle, time_T[older_T])
        in_file[vehicle] = int(highest_T[-1])

    @staticmethod
    def _count(into: Counter, vehicle: str, time_T: np.ndarray) -> None:
        days, counts = np.unique(time_T // DAY_US, return_counts=True)
        for day, count in zip(days.tolist(), counts.tolist(), strict=True):
            into[vehicle, day] += count
