"""Rows of a long format with one measured value each become rows with a value in one channel.

Databases write a column for each type of value, of which each row fills one. Rows of one vehicle
and one time that complement each other are merged later, in the lake.

Shape legend: R rows of a batch.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import Fleet
from amad.reading.headers import find, tidy
from amad.reading.numbers import flags, is_text, says_nothing, tidied
from amad.reading.readers import FileRefusedError, RawBatch
from amad.reading.rules import reading_rules
from amad.reading.units import OTHER_UNIT, UNIT_COLUMN, are_different

# The names under which the columns are read; that of units need not be there.
SIGNAL, VALUE, UNIT = "signal", "value", "unit of a signal"
SEVERAL = "several columns hold a value of the signal"
NO_CHANNEL = "signal that no channel names"
NO_SIGNAL = "the signal's name is missing"
LISTED = 20  # signals in a message


class LongRows:
    """Spreads the long rows of one file over the fleet's channels, and keeps the signals it saw."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        rules = reading_rules(fleet)
        self._rule, self._nulls = rules.long, rules.nulls
        self._headers: dict[str, int] = {}  # header -> position of the first channel with it
        for at, channel in enumerate(fleet.channels):
            self._headers |= {h: at for h in channel.headers if h not in self._headers}
        self._channel_of: dict[str, int] = {}  # signal -> position of its channel, or -1
        self._signal_of: dict[int, str] = {}

    def columns(self) -> dict[str, str]:
        """Name of a batch's column -> the header to look for."""
        values = {f"{VALUE}{at or ''}": header for at, header in enumerate(self._rule.values)}
        return {SIGNAL: self._rule.signal} | values

    def unit_column(self, headers: list[str]) -> dict[str, int]:
        """The only column of units, if there is one: its name here -> its position."""
        found = [at for at, header in enumerate(headers) if UNIT_COLUMN.fullmatch(header.strip())]
        return {UNIT: found[0]} if len(found) == 1 else {}

    def spread(self, batch: RawBatch) -> RawBatch:
        """The rows whose signal is a channel, each with its value in that channel's column.

        Rows of other signals are counted in ``ignored``; a row without a signal's name, or with
        several values, is broken.

        Raises:
            FileRefusedError: two signals match one channel equally well, or the unit of a signal is
                another one than its channel's.
        """
        signal = batch.columns[SIGNAL]
        if not pa.types.is_dictionary(signal.type):
            signal = pc.dictionary_encode(pc.cast(signal, pa.string()))
        names = ["" if v is None else str(v).strip() for v in signal.dictionary.to_pylist()]
        code_R = pc.fill_null(signal.indices, -1).to_numpy(zero_copy_only=False)
        nameless_R = np.array([not name for name in names] + [True])[code_R]
        channel_R = np.array([self._channel(name) for name in names] + [-1])[code_R]
        values = [name for name in self.columns() if name != SIGNAL]
        value, count_R = joined([batch.columns[name] for name in values], self._nulls)
        several_R = (channel_R >= 0) & ~nameless_R & (count_R > 1)
        kept_R = (channel_R >= 0) & ~nameless_R & ~several_R
        if UNIT in batch.columns:
            self._check_units(batch.columns[UNIT], channel_R)
        kept = pa.array(kept_R)
        columns = {
            name: column.filter(kept)
            for name, column in batch.columns.items()
            if name not in (SIGNAL, UNIT, *values)
        }
        value, channel_R = value.filter(kept), channel_R[kept_R]
        nothing = pa.scalar(None, value.type)
        for c, channel in enumerate(self._fleet.channels):
            is_of_c = pa.array(channel_R == c)
            columns[channel.name] = pc.if_else(is_of_c, value, nothing)
        ignored = dict(batch.ignored)
        if count := int((~kept_R & ~nameless_R & ~several_R).sum()):
            ignored[NO_CHANNEL] = count
        headers = {c.name: self._signal_of.get(i, c.header)
                   for i, c in enumerate(self._fleet.channels)}  # fmt: skip
        return replace(
            batch,
            row_R=batch.row_R[kept_R],
            columns=columns,
            headers=batch.headers | headers,
            broken=[
                *batch.broken,
                *_broken(batch, np.flatnonzero(nameless_R), NO_SIGNAL),
                *_broken(batch, np.flatnonzero(several_R), SEVERAL),
            ],
            ignored=ignored,
        )

    def finish(self) -> None:
        """Check the signals of the whole file.

        Raises:
            FileRefusedError: the file holds signals, but none that a channel names.
        """
        if self._channel_of and not self._signal_of:
            seen = sorted(self._channel_of)
            some = ", ".join(map(repr, seen[:LISTED])) + (", ..." if len(seen) > LISTED else "")
            raise FileRefusedError(
                f"no signal of the fleet: column {self._rule.signal!r} holds {some}; a channel's "
                "'column' names its signal"
            )

    def _check_units(self, unit: pa.Array, channel_R: np.ndarray) -> None:
        """Compare the unit of each signal with that of its channel."""
        pairs = pa.table([pa.array(channel_R), unit], ["channel", "unit"])
        for pair in pairs.group_by(["channel", "unit"]).aggregate([]).to_pylist():
            told, at = str(pair["unit"] or ""), pair["channel"]
            if at >= 0 and are_different(told, self._fleet.channels[at].unit):
                channel = self._fleet.channels[at]
                where = f"the signal {self._signal_of[at]!r}"
                raise FileRefusedError(OTHER_UNIT.format(where, told, channel))

    def _channel(self, signal: str) -> int:
        """Position of the signal's channel; -1 if no channel names it."""
        if not signal:
            return -1
        if signal not in self._channel_of:
            self._channel_of[signal] = at = self._matching(signal)
            known = self._signal_of.setdefault(at, signal) if at >= 0 else signal
            if tidy(known) != tidy(signal):
                raise FileRefusedError(
                    f"ambiguous signal: {known!r} and {signal!r} both match the channel "
                    f"{self._fleet.channels[at].name}; tell its unit in 'column'"
                )
        return self._channel_of[signal]

    def _matching(self, signal: str) -> int:
        if signal in self._headers:
            return self._headers[signal]
        matching = [header for header in self._headers if find(header, [signal]) == 0]
        exact = [header for header in matching if tidy(header) == tidy(signal)]
        found = list(dict.fromkeys(self._headers[header] for header in exact or matching))
        if len(found) > 1:
            names = ", ".join(self._fleet.channels[at].name for at in found)
            raise FileRefusedError(f"ambiguous signal: {signal!r} matches the channels {names}")
        return found[0] if found else -1


def joined(columns: list[pa.Array], nulls: Collection[str] = ()) -> tuple[pa.Array, np.ndarray]:
    """The first value in each row (R,) of some columns, as text if these have several types.

    nulls: more words for "no value".

    Returns:
        The values, and how many each row has (R,).
    """
    if len(columns) > 1:
        columns = [_without_words(column, nulls) for column in columns]
    count_R = np.sum([pc.is_valid(column) for column in columns], axis=0)
    if len({column.type for column in columns}) > 1:
        columns = [pc.cast(column, pa.string()) for column in columns]
    return pc.coalesce(*columns), count_R


def _without_words(column: pa.Array, nulls: Collection[str]) -> pa.Array:
    """The column with null for each word that stands for no value."""
    if not is_text(column.type):
        return column
    text, words = pc.cast(column, pa.string()), pa.array(nulls, pa.string())
    nothing_R = says_nothing(tidied(text)) | flags(pc.is_in(text, words))
    return pc.if_else(pa.array(nothing_R), pa.scalar(None, pa.string()), text)


def _broken(batch: RawBatch, at: np.ndarray, why: str) -> list[tuple[int, str, str]]:
    columns = [batch.columns[name].take(pa.array(at)) for name in batch.columns]
    cells = zip(*(column.to_pylist() for column in columns), strict=True)
    return [
        (int(row), why, ",".join("" if cell is None else str(cell) for cell in told))
        for row, told in zip(batch.row_R[at], cells, strict=True)
    ]
