"""How far each channel strays from what the members expect of it, in rows that were scored.

Incidents and evaluation both rank channels and measure the size of a deviation here. Two figures of
a channel c in some rows:

    size(c)        = largest |z| of any row and member
    strangeness(c) = largest over the members of
                     sqrt(largest box mean of z2 / max(1, mean z2 of the ``BEFORE_ROWS`` before))

z is the residual in tolerances: divided by the member's cross-fitted train scale of the channel, as
in the evidence chain. A box is as wide as the widest of the chain. A channel that was already far
off before these rows is divided by how far off it was, so that an old deviation does not take the
blame for a new one.

Only members that predict count. A member whose error of a channel holds the errors of the others in
the same row, ``innovation``, tells less whose fault it is. It ranks no channel where another member
over time does. A method without members is measured by the scaled values: what it
expects is the train mean, and its tolerance is one spread.

Shape legend: T rows of the series, R of them (kept), C channels.
"""

import numpy as np

from amad.detect.constant_channels import hold
from amad.detect.detector import Detector
from amad.detect.innovation import InnovationMember
from amad.detect.scorer import Scorer
from amad.windows.series import Series

BEFORE_ROWS = 2000  # rows before that tell how far off a channel was already
KNOWN_ROWS = 50  # fewer rows before do not tell how far off a channel was
Z2_LIMIT = 1e12  # keeps the running sums finite after a wild value


class Deviations:
    """The residuals of a scored series near the rows of interest.

    Example::

        deviations = Deviations(detector, series, first, last)   # rows of interest
        deviations.strangeness(first, last)                      # (C,)
    """

    def __init__(self, scorer: Scorer, series: Series, first: int, last: int) -> None:
        """series: as it was scored. first, last: all rows that are asked about lie between them."""
        self.box_rows = max(scorer.params.widths)
        self.begin = max(0, first - BEFORE_ROWS)
        self.end = last
        self.residual: dict[str, np.ndarray] = {}  # by member, in spreads, (R, C); NaN if unknown
        self.scale: dict[str, np.ndarray] = {}  # by member, one tolerance in spreads, (C,)
        self.ranking: list[str] = []  # the members that rank channels
        self.series = series
        if isinstance(scorer, Detector):
            self._of_members(scorer)
        if not self.residual:
            value_TC = series.value_TC[self.begin : last].astype(np.float32)
            value_TC[series.valid_TC[self.begin : last] == 0] = np.nan
            self.residual["value"] = value_TC
            self.scale["value"] = np.ones(value_TC.shape[1])
            self.ranking = ["value"]
        self._z2 = {name: self._running_z2(name) for name in self.ranking}

    def _of_members(self, detector: Detector) -> None:
        owner = detector.owner_of(self.series)
        figures = detector.figures[owner]
        serving = detector.ensemble.serving(figures.calibration)
        members = [m for m in serving if m.predicts] or serving
        plain = [m for m in members if not isinstance(m, InnovationMember)]
        over_time = any(not m.between_channels for m in plain)
        self.ranking = [m.name for m in (plain if over_time else members)]
        before = max((m.context_rows for m in members), default=0)
        after = max((m.lookahead_rows for m in members), default=0)
        begin = max(0, self.begin - before)
        self.series = hold(detector.as_members_see(self.series), figures.constant)
        rows = self.series.rows_between(begin, min(self.end + after, self.series.rows))
        for member in members:
            residual_TC = member.residual(rows, owner)[self.begin - begin : self.end - begin]
            self.residual[member.name] = np.where(np.isfinite(residual_TC), residual_TC, np.nan)
            self.scale[member.name] = figures.calibration[member.name].scale_C

    def _running_z2(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Running sums of z2 and of known rows, (R + 1, C) each."""
        with np.errstate(invalid="ignore", over="ignore"):
            z2_RC = np.square(self.residual[name].astype(np.float64) / self.scale[name])
        known_RC = np.isfinite(z2_RC)
        z2_RC = np.where(known_RC, np.minimum(z2_RC, Z2_LIMIT), 0.0)
        start = np.zeros((1, z2_RC.shape[1]))
        return (
            np.concatenate([start, np.cumsum(z2_RC, axis=0)]),
            np.concatenate([start, np.cumsum(known_RC, axis=0)]),
        )

    def rows(self, name: str, first: int, last: int) -> np.ndarray:
        """A member's residual in these rows of the series, in spreads, (rows, C)."""
        return self.residual[name][first - self.begin : last - self.begin]

    def size(self, first: int, last: int) -> np.ndarray:
        """The largest deviation of each channel in these rows, in tolerances, (C,)."""
        found = [
            np.nan_to_num(np.abs(self.rows(name, first, last)) / self.scale[name])
            for name in self.residual
        ]
        return np.max([z_RC.max(axis=0, initial=0.0) for z_RC in found], axis=0).astype(float)

    def strangeness(self, first: int, last: int) -> np.ndarray:
        """How strange each channel is in these rows, (C,), >= 0; 1 is its usual error."""
        return np.max(list(self.strangeness_by_member(first, last).values()), axis=0)

    def strangeness_by_member(self, first: int, last: int) -> dict[str, np.ndarray]:
        """``strangeness`` as each member finds it, by the member's name."""
        first, last = first - self.begin, last - self.begin
        width = max(1, min(self.box_rows, last - first))
        since = max(0, first - BEFORE_ROWS)
        found = {}
        for name, (z2_RC, known_RC) in self._z2.items():
            box_RC = (z2_RC[first + width : last + 1] - z2_RC[first : last + 1 - width]) / width
            rows_C = known_RC[first] - known_RC[since]
            usual_C = (z2_RC[first] - z2_RC[since]) / np.maximum(rows_C, 1)
            usual_C[rows_C < KNOWN_ROWS] = 1.0
            highest_C = np.maximum(box_RC.max(axis=0, initial=0.0), 0.0)
            found[name] = np.sqrt(highest_C / np.maximum(usual_C, 1.0))
        return found
