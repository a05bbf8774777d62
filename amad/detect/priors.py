"""What short histories are moved towards: the figures that the vehicles of a class have in common.

Priors live while a detector is fitted. Nothing is scored with them: what they gave is in the
figures of the vehicles.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from amad.detect import constant_channels as constant
from amad.detect.learnt_figures import (
    OWN_ROWS,
    PRIOR,
    SHORT_ROWS,
    LearntFigures,
    Prior,
    long_histories,
    pooled,
    prior_rows,
)
from amad.detect.members.member import Member
from amad.detect.pauses import runs_of_equal
from amad.windows.scaler import Scaler
from amad.windows.series import Part, Series
from amad.windows.short_history import LONG_ROWS


class Priors:
    """The priors of the classes of a fleet, those that short histories ask for.

    known: by owner of their figures.
    """

    def __init__(
        self,
        train: Sequence[Part],
        members: Sequence[Member],
        fit: Callable[[str, list[Series]], LearntFigures],
        scaler: Scaler,
    ) -> None:
        """fit: fits the figures of an owner. scaler: it knows how many rows are a long history."""
        self.train, self.members, self.fit = train, members, fit
        self.long_rows = scaler.long_rows
        self.known: dict[str, Prior] = {}
        self._long: dict[str | None, list[Part]] = {}  # by class; None: of the whole fleet

    def prepare(self, part: Part) -> None:
        """Make the prior that ``of`` will be asked for, if it is not there yet."""
        if (name := self._name(part)) is not None and name not in self.known:
            vehicle_class = name.removeprefix(PRIOR) or None
            self.known[name] = self._made(name, pooled(self._long[vehicle_class]))

    def of(self, series: Series) -> Prior | None:
        """What the other vehicles of its class have in common; of the fleet if there are none.

        None for a long history, and where there is no other vehicle.
        """
        if (name := self._name(series)) is None:
            return None
        prior = self._without(self.known[name], name, series)
        return replace(prior, counts_as=prior_rows(series.rows, self._long_rows(series)))

    def _long_rows(self, part: Part) -> int:
        return min(self.long_rows.get(part.vehicle_class, LONG_ROWS), OWN_ROWS)

    def _name(self, part: Part) -> str | None:
        """The owner of the prior of a vehicle."""
        own = part.vehicle_class
        if part.rows >= self._long_rows(part):
            return None
        for name, vehicle_class in ((PRIOR + own, own), (PRIOR, None)):
            if vehicle_class not in self._long:
                same = [s for s in self.train if vehicle_class in (None, s.vehicle_class)]
                self._long[vehicle_class] = long_histories(
                    [s for s in same if s.rows >= SHORT_ROWS]
                )
            group = self._long[vehicle_class]
            if any(s.vehicle != part.vehicle for s in group):
                return name
        return None

    def _made(self, name: str, sample: list[Series]) -> Prior:
        figures = self.fit(name, sample)
        sample = [constant.hold(series, figures.constant) for series in sample]
        return Prior(
            figures=figures,
            sums={member.name: member.sums(name, sample) for member in self.members},
            rows=sum(series.rows for series in sample),
            runs=runs_of_equal(sample),
        )

    def _without(self, prior: Prior, name: str, series: Series) -> Prior:
        """The prior without the vehicle's own rows, which its folds must not know."""
        if series.vehicle not in prior.runs or prior.rows == series.rows:
            return prior
        held = [constant.hold(series, prior.figures.constant)]
        own = {member.name: member.sums(name, held) for member in self.members}
        sums = {
            member: {key: value - own[member][key] for key, value in of_member.items()}
            for member, of_member in prior.sums.items()
        }
        return replace(prior, sums=sums, rows=prior.rows - series.rows)

    def forget(self, figures: dict[str, LearntFigures]) -> None:
        """Take the figures and coefficients of all priors away."""
        for name in self.known:
            del figures[name]
            for member in self.members:
                member.coefficients.pop(name, None)
        self.known, self._long, self.train = {}, {}, []
