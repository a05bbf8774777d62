"""The promotion gate: may the challenger become the champion?

It must find more of the test part's known events than alarms at random times would. Then it is
compared on one metric of the test part with three others:

- the random floor: it must win;
- the best baseline: a shortfall is stated, and refuses it where ``gate.require_baseline`` is set;
- the present champion, scored again on the same data: it must win. Where the champion knows nothing
  of a channel that the challenger has learnt, it is enough not to lose.

Each comparison is a bootstrap of the paired differences over the units (vehicles, or injected
cases), so that an easy vehicle counts for both sides. To win means that the lower bound of the
interval is above zero; to lose, that the upper one lies below it. With fewer than two units there
is no interval, so the quality cannot be judged and nothing is promoted. All of this also holds for
a fleet without a champion, or with one that cannot be scored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from amad.config.params import GateParams
from amad.config.wording import count, some
from amad.evaluation.chance import binomial_tail
from amad.evaluation.evaluation_metrics import EvaluationMetrics, OperatingFigures
from amad.metrics import paired_bootstrap, shared_values

BY_HAND = (
    "'amad promote VERSION --force --reason TEXT' makes it champion all the same, once you trust it"
)
FEW = 6  # vehicles; intervals over fewer are wide
CHANCE = 0.05  # what is at least this likely by chance alone may be chance
SEED = 20260105  # of the bootstrap: the same metrics give the same decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Our value and another's on the units both have, and the interval of the mean difference."""

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

    @property
    def loses(self) -> bool:
        """Is the whole interval below zero?"""
        return self.high < 0.0

    def text(self, theirs: str) -> str:
        """One clause for a person. theirs: what the challenger is compared with."""
        return (
            f"challenger {self.ours:.3f}, {theirs} {self.theirs:.3f}, difference "
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

    def end(self, promote: bool, why: str) -> Self:
        """The decision with its deciding reason."""
        self.promote = promote
        self.reasons.append(f"{'promoted' if promote else 'refused'}: {why}")
        return self


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
        low=max(float(low), -1.0),  # two figures between 0 and 1 differ by no more
        high=min(float(high), 1.0),
    )


def decide(
    metrics: EvaluationMetrics,
    champion: PerUnit | None,
    params: GateParams,
    *,
    champion_version: str | None = None,
    champion_problem: str | None = None,
    unknown: Sequence[str] = (),
    remarks: Sequence[str] = (),
    class_of: Callable[[str], str] = lambda _: "all",
) -> Decision:
    """Judge a challenger by its evaluation.

    metrics: of the challenger. champion: the present champion's metrics per unit on the same data.
    champion_version: None where there is no champion yet. champion_problem: why the champion cannot
    be scored on the present data; the challenger then takes its place. unknown: channels that the
    challenger has learnt and the champion not. remarks: sentences on the two, which decide nothing.
    class_of: a unit's class.
    """
    decision = Decision()
    ours, unit = metrics.ours.per_unit, metrics.unit
    decision.figures |= {"metric": params.metric, "confidence": params.confidence}
    if not (
        _beats_floor(decision, metrics, params)
        and _finds_events(decision, metrics.operating_point)
        and _passes_baseline(decision, metrics, params)
    ):
        return decision
    if champion_version is None:
        return decision.end(True, "the fleet had no champion yet")
    decision.figures["champion_version"] = int(champion_version)
    against = None if champion is None else compare(ours, champion, params)
    if against is None:
        problem = champion_problem or f"no {unit} in common"
        decision.figures["champion_problem"] = problem
        decision.reasons += remarks
        why = f"the champion, version {champion_version}, cannot be scored on the present data"
        return decision.end(True, f"{why} ({problem}), so the two are not compared")
    _note(decision, "champion", against)
    decision.reasons.append(against.text(f"champion (version {champion_version}, same data)"))
    decision.reasons += _where(ours, champion or {}, params, unit, class_of)
    decision.reasons += remarks
    if against.wins:
        return decision.end(True, "it beats the champion")
    if against.loses:
        return decision.end(False, "the champion is proven better")
    if unknown:
        more = f"it has learnt {some(unknown)}, of which the champion knows nothing"
        return decision.end(True, f"{more}, and the champion is not proven better")
    return decision.end(False, "no proven gain on the champion")


def _beats_floor(decision: Decision, metrics: EvaluationMetrics, params: GateParams) -> bool:
    """Is it above random scores? With fewer than two units, nobody can tell."""
    unit, metric = metrics.unit, params.metric
    floor = compare(metrics.ours.per_unit, metrics.methods[metrics.floor].per_unit, params)
    if floor is None:
        why = f"it cannot be judged, since no {unit} has a value of {metric}"
        decision.end(False, f"{why}; {BY_HAND}")
        return False
    _note(decision, "floor", floor)
    decision.figures["units"] = floor.units
    decision.reasons.append(
        f"{metric} over {count(floor.units, unit)}, with {params.confidence:.0%} intervals: "
        + floor.text(f"{metrics.floor} floor")
    )
    more = ""
    if floor.units < FEW and metrics.labels in ("injected", "none") and unit == "vehicle":
        more = "; with evaluation: {unit: case} in the fleet file the injected faults are the units"
    if floor.units == 1:
        why = f"it cannot be judged, since one {unit} has no interval"
        decision.end(False, f"{why}{more}; {BY_HAND}")
    elif not floor.wins:
        decision.end(False, f"it is not above the floor of random scores{more}; {BY_HAND}")
    return floor.units > 1 and floor.wins


def _finds_events(decision: Decision, point: OperatingFigures) -> bool:
    """Does it find more of the known events, at its threshold, than alarms at random would?"""
    events, found, chance = point.events, point.events_found, point.chance_recall or 0.0
    if not events:
        decision.reasons.append("the test part holds no known event to be found")
        return True
    decision.figures |= {"events": events, "events_found": found}
    decision.figures["events_by_chance"] = round(chance * events, 3)
    text = (
        f"finds {found} of {count(events, 'known event')}; alarms at random times would find "
        f"{chance * events:.2g}"
    )
    if found > chance * events:
        if binomial_tail(found, events, chance) >= CHANCE:
            text += ", so that may be chance"
        decision.reasons.append(text)
        return True
    decision.end(False, f"it {text}; {BY_HAND}")
    return False


def _passes_baseline(decision: Decision, metrics: EvaluationMetrics, params: GateParams) -> bool:
    """Does nothing about the best baseline, by the metric of the gate, refuse it?"""
    kin = (metrics.detector, metrics.floor, metrics.with_network, metrics.without_network)
    rivals = {
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
    result = "no proven gain on it"
    if baseline.wins:
        result = "beats it"
    elif baseline.difference < 0:
        result = f"falls short of it by {-baseline.difference:.3f}"
        result += ", which may be chance" if baseline.high >= 0 else ""
    text = baseline.text(f"best baseline ({name})")
    decision.reasons.append(f"{text}: {result}")
    if params.require_baseline and baseline.difference < 0:
        decision.end(False, "gate.require_baseline is set")
        return False
    return True


def _where(
    ours: PerUnit, theirs: PerUnit, params: GateParams, unit: str, class_of: Callable[[str], str]
) -> list[str]:
    """On how many units the challenger is better, where it loses most, and the gain by class.

    It decides nothing: a mean may hide that one class has become worse.
    """
    gains = {}
    for name in sorted(set(ours) & set(theirs)):
        us, them = shared_values({name: ours[name]}, {name: theirs[name]}, params.metric)
        if us:
            gains[name] = us[0] - them[0]
    better, worse = (sum(sign * gain > 0 for gain in gains.values()) for sign in (1, -1))
    told = f"better on {better} of {count(len(gains), unit)}, worse on {worse}"
    if not better and not worse:
        told = f"equal on each of {count(len(gains), unit)}"
    if worse:
        name = min(gains, key=lambda name: gains[name])
        told += f", most on {name} ({gains[name]:+.3f})"
    parts = []
    for vehicle_class in sorted({class_of(name) for name in gains}):
        own = {name: ours[name] for name in gains if class_of(name) == vehicle_class}
        part = compare(own, theirs, params)
        assert part is not None, "a class has a unit with a gain"
        ends = f" [{part.low:+.3f}, {part.high:+.3f}]" if part.units > 1 else ""
        parts.append(f"{vehicle_class} {part.difference:+.3f}{ends} on {count(part.units, unit)}")
    return [told, *([f"difference by class: {', '.join(parts)}"] if len(parts) > 1 else [])]


def _note(decision: Decision, name: str, comparison: Comparison) -> None:
    decision.figures["challenger"] = round(comparison.ours, 6)
    decision.figures |= {
        name: round(comparison.theirs, 6),
        f"{name}_difference": round(comparison.difference, 6),
        f"{name}_low": round(comparison.low, 6),
        f"{name}_high": round(comparison.high, 6),
    }
