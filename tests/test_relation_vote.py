"""What a member between channels adds to the score: a vote, and evidence above a threshold."""

from dataclasses import replace

import numpy as np
import pytest
from detect_kit import broken_relation, coupled
from relation_kit import FAULT, INSIDE, combined_of, detector, fitted, members_of

from amad.detect.combine import EXCESS_QUANTILE, EXCESS_WEIGHT
from amad.detect.learnt_figures import FLEET, SHORT_ROWS
from amad.detect.members.relation import RelationMember
from amad.windows.series import Series


def test_the_score_is_the_share_of_each_kind_and_what_exceeds_their_thresholds() -> None:
    series = broken_relation("stuck", coupled("b-1", 1200, seed=3), FAULT, 2)
    time, relation = detector("ridge"), detector("relation")
    combined = detector("ridge", "relation")
    figures = combined.figures["vehicle/b-1"]
    share, threshold = figures.predictability.between_share, figures.excess_threshold
    assert 0 < share < 1 and min(threshold.values()) > 0
    combined_T, combined_TC, left_out = combined.raw_score(series)
    expected_T, expected_TC, most_TC = (np.zeros(1) for _ in range(3))
    for alone, weight, more in ((time, 1 - share, EXCESS_WEIGHT), (relation, share, EXCESS_WEIGHT)):
        evidence_T, own_TC, _ = alone.raw_score(series)
        beyond_T = np.maximum(evidence_T - threshold[alone.members[0].name], 0)
        expected_T = expected_T + weight * evidence_T + more * beyond_T
        expected_TC = expected_TC + weight * own_TC
        most_TC = most_TC + more * own_TC
        assert 0 < (beyond_T > 0).mean() < 0.7
    assert left_out == ()
    np.testing.assert_allclose(combined_T, expected_T, atol=1e-9)
    spoken_TC = combined_TC - expected_TC
    assert (spoken_TC >= -1e-6).all() and (spoken_TC <= most_TC + 1e-6).all()
    assert spoken_TC[INSIDE].max() > 1


def test_a_negative_threshold_makes_no_contribution_larger_than_the_members_own() -> None:
    combined = fitted(members_of("ridge", "relation"))
    figures = combined.figures["vehicle/b-1"]
    figures.excess_threshold.update(relation=-5.0, ridge=np.inf)
    share = figures.predictability.between_share
    series = coupled("b-1", 600, seed=3)
    time_TC, own_TC = (detector(name).raw_score(series)[1] for name in ("ridge", "relation"))
    score_T, contribution_TC, _ = combined.raw_score(series)
    np.testing.assert_allclose(
        contribution_TC, (1 - share) * time_TC + (EXCESS_WEIGHT + share) * own_TC, atol=1e-9
    )
    assert np.isfinite(score_T).all()


def test_an_offset_against_firm_relations_is_heard_where_the_past_explains_half() -> None:
    """Rows are so far apart that a channel's last row tells little, and its partners tell much."""

    def slow(rows: int, seed: int) -> Series:
        rng, series = np.random.default_rng(seed), coupled("b-1", rows)
        shared_T = np.convolve(rng.normal(size=rows + 3), np.ones(4) / 2, "valid")
        return series.with_values(shared_T[:, None] + 0.3 * rng.normal(size=series.value_TC.shape))

    model = fitted(members_of("ridge", "relation"), [slow(4000, 1)], [slow(2000, 2)])
    predictability = model.figures["vehicle/b-1"].predictability
    assert 0.4 < predictability.explained < 0.8 and predictability.firm > 0.8
    seen = slow(1500, 3)
    value_TC = seen.value_TC.copy()
    value_TC[FAULT, 2] += 0.5
    score_T = model.raw_score(seen.with_values(value_TC))[0]
    healthy = np.r_[0:500, 900:1500]
    assert np.median(score_T[INSIDE]) > np.quantile(score_T[healthy], 0.99)


def test_several_between_channels_share_one_vote() -> None:
    series = broken_relation("stuck", coupled("b-1", 1200, seed=3), FAULT, 2)
    twice = [*members_of("ridge"), RelationMember(weight=3.0), RelationMember("again")]
    both, other = fitted(twice), detector("ridge", "relation")
    for owner, figures in both.figures.items():  # two of three members say what is explained
        both.figures[owner] = replace(figures, predictability=other.figures[owner].predictability)
    ours, once = both.raw_score(series), other.raw_score(series)
    np.testing.assert_allclose(ours[0], once[0], atol=1e-9)
    np.testing.assert_allclose(ours[1], once[1], atol=1e-9)


def test_alone_its_evidence_is_the_score() -> None:
    alone = detector("relation")
    assert all(figures.excess_threshold == {} for figures in alone.figures.values())
    series = broken_relation("stuck", coupled("b-1", 1200, seed=3), FAULT, 2)
    scored = alone.score(series)
    assert np.isfinite(scored.score_T).all() and scored.alarm_T[INSIDE].any()
    assert scored.score_T.min() < 0, "evidence in full, not its excess"


@pytest.mark.parametrize(("silent", "other"), [(0, "relation"), (1, "ridge")])
def test_where_one_kind_has_nothing_to_say_the_other_is_the_score(silent: int, other: str) -> None:
    combined = fitted(members_of("ridge", "relation"))
    member = combined.members[silent]
    for coefficients in member.coefficients.values():
        for name, value in coefficients.items():
            if name != "pairs":
                coefficients[name] = np.full_like(value, np.nan)
    series = coupled("b-1", 600, seed=3)
    score_T, contribution_TC, left_out = combined.raw_score(series)
    assert left_out == (member.name,)
    alone_T, alone_TC, _ = detector(other).raw_score(series)
    np.testing.assert_array_equal(score_T, alone_T)
    np.testing.assert_array_equal(contribution_TC, alone_TC)


@pytest.mark.parametrize(("vehicle", "owner"), [("b-1", "vehicle/b-1"), ("b-9", "class/b")])
def test_the_threshold_is_a_quantile_of_held_out_evidence(vehicle: str, owner: str) -> None:
    relation = detector("relation")
    held_out = replace(coupled("b-1", seed=2, begin=2000), vehicle=vehicle)
    assert relation.owner_of(held_out) == owner
    threshold = detector("ridge", "relation").figures[owner].excess_threshold["relation"]
    expected = np.quantile(combined_of(relation, held_out), EXCESS_QUANTILE)
    assert threshold == pytest.approx(expected)


@pytest.mark.parametrize(("vehicle", "owner"), [("b-9", "class/b"), ("c-1", "fleet")])
def test_an_unknown_vehicle_has_the_threshold_of_its_class_or_the_fleets(
    vehicle: str, owner: str
) -> None:
    time, relation, combined = (
        detector("ridge"),
        detector("relation"),
        detector("ridge", "relation"),
    )
    seen = coupled("b-1", 1200, seed=3)
    series = replace(
        broken_relation("stuck", seen, FAULT, 2), vehicle=vehicle, vehicle_class=vehicle[0]
    )
    assert combined.owner_of(series) == owner
    time_T, evidence_T = combined_of(time, series), combined_of(relation, series)
    figures = combined.figures[owner]
    share, threshold = figures.predictability.between_share, figures.excess_threshold
    excess_T = np.maximum(evidence_T - threshold["relation"], 0)
    more_T = EXCESS_WEIGHT * (excess_T + np.maximum(time_T - threshold["ridge"], 0))
    expected_T = (1 - share) * time_T + share * evidence_T + more_T
    np.testing.assert_allclose(combined_of(combined, series), expected_T, atol=1e-9)
    assert excess_T[INSIDE].any()
    assert (
        combined.figures["fleet"].excess_threshold != combined.figures["class/b"].excess_threshold
    )


def test_what_calibration_rows_show_raises_the_threshold_if_there_are_enough_of_them() -> None:
    def thresholds(rows: int, kind: str | None) -> dict[str, float]:
        calibration = coupled("b-1", rows, seed=2, begin=2000)
        if kind:
            calibration = broken_relation(kind, calibration, slice(rows // 5, rows // 2), 2)
        found = fitted(members_of("ridge", "relation"), [coupled("b-1", seed=1)], [calibration])
        return {
            name: figures.excess_threshold["relation"] for name, figures in found.figures.items()
        }

    clean, wandering = thresholds(500, None), thresholds(500, "stuck")
    assert set(clean) == {"fleet", "vehicle/b-1"}
    assert all(wandering[name] > clean[name] + 0.5 for name in clean)
    enough, spoilt = thresholds(SHORT_ROWS, None), thresholds(SHORT_ROWS, "stuck")
    assert all(spoilt[name] != enough[name] for name in clean)
    few = thresholds(SHORT_ROWS - 1, None)
    assert few == thresholds(SHORT_ROWS - 1, "stuck"), "then train evidence sets it"
    assert few != clean and few != enough


def test_the_order_of_the_vehicles_does_not_matter() -> None:
    vehicles = [f"b-{i:02d}" for i in range(20)]
    train = [coupled(v, 200, seed=1) for v in vehicles]
    calibration = [coupled(v, 60, seed=2, begin=200) for v in vehicles]
    one = fitted(members_of("ridge", "relation"), train, calibration)
    other = fitted(members_of("ridge", "relation"), train[::-1], calibration[::-1])
    assert one.figures[FLEET].excess_threshold == other.figures[FLEET].excess_threshold
    assert one.threshold == other.threshold
