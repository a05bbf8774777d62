"""The sweep's benchmark: nothing done twice, labels only afterwards, figures checked."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from quality_kit import PARAMS, write_fleet

from amad.config import Settings, load_params
from bench.quality.fleets import prepare_fleet
from bench.quality.jobs import JudgeJob, NetworkJob, network_job
from bench.sweep import FleetSweep, ObjectiveJob, UntrainedJob, main, options_of
from bench.sweep_figures import agreement, draw_sweeps, rank_correlation, spread_of

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parent.parent / "docs/explanation/sweep.md"
TUNE = {"batch": 2, "epochs": 1, "cases": 4}


class Run:
    """A sweep of a fleet that the repository does not have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleet = write_fleet(folder / "raw", "pumps", 3)
        self.params = folder / "small.yaml"
        self.params.write_text(yaml.safe_dump(PARAMS | {"tune": TUNE}), encoding="utf-8")
        self.report = self.again()

    def again(self, *more: str) -> dict:
        return main([
            "--fleet", str(self.fleet), "--trials", "2", "--injections", "2", "--jobs", "1",
            "--params", str(self.params), "--out", str(self.folder / "out.json"),
            "--home", str(self.folder / "home"), *more,
        ])  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return Run(tmp_path_factory.mktemp("sweep"))


def documented(heading: str) -> set[str]:
    """Keys in the first column of the table under a heading of docs/explanation/sweep.md."""
    section = DOCS.read_text(encoding="utf-8").split(f"\n{heading}\n")[1].split("\n#")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {key for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


def test_json_has_the_documented_keys_and_no_others(run):
    written = json.loads((run.folder / "out.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(run.report))
    assert set(written) == documented("### The file")
    fleet = written["fleets"]["pumps"]
    assert set(fleet) == documented("### A fleet")
    assert set(fleet["trials"][0]) == documented("### A trial") == set(fleet["untrained"])
    assert set(fleet["spread"]) == documented("### Spread")
    assert set(fleet["correlation"]["test"]["alone"]) == documented("### Correlation")
    assert set(fleet["picked"]["test"]["detector"]) == documented("### Picked")
    assert (run.folder / "out.png").read_bytes().startswith(b"\x89PNG")


def test_trials_are_drawn_trained_and_judged(run):
    fleet = run.report["fleets"]["pumps"]
    assert [trial["trial"] for trial in fleet["trials"]] == [1, 2]
    first, second = fleet["trials"]
    assert first["settings"] != second["settings"] and first["objective"] != second["objective"]
    assert fleet["untrained"]["trial"] == 0 and fleet["untrained"]["settings"] == {}
    for trial in (first, second, fleet["untrained"]):
        assert np.shape(trial["objectives"]) == (1, 2)
        assert trial["objective"] == trial["objectives"][0][0]
        assert set(trial["vus_pr"]["test"]) == {"alone", "detector"}
        assert trial["vus_pr"]["test"]["alone"] != trial["vus_pr"]["test"]["detector"]
    assert fleet["correlation"]["test"]["alone"]["kendall"] is None  # of two trials: nothing said


def test_a_second_run_trains_nothing(run, monkeypatch):
    def refuse(*_):
        raise AssertionError("done twice")

    for kind in (NetworkJob, UntrainedJob, ObjectiveJob, JudgeJob):
        monkeypatch.setattr(kind, "run", refuse)
    assert run.again()["fleets"] == run.report["fleets"]


def test_a_trial_that_fails_is_told_and_the_others_count(run, monkeypatch):
    def fail(job):
        raise ZeroDivisionError("no\nway")

    monkeypatch.setattr(NetworkJob, "run", fail)
    fleet = run.again("--trials", "3")["fleets"]["pumps"]
    assert [trial["failed"] for trial in fleet["trials"][2:]] == ["ZeroDivisionError: no way"]
    assert fleet["correlation"]["test"]["alone"]["trials"] == 2


def test_rank_correlation_of_known_cases():
    order = np.arange(12.0)
    same = rank_correlation(order, np.exp(order), seed=1)
    assert [same["kendall"], same["spearman"]] == pytest.approx([1, 1])
    assert same["kendall_interval"] == pytest.approx([1, 1])
    assert rank_correlation(order, -order, seed=1)["kendall"] == pytest.approx(-1)
    found = rank_correlation([1, 2, 3, 4], [1, 3, 2, 4], seed=1)
    assert found["kendall"] == pytest.approx(4 / 6) and found["spearman"] == pytest.approx(0.8)
    low, high = found["kendall_interval"]
    assert low < found["kendall"] <= high
    assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3], seed=1)["kendall"])


def test_spread_tells_settings_from_the_draw_of_faults():
    rng = np.random.default_rng(3)
    shared = np.array([0.0, 5.0, -4.0])  # a harder or easier draw, alike for all
    noise = 0.01 * rng.normal(size=(40, 1, 3))
    moved = spread_of(
        [trial + shared + n for trial, n in zip(rng.normal(size=40), noise, strict=True)]
    )
    assert 0.7 < moved["settings"] < 1.3 and moved["faults"] < 0.015
    assert moved["reliability"] > 0.99 and moved["all_alike"] > 3
    still = spread_of([shared + n for n in noise])
    assert still["settings"] < 0.01 and still["reliability"] < 0.5


def test_agreement_asks_only_pairs_that_the_noise_leaves_apart():
    objective, truth = [0.1, 0.11, 0.3, 0.31, 0.6], [3, 1, 2, 4, 0]
    found = agreement(objective, truth, noise=0.01)
    assert found == {"pairs_apart": 8, "pairs_agree": 3}
    assert agreement(objective, truth, noise=1.0) == {"pairs_apart": 0, "pairs_agree": 0}
    assert agreement(objective, truth, noise=None) == {"pairs_apart": None, "pairs_agree": None}


def test_plot_says_the_correlation(run):
    fleets = run.report["fleets"]
    fleets["pumps"]["correlation"]["test"]["alone"] |= {
        "kendall": 0.5, "kendall_interval": [-0.25, 0.75], "pairs_apart": 3, "pairs_agree": 2,
    }  # fmt: skip
    figure = draw_sweeps(fleets)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == [
        "2 trials, tau-b 0.50 [-0.25, 0.75], 2 of 3 pairs apart agree",
        "2 trials, no rank correlation",
    ]


def test_a_network_without_a_vote_is_judged_with_one(run):
    params = load_params(run.params)
    without = params.detect.model_copy(update={"members": ["innovation"], "amad_weight": 0.0})
    params = params.model_copy(update={"detect": without})
    home = run.folder / "home"
    prepared = prepare_fleet(run.fleet, params, home / "fleets", Settings().data_dir, [])
    options = options_of(["--fleet", "x", "--out", "x.json", "--home", str(home)])
    fleet = FleetSweep(prepared, params, options)
    job = fleet._judge_job(network_job(prepared.fleet, prepared.store, params, home))
    assert job.params.detect.members == ["innovation", "amad"], "what the objective judges"
    assert job.params.detect.amad_weight == 1.0
