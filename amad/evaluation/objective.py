"""The sweep's objective: does the network find faults put into clean rows? It sees no labels.

Shape legend: T rows, C channels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from amad.config import DataError, Params
from amad.detect.chain import Calibration, EvidenceChain
from amad.detect.detector import make_members
from amad.detect.joint import BAR_QUANTILE, join
from amad.detect.members import Hide, hidden_kinds
from amad.evaluation.units import types_from, unlabelled
from amad.metrics import auc_pr
from amad.telemetry.faults import Fault
from amad.windows.inject import injected_cases
from amad.windows.series import CALIBRATION, TRAIN, Series
from amad.windows.store import WindowStore

if TYPE_CHECKING:
    from amad.model.network import Amad

VEHICLES = 6  # at most, spread evenly over the store
LEAST_ROWS = 400  # of a part of a vehicle


def injected_objective(
    model: "Amad",
    store: WindowStore,
    params: Params,
    cases: int,
    seed: int,
    max_rows: int = 36_000,
) -> float:
    """Mean average precision over ``cases`` injected faults; higher is better.

    Each fault lies in a copy of the last calibration rows of a vehicle, and is looked for by the
    detector as it would be with this network voting in it: what the network is worth is what it
    adds to the closed-form members. The network predicts every position while it is hidden: blocks
    of time, whole channels or either, as ``mask.family`` hides them in training. It scores about
    ``max_rows`` rows once, half of them train rows, and those near a fault again.
    The same arguments give the same number (on one kind of device).

    Raises:
        DataError: no vehicle has calibration rows to put a fault into.
    """
    chosen = _vehicles(store, min(VEHICLES, cases), params.model.window)
    share = np.full(len(chosen), cases // len(chosen)) + (
        np.arange(len(chosen)) < cases % len(chosen)
    )
    rows = max(max_rows // 2 // len(chosen), LEAST_ROWS)
    values = []
    for position, vehicle in enumerate(chosen):
        types = types_from(int(share[:position].sum()))  # every type gets its turn
        has_C = store.has_channel(vehicle)
        clean = _last(store, vehicle, CALIBRATION, rows)
        own = injected_cases(clean, has_C, int(share[position]), seed + position, types)
        if own:
            detector = _VehicleDetector(params, has_C, store.content["period_us"], clean)
            detector.add_network(model, _last(store, vehicle, TRAIN, rows))
            detector.add_closed(_last(store, vehicle, TRAIN, store.series(vehicle).rows))
            values += [auc_pr(case.label_T, detector.score(case, fault)) for case, fault in own]
    if not values:
        raise DataError(
            f"{store.path}: no fault can be put into the calibration rows of "
            f"{', '.join(chosen)}; do their channels vary and are they measured?"
        )
    return float(np.mean(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One member: what is ordinary, and the residual of the clean rows.

    residual: of any rows, (T, C). bar: what evidence must exceed to count by its excess. costly: do
    not ask for rows anew that no fault can reach.
    """

    name: str
    between_channels: bool
    costly: bool
    residual: Callable[[Series], np.ndarray]
    learnt: Calibration
    clean_TC: np.ndarray
    bar: float
    weight: float = 1.0


class _VehicleDetector:
    """The detector of one vehicle, without threshold and slow baseline, for faults in ``clean``."""

    def __init__(self, params: Params, has_C: np.ndarray, period_us: int, clean: Series) -> None:
        self.params, self.has_C, self.period_us, self.clean = params, has_C, period_us, clean
        self.chain = EvidenceChain(params.detect)
        self.views: list[_View] = []

    def add_network(self, model: "Amad", train: Series) -> None:
        """The members of the network, calibrated on these train rows."""
        for hide in hidden_kinds(self.params.mask.family):
            ask = partial(_residual, model, params=self.params, hide=hide)
            self._add(hide, hide == "channel", ask, train, ask(train), costly=True)

    def add_closed(self, train: Series) -> None:
        """The members in closed form, fitted on these train rows."""
        level = f"vehicle/{train.vehicle}"
        for member in make_members(self.params.detect.model_copy(update={"amad_weight": 0.0})):
            (train_TC,) = member.fit(level, [train], self.params.detect.folds)
            ask = partial(member.residual, level=level)
            self._add(member.name, member.between_channels, ask, train, train_TC, costly=False)

    def _add(self, name: str, between: bool, ask, train: Series, train_TC, *, costly: bool) -> None:
        found = self.chain.calibrate(train_TC, self.chain.layout([train], [self.has_C]))
        if found is None:  # nothing finite to say
            return
        view = _View(
            name=name, between_channels=between, costly=costly, residual=ask,
            learnt=found[0], clean_TC=ask(self.clean), bar=np.inf,
        )  # fmt: skip
        heard = self._evidence(view, self.clean, view.clean_TC)
        if heard is not None:
            view = replace(view, bar=float(np.quantile(heard[0], BAR_QUANTILE)))
        self.views.append(view)

    def score(self, series: Series, fault: Fault) -> np.ndarray:
        """Score (T,) of a case, joined as ``Detector`` joins its members.

        A network that diverged has nothing to say, which is worth the floor.
        """
        found = {
            view.name: self._evidence(view, series, self._case_residual(view, series, fault))
            for view in self.views
        }
        evidence = {name: heard for name, heard in found.items() if heard is not None}
        heard = [view for view in self.views if view.name in evidence]
        if not any(view.costly for view in heard):
            return np.zeros(series.rows)
        return join(heard, evidence, {view.name: view.bar for view in heard})[0]

    def _evidence(self, view: _View, series: Series, residual_TC: np.ndarray):
        layout = self.chain.layout([series], [self.has_C])
        recent_T = None
        if view.between_channels:
            recent_T = self.chain.recent(series.timestamp_T, period_us=self.period_us)
        return self.chain.evidence(residual_TC, layout, view.learnt, recent_T)

    def _case_residual(self, view: _View, series: Series, fault: Fault) -> np.ndarray:
        """Residual (T, C), of a costly view predicted anew where the fault can reach alone."""
        if not view.costly:
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


def _last(store: WindowStore, vehicle: str, part: int, rows: int) -> Series:
    """The last rows of a part, scaled, without labels."""
    series = store.series(vehicle).part(part)
    cut = series.rows_between(max(series.rows - rows, 0), series.rows)
    return store.scaler.apply(unlabelled(cut))


def _residual(model: "Amad", series: Series, *, params: Params, hide: Hide) -> np.ndarray:
    from amad.model.residual import hidden_residual

    training = model.training
    residual_TC = hidden_residual(
        model, series, params.model.window, params.detect.hidden_block, family=hide
    )
    model.train(training)
    residual_TC[series.valid_TC == 0] = np.nan
    return residual_TC
