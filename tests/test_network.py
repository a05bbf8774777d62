"""The network: shapes, what it may see, and that it can learn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from amad.config.params import ModelParams
from amad.model import Amad
from amad.model.network import INPUT_LIMIT, bridge, sinusoids

SMALL = {"window": 20, "width": 16, "layers": 2, "heads": 2}


def network(channels: int = 3, **changes: object) -> Amad:
    torch.manual_seed(0)
    return Amad(channels, ModelParams(**(SMALL | changes))).eval()


@pytest.mark.parametrize("skip", ["linear", "none"])
def test_shapes_for_every_setting(skip: str) -> None:
    output = network(skip=skip)(torch.randn(5, 20, 3))
    assert output.recon_BLC.shape == (5, 20, 3)
    assert output.local_BND.shape == output.global_BND.shape == (5, 20, 16)
    assert output.discrepancy_BL.shape == (5, 20)
    assert (output.discrepancy_BL >= 0).all() and (output.discrepancy_BL < 1).all()


def test_every_weight_takes_part() -> None:
    model = network().train()
    output = model(torch.randn(2, 20, 3), torch.rand(2, 20, 3) < 0.3)
    output.recon_BLC.square().sum().backward()
    assert [n for n, weight in model.named_parameters() if weight.grad is None] == []


def test_the_discrepancy_changes_no_reconstruction() -> None:
    model, x_BLC = network(), torch.randn(4, 20, 3)
    slow, fast = model(x_BLC), model(x_BLC, need_discrepancy=False)
    assert fast.discrepancy_BL is None
    torch.testing.assert_close(slow.recon_BLC, fast.recon_BLC, atol=1e-5, rtol=1e-5)


def test_only_the_steps_that_are_asked_for_are_reconstructed_and_as_without_asking() -> None:
    model = trained()
    x_BLC, hidden_BLC = torch.randn(4, 20, 3), torch.rand(4, 20, 3) < 0.3
    asked_BL = torch.rand(4, 20) < 0.4
    asked_BL[2] = False  # nothing is read of a window that has nothing hidden
    whole = model(x_BLC, hidden_BLC, need_discrepancy=False)
    asked = model(x_BLC, hidden_BLC, need_discrepancy=False, asked_BL=asked_BL)
    torch.testing.assert_close(asked.recon_BLC[asked_BL], whole.recon_BLC[asked_BL])
    assert asked.local_BND.shape == (4, asked_BL.sum(1).max(), 16)
    left_BL = (asked.recon_BLC != whole.recon_BLC).any(2)
    assert left_BL.sum() > 4
    skip_BLC = network()(x_BLC, hidden_BLC).recon_BLC
    assert torch.equal(asked.recon_BLC[left_BL], skip_BLC[left_BL])


def test_asking_for_nothing_still_gives_every_weight_a_gradient() -> None:
    """A worker whose windows count nowhere must not leave the others waiting for its gradients."""
    model = network().train()
    nothing_BL = torch.zeros(2, 20, dtype=torch.bool)
    output = model(torch.randn(2, 20, 3), need_discrepancy=False, asked_BL=nothing_BL)
    (0 * output.recon_BLC.sum()).backward()
    assert [n for n, weight in model.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("changed", ["discrepancy", "most"])
def test_steps_are_not_taken_apart_where_that_saves_nothing(changed: str) -> None:
    model, x_BLC = trained(), torch.randn(2, 20, 3)
    asked_BL = torch.arange(20).expand(2, 20) < (5 if changed == "discrepancy" else 19)
    need = changed == "discrepancy"
    asked = model(x_BLC, need_discrepancy=need, asked_BL=asked_BL)
    assert torch.equal(asked.recon_BLC, model(x_BLC, need_discrepancy=need).recon_BLC)


def trained(**changes: object) -> Amad:
    """A network whose head is not zero, as after some training."""
    model = network(**changes)
    with torch.no_grad():
        model.head.weight.normal_()
    return model


@pytest.mark.parametrize("skip", ["linear", "none"])
def test_a_hidden_value_is_not_seen_and_the_network_knows_that_it_is_hidden(skip: str) -> None:
    model, x_BLC = trained(skip=skip), torch.randn(2, 20, 3)
    hidden_BLC = torch.zeros(2, 20, 3, dtype=torch.bool)
    hidden_BLC[:, 4:8, 1] = True
    other_BLC = x_BLC.masked_fill(hidden_BLC, 123.0)
    seen = model(x_BLC, hidden_BLC).recon_BLC
    assert torch.equal(seen, model(other_BLC, hidden_BLC).recon_BLC)
    filled_BLC = bridge(x_BLC, hidden_BLC)
    assert not torch.allclose(seen[:, 10:], model(filled_BLC).recon_BLC[:, 10:])


def test_it_starts_as_the_straight_line_between_visible_values() -> None:
    model, x_BLC = network(), torch.randn(2, 20, 3)
    hidden_BLC = torch.rand(2, 20, 3) < 0.4
    recon_BLC = model(x_BLC, hidden_BLC).recon_BLC
    torch.testing.assert_close(recon_BLC[hidden_BLC], bridge(x_BLC, hidden_BLC)[hidden_BLC])
    assert (recon_BLC[~hidden_BLC] == 0).all()  # a visible value is never copied to the output


def test_with_a_linear_skip_it_starts_as_the_linear_prediction() -> None:
    model, x_BLC = network(), torch.randn(2, 20, 3)
    with torch.no_grad():
        model.linear.mean_VC += 2.0
        model.linear.spread_VC += 1.0
        model.linear.time_VCXK[:, :, -1] += 1.0
    hidden_BLC = torch.zeros(2, 20, 3, dtype=torch.bool)
    hidden_BLC[0, :, 2] = hidden_BLC[1, 8:13] = True
    recon_BLC = model(x_BLC, hidden_BLC).recon_BLC
    assert (recon_BLC[0, :, 2] == 2).all()
    line_BLC = bridge(x_BLC, hidden_BLC)
    torch.testing.assert_close(recon_BLC[1, 8:13], line_BLC[1, 8:13] + 1)
    assert (recon_BLC[~hidden_BLC] == 0).all()


def test_the_attention_gets_the_linear_prediction_in_place_of_a_hidden_value() -> None:
    model, x_BLC = trained(), torch.randn(2, 20, 3)
    hidden_BLC = torch.zeros(2, 20, 3, dtype=torch.bool)
    hidden_BLC[..., 2] = True
    before = model(x_BLC, hidden_BLC).recon_BLC
    with torch.no_grad():
        model.linear.mean_VC[0, 2], model.linear.spread_VC[:] = 2.0, 1.0
    after = model(x_BLC, hidden_BLC).recon_BLC
    assert not torch.allclose(after[..., :2], before[..., :2])  # visible: no skip is added there


def test_on_a_linear_skip_the_network_speaks_and_errs_in_units_of_what_the_skip_misses() -> None:
    model, x_BLC = trained(), torch.randn(2, 20, 3)
    hidden_BLC = torch.zeros(2, 20, 3, dtype=torch.bool)
    hidden_BLC[:, 8:13] = hidden_BLC[1, :, 2] = True
    before = model(x_BLC, hidden_BLC)
    with torch.no_grad():
        model.linear.miss_time_VC[0, 1] = 0.5
    after = model(x_BLC, hidden_BLC)
    assert (before.unit_BLC == 1).all()
    unit_BLC = torch.ones(2, 20, 3)
    unit_BLC[:, 8:13, 1] = 0.5
    assert torch.equal(after.unit_BLC, unit_BLC)
    skip_BLC = network()(x_BLC, hidden_BLC).recon_BLC
    torch.testing.assert_close(
        after.recon_BLC - skip_BLC, after.unit_BLC * (before.recon_BLC - skip_BLC)
    )
    assert network(skip="none")(x_BLC, hidden_BLC).unit_BLC == 1.0


def test_a_broken_sensor_says_no_more_than_the_limit_to_the_others() -> None:
    model, x_BLC = trained(), torch.randn(1, 20, 3)
    broken_BLC, limit_BLC = x_BLC.clone(), x_BLC.clone()
    broken_BLC[0, 3, 0], limit_BLC[0, 3, 0] = 1e6, INPUT_LIMIT
    assert torch.equal(model(broken_BLC).recon_BLC, model(limit_BLC).recon_BLC)


def test_the_embedding_is_a_circular_convolution() -> None:
    model, x_BLC = network(), torch.randn(2, 20, 3)
    hidden_BLC = torch.rand(2, 20, 3) < 0.3
    input_BLX = torch.cat([x_BLC, hidden_BLC.float()], dim=-1)
    weight = model.embed.weight.unflatten(1, (3, 6)).permute(0, 2, 1)
    padded_BXL = torch.nn.functional.pad(input_BLX.mT, (1, 1), mode="circular")
    want = torch.nn.functional.conv1d(padded_BXL, weight, model.embed.bias).mT + model.position_LD
    torch.testing.assert_close(model._embed(x_BLC, hidden_BLC), want)


@given(st.integers(0, 2**31), st.floats(0.05, 0.95))
def test_the_bridge_is_linear_interpolation_channel_by_channel(seed: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    x_BLC = torch.randn(2, 15, 2, generator=generator)
    hidden_BLC = torch.rand(2, 15, 2, generator=generator) < share
    got = bridge(x_BLC.masked_fill(hidden_BLC, 99.0), hidden_BLC).numpy()
    for b, c in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        seen_L = (~hidden_BLC[b, :, c]).numpy()
        want_L = np.zeros(15)
        if seen_L.any():
            at_L = np.flatnonzero(seen_L)
            want_L = np.interp(np.arange(15), at_L, x_BLC[b, :, c].numpy()[seen_L])
        np.testing.assert_allclose(got[b, :, c], want_L, atol=1e-5)


@pytest.mark.slow
def test_it_learns_to_fill_in_a_hidden_channel_from_the_others() -> None:
    torch.manual_seed(0)
    model = Amad(2, ModelParams(**SMALL)).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    phase_B11 = 6 * torch.rand(64, 1, 1)
    wave_BL1 = torch.sin(torch.arange(20)[None, :, None] / 2 + phase_B11)
    x_BLC = torch.cat([wave_BL1, -wave_BL1], dim=-1)
    hidden_BLC = torch.zeros(x_BLC.shape, dtype=torch.bool)
    hidden_BLC[..., 1] = True
    for _ in range(120):
        error = (model(x_BLC, hidden_BLC, False).recon_BLC - x_BLC)[..., 1].square().mean()
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
    assert error.item() < 0.05 * x_BLC.square().mean().item()


def test_positions_for_odd_widths() -> None:
    assert sinusoids(7, 9).shape == (7, 9)
    torch.testing.assert_close(sinusoids(7, 9)[:, 0], torch.sin(torch.arange(7.0)))
