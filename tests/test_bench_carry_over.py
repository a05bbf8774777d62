"""Does the detector carry over: means over fleets, each left out in turn, and candidates."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from quality_kit import write_fleet, write_params

from amad.config import ConfigError, load_params
from amad.evaluation import vote
from bench.carry_over import FLEETS, USUAL, candidates_of, main, options_of
from bench.quality import fleets, jobs, plan
from bench.quality.methods import NETWORK_BASELINES, chosen_methods, method_names, simple_baselines
from bench.tables import main as write_pages

pytestmark = pytest.mark.slow

WIDE = ("--candidate", "wide", "detect.widths=[5, 21, 81]", "detect.floor=0.1")
METHODS = ["amad", "wide", "l2", "pca", "random"]


class Run:
    """A run over three small fleets, of which one has no labels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fleets = [
            str(write_fleet(folder / "pumps", "pumps", 4)),
            str(write_fleet(folder / "fans", "fans", 3)),
            str(write_fleet(folder / "lone", "lone", 1, "injected")),
        ]
        self.params = str(write_params(folder))
        self.report = self.again(*WIDE, "--injected")

    def again(self, *more: str, fleets: list[str] | None = None) -> dict:
        return main([
            "--fleet", *(fleets or self.fleets), "--methods", "l2", "pca", "--seeds", "1",
            "--jobs", "1", "--forms", "offline", "--params", self.params,
            "--home", str(self.folder / "home"), "--out", str(self.folder / "carry_over.json"),
            *more,
        ])  # fmt: skip

    @property
    def labelled(self) -> dict:
        return self.report["protocols"]["test"]["offline"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleets, "CASES", 9)
        patch.setattr(vote, "CASES", 20)
        patch.setattr(plan, "RANDOM_SEEDS", 2)
        yield Run(tmp_path_factory.mktemp("carry_over"))


def test_the_written_report_has_every_method_on_every_fleet(run: Run) -> None:
    written = json.loads((run.folder / "carry_over.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(run.report)) and not written["errors"]
    assert written["candidates"] == {"wide": list(WIDE[2:])} and "cores" in written["machine"]
    assert set(written["protocols"]) == {"test", "injected"}
    found = written["protocols"]["test"]["offline"]
    assert found["fleets"] == ["pumps", "fans", "lone"]
    for key in ("vus_pr", "false_alarms", "mean", "mean_without", "per_unit"):
        assert sorted(found[key]) == sorted(METHODS)
    assert set(found["per_unit"]["amad"]["pumps"]) == {f"unit{i}" for i in range(3)}
    assert "no event" in found["not_judged"]["pumps"]["unit3"]


def test_fleets_weigh_the_same_and_each_is_left_out(run: Run) -> None:
    found = run.labelled
    for method in METHODS:
        means = found["vus_pr"][method]
        for fleet, mean in means.items():
            units = list(found["per_unit"][method][fleet].values())
            assert mean == pytest.approx(np.mean(units), abs=2e-6)
        mean, low, high = found["mean"][method]
        assert low <= mean <= high
        assert mean == pytest.approx(np.mean(list(means.values())), abs=2e-6)
        without = (means["pumps"] + means["lone"]) / 2
        assert found["mean_without"][method]["fans"] == pytest.approx(without, abs=2e-6)


def test_the_detector_and_each_candidate_are_compared_with_every_other(run: Run) -> None:
    found = run.labelled
    assert set(found["difference"]) == {"amad", "wide"}
    for ours, others in found["difference"].items():
        assert set(others) == set(METHODS) - {ours}
        for other, (mean, low, high) in others.items():
            both = found["mean"][ours][0] - found["mean"][other][0]
            assert low <= mean <= high and mean == pytest.approx(both, abs=2e-6)
    assert found["difference"]["amad"]["wide"][0] != 0, "the boxes change the scores"


def test_without_labels_a_fleet_that_has_none_is_judged_by_its_own_cases(run: Run) -> None:
    labelled, injected = run.labelled, run.report["protocols"]["injected"]["offline"]
    assert injected["fleets"] == labelled["fleets"]
    for method in METHODS:
        assert injected["per_unit"][method]["lone"] == labelled["per_unit"][method]["lone"]
        assert injected["per_unit"][method]["pumps"] != labelled["per_unit"][method]["pumps"]
    assert len(injected["per_unit"]["amad"]["pumps"]) == 4, "clean stretches have no labels"


def test_a_candidate_with_the_shipped_settings_is_the_detector(run: Run) -> None:
    shipped = load_params(Path(run.params), "pumps").detect.alarm_budget
    same = ("--candidate", "same", f"detect.alarm_budget={shipped}")
    found = run.again(*same)["protocols"]["test"]["offline"]
    assert found["per_unit"]["same"] == found["per_unit"]["amad"]
    assert found["difference"]["same"]["amad"] == [0, 0, 0]


def test_a_second_run_finds_everything_done(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def refuse(*_) -> None:
        raise AssertionError("done twice")

    monkeypatch.setattr(jobs.JudgeJob, "run", refuse)
    monkeypatch.setattr("pipelines.prepare.run", refuse)
    assert run.again(*WIDE, "--injected")["protocols"] == run.report["protocols"]
    assert "test, offline, mean VUS-PR of 3 fleets: " in capsys.readouterr().err


def test_progress_names_the_candidate(run: Run, capsys: pytest.CaptureFixture) -> None:
    run.again("--candidate", "narrow", "detect.widths=[5]", fleets=run.fleets[1:2])
    assert "fans / test / offline / narrow, seed 7" in capsys.readouterr().err


def test_a_fleet_without_its_data_and_a_method_that_fails_stop_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = write_fleet(tmp_path / "lost", "lost", 1)
    for file in lost.parent.glob("*.parquet"):
        file.unlink()
    build = jobs.build

    def broken(name, params, fleet, *rest):
        if name == "mahalanobis" and fleet.name == "fans":
            raise ZeroDivisionError("no way")
        return build(name, params, fleet, *rest)

    monkeypatch.setattr(jobs, "build", broken)
    more = ("--methods", "mahalanobis")
    report = run.again(*more, fleets=[*run.fleets[:2], str(lost)])
    assert "raw data should lie in" in report["errors"]["lost"]
    found = report["protocols"]["test"]["offline"]
    assert found["fleets"] == ["pumps", "fans"]
    assert found["not_judged"]["fans"]["mahalanobis"] == "ZeroDivisionError: no way"
    assert set(found["vus_pr"]["mahalanobis"]) == {"pumps"}
    assert "mahalanobis" not in found["mean"] | found["difference"]["amad"]


def test_the_page_begins_with_the_table_of_means(run: Run, tmp_path: Path) -> None:
    run.again(*WIDE, "--injected")
    (tmp_path / "reading.md").write_text("# Results\n")
    write_pages([
        "--results", str(run.folder), "--reading", str(tmp_path / "reading.md"),
        "--out", str(tmp_path / "pages"),
    ])  # fmt: skip
    page = (tmp_path / "pages/carry_over.md").read_text(encoding="utf-8")
    assert "- wide: the detector with `detect.widths=[5, 21, 81]`, `detect.floor=0.1`" in page
    assert "No labels: lone." in page
    headings = [line for line in page.splitlines() if line.startswith("##")]
    assert headings[:5] == [
        "## By the labels, offline", "### The mean with a fleet left out",
        "### amad minus another method", "### wide minus another method",
        "### False alarms per vehicle-day",
    ]  # fmt: skip
    assert headings[5] == "## Without labels, by faults injected into clean test rows, offline"
    first = page.split("## By the labels, offline\n\n")[1].splitlines()
    assert first[0] == "| VUS-PR | pumps | fans | lone | mean | false alarms | highest |"
    found = run.labelled
    names = [line.split("|")[1].strip(" *") for line in first[2:7]]
    assert names == sorted(METHODS, key=lambda name: -found["mean"][name][0])
    (row,) = (line for line in first[:7] if line.startswith("| *random* |"))
    assert f" {found['mean']['random'][0]:.3f} |" in row


def test_the_default_is_the_detector_and_the_baselines_without_a_network() -> None:
    options = options_of(["--out", "o.json"])
    assert tuple(options.fleet) == FLEETS and options.forms == ["offline", "online"]
    assert options.protocols == ["test"] and options.candidate == []
    assert options_of(["--out", "o.json", "--forms", "online"]).forms == ["online"]
    usual = chosen_methods(USUAL)
    assert usual == ["amad", *simple_baselines()] and "random" not in usual
    assert set(NETWORK_BASELINES) < set(method_names()) and not set(NETWORK_BASELINES) & set(usual)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["wide"], "at least one key=value"),
        (["ridge", "detect.floor=0.1"], "a name that no method has"),
        (["wide", "detect.floor"], "is not section.key=value; accepted sections: model, mask"),
        (["wide", "prepare.normalise=fleet"], "is not section.key=value"),
        (["wide", "detect.wide=[5]"], r"--candidate wide.*detect\.wide: unknown key"),
        (["wide", "detect.floor=lots"], r"--candidate wide.*detect\.floor"),
        (["wide", "detect.widths=[5"], r"'\[5', the value of detect\.widths, is no YAML"),
    ],
)
def test_a_wrong_candidate_is_told_with_its_name(given: list[str], said: str, home: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        candidates_of([given], load_params(fleet="demo"))


def test_two_candidates_of_one_name_are_refused(home: Path) -> None:
    with pytest.raises(ConfigError, match="wide: it needs a name"):
        candidates_of([["wide", "detect.floor=0.1"]] * 2, load_params(fleet="demo"))
