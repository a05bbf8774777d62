"""Raw columns to numbers and times, all rows at once; what cannot be read is marked, not guessed.

Raw columns are Arrow arrays: text from a CSV file, any type from Parquet. Each function returns
the values and a boolean array ``bad`` of the rows it could not read; null is a value, not bad.
"""

import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config import ConfigError

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$"
ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?$"
ISO_ZONED = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)$"
# Times outside are a clock never set, or an epoch number in another unit than the contract says.
EARLIEST_US = 315_532_800_000_000  # 1980-01-01
LATEST_US = 7_258_118_400_000_000  # 2200-01-01
UNIT_US = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
HALF_DAY_US, DAY_US = 43_200_000_000, 86_400_000_000
LATE_OVER_MIDNIGHT_US = 600_000_000  # a row that steps back over midnight is at most this late


class NotReadableError(ValueError):
    """A whole column cannot be read as what it should be: the file is refused."""


def numbers(column: pa.Array, decimal: str = ".") -> tuple[np.ndarray, np.ndarray]:
    """Values as float64 (R,), NaN where null or NaN, and which rows are bad (R,).

    Text may be true, false or a number with ``decimal`` before its fraction. Infinite values, and
    those beyond float64, are bad.

    Raises:
        NotReadableError: the column's type holds no numbers.
    """
    column = _plain(column)
    bad_R = np.zeros(len(column), bool)
    if _is_text(column.type):
        if decimal != ".":
            column = pc.replace_substring(column, decimal, ".")
        try:
            column = pc.cast(column, pa.float64())
        except pa.ArrowInvalid:
            column, bad_R = _numbers_of_text(column)
    elif pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    elif pa.types.is_null(column.type):
        column = pc.cast(column, pa.float64())
    elif not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_decimal(column.type)
    ):
        raise NotReadableError(f"it holds {column.type}, not numbers")
    if pa.types.is_decimal(column.type):
        column = pc.cast(column, pa.float64())
    value_R = column.to_numpy(zero_copy_only=False).astype(np.float64)
    infinite_R = np.isinf(value_R)
    if infinite_R.any():
        bad_R = bad_R | infinite_R
        value_R = np.where(infinite_R, np.nan, value_R)
    return value_R, bad_R


def times(column: pa.Array, unit: str, timezone: str) -> tuple[np.ndarray, np.ndarray]:
    """Timestamps as int64 microseconds UTC (R,), and which rows are bad (R,); null is bad here.

    Text is ISO 8601, with an offset or else told in ``timezone``, or an epoch number in ``unit``.

    Raises:
        NotReadableError: the column's type holds no times.
    """
    column = _plain(column)
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _checked(_to_us(column, timezone))
    if _is_text(column.type):
        return _checked(_times_of_text(column, unit, timezone))
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _checked(_times_of_epoch(column, unit))
    raise NotReadableError(f"it holds {column.type}, not times")


def times_of_day(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Microseconds since midnight (R,) of HH:MM[:SS[.f]] text or an Arrow time, and which are bad.

    Raises:
        NotReadableError: the column's type holds no times of day.
    """
    column = _plain(column)
    if pa.types.is_time(column.type):
        return _checked(pc.cast(pc.cast(column, pa.time64("us"), safe=False), pa.int64()), 0)
    if not _is_text(column.type):
        raise NotReadableError(f"it holds {column.type}, not times of day")
    text = pc.replace_substring(pc.utf8_trim_whitespace(column), ",", ".")
    text = pc.replace_substring_regex(text, r"^(\d):", r"0\1:")
    text = pc.binary_join_element_wise("1970-01-01", text, " ")
    return _checked(_to_us(_parsed(text, pc.match_substring_regex(text, ISO)), "UTC"), 0)


class DayCounter:
    """Follows a clock that tells only the time of day over midnight, file by file.

    A step back of more than 12 hours is midnight. A step forward of nearly a day, after a
    midnight, is a late row of the day before.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._days = 0

    def follow(self, of_day_R: np.ndarray) -> np.ndarray:
        """Days (R,) since the file's date, of the next rows: microseconds since midnight, int64."""
        if len(of_day_R) == 0:
            return of_day_R
        first = self._last if self._last is not None else int(of_day_R[0])
        step_R = np.diff(of_day_R, prepend=first)
        change_R = np.zeros(len(of_day_R), np.int64)
        days = self._days
        for at in np.flatnonzero(np.abs(step_R) > HALF_DAY_US):
            late_over_midnight = days > 0 and step_R[at] > DAY_US - LATE_OVER_MIDNIGHT_US
            change_R[at] = 1 if step_R[at] < 0 else -int(late_over_midnight)
            days += int(change_R[at])
        day_R = self._days + np.cumsum(change_R)
        self._last, self._days = int(of_day_R[-1]), days
        return day_R


def local_to_utc(local_R: np.ndarray, timezone: str) -> np.ndarray:
    """UTC microseconds (R,) of microseconds since the epoch told by clocks in ``timezone``.

    The hour that autumn tells twice is read as the first one; one that spring leaves out, as the
    moment of the change.
    """
    if timezone == "UTC":
        return local_R
    return _to_us(pa.array(local_R, pa.timestamp("us")), timezone).to_numpy()


def check_timezone(name: str, fleet: str) -> None:
    """Raise ConfigError unless ``name`` is an IANA time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"fleet {fleet}: source.timestamp.timezone: {name!r} is no IANA time zone such as "
            "'UTC' or 'Europe/Berlin'"
        ) from None


def date_of(day: int) -> datetime.date:
    """The date ``day`` days after 1970-01-01."""
    return datetime.date(1970, 1, 1) + datetime.timedelta(days=int(day))


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _is_text(kind: pa.DataType) -> bool:
    return (
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _numbers_of_text(column: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """The slow way, for a batch in which some text is no plain number."""
    text = pc.utf8_lower(pc.utf8_trim_whitespace(column))
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, text.type), text)
    text = pc.if_else(pc.equal(text, "true"), "1", text)
    text = pc.if_else(pc.equal(text, "false"), "0", text)
    is_nan = pc.equal(text, "nan")
    readable = pc.or_(pc.match_substring_regex(text, NUMBER), is_nan)
    bad_R = pc.fill_null(pc.invert(readable), False).to_numpy(zero_copy_only=False)
    text = pc.if_else(readable, text, pa.scalar(None, text.type))
    return pc.cast(text, pa.float64()), bad_R


def _times_of_text(column: pa.Array, unit: str, timezone: str) -> pa.Array:
    try:
        return _to_us(pc.cast(column, pa.timestamp("ns")), timezone)
    except pa.ArrowInvalid:
        pass  # with offsets, as numbers, or in part not readable: one kind after the other
    text = pc.replace_substring(pc.utf8_upper(pc.utf8_trim_whitespace(column)), ",", ".")
    naive = _parsed(text, pc.match_substring_regex(text, ISO))
    zoned = _parsed(text, pc.match_substring_regex(text, ISO_ZONED), tz="UTC")
    is_number = pc.match_substring_regex(text, NUMBER)
    number = pc.cast(pc.if_else(is_number, text, pa.scalar(None, text.type)), pa.float64())
    return pc.coalesce(
        _to_us(naive, timezone), _to_us(zoned, timezone), _times_of_epoch(number, unit)
    )


def _parsed(text: pa.Array, looks_right: pa.Array, tz: str | None = None) -> pa.Array:
    """Timestamps of the texts that look right; null for the others, and for a thirteenth month."""
    text = pc.if_else(looks_right, text, pa.scalar(None, text.type))
    return _cast_or_null(text, pa.timestamp("ns", tz=tz))


def _cast_or_null(text: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast by bisection: a few bad texts cost a few casts more."""
    try:
        return pc.cast(text, kind)
    except pa.ArrowInvalid:
        if len(text) == 1:
            return pa.nulls(1, kind)
        half = len(text) // 2
        return pa.concat_arrays(
            [_cast_or_null(text.slice(0, half), kind), _cast_or_null(text.slice(half), kind)]
        )


def _to_us(time: pa.Array, timezone: str) -> pa.Array:
    """Arrow timestamps or dates as int64 microseconds UTC; null stays null."""
    if pa.types.is_date(time.type):
        time = pc.cast(time, pa.timestamp("us"))
    zone = time.type.tz
    time = pc.cast(time, pa.timestamp("us", tz=zone), safe=False)
    if zone is None and timezone != "UTC":
        time = pc.assume_timezone(time, timezone, ambiguous="earliest", nonexistent="latest")
    return pc.cast(time, pa.int64())


def _times_of_epoch(column: pa.Array, unit: str) -> pa.Array:
    """int64 microseconds of epoch numbers; null where they would not fit the years we take."""
    factor = UNIT_US[unit]
    whole = pa.types.is_integer(column.type)
    column = pc.cast(column, pa.int64() if whole else pa.float64(), safe=False)
    limit = LATEST_US / factor
    sane = pc.and_(pc.greater_equal(column, 0), pc.less(column, int(limit) if whole else limit))
    column = pc.if_else(sane, column, pa.scalar(None, column.type))
    if whole:
        return pc.multiply(column, int(factor)) if factor >= 1 else pc.divide(column, 1000)
    return pc.cast(pc.round(pc.multiply(column, factor)), pa.int64())


def _checked(time_R: pa.Array, earliest_us: int = EARLIEST_US) -> tuple[np.ndarray, np.ndarray]:
    """int64 microseconds, 0 where bad, and which are null or not from the earliest to 2200."""
    bad_R = pc.is_null(time_R).to_numpy(zero_copy_only=False)
    us_R = pc.fill_null(time_R, 0).to_numpy(zero_copy_only=False)
    bad_R = bad_R | (us_R < earliest_us) | (us_R >= LATEST_US)
    return np.where(bad_R, 0, us_R), bad_R
