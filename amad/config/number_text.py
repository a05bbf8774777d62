"""How numbers, shares, times and lengths of time are written for people.

Times are microseconds since 1970 and written in UTC; lengths of time are microseconds.
"""

import math
from datetime import UTC, date, datetime, timedelta

SECOND = 1_000_000  # microseconds
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_VALUE = "–"
# Names of VSS, the vehicle signal specification, whose symbols everybody knows.
SYMBOLS = {"celsius": "°C", "fahrenheit": "°F", "percent": "%", "m/s^2": "m/s²"}


def number(value: float | None, digits: int = 3) -> str:
    """A number with about ``digits`` significant digits and no exponent in the everyday range."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{value:.{digits - 1}e}"
    decimals = 0 if size == 0 else max(0, digits - 1 - math.floor(math.log10(size)))
    text = f"{value + 0.0:,.{decimals}f}"  # of -0.0, too, no more than 0
    return text.rstrip("0").rstrip(".") if "." in text else text


def share(value: float | None) -> str:
    """A share of one as a percentage; a share above zero is never written as 0 %."""
    if value is None or not math.isfinite(value):
        return NO_VALUE
    percent = 100 * value
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    whole = percent in (0, 100) or 10 <= percent < 99
    return f"{percent:.{0 if whole else 1}f} %"


def unit_text(name: str) -> str:
    """The symbol of a unit of a fleet file where it has one, else its name: ``°C``, ``rpm``."""
    return SYMBOLS.get(name, name)


def utc(us: int) -> datetime:
    """The time ``us`` microseconds after 1970, to the microsecond."""
    return EPOCH + timedelta(microseconds=int(us))


def moment(us: int, seconds: bool = True) -> str:
    """``2026-01-10 07:12:04``."""
    return utc(us).strftime("%Y-%m-%d %H:%M:%S" if seconds else "%Y-%m-%d %H:%M")


def machine_time(us: int) -> str:
    """ISO 8601, for ``<time datetime>``."""
    return utc(us).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(us: int) -> str:
    """``2026-01-10``."""
    return utc(us).strftime("%Y-%m-%d")


def short_day(at: date) -> str:
    """``10 Jan``, of a date or a time."""
    return at.strftime("%d %b")


def dates(first_us: int, last_us: int) -> list[date]:
    """The dates in UTC from that of one time to that of another, both included."""
    first, last = utc(first_us).date(), utc(last_us).date()
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def span(us: int) -> str:
    """A length of time in its two largest units: ``45 s``, ``2 h 10 min``, ``3 d 4 h``."""
    if us < SECOND:
        return f"{us / SECOND:.2g} s"
    rest, parts = us, list[str]()
    for size, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        many, rest = divmod(rest, size)
        if many or parts:
            parts.append(f"{many} {name}" if many else "")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if part)
