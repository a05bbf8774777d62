"""Writes one vehicle-day of a pending lake: merged, sorted, with what became of its rows.

Shape legend: T rows of a vehicle-day as they arrived, K different times, C channels.
"""

import datetime
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from amad.config import Fleet
from amad.config.digest import file_sha256
from amad.ingest import origins
from amad.ingest.events import label_rows
from amad.ingest.merging import FIRST, MERGED, Merged, merge
from amad.ingest.pending_change import Pending
from amad.ingest.spill import DayRows, Spill, content_of, joined
from amad.reading.times import date_of
from amad.telemetry import disk
from amad.telemetry import lake as lakes
from amad.telemetry.lake import Lake
from amad.telemetry.schemas import lake_schema

REPEATS = "duplicate timestamp: it repeats an earlier row"
CONTRADICTS = (
    "duplicate timestamp with other values: it contradicts an earlier row in {}; a corrected file "
    "counts where it replaces the first one"
)
Unit = tuple[str, int, dict | None]  # vehicle, day, the row of the table of days so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What became of one vehicle-day; small, whatever it holds."""

    row: dict  # of the schema DAYS
    refused: list[tuple[str, int, str, str]]  # path, row in the file, reason, content
    rows: Counter  # path of a file that is read now -> rows
    merged: Counter  # path of such a file -> rows that became part of another's row
    first: Counter  # path of a file that stays -> rows that it was the first to tell
    newest: int  # time of the newest row, microseconds


@dataclass(frozen=True, kw_only=True)
class PartWriter:
    """Writes a vehicle-day into ``pending``; it can be sent to another process.

    before: the lake so far. paths: the raw files by number. codes: path -> number of the files
    whose rows stay. intervals: vehicle -> the known events that are drawn as labels.
    """

    fleet: Fleet
    pending: Pending
    before: Lake | None
    spill: Spill
    paths: list[str]
    codes: dict[str, int]
    intervals: dict

    def __call__(self, unit: Unit) -> Written:
        """Merge, sort and write the rows of one vehicle-day."""
        vehicle, day, old = unit
        drawn = self.fleet.labels.kind == "intervals"
        new = self.spill.rows(vehicle, day)
        rows = [] if new is None else [new]
        known = 0  # rows of files that stay
        if old is not None and self.before is not None:
            names = self.fleet.channel_names
            kept = origins.rows_in_lake(self.before, old, self.codes, names, drawn=drawn)
            rows.insert(0, kept)
            known = len(kept.timestamp_T)
        all_rows = joined(rows)
        merged = merge(all_rows, known)
        label_K = merged.label_K
        if drawn:
            label_K = label_rows(merged.timestamp_K, self.intervals.get(vehicle, []))
        part = _Part(
            vehicle=vehicle, date=date_of(day), rows=all_rows, merged=merged, paths=self.paths
        )
        given, became, first = self._count(part, known)
        return Written(
            row=self._write(part, label_K),
            refused=list(self._refused(part)),
            rows=given,
            merged=became,
            first=first,
            newest=int(merged.timestamp_K[-1]),
        )

    def _refused(self, part: "_Part") -> Iterator[tuple[str, int, str, str]]:
        names, merged, rows = self.fleet.channel_names, part.merged, part.rows
        clash_of = dict(zip(merged.contradicting_X.tolist(), merged.clash_XC, strict=True))
        for at in np.flatnonzero(~merged.stays_T).tolist():
            reason = REPEATS
            if at in clash_of:
                channels = ", ".join(n for n, bad in zip(names, clash_of[at], strict=True) if bad)
                reason = CONTRADICTS.format(channels)
            path = part.paths[rows.file_T[at]]
            content = content_of(rows, at, part.vehicle, self.fleet)
            yield path, int(rows.row_T[at]), reason, content

    def _count(self, part: "_Part", known: int) -> tuple[Counter, Counter, Counter]:
        given: Counter[str] = Counter()
        became: Counter[str] = Counter()
        first: Counter[str] = Counter()
        rows, merged = part.rows, part.merged
        new_T = np.arange(len(rows.file_T)) >= known
        times = len(merged.timestamp_K)
        file_N = rows.file_T[new_T & merged.stays_T]
        if times < len(new_T):  # a file's rows of one time count once
            pair_N = file_N * times + merged.at_T[new_T & merged.stays_T]
            file_N = np.unique(pair_N) // times
        for path, count in part.counted(file_N):
            given[path] += count
        for path, count in part.counted(rows.file_T[new_T & (merged.fate_T == MERGED)]):
            became[path] += count
        for path, count in part.counted(rows.file_T[~new_T & (merged.fate_T == FIRST)]):
            first[path] += count
        return given, became, first

    def _write(self, part: "_Part", label_K: np.ndarray) -> dict:
        vehicle, date, merged = part.vehicle, part.date, part.merged
        file = self.pending.lake_file(lakes.part_path(vehicle, date))
        schema = lake_schema(self.fleet)
        with disk.written(file) as here:
            lakes.write_part(here, schema, merged.timestamp_K, merged.value_KC, label_K)
            row = {
                "vehicle": vehicle, "date": date, "rows": len(merged.timestamp_K),
                "sha256": file_sha256(here), "origin": None, "origins_sha256": None,
            }  # fmt: skip
        origin_T = part.rows.file_T[merged.stays_T]
        if (origin_T == origin_T[0]).all():
            row["origin"] = part.paths[origin_T[0]]
        else:
            file = self.pending.lake_file(lakes.origins_path(vehicle, date))
            table = origins.of_merged(part.rows, merged, part.paths)
            with disk.written(file) as here:
                lakes.write_with_steps(table, here)
                row["origins_sha256"] = file_sha256(here)
        return row


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
