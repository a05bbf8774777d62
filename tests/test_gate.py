"""The promotion gate's decision, as a pure function of metrics."""

import re

import numpy as np
import pytest
from evaluation_kit import evaluation_metrics, method_figures
from hypothesis import given
from hypothesis import strategies as st

from amad.config.params import GateParams
from amad.engines.register.gate import compare, decide
from amad.evaluation.evaluation_metrics import PRIMARY

PARAMS = GateParams(bootstrap=200)
NO_EVENTS = {"events": 0, "events_found": 0, "event_recall": None, "chance_recall": None}


def per_unit(values):
    return {f"v{i}": {PRIMARY: value} for i, value in enumerate(values)}


def metrics(ours, floor, baseline=None, rest=None, point=NO_EVENTS, **more):
    values = {"amad": ours, "random": floor, "pca": baseline, "rest": rest}
    methods = {name: method_figures(v) for name, v in values.items() if v is not None}
    return evaluation_metrics(methods, "pca" if baseline else None, point, **more)


def test_the_first_model_above_the_floor_becomes_champion():
    decision = decide(metrics([0.5, 0.6, 0.4], [0.1, 0.1, 0.2]), None, PARAMS)
    assert decision.promote
    assert decision.figures["floor_low"] > 0
    assert decision.reasons[0].startswith("vus_pr over 3 vehicles, with 90% intervals: challenger")
    assert "had no champion yet" in decision.reasons[-1]


def test_a_model_at_the_floor_is_refused_even_as_the_first():
    decision = decide(metrics([0.1, 0.3, 0.2], [0.2, 0.2, 0.2]), None, PARAMS)
    assert not decision.promote
    assert "floor" in decision.reasons[-1]


def test_one_vehicle_that_is_above_does_not_make_up_for_a_wide_interval():
    ours, floor = [0.9, 0.1, 0.1, 0.1], [0.2, 0.15, 0.15, 0.15]
    assert np.mean(ours) > np.mean(floor)
    assert not decide(metrics(ours, floor), None, PARAMS).promote


def test_the_shortfall_against_a_baseline_is_stated_and_blocks_only_on_request():
    content = metrics([0.5, 0.5, 0.5], [0.1, 0.1, 0.1], baseline=[0.6, 0.6, 0.6])
    allowed = decide(content, None, PARAMS)
    assert allowed.promote
    assert any("falls short of it by 0.100" in reason for reason in allowed.reasons)
    assert allowed.figures["baseline_difference"] == pytest.approx(-0.1)
    perhaps = decide(metrics([0.5] * 3, [0.1] * 3, baseline=[0.6, 0.7, 0.3]), None, PARAMS)
    assert any("falls short of it by 0.033, which may be chance" in r for r in perhaps.reasons)
    strict = PARAMS.model_copy(update={"require_baseline": True})
    refused = decide(content, None, strict)
    assert not refused.promote
    assert "require_baseline" in refused.reasons[-1]


def test_the_best_baseline_is_that_of_the_gates_own_metric():
    content = metrics([0.5, 0.5], [0.1, 0.1], baseline=[0.2, 0.2], rest=[0.7, 0.7])
    strict = PARAMS.model_copy(update={"require_baseline": True})
    decision = decide(content, None, strict)
    assert decision.figures["baseline_name"] == "rest"
    assert not decision.promote


@pytest.mark.parametrize("form", ["with_network", "without_network"])
def test_the_other_form_of_the_detector_is_no_baseline(form):
    strict = PARAMS.model_copy(update={"require_baseline": True})
    values = {"baseline": [0.2, 0.2], "rest": [0.7, 0.7]}
    assert not decide(metrics([0.5, 0.5], [0.1, 0.1], **values), None, strict).promote
    content = metrics([0.5, 0.5], [0.1, 0.1], **values, **{form: "rest"})
    decision = decide(content, None, strict)
    assert decision.promote and decision.figures["baseline_name"] == "pca"


def test_a_better_challenger_replaces_the_champion_and_an_equal_one_does_not():
    content = metrics([0.6, 0.7, 0.5], [0.1, 0.1, 0.1])
    better = decide(content, per_unit([0.5, 0.5, 0.4]), PARAMS, champion_version="3")
    assert better.promote and better.figures["champion_version"] == 3
    equal = decide(content, per_unit([0.6, 0.7, 0.5]), PARAMS, champion_version="3")
    assert not equal.promote and "no proven gain" in equal.reasons[-1]
    worse = decide(content, per_unit([0.7, 0.8, 0.6]), PARAMS, champion_version="3")
    assert not worse.promote and worse.reasons[-1] == "refused: the champion is proven better"
    apart = compare(per_unit([0.1, 0.9]), per_unit([0.9, 0.1]), PARAMS)
    assert (apart.low, apart.high) == (-1, 1), "no figure can differ by more"


def test_a_class_that_became_worse_is_told_though_the_mean_is_better():
    ours, theirs = [0.8, 0.9, 0.85, 0.2, 0.3], [0.5, 0.6, 0.5, 0.3, 0.41]
    content, champion = metrics(ours, [0.1] * 5), per_unit(theirs)
    decision = decide(
        content, champion, PARAMS, champion_version="3",
        class_of=lambda unit: "van" if unit in ("v3", "v4") else "car",
    )  # fmt: skip
    better, by_class = decision.reasons[-3:-1]
    assert better == "better on 3 of 5 vehicles, worse on 2, most on v4 (-0.110)"
    assert re.fullmatch(
        r"difference by class: car \+0.317 \[\+0.\d+, \+0.\d+\] on 3 vehicles, "
        r"van -0.105 \[-0.\d+, -0.0\d+\] on 2 vehicles",
        by_class,
    )
    alike = decide(content, per_unit(ours), PARAMS, champion_version="3")
    assert "equal on each of 5 vehicles" in alike.reasons
    assert not any("by class" in reason for reason in alike.reasons)


def test_pairing_finds_a_small_steady_gain_among_very_different_vehicles():
    champion = [0.05, 0.5, 0.95, 0.2, 0.7]
    ours = [value + 0.01 for value in champion]
    decision = decide(metrics(ours, [0.01] * 5), per_unit(champion), PARAMS, champion_version="1")
    assert decision.promote


def test_a_champion_that_cannot_be_scored_cannot_defend_its_place_and_the_reason_is_stated():
    decision = decide(
        metrics([0.6, 0.7], [0.1, 0.1]),
        None,
        PARAMS,
        champion_version="2",
        champion_problem="it has other channels",
    )
    assert decision.promote
    assert "other channels" in decision.reasons[-1]
    assert decision.figures["champion_problem"] == "it has other channels"


def test_a_channel_that_the_champion_does_not_know_is_worth_a_draw_and_no_loss():
    def against(*theirs):
        content = metrics([0.6, 0.7, 0.5], [0.1, 0.1, 0.1])
        return decide(
            content, per_unit(theirs), PARAMS, champion_version="3", unknown=["soc", "fuel"]
        )

    better, level = against(0.5, 0.5, 0.4), against(0.6, 0.71, 0.5)
    assert better.promote and better.reasons[-1] == "promoted: it beats the champion"
    assert level.promote and level.reasons[-1] == (
        "promoted: it has learnt soc, fuel, of which the champion knows nothing, and the champion "
        "is not proven better"
    )
    worse = against(0.7, 0.8, 0.6)
    assert not worse.promote and worse.figures["champion_high"] < 0
    assert worse.reasons[-1] == "refused: the champion is proven better"


def found(events, found, chance=0.01):
    return {"events": events, "events_found": found, "chance_recall": chance}


@pytest.mark.parametrize(
    "champion",
    [
        {},
        {"champion_version": "2", "champion_problem": "it has other channels"},
        {"champion": per_unit([0.2, 0.3, 0.2]), "champion_version": "2"},
    ],
)
@pytest.mark.parametrize("point", [found(12, 0), found(12, 3, chance=0.5), found(1, 0)])
def test_who_finds_no_more_than_chance_is_never_promoted(champion, point):
    champion = {"champion": None} | champion
    values = [0.5, 0.6, 0.4], [0.1, 0.1, 0.2]
    decision = decide(metrics(*values, point=point), params=PARAMS, **champion)
    assert not decision.promote
    assert f"{point['events_found']} of {point['events']} known" in decision.reasons[-1]
    assert "--force" in decision.reasons[-1]
    assert decide(metrics(*values, point=found(12, 5)), params=PARAMS, **champion).promote


def test_what_was_found_stands_beside_what_chance_would_find():
    content = metrics([0.5, 0.6], [0.1, 0.1], point=found(12, 5, 0.05))
    decision = decide(content, None, PARAMS)
    assert any("5 of 12 known events; alarms at random times would find 0.6" in r
               for r in decision.reasons)  # fmt: skip
    assert decision.figures["events_by_chance"] == pytest.approx(0.6)
    few = decide(metrics([0.5, 0.6], [0.1, 0.1], point=found(12, 3, 0.2)), None, PARAMS)
    assert few.promote
    assert any("would find 2.4, so that may be chance" in reason for reason in few.reasons)


@pytest.mark.parametrize("champion", [{}, {"champion_version": "2", "champion_problem": "gone"}])
def test_one_unit_has_no_interval_and_cannot_be_judged(champion):
    decision = decide(metrics([0.9], [0.1], point=found(3, 3)), None, PARAMS, **champion)
    assert not decision.promote
    assert "cannot be judged, since one vehicle has no interval" in decision.reasons[-1]
    assert "unit: case" not in decision.reasons[-1]
    for ours, floor in ([0.9], [0.1]), ([0.9, 0.3], [0.1, 0.1]):
        injected = decide(metrics(ours, floor, labels="injected"), None, PARAMS, **champion)
        assert not injected.promote and "evaluation: {unit: case}" in injected.reasons[-1]


def test_without_a_judgeable_vehicle_nothing_is_promoted():
    decision = decide(metrics([None, float("nan")], [0.1, 0.1]), None, PARAMS)
    assert not decision.promote
    assert "--force" in decision.reasons[-1]


def test_units_are_matched_by_name():
    ours = {"a": {"vus_pr": 0.9}, "b": {"vus_pr": 0.1}, "c": {"vus_pr": None}}
    theirs = {"b": {"vus_pr": 0.3}, "c": {"vus_pr": 0.4}, "d": {"vus_pr": 0.5}}
    found = compare(ours, theirs, PARAMS)
    assert found.units == 1
    assert found.difference == pytest.approx(-0.2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.lists(st.floats(0, 1), min_size=8))
def test_two_models_never_both_beat_each_other(a, b):
    one, two = per_unit(a), per_unit(b[: len(a)])
    forth, back = compare(one, two, PARAMS), compare(two, one, PARAMS)
    assert not (forth.wins and back.wins)
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.low <= forth.difference + 1e-9 and forth.difference <= forth.high + 1e-9
