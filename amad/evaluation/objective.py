"""The sweep's objective: does the network find faults put into clean rows? It sees no labels.

Shape legend: T rows, C channels.
"""

from typing import TYPE_CHECKING

import numpy as np

from amad.config import DataError, Params
from amad.detect.chain import EvidenceChain
from amad.evaluation.units import types_from, unlabelled
from amad.metrics import auc_pr
from amad.windows.inject import injected_cases
from amad.windows.series import CALIBRATION, TRAIN, Series
from amad.windows.store import WindowStore

if TYPE_CHECKING:
    from torch import nn

VEHICLES = 6  # at most, spread evenly over the store
LEAST_ROWS = 400  # of the stretch that a fault is put into


def injected_objective(
    model: "nn.Module",
    store: WindowStore,
    params: Params,
    cases: int,
    seed: int,
    max_rows: int = 36_000,
) -> float:
    """Mean average precision over ``cases`` injected faults; higher is better.

    Each fault lies in a copy of the last calibration rows of a vehicle. Both they and the train
    rows that the evidence chain is calibrated on are scored by the network alone, every position
    predicted while it is hidden. About ``max_rows`` rows are scored, half of them train rows.
    The same arguments give the same number (on one kind of device).

    Raises:
        DataError: no vehicle has calibration rows to put a fault into.
    """
    chosen = _vehicles(store, min(VEHICLES, cases), params.model.window)
    share = np.full(len(chosen), cases // len(chosen)) + (
        np.arange(len(chosen)) < cases % len(chosen)
    )
    stretch = max(max_rows // 2 // cases, LEAST_ROWS)
    chain = EvidenceChain(params.detect)
    values = []
    for position, vehicle in enumerate(chosen):
        types = types_from(int(share[:position].sum()))  # every type gets its turn
        has_C = store.has_channel(vehicle)
        train = _last(store, vehicle, TRAIN, max(max_rows // 2 // len(chosen), LEAST_ROWS))
        learnt = chain.calibrate(_residual(model, train, params), chain.layout([train], [has_C]))
        clean = _last(store, vehicle, CALIBRATION, stretch)
        own = int(share[position])
        for series, _ in injected_cases(clean, has_C, own, seed + position, types):
            found = None
            if learnt is not None:
                layout = chain.layout([series], [has_C])
                found = chain.evidence(_residual(model, series, params), layout, learnt[0])
            # A network that diverged has nothing to say, which is worth the floor.
            score_T = np.zeros(series.rows) if found is None else found[0]
            values.append(auc_pr(series.label_T, score_T))
    if not values:
        raise DataError(
            f"{store.path}: no fault can be put into the calibration rows of "
            f"{', '.join(chosen)}; do their channels vary and are they measured?"
        )
    return float(np.mean(values))


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


def _residual(model: "nn.Module", series: Series, params: Params) -> np.ndarray:
    from amad.model.residual import hidden_residual

    training = model.training
    residual_TC = hidden_residual(model, series, params.model.window, params.detect.hidden_block)
    model.train(training)
    residual_TC[series.valid_TC == 0] = np.nan
    return residual_TC
