"""The relation member, and how a detector takes in members between channels."""

from dataclasses import replace

import numpy as np
import pytest
from detect_kit import C, broken_relation, coupled, with_values
from relation_kit import (
    FAULT,
    INSIDE,
    PAIRS,
    detector,
    fitted,
    held,
    learnt,
    members_of,
    products,
)

from amad.detect.combine import EXCESS_QUANTILE
from amad.detect.learnt_figures import FLEET
from amad.detect.members.member import cut, without_each
from amad.detect.members.relation import RelationMember, silent_rows, squared_error
from amad.windows.series import Series

LEARNT = {"peer", "own", "pairs", "product", "constant", "patience"}
FORMS = pytest.mark.parametrize("trailing", [False, True], ids=["two-sided", "trailing"])


@pytest.mark.parametrize("smoothing", ["centred", "trailing"])
@pytest.mark.parametrize("kind", ["stuck", "late", "decoupled"])
def test_it_finds_what_the_own_past_does_not_and_names_the_channel(
    kind: str, smoothing: str
) -> None:
    past, relation, both = (
        detector(*names, smoothing=smoothing)
        for names in (["ridge"], ["relation"], ["ridge", "relation"])
    )
    series = broken_relation(kind, coupled("b-1", 1200, seed=3), FAULT, 2)
    quiet_T = past.score(coupled("b-1", seed=2)).score_T
    past_T = past.score(series).score_T[INSIDE]
    assert np.median(past_T) < np.quantile(quiet_T, EXCESS_QUANTILE)
    scored, combined = relation.score(series), both.score(series)
    threshold = both.figures["vehicle/b-1"].excess_threshold["relation"]
    assert (scored.score_T[INSIDE] > threshold).mean() > 0.9
    assert (
        combined.alarm_T[INSIDE].mean() > 0.5 > 0.2 > combined.alarm_T[: FAULT.start - 100].mean()
    )
    assert combined.score_T[INSIDE].mean() > past_T.mean() + 0.5
    for found in (scored, combined):
        assert found.contribution_TC[INSIDE].mean(axis=0).argmax() == 2


@FORMS
def test_a_channel_is_predicted_from_its_peers_nearby_and_from_itself_far_away(
    trailing: bool,
) -> None:
    member, series = learnt([coupled("b-1")], trailing=trailing), coupled("b-1", 300, seed=3)
    assert 0 in member.near and max(map(abs, member.near)) < 10 <= min(map(abs, member.distant))
    peer_NCC, own_CK = (member.coefficients[FLEET][name] for name in ("peer", "own"))
    product_CQ = member.coefficients[FLEET]["product"]
    assert peer_NCC.shape == (len(member.near), C, C) and own_CK.shape == (C, len(member.distant))
    assert product_CQ.shape == (C, len(PAIRS))
    assert not np.einsum("ncc->nc", peer_NCC).any() and (np.abs(peer_NCC) > 0.1).sum() >= 6
    assert (np.abs(peer_NCC).max(axis=(1, 2)) > 1e-3).all() and own_CK.all()
    moved = with_values(series, slice(100, 101), 2, series.value_TC[100, 2] + 1.0)
    change_TC = member.residual(moved, FLEET) - member.residual(series, FLEET)
    expected_TC = np.zeros((300, C))
    expected_TC[100, 2] = 1.0
    for n, offset in enumerate(member.near):
        expected_TC[100 + offset] -= peer_NCC[n, :, 2]
    for k, offset in enumerate(member.distant):
        expected_TC[100 + offset, 2] -= own_CK[2, k]
    at = slice(100, 101)
    expected_TC[at] -= (products(moved.value_TC[at]) - products(series.value_TC[at])) @ product_CQ.T
    within = slice(member.reach_rows, 300 - member.lookahead_rows)
    np.testing.assert_allclose(change_TC[within], expected_TC[within], atol=1e-5)
    nearby_T = np.abs(np.arange(300) - 100) < 10
    nearby_T[100] = False
    assert not change_TC[nearby_T, 2].any(), "a stuck or late sensor agrees with its own rows there"
    assert not np.nan_to_num(change_TC[expected_TC == 0]).any()


@pytest.mark.parametrize("form", ["two-sided", "trailing", "wide"])
def test_it_agrees_with_a_solver_of_somebody_else(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.linear_model import Ridge

    if form == "wide":
        monkeypatch.setattr(RelationMember, "WIDE", C - 1)
    back, distant = {
        "two-sided": ((-8, -4, -2, -1, 0, 1, 2, 4, 8), (-28, -22, -16, -10, 10, 16, 22, 28)),
        "trailing": ((0, 1, 2, 4, 8), (10, 13, 16, 19, 22, 25, 28)),
        "wide": ((0,), (-28, -22, -16, -10, 10, 16, 22, 28)),
    }[form]
    train, new = coupled("b-1", 900), coupled("b-1", 300, seed=3)
    member = RelationMember(trailing=form == "trailing")
    member.pairs_2Q = np.array(PAIRS).T
    member.coefficients[FLEET] = member.solve([member.summarise(train)])

    def rows(series: Series) -> slice:
        return slice(28, series.rows - (0 if form == "trailing" else 28))

    def design(series: Series) -> np.ndarray:
        at_T = np.arange(series.rows)[rows(series)]
        value_TC = series.value_TC.astype(np.float64)
        peers = [np.delete(value_TC[at_T - offset], 1, axis=1) for offset in back]
        own = [value_TC[at_T - offset, 1] for offset in distant]
        foreign = [p for p, pair in enumerate(PAIRS) if 1 not in pair]
        return np.column_stack([*peers, *own, products(value_TC[at_T])[:, foreign]])

    theirs = Ridge(alpha=RelationMember.PENALTIES[0])
    theirs.fit(design(train), train.value_TC[rows(train), 1].astype(np.float64))
    expected_T = new.value_TC[rows(new), 1] - theirs.predict(design(new))
    found_T = member.residual(new, FLEET)[:, 1]
    np.testing.assert_allclose(found_T[rows(new)], expected_T, atol=1e-4)
    assert np.isfinite(found_T).sum() == len(expected_T), "and nowhere else"


@pytest.mark.parametrize(
    ("noise", "expected"), [(0.01, 6.25), (0.2, 25.0), (100.0, 400.0)],
    ids=["exact", "tight", "none"],
)  # fmt: skip
def test_the_tighter_the_relations_the_lower_the_penalty(noise: float, expected: float) -> None:
    rng = np.random.default_rng(0)
    value_TC = rng.normal(size=(1200, 2)) @ rng.normal(size=(2, C))
    value_TC += noise * rng.normal(size=(1200, C))
    series = coupled("b-1", 1200)
    train = series.with_values((value_TC / value_TC.std(axis=0)).astype(np.float32))
    member = RelationMember()
    folds = [[member.summarise(piece)] for piece in cut(train, 4)]
    whole, others = member.solve_folds(folds, [])
    rests = without_each(folds, [])
    every = [summary for fold in folds for summary in fold]
    for found, summaries in ((whole, every), *zip(others, rests, strict=True)):
        for name, wanted in member.solve(summaries, expected).items():
            np.testing.assert_array_equal(found[name], wanted, name)


def test_a_single_fold_chooses_no_penalty() -> None:
    member, train = RelationMember(), coupled("b-1", 900)
    summary = member.summarise(train)
    whole, others = member.solve_folds([[summary]], [])
    assert not others
    np.testing.assert_array_equal(whole["peer"], member.solve([summary], 400.0)["peer"])


def test_the_error_of_held_out_rows_is_that_of_the_predictions() -> None:
    train, new = coupled("b-1", 900), coupled("b-1", 300, seed=3)
    member = RelationMember()
    member.pairs_2Q = np.array(PAIRS).T
    summaries = [member.summarise(train)]
    member.coefficients[FLEET] = member.solve(summaries, 25.0)
    known = np.nansum(np.square(member.residual(new, FLEET), dtype=np.float64))
    found = squared_error(member.coefficients_of(summaries, 25.0), member.summarise(new)["gram"])
    assert found == pytest.approx(known, rel=1e-4)


def test_it_tells_what_it_leaves_out_where_there_are_many_channels() -> None:
    assert RelationMember.left_out(96) == ""
    text = RelationMember.left_out(97)
    assert "97 channels" in text and "no rows around a row" in text


def test_only_more_channels_than_are_wide_are_cut_to_the_same_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert RelationMember.WIDE == 96
    for wide, near in ((C, len(RelationMember.NEAR)), (C - 1, 1)):
        monkeypatch.setattr(RelationMember, "WIDE", wide)
        member = learnt([coupled("b-1", 300)])
        assert member.coefficients[FLEET]["peer"].shape == (near, C, C)
        columns = C * (near + len(RelationMember.DISTANT) + 1) + len(PAIRS) + 1
        assert member.summarise(coupled("b-1", 300))["gram"].shape == (columns, columns)


@FORMS
def test_nothing_beyond_a_segment_is_touched_on_either_side(trailing: bool) -> None:
    segment_T = np.repeat([0, 1, 2], [100, 20, 130]).astype(np.int32)
    series = coupled("b-1", 250, segment_T=segment_T)
    member = learnt([coupled("b-1", 600)], trailing=trailing)
    ahead = member.lookahead_rows
    assert member.reach_rows == 28 and ahead == (0 if trailing else 28)
    before = member.residual(series, FLEET)
    known = [*range(28, 100 - ahead), *range(148, 250 - ahead)]
    assert np.flatnonzero(np.isfinite(before).all(axis=1)).tolist() == known
    assert np.flatnonzero(np.isfinite(before).any(axis=1)).tolist() == known
    for changed, kept in (((0, 120), (120, 250)), ((100, 250), (0, 100))):
        after = member.residual(with_values(series, slice(*changed), 1, 9.0), FLEET)
        np.testing.assert_array_equal(before[slice(*kept)], after[slice(*kept)])
    spoilt = series.with_values(series.value_TC.copy())
    spoilt.value_TC[100:120] = 9.0  # too short to hold a row with all its offsets
    for one, other in zip(*(member.summarise(s).values() for s in (series, spoilt)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert member.summarise(series)["gram"][-1, -1] == len(known)
    assert not member.summarise(series.rows_between(0, 28 + ahead))["gram"].any()
    assert member.residual(series.rows_between(0, 0), FLEET).shape == (0, C)


def test_trailing_it_depends_on_no_later_row() -> None:
    member, series = learnt([coupled("b-1", 600)], trailing=True), coupled("b-1", 200, seed=3)
    whole_TC = member.residual(series, FLEET)
    np.testing.assert_array_equal(
        whole_TC[:120], member.residual(series.rows_between(0, 120), FLEET)
    )
    later = series.with_values(series.value_TC.copy())
    later.value_TC[120:] = -9.0
    np.testing.assert_array_equal(whole_TC[:120], member.residual(later, FLEET)[:120])
    assert (member.residual(later, FLEET)[120:] != whole_TC[120:]).all()
    [online] = members_of("relation", smoothing="trailing")
    [offline] = members_of("relation")
    assert (online.lookahead_rows, offline.lookahead_rows) == (0, 28)
    both = detector("ridge", "relation", smoothing="trailing")
    assert both.lookahead_rows == 0
    score_T, contribution_TC, _ = both.raw_score(series)
    later_T, later_TC, _ = both.raw_score(later)
    np.testing.assert_array_equal(score_T[:120], later_T[:120])
    np.testing.assert_array_equal(contribution_TC[:120], later_TC[:120])


@FORMS
def test_a_vehicle_is_cross_fitted_over_time_with_the_rows_around_each_fold(
    trailing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RelationMember, "PENALTIES", (400.0,))
    series = coupled("b-1", 802)
    member, other = (RelationMember(trailing=trailing) for _ in range(2))
    [held_out_TC] = member.fit(FLEET, [series], 4)
    known = [*range(28, 802 - member.lookahead_rows)]
    assert np.flatnonzero(np.isfinite(held_out_TC).all(axis=1)).tolist() == known
    pieces, first = cut(series, 4), 0
    for k, piece in enumerate(pieces):
        rest = [other.summarise(p) for j, p in enumerate(pieces) if j != k]
        other.coefficients[FLEET] = other.solve(rest)
        own = slice(first, first := first + piece.rows)
        expected_TC = other.residual(series, FLEET)[own]
        np.testing.assert_allclose(held_out_TC[own], expected_TC, atol=1e-5)


@FORMS
def test_a_pooled_fit_is_that_of_the_sum_of_the_grams(
    trailing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RelationMember, "PENALTIES", (400.0,))
    member = RelationMember(trailing=trailing)
    train = [coupled(v, 400) for v in ("b-1", "b-2", "b-3")]
    parts = [member.summarise(series) for series in train]
    pooled = member.solve([parts[0] | {"gram": sum(p["gram"] for p in parts)}])
    member.fit("class/b", train, 4)
    assert set(member.coefficients["class/b"]) == set(pooled) == LEARNT
    for name, value in member.coefficients["class/b"].items():
        np.testing.assert_allclose(value, pooled[name], rtol=1e-9, atol=1e-12)
    assert [p["gram"][-1, -1] for p in parts] == [400 - 28 - member.lookahead_rows] * 3


def test_a_broken_sensor_says_no_more_than_the_limit_of_the_others() -> None:
    member, series = learnt([coupled("b-1")]), coupled("b-1", 300, seed=3)
    errors = [
        member.residual(with_values(series, slice(200, 201), 0, value), FLEET)
        for value in (RelationMember.LIMIT, 1e6)
    ]
    assert errors[1][200, 0] > 1e5, "its own residual is not limited"
    errors[0][200, 0] = errors[1][200, 0] = 0.0
    np.testing.assert_array_equal(errors[0], errors[1])


def slow(series: Series, every: int) -> Series:
    """Channel 0 is measured in one row of so many, and held in between."""
    measured_T = np.arange(series.rows) // every * every
    valid_TC = series.valid_TC.copy()
    valid_TC[:, 0] = np.arange(series.rows) % every == 0
    found = with_values(series, slice(None), 0, series.value_TC[measured_T, 0])
    return replace(found, valid_TC=valid_TC)


def test_silence_is_counted_from_the_last_measurement_or_the_segments_first_row() -> None:
    series = coupled("b-1", 7, segment_T=np.array([0, 0, 0, 0, 1, 1, 1], np.int32))
    valid_TC = series.valid_TC.copy()
    valid_TC[[2, 3, 4, 5], 0] = valid_TC[:, 1] = 0
    silent_TC = silent_rows(replace(series, valid_TC=valid_TC))
    assert silent_TC[:, 0].tolist() == [0, 0, 1, 2, 1, 2, 0]
    assert silent_TC[:, 1].tolist() == [1, 2, 3, 4, 1, 2, 3]
    assert not silent_TC[:, 2:].any()
    assert silent_rows(series.rows_between(0, 0)).shape == (0, C)


@pytest.mark.parametrize("smoothing", ["centred", "trailing"])
def test_a_channel_that_is_gone_does_not_blame_the_others(
    smoothing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RelationMember, "PENALTIES", (400.0,))  # so that noise tells nothing
    found = fitted(members_of("ridge", "relation", smoothing=smoothing), smoothing=smoothing)
    member = found.members[-1]
    quiet = coupled("b-1", 1200, seed=3)
    gone = held(quiet, FAULT, 0)
    before_TC, after_TC = (member.residual(s, "vehicle/b-1") for s in (quiet, gone))
    assert np.isnan(after_TC[FAULT][:, [0, 2, 3]]).all(), "it tells both of them"
    assert np.isfinite(after_TC[FAULT, 4]).all(), "but hardly this one"
    beyond = FAULT.stop + max(member.distant)
    np.testing.assert_array_equal(after_TC[beyond:], before_TC[beyond:])
    alarms = [found.score(s).alarm_T for s in (quiet, gone)]
    assert alarms[1].sum() <= alarms[0].sum() + 5
    monkeypatch.setattr(RelationMember, "STALE", 2.0)  # what it is for
    assert found.score(gone).alarm_T[FAULT].mean() > 0.3


@pytest.mark.parametrize(("every", "patience"), [(1, 0), (5, 8), (30, 58), (52, np.inf)])
def test_a_channel_is_stale_after_twice_its_ordinary_silence(every: int, patience: float) -> None:
    member = RelationMember()
    member.fit("vehicle/b-1", [slow(coupled("b-1"), every)], 4)
    learnt_C = member.coefficients["vehicle/b-1"]["patience"]
    assert learnt_C.tolist() == [patience, 0, 0, 0, 0]
    ordinary_TC = member.residual(slow(coupled("b-1", 400, seed=3), every), "vehicle/b-1")
    within = slice(member.reach_rows, 400 - member.lookahead_rows)
    assert np.isfinite(ordinary_TC[within, 1:]).all(), "its own way of reporting loses nothing"


def test_one_outage_in_train_is_not_ordinary_and_what_never_was_there_says_nothing() -> None:
    member = RelationMember()
    member.fit("vehicle/b-1", [held(coupled("b-1"), slice(1200, 1400), 0)], 4)
    assert not member.coefficients["vehicle/b-1"]["patience"].any()
    member.fit("vehicle/a-1", [coupled("a-1")], 4)  # it has no c4
    assert not member.coefficients["vehicle/a-1"]["patience"].any()
    whole_TC = member.residual(coupled("a-1", 400, seed=3), "vehicle/a-1")
    assert np.isfinite(whole_TC[member.reach_rows : -member.lookahead_rows, :4]).all()


@FORMS
def test_context_rows_are_enough_history_to_know_what_is_stale(trailing: bool) -> None:
    member = RelationMember(trailing=trailing)
    member.fit("vehicle/b-1", [coupled("b-1")], 4)
    member.coefficients["vehicle/b-1"]["patience"][0] = member.PATIENCE
    series = held(coupled("b-1", 600, seed=3), slice(250, 400), 0)
    whole_TC = member.residual(series, "vehicle/b-1")
    silent_T = np.isnan(whole_TC[:500, 2])
    assert silent_T[360:400].all() and not silent_T[280:340].any()
    for first in range(300, 420, 7):
        part = series.rows_between(first - member.context_rows, 600)
        contribution_TC = member.residual(part, "vehicle/b-1")[member.context_rows :]
        np.testing.assert_allclose(contribution_TC, whole_TC[first:], atol=1e-5)


@FORMS
@pytest.mark.parametrize("rows", [1, 20, 29, 57, 60])
def test_few_train_rows_still_give_finite_coefficients(rows: int, trailing: bool) -> None:
    member = RelationMember(trailing=trailing)
    [held_out_TC] = member.fit(FLEET, [coupled("b-1", rows)], 4)
    assert held_out_TC.shape == (rows, C)
    assert all(np.isfinite(value).all() for value in member.coefficients[FLEET].values())
