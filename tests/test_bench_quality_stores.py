"""The stores and results of the quality benchmark: halves, clean stretches, files of results."""

import json
from dataclasses import replace

import numpy as np
import pytest
from detect_kit import linear_members
from evaluation_kit import kit_events, kit_fleet, kit_params, kit_store

from amad.detect.detector import Detector
from amad.detect.residual_cache import ResidualCache
from amad.evaluation import harness
from amad.evaluation.harness import judge
from amad.evaluation.units import StoredPart, fitting_parts
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, TEST, TRAIN, read
from amad.windows.store import WindowStore, write_store
from bench.quality import fleets, jobs
from bench.quality.fleets import (
    HALVES,
    CleanStretches,
    halved,
    judged_fleet,
    longest_clean,
)
from bench.quality.records import joined, result_from_json, result_to_json

pytestmark = pytest.mark.slow


def test_numbers_learnt_count_what_levels_share_once(store):
    detector = Detector(linear_members()[:1], kit_params().detect, kit_fleet(), store.scaler)
    detector.fit(*fitting_parts(store))
    state = detector.members[0].coefficients
    assert jobs.numbers_learnt(detector) == 6 * 4 * 6  # levels, channels, lags and intercept
    state["vehicle/v-0"]["lag"] = state["fleet"]["lag"].copy()
    assert jobs.numbers_learnt(detector) == 5 * 4 * 6


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> WindowStore:
    """Five vehicles; v-0 and v-4 have cells that nothing is known of."""
    fleet = kit_fleet()
    folder = tmp_path_factory.mktemp("store")
    small = kit_store(folder / "small", fleet)
    series = []
    for number in range(5):
        base = small.series("car-1")
        value_TC = base.value_TC + number
        valid_TC = base.valid_TC.copy()
        mean = value_TC[base.split_T == TRAIN].mean(axis=0)
        if number in (0, 4):
            valid_TC[-40:, 1] = 0
        item = replace(
            base, vehicle=f"v-{number}", value_TC=value_TC.astype(np.float32), valid_TC=valid_TC
        )
        series.append((item, mean))
    scaler = Scaler.fit([item for item, _ in series], fleet, "vehicle")
    filled = []
    for item, _ in series:
        own_C = scaler.figures(item.vehicle, "all")[0]
        value_TC = np.where(item.valid_TC == 1, item.value_TC, own_C)
        filled.append(item.with_values(value_TC))
    write_store(folder / "store", filled, fleet, scaler, {"normalise": "vehicle"})
    return WindowStore.open(folder / "store")


def test_unseen_vehicles_are_unseen(store, tmp_path):
    fleet = kit_fleet()
    halves = {n: WindowStore.open(p) for n, p in halved(store, fleet, tmp_path).items()}
    assert list(halves) == list(HALVES)
    hidden = [set(half.meta["hidden"]) for half in halves.values()]
    assert hidden[0] | hidden[1] == set(store.vehicles) and not hidden[0] & hidden[1]
    for half in halves.values():
        unseen = set(half.meta["hidden"])
        parts = {v: set(half.series(v).split_T.tolist()) for v in half.vehicles}
        for vehicle in half.vehicles:
            known = vehicle not in unseen
            assert (TEST in parts[vehicle]) != known
            assert ({TRAIN, CALIBRATION} <= parts[vehicle]) == known
            assert (vehicle in half.scaler.tables["vehicle"]) == known
        detector = Detector(linear_members(), kit_params().detect, fleet, half.scaler)
        train, calibration = fitting_parts(half)
        assert {s.vehicle for s in (*train, *calibration)} == set(half.vehicles) - unseen
        detector.fit(train, calibration)
        assert not {f"vehicle/{v}" for v in unseen} & set(detector.figures)
        assert detector.owner_of(half.scaled(min(unseen))) == "fleet"
        results, _ = judge({"m": detector}, half, fleet, kit_params(), kit_events(), {})
        assert set(results["m"].vehicle.values()) == unseen


def test_what_was_filled_with_a_hidden_mean_is_filled_anew(store, tmp_path):
    halves = halved(store, kit_fleet(), tmp_path)
    for path in halves.values():
        half = WindowStore.open(path)
        for vehicle in {"v-0", "v-4"} & set(half.meta["hidden"]):
            series = half.series(vehicle)
            filled = series.value_TC[series.valid_TC == 0]
            class_mean = half.scaler.figures(vehicle, "all")[0][1]
            own_mean = store.scaler.figures(vehicle, "all")[0][1]
            assert len(filled) == 40 and (filled == class_mean).all() and class_mean != own_mean


def test_clean_stretches_hold_no_event_and_no_label(store):
    view = CleanStretches.of(store)
    for vehicle in store.vehicles:
        whole, clean = store.series(vehicle), view.scaled(vehicle)
        assert clean.label_T is None and clean.rows == whole.rows
        assert not whole.label_T[clean.split_T == TEST].any()
        for part in (TRAIN, CALIBRATION):
            assert (clean.part(part).timestamp_T == whole.part(part).timestamp_T).all()
        part = StoredPart.of(view, vehicle, TEST)
        assert (read(part).timestamp_T == clean.part(TEST).timestamp_T).all()
    assert longest_clean(np.array([0, 1, 0, 0, 1], bool)) == (2, 4)
    assert longest_clean(np.ones(3, bool)) == (0, 0)


@pytest.mark.parametrize("vehicles", [1, 3, 5, 6, 10, 12, 40, 300])
def test_about_as_many_faults_whatever_the_fleet(vehicles, monkeypatch):
    monkeypatch.setattr(fleets, "CASES", 96)
    fleet = judged_fleet(kit_fleet(), "injected", vehicles)
    cases = fleet.labels.injection.cases_per_vehicle
    assert 72 <= cases * vehicles <= 120 or cases == 1
    assert cases % 8 == 0 or vehicles > 12
    assert fleet.evaluation.unit == ("vehicle" if vehicles >= 4 else "case")
    assert judged_fleet(kit_fleet(), "test", vehicles) == kit_fleet()


@pytest.mark.parametrize("smoothing", ["centred", "trailing"])
def test_remembered_residuals_are_those_of_predicting_all(store, smoothing, monkeypatch):
    params, fleet = kit_params(smoothing=smoothing), kit_fleet()
    view, contract = CleanStretches.of(store), judged_fleet(fleet, "injected", 5)
    found, predicted = [], []
    for cache in (_NoCache, ResidualCache):
        monkeypatch.setattr(harness, "ResidualCache", cache)
        detector = Detector(linear_members(), params.detect, fleet, store.scaler)
        rows = _count_rows(detector)
        detector.fit(*fitting_parts(store))
        rows.clear()
        results, _ = judge({"m": detector}, view, contract, params, kit_events(), {})
        found.append(result_to_json(results["m"]))
        predicted.append(sum(rows))
    assert found[0] == found[1]
    assert predicted[1] < 0.7 * predicted[0]


class _NoCache:
    """Predicts all rows of every series."""

    def error_of(self, member, series, coefficients):
        return member.predict_error(series, coefficients)


def _count_rows(detector: Detector) -> list[int]:
    rows: list[int] = []
    for member in detector.members:
        plain = member.predict_error

        def counted(series, coefficients, plain=plain):
            rows.append(series.rows)
            return plain(series, coefficients)

        member.predict_error = counted
    return rows


def test_results_survive_their_file(store):
    detector = Detector(linear_members(), kit_params().detect, kit_fleet(), store.scaler)
    detector.fit(*fitting_parts(store))
    results, _ = judge({"m": detector}, store, kit_fleet(), kit_params(), kit_events(), {})
    content = result_to_json(results["m"])
    again = result_to_json(result_from_json(json.loads(json.dumps(content))))
    assert again == content
    twice = joined([content, content])
    assert twice.normal.incidents == 2 * results["m"].normal.incidents
    assert len(twice.truth) == 2 * len(results["m"].truth)


def test_results_depend_on_settings_and_store(store, tmp_path):
    fleet, params = kit_fleet(), kit_params()
    place = (fleet, store, tmp_path, "l2", "offline")
    one = jobs.judge_job(*place, params, None, ["test"], tmp_path)
    same = jobs.judge_job(*place, params, None, ["test"], tmp_path)
    other = jobs.judge_job(*place, kit_params(floor=0.1), None, ["test"], tmp_path)
    assert one.out == same.out != other.out
    network = jobs.network_job(fleet, store, params, tmp_path)
    assert jobs.network_job(fleet, store, kit_params(floor=0.1), tmp_path).out == network.out
    seeded = params.model_copy(update={"seed": 8})
    assert jobs.network_job(fleet, store, seeded, tmp_path).out != network.out
