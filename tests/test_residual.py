"""Hidden-position scoring: no copied input, every row once, the same bytes again."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from windows_kit import SECOND, START, series_of

from amad.config.params import ModelParams
from amad.model import Amad, complementary_masks, hidden_residual
from amad.model.owners import Owners
from amad.model.residual import past_tiles, tiles
from amad.windows.series import Series

L, C, BLOCK = 20, 3, 4


@pytest.fixture(scope="module")
def network() -> Amad:
    return trained()


@pytest.fixture(scope="module")
def online() -> Amad:
    return trained(direction="past")


def trained(**changes: str) -> Amad:
    torch.manual_seed(0)
    params = ModelParams(window=L, width=16, layers=2, heads=2, **changes)
    model = Amad(C, params, block=BLOCK)
    with torch.no_grad():
        model.head.weight.normal_(std=0.3)  # as after some training: it starts at zero
    return model


def noise(rows: int, **changes: object) -> Series:
    return series_of(np.random.default_rng(0).normal(size=(rows, C)), **changes)


def test_a_prediction_does_not_depend_on_the_values_it_predicts(network: Amad) -> None:
    """Nothing moves where the changed values are hidden; their neighbours do look at them."""
    series = noise(3 * L)
    tile = next(t for t in tiles(series, L, BLOCK) if t.first > L)
    block = slice(tile.start + 2 * BLOCK, tile.start + 3 * BLOCK)
    assert tile.first <= block.start and block.stop <= tile.last
    before = series.value_TC - hidden_residual(network, series, BLOCK)
    changed = series.value_TC.copy()
    changed[block] += 5.0
    after = changed - hidden_residual(network, series.with_values(changed), BLOCK)
    np.testing.assert_allclose(after[block], before[block], atol=1e-5)
    assert (
        np.abs(after[block.stop : block.stop + 2] - before[block.stop : block.stop + 2]).max() > 0.1
    )


def test_it_is_what_the_network_says_mask_by_mask(network: Amad) -> None:
    series = noise(L)
    x_BLC = torch.from_numpy(series.value_TC)[None]
    want = np.zeros((L, C), np.float32)
    for mask_LC in complementary_masks(L, C, BLOCK):
        with torch.inference_mode():
            recon_LC = network.eval()(x_BLC, mask_LC[None]).recon_BLC[0].numpy()
        want[mask_LC.numpy()] = (series.value_TC - recon_LC)[mask_LC.numpy()]
    np.testing.assert_allclose(hidden_residual(network, series, BLOCK), want, atol=1e-5)


@pytest.mark.parametrize(("direction", "family", "most"), [
    ("both", "time", L - 2 * BLOCK), ("past", "time", BLOCK), ("past", "channel", BLOCK),
])  # fmt: skip
def test_the_head_reconstructs_what_windows_answer_for_and_as_whole_windows_do(
    direction: str, family: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, series, steps = trained(direction=direction), noise(5 * L + 7), []
    model.head.register_forward_hook(lambda _, given, __: steps.append(given[0].shape[1]))
    found = hidden_residual(model, series, BLOCK, batch=4, family=family)
    assert max(steps) <= most
    monkeypatch.setattr("amad.model.network.MOST_STEPS", 0.0)
    whole = hidden_residual(model, series, BLOCK, batch=4, family=family)
    assert steps[-1] == L
    np.testing.assert_allclose(found, whole, atol=1e-5)


def test_what_was_not_measured_is_no_evidence_and_is_not_looked_at(network: Amad) -> None:
    series = noise(2 * L)
    series.valid_TC[5:8, 1] = 0
    residual = hidden_residual(network, series, BLOCK)
    assert (residual[5:8, 1] == 0).all() and (residual[5:8, 0] != 0).all()
    changed = series.value_TC.copy()
    changed[5:8, 1] = 9.0
    again = hidden_residual(network, series.with_values(changed), BLOCK)
    assert np.array_equal(residual, again)


def test_short_segments_are_nan_and_no_window_crosses_a_gap(network: Amad) -> None:
    segment_T = np.repeat([0, 1, 2], [L + 5, L - 1, L]).astype(np.int32)
    stamp_T = START + (np.arange(len(segment_T)) + 1000 * segment_T.astype(np.int64)) * SECOND
    series = noise(len(segment_T), segment_T=segment_T, timestamp_T=stamp_T)
    residual = hidden_residual(network, series, BLOCK)
    assert np.isnan(residual[segment_T == 1]).all()
    assert np.isfinite(residual[segment_T != 1]).all()
    alone = hidden_residual(network, series.rows_between(0, L + 5), BLOCK)
    np.testing.assert_allclose(residual[: L + 5], alone, atol=1e-5)
    assert np.isnan(hidden_residual(network, noise(L - 1), BLOCK)).all()
    assert hidden_residual(network, noise(0), BLOCK).shape == (0, C)


def test_the_same_series_gives_the_same_bytes_and_the_batch_does_not_matter(network: Amad) -> None:
    series = noise(10 * L + 3)
    a, b = (hidden_residual(network, series, BLOCK) for _ in range(2))
    assert a.tobytes() == b.tobytes()
    np.testing.assert_allclose(hidden_residual(network, series, BLOCK, batch=1), a, atol=1e-5)


def test_a_row_does_not_depend_on_where_the_series_was_cut(network: Amad) -> None:
    """A day scored with a window of rows on either side has the residuals of the whole series."""
    series = noise(9 * L)
    whole = hidden_residual(network, series, BLOCK)
    for first in (3 * L, 3 * L + 5, 3 * L + 11):
        part = series.rows_between(first - L, first + 4 * L)
        residual = hidden_residual(network, part, BLOCK)[L : 4 * L]
        np.testing.assert_allclose(residual, whole[first : first + 3 * L], atol=1e-5)


@pytest.mark.parametrize("block", [1, 4, 10, 50])
def test_inside_a_segment_a_row_has_context_on_both_sides(block: int) -> None:
    series = noise(6 * L)
    margin = min(block, L // 4)
    for tile in tiles(series, L, block)[1:-1]:
        assert tile.first - tile.start >= margin and tile.start + L - tile.last >= margin


@settings(max_examples=60)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=5), st.integers(0, 500))
def test_every_row_of_a_long_enough_segment_is_answered_for_once(
    lengths: list[int], offset: int
) -> None:
    segment_T = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    rows = len(segment_T)
    stamp_T = START + (offset + np.arange(rows) + 137 * segment_T.astype(np.int64)) * SECOND
    series = series_of(np.zeros((rows, 1)), segment_T=segment_T, timestamp_T=stamp_T)
    answered_T = np.zeros(rows, int)
    for tile in tiles(series, L, BLOCK):
        inside = segment_T[tile.start : tile.start + L]
        assert len(inside) == L and (inside == inside[0]).all()
        assert tile.start <= tile.first < tile.last <= tile.start + L
        answered_T[tile.first : tile.last] += 1
    long_T = np.bincount(segment_T)[segment_T] >= L
    assert (answered_T == long_T).all()


def residual_of(model: Amad, series: Series, family: str = "time", **changes: int) -> np.ndarray:
    return hidden_residual(model, series, BLOCK, family=family, **changes)


@pytest.mark.parametrize("skip", ["linear", "none"])
def test_a_hidden_channel_is_predicted_from_the_others_alone(skip: str) -> None:
    model, series = trained(skip=skip), noise(3 * L + 7)
    before = series.value_TC - residual_of(model, series, "channel")
    assert np.isfinite(before).all()
    changed = series.value_TC.copy()
    changed[:, 1] += 5.0
    after = changed - residual_of(model, series.with_values(changed), "channel")
    np.testing.assert_allclose(after[:, 1], before[:, 1], atol=1e-5)
    assert np.abs(after[:, [0, 2]] - before[:, [0, 2]]).max() > 0.1


def test_whole_channels_need_no_overlap_of_windows() -> None:
    series = noise(20 * L)
    answered = [tile.last - tile.first for tile in tiles(series, L, 0)]
    assert sum(answered) == series.rows and len(answered) <= 21


@pytest.mark.parametrize("family", ["time", "channel"])
def test_online_no_row_is_predicted_from_later_blocks(online: Amad, family: str) -> None:
    series = noise(4 * L + 3)
    before = series.value_TC - residual_of(online, series, family)
    at = next(t.first for t in past_tiles(series, L, BLOCK) if t.first > 2 * L)
    changed = series.value_TC.copy()
    changed[at:] += 5.0
    after = changed - residual_of(online, series.with_values(changed), family)
    until = at + BLOCK if family == "time" else at  # a block's rows are in no prediction of it
    np.testing.assert_allclose(after[:until], before[:until], atol=1e-5)
    assert np.abs(after[until + BLOCK :] - before[until + BLOCK :]).max() > 0.1


def test_online_every_row_with_a_history_is_answered_for_once_in_one_window_a_block() -> None:
    segment_T = np.repeat([0, 1, 2], [3 * L + 1, L - 1, L]).astype(np.int32)
    rows = len(segment_T)
    stamp_T = START + (np.arange(rows) + 1000 * segment_T.astype(np.int64)) * SECOND
    series = noise(rows, segment_T=segment_T, timestamp_T=stamp_T)
    todo = past_tiles(series, L, BLOCK)
    answered_T = np.zeros(rows, int)
    for tile in todo:
        assert segment_T[tile.start] == segment_T[tile.first] == segment_T[tile.last - 1]
        assert tile.first == tile.start + L - BLOCK
        answered_T[tile.first : tile.last] += 1
    assert len(todo) <= rows / BLOCK
    for segment, first in ((0, 0), (2, 4 * L)):
        own_T = answered_T[segment_T == segment]
        assert own_T.max() == 1 and (np.diff(own_T) >= 0).all()
        assert L - BLOCK <= np.argmax(own_T) < L, first
    assert not answered_T[segment_T == 1].any()
    found = residual_of(trained(direction="past"), series)
    np.testing.assert_array_equal(np.isfinite(found).all(1), answered_T == 1)


@pytest.mark.parametrize("cut", [2 * L + 1, 2 * L + 2, 3 * L])
def test_online_a_row_does_not_depend_on_where_the_series_ends_or_begins(
    online: Amad, cut: int
) -> None:
    series = noise(5 * L)
    whole = residual_of(online, series)
    np.testing.assert_allclose(
        residual_of(online, series.rows_between(0, cut)), whole[:cut], atol=1e-5
    )
    part = residual_of(online, series.rows_between(cut - L, 5 * L))
    np.testing.assert_allclose(part[L:], whole[cut:], atol=1e-5)


@pytest.mark.parametrize("family", ["time", "channel"])
@pytest.mark.parametrize("direction", ["both", "past"])
def test_a_vehicle_that_lacks_channels_is_scored_and_what_is_absent_says_nothing(
    family: str, direction: str
) -> None:
    model = trained(direction=direction)
    model.linear.fit_series([noise(200)])
    series = noise(4 * L, vehicle_class="new")
    series.valid_TC[:, 1] = 0
    found = residual_of(model, series, family)
    scored_T = np.isfinite(found).all(1)
    assert scored_T[2 * L :].all() and (found[scored_T, 1] == 0).all()
    changed = series.value_TC.copy()
    changed[:, 1] = 77.0
    again = residual_of(model, series.with_values(changed), family)
    np.testing.assert_array_equal(found, again)


def test_a_known_vehicle_takes_its_own_coefficients() -> None:
    params = ModelParams(window=L, width=16, layers=1, heads=2)
    model = Amad(C, params, Owners(("a",), {"a-1": "a"}), block=BLOCK)
    with torch.no_grad():
        model.linear.mean_VC[2], model.linear.spread_VC[:] = 3.0, 1.0
    found = [residual_of(model, noise(L, vehicle=name), "channel") for name in ("a-1", "a-2")]
    np.testing.assert_allclose(found[0], found[1] - 3.0, atol=1e-5)
