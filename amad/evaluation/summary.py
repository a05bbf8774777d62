"""From results to ``metrics.json``: means, intervals over units, floors, and no wall clock."""

import math
from collections.abc import Mapping

import numpy as np

from amad import metrics
from amad.config import Fleet, Params
from amad.evaluation.method_result import PRIMARY, Finding, MethodResult, Rate
from amad.evaluation.units import is_injected

PerUnit = dict[str, dict[str, float]]  # unit -> metric -> value

DIGITS = 6  # of every figure written
STRENGTHS = ("weak", "medium", "strong")  # thirds of the strengths of one fault type
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
    with_network: str,
    without_network: str,
) -> dict:
    """The content of ``metrics.json``; see docs/explanation/evaluation.md for its keys.

    detector, floor: names in ``results``, of the detector that is judged and of the random floor.
    with_network, without_network: of the same detector in both forms, one of which is the judged
    one; the same name twice where there is no other form.
    """
    pooled = {name: by_unit(t.per_unit, t.vehicle, fleet) for name, t in results.items()}
    units = sorted(pooled[floor])
    methods = {
        name: _method(pooled[name], pooled[floor], results[name], params) for name in results
    }
    rivals = [
        name for name in methods if name not in (detector, floor, with_network, without_network)
    ]
    best = None
    if units and rivals:
        best = max(rivals, key=lambda name: methods[name]["mean"][PRIMARY])
    content = {
        "fleet": fleet.name,
        "unit": fleet.evaluation.unit,
        "units": len(units),
        "unscorable": dict(sorted(unscorable.items())),
        "labels": fleet.labels.kind,
        "buffer_rows": fleet.evaluation.buffer_rows,
        "confidence": params.evaluate.confidence,
        "detector": detector,
        "floor": floor,
        "best_baseline": best,
        "with_network": with_network if with_network != without_network else None,
        "without_network": without_network if with_network != without_network else None,
        "methods": methods,
        "share_of_amad": None,
        "operating_point": {
            **_operating_point(results[detector], fleet, params),
            "methods": {
                name: _operating_point(result, fleet, params) for name, result in results.items()
            },
        },
        "localisation": _localisation(results, floor),
        "by_fault": _by_fault(results, detector, one_fault_per_unit=is_injected(fleet)),
        "severity_order": _severity_order(results[detector].known),
        "point_adjusted": _point_adjusted(results),
    }
    if units and with_network != without_network:
        both = pooled[with_network], pooled[without_network]
        content["share_of_amad"] = differences(*both, params)
    return rounded(content)


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


def _method(per_unit: PerUnit, floor: PerUnit, result: MethodResult, params: Params) -> dict:
    names = sorted(per_unit)
    mean, interval = {}, {}
    for metric in per_unit[names[0]] if names else ():
        mean[metric], low, high = metrics.bootstrap_mean(
            [per_unit[name][metric] for name in names],
            params.evaluate.bootstrap,
            params.evaluate.confidence,
            params.seed,
        )
        interval[metric] = [low, high]
    return {
        "mean": mean,
        "interval": interval,
        "spread": result.spread,
        "lift": differences(per_unit, floor, params),
        "per_unit": {name: per_unit[name] for name in names},
        "pa_k_curve": np.mean(result.pa_k, axis=0) if result.pa_k else [],
        "rows": result.rows,
        "unscored_rows": result.unscored_rows,
    }


def differences(ours: PerUnit, theirs: PerUnit, params: Params) -> dict[str, list[float]]:
    """[mean, low, high] of the paired difference over the units of both, for each metric."""
    judged, found = params.evaluate, {}
    for metric in next(iter(ours.values())) if set(ours) & set(theirs) else ():
        a, b = metrics.shared_values(ours, theirs, metric)
        found[metric] = list(
            metrics.paired_bootstrap(a, b, judged.bootstrap, judged.confidence, params.seed)
        )
    return found


def _operating_point(result: MethodResult, fleet: Fleet, params: Params) -> dict:
    delays = [f.delay_seconds for f in result.truth if f.found]
    # Of alarms at random times: as many as this method raised on normal rows, or as promised.
    budget = params.detect.alarm_budget
    chances = [max(f.chance, -math.expm1(-budget * f.days)) for f in result.truth]
    return {
        "alarm_budget": budget,
        "calibration": _rate(result.calibration),
        "normal_test": _rate(result.normal),
        "events": len(result.truth),
        "events_found": len(delays),
        "event_recall": len(delays) / len(result.truth) if result.truth else None,
        "chance_recall": np.mean(chances) if chances else None,
        "median_delay_seconds": float(np.median(delays)) if delays else None,
        "median_delay_rows": float(np.median(delays)) / fleet.period_seconds if delays else None,
        "lookahead_seconds": result.lookahead_seconds,
    }


def _rate(rate: Rate) -> dict:
    return {
        "incidents": rate.incidents,
        "vehicle_days": rate.days,
        "incidents_per_vehicle_day": rate.value,
    }


def _localisation(results: Mapping[str, MethodResult], floor: str) -> dict:
    """HitRate and NDCG of the channels blamed, over events whose culprits are known."""
    found = {}
    for name, result in results.items():
        if name == floor:
            continue
        known = [f for f in result.known if _culprits(f).any()]
        if known:
            found[name] = {
                "events": len(known),
                **_hits([(_culprits(f), _blame(f)) for f in known]),
                "of_those_found": _hits([(_culprits(f), _blame(f)) for f in known if f.found]),
            }
    if found:
        events = [_culprits(f) for f in results[floor].known if _culprits(f).any()]
        found["chance"] = {
            f"hit_rate_{int(100 * share)}": np.mean(
                [min(round(share * c.sum()), len(c)) / len(c) for c in events]
            )
            for share in (1.0, 1.5)
        }
    return found


def _hits(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict:
    figures = {}
    for share in (1.0, 1.5):
        for name, metric in (("hit_rate", metrics.hit_rate_at), ("ndcg", metrics.ndcg_at)):
            values = [metric(culprit, blame, share) for culprit, blame in pairs]
            figures[f"{name}_{int(100 * share)}"] = np.mean(values) if values else None
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
) -> dict:
    """Detection by fault type and by thirds of its strengths, at the threshold.

    Where each unit holds one fault, the primary metric is averaged by type too.
    """
    table = {}
    known = results[detector].known
    for kind in sorted({f.event.type for f in known if f.event.type}):
        own = [f for f in known if f.event.type == kind]
        table[kind] = _detection(own) | {
            "strengths": _by_strength(own),
            "methods": {
                name: _of_kind(result, kind, one_fault_per_unit) for name, result in results.items()
            },
        }
    return table


def _of_kind(result: MethodResult, kind: str, one_fault_per_unit: bool) -> dict:
    own = [f for f in result.known if f.event.type == kind]
    found = {"event_recall": np.mean([f.found for f in own])}
    if one_fault_per_unit:
        found[PRIMARY] = np.mean([result.per_unit[f.unit][PRIMARY] for f in own])
    return found


def _detection(findings: list[Finding]) -> dict:
    delays = [f.delay_seconds for f in findings if f.found]
    return {
        "events": len(findings),
        "events_found": len(delays),
        "event_recall": len(delays) / len(findings),
        "median_delay_seconds": float(np.median(delays)) if delays else None,
    }


def _by_strength(findings: list[Finding]) -> dict:
    strengths = ((f.event.strength, f) for f in findings if f.event.strength is not None)
    graded = [f for _, f in sorted(strengths, key=lambda pair: pair[0])]
    thirds = np.array_split(np.arange(len(graded)), len(STRENGTHS))
    return {
        name: _detection([graded[i] for i in third])
        | {"strength": [graded[third[0]].event.strength, graded[third[-1]].event.strength]}
        for name, third in zip(STRENGTHS, thirds, strict=True)
        if len(third)
    }


def _severity_order(findings: list[Finding]) -> dict:
    """Kendall's tau-b of strength and severity within each type, and their mean by events.

    Strengths of different types are not comparable, so no tau is taken across types.
    """
    by_type, weight = {}, {}
    for kind in sorted({f.event.type for f in findings if f.event.type}):
        own = [f for f in findings if f.event.type == kind and f.event.strength is not None]
        if len(own) >= 3:
            tau = metrics.kendall_tau_b([f.event.strength for f in own], [f.severity for f in own])
            if np.isfinite(tau):
                by_type[kind], weight[kind] = tau, len(own)
    if not by_type:
        return {}
    kinds = list(by_type)
    mean = np.average([by_type[k] for k in kinds], weights=[weight[k] for k in kinds])
    return {"tau_b": mean, "by_type": by_type, "events": weight}


def _point_adjusted(results: Mapping[str, MethodResult]) -> dict:
    """Never without random, PCA and an untrained network: left out where they were not run."""
    if not {"random", "untrained", "pca"} <= set(results) or not results["random"].point_adjusted:
        return {}
    return {
        "worthless": WORTHLESS,
        "mean_f1": {
            name: np.mean(list(result.point_adjusted.values())) for name, result in results.items()
        },
    }
