"""Members: what they learn, what they may look at, and how they are cross-fitted."""

import numpy as np
import pytest
from detect_kit import C, waves, with_values

from amad.detect.members.build import two_sided_member
from amad.detect.members.member import (
    AmadMember,
    RidgeMember,
    cut,
    rows_into_segment,
    rows_to_segment_end,
)


def short() -> RidgeMember:
    return RidgeMember("ridge", range(1, 6))


def test_ridge_recovers_the_process_it_is_shown() -> None:
    rng = np.random.default_rng(0)
    value_T = np.zeros(20_000)
    for t in range(2, len(value_T)):
        value_T[t] = 0.3 + 0.6 * value_T[t - 1] - 0.2 * value_T[t - 2] + rng.normal()
    series = waves("a-1", len(value_T)).with_values(
        np.repeat(value_T[:, None], C, axis=1).astype(np.float32)
    )
    member = RidgeMember("ridge", [1, 2])
    member.fit("fleet", [series], 4)
    assert member.coefficients["fleet"]["lag"][0] == pytest.approx([0.6, -0.2, 0.3], abs=0.03)
    residual_T = member.residual(series, "fleet")[2:, 0]
    assert residual_T.std() == pytest.approx(1.0, abs=0.03)


def test_ridge_agrees_with_a_solver_of_somebody_else() -> None:
    from sklearn.linear_model import Ridge

    series = waves("b-1", 600)
    member = short()
    member.fit("fleet", [series], 4)
    x_T = series.value_TC[:, 2].astype(np.float64)
    pieces = [p.value_TC[:, 2].astype(np.float64) for p in cut(series, 4)]
    design = np.concatenate([np.stack([p[5 - k : len(p) - k] for k in range(1, 6)], 1)
                             for p in pieces])  # fmt: skip
    target = np.concatenate([p[5:] for p in pieces])
    theirs = Ridge(alpha=RidgeMember.PENALTY * len(target)).fit(design, target)
    ours = member.coefficients["fleet"]["lag"][2]
    assert ours == pytest.approx([*theirs.coef_, theirs.intercept_], abs=1e-8)
    predicted = theirs.predict(np.stack([x_T[5 - k : len(x_T) - k] for k in range(1, 6)], 1))
    residual_T = member.residual(series, "fleet")[:, 2]
    np.testing.assert_allclose(residual_T[5:], x_T[5:] - predicted, atol=1e-5)


def test_no_history_crosses_a_segment() -> None:
    segment_T = np.repeat([0, 1, 2], [100, 3, 97]).astype(np.int32)
    series = waves("b-1", 200, segment_T=segment_T)
    member = short()
    member.fit("fleet", [waves("b-1", 500)], 4)
    before = member.residual(series, "fleet")
    undefined_T = np.isnan(before).all(axis=1)
    assert np.flatnonzero(undefined_T).tolist() == [*range(5), 100, 101, 102, *range(103, 108)]
    after = member.residual(with_values(series, slice(0, 103), 1, 50.0), "fleet")
    np.testing.assert_array_equal(before[103:], after[103:])


def test_a_negative_lag_is_a_row_to_come() -> None:
    value_T = np.random.default_rng(0).normal(size=4000)
    value_T[1::2] = 0.5 * np.roll(value_T, 3)[1::2] + 0.3 * np.roll(value_T, -3)[1::2]
    odd_TC = np.repeat(np.arange(4000)[:, None] % 2, C, axis=1).astype(np.uint8)
    series = waves("b-1", 4000, valid_TC=odd_TC).with_values(
        np.repeat(value_T[:, None], C, axis=1).astype(np.float32)
    )
    member = RidgeMember("both", [3, -3])
    member.fit("fleet", [series], 4)
    assert member.coefficients["fleet"]["lag"][0] == pytest.approx([0.5, 0.3, 0], abs=0.01)
    assert (member.context_rows, member.lookahead_rows) == (3, 3)


def test_a_two_sided_member_stays_within_the_segment_and_is_cross_fitted_to_its_end() -> None:
    segment_T = np.repeat([0, 1, 2], [100, 12, 88]).astype(np.int32)
    series, member = waves("b-1", 200, segment_T=segment_T), two_sided_member()
    assert member.context_rows == member.lookahead_rows == 20
    [held_out_TC] = member.fit("fleet", [waves("b-1", 500)], 4)
    assert np.flatnonzero(np.isnan(held_out_TC[:, 0])).tolist() == [*range(20), *range(480, 500)]
    before = member.residual(series, "fleet")
    undefined_T = np.isnan(before).all(axis=1)
    assert np.flatnonzero(undefined_T).tolist() == [*range(20), *range(80, 132), *range(180, 200)]
    for changed, kept in (((0, 112), (112, 200)), ((112, 200), (0, 112))):
        after = member.residual(with_values(series, slice(*changed), 1, 50.0), "fleet")
        np.testing.assert_array_equal(before[slice(*kept)], after[slice(*kept)])
    bent = member.residual(with_values(series, slice(50, 51), 1, 50.0), "fleet")
    moved = np.flatnonzero((before != bent)[:, 1] & ~undefined_T).tolist()
    after = [53, 54, 55, 57, 60, 64, 70]
    assert moved == sorted([50, *after, *(100 - row for row in after)])
    assert member.residual(waves("b-1", 0), "fleet").shape == (0, C)
    assert np.isnan(member.residual(waves("b-1", 40), "fleet")).all()


def test_a_one_sided_member_sees_the_rows_before_alone() -> None:
    series, member = waves("b-1", 200), two_sided_member(trailing=True)
    assert (member.name, member.context_rows, member.lookahead_rows) == ("one_sided", 20, 0)
    member.fit("fleet", [waves("b-1", 500)], 4)
    before = member.residual(series, "fleet")
    assert np.flatnonzero(np.isnan(before[:, 0])).tolist() == [*range(20)]
    bent = member.residual(with_values(series, slice(50, 51), 1, 50.0), "fleet")
    moved = np.flatnonzero((before != bent)[20:, 1]) + 20
    assert moved.tolist() == [50, 53, 54, 55, 57, 60, 64, 70]


def test_an_imputed_cell_has_no_residual_and_is_no_target() -> None:
    valid_TC = np.ones((800, C), np.uint8)
    valid_TC[300:500, 1] = 0
    series = waves("b-1", 800, valid_TC=valid_TC)
    member = short()
    member.fit("fleet", [series], 4)
    residual_TC = member.residual(series, "fleet")
    assert np.isnan(residual_TC[300:500, 1]).all()
    assert np.isfinite(residual_TC[500:, 1]).all()
    counts_C = member.summarise(series)["gram"][:, -2, -2]
    assert counts_C[1] == counts_C[0] - 200


def test_a_vehicle_is_cross_fitted_over_time() -> None:
    series = waves("b-1", 800)
    wild = with_values(series, slice(200, 400), 0, 30 * np.random.default_rng(0).normal(size=200))
    member, other = short(), short()
    [held_out_TC] = member.fit("vehicle/b-1", [wild], 4)
    pieces = cut(wild, 4)
    other.coefficients["x"] = other.solve([other.summarise(pieces[k]) for k in (0, 2, 3)])
    np.testing.assert_array_equal(held_out_TC[200:400], other.residual(wild, "x")[200:400])
    assert np.isfinite(held_out_TC[5:]).all(), "folds see the history that precedes them"


def test_several_vehicles_are_cross_fitted_over_vehicles() -> None:
    train = [waves(v, 300, seed=i) for i, v in enumerate(["b-1", "b-2", "b-3", "b-4", "b-5"])]
    member, other = short(), short()
    held_out = member.fit("fleet", train, 4)
    other.coefficients["x"] = other.solve([other.summarise(train[k]) for k in (1, 2, 3)])
    for k in (0, 4):  # one fold: the first and the fifth
        np.testing.assert_array_equal(held_out[k], other.residual(train[k], "x"))


@pytest.mark.parametrize("rows", [1, 3, 7, 40])
def test_few_train_rows_still_give_finite_coefficients(rows: int) -> None:
    member = RidgeMember("ridge_long", range(10, 30))
    [held_out_TC] = member.fit("fleet", [waves("b-1", rows)], 4)
    assert held_out_TC.shape == (rows, C)
    assert np.isfinite(member.coefficients["fleet"]["lag"]).all()


def test_rows_are_counted_from_each_start_and_to_each_end() -> None:
    series = waves("b-1", 8, segment_T=np.array([0, 0, 0, 1, 1, 4, 4, 5], np.int32))
    assert rows_into_segment(series).tolist() == [0, 1, 2, 0, 1, 0, 1, 0]
    assert rows_to_segment_end(series).tolist() == [2, 1, 0, 1, 0, 1, 0, 0]
    for count in (rows_into_segment, rows_to_segment_end):
        none_T = count(waves("b-1", 0))
        assert none_T.shape == (0,) and none_T.dtype == count(series).dtype == np.int64


def test_the_network_predicts_hidden_positions_and_leaves_out_what_was_not_measured() -> None:
    from model_kit import toy_fleet, toy_params, toy_series

    from amad.model import Amad, Bundle
    from amad.windows import Scaler

    params, series = toy_params(), toy_series("a-1")
    scaler = Scaler.fit([series], toy_fleet(), "vehicle")
    bundle = Bundle(
        model=Amad(4, params.model), params=params, fleet=toy_fleet(), scaler=scaler, meta={}
    )
    member = AmadMember(bundle)
    assert member.name == "amad" and not member.between_channels
    [residual_TC] = member.fit("fleet", [scaler.apply(series)], 4)
    np.testing.assert_array_equal(np.isnan(residual_TC), series.valid_TC == 0)
    assert member.context_rows == member.lookahead_rows == params.model.window
    other = AmadMember(bundle, hide="channel")
    [found_TC] = other.fit("fleet", [scaler.apply(series)], 4)
    assert other.name == "amad_channel" and other.between_channels
    np.testing.assert_array_equal(np.isnan(found_TC), series.valid_TC == 0)
    assert not np.allclose(found_TC, residual_TC, equal_nan=True)


def test_online_the_network_looks_ahead_no_further_than_a_block() -> None:
    from model_kit import toy_fleet, toy_params, toy_series

    from amad.model import Amad, Bundle
    from amad.windows import Scaler

    params = toy_params(model={"direction": "past"})
    scaler = Scaler.fit([toy_series("a-1")], toy_fleet(), "vehicle")
    bundle = Bundle(
        model=Amad(4, params.model, block=4), params=params, fleet=toy_fleet(), scaler=scaler,
        meta={},
    )  # fmt: skip
    assert AmadMember(bundle).lookahead_rows == 0
    assert AmadMember(bundle, hide="channel").lookahead_rows == 3


def test_a_ridge_regression_from_sums_of_products_is_that_of_the_rows() -> None:
    from sklearn.linear_model import Ridge

    from amad.windows.ridge import solve_ridge

    rng = np.random.default_rng(0)
    x_N4, prior_51 = rng.normal(size=(200, 4)), np.array([[0.5], [0.0], [-1.0], [0.0], [2.0]])
    y_N = x_N4 @ [1.0, 0.0, -2.0, 0.3] + 0.7 + rng.normal(size=200)
    table = np.column_stack([x_N4, np.ones(200), y_N])
    gram, places = table.T @ table, (np.arange(5), np.array([5]))
    penalised = {"penalty": 9.0, "intercept_penalty": 0.0}
    for prior in (None, prior_51):
        rest_N = y_N if prior is None else y_N - table[:, :5] @ prior[:, 0]
        want = Ridge(alpha=9.0).fit(x_N4, rest_N)
        want_5 = np.append(want.coef_, want.intercept_) + (0 if prior is None else prior[:, 0])
        found_51 = solve_ridge(gram, *places, **penalised, prior_XY=prior)
        np.testing.assert_allclose(found_51[:, 0], want_5, rtol=1e-9)
