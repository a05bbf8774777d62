"""The detector: members, the evidence chain and the threshold. The one definition of an alarm.

``fit`` learns on normal rows alone; ``score`` is pure. The same object serves evaluate, the
registry and the scheduled job. On disk it is ``detector.json`` (contract, scaler, settings,
operating point), ``state.safetensors`` (every array) and, where a network votes, ``bundle/``: no
pickle, and the same bytes for the same content.

Levels: a vehicle with enough train rows has coefficients and a calibration of its own; one without
(or never seen) takes those pooled over its class, a class never seen those of the fleet. A pooled
level learns from vehicles scaled as strangers, since that is how it will meet them.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from amad.config import DataError, Fleet
from amad.config.params import DetectParams
from amad.detect import constant_channels as stillness
from amad.detect.alarms import OperatingPoint, choose_threshold, vehicle_days
from amad.detect.chain import EvidenceChain
from amad.detect.combine import BAR_QUANTILE, excess_shares, join, shares
from amad.detect.constant_channels import MEMORY_US, hold, noise_of, tell
from amad.detect.detector_state import FLEET, OWN_ROWS, Level, Scored, pooled
from amad.detect.make import make_members, with_a_vote
from amad.detect.members import Member
from amad.windows.scaler import Scaler, Strangers
from amad.windows.series import Series

if TYPE_CHECKING:
    from amad.model.bundle import Bundle


class Detector:
    """Members joined by the evidence chain, with a threshold for a promised budget of alarms.

    All series are scaled (``scaler.apply``). Example::

        detector = build_detector(bundle, params.detect).fit(train, calibration)
        scored = detector.score(series)      # score_T, alarm_T, part_TC
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
        """scaler: that the series are scaled with; travels along, needed to save.

        bundle: travels with the detector even where its network has no vote.
        """
        self.members = list(members)
        self.params = params
        self.fleet = fleet
        self.scaler = scaler
        self.name = name
        self.bundle = bundle
        self.chain = EvidenceChain(params)
        self.levels: dict[str, Level] = {}
        self.operating_point: OperatingPoint | None = None

    @property
    def threshold(self) -> float:
        """Alarms are scores above it."""
        assert self.operating_point is not None, "fit the detector first"
        return self.operating_point.threshold

    @property
    def context_rows(self) -> int:
        """Periods before a row that its score depends on; read so many before a day."""
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
        moves = any(level.followed for level in self.levels.values())
        return max(context_us, MEMORY_US) if moves else context_us

    def fit(self, train: Sequence[Series], calibration: Sequence[Series]) -> "Detector":
        """Learn coefficients and calibrations from train rows, the threshold from calibration rows.

        train, calibration: scaled, one series a vehicle; vehicles may be missing from either.

        Raises:
            DataError: no train or no calibration rows that can be scored.
        """
        train = sorted((s for s in train if s.rows), key=lambda s: s.vehicle)
        if not train:
            raise DataError(
                f"fleet {self.fleet.name}: no train rows to fit a detector on; check the split "
                "and the quarantine, and run prepare again"
            )
        self.fit_levels(train)
        self._set_known(calibration)
        self.set_bars(calibration)
        self.set_threshold(train, calibration)
        return self

    def fit_levels(self, train: Sequence[Series]) -> None:
        """Fit every level: the fleet, each class where there are several, each vehicle."""
        classes = sorted({series.vehicle_class for series in train})
        names = [FLEET, *(f"class/{name}" for name in classes if len(classes) > 1)]
        groups = {name: self._strangers(train, name) for name in names}
        for member in self.members:
            member.fit_shared(pooled(train))
        for series in train:
            if series.rows >= OWN_ROWS:
                groups[f"vehicle/{series.vehicle}"] = [series]
        self.levels = {level: self._fit_level(level, group) for level, group in groups.items()}

    def _strangers(self, series: Sequence[Series], level: str) -> list[Series]:
        """A bounded sample of a pooled level's vehicles, scaled as if only the rest were known.

        With several classes the fleet's own level meets vehicles whose class is not known either:
        there the rest is the other classes.
        """
        own = [s for s in series if level in (FLEET, f"class/{s.vehicle_class}")]
        own = pooled(own) if own else []
        if self.scaler is None:
            return own
        strangers = Strangers(self.scaler, {s.vehicle: s.vehicle_class for s in series})
        return [strangers.of(s, whole_fleet=level == FLEET) for s in own]

    def _fit_level(self, level: str, group: list[Series]) -> Level:
        noise_C = noise_of(self._figures(group[0], level))
        still = stillness.still_channels(group, noise_C)
        usual = stillness.hardly_moving(group, noise_C)
        group = [hold(series, still) for series in group]
        layout = self.chain.layout(group, [self.present(s) for s in group])
        learnt, evidence = {}, {}
        for member in self.members:
            residual_TC = np.concatenate(member.fit(level, group, self.params.folds))
            residual_TC[:, list(still)] = np.nan
            found = self.chain.calibrate(residual_TC, layout)
            if found is not None:
                learnt[member.name], evidence[member.name] = found
        members = self._serving(learnt)
        means = {name: float(np.mean(evidence[name])) for name in learnt}
        return Level(
            calibration=learnt,
            ordinary=sum(share * means[name] for name, share in shares(members).items()),
            bar={
                name: float(np.quantile(evidence[name], BAR_QUANTILE))
                for name in excess_shares(members)
            },
            still=still,
            usual=usual,
        )

    def _set_known(self, calibration: Sequence[Series]) -> None:
        """Where a still channel moved for good in the calibration rows, its new value is known."""
        for series in calibration:
            name = f"vehicle/{series.vehicle}"
            if (level := self.levels.get(name)) is not None:
                noise_C = noise_of(self._figures(series, name))
                still = stillness.last_known(level.still, series, noise_C)
                self.levels[name] = replace(level, still=still)

    def _as_met(self, series: Series, level: str) -> Series:
        """A scaled series as the level meets it: a pooled one, as a stranger."""
        if self.scaler is None or level.startswith("vehicle/"):
            return series
        return self.scaler.as_stranger(series)

    def _figures(self, series: Series, level: str) -> tuple[np.ndarray, np.ndarray]:
        """(mean_C, scale_C) of the series as the level meets it."""
        if self.scaler is None:
            return np.zeros(series.value_TC.shape[1]), np.ones(series.value_TC.shape[1])
        vehicle = series.vehicle if level.startswith("vehicle/") else ""
        return self.scaler.figures(vehicle, series.vehicle_class)

    def _serving(self, names: Container[str]) -> list[Member]:
        return [member for member in self.members if member.name in names]

    def set_bars(self, calibration: Sequence[Series]) -> None:
        """Measure the bars again on held-out rows, where a level has ``OWN_ROWS`` of them.

        Train evidence is cross-fitted, but lies between the folds it was fitted on; the
        calibration rows come after it, as everything does that will be scored.
        """
        for name, group in self._held_out(calibration).items():
            level = self.levels[name]
            for member in self.members:
                if member.name in level.bar and sum(s.rows for s in group) >= OWN_ROWS:
                    found = [self._evidence(member, s, name) for s in group]
                    known = [evidence[0] for evidence in found if evidence is not None]
                    if known:
                        level.bar[member.name] = float(
                            np.quantile(np.concatenate(known), BAR_QUANTILE)
                        )

    def _held_out(self, calibration: Sequence[Series]) -> dict[str, list[Series]]:
        """What to calibrate each level on: rows of its vehicle, or of vehicles as strangers."""
        calibration = sorted((s for s in calibration if s.rows), key=lambda s: s.vehicle)
        found = {}
        for name in sorted(self.levels):
            own = [self._settled(s) for s in calibration if name == f"vehicle/{s.vehicle}"]
            found[name] = own if name.startswith("vehicle/") else self._strangers(calibration, name)
        return {name: group for name, group in found.items() if group}

    def _evidence(
        self, member: Member, series: Series, name: str
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Evidence (T,) and parts (T, C) of one member at a level, None where it cannot serve."""
        calibration = self.levels[name].calibration.get(member.name)
        if calibration is None or not series.rows:
            return None
        series = hold(series, self.levels[name].still)
        layout = self.chain.layout([series], [self.present(series)])
        recent_T = self._recent(series) if member.between_channels else None
        return self.chain.evidence(member.residual(series, name), layout, calibration, recent_T)

    def _recent(self, series: Series) -> np.ndarray:
        return self.chain.recent(series.timestamp_T, period_us=self.fleet.period_us)

    def set_threshold(self, train: Sequence[Series], calibration: Sequence[Series]) -> None:
        """Choose the threshold for the budget from calibration rows, and the levels' allowances.

        The threshold is that of vehicles with a level of their own, where there are any.
        """
        history = {s.vehicle: s.timestamp_T for s in train}
        groups = self._held_out(calibration)
        own = [group for name, group in groups.items() if name.startswith("vehicle/")]
        known = [series for group in own for series in group]
        known = known or sorted((s for s in calibration if s.rows), key=lambda s: s.vehicle)
        scores = [self.raw_score(s)[0] for s in known]
        if not any(np.isfinite(score_T).any() for score_T in scores):
            raise DataError(
                f"fleet {self.fleet.name}: no calibration row can be scored, so there is no "
                "threshold; raise split.calibration_share or lower missing.min_segment_rows"
            )
        self.operating_point = self._threshold(known, scores, history)
        for name, group in groups.items():
            if own and not name.startswith("vehicle/"):
                scores = [self._score_at(name, s)[0] for s in group]
                if any(np.isfinite(score_T).any() for score_T in scores):
                    needed = self._threshold(group, scores, history).threshold
                    allowance = max(needed - self.threshold, 0.0)
                    self.levels[name] = replace(self.levels[name], allowance=allowance)

    def _threshold(
        self,
        calibration: Sequence[Series],
        scores: Sequence[np.ndarray],
        history: Mapping[str, np.ndarray],
    ) -> OperatingPoint:
        """The operating point on these rows; history: timestamps of each vehicle's train rows."""
        times = [s.timestamp_T for s in calibration]
        whole = [
            np.concatenate([history.get(s.vehicle, s.timestamp_T[:0]), s.timestamp_T])
            for s in calibration
        ]
        return choose_threshold(
            scores,
            times,
            days=vehicle_days(times, whole),
            budget=self.params.alarm_budget,
            period_us=self.fleet.period_us,
            gap_us=self.gap_us,
        )

    def score(self, series: Series, memory: Series | None = None) -> Scored:
        """Score, alarm and attribution of every row of a scaled series; pure.

        memory: a longer record of the channels ``still_channels``, in their order, in engineering
        units, which ends with the series, see ``constant_channels``. Default: the series itself.
        """
        score_T, part_TC, left_out = self.raw_score(self._settled(series, memory))
        name = self.level_of(series)
        told = stillness.told_rows(
            self._as_met(series, name),
            memory,
            self.levels[name],
            self._figures(series, name),
            period_us=self.fleet.period_us,
            too_short=self.too_short,
        )
        tell(told, score_T, part_TC, threshold=self.threshold)
        score_T = score_T.astype(np.float32)
        return Scored(
            score_T=score_T,
            alarm_T=score_T > np.float32(self.threshold),
            part_TC=part_TC.astype(np.float32),
            left_out=left_out,
        )

    def still_channels(self, vehicle: str, vehicle_class: str) -> list[int]:
        """The channels that never or hardly ever moved in the train rows of the vehicle's level."""
        return self.levels[self.level_for(vehicle, vehicle_class)].followed

    def _settled(self, series: Series, memory: Series | None = None) -> Series:
        name = self.level_of(series)
        return stillness.settled(series, memory, self.levels[name], self._figures(series, name))

    def raw_score(self, series: Series) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """(score_T, part_TC, members left out) before any threshold; float64."""
        name = self.level_of(series)
        score_T, part_TC, left_out = self._score_at(name, self._as_met(series, name))
        return score_T - self.levels[name].allowance, part_TC, left_out

    def _score_at(
        self, name: str, series: Series
    ) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """The same at a level, without its allowance."""
        level = self.levels[name]
        found = {member.name: self._evidence(member, series, name) for member in self.members}
        serving = {name: evidence for name, evidence in found.items() if evidence is not None}
        members = self._serving(serving)
        if members:
            score_T, part_TC = join(members, serving, level.bar)
            score_T = self.chain.take_off_baseline(
                score_T, self._recent(series), ordinary=level.ordinary
            )
            unscored_T = self.too_short(series)
        else:
            score_T, part_TC = np.zeros(series.rows), np.zeros(series.value_TC.shape)
            # Where every channel was still in train, first moves are all that there is to tell.
            unscored_T = self.too_short(series) if level.still else np.ones(series.rows, bool)
        left_out = [member.name for member in self.members if member.name not in serving]
        score_T[unscored_T] = np.nan
        part_TC[unscored_T] = 0.0
        return score_T, part_TC, tuple(left_out)

    def level_of(self, series: Series) -> str:
        """The level that serves this vehicle: its own, else its class's, else the fleet's."""
        return self.level_for(series.vehicle, series.vehicle_class)

    def level_for(self, vehicle: str, vehicle_class: str) -> str:
        """The same by name."""
        names = (f"vehicle/{vehicle}", f"class/{vehicle_class}")
        return next((name for name in names if name in self.levels), FLEET)

    def present(self, series: Series) -> np.ndarray:
        """Which channels the vehicle's class has, bool (C,)."""
        return np.array(self.fleet.has_channel(series.vehicle_class), bool)

    def too_short(self, series: Series) -> np.ndarray:
        """Rows of segments shorter than the fleet scores, bool (T,)."""
        out_T = np.zeros(series.rows, bool)
        for first, last in series.segments():
            out_T[first:last] = last - first < self.fleet.missing.min_segment_rows
        return out_T

    @property
    def gap_us(self) -> int:
        """Alarms at most this far apart are one incident, microseconds."""
        return round(self.params.merge_gap_seconds * 1_000_000)


def build_detector(bundle: "Bundle", params: DetectParams) -> Detector:
    """An unfitted detector around the bundle's network, for the bundle's fleet and scaler.

    Raises:
        ConfigError: none of ``params.members`` has a vote.
    """
    members = with_a_vote(make_members(params, bundle), params)
    return Detector(members, params, bundle.fleet, bundle.scaler, bundle=bundle)
