"""The sweep's objective: does the network find faults put into clean rows? It sees no labels.

Shape legend: T rows, C channels.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from amad.config import DataError, Params
from amad.detect.chain import Calibration, EvidenceChain
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

    Each fault lies in a copy of the last calibration rows of a vehicle. Both they and the train
    rows that the evidence chain is calibrated on are scored by the network alone, every position
    predicted while it is hidden: blocks of time, whole channels or either, as ``mask.family`` hides
    them in training, joined as in the detector. About ``max_rows`` rows are scored once, half of
    them train rows, and those near a fault again.
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
            train = _last(store, vehicle, TRAIN, rows)
            views = _views(model, train, clean, has_C, params)
            values += [
                auc_pr(series.label_T, _score(views, model, series, fault, has_C, params))
                for series, fault in own
            ]
    if not values:
        raise DataError(
            f"{store.path}: no fault can be put into the calibration rows of "
            f"{', '.join(chosen)}; do their channels vary and are they measured?"
        )
    return float(np.mean(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One way of hiding on one vehicle: what is ordinary, and the residual of the clean rows.

    bar: what evidence must exceed to count by its excess.
    """

    name: Hide
    learnt: Calibration
    clean_TC: np.ndarray
    bar: float
    weight: float = 1.0

    @property
    def between_channels(self) -> bool:
        return self.name == "channel"


def _views(
    model: "Amad", train: Series, clean: Series, has_C: np.ndarray, params: Params
) -> list[_View]:
    """The network's members of the detector; none where it has nothing finite to say."""
    chain = EvidenceChain(params.detect)
    views = []
    for hide in hidden_kinds(params.mask.family):
        residual_TC = _residual(model, train, params, hide)
        found = chain.calibrate(residual_TC, chain.layout([train], [has_C]))
        if found is None:
            continue
        clean_TC = _residual(model, clean, params, hide)
        heard = chain.evidence(clean_TC, chain.layout([clean], [has_C]), found[0])
        bar = np.inf if heard is None else float(np.quantile(heard[0], BAR_QUANTILE))
        views.append(_View(name=hide, learnt=found[0], clean_TC=clean_TC, bar=bar))
    return views


def _score(
    views: list[_View], model: "Amad", series: Series, fault: Fault, has_C: np.ndarray,
    params: Params,
) -> np.ndarray:  # fmt: skip
    """Score (T,) of a case, joined as ``Detector`` joins its members.

    A network that diverged has nothing to say, which is worth the floor.
    """
    chain = EvidenceChain(params.detect)
    layout = chain.layout([series], [has_C])
    evidence = {}
    for view in views:
        residual_TC = _near(view, model, series, fault, params)
        if (found := chain.evidence(residual_TC, layout, view.learnt)) is not None:
            evidence[view.name] = found
    heard = [view for view in views if view.name in evidence]
    if not heard:
        return np.zeros(series.rows)
    return join(heard, evidence, {view.name: view.bar for view in heard})[0]


def _near(view: _View, model: "Amad", series: Series, fault: Fault, params: Params) -> np.ndarray:
    """The clean rows' residual (T, C), predicted anew where the fault can reach: a window away."""
    window = params.model.window
    low, high = max(fault.start - window, 0), min(fault.end + window, series.rows)
    begin, end = max(low - 2 * window, 0), min(high + 2 * window, series.rows)
    residual_TC = view.clean_TC.copy()
    piece_TC = _residual(model, series.rows_between(begin, end), params, view.name)
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


def _residual(model: "Amad", series: Series, params: Params, hide: Hide) -> np.ndarray:
    from amad.model.residual import hidden_residual

    training = model.training
    residual_TC = hidden_residual(
        model, series, params.model.window, params.detect.hidden_block, family=hide
    )
    model.train(training)
    residual_TC[series.valid_TC == 0] = np.nan
    return residual_TC
