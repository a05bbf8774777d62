"""Alarms, how they merge into incidents, and the threshold that keeps a promised budget of them.

An alarm is a scored row above the threshold. Alarms closer in time than the merge gap are one
incident. The budget is a number of incidents per vehicle-day on normal data.

Shape legend: T rows of a vehicle.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

TAIL_INCIDENTS = 10  # the fewest incidents from which the threshold is read or extrapolated
MAX_ALARM_SHARE = 0.1  # of calibration rows: below that score lies the body, not the tail
DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The threshold and how it came about.

    threshold: alarms are scores above it. budget: promised incidents per vehicle-day.
    vehicle_days: normal data that it was read from. tail_scale: mean excess of the highest
    incident peaks, in score units: a peak that much higher is e times rarer.
    extrapolated: the budget allows fewer incidents in the calibration than can be counted well.
    """

    threshold: float
    budget: float
    vehicle_days: float
    tail_scale: float
    extrapolated: bool

    def to_json(self) -> dict:
        """Plain values."""
        return asdict(self)


def merge_alarms(
    alarm_T: np.ndarray, timestamp_T: np.ndarray, *, period_us: int, gap_us: int
) -> list[tuple[int, int]]:
    """(first, last) row positions of each incident, last exclusive, in time order.

    Two alarms are of one incident if at most ``gap_us`` lies between the end of the first row
    (one period after its timestamp) and the second.
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

    A vehicle-day is a date on which a vehicle reports, whatever share of it. Calibration cuts
    dates in two, so rows are counted and divided by the rows of a day of the same vehicle.

    calibration, history: timestamps (us) of each vehicle's calibration rows and of all its normal
    rows (train and calibration), in the same order of vehicles.
    """
    days = 0.0
    for rows_T, all_T in zip(calibration, history, strict=True):
        if len(rows_T):
            _, counts = np.unique(all_T // DAY_US, return_counts=True)
            whole = counts[1:-1] if len(counts) > 3 else counts  # the outer dates are cut too
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
    """The lowest threshold with at most ``budget`` incidents per vehicle-day at it and above it.

    Walks down from the highest score, joining each row to the incidents found so far, until one
    incident more than allowed exists. If the allowed number is under ``TAIL_INCIDENTS``, too few to
    trust, the walk goes on to that many and the excesses of their peaks, taken as exponential, are
    extended: u + mean excess * ln(incidents at u / allowed); the higher of the two is taken. The
    score is a logarithm, so an exponential tail here is a power law in the residuals.

    scores, timestamps: of the calibration rows of each vehicle; NaN scores are no rows.
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
    count, level, kept = 0, float(value[order[0]]), None
    for i in order[:most_rows]:
        times, at = alarmed[vehicle[i]], int(time[i])
        place = bisect_left(times, at)
        before = place > 0 and at - times[place - 1] <= reach
        after = place < len(times) and times[place] - at <= reach
        joined = before and after and times[place] - times[place - 1] <= reach  # already one
        new = count + 1 - before - after + joined
        level = float(value[i])
        if kept is None and new > allowed:
            kept = level
        if new > wanted:
            break
        times.insert(place, at)
        count = new

    peaks = _peaks(value, time, vehicle, len(scores), level, period_us, gap_us)
    excess = float(np.mean(peaks - level)) if len(peaks) else 0.0
    rarer = excess * np.log(max(len(peaks) / allowed, 1.0))
    # Incidents join on the way down: fewer at the end than above it do not lower the threshold.
    threshold = level if kept is None else max(level + rarer, kept)
    return OperatingPoint(
        threshold=float(threshold),
        budget=budget,
        vehicle_days=float(days),
        tail_scale=excess,
        extrapolated=bool(allowed < TAIL_INCIDENTS),
    )


def _peaks(value, time, vehicle, vehicles, level, period_us, gap_us) -> np.ndarray:
    """The highest score of each incident at the threshold ``level``."""
    peaks = []
    for v in range(vehicles):
        value_T, time_T = value[vehicle == v], time[vehicle == v]
        runs = merge_alarms(value_T > level, time_T, period_us=period_us, gap_us=gap_us)
        peaks += [float(value_T[a:b].max()) for a, b in runs]
    return np.array(peaks)
