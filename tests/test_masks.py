"""Masks: families, ratio, determinism; complementary masks hide each value exactly once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amad.config.params import MaskParams
from amad.model import complementary_masks, draw_mask


def draw(
    family: str, shape=(200, 100, 20), seed: int = 0, direction="both", **changes: object
) -> torch.Tensor:
    params = MaskParams(family=family, **({"ratio": 0.3, "block": 10} | changes))
    return draw_mask(params, shape, torch.Generator().manual_seed(seed), direction)


@pytest.mark.parametrize("family", ["time", "channel", "mixed"])
@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5])
def test_the_ratio_is_hidden(family: str, ratio: float) -> None:
    assert abs(draw(family, ratio=ratio).float().mean().item() - ratio) < 0.02


@pytest.mark.parametrize("family", ["time", "channel", "mixed"])
def test_the_same_generator_gives_the_same_mask(family: str) -> None:
    assert torch.equal(draw(family), draw(family))
    assert not torch.equal(draw(family), draw(family, seed=1))


def test_time_hides_whole_rows_in_blocks_at_a_phase_of_their_own() -> None:
    hidden_BLC = draw("time")
    assert torch.equal(hidden_BLC.any(2), hidden_BLC.all(2))
    hidden_BL = hidden_BLC[:, :, 0]
    runs = [
        length
        for row in hidden_BL.int().tolist()
        for length in map(len, "".join(map(str, row)).strip("0").replace("0", " ").split())
    ]
    # Whole blocks, but for the window's ends, and none beside another.
    assert max(runs) == 10 and runs.count(10) > len(runs) / 2
    assert (hidden_BL.float().mean(0) > 0.1).all()
    many_BL = draw("time", ratio=0.7)[:, :, 0]
    assert abs(many_BL.float().mean().item() - 0.7) < 0.02 and many_BL.unfold(1, 11, 1).all(2).any()


@given(st.integers(2, 60), st.integers(1, 40), st.floats(0.01, 0.99), st.integers(0, 99))
def test_every_window_hides_something_and_not_all(L, block, ratio, seed) -> None:
    hidden_BL = draw("time", (20, L, 2), seed=seed, ratio=ratio, block=block)[:, :, 0]
    assert hidden_BL.any(1).all()
    assert not hidden_BL.all()


def test_channel_hides_whole_channels_and_leaves_one() -> None:
    hidden_BLC = draw("channel")
    assert torch.equal(hidden_BLC.any(1), hidden_BLC.all(1))
    assert (hidden_BLC[:, 0].sum(1) == 6).all()
    assert (draw("channel", (50, 10, 3), ratio=0.9)[:, 0].sum(1) == 2).all()
    assert (draw("channel", (50, 10, 3), ratio=0.01)[:, 0].sum(1) == 1).all()


def test_mixed_is_time_in_some_windows_and_channels_in_the_others() -> None:
    hidden_BLC = draw("mixed")
    rows_B = (hidden_BLC.any(2) == hidden_BLC.all(2)).all(1)
    channels_B = (hidden_BLC.any(1) == hidden_BLC.all(1)).all(1)
    assert (rows_B ^ channels_B).all()
    assert 60 < rows_B.sum() < 140


@given(st.integers(2, 130), st.integers(1, 40), st.integers(1, 150))
def test_complementary_masks_hide_each_value_exactly_once(L: int, C: int, block: int) -> None:
    hidden_KLC = complementary_masks(L, C, block)
    assert (hidden_KLC.sum(0) == 1).all()
    assert all(0 < mask_LC.float().mean() < 1 for mask_LC in hidden_KLC)
    run = max(
        len(r)
        for k in range(2)
        for r in "".join(map(str, hidden_KLC[k, :, 0].int().tolist())).split("0")
    )
    assert run <= block


def test_for_the_past_alone_the_last_block_is_hidden() -> None:
    hidden_BLC = draw("time", direction="past")
    assert hidden_BLC[:, -10:].all() and not hidden_BLC[:, :-10].any()
    mixed_BLC = draw("mixed", direction="past")
    last_B = mixed_BLC[:, -1].all(1)
    assert 60 < last_B.sum() < 140 and not mixed_BLC[last_B, :-10].any()
    channels_BLC = mixed_BLC[~last_B]
    assert torch.equal(channels_BLC.any(1), channels_BLC.all(1))
    (mask_LC,) = complementary_masks(20, 3, 4, direction="past")
    assert mask_LC[-4:].all() and not mask_LC[:-4].any()


@given(st.integers(2, 60), st.integers(1, 40), st.sampled_from(["both", "past"]))
def test_groups_of_channels_hide_each_for_the_whole_window_once(L, C, direction) -> None:
    hidden_KLC = complementary_masks(L, C, 5, "channel", direction)
    assert len(hidden_KLC) == min(4, C)
    assert (hidden_KLC.sum(0) == 1).all()
    assert torch.equal(hidden_KLC.any(1), hidden_KLC.all(1))
    if C > 1:
        assert not (hidden_KLC[:, 0, 1:] & hidden_KLC[:, 0, :-1]).any()
