"""A detector is fitted and judged with the same bytes wherever its vehicles are worked on."""

from pathlib import Path
from weakref import WeakSet

import pytest
import torch
from engine_kit import toy_stage
from evaluation_kit import FAULTS, kit_events, kit_fleet, kit_params, kit_series
from test_evaluation import with_a_network
from test_unit_engines import AnotherNode, sent

from amad.baselines import make_baseline
from amad.config import ClusterProfile, Fleet, Params
from amad.config.units import RunUnits, in_process
from amad.detect.detector_folder import detector_digest
from amad.detect.fitting import OfVehicle, fit_together
from amad.detect.forms import fit_forms
from amad.detect.residual_cache import ResidualCache
from amad.engines.shared.unit_engines import unit_engine
from amad.evaluation.harness import examine, judge, learners_of
from amad.evaluation.units import fitting_parts
from amad.windows.scaler import Scaler
from amad.windows.short_history import Known
from amad.windows.store import WindowStore, write_store

pytestmark = pytest.mark.slow

NEW = "car-0"  # has too few train rows for figures of its own
MEMBERS = ["innovation", "relation", "window_range", "amad"]


def fleet_and_params(kind: str) -> tuple[Fleet, Params]:
    """A detector with a network, and baselines of two kinds."""
    params = kit_params(members=MEMBERS, amad_weight=0.0)
    judged = params.evaluate.model_copy(update={"baselines": ["random", "pca"]})
    return kit_fleet(kind, cases=2), params.model_copy(update={"evaluate": judged})


def store_of(folder: Path, fleet: Fleet) -> WindowStore:
    """Long and short histories, a vehicle without one, and a channel that moves only later."""
    series = [kit_series(name, seed, FAULTS[name]) for seed, name in enumerate(FAULTS)]
    series[1].value_TC[:1900, 3] = 0.0
    series += [kit_series(NEW, 7, [(100, 150, 1, 2.0)]).rows_between(1560, 4000)]
    write_store(folder / "store", series, fleet, Scaler.fit(series, fleet, "vehicle"), {})
    return WindowStore.open(folder / "store")


def evaluated(store: WindowStore, kind: str, run: RunUnits = in_process) -> tuple[str, str, dict]:
    """Digests of both forms of the detector, and the metrics."""
    fleet, params = fleet_and_params(kind)
    torch.manual_seed(0)
    detector = with_a_network(store, fleet, params)
    other = fit_forms(detector, *fitting_parts(store), run)
    metrics = examine(store, detector, fleet, params, kit_events(), other, run).metrics
    return detector_digest(detector), detector_digest(other), metrics.content()


@pytest.mark.parametrize("kind", ["column", "injected"])
def test_it_is_the_same_wherever_the_vehicles_are(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but one of the vehicles' figures wait in a file; another node reads of the driver."""
    monkeypatch.setattr("amad.detect.figure_file.HELD", 1)
    store = store_of(tmp_path / "far", fleet_and_params(kind)[0])
    far = AnotherNode(tmp_path / "far")
    here, there, on_a_node = (evaluated(store, kind, run) for run in (in_process, sent, far))
    assert here == there == on_a_node
    assert here[2]["units"] == (3 if kind == "column" else 4)
    assert far.asked == [1] * 3 * len(store.vehicles), "each pass asks once for a vehicle's rows"


def test_a_vehicle_of_which_a_method_has_no_array_at_all_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its long train part never moves, and the method has no coefficients; its figures wait."""
    monkeypatch.setattr("amad.detect.figure_file.HELD", 1)
    monkeypatch.setattr(Known, "long_rows", 0)
    fleet, params = kit_fleet("column"), kit_params()
    series = [kit_series(name, seed, FAULTS[name]) for seed, name in enumerate(FAULTS)]
    series[1].value_TC[:2400] = 0.0
    write_store(tmp_path / "store", series, fleet, Scaler.fit(series, fleet, "vehicle"), {})
    store = WindowStore.open(tmp_path / "store")
    method = make_baseline("l2", params.detect, 0, fleet, store.scaler)
    method.fit(*fitting_parts(store))
    assert not method.figures["vehicle/car-2"].calibration
    results, _ = judge({"l2": method}, store, fleet, params, kit_events(), {})
    assert list(results["l2"].per_unit) == ["car-1", "car-2"]


def test_a_baseline_within_another_one_is_as_if_it_was_fitted_alone(tmp_path: Path) -> None:
    fleet, params = kit_fleet("column"), kit_params()
    store = store_of(tmp_path, fleet)
    alone, together, other = (
        make_baseline(name, params.detect, 0, fleet, store.scaler)
        for name in ("ridge", "ridge", "linear")
    )
    alone.fit(*fitting_parts(store))
    learners = learners_of({"ridge": together, "linear": other})
    assert [*learners] == ["linear"], "the members of ridge are fitted once"
    fit_together([*learners.values()], *fitting_parts(store))
    assert together.operating_point == alone.operating_point
    methods = {"alone": alone, "together": together}
    results, _ = judge(methods, store, fleet, params, kit_events(), {})
    assert repr(results["alone"]) == repr(results["together"])


@pytest.mark.parametrize(("labels", "caches"), [("injected", 2), ("column", 0)])
def test_residuals_of_no_more_than_two_methods_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: str, caches: int
) -> None:
    """Only where faults are injected are rows scored again that a baseline has scored."""
    alive: WeakSet[ResidualCache] = WeakSet()
    counted: list[int] = []

    class Cache(ResidualCache):
        def __init__(self) -> None:
            super().__init__()
            counted.append(len(alive))
            alive.add(self)

    monkeypatch.setattr("amad.evaluation.harness.ResidualCache", Cache)
    fleet, params = kit_fleet(labels), kit_params()
    store = store_of(tmp_path, fleet)
    names = ("l2", "pca", "ridge", "mahalanobis")
    methods = {n: make_baseline(n, params.detect, 0, fleet, store.scaler) for n in names}
    fit_together([own.learner() for own in methods.values()], *fitting_parts(store))
    judge(methods, store, fleet, params, kit_events(), {})
    told = "that of the method before, and the one for the detector's forms"
    assert max(counted) == caches, told


@pytest.mark.engine
def test_it_is_the_same_over_ray_with_two_workers(tmp_path: Path) -> None:
    fleet, params = fleet_and_params("column")
    store = store_of(tmp_path, fleet)
    expected = evaluated(store, "column")
    profile = ClusterProfile(cpus=2, object_store_mb=100, ray_min_vehicle_days=4)
    stage = toy_stage(tmp_path, params, profile)
    with unit_engine(stage, scored_days=len(store.vehicles)) as over_ray:
        assert evaluated(store, "column", over_ray) == expected


def test_what_is_sent_does_not_grow_with_the_fleet(tmp_path: Path) -> None:
    """A worker gets the figures of a class once, and those of a vehicle with the vehicle."""
    fleet, params = fleet_and_params("column")
    store = store_of(tmp_path, fleet)
    detector = with_a_network(store, fleet, params)
    fit_forms(detector, *fitting_parts(store))
    bare = detector.without_vehicles()
    owners = [{*member.coefficients} for member in bare.members]
    assert {*bare.figures} == {"fleet"} and all(known <= {"fleet"} for known in owners)
    assert {*bare.operating_point.usual} == {""}
    assert detector.of_vehicle("stranger") == detector.of_vehicle(NEW) == OfVehicle()
    again = bare.with_vehicle("car-1", detector.of_vehicle("car-1"))
    assert {*again.figures} == {"fleet", "vehicle/car-1"}
    assert {*bare.figures} == {"fleet"} and "vehicle/car-1" not in bare.members[0].coefficients
