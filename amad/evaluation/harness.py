"""Judges every method in one way: one split, one rule for the threshold, the same units.

    other = fit_forms(detector, *fitting_parts(store))
    evaluation = examine(store, detector, fleet, params, lake.events(), other)

Every method is fitted on train rows, gets its threshold from calibration rows and is judged on test
rows. The series that it is given have no labels. Vehicles are units of work, which may run in other
processes: ``amad.config.units``.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from amad.baselines import make_baseline
from amad.config import Fleet, Params
from amad.config.console import track
from amad.config.units import RunUnits, in_process
from amad.detect.detector import Detector
from amad.detect.detector_fitting import DetectorLearner
from amad.detect.fitting import Learner, OfVehicle, fit_together
from amad.detect.residual_cache import ResidualCache
from amad.detect.scorer import Scored, Scorer, ScoresSeries, score_after
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.evaluation.method_result import (
    MethodResult,
    lowest_for_unscored,
    over_seeds,
    unit_metrics,
)
from amad.evaluation.summary import PerUnit, by_unit, rounded, summarise
from amad.evaluation.units import (
    StoredPart,
    Unit,
    fitting_parts,
    is_injected,
    units_of,
    unlabelled,
)
from amad.windows.series import CALIBRATION, PURGED, TEST, Series, lead_of
from amad.windows.store import WindowStore

FLOOR, WITH, WITHOUT = "random", "amad_with_network", "amad_without_network"
FORMS = ("amad", WITH, WITHOUT)
RANDOM_SEEDS = 5  # the floor is the mean over so many random scores


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """The figures of an evaluation, and what the plots need beside them.

    results: by method; the floor's is the mean of its seeds. timings: seconds and rows per second
    by method, those of a fit with the baseline that learnt for others; the metrics hold none, so
    that they can be reproduced.
    """

    metrics: EvaluationMetrics
    results: dict[str, MethodResult]
    timings: dict[str, dict[str, float]] = field(default_factory=dict)


def examine(
    store: WindowStore, detector: Detector, fleet: Fleet, params: Params, events: pa.Table,
    other: Detector | None = None, run: RunUnits = in_process,
) -> Evaluation:  # fmt: skip
    """Judge a fitted detector, the same without (or with) its network, the floor and the baselines.

    events: of the EVENTS schema, of all vehicles; the labels are in the store. other: the other
    form of the detector, from ``fit_forms``; None where there is none. run: what works on the
    vehicles.
    """
    seeds = {f"{FLOOR}#{number}": params.seed + number for number in range(RANDOM_SEEDS)}
    seeds |= {name: params.seed for name in params.evaluate.baselines if name != FLOOR}
    baselines = {
        name: make_baseline(name.partition("#")[0], params.detect, seed, fleet, store.scaler)
        for name, seed in seeds.items()
    }
    learners = learners_of(baselines)
    fitted = fit_together([*learners.values()], *fitting_parts(store), run, "fit the baselines")
    timings = {name: {"fit_seconds": own} for name, own in zip(learners, fitted, strict=True)}
    votes = detector.params.vote > 0
    methods: dict[str, Scorer] = {"amad": detector}
    if other is not None:
        methods[WITHOUT if votes else WITH] = other
    results, unscorable = judge(
        methods | baselines, store, fleet, params, events, timings, graded=["amad"], run=run
    )
    results = _one_floor(results)
    forms = (None, None) if other is None else ("amad", WITHOUT) if votes else (WITH, "amad")
    content = summarise(
        results, unscorable, fleet, params, detector="amad", floor=FLOOR, with_network=forms[0],
        without_network=forms[1],
    )  # fmt: skip
    return Evaluation(metrics=content, results=results, timings=timings)


def learners_of(baselines: Mapping[str, Scorer]) -> dict[str, Learner]:
    """What fits the baselines, by name; the largest fits all whose members it has.

    So a member is fitted once. One of the same name is the same in every baseline.
    """
    detectors = {name: own for name, own in baselines.items() if isinstance(own, Detector)}
    members = {name: {m.name for m in own.members} for name, own in detectors.items()}
    found = {name: own.learner() for name, own in baselines.items() if name not in detectors}
    parts: dict[str, list[Detector]] = {}
    for name, own in members.items():
        largest = max(members, key=lambda other: (members[other] >= own) * len(members[other]))
        parts.setdefault(largest, []).append(detectors[name])
    for name, group in parts.items():
        whole = detectors[name]
        found[name] = DetectorLearner(whole, *(own for own in group if own is not whole))
    return found


def per_unit_metrics(
    store: WindowStore,
    scorer: ScoresSeries,
    fleet: Fleet,
    events: pa.Table,
    seen: Callable[[Unit, Scored], None] = lambda *_: None,
) -> PerUnit:
    """The figures by unit of one fitted detector, such as the present champion.

    seen: is called with each unit and its scores.
    """
    per_unit, vehicle_of = {}, {}
    for vehicle in track(store.vehicles, "judge one detector, vehicle by vehicle"):
        part = StoredPart.of(store, vehicle, TEST)
        test, lead = part.labelled(0, part.rows), lead_of(part)
        for unit in units_of(test, fleet, events, store.has_channel(vehicle))[0]:
            scored = score_after(scorer.score, lead, unit.series)
            seen(unit, scored)
            score_T = lowest_for_unscored(scored.score_T)
            buffer = fleet.evaluation.buffer_rows
            per_unit[unit.name] = unit_metrics(unit.label_T, score_T, buffer)
            vehicle_of[unit.name] = unit.vehicle
    return rounded(by_unit(per_unit, vehicle_of, fleet))


def judge(
    methods: Mapping[str, Scorer],
    store: WindowStore,
    fleet: Fleet,
    params: Params,
    events: pa.Table,
    timings: dict[str, dict[str, float]],
    graded: Collection[str] | None = None,
    run: RunUnits = in_process,
) -> tuple[dict[str, MethodResult], dict[str, str]]:
    """Judge fitted methods, with one vehicle at a time in memory.

    timings: each method's seconds and rows per second are added to it; of the forms of the detector
    the second finds the residuals of the first, and takes less. graded: the methods whose findings
    get a severity and a guessed type; all by default. run: what works on the vehicles.

    Returns: the result of each method, and the vehicles that cannot be judged, with the reason.
    """
    results = {
        name: MethodResult(
            lookahead_seconds=method.lookahead_rows * fleet.period_seconds,
            graded=graded is None or name in graded,
        )
        for name, method in methods.items()
    }
    unscorable: dict[str, str] = {}
    seconds, rows = dict.fromkeys(methods, 0.0), dict.fromkeys(methods, 0)
    bare = {name: method.without_vehicles() for name, method in methods.items()}
    work = _JudgeVehicle(bare, results, store, fleet, params, events)
    units = _Units(methods, store.vehicles)
    judged = track(run(work, units), "judge the methods, vehicle by vehicle", len(units))
    for vehicle, found in zip(store.vehicles, judged, strict=True):
        if found.reason:
            unscorable[vehicle] = found.reason
        for name, result in results.items():
            result.join(found.results[name])
            seconds[name] += found.seconds[name]
            rows[name] += found.rows[name]
    for name in methods:
        timings.setdefault(name, {}).update(
            score_seconds=seconds[name],
            rows_per_second=rows[name] / seconds[name] if seconds[name] else 0.0,
        )
    return results, unscorable


class _Units(Sequence[tuple[str, dict[str, OfVehicle]]]):
    """Each vehicle with what the methods know of it, which is read when its turn has come."""

    def __init__(self, methods: Mapping[str, Scorer], vehicles: Sequence[str]) -> None:
        self._methods, self._vehicles = methods, vehicles

    def __len__(self) -> int:
        return len(self._vehicles)

    def __getitem__(self, place):
        vehicle = self._vehicles[place]
        return vehicle, {name: own.of_vehicle(vehicle) for name, own in self._methods.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What the methods did on one vehicle, and the seconds and rows of their scoring.

    reason: why the vehicle cannot be judged; empty if it can.
    """

    results: dict[str, MethodResult]
    reason: str
    seconds: dict[str, float]
    rows: dict[str, int]


class _JudgeVehicle:
    """The work on one vehicle: all methods are judged on its rows."""

    def __init__(
        self,
        methods: Mapping[str, Scorer],
        results: Mapping[str, MethodResult],
        store: WindowStore,
        fleet: Fleet,
        params: Params,
        events: pa.Table,
    ) -> None:
        """methods: know no vehicle. results: of them, still empty."""
        self._methods = methods
        self._results = {name: result.empty() for name, result in results.items()}
        self._store, self._fleet, self._params, self._events = store, fleet, params, events

    def __call__(self, unit: tuple[str, dict[str, OfVehicle]]) -> _Judged:
        vehicle, known = unit
        judged = _Vehicle(self._store, vehicle, self._fleet, self._events)
        results, seconds, rows = {}, {}, {}
        shared = ResidualCache()  # the forms of the detector have the same members
        for name, method in self._methods.items():
            method = method.with_vehicle(vehicle, known[name])
            again = name in FORMS or is_injected(self._fleet)  # the same rows are scored again
            if again and isinstance(method, Detector):
                cache = shared if name in FORMS else ResidualCache()
                method.members = [member.cached(cache) for member in method.members]
            results[name] = self._results[name].empty()
            timed = _Timed(method)  # not kept, or the caches of all methods would be in memory
            _judge_vehicle(results[name], timed, judged, self._fleet, self._params)
            seconds[name], rows[name] = timed.seconds, timed.rows
        return _Judged(results=results, reason=judged.reason, seconds=seconds, rows=rows)


class _Timed:
    """A fitted method, and how many rows it has scored in how many seconds."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.seconds, self.rows = 0.0, 0

    def score(self, series: Series, lead: Series, *, alarms_alone: bool = False) -> Scored:
        """The scores of a series after the rows of ``lead``; alarms_alone: see ``find_alarms``."""
        started = time.perf_counter()
        score = self.scorer.find_alarms if alarms_alone else self.scorer.score
        scored = score_after(score, lead, series)
        self.seconds += time.perf_counter() - started
        self.rows += lead.rows + series.rows
        return scored


class _Vehicle:
    """The rows of a vehicle that methods are judged on, and its units.

    calibration: without labels. test: with them. leads: of the two. ordinary_T: timestamps that say
    how many rows a day of this vehicle has. reason: why it has no units.
    """

    def __init__(self, store: WindowStore, vehicle: str, fleet: Fleet, events: pa.Table) -> None:
        calibration, test = (StoredPart.of(store, vehicle, s) for s in (CALIBRATION, TEST))
        self.calibration = calibration.rows_between(0, calibration.rows)
        self.test = test.labelled(0, test.rows)
        self.leads = lead_of(calibration), lead_of(test)
        whole = store.series(vehicle)
        self.ordinary_T = whole.timestamp_T[(whole.split_T != TEST) & (whole.split_T != PURGED)]
        self.units, self.reason = units_of(self.test, fleet, events, store.has_channel(vehicle))


def _judge_vehicle(
    result: MethodResult, method: _Timed, vehicle: _Vehicle, fleet: Fleet, params: Params
) -> None:
    """Add what a method does on the calibration rows, the test part and the units of a vehicle."""
    period = fleet.period_us
    apart = {"period_us": period, "gap_us": params.detect.merge_gap_us(period)}
    (calibration, test), (before, lead) = (vehicle.calibration, vehicle.test), vehicle.leads
    if calibration.rows:
        scored = method.score(calibration, before, alarms_alone=True)
        result.calibration.count(calibration, scored, vehicle.ordinary_T, **apart)
    if not test.rows:
        return
    clean = method.score(unlabelled(test), lead, alarms_alone=is_injected(fleet))
    result.normal.count(test, clean, test.timestamp_T, **apart)
    for unit in vehicle.units:
        # By labels the unit is the test part itself; an injected case is a changed copy.
        scored = method.score(unit.series, lead) if is_injected(fleet) else clean
        result.judge_unit(unit, scored, method.scorer, fleet, test.timestamp_T)


def _one_floor(results: dict[str, MethodResult]) -> dict[str, MethodResult]:
    """The results with those of all random scores joined to one, in second place."""
    random = [result for name, result in results.items() if name.startswith(f"{FLOOR}#")]
    others = {name: own for name, own in results.items() if not name.startswith(f"{FLOOR}#")}
    return {"amad": others.pop("amad"), FLOOR: over_seeds(random), **others}
