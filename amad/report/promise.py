"""Promise against achieved: incidents per vehicle-day of this run beside the alarm budget."""

from dataclasses import dataclass
from datetime import date

from amad.config import number_text as text
from amad.config.wording import count, range_of
from amad.evaluation.chance import poisson_interval, poisson_tail
from amad.evaluation.evaluation_metrics import EvaluationMetrics
from amad.notify.published import Window
from amad.report.scoring_run import Coverage, Incident, ScoringRun
from amad.report.since_last import PublishedDates

CONFIDENCE = 0.95
CHANCE = 0.05  # a count at least this likely by chance alone counts as chance
FLOOD = 5.0  # times the promised incidents; faults do not explain more than that


@dataclass(frozen=True, kw_only=True)
class Achieved:
    """Incidents of some vehicle-days. verdict: ``good``, ``fair``, ``poor`` or ``unknown``."""

    name: str
    incidents: int
    days: float
    promised: float | None

    @property
    def rate(self) -> float:
        """Incidents per vehicle-day."""
        return self.incidents / self.days

    @property
    def interval(self) -> tuple[float, float]:
        """Of the rate, if incidents come independently of each other."""
        low, high = poisson_interval(self.incidents, CONFIDENCE)
        return low / self.days, high / self.days

    @property
    def verdict(self) -> str:
        """Whether there are more incidents than promised, beyond chance."""
        if self.promised is None:
            return "unknown"
        if poisson_tail(self.incidents, self.promised * self.days) >= CHANCE:
            return "good"
        return "poor" if self.rate > FLOOD * self.promised else "fair"

    @property
    def by_chance(self) -> bool:
        """Whether there are more than promised, but no more than chance explains."""
        return self.verdict == "good" and self.rate > (self.promised or 0)

    @property
    def said(self) -> str:
        """The verdict in words."""
        return {
            "good": "more, which may be chance" if self.by_chance else "as promised",
            "fair": "more than promised",
            "poor": f"over {FLOOD:g} times the promise",
            "unknown": "what is promised is unknown",
        }[self.verdict]


def of_run(
    run: ScoringRun,
    incidents: list[Incident],
    coverage: dict[str, Coverage],
    metrics: EvaluationMetrics | None,
) -> Achieved | None:
    """What this run achieved; None where no row of it has a score."""
    days = sum(
        len({us // text.DAY for us, cell in c.cells.items() if cell.scored})
        for c in coverage.values()
    )
    if not days:
        return None
    promised = metrics.operating_point.alarm_budget if metrics else None
    if run.job is not None and run.job.alarm_budget is not None:
        promised = run.job.alarm_budget
    name = range_of(run.dates)
    return Achieved(name=name, incidents=len(incidents), days=days, promised=promised)


def table(
    own: Achieved | None,
    dates: list[date],
    window: Window | None,
    published: PublishedDates,
    metrics: EvaluationMetrics | None,
) -> list[Achieved]:
    """This run, the dates that the window of the notices holds, and normal rows of the test part.

    dates: of this run. metrics: of the version that scored; None where there are none of it.
    """
    found = [own] if own is not None else []
    promised = own.promised if own else None
    if window is not None and not set(window.dates) <= set(dates):
        manifests = [published.current(day) for day in window.dates]
        days = sum(item.vehicle_days - len(item.quarantined) for item in manifests)
        if days:
            name = f"The newest {count(len(window.dates), 'scored date')}"
            found.append(
                Achieved(name=name, incidents=len(window.incidents), days=days, promised=promised)
            )
    normal = metrics.operating_point.normal_test if metrics else None
    if metrics is not None and normal is not None and normal.vehicle_days:
        found.append(
            Achieved(
                name="Normal rows of the test part",
                incidents=normal.incidents,
                days=normal.vehicle_days,
                promised=metrics.operating_point.alarm_budget,
            )
        )
    return found
