"""Vehicles that the detector does not know: how they are scaled, and the promise of alarms."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from detect_kit import (
    LINEAR,
    C,
    fleet_of,
    linear_members,
    waves,
)
from model_kit import toy_fleet, toy_params, toy_series
from windows_kit import series_of, small_fleet

from amad.detect.alarms import merge_alarms
from amad.detect.detector import Detector
from amad.detect.detector_folder import detector_digest, load_detector, save_detector
from amad.detect.learnt_figures import FLEET, SHORT_ROWS, without_history
from amad.detect.members.build import build_members
from amad.detect.members.member import AmadMember, RidgeMember
from amad.model import Amad, Bundle
from amad.windows import Scaler
from amad.windows.series import Series

FLEET_OF = fleet_of()
HOURS = 6000  # rows of calibration: enough for a threshold that is not extrapolated far
PARAMS = LINEAR.model_copy(update={"alarm_budget": 400.0, "merge_gap_seconds": 5.0})


def values(seed: int, mean: float, spread: float) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, spread, (400, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def trio() -> tuple[list[Series], Scaler]:
    series = [
        series_of(values(i, mean, spread), f"b-{i}", "b")
        for i, (mean, spread) in enumerate([(0, 1), (10, 2), (-5, 4)])
    ]
    return series, Scaler.fit(series, small_fleet(), "vehicle")


def test_an_unknown_vehicle_is_scaled_by_the_others_alone(trio) -> None:
    series, scaler = trio
    seen = scaler.as_unknown(scaler.apply(series[0]), ["b-1", "b-2", "nobody"])
    others = np.concatenate([item.value_TC for item in series[1:]])
    want_TC = (series[0].value_TC - others.mean(0)) / others.std(0)
    np.testing.assert_allclose(seen.value_TC, want_TC, rtol=2e-3, atol=2e-3)
    assert seen.value_TC.dtype == np.float32


def test_without_others_the_class_serves_as_for_a_newcomer(trio) -> None:
    series, scaler = trio
    newcomer = scaler.apply(replace(series[0], vehicle="b-9"))
    seen = scaler.as_unknown(scaler.apply(series[0]))
    np.testing.assert_allclose(seen.value_TC, newcomer.value_TC, atol=1e-4)
    assert scaler.as_unknown(newcomer) is newcomer


def test_what_nothing_is_known_of_stays_at_zero(trio) -> None:
    series, scaler = trio
    scaled = scaler.apply(series[1])
    valid_TC, value_TC = scaled.valid_TC.copy(), scaled.value_TC.copy()
    valid_TC[7, 2], value_TC[7, 2] = 0, 0.0
    seen = scaler.as_unknown(replace(scaled, valid_TC=valid_TC).with_values(value_TC), ["b-0"])
    assert seen.value_TC[7, 2] == 0.0 and (seen.value_TC[:, [0, 1, 3]] != 0).all()


def unlike(vehicle: str, seed: int, begin: int = 0, rows: int = 2000) -> Series:
    """Engineering units: every vehicle has offsets and gains of its own."""
    series = waves(vehicle, rows, seed, begin)
    rng = np.random.default_rng([5, *vehicle.encode()])
    shift_C, gain_C = rng.normal(scale=2.0, size=C), np.exp(rng.normal(scale=0.7, size=C))
    return series.with_values((series.value_TC * gain_C + shift_C).astype(np.float32))


@pytest.fixture(scope="module")
def detector() -> tuple[Detector, Scaler]:
    names = [f"b-{i}" for i in range(6)]
    train = [unlike(name, 1) for name in names]
    scaler = Scaler.fit(train, FLEET_OF, "vehicle")
    held_out = [scaler.apply(unlike(name, 2, 2000, HOURS)) for name in names]
    found = Detector(build_members(PARAMS), PARAMS, FLEET_OF, scaler)
    return found.fit([scaler.apply(item) for item in train], held_out), scaler


def incidents_per_day(found: Detector, scaler: Scaler, names: list[str]) -> float:
    count, rows = 0, 0
    for name in names:
        series = scaler.apply(unlike(name, 3, 9000, HOURS))
        alarm_T = found.score(series).alarm_T
        count += len(
            merge_alarms(
                alarm_T, series.timestamp_T, period_us=FLEET_OF.period_us, gap_us=found.gap_us
            )
        )
        rows += series.rows
    return count / rows * 86_400


def test_the_promise_of_alarms_holds_on_vehicles_never_seen(detector) -> None:
    found, scaler = detector
    newcomers = [f"b-{i}" for i in range(20, 28)]
    assert all(found.owner_of(unlike(name, 3)) == FLEET for name in newcomers)
    rate = incidents_per_day(found, scaler, newcomers)
    assert rate <= 2 * PARAMS.alarm_budget
    found.figures[FLEET] = replace(found.figures[FLEET], allowance=0.0)
    assert incidents_per_day(found, scaler, newcomers) >= rate


def test_the_allowance_moves_a_newcomers_score_and_nobody_elses(detector, tmp_path: Path) -> None:
    found, scaler = detector
    found.figures[FLEET] = replace(found.figures[FLEET], allowance=0.0)
    known, new = (scaler.apply(unlike(name, 3)) for name in ("b-2", "b-20"))
    before = found.score(known).score_T, found.score(new).score_T
    found.figures[FLEET] = replace(found.figures[FLEET], allowance=0.7)
    np.testing.assert_array_equal(found.score(known).score_T, before[0])
    np.testing.assert_allclose(found.score(new).score_T, before[1] - 0.7, atol=1e-5)
    save_detector(found, tmp_path / "d")
    again = load_detector(tmp_path / "d")
    assert again.figures[FLEET].allowance == 0.7 and detector_digest(again) == detector_digest(
        found
    )
    np.testing.assert_array_equal(again.score(new).score_T, found.score(new).score_T)


def test_a_vehicle_with_few_rows_is_scored_as_an_unknown_one() -> None:
    names = [f"b-{i}" for i in range(4)]
    train = [unlike(name, 1) for name in names] + [unlike("b-9", 1, rows=SHORT_ROWS - 1)]
    scaler = Scaler.fit(train, FLEET_OF, "vehicle")
    held_out = [scaler.apply(unlike(name, 2, 2000)) for name in names]
    found = Detector(linear_members(), PARAMS, FLEET_OF, scaler)
    found.fit([scaler.apply(item) for item in train], held_out)
    young = unlike("b-9", 2, 100)
    assert "b-9" in scaler.tables["vehicle"] and found.owner_of(young) == FLEET
    newcomer = replace(young, vehicle="b-99")
    np.testing.assert_allclose(
        found.score(scaler.apply(young)).score_T,
        found.score(scaler.apply(newcomer)).score_T,
        atol=1e-4,
    )


def test_with_several_classes_the_fleets_level_learns_from_vehicles_of_unknown_class() -> None:
    names = ["a-1", "a-2", "b-1", "b-2"]
    train = [unlike(name, 1) for name in names]
    scaler = Scaler.fit(train, FLEET_OF, "vehicle")
    found = Detector(linear_members(), PARAMS, FLEET_OF, scaler)
    scaled = [scaler.apply(item) for item in train]
    met = {s.vehicle: s for s in without_history(scaled, FLEET, found.scaler)}
    want = scaler.as_unknown(scaled[0], ["b-1", "b-2"])
    np.testing.assert_array_equal(met["a-1"].value_TC, want.value_TC)
    met = {s.vehicle: s for s in without_history(scaled, "class/a", found.scaler)}
    assert set(met) == {"a-1", "a-2"}
    want = scaler.as_unknown(scaled[0], ["a-2"])
    np.testing.assert_array_equal(met["a-1"].value_TC, want.value_TC)


class Shared(RidgeMember):
    """Remembers what it was shown."""

    def fit_shared(self, train: Sequence[Series]) -> None:
        self.shown = {series.vehicle: series for series in train}


def test_what_levels_share_is_learnt_from_vehicles_in_their_own_units() -> None:
    train = [unlike(f"b-{i}", 1) for i in range(3)]
    scaler = Scaler.fit(train, FLEET_OF, "vehicle")
    member = Shared("ridge", range(1, 6))
    scaled = [scaler.apply(item) for item in train]
    Detector([member], PARAMS, FLEET_OF, scaler).learner().learn(scaled, [])
    for series in scaled:
        np.testing.assert_array_equal(member.shown[series.vehicle].value_TC, series.value_TC)


def test_a_network_is_not_told_which_vehicle_a_pooled_level_meets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params, series = toy_params(), toy_series("b-1")
    scaler = Scaler.fit([series], toy_fleet(), "vehicle")
    network = Amad(4, params.model)
    bundle = Bundle(model=network, params=params, fleet=toy_fleet(), scaler=scaler, meta={})
    member, told = AmadMember(bundle), []

    def hidden_residual(model, series, *args, **kwargs) -> np.ndarray:
        told.append((series.vehicle, series.vehicle_class))
        return np.zeros(series.value_TC.shape, np.float32)

    monkeypatch.setattr("amad.model.residual.hidden_residual", hidden_residual)
    for owner in (FLEET, "class/b", "vehicle/b-1"):
        member.fit(owner, [series], 4)
        member.residual(series, owner)
    assert told == [("", "b")] * 4 + [("b-1", "b")] * 2
