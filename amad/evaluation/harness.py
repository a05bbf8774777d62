"""Every method through one function: one split, one calibration rule, the same units.

    metrics = examine(store, detector, fleet, params, lake.events()).metrics

Every method is a detector: fitted on train rows, its threshold read from calibration rows, judged
on test rows. No series that it gets carries labels.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from amad.baselines import make_baseline
from amad.config import Fleet, Params
from amad.config.console import track
from amad.config.params import DetectParams
from amad.detect.build_members import build_members
from amad.detect.detector import Detector
from amad.detect.scorer import Scored, Scorer
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.evaluation.method_result import (
    MethodResult,
    lowest_for_unscored,
    over_seeds,
    unit_metrics,
)
from amad.evaluation.summary import PerUnit, by_unit, rounded, summarise
from amad.evaluation.units import Unit, fitting_parts, is_injected, units_of, unlabelled
from amad.windows.series import CALIBRATION, PURGED, TEST, Series
from amad.windows.store import WindowStore

FLOOR, WITH, WITHOUT = "random", "amad_with_network", "amad_without_network"
RANDOM_SEEDS = 5  # the floor is the mean over this many random scores


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
    store: WindowStore, detector: Detector, fleet: Fleet, params: Params, events: pa.Table
) -> Evaluation:
    """Judge the fitted ``detector``, the same without (or with) its network, and the baselines.

    events: of the EVENTS schema, all vehicles; the labels stand in the store.
    """
    timings: dict[str, dict[str, float]] = {}
    methods: dict[str, Scorer] = {"amad": detector}
    train, calibration = fitting_parts(store)
    for name, seed in _rivals(params, other := _other(detector, params.detect)):
        started = time.perf_counter()
        if name in (WITH, WITHOUT):
            method: Scorer = other_form(detector, params.detect)
        else:
            kind = name.partition("#")[0]
            method = make_baseline(kind, params.detect, seed, fleet, store.scaler)
        methods[name] = method.fit(train, calibration)
        timings[name] = {"fit_seconds": time.perf_counter() - started}
    del train, calibration
    results, unscorable = judge(methods, store, fleet, params, events, timings)
    results = _one_floor(results)
    content = summarise(
        results, unscorable, fleet, params, detector="amad", floor=FLOOR,
        with_network=WITH if other == WITH else "amad" if other else None,
        without_network=WITHOUT if other == WITHOUT else "amad" if other else None,
    )  # fmt: skip
    return Evaluation(metrics=content, results=results, timings=timings)


class ScoresSeries(Protocol):
    """Anything that scores series scaled by the store's scaler."""

    def score(self, series: Series) -> Scored:
        """Score each row."""


def per_unit_metrics(
    store: WindowStore, scorer: ScoresSeries, fleet: Fleet, events: pa.Table
) -> PerUnit:
    """Figures by unit of one fitted detector, as in ``metrics.json``: for a champion of old."""
    per_unit, vehicle_of = {}, {}
    for vehicle in track(store.vehicles, "judge one detector, vehicle by vehicle"):
        for unit in units_of(store.scaled(vehicle), fleet, events, store.has_channel(vehicle)):
            if isinstance(unit, Unit):
                score_T = lowest_for_unscored(scorer.score(unit.series).score_T)
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
) -> tuple[dict[str, MethodResult], dict[str, str]]:
    """A result for each fitted method, and the units that cannot be judged, with the reason.

    One vehicle at a time is in memory. ``timings`` gets each method's seconds and rows a second.
    """
    results = {
        name: MethodResult(lookahead_seconds=method.lookahead_rows * fleet.period_seconds)
        for name, method in methods.items()
    }
    unscorable: dict[str, str] = {}
    spent = dict.fromkeys(methods, 0.0)
    scored_rows = dict.fromkeys(methods, 0)
    gap_us = round(params.detect.merge_gap_seconds * 1e6)

    def score(name: str, series: Series) -> Scored:
        started = time.perf_counter()
        scored = methods[name].score(series)
        spent[name] += time.perf_counter() - started
        scored_rows[name] += series.rows
        return scored

    for vehicle in track(store.vehicles, "judge the methods, vehicle by vehicle"):
        whole = store.scaled(vehicle)
        units: list[Unit] = []
        for unit in units_of(whole, fleet, events, store.has_channel(vehicle)):
            if isinstance(unit, Unit):
                units.append(unit)
            else:
                unscorable[unit[0]] = unit[1]
        calibration = unlabelled(whole.part(CALIBRATION))
        test = whole.part(TEST)
        ordinary_T = whole.timestamp_T[(whole.split_T != TEST) & (whole.split_T != PURGED)]
        for name, result in results.items():
            if calibration.rows:
                alarm_T = score(name, calibration).alarm_T
                result.count_alarms(
                    result.calibration, calibration, alarm_T, None, ordinary_T, fleet, gap_us
                )
            # The clean test part is the unit itself, except where cases are copies of it.
            clean = score(name, unlabelled(test)) if test.rows else None
            if clean is not None:
                label_T = None if test.label_T is None else test.label_T > 0
                result.count_alarms(
                    result.normal, test, clean.alarm_T, label_T, test.timestamp_T, fleet, gap_us
                )
            for unit in units:
                scored = score(name, unit.series) if is_injected(fleet) else clean
                assert scored is not None, "a unit lies in the test part"
                result.judge_unit(
                    unit, scored, methods[name].threshold, fleet, gap_us, test.timestamp_T
                )
    for name in methods:
        timings.setdefault(name, {}).update(
            score_seconds=spent[name],
            rows_per_second=scored_rows[name] / spent[name] if spent[name] else 0.0,
        )
    return results, unscorable


def _rivals(params: Params, other: str | None) -> list[tuple[str, int]]:
    """(name, seed) of the methods beside the detector; the floor once a seed, as ``random#i``."""
    names = dict.fromkeys([*([other] if other else []), *params.evaluate.baselines])
    names.pop(FLOOR, None)
    floor = [(f"{FLOOR}#{i}", params.seed + i) for i in range(RANDOM_SEEDS)]
    return [*floor, *((name, params.seed) for name in names)]


def _other(detector: Detector, params: DetectParams) -> str | None:
    """What to judge beside the detector to know the network's share; None where it has none."""
    closed = build_members(params.model_copy(update={"amad_weight": 0.0}))
    if not closed or not any(name.startswith("amad") for name in params.members):
        return None
    if params.amad_weight > 0:
        return WITHOUT
    return WITH if detector.bundle is not None else None


def other_form(detector: Detector, params: DetectParams) -> Detector:
    """The unfitted detector without its network where that votes, with it where it does not."""
    weight = 0.0 if params.amad_weight > 0 else 1.0
    changed = params.model_copy(update={"amad_weight": weight})
    members = build_members(changed, detector.bundle)
    return Detector(members, changed, detector.fleet, detector.scaler)


def _one_floor(results: dict[str, MethodResult]) -> dict[str, MethodResult]:
    """The random results as one: figures averaged by unit, alarms and findings of all seeds."""
    random = [result for name, result in results.items() if name.startswith(f"{FLOOR}#")]
    others = {name: t for name, t in results.items() if not name.startswith(f"{FLOOR}#")}
    floor = over_seeds(random)
    first = next(iter(others))
    return {first: others.pop(first), FLOOR: floor, **others}
