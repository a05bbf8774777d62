"""Rows of many vehicles in any order, sorted into vehicle-days in bounded memory.

Rows are buffered up to a limit, then written as one Arrow IPC file that holds a record batch per
vehicle-day; each vehicle-day's batches are then read back from all files. So there are few files,
however many vehicles one raw file mixes.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from amad.config import Fleet
from amad.reading.rows import DAY_US, CleanRows
from amad.telemetry.schemas import TIMESTAMP

BUFFER_BYTES = 32 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRows:
    """Rows of one vehicle-day in the order in which they arrived. T rows, C channels."""

    timestamp_T: np.ndarray  # int64 microseconds
    value_TC: np.ndarray  # float64, NaN: null
    label_T: np.ndarray  # int8
    file_T: np.ndarray  # int64, the position of the raw file in reading order
    row_T: np.ndarray  # int64, number in the file


def joined(parts: list[DayRows]) -> DayRows:
    """The rows of all ``parts``, in their order."""
    names = DayRows.__dataclass_fields__
    return DayRows(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def content_of(rows: DayRows, at: int, vehicle: str, fleet: Fleet) -> str:
    """Row number ``at`` as JSON, as the list of refused rows shows it."""
    when = pa.scalar(int(rows.timestamp_T[at]), TIMESTAMP).as_py()
    told = zip(fleet.channel_names, rows.value_TC[at].tolist(), strict=True)
    content = {"vehicle": vehicle, "timestamp": when.isoformat()}
    return json.dumps(content | {name: value for name, value in told if value == value})


def _some(rows: DayRows, which_T: np.ndarray) -> DayRows:
    return DayRows(**{n: getattr(rows, n)[which_T] for n in DayRows.__dataclass_fields__})


class Spill:
    """Add clean rows, then read them by vehicle-day."""

    def __init__(self, folder: Path, channels: int) -> None:
        self._folder = folder
        self._channels = channels
        self._pending: list[tuple[CleanRows, int, np.ndarray]] = []
        self._pending_bytes = 0
        self._ids: dict[str, int] = {}  # vehicle -> number
        self._files: list[Path] = []
        self._readers: list[pa.ipc.RecordBatchFileReader] = []
        self._where: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
        self._flushed: set[int] = set()  # numbers of raw files
        self._withdrawn: dict[tuple[str, int], set[int]] = defaultdict(set)  # numbers of raw files

    def add(self, rows: CleanRows, file: int) -> None:
        """Take the clean rows of raw file number ``file``."""
        if len(rows.row_T) == 0:
            return
        id_V = np.array([self._ids.setdefault(v, len(self._ids)) for v in rows.vehicles])
        self._pending.append((rows, file, id_V[rows.code_T]))
        self._pending_bytes += rows.value_TC.nbytes + 40 * len(rows.row_T)
        if self._pending_bytes >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        if not self._pending:
            return
        rows = _day_rows(self._pending)
        self._flushed |= {number for _, number, _ in self._pending}
        id_T = np.concatenate([ids for _, _, ids in self._pending])
        self._pending, self._pending_bytes = [], 0
        day_T = rows.timestamp_T // DAY_US
        order_T = np.lexsort((day_T, id_T))  # stable: arrival order stays within a vehicle-day
        cut = np.flatnonzero(np.diff(id_T[order_T]) | np.diff(day_T[order_T])) + 1
        names = list(self._ids)
        path = self._folder / f"{len(self._files)}.arrow"
        self._folder.mkdir(parents=True, exist_ok=True)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, self._schema()) as writer:
            for number, at_G in enumerate(np.split(order_T, cut)):
                writer.write_batch(self._batch(rows, at_G))
                key = (names[id_T[at_G[0]]], int(day_T[at_G[0]]))
                self._where[key].append((len(self._files), number))
        self._files.append(path)

    def days(self) -> list[tuple[str, int]]:
        """(vehicle, day since 1970-01-01) of all rows, sorted; call ``flush`` before."""
        assert not self._pending, "flush before reading"
        return sorted(self._where)

    def withdraw(self, vehicle: str, day: int, file: int) -> DayRows:
        """Take back what the last file, number ``file``, added to a vehicle-day; returns it."""
        taken, kept = [], []
        while self._pending and self._pending[-1][1] == file:  # it is the one that was read last
            rows, _, id_T = self._pending.pop()
            mine_T = (id_T == self._ids[vehicle]) & (rows.timestamp_T // DAY_US == day)
            if mine_T.any():
                taken.append(_day_rows([(_clean(rows, mine_T), file, id_T[mine_T])]))
            if not mine_T.all():
                kept.append((_clean(rows, ~mine_T), file, id_T[~mine_T]))
        self._pending += reversed(kept)
        where = self._where.get((vehicle, day), [])
        if where and file in self._flushed:
            flushed = self._all_rows(where)
            self._withdrawn[vehicle, day].add(file)
            taken.append(_some(flushed, flushed.file_T == file))
            if np.isin(flushed.file_T, list(self._withdrawn[vehicle, day])).all():
                del self._where[vehicle, day], self._withdrawn[vehicle, day]
        return joined(taken[::-1])

    def rows(self, vehicle: str, day: int) -> DayRows | None:
        """The rows of one vehicle-day, None where it has none; call ``flush`` before."""
        where = self._where.get((vehicle, day))
        if where is None:
            return None
        rows = self._all_rows(where)
        withdrawn = self._withdrawn.get((vehicle, day))
        return _some(rows, ~np.isin(rows.file_T, list(withdrawn))) if withdrawn else rows

    def _all_rows(self, where: list[tuple[int, int]]) -> DayRows:
        if len(self._readers) < len(self._files):
            self._readers = [pa.ipc.open_file(pa.OSFile(str(path))) for path in self._files]
        batches = [self._readers[file].get_batch(number) for file, number in where]
        table = pa.Table.from_batches(batches).combine_chunks()
        value = table["value"].combine_chunks().flatten().to_numpy()
        return DayRows(
            timestamp_T=table["timestamp"].to_numpy(),
            value_TC=value.reshape(-1, self._channels),
            label_T=table["label"].to_numpy(),
            file_T=table["file"].to_numpy(),
            row_T=table["row"].to_numpy(),
        )

    def _schema(self) -> pa.Schema:
        return pa.schema([
            ("timestamp", pa.int64()), ("value", pa.list_(pa.float64(), self._channels)),
            ("label", pa.int8()), ("file", pa.int64()), ("row", pa.int64()),
        ])  # fmt: skip

    def _batch(self, rows: DayRows, at_G: np.ndarray) -> pa.RecordBatch:
        value = pa.array(rows.value_TC[at_G].reshape(-1))
        columns = [
            pa.array(rows.timestamp_T[at_G]),
            pa.FixedSizeListArray.from_arrays(value, self._channels),
            pa.array(rows.label_T[at_G]),
            pa.array(rows.file_T[at_G].astype(np.int64)),
            pa.array(rows.row_T[at_G]),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema())


def _clean(rows: CleanRows, which_T: np.ndarray) -> CleanRows:
    names = ("code_T", "timestamp_T", "value_TC", "row_T")
    label_T = None if rows.label_T is None else rows.label_T[which_T]
    return replace(rows, label_T=label_T, **{n: getattr(rows, n)[which_T] for n in names})


def _day_rows(pending: list[tuple[CleanRows, int, np.ndarray]]) -> DayRows:
    return DayRows(
        timestamp_T=np.concatenate([rows.timestamp_T for rows, _, _ in pending]),
        value_TC=np.concatenate([rows.value_TC for rows, _, _ in pending]),
        label_T=np.concatenate([_labels(rows) for rows, _, _ in pending]),
        file_T=np.concatenate([np.full(len(rows.row_T), file) for rows, file, _ in pending]),
        row_T=np.concatenate([rows.row_T for rows, _, _ in pending]),
    )


def _labels(rows: CleanRows) -> np.ndarray:
    return rows.label_T if rows.label_T is not None else np.zeros(len(rows.row_T), np.int8)
