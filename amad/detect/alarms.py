"""Alarms, their merging into incidents, and the threshold that keeps a promised alarm budget.

An alarm is a scored row above the threshold. An incident is open from its first alarm on, until the
score has been below the release level, half way back to what is usual, for longer than the merge
gap. So a score that hovers about the threshold does not begin an incident with each crossing. The
budget is a number of incidents per vehicle-day on normal rows.

Shape legend: T rows of a vehicle.
"""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np

TAIL_SHARE = 0.1  # of the calibration rows: the highest tenth is the tail
TAIL_SCALE = 0.55  # where the score is a logarithm: 0.55 higher is e times as rare
PRIOR_DAYS = 30.0  # vehicle-days that the expected tail counts as
UNKNOWN_FAULTS = 1  # incidents above the budget that calibration rows may hold
FIRST_MOVES_SHARE = 0.5  # of the budget, at the most, may be used up by first moves
RELEASE = 0.5  # of the way from the threshold back to the usual score
LONGEST_RETURN = 1000.0  # vehicle-days; no fleet's calibration rows could tell of longer ones
DAY_US = 86_400_000_000

Row = tuple[int, int]  # number of a vehicle, and microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """The threshold, and how it was chosen.

    threshold: a row with a score above it is an alarm, while the scores are as on the calibration
    rows; see ``amad.detect.moving_threshold``. budget: promised incidents per vehicle-day.
    vehicle_days: length of the normal rows that it was chosen on. tail_level: the score that a
    tenth of these rows exceed. tail_rate: incidents per vehicle-day above it. first_moves:
    incidents per vehicle-day that first moves of each kind alone were on these rows, see
    ``constant_channels``; empty for methods that report none.
    usual: the percentiles 1 to 100 of the scores of the calibration rows, by vehicle, and of all
    vehicles under "".
    """

    threshold: float
    budget: float
    vehicle_days: float
    tail_level: float
    tail_rate: float
    first_moves: Mapping[str, float] = field(default_factory=dict)
    usual: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def reported_moves(self) -> frozenset[str]:
        """The kinds of first moves that raise alarms.

        From the rarest on, as long as they use up no more than ``FIRST_MOVES_SHARE`` of the budget.
        """
        by_rate = sorted(self.first_moves, key=lambda kind: (self.first_moves[kind], kind))
        used = accumulate(self.first_moves[kind] for kind in by_rate)
        most = FIRST_MOVES_SHARE * self.budget
        return frozenset(kind for kind, total in zip(by_rate, used, strict=True) if total <= most)

    @property
    def score_budget(self) -> float:
        """The incidents per vehicle-day that first moves leave to the scores."""
        return self.budget - sum(self.first_moves[kind] for kind in sorted(self.reported_moves))

    def return_days(self, score: float, threshold: float, tail_scale: float) -> float:
        """Vehicle-days between two incidents of normal rows that reach such a score.

        It is 1 / ``score_budget`` at the threshold, which is that of the row with this score, and
        grows e times with each ``tail_scale``, as the expected tail of ``choose_threshold`` does;
        ``LONGEST_RETURN`` at the most.
        """
        above = (score - threshold) / tail_scale
        if above >= math.log(LONGEST_RETURN * self.score_budget):
            return LONGEST_RETURN
        return math.exp(above) / self.score_budget


class Run(NamedTuple):
    """The rows of an incident: from its first alarm to its last, and those in which it is open.

    The positions ``last`` and ``open_last`` are exclusive.
    """

    first: int
    last: int
    open_first: int
    open_last: int


def release_level(threshold: np.ndarray, usual: np.ndarray | float) -> np.ndarray:
    """The score below which an incident ends, for a threshold and the usual (median) score."""
    return threshold - RELEASE * np.maximum(threshold - usual, 0.0)


def merge_alarms(
    alarm_T: np.ndarray,
    timestamp_T: np.ndarray,
    open_T: np.ndarray | None = None,
    *,
    period_us: int,
    gap_us: int,
) -> list[Run]:
    """The rows of each incident, in time order.

    Two alarms belong to one incident if at most ``gap_us`` lies between the end of a row (one
    period after its timestamp) and the next one, all the way from open row to open row.

    open_T: rows with a score above the release level; default: the alarms alone.
    """
    rows = np.flatnonzero(alarm_T if open_T is None else alarm_T | open_T)
    if len(rows) == 0:
        return []
    cuts = np.flatnonzero(np.diff(timestamp_T[rows]) - period_us > gap_us)
    begins, ends = rows[np.r_[0, cuts + 1]].tolist(), rows[np.r_[cuts, len(rows) - 1]].tolist()
    found = []
    for begin, end in zip(begins, ends, strict=True):
        alarms = np.flatnonzero(alarm_T[begin : end + 1])
        if len(alarms):
            first, last = begin + int(alarms[0]), begin + int(alarms[-1]) + 1
            found.append(Run(first, last, begin, end + 1))
    return found


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
            days += len(rows_T) / rows_per_day(all_T)
    return days


def rows_per_day(timestamp_T: np.ndarray) -> float:
    """The rows of a whole date of a vehicle, of which these are all timestamps (us)."""
    _, counts = np.unique(timestamp_T // DAY_US, return_counts=True)
    whole = counts[1:-1] if len(counts) > 3 else counts  # not the cut dates at the ends
    return float(whole.mean())


def choose_threshold(
    scores: Sequence[np.ndarray],
    timestamps: Sequence[np.ndarray],
    medians: Sequence[float],
    *,
    days: float,
    budget: float,
    period_us: int,
    gap_us: int,
    tail_scale: float | None,
    first_moves: Mapping[str, float] | None = None,
) -> OperatingPoint:
    """The lowest threshold at which, and above which, the budget of incidents is kept.

    First moves are incidents whatever the threshold is, and leave less of the budget to the scores.
    A kind of them that would use up more than ``FIRST_MOVES_SHARE`` of it is not reported.

    Few vehicle-days say little about what happens once in two of them, and calibration rows may
    hold unknown faults. So the incidents counted at a threshold s are averaged with those of the
    expected tail, which counts as ``PRIOR_DAYS`` vehicle-days: ``tail_rate`` incidents per
    vehicle-day at ``tail_level``, and exp(-(s - tail_level) / tail_scale) times as many at s. The
    rate at that level is counted in incidents, not rows, so it allows for the autocorrelation of
    the score.

    The expected tail may be lighter than that of these rows. So whatever it says, there are no more
    than ``UNKNOWN_FAULTS`` incidents above the budget among them. Of these, a date of a vehicle
    counts with the budget and one more at the most, so that one bad day does not silence a fleet.

    The rows are visited from the highest score down to ``tail_level``, and each joins the incidents
    found so far, until there are more than allowed.

    scores, timestamps: of the calibration rows of each vehicle; rows with a NaN score are ignored.
    medians: of the usual scores of each vehicle.
    days: the vehicle-days of these rows. budget: incidents per vehicle-day. tail_scale: None where
    nothing is known of the tail, so that the incidents counted decide alone. first_moves: incidents
    per vehicle-day that are first moves, by kind; default: none is reported.
    """
    known = np.concatenate([score_T[np.isfinite(score_T)] for score_T in scores])
    assert len(known) and days > 0, "a threshold needs calibration rows"
    level = float(np.quantile(known, 1 - TAIL_SHARE))
    rows = [_Rows.of(*own, level) for own in zip(scores, timestamps, medians, strict=True)]
    vehicle = np.repeat(np.arange(len(rows)), [len(own.time_T) for own in rows])
    time, value, opens = (np.concatenate(column) for column in zip(*rows, strict=True))
    apart = {"period_us": period_us, "gap_us": gap_us}
    at_level = [merge_alarms(o.value_T > level, o.time_T, o.opens_T > level, **apart) for o in rows]
    rate = sum(map(len, at_level)) / days
    expected = PRIOR_DAYS * rate if tail_scale else 0.0  # at ``level``, in all
    point = OperatingPoint(
        threshold=math.nan,
        budget=budget,
        vehicle_days=float(days),
        tail_level=level,
        tail_rate=float(rate),
        first_moves=first_moves or {},
    )
    allowed = point.score_budget * (days + (PRIOR_DAYS if tail_scale else 0.0))
    most, most_a_date = point.score_budget * days + UNKNOWN_FAULTS, math.ceil(budget) + 1

    def lowest(incidents: int) -> float:
        """The threshold at which those of the expected tail fill what these leave."""
        room = allowed - incidents
        if room < 0 or (room == 0 and expected > 0):
            return math.inf
        if not tail_scale or expected <= room:
            return level
        return level + tail_scale * math.log(expected / room)

    found = _GrowingIncidents(len(rows), reach_us=gap_us + period_us, most_a_date=most_a_date)
    threshold = lowest(0)
    opening = iter(np.argsort(-opens, kind="stable"))
    to_open = next(opening, None)
    for i in np.argsort(-value, kind="stable"):
        if value[i] <= max(threshold, level):
            break
        while to_open is not None and opens[to_open] >= value[i]:
            found.open(int(vehicle[to_open]), int(time[to_open]))
            to_open = next(opening, None)
        found.add(int(vehicle[i]), int(time[i]))
        # Incidents can merge on the way down; having fewer again does not lower the threshold.
        kept = found.counted <= most or not tail_scale
        needed = lowest(found.count) if kept else math.inf
        threshold = max(threshold, min(needed, float(value[i])))
    return replace(point, threshold=float(threshold))


class _Rows(NamedTuple):
    """The calibration rows of a vehicle that are open where the threshold is the tail's level.

    time_T: microseconds. value_T: the scores. opens_T: the highest threshold at which the score is
    above the release level.
    """

    time_T: np.ndarray
    value_T: np.ndarray
    opens_T: np.ndarray

    @classmethod
    def of(
        cls, score_T: np.ndarray, timestamp_T: np.ndarray, median: float, level: float
    ) -> "_Rows":
        # ``release_level`` solved for the threshold, where the release level is the score
        opens_T = score_T + RELEASE / (1 - RELEASE) * np.maximum(score_T - median, 0.0)
        kept_T = opens_T > level  # not a row without a score
        return cls(timestamp_T[kept_T], score_T[kept_T], opens_T[kept_T])


class _GrowingIncidents:
    """The incidents of open rows and alarms that come one by one, in any order of time.

    A row is a vehicle and a time, and is opened before it becomes an alarm. Open rows within reach
    of each other are a stretch, and a stretch with an alarm is an incident.

    count: how many there are. counted: of these, a date of a vehicle has ``most_a_date`` at the
    most. reach_us: rows so far apart or less belong together.
    """

    def __init__(self, vehicles: int, *, reach_us: int, most_a_date: int) -> None:
        from scipy.cluster.hierarchy import DisjointSet  # on demand: it takes a while

        self.count = self.counted = 0
        self._reach_us, self._most_a_date = reach_us, most_a_date
        self._times: list[list[int]] = [[] for _ in range(vehicles)]  # of open rows, rising
        self._stretches = DisjointSet()  # of open rows; one of them stands for its stretch
        self._first: dict[Row, Row] = {}  # the first alarm of a stretch
        self._begun: Counter[tuple[int, int]] = Counter()  # by vehicle and date

    def open(self, vehicle: int, time: int) -> None:
        """One more open row: a stretch of its own, or part of those beside it."""
        times = self._times[vehicle]
        place = bisect_left(times, time)
        self._stretches.add((vehicle, time))
        for other in times[max(place - 1, 0) : place + 1]:
            if abs(other - time) <= self._reach_us:
                self._join((vehicle, other), (vehicle, time))
        times.insert(place, time)

    def add(self, vehicle: int, time: int) -> None:
        """An open row becomes an alarm: it begins an incident, or lets one begin earlier."""
        row = (vehicle, time)
        stretch = self._stretches[row]
        before = self._first.get(stretch)
        if before is not None and before <= row:
            return
        if before is not None:
            self._begin(before, -1)
        self._first[stretch] = row
        self._begin(row, 1)

    def _join(self, one: Row, other: Row) -> None:
        """Two stretches become one, whose incident begins where the first of theirs did."""
        stretches = {self._stretches[one], self._stretches[other]}
        alarms = [self._first.pop(stretch) for stretch in stretches if stretch in self._first]
        self._stretches.merge(one, other)
        if alarms:
            self._first[self._stretches[one]] = min(alarms)
        if len(alarms) == 2:
            self._begin(max(alarms), -1)

    def _begin(self, row: Row, incidents: int) -> None:
        """Note that so many more incidents begin at this row."""
        vehicle, time = row
        date = (vehicle, time // DAY_US)
        before = min(self._begun[date], self._most_a_date)
        self._begun[date] += incidents
        self.count += incidents
        self.counted += min(self._begun[date], self._most_a_date) - before
