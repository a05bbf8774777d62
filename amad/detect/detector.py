"""The detector: members, the evidence chain that combines them, and a threshold.

``fit`` learns from normal rows only; ``score`` changes nothing. Evaluation, the registry and the
scheduled scoring job use the same object. ``amad.detect.storage`` saves and loads it.

Learnt figures: a vehicle with ``SHORT_ROWS`` train rows has coefficients and a calibration of its
own; the fewer its rows, the more they are moved towards those of its class. An unknown vehicle
takes the figures pooled over its class, or those of the fleet where the class is unknown too. They
serve vehicles without history, so they are learnt from vehicles that are scaled as if without.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect import constant_channels as constant
from amad.detect.alarms import TAIL_SCALE
from amad.detect.chain import EvidenceChain
from amad.detect.combine import (
    EXCESS_QUANTILE,
    Before,
    Combined,
    Ensemble,
    excess_shares,
    range_shares,
)
from amad.detect.figure_file import PutAway
from amad.detect.learnt_figures import (
    ALLOWANCE,
    FLEET,
    SHORT_ROWS,
    LearntFigures,
    Prior,
    own_share,
    pooled,
    without_history,
)
from amad.detect.members import Member, fit_shared
from amad.detect.pauses import only_paused
from amad.detect.predictability import Explained
from amad.detect.priors import Priors
from amad.detect.scorer import HeldOut, Judged, RawScore, Scored, Scorer, by_vehicle, held_out
from amad.windows.increments import history_rows
from amad.windows.scaler import Scaler, serving
from amad.windows.series import Part, Reader, Series, read, read_with_lead

if TYPE_CHECKING:
    from amad.model.bundle import Bundle


class Detector(Scorer):
    """Members combined by the evidence chain, with a threshold that keeps the alarm budget.

    All series are scaled (``scaler.apply``). Example::

        detector = build_detector(bundle, params.detect).fit(train, calibration)
        scored = detector.score(series)      # score_T, threshold_T, alarm_T, contribution_TC
        save_detector(detector, path); detector = load_detector(path)
    """

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
        """scaler: only saving needs it. bundle: is saved, even if its network has no vote."""
        super().__init__(params, fleet, scaler, name)
        self.members = list(members)
        self.bundle = bundle
        self.chain = EvidenceChain(params)
        self.figures: dict[str, LearntFigures] = {}  # by owner, see ``learnt_figures``
        self.priors = Priors([], self.members, self._fit_prior, None)  # while figures are learnt

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

    def learn(self, train: Sequence[Part], calibration: Sequence[Part]) -> None:
        """Fit all figures on train rows; measure excess thresholds on calibration rows."""
        self.fit_figures(train)
        self.measure_excess_thresholds(calibration)
        self.priors.forget(self.figures)

    def fit_figures(self, train: Sequence[Part]) -> None:
        """Fit the figures of the fleet, of each class if there are several, and of each vehicle."""
        classes = sorted({part.vehicle_class for part in train})
        names = [FLEET, *(f"class/{name}" for name in classes if len(classes) > 1)]
        fit_shared(self.members, pooled(train))
        samples = ((owner, without_history(train, owner, self.scaler)) for owner in names)
        self.figures = {owner: self._fit_figures(owner, sample) for owner, sample in samples}
        self.priors = Priors(train, self.members, self._fit_prior, self.scaler)
        put_away = PutAway(self.members)
        for part in train:
            if part.rows >= SHORT_ROWS:
                owner, series = f"vehicle/{part.vehicle}", read(part)
                found = self._fit_figures(owner, [series], self.priors.of(series))
                self.figures[owner] = put_away(owner, found)

    def _fit_prior(self, owner: str, group: list[Series]) -> LearntFigures:
        self.figures[owner] = self._fit_figures(owner, group)
        return self.figures[owner]

    def _fit_figures(
        self, owner: str, group: list[Series], prior: Prior | None = None
    ) -> LearntFigures:
        noise_C = self._units(group[0], owner).noise_C
        never_move = constant.constant_channels(group, noise_C)
        hardly_move = constant.nearly_constant_channels(group, noise_C)
        group = [constant.hold(series, never_move) for series in group]
        present = [self.present(s) for s in group]
        learnt = self.ensemble.calibrate(owner, group, present, never_move, prior)
        calibration, evidence, by_member = learnt
        explained = Explained(by_member=by_member, pooled=not owner.startswith("vehicle/"))
        members = self.ensemble.serving(calibration)
        excess_threshold = {
            name: float(np.quantile(evidence[name], EXCESS_QUANTILE))
            if prior is None or len(evidence[name])
            else prior.figures.excess_threshold.get(name, 0.0)
            for name in (*excess_shares(members), *range_shares(members))
        }
        allowance = 0.0
        if prior is not None:
            share = own_share(group[0].rows, prior.counts_as)
            allowance = ALLOWANCE * (1 - share)
            explained = replace(explained, prior=prior.figures.explained, share=share)
        return LearntFigures(
            calibration=calibration,
            predictability=explained.best(self.members),
            excess_threshold=excess_threshold,
            allowance=allowance,
            explained=explained,
            constant=never_move,
            paused=only_paused(never_move, group[0], prior.runs if prior else {}),
            nearly_constant=hardly_move,
        )

    def _note_last_values(self, calibration: Sequence[Part]) -> None:
        """If a constant channel moved for good in the calibration rows, note its new value."""
        for part in calibration:
            owner = f"vehicle/{part.vehicle}"
            if (figures := self.figures.get(owner)) is not None and figures.constant:
                series = read(part)
                units = self._units(series, owner)
                known = constant.last_known(figures.constant, series, units.noise_C)
                self.figures[owner] = replace(figures, constant=known)

    def measure_excess_thresholds(self, calibration: Sequence[Part]) -> None:
        """Measure the excess thresholds again for owners with ``SHORT_ROWS`` calibration rows.

        Train evidence is cross-fitted, but each fold lies between rows that it was fitted on.
        Calibration rows come after all train rows, as the rows that will be scored do.
        """
        for owner, group in self._held_out(calibration):
            if sum(part.rows for part in group) < SHORT_ROWS:
                continue
            figures = self.figures[owner]
            some = replace(self.ensemble, members=self.ensemble.serving(figures.excess_threshold))
            found: dict[str, list[np.ndarray]] = {}
            for part in group:  # without the contributions, which are C times as large
                series = self._read_for(owner, part)
                own = some.evidence(figures, owner, series, self.present(series))
                for name, (evidence_T, _) in own.items():
                    found.setdefault(name, []).append(evidence_T)
            for name, known in found.items():
                limit = np.quantile(np.concatenate(known), EXCESS_QUANTILE)
                figures.excess_threshold[name] = float(limit)
        self.priors.move_thresholds(self.figures)

    def _held_out(self, calibration: Sequence[Part]) -> Iterator[tuple[str, Sequence[Part]]]:
        """Each owner with its calibration rows: the vehicle's, or of vehicles without history."""
        calibration = by_vehicle(calibration)
        of_owner = {f"vehicle/{part.vehicle}": part for part in calibration}
        for owner in sorted(self.figures):
            own: Sequence[Part]
            if owner.startswith("vehicle/"):
                own = [of_owner[owner]] if owner in of_owner else []
            elif owner in self.priors.known:
                vehicles = self.priors.known[owner].runs
                own = [part for part in calibration if part.vehicle in vehicles]
            else:
                own = without_history(calibration, owner, self.scaler)
            if own:
                yield owner, own

    def _read_for(self, owner: str, part: Part, reader: Reader = read) -> Series:
        """The rows of a part, settled where the figures are the vehicle's own."""
        series = reader(part)
        return self._settled(series) if owner.startswith("vehicle/") else series

    def learn_threshold(self, calibration: Sequence[Part], history: Mapping[str, Part]) -> None:
        """Choose the threshold, and the allowance of all pooled figures.

        If any vehicle has figures of its own, the threshold is chosen on such vehicles only. Scores
        know the rows before the calibration part, as those of a day know the days before.
        """
        calibration = by_vehicle(calibration)
        own = [part for part in calibration if f"vehicle/{part.vehicle}" in self.figures]
        moves = self._first_moves_per_day(calibration, history)
        scored = []
        for part in own or calibration:
            series = self._read_for(owner := self.owner_of(part), part, read_with_lead)
            scored.append(self._scored(owner, self.scaled_for(series, owner)))
        self._choose_threshold(scored, history, moves)
        pooled_owners = [owner for owner in self.figures if not owner.startswith("vehicle/")]
        for owner in pooled_owners if own else ():
            sample = without_history(calibration, owner, self.scaler, read_with_lead)
            scored = [self._scored(owner, series) for series in sample]
            needed = self._operating_point(scored, history, moves)
            if needed is not None:
                allowance = max(needed.threshold - self.threshold, 0.0)
                self.figures[owner] = replace(self.figures[owner], allowance=allowance)
        self._note_last_values(calibration)

    def _first_moves_per_day(
        self, calibration: Sequence[Part], history: Mapping[str, Part]
    ) -> dict[str, float]:
        """Incidents per vehicle-day that first moves of each kind alone are on calibration rows.

        A single one tells no rate, and counts as none.
        """
        incidents = dict.fromkeys(constant.REPORTED_ROWS, 0)
        still = [p for p in calibration if self.figures[self.owner_of(p)].constant]
        for series in map(read, still):
            for kind in incidents:
                moved_T = constant.moved(self._first_moves(series, [kind]), series)
                incidents[kind] += len(self.runs(moved_T, series.timestamp_T))
        days = self._days(calibration, history)
        return {kind: found / days if found > 1 else 0.0 for kind, found in incidents.items()}

    def _first_moves(
        self,
        series: Series,
        kinds: Collection[str],
        memory: constant.Memory | None = None,
        first: int = 0,
    ) -> dict[int, np.ndarray]:
        """The rows of each constant channel in which its first move is reported."""
        owner = self.owner_of(series)
        return constant.first_moves(
            self.scaled_for(series, owner), self.figures[owner], self._units(series, owner),
            ~self.too_short(series), memory or {}, first,
            kinds=kinds, period_us=self.fleet.period_us,
        )  # fmt: skip

    def score(self, series: Series) -> Scored:
        """Score, alarm and contributions of every row of a scaled series; nothing is learnt."""
        return self.judge(series, whole=True, residuals=False).scored

    def find_alarms(self, series: Series) -> Scored:
        """As of every scorer; the others have contributions of 0."""
        return self.judge(series, residuals=False).scored

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
        moves = self._first_moves(series, self.reported_moves, memory, first)
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

    def _scored(self, owner: str, series: Series) -> HeldOut:
        allowance = self.figures[owner].allowance
        return held_out(series, self._score_with(owner, series)[0] - allowance)

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
        units = self._units(series, owner)
        return constant.settled(series, self.figures[owner], units.noise_C, memory or {}, first)

    def as_members_see(self, series: Series) -> Series:
        """A scaled series as the members get it, but for channels that never moved."""
        return self.scaled_for(self._settled(series), self.owner_of(series))

    def scaled_for(self, series: Series, owner: str) -> Series:
        """A scaled series; if pooled figures serve it, scaled as that of an unknown vehicle."""
        if self.scaler is None or owner.startswith("vehicle/"):
            return series
        return self.scaler.as_unknown(series)

    def _units(self, series: Series, owner: str) -> constant.Units:
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
