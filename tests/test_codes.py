"""Categorical channels: a code is no magnitude, and one that was never seen scores high."""

import numpy as np
import pytest
from windows_kit import series_of, small_fleet

from amad.windows.codes import MOST_CODES, PRIOR_ROWS, UNSEEN, Codes, CodeTally, places
from amad.windows.scaler import Scaler, is_unseen

FLEET = small_fleet()
SPEED, LEVEL, GEAR, CHARGE = range(4)


def driving(codes=(1, 2, 3, 4), vehicle="a-1", rows=2000, seed=0, **fields):
    """A series whose speed depends on the gear, which has these codes."""
    rng = np.random.default_rng(seed)
    gear_T = rng.integers(0, len(codes), rows // 20).repeat(20)
    value_TC = np.zeros((rows, 4))
    value_TC[:, SPEED] = 20 * gear_T + rng.normal(0, 2, rows)
    value_TC[:, LEVEL] = rng.normal(0, 1, rows)
    value_TC[:, GEAR] = np.array(codes)[gear_T]
    valid_TC = np.ones(value_TC.shape, np.uint8)
    valid_TC[:, CHARGE] = 0
    return series_of(value_TC, vehicle, valid_TC=valid_TC, **fields)


def scaler_of(*series) -> Scaler:
    return Scaler.fit(series, FLEET, "vehicle")


def with_gear(series, gear):
    value_TC = series.value_TC.copy()
    value_TC[: len(gear), GEAR] = gear
    return series.with_values(value_TC)


def test_codes_lie_in_the_order_of_what_the_vehicle_does():
    found = scaler_of(driving((7, 0, 30, 2))).codes["gear"]
    order = [found.code_K[at] for at in np.argsort(found.place_K)]
    assert order in ([7, 0, 30, 2], [2, 30, 0, 7])


def test_other_numbers_for_the_same_modes_change_nothing_but_the_sign():
    one, other = driving((1, 2, 3, 4)), driving((40, 10, 20, 5))
    seen, again = (scaler_of(s).apply(s).value_TC[:, GEAR] for s in (one, other))
    sign = np.sign(seen[0] * again[0])
    np.testing.assert_allclose(seen, sign * again, atol=1e-5)
    assert seen.mean() == pytest.approx(0, abs=1e-5) and seen.std() == pytest.approx(1, abs=1e-5)


def test_two_codes_are_a_binary_channel():
    series = driving((3, 9))
    seen = scaler_of(series).apply(series).value_TC[:, GEAR]
    binary = (series.value_TC[:, GEAR] == 9).astype(float)
    np.testing.assert_allclose(seen, (binary - binary.mean()) / binary.std(), atol=1e-5)


def test_a_code_that_was_never_seen_is_far_away():
    series = driving()
    seen = scaler_of(series).apply(with_gear(series, [7, 1, 2.5])).value_TC[:3, GEAR]
    assert seen[0] == seen[2] == UNSEEN and is_unseen(seen).tolist() == [True, False, True]


def test_codes_are_known_to_the_whole_fleet_and_to_unknown_vehicles():
    scaler = scaler_of(driving((1, 2)), driving((3, 4), "a-2", seed=1))
    strange = driving((1, 2, 3, 4), "a-9", seed=2)
    assert not is_unseen(scaler.apply(strange).value_TC[:, GEAR]).any()
    assert is_unseen(scaler.apply(with_gear(strange, [9])).value_TC[0, GEAR])


def test_a_rare_code_stays_near_the_middle():
    series = driving()
    value_TC = series.value_TC.copy()
    value_TC[0, [SPEED, GEAR]] = 1000, 9
    tally = CodeTally(GEAR, value_TC.shape[1])
    tally.add(value_TC, series.valid_TC)
    away = (1000 - value_TC[:, SPEED].mean()) / value_TC[:, SPEED].std()
    mean_VC, spread_VC = value_TC.mean(axis=0)[None], value_TC.std(axis=0)[None]
    spread_VC[:, GEAR] = 0
    place, rows = places([tally.counts()], mean_VC, spread_VC)[9.0]
    assert rows == 1 and 0 < abs(place) < 1.1 * away / (PRIOR_ROWS + 1) + 0.1


def test_codes_that_differ_in_nothing_are_still_told_apart():
    value_TC = np.zeros((60, 4))
    value_TC[:, GEAR] = np.arange(60) % 3
    series = series_of(value_TC)
    seen = scaler_of(series).apply(series).value_TC[:, GEAR]
    assert len(np.unique(seen)) == 3


def test_a_channel_with_too_many_codes_is_a_quantity():
    value_TC = np.zeros((MOST_CODES + 2, 4))
    value_TC[:, GEAR] = np.arange(len(value_TC))
    scaler = scaler_of(series_of(value_TC))
    assert scaler.codes == {}
    assert np.ptp(scaler.apply(series_of(value_TC)).value_TC[:, GEAR]) == pytest.approx(3.45, 0.01)


def test_scaling_is_undone_and_a_forgotten_code_is_infinite():
    series = driving((5, 1, 8))
    scaler = scaler_of(series)
    changed = with_gear(series, [77])
    back_TC = scaler.unscaled(scaler.apply(changed), range(changed.value_TC.shape[1]))
    np.testing.assert_allclose(back_TC[1:], changed.value_TC[1:], atol=1e-3)
    assert back_TC[0, GEAR] == np.inf
    assert is_unseen(scaler.apply(changed.with_values(back_TC)).value_TC[0, GEAR])


def test_an_unknown_code_is_filled_with_the_usual_one():
    series = driving((5, 5, 5, 2))
    filled_TC = scaler_of(series).filled(with_gear(series, [np.nan]).value_TC, "a-1", "a")
    assert filled_TC[0, GEAR] == 5


def test_the_scaler_comes_back_as_it_was():
    series = driving()
    scaler = scaler_of(series)
    again = Scaler.from_json(scaler.to_json())
    np.testing.assert_array_equal(again.apply(series).value_TC, scaler.apply(series).value_TC)


def test_the_nearest_place_gives_the_code():
    codes = Codes.of({1.0: (0.5, 3), 2.0: (-1.0, 9), 3.0: (2.0, 1)})
    assert codes.code_at(np.array([-9, -0.3, 0.4, 1.2, 1.3])).tolist() == [2, 2, 1, 1, 3]
    assert codes.usual == 2 and codes.known(np.array([1, 4])).tolist() == [True, False]
