"""Severity, blame and the pair of a broken relation: graded faults in a small fleet."""

from dataclasses import replace

import numpy as np
import pytest
from detect_kit import (
    LINEAR,
    C,
    fleet_of,
    linear_members,
    parts,
    waves,
    with_values,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from amad.baselines.floor import RandomScorer
from amad.detect.detector import Detector
from amad.detect.members.relation import RelationMember
from amad.detect.scorer import Scored
from amad.incidents import deviations
from amad.incidents.blame import blame_shares, blamed
from amad.incidents.deviations import LEAST_TOLERANCE, Deviations
from amad.incidents.incident import Incident, continue_incident, incidents_of
from amad.incidents.root_cause import partner_of
from amad.incidents.severity import effective_number, level_of, severity, worse
from amad.simulator.faults import Fault, apply_fault
from amad.windows.series import Series

ROWS = slice(500, 560)


def coupled(vehicle: str, rows: int = 2000, seed: int = 0, begin: int = 0) -> Series:
    """``waves`` with c1 following c0, and c3 following c2."""
    series = waves(vehicle, rows, seed=seed, begin=begin)
    value_TC = series.value_TC.copy()
    rng = np.random.default_rng(seed)
    for one, other in ((0, 1), (2, 3)):
        value_TC[:, other] = 0.9 * value_TC[:, one] + 0.2 * rng.normal(size=rows)
    return series.with_values(value_TC.astype(np.float32))


@pytest.fixture(scope="module")
def detector() -> Detector:
    train = [coupled("b-1", seed=1)]
    calibration = [coupled("b-1", seed=2, begin=2000)]
    members = [*linear_members(), RelationMember()]
    return Detector(members, LINEAR, fleet_of(), None).fit(train, calibration)


def as_incident(series: Series, rows: slice, detector: Detector) -> Incident:
    """The incident whose alarms are these rows, whatever the scores."""
    score_T = np.zeros(series.rows, np.float32)
    score_T[rows] = detector.threshold + 1
    scored = Scored(
        score_T=score_T,
        threshold_T=np.full(series.rows, detector.threshold, np.float32),
        alarm_T=score_T > detector.threshold,
        open_T=score_T > detector.threshold,
        contribution_TC=np.ones((series.rows, C), np.float32),
    )
    [incident] = incidents_of(scored, series, detector)
    return incident


@settings(max_examples=100)
@given(
    st.floats(0, 1e4), st.floats(0, 1e6), st.floats(1, 40),
    st.floats(0, 1e3), st.floats(0, 1e5), st.floats(0, 5),
)  # fmt: skip
def test_severity_grows_with_deviation_duration_and_channels(
    deviation, seconds, channels, more, longer, wider
) -> None:
    base = severity(deviation, seconds, channels)
    assert 0 <= base <= severity(deviation + more, seconds, channels) <= 100
    assert base <= severity(deviation, seconds + longer, channels) <= 100
    assert base <= severity(deviation, seconds, channels + wider) <= 100


def test_levels_follow_severity() -> None:
    assert [level_of(s) for s in (0, 24.9, 25, 50, 74.9, 75, 100)] == [
        "low", "low", "medium", "high", "high", "critical", "critical",
    ]  # fmt: skip
    assert severity(0, 0) == 0 and severity(40, 0) == 50
    assert severity(40, 86_400) == severity(40 * 145**0.1, 0) == pytest.approx(62.2)
    assert severity(40, 0, 2) == severity(40 * 2**0.25, 0)
    assert worse((10, 1), (9, 1)) and worse((9, 5), (10, 1)) and not worse((9, 1), (9, 1))


def test_the_number_of_channels_is_that_of_even_shares() -> None:
    assert effective_number([0.5, 0.5]) == pytest.approx(2)
    assert effective_number([0.2] * 5) == pytest.approx(5)
    assert 1 < effective_number([0.9, 0.1]) < 1.3
    assert effective_number([]) == effective_number([0.0]) == 1


@pytest.mark.parametrize("kind", ["spike", "level_shift", "drift", "noise_burst", "degradation"])
def test_severity_orders_the_grades_of_a_fault(detector: Detector, kind: str) -> None:
    grades, taus = (0.5, 1, 2, 4, 8), []
    for seed in range(6):
        series = coupled("b-1", 1000, seed=10 + seed, begin=4000)
        found = []
        for grade in grades:
            fault = Fault(
                type=kind, channels=(1,), start=ROWS.start, end=ROWS.stop, strength=float(grade)
            )
            rng = np.random.default_rng(seed)
            value_TC = apply_fault(series.value_TC, fault, np.ones(C), rng)
            changed = series.with_values(value_TC.astype(np.float32))
            found.append(as_incident(changed, ROWS, detector).severity)
        taus.append(kendalltau(grades, found).statistic)
    assert np.mean(taus) >= 0.9


def test_a_deviation_counts_by_what_is_ordinary_in_its_row(detector: Detector) -> None:
    series = with_values(coupled("b-1", 1000, seed=3, begin=4000), ROWS, 4, 12.0)
    first, last = 515, 540
    found = Deviations(detector, series, 400, 900)
    owner, sizes, varies = detector.owner_of(series), [], False
    for member in detector.members:
        error_RC = np.abs(member.residual(series, owner)[first:last])
        tolerance_C = detector.figures[owner].calibration[member.name].scale_C
        ordinary_TC = member.tolerance(series, owner)
        if ordinary_TC is not None:
            tolerance_C = tolerance_C * ordinary_TC[first:last]
            varies = np.ptp(ordinary_TC[first:last]) > 0.1
        sizes.append((error_RC / np.maximum(tolerance_C, LEAST_TOLERANCE)).max(axis=0))
    assert varies
    assert found.size(first, last) == pytest.approx(np.max(sizes, axis=0), rel=1e-5)


@pytest.mark.parametrize("method", ["detector", "random"])
def test_few_rows_in_memory_give_what_all_of_them_give(
    detector: Detector, method: str, monkeypatch
) -> None:
    series = with_values(coupled("b-1", 9000, seed=3, begin=4000), slice(700, 760), 4, 12.0)
    random = RandomScorer(detector.params, fleet_of(), None, seed=0)
    scorer = detector if method == "detector" else random
    asked = [(700, 760), (4_000, 5_500), (8_900, 9_000), (650, 655), (2_500, 4_000)]
    found = []
    for kept in (9000, 100):
        monkeypatch.setattr(deviations, "KEPT_ROWS", kept)
        of_series, most = Deviations(scorer, series, 600, 9000), 0
        for first, last in asked:
            found.append([of_series.strangeness(first, last), of_series.size(first, last)])
            found[-1].append(of_series.by_row(np.ones(C), first, last))
            most = max(most, len(of_series.kept))
    assert most < 6_000, "the longest stretch, and what comes before it"
    for whole, some in zip(found[: len(asked)], found[len(asked) :], strict=True):
        for one, other in zip(whole, some, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5)


def test_many_times_a_tiny_error_are_a_small_change(detector: Detector) -> None:
    series = with_values(coupled("b-1", 1000, seed=3, begin=4000), ROWS, 4, 12.0)
    found = Deviations(detector, series, 400, 900)
    error_C = np.max([np.abs(found.rows(m, 515, 540)).max(axis=0) for m in found.residual], 0)
    found.scale = {name: scale_C * 1e-6 for name, scale_C in found.scale.items()}
    assert found.size(515, 540) == pytest.approx(error_C / LEAST_TOLERANCE)
    strange_C = found.strangeness(515, 540)
    assert 0.0 < strange_C.max() <= error_C.max() / LEAST_TOLERANCE


def test_more_channels_are_worse_than_one(detector: Detector) -> None:
    series = coupled("b-1", 1000, seed=3, begin=4000)
    one = as_incident(with_values(series, ROWS, 4, 12.0), ROWS, detector)
    both = with_values(with_values(series, ROWS, 4, 12.0), ROWS, 0, 12.0)
    assert as_incident(both, ROWS, detector).severity > one.severity
    assert one.channels[0] == "c4"


def test_an_incident_joined_over_midnight_is_as_severe_as_in_one_piece(detector: Detector) -> None:
    """Within two points, wherever midnight falls."""
    for kind, midnight in (("step", 520), ("step", 545), ("ramp", 510), ("ramp", 550)):
        series = coupled("b-1", 1000, seed=5, begin=4000)
        rows = np.arange(ROWS.stop - ROWS.start)
        size = np.full(len(rows), 6.0) if kind == "step" else rows / 6.0
        series = with_values(series, ROWS, 4, series.value_TC[ROWS, 4] + size)
        whole = as_incident(series, ROWS, detector)
        before = as_incident(
            series.rows_between(0, midnight), slice(ROWS.start, midnight), detector
        )
        today = as_incident(series, slice(midnight, ROWS.stop), detector)
        [joined] = continue_incident(before, [today], gap_us=detector.gap_us)
        assert joined.incident_id == before.incident_id == whole.incident_id
        assert abs(joined.start - whole.start) <= 3_000_000, "three rows"
        assert abs(joined.end - whole.end) <= 3_000_000
        assert joined.severity == pytest.approx(whole.severity, abs=2)
        assert joined.severity >= max(before.severity, today.severity)
        assert joined.channels[0] == whole.channels[0] == "c4"


def test_a_quiet_day_after_a_bad_one_keeps_what_was_found(detector: Detector) -> None:
    series = with_values(coupled("b-1", 1000, seed=6, begin=4000), slice(500, 520), 1, 20.0)
    before = as_incident(series.rows_between(0, 530), slice(500, 530), detector)
    today = as_incident(series, slice(530, 560), detector)
    [joined] = continue_incident(before, [today], gap_us=detector.gap_us)
    assert (joined.channels, joined.shares, joined.type) == (
        before.channels, before.shares, before.type,
    )  # fmt: skip
    assert joined.alarm_rows == today.alarm_rows and joined.severity >= before.severity


def test_one_wild_channel_does_not_hide_another(detector: Detector) -> None:
    series = coupled("b-1", 1000, seed=4, begin=4000)
    series = with_values(with_values(series, ROWS, 4, 5_000.0), ROWS, 0, 15.0)
    incident = as_incident(series, ROWS, detector)
    assert incident.channels[0] == "c4" and "c0" in incident.channels[1:3]
    assert incident.shares[0] < 0.9


def test_a_channel_that_was_far_off_before_takes_no_blame_for_a_new_fault(detector) -> None:
    series = coupled("b-1", 1000, seed=4, begin=4000)
    old = with_values(series, slice(100, 1000), 4, 30.0)
    rng = np.random.default_rng(0)
    old = with_values(old, slice(100, 1000), 4, 30 + 10 * rng.normal(size=900))
    both = with_values(old, ROWS, 2, 12.0)
    assert as_incident(both, ROWS, detector).channels[0] in ("c2", "c3")


def test_blame_names_at_most_five_and_never_a_channel_without_a_share() -> None:
    assert blamed(np.array([0.0, 0.25, 0, 0.75, 0, 0, 0])) == [3, 1]
    assert blamed(np.zeros(4)) == [] and len(blamed(np.full(9, 1 / 9))) == 5


def test_alarms_alone_have_contributions_in_their_rows_alone(detector: Detector) -> None:
    series = with_values(coupled("b-1", seed=4), ROWS, 1, 9.0)
    whole, alone = detector.score(series), detector.find_alarms(series)
    for name in ("score_T", "threshold_T", "alarm_T"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(whole, name))
    of_alarms_TC = np.where(whole.alarm_T[:, None], whole.contribution_TC, 0.0)
    np.testing.assert_array_equal(alone.contribution_TC, of_alarms_TC)
    assert of_alarms_TC.any() and whole.contribution_TC[~whole.alarm_T].any()


def test_a_method_without_members_is_blamed_by_its_evidence_and_measured_by_the_values() -> None:
    train, calibration = parts(["b-1"])
    scorer = RandomScorer(LINEAR, fleet_of(), None, seed=0).fit(train, calibration)
    series = with_values(waves("b-1", 400), slice(100, 110), 2, -7.0)
    contribution_TC = np.zeros((400, C), np.float32)
    contribution_TC[100:110, 3] = 1
    scored = replace(scorer.score(series), contribution_TC=contribution_TC)
    deviations = Deviations(scorer, series, 100, 110)
    assert deviations.size(100, 110)[2] == 7
    assert blamed(blame_shares(scorer, scored, series, deviations, 100, 110)) == [3]


@pytest.mark.parametrize("channel", [0, 1, 2, 3])
def test_the_pair_of_a_broken_relation_is_named(detector: Detector, channel: int) -> None:
    """A channel replaced by itself from another time keeps its own past and loses its partner."""
    partner = channel + 1 - 2 * (channel % 2)
    right = 0
    for seed in range(10):
        series = coupled("b-1", 1000, seed=20 + seed, begin=4000)
        rows = slice(ROWS.start, ROWS.start + 120)
        fault = Fault(
            type="decoupling", channels=(channel,), start=rows.start, end=rows.stop, strength=1.0
        )
        rng = np.random.default_rng(seed)
        value_TC = apply_fault(series.value_TC, fault, np.ones(C), rng)
        incident = as_incident(series.with_values(value_TC.astype(np.float32)), rows, detector)
        pair = {incident.channels[0], incident.partner}
        right += pair == {f"c{channel}", f"c{partner}"}
    assert right >= 8


def test_no_pair_is_named_where_no_relation_broke(detector: Detector) -> None:
    series = coupled("b-1", 1000, seed=7, begin=4000)
    spike = with_values(series, slice(520, 521), 4, 15.0)
    assert as_incident(spike, slice(515, 525), detector).partner == ""
    linear = Detector(linear_members(), LINEAR, fleet_of(), None)
    linear.fit([coupled("b-1", seed=1)], [coupled("b-1", seed=2, begin=2000)])
    deviations = Deviations(linear, series, 500, 560)
    assert partner_of(linear, deviations, 500, 560, 1) is None
