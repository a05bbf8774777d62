"""The detector: members, the evidence chain and the threshold. The one definition of an alarm.

``fit`` learns on normal rows alone; ``score`` is pure. The same object serves evaluate, the
registry and the scheduled job. On disk it is ``detector.json`` (contract, scaler, settings,
operating point), ``state.safetensors`` (every array) and, where a network votes, ``bundle/``: no
pickle, and the same bytes for the same content.

Levels: a vehicle with enough train rows has coefficients and a calibration of its own; one without
(or never seen) takes those pooled over its class, a class never seen those of the fleet.

Shape legend: T rows of a vehicle, C channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from amad.config import DataError, Fleet
from amad.config.params import DetectParams
from amad.detect.alarms import OperatingPoint, choose_threshold, vehicle_days
from amad.detect.chain import Calibration, EvidenceChain
from amad.detect.members import AmadMember, Member, RidgeMember
from amad.windows.scaler import Scaler
from amad.windows.series import Series

if TYPE_CHECKING:
    from amad.model.bundle import Bundle

FLEET = "fleet"
OWN_ROWS = 500  # train rows from which a vehicle is calibrated on its own
POOL_VEHICLES = 16  # at most, spread evenly over the sorted vehicles of a class
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
    """The calibration of each member at one level, and the train mean of their joint evidence."""

    calibration: dict[str, Calibration]
    ordinary: float


class Detector:
    """Members joined by the evidence chain, with a threshold for a promised budget of alarms.

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
        calibrations = {}
        total_T, weight = np.zeros(layout.rows), 0.0
        for member in self.members:
            residual_TC = np.concatenate(member.fit(level, group, self.params.folds))
            learnt = self.chain.calibrate(residual_TC, layout)
            if learnt is not None:
                calibrations[member.name], evidence_T = learnt
                total_T += member.weight * evidence_T
                weight += member.weight
        ordinary = float(total_T.mean() / weight) if weight else 0.0
        return Level(calibration=calibrations, ordinary=ordinary)

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
        layout = self.chain.layout([series], [self.present(series)])
        score_T, part_TC = np.zeros(series.rows), np.zeros(series.value_TC.shape)
        weight, left_out = 0.0, []
        for member in self.members:
            found = None
            if member.name in level.calibration and series.rows:
                residual_TC = member.residual(series, name)
                found = self.chain.evidence(residual_TC, layout, level.calibration[member.name])
            if found is None:
                left_out.append(member.name)
                continue
            score_T += member.weight * found[0]
            part_TC += member.weight * found[1]
            weight += member.weight
        if weight:
            score_T /= weight
            part_TC /= weight
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
    """The two closed-form members: a short and a long horizon; what lies between adds nothing."""
    return [RidgeMember("ridge", range(1, 6)), RidgeMember("ridge_long", range(10, 30))]


def make_members(params: DetectParams, bundle: "Bundle | None" = None) -> list[Member]:
    """The members named in ``params.members``; a network of weight 0 has no vote and no cost."""
    linear = {member.name: member for member in linear_members()}
    members: list[Member] = []
    for name in params.members:
        if name in linear:
            members.append(linear[name])
        elif params.amad_weight > 0:
            assert bundle is not None, "the member 'amad' needs a bundle"
            members.append(AmadMember(bundle, params.hidden_block, params.amad_weight))
    return members


def build_detector(bundle: "Bundle", params: DetectParams) -> Detector:
    """An unfitted detector around the bundle's network, for the bundle's fleet and scaler."""
    return Detector(
        make_members(params, bundle), params, bundle.fleet, bundle.scaler, bundle=bundle
    )
