"""The combined score of several members' evidence: its shares, its excess, and whom it blames."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amad.detect.combine import TIME_SHARE, combine, excess_shares, shares
from amad.detect.members import Member

T, C = 4, 3
Evidence = dict[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Said:
    """What counts of a member, with its threshold."""

    name: str
    weight: float
    between_channels: bool
    threshold: float = 0.0


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


some = st.one_of(some_members(), some_members((False,)), some_members((True,)))


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
    return {m.name: m.threshold for m in members if m.between_channels}


def average(members: list[Said], evidence: Evidence, which: int) -> np.ndarray:
    """The weighted mean of some members' evidence (0) or parts (1)."""
    return np.average(
        [evidence[m.name][which] for m in members], axis=0, weights=[m.weight for m in members]
    )


def of_kind(members: list[Said], between: bool) -> list[Said]:
    return [m for m in members if m.between_channels == between]


def test_a_combined_score_by_hand() -> None:
    members = [Said("ridge", 1.0, False), Said("both", 3.0, False), Said("relation", 0.5, True)]
    evidence = {
        "ridge": (np.array([1.0, 3.0]), np.array([[1.0, 0.0], [0.0, 3.0]])),
        "both": (np.array([1.0, 7.0]), np.array([[0.0, 1.0], [7.0, 0.0]])),
        "relation": (np.array([3.0, 12.0]), np.array([[3.0, 0.0], [6.0, 6.0]])),
    }
    score_T, contribution_TC = combine(members, evidence, {"relation": 4.0})
    assert score_T == pytest.approx([2 / 3 * 1 + 1, 2 / 3 * 6 + 4 + (12 - 4)])
    parts = [[2 / 3 * 0.25 + 1, 2 / 3 * 0.75], [2 / 3 * 5.25 + 2 + 4, 2 / 3 * 0.75 + 2 + 4]]
    np.testing.assert_allclose(contribution_TC, parts)


@given(some_members())
def test_kinds_share_two_to_one_and_members_of_a_kind_by_weight(members: list[Said]) -> None:
    found = shares(members)
    assert set(found) == {m.name for m in members} and sum(found.values()) == pytest.approx(1)
    for kind, whole in ((False, 2 / 3), (True, 1 / 3)):
        own = of_kind(members, kind)
        assert sum(found[m.name] for m in own) == pytest.approx(whole)
        ratios = [found[m.name] / m.weight for m in own]
        assert ratios == pytest.approx([ratios[0]] * len(own))
    excess = excess_shares(members)
    assert set(excess) == {m.name for m in of_kind(members, True)}
    assert sum(excess.values()) == pytest.approx(1)


@pytest.mark.parametrize("kind", [False, True])
@given(st.data(), st.integers(0, 1000))
def test_one_kind_alone_is_its_mean(kind: bool, data: st.DataObject, seed: int) -> None:
    members = data.draw(some_members((kind,)))
    evidence = heard(seed, members)
    assert sum(shares(members).values()) == pytest.approx(1) and excess_shares(members) == {}
    score_T, contribution_TC = combine(members, evidence, {})  # it needs no threshold
    np.testing.assert_allclose(score_T, average(members, evidence, 0), atol=1e-9)
    np.testing.assert_allclose(contribution_TC, average(members, evidence, 1), atol=1e-9)


@given(some_members(), st.integers(0, 1000), st.sampled_from([0.0, 1.0, np.inf]))
def test_below_its_bar_a_member_gives_its_third_and_nothing_more(
    members: list[Said], seed: int, above: float
) -> None:
    evidence = heard(seed, members)
    threshold = {m.name: evidence[m.name][0].max() + above for m in of_kind(members, True)}
    for which, found in enumerate(combine(members, evidence, threshold)):
        time, between = (average(of_kind(members, kind), evidence, which) for kind in (False, True))
        np.testing.assert_allclose(found, 2 / 3 * time + 1 / 3 * between, atol=1e-9)


@given(some_members(), st.integers(0, 1000))
def test_beyond_its_bar_it_counts_once_more_by_what_it_has_beyond(
    members: list[Said], seed: int
) -> None:
    evidence, quiet = heard(seed, members), {m.name: np.inf for m in members}
    more_T = (
        combine(members, evidence, thresholds_of(members))[0] - combine(members, evidence, quiet)[0]
    )
    between = of_kind(members, True)
    beyond = {m.name: (np.maximum(evidence[m.name][0] - m.threshold, 0), 0) for m in between}
    np.testing.assert_allclose(more_T, average(between, beyond, 0), atol=1e-9)


@given(some, st.integers(0, 1000))
def test_parts_are_no_less_than_nought_and_no_more_than_the_members_own(
    members: list[Said], seed: int
) -> None:
    evidence = heard(seed, members)
    score_T, contribution_TC = combine(members, evidence, thresholds_of(members))
    assert np.isfinite(score_T).all() and (contribution_TC >= 0).all()
    most_TC = sum(share * evidence[name][1] for name, share in shares(members).items())
    most_TC += sum(share * evidence[name][1] for name, share in excess_shares(members).items())
    assert (contribution_TC <= most_TC + 1e-9).all(), "whatever the threshold"


@given(some, st.integers(0, 1000))
def test_where_contributions_sum_to_the_evidence_they_sum_to_the_combined_score(
    members: list[Said], seed: int
) -> None:
    members = [replace(m, threshold=abs(m.threshold)) for m in members]
    score_T, contribution_TC = combine(
        members, heard(seed, members, least=0.0), thresholds_of(members)
    )
    np.testing.assert_allclose(contribution_TC.sum(axis=1), score_T, atol=1e-9)


@given(
    some,
    st.integers(0, 1000),
    arrays(np.float64, T, elements=st.floats(0, 30)),
    st.integers(0, 5),
)
def test_the_score_grows_with_the_evidence_of_each(
    members: list[Said], seed: int, more_T: np.ndarray, which: int
) -> None:
    evidence, name = heard(seed, members), members[which % len(members)].name
    score_T, _ = combine(members, evidence, thresholds_of(members))
    own_T, own_TC = evidence[name]
    grown_T, _ = combine(
        members, evidence | {name: (own_T + more_T, own_TC)}, thresholds_of(members)
    )
    least = shares(members)[name]
    most = least + excess_shares(members).get(name, 0.0)
    assert (grown_T - score_T >= least * more_T - 1e-9).all()
    assert (grown_T - score_T <= most * more_T + 1e-9).all()


@given(some, st.integers(0, 1000), weights, weights)
def test_weights_scale_nothing(members: list[Said], seed: int, time: float, between: float) -> None:
    evidence = heard(seed, members)
    scaled = [
        replace(m, weight=m.weight * (between if m.between_channels else time)) for m in members
    ]
    found = (combine(members, evidence, thresholds_of(members)) for members in (members, scaled))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


@given(some_members(), st.integers(0, 1000))
def test_neither_the_order_nor_who_is_silent_matters_and_nothing_is_changed(
    members: list[Said], seed: int
) -> None:
    evidence = heard(seed, members)
    kept = {name: (a.copy(), b.copy()) for name, (a, b) in evidence.items()}
    ours = combine(members, evidence, thresholds_of(members))
    for turned in (members[::-1], members[1:] + members[:1]):
        others = evidence | {"not there": (np.full(T, np.nan), np.full((T, C), np.nan))}
        for a, b in zip(
            ours, combine(turned, others, thresholds_of(turned) | {"not there": 0.0}), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    for name, both in evidence.items():
        for a, b in zip(both, kept[name], strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_member_of_a_detector_is_a_voice() -> None:
    from amad.detect.members import RidgeMember
    from amad.detect.relation import RelationMember

    members: list[Member] = [RidgeMember("ridge", [1]), RelationMember(weight=7.0)]
    assert shares(members) == pytest.approx({"ridge": TIME_SHARE, "relation": 1 - TIME_SHARE})
    assert excess_shares(members) == {"relation": 1.0}
