"""What ``amad report`` says that it has made."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Self

from amad.config.wording import count, of_causes, range_of
from amad.report.scoring_run import Coverage, Incident, ScoringRun


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a page shows.

    without_scores: vehicles without a scored row. affected: those with incidents. causes: of
    the incidents, those that are told as one counted once. troubles: findings under Fleet health.
    unscored: why nothing is scored, empty where something is. pages: of single dates that were made
    with it. waiting: scored dates that have no page yet. unread: of each file that the page does
    without, how to mend it.
    """

    fleet: str
    path: Path
    dates: list[date]
    vehicles: int
    without_scores: int
    affected: int
    incidents: int
    causes: int
    troubles: int
    unscored: str
    pages: int = 0
    waiting: int = 0
    unread: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        fleet: str,
        run: ScoringRun,
        coverage: dict[str, Coverage],
        sets: list[list[Incident]],
        troubles: int,
    ) -> Self:
        """The figures of a page that lies nowhere yet. sets: the incidents of each cause."""
        return cls(
            fleet=fleet,
            path=Path(),
            dates=run.dates,
            vehicles=len(coverage),
            without_scores=sum(not item.total.scored for item in coverage.values()),
            affected=len({i.vehicle for own in sets for i in own}),
            incidents=sum(map(len, sets)),
            causes=len(sets),
            troubles=troubles,
            unscored=run.unscored,
        )

    def __str__(self) -> str:
        health = f"{count(self.troubles, 'finding')} under Fleet health, in {self.path}"
        if self.unscored:
            return f"report without scores, since fleet {self.fleet} has no champion; {health}"
        summary = (
            f"report of {range_of(self.dates)}: {of_causes(self.causes, self.incidents)} on "
            f"{self.affected} of {count(self.vehicles, 'vehicle')}"
        )
        if self.without_scores:
            summary += f", {self.without_scores:,} without a score"
        summary += f"; {health}"
        if self.pages:
            summary += f"; {count(self.pages, 'page')} of single dates made"
        if self.waiting:
            summary += f", {self.waiting:,} left for the next 'amad report'"
        return summary
