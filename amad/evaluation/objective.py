"""The sweep's objective: does the network find faults put into clean rows? It sees no labels.

Shape legend: T rows, C channels.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from amad.config import DataError, Params
from amad.detect.build_members import build_members
from amad.detect.chain import EvidenceChain
from amad.detect.combine import EXCESS_QUANTILE, Ensemble
from amad.detect.learnt_figures import LearntFigures
from amad.detect.members import AmadMember, Member, hidden_kinds
from amad.detect.residual_cache import ResidualCache
from amad.evaluation.units import types_from, unlabelled
from amad.metrics import auc_pr
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
        values, training = [], model.training
        for position, detector in enumerate(self.detectors):
            types = types_from(int(self.share[:position].sum()))  # every type gets its turn
            own = injected_cases(
                detector.clean, detector.has_C, int(self.share[position]), self.seed + position,
                types,
            )  # fmt: skip
            if own:
                ensemble, figures = detector.with_network(model)
                values += [
                    auc_pr(case.label_T, detector.score(ensemble, figures, case)) for case, _ in own
                ]
        model.train(training)
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


class _Network(NamedTuple):
    """What ``AmadMember`` needs of a bundle; this network is still in training."""

    model: "Amad"
    params: Params


class _VehicleDetector:
    """The detector of one vehicle, without threshold and slow baseline.

    rows: of the clean calibration rows that faults are put into, and of the train rows that
    calibrate the network; the closed-form members learn from all.
    """

    def __init__(self, store: WindowStore, vehicle: str, params: Params, rows: int) -> None:
        self.store, self.vehicle, self.params, self.rows = store, vehicle, params, rows
        self.has_C = store.has_channel(vehicle)
        self.chain = EvidenceChain(params.detect)
        self.clean = _part(store, vehicle, CALIBRATION, rows)

    def with_network(self, model: "Amad") -> tuple[Ensemble, LearntFigures]:
        """The members, those of this network first, and what is ordinary for them."""
        network, params = _Network(model, self.params), self.params
        members = [AmadMember(network, hide=hide) for hide in hidden_kinds(params.mask.family)]
        own = self._fitted(members, _part(self.store, self.vehicle, TRAIN, self.rows))
        (ensemble, figures), (others, theirs) = own, self._closed
        whole = replace(ensemble, members=[*members, *others.members])
        calibration = figures.calibration | theirs.calibration
        thresholds = figures.excess_threshold | theirs.excess_threshold
        return whole, LearntFigures(
            calibration=calibration, ordinary=0.0, excess_threshold=thresholds
        )

    @cached_property
    def _closed(self) -> tuple[Ensemble, LearntFigures]:
        members = build_members(self.params.detect.model_copy(update={"amad_weight": 0.0}))
        return self._fitted(members, _part(self.store, self.vehicle, TRAIN))

    def _fitted(self, members: Sequence[Member], train: Series) -> tuple[Ensemble, LearntFigures]:
        """The members fitted on train rows, their excess thresholds measured on the clean rows."""
        cache = ResidualCache()  # a case is predicted again near its fault alone
        for member in members:
            member.cache = cache
        ensemble = Ensemble(members, self.chain, self.store.content["period_us"])
        calibration, _ = ensemble.calibrate(self._at, [train], [self.has_C])
        figures = LearntFigures(calibration=calibration, ordinary=0.0)
        evidence = ensemble.evidence(figures, self._at, self.clean, self.has_C)
        for name in calibration:
            threshold = (
                np.quantile(evidence[name][0], EXCESS_QUANTILE) if name in evidence else np.inf
            )
            figures.excess_threshold[name] = float(threshold)
        return ensemble, figures

    @property
    def _at(self) -> str:
        return f"vehicle/{self.vehicle}"

    def score(self, ensemble: Ensemble, figures: LearntFigures, series: Series) -> np.ndarray:
        """Score (T,) of a case, joined as ``Detector`` joins its members.

        A network that diverged has nothing to say, which is worth the floor.
        """
        evidence = ensemble.evidence(figures, self._at, series, self.has_C)
        if not any(isinstance(m, AmadMember) for m in ensemble.serving(evidence)):
            return np.zeros(series.rows)
        return ensemble.combined(figures, evidence)[0]


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
