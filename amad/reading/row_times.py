"""When each row of a file was measured, by the rule of the fleet file (``source.timestamp``).

Shape legend: R rows of a batch.
"""

import datetime
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Fleet
from amad.config.source import TimestampRule
from amad.reading import times, timestamp_guess
from amad.reading.clocks import DayCounter, LocalClock, Stopwatch, local_to_utc
from amad.reading.day_month import OTHER_WAY, WAY_OUT, OtherWay, is_ordered
from amad.reading.day_sums import NO_MIDNIGHT, sums_of_days
from amad.reading.numbers import NotReadableError, flags, is_text, shown
from amad.reading.readers import FileRefusedError, RawBatch, Resolve, read_batches
from amad.reading.rules import reading_rules
from amad.reading.time_forms import EPOCH
from amad.reading.times import AHEAD, DAY_US, Times
from amad.reading.units import are_different
from amad.reading.vehicle_ids import named_by

Refuse = Callable[[np.ndarray, str], None]  # marks rows as refused, for a reason

# The names of the columns; those of the others where a time of day or an offset has its own.
TIME, OTHERS, PARTS = "timestamp", ("timestamp, second", "timestamp, third"), "timestamp, parts"
LOOKED_AT = 200  # unreadable texts of a batch that are looked at to tell what they look like
MISSING = "timestamp is missing"
NOT_READABLE = "timestamp is not readable"
ROUNDED = "timestamp is rounded"
EARLY = "timestamp lies before 1980"
REPEATED_HOUR = "the hour that is repeated when summer time ends"
LEFT_OUT_HOUR = "the hour that is left out when summer time begins"
REPEATED, LEFT_OUT = f"timestamp is in {REPEATED_HOUR}", f"timestamp is in {LEFT_OUT_HOUR}"
AGAIN = "elapsed time starts again"


class StartRefusedError(FileRefusedError):
    """A start is told in a local time that is none, or two, when summer time changes."""


class RowTimes:
    """Reads the times of one file's rows, batch by batch.

    Args:
        fleet: its ``source.timestamp`` is the rule.
        path: the file's path below the fleet's folder, which may tell a date.
        vehicle: the vehicle of all rows, or None where a column names it.
        index_rows: vehicle -> periods that its earlier files took, for ``take: index``. The
            periods of this file are added.
        clock: follows local times over the files of a run; None: over this file alone.
        file: where the file is. resolve: finds the columns of a header line in it.
    """

    def __init__(
        self,
        fleet: Fleet,
        path: str,
        vehicle: str | None,
        index_rows: dict[str, int],
        clock: LocalClock | None,
        file: Path,
        resolve: Resolve,
    ) -> None:
        self._fleet = fleet
        self._rules = reading_rules(fleet)
        self._rule: TimestampRule = self._rules.timestamp
        self._path = path
        self._vehicle = vehicle
        self._index_rows = index_rows
        self._clock = clock or LocalClock(self._rule.timezone)
        self._file = file
        self._resolve = resolve
        self._days = DayCounter()
        self._watch = Stopwatch()
        ordered = self._rule.take == "column" and is_ordered(self._rule.format)
        self._order = OtherWay(path, times.written_us(file)) if ordered else None
        self._midnight = self._midnight_us() if self._rule.take == "time_of_day" else 0
        self._start: int | None = None  # of the recording, UTC
        self.offsets: set[str] = set()  # with, without: which times of a column were read
        self._counted: dict[str, int] = {}  # vehicle of a column -> its rows, for take: index
        simulated = fleet.source.format == "simulator"
        self._latest = times.LATEST_US if simulated else times.now_us() + DAY_US

    def columns(self) -> dict[str, str]:
        """Name of a batch's column -> the header to look for."""
        rule = self._rule
        if rule.take == "index":
            return {}
        last = [PARTS] if rule.fraction else []
        names = [TIME, *OTHERS[: len(rule.columns) - 1 - len(last)], *last]
        wanted = dict(zip(names, rule.columns, strict=True))
        if rule.take == "elapsed" and rule.start_from == "column":
            wanted["start"] = rule.start_column or ""
        return wanted

    @property
    def first_us(self) -> int | None:
        """The time of the file's first row, where that is known before it is read."""
        if self._vehicle is None or self._rule.take != "index":
            return None
        return self._rule.start_us + self._index_rows.get(self._vehicle, 0) * self._fleet.period_us

    def finish(self, rows: int) -> None:
        """Count the periods of the file, which had so many rows, for the vehicle's next file."""
        if self._rule.take != "index":
            return
        counted = self._counted if self._vehicle is None else {self._vehicle: rows}
        for vehicle, count in counted.items():
            gap = self._gap_periods() if count else 0
            self._index_rows[vehicle] = self._index_rows.get(vehicle, 0) + count + gap

    def read(
        self, batch: RawBatch, vehicles: list[str], code_R: np.ndarray, refuse: Refuse
    ) -> np.ndarray:
        """Read the times of a batch and call ``refuse`` for rows that have none.

        Args:
            batch: R rows.
            vehicles: the batch's vehicles.
            code_R: the index of each row's vehicle, -1 where it is refused.
            refuse: marks rows (bool, (R,)) as refused, for a reason.

        Returns:
            int64 microseconds UTC (R,); without meaning in refused rows.

        Raises:
            FileRefusedError: the column's type holds no times, or the recording has no start.
        """
        rule = self._rule
        if rule.take == "index":
            return self._by_index(batch, vehicles, code_R)
        column = batch.columns[TIME]
        if others := [batch.columns[name] for name in OTHERS if name in batch.columns]:
            column = times.joined(column, *others)
        try:
            if rule.take == "column":
                told = times.times(column, rule)
            elif rule.take == "time_of_day":
                told = times.times_of_day(column, rule.format)
            else:
                told = times.elapsed(column, rule.unit)
        except NotReadableError as error:
            raise FileRefusedError(f"column {batch.headers['timestamp']!r}: {error}") from None
        unit = batch.units.get("timestamp", "")
        if rule.take == "elapsed" and are_different(unit, rule.unit):
            raise FileRefusedError(
                f"another unit: the file tells {unit!r} for {batch.headers['timestamp']!r}, and "
                f"source.timestamp.unit is {rule.unit!r}; draft the files in this unit as a fleet "
                "of their own"
            )
        self._refuse_untold(told, column, refuse)
        good_R = told.good_R
        us_R, local_R = told.us_R, told.local_R
        if rule.fraction:
            us_R = us_R + self._parts(batch, good_R, rule.fraction, refuse)
        if rule.take == "column" and is_text(column.type):
            bad_R = sums_of_days(us_R, good_R & (code_R >= 0), code_R, column)
            if bad_R.any():
                first = shown(column[int(bad_R.argmax())])
                refuse(bad_R, f"{NOT_READABLE}: {first} {NO_MIDNIGHT}")
        if self._order is not None:
            good_R &= ~self._refuse_other_way(us_R, good_R, column, refuse)
        if rule.take == "time_of_day":
            day_R = np.zeros(len(us_R), np.int64)
            day_R[good_R] = self._days.follow(us_R[good_R])
            us_R, local_R = self._midnight + day_R * DAY_US + us_R, good_R
        elif rule.take == "elapsed":
            us_R = self._since_start(batch, us_R, good_R, refuse)
        # Times far outside of what is accepted are no evidence of when summer time ended. A local
        # time differs from UTC by less than a day, so a day more is let through here.
        near_R = good_R & (us_R >= times.EARLIEST_US - DAY_US) & (us_R < self._latest + DAY_US)
        if rule.take == "column":
            told_by = np.unique(local_R[near_R]).tolist()
            self.offsets |= {"without" if local else "with" for local in told_by}
        us_R = self._to_utc(us_R, local_R & near_R, vehicles, code_R, refuse)
        self._refuse_outside(us_R, good_R, column, refuse)
        return us_R

    def _to_utc(
        self,
        us_R: np.ndarray,
        local_R: np.ndarray,
        vehicles: list[str],
        code_R: np.ndarray,
        refuse: Refuse,
    ) -> np.ndarray:
        at_L = np.flatnonzero(local_R & (code_R >= 0))
        utc_L, unknown_L, never_L = self._clock.follow(vehicles, code_R[at_L], us_R[at_L])
        us_R = us_R.copy()
        us_R[at_L] = utc_L
        zone = self._rule.timezone
        for bad_L, reason in (
            (unknown_L, f"{REPEATED}: in {zone}, and the order of the rows does not show which"),
            (never_L, f"{LEFT_OUT}: in {zone}"),
        ):
            bad_R = np.isin(np.arange(len(us_R)), at_L[bad_L])
            refuse(bad_R, f"{reason}; is that the clock's source.timestamp.timezone?")
        return us_R

    def _refuse_untold(self, told: Times, column: pa.Array, refuse: Refuse) -> None:
        """Refuse the rows whose cell tells no time."""
        refuse(told.missing_R, MISSING)
        if told.rounded_R.any():
            first = shown(column[int(told.rounded_R.argmax())].as_py())
            why = f"{first} stands for many rows; write the column with all its digits"
            refuse(told.rounded_R, f"{ROUNDED}: {why}")
        if told.unreadable_R.any():
            at = np.flatnonzero(told.unreadable_R)[:LOOKED_AT]
            texts = [str(cell) for cell in column.take(pa.array(at)).to_pylist()]
            form = self._rule.format
            why = timestamp_guess.describe(texts, f" is not of the form {form!r}" if form else "")
            refuse(told.unreadable_R, f"{NOT_READABLE}: {why}")

    def _parts(self, batch: RawBatch, good_R: np.ndarray, unit: str, refuse: Refuse) -> np.ndarray:
        """Microseconds (R,) that the last column adds; a row without any is no longer good."""
        column = batch.columns[PARTS]
        try:
            part_R, bad_R = times.parts_of_second(column, unit)
        except NotReadableError as error:
            raise FileRefusedError(f"column {batch.headers[PARTS]!r}: {error}") from None
        missing_R = flags(pc.is_null(column))
        refuse(good_R & missing_R, f"{MISSING}: {batch.headers[PARTS]} tells no {unit}")
        bad_R &= good_R & ~missing_R
        good_R &= ~missing_R
        if bad_R.any():
            first = shown(column[int(bad_R.argmax())].as_py())
            why = f"{first} in column {batch.headers[PARTS]!r} is no whole number of {unit} "
            refuse(bad_R, f"{NOT_READABLE}: {why}below a second")
            good_R &= ~bad_R
        return part_R

    def _refuse_other_way(
        self, us_R: np.ndarray, good_R: np.ndarray, column: pa.Array, refuse: Refuse
    ) -> np.ndarray:
        """Refuse rows whose day and month the file itself shows to be the other way round."""
        assert self._order is not None, "the form of the times has an order"
        bad_R, at = np.zeros(len(us_R), bool), np.flatnonzero(good_R)
        bad_R[at], shows = self._order.shown(us_R[at])
        if bad_R.any():
            first = int(bad_R.argmax())
            read = f"{shown(column[first])} is read as {times.date_of(us_R[first] // DAY_US)}"
            refuse(bad_R, f"{OTHER_WAY}: {read}, and of the file, {shows}; {WAY_OUT}")
        return bad_R

    def _refuse_outside(
        self, us_R: np.ndarray, good_R: np.ndarray, column: pa.Array, refuse: Refuse
    ) -> None:
        """Refuse the rows whose time lies before 1980 or in the future."""
        early_R = good_R & (us_R < times.EARLIEST_US)
        if early_R.any():
            at = int(early_R.argmax())
            text = str(column[at].as_py()) if self._rule.take == "column" else iso(int(us_R[at]))
            unset = f"{text} is of a clock that was never set"
            why = timestamp_guess.describe([text]) if _is_number(text) else unset
            refuse(early_R, f"{EARLY}: {why}")
        ahead_R = good_R & (us_R >= self._latest)
        if ahead_R.any():
            first = iso(int(us_R[ahead_R].min()))
            refuse(ahead_R, f"{AHEAD}: {first} UTC, by the clock of this machine")

    def _midnight_us(self) -> int:
        """Local midnight of the date in the path, for ``take: time_of_day``."""
        rule = self._rule
        match = re.search(rule.date_pattern or "", self._path)
        text = named_by(match) if match else ""
        date = timestamp_guess.date_in(text, rule.date_format)
        if date is None:
            found = f"finds {text!r}, which is no" if text else "finds no"
            form = rule.date_format or "YYYY-MM-DD, YYYYMMDD or YYYY_MM_DD"
            raise FileRefusedError(
                f"no date in the path: {rule.date_pattern!r} {found} {form}; "
                "source.timestamp.date_format tells other forms"
            )
        return times.day_of(date) * DAY_US

    def _since_start(
        self, batch: RawBatch, us_R: np.ndarray, good_R: np.ndarray, refuse: Refuse
    ) -> np.ndarray:
        """UTC (R,) of the recording's start and the time since; others' rows are refused."""
        rule = self._rule
        if rule.start_from == "column":
            return us_R + self._starts_in_column(batch, refuse)
        us_R, again_R = us_R.copy(), np.zeros(len(us_R), bool)
        us_R[good_R], again_R[good_R] = self._watch.follow(us_R[good_R])
        refuse(again_R, f"{AGAIN}: a second recording in the file, whose start is not known")
        if self._start is None:
            self._start = self._start_us(batch)
        return us_R + self._start

    def _start_us(self, batch: RawBatch) -> int:
        rule = self._rule
        if rule.start_from == "constant":
            return rule.start_us
        if rule.start_from == "modified":
            return self._modified_us()
        text = self._path if rule.start_from == "path" else "\n".join(batch.preamble)
        match = re.search(rule.start_pattern or "", text, re.MULTILINE)
        where = "path" if rule.start_from == "path" else "lines before the header"
        if match is None:
            raise FileRefusedError(
                f"no start of the recording: {rule.start_pattern!r} finds nothing in the {where}"
            )
        return self._parsed_start(named_by(match).strip())

    def _starts_in_column(self, batch: RawBatch, refuse: Refuse) -> np.ndarray:
        """UTC (R,) of each row's start: what its cell or the last filled cell before it tells."""
        cells = batch.columns["start"].to_pylist()
        us_of = dict.fromkeys((cell for cell in cells if cell not in (None, "")), 0)
        for cell in us_of:
            with suppress(StartRefusedError):  # of one recording of several
                us_of[cell] = self._parsed_start(cell)
        start_R = np.zeros(len(cells), np.int64)
        for at, cell in enumerate(cells):
            self._start = us_of.get(cell, self._start)
            start_R[at] = self._start or 0
        unknown_R = start_R == 0
        refuse(unknown_R, f"{MISSING}: {self._rule.start_column} tells no start, or not which hour")
        return start_R

    def _parsed_start(self, cell: object) -> int:
        """UTC microseconds of a start, from its text or its number."""
        rule = self._rule
        form = rule.start_format
        reader = TimestampRule(format=form, timezone=rule.timezone)
        if isinstance(cell, (int, float)) or (not form and _is_number(str(cell))):
            seen = timestamp_guess.looks_like([str(cell)])
            settings = seen.settings if seen else {}
            reader = TimestampRule(unit=settings.get("unit", "s"), format=settings.get("format"))
        told = times.times(pa.array([cell]), reader)
        if not told.good_R[0] or told.us_R[0] < times.EARLIEST_US:
            why = timestamp_guess.describe(
                [str(cell)], f" is not of the form {form!r}" if form else ""
            )
            why = why.replace("timestamp.format", "timestamp.start_format")
            raise FileRefusedError(f"no start of the recording: {why}")
        start = int(told.us_R[0])
        if not told.local_R[0]:
            return start
        first = int(local_to_utc(told.us_R, rule.timezone)[0])
        if (other := int(local_to_utc(told.us_R, rule.timezone, second=True)[0])) != first:
            hour = REPEATED_HOUR if other > first else LEFT_OUT_HOUR
            raise StartRefusedError(
                f"no start of the recording: {iso(start)} is in {hour}: in {rule.timezone}; tell "
                "it with its offset, or is that not the clock's source.timestamp.timezone?"
            )
        return first

    def _modified_us(self) -> int:
        """The recording's start, if it ended when the file was last written."""
        watch, last = Stopwatch(), 0
        for batch in read_batches(self._file, self._rules, self._resolve):
            told = times.elapsed(batch.columns["timestamp"], self._rule.unit)
            us_G, again_G = watch.follow(told.us_R[told.good_R])
            if again_G.any():
                raise FileRefusedError(
                    "no start of the recording: the elapsed time starts again in the file, and "
                    "when it was last written tells only the end of the last recording"
                )
            last = max(last, int(us_G.max(initial=0)))
        return times.written_us(self._file) - last

    def _by_index(self, batch: RawBatch, vehicles: list[str], code_R: np.ndarray) -> np.ndarray:
        """UTC (R,): row i of a vehicle is i periods after the start, whatever it holds."""
        index_R = np.zeros(len(code_R), np.int64)
        if self._vehicle is not None:  # a line that was no row takes its place in time, too
            index_R = self._index_rows.get(self._vehicle, 0) + batch.row_R - 1
        else:
            for code, vehicle in enumerate(vehicles):
                at = np.flatnonzero(code_R == code)
                before = self._index_rows.get(vehicle, 0) + self._counted.get(vehicle, 0)
                index_R[at] = before + np.arange(len(at))
                self._counted[vehicle] = self._counted.get(vehicle, 0) + len(at)
        return self._rule.start_us + index_R * self._fleet.period_us

    def _gap_periods(self) -> int:
        """Periods to leave out after a file, which make the next one a recording of its own."""
        gap = self._rule.gap_between_files
        return 0 if gap is None else max(0, -int(-gap * 1_000_000 // self._fleet.period_us) - 1)


def iso(us: int) -> str:
    """Microseconds UTC as ISO 8601, without an offset."""
    return (EPOCH + datetime.timedelta(microseconds=us)).isoformat()


def _is_number(text: str) -> bool:
    return re.fullmatch(r"\d+([.,]\d+)?([eE]\+?\d+)?", text.strip()) is not None
