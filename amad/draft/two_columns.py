"""A date in one column, and a time of day or an hour in another."""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.draft.clock_rule import NAMED, Clock, form_of, order_guessed
from amad.draft.date_order import with_order
from amad.draft.sample import Sampled
from amad.draft.time_cells import (
    LOOKED_AT,
    drawn,
    go_one_way,
    is_time,
    tells_only_days,
    tells_the_hour,
)
from amad.draft.unread_times import PARTS
from amad.draft.zones import reads
from amad.reading import times, timestamp_guess
from amad.reading.numbers import numbers

HOUR = re.compile(r"hours?([ _]?of[ _]?day)?|hr|stunde|heure|hora", re.I)
MINUTE = re.compile(r"minutes?", re.I)


def of_two_columns(
    columns: dict[str, list[pa.Array]], samples: list[Sampled]
) -> tuple[Clock | None, pa.Array]:
    """The rule for a column of dates and one of times of day or hours, and the first file's cells.

    The rule is None where there are no such columns.
    """
    hours = [header for header, cells in columns.items() if tells_the_hour(header, cells[0])]
    whole = [h for h, cells in columns.items() if HOUR.fullmatch(h.strip()) and _are_hours(cells)]
    dates = [h for h in columns if h not in (*hours, *whole) and _may_be_date(h, columns[h][0])]
    for date, hour in product(dates, [*hours, *whole]):
        if hour in whole and not _go_up_within_dates(columns[date], columns[hour]):
            continue
        pairs = zip(columns[date], columns[hour], strict=True)
        cells = [times.joined(a[:LOOKED_AT], b[:LOOKED_AT]) for a, b in pairs]
        minutes = ":00" * (hour in whole)
        told = timestamp_guess.looks_like(
            [text + minutes for column in cells for text in drawn(column)]
        )
        if told is None or "take" in told.settings or "unit" in told.settings:
            continue
        if minutes:
            told = _without_minutes(told)
        told = with_order(told, list(map(drawn, cells)), samples)
        keys = {"take": "column", "column": [date.strip(), hour.strip()], **told.settings}
        seen = f"columns {date.strip()!r} and {hour.strip()!r}, {form_of(told.settings)}"
        clock = Clock(keys=keys, seen=seen, columns={date, hour}, guesses=order_guessed(told))
        parts = [h for h in columns if hour in whole and MINUTE.fullmatch(h.strip())]
        if parts:
            clock.unread.append(
                PARTS.format(", ".join(repr(h.strip()) for h in (date, hour, *parts)))
            )
        if reads(clock, cells):
            return clock, times.joined(columns[date][0], columns[hour][0])
    return None, pa.nulls(0)


def _may_be_date(header: str, column: pa.Array) -> bool:
    """Has it the name of a time, the type of a date, or texts such as 05.01.2026?"""
    if NAMED.search(header) or pa.types.is_date(column.type):
        return True
    return tells_only_days(column) and is_time(column)


def _are_hours(columns: list[pa.Array]) -> bool:
    """Do they hold whole numbers from 0 to 24, and several of them?"""
    told = {str(value).strip() for column in columns for value in drawn(column)}
    return len(told) > 1 and all(re.fullmatch(r"[01]?\d|2[0-4]", text) for text in told)


def _go_up_within_dates(dates: list[pa.Array], hours: list[pa.Array]) -> bool:
    """Do they go up from row to row of a date? Not if they tell how long a machine ran that day."""
    steps = []
    for date, hour in zip(dates, hours, strict=True):
        told = pc.equal(date[1:], date[:-1]).fill_null(False)
        steps.append(
            np.diff(numbers(pc.cast(hour, pa.string())).value_R)[
                told.to_numpy(zero_copy_only=False)
            ]
        )
    step = np.concatenate(steps)
    step = step[~np.isnan(step)]
    return go_one_way(step) and bool(step.any())


def _without_minutes(told: timestamp_guess.Guess) -> timestamp_guess.Guess:
    """The guess for a date and an hour, of one for a date, an hour and ``:00``."""
    form = told.settings.get("format", "%Y-%m-%d %H:%M").removesuffix(":%M")
    other = told.other_form.removesuffix(":%M")
    return replace(told, settings={"format": form}, other_form=other)
