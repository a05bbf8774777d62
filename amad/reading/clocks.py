"""Clocks whose readings become times only in the order of the rows.

``DayCounter`` follows a time of day over midnight. ``LocalClock`` follows local times, also through
the hour that is repeated when summer time ends. ``Stopwatch`` follows the time since a recording
began.

Shape legend: R rows of a batch, T rows of one vehicle in it, H rows of it in a repeated hour.
"""

import datetime
from collections.abc import Mapping
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from amad.config.source import TimestampRule
from amad.reading.times import DAY_US, EARLIEST_US, LATEST_US, times

HALF_DAY_US = DAY_US // 2
MINUTE_US = 60_000_000
LATE_OVER_MIDNIGHT_US = 600_000_000  # a late row may step back over midnight by this much
STEP_BACK_US = 600_000_000  # in a repeated hour, a smaller step back is a late row
NEAR_US = 1_800_000_000  # rows that are closer than this follow each other without a break
RESTART_US = 5_000_000  # a stopwatch that steps back further was started again
# What counters of elapsed time hold, in microseconds: 16 bits of milliseconds, 32 of microseconds,
# 16 of seconds, the hours of a day, 32 bits of milliseconds.
REGISTERS_US = (65_536_000, 4_294_967_296, 65_536_000_000, DAY_US, 4_294_967_296_000)
PACE_OF = 20  # readings that show how fast a counter counts
FEWEST_PER_TURN = 8  # the longest step over a wrap is this part of the register


class DayCounter:
    """Counts the midnights of one file whose clock shows only the time of day.

    A step back of more than 12 hours is a midnight. A step forward of nearly a day, after a
    midnight, is a late row of the day before.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._days = 0

    def follow(self, of_day_R: np.ndarray) -> np.ndarray:
        """Days since the file's date (R,) of the next rows.

        of_day_R: int64 microseconds since midnight.
        """
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


class Stopwatch:
    """Follows the time since a recording began through one file.

    A counter of few bits begins again when its register is full. A fall is such a wrap if the
    counter counts on from the beginning of its register, at most twice as fast as in the readings
    before, and if these are many per turn. A longer pause than a turn shows in no reading.

    register: of the counter, in microseconds; 0 if it has not wrapped.
    """

    def __init__(self) -> None:
        self.register = 0
        self._wraps = 0
        self._last_T = np.zeros(0, np.int64)  # the last readings, up to PACE_OF
        self._first: int | None = None
        self._highest = 0
        self._started_again = False

    def follow(self, elapsed_R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The time since the start, and which of the next rows belong to another recording.

        These are all rows from the first step back to where the file began, or by more than 5
        seconds. The start of the second recording is not known.

        Args:
            elapsed_R: int64 microseconds that the counter shows.

        Returns:
            int64 microseconds since the start (R,), with the wraps counted; bool (R,).
        """
        if len(elapsed_R) == 0 or self._started_again:
            return elapsed_R, np.full(len(elapsed_R), self._started_again)
        elapsed_R = self._counted_on(elapsed_R)
        if self._first is None:
            self._first = self._highest = int(elapsed_R[0])
        highest_R = np.maximum.accumulate(np.concatenate([[self._highest], elapsed_R]))
        back_R = highest_R[:-1] - elapsed_R
        again_R = (back_R > RESTART_US) | ((elapsed_R <= self._first) & (back_R > 0))
        self._highest = int(highest_R[-1])
        self._started_again = bool(again_R.any())
        return elapsed_R, np.logical_or.accumulate(again_R)

    def _counted_on(self, told_R: np.ndarray) -> np.ndarray:
        """The readings (R,) with what the wraps before them have left out."""
        before = len(self._last_T)
        told_T = np.concatenate([self._last_T, told_R])
        self._last_T = told_T[-PACE_OF:]
        step_T = np.diff(told_T, prepend=told_T[0])
        far_T = np.abs(step_T) > REGISTERS_US[0] // 2
        far_T[:before] = False
        wraps_T = np.zeros(len(told_T), np.int64)
        wraps = self._wraps
        if wraps or np.any(step_T[far_T] < 0):
            for at in np.flatnonzero(far_T).tolist():
                pace = 2 * int(step_T[max(0, at - PACE_OF + 1) : at].max(initial=0))
                wraps_T[at] = self._turn(int(told_T[at - 1]), int(step_T[at]), pace)
                self._wraps += int(wraps_T[at])
        return told_R + (wraps + np.cumsum(wraps_T)[before:]) * self.register

    def _turn(self, last: int, step: int, pace: int) -> int:
        """1 if the step from the last reading is a wrap, -1 if it is a late row from before one."""
        for register in (self.register,) if self.register else REGISTERS_US:
            near = min(pace, register // FEWEST_PER_TURN)
            if last < register and 0 < register + step <= near:
                self.register = register
                return 1
            if self._wraps and 0 < register - step <= near:
                return -1
        return 0


class LocalClock:
    """Turns the local times of vehicles into UTC, also in the hour that is repeated in autumn.

    In that hour a step back of more than 10 minutes in a vehicle's rows marks the change: rows
    before it are of the first pass through the hour, rows after it of the second. Without such a
    step, the rows are of the pass that follows the row before the hour, or is followed by the row
    after it, without a break. If this does not decide, or the order goes back and forth, the rows
    are refused.

    last: vehicle -> UTC microseconds of its last known row.
    """

    def __init__(self, timezone: str, last: Mapping[str, int] | None = None) -> None:
        self._timezone = timezone
        self._zone = ZoneInfo(timezone)
        self._last = dict(last or {})

    def follow(
        self, vehicles: list[str], code_R: np.ndarray, local_R: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read the next rows.

        Args:
            vehicles: the vehicles of the batch.
            code_R: index of each row's vehicle.
            local_R: int64 local microseconds since 1970.

        Returns:
            UTC microseconds; whether it is unknown which pass through the hour a row is of;
            whether the local time never existed; each (R,).
        """
        if self._timezone == "UTC":
            nowhere_R = np.zeros(len(local_R), bool)
            return local_R, nowhere_R, nowhere_R
        first_R = local_to_utc(local_R, self._timezone)
        second_R = local_to_utc(local_R, self._timezone, second=True)
        twice_R, never_R = second_R > first_R, first_R > second_R
        utc_R, unknown_R = first_R.copy(), np.zeros(len(local_R), bool)
        for code in np.unique(code_R):
            at_T = np.flatnonzero((code_R == code) & ~never_R)
            if len(at_T) == 0:
                continue
            if twice_R[at_T].any():
                pass_T = self._passes(
                    local_R[at_T], first_R[at_T], second_R[at_T], self._last.get(vehicles[code])
                )
                utc_R[at_T] = np.where(pass_T == 1, second_R[at_T], first_R[at_T])
                unknown_R[at_T] = pass_T < 0
            known_T = at_T[~unknown_R[at_T]]
            if len(known_T):
                self._last[vehicles[code]] = int(utc_R[known_T[-1]])
        return utc_R, unknown_R, never_R

    def _passes(
        self, local_T: np.ndarray, first_T: np.ndarray, second_T: np.ndarray, last: int | None
    ) -> np.ndarray:
        """The pass (T,) of one vehicle's rows: 0 first or only one, 1 second, -1 unknown."""
        if np.count_nonzero(np.diff(local_T) < 0) > len(local_T) // 2:  # newest first
            return self._passes(local_T[::-1], first_T[::-1], second_T[::-1], None)[::-1]
        pass_T = np.zeros(len(local_T), np.int64)
        twice = np.flatnonzero(second_T > first_T)
        for day in np.unique(local_T[twice] // DAY_US):
            at = twice[local_T[twice] // DAY_US == day]
            before = int(first_T[at[0] - 1]) if at[0] > 0 else last
            gap_before = None if before is None else int(first_T[at[0]]) - before
            gap_after = None
            if at[-1] + 1 < len(local_T):
                gap_after = int(first_T[at[-1] + 1] - second_T[at[-1]])
            # Half the change, so that no row is near by both passes; Lord Howe's is half an hour.
            near = min(NEAR_US, int(second_T[at[0]] - first_T[at[0]]) // 2)
            known = self._known(before, day)
            pass_T[at] = _passes_of_hour(local_T[at], known, gap_before, gap_after, near)
        return pass_T

    def _known(self, before: int | None, day: int) -> tuple[int, int] | None:
        """Local time and pass (0 or 1) of the row before, if it is of the same hour; else None."""
        if before is None:
            return None
        moment = datetime.datetime.fromtimestamp(before / 1e6, self._zone)
        other = moment.replace(fold=1 - moment.fold)
        offset = moment.utcoffset()
        assert offset is not None
        local = before + round(offset.total_seconds() * 1e6)
        if other.utcoffset() == offset or local // DAY_US != day:
            return None
        return local, moment.fold


def local_to_utc(local_R: np.ndarray, timezone: str, *, second: bool = False) -> np.ndarray:
    """UTC microseconds (R,) of local microseconds since 1970 in ``timezone``.

    The hour that is repeated in autumn is read as its first pass, or as its second. In the hour
    that is left out in spring, the first lies after the second.
    """
    if timezone == "UTC":
        return local_R
    # The offset of a zone changes only at full minutes.
    minute_M, at_R = np.unique(local_R // MINUTE_US, return_inverse=True)
    utc = pc.assume_timezone(
        pa.array(minute_M * MINUTE_US, pa.timestamp("us")),
        timezone,
        ambiguous="latest" if second else "earliest",
        nonexistent="earliest" if second else "latest",
    )
    utc_M = pc.cast(utc, pa.int64()).to_numpy()
    return utc_M[at_R] + local_R % MINUTE_US


def utc_times(column: pa.Array, rule: TimestampRule) -> tuple[np.ndarray, np.ndarray]:
    """UTC microseconds of ISO text or epoch numbers, each by itself; and which are bad; (R,)."""
    told = times(column, TimestampRule(unit=rule.unit))
    us_R = np.where(told.local_R, local_to_utc(told.us_R, rule.timezone), told.us_R)
    return us_R, ~told.good_R | (us_R < EARLIEST_US) | (us_R >= LATEST_US)


def _passes_of_hour(
    local_H: np.ndarray,
    known: tuple[int, int] | None,
    gap_before: int | None,
    gap_after: int | None,
    near: int,
) -> np.ndarray:
    """The passes (H,) of one vehicle's rows through a repeated hour.

    known: local time and pass of the row before, if it is of this hour. gap_before: microseconds
    from the row before, if the first row is of the first pass. gap_after: microseconds to the row
    after, if the last row is of the second pass. near: rows no further apart have no break.
    """
    if known is not None and known[1] == 1:
        return _second_pass(local_H, known[0], int(local_H.max()))
    start = known[0] if known is not None else int(local_H[0])
    highest_H = np.maximum.accumulate(np.concatenate([[start], local_H]))[:-1]
    change = np.flatnonzero(local_H < highest_H - STEP_BACK_US)
    if len(change):
        at = change[0]
        second = _second_pass(local_H[at:], int(local_H[at]), int(highest_H[at]))
        if (second < 0).any():
            return np.full(len(local_H), -1)
        return np.concatenate([np.zeros(at, np.int64), second])
    if known is not None:
        return np.zeros(len(local_H), np.int64)
    follows = gap_before is not None and 0 <= gap_before <= near
    is_followed = gap_after is not None and 0 <= gap_after <= near
    if follows != is_followed:
        return np.full(len(local_H), int(is_followed))
    back = np.flatnonzero(np.diff(local_H) < 0)
    if follows and len(back) == 1:  # the one small step back is the change; a gap hid the rest
        return (np.arange(len(local_H)) > back[0]).astype(np.int64)
    return np.full(len(local_H), -1)


def _second_pass(local_H: np.ndarray, start: int, top: int) -> np.ndarray:
    """The passes (H,) of rows after the change: 1, or 0 for a late row of the first pass.

    All are -1 if the times step back again. top: the latest time of the first pass.
    """
    ahead_H = np.minimum.accumulate(local_H[::-1])[::-1]  # the earliest from here on
    late_H = (local_H > top - STEP_BACK_US) & (ahead_H < local_H - STEP_BACK_US)
    rest = np.concatenate([[start], local_H[~late_H]])
    if np.any(rest < np.maximum.accumulate(rest) - STEP_BACK_US):
        return np.full(len(local_H), -1)
    return (~late_H).astype(np.int64)
