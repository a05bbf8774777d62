"""The detector: members under the evidence chain, and a threshold. The one definition of an alarm.

``fit`` learns on normal rows alone; ``score`` changes nothing. The same object serves evaluate, the
registry and the scheduled job. ``amad.detect.storage`` has its form on disk.

Levels: a vehicle with enough train rows has coefficients and a calibration of its own. A vehicle
with fewer, or one never seen, takes those pooled over its class; where the class was never seen
either, those of the fleet. A pooled level serves vehicles without history, so it learns from
vehicles that are scaled as if they had none.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect import constant_channels as constant
from amad.detect.chain import EvidenceChain
from amad.detect.combine import EXCESS_QUANTILE, Ensemble, excess_shares, shares
from amad.detect.detector_state import FLEET, OWN_ROWS, Level, Scored, pooled
from amad.detect.make import make_members, with_a_vote
from amad.detect.members import Member
from amad.detect.scorer import RawScore, Scorer, by_vehicle
from amad.windows.scaler import Scaler, UnknownVehicles, serving
from amad.windows.series import Series

if TYPE_CHECKING:
    from amad.model.bundle import Bundle


class Detector(Scorer):
    """Members joined by the evidence chain, with a threshold for a promised budget of alarms.

    All series are scaled (``scaler.apply``). Example::

        detector = build_detector(bundle, params.detect).fit(train, calibration)
        scored = detector.score(series)      # score_T, alarm_T, contribution_TC
        save_detector(detector, path); detector = load_detector(path)
    """

    def __init__(
        self,
        members: Sequence[Member],
        params: DetectParams,
        fleet: Fleet,
        scaler: Scaler | None,
        name: str = "amad",
        bundle: "Bundle | None" = None,
    ) -> None:
        """scaler: the one that the series are scaled with; needed to save.

        bundle: travels with the detector even where its network has no vote.
        """
        super().__init__(params, fleet, scaler, name)
        self.members = list(members)
        self.bundle = bundle
        self.chain = EvidenceChain(params)
        self.levels: dict[str, Level] = {}

    @property
    def ensemble(self) -> Ensemble:
        """The members under the evidence chain."""
        return Ensemble(self.members, self.chain, self.fleet.period_us)

    @property
    def context_rows(self) -> int:
        """Periods before a row that its score depends on; read this many before a day."""
        members = max((m.context_rows for m in self.members), default=0)
        habituation = any(m.between_channels for m in self.members)
        baselines = (1 + habituation) * self.params.baseline_rows
        return baselines + self.chain.context_rows + members

    @property
    def lookahead_rows(self) -> int:
        """Periods after a row that its score depends on; 0 for trailing linear detectors."""
        members = max((m.lookahead_rows for m in self.members), default=0)
        return self.chain.lookahead_rows + members

    @property
    def history_us(self) -> int:
        """Microseconds before a row that its score depends on, see ``score``."""
        context_us = self.context_rows * self.fleet.period_us
        remembers = any(level.remembered for level in self.levels.values())
        return max(context_us, constant.MEMORY_US) if remembers else context_us

    def learn(self, train: Sequence[Series], calibration: Sequence[Series]) -> None:
        """Fit every level on train rows; measure its excess thresholds on calibration rows."""
        self.fit_levels(train)
        self._note_last_values(calibration)
        self.measure_excess_thresholds(calibration)

    def fit_levels(self, train: Sequence[Series]) -> None:
        """Fit every level: the fleet, each class where there are several, each vehicle."""
        classes = sorted({series.vehicle_class for series in train})
        names = [FLEET, *(f"class/{name}" for name in classes if len(classes) > 1)]
        groups = {name: self._without_history(train, name) for name in names}
        for member in self.members:
            member.fit_shared(pooled(train))
        for series in train:
            if series.rows >= OWN_ROWS:
                groups[f"vehicle/{series.vehicle}"] = [series]
        self.levels = {level: self._fit_level(level, group) for level, group in groups.items()}

    def _without_history(self, series: Sequence[Series], level: str) -> list[Series]:
        """A bounded sample of a pooled level's vehicles, scaled as if only the rest were known.

        With several classes the fleet's own level also serves vehicles whose class is not known:
        there the rest is the other classes.
        """
        own = [s for s in series if level in (FLEET, f"class/{s.vehicle_class}")]
        own = pooled(own) if own else []
        if self.scaler is None:
            return own
        unknown = UnknownVehicles(self.scaler, {s.vehicle: s.vehicle_class for s in series})
        return [unknown.of(s, whole_fleet=level == FLEET) for s in own]

    def _fit_level(self, at: str, group: list[Series]) -> Level:
        noise_C = constant.noise_of(self._figures(group[0], at))
        never_move = constant.constant_channels(group, noise_C)
        hardly_move = constant.nearly_constant_channels(group, noise_C)
        group = [constant.hold(series, never_move) for series in group]
        present = [self.present(s) for s in group]
        calibration, evidence = self.ensemble.calibrate(at, group, present, never_move)
        members = self.ensemble.serving(calibration)
        means = {name: float(np.mean(evidence_T)) for name, evidence_T in evidence.items()}
        return Level(
            calibration=calibration,
            ordinary=sum(share * means[name] for name, share in shares(members).items()),
            excess_threshold={
                name: float(np.quantile(evidence[name], EXCESS_QUANTILE))
                for name in excess_shares(members)
            },
            constant=never_move,
            nearly_constant=hardly_move,
        )

    def _note_last_values(self, calibration: Sequence[Series]) -> None:
        """Where a constant channel moved for good in the calibration rows, add its new value."""
        for series in calibration:
            name = f"vehicle/{series.vehicle}"
            if (level := self.levels.get(name)) is not None:
                noise_C = constant.noise_of(self._figures(series, name))
                known = constant.last_known(level.constant, series, noise_C)
                self.levels[name] = replace(level, constant=known)

    def measure_excess_thresholds(self, calibration: Sequence[Series]) -> None:
        """Measure the excess thresholds again where a level has ``OWN_ROWS`` calibration rows.

        Train evidence is cross-fitted, but lies between the folds it was fitted on; the
        calibration rows come after it, as everything does that will be scored.
        """
        for name, group in self._held_out(calibration).items():
            if sum(s.rows for s in group) < OWN_ROWS:
                continue
            level = self.levels[name]
            some = replace(self.ensemble, members=self.ensemble.serving(level.excess_threshold))
            found = [some.evidence(level, name, s, self.present(s)) for s in group]
            for member in some.members:
                known = [evidence[member.name][0] for evidence in found if member.name in evidence]
                if known:
                    level.excess_threshold[member.name] = float(
                        np.quantile(np.concatenate(known), EXCESS_QUANTILE)
                    )

    def _held_out(self, calibration: Sequence[Series]) -> dict[str, list[Series]]:
        """What to calibrate each level on: rows of its vehicle, or of vehicles without history."""
        calibration = by_vehicle(calibration)
        found = {}
        for name in sorted(self.levels):
            if name.startswith("vehicle/"):
                own = [self._settled(s) for s in calibration if name == f"vehicle/{s.vehicle}"]
            else:
                own = self._without_history(calibration, name)
            found[name] = own
        return {name: group for name, group in found.items() if group}

    def learn_threshold(
        self, calibration: Sequence[Series], history: Mapping[str, np.ndarray]
    ) -> None:
        """Choose the threshold, and the allowance of each pooled level.

        The threshold is that of vehicles with a level of their own, where there are any.
        """
        groups = self._held_out(calibration)
        own = [s for name, group in groups.items() if name.startswith("vehicle/") for s in group]
        rows = own or by_vehicle(calibration)
        self._choose_threshold(rows, [self.raw_score(s).score_T for s in rows], history)
        for name, group in groups.items():
            if own and not name.startswith("vehicle/"):
                scores = [self._score_at(name, s).score_T for s in group]
                if (needed := self._operating_point(group, scores, history)) is not None:
                    allowance = max(needed.threshold - self.threshold, 0.0)
                    self.levels[name] = replace(self.levels[name], allowance=allowance)

    def score(self, series: Series, memory: Series | None = None) -> Scored:
        """Score, alarm and attribution of every row of a scaled series; changes nothing here.

        memory: a longer record of the channels ``remembered_channels``, in their order, in
        engineering units, which ends with the series, see ``constant_channels``. Default: the
        series itself.
        """
        raw = self.raw_score(self._settled(series, memory))
        name = self.level_of(series)
        moves = constant.first_moves(
            self._scaled_for(series, name),
            memory,
            self.levels[name],
            self._figures(series, name),
            period_us=self.fleet.period_us,
            too_short=self.too_short,
        )
        constant.raise_scores(moves, raw.score_T, raw.contribution_TC, threshold=self.threshold)
        return self._with_alarms(raw)

    def remembered_channels(self, vehicle: str, vehicle_class: str) -> list[int]:
        """The channels that never or hardly ever moved in the train rows of the vehicle's level."""
        return self.levels[self.level_for(vehicle, vehicle_class)].remembered

    def raw_score(self, series: Series) -> RawScore:
        """The scores of a scaled series before any threshold, less its level's allowance."""
        name = self.level_of(series)
        raw = self._score_at(name, self._scaled_for(series, name))
        return raw._replace(score_T=raw.score_T - self.levels[name].allowance)

    def _score_at(self, name: str, series: Series) -> RawScore:
        """The same at a level, without its allowance."""
        level, ensemble = self.levels[name], self.ensemble
        evidence = ensemble.evidence(level, name, series, self.present(series))
        if evidence:
            score_T, contribution_TC = ensemble.joined(level, evidence)
            score_T = self.chain.take_off_baseline(
                score_T, ensemble.recent(series), ordinary=level.ordinary
            )
        else:
            score_T, contribution_TC = np.zeros(series.rows), np.zeros(series.value_TC.shape)
        # Where every channel was constant in train, first moves are all that there is to report.
        scored = bool(evidence or level.constant)
        unscored_T = self.too_short(series) if scored else np.ones(series.rows, bool)
        left_out = tuple(m.name for m in self.members if m.name not in evidence)
        raw = self._where_scored(score_T, contribution_TC, unscored_T)
        return raw._replace(left_out=left_out)

    def _settled(self, series: Series, memory: Series | None = None) -> Series:
        name = self.level_of(series)
        return constant.settled(series, memory, self.levels[name], self._figures(series, name))

    def _scaled_for(self, series: Series, level: str) -> Series:
        """A scaled series as the level takes it: a pooled one, as of a vehicle without history."""
        if self.scaler is None or level.startswith("vehicle/"):
            return series
        return self.scaler.as_unknown(series)

    def _figures(self, series: Series, level: str) -> tuple[np.ndarray, np.ndarray]:
        """(mean_C, scale_C) that the series is scaled with for the level."""
        if self.scaler is None:
            return np.zeros(series.value_TC.shape[1]), np.ones(series.value_TC.shape[1])
        vehicle = series.vehicle if level.startswith("vehicle/") else ""
        return self.scaler.figures(vehicle, series.vehicle_class)

    def level_of(self, series: Series) -> str:
        """The level that serves this vehicle: its own, else its class's, else the fleet's."""
        return self.level_for(series.vehicle, series.vehicle_class)

    def level_for(self, vehicle: str, vehicle_class: str) -> str:
        """The same by name."""
        kind, name = serving(vehicle, vehicle_class, lambda k, n: f"{k}/{n}" in self.levels)
        return FLEET if kind == FLEET else f"{kind}/{name}"


def build_detector(bundle: "Bundle", params: DetectParams) -> Detector:
    """An unfitted detector around the bundle's network, for the bundle's fleet and scaler.

    Raises:
        ConfigError: none of ``params.members`` has a vote.
    """
    members = with_a_vote(make_members(params, bundle), params)
    return Detector(members, params, bundle.fleet, bundle.scaler, bundle=bundle)
