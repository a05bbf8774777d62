"""What a network finds of faults put into clean rows, and how well it predicts. No labels are used.

It is the objective of the sweep, and what a network's vote is decided by (``vote``).

Shape legend: T rows, C channels.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from amad.config import DataError, Params
from amad.detect.chain import EvidenceChain
from amad.detect.combine import EXCESS_QUANTILE, Ensemble
from amad.detect.learnt_figures import LearntFigures
from amad.detect.members.build import build_members
from amad.detect.members.member import AmadMember, Member, hidden_kinds
from amad.detect.predictability import Predictability, best_predictability
from amad.detect.residual_cache import ResidualCache
from amad.evaluation.units import StoredPart, types_from
from amad.metrics import auc_pr
from amad.windows.inject import injected_cases
from amad.windows.series import CALIBRATION, TRAIN, Series
from amad.windows.store import WindowStore

if TYPE_CHECKING:
    from amad.model.network import Amad

VEHICLES = 6  # at most, spread evenly over the store
LEAST_ROWS = 400  # of a vehicle's part, also where max_rows would give it fewer


class InjectedObjective:
    """How well a network finds injected faults: mean average precision, higher is better.

    Each case is a copy of the last calibration rows of a vehicle with one fault. It is scored by
    the detector of that vehicle with this network voting, so the objective measures what the
    network adds to the closed-form members. The network predicts every position while it is
    hidden: in blocks of time, in whole channels or in both, as ``mask.family`` hides them in
    training. The same arguments give the same number on the same kind of device.

    ``shares`` compares with the same detector without the network, and ``gains`` its predictions
    with those of its linear skip. The closed-form members are fitted once, when the first network
    is judged.

    Example: ``objective = InjectedObjective(store, params, 48, seed=7)``, then ``objective(model)``
    """

    def __init__(
        self,
        store: WindowStore,
        params: Params,
        cases: int,
        seed: int,
        max_rows: int = 36_000,
        vehicles: int = VEHICLES,
    ) -> None:
        """Choose the vehicles.

        Args:
            store: of the fleet.
            params: of the network and of the detector.
            cases: how many faults, spread evenly over the vehicles.
            seed: of the faults.
            max_rows: about how many rows the network scores, half of them train rows. The rows
                near a fault come on top, since they are scored again in each case.
            vehicles: at most so many, spread evenly over the store.

        Raises:
            DataError: no vehicle has enough train and calibration rows.
        """
        able = judged_vehicles(store, params.model.window)
        if not able:
            raise DataError(too_few_rows(store, params.model.window))
        places = np.linspace(0, len(able) - 1, min(vehicles, cases)).round()
        chosen = [able[place] for place in np.unique(places.astype(int))]
        self.store, self.params, self.seed = store, params, seed
        self.numbers = np.array_split(np.arange(cases), len(chosen))  # of each vehicle's cases
        rows = max(max_rows // 2 // len(chosen), LEAST_ROWS)
        self.detectors = [_VehicleDetector(store, vehicle, params, rows) for vehicle in chosen]

    def __call__(self, model: "Amad") -> float:
        """The objective of this network.

        Raises:
            DataError: no fault can be put into the vehicles' calibration rows.
        """
        found = self._judged(model, lambda case, both: auc_pr(case.label_T, both[0]))
        return float(np.mean(np.concatenate(found)))

    def shares(self, model: "Amad") -> list[np.ndarray]:
        """What the network adds to the average precision of each case; an array per vehicle.

        Raises:
            DataError: no fault can be put into the vehicles' calibration rows.
        """

        def share(case: Series, both: Both) -> float:
            return auc_pr(case.label_T, both[0]) - auc_pr(case.label_T, both[1])

        return self._judged(model, share)

    def gains(self, model: "Amad") -> list[float]:
        """How much better the network predicts hidden calibration rows than its linear skip.

        Returns: for each vehicle, the share by which its squared error is lower; 0 is level.
        """
        plain = linear_skip_alone(model, self.store, self.params.mask.block)
        training = model.training
        found = []
        for detector in self.detectors:
            error, theirs = detector.squared_errors(model, plain)
            found.append(1.0 - error / theirs if theirs > 0 else 0.0)
        model.train(training)
        return found

    def _judged(self, model: "Amad", judge: Callable[[Series, "Both"], float]) -> list[np.ndarray]:
        """``judge`` of each case and its scores with and without the network, per vehicle."""
        found, training = [], model.training
        pairs = zip(self.detectors, self.numbers, strict=True)
        for position, (detector, numbers) in enumerate(pairs):
            types = types_from(int(numbers[0]))  # so that every type occurs
            cases = injected_cases(
                detector.clean, detector.has_C, len(numbers), self.seed + position, types
            )
            if cases:
                scores = detector.with_network(model)
                found.append(np.array([judge(case, scores(case)) for case, _ in cases]))
        model.train(training)
        if not found:
            raise DataError(
                f"{self.store.path}: no fault can be put into the calibration rows of "
                f"{', '.join(d.vehicle for d in self.detectors)}; do their channels vary and are "
                "they measured?"
            )
        return found


Both = tuple[np.ndarray, np.ndarray]  # the scores (T,) of a case with the network, and without it


class _Network(NamedTuple):
    """A network in training, in the form that ``AmadMember`` expects of a bundle."""

    model: "Amad"
    params: Params


class _VehicleDetector:
    """The detector of one vehicle, without a threshold.

    rows: at most so many calibration rows get faults, and at most so many train rows calibrate the
    network. The closed-form members learn from all train rows.
    """

    def __init__(self, store: WindowStore, vehicle: str, params: Params, rows: int) -> None:
        self.store, self.vehicle, self.params, self.rows = store, vehicle, params, rows
        self.owner = f"vehicle/{vehicle}"
        self.has_C = store.has_channel(vehicle)
        self.chain = EvidenceChain(params.detect)
        self.clean = _part(store, vehicle, CALIBRATION, rows)

    def with_network(self, model: "Amad") -> Callable[[Series], "Both"]:
        """A function from a case to its scores (T,): with this network voting, and without it.

        Where the network gives no finite residual, every score with it is 0, the worst objective
        there is. Without it they are 0 where the detector has no other members.
        """
        network = _Network(model, self.params)
        kinds = hidden_kinds(self.params.mask.family)
        members = [AmadMember(network, hide=hide) for hide in kinds]
        train = _part(self.store, self.vehicle, TRAIN, self.rows)
        ensemble, own, own_explained = self._fitted(members, train)
        others, theirs, their_explained = self._closed
        ensemble = replace(ensemble, members=[*members, *others.members])
        figures = LearntFigures(
            calibration={**own.calibration, **theirs.calibration},
            predictability=best_predictability(ensemble.members, own_explained | their_explained),
            excess_threshold=own.excess_threshold | theirs.excess_threshold,
        )

        def scores(case: Series) -> Both:
            evidence = ensemble.evidence(figures, self.owner, case, self.has_C)
            serving = ensemble.serving(evidence)
            closed = {m.name: evidence[m.name] for m in serving if not isinstance(m, AmadMember)}
            nothing_T = np.zeros(case.rows)
            return (
                ensemble.combined(figures, evidence, case)[0]
                if len(closed) < len(serving)
                else nothing_T,
                others.combined(theirs, closed, case)[0] if closed else nothing_T,
            )

        return scores

    def squared_errors(self, model: "Amad", other: "Amad") -> tuple[float, float]:
        """Mean squared error of two networks on the clean rows, over what both predicted."""
        found = []
        for network in (_Network(model, self.params), _Network(other, self.params)):
            hidden = hidden_kinds(self.params.mask.family)
            members = [AmadMember(network, hide=hide) for hide in hidden]
            for member in members:
                member.coefficients[self.owner] = {}
            found.append(np.stack([m.residual(self.clean, self.owner) for m in members]))
        known = np.isfinite(found[0]) & np.isfinite(found[1])
        if not known.any():
            return 0.0, 0.0
        error, theirs = (float(np.mean(np.square(f[known], dtype=np.float64))) for f in found)
        return error, theirs

    @cached_property
    def _closed(self) -> tuple[Ensemble, LearntFigures, dict[str, Predictability]]:
        members = build_members(self.params.detect.model_copy(update={"amad_weight": 0.0}))
        return self._fitted(members, _part(self.store, self.vehicle, TRAIN))

    def _fitted(
        self, members: Sequence[Member], train: Series
    ) -> tuple[Ensemble, LearntFigures, dict[str, Predictability]]:
        """The members fitted on train rows, their excess thresholds measured on the clean rows.

        Third, how predictable each of them finds the rows, by name.
        """
        for member in members:
            member.fit_shared([train])
        ensemble = Ensemble(members, self.chain, self.store.content["period_us"])
        calibration, _, predictability = ensemble.calibrate(self.owner, [train], [self.has_C])
        cache = ResidualCache()  # of a case, only the rows near its fault are predicted again
        for member in members:
            member.cache = cache  # not before: it would keep the train rows of all vehicles
        best = best_predictability(members, predictability)
        figures = LearntFigures(calibration=calibration, predictability=best)
        evidence = ensemble.evidence(figures, self.owner, self.clean, self.has_C)
        for name in calibration:
            figures.excess_threshold[name] = (
                float(np.quantile(evidence[name][0], EXCESS_QUANTILE))
                if name in evidence
                else np.inf
            )
        return ensemble, figures, predictability


def linear_skip_alone(model: "Amad", store: WindowStore, block: int) -> "Amad":
    """An untrained network, which predicts what its linear skip does: that of ``model``, if any."""
    from amad.model.network import Amad

    params = model.params.model_copy(update={"skip": "linear"})
    plain = Amad(model.channels, params, model.owners, block)
    assert plain.linear is not None
    if model.linear is None:
        plain.linear.fit(store)
    else:
        plain.linear.load_state_dict(model.linear.state_dict())
    return plain.to(next(model.parameters()).device).eval()


def judged_vehicles(store: WindowStore, window: int) -> list[str]:
    """Vehicles with enough train and calibration rows to judge a network of this window on."""
    rows = zip(store.vehicles, store.rows_of(TRAIN), store.rows_of(CALIBRATION), strict=True)
    return [vehicle for vehicle, *of_parts in rows if min(of_parts) >= 2 * window]


def too_few_rows(store: WindowStore, window: int) -> str:
    """What to say where there is no such vehicle."""
    return (
        f"{store.path}: no vehicle has {2 * window} train rows and as many calibration rows to "
        f"put faults into; ingest more data, or make model.window ({window}) shorter"
    )


def _part(store: WindowStore, vehicle: str, split: int, rows: int | None = None) -> Series:
    """A vehicle's train or calibration part (its last ``rows``, or all), scaled, without labels."""
    part = StoredPart.of(store, vehicle, split)
    return part.rows_between(0 if rows is None else max(part.rows - rows, 0), part.rows)
