"""From the results of jobs to the figures of the report.

docs/reference/benchmark.md explains every key.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from amad import metrics
from amad.config import Fleet, Params
from amad.evaluation import summary
from amad.evaluation.harness import WITH, WITHOUT
from amad.evaluation.method_result import PRIMARY, MethodResult, over_seeds
from amad.evaluation.summary import STRENGTHS, PerUnit, by_unit, summarise
from bench.quality.methods import FLOOR
from bench.quality.records import joined

RELATION_TYPES = ("decoupling", "delay", "stuck")  # faults in how channels go together
RELATION = "relation"
AGAINST = ("linear", "linear_kmeans", WITHOUT, WITH, "amad")
Results = Mapping[str, Sequence[Sequence[dict]]]  # method -> seed -> part of the units -> result


def form_figures(results: Results, fleet: Fleet, params: Params, *, one_fault: bool) -> dict:
    """Everything about one fleet under one protocol in one form.

    results: of the floor and the methods that did not fail. one_fault: each unit holds one fault.
    Returns {"unit", "units", "unscorable", "methods", "share_of_amad"}.
    """
    by_method = {name: _seeds(parts, "whole") for name, parts in results.items()}
    only = {name: _seeds(parts, "alone") for name, parts in results.items() if _has(parts, "alone")}
    unscorable: dict[str, str] = {}
    for part in results[FLOOR][0]:
        unscorable |= part["whole"]["unscorable"]
    content = {
        name: _method(name, result, by_method[FLOOR], unscorable, fleet, params, one_fault)
        for name, result in by_method.items()
    }
    for name, result in only.items():
        whole = _method(name, result, by_method[FLOOR], unscorable, fleet, params, one_fault)
        kept = ("mean", "interval", "spread", "lift", "per_unit", RELATION, "per_unit_relation")
        content[name]["alone"] = {key: whole[key] for key in kept if key in whole}
        content[name]["alone"] |= _costs(results[name], "alone")
    for name, own in content.items():
        own |= _costs(results[name], "whole")
        own["difference"] = {
            other: differences(own, content[other], params)
            for other in AGAINST
            if other in content and other != name
        }
        if "alone" in own and name != WITH and "alone" in content.get(WITH, {}):
            theirs = content[WITH]["alone"]
            own["alone"]["difference"] = {WITH: differences(own["alone"], theirs, params)}
    share = content[WITH]["difference"].get(WITHOUT) if WITH in content else None
    return {
        "unit": fleet.evaluation.unit,
        "units": len(content[FLOOR]["per_unit"]),
        "unscorable": dict(sorted(unscorable.items())),
        "methods": content,
        "share_of_amad": share,
    }


def differences(ours: dict, theirs: dict, params: Params) -> dict[str, list[float]]:
    """[mean, low, high] of the paired difference over the bootstrap's units, by metric."""
    relation = [
        {unit: {RELATION: value} for unit, value in m.get("per_unit_relation", {}).items()}
        for m in (ours, theirs)
    ]
    return summary.differences(ours["per_unit"], theirs["per_unit"], params) | (
        summary.differences(*relation, params)
    )


def mean_of_fleets(figures: Mapping[str, dict], params: Params) -> dict:
    """Protocol -> form -> method -> the mean over fleets, of those that have them all.

    figures: by fleet, each protocol -> form -> ``form_figures``. The bootstrap draws units within
    each fleet; every fleet weighs the same.
    """
    table: dict = {}
    places = {(p, f) for fleet in figures.values() for p, forms in fleet.items() for f in forms}
    for protocol, form in sorted(places):
        cells = {
            name: fleet[protocol][form]["methods"]
            for name, fleet in sorted(figures.items())
            if form in fleet.get(protocol, {}) and fleet[protocol][form]["units"]
        }
        if not cells:
            continue
        shared = set.intersection(*(set(methods) for methods in cells.values()))
        rows = {}
        for method in sorted(shared):
            own = {fleet: methods[method] for fleet, methods in cells.items()}
            rows[method] = {
                PRIMARY: _over_fleets(own, None, params),
                RELATION: _over_fleets(own, None, params, relation=True),
                "difference": {
                    other: {
                        PRIMARY: _over_fleets(own, {f: m[other] for f, m in cells.items()}, params),
                        RELATION: _over_fleets(
                            own, {f: m[other] for f, m in cells.items()}, params, relation=True
                        ),
                    }
                    for other in AGAINST
                    if other in shared and other != method
                },
            }
        left = sorted({m for methods in cells.values() for m in methods} - shared)
        table.setdefault(protocol, {})[form] = {
            "fleets": list(cells), "methods": rows, "not_in_all_fleets": left,
        }  # fmt: skip
    return table


def _seeds(parts_by_seed: Sequence[Sequence[dict]], key: str) -> MethodResult:
    return over_seeds(
        [joined([part[key]["method_result"] for part in parts]) for parts in parts_by_seed]
    )


def _has(parts_by_seed: Sequence[Sequence[dict]], key: str) -> bool:
    return all(key in part for parts in parts_by_seed for part in parts)


def _method(
    name: str, result: MethodResult, floor: MethodResult, unscorable: dict[str, str], fleet: Fleet,
    params: Params, one_fault: bool,
) -> dict:  # fmt: skip
    by_method = {name: result, FLOOR: floor}
    whole = summarise(
        by_method,
        unscorable,
        fleet,
        params,
        detector=name,
        floor=FLOOR,
        with_network=name,
        without_network=name,
    )
    point = whole["operating_point"]
    point.pop("methods")
    own = whole["methods"][name] | {
        "operating_point": point,
        "localisation": whole["localisation"].get(name),
        "severity_order": whole["severity_order"],
        "by_fault": {
            kind: figures | figures.pop("methods")[name]
            for kind, figures in whole["by_fault"].items()
        },
    }
    if one_fault:
        own["by_strength"] = _by_strength(result)
        own["per_unit_relation"] = per_unit = _relation(result, fleet)
        if per_unit:
            values = [per_unit[unit] for unit in sorted(per_unit)]
            own[RELATION] = _mean(values, params)
    return own


def _by_strength(result: MethodResult) -> dict[str, float]:
    """Mean VUS-PR of the weak, medium and strong third of each type's faults, types alike."""
    thirds: dict[str, list[float]] = {name: [] for name in STRENGTHS}
    for cases in _cases(result).values():
        ordered = [value for _, value, _ in sorted(cases)]
        for name, third in zip(STRENGTHS, np.array_split(ordered, len(STRENGTHS)), strict=True):
            if len(third):
                thirds[name].append(float(np.mean(third)))
    return {name: float(np.mean(values)) for name, values in thirds.items() if values}


def _relation(result: MethodResult, fleet: Fleet) -> dict[str, float]:
    """VUS-PR of each unit of the bootstrap: mean over the relation types that it has."""
    per_unit: PerUnit = {}
    for kind in RELATION_TYPES:
        cases = {unit: {PRIMARY: value} for _, value, unit in _cases(result).get(kind, ())}
        for unit, figures in by_unit(cases, result.vehicle, fleet).items():
            per_unit.setdefault(unit, {})[kind] = figures[PRIMARY]
    return {unit: float(np.mean(list(kinds.values()))) for unit, kinds in per_unit.items()}


def _cases(result: MethodResult) -> dict[str, list[tuple[float, float, str]]]:
    """(strength, VUS-PR, unit) of each injected case, by type; a case counts once for all seeds."""
    cases: dict[str, dict[str, tuple[float, float, str]]] = {}
    for found in result.known:
        event, unit = found.event, found.unit
        value = result.per_unit[unit][PRIMARY]
        cases.setdefault(event.type, {})[unit] = (event.strength, value, unit)
    return {kind: list(own.values()) for kind, own in cases.items()}


def _costs(parts_by_seed: Sequence[Sequence[dict]], key: str) -> dict:
    """Means over seeds; seconds of the two halves of ``unseen`` are added up."""
    seeds = [[part[key] for part in parts] for parts in parts_by_seed]
    sums = {
        cost: float(np.mean([sum(part[cost] for part in parts) for parts in seeds]))
        for cost in ("fit_seconds", "train_seconds")
    }
    means = {
        cost: float(np.mean([part[cost] for parts in seeds for part in parts]))
        for cost in ("rows_per_second", "parameters")
    }
    return sums | means | {"seeds": len(seeds)}


def _mean(values: Sequence[float], params: Params) -> list[float]:
    judged = params.evaluate
    return list(metrics.bootstrap_mean(values, judged.bootstrap, judged.confidence, params.seed))


def _over_fleets(
    ours: Mapping[str, dict], theirs: Mapping[str, dict] | None, params: Params, *,
    relation: bool = False,
) -> list[float] | None:  # fmt: skip
    """[mean, low, high] over fleets of a figure, or of its paired difference to ``theirs``."""
    rng = np.random.default_rng(params.seed)
    point, draws = [], []
    for fleet, method in ours.items():
        own = _values(method, relation)
        if theirs is not None:
            others = _values(theirs[fleet], relation)
            own = {unit: own[unit] - others[unit] for unit in own if unit in others}
        if not own:
            continue
        values = np.array([own[unit] for unit in sorted(own)])
        drawn = rng.integers(0, len(values), (params.evaluate.bootstrap, len(values)))
        point.append(values.mean())
        draws.append(values[drawn].mean(axis=1))
    if not point:
        return None
    tail = (1 - params.evaluate.confidence) / 2
    low, high = np.quantile(np.mean(draws, axis=0), [tail, 1 - tail])
    return [float(np.mean(point)), float(low), float(high)]


def _values(method: dict, relation: bool) -> dict[str, float]:
    if relation:
        return method.get("per_unit_relation", {})
    return {unit: figures[PRIMARY] for unit, figures in method["per_unit"].items()}
