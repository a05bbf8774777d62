"""Scores from members and learnt figures: what a fitted detector does with a series.

``amad.detect.detector`` is the detector that is fitted; here is how it scores, and what it sends of
itself to another process.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Self

import numpy as np

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect import constant_channels as constant
from amad.detect.alarms import TAIL_SCALE
from amad.detect.chain import EvidenceChain
from amad.detect.combine import Before, Combined, Ensemble
from amad.detect.fitting import OfVehicle
from amad.detect.learnt_figures import FLEET, LearntFigures
from amad.detect.members.member import Member
from amad.detect.scorer import Judged, RawScore, Scorer
from amad.windows.increments import history_rows
from amad.windows.scaler import Scaler, serving
from amad.windows.series import Part, Series

if TYPE_CHECKING:
    from amad.model.bundle import Bundle


class MemberScorer(Scorer):
    """Members combined by the evidence chain, with the figures learnt of each owner."""

    tail_scale = TAIL_SCALE

    def __init__(
        self,
        members: Sequence[Member],
        params: DetectParams,
        fleet: Fleet,
        scaler: Scaler | None,
        name: str = "amad",
        bundle: "Bundle | None" = None,
    ) -> None:
        """scaler: as of every scorer. bundle: is saved, even if its network has no vote."""
        super().__init__(params, fleet, scaler, name)
        self.members = list(members)
        self.bundle = bundle
        self.chain = EvidenceChain(params)
        self.figures: dict[str, LearntFigures] = {}  # by owner, see ``learnt_figures``

    @property
    def ensemble(self) -> Ensemble:
        """The members and the evidence chain."""
        return Ensemble(self.members, self.chain, self.fleet.period_us)

    @property
    def context_rows(self) -> int:
        """How many periods before a row its score depends on."""
        return self.window_rows + self.baseline_rows

    @property
    def baseline_rows(self) -> int:
        """How many periods the slow baseline of the window ranges looks back; 0 without them."""
        return self.params.baseline_rows * any(not member.predicts for member in self.members)

    @property
    def window_rows(self) -> int:
        """How many periods before a row the windows of the members and of the chain reach."""
        return self.ensemble.reach()[0] + history_rows(self.fleet)

    @property
    def lookahead_rows(self) -> int:
        """How many periods after a row its score depends on; 0 for trailing linear detectors."""
        return self.ensemble.reach()[1]

    def without_vehicles(self) -> Self:
        """As of every scorer; the copy is to score and not to be saved."""
        twin = super().without_vehicles()
        pooled = [owner for owner in self.figures if not owner.startswith("vehicle/")]
        twin.figures = {owner: _to_send(self.figures[owner]) for owner in pooled}
        twin.members = [
            member.knowing({o: member.coefficients[o] for o in pooled if o in member.coefficients})
            for member in self.members
        ]
        twin.bundle = None
        return twin

    def of_vehicle(self, vehicle: str) -> OfVehicle:
        """As of every scorer."""
        known, owner = super().of_vehicle(vehicle), f"vehicle/{vehicle}"
        if (figures := self.figures.get(owner)) is None:
            return known
        return replace(
            known,
            figures=_to_send(figures),
            coefficients={member.name: member.coefficients[owner] for member in self.members},
        )

    def with_vehicle(self, vehicle: str, known: OfVehicle) -> Self:
        """As of every scorer."""
        twin = super().with_vehicle(vehicle, known)
        if known.figures is not None:
            owner = f"vehicle/{vehicle}"
            twin.figures = self.figures | {owner: known.figures}
            twin.members = [
                member.knowing({**member.coefficients, owner: known.coefficients[member.name]})
                for member in self.members
            ]
        return twin

    def first_moves(
        self,
        series: Series,
        kinds: Collection[str],
        memory: constant.Memory | None = None,
        first: int = 0,
    ) -> dict[int, np.ndarray]:
        """The rows of each constant channel in which its first move is reported."""
        owner = self.owner_of(series)
        return constant.first_moves(
            self.scaled_for(series, owner), self.figures[owner], self.units_for(series, owner),
            ~self.too_short(series), memory or {}, first,
            kinds=kinds, period_us=self.fleet.period_us,
        )  # fmt: skip

    def judge(
        self,
        series: Series,
        first: int = 0,
        before: Before | None = None,
        memory: constant.Memory | None = None,
        *,
        whole: bool = False,
        residuals: bool = True,
    ) -> Judged:
        """Score the rows of a scaled series from row ``first`` on, and say what they were made of.

        first: the rows before it are there for the windows that reach into them. before, memory:
        what is known of the rows before it, for what looks back further than the series does. The
        record of ``memory`` holds the channels ``remembered_channels``. whole: the contributions of
        all rows are wanted; default: those of alarm rows, 0 in all others. residuals: are wanted.
        """
        owner = self.owner_of(series)
        found_residuals: dict[str, np.ndarray] | None = {} if residuals else None
        before = before or Before.nothing()
        seen = self.scaled_for(self._settled(series, memory, first), owner)
        score_T, found, left_out = self._score_with(owner, seen, first, before, found_residuals)
        predicted_T = np.where(np.isfinite(score_T), found.predicted_T, np.nan)
        score_T -= self.figures[owner].allowance
        time = np.concatenate([before.time_H, series.timestamp_T[first:]])
        score = [found.score_H - self.figures[owner].allowance, score_T[first:]]
        threshold_T, release_T = np.full((2, series.rows), np.nan)
        threshold_T[first:], release_T[first:] = self._thresholds(
            series.vehicle, time, np.concatenate(score), len(before.time_H)
        )
        moves = self.first_moves(series, self.reported_moves, memory, first)
        moved_T = constant.moved(moves, series)
        wanted_T = np.isfinite(score_T) & (whole | (score_T > threshold_T) | moved_T)
        contribution_TC = found.contributions_in(wanted_T)
        constant.raise_scores(moves, score_T, contribution_TC, threshold=self.threshold)
        # A first move is reported whatever the other scores are.
        threshold_T[moved_T] = np.minimum(threshold_T[moved_T], self.threshold)
        return Judged(
            scored=self._with_alarms(
                RawScore(score_T, contribution_TC, left_out), threshold_T, release_T
            ),
            seen=constant.hold(seen, self.figures[owner].constant),
            residuals=found_residuals or {},
            predicted_T=predicted_T,
            excess=found.excess,
        )

    def remembered_channels(self, vehicle: str, vehicle_class: str) -> list[int]:
        """The channels whose values of earlier days count: they never, or hardly ever, moved."""
        figures = self.figures[self.owner_for(vehicle, vehicle_class)]
        still = figures.reported if self.reported_moves else ()
        return sorted({*still, *figures.nearly_constant})

    def raw_score(self, series: Series) -> RawScore:
        """The scores of a scaled series before any threshold, with the allowance subtracted."""
        owner = self.owner_of(series)
        score_T, found, left_out = self._score_with(owner, self.scaled_for(series, owner))
        contribution_TC = found.contributions_in(np.isfinite(score_T))
        return RawScore(score_T - self.figures[owner].allowance, contribution_TC, left_out)

    def scores_with(self, owner: str, series: Series) -> np.ndarray:
        """``raw_score`` of a series (T,), settled and scaled for the owner of these figures."""
        return self._score_with(owner, series)[0] - self.figures[owner].allowance

    def _score_with(
        self,
        owner: str,
        series: Series,
        first: int = 0,
        before: Before | None = None,
        residuals: dict[str, np.ndarray] | None = None,
    ) -> tuple[np.ndarray, Combined, tuple[str, ...]]:
        """The scores (T,) under the owner's figures, without the allowance; see ``judge``.

        Returns: the scores, NaN where a row has none; what they were combined of; and the members
        that had no finite residual.
        """
        figures, ensemble = self.figures[owner], self.ensemble
        evidence = ensemble.evidence(figures, owner, series, self.present(series), residuals)
        found = ensemble.combined(figures, evidence, series, first, before)
        # Where every channel was constant in train, first moves are all that there is to report.
        scored = bool(evidence or figures.constant)
        unscored_T = self.too_short(series) if scored else np.ones(series.rows, bool)
        left_out = tuple(m.name for m in self.members if m.name not in evidence)
        return np.where(unscored_T, np.nan, found.score_T), found, left_out

    def _settled(
        self, series: Series, memory: constant.Memory | None = None, first: int = 0
    ) -> Series:
        owner = self.owner_of(series)
        units = self.units_for(series, owner)
        return constant.settled(series, self.figures[owner], units.noise_C, memory or {}, first)

    def settled_for(self, owner: str, series: Series) -> Series:
        """The series, settled where the figures are the vehicle's own."""
        return self._settled(series) if owner.startswith("vehicle/") else series

    def as_members_see(self, series: Series) -> Series:
        """A scaled series as the members get it, but for channels that never moved."""
        return self.scaled_for(self._settled(series), self.owner_of(series))

    def scaled_for(self, series: Series, owner: str) -> Series:
        """A scaled series; if pooled figures serve it, scaled as that of an unknown vehicle."""
        return series if owner.startswith("vehicle/") else self.scaler.as_unknown(series)

    def units_for(self, series: Series, owner: str) -> constant.Units:
        """Those of the figures that ``scaled_for`` scales the series with."""
        vehicle = series.vehicle if owner.startswith("vehicle/") else ""
        return constant.Units.of(self.fleet, self.scaler, vehicle, series.vehicle_class)

    def owner_of(self, part: Part) -> str:
        """Whose figures serve these rows: the vehicle's own, its class's or the fleet's."""
        return self.owner_for(part.vehicle, part.vehicle_class)

    def owner_for(self, vehicle: str, vehicle_class: str) -> str:
        """``owner_of`` for a vehicle by its id and class."""
        kind, name = serving(vehicle, vehicle_class, lambda k, n: f"{k}/{n}" in self.figures)
        return FLEET if kind == FLEET else f"{kind}/{name}"


def _to_send(figures: LearntFigures) -> LearntFigures:
    """The figures to score with, in memory."""
    return replace(figures, calibration=dict(figures.calibration), explained=None)
