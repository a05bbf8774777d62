"""The profile: what a vehicle-day's rows look like, measured in one streamed pass over the lake.

A row of the table per vehicle, date and channel (schema PROFILE). What it counts:

- **gaps**: steps between rows longer than ``missing.max_gap_seconds`` (and than a period and a
  half), with their total length.
  A step longer than ``REST_FACTOR`` times that is a rest: the vehicle was switched off. It is no
  gap, and not part of ``span_seconds``, the time over which the vehicle reported.
- **nulls**: rows without a value of the channel. In sparse data (the sparse and the long formats)
  most rows have none, so there a row counts as null only if the channel's last value is
  older than ``missing.max_gap_seconds``.
  A value in the channel's ``nulls`` is a null.
- **out_of_range**: values outside the channel's ``range``. They are told in min, max, mean and std
  too, though models see a null in their place.
- **longest_flat_seconds**: the longest time over which the channel's value did not change at all,
  gaps and rests not counted in.
- **resets, decreases**: how often a counter was reset, and how often it ran backwards, as
  ``amad.telemetry.counter_events`` tells them apart; null for other kinds.

Parts are read in batches, so memory does not grow with a vehicle-day. std is the population's.
"""

import datetime
import math
from collections.abc import Iterable
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Channel, Fleet
from amad.config.console import track
from amad.config.units import RunUnits, in_process
from amad.telemetry.counter_events import CountedDay
from amad.telemetry.lake import Lake, times_of
from amad.telemetry.schemas import PROFILE
from amad.telemetry.valid_values import is_null_word, is_outside

FORMAT = 1  # raise it when what is measured changes: tables of another format are not used again
MEASURED = b"measured"  # the key of the table's metadata that says by which format and fleet file
REST_FACTOR = 20
OF_DAY = ["vehicle", "date", "sha256", "duplicates", "late", "unreadable"]
BATCH_ROWS = 1 << 17
JOINED_DAYS = 100  # vehicle-days whose tables are joined at once


def profile(
    lake: Lake,
    fleet: Fleet,
    days: Iterable[tuple[str, datetime.date]] | None = None,
    run: RunUnits = in_process,
    known: pa.Table | None = None,
) -> pa.Table:
    """Measure the vehicle-days ``days`` (vehicle, date); default: all. Schema PROFILE, sorted.

    known: such a table, as it was read or made. Vehicle-days that are in it as they are in the lake
    are not read again, if it was made under the same fleet file.
    """
    counted = {(row["vehicle"], row["date"]): row for row in lake.day_table().to_pylist()}
    wanted = sorted(counted) if days is None else sorted(set(days) & set(counted))
    found = _KnownDays(known, fleet)
    units = [counted[key] for key in wanted if _of_day(counted[key]) not in found]
    measured = iter(run(partial(_profile_day, lake, fleet), units, vehicle_days=len(units)))
    if days is None:
        measured = iter(track(measured, "profile the lake", len(units)))
    tables = (found.rows_of(_of_day(counted[key])) or next(measured) for key in wanted)
    return _joined(tables).replace_schema_metadata({MEASURED: _measured_by(fleet)})


def _measured_by(fleet: Fleet) -> bytes:
    return f"{FORMAT} {fleet.digest}".encode()


def _of_day(row: dict) -> tuple:
    """What the rows of a vehicle-day are made of."""
    return tuple(row[name] for name in OF_DAY)


class _KnownDays:
    """The rows of each vehicle-day of a table, by what they were made of; cut when asked for."""

    def __init__(self, known: pa.Table | None, fleet: Fleet) -> None:
        if known is None or (known.schema.metadata or {}).get(MEASURED) != _measured_by(fleet):
            known = PROFILE.empty_table()
        self._known, self._rows = known.replace_schema_metadata(), len(fleet.channels)
        firsts = pa.array(range(0, known.num_rows, self._rows), pa.int64())
        days = known.select(OF_DAY).take(firsts).to_pylist()
        self._number = {_of_day(day): number for number, day in enumerate(days)}

    def __contains__(self, day: tuple) -> bool:
        return day in self._number

    def rows_of(self, day: tuple) -> pa.Table | None:
        """None where they are not known."""
        if (number := self._number.get(day)) is None:
            return None
        return self._known.slice(self._rows * number, self._rows)


def _joined(tables: Iterable[pa.Table]) -> pa.Table:
    """One table of all. Small tables take many times the memory of their rows, so few wait."""
    done = PROFILE.empty_table()
    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if len(waiting) == JOINED_DAYS:
            done = pa.concat_tables([done, pa.concat_tables(waiting).combine_chunks()])
            waiting = []
    return pa.concat_tables([done, *waiting]).combine_chunks()


def _profile_day(lake: Lake, fleet: Fleet, counted: dict) -> pa.Table:
    """The rows of one vehicle-day. counted: its row in the table of days."""
    vehicle, date = counted["vehicle"], counted["date"]
    expected_C = fleet.expects(vehicle, date)
    day = _Day(fleet)
    with lake.open_day(vehicle, date) as file:
        for batch in file.iter_batches(BATCH_ROWS, use_threads=False):
            day.add(batch)
    shared = {
        "vehicle": vehicle, "date": date, **day.figures(),
        "duplicates": counted["duplicates"], "late": counted["late"],
        "unreadable": counted["unreadable"], "sha256": counted["sha256"],
    }  # fmt: skip
    rows = [
        shared | {"channel": channel.name, "expected": expected} | figures.figures()
        for channel, figures, expected in zip(fleet.channels, day.channels, expected_C, strict=True)
    ]
    columns = {name: [row[name] for row in rows] for name in PROFILE.names}
    return pa.table(columns, schema=PROFILE)


class _Day:
    """Figures of one vehicle-day, batch by batch in time order."""

    def __init__(self, fleet: Fleet) -> None:
        self._gap_us = fleet.longest_step_us
        sparse = fleet.source.is_sparse
        stale_us = self._gap_us if sparse else None
        self.channels = [_Channel(channel, stale_us) for channel in fleet.channels]
        self._rows = self._gaps = 0
        self._gap_total_us = self._rest_total_us = 0
        self._first_us = self._last_us = 0

    def add(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        time_R = times_of(batch)
        if self._rows == 0:
            self._first_us = self._last_us = int(time_R[0])
        step_R = np.diff(time_R, prepend=self._last_us)
        long_R = step_R[step_R > self._gap_us]
        rest_R = long_R > REST_FACTOR * self._gap_us
        self._gaps += int((~rest_R).sum())
        self._gap_total_us += int(long_R[~rest_R].sum())
        self._rest_total_us += int(long_R[rest_R].sum())
        self._rows += len(time_R)
        self._last_us = int(time_R[-1])
        broken_R = np.flatnonzero(step_R > self._gap_us)
        for channel in self.channels:
            channel.add(batch.column(channel.name), time_R, broken_R)

    def figures(self) -> dict:
        span_us = self._last_us - self._first_us - self._rest_total_us
        return {
            "rows": self._rows,
            "gaps": self._gaps,
            "gap_seconds": self._gap_total_us / 1e6,
            "span_seconds": span_us / 1e6,
        }


class _Channel:
    """Figures of one channel of a vehicle-day."""

    def __init__(self, channel: Channel, stale_us: int | None) -> None:
        self.name = channel.name
        self._channel = channel
        self._stale_us = stale_us
        self._count = self._nulls = self._outside = 0
        self._low, self._high = math.inf, -math.inf
        self._mean = self._square = 0.0  # mean, and sum of squared distances from it
        self._flat_us = 0
        self._value: float | None = None  # the last value, since when it stands, when last seen
        self._since_us = self._seen_us = 0
        self._gap_ahead = False  # there was a gap after the last value
        self._counted = CountedDay(channel) if channel.kind == "counter" else None

    def add(self, column: pa.Array, time_R: np.ndarray, broken_R: np.ndarray) -> None:
        """The next rows. broken_R: positions of the rows before which there was a gap."""
        if self._channel.nulls:
            word_R = is_null_word(column.fill_null(math.nan).to_numpy(), self._channel)
            column = pc.if_else(pa.array(word_R), pa.scalar(None, column.type), column)
        nulls = column.null_count
        if nulls == 0:
            value_V, time_V = column.to_numpy(), time_R
        else:
            valid_R = column.is_valid().to_numpy(zero_copy_only=False)
            value_V, time_V = column.drop_null().to_numpy(), time_R[valid_R]
            if self._stale_us is not None:
                nulls = self._stale(valid_R, time_R)
            if len(broken_R):  # a gap lies before the first value at or after it
                broken_R = np.cumsum(valid_R)[broken_R] - valid_R[broken_R]
        self._nulls += nulls
        if self._gap_ahead:
            broken_R = np.append(0, broken_R)
        self._gap_ahead = bool(len(broken_R)) and int(broken_R[-1]) == len(value_V)
        if len(value_V) == 0:
            return
        broken_R = broken_R[broken_R < len(value_V)]
        low, high = float(value_V.min()), float(value_V.max())
        self._low, self._high = min(self._low, low), max(self._high, high)
        self._outside += int(is_outside(value_V, self._channel).sum())
        self._moments(value_V)
        if self._counted is not None:
            self._counted.add(value_V, time_V, broken_R)
        self._flat(value_V, time_V, broken_R)

    def figures(self) -> dict:
        known = self._count > 0
        return {
            "nulls": self._nulls,
            "out_of_range": self._outside,
            "min": self._low if known else None,
            "max": self._high if known else None,
            "mean": self._mean if known else None,
            "std": math.sqrt(max(0.0, self._square) / self._count) if known else None,
            "longest_flat_seconds": self._flat_us / 1e6 if known else None,
            "resets": None if self._counted is None else self._counted.resets,
            "decreases": None if self._counted is None else self._counted.decreases,
        }

    def _stale(self, valid_R: np.ndarray, time_R: np.ndarray) -> int:
        """Rows at which the channel's last value is too old to stand for it."""
        assert self._stale_us is not None
        at_R = np.maximum.accumulate(np.where(valid_R, np.arange(len(valid_R)), -1))
        before = self._seen_us if self._count else -self._stale_us - 1
        seen_R = np.where(at_R >= 0, time_R[at_R], before)
        return int((time_R - seen_R > self._stale_us).sum())

    def _moments(self, value_V: np.ndarray) -> None:
        """Join mean and squared distances of two sets (Chan, Golub & LeVeque 1979)."""
        away_V = value_V.astype(np.float64)
        mean, count = float(away_V.mean()), len(away_V)
        away_V -= mean
        away_V *= away_V  # not a dot product: that would wake the threads of BLAS
        total = self._count + count
        distance = mean - self._mean
        self._mean += distance * count / total
        self._square += float(away_V.sum()) + distance**2 * self._count * count / total
        self._count = total

    def _flat(self, value_V: np.ndarray, time_V: np.ndarray, broken_V: np.ndarray) -> None:
        change_V = np.empty(len(value_V), bool)
        change_V[0] = self._value is None or value_V[0] != self._value
        np.not_equal(value_V[1:], value_V[:-1], out=change_V[1:])
        change_V[broken_V] = True
        start_K = np.flatnonzero(change_V)
        if len(start_K) == 0:
            self._seen_us = int(time_V[-1])
        else:
            if self._value is not None:  # the run that came in ends at or before this batch
                end_us = int(time_V[start_K[0] - 1]) if start_K[0] else self._seen_us
                self._flat_us = max(self._flat_us, end_us - self._since_us)
            length_K = np.diff(start_K, append=len(value_V))
            long_L = np.flatnonzero(length_K > 1)
            first_L = start_K[long_L]
            last_L = first_L + length_K[long_L] - 1
            flat_L = time_V[last_L] - time_V[first_L]
            self._flat_us = max(self._flat_us, int(flat_L.max(initial=0)))
            self._since_us, self._seen_us = int(time_V[start_K[-1]]), int(time_V[-1])
        self._flat_us = max(self._flat_us, self._seen_us - self._since_us)
        self._value = float(value_V[-1])
