"""LATAD as a detector: latents that do not collapse, and a diagnosis that names the channel."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from detect_kit import LINEAR, VEHICLES, fleet_of, parts, waves, with_values

from amad.baselines.latad import STRIDE, LatadMember, cluster, window_ends
from amad.baselines.latad_masks import LearnedMasks, strength
from amad.baselines.latad_network import (
    COLLAPSED,
    WINDOW,
    FeatureAttention,
    Latad,
    LatadNetwork,
    _Windows,
    latad_loss,
    nearest,
    train_latad,
)
from amad.detect.detector import Detector
from amad.detect.learnt_figures import FLEET
from amad.windows.series import Series

STEPS = 100


@pytest.fixture(scope="module", autouse=True)
def small_batches() -> Iterator[None]:
    """Enough to learn what is tested here, in a moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("amad.baselines.latad_network.BATCH", 16)
        patch.setattr("amad.baselines.latad_network.CLUSTERED", 500)
        patch.setattr("amad.baselines.latad.STEPS", STEPS)
        yield


@pytest.fixture(scope="module")
def train() -> list[Series]:
    return parts(VEHICLES, 1000)[0]


@pytest.fixture(scope="module")
def network(train: list[Series]) -> LatadNetwork:
    return train_latad(train, seed=3, steps=STEPS)


@pytest.fixture(scope="module")
def latad(network: LatadNetwork, train: list[Series]) -> Latad:
    return cluster(network, train, seed=3)


def windows(count: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(count, WINDOW, 5), torch.ones(count, 5, dtype=torch.bool)


def test_a_latent_has_length_one_and_ignores_what_is_absent() -> None:
    torch.manual_seed(0)
    network, (x_BLC, present_BC) = LatadNetwork(5).eval(), windows()
    z_BD = network(x_BLC, present_BC)
    torch.testing.assert_close(z_BD.norm(dim=-1), torch.ones(4))
    present_BC[:, 2] = False
    wild_BLC = x_BLC.clone()
    wild_BLC[..., 2] = 1e3
    torch.testing.assert_close(network(x_BLC, present_BC), network(wild_BLC, present_BC))
    assert (network(x_BLC, present_BC) - z_BD).abs().max() > 1e-4, "it mattered while present"
    nothing = network(x_BLC, torch.zeros_like(present_BC))
    assert nothing.isfinite().all()


def test_channels_are_nodes_of_one_complete_graph() -> None:
    """Reordered channels give reordered outputs, and each depends on every other."""
    torch.manual_seed(0)
    attention, (x_BLC, present_BC) = FeatureAttention(WINDOW), windows()
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(
        attention(x_BLC[..., order], present_BC), attention(x_BLC, present_BC)[..., order]
    )
    x_BLC.requires_grad_()
    attention(x_BLC, present_BC)[..., 0].sum().backward()
    assert (x_BLC.grad.abs().sum((0, 1)) > 0).all()


def test_training_lowers_the_loss_and_separates_from_the_start(train: list[Series]) -> None:
    torch.manual_seed(0)
    data = _Windows(train)
    x_BLC, near_BLC, present_BC = batch = data.draw(np.random.default_rng(0))
    network, masks = LatadNetwork(5), LearnedMasks(5)
    z_BD = network(x_BLC, present_BC)
    copy_BD = network(masks(x_BLC)[:, 0] * x_BLC, present_BC)
    assert (1 - (z_BD * copy_BD).sum(-1)).mean() < 0.1, "a mild change: nearer than its margin"
    optimiser = torch.optim.Adam([*network.parameters(), *masks.parameters()], lr=3e-3)
    losses = []
    for _ in range(25):
        loss = latad_loss(network, masks, *batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert near_BLC.shape == x_BLC.shape
    gone = strength(masks(x_BLC), present_BC[:, None].expand_as(x_BLC)).mean()
    assert 0.01 < gone < 0.7


def test_each_side_gets_its_own_gradient(train: list[Series]) -> None:
    """The network descends the separation; the masks, with the cost alone apart, climb it."""
    torch.manual_seed(0)
    batch = _Windows(train).draw(np.random.default_rng(0))
    network, masks = LatadNetwork(5), LearnedMasks(5)
    with torch.no_grad():  # masks that agree have no diversity to gain, so the hinge decides
        masks.leave.weight.zero_()
    before = [w.detach().clone() for w in network.parameters()]
    start = latad_loss(network, masks, *batch)
    start.backward()
    assert all(w.grad is not None for w in [*network.parameters(), *masks.parameters()])
    with torch.no_grad():
        for w in network.parameters():
            w -= 1e-2 * w.grad
        lower = latad_loss(network, masks, *batch)
        for w, old in zip(network.parameters(), before, strict=True):
            w.copy_(old)
    assert lower < start
    assert (masks.leave.bias.grad < 0).float().mean() > 0.9, "descent keeps more: harder copies"


@pytest.mark.slow
def test_collapsed_latents_are_refused(latad: Latad, train: list[Series]) -> None:
    """What is left of them is rounding, and its ratios would be alarms."""
    assert latad.ordinary > 10 * COLLAPSED, "training does not end there"
    constant = LatadNetwork(5).eval().requires_grad_(False)
    constant.leave.weight.zero_()
    assert cluster(constant, train, seed=3) is None


def test_one_seed_gives_one_network_and_leaves_torch_alone(train: list[Series]) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, again, other = (train_latad(train, seed, 4) for seed in (3, 3, 4))
    assert torch.equal(state, torch.get_rng_state())
    for name, weight in one.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert not torch.equal(one.leave.weight, other.leave.weight)


@pytest.mark.slow
def test_the_diagnosis_is_the_gradient_of_the_distance(latad: Latad) -> None:
    x_BLC, present_BC = windows(2)
    present_BC[:, 4] = False
    _, share_BC = latad.diagnose(x_BLC, present_BC)
    torch.testing.assert_close(share_BC.sum(1), torch.ones(2))
    assert (share_BC[:, 4] == 0).all()
    wide = Latad(
        network=latad.network.double(), centre_ND=latad.centre_ND.double(), ordinary=latad.ordinary
    )
    x_BLC, step, slope_BLC = x_BLC.double(), 1e-6, torch.zeros_like(x_BLC, dtype=torch.float64)
    for cell in np.ndindex(WINDOW, 5):
        moved_BLC = x_BLC.clone()
        moved_BLC[:, *cell] += step
        moved_B = nearest(wide.network(moved_BLC, present_BC), wide.centre_ND)
        slope_BLC[:, *cell] = (
            moved_B - nearest(wide.network(x_BLC, present_BC), wide.centre_ND)
        ) / step
    slope_BC = (slope_BLC * x_BLC).abs().sum(1)
    want_BC = (slope_BC / slope_BC.sum(1, keepdim=True)).float()
    latad.network.float()
    torch.testing.assert_close(share_BC, want_BC, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize("trailing", [True, False])
def test_windows_end_on_a_grid_in_time_inside_their_segment(trailing: bool) -> None:
    segment_T = np.repeat([0, 1, 2], [100, WINDOW - 1, 169]).astype(np.int32)
    series = waves("b-1", 300, segment_T=segment_T)
    end_B, answer_T = window_ends(series, trailing=trailing)
    period = int(series.timestamp_T[1] - series.timestamp_T[0])
    assert (series.timestamp_T[end_B] // period % STRIDE == 0).all()
    assert (segment_T[end_B - WINDOW + 1] == segment_T[end_B]).all()
    assert (answer_T[segment_T == 1] == -1).all()
    row_T = np.flatnonzero(answer_T >= 0)
    end_T = end_B[answer_T[row_T]]
    assert (segment_T[end_T] == segment_T[row_T]).all()
    if trailing:
        assert (end_T <= row_T).all() and (row_T - end_T < STRIDE).all()
    else:
        assert ((answer_T >= 0) == (segment_T != 1)).all()
        inside = (row_T > 20) & (row_T < 70)
        assert (np.abs(end_T - WINDOW // 2 - row_T)[inside] <= STRIDE // 2 + 1).all()


@pytest.fixture(scope="module")
def detector(train: list[Series]) -> Detector:
    member = LatadMember("latad", trailing=False, seed=3)
    calibration = parts(VEHICLES, 1000)[1]
    return Detector([member], LINEAR, fleet_of(), None, name="latad").fit(train, calibration)


@pytest.mark.slow
def test_the_mean_square_residual_is_the_distance(detector: Detector, train: list[Series]) -> None:
    (member,) = detector.members
    residual_TC = member.residual(train[2], "vehicle/b-1")
    mean_T = np.square(residual_TC).mean(axis=1)
    assert np.isfinite(mean_T).all() and mean_T.mean() == pytest.approx(1, rel=0.1)
    absent_TC = member.residual(train[0], "vehicle/a-1")
    assert np.isnan(absent_TC[:, 4]).all() and np.isfinite(absent_TC[:, :4]).all()


@pytest.mark.slow
def test_levels_share_the_network_and_have_centres_of_their_own(detector: Detector) -> None:
    learnt = detector.members[0].coefficients
    assert {FLEET, "class/a", "vehicle/a-1", "vehicle/b-1"} <= set(learnt)
    assert not np.array_equal(learnt["vehicle/a-1"]["centre"], learnt[FLEET]["centre"])


@pytest.mark.slow
def test_it_fits_and_scores_as_a_detector_and_names_the_disturbed_channel(
    detector: Detector,
) -> None:
    series = waves("b-1", 600, seed=5)
    scored = detector.score(series)
    assert np.isfinite(scored.score_T).all() and scored.alarm_T.mean() < 0.1
    rng = np.random.default_rng(0)
    inside = slice(305, 335)
    for channel in (0, 2):
        burst = with_values(series, slice(300, 340), channel, 8 * rng.normal(size=40))
        broken = detector.score(burst)
        rise_T = broken.score_T[inside] - np.quantile(scored.score_T, 0.99)
        assert rise_T.min() > 0, "its calibration is too short for a threshold that alarms tell"
        assert (broken.contribution_TC[inside].argmax(axis=1) == channel).all()


def test_no_window_no_residual(train: list[Series]) -> None:
    short = [s.rows_between(0, WINDOW - 1) for s in train]
    member = LatadMember("latad", trailing=True, seed=0)
    assert all(np.isnan(r).all() for r in member.fit(FLEET, short, 4))
    assert member.coefficients == {FLEET: {}}
