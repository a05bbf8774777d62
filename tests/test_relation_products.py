"""The products of two channels in the relation member: which, what they explain, their limits."""

from dataclasses import replace

import numpy as np
import pytest
from detect_kit import C, waves, with_values
from relation_kit import PAIRS, VEHICLES, fitted, held, learnt, members_of

from amad.detect.learnt_figures import FLEET
from amad.detect.members.products import FACTOR_LIMIT, PRODUCT_SCALE, _Stretch, chosen_pairs
from amad.detect.members.relation import RelationMember, silent_rows
from amad.windows.series import Series

FORMS = pytest.mark.parametrize("trailing", [False, True], ids=["two-sided", "trailing"])


def powered(vehicle: str, rows: int = 2000, seed: int = 0, **changes) -> Series:
    """Channel 2 is the product of channels 0 and 1, which are independent of each other."""
    series = waves(vehicle, rows, seed, **changes)
    rng = np.random.default_rng([seed, *vehicle.encode()])
    value_TC = rng.normal(size=(rows, C))
    for t in range(1, rows):
        value_TC[t] = 0.9 * value_TC[t - 1] + np.sqrt(1 - 0.81) * value_TC[t]
    value_TC[:, 2] = value_TC[:, 0] * value_TC[:, 1] + 0.1 * rng.normal(size=rows)
    return series.with_values(value_TC.astype(np.float32))


@FORMS
def test_a_product_of_two_channels_is_explained_by_products_alone(trailing: bool) -> None:
    train, new = powered("b-1", 20_000), powered("b-1", 3000, seed=3)
    left = {}
    for pairs in (PAIRS, []):
        member = learnt([train], trailing=trailing, pairs=pairs)
        residual_T = member.residual(new, FLEET)[:, 2]
        left[len(pairs)] = np.nanvar(residual_T) / np.var(new.value_TC[:, 2])
    assert left[len(PAIRS)] < 0.35 < 0.8 < left[0]
    assert member.coefficients[FLEET]["product"].shape == (C, 0)


def test_no_product_holds_its_own_target() -> None:
    product_CQ = learnt([powered("b-1")]).coefficients[FLEET]["product"]
    for q, pair in enumerate(PAIRS):
        for c in range(C):
            assert (product_CQ[c, q] == 0) == (c in pair), "squares included"
    assert PAIRS[np.abs(product_CQ[2]).argmax()] == (0, 1)
    series = powered("b-1", 300, seed=3)
    member = learnt([powered("b-1")])
    moved = with_values(series, slice(100, 101), 2, series.value_TC[100, 2] + 1.0)
    change_T = (member.residual(moved, FLEET) - member.residual(series, FLEET))[100]
    assert change_T[2] == pytest.approx(1.0, abs=1e-5)


def wide(vehicle: str, channels: int, pair: tuple[int, int]) -> Series:
    """The last channel is the product of a pair of channels, and half of channel 3."""
    rows = 3000
    series = waves(vehicle, rows)
    rng = np.random.default_rng([channels, *vehicle.encode()])
    value_TC = rng.normal(size=(rows, channels))
    value_TC[:, -1] *= 0.3
    value_TC[:, -1] += value_TC[:, pair[0]] * value_TC[:, pair[1]] + 0.5 * value_TC[:, 3]
    valid_TC = np.ones_like(value_TC, np.uint8)
    return replace(series, value_TC=value_TC.astype(np.float32), valid_TC=valid_TC)


@pytest.mark.parametrize("channels", [8, 60])
@pytest.mark.parametrize("pair", [(0, 1), (2, 2), (3, 5)])
def test_the_product_that_tells_most_of_a_channel_is_chosen(
    channels: int, pair: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amad.detect.members.products.PER_CHANNEL", 1)
    chosen_2Q = chosen_pairs([wide(v, channels, pair) for v in ("a-1", "b-1")])
    assert pair in set(zip(*chosen_2Q.tolist(), strict=True))
    assert 1 <= chosen_2Q.shape[1] <= channels, "the best of each channel"
    monkeypatch.setattr("amad.detect.members.products.BLOCK", 7)
    parts_2Q = chosen_pairs([wide(v, channels, pair) for v in ("a-1", "b-1")])
    np.testing.assert_array_equal(parts_2Q, chosen_2Q)


def test_the_choice_is_by_the_partial_correlation_of_channel_and_product() -> None:
    series = wide("a-1", 6, (0, 1))
    found_C = _Stretch(series.value_TC).explained(np.array([0]), np.array([1]))[:, 0]
    value_TC = np.clip(series.value_TC, -10, 10).astype(np.float64)
    product_T = np.clip(value_TC[:, 0], -3, 3) * np.clip(value_TC[:, 1], -3, 3)
    table = np.column_stack([value_TC, product_T])
    inverse = np.linalg.inv(np.cov(table.T))
    expected_C = inverse[:-1, -1] ** 2 / (np.diag(inverse)[:-1] * inverse[-1, -1])
    np.testing.assert_allclose(found_C, expected_C, atol=0.05)
    assert found_C.argmax() == 5


def test_channels_that_never_move_have_no_products() -> None:
    series = wide("a-1", 8, (0, 1))
    still_TC = series.value_TC.copy()
    still_TC[:, 4:7] = 0.25
    chosen_2Q = chosen_pairs([series.with_values(still_TC)])
    assert chosen_2Q.size and not np.isin(chosen_2Q, [4, 5, 6]).any()
    still_TC[:] = 0.0
    assert chosen_pairs([series.with_values(still_TC)]).shape == (2, 0)


def test_a_detector_uses_the_chosen_products_and_keeps_them() -> None:
    found = fitted(members_of("relation"), [powered(v) for v in VEHICLES])
    learnt_pairs = [arrays["pairs"] for arrays in found.members[0].coefficients.values()]
    chosen = set(zip(*learnt_pairs[0].tolist(), strict=True))
    assert (0, 1) in chosen and len(chosen) <= len(PAIRS)
    for pairs_2Q in learnt_pairs:
        np.testing.assert_array_equal(pairs_2Q, learnt_pairs[0])


def test_a_factor_counts_up_to_its_limit() -> None:
    member, series = learnt([powered("b-1")]), powered("b-1", 300, seed=3)
    peer_NCC = member.coefficients[FLEET]["peer"]
    peer_NCC[:] = 0.0
    errors = [
        member.residual(with_values(series, slice(200, 201), 0, value), FLEET)[:, 1:]
        for value in (FACTOR_LIMIT, 9.0, 1e6)
    ]
    quiet_TC = member.residual(series, FLEET)[:, 1:]
    assert (errors[0][200] != quiet_TC[200]).any()
    for error_TC in errors[1:]:
        np.testing.assert_array_equal(errors[0], error_TC)


def test_many_rows_are_predicted_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    member, series = learnt([powered("b-1")]), powered("b-1", 500, seed=3)
    whole_TC = member.residual(series, FLEET)
    monkeypatch.setattr("amad.detect.sliding.CHUNK_ROWS", 37)
    np.testing.assert_allclose(member.residual(series, FLEET), whole_TC, atol=1e-5)
    parts = member.solve([member.summarise(powered("b-1"))])
    monkeypatch.undo()
    for name, value in member.solve([member.summarise(powered("b-1"))]).items():
        np.testing.assert_allclose(parts[name], value, atol=1e-9)


@FORMS
def test_a_stale_factor_gives_no_residual(trailing: bool) -> None:
    member, series = learnt([powered("b-1", 6000)], trailing=trailing), powered("b-1", 600, seed=3)
    peer_NCC, product_CQ = (member.coefficients[FLEET][name] for name in ("peer", "product"))
    peer_NCC[:, 2, :] = 0.0  # so that only products tell channel 2 of the channel that is gone
    squares_Q = product_CQ[2] ** 2
    for channel in (0, 1):
        gone = held(series, slice(300, 420), channel)
        involved = squares_Q[[channel in pair for pair in PAIRS]].sum() / squares_Q.sum()
        assert involved > 2 * RelationMember.STALE
        residual_TC, quiet_TC = (member.residual(s, FLEET) for s in (gone, series))
        assert np.isnan(residual_TC[300:420, 2]).all()
        before = slice(member.reach_rows, 300)
        np.testing.assert_array_equal(residual_TC[before, 2], quiet_TC[before, 2])
        assert np.isfinite(residual_TC[420 : 600 - member.lookahead_rows, 2]).all()
    tail = held(series, slice(300, 420), 4)  # no product with it matters
    assert np.isfinite(member.residual(tail, FLEET)[300:420, 2]).all()


@FORMS
def test_the_stale_share_of_each_row_counts_the_stale_cells_around_it(trailing: bool) -> None:
    member, series = learnt([powered("b-1")], trailing=trailing), powered("b-1", 500, seed=3)
    rng = np.random.default_rng(5)
    for channel, begin in zip(rng.integers(0, 3, 12), rng.integers(0, 480, 12), strict=True):
        series = held(series, slice(begin, begin + rng.integers(1, 40)), channel)
    found = member.coefficients[FLEET]
    parts = [found[name].astype(np.float32) for name in ("peer", "own")]
    product_CQ, patience_C = found["product"].astype(np.float32), np.arange(C) * 3.0
    got_RC = member._stale_share(series, patience_C, *parts, found["pairs"], product_CQ)
    stale_TC, (peer_NCC, own_CK) = silent_rows(series) > patience_C, parts
    rows = range(member.reach_rows, series.rows - member.lookahead_rows)
    whole_C = sum((x**2).sum(axis=-1) for x in (*peer_NCC, own_CK, product_CQ * PRODUCT_SCALE))
    for t, got_C in zip(rows, got_RC, strict=True):
        stale_C = sum(
            peer_CC**2 @ stale_TC[t - n] for n, peer_CC in zip(member.near, peer_NCC, strict=True)
        )
        stale_C = stale_C + sum(
            own_C**2 * stale_TC[t - k] for k, own_C in zip(member.distant, own_CK.T, strict=True)
        )
        for one, other, effect_C in zip(*found["pairs"], product_CQ.T, strict=True):
            stale = stale_TC[t, [one, other]].max()
            stale_C = stale_C + stale * np.square(effect_C * PRODUCT_SCALE)
        np.testing.assert_allclose(got_C, stale_C / whole_C, atol=1e-6)


def test_the_stale_share_of_a_product_is_that_of_a_column_of_unit_variance() -> None:
    """A product's column is scaled down, so that its coefficient is larger than its effect."""
    member, series = learnt([powered("b-1")]), held(powered("b-1", 600, seed=3), slice(300, 420), 0)
    member.coefficients[FLEET] = {name: 0 * x for name, x in member.coefficients[FLEET].items()}
    peer_NCC, product_CQ = (member.coefficients[FLEET][name] for name in ("peer", "product"))
    peer_NCC[member.near.index(0), 2, 3] = 1.0
    for effect, silent in ((0.15, False), (0.3, True)):  # 2 % and 8 % of the squares
        product_CQ[2, PAIRS.index((0, 1))] = effect * np.sqrt(20)
        assert np.isnan(member.residual(series, FLEET)[300:420, 2]).all() == silent
        assert np.isfinite(member.residual(series, FLEET)[300:420, 2]).all() != silent
