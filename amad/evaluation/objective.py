"""The sweep's objective: does the network find faults put into clean rows? It sees no labels.

Shape legend: T rows, C channels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, cast

import numpy as np

from amad.config import DataError, Params
from amad.config.params import Hide
from amad.detect.chain import Calibration, EvidenceChain
from amad.detect.combine import BAR_QUANTILE, join
from amad.detect.make import make_members
from amad.detect.members import Member, hidden_kinds
from amad.evaluation.units import types_from, unlabelled
from amad.metrics import auc_pr
from amad.simulator.faults import Fault
from amad.windows.inject import injected_cases
from amad.windows.series import CALIBRATION, TRAIN, Series
from amad.windows.store import WindowStore

if TYPE_CHECKING:
    from amad.model.network import Amad

VEHICLES = 6  # at most, spread evenly over the store
LEAST_ROWS = 400  # of a part of a vehicle


class InjectedObjective:
    """Mean average precision over ``cases`` injected faults; higher is better.

    Each fault lies in a copy of the last calibration rows of a vehicle, and is looked for by the
    detector as it would be with this network voting in it: what the network is worth is what it
    adds to the closed-form members. The network predicts every position while it is hidden: blocks
    of time, whole channels or either, as ``mask.family`` hides them in training. It scores about
    ``max_rows`` rows once, half of them train rows, and those near a fault again.
    The same arguments give the same number (on one kind of device). What does not depend on the
    network is fitted once, with the first network that is asked about.

    Example: ``objective = InjectedObjective(store, params, 48, seed=7)``, then ``objective(model)``
    """

    def __init__(
        self, store: WindowStore, params: Params, cases: int, seed: int, max_rows: int = 36_000
    ) -> None:
        """Raises DataError where no vehicle has enough train and calibration rows."""
        chosen = _vehicles(store, min(VEHICLES, cases), params.model.window)
        share = np.full(len(chosen), cases // len(chosen)) + (
            np.arange(len(chosen)) < cases % len(chosen)
        )
        self.store, self.seed, self.share = store, seed, share
        rows = max(max_rows // 2 // len(chosen), LEAST_ROWS)
        self.detectors = [_VehicleDetector(store, vehicle, params, rows) for vehicle in chosen]

    def __call__(self, model: "Amad") -> float:
        """The objective of this network.

        Raises:
            DataError: no fault can be put into the vehicles' calibration rows.
        """
        values = []
        for position, detector in enumerate(self.detectors):
            types = types_from(int(self.share[:position].sum()))  # every type gets its turn
            own = injected_cases(
                detector.clean, detector.has_C, int(self.share[position]), self.seed + position,
                types,
            )  # fmt: skip
            if own:
                views = detector.views(model)
                values += [
                    auc_pr(case.label_T, detector.score(views, case, fault)) for case, fault in own
                ]
        if not values:
            raise DataError(
                f"{self.store.path}: no fault can be put into the calibration rows of "
                f"{', '.join(d.vehicle for d in self.detectors)}; do their channels vary and are "
                "they measured?"
            )
        return float(np.mean(values))


def injected_objective(
    model: "Amad",
    store: WindowStore,
    params: Params,
    cases: int,
    seed: int,
    max_rows: int = 36_000,
) -> float:
    """``InjectedObjective`` of one network."""
    return InjectedObjective(store, params, cases, seed, max_rows)(model)


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One member: what is ordinary, and the residual of the clean rows.

    residual: of any rows, (T, C). bar: what evidence must exceed to count by its excess.
    """

    name: str
    between_channels: bool
    of_network: bool
    residual: Callable[[Series], np.ndarray]
    learnt: Calibration
    clean_TC: np.ndarray
    bar: float
    weight: float = 1.0


class _VehicleDetector:
    """The detector of one vehicle, without threshold and slow baseline.

    rows: of the clean calibration rows that faults are put into, and of the train rows that
    calibrate the network; the closed-form members learn from all.
    """

    def __init__(self, store: WindowStore, vehicle: str, params: Params, rows: int) -> None:
        self.store, self.vehicle, self.params, self.rows = store, vehicle, params, rows
        self.has_C = store.has_channel(vehicle)
        self.period_us = store.content["period_us"]
        self.chain = EvidenceChain(params.detect)
        self.clean = _part(store, vehicle, CALIBRATION, rows)

    def views(self, model: "Amad") -> list[_View]:
        """The members, those of this network first; without any that has nothing finite to say."""
        train, found = _part(self.store, self.vehicle, TRAIN, self.rows), []
        for hide in hidden_kinds(self.params.mask.family):
            ask = partial(_residual, model, params=self.params, hide=hide)
            found.append(self._view(hide, hide == "channel", True, ask, train, ask(train)))
        return [view for view in (*found, *self._closed) if view is not None]

    @cached_property
    def _closed(self) -> list[_View | None]:
        train, level, found = _part(self.store, self.vehicle, TRAIN), f"vehicle/{self.vehicle}", []
        for member in make_members(self.params.detect.model_copy(update={"amad_weight": 0.0})):
            (train_TC,) = member.fit(level, [train], self.params.detect.folds)
            ask = partial(member.residual, level=level)
            between = member.between_channels
            found.append(self._view(member.name, between, False, ask, train, train_TC))
        return found

    def _view(
        self, name: str, between: bool, of_network: bool, ask, train: Series, train_TC: np.ndarray
    ) -> _View | None:
        learnt = self.chain.calibrate(train_TC, self.chain.layout([train], [self.has_C]))
        if learnt is None:
            return None
        view = _View(
            name=name, between_channels=between, of_network=of_network, residual=ask,
            learnt=learnt[0], clean_TC=ask(self.clean), bar=np.inf,
        )  # fmt: skip
        heard = self._evidence(view, self.clean, view.clean_TC)
        return view if heard is None else replace(view, bar=np.quantile(heard[0], BAR_QUANTILE))

    def score(self, views: list[_View], series: Series, fault: Fault) -> np.ndarray:
        """Score (T,) of a case, joined as ``Detector`` joins its members.

        A network that diverged has nothing to say, which is worth the floor.
        """
        found = {
            view.name: self._evidence(view, series, self._case_residual(view, series, fault))
            for view in views
        }
        evidence = {name: heard for name, heard in found.items() if heard is not None}
        heard = [view for view in views if view.name in evidence]
        if not any(view.of_network for view in heard):
            return np.zeros(series.rows)
        voices = cast("list[Member]", heard)  # a view has all that joining asks of a member
        return join(voices, evidence, {view.name: view.bar for view in heard})[0]

    def _evidence(self, view: _View, series: Series, residual_TC: np.ndarray):
        layout = self.chain.layout([series], [self.has_C])
        recent_T = None
        if view.between_channels:
            recent_T = self.chain.recent(series.timestamp_T, period_us=self.period_us)
        return self.chain.evidence(residual_TC, layout, view.learnt, recent_T)

    def _case_residual(self, view: _View, series: Series, fault: Fault) -> np.ndarray:
        """Residual (T, C); the network, which costs most, is asked only where the fault reaches."""
        if not view.of_network:
            return view.residual(series)
        window = self.params.model.window
        low, high = max(fault.start - window, 0), min(fault.end + window, series.rows)
        begin, end = max(low - 2 * window, 0), min(high + 2 * window, series.rows)
        residual_TC = view.clean_TC.copy()
        piece_TC = view.residual(series.rows_between(begin, end))
        residual_TC[low:high] = piece_TC[low - begin : high - begin]
        return residual_TC


def _vehicles(store: WindowStore, most: int, window: int) -> list[str]:
    """Vehicles with enough train and calibration rows, spread evenly over the store."""
    able = []
    for vehicle in store.vehicles:
        split_T = store.series(vehicle).split_T
        if min(np.sum(split_T == TRAIN), np.sum(split_T == CALIBRATION)) >= 2 * window:
            able.append(vehicle)
    if not able:
        raise DataError(
            f"{store.path}: no vehicle has {2 * window} train and calibration rows, so the sweep "
            "has nothing to put faults into; give it more data or set tune.trials aside"
        )
    places = np.unique(np.linspace(0, len(able) - 1, most).round().astype(int))
    return [able[place] for place in places]


def _part(store: WindowStore, vehicle: str, part: int, rows: int | None = None) -> Series:
    """A part of a vehicle, the last ``rows`` of it or all, scaled, without labels."""
    series = store.series(vehicle).part(part)
    first = 0 if rows is None else max(series.rows - rows, 0)
    return store.scaler.apply(unlabelled(series.rows_between(first, series.rows)))


def _residual(model: "Amad", series: Series, *, params: Params, hide: Hide) -> np.ndarray:
    from amad.model.residual import hidden_residual

    training = model.training
    residual_TC = hidden_residual(
        model, series, params.model.window, params.mask.block, family=hide
    )
    model.train(training)
    residual_TC[series.valid_TC == 0] = np.nan
    return residual_TC
