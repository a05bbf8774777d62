"""What one method did on all units: figures per unit, alarms, events found, channels blamed.

A row without a score (NaN) counts as the lowest score of all, because a method finds nothing in a
row that it cannot score. Such rows are also counted.

Shape legend: T rows of a unit, C channels, G points of the recall grid.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from amad import metrics
from amad.config import Fleet
from amad.detect.alarms import Run, merge_alarms, rows_per_day, vehicle_days
from amad.detect.scorer import Scored, Scorer
from amad.evaluation.evaluation_metrics import PRIMARY
from amad.evaluation.units import Event, Unit
from amad.incidents.blame import blame_shares
from amad.incidents.deviations import Deviations
from amad.incidents.incident import Incident, incidents_of
from amad.windows.series import Series

RECALL_G = np.linspace(0, 1, 101)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Whether and how a method found one event.

    start_us: of the event, since the epoch. found: is any of its rows an alarm? delay_seconds: from
    its start to its first alarm, NaN where it is missed. severity: of the worst incident that
    touches it, 0 where none does. guessed: the type of that incident, empty where there is none.
    blame_C: each channel's share of the blame for its rows, NaN for channels that the vehicle
    lacks. chance: probability that a false alarm finds it, see ``touched_by_chance``. days: its
    length in vehicle-days.
    """

    unit: str
    event: Event
    start_us: int
    found: bool
    delay_seconds: float
    severity: float
    blame_C: np.ndarray
    guessed: str = ""
    chance: float = 0.0
    days: float = 0.0


@dataclass(slots=True, kw_only=True)
class Rate:
    """The number of incidents on normal rows, of vehicle-days of such rows, and of these rows.

    alarm_rows: those of the rows that are alarms.
    """

    incidents: int = 0
    days: float = 0.0
    rows: int = 0
    alarm_rows: int = 0

    @property
    def value(self) -> float | None:
        """Incidents per vehicle-day."""
        return self.incidents / self.days if self.days > 0 else None

    def count(
        self,
        series: Series,
        scored: Scored,
        history_T: np.ndarray,
        *,
        period_us: int,
        gap_us: int,
    ) -> None:
        """Add the incidents that touch no event, and the vehicle-days of the rows in no event.

        Args:
            series: whose labels, if it has any, are the events.
            scored: its rows.
            history_T: timestamps that say how many rows a day of this vehicle has.
            period_us: of the fleet.
            gap_us: an incident ends after so long below the release level, microseconds.
        """
        label_T = np.zeros(series.rows, bool) if series.label_T is None else series.label_T > 0
        runs = merge_alarms(
            scored.alarm_T, series.timestamp_T, scored.open_T, period_us=period_us, gap_us=gap_us
        )
        self.incidents += sum(not label_T[run.first : run.last].any() for run in runs)
        self.days += vehicle_days([series.timestamp_T[~label_T]], [history_T])
        self.rows += int((~label_T).sum())
        self.alarm_rows += int(scored.alarm_T[~label_T].sum())

    def add(self, other: "Rate") -> None:
        """Add the counts of another rate."""
        for name in ("incidents", "days", "rows", "alarm_rows"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass(slots=True, kw_only=True)
class MethodResult:
    """The result of one method; ``judge_unit`` and ``Rate.count`` fill it.

    lookahead_seconds: how long after a row the detector waits before it can score it. graded: do
    findings have a severity and a guessed type? They take a quarter of the time. spread:
    standard deviation over seeds of each metric's mean, for what is random. vehicle: of each unit.
    per_unit: unit -> metric -> value. point_adjusted: by unit. pa_k, precision_G: a curve per unit.
    truth: a finding per event of the labels; known: per event of which more is known. calibration,
    normal: incidents on calibration rows and on normal test rows.
    """

    lookahead_seconds: float = 0.0
    graded: bool = True
    spread: dict[str, float] = field(default_factory=dict)
    vehicle: dict[str, str] = field(default_factory=dict)
    per_unit: dict[str, dict[str, float]] = field(default_factory=dict)
    point_adjusted: dict[str, float] = field(default_factory=dict)
    pa_k: list[np.ndarray] = field(default_factory=list)
    precision_G: list[np.ndarray] = field(default_factory=list)
    truth: list[Finding] = field(default_factory=list)
    known: list[Finding] = field(default_factory=list)
    calibration: Rate = field(default_factory=Rate)
    normal: Rate = field(default_factory=Rate)
    unscored_rows: int = 0
    rows: int = 0

    @property
    def mean_precision_G(self) -> np.ndarray:
        """Precision at each recall of ``RECALL_G``, as the mean over units; (G,)."""
        return np.mean(self.precision_G, axis=0)

    @property
    def curve(self) -> list[list[str]]:
        """Recall and this precision, as text for a CSV file."""
        pairs = zip(RECALL_G, self.mean_precision_G, strict=True)
        return [[f"{recall:.2f}", f"{precision:.6f}"] for recall, precision in pairs]

    def judge_unit(
        self,
        unit: Unit,
        scored: Scored,
        scorer: Scorer,
        fleet: Fleet,
        history_T: np.ndarray,
    ) -> None:
        """Add one unit.

        Args:
            unit: what was scored.
            scored: the scores, thresholds, alarms and contributions of its rows.
            scorer: the method that scored them.
            fleet: gives the buffer of VUS.
            history_T: timestamps that say how many rows a day of this vehicle has.
        """
        score_T = lowest_for_unscored(scored.score_T)
        label_T = unit.label_T
        self.vehicle[unit.name] = unit.vehicle
        self.rows += len(label_T)
        self.unscored_rows += int((~np.isfinite(scored.score_T)).sum())
        self.per_unit[unit.name] = unit_metrics(label_T, score_T, fleet.evaluation.buffer_rows)
        self.point_adjusted[unit.name] = metrics.point_adjusted_f1(label_T, score_T)
        self.pa_k.append(metrics.pa_k_curve(label_T, score_T))
        self.precision_G.append(_on_grid(label_T, score_T))
        self.judge_events(unit, scored, scorer, history_T)

    def judge_events(
        self, unit: Unit, scored: Scored, scorer: Scorer, history_T: np.ndarray
    ) -> None:
        """Add the findings of one unit; the arguments are those of ``judge_unit``."""
        known = _Known.of(unit, scored, scorer, self.graded)
        false_N = _false_alarms(unit.label_T, scored.alarm_T, known.runs)
        day_rows = rows_per_day(history_T)
        for events, findings in ((unit.truth, self.truth), (unit.events, self.known)):
            findings += [_finding(event, known, false_N, day_rows) for event in events]

    def empty(self) -> "MethodResult":
        """A result of the same method without units."""
        return MethodResult(lookahead_seconds=self.lookahead_seconds, graded=self.graded)

    def join(self, other: "MethodResult") -> None:
        """Add the units of another result of the method, and what it did on their vehicles."""
        for name in ("vehicle", "per_unit", "point_adjusted"):
            getattr(self, name).update(getattr(other, name))
        self.pa_k += other.pa_k
        self.precision_G += other.precision_G
        self.unscored_rows += other.unscored_rows
        self.rows += other.rows
        self.join_findings(other)

    def join_findings(self, other: "MethodResult") -> None:
        """Add the alarms and findings of another result."""
        self.truth += other.truth
        self.known += other.known
        self.calibration.add(other.calibration)
        self.normal.add(other.normal)


def over_seeds(results: Sequence[MethodResult]) -> MethodResult:
    """The results of the same units under several seeds as one; the first is changed and returned.

    Figures are averaged by unit, and ``spread`` is the standard deviation of their means over the
    seeds. Alarms and findings are those of all seeds together, rows those of one seed.
    """
    whole = results[0]
    if len(results) == 1:
        return whole
    for metric in next(iter(whole.per_unit.values()), {}):
        means = [np.mean([f[metric] for f in t.per_unit.values()]) for t in results]
        whole.spread[metric] = float(np.std(means, ddof=1))
    whole.per_unit = {
        unit: {m: float(np.mean([t.per_unit[unit][m] for t in results])) for m in figures}
        for unit, figures in whole.per_unit.items()
    }
    whole.point_adjusted = {
        unit: float(np.mean([t.point_adjusted[unit] for t in results]))
        for unit in whole.point_adjusted
    }
    for name in ("pa_k", "precision_G"):
        curves = zip(*(getattr(t, name) for t in results), strict=True)
        setattr(whole, name, [np.mean(curve, axis=0) for curve in curves])
    for other in results[1:]:
        whole.join_findings(other)
    return whole


def lowest_for_unscored(score_T: np.ndarray) -> np.ndarray:
    """The scores (T,) with each NaN replaced by a value below all others; all 0 if all are NaN."""
    known_T = np.isfinite(score_T)
    if not known_T.any():
        return np.zeros(len(score_T))
    return np.where(known_T, score_T, score_T[known_T].min() - 1.0)


def unit_metrics(label_T: np.ndarray, score_T: np.ndarray, buffer: int) -> dict[str, float]:
    """Every metric of one unit, by name; higher is better."""
    vus_pr, vus_roc = metrics.vus(label_T, score_T, buffer)
    plain: dict[str, Callable[..., float]] = {
        "auc_pr": metrics.auc_pr,
        "auc_roc": metrics.auc_roc,
        "best_f1": metrics.best_f1,
        "range_f1": metrics.range_f1,
        "event_f1": metrics.event_f1,
        "affiliation_f1": metrics.affiliation_f1,
    }
    values = {name: metric(label_T, score_T) for name, metric in plain.items()}
    return {PRIMARY: vus_pr, "vus_roc": vus_roc} | values


def _on_grid(label_T: np.ndarray, score_T: np.ndarray) -> np.ndarray:
    """Precision (G,) at the highest threshold that reaches each recall of ``RECALL_G``."""
    precision_K, recall_K, _ = metrics.precision_recall(label_T, score_T)
    return precision_K[np.searchsorted(recall_K, RECALL_G - 1e-12)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A unit and what a method found in it.

    runs: the rows of each incident. incidents: the same, or none where they are not graded.
    """

    unit: Unit
    scored: Scored
    scorer: Scorer
    runs: Sequence[Run]
    incidents: Sequence[Incident]
    deviations: Deviations

    @classmethod
    def of(cls, unit: Unit, scored: Scored, scorer: Scorer, graded: bool) -> "_Known":
        """Measure the deviations once, in the rows of all alarms and events."""
        alarms = np.flatnonzero(scored.alarm_T)
        edges = [
            *(edge for e in (*unit.truth, *unit.events) for edge in (e.first, e.last)),
            *((int(alarms[0]), int(alarms[-1]) + 1) if len(alarms) else ()),
        ]
        deviations = Deviations(scorer, unit.series, min(edges, default=0), max(edges, default=0))
        stamp_T = unit.series.timestamp_T
        return cls(
            unit=unit,
            scored=scored,
            scorer=scorer,
            runs=scorer.runs(scored.alarm_T, stamp_T, scored.open_T),
            incidents=incidents_of(scored, unit.series, scorer, deviations=deviations)
            if graded
            else (),
            deviations=deviations,
        )


def _false_alarms(label_T: np.ndarray, alarm_T: np.ndarray, runs: Sequence[Run]) -> np.ndarray:
    """Which of the N normal rows are alarms of an incident that touches no event, bool (N,)."""
    false_T = alarm_T.copy()
    for run in runs:
        if label_T[run.first : run.last].any():
            false_T[run.first : run.last] = False
    return false_T[~label_T]


def touched_by_chance(false_N: np.ndarray, rows: int) -> float:
    """Share of all stretches of ``rows`` normal rows that hold a false alarm.

    It is the probability that the false alarms find an event of this length at a random place.
    """
    if len(false_N) == 0:
        return 0.0
    rows = max(1, min(rows, len(false_N)))
    count = np.concatenate([[0], np.cumsum(false_N)])
    return float(np.mean(count[rows:] > count[:-rows]))


def _finding(event: Event, known: _Known, false_N: np.ndarray, day_rows: float) -> Finding:
    unit, scored, stamp_T = known.unit, known.scored, known.unit.series.timestamp_T
    alarms = np.flatnonzero(scored.alarm_T[event.first : event.last])
    delay = np.nan
    if len(alarms):
        delay = (stamp_T[event.first + alarms[0]] - stamp_T[event.first]) / 1e6
    blame_C = blame_shares(
        known.scorer, scored, unit.series, known.deviations, event.first, event.last
    )
    touching = [
        incident
        for run, incident in zip(known.runs, known.incidents, strict=False)
        if run.first < event.last and run.last > event.first
    ]
    worst = max(touching, key=lambda incident: incident.severity, default=None)
    return Finding(
        unit=unit.name,
        event=event,
        start_us=int(stamp_T[event.first]),
        found=len(alarms) > 0,
        delay_seconds=float(delay),
        severity=worst.severity if worst else 0.0,
        guessed=worst.type if worst else "",
        blame_C=np.where(unit.has_channel_C, blame_C, np.nan),
        chance=touched_by_chance(false_N, event.last - event.first),
        days=(event.last - event.first) / day_rows,
    )
