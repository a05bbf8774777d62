"""AutoMask: what it contains, its rank, and how it starts; and the prior that it replaces."""

import math

import pytest
import torch

from amad.baselines.transformer import GaussianPrior
from amad.config.params import ModelParams
from amad.model.attention import MakeKernel
from amad.model.kernel import AutoMask, gaussian_coefficients

L = 100
LAG_LL = (torch.arange(L)[:, None] - torch.arange(L)).double()


def automask_with(a_F: torch.Tensor, b_F: torch.Tensor) -> AutoMask:
    """A kernel whose coefficients are a_F and b_F in its one head, whatever the token."""
    kernel = AutoMask(ModelParams(heads=1))
    with torch.no_grad():
        kernel.coefficient.weight.zero_()
        kernel.coefficient.bias.copy_(torch.stack([a_F, b_F]).flatten().repeat(kernel.heads))
    return kernel


def logits(kernel: torch.nn.Module, x_BLD: torch.Tensor) -> torch.Tensor:
    psi_BLHR, phi_HLR = kernel(x_BLD)
    return psi_BLHR.transpose(1, 2) @ phi_HLR.transpose(-1, -2)


def divergence(target_LL: torch.Tensor, logit_LL: torch.Tensor) -> float:
    """The largest KL(target || softmax(logit)) over the rows."""
    log_target_LL = target_LL.log_softmax(-1)
    gap_LL = log_target_LL - logit_LL.double().log_softmax(-1)
    return (log_target_LL.exp() * gap_LL).sum(-1).max().item()


@pytest.mark.parametrize("scale", range(4))
@pytest.mark.parametrize("sigma", [0.5, 1, 2, 3.7, 5, 10, 14, 20])
def test_eight_frequencies_hold_the_gaussian_prior(sigma: float, scale: int) -> None:
    kernel = AutoMask(ModelParams())
    frequency_F = kernel.log_frequency_SF[scale].exp().detach()
    a_F = gaussian_coefficients(frequency_F, sigma, L)
    with torch.no_grad():
        kernel.coefficient.weight.zero_()
        bias_H2F = kernel.coefficient.bias.view(4, 2, 8)
        bias_H2F.zero_()
        bias_H2F[scale, 0] = a_F
    logit_LL = logits(kernel, torch.zeros(1, L, 64))[0, scale]
    assert divergence(-(LAG_LL**2) / (2 * sigma**2), logit_LL) < 1e-3


@pytest.mark.slow
def test_it_holds_a_kernel_of_three_peaks_that_no_gaussian_holds() -> None:
    """Peaks at the step itself and a period before and after: a periodic signal's association."""
    share_LL = sum(
        w * torch.exp(-((LAG_LL - at) ** 2) / (2 * 3**2))
        for w, at in [(1, 0), (0.6, 20), (0.6, -20)]
    )
    target_LL = (share_LL + 1e-6).log()
    kernel = automask_with(torch.zeros(8), torch.zeros(8)).double()
    bias = kernel.coefficient.bias
    x_BLD = torch.zeros(1, L, 64, dtype=torch.float64)
    optimiser = torch.optim.LBFGS(
        [bias, kernel.log_frequency_SF], max_iter=100, line_search_fn="strong_wolfe"
    )
    log_target_LL = target_LL.log_softmax(-1)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        logit_LL = logits(kernel, x_BLD)[0, 0].log_softmax(-1)
        value = (log_target_LL.exp() * (log_target_LL - logit_LL)).sum(-1).mean()
        value.backward()
        return value

    optimiser.step(loss)
    held = divergence(target_LL, logits(kernel, x_BLD)[0, 0].detach())
    gaussians = [
        divergence(target_LL, -(LAG_LL**2) / (2 * s**2)) for s in (0.5, 1, 2, 5, 10, 20, 40)
    ]
    assert held < 0.02
    assert min(gaussians) > 0.2


@pytest.mark.parametrize("frequencies", [1, 4, 8])
def test_the_rank_is_at_most_twice_the_frequencies(
    frequencies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("amad.model.kernel.FREQUENCIES", frequencies)
    kernel = AutoMask(ModelParams()).double()
    torch.manual_seed(0)
    with torch.no_grad():
        kernel.coefficient.weight.normal_()
    m_BHLL = logits(kernel, torch.randn(2, L, 64, dtype=torch.float64))
    assert torch.linalg.matrix_rank(m_BHLL, rtol=1e-10).max() <= 2 * frequencies


@pytest.mark.parametrize("make", [AutoMask, GaussianPrior])
def test_rows_sum_to_one_and_start_peaked_at_the_step_itself(make: MakeKernel) -> None:
    torch.manual_seed(0)
    kernel = make(ModelParams())
    p_BHLL = logits(kernel, 0.01 * torch.randn(2, L, 64)).softmax(-1)
    torch.testing.assert_close(p_BHLL.sum(-1), torch.ones(2, 4, L))
    middle = L // 2
    assert (p_BHLL[:, :, middle].argmax(-1) - middle).abs().max() <= 2


def test_automask_starts_as_a_mild_gaussian_wider_for_coarser_scales() -> None:
    torch.manual_seed(0)
    kernel = AutoMask(ModelParams())
    p_HL = logits(kernel, torch.zeros(1, L, 64)).softmax(-1)[0, :, L // 2]
    lag_L = LAG_LL[L // 2].abs().float()
    spread_H = (p_HL * lag_L**2).sum(-1).sqrt()
    assert (spread_H.diff() > 0).all()
    torch.testing.assert_close(spread_H[0].item(), 5.0, atol=0.5, rtol=0)
    flat = math.sqrt((lag_L**2).mean())
    assert spread_H.max() < 0.95 * flat


def test_heads_share_the_scales_out() -> None:
    assert AutoMask(ModelParams(heads=8)).scale_H.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    kernel = AutoMask(ModelParams(heads=2))
    assert kernel.scale_H.tolist() == [0, 1]
    assert kernel.log_frequency_SF.shape == (2, 8)
    lowest_S, highest_S = kernel.log_frequency_SF.exp().detach()[:, [0, -1]].T
    torch.testing.assert_close(lowest_S, torch.full((2,), math.pi / L))
    torch.testing.assert_close(highest_S, torch.tensor([math.pi, math.pi / 2]))


def test_the_gaussian_prior_is_the_anomaly_transformers() -> None:
    torch.manual_seed(0)
    kernel = GaussianPrior(ModelParams())
    x_BLD = torch.randn(1, L, 64)
    sigma_BHL1 = 3 ** (torch.sigmoid(5 * kernel.width_of_peak(x_BLD).mT) + 1e-5) - 1
    sigma_BHL1 = sigma_BHL1[..., None]
    density = torch.exp(-(LAG_LL.float() ** 2) / (2 * sigma_BHL1**2)) / sigma_BHL1
    want = density / density.sum(-1, keepdim=True)
    torch.testing.assert_close(logits(kernel, x_BLD).softmax(-1), want, atol=1e-4, rtol=1e-3)
