"""The products of two channels in the relation member: what they explain, and their limits."""

import numpy as np
import pytest
from detect_kit import C, waves, with_values
from relation_kit import PAIRS, held, learnt

from amad.detect.detector import FLEET
from amad.detect.relation import RelationMember
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
def test_a_product_of_two_channels_is_explained_by_products_alone(
    trailing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, new = powered("b-1", 20_000), powered("b-1", 3000, seed=3)
    left = {}
    for most in (C, C - 1):  # with more channels than this there are no products
        monkeypatch.setattr(RelationMember, "PRODUCT_CHANNELS", most)
        member = learnt([train], trailing=trailing)
        residual_T = member.residual(new, FLEET)[:, 2]
        left[most] = np.nanvar(residual_T) / np.var(new.value_TC[:, 2])
    assert left[C] < 0.35 < 0.8 < left[C - 1]
    assert member.coefficients[FLEET]["product"].shape == (C, 0)


def test_no_product_holds_its_own_target(monkeypatch: pytest.MonkeyPatch) -> None:
    product_CP = learnt([powered("b-1")]).coefficients[FLEET]["product"]
    for p, pair in enumerate(PAIRS):
        for c in range(C):
            assert (product_CP[c, p] == 0) == (c in pair), "squares included"
    assert PAIRS[np.abs(product_CP[2]).argmax()] == (0, 1)
    series = powered("b-1", 300, seed=3)
    member = learnt([powered("b-1")])
    moved = with_values(series, slice(100, 101), 2, series.value_TC[100, 2] + 1.0)
    change_T = (member.residual(moved, FLEET) - member.residual(series, FLEET))[100]
    assert change_T[2] == pytest.approx(1.0, abs=1e-5)
    assert RelationMember.PRODUCT_CHANNELS == 32


def test_a_factor_counts_up_to_its_limit() -> None:
    member, series = learnt([powered("b-1")]), powered("b-1", 300, seed=3)
    peer_NCC = member.coefficients[FLEET]["peer"]
    peer_NCC[:] = 0.0
    errors = [
        member.residual(with_values(series, slice(200, 201), 0, value), FLEET)[:, 1:]
        for value in (RelationMember.FACTOR_LIMIT, 9.0, 1e6)
    ]
    quiet_TC = member.residual(series, FLEET)[:, 1:]
    assert (errors[0][200] != quiet_TC[200]).any()
    for error_TC in errors[1:]:
        np.testing.assert_array_equal(errors[0], error_TC)


def test_many_rows_are_predicted_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    member, series = learnt([powered("b-1")]), powered("b-1", 500, seed=3)
    whole_TC = member.residual(series, FLEET)
    monkeypatch.setattr("amad.detect.relation.CHUNK", 37)
    np.testing.assert_allclose(member.residual(series, FLEET), whole_TC, atol=1e-5)
    parts = member.solve([member.summarise(powered("b-1"))])
    monkeypatch.undo()
    for name, value in member.solve([member.summarise(powered("b-1"))]).items():
        np.testing.assert_allclose(parts[name], value, atol=1e-9)


@FORMS
def test_a_stale_factor_gives_no_residual(trailing: bool) -> None:
    member, series = learnt([powered("b-1", 6000)], trailing=trailing), powered("b-1", 600, seed=3)
    peer_NCC, product_CP = (member.coefficients[FLEET][name] for name in ("peer", "product"))
    peer_NCC[:, 2, :] = 0.0  # so that only products tell channel 2 of the channel that is gone
    squares_P = product_CP[2] ** 2
    for channel in (0, 1):
        gone = held(series, slice(300, 420), channel)
        involved = squares_P[[channel in pair for pair in PAIRS]].sum() / squares_P.sum()
        assert involved > 2 * RelationMember.STALE
        residual_TC, quiet_TC = (member.residual(s, FLEET) for s in (gone, series))
        assert np.isnan(residual_TC[300:420, 2]).all()
        before = slice(member.reach_rows, 300)
        np.testing.assert_array_equal(residual_TC[before, 2], quiet_TC[before, 2])
        assert np.isfinite(residual_TC[420 : 600 - member.lookahead_rows, 2]).all()
    tail = held(series, slice(300, 420), 4)  # no product with it matters
    assert np.isfinite(member.residual(tail, FLEET)[300:420, 2]).all()


def test_the_stale_share_of_a_product_is_that_of_a_column_of_unit_variance() -> None:
    """A product's column is scaled down, so that its coefficient is larger than its effect."""
    member, series = learnt([powered("b-1")]), held(powered("b-1", 600, seed=3), slice(300, 420), 0)
    member.coefficients[FLEET] = {name: 0 * x for name, x in member.coefficients[FLEET].items()}
    peer_NCC, product_CP = (member.coefficients[FLEET][name] for name in ("peer", "product"))
    peer_NCC[member.near.index(0), 2, 3] = 1.0
    for effect, silent in ((0.15, False), (0.3, True)):  # 2 % and 8 % of the squares
        product_CP[2, PAIRS.index((0, 1))] = effect * np.sqrt(20)
        assert np.isnan(member.residual(series, FLEET)[300:420, 2]).all() == silent
        assert np.isfinite(member.residual(series, FLEET)[300:420, 2]).all() != silent
