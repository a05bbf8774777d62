"""The figures of the report, from the results of the jobs.

docs/reference/benchmark.md explains every key.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from amad import metrics
from amad.config import Fleet, Params
from amad.evaluation.evaluation_metrics import PRIMARY
from amad.evaluation.harness import WITH, WITHOUT
from amad.evaluation.method_result import MethodResult, over_seeds
from amad.evaluation.summary import PerUnit, bootstrap, by_unit, differences, summarise
from bench.quality.methods import DETECTOR, FLOOR
from bench.quality.records import joined

RELATION_TYPES = ("decoupling", "delay", "stuck")  # faults in how channels go together
RELATION = "relation"  # the mean of VUS-PR over these types, a metric beside the others
AGAINST = ("linear", "linear_kmeans", WITHOUT, WITH, DETECTOR)
Results = Mapping[str, Sequence[Sequence[dict]]]  # method -> seed -> part of the units -> result


def form_figures(results: Results, fleet: Fleet, params: Params, *, one_fault: bool) -> dict:
    """The report on one fleet under one protocol in one form.

    results: of the floor and the methods that did not fail. one_fault: does each unit hold one
    fault? Returns {"unit", "units", "unscorable", "methods", "share_of_amad"}.
    """
    unscorable: dict[str, str] = {}
    for part in results[FLOOR][0]:
        unscorable |= part["unscorable"]
    floor, content = _over_seeds(results[FLOOR]), {}
    for name, parts in results.items():
        own = _method(name, _over_seeds(parts), floor, fleet, params, one_fault)
        content[name] = own | _costs(parts)
        if votes := [part["vote"] for seed in parts for part in seed if part["vote"]]:
            content[name]["votes"] = votes  # one per seed, and per half of ``unseen``
    for name, own in content.items():
        own["difference"] = {
            other: differences(own["per_unit"], content[other]["per_unit"], params)
            for other in AGAINST
            if other in content and other != name
        }
    share = content[WITH]["difference"].get(WITHOUT) if WITH in content else None
    return {
        "unit": fleet.evaluation.unit,
        "units": len(content[FLOOR]["per_unit"]),
        "unscorable": dict(sorted(unscorable.items())),
        "methods": content,
        "share_of_amad": share,
    }


def _over_seeds(parts_by_seed: Sequence[Sequence[dict]]) -> MethodResult:
    """The result of one method on all units over all seeds."""
    return over_seeds([joined([p["method_result"] for p in parts]) for parts in parts_by_seed])


def _method(
    name: str, result: MethodResult, floor: MethodResult, fleet: Fleet, params: Params,
    one_fault: bool,
) -> dict:  # fmt: skip
    found = summarise(
        {name: result, FLOOR: floor}, {}, fleet, params, detector=name, floor=FLOOR
    )  # fmt: skip
    localisation = found.localisation.get(name)
    figures = found.ours.model_dump(mode="json", exclude={"lift", "per_unit"}) | {
        "per_unit": {unit: {PRIMARY: own[PRIMARY]} for unit, own in found.ours.per_unit.items()},
        "operating_point": found.operating_point.methods[name].model_dump(
            mode="json", exclude={"calibration": True, "normal_test": {"alarm_share"}}
        ),
        "localisation": localisation and localisation.model_dump(exclude={"of_those_found"}),
        "severity_order": found.severity_order.tau_b,
        "severity_order_found": found.severity_order.tau_b_found,
        "severity_order_best": found.severity_order.best_possible,
        "guessed_types": found.guessed_types.model_dump(mode="json", include={"mean_recall"}),
        "by_fault": {
            kind: fault.methods[name] | {
                "events": fault.events,
                "strengths": {key: third.event_recall for key, third in fault.strengths.items()},
            }
            for kind, fault in found.by_fault.items()
        },
    }  # fmt: skip
    if one_fault and (relation := _relation(result, fleet)):
        for unit, value in relation.items():
            figures["per_unit"][unit][RELATION] = value
        values = [relation[unit] for unit in sorted(relation)]
        figures[RELATION] = bootstrap([values], params)
    return figures


def _relation(result: MethodResult, fleet: Fleet) -> dict[str, float]:
    """VUS-PR of each unit of the bootstrap, as the mean over the relation types that it has."""
    per_unit: PerUnit = {}
    for kind in RELATION_TYPES:
        cases = {  # each once, not per seed
            found.unit: {PRIMARY: result.per_unit[found.unit][PRIMARY]}
            for found in result.known
            if found.event.type == kind
        }
        for unit, figures in by_unit(cases, result.vehicle, fleet).items():
            per_unit.setdefault(unit, {})[kind] = figures[PRIMARY]
    return {unit: float(np.mean(list(kinds.values()))) for unit, kinds in per_unit.items()}


def _costs(parts_by_seed: Sequence[Sequence[dict]]) -> dict:
    """Costs as means over seeds; the seconds of the two halves of ``unseen`` are added up."""
    sums = {
        cost: float(np.mean([sum(part[cost] for part in parts) for parts in parts_by_seed]))
        for cost in ("fit_seconds", "train_seconds")
    }
    means = {
        cost: float(np.mean([part[cost] for parts in parts_by_seed for part in parts]))
        for cost in ("rows_per_second", "parameters")
    }
    return sums | means | {"seeds": len(parts_by_seed)}


def over_fleets(
    ours: Sequence[PerUnit], theirs: Sequence[PerUnit] | None, params: Params
) -> tuple[float, float, float] | None:
    """(mean, low, high) over fleets of ``PRIMARY``, or of its paired difference to ``theirs``."""
    if theirs is None:
        groups = [metrics.shared_values(own, own, PRIMARY)[0] for own in ours]
    else:
        pairs = zip(ours, theirs, strict=True)
        groups = [np.subtract(*metrics.shared_values(*pair, PRIMARY)) for pair in pairs]
    groups = [group for group in groups if len(group)]
    return bootstrap(groups, params) if groups else None
