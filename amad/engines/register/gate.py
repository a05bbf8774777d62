"""The promotion gate: may the challenger become the champion?

It must find known faults: more of the test part's events than alarms at random times would. Then
come three comparisons on one metric of the fleet's test part, each a bootstrap of the paired
differences over the fleet's units (vehicles, or injected cases), so that an easy vehicle counts
for both sides: against the random floor (must win), the best baseline (a shortfall is stated, and
refuses where ``gate.require_baseline``) and the present champion, scored anew on
the same data (must win). "Wins" means that the interval's lower bound is above zero. One unit has
no interval and none no value: the quality cannot be judged then, and nothing is promoted. None of
this is waived for a fleet without a champion, or with one that cannot be scored.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from amad.config.params import GateParams
from amad.evaluation.evaluation_metrics import EvaluationMetrics, OperatingPoint
from amad.metrics import paired_bootstrap, shared_values

BY_HAND = (
    "'amad promote VERSION --force --reason TEXT' makes it champion all the same, once you trust it"
)
SEED = 20260105  # of the bootstrap: the same metrics give the same decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Ours against another's on the units both have; the interval is of the mean difference."""

    units: int
    ours: float
    theirs: float
    difference: float
    low: float
    high: float

    @property
    def wins(self) -> bool:
        """Is the whole interval above zero?"""
        return self.low > 0.0

    def text(self, ours: str, theirs: str) -> str:
        """One clause for a person."""
        return (
            f"{ours} {self.ours:.3f}, {theirs} {self.theirs:.3f}, difference "
            f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"
        )


@dataclass(slots=True, kw_only=True)
class Decision:
    """The answer, in words and in figures; both become tags of the model version.

    promote: make it the champion. reasons: sentences, the deciding one last.
    """

    promote: bool = False
    reasons: list[str] = field(default_factory=list)
    figures: dict[str, float | int | str] = field(default_factory=dict)


PerUnit = Mapping[str, Mapping[str, float | None]]  # unit -> metric -> value; None where undefined


def compare(ours: PerUnit, theirs: PerUnit, params: GateParams) -> Comparison | None:
    """Paired bootstrap of ``params.metric`` over the units that both have a value for.

    None where there is no such unit.
    """
    us, them = shared_values(ours, theirs, params.metric)
    if not us:
        return None
    mean, low, high = paired_bootstrap(us, them, params.bootstrap, params.confidence, SEED)
    return Comparison(
        units=len(us),
        ours=sum(us) / len(us),
        theirs=sum(them) / len(them),
        difference=float(mean),
        low=float(low),
        high=float(high),
    )


def decide(
    metrics: EvaluationMetrics,
    champion: PerUnit | None,
    params: GateParams,
    *,
    champion_version: str | None = None,
    champion_problem: str | None = None,
) -> Decision:
    """Judge a challenger by its evaluation.

    metrics: of the challenger. champion: the present champion's per-unit metrics
    on the same data. champion_version: None where there is no champion yet. champion_problem: why
    the champion cannot be scored on the present data; it then cannot defend its place.
    """
    decision = Decision()
    ours, unit, metric = metrics.ours.per_unit, metrics.unit, params.metric
    decision.figures |= {"metric": metric, "confidence": params.confidence}

    floor = compare(ours, metrics.methods[metrics.floor].per_unit, params)
    if floor is None:
        decision.reasons.append(
            f"refused: it cannot be judged, since no {unit} has a value of {metric}; {BY_HAND}"
        )
        return decision
    _note(decision, "floor", floor)
    decision.figures["units"] = floor.units
    decision.reasons.append(
        f"{metric} over {floor.units} {unit}{'s' if floor.units > 1 else ''}: "
        + floor.text("challenger", f"{metrics.floor} floor")
    )
    if floor.units == 1:
        more = (
            "; with evaluation: {unit: case} in the fleet file the injected faults are the units"
            if metrics.labels in ("injected", "none") and unit == "vehicle"
            else ""
        )
        decision.reasons.append(
            f"refused: it cannot be judged, since one {unit} has no interval{more}; {BY_HAND}"
        )
        return decision
    if not floor.wins:
        decision.reasons.append(f"refused: it is not above the floor of random scores; {BY_HAND}")
        return decision
    if not _finds_events(decision, metrics.operating_point):
        return decision
    if not _passes_baseline(decision, metrics, params):
        return decision
    if champion_version is None:
        decision.promote = True
        decision.reasons.append("promoted: the fleet has no champion yet")
        return decision
    decision.figures["champion_version"] = int(champion_version)
    against = None if champion is None else compare(ours, champion, params)
    if against is None:
        problem = champion_problem or f"no {unit} in common"
        decision.promote = True
        decision.figures["champion_problem"] = problem
        decision.reasons.append(
            f"promoted: the champion, version {champion_version}, cannot be scored on the present "
            f"data ({problem}), so it cannot serve either"
        )
        return decision
    _note(decision, "champion", against)
    decision.promote = against.wins
    verdict = "promoted: it beats the champion" if against.wins else "refused: no proven gain on it"
    decision.reasons.append(
        against.text("challenger", f"champion (version {champion_version}, same data)")
    )
    decision.reasons.append(verdict)
    return decision


def _finds_events(decision: Decision, point: OperatingPoint) -> bool:
    """Does it find more of the known events, at its threshold, than alarms at random would?"""
    events, found, chance = point.events, point.events_found, point.chance_recall or 0.0
    if not events:
        decision.reasons.append("the test part holds no known event to be found")
        return True
    decision.figures |= {"events": events, "events_found": found}
    decision.figures["events_by_chance"] = round(chance * events, 3)
    text = (
        f"finds {found} of {events} known event{'s' if events > 1 else ''}; alarms at random "
        f"times would find {chance * events:.2g}"
    )
    if found > chance * events:
        decision.reasons.append(text)
        return True
    decision.reasons.append(f"refused: it {text}; {BY_HAND}")
    return False


def _passes_baseline(decision: Decision, metrics: EvaluationMetrics, params: GateParams) -> bool:
    kin = (metrics.detector, metrics.floor, metrics.with_network, metrics.without_network)
    rivals = {  # metrics.json names the best by its primary metric, which need not be the gate's
        name: compare(metrics.ours.per_unit, method.per_unit, params)
        for name, method in sorted(metrics.methods.items())
        if name not in kin
    }
    known = {name: found for name, found in rivals.items() if found is not None}
    if not known:
        return True
    name, baseline = max(known.items(), key=lambda item: item[1].theirs)
    decision.figures["baseline_name"] = name
    _note(decision, "baseline", baseline)
    text = baseline.text("challenger", f"best baseline ({name})")
    if baseline.wins:
        decision.reasons.append(f"{text}: beats it")
        return True
    if baseline.difference < 0:
        text += f": falls short of it by {-baseline.difference:.3f}"
    else:
        text += ": no proven gain on it"
    decision.reasons.append(text)
    if params.require_baseline and baseline.difference < 0:
        decision.reasons.append("refused: gate.require_baseline is set")
        return False
    return True


def _note(decision: Decision, name: str, comparison: Comparison) -> None:
    decision.figures["challenger"] = round(comparison.ours, 6)
    decision.figures |= {
        name: round(comparison.theirs, 6),
        f"{name}_difference": round(comparison.difference, 6),
        f"{name}_low": round(comparison.low, 6),
        f"{name}_high": round(comparison.high, 6),
    }
