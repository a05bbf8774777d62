"""What happened to a counter: it counted on, wrapped around, was reset, or ran backwards.

A counter (odometer, energy used, packets since boot) only rises. Where it falls, it

- *wrapped*: from the end of its register to its beginning. It counted on, so the step is known. The
  register ends at 2^8, 2^16, 2^24 or 2^32, or at the top of the channel's range, and with the
  wrap the counter must not have been more than ``HURRY`` times as fast as just before.
- was *reset*: it fell to near 0 (at most ``NEAR_ZERO`` of the value before, or what it could have
  counted from 0 since), or it fell while nothing was reported, because then a unit may have been
  replaced. What it counted in that step is not known.
- or *ran backwards*, which no counter can: the step is negative.

Shape legend: M measured values of one vehicle in time order, K of them at which the count changes
or begins.
"""

from dataclasses import dataclass

import numpy as np

from amad.config import Channel
from amad.telemetry.valid_values import is_outside

REGISTERS = (2.0**8, 2.0**16, 2.0**24, 2.0**32)
NEAR_ZERO = 0.1
HURRY = 2.0
RECENT = 64  # changes that are remembered between batches of rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """The changes of one counter.

    index_K: their positions in the measured values. step_K: by how much it rose since the change
    before; below 0 if it ran backwards, NaN where a count begins, which is at the first value, at
    the first after a break, and at a reset. reset_K: which of them are resets.
    """

    index_K: np.ndarray
    step_K: np.ndarray
    reset_K: np.ndarray

    @property
    def resets(self) -> int:
        """How often it was reset."""
        return int(self.reset_K.sum())

    @property
    def decreases(self) -> int:
        """How often it ran backwards."""
        return int((self.step_K < 0).sum())


def count_of(
    value_M: np.ndarray, when_M: np.ndarray, broken_M: np.ndarray, channel: Channel
) -> Count:
    """The changes of a counter, from its measured values.

    when_M: their times, in any unit. broken_M: bool, which of them follow a time without reports.
    """
    if len(value_M) == 0:
        return Count(index_K=np.zeros(0, int), step_K=np.zeros(0), reset_K=np.zeros(0, bool))
    begins_M = broken_M.copy()
    begins_M[0] = True
    rise_M = np.diff(value_M, prepend=value_M[:1])
    index_K = np.flatnonzero(begins_M | (rise_M != 0))
    begins_K, value_K, step_K = begins_M[index_K], value_M[index_K], rise_M[index_K]
    before_K = value_K - step_K
    time_K = np.diff(when_M[index_K].astype(np.float64), prepend=0.0)

    last_K = _last_rise(begins_K, step_K)
    known_K = last_K >= 0
    pace_K = np.where(known_K, step_K[last_K] / np.maximum(time_K[last_K], 1e-300), 0.0)
    most_K = HURRY * np.maximum(pace_K * time_K, np.where(known_K, step_K[last_K], 0.0))

    falls_K = ~begins_K & (step_K < 0)
    wrapped_K = step_K + _register(before_K, channel)
    wraps_K = falls_K & (value_K >= 0) & (wrapped_K <= most_K)
    small_K = (value_K >= 0) & (value_K <= np.maximum(NEAR_ZERO * before_K, most_K))
    reset_K = falls_K & ~wraps_K & small_K
    step_K = np.where(wraps_K, wrapped_K, np.where(begins_K | reset_K, np.nan, step_K))
    away_K = begins_K & (rise_M[index_K] < 0)
    return Count(index_K=index_K, step_K=step_K, reset_K=reset_K | away_K)


class CountedDay:
    """Resets and decreases of one counter, from batches of rows in time order."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._value_K, self._time_K = np.zeros(0), np.zeros(0, np.int64)  # of the last changes
        self._stretch_K = np.zeros(0, np.int64)  # changes where nothing was reported in between
        self.resets = self.decreases = 0

    def add(self, value_V: np.ndarray, time_V: np.ndarray, broken_V: np.ndarray) -> None:
        """The next measured values. broken_V: positions of those that follow a gap, sorted."""
        kept_V = ~is_outside(value_V, self._channel)
        last = int(self._stretch_K[-1]) if len(self._stretch_K) else 0
        stretch_V = last + np.searchsorted(broken_V, np.arange(len(value_V)), side="right")
        value_M = np.append(self._value_K, value_V[kept_V])
        time_M = np.append(self._time_K, time_V[kept_V])
        stretch_M = np.append(self._stretch_K, stretch_V[kept_V])
        count = count_of(value_M, time_M, np.diff(stretch_M, prepend=last) != 0, self._channel)
        new_K = count.index_K >= len(self._value_K)
        self.resets += int(count.reset_K[new_K].sum())
        self.decreases += int((count.step_K[new_K] < 0).sum())
        recent = count.index_K[-RECENT:]
        self._value_K, self._time_K, self._stretch_K = (
            x_M[recent] for x_M in (value_M, time_M, stretch_M)
        )


def _last_rise(begins_K: np.ndarray, step_K: np.ndarray) -> np.ndarray:
    """For each change, the last rise before it in the same count; -1 if there is none."""
    at_K = np.arange(len(step_K))
    rise_K = np.maximum.accumulate(np.where(~begins_K & (step_K > 0), at_K, -1))
    first_K = np.maximum.accumulate(np.where(begins_K, at_K, 0))
    last_K = np.append(-1, rise_K[:-1])
    return np.where(last_K > first_K, last_K, -1)


def _register(before_K: np.ndarray, channel: Channel) -> np.ndarray:
    """The end of the smallest register that holds each value; infinite if there is none."""
    ends = set(REGISTERS)
    if channel.range is not None and channel.range[1] > 0:
        top = channel.range[1]
        ends.add(top + 1 if top + 1 in REGISTERS else float(np.nextafter(top, np.inf)))
    known = np.array([*sorted(ends), np.inf])
    return known[np.searchsorted(known, before_K, side="right")]
