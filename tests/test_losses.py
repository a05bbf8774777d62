"""The objective: what counts, what is skipped, and the contrast."""

import math

import pytest
import torch

from amad.config.params import LossParams, ModelParams
from amad.model import Amad
from amad.model.losses import (
    Objective,
    hidden_and_counted,
    info_nce,
    squared_error,
)


def objective(**loss: object) -> Objective:
    torch.manual_seed(0)
    network = Amad(3, ModelParams(window=20, width=16, layers=2, heads=2))
    torch.nn.init.normal_(network.head.weight)  # as after some training: it starts at zero
    return Objective(network, LossParams(**({"maxmin": 0.01, "contrast": 0.1} | loss)))


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    x_BLC = torch.randn(4, 20, 3)
    mask_BLC, valid_BLC = torch.rand(4, 20, 3) < 0.4, torch.rand(4, 20, 3) < 0.9
    return x_BLC, *hidden_and_counted(mask_BLC, valid_BLC)


def test_what_was_not_measured_is_hidden_and_counts_nowhere() -> None:
    mask = torch.tensor([True, True, False, False])
    valid = torch.tensor([True, False, True, False])
    hidden, counted = hidden_and_counted(mask, valid)
    assert hidden.tolist() == [True, True, False, True]
    assert counted.tolist() == [True, False, False, False]


def test_the_error_is_of_counted_cells_alone_and_linear_where_it_is_huge() -> None:
    x, counted = torch.tensor([[[3.0, 5.0, 1e4]]]), torch.tensor([[[True, False, True]]])
    recon = torch.zeros(1, 1, 3, requires_grad=True)
    error_sum, count = squared_error(x, recon, counted)
    error_sum.backward()
    assert (error_sum.item(), count.item()) == (9 + 2 * 10 * (1e4 - 5), 2)
    assert recon.grad.tolist() == [[[-6, 0, -20]]]


def test_an_uncounted_value_changes_no_loss() -> None:
    model, (x_BLC, hidden_BLC, counted_BLC) = objective(), batch()
    unseen_BLC = hidden_BLC & ~counted_BLC
    assert unseen_BLC.any()
    a = model(x_BLC, hidden_BLC, counted_BLC).total
    b = model(x_BLC.masked_fill(unseen_BLC, 7.0), hidden_BLC, counted_BLC).total
    assert torch.equal(a, b)


def test_the_total_is_the_weighted_sum_of_its_parts() -> None:
    losses = objective(maxmin=0.3, contrast=0.2)(*batch())
    want = losses.error_sum / losses.error_count + 0.15 * losses.discrepancy + 0.2 * losses.contrast
    torch.testing.assert_close(losses.total.detach(), want)
    assert 0 < losses.discrepancy < 1 and losses.contrast > 0


def test_what_has_no_weight_is_not_computed() -> None:
    model = objective(maxmin=0, contrast=0)
    asked = []
    forward = model.network.forward

    def spy(x_BLC, hidden_BLC, need_discrepancy, owner_B, asked_BL, skip):
        asked.append((need_discrepancy, asked_BL))
        return forward(x_BLC, hidden_BLC, need_discrepancy, owner_B, asked_BL, skip)

    model.network.forward = spy
    data = batch()
    losses = model(*data)
    [(need_discrepancy, asked_BL)] = asked
    assert not need_discrepancy and torch.equal(asked_BL, data[2].any(2))
    assert losses.discrepancy == 0 and losses.contrast == 0
    assert not any("project" in name for name, _ in model.named_parameters())
    losses.total.backward()
    assert [n for n, weight in model.named_parameters() if weight.grad is None] == []


def test_the_gradient_is_that_of_a_network_that_reconstructs_every_step(monkeypatch) -> None:
    model, data = objective(maxmin=0, contrast=0), list(batch())
    data[2] = data[2] & (torch.rand(4, 20, 1) < 0.5)  # whole steps that count nowhere
    found = []
    for most in (0.9, 0.0):
        monkeypatch.setattr("amad.model.network.MOST_STEPS", most)
        model.zero_grad()
        losses = model(*data)
        losses.total.backward()
        found.append([losses.total, *(weight.grad.clone() for weight in model.parameters())])
    assert 0 < data[2].any(2).sum(1).max() < 18
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("workers", [2, 3])
def test_shares_of_a_batch_add_up_to_its_gradient(workers: int) -> None:
    """What data-parallel training does: the mean of the shares' gradients is the batch's."""
    model, data = objective(), batch()
    windows = len(data[0])
    model(*data).total.backward()
    whole = [weight.grad.clone() for weight in model.parameters()]
    mean_count = data[2].sum() / workers
    model.zero_grad()
    for rank in range(workers):
        own = [part[rank::workers] for part in data]
        losses = model(*own, mean_count, share=len(own[0]) * workers / windows)
        (losses.total / workers).backward()
    for a, weight in zip(whole, model.parameters(), strict=True):
        torch.testing.assert_close(a, weight.grad, atol=1e-6, rtol=1e-4)


def test_info_nce_by_its_definition() -> None:
    torch.manual_seed(0)
    local, world = torch.randn(1, 9, 4), torch.randn(1, 9, 4)
    a, b = (v[0] / v[0].norm(dim=-1, keepdim=True) for v in (local, world))
    total = 0.0
    for i in range(9):
        far = [j for j in range(9) if j == i or abs(i - j) > 2]
        forth = torch.tensor([(a[i] @ b[j]).item() / 0.1 for j in far])
        back = torch.tensor([(a[j] @ b[i]).item() / 0.1 for j in far])
        same = (a[i] @ b[i]).item() / 0.1
        total += (forth.logsumexp(0) - same + back.logsumexp(0) - same).item() / 2
    assert math.isclose(info_nce(local, world, 0.1).item(), total / 9, rel_tol=1e-4)


def test_info_nce_is_least_where_the_views_agree_and_ignores_near_neighbours() -> None:
    torch.manual_seed(0)
    view, other = torch.randn(2, 12, 8), torch.randn(2, 12, 8)
    assert info_nce(view, view, 0.1) < 0.1 < info_nce(view, other, 0.1)
    slow = torch.eye(12)[None, torch.arange(12) // 3]  # three steps alike, all within reach
    assert info_nce(slow, slow, 0.05) < 1e-6
