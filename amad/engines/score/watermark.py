"""How far the lake reaches: a date is over once rows have come from long enough after its end."""

from datetime import date

from amad.detect.daily import day_bounds
from amad.telemetry.lake import Lake

HOUR_US = 3_600_000_000


def newest_row(lake: Lake) -> int | None:
    """Time of the newest row of any vehicle, in microseconds UTC; None where there are none."""
    return max(lake.newest().values(), default=None)


def is_over(day: date, newest: int, lateness_hours: float) -> bool:
    """Is there a row at least so many hours after the end of the date?

    newest: time of the newest row of the fleet, in microseconds UTC.
    """
    return newest >= day_bounds(day)[1] + lateness_hours * HOUR_US


def unfinished(lake: Lake, lateness_hours: float) -> list[date]:
    """The dates of the lake that are not over; the newest is always one of them."""
    newest = newest_row(lake)
    if newest is None:
        return []
    return [day for day in lake.dates() if not is_over(day, newest, lateness_hours)]
