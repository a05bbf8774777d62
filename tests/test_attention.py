"""Attention: two forms of one computation, the discrepancy's identity, the sides of Max-Min."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amad.baselines.transformer import GaussianPrior
from amad.config.params import ModelParams
from amad.model.attention import (
    LOGIT_RANGE,
    MakeKernel,
    MixupAttention,
    association_discrepancy,
    bounded,
    fused,
    reverse_gradient,
    steps_of,
)
from amad.model.kernel import AutoMask
from amad.model.views import two_views


def attention(
    kernel: MakeKernel = AutoMask, **changes: object
) -> tuple[MixupAttention, torch.Tensor]:
    torch.manual_seed(0)
    params = ModelParams(**({"window": 30, "width": 32, "heads": 4} | changes))
    return MixupAttention(params, kernel).eval(), torch.randn(3, 30, 32)


@pytest.mark.parametrize("kernel", [AutoMask, GaussianPrior])
def test_fused_and_explicit_give_the_same_output(kernel: MakeKernel) -> None:
    layer, x_BLD = attention(kernel)
    *explicit, discrepancy_BL = layer(x_BLD, need_discrepancy=True)
    *fast, nothing = layer(x_BLD, need_discrepancy=False)
    for a, b in zip(explicit, fast, strict=True):
        # The Gaussian's factors are squares of positions, of which float32 keeps fewer digits.
        tolerance = 1e-5 if kernel is AutoMask else 3e-4
        torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)
    assert discrepancy_BL.shape == (3, 30) and nothing is None


def test_fused_and_explicit_give_the_same_gradient() -> None:
    layer, x_BLD = attention()
    gradients = []
    for need_discrepancy in (True, False):
        layer.zero_grad()
        layer(x_BLD, need_discrepancy)[0].square().sum().backward()
        gradients.append([weight.grad.clone() for weight in layer.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


def test_the_explicit_form_does_not_depend_on_how_the_batch_is_cut(monkeypatch) -> None:
    layer, x_BLD = attention()
    whole = layer(x_BLD)
    monkeypatch.setattr("amad.model.attention.CACHED_MAP", 1)
    for a, b in zip(whole, layer(x_BLD), strict=True):
        torch.testing.assert_close(a, b)


def operands(*, asked: int, dtype: torch.dtype) -> list[torch.Tensor | None]:
    """What ``two_views`` takes, of 5 windows, 30 steps, 3 heads, E 8, R 4. asked: N."""
    torch.manual_seed(0)
    apart = asked < 30
    shapes = [(5, 30, 2 if apart else 3, 3, 8), (5, asked, 3, 4), (3, 30, 4), (5, asked, 3)]
    parts = [torch.randn(shape, dtype=dtype) for shape in [(5, asked, 3, 8), *shapes]]
    own = [part.requires_grad_() for part in [*parts[:4], parts[4].sigmoid()]]
    return own if apart else [None, *own[1:]]


def views_by_definition(queries, qkv, psi, phi, gate) -> tuple[torch.Tensor, ...]:
    *q, k, v = qkv.permute(2, 0, 3, 1, 4)
    q = q[0] if queries is None else queries.transpose(1, 2)
    s, m = q @ k.mT * q.shape[-1] ** -0.5, psi.transpose(1, 2) @ phi.mT
    local, world = ((a.softmax(-1) @ v).transpose(1, 2) for a in (s + m, s))
    return gate[..., None] * local + (1 - gate[..., None]) * world, local, world


def gradients_of(
    form, used: tuple[int, ...], *, asked: int = 30, dtype: torch.dtype
) -> list[torch.Tensor]:
    """The outputs of ``form`` and their gradient, of a random sum of those that are ``used``."""
    parts = operands(asked=asked, dtype=dtype)
    outputs = form(*parts)
    weight = torch.randn(5, asked, 3, 8, dtype=dtype, generator=torch.Generator().manual_seed(1))
    loss = sum((number + 1) * (weight * outputs[number]).sum() for number in used)
    parts = [part for part in parts if part is not None]
    gradients = torch.autograd.grad(loss, parts, allow_unused=True, materialize_grads=True)
    return [output.detach() for output in outputs] + list(gradients)


@pytest.mark.parametrize("kept", [0, 10**9])
@pytest.mark.parametrize("used", [(0,), (0, 1, 2), (1,)])
@pytest.mark.parametrize("asked", [30, 12])
def test_two_views_and_their_gradients_are_the_definition(monkeypatch, kept, used, asked) -> None:
    """Kept or made again, in several pieces; the outputs that a loss may use, alone or together.

    Where every step asks, and where some do.
    """
    monkeypatch.setattr("amad.model.views.KEPT", kept)
    monkeypatch.setattr("amad.model.views.CACHED", 2 * 30 * 30)
    want = gradients_of(views_by_definition, used, asked=asked, dtype=torch.float64)
    found = gradients_of(two_views, used, asked=asked, dtype=torch.float64)
    for a, b in zip(want, found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-12)


def test_two_views_equal_two_fused_calls() -> None:
    layer = MixupAttention(ModelParams(window=30, width=24, heads=3))
    want = gradients_of(
        lambda _, *parts: layer._by_heads(*parts, explicit=False)[:3],
        (0, 1, 2),
        dtype=torch.float32,
    )
    found = gradients_of(two_views, (0, 1, 2), dtype=torch.float32)
    for a, b in zip(want, found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_the_maps_of_two_views_are_given_back_and_made_again_where_they_are_needed_twice() -> None:
    """A loss that is still known during the next step would hold those of every layer."""
    parts = operands(asked=12, dtype=torch.float64)
    mixed = two_views(*parts)[0]
    loss, node = mixed.square().sum(), mixed.grad_fn
    assert len(node.maps) == 3  # one piece of work per head
    first = torch.autograd.grad(loss, parts, retain_graph=True)
    assert node.maps == []
    for a, b in zip(first, torch.autograd.grad(loss, parts), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kernel", [AutoMask, GaussianPrior])
def test_steps_that_ask_alone_get_what_they_get_among_all(kernel: MakeKernel) -> None:
    layer, x_BLD = attention(kernel)
    step_BN = torch.rand(3, 30).argsort(1)[:, :11]
    outputs = layer(x_BLD, need_discrepancy=False)[:3]
    gradients = []
    for found in (
        [steps_of(whole_BLD, step_BN) for whole_BLD in outputs],
        layer(x_BLD, need_discrepancy=False, step_BN=step_BN)[:3],
    ):
        layer.zero_grad()
        sum((part_BND.square()).sum() for part_BND in found).backward()
        gradients.append([*found, *(weight.grad.clone() for weight in layer.parameters())])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("wide", "narrow"), [(16, 8), (8, 8)])
def test_fused_takes_values_that_are_narrower_than_the_queries(wide: int, narrow: int) -> None:
    torch.manual_seed(0)
    q, k, v = (
        torch.randn(2, 3, 10, wide),
        torch.randn(2, 3, 10, wide),
        torch.randn(2, 3, 10, narrow),
    )
    torch.testing.assert_close(fused(q, k, v), (q @ k.mT).softmax(-1) @ v)


def test_local_and_global_views_are_what_the_formulas_say() -> None:
    layer, x_BLD = attention(heads=1)
    q, k, v = layer.qkv(x_BLD).split(32, dim=-1)
    psi, phi = layer.kernel(x_BLD)
    s = q @ k.mT / 32**0.5
    m = psi[:, :, 0] @ phi[0].mT
    g = layer.gate(x_BLD).sigmoid()
    local_BLD, global_BLD = (s + m).softmax(-1) @ v, s.softmax(-1) @ v
    out = layer(x_BLD, need_discrepancy=False)
    torch.testing.assert_close(out[1], local_BLD)
    torch.testing.assert_close(out[2], global_BLD)
    torch.testing.assert_close(out[0], layer.out(g * local_BLD + (1 - g) * global_BLD))


def symmetric_kl(m: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """By the definition, with logarithms: the oracle."""
    p, g = m.log_softmax(-1), s.log_softmax(-1)
    return (p.exp() * (p - g)).sum(-1) + (g.exp() * (g - p)).sum(-1)


@given(st.integers(0, 2**31), st.floats(0.01, 2.5))
def test_the_discrepancy_is_the_symmetric_divergence(seed: int, size: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    m, s = size * torch.randn(2, 2, 3, 8, 8, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(
        association_discrepancy(m, s), symmetric_kl(m, s), atol=1e-12, rtol=1e-12
    )


def test_the_discrepancy_is_bounded_whatever_the_logits() -> None:
    torch.manual_seed(0)
    m, s = 1e6 * torch.randn(2, 4, 4, 20, 20)
    distance = association_discrepancy(m, s)
    assert torch.isfinite(distance).all()
    assert (distance >= 0).all() and (distance <= 2 * LOGIT_RANGE).all()
    assert (bounded(distance) < 1).all()
    row = torch.zeros(1, 1, 1, 5)
    assert association_discrepancy(row, row + 3).item() == 0


def test_reversal_gives_each_side_the_gradient_of_its_own_phase_of_maxmin() -> None:
    torch.manual_seed(0)
    m = torch.randn(2, 2, 6, 6, requires_grad=True)
    s = torch.randn(2, 2, 6, 6, requires_grad=True)

    def gradients(value: torch.Tensor) -> list[torch.Tensor | None]:
        return torch.autograd.grad(value.sum(), (m, s), allow_unused=True)

    least_m, least_s = gradients(association_discrepancy(m, s.detach()))
    most_m, most_s = gradients(-association_discrepancy(m.detach(), s))
    both_m, both_s = gradients(association_discrepancy(m, reverse_gradient(s)))
    assert least_s is None and most_m is None
    torch.testing.assert_close(both_m, least_m)
    torch.testing.assert_close(both_s, most_s)


def test_a_step_of_maxmin_moves_each_side_its_way() -> None:
    """In a layer: the kernel's own weights go down the discrepancy, the queries and keys up it."""
    layer, x_BLD = attention(heads=1)
    value = layer(x_BLD)[3].mean()
    value.backward()
    before = value.item()

    def after(names: tuple[str, ...]) -> float:
        moved, _ = attention(heads=1)
        with torch.no_grad():
            for (name, weight), old in zip(
                moved.named_parameters(), layer.parameters(), strict=True
            ):
                if name.startswith(names) and old.grad is not None:
                    weight -= 1e-2 * old.grad / old.grad.norm()
            return moved(x_BLD)[3].mean().item()

    assert after(("kernel",)) < before - 1e-6
    assert after(("qkv",)) > before + 1e-6
