"""Judges every method in one way: one split, one rule for the threshold, the same units.

    other = fit_forms(detector, *fitting_parts(store))
    evaluation = examine(store, detector, fleet, params, lake.events(), other)

Every method is fitted on train rows, gets its threshold from calibration rows and is judged on test
rows. The series that it is given have no labels.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from amad.baselines import make_baseline
from amad.config import Fleet, Params
from amad.config.console import track
from amad.detect.detector import Detector
from amad.detect.scorer import Scored, Scorer, ScoresSeries, score_after
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.evaluation.method_result import (
    MethodResult,
    lowest_for_unscored,
    over_seeds,
    unit_metrics,
)
from amad.evaluation.summary import PerUnit, by_unit, rounded, summarise
from amad.evaluation.units import Unit, fitting_parts, is_injected, units_of, unlabelled
from amad.windows.series import CALIBRATION, PURGED, TEST, Series, lead_of
from amad.windows.store import WindowStore

FLOOR, WITH, WITHOUT = "random", "amad_with_network", "amad_without_network"
RANDOM_SEEDS = 5  # the floor is the mean over so many random scores


@dataclass(slots=True, kw_only=True)
class Evaluation:
    """The figures of an evaluation, and what the plots need beside them.

    results: by method; the floor's is the mean of its seeds. timings: seconds and rows per second
    by method; the metrics hold none, so that they can be reproduced.
    """

    metrics: EvaluationMetrics
    results: dict[str, MethodResult]
    timings: dict[str, dict[str, float]] = field(default_factory=dict)


def examine(
    store: WindowStore, detector: Detector, fleet: Fleet, params: Params, events: pa.Table,
    other: Detector | None = None,
) -> Evaluation:  # fmt: skip
    """Judge a fitted detector, the same without (or with) its network, the floor and the baselines.

    events: of the EVENTS schema, of all vehicles; the labels are in the store. other: the other
    form of the detector, from ``fit_forms``; None where there is none.
    """
    timings: dict[str, dict[str, float]] = {}
    methods: dict[str, Scorer] = {"amad": detector}
    train, calibration = fitting_parts(store)

    def add(name: str, seed: int) -> None:
        started, kind = time.perf_counter(), name.partition("#")[0]
        method = make_baseline(kind, params.detect, seed, fleet, store.scaler)
        methods[name] = method.fit(train, calibration)
        timings[name] = {"fit_seconds": time.perf_counter() - started}

    for number in range(RANDOM_SEEDS):
        add(f"{FLOOR}#{number}", params.seed + number)
    votes = detector.params.vote > 0
    if other is not None:
        methods[WITHOUT if votes else WITH] = other
    for name in dict.fromkeys(params.evaluate.baselines):
        if name != FLOOR:
            add(name, params.seed)
    results, unscorable = judge(methods, store, fleet, params, events, timings, graded=["amad"])
    results = _one_floor(results)
    forms = (None, None) if other is None else ("amad", WITHOUT) if votes else (WITH, "amad")
    content = summarise(
        results, unscorable, fleet, params, detector="amad", floor=FLOOR, with_network=forms[0],
        without_network=forms[1],
    )  # fmt: skip
    return Evaluation(metrics=content, results=results, timings=timings)


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
        whole = store.scaled(vehicle)
        for unit in units_of(whole, fleet, events, store.has_channel(vehicle))[0]:
            scored = score_after(scorer.score, lead_of(whole, TEST), unit.series)
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
) -> tuple[dict[str, MethodResult], dict[str, str]]:
    """Judge fitted methods, with one vehicle at a time in memory.

    timings: each method's seconds and rows per second are added to it. graded: the methods whose
    findings get a severity and a guessed type; all by default.

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
    timed = {name: _Timed(method) for name, method in methods.items()}
    for vehicle in track(store.vehicles, "judge the methods, vehicle by vehicle"):
        whole = store.scaled(vehicle)
        units, reason = units_of(whole, fleet, events, store.has_channel(vehicle))
        if reason:
            unscorable[vehicle] = reason
        for name, result in results.items():
            _judge_vehicle(result, timed[name], whole, units, fleet, params)
    for name, method in timed.items():
        timings.setdefault(name, {}).update(
            score_seconds=method.seconds,
            rows_per_second=method.rows / method.seconds if method.seconds else 0.0,
        )
    return results, unscorable


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


def _judge_vehicle(
    result: MethodResult,
    method: _Timed,
    whole: Series,
    units: Sequence[Unit],
    fleet: Fleet,
    params: Params,
) -> None:
    """Add what a method does on the calibration rows, the test part and the units of a vehicle."""
    period = fleet.period_us
    apart = {"period_us": period, "gap_us": params.detect.merge_gap_us(period)}
    calibration, test = unlabelled(whole.part(CALIBRATION)), whole.part(TEST)
    if calibration.rows:
        ordinary_T = whole.timestamp_T[(whole.split_T != TEST) & (whole.split_T != PURGED)]
        scored = method.score(calibration, lead_of(whole, CALIBRATION), alarms_alone=True)
        result.calibration.count(calibration, scored, ordinary_T, **apart)
    if not test.rows:
        return
    lead = lead_of(whole, TEST)
    clean = method.score(unlabelled(test), lead, alarms_alone=is_injected(fleet))
    result.normal.count(test, clean, test.timestamp_T, **apart)
    for unit in units:
        # By labels the unit is the test part itself; an injected case is a changed copy.
        scored = method.score(unit.series, lead) if is_injected(fleet) else clean
        result.judge_unit(unit, scored, method.scorer, fleet, test.timestamp_T)


def _one_floor(results: dict[str, MethodResult]) -> dict[str, MethodResult]:
    """The results with those of all random scores joined to one, in second place."""
    random = [result for name, result in results.items() if name.startswith(f"{FLOOR}#")]
    others = {name: own for name, own in results.items() if not name.startswith(f"{FLOOR}#")}
    return {"amad": others.pop("amad"), FLOOR: over_seeds(random), **others}
