"""Columns that tell something of the time and are not read, so that a person must know of them."""

import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import TimestampRule
from amad.config.wording import some
from amad.draft.clock_rule import NAMED, TIME, Clock
from amad.draft.sample import Sampled, shared_columns
from amad.draft.time_cells import (
    drawn,
    go_one_way,
    holds_days,
    is_time,
    steps_of,
    tells_the_hour,
)
from amad.draft.undated import BARE, is_named_elapsed, unit_of_time
from amad.reading.headers import name_and_unit
from amad.reading.numbers import is_text, numbers, shown

# The number of the week, or the time in it, as satellite receivers tell it.
GPS_TIME = re.compile(
    r"(gps|gnss)?[ _]*((week|wn|wk)([ _]?(no|num|number|nr))?|(i?tow|sow|time[ _]?of[ _]?week)"
    r"([ _]?m?s)?|(gps|gnss)[ _]*(m?s|secs?|seconds?|millis(econds)?))|gwk|gms",
    re.I,
)
OF_TIME = re.compile(r"(?<![^\W_])(time|stamp|timestamp|date|clock|zeit)s?$", re.I)
FROM_EPOCH = 3e8  # seconds are almost ten years
BEGINS = re.compile(r"(time|zeit)\b", re.I)
OF_YEAR = re.compile(r"(decimal[ _]?)?year|doy|yday|jday|julian[ _]?day|day[ _]?of[ _]?year")
YEAR = r"year|yyyy|yy|yr|jahr|ann[ée]e|a[nñ]o|年"
MONTH = r"month|mon|mo|mm|monat|mois|mes|月"
DAY = r"day|dd|dy|tag|jour|d[ií]a|日"
PART_OF_TIME = re.compile(
    rf"{YEAR}|{MONTH}|{DAY}|hour|hh|hr|stunde|heure|hora|minute|min|mn|second|sec|ss|ms|sekunde"
    rf"|millisecond|microsecond|{OF_YEAR.pattern}|sod|(sec|second)s?[ _]?of[ _]?day|hhmm(ss)?"
)
# A date of digits or with a year, and a time of day behind it.
DATED = re.compile(r"(?:(?:\d{1,4}[-/.]){2}\d{1,4}|\b(?:19|20)\d\d\b)\D{1,12}\d{1,2} ?[:h.]\d\d")
HOURS = 24  # of a day
MOSTLY = 0.6  # share of the steps of a time that begins again, but not of a quantity named t
SHOWN = 3  # cells of a column in a message
WAY_OUT = (
    "write ISO 8601 (2026-01-05T08:00:00Z), or seconds since the start under the header Time [s], "
    "or write the fleet file by hand, with source.timestamp; a column that is not the time of the "
    "rows needs another name"
)
PARTS = (
    "the columns {} tell the time, which is read only from one or two columns: write it into one, "
    "as ISO 8601"
)
OF_SIGNAL = re.compile(
    r"(?:t|time|timestamp|zeit)[ _.](.+)|(.+)[ _.](?:t|time|timestamp|zeit)|(.+)[ _]x"
)
OF_SIGNALS = (
    "the columns {} tell a time for each signal, and a row is of one time: write a row per value, "
    "with the columns time, signal and value"
)
HOUR_OF_DAY = re.compile(r"(h|he|hr|hour|stunde|heure|hora)?[ _]?\d{1,2}([:.h]\d\d)?h?", re.I)
OF_HOURS = (
    "the columns {} seem to be hours of the date in each row, and a row is of one time: write a "
    "row for each hour"
)
FRACTION = r"\d:\d\d:\d\d[.,:](?P<fraction>\d{1,9})(?:\D|$)"  # of a second
WHOLE_THOUSANDTHS = pa.array([3, 6], pa.int32())  # digits that Java writes beside nine
UNPADDED = (
    "column {!r} has fractions of a second without the zeros before them, as in {} beside {}, so "
    "that milliseconds would be read as tenths or hundredths of a second: write all digits"
)


def not_read(samples: list[Sampled], named: set[str], counting: set[str]) -> list[str]:
    """What tells the time by its name, and cannot be read as one; counting: the `one_way`."""
    columns = shared_columns(samples)
    dated = {h for h in columns if h not in named | counting and _looks_dated(columns[h][0])}
    texts = {h for h in named | dated if is_time(columns[h][0])} | counting
    told = [
        f"column {h.strip()!r} {'looks like' if h in dated else 'has the name of'} a time, but "
        f"{', '.join(map(shown, cells))} are in no form that is known: {WAY_OUT}"
        for h in sorted(texts)
        if not tells_the_hour(h, columns[h][0]) and (cells := _first(columns[h][0]))
    ]
    told += [
        f"column {h.strip()!r} has the name of a time, but holds {cells[0].type}, which is not "
        "read: write the time of each row, or seconds since the start as numbers"
        for h, cells in columns.items()
        if h in named and pa.types.is_duration(cells[0].type)
    ]
    if gps := of_receivers(columns):
        told.append(
            f"the columns {', '.join(repr(h.strip()) for h in gps)} tell the time as satellite "
            "receivers count it, which is not read: write the UTC time into one column"
        )
    if parts := of_calendar([*columns, *samples[0].twice]):
        told.append(PARTS.format(", ".join(repr(h.strip()) for h in parts)))
    told += of_signals(columns)
    told += [
        f"several columns have the name {header!r}, which is one of a time: give each its own"
        for header in samples[0].twice
        if NAMED.search(header)
    ]
    return told


def _looks_dated(column: pa.Array) -> bool:
    """Does it hold texts such as 05/01/2026 8:00, with anything behind?"""
    cells = map(str, drawn(column)) if is_text(column.type) else []
    return any(map(DATED.search, cells))


def unpadded(clock: Clock, samples: list[Sampled]) -> list[str]:
    """Times whose milliseconds have no zeros before them, so that 7 ms would be read as 0.7 s.

    A clock that leaves out zeros at the end writes .5 and .05; one that leaves out those before
    the milliseconds writes .500 and .50. Java writes .500 beside .500001.
    """
    if clock.keys.get("unit", "us") != "us":
        return []
    for header, cells in shared_columns(samples).items():
        if header.strip() not in TimestampRule(**clock.keys).columns or not is_text(cells[0].type):
            continue
        for column in cells:
            told = pc.struct_field(pc.extract_regex(column, FRACTION), "fraction")
            length = pc.utf8_length(told)
            short = pc.and_(pc.ends_with(told, "0"), pc.less(length, pc.max(length)))
            short = pc.and_(short, pc.invert(pc.is_in(length, WHOLE_THOUSANDTHS)))
            short = pc.and_(short, pc.match_substring_regex(told, "[1-9]"))
            if pc.any(short).as_py():
                long = pc.equal(length, pc.max(length))
                first = (column.filter(rows)[0].as_py() for rows in (short, long))
                return [UNPADDED.format(header.strip(), *map(shown, first))]
    return []


def _first(column: pa.Array) -> list[str]:
    """Three of its cells that hold digits, as times do."""
    cells = dict.fromkeys(map(str, drawn(column)))
    return [text for text in cells if any(map(str.isdigit, text))][:SHOWN]


def of_receivers(columns: dict[str, list[pa.Array]]) -> list[str]:
    """Headers of the week and the time in it, as satellite receivers tell them; none or several."""
    gps = sorted(h for h in columns if GPS_TIME.fullmatch(name_and_unit(h)[0].strip()))
    return gps if len(gps) > 1 else []


def of_calendar(headers: Iterable[str]) -> list[str]:
    """Headers of the parts of a time, each in a column of its own; none without a whole date."""
    parts = {h: name_and_unit(h)[0].strip(" #").lower() for h in headers}
    year, month, day, of_year = (
        any(re.fullmatch(pattern, name) for name in parts.values())
        for pattern in (YEAR, MONTH, DAY, rf"(?!year$)({OF_YEAR.pattern})")
    )
    if not (year and (of_year or (month and day))):
        return []
    return [h for h, name in parts.items() if PART_OF_TIME.fullmatch(name)]


def of_signals(columns: dict[str, list[pa.Array]], clock: Clock | None = None) -> list[str]:
    """What is told of times that each belong to another column: time_speed beside speed; several.

    clock: the rule that was found; it matters then whether it reads one of them, and they differ.
    """
    names = {name_and_unit(header)[0].strip().lower() for header in columns}
    own = [
        header
        for header in columns
        for found in [OF_SIGNAL.fullmatch(name_and_unit(header)[0].strip().lower())]
        if found and ((found[1] or found[2]) in names or _is_x_of(found[3], header, columns, names))
    ]
    if clock is not None and clock.keys.get("column") not in [*map(str.strip, own)]:
        return []
    if len(own) < 2 or (clock and all(columns[h] == columns[own[0]] for h in own)):
        return []
    return [OF_SIGNALS.format(", ".join(repr(header.strip()) for header in own))]


def of_hours(columns: dict[str, list[pa.Array]], clock: Clock) -> list[str]:
    """What is told of columns that are hours, beside a column that tells only days."""
    own = [cells[0] for h, cells in columns.items() if h.strip() == clock.keys.get("column")]
    hours = [h for h in columns if HOUR_OF_DAY.fullmatch(h.strip())]
    if len(hours) < HOURS or not own or not holds_days(own[0]):
        return []
    return [OF_HOURS.format(some([repr(h.strip()) for h in hours]))]


def _is_x_of(
    name: str | None, header: str, columns: dict[str, list[pa.Array]], names: set[str]
) -> bool:
    """Does the column run as a time, and is it named speed_X where another is speed_Y?"""
    if not {f"{name}_y", f"{name} y"} & names:
        return False
    step = steps_of(columns[header][0])
    return len(step) > 0 and bool((step > 0).all())


def one_way(columns: dict[str, list[pa.Array]]) -> set[str]:
    """Headers that are nothing but the name of a time, above numbers that run one way, or stand.

    The days of a year, or years, must run: a year that stands may be that of the vehicle. What may
    be a time since a start by its name rises in most rows: it may begin again too often to be read.
    A bare t or second, which may be another quantity or of a minute, rises in all. So does what
    begins with Time and is in seconds or the like, as Time 1 - default sample rate [s].
    """
    found = set()
    for header, cells in columns.items():
        (name, unit), step = map(str.strip, name_and_unit(header)), steps_of(cells[0])
        runs = OF_YEAR.fullmatch(name.lower()) and step.any()
        least = MOSTLY if TIME.fullmatch(name) or not BARE.fullmatch(name) else 1 - 1e-9
        rises = len(step) > 1 and (step > 0).mean() > least
        named = TIME.fullmatch(name) or is_named_elapsed(name) or _counts_from(header, cells[0])
        begins = BEGINS.match(name) and unit_of_time(unit) and len(step) > 1 and (step > 0).all()
        if begins or (rises and named) or ((runs or TIME.fullmatch(name)) and go_one_way(step)):
            found.add(header)
    return found


def _counts_from(header: str, column: pa.Array) -> bool:
    """Does a header that ends in the name of a time stand above numbers since some epoch?

    They are more seconds or milliseconds than a machine ran.
    """
    return bool(OF_TIME.search(name_and_unit(header)[0])) and bool(
        np.nanmin(np.append(numbers(pc.cast(column, pa.string())).value_R, np.inf)) >= FROM_EPOCH
    )


def beside(clock: Clock, samples: list[Sampled]) -> list[str]:
    """A guess on each column that seems to tell AM and PM of the times."""
    told = []
    for header, cells in shared_columns(samples).items():
        if header in clock.columns or header.strip() in TimestampRule(**clock.keys).columns:
            continue
        if all(is_text(column.type) and _tells_noon(column) for column in cells):
            told.append(
                f"column {header.strip()!r} tells AM and PM, which is not read, so that times "
                "after noon are twelve hours too early: write it into the column of the time"
            )
    return told


def _tells_noon(column: pa.Array) -> bool:
    words = {str(word).strip().lower().replace(".", "") for word in drawn(column)}
    return bool(words) and words <= {"am", "pm"}
