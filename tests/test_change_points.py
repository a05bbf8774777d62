"""An incident begins and ends where its residuals change, and not where its smoothed score does."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amad.incidents.change_points import ORDINARY, SEARCHED, began_and_ended


def noise(rows: int, seed: int, spread: float = 1.0) -> np.ndarray:
    """x of ordinary rows; with a spread above 1, of rows out of the ordinary."""
    z_R = spread * np.random.default_rng(seed).standard_normal(rows)
    return np.log1p(np.square(z_R))


def test_ordinary_is_the_mean_of_normal_noise():
    assert noise(2_000_000, 1).mean() == pytest.approx(ORDINARY, abs=0.002)


@pytest.mark.parametrize(("before", "after"), [(20, 20), (0, 20), (-15, 20)])
def test_a_fault_is_found_whose_alarms_begin_early_or_late_and_end_late(before, after):
    """Alarms begin ``before`` rows before the fault, as where scores look ahead, or after it."""
    off = []
    for seed in range(40):
        x_R = np.concatenate([noise(60, seed), noise(40, seed + 100, 8.0), noise(60, seed + 200)])
        start, end = began_and_ended(x_R, 60 - before, 80, 100 + after)
        off.append((abs(start - 60), abs(end - 100)))
    assert np.median(off, axis=0).max() <= 1
    assert np.quantile(off, 0.9, axis=0).max() <= 8


def test_a_spike_lasts_a_row_or_a_few_whatever_its_alarms_do():
    x_R = noise(80, 3)
    x_R[40] = 8.0
    start, end = began_and_ended(x_R, 20, 40, 61)
    assert start <= 40 < end <= start + 10


@given(st.lists(st.floats(0, 30), min_size=1, max_size=200), st.integers(0, SEARCHED), st.data())
def test_the_peak_lies_within(x, before, data):
    x_R = np.array(x)
    first = min(before, len(x) - 1)
    peak = data.draw(st.integers(first, len(x) - 1))
    last = data.draw(st.integers(peak + 1, len(x)))
    start, end = began_and_ended(x_R, first, peak, last)
    assert 0 <= start <= peak < end <= last
