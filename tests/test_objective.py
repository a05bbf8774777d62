"""The sweep's objective: deterministic, blind to labels, and it knows a network that learned."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from evaluation_kit import kit_fleet, kit_params, kit_store

from amad.config import DataError, Params
from amad.config.params import MaskFamily, MaskParams
from amad.detect.detector import build_detector
from amad.detect.learnt_figures import FLEET, SHORT_ROWS
from amad.evaluation import objective
from amad.evaluation.objective import InjectedObjective
from amad.model.bundle import Bundle
from amad.model.network import Amad
from amad.model.owners import Owners
from amad.windows.scaler import Scaler
from amad.windows.series import CALIBRATION, TRAIN
from amad.windows.store import WindowStore, write_store

pytestmark = pytest.mark.slow


class Interpolator(torch.nn.Module):
    """Knows the kit's second channel from its first: what a trained network would have learnt."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.params, self.owners = kit_params().model, Owners()

    def forward(self, x_BLC, hidden_BLC=None, need_discrepancy=True, owner_B=None, asked_BL=None):
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


def injected_objective(model, store, params, cases, seed, max_rows=36_000) -> float:
    return InjectedObjective(store, params, cases, seed, max_rows)(model)


def hiding(family: MaskFamily, **detect: object) -> Params:
    """The kit's settings with what training hid from the network."""
    params = kit_params(**detect)
    return params.model_copy(update={"mask": MaskParams(family=family)})


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
    params = hiding("mixed")
    near = injected_objective(network, store, params, 4, 7, 3000)

    def whole(self, member, series, coefficients):
        return member.predict_error(series, coefficients)

    monkeypatch.setattr(objective.ResidualCache, "error_of", whole)
    assert injected_objective(network, store, params, 4, 7, 3000) == pytest.approx(near, abs=1e-9)


def test_it_hides_what_training_hid_in_the_detector_that_the_settings_name(store, network):
    found = {
        family: injected_objective(network, store, hiding(family), 4, 7, 3000)
        for family in ("time", "channel", "mixed")
    }
    assert len(set(found.values())) == 3
    alone = injected_objective(network, store, hiding("mixed", members=["amad"]), 4, 7, 3000)
    silent = hiding("mixed", amad_weight=0.0)
    assert injected_objective(network, store, silent, 4, 7, 3000) == found["mixed"] != alone


@pytest.mark.parametrize("members", [["amad"], ["innovation", "relation", "amad"]])
@pytest.mark.parametrize("family", ["time", "channel", "mixed"])
def test_a_case_is_scored_as_the_detector_scores_it_with_the_network_voting(
    store, network, monkeypatch, family, members
):
    params = hiding(family, members=members, amad_weight=1.0, baseline_weight=0.0)
    rows, cases = 3000, []
    real, part = objective._VehicleDetector.with_network, objective._part

    def shorter(store, vehicle, which, rows=500):
        return part(store, vehicle, which, min(rows, 500))

    def watched(self, model):
        scores = real(self, model)

        def kept(case):
            both = scores(case)
            cases.append((case, both[0]))
            return both

        return kept

    monkeypatch.setattr(objective._VehicleDetector, "with_network", watched)
    monkeypatch.setattr(objective, "_part", shorter)
    injected_objective(network, store, params, 3, 7, rows)
    bundle = Bundle(
        model=network.eval(), params=params, fleet=kit_fleet(), scaler=store.scaler, meta={}
    )
    for series, score_T in cases:
        clean, train = (shorter(store, series.vehicle, which) for which in (CALIBRATION, TRAIN))
        detector = build_detector(bundle, params.detect).fit([train], [clean])
        assert series.rows >= SHORT_ROWS and detector.owner_of(series) != FLEET
        theirs_T, _, left_out = detector.raw_score(series)
        assert left_out == ()
        np.testing.assert_allclose(score_T, theirs_T, atol=1e-3)
    assert len(cases) == 3


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
    with pytest.raises(DataError, match=r"no vehicle has 200 .* make model.window"):
        injected_objective(network, WindowStore.open(tmp_path / "s"), kit_params(), 3, 7)
