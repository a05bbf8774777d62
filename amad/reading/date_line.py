"""Dates of rows that follow those of the rows before only with day and month exchanged.

Shape legend: R rows, T rows of a batch.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import TimestampRule
from amad.config.wording import count
from amad.reading.day_month import (
    NEXT_DAYS,
    WAY_OUT,
    in_counting_order,
    is_ordered,
    other_way,
)
from amad.reading.rows import CleanRows
from amad.reading.times import DAY_US, date_of

FAR_DAYS = 20  # the most between two dates that leave no doubt
TOLD = 3  # dates that are named
OUT_OF_LINE = (
    "{} has rows of {}; with day and month the other way round, of {}, they would follow the rows "
    "before them: if so, {}"
)


class DateLine:
    """Tells dates that follow those of the rows before only the other way round.

    rule: how the times are read. newest: vehicle -> its newest time that was known before.
    """

    def __init__(self, rule: TimestampRule, newest: Mapping[str, int]) -> None:
        self._has_order = rule.take == "column" and is_ordered(rule.format)
        self._zone = rule.timezone
        self._newest = newest
        self._dates: dict[str, dict[tuple[str, int], None]] = {}  # vehicle -> files and days

    def add(self, path: str, rows: CleanRows) -> None:
        """Note the dates of the next rows of a file."""
        if not self._has_order or not len(rows.code_T):
            return
        order_T = np.argsort(rows.code_T, kind="stable")
        code_T, day_T = rows.code_T[order_T], self._local(rows.timestamp_T[order_T]) // DAY_US
        first_T = np.diff(day_T, prepend=-1) != 0
        first_T |= np.diff(code_T, prepend=-1) != 0
        for code, day in zip(code_T[first_T].tolist(), day_T[first_T].tolist(), strict=True):
            self._dates.setdefault(rows.vehicles[code], {})[path, day] = None

    def sentences(self) -> list[str]:
        """What is told of the first such dates, and how many more there are."""
        told = list(self._out_of_line())
        more = count(len(told) - TOLD, "more date")
        return told[:TOLD] + [f"so would {more}"] * (len(told) > TOLD)

    def _out_of_line(self) -> Iterator[str]:
        for vehicle, dates in sorted(self._dates.items()):
            newest = self._newest.get(vehicle)
            last = None
            if newest is not None:
                last = int(self._local(np.array([newest]))[0]) // DAY_US
            last_other, run = None, 0  # steps in a row that only the other dates make short
            for path, day in sorted(dates, key=in_counting_order):
                other_1, is_date_1 = other_way(np.array([day * DAY_US]))
                other = int(other_1[0]) // DAY_US
                far = last is not None and is_date_1[0] and not 0 <= day - last <= FAR_DAYS
                run = run + 1 if far and _follows(other, last_other) else 0
                follows = far and _follows(other, last)
                if follows or run > 1:
                    yield OUT_OF_LINE.format(path, date_of(day), date_of(other), WAY_OUT)
                last, last_other = other if follows else day, other

    def _local(self, us_R: np.ndarray) -> np.ndarray:
        """Microseconds (R,) that the clock of the zone shows at these times."""
        time = pc.local_timestamp(pa.array(us_R, pa.timestamp("us", self._zone)))
        return pc.cast(time, pa.int64()).to_numpy()


def _follows(day: int, last: int | None) -> bool:
    """Is it the day of the last one, or soon after it?"""
    return last is not None and 0 <= day - last <= NEXT_DAYS
