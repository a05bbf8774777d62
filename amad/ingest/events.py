"""The file of intervals: which vehicle, from when to when, which channels are to blame.

A CSV file with the columns vehicle (or entity), start, end, channels (space separated) and, where
known, type and strength. ``end`` is exclusive. start and end are ISO 8601 times, or rows of the
vehicle's test part counted from 0 (``labels.culprits_by``).
"""

import csv
import datetime
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from amad.config import DataError, Fleet
from amad.config.console import say
from amad.reading.clocks import utc_times
from amad.reading.headers import find
from amad.reading.rules import reading_rules
from amad.reading.vehicle_ids import id_of, names_of
from amad.telemetry.schemas import EVENTS, TIMESTAMP

MOMENT = datetime.timedelta(microseconds=1)
# (vehicle, first row, last row exclusive) -> (start, end) in microseconds; None: unknown vehicle.
RowsToTime = Callable[[str, int, int], tuple[int, int] | None]


def read_events(path: Path, fleet: Fleet, vehicles: set[str], rows_to_time: RowsToTime) -> pa.Table:
    """The intervals in ``path`` as a table of the schema EVENTS, sorted by vehicle and start.

    Intervals of vehicles that are not in ``vehicles`` are left out, and said so.

    Raises:
        DataError: a column is missing or a cell cannot be read; names file, line and cell.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            lines = [(reader.line_num, line) for line in reader]
            headers = list(reader.fieldnames or [])
    except (UnicodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8: {error}") from None
    vehicle_column = "vehicle" if "vehicle" in headers else "entity"
    missing = [c for c in (vehicle_column, "start", "end", "channels") if c not in headers]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(headers)}")

    name_of = names_of(fleet.source)
    rows, unknown = [], set()
    for number, line in lines:
        where = f"{path}, line {number}"
        vehicle = id_of(line[vehicle_column] or "")
        vehicle = name_of.get(vehicle, vehicle)
        if vehicle not in vehicles:
            unknown.add(vehicle)
            continue
        start, end = _interval(line, fleet, vehicle, rows_to_time, where)
        rows.append({
            "vehicle": vehicle, "start": start, "end": end,
            "channels": _channels(line["channels"] or "", fleet, where),
            "type": (line.get("type") or "").strip() or None,
            "strength": _strength(line.get("strength"), where),
        })  # fmt: skip
    if unknown:
        names = ", ".join(sorted(unknown))
        say(f"{path.name}: left out events of vehicles without data: {names}")
    rows.sort(key=lambda row: (row["vehicle"], row["start"], row["end"]))
    columns = {name: [row[name] for row in rows] for name in EVENTS.names}
    for name in ("start", "end"):
        columns[name] = pa.array(columns[name], pa.int64()).cast(TIMESTAMP)
    return pa.table(columns, schema=EVENTS)


def without_rows(events: pa.Table, days: Iterable[tuple[str, datetime.date]]) -> list[str]:
    """A line for each event on whose days its vehicle has no row at all. days: with rows."""
    dates_of: dict[str, list[datetime.date]] = {}
    for vehicle, date in days:
        dates_of.setdefault(vehicle, []).append(date)
    told = []
    for event in events.to_pylist():
        first, last = event["start"].date(), (event["end"] - MOMENT).date()
        if not any(first <= date <= last for date in dates_of.get(event["vehicle"], ())):
            told.append(f"{event['vehicle']} {event['start']:%Y-%m-%d %H:%M} UTC")
    return told


def label_rows(timestamp_T: np.ndarray, intervals: list[tuple[int, int]]) -> np.ndarray:
    """int8 (T,): 1 for a time in one of the half-open intervals (microseconds)."""
    label_T = np.zeros(len(timestamp_T), np.int8)
    for start, end in intervals:
        first, last = np.searchsorted(timestamp_T, [start, end])
        label_T[first:last] = 1
    return label_T


def intervals_of(events: pa.Table) -> dict[str, list[tuple[int, int]]]:
    """Vehicle -> (start, end) in microseconds of its events."""
    found: dict[str, list[tuple[int, int]]] = {}
    starts, ends = (events[name].cast(pa.int64()).to_pylist() for name in ("start", "end"))
    for vehicle, start, end in zip(events["vehicle"].to_pylist(), starts, ends, strict=True):
        found.setdefault(vehicle, []).append((start, end))
    return found


def _interval(
    line: dict, fleet: Fleet, vehicle: str, rows_to_time: RowsToTime, where: str
) -> tuple[int, int]:
    texts = [(line[name] or "").strip() for name in ("start", "end")]
    if fleet.labels.culprits_by == "row":
        try:
            first, last = (int(text) for text in texts)
        except ValueError:
            raise DataError(
                f"{where}: start {texts[0]!r} and end {texts[1]!r} are no row numbers; for times "
                "set labels.culprits_by: timestamp"
            ) from None
        if first >= last:
            raise DataError(f"{where}: start {first} is not before end {last}, which is exclusive")
        interval = rows_to_time(vehicle, first, last) if first >= 0 else None
        if interval is None:
            raise DataError(f"{where}: rows {first} to {last} are not in {vehicle}'s test part")
        return interval
    rule = reading_rules(fleet).timestamp
    (start, end), bad = utc_times(pa.array(texts), rule)
    if bad.any() or not start < end:
        raise DataError(
            f"{where}: start {texts[0]!r} and end {texts[1]!r} are not two ISO 8601 times in order"
        )
    return int(start), int(end)


def _channels(text: str, fleet: Fleet, where: str) -> list[str]:
    headers = [channel.header for channel in fleet.channels]
    found = []
    for name in text.split():
        position = find(name, fleet.channel_names)
        position = find(name, headers) if position is None else position
        if position is None:
            raise DataError(f"{where}: {name!r} is no channel of fleet {fleet.name}")
        found.append(fleet.channel_names[position])
    return found


def _strength(text: str | None, where: str) -> float | None:
    if not (text or "").strip():
        return None
    try:
        return float(text)  # type: ignore[arg-type]
    except ValueError:
        raise DataError(f"{where}: strength {text!r} is not a number") from None
