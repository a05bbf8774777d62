"""The detector: members, the evidence chain and the threshold. The one definition of an alarm.

``fit`` learns on normal rows alone; ``score`` is pure. The same object serves evaluate, the
registry and the scheduled job. On disk it is ``detector.json`` (contract, scaler, settings,
operating point), ``state.safetensors`` (every array) and, where a network votes, ``bundle/``: no
pickle, and the same bytes for the same content.

Levels: a vehicle with enough train rows has coefficients and a calibration of its own; one without
(or never seen) takes those pooled over its class, a class never seen those of the fleet.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amad.config import ConfigError, DataError, Fleet
from amad.config.params import DetectParams
from amad.detect.alarms import OperatingPoint, choose_threshold, vehicle_days
from amad.detect.chain import Calibration, EvidenceChain
from amad.detect.members import AmadMember, Member, RidgeMember
from amad.detect.relation import RelationMember
from amad.windows.scaler import Scaler
from amad.windows.series import Series

if TYPE_CHECKING:
    from amad.model.bundle import Bundle

FLEET = "fleet"
OWN_ROWS = 500  # train rows from which a vehicle is calibrated on its own
POOL_VEHICLES = 16  # at most, spread evenly over the sorted vehicles of a class
BAR_QUANTILE = 0.99  # of held-out evidence: what a member that joins by excess must exceed
POOL_ROWS = 80_000  # at most, in all: bounds the time and memory of a pooled level


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What the detector says of each row of a series.

    score_T float32, NaN where the row is not scored (segment shorter than the fleet's
    ``min_segment_rows``, or no member serves the vehicle). alarm_T bool. part_TC float32 >= 0: how
    much of the evidence each channel gave. left_out: members that had no finite residual here.
    """

    score_T: np.ndarray
    alarm_T: np.ndarray
    part_TC: np.ndarray
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What is ordinary at one level.

    calibration: of each member that serves it. ordinary: train mean of the base members' joint
    evidence. bar: of each member that joins by excess, the ``BAR_QUANTILE`` of its evidence.
    """

    calibration: dict[str, Calibration]
    ordinary: float
    bar: dict[str, float] = field(default_factory=dict)


class Detector:
    """Members joined by the evidence chain, with a threshold for a promised budget of alarms.

        score = mean of the base members' evidence
              + mean over the members that join by excess of max(evidence - bar, 0)

    less the slow baseline; both means are weighted. Base members see what happens over time, the
    others what happens between channels: relations wander on healthy vehicles, so such a member
    speaks where it exceeds the bar, its 99 % quantile on held-out calibration rows, and else says
    nothing: it neither alarms nor dilutes. Where no base member serves, the others are the base.

    All series are scaled (``scaler.apply``). Example::

        detector = build_detector(bundle, params.detect).fit(train, calibration)
        scored = detector.score(series)      # score_T, alarm_T, part_TC
        detector.save(path); Detector.load(path).digest() == detector.digest()
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
        return self.params.baseline_rows + self.chain.context_rows + members

    @property
    def lookahead_rows(self) -> int:
        """Periods after a row that its score depends on; 0 for trailing linear detectors."""
        members = max((m.lookahead_rows for m in self.members), default=0)
        return self.chain.lookahead_rows + members

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
        self.set_bars(calibration)
        self.set_threshold(train, calibration)
        return self

    def fit_levels(self, train: Sequence[Series]) -> None:
        """Fit every level: the fleet, each class where there are several, each vehicle."""
        groups = {FLEET: pooled(train)}
        classes = sorted({s.vehicle_class for s in train})
        if len(classes) > 1:
            for name in classes:
                groups[f"class/{name}"] = pooled([s for s in train if s.vehicle_class == name])
        for series in train:
            if series.rows >= OWN_ROWS:
                groups[f"vehicle/{series.vehicle}"] = [series]
        self.levels = {level: self._fit_level(level, group) for level, group in groups.items()}

    def _fit_level(self, level: str, group: list[Series]) -> Level:
        layout = self.chain.layout(group, [self.present(s) for s in group])
        learnt, evidence = {}, {}
        for member in self.members:
            residual_TC = np.concatenate(member.fit(level, group, self.params.folds))
            found = self.chain.calibrate(residual_TC, layout)
            if found is not None:
                learnt[member.name], evidence[member.name] = found
        base = self._base(learnt)
        total_T = sum(member.weight * evidence[member.name] for member in base)
        weight = sum(member.weight for member in base)
        return Level(
            calibration=learnt,
            ordinary=float(np.mean(total_T) / weight) if weight else 0.0,
            bar={
                member.name: float(np.quantile(evidence[member.name], BAR_QUANTILE))
                for member in self.members
                if member.name in learnt and member not in base
            },
        )

    def _base(self, serving: Container[str]) -> list[Member]:
        """Of the members that serve, those whose evidence counts in full."""
        present = [member for member in self.members if member.name in serving]
        return [member for member in present if not member.joins_by_excess] or present

    def set_bars(self, calibration: Sequence[Series]) -> None:
        """Measure the bars again on held-out rows, where a level has ``OWN_ROWS`` of them.

        Train evidence is cross-fitted, but lies between the folds it was fitted on; the
        calibration rows come after it, as everything does that will be scored.
        """
        groups: dict[str, list[Series]] = {}
        for series in sorted((s for s in calibration if s.rows), key=lambda s: s.vehicle):
            names = {self.level_of(series), f"class/{series.vehicle_class}", FLEET}
            for name in names & self.levels.keys():
                groups.setdefault(name, []).append(series)
        for name, group in sorted(groups.items()):
            level, group = self.levels[name], pooled(group)
            for member in self.members:
                if member.name in level.bar and sum(s.rows for s in group) >= OWN_ROWS:
                    found = [self._evidence(member, s, name) for s in group]
                    known = [evidence[0] for evidence in found if evidence is not None]
                    if known:
                        level.bar[member.name] = float(
                            np.quantile(np.concatenate(known), BAR_QUANTILE)
                        )

    def _evidence(
        self, member: Member, series: Series, name: str
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Evidence (T,) and parts (T, C) of one member at a level, None where it cannot serve."""
        calibration = self.levels[name].calibration.get(member.name)
        if calibration is None or not series.rows:
            return None
        layout = self.chain.layout([series], [self.present(series)])
        return self.chain.evidence(member.residual(series, name), layout, calibration)

    def set_threshold(self, train: Sequence[Series], calibration: Sequence[Series]) -> None:
        """Choose the threshold for the budget from the calibration rows."""
        known = {s.vehicle: s.timestamp_T for s in train}
        calibration = sorted((s for s in calibration if s.rows), key=lambda s: s.vehicle)
        scores = [self.raw_score(s)[0] for s in calibration]
        if not any(np.isfinite(score_T).any() for score_T in scores):
            raise DataError(
                f"fleet {self.fleet.name}: no calibration row can be scored, so there is no "
                "threshold; raise split.calibration_share or lower missing.min_segment_rows"
            )
        times = [s.timestamp_T for s in calibration]
        history = [
            np.concatenate([known.get(s.vehicle, s.timestamp_T[:0]), s.timestamp_T])
            for s in calibration
        ]
        self.operating_point = choose_threshold(
            scores,
            times,
            days=vehicle_days(times, history),
            budget=self.params.alarm_budget,
            period_us=self.fleet.period_us,
            gap_us=self.gap_us,
        )

    def score(self, series: Series) -> Scored:
        """Score, alarm and attribution of every row of a scaled series; pure."""
        score_T, part_TC, left_out = self.raw_score(series)
        score_T = score_T.astype(np.float32)
        return Scored(
            score_T=score_T,
            alarm_T=score_T > np.float32(self.threshold),
            part_TC=part_TC.astype(np.float32),
            left_out=left_out,
        )

    def raw_score(self, series: Series) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """(score_T, part_TC, members left out) before any threshold; float64."""
        name = self.level_of(series)
        level = self.levels[name]
        found = {member.name: self._evidence(member, series, name) for member in self.members}
        serving = {name: evidence for name, evidence in found.items() if evidence is not None}
        base = self._base(serving)
        score_T, part_TC = np.zeros(series.rows), np.zeros(series.value_TC.shape)
        weight = sum(member.weight for member in base)
        for member in base:
            score_T += member.weight / weight * serving[member.name][0]
            part_TC += member.weight / weight * serving[member.name][1]
        others = [m for m in self.members if m.name in serving and m not in base]
        for member in others:
            evidence_T, own_TC = serving[member.name]
            share = member.weight / sum(other.weight for other in others)
            excess_T = np.maximum(evidence_T - level.bar[member.name], 0.0)
            score_T += share * excess_T
            # A bar below 0 must not make a channel's part larger than the member's own.
            spoken_T = np.clip(excess_T / np.maximum(evidence_T, 1e-12), 0.0, 1.0)
            part_TC += share * spoken_T[:, None] * own_TC
        left_out = [member.name for member in self.members if member.name not in serving]
        if weight:
            score_T = self.chain.take_off_baseline(
                score_T, series.timestamp_T,
                period_us=self.fleet.period_us, ordinary=level.ordinary,
            )  # fmt: skip
        unscored_T = self.too_short(series) | (weight == 0)
        score_T[unscored_T] = np.nan
        part_TC[unscored_T] = 0.0
        return score_T, part_TC, tuple(left_out)

    def level_of(self, series: Series) -> str:
        """The level that serves this vehicle: its own, else its class's, else the fleet's."""
        for name in (f"vehicle/{series.vehicle}", f"class/{series.vehicle_class}"):
            if name in self.levels:
                return name
        return FLEET

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

    def save(self, path: Path) -> None:
        """Write the detector into the folder ``path``, in one piece."""
        from amad.detect.storage import save_detector

        save_detector(self, path)

    @staticmethod
    def load(path: Path) -> "Detector":
        """Read what ``save`` wrote.

        Raises:
            DataError: no detector at ``path``, or one of another format.
        """
        from amad.detect.storage import load_detector

        return load_detector(path)

    def digest(self) -> str:
        """A short hash of everything that is saved."""
        from amad.detect.storage import detector_digest

        return detector_digest(self)


def pooled(train: Sequence[Series]) -> list[Series]:
    """A bounded sample of several vehicles: some of them, and of each a stretch of its middle."""
    step = max(1, -(-len(train) // POOL_VEHICLES))
    chosen = list(train[::step])
    rows = POOL_ROWS // len(chosen)
    out = []
    for series in chosen:
        first = max(0, (series.rows - rows) // 2)
        out.append(series.rows_between(first, min(series.rows, first + rows)))
    return out


def linear_members() -> list[Member]:
    """Closed-form members over time: a short and a long horizon; what lies between adds nothing."""
    return [RidgeMember("ridge", range(1, 6)), RidgeMember("ridge_long", range(10, 30))]


def two_sided_member() -> Member:
    """What the middle row of a block of five should be, from the five rows on either side of it.

    A closed form of what the network is asked: AMAD's linear skip, without the network.
    """
    return RidgeMember("two_sided", [*range(3, 8), *range(-7, -2)])


def make_members(params: DetectParams, bundle: "Bundle | None" = None) -> list[Member]:
    """The members named in ``params.members``; a network of weight 0 has no vote and no cost.

    ``amad`` predicts hidden blocks of time, ``amad_channel`` hidden channels from the others.
    ``two_sided`` sees rows to come: with ``smoothing: trailing``, which is for online use, it is
    left out.
    """
    closed = [*linear_members(), two_sided_member(), RelationMember()]
    linear = {member.name: member for member in closed}
    members: list[Member] = []
    for name in params.members:
        if name == "two_sided" and params.smoothing == "trailing":
            continue
        if name in linear:
            members.append(linear[name])
        elif params.amad_weight > 0:
            assert bundle is not None, f"the member {name!r} needs a bundle"
            hide = "channel" if name == "amad_channel" else "time"
            members.append(
                AmadMember(bundle, params.hidden_block, params.amad_weight, name=name, hide=hide)
            )
    return members


def build_detector(bundle: "Bundle", params: DetectParams) -> Detector:
    """An unfitted detector around the bundle's network, for the bundle's fleet and scaler.

    Raises:
        ConfigError: none of ``params.members`` has a vote.
    """
    members = make_members(params, bundle)
    if not members:
        raise ConfigError(
            f"detect.members: none of {', '.join(params.members) or '(nothing)'} has a vote; name "
            "one in closed form such as ridge, or set detect.amad_weight above 0"
        )
    return Detector(members, params, bundle.fleet, bundle.scaler, bundle=bundle)
