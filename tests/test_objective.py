"""The sweep's objective: deterministic, blind to labels, and it knows a network that learned."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from evaluation_kit import kit_fleet, kit_params, kit_store

from amad.config import DataError
from amad.evaluation import objective
from amad.evaluation.objective import injected_objective
from amad.model.levels import Levels
from amad.model.network import Amad
from amad.windows.scaler import Scaler
from amad.windows.store import WindowStore, write_store


class Interpolator(torch.nn.Module):
    """Knows the kit's second channel from its first: what a trained network would have learnt."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.params, self.levels = kit_params().model, Levels()

    def forward(self, x_BLC, hidden_BLC=None, need_discrepancy=True, level_B=None):
        seen_BLC = torch.where(hidden_BLC, torch.nan, x_BLC)
        guess_BL = torch.nanmean(seen_BLC[..., [0, 1]], dim=-1)
        middle_B1 = torch.nanmean(guess_BL, dim=1, keepdim=True)
        left = guess_BL.roll(1, 1)
        guess_BL = torch.where(guess_BL.isnan(), left, guess_BL)
        guess_BL = torch.where(guess_BL.isnan(), middle_B1, guess_BL)
        recon_BLC = torch.zeros_like(x_BLC)
        recon_BLC[..., 0] = recon_BLC[..., 1] = guess_BL
        return SimpleNamespace(recon_BLC=recon_BLC)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> WindowStore:
    return kit_store(tmp_path_factory.mktemp("kit") / "store", kit_fleet())


@pytest.fixture(scope="module")
def network() -> Amad:
    torch.manual_seed(0)
    return Amad(4, kit_params().model)


def test_same_arguments_same_number(store, network):
    params = kit_params()
    first = injected_objective(network, store, params, 8, 7, 4000)
    assert injected_objective(network, store, params, 8, 7, 4000) == first
    assert injected_objective(network, store, params, 8, 8, 4000) != first
    assert 0 < first < 1


def test_labels_do_not_reach_it(store, network, tmp_path):
    from dataclasses import replace

    fleet = kit_fleet()
    bare = [replace(store.series(v), label_T=None) for v in store.vehicles]
    write_store(tmp_path / "bare", bare, fleet, store.scaler, {})
    found = [
        injected_objective(network, s, kit_params(), 6, 7, 3000)
        for s in (store, WindowStore.open(tmp_path / "bare"))
    ]
    assert found[0] == found[1]


def test_it_leaves_training_mode_as_it_was(store, network):
    network.train()
    injected_objective(network, store, kit_params(), 3, 7, 2000)
    assert network.training


def test_every_fault_type_gets_its_turn(store, network, monkeypatch):
    kinds, rows = [], []
    real = objective.injected_cases

    def watched(series, has_channel_C, cases, seed, types):
        made = real(series, has_channel_C, cases, seed, types)
        kinds.extend(fault.type for _, fault in made)
        rows.append(series.rows)
        return made

    monkeypatch.setattr(objective, "injected_cases", watched)
    injected_objective(network, store, kit_params(), 8, 7, 4000)
    assert len(set(kinds)) == 8 and max(rows) <= 4000 // 2 // 3


def test_predicting_anew_near_a_fault_alone_gives_what_predicting_all_gives(
    store, network, monkeypatch
):
    params = kit_params(members=["ridge", "amad", "amad_channel"])
    near = injected_objective(network, store, params, 4, 7, 3000)

    def whole(view, model, series, fault, params):
        return objective._residual(model, series, params, view.hide)

    monkeypatch.setattr(objective, "_near", whole)
    assert injected_objective(network, store, params, 4, 7, 3000) == pytest.approx(near, abs=1e-9)


def test_it_hides_and_joins_as_the_networks_members_do(store, network):
    found = {
        tuple(members): injected_objective(
            network, store, kit_params(members=["ridge", *members]), 4, 7, 3000
        )
        for members in ([], ["amad"], ["amad_channel"], ["amad", "amad_channel"])
    }
    assert found[()] == found[("amad",)], "no member of the network: blocks of time"
    assert len(set(found.values())) == 3


def test_a_diverged_network_is_worth_the_floor(store, network):
    with torch.no_grad():
        broken = Amad(4, kit_params().model)
        for parameter in broken.parameters():
            parameter.fill_(torch.nan)
    params = kit_params()
    worst = injected_objective(broken, store, params, 8, 7, 4000)
    assert worst < 0.2 < injected_objective(Interpolator(), store, params, 8, 7, 4000)


def test_without_calibration_rows_it_says_so(network, tmp_path):
    from evaluation_kit import kit_series

    fleet = kit_fleet()
    series = kit_series("car-1", 0, [])
    series = series.rows_between(0, int(np.sum(series.split_T == 0)))
    write_store(tmp_path / "s", [series], fleet, Scaler.fit([series], fleet, "vehicle"), {})
    with pytest.raises(DataError, match="no vehicle has 200"):
        injected_objective(network, WindowStore.open(tmp_path / "s"), kit_params(), 3, 7)
