"""What models see of counters and angles: how fast they move, per period, and not where they are.

The level of an odometer tells nothing but the age of the vehicle, and the step of a heading from
359 to 1 degree is no jump. So both kinds are replaced by their increment per period on the grid. A
gap that does not end the segment spreads the increment over its time. Nothing is known across the
border of a segment, so a vehicle that starts after a night shows no jump.

- **Angle**: the shortest turn since the last measured value, divided by the periods between them.
- **Counter**: the step since the last change, divided by the periods that it took. Many counters
  are coarser than the period (kilometres, minutes), and their plain differences would be rare
  spikes. So the pace of the last step holds until the next one is late. Then a *fine* counter, most
  of whose last steps took one period, has stopped: its pace is 0. The pace of any other falls to
  the step divided by the time waited, and to 0 after ``LONGEST`` periods. A *coarse* counter, which
  moves by one or two units and not in every row, has the pace of its last ``STEPS`` steps that
  ended within ``LONGEST`` periods: the pace of one is only known to within a period, and two steps
  of a rare counter that fall together by chance are no burst. At the beginning of a segment and
  after a reset, the pace is unknown until the count has changed twice, because nobody knows how old
  the first value was. See ``amad.telemetry.counter_events`` for resets and wraps.

A row depends on at most ``HISTORY_ROWS`` rows before it.

Shape legend: T rows of the grid, M of them with a measured value, K changes of a counter.
"""

from dataclasses import dataclass

import numpy as np

from amad.config import Channel, Fleet
from amad.telemetry.counter_events import RECENT, Count, count_of

LONGEST = 300  # periods; a step that took longer counts as if it had taken this long
STEPS = 8  # of a coarse counter, as far as they ended within LONGEST periods
COARSE_STEP = 2.5  # units per step at most; the unit is the smallest of the steps
HISTORY_ROWS = 2 * LONGEST + 1


def history_rows(fleet: Fleet) -> int:
    """How many rows before a row its values depend on."""
    return HISTORY_ROWS if any(channel.is_increment for channel in fleet.channels) else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measured values before a piece of a series on which its increments depend.

    row_M: their rows, counted from the beginning of the piece and so below 0. segment: of the last.
    broken_M: bool, which follow a time without reports.
    """

    row_M: np.ndarray
    value_M: np.ndarray
    broken_M: np.ndarray
    segment: int

    @classmethod
    def none(cls) -> "Measured":
        """Before the first piece."""
        return cls(
            row_M=np.zeros(0, np.int64), value_M=np.zeros(0), broken_M=np.zeros(0, bool), segment=-1
        )


def increments(
    value_T: np.ndarray, segment_T: np.ndarray, channel: Channel, before: Measured | None = None
) -> tuple[np.ndarray, Measured]:
    """The increment per period in each row, (T,) float64; NaN where it is unknown.

    value_T: NaN where nothing was measured. before: of the piece before this one, if there is one.
    Returns also what the next piece needs. Cut into pieces, a series has the same increments.
    """
    before = before or Measured.none()
    new, rows = len(before.row_M), np.flatnonzero(~np.isnan(value_T))
    row_M = np.concatenate([before.row_M, rows])
    value_M = np.concatenate([before.value_M, value_T[rows]])
    out_T = np.full(len(value_T), np.nan)
    if len(row_M) == 0:
        return out_T, before
    last_segment = before.segment if new else segment_T[rows[0]]
    silent_M = np.diff(row_M, prepend=row_M[:1])[new:] > LONGEST
    other_M = np.diff(segment_T[rows], prepend=last_segment) != 0
    broken_M = np.concatenate([before.broken_M, silent_M | other_M])
    if channel.kind == "angle":
        kept = np.array([len(row_M) - 1])
        pace_M = _turn(row_M, value_M, broken_M, channel)
    else:
        count = count_of(value_M, row_M, broken_M, channel)
        kept = np.union1d(count.index_K[-RECENT:], len(row_M) - 1)
        pace_M = _pace(row_M, count)
    out_T[rows] = pace_M[new:]
    return out_T, Measured(
        row_M=row_M[kept] - len(value_T),
        value_M=value_M[kept],
        broken_M=broken_M[kept],
        segment=int(segment_T[rows[-1]]) if len(rows) else before.segment,
    )


def _turn(
    row_M: np.ndarray, value_M: np.ndarray, broken_M: np.ndarray, channel: Channel
) -> np.ndarray:
    """The turn of an angle at each measured row, per period; NaN where it is unknown."""
    turn_M = np.diff(value_M, prepend=value_M[:1])
    half = channel.turn / 2
    turn_M = np.mod(turn_M + half, channel.turn) - half
    turn_M = turn_M / np.maximum(np.diff(row_M, prepend=row_M[:1]), 1)
    turn_M[broken_M] = np.nan
    turn_M[0] = np.nan
    return turn_M


def _pace(row_M: np.ndarray, count: Count) -> np.ndarray:
    """The pace of a counter at each measured row, per period; NaN where it is unknown."""
    row_K = row_M[count.index_K]
    took_K = np.diff(row_K, prepend=row_K[:1])
    begins_K = ~(count.step_K >= 0)  # also after a step backwards
    after_begin_K = np.append(True, begins_K[:-1])
    step_K = np.where(begins_K | (after_begin_K & (took_K <= LONGEST)), np.nan, count.step_K)
    took_K = np.clip(took_K, 1, LONGEST)
    pace_K, fine_K = _of_last_steps(step_K, took_K, row_K)
    k_M = np.searchsorted(count.index_K, np.arange(len(row_M)), side="right") - 1
    waited_M = row_M - row_K[k_M]
    late_M = np.where(fine_K[k_M], 0.0, step_K[k_M] / np.maximum(waited_M, 1))
    pace_M = np.where(waited_M > took_K[k_M], np.minimum(pace_K[k_M], late_M), pace_K[k_M])
    pace_M[waited_M > LONGEST] = 0.0
    back = count.step_K < 0
    pace_M[count.index_K[back]] = count.step_K[back] / took_K[back]
    return pace_M


def _of_last_steps(
    step_K: np.ndarray, took_K: np.ndarray, row_K: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The pace after each step, and whether the counter is fine (see the top of this module)."""
    known_K, at_K = np.isfinite(step_K), np.arange(len(step_K))
    first_K = np.maximum.accumulate(np.where(known_K, 0, at_K + 1))
    near_K = np.searchsorted(row_K, row_K - LONGEST)
    first_K = np.maximum(np.maximum(first_K, near_K), at_K - STEPS + 1)
    count_K = np.maximum(at_K - first_K + 1, 1)
    total_K, all_took_K, slow_K = (
        np.where(known_K, x_K, 0) for x_K in (step_K, took_K, took_K > 1)
    )
    unit_K = np.where(known_K, step_K, np.inf)
    for back in range(1, STEPS):  # added one by one, so that earlier history changes no digit
        before_K, counts_K = np.maximum(at_K - back, 0), at_K - back >= first_K
        total_K = total_K + np.where(counts_K, step_K[before_K], 0)
        all_took_K = all_took_K + np.where(counts_K, took_K[before_K], 0)
        slow_K = slow_K + (counts_K & (took_K[before_K] > 1))
        unit_K = np.where(counts_K, np.fmin(unit_K, step_K[before_K]), unit_K)
    fine_K = known_K & (2 * slow_K <= count_K)
    coarse_K = known_K & ~fine_K & (total_K <= COARSE_STEP * count_K * unit_K)
    pace_K = np.where(coarse_K, total_K / np.maximum(all_took_K, 1), step_K / took_K)
    return pace_K, fine_K
