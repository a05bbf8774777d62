"""The units that detectors are judged on, and the figures of a single unit."""

import numpy as np
import pytest
from evaluation_kit import FAULTS, kit_events, kit_fleet, kit_store

from amad.baselines.floor import RandomScorer
from amad.config import Fleet
from amad.config.params import DetectParams
from amad.detect.detector import Detector
from amad.detect.members.build import build_members
from amad.detect.moving_threshold import usual_scores
from amad.detect.scorer import Scored
from amad.evaluation.method_result import MethodResult, lowest_for_unscored
from amad.evaluation.units import CASE_ROWS, fitting_parts, stretch, units_of, unlabelled
from amad.windows.series import CALIBRATION, TEST, TRAIN, read, read_with_lead
from amad.windows.store import WindowStore


@pytest.fixture(scope="module")
def labelled(tmp_path_factory) -> tuple[WindowStore, Fleet]:
    fleet = kit_fleet()
    return kit_store(tmp_path_factory.mktemp("kit") / "store", fleet), fleet


@pytest.fixture(scope="module")
def injected(tmp_path_factory) -> tuple[WindowStore, Fleet]:
    fleet = kit_fleet("injected", "case", cases=8)
    return kit_store(tmp_path_factory.mktemp("kit") / "store", fleet), fleet


def random_scorer(fleet: Fleet, **changes) -> RandomScorer:
    return RandomScorer(DetectParams(**changes), fleet, None, seed=0)


def test_fitting_parts_hold_no_label_and_no_test_row(labelled):
    store = labelled[0]
    train, calibration = fitting_parts(store)
    for part, split in [*((p, TRAIN) for p in train), *((p, CALIBRATION) for p in calibration)]:
        series = read(part)
        assert series.label_T is None and (series.split_T == split).all()
        whole = store.scaled(part.vehicle).part(split)
        assert part.rows == series.rows == whole.rows and part.vehicle_class == whole.vehicle_class
        np.testing.assert_array_equal(part.timestamp_T, whole.timestamp_T)
        np.testing.assert_array_equal(part.rows_between(5, 9).value_TC, whole.value_TC[5:9])
    assert len(train) == len(calibration) == len(FAULTS)


def test_the_threshold_is_chosen_on_scores_that_know_the_rows_before(labelled, monkeypatch):
    monkeypatch.setattr("amad.windows.series.SHORT_PART", 1000)
    store, fleet = labelled
    params = DetectParams(members=["innovation", "relation"])
    detector = Detector(build_members(params), params, fleet, store.scaler)
    detector.fit(*fitting_parts(store))
    known, alone = [], []
    for part in fitting_parts(store)[1]:
        until = part.rows_before + part.rows
        whole = unlabelled(store.scaled(part.vehicle).rows_between(0, until))
        known.append(detector.raw_score(whole).score_T[part.rows_before :])
        alone.append(detector.raw_score(read(part)).score_T)
        np.testing.assert_array_equal(read_with_lead(part).value_TC, whole.value_TC)
    assert detector.operating_point is not None
    usual = detector.operating_point.usual[""]
    np.testing.assert_allclose(usual, usual_scores(np.concatenate(known)), atol=1e-5)
    assert not np.allclose(usual, usual_scores(np.concatenate(alone)), atol=1e-5)


def test_injected_units_hold_one_fault_and_no_label_for_detectors(injected):
    store, fleet = injected
    units = units_of(store.scaled("car-3"), fleet, kit_events(), store.has_channel("car-3"))[0]
    clean = store.scaled("car-3").part(TEST)
    for unit in units:
        assert unit.series.label_T is None
        (event,) = unit.truth
        assert unit.label_T[event.first : event.last].all()
        assert unit.label_T.sum() == event.last - event.first
        changed = np.any(unit.series.value_TC != clean.value_TC, axis=1)
        assert changed[unit.label_T].any() and not changed[~unit.label_T].any()
    assert len({unit.name for unit in units}) == 8
    kinds = [unit.events[0].type for unit in units]
    assert len(set(kinds)) == 8


def test_a_vehicle_that_takes_no_fault_is_named_with_the_reason(injected):
    store, fleet = injected
    series = store.scaled("car-3")
    flat = series.with_values(np.zeros_like(series.value_TC))
    units, reason = units_of(flat, fleet, kit_events(), store.has_channel("car-3"))
    assert not units and "no fault" in reason


def test_no_fault_is_put_where_no_row_may_be_scored(injected):
    store, fleet = injected
    series = store.scaled("car-3").rows_between(0, 2430)  # 30 rows of the test part
    units, reason = units_of(series, fleet, kit_events(), store.has_channel("car-3"))
    assert not units and "no stretch of the test part has 100 rows" in reason


def test_a_case_is_a_stretch_around_its_fault(labelled):
    series = labelled[0].scaled("car-1")
    for first, last in ((10, 40), (1500, 1700), (3990, 4000)):
        cut, shift = stretch(series, first, last, 500)
        assert cut.rows == 500 < CASE_ROWS and shift <= first and last - shift <= cut.rows
    whole, shift = stretch(series, 100, 3000, 500)
    assert shift <= 100 and whole.rows >= 2900


def test_rows_without_a_score_count_as_the_lowest(labelled):
    store, fleet = labelled
    (unit,), _ = units_of(store.scaled("car-2"), fleet, kit_events(), store.has_channel("car-2"))
    rows = unit.series.rows
    perfect = unit.label_T.astype(np.float32)
    blind = perfect.copy()
    blind[unit.label_T] = np.nan
    found = {}
    for name, score_T in (("perfect", perfect), ("blind", blind)):
        result = MethodResult()
        scored = Scored(
            score_T=score_T,
            threshold_T=np.full(rows, 0.5, np.float32),
            alarm_T=score_T > 0.5,
            open_T=score_T > 0.5,
            contribution_TC=np.ones((rows, 4), np.float32),
        )
        result.judge_unit(unit, scored, random_scorer(fleet), fleet, unit.series.timestamp_T)
        found[name] = result.per_unit["car-2"]
        assert result.unscored_rows == np.isnan(score_T).sum()
        assert result.truth[0].found == (name == "perfect")
    assert found["perfect"]["auc_pr"] == 1
    assert found["blind"]["auc_pr"] < 0.05 and found["blind"]["auc_roc"] == 0
    assert np.array_equal(lowest_for_unscored(np.array([np.nan, 2, 1])), [0, 2, 1])
    assert np.array_equal(lowest_for_unscored(np.full(2, np.nan)), [0, 0])


def test_events_that_false_alarms_would_find_are_told_apart(labelled):
    store, fleet = labelled
    (unit,), _ = units_of(store.scaled("car-2"), fleet, kit_events(), store.has_channel("car-2"))
    (event,) = unit.truth
    rows, length = unit.series.rows, event.last - event.first
    for every, chance in ((0, 0.0), (1, 1.0), (2 * length, 0.5), (length, 1.0)):
        alarm_T = np.zeros(rows, bool)
        if every:
            alarm_T[::every] = True
        alarm_T[event.first] = True  # the event itself is found, and counts for no chance
        result = MethodResult()
        contribution_TC = np.ones((rows, 4), np.float32)
        scored = Scored(
            score_T=alarm_T.astype(np.float32),
            threshold_T=np.full(rows, 0.5, np.float32),
            alarm_T=alarm_T,
            open_T=alarm_T,
            contribution_TC=contribution_TC,
        )
        scorer = random_scorer(fleet, merge_gap_seconds=0.0)
        result.judge_unit(unit, scored, scorer, fleet, unit.series.timestamp_T)
        assert result.truth[0].found
        near = 2 * length / (rows - length)  # incidents that touch the event are not counted
        assert result.truth[0].chance == pytest.approx(chance, abs=near if every != 1 else 1)
