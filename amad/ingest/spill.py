"""Rows of many vehicles in any order, sorted into vehicle-days in bounded memory.

Rows are buffered up to a limit and then written as one file of stretches, each of one vehicle-day:
its columns one after the other, as they lie in memory. Rows that would make many stretches are
sorted before. The stretches of a vehicle-day are later read back from all files. So there are few
files, however many vehicles a raw file mixes.

Shape legend: T rows, C channels, G rows of one vehicle-day, S stretches but the first.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from amad.config import Fleet
from amad.reading.rows import DAY_US, CleanRows
from amad.telemetry import disk
from amad.telemetry.schemas import TIMESTAMP

BUFFER_BYTES = 32 << 20
MOST_STRETCHES = 64  # of one file, between which rows are not sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRows:
    """Rows in the order in which they arrived; mostly those of one vehicle-day."""

    timestamp_T: np.ndarray  # int64 microseconds
    value_TC: np.ndarray  # float64, NaN: null; best with each channel contiguous in memory
    label_T: np.ndarray  # int8
    file_T: np.ndarray  # int64, the position of the raw file in reading order
    row_T: np.ndarray  # int64, number in the file

    def only(self, which_T: np.ndarray | slice) -> "DayRows":
        """The rows at the positions ``which_T``, or where it is true; views for a slice."""
        if isinstance(which_T, slice):
            return DayRows(**{f.name: getattr(self, f.name)[which_T] for f in fields(self)})
        at = np.flatnonzero(which_T) if which_T.dtype == bool else which_T
        return DayRows(**{
            f.name: getattr(self, f.name).T.take(at, axis=-1).T for f in fields(self)
        })  # fmt: skip


def joined(parts: list[DayRows]) -> DayRows:
    """The rows of all ``parts``, in their order."""
    if len(parts) == 1:
        return parts[0]
    return DayRows(**{
        f.name: np.concatenate([getattr(part, f.name).T for part in parts], axis=-1).T
        for f in fields(DayRows)
    })  # fmt: skip


def content_of(rows: DayRows, at: int, vehicle: str, fleet: Fleet) -> str:
    """Row number ``at`` as JSON, as the list of refused rows shows it."""
    when = pa.scalar(int(rows.timestamp_T[at]), TIMESTAMP).as_py()
    told = zip(fleet.channel_names, rows.value_TC[at].tolist(), strict=True)
    content = {"vehicle": vehicle, "timestamp": when.isoformat()}
    return json.dumps(content | {name: value for name, value in told if value == value})


class Spill:
    """Add clean rows, then read them by vehicle-day."""

    def __init__(self, folder: Path, channels: int) -> None:
        self._folder = folder
        self._channels = channels
        # Rows, the number of each row's vehicle, and the number of their raw file.
        self._buffer: list[tuple[DayRows, np.ndarray, int]] = []
        self._buffer_bytes = 0
        self._ids: dict[str, int] = {}  # vehicle -> number
        self._files = 0
        # (vehicle, day) -> where its rows lie
        self._where: dict[tuple[str, int], list[disk.Stretch]] = defaultdict(list)
        self._flushed: set[int] = set()  # numbers of raw files
        self._withdrawn: dict[tuple[str, int], set[int]] = defaultdict(set)  # numbers of raw files

    def __getstate__(self) -> dict:
        assert not self._buffer, "flush before sending"
        return self.__dict__

    def add(self, rows: CleanRows, file: int) -> None:
        """Take the clean rows of raw file number ``file``."""
        count = len(rows.row_T)
        if count == 0:
            return
        id_V = np.array([self._ids.setdefault(v, len(self._ids)) for v in rows.vehicles])
        taken = DayRows(
            timestamp_T=rows.timestamp_T,
            value_TC=rows.value_TC,
            label_T=np.zeros(count, np.int8) if rows.label_T is None else rows.label_T,
            file_T=np.full(count, file),
            row_T=rows.row_T,
        )
        self._buffer.append((taken, id_V[rows.code_T], file))
        self._buffer_bytes += rows.value_TC.nbytes + 40 * count
        if self._buffer_bytes >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is buffered."""
        if not self._buffer:
            return
        parts = [part for part, _, _ in self._buffer]
        id_T = np.concatenate([id_T for _, id_T, _ in self._buffer])
        day_T = np.concatenate([part.timestamp_T for part in parts]) // DAY_US
        self._flushed |= {file for _, _, file in self._buffer}
        self._buffer, self._buffer_bytes = [], 0
        cut = _cuts(id_T, day_T)
        step_S = id_T[cut] - id_T[cut - 1]
        falls_S = (step_S < 0) | ((step_S == 0) & (day_T[cut] < day_T[cut - 1]))
        if len(cut) >= MOST_STRETCHES and falls_S.any():
            order_T = np.lexsort((day_T, id_T))  # stable: arrival order stays within a vehicle-day
            parts = [joined(parts).only(order_T)]
            id_T, day_T = id_T[order_T], day_T[order_T]
            cut = _cuts(id_T, day_T)
        begin_P = np.cumsum([0, *(len(part.row_T) for part in parts[:-1])])
        names = list(self._ids)
        path = self._folder / f"{self._files}.rows"
        self._folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as sink:
            for first, last in pairwise([0, *cut.tolist(), len(id_T)]):
                begin = sink.tell()
                _write(_between(parts, begin_P, first, last), sink)
                key = (names[id_T[first]], int(day_T[first]))
                self._where[key].append((path, begin, sink.tell() - begin))
        self._files += 1

    def days(self) -> list[tuple[str, int]]:
        """(vehicle, day since 1970-01-01) of all rows, sorted; call ``flush`` before."""
        assert not self._buffer, "flush before reading"
        return sorted(self._where)

    def withdraw(self, vehicle: str, day: int, file: int) -> DayRows:
        """Take back what the last file, number ``file``, added to a vehicle-day; returns it."""
        taken, kept = [], []
        while self._buffer and self._buffer[-1][2] == file:  # it is the one that was read last
            rows, id_T, _ = self._buffer.pop()
            mine_T = (id_T == self._ids[vehicle]) & (rows.timestamp_T // DAY_US == day)
            taken.append(rows.only(mine_T))
            if not mine_T.all():
                kept.append((rows.only(~mine_T), id_T[~mine_T], file))
        self._buffer += reversed(kept)
        where = self._where.get((vehicle, day), [])
        if where and file in self._flushed:
            flushed = self._all_rows(where)
            self._withdrawn[vehicle, day].add(file)
            taken.append(flushed.only(flushed.file_T == file))
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
        return rows.only(~np.isin(rows.file_T, list(withdrawn))) if withdrawn else rows

    def _all_rows(self, where: list[disk.Stretch]) -> DayRows:
        return joined([_read(content, self._channels) for content in disk.read_stretches(where)])


def _cuts(id_T: np.ndarray, day_T: np.ndarray) -> np.ndarray:
    """The rows at which another vehicle-day begins than that of the row before."""
    return np.flatnonzero((id_T[1:] != id_T[:-1]) | (day_T[1:] != day_T[:-1])) + 1


def _between(parts: list[DayRows], begin_P: np.ndarray, first: int, last: int) -> DayRows:
    """Rows first (inclusive) to last (exclusive) of all ``parts``, which begin at ``begin_P``."""
    start, stop = np.searchsorted(begin_P, [first + 1, last])
    begins = begin_P[start - 1 : stop].tolist()
    found = zip(parts[start - 1 : stop], begins, strict=True)
    return joined([part.only(slice(max(first - at, 0), last - at)) for part, at in found])


def _write(rows: DayRows, sink: BinaryIO) -> None:
    """Write rows as ``_read`` takes them."""
    for column in (rows.timestamp_T, rows.file_T, rows.row_T):
        sink.write(np.ascontiguousarray(column, np.int64).data)
    for value_T in rows.value_TC.T:
        sink.write(np.ascontiguousarray(value_T, np.float64).data)
    sink.write(np.ascontiguousarray(rows.label_T, np.int8).data)


def _read(content: bytes, channels: int) -> DayRows:
    """The rows of a stretch, as views that cannot be written to."""
    rows = len(content) // (8 * (3 + channels) + 1)
    timestamp_T, file_T, row_T = np.frombuffer(content, np.int64, 3 * rows).reshape(3, rows)
    value_CT = np.frombuffer(content, np.float64, channels * rows, 24 * rows)
    return DayRows(
        timestamp_T=timestamp_T,
        value_TC=value_CT.reshape(channels, rows).T,
        label_T=np.frombuffer(content, np.int8, rows, 8 * (3 + channels) * rows),
        file_T=file_T,
        row_T=row_T,
    )
