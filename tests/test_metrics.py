"""Metrics against other people's numbers, against brute force, and their invariants."""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from amad import metrics
from bench.metrics import loop_vus

CURVES = [metrics.auc_pr, metrics.auc_roc]
BEST = [
    metrics.best_f1,
    metrics.range_f1,
    metrics.event_f1,
    metrics.affiliation_f1,
    metrics.point_adjusted_f1,
]


def vector_folder() -> Path | None:
    folder = os.environ.get("AMAD_DATA_DIR")
    vectors = Path(folder).parent / "vectors" / "metrics" if folder else None
    return vectors if vectors and vectors.is_dir() else None


def published() -> list[str]:
    folder = vector_folder()
    return sorted(json.loads((folder / "expected.json").read_text())) if folder else []


@st.composite
def cases(draw, most=60, levels=12):
    """Labels of both classes and scores with ties."""
    size = draw(st.integers(4, most))
    label = np.array(draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    label[draw(st.integers(0, size - 1))] = 1
    ones = np.flatnonzero(label)
    label[ones[0] - 1 if ones[0] else -1] = 0
    if not label.any():
        label[0] = 1
    score = draw(st.lists(st.integers(-levels, levels), min_size=size, max_size=size))
    return label, np.array(score, dtype=float)


@pytest.mark.real_data
@pytest.mark.skipif(vector_folder() is None, reason="AMAD_DATA_DIR has no vectors beside it")
@pytest.mark.parametrize("name", published())
def test_agrees_with_the_published_implementation(name):
    import pyarrow.parquet as pq

    folder = vector_folder()
    expected = json.loads((folder / "expected.json").read_text())[name]
    table = pq.read_table(folder / f"{name}.parquet")
    label, score = table["label"].to_numpy(), table["score"].to_numpy()
    buffer = expected["buffer"]
    near = {"abs": 1e-3}
    assert metrics.auc_roc(label, score) == pytest.approx(expected["auc_roc"], **near)
    assert metrics.auc_pr(label, score) == pytest.approx(expected["auc_pr"], **near)
    wanted = (expected["vus_pr"], expected["vus_roc"])
    assert metrics.vus(label, score, buffer) == pytest.approx(wanted, **near)
    assert metrics.best_f1(label, score) == pytest.approx(expected["best_f1"], **near)
    # The published code looks at 100 equally spaced thresholds; ours at every score, so that a
    # monotone map changes nothing. On its grid we agree, and off it we are never worse.
    grid = np.linspace(score.min(), score.max(), 100)
    for key, metric in (
        ("best_range_f1", metrics.range_f1),
        ("best_event_f1", metrics.event_f1),
        ("best_affiliation_f1", metrics.affiliation_f1),
        ("best_f1_point_adjusted", metrics.point_adjusted_f1),
    ):
        on_grid = metric(label, np.searchsorted(grid, score))  # how many of them it exceeds
        # Its point adjustment forgets row 0 where the first event starts there: one row of recall.
        slack = 1.2e-3 if metric is metrics.point_adjusted_f1 and label[0] else 1e-3
        assert on_grid == pytest.approx(expected[key], abs=slack), key
        assert metric(label, score) >= on_grid - 1e-6, key


@given(cases())
def test_curves_agree_with_scikit_learn(case):
    label, score = case
    assert metrics.auc_pr(label, score) == pytest.approx(average_precision_score(label, score))
    assert metrics.auc_roc(label, score) == pytest.approx(roc_auc_score(label, score))


def test_frozen_values_of_scikit_learn():
    label = [0, 0, 1, 1, 0, 1, 0, 0, 1, 0]
    score = [0.1, 0.4, 0.35, 0.8, 0.4, 0.6, 0.2, 0.65, 0.65, 0.3]
    assert metrics.auc_pr(label, score) == pytest.approx(0.7470238095, abs=1e-9)
    assert metrics.auc_roc(label, score) == pytest.approx(0.8125000000, abs=1e-9)


@settings(max_examples=25)
@given(cases(), st.integers(1, 9))
def test_vus_is_its_definition(case, buffer):
    label, score = case
    expected = loop_vus(label, score, buffer, 20)
    assert metrics.vus(label, score, buffer, 20) == pytest.approx(expected)


def brute_range_f1(label, alarm):
    def side(truth, found, existence):
        values, (found_start, found_end) = [], metrics.events_of(found)
        for a, b in zip(*metrics.events_of(truth), strict=True):
            pieces = np.sum((found_start < b) & (found_end > a))
            share = found[a:b].mean() / pieces if pieces else 0.0
            values.append(existence * (pieces > 0) + (1 - existence) * share)
        return float(np.mean(values)) if values else 0.0

    recall, precision = side(label, alarm, 0.2), side(alarm, label, 0.0)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def brute_affiliation_f1(label, alarm):
    """By sampling each row at 32 places and counting places that lie further away."""
    (start, end), (alarm_start, alarm_end) = metrics.events_of(label), metrics.events_of(alarm)
    border = np.concatenate([[0], (end[:-1] + start[1:]) / 2, [len(label)]])
    precision, recall = [], []
    for a, b, low, high in zip(start, end, border[:-1], border[1:], strict=True):
        place = np.arange(low, high, 1 / 32) + 0.5 / 32

        def to_event(x, a=a, b=b):
            return np.maximum(np.maximum(a - x, x - b), 0)

        inside = alarm[place.astype(int)] > 0
        if inside.any():
            worse = (to_event(place) >= to_event(place[inside])[:, None]).mean(axis=1)
            precision.append(np.where(to_event(place[inside]) == 0, 1, worse).mean())
        cut = [
            (max(s, low), min(e, high))
            for s, e in zip(alarm_start, alarm_end, strict=True)
            if min(e, high) > max(s, low)
        ]
        place_event = place[(place > a) & (place < b)]
        if not cut:
            recall.append(0.0)
            continue
        gap = np.min(
            [np.maximum(np.maximum(s - place_event, place_event - e), 0) for s, e in cut], 0
        )
        worse = (np.abs(place - place_event[:, None]) >= gap[:, None]).mean(axis=1)
        recall.append(np.where(gap == 0, 1, worse).mean())
    p, r = (np.mean(precision) if precision else 0.0), np.mean(recall)
    return 2 * p * r / (p + r) if p + r else 0.0


@settings(max_examples=60)
@given(cases(levels=4))
def test_range_f1_is_its_definition(case):
    label, score = case
    expected = max(brute_range_f1(label, score >= level) for level in np.unique(score))
    assert metrics.range_f1(label, score) == pytest.approx(expected)


@settings(max_examples=25)
@given(cases(most=30, levels=3))
def test_affiliation_f1_is_its_definition(case):
    label, score = case
    expected = max(brute_affiliation_f1(label, score >= level) for level in np.unique(score))
    assert metrics.affiliation_f1(label, score) == pytest.approx(expected, abs=0.02)


@given(cases())
def test_event_and_adjusted_f1_are_their_definitions(case):
    label, score = case
    start, end = metrics.events_of(label)
    best_event = best_adjusted = 0.0
    for level in np.unique(score):
        alarm = score >= level
        found = [alarm[a:b].any() for a, b in zip(start, end, strict=True)]
        precision, recall = (alarm & (label > 0)).sum() / alarm.sum(), np.mean(found)
        if precision + recall:
            best_event = max(best_event, 2 * precision * recall / (precision + recall))
        adjusted = alarm.copy()
        for a, b, hit in zip(start, end, found, strict=True):
            adjusted[a:b] |= hit
        hits = (adjusted & (label > 0)).sum()
        best_adjusted = max(best_adjusted, 2 * hits / (adjusted.sum() + label.sum()))
    assert metrics.event_f1(label, score) == pytest.approx(best_event)
    assert metrics.point_adjusted_f1(label, score) == pytest.approx(best_adjusted)


@settings(max_examples=50)
@given(cases(), st.integers(0, 8))
def test_every_metric_is_finite_and_deaf_to_monotone_maps(case, buffer):
    label, score = case
    mapped = np.exp(score / 3) - 5
    for metric in [*CURVES, *BEST, partial(metrics.vus, buffer=buffer)]:
        value = metric(label, score)
        # Range-based ROC may leave [0, 1] a little: its recall is weighted, its false alarms not.
        assert np.all(np.isfinite(value)) and np.all(np.abs(np.subtract(value, 0.5)) <= 1.0)
        assert metric(label, mapped) == value
    assert np.array_equal(metrics.pa_k_curve(label, score), metrics.pa_k_curve(label, mapped))


@given(cases())
def test_perfect_ranking_is_perfect(case):
    label, score = case
    above = score + 100 * label
    assert metrics.auc_pr(label, above) == pytest.approx(1)
    assert metrics.auc_roc(label, above) == pytest.approx(1)
    for metric in BEST:
        assert metric(label, above) == pytest.approx(1)
    if metrics.auc_pr(label, score) == 1:
        assert metrics.auc_roc(label, score) == 1


@given(cases())
def test_pa_k_runs_from_point_adjusted_to_plain(case):
    label, score = case
    curve = metrics.pa_k_curve(label, score)
    assert curve[0] == metrics.point_adjusted_f1(label, score)
    assert curve[-1] == metrics.best_f1(label, score)
    assert np.all(np.diff(curve) <= 1e-12)


@pytest.mark.parametrize("metric", CURVES + BEST + [metrics.vus, metrics.pa_k_curve])
def test_unscorable_is_said(metric):
    score = np.arange(5.0)
    with pytest.raises(ValueError, match="unscorable"):
        metric(np.zeros(5), score)
    with pytest.raises(ValueError, match="unscorable"):
        metric(np.ones(5), score)
    with pytest.raises(ValueError, match="unscorable"):
        metric([0, 1, 0, 0, 1], np.array([0, 1, np.nan, 2, 3]))
    with pytest.raises(ValueError, match="as long"):
        metric([0, 1], score)
