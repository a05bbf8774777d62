"""Fits methods: first what vehicles have in common, then vehicle by vehicle, last the thresholds.

    fit_together([detector.learner()], train, calibration, run)

What is common is learnt from a bounded sample in this process. Each vehicle then needs its own rows
alone, so vehicles are units of work that run wherever ``run`` lets them, and each reads its rows
once for all methods. This process gets what was learnt of a vehicle, and the scores of its
calibration rows; these wait in a file until the threshold of a method is chosen on them.

Shape legend: T calibration rows of a vehicle.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from amad.config.console import track
from amad.config.units import RunUnits, in_process
from amad.detect.alarms import vehicle_days
from amad.detect.array_file import ArrayFile
from amad.detect.residual_cache import Arrays
from amad.windows.series import Part, Series, without_lead

if TYPE_CHECKING:
    from amad.detect.learnt_figures import LearntFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class OfVehicle:
    """What a learner learns from the rows of one vehicle.

    figures, coefficients: the vehicle's own, the latter by member; None and empty where it has
    none. moves: incidents of its calibration rows that are first moves, by kind. scores: of these
    rows, (T,) float64, a series of scores for each form of the method; empty where they tell
    nothing of the threshold. usual: of its scores, once the threshold was chosen on them; see
    ``alarms.OperatingPoint``.
    """

    figures: "LearntFigures | None" = None
    coefficients: Mapping[str, Arrays] = field(default_factory=dict)
    moves: Mapping[str, int] = field(default_factory=dict)
    scores: Sequence[np.ndarray] = ()
    usual: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Calibration rows of a vehicle, and their scores."""

    vehicle: str
    timestamp_T: np.ndarray
    score_T: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """The calibration rows of a fleet, as the threshold of one form of a method is chosen on them.

    scored: vehicle by vehicle. days: the vehicle-days of these rows; all_days: those of all
    calibration rows. calibration, history: the calibration part of each vehicle in order, and the
    train part by vehicle.
    """

    scored: Sequence[HeldOut]
    days: float
    all_days: float
    calibration: Sequence[Part]
    history: Mapping[str, Part]

    def days_of(self, rows: HeldOut) -> float:
        """The vehicle-days of some calibration rows of a vehicle."""
        return _days(rows.timestamp_T, self.history.get(rows.vehicle))


class Learner(Protocol):
    """Fits one method, or the forms of one that have most in common."""

    @property
    def forms(self) -> int:
        """How many series of scores there are for each vehicle."""

    def learn(self, train: Sequence[Part], calibration: Sequence[Part]) -> None:
        """Learn what vehicles have in common; the parts are sorted and none is empty."""

    def learn_vehicle(self, train: Part | None, calibration: Part | None) -> OfVehicle:
        """Learn from the rows of one vehicle, and know nothing of it after that."""

    def keep(self, vehicle: str, found: OfVehicle) -> None:
        """Know what was learnt of a vehicle."""

    def learn_threshold(self, form: int, known: Calibrated) -> None:
        """Choose the threshold of a form; called for each of them once all vehicles are kept."""


def fit_together(
    learners: Sequence[Learner],
    train: Iterable[Part],
    calibration: Iterable[Part],
    run: RunUnits = in_process,
    what: str = "",
) -> list[float]:
    """Fit methods from the parts of a fleet, with or without rows; returns the seconds of each.

    run: what learns the vehicles. what: shown with the number of vehicles that are learnt.

    Raises:
        DataError: no calibration row can be scored.
    """
    parts = {part.vehicle: part for part in by_vehicle(calibration)}
    history = {part.vehicle: part for part in by_vehicle(train)}
    seconds = np.zeros(len(learners))
    for k, learner in enumerate(learners):
        started = time.perf_counter()
        learner.learn([*history.values()], [*parts.values()])
        seconds[k] += time.perf_counter() - started
    vehicles, waiting = sorted({*history, *parts}), _Waiting(history, parts)
    learnt = run(_LearnVehicle(learners, history, parts), vehicles)
    if what:
        learnt = track(learnt, f"{what}, vehicle by vehicle", len(vehicles))
    for vehicle, found in zip(vehicles, learnt, strict=True):
        for learner, own in zip(learners, found.learnt, strict=True):
            learner.keep(vehicle, own)
        waiting.add(vehicle, found)
        seconds += found.seconds
    for k, learner in enumerate(learners):
        started = time.perf_counter()
        for form in range(learner.forms):
            learner.learn_threshold(form, waiting.calibrated(k, form))
        seconds[k] += time.perf_counter() - started
    return seconds.tolist()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What all learners learnt of a vehicle, in how many seconds each, and its calibration rows."""

    learnt: list[OfVehicle]
    seconds: np.ndarray
    timestamp_T: np.ndarray
    days: float


class _Waiting:
    """The calibration rows of all vehicles and their scores, in a file."""

    def __init__(self, history: Mapping[str, Part], calibration: Mapping[str, Part]) -> None:
        self._history, self._calibration = history, calibration
        self._file, self._days = ArrayFile.temporary(), dict.fromkeys(calibration, 0.0)

    def add(self, vehicle: str, found: _Found) -> None:
        """Take what was learnt of a vehicle, which may have no calibration rows."""
        if vehicle not in self._calibration:
            return
        self._days[vehicle] = found.days
        self._file.add(f"time/{vehicle}", {"": {"time": found.timestamp_T}})
        for k, own in enumerate(found.learnt):
            for form, score_T in enumerate(own.scores):
                self._file.add(f"{k}/{form}/{vehicle}", {"": {"score": score_T}})

    def calibrated(self, learner: int, form: int) -> Calibrated:
        """What the threshold of a form is chosen on."""
        prefix = f"{learner}/{form}/"
        scored = [vehicle for vehicle in self._calibration if prefix + vehicle in self._file]
        return Calibrated(
            scored=[
                HeldOut(
                    vehicle=vehicle,
                    timestamp_T=self._file.read(f"time/{vehicle}")[""]["time"],
                    score_T=self._file.read(prefix + vehicle)[""]["score"],
                )
                for vehicle in scored
            ],
            days=sum((self._days[vehicle] for vehicle in scored), 0.0),
            all_days=sum(self._days.values(), 0.0),
            calibration=[*self._calibration.values()],
            history=self._history,
        )


class _LearnVehicle:
    """The work on one vehicle: all learners learn from its rows."""

    def __init__(
        self,
        learners: Sequence[Learner],
        history: Mapping[str, Part],
        calibration: Mapping[str, Part],
    ) -> None:
        self._learners, self._history, self._calibration = learners, history, calibration

    def __call__(self, vehicle: str) -> _Found:
        train, calibration = self._history.get(vehicle), self._calibration.get(vehicle)
        calibration = None if calibration is None else _ReadOnce(calibration)
        learnt, seconds = [], []
        for learner in self._learners:
            started = time.perf_counter()
            learnt.append(learner.learn_vehicle(train, calibration))
            seconds.append(time.perf_counter() - started)
        rows_T = np.zeros(0, np.int64) if calibration is None else calibration.timestamp_T.copy()
        return _Found(
            learnt=learnt,
            seconds=np.array(seconds),
            timestamp_T=rows_T,
            days=_days(rows_T, train),
        )


class _ReadOnce:
    """A part of which every stretch that is asked for is read once."""

    def __init__(self, part: Part) -> None:
        self.vehicle, self.vehicle_class, self.rows = part.vehicle, part.vehicle_class, part.rows
        self._part = part
        self._read: dict[tuple[int, int], Series] = {}

    @property
    def timestamp_T(self) -> np.ndarray:
        """Of all rows, int64, microseconds."""
        return self.rows_between(0, self.rows).timestamp_T

    @property
    def rows_before(self) -> int:
        """As of the part."""
        return self._part.rows_before

    def rows_between(self, first: int, last: int) -> Series:
        """Rows first (inclusive) to last (exclusive)."""
        if (first, last) not in self._read:
            self._read[first, last] = self._part.rows_between(first, last)
        return self._read[first, last]


def _days(rows_T: np.ndarray, train: Part | None) -> float:
    """The vehicle-days of calibration rows with these timestamps, and this train part before."""
    before = [] if train is None else [train.timestamp_T]
    return vehicle_days([rows_T], [np.concatenate([*before, rows_T])])


def held_out(series: Series, score_T: np.ndarray) -> np.ndarray:
    """The scores of the calibration rows of a series that may have a lead."""
    return score_T[-without_lead(series).rows :]


def by_vehicle(parts: Iterable[Part]) -> list[Part]:
    """The parts that have rows, sorted by vehicle."""
    return sorted((part for part in parts if part.rows), key=lambda part: part.vehicle)
