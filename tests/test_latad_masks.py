"""Learned masks: hard negatives that neither vanish nor blank the window, and who is trained."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amad.baselines.latad_masks import (
    MARGINS,
    WEIGHT,
    LearnedMasks,
    diversity,
    draw_neighbours,
    hinge,
    margin,
    mask_cost,
    opposed,
    strength,
)


def masks_and_windows() -> tuple[LearnedMasks, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    x_BLC = torch.randn(6, 12, 4)
    return LearnedMasks(4), x_BLC, torch.ones(6, 12, 4, dtype=torch.bool)


def test_an_untrained_mask_is_mild_differs_from_the_others_and_depends_on_the_window() -> None:
    masks, x_BLC, real_BLC = masks_and_windows()
    mask_BKLC = masks(x_BLC)
    assert mask_BKLC.shape == (6, 3, 12, 4)
    assert 0.05 < strength(mask_BKLC, real_BLC).mean() < 0.4
    assert diversity(mask_BKLC, real_BLC) > 0.01
    assert (mask_BKLC[0] - mask_BKLC[1]).abs().max() > 0.01
    wild_BKLC = masks(1e6 * x_BLC)
    assert wild_BKLC.min() > 0.01 and wild_BKLC.max() < 0.99, "no mask without a gradient"


def test_cells_that_no_network_sees_count_nowhere() -> None:
    masks, x_BLC, real_BLC = masks_and_windows()
    real_BLC[:, :, 2] = False
    mask_BKLC = masks(x_BLC)
    other_BKLC = mask_BKLC.clone()
    other_BKLC[..., 2] = 0.0
    torch.testing.assert_close(mask_cost(mask_BKLC, real_BLC), mask_cost(other_BKLC, real_BLC))
    blanked = strength(torch.zeros_like(mask_BKLC), real_BLC)
    torch.testing.assert_close(blanked, torch.ones(6, 3))
    assert mask_cost(mask_BKLC, torch.zeros_like(real_BLC)).isfinite()


def test_diversity_is_nothing_for_equal_masks_and_whole_for_opposite_ones() -> None:
    real_BLC = torch.ones(2, 4, 3, dtype=torch.bool)
    one_BLC = (torch.rand(2, 4, 3) < 0.5).float()
    assert diversity(torch.stack([one_BLC, one_BLC], 1), real_BLC) < 1e-3
    assert diversity(torch.stack([one_BLC, 1 - one_BLC], 1), real_BLC) > 0.999


def test_alone_the_masks_settle_between_keeping_all_and_blanking_all() -> None:
    masks, x_BLC, real_BLC = masks_and_windows()
    optimiser = torch.optim.Adam(masks.parameters(), lr=0.02)
    for _ in range(150):
        cost = mask_cost(masks(x_BLC), real_BLC)
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
    assert cost < 0, "diversity is worth more than it costs"
    assert 0.01 < strength(masks(x_BLC), real_BLC).mean() < 0.5


def test_the_masks_climb_what_the_encoder_descends() -> None:
    mask = torch.tensor([0.5, 0.9], requires_grad=True)
    weight = torch.tensor([2.0, 3.0], requires_grad=True)
    (weight * opposed(mask)).sum().backward()
    torch.testing.assert_close(mask.grad, -WEIGHT * weight.detach())
    torch.testing.assert_close(weight.grad, mask.detach())


def test_the_margin_grows_with_the_change_and_passes_no_gradient() -> None:
    share = torch.tensor([0.0, 0.3, 1.0], requires_grad=True)
    assert not margin(share).requires_grad
    torch.testing.assert_close(margin(share), torch.tensor([MARGINS[0], 0.37, MARGINS[1]]))
    near, far = torch.tensor([0.1, 0.1]), torch.tensor([0.05, 0.9])
    assert hinge(near, far, torch.tensor(0.5)).item() == pytest.approx(0.55 / 2)


@given(st.integers(0, 50), st.integers(0, 30), st.integers(0, 1000), st.integers(1, 9), st.data())
def test_a_neighbour_is_another_window_of_the_segment_within_reach(
    first: int, length: int, seed: int, eta: int, data: st.DataObject
) -> None:
    last = first + length
    start_B = np.full(20, data.draw(st.integers(first, last)))
    bounds = np.full(20, first), np.full(20, last)
    near_B = draw_neighbours(start_B, *bounds, eta, np.random.default_rng(seed))
    assert (near_B >= first).all() and (near_B <= last).all()
    assert (np.abs(near_B - start_B) <= eta).all()
    assert ((near_B == start_B) == (length == 0)).all()
    again_B = draw_neighbours(start_B, *bounds, eta, np.random.default_rng(seed))
    np.testing.assert_array_equal(near_B, again_B)
