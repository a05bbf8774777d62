"""The interface of every detection method: scores of rows, and a threshold above which is an alarm.

A ``Scorer`` learns from normal rows and gives each row a score. The threshold is chosen here, and
follows the vehicle's ordinary scores, by one rule for every method. ``Detector`` computes its
scores from members. The random floor and the published criterion of the Anomaly Transformer have no
members and implement the interface directly.

Shape legend: T rows of a vehicle, C channels.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, Self

import numpy as np

from amad.config import DataError, Fleet
from amad.config.params import DetectParams
from amad.detect.alarms import OperatingPoint, Run, choose_threshold, merge_alarms
from amad.detect.fitting import (
    Calibrated,
    HeldOut,
    Learner,
    OfVehicle,
    by_vehicle,
    fit_together,
    held_out,
)
from amad.detect.moving_threshold import (
    CONTEXT_ROWS,
    USUAL_MEDIAN,
    USUAL_ROWS,
    Thresholds,
    thresholds,
    usual_scores,
)
from amad.windows.scaler import Scaler
from amad.windows.series import Part, Series, joined, read_with_lead

MIDNIGHT_US = 3_600_000_000  # one hour
WHOLE_FLEET = ""  # key of the usual scores of all vehicles
BY_ROW = ("score_T", "threshold_T", "alarm_T", "open_T", "contribution_TC")  # of ``Scored``


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """The score, the alarm and the contributions of each row of a series.

    score_T: float32; NaN where the row has no score, because its segment is shorter than the
    fleet's ``min_segment_rows`` or because no member can serve the vehicle.
    threshold_T: float32, the threshold of each row, see ``amad.detect.moving_threshold``.
    alarm_T: bool, the score is above the threshold.
    open_T: bool, the score is above the release level, below which an incident ends.
    contribution_TC: float32, >= 0, how much of the row's evidence each channel gives; of a day of a
    scoring job, 0 in all rows without an alarm.
    left_out: names of the members that had no finite residual.
    """

    score_T: np.ndarray
    threshold_T: np.ndarray
    alarm_T: np.ndarray
    open_T: np.ndarray
    contribution_TC: np.ndarray
    left_out: tuple[str, ...] = ()

    def of_last(self, rows: int) -> "Scored":
        """Those of the last rows."""
        return self.of_rows(slice(len(self.score_T) - rows, None))

    def of_rows(self, rows: slice) -> "Scored":
        """Those of some rows."""
        return replace(self, **{name: getattr(self, name)[rows] for name in BY_ROW})

    @classmethod
    def joined(cls, parts: Sequence["Scored"]) -> "Scored":
        """Those of several parts of a series, in time order."""
        left_out = [name for name in parts[0].left_out if all(name in p.left_out for p in parts)]
        by_row = {name: np.concatenate([getattr(part, name) for part in parts]) for name in BY_ROW}
        return cls(**by_row, left_out=tuple(left_out))


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The scores of a series, and what the incidents and the days after need of how they came.

    seen: the series as the members saw it. residuals: of each calibrated member, (T, C).
    predicted_T: the score without the window ranges and the allowance, NaN in rows without a score.
    excess: of each window range member (T,), before its slow baseline is subtracted.
    """

    scored: Scored
    seen: Series
    residuals: dict[str, np.ndarray]
    predicted_T: np.ndarray
    excess: dict[str, np.ndarray]


class RawScore(NamedTuple):
    """Scores before any threshold; the fields are those of ``Scored``, in float64."""

    score_T: np.ndarray
    contribution_TC: np.ndarray
    left_out: tuple[str, ...] = ()


class ScoresSeries(Protocol):
    """Anything that scores series which the store's scaler has scaled."""

    def score(self, series: Series) -> Scored:
        """Score each row."""


def score_after(score: Callable[[Series], Scored], lead: Series, series: Series) -> Scored:
    """The scores of a series that knows the rows of its lead, which may have none."""
    return score(joined([lead, series])).of_last(series.rows)


class Scorer(ABC):
    """A method that scores the rows of scaled series, and its threshold.

    A new method implements ``raw_score``, ``context_rows`` and ``lookahead_rows``, and ``learn`` if
    there is something to learn.
    Example: ``RandomScorer(params, fleet, scaler, seed=0).fit(train, calibration).score(series)``

    tail_scale: by how much a higher score is e times as rare, see ``choose_threshold``; None where
    this is not known.
    """

    tail_scale: float | None = None

    def __init__(
        self, params: DetectParams, fleet: Fleet, scaler: Scaler | None, name: str
    ) -> None:
        """scaler: of the series that will be scored; None where they are not scaled."""
        self.params, self.fleet, self.name = params, fleet, name
        self.scaler = scaler or Scaler.identity(fleet.channel_names)
        self.operating_point: OperatingPoint | None = None

    @property
    @abstractmethod
    def context_rows(self) -> int:
        """How many periods before a row its score depends on."""

    @property
    @abstractmethod
    def lookahead_rows(self) -> int:
        """How many periods after a row its score depends on."""

    def learn(self, train: Sequence[Part], calibration: Sequence[Part]) -> None:  # noqa: B027
        """Learn what vehicles have in common; the train parts are sorted and none is empty."""

    @abstractmethod
    def raw_score(self, series: Series) -> RawScore:
        """The scores of a scaled series before any threshold."""

    @property
    def history_rows(self) -> int:
        """How many periods before a row its score and its threshold depend on."""
        return self.context_rows + CONTEXT_ROWS

    @property
    def threshold(self) -> float:
        """The threshold while scores are as on the calibration rows."""
        assert self.operating_point is not None, "fit the detector first"
        return self.operating_point.threshold

    @property
    def reported_moves(self) -> frozenset[str]:
        """The kinds of first moves of constant channels that raise alarms."""
        assert self.operating_point is not None, "fit the detector first"
        return self.operating_point.reported_moves

    @property
    def midnight_gap_us(self) -> int:
        """``gap_us`` where a day was scored before the next one was there.

        Its last rows lacked the ``lookahead_rows`` after them, and with those some of the evidence,
        so an incident may seem to end before midnight by as much; but by an hour at the most, or
        slow reports would keep it open for days.
        """
        return self.gap_us + min(self.lookahead_rows * self.fleet.period_us, MIDNIGHT_US)

    @property
    def gap_us(self) -> int:
        """An incident ends when its score is below the release level for more than this long."""
        return self.params.merge_gap_us(self.fleet.period_us)

    def runs(
        self, alarm_T: np.ndarray, timestamp_T: np.ndarray, open_T: np.ndarray | None = None
    ) -> list[Run]:
        """The rows of each incident of these alarms and open rows, see ``merge_alarms``."""
        period_us = self.fleet.period_us
        return merge_alarms(alarm_T, timestamp_T, open_T, period_us=period_us, gap_us=self.gap_us)

    def fit(self, train: Sequence[Part], calibration: Sequence[Part]) -> Self:
        """Learn from train rows, and choose the threshold on calibration rows.

        train, calibration: scaled, one part per vehicle; a vehicle may be missing from either. Of
        parts that read their rows when they are asked, memory holds those of one vehicle, or of the
        sample that pooled figures are learnt from.

        Raises:
            DataError: no train or no calibration rows that can be scored.
        """
        fit_together([self.learner()], self.with_rows(train), calibration)
        return self

    def learner(self) -> Learner:
        """What ``fit_together`` fits this method with."""
        return _Learner(self)

    def with_rows(self, train: Sequence[Part]) -> list[Part]:
        """The train parts that have rows, sorted by vehicle.

        Raises:
            DataError: there are none.
        """
        if not (train := by_vehicle(train)):
            raise DataError(
                f"fleet {self.fleet.name}: no train rows to fit a detector on; check the split "
                "and the quarantine, and run prepare again"
            )
        return train

    def without_vehicles(self) -> Self:
        """A copy that knows no single vehicle, small enough to be sent to a worker."""
        twin = copy(self)
        if (point := self.operating_point) is not None:
            twin.operating_point = replace(point, usual={WHOLE_FLEET: point.usual[WHOLE_FLEET]})
        return twin

    def of_vehicle(self, vehicle: str) -> OfVehicle:
        """What is known of a vehicle, for ``with_vehicle`` of a copy elsewhere."""
        assert self.operating_point is not None, "fit the detector first"
        return OfVehicle(usual=self.operating_point.usual.get(vehicle, ()))

    def with_vehicle(self, vehicle: str, known: OfVehicle) -> Self:
        """A copy that knows a vehicle as another copy did, see ``of_vehicle``."""
        twin, point = copy(self), self.operating_point
        assert point is not None, "fit the detector first"
        if known.usual:
            twin.operating_point = replace(point, usual=point.usual | {vehicle: known.usual})
        return twin

    def choose_threshold(
        self,
        scored: Sequence[HeldOut],
        days: float,
        first_moves: Mapping[str, float] | None = None,
    ) -> None:
        """Choose the threshold for the budget; the arguments are those of ``operating_point_for``.

        Raises:
            DataError: no calibration row can be scored.
        """
        point = self.operating_point_for(scored, days, first_moves)
        if point is None:
            raise DataError(
                f"fleet {self.fleet.name}: no calibration row can be scored, so there is no "
                "threshold; raise split.calibration_share or lower missing.min_segment_rows"
            )
        self.operating_point = point

    def _usual(self, scored: Sequence[HeldOut]) -> dict[str, tuple[float, ...]]:
        """The usual scores of each vehicle with enough of them, and those of all."""
        known = [(own.vehicle, own.score_T[np.isfinite(own.score_T)]) for own in scored]
        enough = [(vehicle, score) for vehicle, score in known if len(score) >= USUAL_ROWS]
        usual = {vehicle: usual_scores(score) for vehicle, score in enough}
        usual[WHOLE_FLEET] = usual_scores(np.concatenate([score for _, score in known]))
        return usual

    def operating_point_for(
        self,
        scored: Sequence[HeldOut],
        days: float,
        first_moves: Mapping[str, float] | None = None,
    ) -> OperatingPoint | None:
        """The operating point for these calibration rows; None if no row has a score.

        days: the vehicle-days of the rows. first_moves: see ``alarms.choose_threshold``.
        """
        if not any(np.isfinite(rows.score_T).any() for rows in scored):
            return None
        usual = self._usual(scored)
        point = choose_threshold(
            [rows.score_T for rows in scored],
            [rows.timestamp_T for rows in scored],
            [usual.get(own.vehicle, usual[WHOLE_FLEET])[USUAL_MEDIAN] for own in scored],
            days=days,
            budget=self.params.alarm_budget,
            period_us=self.fleet.period_us,
            gap_us=self.gap_us,
            tail_scale=self.tail_scale,
            first_moves=first_moves,
        )
        return replace(point, usual=usual)

    def score(self, series: Series) -> Scored:
        """Score, alarm and contributions of every row of a scaled series; nothing is learnt."""
        raw = self.raw_score(series)
        levels = self._thresholds(series.vehicle, series.timestamp_T, raw.score_T)
        return self._with_alarms(raw, *levels)

    def find_alarms(self, series: Series) -> Scored:
        """``score``, but rows without an alarm need not have contributions, which take time."""
        return self.score(series)

    def return_days(self, score: float, threshold: float) -> float | None:
        """Vehicle-days between two incidents of normal rows that reach such a score.

        None where nothing is known of the tail of the scores. threshold: of the row.
        """
        if self.tail_scale is None or self.operating_point is None:
            return None
        return self.operating_point.return_days(score, threshold, self.tail_scale)

    def _thresholds(
        self, vehicle: str, timestamp_T: np.ndarray, score_T: np.ndarray, first: int = 0
    ) -> Thresholds:
        """Those of each row from ``first`` on; the rows before only tell the usual."""
        assert self.operating_point is not None, "fit the detector first"
        usual = self.operating_point.usual
        return thresholds(
            self.threshold,
            usual.get(vehicle) or usual[WHOLE_FLEET],
            timestamp_T,
            score_T,
            first,
            period_us=self.fleet.period_us,
        )

    def _with_alarms(self, raw: RawScore, threshold_T: np.ndarray, release_T: np.ndarray) -> Scored:
        score_T, threshold_T = raw.score_T.astype(np.float32), threshold_T.astype(np.float32)
        return Scored(
            score_T=score_T,
            threshold_T=threshold_T,
            alarm_T=score_T > threshold_T,
            open_T=score_T > release_T.astype(np.float32),
            contribution_TC=raw.contribution_TC.astype(np.float32),
            left_out=raw.left_out,
        )

    def _where_scored(
        self, score_T: np.ndarray, contribution_TC: np.ndarray, unscored_T: np.ndarray
    ) -> RawScore:
        """The scores with NaN, and the contributions with 0, in the rows ``unscored_T``."""
        score_T[unscored_T] = np.nan
        contribution_TC[unscored_T] = 0.0
        return RawScore(score_T, contribution_TC)

    def present(self, series: Series) -> np.ndarray:
        """Which channels the vehicle's class has, bool (C,)."""
        return np.array(self.fleet.has_channel(series.vehicle_class), bool)

    def too_short(self, series: Series) -> np.ndarray:
        """Which rows lie in segments shorter than ``min_segment_rows``, bool (T,)."""
        out_T = np.zeros(series.rows, bool)
        for first, last in series.segments():
            out_T[first:last] = last - first < self.fleet.missing.min_segment_rows
        return out_T


class _Learner:
    """Fits a method that learns nothing of a single vehicle but its usual scores."""

    forms = 1

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def learn(self, train: Sequence[Part], calibration: Sequence[Part]) -> None:
        self._scorer.learn(train, calibration)

    def learn_vehicle(self, train: Part | None, calibration: Part | None) -> OfVehicle:
        if calibration is None:
            return OfVehicle()
        series = read_with_lead(calibration)
        return OfVehicle(scores=[held_out(series, self._scorer.raw_score(series).score_T)])

    def keep(self, vehicle: str, found: OfVehicle) -> None:
        """Nothing: the scores wait until the threshold is chosen."""

    def learn_threshold(self, form: int, known: Calibrated) -> None:
        self._scorer.choose_threshold(known.scored, known.days)
