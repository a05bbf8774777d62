"""How far each channel strays from what the members expect of it, in rows that were scored.

Incidents and evaluation both rank channels and measure the size of a deviation here. Two figures of
a channel c in some rows:

    size(c)        = largest |residual| / tolerance of any row and member
    strangeness(c) = largest over the members of
                     sqrt(largest box mean of z2 / max(1, mean z2 of the ``BEFORE_ROWS`` before))

A tolerance is the member's cross-fitted train scale of the channel, times what is ordinary in that
row (``amad.detect.members.tolerance``), as in the evidence chain. It is at least
``LEAST_TOLERANCE``: many times a tiny error are still a small change. z is the residual divided by
the scale alone, at least as large, which names the culprits better. A box is as wide as the widest
of the chain. A channel that was already far off before these rows is divided by how far off it was,
so that an old deviation does not take the blame for a new one.

Only members that predict count. A member whose error of a channel holds the errors of the others in
the same row, ``innovation``, tells less whose fault it is. It ranks no channel where another member
over time does. A method without members is measured by the scaled values: what it
expects is the train mean, and its tolerance is one spread.

Shape legend: T rows of the series, R of them whose residuals are in memory, C channels.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

from amad.detect.constant_channels import hold
from amad.detect.day_state import Usual
from amad.detect.detector import Detector
from amad.detect.layout import running
from amad.detect.members.innovation import InnovationMember
from amad.detect.members.member import Member
from amad.detect.scorer import Judged, Scorer
from amad.windows.series import Series

BEFORE_ROWS = 2000  # periods before that tell how far off a channel was already
BLOCK_ROWS = 50  # periods; they are counted in whole blocks of so many
KNOWN_ROWS = 50  # fewer rows before do not tell how far off a channel was
KEPT_ROWS = 50_000  # whose residuals are in memory at once, where no incident is longer
LEAST_TOLERANCE = 0.1  # spreads of the channel in training
Z2_LIMIT = 1e12  # keeps the running sums finite after a wild value


class Deviations:
    """The residuals of a scored series near the rows of interest.

    Example::

        deviations = Deviations(detector, series, first, last)   # rows of interest
        deviations.strangeness(first, last)                      # (C,)
    """

    def __init__(self, scorer: Scorer, series: Series, first: int, last: int) -> None:
        """series: as it was scored. first, last: all rows that are asked about lie between them."""
        self.begin = max(0, first - BEFORE_ROWS)
        self.end = last
        self.series = series
        self._of_whom(scorer)
        if isinstance(scorer, Detector):
            constant = scorer.figures[scorer.owner_of(series)].constant
            self.series = hold(scorer.as_members_see(series), constant)
        self._keep(self.begin, self.begin)
        self._measure(scorer, self.begin, {})

    @classmethod
    def of_day(
        cls,
        detector: Detector,
        judged: Judged,
        first: int,
        usual: Mapping[str, Sequence[Usual]],
    ) -> Self:
        """Of a judged day, which begins in row ``first`` of its series.

        usual: how far the channels strayed in the blocks of rows before that row, by member.
        """
        found = cls.__new__(cls)
        found.begin, found.end, found.series = 0, judged.seen.rows, judged.seen
        found._of_whom(detector)
        if found.members:
            found.kept = range(found.end)
            found.residual = {name: _finite(judged.residuals[name]) for name in found.members}
        else:
            found._keep(0, found.end)
        found._measure(detector, first, usual)
        return found

    def _of_whom(self, scorer: Scorer) -> None:
        """Note whose residuals tell: those of members, or the values of a method without them."""
        self.members: dict[str, tuple[Member, str]] = {}  # by name, with the owner of its figures
        self.scale: dict[str, np.ndarray] = {}  # by member, its usual error in spreads, (C,)
        self.ranking: list[str] = []  # the members that rank channels
        if isinstance(scorer, Detector):
            owner = scorer.owner_of(self.series)
            members, self.ranking = members_that_tell(scorer, owner)
            for member in members:
                self.members[member.name] = member, owner
                self.scale[member.name] = scorer.figures[owner].calibration[member.name].scale_C
        if not self.members:
            self.scale["value"] = np.ones(self.series.value_TC.shape[1])
            self.ranking = ["value"]

    def _keep(self, first: int, last: int) -> None:
        """Compute the residuals of these rows, and of those that may be asked about next.

        kept: the rows (R). residual: by member, in spreads, (R, C); NaN if unknown.
        """
        begin = max(self.begin, first - BEFORE_ROWS)
        self.kept = range(begin, min(max(last, begin + KEPT_ROWS), self.end))
        self.residual: dict[str, np.ndarray] = {}
        before = max((member.context_rows for member, _ in self.members.values()), default=0)
        after = max((member.lookahead_rows for member, _ in self.members.values()), default=0)
        start = max(0, begin - before)
        rows = self.series.rows_between(start, min(self.kept.stop + after, self.series.rows))
        own = slice(begin - start, self.kept.stop - start)
        for name, (member, owner) in self.members.items():
            self.residual[name] = _finite(member.residual(rows, owner)[own])
        if not self.members:
            value_RC = rows.value_TC[own].astype(np.float32)
            value_RC[rows.valid_TC[own] == 0] = np.nan
            self.residual["value"] = value_RC

    def _measure(self, scorer: Scorer, first: int, usual: Mapping[str, Sequence[Usual]]) -> None:
        """Rows from ``first`` on are measured here; what came before them is in ``usual``."""
        self.box_rows = max(scorer.params.widths)
        period_us = scorer.fleet.period_us
        self.block_us, self.before_us = BLOCK_ROWS * period_us, BEFORE_ROWS * period_us
        self.first, self.before = first, usual
        self._strangeness: dict[tuple[int, int], dict[str, np.ndarray]] = {}  # of the last rows

    def _z2_of(self, name: str, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """z2 of these rows, 0 where it is not known, and where it is known."""
        with np.errstate(invalid="ignore", over="ignore"):
            tolerance_C = np.maximum(self.scale[name], LEAST_TOLERANCE)
            z2_RC = np.divide(self.rows(name, first, last), tolerance_C, dtype=np.float64)
            np.square(z2_RC, out=z2_RC)
        known_RC = np.isfinite(z2_RC)
        np.minimum(z2_RC, Z2_LIMIT, out=z2_RC)
        z2_RC[~known_RC] = 0.0
        return z2_RC, known_RC

    def _row_of_block(self, time_us: int) -> int:
        """The row of the first block of rows that begins at this time or later."""
        begin_us = -(-time_us // self.block_us) * self.block_us
        return max(self.first, int(np.searchsorted(self.series.timestamp_T, begin_us)))

    def usual(self, last: int, since_us: int) -> dict[str, Usual]:
        """How far the channels strayed before row ``last``, by member and block of rows.

        since_us: only blocks that begin at this time or later.
        """
        first = self._row_of_block(since_us)
        time_R = self.series.timestamp_T[first:last]
        if not len(time_R):
            return {}
        return {
            name: Usual.of(time_R, *self._z2_of(name, first, last), self.block_us)
            for name in self.ranking
        }

    def rows(self, name: str, first: int, last: int) -> np.ndarray:
        """A member's residual in these rows of the series, in spreads, (rows, C)."""
        if first < self.kept.start or last > self.kept.stop:
            self._keep(first, last)
        return self.residual[name][first - self.kept.start : last - self.kept.start]

    def by_row(self, share_C: np.ndarray, first: int, last: int) -> np.ndarray:
        """How far the channels with a share stray in each of these rows, (rows,).

        It is x of ``amad.incidents.change_points``.
        """
        z2_RC = np.max([self._z2_of(name, first, last)[0] for name in self.ranking], axis=0)
        return np.log1p(z2_RC) @ share_C

    def size(self, first: int, last: int) -> np.ndarray:
        """The largest deviation of each channel in these rows, in tolerances, (C,)."""
        found = [
            np.nan_to_num(np.abs(self.rows(name, first, last)) / self._tolerance(name, first, last))
            for name in self.scale
        ]
        return np.max([size_RC.max(axis=0, initial=0.0) for size_RC in found], axis=0).astype(float)

    def _tolerance(self, name: str, first: int, last: int) -> np.ndarray:
        """A member's tolerance in these rows, in spreads, (rows, C) or (C,)."""
        tolerance = self.scale[name]
        if name in self.members:
            member, owner = self.members[name]
            begin = max(0, first - member.context_rows)
            end = min(last + member.lookahead_rows, self.series.rows)
            ordinary_TC = member.tolerance(self.series.rows_between(begin, end), owner)
            if ordinary_TC is not None:
                tolerance = tolerance * ordinary_TC[first - begin : last - begin]
        return np.maximum(tolerance, LEAST_TOLERANCE)

    def strangeness(self, first: int, last: int) -> np.ndarray:
        """How strange each channel is in these rows, (C,), >= 0; 1 is its usual error."""
        return np.max(list(self.strangeness_by_member(first, last).values()), axis=0)

    def strangeness_by_member(self, first: int, last: int) -> dict[str, np.ndarray]:
        """``strangeness`` as each member finds it, by the member's name."""
        if (first, last) not in self._strangeness:
            self._strangeness = {(first, last): self._strangeness_in(first, last)}
        return self._strangeness[first, last]

    def _strangeness_in(self, first: int, last: int) -> dict[str, np.ndarray]:
        since_us = int(self.series.timestamp_T[first]) - self.before_us
        since = self._row_of_block(since_us)
        width = max(1, min(self.box_rows, last - first))
        found = {}
        for name in self.ranking:
            z2_RC, known_RC = self._z2_of(name, since, last)
            z2 = running(z2_RC)[first - since :]
            box_RC = (z2[width:] - z2[:-width]) / width
            z2_C = z2[0]
            rows_C = np.count_nonzero(known_RC[: first - since], axis=0).astype(np.float64)
            for block in self.before.get(name, ()):
                earlier = block.since(since_us)
                z2_C = z2_C + earlier.z2_BC.sum(axis=0, dtype=np.float64)
                rows_C = rows_C + earlier.rows_BC.sum(axis=0, dtype=np.float64)
            usual_C = z2_C / np.maximum(rows_C, 1)
            usual_C[rows_C < KNOWN_ROWS] = 1.0
            highest_C = np.maximum(box_RC.max(axis=0, initial=0.0), 0.0)
            found[name] = np.sqrt(highest_C / np.maximum(usual_C, 1.0))
        return found


def _finite(residual_RC: np.ndarray) -> np.ndarray:
    """The residuals with NaN where they are endless."""
    endless_RC = np.isinf(residual_RC)
    return np.where(endless_RC, np.nan, residual_RC) if endless_RC.any() else residual_RC


def members_that_tell(detector: Detector, owner: str) -> tuple[list[Member], list[str]]:
    """The members whose residuals count for an owner's series, and the names that rank channels."""
    serving = detector.ensemble.serving(detector.figures[owner].calibration)
    members = [m for m in serving if m.predicts] or serving
    plain = [m for m in members if not isinstance(m, InnovationMember)]
    over_time = any(not m.between_channels for m in plain)
    return members, [m.name for m in (plain if over_time else members)]
