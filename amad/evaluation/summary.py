"""From the results of all methods to ``EvaluationMetrics``: means, intervals over units, floors."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from amad import metrics
from amad.config import Fleet, Params
from amad.evaluation.chance import poisson_interval
from amad.evaluation.evaluation_metrics import (
    DIGITS,
    PRIMARY,
    STRENGTHS,
    EvaluationMetrics,
    FaultFigures,
    Hits,
    IncidentRate,
    Localisation,
    MethodFigures,
    OperatingFigures,
    OperatingFiguresByMethod,
    PointAdjusted,
    StrengthFigures,
)
from amad.evaluation.method_result import Finding, MethodResult, Rate
from amad.evaluation.typed_events import by_type, guessed_types, severity_order
from amad.evaluation.units import is_injected

PerUnit = dict[str, dict[str, float]]  # unit -> metric -> value

SHARES = (1.0, 1.5)  # of the number of culprits: so many channels may be named
WORTHLESS = (
    "One alarm anywhere in an event marks all of it. Where events are long a random score gets "
    "0.8 and more: compare the random row, and quote none of these."
)


def summarise(
    results: Mapping[str, MethodResult],
    unscorable: Mapping[str, str],
    fleet: Fleet,
    params: Params,
    *,
    detector: str,
    floor: str,
    with_network: str | None = None,
    without_network: str | None = None,
) -> EvaluationMetrics:
    """The figures of an evaluation from what each method did.

    Args:
        results: by method, over the same units.
        unscorable: units that cannot be judged, with the reason.
        fleet: says what a unit is.
        params: give the bootstrap, its seed and the alarm budget.
        detector: the method that is judged.
        floor: the method of random scores.
        with_network: the detector with its network; None where it has no other form.
        without_network: the detector without its network; None where it has no other form.
    """
    pooled = {name: by_unit(t.per_unit, t.vehicle, fleet) for name, t in results.items()}
    methods = {
        name: _method(pooled[name], pooled[floor], result, params)
        for name, result in results.items()
    }
    kin = (detector, floor, with_network, without_network)
    rivals = [name for name, own in methods.items() if name not in kin and own.mean]
    points = {name: _operating_point(result, fleet, params) for name, result in results.items()}
    share = None
    if with_network and without_network and pooled[floor]:
        share = differences(pooled[with_network], pooled[without_network], params)
    return EvaluationMetrics(
        fleet=fleet.name,
        unit=fleet.evaluation.unit,
        units=len(pooled[floor]),
        unscorable=dict(sorted(unscorable.items())),
        labels=fleet.labels.kind,
        buffer_rows=fleet.evaluation.buffer_rows,
        confidence=params.evaluate.confidence,
        detector=detector,
        floor=floor,
        best_baseline=max(rivals, key=lambda name: methods[name].mean[PRIMARY], default=None),
        with_network=with_network,
        without_network=without_network,
        methods=methods,
        share_of_amad=share,
        operating_point=OperatingFiguresByMethod(**dict(points[detector]), methods=points),
        localisation=_localisation(results, floor),
        by_fault=_by_fault(results, detector, one_fault_per_unit=is_injected(fleet)),
        severity_order=severity_order(by_type(results[detector].known)),
        guessed_types=guessed_types(by_type(results[detector].known)),
        point_adjusted=_point_adjusted(results),
    )


def rounded(value):
    """JSON-ready: floats to ``DIGITS`` digits, not-a-number as None, numpy as plain values."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [rounded(item) for item in value]
    if isinstance(value, float | np.floating):
        return round(float(value), DIGITS) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def by_unit(per_unit: PerUnit, vehicle_of: Mapping[str, str], fleet: Fleet) -> PerUnit:
    """Figures by what the bootstrap draws: as they are, or cases averaged over their vehicle."""
    if fleet.evaluation.unit == "case":
        return per_unit
    cases: dict[str, list[dict[str, float]]] = {}
    for unit, figures in per_unit.items():
        cases.setdefault(vehicle_of[unit], []).append(figures)
    return {
        vehicle: {m: float(np.mean([f[m] for f in figures])) for m in figures[0]}
        for vehicle, figures in cases.items()
    }


def _method(
    per_unit: PerUnit, floor: PerUnit, result: MethodResult, params: Params
) -> MethodFigures:
    names = sorted(per_unit)
    mean, interval = {}, {}
    for metric in per_unit[names[0]] if names else ():
        values = [per_unit[name][metric] for name in names]
        mean[metric], *ends = bootstrap([values], params)
        interval[metric] = np.clip(ends, 0, 1).tolist()  # as is every metric
    return MethodFigures(
        mean=mean,
        interval=interval,
        spread=result.spread,
        lift=differences(per_unit, floor, params),
        per_unit={name: per_unit[name] for name in names},
        pa_k_curve=np.mean(result.pa_k, axis=0).tolist() if result.pa_k else [],
        rows=result.rows,
        unscored_rows=result.unscored_rows,
    )


def differences(
    ours: PerUnit, theirs: PerUnit, params: Params
) -> dict[str, tuple[float, float, float]]:
    """(mean, low, high) of the paired difference over the units of both, for each metric."""
    found = {}
    for metric in dict.fromkeys(metric for figures in ours.values() for metric in figures):
        a, b = metrics.shared_values(ours, theirs, metric)
        if a:
            found[metric] = bootstrap([np.subtract(a, b)], params)
    return found


def bootstrap(groups: Sequence, params: Params) -> tuple[float, float, float]:
    """Mean over groups of units and its interval, with the resamples and the seed of params."""
    judged = params.evaluate
    return metrics.bootstrap_mean_of_groups(
        groups, judged.bootstrap, judged.confidence, params.seed
    )


def _operating_point(result: MethodResult, fleet: Fleet, params: Params) -> OperatingFigures:
    budget, normal = params.detect.alarm_budget, _rate(result.normal, params)
    # Of alarms at random times: as many as this method raised on normal rows, or as promised; but
    # no more than it may be said to raise.
    rate = min(budget, normal.interval[1]) if normal.interval else budget
    chances = [max(f.chance, -math.expm1(-rate * f.days)) for f in result.truth]
    detection = _detection(result.truth)
    delay = detection["median_delay_seconds"]
    return OperatingFigures(
        **detection,
        alarm_budget=budget,
        calibration=_rate(result.calibration, params),
        normal_test=normal,
        chance_recall=np.mean(chances) if chances else None,
        median_delay_rows=None if delay is None else delay / fleet.period_seconds,
        lookahead_seconds=result.lookahead_seconds,
    )


def _rate(rate: Rate, params: Params) -> IncidentRate:
    low, high = poisson_interval(rate.incidents, params.evaluate.confidence)
    return IncidentRate(
        incidents=rate.incidents,
        vehicle_days=rate.days,
        incidents_per_vehicle_day=rate.value,
        interval=(low / rate.days, high / rate.days) if rate.days > 0 else None,
        alarm_share=rate.alarm_rows / rate.rows if rate.rows else None,
    )


def _localisation(
    results: Mapping[str, MethodResult], floor: str
) -> dict[str, Localisation | Hits]:
    """Hits of each method, and of chance, over the events whose culprits are known."""
    found: dict[str, Localisation | Hits] = {}
    for name, result in results.items():
        known = [f for f in result.known if _culprits(f).any()]
        if known and name != floor:
            found[name] = Localisation(
                **_hits(known),
                events=len(known),
                of_those_found=Hits(**_hits([f for f in known if f.found])),
            )
    if found:
        events = [c for f in results[floor].known if (c := _culprits(f)).any()]
        found["chance"] = Hits(**{
            f"hit_rate_{100 * share:.0f}": np.mean(
                [min(round(share * c.sum()), len(c)) / len(c) for c in events]
            )
            for share in SHARES
        })  # fmt: skip
    return found


def _hits(findings: Sequence[Finding]) -> dict[str, float | None]:
    """HitRate and NDCG of the channels blamed, as means over events."""
    figures: dict[str, float | None] = {}
    for share in SHARES:
        for name, metric in (("hit_rate", metrics.hit_rate_at), ("ndcg", metrics.ndcg_at)):
            values = [metric(_culprits(f), _blame(f), share) for f in findings]
            figures[f"{name}_{100 * share:.0f}"] = float(np.mean(values)) if values else None
    return figures


def _culprits(finding: Finding) -> np.ndarray:
    """1 where a channel is to blame, of the channels that the vehicle has."""
    culprit_C = np.zeros(len(finding.blame_C))
    culprit_C[list(finding.event.channels)] = 1
    return culprit_C[np.isfinite(finding.blame_C)]


def _blame(finding: Finding) -> np.ndarray:
    return finding.blame_C[np.isfinite(finding.blame_C)]


def _by_fault(
    results: Mapping[str, MethodResult], detector: str, *, one_fault_per_unit: bool
) -> dict[str, FaultFigures]:
    """Detection by fault type and by thirds of its strengths, at the threshold.

    Where each unit holds one fault, the primary metric is averaged by type too.
    """
    table = {}
    for fault, own in by_type(results[detector].known).items():
        methods = {}
        for name, result in results.items():
            findings = [f for f in result.known if f.event.type == fault]
            methods[name] = {"event_recall": np.mean([f.found for f in findings])}
            if one_fault_per_unit:
                values = [result.per_unit[f.unit][PRIMARY] for f in findings]
                methods[name][PRIMARY] = np.mean(values)
        table[fault] = FaultFigures(**_detection(own), strengths=_by_strength(own), methods=methods)
    return table


def _detection(findings: Sequence[Finding]) -> dict:
    """The fields of ``Detection``."""
    delays = [f.delay_seconds for f in findings if f.found]
    return {
        "events": len(findings),
        "events_found": len(delays),
        "event_recall": len(delays) / len(findings) if findings else None,
        "median_delay_seconds": np.median(delays) if delays else None,
    }


def _by_strength(findings: Sequence[Finding]) -> dict[str, StrengthFigures]:
    strengths = ((f.event.strength, f) for f in findings if f.event.strength is not None)
    graded = [f for _, f in sorted(strengths, key=lambda pair: pair[0])]
    thirds = np.array_split(np.arange(len(graded)), len(STRENGTHS))
    return {
        name: StrengthFigures(
            **_detection([graded[i] for i in third]),
            strength=(graded[third[0]].event.strength, graded[third[-1]].event.strength),
        )
        for name, third in zip(STRENGTHS, thirds, strict=True)
        if len(third)
    }


def _point_adjusted(results: Mapping[str, MethodResult]) -> PointAdjusted:
    """Only beside random scores, PCA and an untrained network, which show what it is worth."""
    if not {"random", "untrained", "pca"} <= set(results) or not results["random"].point_adjusted:
        return PointAdjusted()
    return PointAdjusted(
        worthless=WORTHLESS,
        mean_f1={
            name: np.mean(list(result.point_adjusted.values())) for name, result in results.items()
        },
    )
