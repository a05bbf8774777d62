"""Raw files that roll on: they are written anew with later rows and without their oldest ones.

Examples are a log of the last two days, and a ``latest.csv`` that holds another day every night.
The rows that such a file no longer holds were not corrected, so the lake keeps them like the rows
of a file that is gone.

Shape legend: T rows of a vehicle-day.
"""

import datetime
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow.compute as pc

from amad.config import Fleet
from amad.ingest import origins
from amad.reading.rows import CleanRows
from amad.reading.times import DAY_US, day_of
from amad.telemetry.lake import Lake
from amad.telemetry.manifest import IngestedFile


def rolled_on(before: Lake, path: str, first_of: Mapping[str, Mapping[int, int]]) -> int | None:
    """The time before which ``path`` no longer holds the rows that it gave to the lake, else None.

    A file has rolled on if rows of earlier times are gone, and its newest date is later than before
    or all of its rows are later than those that the lake has of its vehicles.

    first_of: vehicle -> day (since 1970-01-01) -> time of its first row, of the file as it is now.
    """
    days = _days(before, path)
    held = [day_of(date) for _, date in days]
    now = [day for times in first_of.values() for day in times]
    if not held or not now:
        return None
    start_us = min(first_us for times in first_of.values() for first_us in times.values())
    newest_us = max(before.newest()[vehicle] for vehicle, _ in days)
    if max(now) <= max(held) and start_us <= newest_us:
        return None
    return start_us if min(held) * DAY_US < start_us else None


def name_of(before: Lake, path: str, start_us: int) -> str:
    """What the lake calls the older part of the file: by the last date that it holds."""
    dates = [date for _, date in _days(before, path) if day_of(date) * DAY_US < start_us]
    name, number = f"{path} (until {max(dates)})", 1
    while name in before.files:
        number += 1
        name = f"{path} (until {max(dates)}, {number})"
    return name


def entry_of(old: IngestedFile, rows: int) -> IngestedFile:
    """The manifest's entry of so many older rows of a file whose entry was ``old``."""
    return IngestedFile(
        bytes=round(rows / max(1, old.rows) * old.bytes),
        sha256=f"older rows of {old.sha256}",
        part=old.part,
        rows=rows,
        test_start=old.test_start,
        lacks=old.lacks,
    )


def rows_before(before: Lake, path: str, start_us: int, fleet: Fleet) -> Iterator[CleanRows]:
    """The rows that the file gave to the lake, as far as they are older than ``start_us``.

    fleet: the present fleet file.

    Raises:
        DataError: a part of the lake is damaged.
    """
    table = {(row["vehicle"], row["date"]): row for row in before.day_table().to_pylist()}
    drawn = fleet.labels.kind == "intervals"  # so that no file gave the labels
    for vehicle, date in _days(before, path):
        if day_of(date) * DAY_US >= start_us:
            continue
        row, names = table[vehicle, date], fleet.channel_names
        rows = origins.rows_in_lake(before, row, {path: 0}, names, drawn=drawn)
        older_T = np.flatnonzero(rows.timestamp_T < start_us)
        yield CleanRows(
            vehicles=[vehicle],
            code_T=np.zeros(len(older_T), np.int64),
            timestamp_T=rows.timestamp_T[older_T],
            value_TC=rows.value_TC[older_T],
            label_T=rows.label_T[older_T],
            row_T=np.zeros(len(older_T), np.int64),  # their numbers in the file are not kept
        )


def _days(before: Lake, path: str) -> list[tuple[str, datetime.date]]:
    """Vehicle-days with rows of the file, in their order."""
    table = before.origins()
    table = table.filter(pc.and_(pc.equal(table["path"], path), pc.greater(table["rows"], 0)))
    return sorted(zip(table["vehicle"].to_pylist(), table["date"].to_pylist(), strict=True))
