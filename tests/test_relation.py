"""The relation member, and how a detector takes in members that join by their excess."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from detect_kit import LINEAR, C, broken_relation, coupled, fleet_of, with_values

from amad.detect.detector import BAR_QUANTILE, FLEET, OWN_ROWS, Detector, make_members
from amad.detect.members import Member
from amad.detect.relation import RelationMember
from amad.windows import Scaler
from amad.windows.series import Series

VEHICLES = ("a-1", "a-2", "b-1")
PARAMS = LINEAR.model_copy(update={"baseline_weight": 0.0})  # a score is then the joint evidence
FAULT, INSIDE = slice(600, 800), slice(640, 800)


def fitted(
    members: Sequence[Member],
    train: Sequence[Series] | None = None,
    calibration: Sequence[Series] | None = None,
) -> Detector:
    train = train or [coupled(v, seed=1) for v in VEHICLES]
    calibration = calibration or [coupled(v, seed=2, begin=2000) for v in VEHICLES]
    return Detector(members, PARAMS, fleet_of(), None).fit(train, calibration)


@cache
def detector(*names: str) -> Detector:
    return fitted(make_members(PARAMS.model_copy(update={"members": list(names)})))


def learnt(train: Sequence[Series]) -> RelationMember:
    member = RelationMember()
    member.fit(FLEET, train, 4)
    return member


@pytest.mark.parametrize("kind", ["stuck", "late", "decoupled"])
def test_it_finds_what_the_own_past_does_not_and_names_the_channel(kind: str) -> None:
    series = broken_relation(kind, coupled("b-1", 1200, seed=3), FAULT, 2)
    past, relation = detector("ridge"), detector("relation")
    quiet_T = past.score(coupled("b-1", seed=2)).score_T
    past_T = past.score(series).score_T[INSIDE]
    assert np.median(past_T) < np.quantile(quiet_T, BAR_QUANTILE)
    bar = detector("ridge", "relation").levels["vehicle/b-1"].bar["relation"]
    scored = relation.score(series)
    assert (scored.score_T[INSIDE] > bar).mean() > 0.9
    assert scored.part_TC[INSIDE].mean(axis=0).argmax() == 2
    joint = detector("ridge", "relation").score(series)
    assert joint.score_T[INSIDE].mean() > past_T.mean() + 0.5
    assert joint.part_TC[INSIDE].mean(axis=0).argmax() == 2


def test_a_channel_is_predicted_from_its_peers_and_not_from_itself() -> None:
    member, series = learnt([coupled("b-1")]), coupled("b-1", 300, seed=3)
    peer_CC = member.coefficients[FLEET]["peer"]
    assert not peer_CC.diagonal().any() and (np.abs(peer_CC) > 0.1).sum() >= 6
    moved = with_values(series, slice(100, 101), 2, series.value_TC[100, 2] + 1.0)
    change_TC = member.residual(moved, FLEET) - member.residual(series, FLEET)
    assert change_TC[100] == pytest.approx(np.eye(C)[2] - peer_CC[:, 2], abs=1e-5)
    later = sorted({int(t) for t in np.flatnonzero(np.nan_to_num(change_TC).any(axis=1))})
    assert later == [100, *(100 + lag for lag in RelationMember.LAGS)]
    assert not change_TC[101:, [0, 1, 3, 4]].any(), "own lags serve the channel alone"


def test_it_agrees_with_a_solver_of_somebody_else() -> None:
    from sklearn.linear_model import Ridge

    train, new = coupled("b-1", 900), coupled("b-1", 300, seed=3)
    member, reach = RelationMember(), max(RelationMember.LAGS)
    member.coefficients[FLEET] = member.solve([member.summarise(train)])

    def design(series: Series) -> np.ndarray:
        value_TC = series.value_TC.astype(np.float64)
        lags = [value_TC[reach - lag : len(value_TC) - lag, 1] for lag in RelationMember.LAGS]
        return np.column_stack([np.delete(value_TC[reach:], 1, axis=1), *lags])

    rows = train.rows - reach
    theirs = Ridge(alpha=RelationMember.PENALTY * rows)
    theirs.fit(design(train), train.value_TC[reach:, 1].astype(np.float64))
    expected_T = new.value_TC[reach:, 1] - theirs.predict(design(new))
    np.testing.assert_allclose(member.residual(new, FLEET)[reach:, 1], expected_T, atol=1e-4)


def test_no_row_is_predicted_before_its_segment_has_the_lags() -> None:
    segment_T = np.repeat([0, 1, 2], [100, 20, 130]).astype(np.int32)
    series, reach = coupled("b-1", 250, segment_T=segment_T), max(RelationMember.LAGS)
    member = learnt([coupled("b-1", 600)])
    assert member.context_rows == reach == 28
    before = member.residual(series, FLEET)
    missing = [*range(reach), *range(100, 120 + reach)]
    assert np.flatnonzero(np.isnan(before).all(axis=1)).tolist() == missing
    after = member.residual(with_values(series, slice(0, 120), 1, 9.0), FLEET)
    np.testing.assert_array_equal(before[120:], after[120:])
    assert member.summarise(series)["gram"][-1, -1] == (100 - reach) + (130 - reach)
    assert not member.summarise(series.rows_between(0, reach))["gram"].any()


def test_a_pooled_fit_is_that_of_the_sum_of_the_grams() -> None:
    member, train = RelationMember(), [coupled(v, 400) for v in ("b-1", "b-2", "b-3")]
    grams = [member.summarise(series) for series in train]
    pooled = member.solve([{"gram": sum(g["gram"] for g in grams)}])
    member.fit("class/b", train, 4)
    for name, value in member.coefficients["class/b"].items():
        np.testing.assert_allclose(value, pooled[name], rtol=1e-9)
    rows = [g["gram"][-1, -1] for g in grams]
    assert rows == [400 - max(RelationMember.LAGS)] * 3


def test_a_broken_sensor_says_no_more_than_the_limit_of_the_others() -> None:
    member, series = learnt([coupled("b-1")]), coupled("b-1", 300, seed=3)
    errors = [
        member.residual(with_values(series, slice(200, 201), 0, value), FLEET)
        for value in (RelationMember.LIMIT, 1e6)
    ]
    np.testing.assert_array_equal(errors[0][:, 1:], errors[1][:, 1:])
    assert errors[1][200, 0] > 1e5, "its own residual is not limited"


@pytest.mark.parametrize("rows", [1, 20, 29, 60])
def test_few_train_rows_still_give_finite_coefficients(rows: int) -> None:
    member = RelationMember()
    [held_out_TC] = member.fit(FLEET, [coupled("b-1", rows)], 4)
    assert held_out_TC.shape == (rows, C)
    assert all(np.isfinite(value).all() for value in member.coefficients[FLEET].values())


def test_the_score_is_the_base_and_what_exceeds_the_bar() -> None:
    series = broken_relation("stuck", coupled("b-1", 1200, seed=3), FAULT, 2)
    base, relation = detector("ridge", "ridge_long"), detector("relation")
    joint = detector("ridge", "ridge_long", "relation")
    base_T, base_TC, _ = base.raw_score(series)
    evidence_T, own_TC, _ = relation.raw_score(series)
    joint_T, joint_TC, left_out = joint.raw_score(series)
    bar = joint.levels["vehicle/b-1"].bar["relation"]
    assert left_out == () and bar > 0
    np.testing.assert_allclose(joint_T, base_T + np.maximum(evidence_T - bar, 0), atol=1e-9)
    silent_T = evidence_T <= bar
    assert 0.3 < silent_T.mean() < 0.95
    np.testing.assert_array_equal(joint_T[silent_T], base_T[silent_T])
    np.testing.assert_array_equal(joint_TC[silent_T], base_TC[silent_T])
    spoken_TC = joint_TC - base_TC
    assert (spoken_TC >= 0).all() and (spoken_TC <= own_TC + 1e-9).all()
    both_T = np.isclose(own_TC.sum(axis=1), evidence_T) & ~silent_T
    assert both_T[INSIDE].any()
    np.testing.assert_allclose(
        spoken_TC.sum(axis=1)[both_T], (evidence_T - bar)[both_T], rtol=1e-6, atol=1e-9
    )


def test_a_bar_below_nought_makes_no_part_larger_than_the_members_own() -> None:
    joint = fitted(make_members(PARAMS.model_copy(update={"members": ["ridge", "relation"]})))
    joint.levels["vehicle/b-1"].bar["relation"] = -5.0
    series = coupled("b-1", 600, seed=3)
    base_TC, own_TC = (detector(name).raw_score(series)[1] for name in ("ridge", "relation"))
    score_T, part_TC, _ = joint.raw_score(series)
    assert (part_TC <= base_TC + own_TC + 1e-9).all() and np.isfinite(score_T).all()


def test_several_that_join_by_excess_share_one_vote() -> None:
    series = broken_relation("stuck", coupled("b-1", 1200, seed=3), FAULT, 2)
    ridge = make_members(PARAMS.model_copy(update={"members": ["ridge"]}))
    twice = [*ridge, RelationMember(weight=3.0), RelationMember("again")]
    ours, once = fitted(twice).raw_score(series), detector("ridge", "relation").raw_score(series)
    np.testing.assert_allclose(ours[0], once[0], atol=1e-9)
    np.testing.assert_allclose(ours[1], once[1], atol=1e-9)


def test_without_a_base_they_are_the_base() -> None:
    alone = detector("relation")
    assert alone.levels["vehicle/b-1"].bar == {}
    series = broken_relation("stuck", coupled("b-1", 1200, seed=3), FAULT, 2)
    scored = alone.score(series)
    assert np.isfinite(scored.score_T).all() and scored.alarm_T[INSIDE].any()
    assert scored.score_T.min() < 0, "evidence in full, not its excess"


def test_where_the_base_has_nothing_to_say_they_take_its_place() -> None:
    joint = fitted(make_members(PARAMS.model_copy(update={"members": ["ridge", "relation"]})))
    for coefficients in joint.members[0].coefficients.values():
        coefficients["lag"] = np.full_like(coefficients["lag"], np.nan)
    series = coupled("b-1", 600, seed=3)
    score_T, _, left_out = joint.raw_score(series)
    assert left_out == ("ridge",)
    np.testing.assert_array_equal(score_T, detector("relation").raw_score(series)[0])


@pytest.mark.parametrize(("vehicle", "level"), [("b-1", "vehicle/b-1"), ("b-9", "class/b")])
def test_the_bar_is_a_quantile_of_held_out_evidence(vehicle: str, level: str) -> None:
    relation = detector("relation")
    held_out = replace(coupled("b-1", seed=2, begin=2000), vehicle=vehicle)
    assert relation.level_of(held_out) == level
    evidence_T, _, _ = relation.raw_score(held_out)
    bar = detector("ridge", "relation").levels[level].bar["relation"]
    assert bar == pytest.approx(np.quantile(evidence_T, BAR_QUANTILE))


@pytest.mark.parametrize(("vehicle", "level"), [("b-9", "class/b"), ("c-1", "fleet")])
def test_a_vehicle_never_seen_has_the_bar_of_its_class_or_the_fleets(
    vehicle: str, level: str
) -> None:
    base, relation, joint = detector("ridge"), detector("relation"), detector("ridge", "relation")
    seen = coupled("b-1", 1200, seed=3)
    series = replace(
        broken_relation("stuck", seen, FAULT, 2), vehicle=vehicle, vehicle_class=vehicle[0]
    )
    assert joint.level_of(series) == level
    excess_T = joint.raw_score(series)[0] - base.raw_score(series)[0]
    bar = joint.levels[level].bar["relation"]
    expected_T = np.maximum(relation.raw_score(series)[0] - bar, 0)
    np.testing.assert_allclose(excess_T, expected_T, atol=1e-9)
    assert expected_T[INSIDE].any()
    assert joint.levels["fleet"].bar != joint.levels["class/b"].bar


def test_what_calibration_rows_show_raises_the_bar_if_there_are_enough_of_them() -> None:
    def bars(rows: int, kind: str | None) -> dict[str, float]:
        calibration = coupled("b-1", rows, seed=2, begin=2000)
        if kind:
            calibration = broken_relation(kind, calibration, slice(100, 250), 2)
        members = make_members(PARAMS.model_copy(update={"members": ["ridge", "relation"]}))
        found = fitted(members, [coupled("b-1", seed=1)], [calibration])
        return {name: level.bar["relation"] for name, level in found.levels.items()}

    clean, wandering = bars(OWN_ROWS, None), bars(OWN_ROWS, "stuck")
    assert set(clean) == {"fleet", "vehicle/b-1"}
    assert all(wandering[name] > clean[name] + 0.5 for name in clean)
    few = bars(OWN_ROWS - 1, None)
    assert few == bars(OWN_ROWS - 1, "stuck"), "then train evidence sets it"
    assert few != clean


def test_the_order_of_the_vehicles_does_not_matter() -> None:
    vehicles = [f"b-{i:02d}" for i in range(20)]
    train = [coupled(v, 200, seed=1) for v in vehicles]
    calibration = [coupled(v, 60, seed=2, begin=200) for v in vehicles]
    members = PARAMS.model_copy(update={"members": ["ridge", "relation"]})
    one = fitted(make_members(members), train, calibration)
    other = fitted(make_members(members), train[::-1], calibration[::-1])
    assert one.levels[FLEET].bar == other.levels[FLEET].bar
    assert one.threshold == other.threshold


def test_bars_are_saved(tmp_path: Path) -> None:
    params = PARAMS.model_copy(update={"members": ["ridge", "ridge_long", "relation"]})
    train = [coupled(v, seed=1) for v in VEHICLES]
    scaler = Scaler.fit(train, fleet_of(), "vehicle")
    ours = Detector(make_members(params), params, fleet_of(), scaler)
    ours.fit(train, [coupled(v, seed=2, begin=2000) for v in VEHICLES])
    ours.save(tmp_path / "one")
    loaded = Detector.load(tmp_path / "one")
    loaded.save(tmp_path / "two")
    for name in ("detector.json", "state.safetensors"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert {n: lv.bar for n, lv in loaded.levels.items()} == {
        n: lv.bar for n, lv in ours.levels.items()
    }
    assert all(set(level.bar) == {"relation"} for level in loaded.levels.values())
    assert loaded.digest() == ours.digest()
    for vehicle in ("b-1", "b-9", "c-1"):
        series = broken_relation("late", coupled(vehicle, 1200, seed=3), FAULT, 2)
        for a, b in zip(ours.raw_score(series)[:2], loaded.raw_score(series)[:2], strict=True):
            np.testing.assert_array_equal(a, b)
    ours.levels["vehicle/b-1"].bar["relation"] += 0.1
    assert ours.digest() != loaded.digest()
