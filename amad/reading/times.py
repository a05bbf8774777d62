"""Columns become times, all rows at once; a cell that cannot be read is marked, never guessed.

A time is read from an Arrow timestamp, from ISO text as databases and loggers write it (with or
without an offset, ``Z`` or ``UTC``; also ``20250304T080000Z`` and ``2025/3/4 8:00``), from text in
the fleet file's strptime form, or from a number in its ``unit``.

Shape legend: R rows of a batch.
"""

import datetime
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import TimestampRule
from amad.reading.numbers import (
    NotReadableError,
    flags,
    is_text,
    numbers,
    says_nothing,
    tidied,
)
from amad.reading.time_forms import carried, strptime

INTEGER = r"^-?(\d{1,18}|[1-8]\d{18})$"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d{1,2})?$"
ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?$"
ISO_ZONED = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)$"
# Replacements, in this order, that bring other spellings into the form of ISO or ISO_ZONED.
TO_ISO = (
    (r"^(\d{4}):(\d\d):(\d\d) ", r"\1-\2-\3T"),  # cameras
    (r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})\b", r"\1-\2-\3"),
    (r"^(\d{4})-(\d)-", r"\1-0\2-"),
    (r"^(\d{4}-\d\d)-(\d)([T ]|$)", r"\1-0\2\3"),
    (r"^(\d{4}-\d\d-\d\d)[T ](\d):", r"\1T0\2:"),
    (r"^(\d{4})-?(\d\d)-?(\d\d)[T ](\d\d)(\d\d)(\d\d)", r"\1-\2-\3T\4:\5:\6"),
    (r"^(\d{4})-?(\d\d)-?(\d\d)[T ](\d\d)(\d\d)(Z|[+-]|$)", r"\1-\2-\3T\4:\5\6"),
    (r"(\.\d{9})\d+", r"\1"),
    (r"(Z|[+-]\d\d:?\d\d)\[[^\]]*\]$", r"\1"),  # Java writes the zone's name after the offset
    (r"(:\d\d(?:\.\d+)?) ?(?:UTC|GMT)? ?([+-]\d\d(?::?\d\d)?)$", r"\1\2"),
    (r"(:\d\d(?:\.\d+)?) ?(?:UTC|GMT|Z)$", r"\1Z"),
)
# Elapsed time, whose hours may exceed 24.
CLOCK = r"^(?P<h>\d{1,6}):(?P<m>[0-5]\d):(?P<s>[0-5]\d(?:\.\d+)?)$"
DAY_US = 86_400_000_000
AHEAD = "timestamp lies in the future"  # why a row is refused
UNIT_US = {
    "ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6, "min": 6e7, "h": 3.6e9,
    "d": float(DAY_US),
    "days_1900": float(DAY_US), "days_1904": float(DAY_US),
}  # fmt: skip
# Day 0 of a spreadsheet's serial numbers. Those from 1900 count a 29 February 1900, which did not
# exist, so all later dates are counted from 1899-12-30.
DAY_ZERO_US = {"days_1900": -25_569 * DAY_US, "days_1904": -24_107 * DAY_US}
# An earlier time is of a clock that was never set (satellite receivers start at 1980-01-06), or a
# number in another unit.
EARLIEST_US = 3_660 * DAY_US  # 1980-01-09
LATEST_US = 7_258_118_400_000_000  # 2200-01-01


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """A column as times."""

    us_R: np.ndarray  # int64 microseconds since 1970, 0 where there is no time
    local_R: np.ndarray  # bool: without an offset, so a time in the fleet file's time zone
    missing_R: np.ndarray  # bool
    unreadable_R: np.ndarray  # bool
    rounded_R: np.ndarray  # bool: a number with so few digits that several rows share it

    @property
    def good_R(self) -> np.ndarray:
        """The rows that have a time, bool (R,)."""
        return ~(self.missing_R | self.unreadable_R | self.rounded_R)


def now_us() -> int:
    """The time, in microseconds since 1970."""
    return time.time_ns() // 1000


def written_us(file: Path) -> int:
    """When a file was last written, in microseconds since 1970."""
    return file.stat().st_mtime_ns // 1000


def times(column: pa.Array, rule: TimestampRule) -> Times:
    """Read a column of R timestamps by the rule's ``format`` or ``unit``.

    Raises:
        NotReadableError: the column's type holds no times.
    """
    kind = column.type
    local_R = rounded_R = np.zeros(len(column), bool)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        us_R, known_R = _known(_to_us(column))
        local_R = np.full(len(column), pa.types.is_date(kind) or kind.tz is None)
    elif rule.format and (is_text(kind) or _is_number(kind)):
        if not is_text(kind):
            column = pc.cast(column, pa.int64(), safe=False)
        us_R, known_R, local_R = by_format(pc.cast(column, pa.string()), rule.format, rule.timezone)
    elif is_text(kind):
        us_R, known_R, local_R, rounded_R = _times_of_text(column, rule.unit)
    elif _is_number(kind):
        us_R, known_R = _known(_times_of_number(column, rule.unit))
        rounded_R = _coarse(column, rule.unit)
    else:
        hint = "; source.timestamp.take: time_of_day reads it" if pa.types.is_time(kind) else ""
        hint = "; source.timestamp.take: elapsed reads it" if pa.types.is_duration(kind) else hint
        raise NotReadableError(f"it holds {kind}, not times{hint}")
    return _told(column, us_R, known_R, local_R, rounded_R)


def joined(date: pa.Array, *others: pa.Array) -> pa.Array:
    """Text (R,) of a date, a time of day, or an offset, with spaces between; null where one is."""
    if pa.types.is_timestamp(date.type):  # pandas stores dates so
        day = date if date.type.tz is None else pc.local_timestamp(date)
        if not np.any(_known(_to_us(day))[0] % DAY_US):  # it has no time of day of its own
            date = pc.cast(day, pa.date32(), safe=False)
    texts = [pc.utf8_trim_whitespace(pc.cast(c, pa.string())) for c in (date, *others)]
    return pc.binary_join_element_wise(*texts, " ")


def parts_of_second(column: pa.Array, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds (R,) of whole numbers of ms, us or ns below a second, and where there are none.

    Raises:
        NotReadableError: the column's type holds no numbers.
    """
    value_R = numbers(column).value_R
    fits_R = (value_R >= 0) & (value_R * UNIT_US[unit] < 1e6) & (value_R == np.rint(value_R))
    return np.rint(np.where(fits_R, value_R, 0) * UNIT_US[unit]).astype(np.int64), ~fits_R


def times_of_day(column: pa.Array, form: str | None = None) -> Times:
    """Read microseconds since midnight (R,) from HH:MM[:SS[.f]], ``form`` or an Arrow time.

    Raises:
        NotReadableError: the column's type holds no times of day.
    """
    if pa.types.is_time(column.type):
        time64 = pc.cast(column, pa.time64("us"), safe=False)
        us_R, known_R = _known(pc.cast(time64, pa.int64()))
    elif not is_text(column.type):
        raise NotReadableError(f"it holds {column.type}, not times of day")
    elif form:
        us_R, known_R, _ = by_format(pc.cast(column, pa.string()), form)
        us_R = us_R % DAY_US
    else:
        text = pc.replace_substring(tidied(column), ",", ".")
        text = pc.replace_substring_regex(text, r"^(\d):", r"0\1:")
        text, carry_R = carried(pc.binary_join_element_wise("1970-01-01", text, " "))
        us_R, known_R = _known(_to_us(_parsed(text, ISO)))
        us_R = us_R + carry_R
    return _told(column, us_R, known_R)


def elapsed(column: pa.Array, unit: str) -> Times:
    """Read microseconds since the recording's start (R,) from a number in ``unit`` or HH:MM:SS[.f].

    Raises:
        NotReadableError: the column's type holds neither.
    """
    kind = column.type
    if pa.types.is_duration(kind):
        us_R, known_R = _known(pc.cast(pc.cast(column, pa.duration("us"), safe=False), pa.int64()))
    elif pa.types.is_time(kind):
        return times_of_day(column)
    elif is_text(kind):
        text = pc.utf8_upper(pc.replace_substring(tidied(column), ",", "."))
        us_R, known_R = _known(_numbers_of_text(text, unit)[0])
        clock = pc.extract_regex(text, CLOCK)
        parts = [pc.cast(pc.struct_field(clock, name), pa.float64()) for name in "hms"]
        second = pc.add(pc.add(pc.multiply(parts[0], 3600), pc.multiply(parts[1], 60)), parts[2])
        clock_R, told_R = _known(pc.cast(pc.round(pc.multiply(second, 1e6)), pa.int64()))
        us_R, known_R = np.where(told_R, clock_R, us_R), known_R | told_R
    elif _is_number(kind):
        us_R, known_R = _known(_times_of_number(column, unit))
    else:
        raise NotReadableError(f"it holds {kind}, not elapsed times")
    return _told(column, us_R, known_R)


def by_format(
    text: pa.Array, form: str, timezone: str = "UTC"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read text in a strptime form; each distinct text is parsed once, by ``strptime``.

    Returns:
        Microseconds since 1970, whether the text was read, whether it is a local time; each (R,).
    """
    codes = pc.dictionary_encode(text)
    uniques = codes.dictionary.to_pylist()
    code_R = pc.fill_null(codes.indices, len(uniques)).to_numpy(zero_copy_only=False)
    read = strptime(form, timezone)
    found = [None if item is None else read(item) for item in uniques]
    us_U = np.array([0 if item is None else item[0] for item in found] + [0], np.int64)
    known_U = np.array([item is not None for item in found] + [False])
    local_U = np.array([item is not None and item[1] for item in found] + [False])
    return us_U[code_R], known_U[code_R], local_U[code_R]


def day_of(date: datetime.date) -> int:
    """The date in days since 1970-01-01."""
    return (date - datetime.date(1970, 1, 1)).days


def date_of(day: int) -> datetime.date:
    """The date ``day`` days after 1970-01-01."""
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=int(day))


def _told(
    column: pa.Array,
    us_R: np.ndarray,
    known_R: np.ndarray,
    local_R: np.ndarray | None = None,
    rounded_R: np.ndarray | None = None,
) -> Times:
    nowhere_R = np.zeros(len(column), bool)
    missing_R = flags(pc.is_null(column))
    if is_text(column.type) and not known_R.all():
        missing_R |= ~known_R & says_nothing(tidied(column))
    return Times(
        us_R=np.where(known_R, us_R, 0),
        local_R=nowhere_R if local_R is None else local_R & known_R,
        missing_R=missing_R,
        unreadable_R=~known_R & ~missing_R,
        rounded_R=nowhere_R if rounded_R is None else rounded_R & known_R,
    )


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _known(us: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """An Arrow array of microseconds as int64 with 0 for null, and where it is not null."""
    return pc.fill_null(us, 0).to_numpy(zero_copy_only=False), flags(pc.is_valid(us))


def _times_of_text(
    column: pa.Array, unit: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Microseconds; whether a text was read, is a local time, was rounded too far; each (R,)."""
    nowhere_R = np.zeros(len(column), bool)
    # The quick ways, for a column whose texts are all alike: without an offset, with one, and with
    # the " UTC" or " +0000" of databases.
    for zone, found, iso in ((None, "", ""), ("UTC", "", ""), ("UTC", " (?:UTC|\\+0000)$", "Z")):
        try:
            for cells in (column.slice(0, 1), column):  # a cast of many bad cells is slow to fail
                text = pc.replace_substring_regex(cells, found, iso) if found else cells
                parsed = pc.cast(text, pa.timestamp("ns", tz=zone))
            us_R, known_R = _known(_to_us(parsed))
        except pa.ArrowInvalid:
            continue
        return us_R, known_R, np.full(len(column), zone is None), nowhere_R
    text = pc.utf8_upper(pc.replace_substring(tidied(column), ",", "."))
    number, rounded_R = _numbers_of_text(text, unit)
    for found, iso in TO_ISO:
        text = pc.replace_substring_regex(text, found, iso)
    text, carry_R = carried(text)
    naive, zoned = _parsed(text, ISO), _parsed(text, ISO_ZONED, tz="UTC")
    us_R, known_R = _known(pc.coalesce(_to_us(naive), _to_us(zoned), number))
    return us_R + carry_R, known_R, flags(pc.is_valid(naive)), rounded_R


def _parsed(text: pa.Array, pattern: str, tz: str | None = None) -> pa.Array:
    """Timestamps of the texts that match the pattern; null for others and for impossible dates."""
    looks_right = pc.match_substring_regex(text, pattern)
    text = pc.if_else(looks_right, text, pa.scalar(None, text.type))
    return _cast_or_null(text, pa.timestamp("ns", tz=tz))


def _cast_or_null(text: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast with null for bad texts, by bisection, so that a few bad texts cost a few casts more."""
    try:
        return pc.cast(text, kind)
    except pa.ArrowInvalid:
        if len(text) == 1:
            return pa.nulls(1, kind)
        half = len(text) // 2
        return pa.concat_arrays(
            [_cast_or_null(text.slice(0, half), kind), _cast_or_null(text.slice(half), kind)]
        )


def _to_us(time: pa.Array) -> pa.Array:
    """Arrow timestamps or dates as int64 microseconds, with nulls."""
    if pa.types.is_date(time.type):
        time = pc.cast(time, pa.timestamp("us"))
    return pc.cast(pc.cast(time, pa.timestamp("us", tz=time.type.tz), safe=False), pa.int64())


def _numbers_of_text(text: pa.Array, unit: str) -> tuple[pa.Array, np.ndarray]:
    """Microseconds of the texts that are numbers, null for others; and which were rounded too far.

    The number of digits after the point shows the resolution of the clock. Times are rounded to it.
    """
    nothing = pa.scalar(None, text.type)
    whole = pc.match_substring_regex(text, INTEGER)
    integer = pc.cast(pc.if_else(whole, text, nothing), pa.int64())
    is_number = pc.and_(pc.match_substring_regex(text, NUMBER), pc.invert(whole))
    number = pc.if_else(is_number, text, nothing)
    plain_number = pc.if_else(pc.match_substring(number, "E"), nothing, number)
    digits = pc.max(pc.utf8_length(pc.replace_substring_regex(plain_number, r"^[^.]*\.?", "")))
    step_us = _step_us(unit, digits.as_py())
    us = pc.coalesce(
        _times_of_number(integer, unit),
        _times_of_number(pc.cast(number, pa.float64()), unit, step_us),
    )
    return us, _rounded(number, unit)


def _step_us(unit: str, digits: int | None) -> float:
    """The resolution of so many digits: a power of ten from 1 microsecond to 1 second."""
    if digits is None:
        return 1.0
    finest = UNIT_US[unit] * 10.0**-digits
    return float(min(1e6, max(1.0, 10.0 ** math.ceil(math.log10(finest) - 1e-9))))


def _rounded(number: pa.Array, unit: str) -> np.ndarray:
    """Which numbers a spreadsheet cut to so few digits (``1.74108E+12``) that rows share one."""
    sparse = pc.if_else(pc.match_substring(number, "E"), number, pa.scalar(None, number.type))
    texts = [text for text in pc.unique(sparse).to_pylist() if text is not None]
    sparse_R = flags(pc.is_valid(sparse))
    if not texts or len(texts) == sparse_R.sum():
        return np.zeros(len(number), bool)
    finest = min(
        UNIT_US[unit] * 10.0 ** (int(power) - len(mantissa.partition(".")[2]))
        for mantissa, _, power in (text.partition("E") for text in texts)
    )
    return sparse_R & (finest > 1e6)


def _coarse(column: pa.Array, unit: str) -> np.ndarray:
    """Which numbers stand for seconds more than one, as float32 holds epochs; bool (R,)."""
    if not (pa.types.is_float32(column.type) or pa.types.is_float16(column.type)):
        return np.zeros(len(column), bool)
    value_R = column.to_numpy(zero_copy_only=False)
    return np.abs(np.spacing(value_R)).astype(float) * UNIT_US[unit] > 1e6


def _times_of_number(column: pa.Array, unit: str, step_us: float = 1.0) -> pa.Array:
    """int64 microseconds of numbers in a unit, rounded to a step; null after the year 2200."""
    factor, zero = UNIT_US[unit], DAY_ZERO_US.get(unit, 0)
    whole = pa.types.is_integer(column.type) and not zero
    if unit.startswith("days") or unit in ("min", "h", "d"):
        step_us = max(step_us, 1e3) if not pa.types.is_integer(column.type) else step_us
    column = pc.cast(column, pa.int64() if whole else pa.float64(), safe=False)
    limit = (LATEST_US - zero) / factor
    low = pa.scalar(-int(limit) if whole else -limit, column.type)
    high = pa.scalar(int(limit) if whole else limit, column.type)
    sane = pc.and_(pc.greater_equal(column, low), pc.less(column, high))
    column = pc.if_else(sane, column, pa.scalar(None, column.type))
    if whole:
        return pc.multiply(column, int(factor)) if factor >= 1 else pc.divide(column, 1000)
    steps = pc.round(pc.multiply(column, factor / step_us))
    return pc.add(pc.cast(pc.multiply(steps, step_us), pa.int64()), zero)
