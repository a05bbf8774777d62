"""Rows whose clock was wrong: it was not yet set, it had jumped, or it had overflowed.

Whether a day is wrong can be told only by comparison with the other days of the file. So the rows
of a file are judged once all of it has been read, before anything else is done with them.
"""

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping
from statistics import median

import numpy as np

from amad.config import Fleet
from amad.config.wording import count
from amad.ingest.refused_rows import RejectedLog
from amad.ingest.spill import Spill, content_of
from amad.reading.times import date_of, day_of
from amad.telemetry.lake import Lake

FAR_DAYS = 30  # days with rows that are further apart are not neighbours
FEW_PER_DAY, FEW_OF_ALL = 0.1, 0.1  # shares of the rows of the right days
# Clocks that were never set start here: at the start of satellite time, at its first overflow, or
# in the year 2000. The day before each is among them, since it is the same time in western zones.
NEVER_SET = {
    day_of(datetime.date(*date))
    for date in (
        (1980, 1, 5), (1980, 1, 6), (1999, 8, 21), (1999, 8, 22), (1999, 12, 31), (2000, 1, 1),
    )
}  # fmt: skip
ROLL_OVER_DAYS = 1024 * 7  # a receiver that counts weeks in ten bits

APART_DAYS = 366  # days of a vehicle that are further apart are told
TOLD = 3  # files that are named

WRONG = "the clock was wrong"
FAR_OFF = (
    "{} has rows of {} that lie more than a year from all others of {}: if they were not measured "
    "then, its times are written otherwise than source.timestamp tells"
)


class ClockErrors:
    """Takes the rows of wrong clocks out of what was read, file by file.

    before, stays: the lake so far, and its raw files whose rows are kept.
    """

    def __init__(self, fleet: Fleet, before: Lake | None, stays: set[str]) -> None:
        self._fleet = fleet
        self._judges = fleet.source.has_clock
        self._known: dict[str, set[int]] = defaultdict(set)  # vehicle -> days that it has rows of
        self._path_of: dict[tuple[str, int], str] = {}  # vehicle and day -> the file read last
        if before is not None:
            columns = (before.origins()[name].to_pylist() for name in ("path", "vehicle", "date"))
            for path, vehicle, date in zip(*columns, strict=True):
                if path in stays:
                    self._known[vehicle].add(day_of(date))

    def withdraw(
        self, days: dict[str, dict[int, tuple[int, int]]], spill: Spill, log: RejectedLog,
        file: tuple[int, str],
    ) -> dict[str, set[int]]:  # fmt: skip
        """Refuse the rows of a file that a wrong clock told; returns their days, by vehicle.

        days: of the file, vehicle -> day -> (first time, rows). file: its number and path.
        """
        number, path = file
        wrong: dict[str, set[int]] = {}
        if not self._judges:  # the times were chosen, and no clock told them
            return wrong
        for vehicle, times in days.items():
            rows_per_day = {day: rows for day, (_, rows) in times.items()}
            found = wrong_days(rows_per_day, self._known[vehicle])
            self._known[vehicle] |= set(times) - found
            self._path_of |= dict.fromkeys(((vehicle, day) for day in times), path)
            for day in sorted(found):
                reason = f"{WRONG}: {date_of(day)} is far from the other days of {vehicle}"
                rows = spill.withdraw(vehicle, day, number)
                for at, row in enumerate(rows.row_T.tolist()):
                    content = content_of(rows, at, vehicle, self._fleet)
                    log.add(path, row, reason, content, vehicle=vehicle)
            if found:
                wrong[vehicle] = found
        return wrong

    def sentences(self) -> list[str]:
        """What is told of files that were read, with rows far from most days of their vehicle."""
        told: dict[str, str] = {}
        for vehicle, days in sorted(self._known.items()):
            stretches = _stretches(sorted(days), APART_DAYS)
            usual = max(
                stretches, default=[], key=lambda s: (len(s), (vehicle, s[0]) not in self._path_of)
            )
            for day in (stretch[0] for stretch in stretches if stretch is not usual):
                if path := self._path_of.get((vehicle, day)):
                    told.setdefault(path, FAR_OFF.format(path, date_of(day), vehicle))
        more = count(len(told) - TOLD, "more file")
        return [*told.values()][:TOLD] + [f"so has {more}"] * (len(told) > TOLD)


def wrong_days(rows_per_day: Mapping[int, int], known: Iterable[int] = ()) -> set[int]:
    """Days on which a vehicle's clock was not set, or had jumped.

    rows_per_day: of one vehicle in one file, day (since 1970-01-01) -> rows. known: days of which
    the vehicle has rows in the files before.

    Days within 30 days of each other are one stretch. A stretch that is close to a known day is
    right. Another stretch is wrong if it begins where clocks begin that were never set, if it lies
    1024 weeks before a right day, or if it has few rows, on each of its days and in total, compared
    with the stretch that has the most. So a vehicle that reports again after months of silence is
    not taken for one with a wrong clock.
    """
    known = sorted(set(known) - NEVER_SET)
    stretches = _stretches(sorted(rows_per_day))
    right = [s for s in stretches if _near(s, known) or not (s[0] in NEVER_SET and len(s) <= 2)]
    days = sorted([*known, *(day for stretch in right for day in stretch)])
    right = [
        s for s in right if _near(s, known) or not _near([d + ROLL_OVER_DAYS for d in s], days)
    ]
    if right:
        rows = [sum(rows_per_day[day] for day in stretch) for stretch in right]
        most = max(rows)
        usual = median(rows_per_day[day] for day in right[rows.index(most)])
        right = [
            stretch
            for stretch, sent in zip(right, rows, strict=True)
            if _near(stretch, known)
            or sent > FEW_OF_ALL * most
            or max(rows_per_day[day] for day in stretch) > FEW_PER_DAY * usual
        ]
    elif not known:  # nothing says that the clock is wrong
        return set()
    return set(rows_per_day) - {day for stretch in right for day in stretch}


def _stretches(days: list[int], apart: int = FAR_DAYS) -> list[list[int]]:
    stretches: list[list[int]] = []
    for day in days:
        if stretches and day - stretches[-1][-1] <= apart:
            stretches[-1].append(day)
        else:
            stretches.append([day])
    return stretches


def _near(days: list[int], known: list[int]) -> bool:
    """Does any of the days lie within 30 days of a known one?"""
    if not known:
        return False
    at = np.searchsorted(known, days)
    before = np.asarray(known)[np.maximum(at - 1, 0)]
    after = np.asarray(known)[np.minimum(at, len(known) - 1)]
    return bool(np.any(np.minimum(abs(days - before), abs(after - days)) <= FAR_DAYS))
