"""Alarms, thresholds, incidents: merging, identity, severity, types, midnight."""

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

from amad.detect.alarms import (
    LONGEST_RETURN,
    PRIOR_DAYS,
    TAIL_SCALE,
    choose_threshold,
    merge_alarms,
    release_level,
    vehicle_days,
)
from amad.detect.constant_channels import MEASURED, SWITCHED
from amad.detect.detector import Detector
from amad.detect.moving_threshold import USUAL_MEDIAN
from amad.detect.scorer import RawScore, Scored
from amad.incidents.incident import continue_incident, incident_id, incidents_of

SECOND = 1_000_000


@pytest.fixture(scope="module")
def detector() -> Detector:
    train, calibration = parts(["a-1", "b-1"])
    return Detector(linear_members(), LINEAR, fleet_of(), None).fit(train, calibration)


def scored_with(rows: int, alarms: dict[int, float], detector: Detector):
    """Rows with these exceedances over the threshold, all of them blamed on channel 1."""
    score_T = np.zeros(rows, np.float32)
    contribution_TC = np.zeros((rows, C), np.float32)
    for row, exceedance in alarms.items():
        score_T[row] = detector.threshold + exceedance
        contribution_TC[row, 1] = 3
        contribution_TC[row, 0] = 1
    return Scored(
        score_T=score_T,
        threshold_T=np.full(rows, detector.threshold, np.float32),
        alarm_T=score_T > detector.threshold,
        open_T=score_T > detector.threshold,
        contribution_TC=contribution_TC,
    )


@settings(max_examples=60)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=80), st.integers(0, 6), st.integers(1, 3))
def test_merging_agrees_with_a_slow_loop(levels, gap, period) -> None:
    """A level of 1 is an open row, one of 2 an alarm."""
    level_T = np.array(levels)
    stamp_T = np.arange(len(levels)) * period
    runs = merge_alarms(level_T == 2, stamp_T, level_T >= 1, period_us=period, gap_us=gap)
    stretches: list[list[int]] = []
    for row in np.flatnonzero(level_T):
        if stretches and stamp_T[row] - (stamp_T[stretches[-1][-1]] + period) <= gap:
            stretches[-1].append(row)
        else:
            stretches.append([row])
    alarms = [[row for row in rows if levels[row] == 2] for rows in stretches]
    assert runs == [
        (own[0], own[-1] + 1, rows[0], rows[-1] + 1)
        for own, rows in zip(alarms, stretches, strict=True)
        if own
    ]
    alone = merge_alarms(level_T == 2, stamp_T, period_us=period, gap_us=gap)
    assert alone == merge_alarms(level_T == 2, stamp_T, level_T == 2, period_us=period, gap_us=gap)


def test_neighbouring_rows_are_one_incident_whatever_the_period() -> None:
    alarm_T, stamp_T = np.array([1, 1, 0, 1], bool), np.arange(4) * 300 * SECOND
    runs = merge_alarms(alarm_T, stamp_T, period_us=300 * SECOND, gap_us=60 * SECOND)
    assert runs == [(0, 2, 0, 2), (3, 4, 3, 4)]


def counted(scores, times, medians, threshold: float, **apart) -> int:
    """How many incidents there are at a threshold, counted from the start."""
    found = 0
    for score_T, time_T, median in zip(scores, times, medians, strict=True):
        release = release_level(np.float64(threshold), median)
        found += len(merge_alarms(score_T > threshold, time_T, score_T > release, **apart))
    return found


@settings(max_examples=60)
@given(
    st.integers(0, 10_000), st.floats(0.1, 30), st.integers(0, 4), st.booleans(),
    st.tuples(st.floats(-1, 6), st.floats(-1, 6)),
)  # fmt: skip
def test_without_an_expected_tail_the_threshold_is_the_lowest_that_keeps_the_budget(
    seed, budget, gap, tied, medians
) -> None:
    rng = np.random.default_rng(seed)
    scores = [rng.exponential(size=n) for n in (400, 900)]
    if tied:
        scores = [np.round(score_T, 1) for score_T in scores]
    stamps = [np.cumsum(rng.integers(1, 4, len(s))) for s in scores]
    point = choose_threshold(
        scores, stamps, medians, days=3.0, budget=budget, period_us=1, gap_us=gap, tail_scale=None
    )

    def count(threshold: float) -> int:
        return counted(scores, stamps, medians, threshold, period_us=1, gap_us=gap)

    above = [x for x in np.unique(np.concatenate(scores)) if x >= point.threshold]
    assert count(point.threshold) <= 3 * budget
    assert max((count(x) for x in above), default=0) <= 3 * budget
    alarms = sum((s >= point.threshold).sum() for s in scores)
    if not tied and alarms < 130:  # a tenth of the rows at the most
        assert count(np.nextafter(point.threshold, 0)) > 3 * budget


def test_incidents_that_join_further_down_do_not_lower_the_threshold() -> None:
    """Six peaks 30 rows apart, half of them on a plateau above its release level."""
    score_T = np.zeros(2000)
    score_T[100:260] = 1.0 + np.linspace(0, 0.01, 160)
    score_T[100:260:30] = [5, 6, 7, 8, 9, 10]
    point = choose_threshold(
        [score_T], [np.arange(2000)], [0.0],
        days=4.0, budget=1.0, period_us=1, gap_us=5, tail_scale=None,
    )  # fmt: skip
    assert point.threshold == 6.0


def test_a_score_that_hovers_about_the_threshold_is_one_incident(detector: Detector) -> None:
    """It crosses the threshold five times, and once in 100 rows goes back to what is usual."""
    usual = detector.operating_point.usual[""][USUAL_MEDIAN]
    distance = detector.threshold - usual
    score_T = np.full(600, usual)
    score_T[100:300] += 0.7 * distance
    score_T[100:300:40] += 0.5 * distance
    score_T[420] += 1.5 * distance
    raw = RawScore(score_T, np.ones((600, C)))
    series = waves("b-1", 600)
    levels = detector._thresholds("b-1", series.timestamp_T, score_T)
    scored = detector._with_alarms(raw, *levels)
    assert scored.alarm_T.sum() == 6
    long, other = incidents_of(scored, series, detector)
    at = series.timestamp_T
    assert (long.alarm_rows, other.alarm_rows) == (5, 1)
    assert (long.open_from, long.open_until) == (at[100], at[300])
    assert (other.open_from, other.open_until) == (at[420], at[421])


def test_usual_scores_that_have_risen_end_an_incident_higher(detector: Detector) -> None:
    usual = detector.operating_point.usual[""]
    stamp_T = np.arange(9000) * SECOND
    score_T = np.resize(np.array(usual), 9000)
    moved_T = score_T + np.where(np.arange(9000) > 4000, 2.0, 0.0)
    before = detector._thresholds("b-1", stamp_T, score_T)
    after = detector._thresholds("b-1", stamp_T, moved_T)
    assert after.release_T[-1] - before.release_T[-1] == pytest.approx(2.0, abs=0.1)
    assert before.release_T[-1] == pytest.approx(
        (before.threshold_T[-1] + usual[USUAL_MEDIAN]) / 2, abs=0.05
    )


def chosen(score_T: np.ndarray, days: float, budget: float):
    """The operating point for rows a second apart, each an incident of its own."""
    return choose_threshold(
        [score_T], [np.arange(len(score_T))], [0.0],
        days=days, budget=budget, period_us=1, gap_us=0, tail_scale=TAIL_SCALE,
    )  # fmt: skip


def test_few_days_are_completed_by_the_expected_tail() -> None:
    """One vehicle-day counts for little, a thousand decide; a rarer alarm needs a higher score."""
    calm_T = np.zeros(20_000)
    calm_T[::2] = np.random.default_rng(0).exponential(TAIL_SCALE / 10, 10_000)
    wild_T = calm_T * 100
    few, many = (chosen(calm_T, days, 0.5) for days in (1.0, 1000.0))
    expected = few.tail_level + TAIL_SCALE * np.log(few.tail_rate / 0.5 * PRIOR_DAYS / 31)
    assert few.threshold == pytest.approx(expected, abs=0.1)
    assert many.threshold - many.tail_level < 0.3 * (few.threshold - few.tail_level)
    assert chosen(wild_T, 1000.0, 0.5).threshold > 5
    rarer = [chosen(calm_T, 1.0, budget).threshold for budget in (5.0, 0.5, 0.05)]
    assert np.diff(rarer) == pytest.approx([TAIL_SCALE * np.log(10)] * 2, rel=0.05)


def test_a_heavier_tail_than_expected_keeps_the_budget_on_the_calibration_rows() -> None:
    """Peaks on all days, far above what the expected tail holds, are allowed one above the budget.

    Incidents are counted as they merge on the way down, over midnight too.
    """
    rng, hour_us, days = np.random.default_rng(2), 3_600_000_000, 16
    scores, times = [], []
    for _ in range(2):
        score_T = rng.exponential(0.1, days * 24)
        score_T[5::12] = rng.uniform(4, 9, 2 * days)
        score_T[[29, 41, 47, 48]] = [0, 0, 8.5, 8.6]  # one incident over midnight
        scores.append(score_T)
        times.append(np.arange(days * 24) * hour_us)
    about = {"budget": 0.5, "period_us": hour_us, "gap_us": hour_us, "tail_scale": TAIL_SCALE}
    own = (scores, times, [0.0, 0.0])
    point = choose_threshold(*own, days=2.0 * days, **about)
    below, apart = point.threshold - 0.2, {"period_us": hour_us, "gap_us": hour_us}
    assert counted(*own, point.threshold, **apart) == 17 < counted(*own, below, **apart)
    higher = [score_T + 3 for score_T in scores]
    fewer = choose_threshold(higher, times, [3.0, 3.0], days=1000.0, **about)
    assert fewer.threshold < 7, "in a thousand days they would be few"


def test_one_bad_day_of_calibration_does_not_silence_a_fleet() -> None:
    """Twelve high peaks in ten days: by the counts alone the threshold would be above them."""
    score_T = np.random.default_rng(1).exponential(TAIL_SCALE, 5000)
    score_T[100:700:50] = 9.0
    times = [np.arange(len(score_T))]
    counted = choose_threshold(
        [score_T], times, [0.0], days=10.0, budget=0.5, period_us=1, gap_us=0, tail_scale=None
    )
    assert counted.threshold == 9.0 and chosen(score_T, 10.0, 0.5).threshold < 5.0


def test_vehicle_days_count_rows_not_dates() -> None:
    day = 86_400
    always = np.arange(10 * day, step=600) * SECOND
    daily_hour = np.concatenate([np.arange(d * day, d * day + 3600, 60) for d in range(10)])
    assert vehicle_days([always[-216:]], [always]) == pytest.approx(1.5)
    assert vehicle_days([daily_hour[-90:] * SECOND], [daily_hour * SECOND]) == pytest.approx(1.5)


def test_incidents_say_when_how_high_and_who(detector: Detector) -> None:
    scored = scored_with(400, {100: 0.5, 101: 2.0, 130: 1.0, 300: 0.1}, detector)
    series = with_values(waves("b-1", 400), slice(100, 131), 1, 9.0)
    series = with_values(series, slice(110, 120), 0, 6.0)
    first, second = incidents_of(scored, series, detector)
    assert (first.start, first.end) == (series.timestamp_T[100], series.timestamp_T[130] + SECOND)
    assert first.peak == series.timestamp_T[101]
    assert first.peak_score == pytest.approx(detector.threshold + 2.0, abs=1e-5)
    assert first.alarm_rows == 3 and second.alarm_rows == 1
    assert first.channels[:2] == ("c1", "c0") and first.shares[0] > first.shares[1] > 0.1
    assert sum(first.shares) <= 1 and first.deviation > 10 > second.deviation
    assert first.vehicle_class == "b" and not first.continued
    assert first.severity > second.severity


def test_history_before_the_first_row_raises_no_incident(detector: Detector) -> None:
    scored = scored_with(400, {100: 1.0, 300: 1.0}, detector)
    [only] = incidents_of(scored, waves("b-1", 400), detector, first_row=200)
    assert only.start == waves("b-1", 400).timestamp_T[300]
    assert scored.alarm_T[100], "the scored rows are left as they are"


def test_ids_are_stable_and_differ_by_fleet_vehicle_and_start() -> None:
    ids = {
        incident_id(*key)
        for key in [("f", "v", 0), ("f", "v", SECOND), ("f", "w", 0), ("g", "v", 0)]
    }
    assert len(ids) == 4
    assert (
        incident_id("f", "v", 1_767_571_200 * SECOND)
        == "20260105T000000-" + incident_id("f", "v", 1_767_571_200 * SECOND).partition("-")[2]
    )


def test_an_incident_that_goes_on_over_midnight_keeps_its_id(detector: Detector) -> None:
    yesterday = scored_with(120, {100: 2.0, 101: 1.0}, detector)
    [before] = incidents_of(yesterday, waves("b-1", 120), detector)
    scored = scored_with(400, {100: 2.0, 101: 1.0, 140: 0.5, 399: 1.0}, detector)
    today = incidents_of(scored, waves("b-1", 400), detector, first_row=120)
    gap = detector.gap_us
    joined = continue_incident(before, today, gap_us=gap)
    assert joined[0].incident_id == before.incident_id and joined[0].continued
    assert joined[0].start == before.start and joined[0].end == today[0].end
    assert joined[0].peak == before.peak and joined[0].severity >= before.severity
    assert joined[1] == today[1]
    assert joined[0].open_from == before.open_from
    assert joined[0].open_until == today[0].open_until
    waited = replace(before, open_until=today[0].open_from - gap)
    assert continue_incident(waited, today, gap_us=gap)[0].continued, "whenever its last alarm was"
    for earlier in (None, replace(before, open_until=today[0].open_from - gap - 1)):
        assert continue_incident(earlier, today, gap_us=gap) == today
    assert continue_incident(before, [], gap_us=gap) == []


def test_a_type_never_comes_from_imputed_values(detector: Detector) -> None:
    valid_TC = np.ones((400, C), np.uint8)
    valid_TC[300:340, 1] = 0
    series = with_values(waves("b-1", 400), slice(300, 340), 1, 4.0)
    alarms = dict.fromkeys(range(300, 340), 1.0)
    [stuck] = incidents_of(scored_with(400, alarms, detector), series, detector)
    assert stuck.type == "stuck"
    held = replace(series, valid_TC=valid_TC)
    [unknown] = incidents_of(scored_with(400, alarms, detector), held, detector)
    assert unknown.type == "relation"


def test_an_incident_at_the_very_start_of_a_segment_has_a_type(detector: Detector) -> None:
    scored = scored_with(400, {0: 1.0, 1: 1.0}, detector)
    [incident] = incidents_of(scored, waves("b-1", 400), detector)
    assert incident.type == "relation"


def test_the_return_period_is_what_normal_rows_do() -> None:
    """Independent scores whose tail is the expected one: so many days lie between such peaks."""
    rng = np.random.default_rng(3)
    days, rows = 400.0, 40_000
    point = chosen(np.where(np.arange(rows) % 2, 0.0, rng.exponential(TAIL_SCALE, rows)), days, 0.5)
    at_threshold = point.return_days(point.threshold, point.threshold, TAIL_SCALE)
    assert at_threshold == pytest.approx(2.0), "half an incident per vehicle-day"
    later_T = np.where(np.arange(rows) % 2, 0.0, rng.exponential(TAIL_SCALE, rows))
    for margin in (0.5, 1.0, 1.5):
        found = (later_T > point.threshold + margin).sum() / days
        promised = 1 / point.return_days(point.threshold + margin, point.threshold, TAIL_SCALE)
        assert found == pytest.approx(promised, rel=0.5)
    assert point.return_days(99.0, 0.0, TAIL_SCALE) == LONGEST_RETURN


def test_first_moves_leave_less_of_the_budget_to_the_scores() -> None:
    score_T = np.random.default_rng(4).exponential(TAIL_SCALE, 5000)

    def with_moves(rate: float, other: float = 0.0):
        return choose_threshold(
            [score_T], [np.arange(5000)], [0.0],
            days=50.0, budget=0.5, period_us=1, gap_us=0, tail_scale=TAIL_SCALE,
            first_moves={SWITCHED: rate, MEASURED: other},
        )  # fmt: skip

    none, some, many = (with_moves(rate) for rate in (0.0, 0.2, 0.3))
    assert none.threshold < some.threshold and some.reported_moves == {SWITCHED, MEASURED}
    assert many.threshold == none.threshold and many.reported_moves == {MEASURED}
    assert many.budget == some.budget == 0.5
    both = with_moves(0.2, 0.15)
    assert both.reported_moves == {MEASURED}, "together they would use up more than half"
    assert both.score_budget == pytest.approx(0.35)


@pytest.mark.parametrize("period", [1.0, 10.0, 3600.0])
def test_over_midnight_alarms_may_lie_further_apart_by_the_rows_ahead(
    detector: Detector, period: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = detector.fleet.model_copy(update={"period_seconds": period})
    monkeypatch.setattr(detector, "fleet", fleet)
    ahead = detector.lookahead_rows * fleet.period_us
    assert ahead > 0
    assert detector.midnight_gap_us == detector.gap_us + min(ahead, 3_600_000_000)
    assert (detector.midnight_gap_us - detector.gap_us < ahead) == (period == 3600.0)
