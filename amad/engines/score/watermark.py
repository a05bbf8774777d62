"""How far the lake reaches: a date is over once a row has come from after its end."""

from datetime import date

from amad.scores.daily import day_bounds
from amad.telemetry.lake import Lake


def newest_row(lake: Lake) -> int | None:
    """Time of the newest row of any vehicle, in microseconds UTC; None where there are none."""
    return max(lake.newest().values(), default=None)


def is_over(day: date, newest: int) -> bool:
    """Is the newest row of the fleet, in microseconds UTC, from after the date?"""
    return newest >= day_bounds(day)[1]


def unfinished(lake: Lake) -> list[date]:
    """The dates of the lake that are not over; the newest is always one of them."""
    newest = newest_row(lake)
    return [] if newest is None else [day for day in lake.dates() if not is_over(day, newest)]
