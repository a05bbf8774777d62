"""The combined score of the members' evidence: shares, excess, predictability and the blame."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from detect_kit import combine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amad.detect.combine import (
    EXCESS_WEIGHT,
    LEAST_RANGE_WEIGHT,
    excess_shares,
    kind_weights,
    range_shares,
    shares,
)
from amad.detect.members.member import Member
from amad.detect.predictability import Predictability

T, C = 4, 3
EVEN = 8 / 9  # of the variance explained: both kinds of members weigh the same
Evidence = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Said:
    """What counts of a member, with its threshold."""

    name: str
    weight: float
    between_channels: bool
    threshold: float = 0.0
    predicts: bool = True


weights = st.floats(1e-2, 1e2)
ready = st.floats(-50, 50)


@st.composite
def some_members(draw: st.DrawFn, kinds: tuple[bool, ...] = (False, True)) -> list[Said]:
    """One to three members of each of these kinds, in any order."""
    count = {kind: draw(st.integers(1, 3)) for kind in kinds}
    made = [
        Said(f"{'between' if kind else 'time'}{k}", draw(weights), kind, draw(ready))
        for kind in kinds
        for k in range(count[kind])
    ]
    return draw(st.permutations(made))


@st.composite
def with_ranges(draw: st.DrawFn, predicting: st.SearchStrategy[list[Said]]) -> list[Said]:
    """These members and one to three that do not predict, in any order."""
    ranges = [
        Said(f"range{k}", draw(weights), False, draw(ready), predicts=False)
        for k in range(draw(st.integers(1, 3)))
    ]
    return draw(st.permutations([*draw(predicting), *ranges]))


predicting = st.one_of(some_members(), some_members((False,)), some_members((True,)))
mixed = with_ranges(predicting)
some = st.one_of(predicting, mixed, with_ranges(st.just([])))
part = st.floats(0, 1)


def heard(seed: int, members: list[Said], least: float = -20.0) -> Evidence:
    """Evidence above ``least``; its parts are >= 0 and sum to it where it is >= 0."""
    rng = np.random.default_rng(seed)
    found = {}
    for member in members:
        evidence_T = rng.uniform(least, 40, T)
        share_TC = rng.dirichlet(np.ones(C), T)
        found[member.name] = (evidence_T, share_TC * np.maximum(evidence_T, 0)[:, None])
    return found


def thresholds_of(members: list[Said]) -> dict[str, float]:
    return {m.name: m.threshold for m in members}


def average(members: list[Said], evidence: Evidence, which: int) -> np.ndarray:
    """The weighted mean of some members' evidence (0) or parts (1)."""
    return np.average(
        [evidence[m.name][which] for m in members], axis=0, weights=[m.weight for m in members]
    )


def of_kind(members: list[Said], between: bool) -> list[Said]:
    return [m for m in members if m.predicts and m.between_channels == between]


def limits(members: list[Said], explained: float) -> dict[str, tuple[float, float]]:
    """For each member, by how much the score grows with its evidence, at least and at most."""
    predicted, ranged = kind_weights(members, Predictability(explained))
    least = {
        name: predicted * share
        for name, share in shares(members, Predictability(explained)).items()
    }
    more = {name: predicted * share for name, share in excess_shares(members).items()}
    more |= {name: ranged * share for name, share in range_shares(members).items()}
    return {m.name: (least.get(m.name, 0), least.get(m.name, 0) + more.get(m.name, 0))
            for m in members}  # fmt: skip


def test_a_combined_score_by_hand() -> None:
    members = [Said("ridge", 1.0, False), Said("both", 3.0, False), Said("relation", 0.5, True)]
    evidence = {
        "ridge": (np.array([1.0, 3.0]), np.array([[1.0, 0.0], [0.0, 3.0]])),
        "both": (np.array([1.0, 7.0]), np.array([[0.0, 1.0], [7.0, 0.0]])),
        "relation": (np.array([3.0, 12.0]), np.array([[3.0, 0.0], [6.0, 6.0]])),
    }
    thresholds = {"ridge": 9.0, "both": 3.0, "relation": 4.0}
    score_T, contribution_TC = combine(members, evidence, thresholds, EVEN)
    time, between = 0.75 * 0.75 * (7 - 3), 0.75 * (12 - 4)  # what is beyond the thresholds
    assert score_T == pytest.approx([0.5 * (1 + 3), 0.5 * (6 + 12) + time + between])
    parts = [
        [0.5 * 0.25 + 1.5, 0.5 * 0.75],
        [0.5 * 5.25 + 3 + time + between / 2, 0.5 * 0.75 + 3 + between / 2],
    ]
    np.testing.assert_allclose(contribution_TC, parts)


@given(some_members(), part)
def test_kinds_share_by_what_is_explained_and_members_of_a_kind_by_weight(
    members: list[Said], explained: float
) -> None:
    found = shares(members, Predictability(explained))
    assert set(found) == {m.name for m in members} and sum(found.values()) == pytest.approx(1)
    between = Predictability(explained).between_share
    for kind, whole in ((False, 1 - between), (True, between)):
        own = of_kind(members, kind)
        assert sum(found[m.name] for m in own) == pytest.approx(whole)
        ratios = [found[m.name] / m.weight for m in own]
        assert ratios == pytest.approx([ratios[0]] * len(own))
    excess = excess_shares(members)
    for kind in (False, True):
        assert sum(excess[m.name] for m in of_kind(members, kind)) == pytest.approx(EXCESS_WEIGHT)


@pytest.mark.parametrize("kind", [False, True])
@given(st.data(), st.integers(0, 1000))
def test_one_kind_alone_is_its_mean(kind: bool, data: st.DataObject, seed: int) -> None:
    members = data.draw(some_members((kind,)))
    evidence = heard(seed, members)
    assert (
        sum(shares(members, Predictability(0.5)).values()) == pytest.approx(1)
        and excess_shares(members) == {}
    )
    score_T, contribution_TC = combine(members, evidence, {}, 0.5)  # it needs no threshold
    np.testing.assert_allclose(score_T, average(members, evidence, 0), atol=1e-9)
    np.testing.assert_allclose(contribution_TC, average(members, evidence, 1), atol=1e-9)


@given(some_members(), st.integers(0, 1000), st.sampled_from([0.0, 1.0, np.inf]), part)
def test_below_its_threshold_a_member_gives_its_share_and_nothing_more(
    members: list[Said], seed: int, above: float, explained: float
) -> None:
    evidence, share = heard(seed, members), Predictability(explained).between_share
    threshold = {m.name: evidence[m.name][0].max() + above for m in members}
    for which, found in enumerate(combine(members, evidence, threshold, explained)):
        time, between = (average(of_kind(members, kind), evidence, which) for kind in (False, True))
        np.testing.assert_allclose(found, (1 - share) * time + share * between, atol=1e-9)


@given(some_members(), st.integers(0, 1000), part)
def test_beyond_its_threshold_it_counts_once_more_by_what_it_has_beyond(
    members: list[Said], seed: int, explained: float
) -> None:
    evidence, quiet = heard(seed, members), {m.name: np.inf for m in members}
    more_T = (
        combine(members, evidence, thresholds_of(members), explained)[0]
        - combine(members, evidence, quiet, explained)[0]
    )
    beyond = {m.name: (np.maximum(evidence[m.name][0] - m.threshold, 0), 0) for m in members}
    time, between = (average(of_kind(members, kind), beyond, 0) for kind in (False, True))
    np.testing.assert_allclose(more_T, EXCESS_WEIGHT * (time + between), atol=1e-9)


@given(some, st.integers(0, 1000), part)
def test_parts_are_no_less_than_nought_and_no_more_than_the_members_own(
    members: list[Said], seed: int, explained: float
) -> None:
    evidence = heard(seed, members)
    score_T, contribution_TC = combine(members, evidence, thresholds_of(members), explained)
    assert np.isfinite(score_T).all() and (contribution_TC >= 0).all()
    most_TC = sum(most * evidence[n][1] for n, (_, most) in limits(members, explained).items())
    assert (contribution_TC <= most_TC + 1e-9).all(), "whatever the threshold"


@given(some, st.integers(0, 1000), part)
def test_where_contributions_sum_to_the_evidence_they_sum_to_the_combined_score(
    members: list[Said], seed: int, explained: float
) -> None:
    members = [replace(m, threshold=abs(m.threshold)) for m in members]
    score_T, contribution_TC = combine(
        members, heard(seed, members, least=0.0), thresholds_of(members), explained
    )
    np.testing.assert_allclose(contribution_TC.sum(axis=1), score_T, atol=1e-9)


@given(
    some,
    st.integers(0, 1000),
    arrays(np.float64, T, elements=st.floats(0, 30)),
    st.integers(0, 8),
    part,
)
def test_the_score_grows_with_the_evidence_of_each(
    members: list[Said], seed: int, more_T: np.ndarray, which: int, explained: float
) -> None:
    evidence, name = heard(seed, members), members[which % len(members)].name
    score_T, _ = combine(members, evidence, thresholds_of(members), explained)
    own_T, own_TC = evidence[name]
    grown_T, _ = combine(
        members, evidence | {name: (own_T + more_T, own_TC)}, thresholds_of(members), explained
    )
    least, most = limits(members, explained)[name]
    assert (grown_T - score_T >= least * more_T - 1e-9).all()
    assert (grown_T - score_T <= most * more_T + 1e-9).all()


@given(some, st.integers(0, 1000), weights, weights, weights, part)
def test_weights_scale_nothing(
    members: list[Said], seed: int, time: float, between: float, ranges: float, explained: float
) -> None:
    evidence = heard(seed, members)
    factor = {(True, False): time, (True, True): between, (False, False): ranges}
    scaled = [replace(m, weight=m.weight * factor[m.predicts, m.between_channels]) for m in members]
    found = (
        combine(members, evidence, thresholds_of(members), explained)
        for members in (members, scaled)
    )
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@given(st.one_of(some_members(), mixed), st.integers(0, 1000))
def test_neither_the_order_nor_who_is_silent_matters_and_nothing_is_changed(
    members: list[Said], seed: int
) -> None:
    evidence = heard(seed, members)
    kept = {name: (a.copy(), b.copy()) for name, (a, b) in evidence.items()}
    ours = combine(members, evidence, thresholds_of(members), 0.4)
    for turned in (members[::-1], members[1:] + members[:1]):
        others = evidence | {"not there": (np.full(T, np.nan), np.full((T, C), np.nan))}
        thresholds = thresholds_of(turned) | {"not there": 0.0}
        for a, b in zip(ours, combine(turned, others, thresholds, 0.4), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    for name, both in evidence.items():
        for a, b in zip(both, kept[name], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_combined_score_with_window_ranges_by_hand() -> None:
    members = [
        Said("ridge", 1.0, False),
        Said("relation", 1.0, True),
        Said("range_16", 1.0, False, predicts=False),
        Said("range_64", 3.0, False, predicts=False),
    ]
    evidence = {
        "ridge": (np.array([3.0, 3.0]), np.array([[3.0, 0.0], [0.0, 3.0]])),
        "relation": (np.array([6.0, 6.0]), np.array([[6.0, 0.0], [0.0, 6.0]])),
        "range_16": (np.array([1.0, 10.0]), np.array([[1.0, 0.0], [10.0, 0.0]])),
        "range_64": (np.array([1.0, 4.0]), np.array([[0.0, 1.0], [0.0, 4.0]])),
    }
    thresholds = {"ridge": 2.0, "relation": 4.0, "range_16": 2.0, "range_64": 2.0}
    for explained, between, ranged in ((0.8, 1 / 65, 0.3), (EVEN, 0.5, 0.3), (0.2, 0.0, 0.8)):
        predicted = (1 - between) * 3 + between * 6 + 0.75 * ((3 - 2) + (6 - 4))
        score_T, contribution_TC = combine(members, evidence, thresholds, explained)
        own = explained * predicted
        assert score_T == pytest.approx([own, own + ranged * (8 / 4 + 2 * 3 / 4)])
        np.testing.assert_allclose(
            contribution_TC, [[own, 0.0], [ranged * 8 / 4, own + ranged * 2 * 3 / 4]]
        )


@given(mixed, st.integers(0, 1000), part)
def test_it_is_the_weighted_sum_of_the_score_without_ranges_and_the_mean_excess_of_ranges(
    members: list[Said], seed: int, explained: float
) -> None:
    evidence = heard(seed, members)
    predicted, ranged = kind_weights(members, Predictability(explained))
    others, ranges = ([m for m in members if m.predicts == kind] for kind in (True, False))
    excess = {m.name: (np.maximum(evidence[m.name][0] - m.threshold, 0), 0) for m in ranges}
    without_T, without_TC = combine(others, evidence, thresholds_of(others), explained)
    score_T, contribution_TC = combine(members, evidence, thresholds_of(members), explained)
    expected_T = predicted * without_T + ranged * average(ranges, excess, 0)
    np.testing.assert_allclose(score_T, expected_T, atol=1e-9)
    assert (contribution_TC >= predicted * without_TC - 1e-9).all()


@given(mixed, st.integers(0, 1000))
def test_a_range_that_train_rows_keep_adds_nothing(members: list[Said], seed: int) -> None:
    evidence = heard(seed, members)
    threshold = {m.name: evidence[m.name][0].max() for m in members if not m.predicts}
    others = [m for m in members if m.predicts]
    found = combine(members, evidence, thresholds_of(others) | threshold, 0.5)
    without = combine(others, evidence, thresholds_of(others), 0.5)
    for ours, theirs in zip(found, without, strict=True):
        np.testing.assert_allclose(ours, theirs / 2, atol=1e-9)


def test_only_the_excess_of_window_ranges_fades() -> None:
    members = [Said("ridge", 1.0, False), Said("range_16", 1.0, False, predicts=False)]
    evidence = {
        "ridge": (np.array([3.0, 3.0]), np.array([[3.0, 0.0], [3.0, 0.0]])),
        "range_16": (np.array([6.0, 2.0]), np.array([[0.0, 6.0], [0.0, 2.0]])),
    }
    fade = lambda name, weight, excess_T: excess_T - 1.0  # noqa: E731
    score_T, contribution_TC = combine(members, evidence, {"range_16": 2.0}, 0.5, fade=fade)
    assert score_T == pytest.approx([0.5 * 3 + 0.5 * (4 - 1), 0.5 * 3 - 0.5 * 1])
    np.testing.assert_allclose(contribution_TC, [[1.5, 1.5], [1.5, 0.0]])


@given(predicting, part)
def test_without_range_members_nothing_is_weighed(members: list[Said], explained: float) -> None:
    assert (
        kind_weights(members, Predictability(explained)) == (1.0, 0.0)
        and range_shares(members) == {}
    )


@given(with_ranges(st.just([])), part)
def test_range_members_alone_have_the_whole_weight(members: list[Said], explained: float) -> None:
    assert kind_weights(members, Predictability(explained)) == (0.0, 1.0)
    assert shares(members, Predictability(explained)) == {} == excess_shares(members)
    assert sum(range_shares(members).values()) == pytest.approx(1)
    assert range_shares(members).keys() == {m.name for m in members}


@given(mixed, part, part)
def test_the_more_is_explained_the_less_ranges_count(
    members: list[Said], one: float, other: float
) -> None:
    less, more = sorted([one, other])
    (_, ranged), (_, ranged_less) = (
        kind_weights(members, Predictability(at)) for at in (less, more)
    )
    assert LEAST_RANGE_WEIGHT <= ranged_less <= ranged <= 1.0
    assert kind_weights(members, Predictability(less))[0] == less
    found = [kind_weights(members, Predictability(at)) for at in (0.0, 0.5, 0.7, 0.9, 1.0)]
    assert [one for one, _ in found] == [0.0, 0.5, 0.7, 0.9, 1.0]
    assert [other for _, other in found] == pytest.approx([1.0, 0.5, 0.3, 0.3, 0.3])


def test_noise_about_a_level_leaves_the_ranges_their_least_weight() -> None:
    members = [Said("ridge", 1.0, False), Said("range", 1.0, False, predicts=False)]
    assert kind_weights(members, Predictability(0.1, 0.0)) == pytest.approx((0.1, 0.9))
    assert kind_weights(members, Predictability(0.1, 0.5)) == pytest.approx((0.55, 0.45))
    assert kind_weights(members, Predictability(0.1, 1.0)) == (1.0, LEAST_RANGE_WEIGHT)
    mixed = Predictability(0.2, 0.8, 0.0).towards(Predictability(0.6, 0.4, 1.0), 0.75)
    assert mixed == pytest.approx((0.3, 0.7, 0.25))


def test_members_of_a_detector_have_their_shares() -> None:
    from amad.detect.members.member import RidgeMember
    from amad.detect.members.relation import RelationMember
    from amad.detect.members.window_range import WindowRangeMember

    members: list[Member] = [RidgeMember("ridge", [1]), RelationMember(weight=7.0)]
    for some in (members, [*members, WindowRangeMember(16), WindowRangeMember(64)]):
        assert shares(some, Predictability(EVEN)) == pytest.approx({"ridge": 0.5, "relation": 0.5})
        assert excess_shares(some) == {"ridge": EXCESS_WEIGHT, "relation": EXCESS_WEIGHT}
    assert range_shares(some) == {"window_range_16": 0.5, "window_range_64": 0.5}
    assert kind_weights(some, Predictability(0.5)) == (0.5, 0.5)
