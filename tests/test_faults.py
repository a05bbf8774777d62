"""Faults on arrays, and their injection into series."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from windows_kit import series_of, small_fleet

from amad.simulator.faults import FAULT_TYPES, LEAST_EFFECT, SHAPELESS, Fault, apply_fault, settled
from amad.windows.inject import injected_cases
from amad.windows.scaler import Scaler
from amad.windows.series import TEST, TRAIN, Behaviour, Series

T, C = 1200, 5
SCALE = np.array([1.0, 2.0, 0.5, 10.0, 1.0])


def walk(rows: int = T) -> np.ndarray:
    """Five channels: 0 and 1 coupled, 2 noise, 3 a wave, 4 constant. (T, C) float32."""
    rng = np.random.default_rng(0)
    slow = np.convolve(rng.standard_normal(rows + 30), np.ones(30) / 5.5, "valid")[:rows]
    wave = 10 * np.sin(np.arange(rows) / 40)
    noise = rng.standard_normal((rows, 3)) * [0.05, 0.1, 0.5]
    value = [slow, 2 * slow, 0 * slow, wave, 0 * slow + 3]
    value_TC = np.stack(value, axis=1)
    value_TC[:, :3] += noise
    return value_TC.astype(np.float32)


def series(value_TC: np.ndarray, segments: int = 1) -> Series:
    rows = len(value_TC)
    segment_T = (np.arange(rows) * segments // max(rows, 1)).astype(np.int32)
    split_T = np.full(rows, TEST, np.uint8)
    return series_of(value_TC, "v", "all", segment_T=segment_T, split_T=split_T)


def fault(kind: str, **changes) -> Fault:
    given = {"channels": (0,), "start": 300, "end": 400, "strength": 3.0} | changes
    return Fault(type=kind, **given)


def applied(kind: str, **changes) -> tuple[np.ndarray, np.ndarray]:
    """Before and after, of channel 0 within the fault."""
    value_TC = walk()
    it = fault(kind, **changes)
    after_TC = apply_fault(value_TC, it, SCALE, np.random.default_rng(1))
    rows = slice(it.start, it.end)
    return value_TC[rows, it.channels[0]], after_TC[rows, it.channels[0]]


@given(
    kind=st.sampled_from(FAULT_TYPES),
    start=st.integers(0, T - 2),
    length=st.integers(1, 300),
    channels=st.sets(st.integers(0, C - 1), min_size=1, max_size=3),
    strength=st.floats(0.3, 8),
    seed=st.integers(0, 99),
)
@settings(max_examples=60)
def test_a_fault_touches_its_cells_alone(kind, start, length, channels, strength, seed):
    value_TC = walk()
    kept_TC = value_TC.copy()
    it = Fault(
        type=kind, channels=tuple(sorted(channels)), start=start,
        end=min(start + length, T), strength=strength,
    )  # fmt: skip
    after_TC = apply_fault(value_TC, it, SCALE, np.random.default_rng(seed))
    again_TC = apply_fault(value_TC, it, SCALE, np.random.default_rng(seed))
    assert np.array_equal(value_TC, kept_TC), "the input is not changed"
    assert np.array_equal(after_TC, again_TC), "the same draws give the same fault"
    assert after_TC.dtype == value_TC.dtype and after_TC.shape == value_TC.shape
    assert np.isfinite(after_TC).all()
    outside_TC = np.ones((T, C), bool)
    outside_TC[it.start : it.end, list(it.channels)] = False
    assert np.array_equal(after_TC[outside_TC], value_TC[outside_TC])


def test_each_type_does_what_its_name_says():
    before, after = applied("level_shift")
    assert np.allclose(np.abs(after - before), 3.0, atol=1e-5) and np.ptp(after - before) < 1e-5
    before, after = applied("drift")
    assert np.allclose(np.abs(after - before), 3.0 * np.arange(1, 101) / 100, atol=1e-5)
    before, after = applied("stuck")
    assert np.all(after == before[0])
    before, after = applied("noise_burst")
    assert np.std(after - before) == pytest.approx(3.0, rel=0.3)
    assert abs(np.corrcoef((after - before)[1:], (after - before)[:-1])[0, 1]) < 0.3
    before, after = applied("spike")
    hit = np.abs(after - before) > 0
    assert hit[0] and hit[-1] and 2 <= hit.sum() < 40
    assert np.all(np.abs(after - before)[hit] > 2.0 * 0.99)
    before, after = applied("delay", strength=4.0)
    assert np.array_equal(after, walk()[292:392, 0])
    before, after = applied("degradation", channels=(3,), strength=2.0)
    assert abs((after - before)[0]) < 0.5 < abs((after - before)[-1])
    assert np.std(after[-40:] - np.mean(after[-40:])) < np.std(before[-40:])


def test_decoupling_keeps_the_channel_and_breaks_the_relation():
    value_TC = walk()
    it = fault("decoupling", start=500, end=700)
    after_TC = apply_fault(value_TC, it, SCALE, np.random.default_rng(3))
    own, other, partner = value_TC[500:700, 0], after_TC[500:700, 0], value_TC[500:700, 1]
    windows = np.lib.stride_tricks.sliding_window_view(value_TC[:, 0], 200)
    assert np.any(np.all(windows == other, axis=1)), "a stretch of the same channel"
    assert abs(other.mean() - own.mean()) < 0.5 * SCALE[0]
    assert np.corrcoef(own, partner)[0, 1] > 0.9
    assert np.corrcoef(other, partner)[0, 1] < 0.7


def test_strength_grades_the_change():
    for kind in set(FAULT_TYPES) - set(SHAPELESS):
        sizes = []
        for strength in (0.5, 1.0, 2.0, 4.0):
            before, after = applied(kind, strength=strength)
            sizes.append(np.sqrt(np.mean((after - before) ** 2)))
        assert np.all(np.diff(sizes) > 0), kind


def test_what_changed_nothing_is_no_fault():
    value_TC = walk()
    still = fault("stuck", channels=(4,))
    after_TC = apply_fault(value_TC, still, SCALE, np.random.default_rng(0))
    assert settled(still, value_TC, after_TC, SCALE) is None


def test_the_extent_is_that_of_the_change():
    before_TC = walk()
    after_TC = before_TC.copy()
    after_TC[320:350, 0] += 2
    came = settled(fault("stuck"), before_TC, after_TC, SCALE)
    assert (came.start, came.end) == (320, 350)
    assert came.strength == pytest.approx(2.0, rel=1e-3), "measured, for a type without amplitude"
    assert settled(fault("drift"), before_TC, after_TC, SCALE).strength == 3.0


def test_an_unknown_type_is_told_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown fault type 'melt'.*spike"):
        apply_fault(walk(), fault("melt"), SCALE, np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"unknown fault types \['melt'\].*spike"):
        injected_cases(series(walk()), [True] * C, 1, 0, types=["melt"])


@given(
    seed=st.integers(0, 10_000),
    cases=st.integers(1, 9),
    segments=st.integers(1, 3),
    has=st.lists(st.booleans(), min_size=C, max_size=C),
)
@settings(max_examples=25)
def test_cases_hold_one_honest_fault_each(seed, cases, segments, has):
    clean = series(walk(), segments)
    value_TC = clean.value_TC.copy()
    made = injected_cases(clean, has, cases, seed)
    again = injected_cases(clean, has, cases, seed)
    assert [f for _, f in made] == [f for _, f in again]
    assert len(made) == (cases if any(has[:4]) else 0)
    assert np.array_equal(clean.value_TC, value_TC) and clean.label_T is None
    for case, it in made:
        assert case.rows == clean.rows and case.value_TC.dtype == np.float32
        assert np.array_equal(np.flatnonzero(case.label_T), np.arange(it.start, it.end))
        change_TC = np.abs(case.value_TC - clean.value_TC)
        assert change_TC[it.start, :].any() and change_TC[it.end - 1, :].any()
        touched = set(np.flatnonzero(change_TC.any(axis=0)).tolist())
        assert touched <= set(it.channels) <= {i for i in range(4) if has[i]}
        change_TC[it.start : it.end] = 0
        assert not change_TC.any(), "nothing outside the label"
        assert clean.segment_T[it.start] == clean.segment_T[it.end - 1]
        assert it.strength >= min(LEAST_EFFECT, 0.3)


def test_types_take_turns_and_strengths_spread():
    made = [f for _, f in injected_cases(series(walk(rows=6000)), [True] * C, 80, 5)]
    assert [f.type for f in made] == [FAULT_TYPES[i % len(FAULT_TYPES)] for i in range(80)]
    shifts = sorted(f.strength for f in made if f.type == "level_shift")
    assert shifts[0] < 1 and shifts[-1] > 2.5 and len(set(shifts)) == 10


def test_relations_break_between_channels_that_have_one():
    value_TC = walk(rows=4000)
    made = injected_cases(series(value_TC), [True] * C, 30, 1, types=["decoupling"])
    assert {f.channels for _, f in made} == {(0,), (1,)}, "2 and 3 are coupled to nothing"
    made = injected_cases(series(value_TC), [True] * C, 30, 1, types=["degradation"])
    assert {f.channels for _, f in made} == {(0, 1)}


def test_strength_is_in_units_of_the_train_spread():
    value_TC = walk(rows=4000)
    mixed = series(value_TC)
    mixed.split_T[:2000] = TRAIN
    mixed.value_TC[2000:] *= 10
    spread = np.std(mixed.value_TC[:2000], axis=0)
    for case, it in injected_cases(mixed, [True] * C, 10, 2, types=["level_shift"]):
        for i in it.channels:
            change = np.abs(case.value_TC - mixed.value_TC)[it.start : it.end, i]
            assert np.median(change) == pytest.approx(it.strength * spread[i], rel=1e-2)


def test_nothing_is_injected_where_nothing_was_measured():
    clean = series(walk())
    clean.valid_TC[:, 0] = 0
    clean.valid_TC[600:, :] = 0
    for _, it in injected_cases(clean, [True] * C, 16, 3):
        assert 0 not in it.channels and it.start < 600


def test_a_short_series_gives_what_fits():
    assert injected_cases(series(walk(rows=0)), [True] * C, 4, 0) == []
    made = injected_cases(series(walk(rows=30)), [True] * C, 8, 0)
    assert all(it.end - it.start <= 15 for _, it in made)


def test_a_stuck_counter_stands_still_and_a_code_stays_a_code():
    value_TC = walk(rows=4000)
    value_TC[:, 1] = np.round(value_TC[:, 1])
    still_C = np.full(C, np.nan)
    still_C[0] = -7.5
    behaviour = Behaviour(still_C=still_C, coded_C=np.arange(C) == 1)
    clean = replace(series(value_TC), behaviour=behaviour)
    codes, stuck = np.unique(value_TC[:, 1]), 0
    for case, fault in injected_cases(clean, [True, True] + [False] * (C - 2), 64, 3):
        rows = slice(fault.start, fault.end)
        assert np.isin(case.value_TC[:, 1], codes).all()
        if fault.type == "stuck" and 0 in fault.channels:
            stuck += 1
            assert (case.value_TC[rows, 0] == np.float32(-7.5)).all()
    assert stuck > 2


def test_the_scaler_tells_what_a_stuck_counter_shows():
    fleet = small_fleet(channels=[{"name": "n", "kind": "counter"}, {"name": "gear"}])
    rate_TC = np.column_stack([np.linspace(3, 5, 50), np.arange(50)])
    scaled = Scaler.fit([series_of(rate_TC)], fleet, "vehicle").apply(series_of(rate_TC))
    still = scaled.behaviour.still_C
    assert still[0] == pytest.approx(-4 / rate_TC[:, 0].std(), rel=1e-6) and np.isnan(still[1])
