"""The batches of one file become clean rows with vehicle, time and values, or are refused.

Shape legend: R rows of a batch, T clean rows of it, C channels of the fleet.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Channel, ConfigError, Fleet
from amad.config.source import Source
from amad.reading.clocks import LocalClock
from amad.reading.codes import UNKNOWN, with_codes
from amad.reading.headers import AmbiguousHeaderError, Headers, name_and_unit
from amad.reading.lacking import is_due, no_column, refuse_lacking
from amad.reading.long_rows import LongRows
from amad.reading.numbers import (
    NULL_WORDS,
    NotReadableError,
    Numbers,
    flags,
    hide_thousands,
    is_text,
    may_be_thousands,
    numbers,
    shown,
)
from amad.reading.outside_class import ValuesOf, add_values, lost_values, values_of
from amad.reading.readers import FileRefusedError, RawBatch
from amad.reading.row_times import Refuse, RowTimes
from amad.reading.rules import reading_rules
from amad.reading.times import AHEAD, DAY_US
from amad.reading.units import OTHER_UNIT, are_different, is_known, spellings
from amad.reading.vehicle_ids import (
    NO_CLASS,
    SEVERAL,
    id_of,
    is_rounded,
    names_of,
    vehicle_of_lines,
    vehicle_of_path,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRows:
    """T rows that were read, with the values of C channels."""

    vehicles: list[str]
    code_T: np.ndarray  # int64, index into vehicles
    timestamp_T: np.ndarray  # int64, microseconds UTC
    value_TC: np.ndarray  # float64, NaN where a channel has no value; each channel contiguous
    label_T: np.ndarray | None  # int8
    row_T: np.ndarray  # int64, the row's number in the file


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A row that was not read, with its vehicle and its day as far as they are known."""

    row: int
    reason: str
    content: str  # JSON
    vehicle: str | None = None
    day: int | None = None  # days since 1970-01-01, from the nearest earlier row that was read
    ahead_us: int | None = None  # the row's time, if it is refused as one of the future


class FileParser:
    """Reads the batches of one file in order.

    Args:
        fleet: the fleet file.
        path: the file's path below the fleet's folder.
        part: ``train``, ``test`` or ``all``.
        index_rows: vehicle -> periods that its earlier files took, for ``take: index``. The
            periods of this file are added.
        file: where the file is.
        clock: follows local times over the files of a run; by default over this file alone.
    """

    def __init__(
        self,
        fleet: Fleet,
        path: str,
        part: str,
        index_rows: dict[str, int],
        file: Path,
        clock: LocalClock | None = None,
    ) -> None:
        self._fleet = fleet
        self._rules: Source = reading_rules(fleet)
        self._path = path
        self._part = part
        self._name_of = names_of(self._rules)
        self.ignored: Counter = Counter()  # kind of line that is no row -> how many
        self.unread: dict[str, None] = {}  # headers of columns that are not read
        self.units: dict[str, None] = {}  # speed in mph, where the fleet file tells no unit
        self.short = 0  # rows with fewer fields than the header
        self.lacks: list[str] = []  # channels that came later, for which it has no column
        self.unknown: Counter = Counter()  # vehicle in no vehicle class -> its refused rows
        self.vehicle = vehicle_of_path(self._rules, path)  # of all rows, or None
        self._times = RowTimes(fleet, path, self.vehicle, index_rows, clock, file, self.resolve)
        self.offsets = self._times.offsets  # of the times that were read: with, without
        self._fractions: set[str] = set()  # channels whose decimal marks are of fractions
        self._class_of: dict[str, str | None] = {}
        self._last_day: int | None = None
        self.rows = 0  # parsed so far, with the refused ones
        self._long = LongRows(fleet) if self._rules.is_long else None
        self.nulls: Counter = Counter()  # channel -> values that the fleet file lists as "no value"
        self.outside_class: ValuesOf = {}  # that are null, as the class lacks the channel
        self._has_label = fleet.labels.kind in ("column", "intervals")

    @property
    def first_us(self) -> int | None:
        """UTC microseconds of the file's first row, if that is known before it is read."""
        return self._times.first_us

    @property
    def plain(self) -> list[str]:
        """The columns that a reader may give as numbers: see ``read_batches``."""
        by_row = self._long is None and self._rules.decimal != ","
        return [c.name for c in self._fleet.channels if not c.codes] if by_row else []

    def finish(self) -> None:
        """End the file, so that the vehicle's next file continues after it.

        Raises:
            FileRefusedError: nothing in the file was of the fleet.
        """
        if self._long is not None:
            self._long.finish()
        self._times.finish(self.rows)

    def break_off(self) -> None:
        """End a file that cannot be read on; the next file continues after the rows read."""
        self._times.finish(self.rows)

    def resolve(self, headers: list[str]) -> dict[str, int]:
        """Find the columns to read: channel's name or role -> position.

        Raises:
            FileRefusedError: a column is missing, or several match; the message names the headers.
        """
        wanted: dict[str, str] = {}
        if self._rules.vehicle.take == "column":
            wanted["vehicle"] = self._rules.vehicle.column
        wanted |= self._times.columns()
        may_lack_label = self._part == "train" or self._rules.may_leave_out
        if self._fleet.labels.kind == "column" and not may_lack_label:
            wanted["label"] = self._fleet.labels.column
        if self._long is not None:
            wanted |= self._long.columns()
        required = set(wanted)
        channels = [] if self._long is not None else self._fleet.channels
        wanted |= {channel.name: channel.header for channel in channels}
        lacks = zip(channels, self._may_lack(), strict=False)
        due = [c for c, may in lacks if not (may or self._rules.may_leave_out)]
        required |= {channel.name for channel in due if not channel.since}
        if self._fleet.labels.kind == "column":
            wanted.setdefault("label", self._fleet.labels.column)
        try:
            there = Headers(headers)
            names = {channel.name: channel.headers for channel in channels}
            found = {name: there.find_any(names.get(name, [h])) for name, h in wanted.items()}
        except AmbiguousHeaderError as error:
            raise FileRefusedError(f"ambiguous column: {error}") from None
        refuse_lacking({n: h for n, h in wanted.items() if found[n] is None}, required, due, there)
        self.lacks = sorted({*self.lacks, *(c.name for c in due if found[c.name] is None)})
        told = {name: position for name, position in found.items() if position is not None}
        if self._long is not None:
            told |= self._long.unit_column(headers)
        for channel in channels:
            header = headers[told[channel.name]] if channel.name in told else channel.header
            if header.strip() not in map(str.strip, channel.headers):
                self._check_unit(channel, name_and_unit(header)[1], f"the header {header!r}")
        rest = (h.strip() for at, h in enumerate(headers) if at not in told.values())
        self.unread |= dict.fromkeys(filter(None, rest))
        return told

    def parse(self, batch: RawBatch) -> tuple[CleanRows, list[RefusedRow]]:
        """Read a batch; every row of it is in one of the two results.

        Raises:
            FileRefusedError: a column's type cannot hold what the fleet file says it holds.
        """
        if self._long is not None:
            batch = self._long.spread(batch)
        self.ignored.update(batch.ignored)
        self.short += batch.short
        self._check_units(batch.units)
        row_R, rows = batch.row_R, len(batch.row_R)
        reason_R = np.zeros(rows, np.int64)  # 0: none; else 1 + the position in reasons
        reasons: list[str] = []

        def refuse(bad_R: np.ndarray, reason: str) -> None:
            if bad_R.any():
                reasons.append(reason)
                reason_R[(reason_R == 0) & bad_R] = len(reasons)

        vehicles, code_R = self._vehicles(batch, refuse)
        timestamp_R = self._times.read(batch, vehicles, code_R, refuse)
        day_R = timestamp_R // DAY_US
        value_CR, null_of, lost_of = self._values(batch, vehicles, code_R, day_R, refuse)
        label_R = self._labels(batch, rows, refuse)

        good_R = reason_R == 0
        for channel, null_R in null_of.items():
            if count := int((null_R & good_R).sum()):
                self.nulls[channel] += count
        for channel, lost_R in lost_of.items():
            for code, lost in values_of(np.where(good_R, lost_R, np.nan), code_R, day_R).items():
                add_values(self.outside_class, vehicles[code], channel, lost)
        self.rows += rows + len(batch.broken)
        if not good_R.all():
            value_CR = value_CR.compress(good_R, axis=1)
        clean = CleanRows(
            vehicles=vehicles,
            code_T=code_R[good_R],
            timestamp_T=timestamp_R[good_R],
            value_TC=value_CR.T,
            label_T=None if label_R is None else label_R[good_R],
            row_T=row_R[good_R],
        )
        name_of = [*vehicles, None]  # code -1 is the last one
        bad = np.flatnonzero(~good_R).tolist()
        cells = batch.cells() if bad else {}
        refused = [
            RefusedRow(
                row=int(row_R[at]),
                reason=(reason := reasons[reason_R[at] - 1]),
                content=batch.content(cells, at),
                vehicle=name_of[code_R[at]],
                ahead_us=int(timestamp_R[at]) if reason.startswith(AHEAD) else None,
            )
            for at in bad
        ]
        refused += [
            RefusedRow(
                row=number, reason=reason, content=json.dumps({"line": text}), vehicle=self.vehicle
            )
            for number, reason, text in batch.broken
        ]
        return clean, list(self._dated(refused, clean))

    def _check_units(self, told: dict[str, str]) -> None:
        """Compare what the file tells of its units with the fleet file."""
        for channel in self._fleet.channels if told else ():
            self._check_unit(channel, told.get(channel.name, ""), "the file")

    def _check_unit(self, channel: Channel, unit: str, where: str) -> None:
        if are_different(unit, channel.unit):
            raise FileRefusedError(OTHER_UNIT.format(where, unit, channel))
        if not channel.unit and is_known(unit):
            self.units[f"{channel.name} in {spellings(unit.strip(' []()'))[0]}"] = None

    def _dated(self, refused: list[RefusedRow], clean: CleanRows) -> Iterator[RefusedRow]:
        """Refused rows with the day of the nearest earlier clean row, or else of the next one."""
        day_T = clean.timestamp_T // DAY_US
        for row in sorted(refused, key=lambda row: row.row):
            at = int(np.searchsorted(clean.row_T, row.row)) - 1
            day = self._last_day
            if len(day_T) and (at >= 0 or day is None):
                day = int(day_T[max(at, 0)])
            yield replace(row, day=day)
        if len(day_T):
            self._last_day = int(day_T[-1])

    def _may_lack(self) -> list[bool]:
        """For each channel: may its column be missing, as a vehicle of the file may lack it?"""
        if self.vehicle is not None:
            kind = self._class(self.vehicle)
            if kind is None:
                self.unknown[self.vehicle] = 1  # the refused file counts as one row
                raise FileRefusedError(f"unknown vehicle: {self.vehicle!r} is in no vehicle class")
            return [not has for has in self._fleet.has_channel(kind)]
        classes = {item.name for item in self._fleet.vehicle_classes}
        return [c.classes is not None and set(c.classes) != classes for c in self._fleet.channels]

    def _vehicles(self, batch: RawBatch, refuse: Refuse) -> tuple[list[str], np.ndarray]:
        """The batch's vehicles, and the index of each row's vehicle (R,), -1 where refused."""
        if self.vehicle is not None:
            return [self.vehicle], np.zeros(len(batch.row_R), np.int64)
        if self._rules.vehicle.take == "preamble":
            column = vehicle_of_lines(self._rules, batch.preamble, len(batch.row_R))
        else:
            column = batch.columns["vehicle"]
        if not pa.types.is_dictionary(column.type):
            column = pc.dictionary_encode(column)
        nothing = {*NULL_WORDS, *(word.strip().lower() for word in self._rules.nulls)}
        cells = column.dictionary.to_pylist()
        told = ("" if v is None else id_of(v) for v in cells)
        told = ("" if name.lower() in nothing else name for name in told)
        spelt = [self._name_of.get(name, name) for name in told]
        names = list(dict.fromkeys(spelt))  # all spellings of a vehicle share one code
        position = {name: code for code, name in enumerate(names)}
        code_R = pc.fill_null(column.indices, -1).to_numpy(zero_copy_only=False)
        code_R = np.array([*(position[name] for name in spelt), -1], np.int64)[code_R]
        for cell in filter(partial(is_rounded, kind=column.dictionary.type), cells):
            rounded_R = flags(pc.equal(column, pa.scalar(cell, column.dictionary.type)))
            refuse(rounded_R, f"vehicle id is rounded: {shown(cell)} {SEVERAL}")
        nameless = np.array([not name for name in names] + [True])  # the last is index -1
        refuse(nameless[code_R], "vehicle id is missing")
        strange = np.array([bool(name) and self._class(name) is None for name in names] + [False])
        refuse(strange[code_R], NO_CLASS)
        count = np.bincount(code_R + 1, minlength=len(names) + 1)[1:]
        self.unknown.update({names[code]: int(count[code]) for code in np.flatnonzero(strange)})
        code_R[(nameless | strange)[code_R]] = -1
        return names, code_R

    def _values(
        self, batch: RawBatch, vehicles: list[str], code_R: np.ndarray, day_R: np.ndarray,
        refuse: Refuse,
    ) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:  # fmt: skip
        """Values (C, R), NaN where null or refused, and channel -> rows listed as "no value".

        The third result: channel -> values (R,) that are NaN since the vehicle's class lacks it.
        """
        value_CR = np.full((len(self._fleet.channels), len(code_R)), np.nan)
        null_of, lost_of = dict[str, np.ndarray](), dict[str, np.ndarray]()
        lacks_VC = self._lacks(vehicles)
        for c, channel in enumerate(self._fleet.channels):
            lacks_R = lacks_VC[code_R, c]
            if channel.name not in batch.columns:
                if self._rules.container != "json":  # which leaves out what has no value
                    due_R = is_due(channel, day_R) & ~lacks_R & (code_R >= 0)
                    refuse(due_R, no_column(channel))
                continue
            read = self._numbers(
                batch,
                channel.name,
                codes=channel.codes,
                nulls=[*self._rules.nulls, *(n for n in channel.nulls if isinstance(n, str))],
                known=[n for n in channel.nulls if not isinstance(n, str)],
                unit=channel.unit,
            )
            for bad_R, why in read.refused:
                why = f"{channel.name} is not a finite number: {why}"
                refuse(bad_R & ~lacks_R, f"{why}; {UNKNOWN}" if channel.codes else why)
            value_CR[c] = read.value_R
            if lacks_VC[:, c].any():
                lost_of[channel.name] = lost_values(read, lacks_R, channel)
                value_CR[c, lacks_R] = np.nan
            if read.null_R.any():
                null_of[channel.name] = read.null_R & ~lacks_R
        return value_CR, null_of, lost_of

    def _lacks(self, vehicles: list[str]) -> np.ndarray:
        """Does a vehicle's class lack a channel? (V + 1, C); the last row is for code -1."""
        nothing = [False] * len(self._fleet.channels)
        kinds = map(self._class, vehicles)
        rows = [[not h for h in self._fleet.has_channel(k)] if k else nothing for k in kinds]
        return np.array([*rows, nothing], bool)

    def _class(self, vehicle: str) -> str | None:
        if vehicle not in self._class_of:
            try:
                self._class_of[vehicle] = self._fleet.class_of(vehicle)
            except ConfigError:
                self._class_of[vehicle] = None
        return self._class_of[vehicle]

    def _labels(self, batch: RawBatch, rows: int, refuse: Refuse) -> np.ndarray | None:
        """0 or 1 per row (R,) from the label column, or 0 where intervals are drawn in later."""
        if not self._has_label:
            return None
        if "label" not in batch.columns:
            return np.zeros(rows, np.int8)
        read = self._numbers(batch, "label", nulls=self._rules.nulls)
        label_R = np.nan_to_num(read.value_R)
        refuse(read.bad_R | ((label_R != 0) & (label_R != 1)), "label is neither 0 nor 1")
        return label_R.astype(np.int8)

    def _numbers(
        self, batch: RawBatch, name: str, codes: Mapping[str, int] | None = None, **words: Any
    ) -> Numbers:
        rules, column = self._rules, with_codes(batch.columns[name], codes or {})
        looks = batch.texts is not None and not is_text(column.type)
        looks = looks and name not in self._fractions and may_be_thousands(column)
        if looks:
            text = batch.cells()[name]
            if hide_thousands(text, rules.decimal).any():
                column = text
            else:
                self._fractions.add(name)
        try:
            read = numbers(column, rules.decimal, rules.thousands, **words)
            if read.grouped:  # later rows, all above 1000, would show it no more
                raise NotReadableError(read.refused[0][1])
        except NotReadableError as error:
            raise FileRefusedError(f"column {batch.headers[name]!r}: {error}") from None
        return read
