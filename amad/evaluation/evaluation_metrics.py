"""``evaluation/metrics.json``: every figure of an evaluation, as a typed value.

docs/explanation/evaluation.md explains the figures. The file holds no time of day: the same data,
parameters and code give the same bytes.
"""

from typing import Annotated, ClassVar

from pydantic import AfterValidator

from amad.config.wording import count
from amad.telemetry.artifact import Artifact, Entry

DIGITS = 6  # of every figure that is written
PRIMARY = "vus_pr"  # the metric that is compared first
STRENGTHS = ("weak", "medium", "strong")  # thirds of the strengths of one fault type

Figure = Annotated[float, AfterValidator(lambda value: round(float(value), DIGITS))]
Difference = tuple[Figure, Figure, Figure]  # mean, low, high of a paired difference


class MethodFigures(Entry):
    """One method on the test part.

    mean, interval: by metric, over units; the interval is (low, high). spread: standard deviation
    of the mean over seeds, for what is random. lift: paired difference to the floor, by metric.
    per_unit: unit -> metric -> value, None where it has none. pa_k_curve: see
    ``amad.metrics.pa_k_curve``. unscored_rows: how many of ``rows`` got no score.
    """

    mean: dict[str, Figure]
    interval: dict[str, tuple[Figure, Figure]]
    spread: dict[str, Figure] = {}
    lift: dict[str, Difference] = {}
    per_unit: dict[str, dict[str, Figure | None]]
    pa_k_curve: list[Figure] = []
    rows: int = 0
    unscored_rows: int = 0


class IncidentRate(Entry):
    """Incidents on rows that touch no event; the rate is None where there are no such rows.

    interval: of the rate, if the incidents come independently of each other (Poisson). alarm_share:
    share of the rows in no event that are alarms.
    """

    incidents: int
    vehicle_days: Figure
    incidents_per_vehicle_day: Figure | None
    interval: tuple[Figure, Figure] | None
    alarm_share: Figure | None


class Detection(Entry):
    """How many of the known events hold an alarm, and how soon after their start."""

    events: int
    events_found: int
    event_recall: Figure | None
    median_delay_seconds: Figure | None

    @property
    def blind(self) -> bool:
        """Are they missed more often than found?"""
        return 2 * self.events_found < self.events


class OperatingFigures(Detection):
    """What a method does at its threshold.

    alarm_budget: promised incidents per vehicle-day. chance_recall: share of the events that as
    many alarms at random times would find.
    """

    alarm_budget: Figure
    calibration: IncidentRate
    normal_test: IncidentRate
    chance_recall: Figure | None
    median_delay_rows: Figure | None
    lookahead_seconds: Figure


class OperatingFiguresByMethod(OperatingFigures):
    """The detector's operating point, and that of every method."""

    methods: dict[str, OperatingFigures] = {}


class Hits(Entry):
    """How many of the culprit channels are among those blamed most: HitRate and NDCG."""

    hit_rate_100: Figure | None
    hit_rate_150: Figure | None
    ndcg_100: Figure | None = None
    ndcg_150: Figure | None = None


class Localisation(Hits):
    """Hits over all events whose culprits are known, and over those of them that were found."""

    events: int
    of_those_found: Hits


class StrengthFigures(Detection):
    """Detection of a third of a fault type's strengths; ``strength`` is the lowest and highest."""

    strength: tuple[Figure, Figure]


class FaultFigures(Detection):
    """Detection of one fault type: by thirds of its strengths, and by method and metric."""

    strengths: dict[str, StrengthFigures]
    methods: dict[str, dict[str, Figure]]


class SeverityOrder(Entry):
    """Kendall's tau-b of strength and severity, by type and in the mean; empty where unknown.

    An event that was missed has a severity of 0. tau_b_found: of the events that an incident
    touches. best_possible: tau_b if the severity were the strength of all of these, so the rest is
    due to missed events.
    """

    tau_b: Figure | None = None
    tau_b_found: Figure | None = None
    best_possible: Figure | None = None
    by_type: dict[str, Figure] = {}
    events: dict[str, int] = {}


class GuessedTypes(Entry):
    """The type guessed for the events that an incident touches; empty where types are not known.

    confusion: true type -> guessed type -> events. recall: share of a type's events with the right
    guess, see ``amad.incidents.shapes.RIGHT``; mean_recall: over the types.
    """

    mean_recall: Figure | None = None
    recall: dict[str, Figure] = {}
    confusion: dict[str, dict[str, int]] = {}


class PointAdjusted(Entry):
    """Point-adjusted F1 by method, with a warning; empty where it would mislead."""

    worthless: str = ""
    mean_f1: dict[str, Figure] = {}


class Vote(Entry):
    """The network's vote in the score, see ``amad.evaluation.vote``.

    weight: of the vote. measured: it was decided by the rule without labels, on these figures.
    share: what the vote adds to the average precision on injected faults. gain: the share by which
    the network's squared error on held-out rows is below that of its linear skip. Both are None
    where nothing was measured. cases, vehicles: how many faults, in the rows of how many vehicles.
    reason: why the weight is what it is, to follow "the network votes, because".
    """

    weight: Figure
    measured: bool = False
    share: Difference | None = None
    gain: Difference | None = None
    cases: int = 0
    vehicles: int = 0
    reason: str

    @property
    def sentence(self) -> str:
        """The decision and its figures."""
        decision = "the network votes" if self.weight > 0 else "the network has no vote"
        return f"{decision}: {self.reason}"

    @property
    def brief(self) -> str:
        """The decision without figures."""
        if not self.measured:
            return self.sentence
        if self.weight > 0:
            return "the network votes: on injected faults it is proven to help"
        return "the network has no vote: on injected faults it is not proven to help"


class EvaluationMetrics(Artifact):
    """An evaluation of a detector beside floor and baselines.

    detector, floor, best_baseline: names in ``methods``. with_network, without_network: the names
    of the detector's two forms, None where there is one; share_of_amad: their paired difference by
    metric. vote: of the network. detector_digest, data_hash: the detector and the lake that the
    figures are of.
    """

    FILE: ClassVar[str] = "evaluation/metrics.json"
    REMEDY: ClassVar[str] = "run 'amad evaluate'"

    fleet: str
    unit: str
    units: int
    unscorable: dict[str, str]
    labels: str
    buffer_rows: int
    confidence: Figure
    detector: str
    floor: str
    best_baseline: str | None
    with_network: str | None
    without_network: str | None
    methods: dict[str, MethodFigures]
    share_of_amad: dict[str, Difference] | None
    vote: Vote | None = None
    operating_point: OperatingFiguresByMethod
    localisation: dict[str, Localisation | Hits] = {}
    by_fault: dict[str, FaultFigures] = {}
    severity_order: SeverityOrder = SeverityOrder()
    guessed_types: GuessedTypes = GuessedTypes()
    point_adjusted: PointAdjusted = PointAdjusted()
    detector_digest: str = ""
    data_hash: str = ""

    @property
    def ours(self) -> MethodFigures:
        """The figures of the judged detector."""
        return self.methods[self.detector]

    @property
    def units_text(self) -> str:
        """The number of units in words: ``1 vehicle``, ``12 cases``."""
        return count(self.units, self.unit)
