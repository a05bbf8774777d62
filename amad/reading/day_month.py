"""Dates such as 03/08/2026 that are read with the day and the month the other way round.

A logger that changes its order writes dates that both orders can read, up to the twelfth of each
month. What shows it are the date in the file's path, when the file was last written, and the files
beside it.

Shape legend: R rows.
"""

import datetime
import re
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from amad.reading.times import DAY_US, date_of, day_of

IN_PATH = re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<mark>[-_. ]?)(?P<m>\d\d)(?P=mark)(?P<d>\d\d)")
# A date in a path, with the time of day to the second where that follows.
DATE = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-_. ]?[01]\d[-_. ]?[0-3]\d(?:[T_ -]?\d\d[-.:_]?\d\d[-.:_]?\d\dZ?)?(?!\d)"
    r"|[0-3]\d[-.][0-3]\d[-.](?:19|20)\d\d"
    r"|(?<!\d)[0-3]\d-?[A-Z][a-z]{2}-?(?:19|20)\d\d|(?:19|20)\d\d-[A-Z][a-z]{2}-[0-3]\d"
    r"|(?<!\d)1\d{9}(?:\d{3})?(?!\d)"  # an epoch in seconds or milliseconds
)
# A date with the time of day to the minute, which may also be a date and a number.
TO_MINUTES = re.compile(
    r"(?<!\d)(?:19|20)\d\d[-_. ]?[01]\d[-_. ]?[0-3]\d[T_ -](?:[01]\d|2[0-3])[-.:_h]?[0-5]\dZ?"
    r"(?![-.:_]?\d)"
)
NEXT_DAYS = 2  # the most between two dates of which one follows the other
OTHER_WAY = "timestamp seems to have day and month the other way round"
WAY_OUT = "write all files in one order, or draft those in the other one as a fleet of their own"


def is_ordered(form: str | None) -> bool:
    """Does a strptime form tell the day and the month as numbers, of which one comes first?"""
    return form is not None and "%d" in form and "%m" in form and not form.startswith("%Y")


def other_way(us_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The times (R,) with day and month exchanged, and whether that is another date, bool (R,)."""
    day_R = (us_R // DAY_US).astype("datetime64[D]")
    month_R = day_R.astype("datetime64[M]")
    of_year_R = month_R.astype(np.int64) % 12  # both count from 0
    of_month_R = (day_R - month_R.astype("datetime64[D]")).astype(np.int64)
    is_date_R = (of_month_R < 12) & (of_month_R != of_year_R)
    first_R = month_R - of_year_R + np.where(is_date_R, of_month_R, of_year_R)
    other_R = first_R.astype("datetime64[D]") + np.where(is_date_R, of_year_R, of_month_R)
    return other_R.astype(np.int64) * DAY_US + us_R % DAY_US, is_date_R


def dates_in(path: str) -> list[int]:
    """The dates in a path that begin with the year, in days since 1970-01-01."""
    found = []
    for match in IN_PATH.finditer(path):
        try:
            date = datetime.date(*(int(match[part]) for part in "ymd"))
        except ValueError:
            continue
        found.append(day_of(date))
    return found


class OtherWay:
    """Finds times of one file, batch by batch, that only the other order makes possible.

    path: below the fleet's folder. written_us: when the file was last written.
    """

    def __init__(self, path: str, written_us: int) -> None:
        self._days = np.array(dates_in(path), np.int64)  # of which the file holds one alone
        self._written_us = written_us

    def shown(self, us_R: np.ndarray) -> tuple[np.ndarray, str]:
        """Which times (R,) these are, and what shows it. us_R: as read, in the logger's zone."""
        bad_R, why = np.zeros(len(us_R), bool), ""
        late_R = us_R > self._written_us + DAY_US
        far_R = self._are_far(us_R) if len(self._days) else bad_R
        if not (late_R | far_R).any():
            return bad_R, why
        other_R, is_date_R = other_way(us_R)
        if far_R.any() and (self._are_far(other_R) & far_R).any():
            self._days = self._days[:0]  # the file holds more than the day of its path
        elif far_R.any():
            bad_R = far_R & is_date_R
            why = f"its path tells {date_of(int(self._days[-1]))}"
        late_R &= is_date_R & (other_R <= self._written_us + DAY_US) & ~bad_R
        if late_R.any():
            why = why or f"it was last written on {date_of(self._written_us // DAY_US)}"
        return bad_R | late_R, why

    def _are_far(self, us_R: np.ndarray) -> np.ndarray:
        """Which times lie more than a day from each date in the path, bool (R,)."""
        return np.abs((us_R // DAY_US)[:, None] - self._days).min(axis=1) > 1


def following(told: Iterable[tuple[str, int]]) -> int:
    """How many of these times are one or two days after the one before.

    told: a file's path and a time in it; those of a file in their order.
    """
    days = [us // DAY_US for _, us in sorted(told, key=in_counting_order)]
    return sum(0 < day - before <= NEXT_DAYS for before, day in pairwise(days))


def in_counting_order(told: tuple[str, int]) -> list[tuple[int, str]]:
    """A key by the path that sorts ``log_9`` before ``log_10``."""
    parts = re.split(r"(\d+)", told[0])
    return [(int(part), "") if at % 2 else (0, part) for at, part in enumerate(parts)]
