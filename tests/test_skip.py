"""The linear skip: closed form, owners, what it may see, and what it says without data."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from model_kit import CHANNELS, toy_series, toy_store
from windows_kit import series_of

from amad.model.network import bridge
from amad.model.owners import FLEET, Owners
from amad.model.skip import LEAST_SPREAD, PENALTY, SHRINKAGE, LinearSkip
from amad.windows import TRAIN, Scaler
from amad.windows.series import Series

L, BLOCK = 20, 4
OWNERS = Owners(("a", "b"), {"a-1": "a", "a-2": "a", "b-1": "b"})


def train_series(vehicle: str, seed: int = 0) -> Series:
    """Noise that remembers, in four coupled channels; class a lacks the last."""
    rng = np.random.default_rng(seed)
    value_TC = rng.normal(size=(700, CHANNELS))
    for t in range(1, len(value_TC)):
        value_TC[t] += 0.8 * value_TC[t - 1]
    value_TC[:, 1] += value_TC[:, 0] - 0.5
    valid_TC = (rng.random(value_TC.shape) > 0.003).astype(np.uint8)
    if vehicle[0] == "a":
        value_TC[:, 3], valid_TC[:, 3] = 0, 0
    return series_of(value_TC, vehicle, vehicle[0], valid_TC=valid_TC)


FLEET_TRAIN = [train_series(name, i) for i, name in enumerate(["a-1", "a-2", "b-1", "b-9"])]


def fitted(past_only: bool = False) -> LinearSkip:
    skip = LinearSkip(CHANNELS, OWNERS, BLOCK, past_only)
    skip.fit_series(FLEET_TRAIN)
    return skip


def predict(skip: LinearSkip, x_BLC: torch.Tensor, hidden_BLC: torch.Tensor, owner: int):
    return skip(bridge(x_BLC, hidden_BLC), hidden_BLC, torch.full((len(x_BLC),), owner))[0]


def block_at(first: int, last: int, B: int = 3) -> torch.Tensor:
    hidden_BLC = torch.zeros(B, L, CHANNELS, dtype=torch.bool)
    hidden_BLC[:, first:last] = True
    return hidden_BLC


@pytest.mark.parametrize("past_only", [False, True])
def test_time_coefficients_are_those_of_a_solver_of_somebody_else(past_only: bool) -> None:
    """Shrunk to the bridge: an ordinary ridge on what the bridge misses."""
    from sklearn.linear_model import Ridge

    skip = fitted(past_only)
    before, after = skip.before, skip.after
    line_XK = LinearSkip(1, Owners(), BLOCK, past_only).time_VCXK[0, 0].double().numpy()
    series = FLEET_TRAIN[2]
    for c in range(CHANNELS):
        stretches = [
            series.value_TC[t : t + before + BLOCK + after, c]
            for t in range(series.rows - before - BLOCK - after + 1)
            if series.valid_TC[t : t + before + BLOCK + after, c].all()
        ]
        stretch_NS = np.array(stretches, np.float64)
        near_NW = np.delete(stretch_NS, np.s_[before : before + BLOCK], axis=1)
        miss_NK = stretch_NS[:, before : before + BLOCK] - near_NW @ line_XK[:-1]
        theirs = Ridge(alpha=PENALTY * len(stretch_NS)).fit(near_NW, miss_NK)
        ours_XK = skip.time_VCXK[OWNERS.index("b-1", "b"), c].numpy() - line_XK
        np.testing.assert_allclose(ours_XK[:-1], theirs.coef_.T, atol=1e-5)
        np.testing.assert_allclose(ours_XK[-1], theirs.intercept_, atol=1e-5)


@pytest.mark.parametrize("past_only", [False, True])
def test_what_it_misses_is_the_error_that_it_makes_on_train(past_only: bool) -> None:
    series = series_of(FLEET_TRAIN[2].value_TC, "b-1", "b")
    skip = LinearSkip(CHANNELS, Owners(), BLOCK, past_only)
    skip.fit_series([series])
    x_NLC = torch.from_numpy(series.value_TC).unfold(0, L, 1).transpose(1, 2)
    level_N = torch.zeros(len(x_NLC), dtype=torch.long)
    by_time_NLC = torch.zeros(x_NLC.shape, dtype=torch.bool)
    by_time_NLC[:, 11:15] = True
    by_channel_NLC = torch.zeros(x_NLC.shape, dtype=torch.bool)
    by_channel_NLC[..., [0, 1]] = True  # one of the pair says much of the other, if it is visible
    for hidden_NLC, channels in ((by_time_NLC, slice(None)), (by_channel_NLC, slice(0, 2))):
        found_NLC, miss_NLC = skip(bridge(x_NLC, hidden_NLC), hidden_NLC, level_N)
        square_NLC = (found_NLC - x_NLC).square() * hidden_NLC
        rms_C = (square_NLC.sum((0, 1)) / hidden_NLC.sum((0, 1))).sqrt()
        torch.testing.assert_close(miss_NLC[0, 12, channels], rms_C[channels], atol=0, rtol=0.05)


@pytest.mark.parametrize("past_only", [False, True])
def test_a_hidden_block_is_predicted_by_its_coefficients(past_only: bool) -> None:
    skip, x_BLC = fitted(past_only), torch.randn(3, L, CHANNELS)
    first, owner = 12, 2
    found_BLC = predict(skip, x_BLC, block_at(first, first + BLOCK), owner)
    near_BLC = [x_BLC[:, first - skip.before : first]]
    near_BLC.append(x_BLC[:, first + BLOCK : first + BLOCK + skip.after])
    near_BXC = torch.cat([*near_BLC, torch.ones(3, 1, CHANNELS)], dim=1)
    want_BKC = torch.einsum("bxc,cxk->bkc", near_BXC, skip.time_VCXK[owner])
    torch.testing.assert_close(found_BLC[:, first : first + BLOCK], want_BKC)
    outside_L = torch.arange(L).ge(first) & torch.arange(L).lt(first + BLOCK)
    assert torch.equal(found_BLC[:, ~outside_L], x_BLC[:, ~outside_L])


@given(st.integers(0, 2**31), st.floats(0.05, 0.95), st.booleans())
def test_without_data_it_is_the_bridge(seed: int, share: float, past_only: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    x_BLC = torch.randn(2, L, 2, generator=generator)
    hidden_BLC = torch.rand(2, L, 2, generator=generator) < share
    skip = LinearSkip(2, Owners(), 2, past_only=False)
    torch.testing.assert_close(
        predict(skip, x_BLC, hidden_BLC, FLEET), bridge(x_BLC, hidden_BLC), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(("first", "last"), [(0, 4), (1, 5), (16, 20), (8, 13), (8, 11)])
def test_where_the_neighbours_are_not_there_the_bridge_serves(first: int, last: int) -> None:
    x_BLC, hidden_BLC = torch.randn(3, L, CHANNELS), block_at(first, last)
    found_BLC = predict(fitted(), x_BLC, hidden_BLC, 1)
    assert torch.equal(found_BLC, bridge(x_BLC, hidden_BLC))


def test_the_past_alone_predicts_a_block_that_ends_early_as_the_start_of_a_whole_one() -> None:
    skip, x_BLC = fitted(past_only=True), torch.randn(3, L, CHANNELS)
    whole_BLC = predict(skip, x_BLC, block_at(14, 18), 1)
    early_BLC = predict(skip, x_BLC, block_at(14, 16), 1)
    torch.testing.assert_close(early_BLC[:, 14:16], whole_BLC[:, 14:16])
    assert torch.equal(early_BLC[:, 16:], x_BLC[:, 16:])
    later_BLC = x_BLC.clone()
    later_BLC[:, 18:] += 7
    again_BLC = predict(skip, later_BLC, block_at(14, 18), 1)
    assert torch.equal(again_BLC[:, :18], whole_BLC[:, :18])


def test_a_hidden_channel_is_the_conditional_mean_of_a_gaussian() -> None:
    skip, x_BLC = fitted(), torch.randn(3, L, CHANNELS)
    owner = OWNERS.index("b-1", "b")
    hidden_BLC = torch.zeros(3, L, CHANNELS, dtype=torch.bool)
    hidden_BLC[0, :, 0] = hidden_BLC[1, :, [1, 3]] = True
    found_BLC = predict(skip, x_BLC, hidden_BLC, owner)
    series = FLEET_TRAIN[2]
    known_TC = series.valid_TC == 1
    mean_C = np.array([series.value_TC[known_TC[:, c], c].mean() for c in range(CHANNELS)])
    centred_TC = (series.value_TC - mean_C) * known_TC
    cov_CC = centred_TC.T @ centred_TC / np.sqrt(np.outer(known_TC.sum(0), known_TC.sum(0)))
    cov_CC *= 1 - SHRINKAGE * (1 - np.eye(CHANNELS))
    for b, hidden in ((0, [0]), (1, [1, 3])):
        seen = [c for c in range(CHANNELS) if c not in hidden]
        part_LC = x_BLC[b].double().numpy()
        want_LC = mean_C[hidden] + (part_LC[:, seen] - mean_C[seen]) @ np.linalg.solve(
            cov_CC[np.ix_(seen, seen)], cov_CC[np.ix_(seen, hidden)]
        )
        np.testing.assert_allclose(found_BLC[b][:, hidden].numpy(), want_LC, atol=1e-4)
    assert torch.equal(found_BLC[~hidden_BLC], x_BLC[~hidden_BLC])


def test_a_broken_sensor_moves_the_others_by_no_more_than_the_limit() -> None:
    skip, x_BLC = fitted(), torch.zeros(1, L, CHANNELS)
    hidden_BLC = torch.zeros(1, L, CHANNELS, dtype=torch.bool)
    hidden_BLC[..., 1] = True
    x_BLC[:, 5, 0] = 1e6
    found_L = predict(skip, x_BLC, hidden_BLC, FLEET)[0, :, 1]
    assert found_L.abs().max() < 50 and found_L[5] > found_L[4] + 1


def test_hidden_and_absent_values_are_never_looked_at() -> None:
    skip, x_BLC = fitted(), torch.randn(3, L, CHANNELS)
    hidden_BLC = torch.rand(3, L, CHANNELS) < 0.1
    hidden_BLC[0, :, 2] = hidden_BLC[:, :, 3] = True
    for owner in range(len(OWNERS)):
        found_BLC = predict(skip, x_BLC, hidden_BLC, owner)
        other_BLC = predict(skip, x_BLC.masked_fill(hidden_BLC, 99.0), hidden_BLC, owner)
        assert torch.equal(found_BLC, other_BLC) and torch.isfinite(found_BLC).all()
    assert (skip.spread_VC[OWNERS.index("a-1", "a"), 3] == 0).all()
    assert (skip.spread_VC[:, :3] >= LEAST_SPREAD).all()


def test_a_window_does_not_depend_on_the_others_of_its_batch() -> None:
    skip, x_BLC = fitted(), torch.randn(4, L, CHANNELS)
    hidden_BLC = block_at(8, 8 + BLOCK, 4)
    hidden_BLC[2] = False
    hidden_BLC[2, :, 1] = True
    owner_B = torch.tensor([0, 3, 4, 5])
    line_BLC = bridge(x_BLC, hidden_BLC)
    whole = skip(line_BLC, hidden_BLC, owner_B)
    for b in range(4):
        own = slice(b, b + 1)
        alone = skip(line_BLC[own], hidden_BLC[own], owner_B[own])
        for part_BX, alone_BX in zip(whole, alone, strict=True):
            torch.testing.assert_close(part_BX[own], alone_BX)


def test_a_pooled_level_is_fitted_on_all_its_vehicles() -> None:
    """Those of class b have no missing cell at the seam; the sums of two are those of both."""
    skip, pair = fitted(), LinearSkip(CHANNELS, Owners(("b",)), BLOCK, False)
    pair.fit_series(FLEET_TRAIN[2:])
    b = OWNERS.index("b-77", "b")
    torch.testing.assert_close(skip.time_VCXK[b], pair.time_VCXK[FLEET])
    torch.testing.assert_close(skip.correlation_VCC[b], pair.correlation_VCC[1])
    assert not torch.allclose(skip.time_VCXK[b], skip.time_VCXK[OWNERS.index("b-1", "b")])


def test_levels_fall_back_from_vehicle_to_class_to_fleet(tmp_path) -> None:
    assert [OWNERS.index(*pair) for pair in
            (("b-1", "b"), ("b-9", "b"), ("a-7", "a"), ("z", "z"))] == [5, 2, 1, FLEET]  # fmt: skip
    assert len(OWNERS) == 6
    store = toy_store(tmp_path)  # 200 train rows each: too few for owners of their own
    assert Owners.of(store) == Owners(("a", "b"), {})


def test_pooled_levels_of_a_store_learn_from_vehicles_as_if_unknown(tmp_path) -> None:
    """A class from each of its vehicles as the rest of the class sees it, the fleet from each as
    the other classes do; a vehicle's own owner from the vehicle as it is."""
    store = toy_store(tmp_path)
    scaled = {name: store.scaled(name).part(TRAIN) for name in store.vehicles}

    def as_unknown(name: str, *others: str) -> Series:
        return store.scaler.as_unknown(scaled[name], others)

    skip = LinearSkip(CHANNELS, Owners(("a", "b"), {"b-1": "b"}), BLOCK, False)
    skip.fit(store)
    want = {
        FLEET: [
            as_unknown("a-1", "b-1"),
            as_unknown("a-2", "b-1"),
            as_unknown("b-1", "a-1", "a-2"),
        ],
        1: [as_unknown("a-1", "a-2"), as_unknown("a-2", "a-1")],
        3: [scaled["b-1"]],
    }
    for owner, series in want.items():
        alone = LinearSkip(CHANNELS, Owners(), BLOCK, False)
        alone.fit_series(series)
        for name, value in alone.state_dict().items():
            assert torch.equal(value[FLEET], skip.state_dict()[name][owner]), (owner, name)
    assert not torch.equal(skip.mean_VC[1], torch.zeros(CHANNELS))


def test_it_is_finite_and_exact_in_mixed_precision() -> None:
    skip, x_BLC, hidden_BLC = fitted(), torch.randn(3, L, CHANNELS), block_at(8, 8 + BLOCK)
    hidden_BLC[0, :, 1] = True
    exact_BLC = predict(skip, x_BLC, hidden_BLC, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(predict(skip, x_BLC, hidden_BLC, 2), exact_BLC)


def test_a_channel_that_never_moves_is_its_mean_and_says_nothing() -> None:
    series = toy_series("b-1")
    series.value_TC[:, 2] = 3.0
    scaled = Scaler.fit([series], _fleet(), "vehicle").apply(series)
    skip = LinearSkip(CHANNELS, Owners(), BLOCK, False)
    skip.fit_series([scaled])
    x_BLC, hidden_BLC = torch.randn(1, L, CHANNELS), torch.zeros(1, L, CHANNELS, dtype=torch.bool)
    hidden_BLC[..., 2] = True
    found_BLC = predict(skip, x_BLC, hidden_BLC, FLEET)
    torch.testing.assert_close(found_BLC[..., 2], torch.zeros(1, L), atol=1e-5, rtol=0)
    assert (skip.correlation_VCC[FLEET, 2, [0, 1, 3]] == 0).all()


def _fleet():
    from model_kit import toy_fleet

    return toy_fleet()
