"""The scaler: train rows only, floors, fallbacks, JSON."""

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from windows_kit import series_of, small_fleet

from amad.windows.learning import Learnt
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, TEST, TRAIN

FLEET = small_fleet()


def values(seed: int, rows: int = 400, mean: float = 50.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 10.0, (rows, 4)).astype(np.float32)


def test_train_has_zero_mean_and_unit_spread_after_scaling() -> None:
    series = [series_of(values(i, mean=40 + 30 * i), f"b-{i}", "b") for i in range(3)]
    scaler = Scaler.fit(series, FLEET, "vehicle")
    for item in series:
        scaled = scaler.apply(item).value_TC
        assert scaled.dtype == np.float32
        np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(scaled.std(0), 1, atol=1e-3)


def test_class_figures_are_those_of_the_pooled_cells() -> None:
    series = [series_of(values(i, rows=100 + i, mean=10 * i), f"b-{i}", "b") for i in range(4)]
    mean_C, scale_C = Scaler.fit(series, FLEET, "class").figures("b-0", "b")
    pooled = np.concatenate([item.value_TC for item in series]).astype(float)
    np.testing.assert_allclose(mean_C, pooled.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scale_C, pooled.std(0), rtol=1e-5)


def test_what_was_learnt_of_vehicles_stays_as_it_is() -> None:
    gear_TC = values(3)
    gear_TC[:, 2] = np.round(gear_TC[:, 2] / 10)
    told = [Learnt.of(series_of(gear_TC, f"a-{n}"), FLEET) for n in range(2)]
    before = deepcopy(told[0].moments)
    scaler = Scaler.of(told, FLEET, "vehicle")
    assert "gear" in scaler.codes
    np.testing.assert_array_equal(told[0].moments.mean_C, before.mean_C)
    np.testing.assert_array_equal(told[0].moments.square_C, before.square_C)


@given(st.integers(0, 1000), st.sampled_from([CALIBRATION, TEST]))
def test_only_measured_train_cells_count(seed: int, later: int) -> None:
    rng = np.random.default_rng(seed)
    split_T = np.array([TRAIN] * 60 + [later] * 40, np.uint8)
    valid_TC = (rng.random((100, 4)) > 0.3).astype(np.uint8)
    one = series_of(values(seed, 100), split_T=split_T, valid_TC=valid_TC)
    counted = valid_TC.astype(bool) & (split_T == TRAIN)[:, None]
    other = replace(one, value_TC=np.where(counted, one.value_TC, np.float32(rng.normal() * 1e6)))
    assert Scaler.fit([one], FLEET, "vehicle").to_json() == (
        Scaler.fit([other], FLEET, "vehicle").to_json()
    )


def test_a_channel_constant_in_train_does_not_explode_later() -> None:
    lively, still = values(1), values(2)
    still[:, 1] = 50.0
    scaler = Scaler.fit([series_of(lively, "a-1"), series_of(still, "a-2")], FLEET, "vehicle")
    _, scale_C = scaler.figures("a-2", "a")
    pooled = np.concatenate([lively[:, 1], still[:, 1]]).std()
    assert scale_C[1] == pytest.approx(pooled, rel=1e-4)

    nowhere = values(3)
    nowhere[:, :2] = 7.0
    _, scale_C = Scaler.fit([series_of(nowhere)], FLEET, "vehicle").figures("a-1", "a")
    assert scale_C[0] == pytest.approx(20.0)  # a tenth of the range [-100, 100]
    assert scale_C[1] == 1.0


def test_a_channel_that_hardly_moves_is_floored_by_its_class() -> None:
    quiet = values(2)
    quiet[:, 1] = 50 + 0.001 * np.random.default_rng(0).normal(size=len(quiet))
    series = [series_of(values(1), "a-1"), series_of(quiet, "a-2")]
    _, scale_C = Scaler.fit(series, FLEET, "vehicle").figures("a-2", "a")
    pooled = np.concatenate([item.value_TC[:, 1] for item in series]).std()
    assert scale_C[1] == pytest.approx(0.1 * pooled, rel=1e-4)


def test_unknown_vehicles_take_the_class_and_unknown_classes_the_fleet() -> None:
    series = [series_of(values(1), "a-1"), series_of(values(2, mean=90), "b-1", "b")]
    scaler = Scaler.fit(series, FLEET, "vehicle")
    short = Scaler.fit([*series, series_of(values(3, rows=5), "a-9")], FLEET, "vehicle")
    assert "a-9" not in short.tables["vehicle"]
    np.testing.assert_array_equal(scaler.figures("b-7", "b"), scaler.tables["class"]["b"])
    np.testing.assert_array_equal(scaler.figures("x", "new"), scaler.tables["fleet"][""])


def test_absent_channels_and_unknown_values_are_zero() -> None:
    scaler = Scaler.fit([series_of(values(1)), series_of(values(2), "b-1", "b")], FLEET, "vehicle")
    item = series_of(values(4))
    item.value_TC[3, 1] = np.nan
    scaled = scaler.apply(item).value_TC
    assert not scaled[:, 3].any() and scaled[3, 1] == 0
    filled = scaler.filled(item.value_TC, "a-1", "a")
    assert filled[3, 1] == scaler.figures("a-1", "a")[0][1] and np.isfinite(filled).all()


def test_json_gives_the_same_figures_back() -> None:
    scaler = Scaler.fit([series_of(values(1)), series_of(values(2), "b-1", "b")], FLEET, "vehicle")
    again = Scaler.from_json(json.loads(json.dumps(scaler.to_json())))
    for vehicle, kind in (("a-1", "a"), ("b-1", "b"), ("?", "?")):
        np.testing.assert_array_equal(scaler.figures(vehicle, kind), again.figures(vehicle, kind))
    assert again.to_json() == scaler.to_json()
