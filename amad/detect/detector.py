"""The detector: members, the evidence chain that combines them, and a threshold.

``fit`` learns from normal rows only; ``score`` changes nothing. Evaluation, the registry and the
scheduled scoring job use the same object. ``amad.detect.storage`` saves and loads it.

Learnt figures: a vehicle with ``SHORT_ROWS`` train rows has coefficients and a calibration of its
own; the fewer its rows, the more they are moved towards those of its class. An unknown vehicle
takes the figures pooled over its class, or those of the fleet where the class is unknown too.
Because pooled figures serve vehicles without history, they are learnt from vehicles that are scaled
as if they had none.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from amad.config import ConfigError, Fleet
from amad.config.params import DetectParams
from amad.detect import constant_channels as constant
from amad.detect.alarms import TAIL_SCALE, merge_alarms
from amad.detect.build_members import build_members
from amad.detect.chain import EvidenceChain, habituation_rows
from amad.detect.combine import (
    EXCESS_QUANTILE,
    Ensemble,
    excess_shares,
    range_shares,
)
from amad.detect.learnt_figures import (
    ALLOWANCE,
    FLEET,
    SHORT_ROWS,
    LearntFigures,
    Prior,
    long_histories,
    own_share,
    pooled,
)
from amad.detect.members import Member
from amad.detect.priors import Priors
from amad.detect.scorer import RawScore, Scored, Scorer, by_vehicle
from amad.windows.increments import history_rows
from amad.windows.scaler import Scaler, UnknownVehicles, serving
from amad.windows.series import Series

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
        """scaler: the scaler of the series; only saving needs it.

        bundle: is saved with the detector, even if its network has no vote.
        """
        super().__init__(params, fleet, scaler, name)
        self.members = list(members)
        self.bundle = bundle
        self.chain = EvidenceChain(params)
        self.figures: dict[str, LearntFigures] = {}  # by owner, see ``learnt_figures``
        self.priors = Priors([], self.members, self._fit_prior)  # while figures are learnt

    @property
    def ensemble(self) -> Ensemble:
        """The members and the evidence chain."""
        return Ensemble(self.members, self.chain, self.fleet.period_us)

    @property
    def context_rows(self) -> int:
        """How many periods before a row its score depends on."""
        habituation = habituation_rows(self.fleet.period_us)
        reach = [
            member.context_rows
            + habituation * member.between_channels
            + self.params.baseline_rows * (not member.predicts)
            for member in self.members
        ]
        return self.chain.context_rows + max(reach, default=0) + history_rows(self.fleet)

    @property
    def lookahead_rows(self) -> int:
        """How many periods after a row its score depends on; 0 for trailing linear detectors."""
        members = max((m.lookahead_rows for m in self.members), default=0)
        return self.chain.lookahead_rows + members

    @property
    def history_us(self) -> int:
        """How many microseconds before a row must be read for the ``memory`` of ``score``."""
        context_us = self.history_rows * self.fleet.period_us
        remembers = any(figures.remembered for figures in self.figures.values())
        return max(context_us, constant.MEMORY_US) if remembers else context_us

    def learn(self, train: Sequence[Series], calibration: Sequence[Series]) -> None:
        """Fit all figures on train rows; measure excess thresholds on calibration rows."""
        self.fit_figures(train)
        self.measure_excess_thresholds(calibration)
        self.priors.forget(self.figures)

    def fit_figures(self, train: Sequence[Series]) -> None:
        """Fit the figures of the fleet, of each class if there are several, and of each vehicle."""
        classes = sorted({series.vehicle_class for series in train})
        names = [FLEET, *(f"class/{name}" for name in classes if len(classes) > 1)]
        groups = {name: self._without_history(train, name) for name in names}
        for member in self.members:
            member.fit_shared(pooled(train))
        self.figures = {owner: self._fit_figures(owner, group) for owner, group in groups.items()}
        self.priors = Priors(train, self.members, self._fit_prior)
        for series in train:
            if series.rows >= SHORT_ROWS:
                owner, prior = f"vehicle/{series.vehicle}", self.priors.of(series)
                self.figures[owner] = self._fit_figures(owner, [series], prior)

    def _fit_prior(self, owner: str, group: list[Series]) -> LearntFigures:
        self.figures[owner] = self._fit_figures(owner, group)
        return self.figures[owner]

    def _without_history(self, series: Sequence[Series], owner: str) -> list[Series]:
        """A bounded sample of a class or the fleet, each vehicle scaled as if it were unknown.

        The figures of a fleet with several classes also serve vehicles of an unknown class, so
        there a vehicle is scaled as if only the other classes were known.
        """
        own = [s for s in series if owner in (FLEET, f"class/{s.vehicle_class}")]
        own = pooled(long_histories(own)) if own else []
        if self.scaler is None:
            return own
        unknown = UnknownVehicles(self.scaler, {s.vehicle: s.vehicle_class for s in series})
        return [unknown.of(s, whole_fleet=owner == FLEET) for s in own]

    def _fit_figures(
        self, owner: str, group: list[Series], prior: Prior | None = None
    ) -> LearntFigures:
        noise_C = constant.noise_of(self._scaling(group[0], owner))
        never_move = constant.constant_channels(group, noise_C)
        hardly_move = constant.nearly_constant_channels(group, noise_C)
        group = [constant.hold(series, never_move) for series in group]
        present = [self.present(s) for s in group]
        calibration, evidence, explained = self.ensemble.calibrate(
            owner, group, present, never_move, prior
        )
        members = self.ensemble.serving(calibration)
        excess_threshold = {
            name: float(np.quantile(evidence[name], EXCESS_QUANTILE))
            if prior is None or len(evidence[name])
            else prior.figures.excess_threshold.get(name, 0.0)
            for name in (*excess_shares(members), *range_shares(members))
        }
        allowance = 0.0
        if prior is not None:
            share = own_share(group[0].rows)
            allowance = ALLOWANCE * (1 - share)
            if not any(len(evidence[m.name]) for m in members if m.predicts):
                share = 0.0
            explained = share * explained + (1 - share) * prior.figures.explained
        return LearntFigures(
            calibration=calibration,
            explained=explained,
            excess_threshold=excess_threshold,
            allowance=allowance,
            constant=never_move,
            nearly_constant=hardly_move,
        )

    def _note_last_values(self, calibration: Sequence[Series]) -> None:
        """If a constant channel moved for good in the calibration rows, note its new value."""
        for series in calibration:
            owner = f"vehicle/{series.vehicle}"
            if (figures := self.figures.get(owner)) is not None:
                noise_C = constant.noise_of(self._scaling(series, owner))
                known = constant.last_known(figures.constant, series, noise_C)
                self.figures[owner] = replace(figures, constant=known)

    def measure_excess_thresholds(self, calibration: Sequence[Series]) -> None:
        """Measure the excess thresholds again for owners with ``SHORT_ROWS`` calibration rows.

        Train evidence is cross-fitted, but each fold lies between rows that it was fitted on.
        Calibration rows come after all train rows, as the rows that will be scored do.
        """
        for owner, group in self._held_out(calibration).items():
            if sum(s.rows for s in group) < SHORT_ROWS:
                continue
            figures = self.figures[owner]
            some = replace(self.ensemble, members=self.ensemble.serving(figures.excess_threshold))
            found = [some.evidence(figures, owner, s, self.present(s)) for s in group]
            for member in some.members:
                known = [evidence[member.name][0] for evidence in found if member.name in evidence]
                if known:
                    figures.excess_threshold[member.name] = float(
                        np.quantile(np.concatenate(known), EXCESS_QUANTILE)
                    )
        self.priors.move_thresholds(self.figures)

    def _held_out(self, calibration: Sequence[Series]) -> dict[str, list[Series]]:
        """The calibration rows of each owner: of the vehicle, or of vehicles without history."""
        calibration = by_vehicle(calibration)
        found = {}
        for owner in sorted(self.figures):
            if owner.startswith("vehicle/"):
                own = [self._settled(s) for s in calibration if owner == f"vehicle/{s.vehicle}"]
            elif owner in self.priors.known:
                own = [s for s in calibration if s.vehicle in self.priors.known[owner].vehicles]
            else:
                own = self._without_history(calibration, owner)
            if own:
                found[owner] = own
        return found

    def learn_threshold(
        self, calibration: Sequence[Series], history: Mapping[str, np.ndarray]
    ) -> None:
        """Choose the threshold, and the allowance of all pooled figures.

        If any vehicle has figures of its own, the threshold is chosen on such vehicles only.
        """
        groups = self._held_out(calibration)
        own = [s for owner, group in groups.items() if owner.startswith("vehicle/") for s in group]
        rows = own or by_vehicle(calibration)
        moves = self._first_moves_per_day(calibration, history)
        self._choose_threshold(rows, [self.raw_score(s).score_T for s in rows], history, moves)
        for owner, group in groups.items():
            if own and not owner.startswith("vehicle/"):
                scores = [self._score_with(owner, s).score_T for s in group]
                needed = self._operating_point(group, scores, history, moves)
                if needed is not None:
                    allowance = max(needed.threshold - self.threshold, 0.0)
                    self.figures[owner] = replace(self.figures[owner], allowance=allowance)
        self._note_last_values(calibration)

    def _first_moves_per_day(
        self, calibration: Sequence[Series], history: Mapping[str, np.ndarray]
    ) -> float:
        """Incidents per vehicle-day that first moves alone are on the calibration rows.

        A single one tells no rate, and counts as none.
        """
        incidents = 0
        for series in by_vehicle(calibration):
            moves = self._first_moves(series)
            moved_T = np.any([*moves.values(), np.zeros(series.rows, bool)], axis=0)
            incidents += len(
                merge_alarms(
                    moved_T, series.timestamp_T, period_us=self.fleet.period_us, gap_us=self.gap_us
                )
            )
        return incidents / self._days(by_vehicle(calibration), history) if incidents > 1 else 0.0

    def _first_moves(self, series: Series, memory: Series | None = None) -> dict[int, np.ndarray]:
        """The rows of each constant channel in which its first move is reported."""
        owner = self.owner_of(series)
        return constant.first_moves(
            self._scaled_for(series, owner),
            memory,
            self.figures[owner],
            self._scaling(series, owner),
            period_us=self.fleet.period_us,
            too_short=self.too_short,
        )

    def score(self, series: Series, memory: Series | None = None) -> Scored:
        """Score, alarm and contributions of every row of a scaled series; nothing is learnt.

        memory: a longer record that ends with the series and holds only the channels
        ``remembered_channels``, in that order and in engineering units, see ``constant_channels``.
        Default: the series itself.
        """
        raw = self.raw_score(self._settled(series, memory))
        assert self.operating_point is not None, "fit the detector first"
        reported = self.operating_point.reports_first_moves
        moves = self._first_moves(series, memory) if reported else {}
        threshold_T = self.thresholds(series, raw.score_T)
        constant.raise_scores(moves, raw.score_T, raw.contribution_TC, threshold=self.threshold)
        # A first move is reported whatever the other scores are.
        moved_T = np.any(list(moves.values()), axis=0) if moves else np.zeros(series.rows, bool)
        threshold_T[moved_T] = np.minimum(threshold_T[moved_T], self.threshold)
        return self._with_alarms(raw, threshold_T)

    def remembered_channels(self, vehicle: str, vehicle_class: str) -> list[int]:
        """The channels that never or hardly ever moved in the train rows that serve a vehicle."""
        return self.figures[self.owner_for(vehicle, vehicle_class)].remembered

    def raw_score(self, series: Series) -> RawScore:
        """The scores of a scaled series before any threshold, with the allowance subtracted."""
        owner = self.owner_of(series)
        raw = self._score_with(owner, self._scaled_for(series, owner))
        return raw._replace(score_T=raw.score_T - self.figures[owner].allowance)

    def _score_with(self, owner: str, series: Series) -> RawScore:
        """The scores under the owner's figures, without the allowance."""
        figures, ensemble = self.figures[owner], self.ensemble
        evidence = ensemble.evidence(figures, owner, series, self.present(series))
        if evidence:
            score_T, contribution_TC = ensemble.combined(figures, evidence, series)
        else:
            score_T, contribution_TC = np.zeros(series.rows), np.zeros(series.value_TC.shape)
        # Where every channel was constant in train, first moves are all that there is to report.
        scored = bool(evidence or figures.constant)
        unscored_T = self.too_short(series) if scored else np.ones(series.rows, bool)
        left_out = tuple(m.name for m in self.members if m.name not in evidence)
        raw = self._where_scored(score_T, contribution_TC, unscored_T)
        return raw._replace(left_out=left_out)

    def _settled(self, series: Series, memory: Series | None = None) -> Series:
        owner = self.owner_of(series)
        return constant.settled(series, memory, self.figures[owner], self._scaling(series, owner))

    def as_members_see(self, series: Series) -> Series:
        """A scaled series as the members get it, but for channels that never moved."""
        return self._scaled_for(self._settled(series), self.owner_of(series))

    def _scaled_for(self, series: Series, owner: str) -> Series:
        """A scaled series; if pooled figures serve it, scaled as that of an unknown vehicle."""
        if self.scaler is None or owner.startswith("vehicle/"):
            return series
        return self.scaler.as_unknown(series)

    def _scaling(self, series: Series, owner: str) -> tuple[np.ndarray, np.ndarray]:
        """(mean_C, scale_C) that ``_scaled_for`` scales the series with."""
        if self.scaler is None:
            return np.zeros(series.value_TC.shape[1]), np.ones(series.value_TC.shape[1])
        vehicle = series.vehicle if owner.startswith("vehicle/") else ""
        return self.scaler.figures(vehicle, series.vehicle_class)

    def owner_of(self, series: Series) -> str:
        """Whose figures serve this series: the vehicle's own, its class's or the fleet's."""
        return self.owner_for(series.vehicle, series.vehicle_class)

    def owner_for(self, vehicle: str, vehicle_class: str) -> str:
        """``owner_of`` for a vehicle by its id and class."""
        kind, name = serving(vehicle, vehicle_class, lambda k, n: f"{k}/{n}" in self.figures)
        return FLEET if kind == FLEET else f"{kind}/{name}"


def build_detector(bundle: "Bundle", params: DetectParams) -> Detector:
    """An unfitted detector with the bundle's network, fleet and scaler.

    Raises:
        ConfigError: none of ``params.members`` has a vote.
    """
    members = build_members(params, bundle)
    if not members:
        raise ConfigError(
            f"detect.members: none of {', '.join(params.members) or '(nothing)'} has a vote; name "
            "one in closed form such as ridge, or set detect.amad_weight above 0"
        )
    return Detector(members, params, bundle.fleet, bundle.scaler, bundle=bundle)
