"""The evidence chain: its invariants, and slow oracles of its parts."""

import numpy as np
import pytest
from detect_kit import C, waves
from hypothesis import given, settings
from hypothesis import strategies as st

from amad.config.params import DetectParams
from amad.detect.alarms import DAY_US
from amad.detect.chain import (
    BETWEEN,
    BROKEN_Z2,
    OVER_TIME,
    TAIL_QUANTILE,
    EvidenceChain,
    Tail,
    _habituated,
    habituation_rows,
)
from amad.detect.layout import Past, running

ALL = np.ones(C, bool)


def noise(rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, C)).astype(np.float32)


def fitted(rows: int = 3000, tail: Tail = OVER_TIME, **settings: object):
    chain = EvidenceChain(DetectParams(**settings))
    layout = chain.layout([waves("b-1", rows)], [ALL])
    calibration, train_T = chain.calibrate(noise(rows), layout, tail=tail)
    return chain, calibration, train_T


def score(chain, calibration, residual_TC, tail: Tail = OVER_TIME, **series: object):
    layout = chain.layout([waves("b-1", len(residual_TC), **series)], [ALL])
    found = chain.evidence(residual_TC, layout, calibration, tail=tail)
    return found and (found[0], found[1][:])


@pytest.mark.parametrize("smoothing", ["centred", "trailing"])
def test_boxes_agree_with_a_slow_loop(smoothing: str) -> None:
    segment_T = np.repeat([0, 1, 2], [40, 4, 16]).astype(np.int32)
    series = waves("b-1", 60, segment_T=segment_T)
    chain = EvidenceChain(DetectParams(smoothing=smoothing, widths=[7]))
    layout = chain.layout([series], [ALL])
    x_TC, ordinary_C = noise(60).astype(np.float64), np.arange(C, dtype=float)
    each = zip(x_TC.T, ordinary_C[:, None], strict=True)
    boxed_TC = chain._term_boxes([(x_T, o, 1.0) for x_T, o in each], layout)[:, 0].T
    after = 0 if smoothing == "trailing" else 3
    _, _, rows, _ = layout.boxes([7])
    assert rows.tolist() == [[4 + after]], "a trailing box is the past half of the centred one"
    for first, last in series.segments():
        for t in range(first, last):
            rows = range(t - 3, t + after + 1)
            cells = [x_TC[r] if first <= r < last else ordinary_C for r in rows]
            np.testing.assert_allclose(boxed_TC[t], np.mean(cells, axis=0), atol=1e-12)


@pytest.mark.parametrize("tail", [OVER_TIME, BETWEEN])
def test_the_train_evidence_is_the_evidence_of_the_train_rows(tail: Tail) -> None:
    chain, calibration, train_T = fitted(tail=tail)
    evidence_T, _ = score(chain, calibration, noise(3000), tail)
    np.testing.assert_allclose(evidence_T, train_T, atol=1e-5)  # of float32 residuals


def test_the_scale_is_the_root_mean_square_with_a_floor() -> None:
    chain = EvidenceChain(DetectParams(floor=0.05))
    residual_TC = noise(1000) * np.array([1, 3, 0.001, 0, 2], np.float32)
    residual_TC[:10] = np.nan
    calibration, _ = chain.calibrate(residual_TC, chain.layout([waves("b-1", 1000)], [ALL]))
    expected_C = np.sqrt(np.mean(residual_TC[10:].astype(float) ** 2, axis=0))
    np.testing.assert_allclose(calibration.scale_C, np.maximum(expected_C, 0.05), rtol=1e-6)


def test_a_scale_moved_towards_the_class_is_that_of_the_rows_of_both() -> None:
    """A jump that other vehicles have now and then is ordinary where few own rows lack it."""
    chain = EvidenceChain(DetectParams())
    own_TC, others_TC = noise(200, seed=1), noise(600, seed=2)
    others_TC[::100] += 30.0

    def calibrated(residual_TC: np.ndarray, *prior):
        layout = chain.layout([waves("b-1", len(residual_TC))], [ALL])
        return chain.calibrate(residual_TC, layout, *prior)[0]

    moved = calibrated(own_TC, calibrated(others_TC), 600)
    together = calibrated(np.concatenate([own_TC, others_TC]))
    np.testing.assert_allclose(moved.scale_C, together.scale_C, rtol=1e-6)
    assert (moved.scale_C > 2 * calibrated(own_TC).scale_C).all()


@settings(max_examples=25)
@given(
    seed=st.integers(0, 1000),
    unknown=st.floats(0, 0.9),
    exponent=st.floats(-10, 30),
    smoothing=st.sampled_from(["centred", "trailing"]),
    tail=st.sampled_from([OVER_TIME, BETWEEN]),
)
def test_evidence_is_finite_and_its_parts_sum_to_it(
    seed, unknown, exponent, smoothing, tail
) -> None:
    chain, calibration, _ = fitted(800, tail, smoothing=smoothing)
    rng = np.random.default_rng(seed)
    residual_TC = noise(300, seed + 1)
    residual_TC[rng.integers(300), rng.integers(C)] = np.float32(10.0**exponent)
    residual_TC[rng.random(residual_TC.shape) < unknown] = np.nan
    evidence_T, contribution_TC = score(chain, calibration, residual_TC, tail)
    assert np.isfinite(evidence_T).all() and np.isfinite(contribution_TC).all()
    assert (contribution_TC >= 0).all()
    assert (contribution_TC.sum(axis=1) >= evidence_T - 1e-5).all()
    both_positive = evidence_T > contribution_TC.sum(axis=1) - 1e-5
    np.testing.assert_allclose(
        contribution_TC.sum(axis=1)[both_positive], evidence_T[both_positive], atol=1e-5
    )


def test_evidence_grows_with_the_fault_and_blames_its_channel() -> None:
    chain, calibration, train_T = fitted()
    peaks = []
    for size in (0, 5, 10, 40):
        residual_TC = noise(600, 5)
        residual_TC[300:310, 3] += size
        evidence_T, contribution_TC = score(chain, calibration, residual_TC)
        peaks.append(evidence_T[300:310].max())
    assert peaks == sorted(peaks) and peaks[-1] > train_T.max() + 1
    assert (
        contribution_TC[305].argmax() == 3
        and contribution_TC[305, 3] > 0.9 * contribution_TC[305].sum()
    )


def test_an_unmeasured_cell_raises_nothing() -> None:
    chain, calibration, _ = fitted()
    residual_TC = noise(600, 5)
    wild_TC = residual_TC.copy()
    wild_TC[200:400, 2] = np.nan
    evidence_T, _ = score(chain, calibration, residual_TC)
    unknown_T, _ = score(chain, calibration, wild_TC)
    assert unknown_T.max() <= evidence_T.max() + 0.3
    wild_TC[:] = np.nan
    wild_TC[0, 0] = 0
    silent_T, _ = score(chain, calibration, wild_TC)
    assert silent_T.max() < 1.0, "what is not there is ordinary"


def test_short_segments_raise_no_alarm_at_their_edges() -> None:
    chain, calibration, train_T = fitted()
    rows = 3000
    whole_T, _ = score(chain, calibration, noise(rows, 9))
    pieces_T, _ = score(
        chain, calibration, noise(rows, 9), segment_T=(np.arange(rows) // 30).astype(np.int32)
    )
    assert pieces_T.max() <= max(whole_T.max(), train_T.max()) + 0.3


def test_trailing_evidence_never_looks_ahead() -> None:
    chain, calibration, _ = fitted(smoothing="trailing")
    assert chain.reach()[1] == 0
    residual_TC = noise(600, 5)
    changed_TC = residual_TC.copy()
    changed_TC[400:] = 100
    before_T, _ = score(chain, calibration, residual_TC)
    after_T, _ = score(chain, calibration, changed_TC)
    np.testing.assert_array_equal(before_T[:400], after_T[:400])
    assert (after_T[400:] > before_T[400:]).all()


@pytest.mark.parametrize("tail", [OVER_TIME, BETWEEN])
def test_a_score_depends_on_its_stated_neighbourhood_alone(tail: Tail) -> None:
    chain, calibration, _ = fitted(tail=tail)
    before, after = chain.reach(tail)
    residual_TC = noise(600, 5)
    changed_TC = residual_TC.copy()
    changed_TC[: 300 - before] = 7
    changed_TC[301 + after :] = 7
    before_T, _ = score(chain, calibration, residual_TC, tail)
    after_T, _ = score(chain, calibration, changed_TC, tail)
    assert before_T[300] == pytest.approx(after_T[300], abs=1e-9)
    assert (np.abs(before_T - after_T)[285:300] > 1e-3).any(), "the widest box reaches out"
    assert before == after == 41 // 2 + tail.width // 2
    assert EvidenceChain(DetectParams(smoothing="trailing")).reach(tail) == (before, 0)


@pytest.mark.parametrize("tail", [OVER_TIME, BETWEEN, Tail(width=5, exponent=1.0)])
def test_the_tail_term_is_the_root_of_a_power_mean(tail: Tail) -> None:
    """Against the formula, far from the ends, where one box is the row itself."""
    rows, shift = 400, tail.width // 2
    chain, calibration, _ = fitted(tail=tail, widths=[1])
    residual_TC = noise(rows, 5)
    residual_TC[200:220, 1] += 9
    z2_TC = (residual_TC / calibration.scale_C) ** 2
    box_TC = np.array([z2_TC[t - shift : t + shift + 1].mean(axis=0) for t in range(50, 350)])
    share_TC = box_TC / calibration.tail_C
    power_T = (share_TC**tail.exponent).mean(axis=1) ** (1 / tail.exponent)
    terms_T = [z2_TC[50:350].mean(axis=1), np.sqrt(power_T)]
    z_T = [
        (term_T - calibration.centre_EW[e, 0]) / calibration.spread_EW[e, 0]
        for e, term_T in enumerate(terms_T)
    ]
    expected_T = np.mean([np.copysign(np.log1p(np.abs(z)), z) for z in z_T], axis=0)
    evidence_T, _ = score(chain, calibration, residual_TC, tail)
    np.testing.assert_allclose(evidence_T[50:350], expected_T, atol=1e-4)


def test_the_tail_of_an_owner_is_a_quantile_of_its_own_boxes() -> None:
    _, calibration, _ = fitted(tail=BETWEEN)
    z2_TC = (noise(3000) / calibration.scale_C) ** 2
    sums_TC, half = running(z2_TC.astype(float)), BETWEEN.width // 2
    inner_TC = (sums_TC[BETWEEN.width :] - sums_TC[: -BETWEEN.width]) / BETWEEN.width
    assert len(inner_TC) == 3000 - 2 * half
    expected_C = np.maximum(np.quantile(inner_TC, TAIL_QUANTILE, axis=0), 1)
    np.testing.assert_allclose(calibration.tail_C, expected_C, rtol=0.02)


def test_one_channel_that_disagrees_is_heard_among_many() -> None:
    """An error of two spreads for 40 rows in one of 25 channels, which it never had before."""
    rows, channels = 3000, 25
    rng = np.random.default_rng(4)
    train_TC = rng.normal(size=(rows, channels)).astype(np.float32)
    broken_TC = rng.normal(size=(600, channels)).astype(np.float32)
    broken_TC[300:340, 7] += 2
    above, blamed = {}, {}
    for tail in (OVER_TIME, BETWEEN):
        chain, present = EvidenceChain(DetectParams()), np.ones(channels, bool)
        layout = chain.layout([waves("b-1", rows)], [present])
        calibration, train_T = chain.calibrate(train_TC, layout, tail=tail)
        layout = chain.layout([waves("b-1", 600)], [present])
        evidence_T, contributions = chain.evidence(broken_TC, layout, calibration, tail=tail)
        above[tail] = evidence_T[310:330].min() - train_T.max()
        blame_C = contributions[310:330].sum(axis=0)
        blamed[tail] = blame_C[7] / blame_C.sum()
    assert above[BETWEEN] > 0 > above[OVER_TIME]
    assert blamed[BETWEEN] > blamed[OVER_TIME]


def test_a_wild_value_does_not_spoil_the_rows_after_it() -> None:
    chain, calibration, _ = fitted()
    residual_TC = noise(2000, 5)
    wild_TC = residual_TC.copy()
    wild_TC[100, 0] = 1e30
    calm_T, _ = score(chain, calibration, residual_TC)
    wild_T, _ = score(chain, calibration, wild_TC)
    np.testing.assert_allclose(wild_T[300:], calm_T[300:], atol=1e-6)


def test_a_channel_that_is_constant_in_train_is_judged_by_the_floors() -> None:
    chain = EvidenceChain(DetectParams())
    still_TC = noise(2000) * np.array([1, 1, 1, 1, 0], np.float32)
    calibration, train_T = chain.calibrate(still_TC, chain.layout([waves("b-1")], [ALL]))
    moved_TC = noise(600, 5) * np.array([1, 1, 1, 1, 0], np.float32)
    small, large = moved_TC.copy(), moved_TC.copy()
    small[300:320, 4] = 0.01
    large[300:320, 4] = 2.0
    assert score(chain, calibration, small)[0].max() < train_T.max() + 0.3
    evidence_T, contribution_TC = score(chain, calibration, large)
    assert evidence_T[310] > train_T.max() and contribution_TC[310].argmax() == 4


def test_a_member_without_finite_residuals_says_so() -> None:
    chain, calibration, _ = fitted()
    empty_TC = np.full((100, C), np.nan, np.float32)
    infinite_TC = noise(100)
    infinite_TC[3, 1] = np.inf
    assert score(chain, calibration, empty_TC) is None
    assert score(chain, calibration, infinite_TC) is None
    assert chain.calibrate(empty_TC, chain.layout([waves("b-1", 100)], [ALL])) is None


def test_pooled_calibration_counts_only_the_channels_a_vehicle_has() -> None:
    chain = EvidenceChain(DetectParams())
    without = ALL.copy()
    without[4] = False
    series = [waves("a-1", 2000), waves("b-1", 2000)]
    residual_TC = np.concatenate([noise(2000, 1), noise(2000, 2)])
    calibration, _ = chain.calibrate(residual_TC, chain.layout(series, [without, ALL]))
    assert calibration.scale_C[4] == pytest.approx(residual_TC[2000:, 4].std(), rel=0.01)
    layout = chain.layout([series[0]], [without])
    residual_TC[:, 4] = 100
    evidence_T, contributions = chain.evidence(residual_TC[:2000], layout, calibration)
    assert evidence_T.max() < 2 and (contributions[:][:, 4] == 0).all()


@pytest.mark.parametrize("smoothing", ["centred", "trailing"])
def test_contributions_of_some_rows_are_those_of_all(smoothing: str) -> None:
    """To the last bit, whichever rows are asked for and wherever segments end."""
    chain, calibration, _ = fitted(smoothing=smoothing)
    residual_TC = noise(1200, 5)
    residual_TC[100:900, 3] += 4
    segment_T = np.repeat([0, 1, 2], [430, 9, 761]).astype(np.int32)
    layout = chain.layout([waves("b-1", 1200, segment_T=segment_T)], [ALL])
    _, contributions = chain.evidence(residual_TC, layout, calibration)
    whole_TC = contributions[:]
    assert (whole_TC.sum(axis=1) > 0).mean() > 0.5
    for rows in ([], [0], [1199], [428, 431, 440], [100, 101, 800, 1190], range(0, 1200, 7)):
        row_R = np.array(rows, int)
        np.testing.assert_array_equal(contributions[row_R], whole_TC[row_R])
    np.testing.assert_array_equal(contributions[425:445], whole_TC[425:445])


def test_the_slow_baseline_agrees_with_a_slow_loop() -> None:
    chain = EvidenceChain(DetectParams(baseline_rows=30, baseline_weight=0.5))
    rng = np.random.default_rng(0)
    stamp_T = np.cumsum(rng.choice([1, 1, 1, 12], 120)) * 1_000_000
    excess_T = np.maximum(rng.normal(size=120), 0)
    past = Past.of(stamp_T, 30, period_us=1_000_000)
    ours_T = chain.subtract_baseline(excess_T, past)
    for t in range(120):
        recent = (stamp_T > stamp_T[t] - 30_000_000) & (stamp_T <= stamp_T[t])
        assert past.first_T[t] == np.flatnonzero(recent)[0]
        assert ours_T[t] == pytest.approx(excess_T[t] - 0.5 * excess_T[recent].sum() / 30)


@pytest.mark.parametrize(
    ("period_us", "rows"), [(100_000, 36_000), (1_000_000, 3600), (300_000_000, 12), (DAY_US, 1)]
)
def test_habituation_takes_an_hour_whatever_the_period(period_us: int, rows: int) -> None:
    assert habituation_rows(period_us) == rows


def test_habituation_agrees_with_a_slow_loop_and_leaves_what_is_not_broken() -> None:
    rng = np.random.default_rng(0)
    stamp_T = np.cumsum(rng.choice([1, 1, 1, 12], 120)) * 1_000_000
    z2_TU = np.square(rng.normal(size=(120, 3)) * [1, 30, 1]) + 0.1
    z2_TU[:, 2] = np.minimum(z2_TU[:, 2], BROKEN_Z2)
    ours_TU = _habituated(z2_TU, Past.of(stamp_T, 30, period_us=1_000_000))
    for t in range(120):
        recent = (stamp_T > stamp_T[t] - 30_000_000) & (stamp_T <= stamp_T[t])
        broken_U = np.log(np.maximum(z2_TU[recent] / BROKEN_Z2, 1)).sum(axis=0) / 30
        np.testing.assert_allclose(ours_TU[t], z2_TU[t] / np.exp(broken_U))
    np.testing.assert_array_equal(ours_TU[:, 2], z2_TU[:, 2])


def test_a_channel_that_stays_broken_does_not_drown_the_next_fault() -> None:
    chain, calibration, _ = fitted()
    residual_TC = noise(6000, 5)
    residual_TC[1000:, 0] += 100
    residual_TC[5000:5050, 3] += 10
    series = waves("b-1", 6000)
    layout = chain.layout([series], [ALL])
    past = Past.of(series.timestamp_T, 2000, period_us=1_000_000)
    before, within = slice(4000, 4900), slice(5000, 5050)
    rises = []
    for how in (None, past):
        evidence_T, contributions = chain.evidence(residual_TC, layout, calibration, how)
        assert evidence_T[1000:1100].mean() > 5, "new, it is heard either way"
        rises.append(evidence_T[within].mean() - evidence_T[before].mean())
        blamed = contributions[within].mean(axis=0).argmax()
        assert blamed == (0 if how is None else 3)
    assert rises[0] < 0.3 < 1.0 < rises[1]
