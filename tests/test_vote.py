"""The network's vote: decided by figures without labels, and told wherever the detector is told."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from evaluation_kit import evaluation_metrics, kit_fleet, kit_params, kit_store, method_figures

from amad.cli.pipeline_summary import _evaluated
from amad.detect.detector import build_detector
from amad.engines.shared.evaluation_run import points
from amad.evaluation import vote as vote_module
from amad.evaluation.evaluation_metrics import Vote
from amad.evaluation.vote import decide_vote, judged_vote
from amad.metrics import bootstrap_mean, bootstrap_mean_of_groups, bootstrap_nested_mean
from amad.model.bundle import Bundle
from amad.model.network import Amad
from amad.model.owners import Owners
from amad.windows.series import CALIBRATION, TRAIN
from amad.windows.store import WindowStore, write_store

BESIDE = ["innovation", "amad"]
PARAMS = kit_params(members=BESIDE)


class Between(torch.nn.Module):
    """A network whose predictions lie between its linear skip (0) and the truth (1)."""

    def __init__(self, inner: Amad, at: float) -> None:
        super().__init__()
        self.inner, self.at = inner, at
        self.params, self.owners, self.linear = inner.params, inner.owners, inner.linear
        self.channels = inner.channels

    def forward(self, x_BLC, hidden_BLC=None, need_discrepancy=True, owner_B=None, asked_BL=None):
        skip_BLC = self.inner(x_BLC, hidden_BLC, owner_B=owner_B).recon_BLC
        return SimpleNamespace(recon_BLC=torch.lerp(skip_BLC, x_BLC, self.at))


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> WindowStore:
    return kit_store(tmp_path_factory.mktemp("kit") / "store", kit_fleet())


@pytest.fixture(scope="module")
def untrained(store) -> Amad:
    torch.manual_seed(0)
    network = Amad(4, PARAMS.model, Owners.of(store))
    network.linear.fit(store)
    return network.eval()


def bundle_of(model) -> Bundle:
    return Bundle(model=model, params=PARAMS, fleet=kit_fleet(), scaler=None, meta={})


SURE = [np.array([0.18, 0.2, 0.22]), np.array([0.19, 0.2]), np.array([0.21, 0.2])]
UNSURE = [np.array([-0.2, 0.3])]


@pytest.mark.parametrize(
    ("shares", "gains", "weight", "said"),
    [
        (SURE, [0.1, 0.2], 1.0, "the network votes: it adds +0.2000"),
        (UNSURE, [0.1, 0.2], 0.0, "the network has no vote: it is not proven to add anything"),
        (SURE, [-0.3, 0.2], 0.0, "5.0% above that of its linear skip"),
        ([-own for own in SURE], [0.1], 0.0, "-0.2000"),
    ],
)
def test_it_votes_where_both_figures_say_so(shares, gains, weight, said):
    vote = judged_vote(shares, gains, PARAMS)
    assert vote.weight == weight and vote.measured
    assert said in vote.sentence
    helps = vote.brief == "the network votes: on injected faults it is proven to help"
    assert helps == bool(weight) and "skip" not in vote.brief
    assert (vote.cases, vote.vehicles) == (sum(map(len, shares)), len(shares))
    assert vote.share[1] <= vote.share[0] <= vote.share[2]


@pytest.mark.slow
def test_only_a_network_that_predicts_better_than_its_skip_votes(store, untrained, monkeypatch):
    monkeypatch.setattr(vote_module, "CASES", 30)
    unsure = PARAMS.evaluate.model_copy(update={"confidence": 0.5})  # few cases are enough then
    params, found = PARAMS.model_copy(update={"evaluate": unsure}), {}
    for at in (0.0, 0.5, -0.5):
        detect, found[at] = decide_vote(store, bundle_of(Between(untrained, at)), params)
        assert detect.amad_weight == detect.vote == found[at].weight
        # Beside ridge alone, predictions from both sides find more, whatever the size of the error.
        assert found[at].share[1] > 0 and found[at].cases == 30
    assert {at: vote.weight for at, vote in found.items()} == {0.0: 0.0, 0.5: 1.0, -0.5: 0.0}
    gains = [vote.gain[0] for vote in found.values()]
    assert gains == pytest.approx([0.0, 0.75, -1.25], abs=0.01)


@pytest.mark.slow
def test_neither_labels_nor_test_rows_reach_the_decision(store, untrained, tmp_path, monkeypatch):
    monkeypatch.setattr(vote_module, "CASES", 9)
    kept = [store.series(v) for v in store.vehicles]
    bare = [
        replace(series, label_T=None).rows_between(
            0, int(np.flatnonzero(np.isin(series.split_T, (TRAIN, CALIBRATION)))[-1]) + 1
        )
        for series in kept
    ]
    write_store(tmp_path / "bare", bare, kit_fleet(), store.scaler, {})
    bundle = bundle_of(untrained)
    votes = [
        decide_vote(s, bundle, PARAMS)[1] for s in (store, WindowStore.open(tmp_path / "bare"))
    ]
    assert votes[0] == votes[1]


def test_a_network_without_a_vote_is_no_member_and_costs_no_context(untrained):
    params = kit_params(members=["innovation", "amad"]).detect
    decided = [params.model_copy(update={"amad_weight": w}) for w in (0.0, 1.0)]
    silent, voting = (build_detector(bundle_of(untrained), p) for p in decided)
    undecided = build_detector(bundle_of(untrained), params)
    assert [m.name for m in silent.members] == [m.name for m in undecided.members] == ["innovation"]
    assert [m.name for m in voting.members] == ["innovation", "amad"]
    assert silent.context_rows < voting.context_rows


@pytest.mark.parametrize(
    ("detect", "weight", "said"),
    [
        (
            {"members": BESIDE, "amad_weight": 0.0},
            0.0,
            "detect.amad_weight says so",
        ),
        (
            {"members": BESIDE, "amad_weight": 0.7},
            0.7,
            "detect.amad_weight says so",
        ),
        ({"members": ["innovation"]}, 0.0, "detect.members does not name it"),
        ({"members": ["amad"]}, 1.0, "the detector has no other member"),
        (
            {"members": BESIDE, "smoothing": "trailing"},
            0.0,
            "model.direction: past",
        ),
    ],
)
def test_what_needs_no_measurement_is_not_measured(store, untrained, detect, weight, said):
    decided, vote = decide_vote(store, bundle_of(untrained), kit_params(**detect))
    assert decided.amad_weight == vote.weight == weight and not vote.measured
    assert said in vote.sentence


def test_without_rows_to_put_faults_into_it_says_so(store, untrained, tmp_path):
    short = [store.series(v).rows_between(0, 1700) for v in store.vehicles]
    write_store(tmp_path / "short", short, kit_fleet(), store.scaler, {})
    _, vote = decide_vote(WindowStore.open(tmp_path / "short"), bundle_of(untrained), PARAMS)
    assert vote.weight == 0.0 and "cannot be measured" in vote.reason


def test_the_decision_is_in_mlflow_and_in_the_summary():
    vote = judged_vote(SURE, [0.1, 0.2], PARAMS)
    methods = {"random": method_figures([0.1, 0.2]), "amad": method_figures([0.6, 0.7])}
    known = evaluation_metrics(methods, point={"event_recall": 0.5}, vote=vote)
    logged = {metric.key: metric.value for metric in points(known)}
    false_alarms = known.operating_point.normal_test.incidents_per_vehicle_day
    assert false_alarms is not None
    assert logged["test/normal_incidents_per_vehicle_day"] == false_alarms
    assert logged["vote/weight"] == 1.0 and logged["vote/share_low"] == vote.share[1]
    assert _evaluated(known)[-1] == vote.brief
    given = known.model_copy(update={"vote": Vote(weight=0.0, reason="detect.amad_weight says so")})
    assert "vote/share" not in {metric.key for metric in points(given)}
    assert "vote/weight" not in {m.key for m in points(known.model_copy(update={"vote": None}))}


def test_the_nested_bootstrap_holds_for_other_groups_too():
    groups = [np.full(5, 0.0), np.full(3, 1.0), np.full(4, 2.0)]
    mean, low, high = bootstrap_nested_mean(groups, 500, 0.9, 1)
    assert mean == 1.0 and low < 0.5 and high > 1.5
    assert bootstrap_mean_of_groups(groups, 500, 0.9, 1) == (1.0, 1.0, 1.0)  # within groups alone
    values = np.random.default_rng(0).normal(size=40)
    one, plain = bootstrap_nested_mean([values], 4000), bootstrap_mean(values, 4000)
    assert one == pytest.approx(plain, abs=0.02)
    for wrong in ([], [np.array([])], [np.array([np.nan])]):
        with pytest.raises(ValueError, match="at least one value"):
            bootstrap_nested_mean(wrong)
