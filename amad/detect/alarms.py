"""Alarms, their merging into incidents, and the threshold that keeps a promised alarm budget.

An alarm is a scored row above the threshold. Alarms with at most the merge gap between them are one
incident. The budget is a number of incidents per vehicle-day on normal rows.

Shape legend: T rows of a vehicle.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TAIL_INCIDENTS = 10  # the threshold is read, or extrapolated, from at least this many incidents
MAX_ALARM_SHARE = 0.1  # of the calibration rows: scores below the highest tenth are no tail
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The threshold, and how it was chosen.

    threshold: a row with a score above it is an alarm. budget: promised incidents per vehicle-day.
    vehicle_days: length of the normal rows that it was chosen on. tail_scale: mean excess of the
    highest incident peaks, in score units; a peak higher by this much is e times as rare.
    extrapolated: the budget allows too few incidents on those rows to count them.
    """

    threshold: float
    budget: float
    vehicle_days: float
    tail_scale: float
    extrapolated: bool


def merge_alarms(
    alarm_T: np.ndarray, timestamp_T: np.ndarray, *, period_us: int, gap_us: int
) -> list[tuple[int, int]]:
    """(first, last) row positions of each incident, last exclusive, in time order.

    Two alarms belong to one incident if at most ``gap_us`` lies between the end of the first row
    (one period after its timestamp) and the second row.
    """
    rows = np.flatnonzero(alarm_T)
    if len(rows) == 0:
        return []
    between = np.diff(timestamp_T[rows]) - period_us
    cuts = np.flatnonzero(between > gap_us)
    first = rows[np.r_[0, cuts + 1]]
    last = rows[np.r_[cuts, len(rows) - 1]] + 1
    return list(zip(first.tolist(), last.tolist(), strict=True))


def vehicle_days(calibration: Sequence[np.ndarray], history: Sequence[np.ndarray]) -> float:
    """How many vehicle-days the calibration rows make up.

    A vehicle-day is a date on which a vehicle reports, for however long. The calibration part cuts
    dates in two, so its rows are divided by the rows that the vehicle has on a whole date.

    calibration, history: of each vehicle, the timestamps (us) of its calibration rows and of all
    its normal rows (train and calibration).
    """
    days = 0.0
    for rows_T, all_T in zip(calibration, history, strict=True):
        if len(rows_T):
            _, counts = np.unique(all_T // DAY_US, return_counts=True)
            whole = counts[1:-1] if len(counts) > 3 else counts  # not the cut dates at the ends
            days += len(rows_T) / whole.mean()
    return days


def choose_threshold(
    scores: Sequence[np.ndarray],
    timestamps: Sequence[np.ndarray],
    *,
    days: float,
    budget: float,
    period_us: int,
    gap_us: int,
) -> OperatingPoint:
    """The lowest threshold at which, and above which, the budget of incidents is kept.

    The rows are visited from the highest score down, and each joins the incidents found so far,
    until there is one incident more than allowed. If fewer than ``TAIL_INCIDENTS`` are allowed, the
    result would depend on luck. The walk then goes on to that many incidents, and the excesses of
    their peaks are taken as exponential: u + mean excess * ln(incidents at u / allowed). The higher
    of the two thresholds is used. The score is a logarithm, so an exponential tail of the score is
    a power law in the residuals.

    scores, timestamps: of the calibration rows of each vehicle; rows with a NaN score are ignored.
    days: the vehicle-days of these rows. budget: incidents per vehicle-day.
    """
    known = [np.isfinite(score_T) for score_T in scores]
    value = np.concatenate([s[k] for s, k in zip(scores, known, strict=True)])
    time = np.concatenate([t[k] for t, k in zip(timestamps, known, strict=True)])
    vehicle = np.repeat(np.arange(len(scores)), [k.sum() for k in known])
    assert len(value) and days > 0, "a threshold needs calibration rows"
    allowed = budget * days
    wanted = max(allowed, TAIL_INCIDENTS)
    reach = gap_us + period_us

    order = np.argsort(-value, kind="stable")
    most_rows = max(TAIL_INCIDENTS, int(MAX_ALARM_SHARE * len(value)))
    alarmed: list[list[int]] = [[] for _ in scores]
    count, reached, kept = 0, float(value[order[0]]), None
    for i in order[:most_rows]:
        times, at = alarmed[vehicle[i]], int(time[i])
        place = bisect_left(times, at)
        before = place > 0 and at - times[place - 1] <= reach
        after = place < len(times) and times[place] - at <= reach
        # The alarms before and after this row may already be one incident.
        joined = before and after and times[place] - times[place - 1] <= reach
        new = count + 1 - before - after + joined
        reached = float(value[i])
        if kept is None and new > allowed:
            kept = reached
        if new > wanted:
            break
        times.insert(place, at)
        count = new

    peaks = _peaks(value, time, vehicle, len(scores), reached, period_us, gap_us)
    excess = float(np.mean(peaks - reached)) if len(peaks) else 0.0
    rarer = excess * np.log(max(len(peaks) / allowed, 1.0))
    # Incidents can merge on the way down; having fewer again does not lower the threshold.
    threshold = reached if kept is None else max(reached + rarer, kept)
    return OperatingPoint(
        threshold=float(threshold),
        budget=budget,
        vehicle_days=float(days),
        tail_scale=excess,
        extrapolated=bool(allowed < TAIL_INCIDENTS),
    )


def _peaks(value, time, vehicle, vehicles, reached, period_us, gap_us) -> np.ndarray:
    """The highest score of each incident at the threshold ``reached``."""
    peaks = []
    for v in range(vehicles):
        value_T, time_T = value[vehicle == v], time[vehicle == v]
        runs = merge_alarms(value_T > reached, time_T, period_us=period_us, gap_us=gap_us)
        peaks += [float(value_T[a:b].max()) for a, b in runs]
    return np.array(peaks)
