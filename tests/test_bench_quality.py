"""The quality benchmark: any fleet, every method, one rule; nothing done twice, nothing hidden."""

import itertools
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from detect_kit import linear_members
from engine_kit import wait_until
from evaluation_kit import kit_fleet, kit_params
from quality_kit import write_fleet, write_params
from stop_kit import CONTEXT

from amad.baselines import baseline_names
from amad.config import ConfigError, Settings
from amad.detect.detector import Detector
from amad.evaluation import vote
from bench.quality import fleets, jobs, plan, pool
from bench.quality.__main__ import main, options_of
from bench.quality.methods import (
    AMAD,
    chosen_methods,
    is_random,
    looks_ahead,
    settings_of,
)

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parent.parent / "docs/reference/benchmark.md"
METHODS = (
    "pca", "linear", "relation", "amad", "amad_with_network", "amad_alone", "amad_without_network",
)  # fmt: skip


class Run:
    """Runs of the benchmark over fleets that the repository does not have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        pumps = str(write_fleet(folder / "raw", "pumps", 4))
        self.fleets = [pumps, str(write_fleet(folder / "lone", "lone", 1, "none"))]
        self.params = str(write_params(folder))
        self.report = self.again(*METHODS, fleets=[pumps])
        self.written, self.page = (folder / "out.json").read_text(), self.latest_page()
        self.both = self.again("pca")  # the lone vehicle by one method: AMAD takes its time

    def again(self, *methods: str, fleets: Sequence[str] = (), more: Sequence[str] = ()) -> dict:
        return main([
            "--fleet", *(fleets or self.fleets), "--methods", *methods, "--seeds", "1",
            "--jobs", "1", "--params", self.params, "--out", str(self.folder / "out.json"),
            "--home", str(self.folder / "home"), *more,
        ])  # fmt: skip

    def latest_page(self) -> str:
        return (self.folder / "out.md").read_text(encoding="utf-8")

    def methods(self, protocol: str) -> dict:
        return self.report["fleets"]["pumps"]["protocols"][protocol]["offline"]["methods"]

    def both_methods(self, fleet: str) -> dict:
        return self.both["fleets"][fleet]["protocols"]["test"]["offline"]["methods"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleets, "CASES", 4)  # one a vehicle
        patch.setattr(vote, "CASES", 20)
        patch.setattr(plan, "RANDOM_SEEDS", 2)
        yield Run(tmp_path_factory.mktemp("quality"))


def documented(after: str) -> set[str]:
    """Keys in the first column of the table that follows a line of docs/reference/benchmark.md."""
    lines = DOCS.read_text(encoding="utf-8").split(after)[1].splitlines()[1:]
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    table = itertools.takewhile(lambda line: line.startswith("|"), lines[first + 2 :])
    cells = [line.split("|")[1] for line in table]
    return {key.split(".")[0] for cell in cells for key in re.findall(r"`([^`]+)`", cell)}


def test_json_has_the_documented_keys_and_no_others(run):
    written = json.loads(run.written)
    assert written == json.loads(json.dumps(run.report))
    assert set(written) == documented("## Keys of the JSON")
    fleet = written["fleets"]["pumps"]
    assert set(fleet) == documented("Of a fleet:")
    keys = documented("Of a method, below")
    assert set(run.methods("injected")["amad"]) == keys
    assert set(run.methods("injected")["amad_with_network"]) == keys - {"votes"}
    assert set(run.methods("test")["amad"]) == keys - {"relation"}
    assert set(run.methods("test")["pca"]) == keys - {"relation", "votes"}


def test_page_has_a_row_for_each_method(run):
    test = run.page.split("### pumps, test, offline")[1].split("###")[0]
    for name in (*METHODS, "*random*"):
        assert f"| {'**amad**' if name == 'amad' else name} | " in test
    assert "amad minus:" in test
    assert "unscorable: unit3: no event in the test part" in test


def test_an_unknown_fleet_is_judged_in_every_protocol(run):
    pumps = run.report["fleets"]["pumps"]
    assert set(pumps["protocols"]) == {"test", "injected", "unseen"} and not pumps["skipped"]
    for protocol, forms in pumps["protocols"].items():
        for form in ("offline", "online"):
            content = forms[form]
            assert not content["failed"] and not content["left_out"]
            assert set(content["methods"]) == {"random", *METHODS}
            assert content["units"] == (4 if protocol == "injected" else 3)
    assert run.methods("test")["pca"]["mean"]["vus_pr"] > 0.5


def test_one_vehicle_without_labels_is_judged_by_cases(run):
    lone = run.both["fleets"]["lone"]
    assert set(lone["protocols"]) == {"test"} and set(lone["skipped"]) == {"injected", "unseen"}
    content = lone["protocols"]["test"]["offline"]
    assert content["unit"] == "case" and content["units"] == 8
    low, high = content["methods"]["pca"]["interval"]["vus_pr"]
    assert low < content["methods"]["pca"]["mean"]["vus_pr"] < high
    assert set(content["methods"]["pca"]["by_fault"]) >= {"stuck", "spike"}


def test_without_the_network_is_the_other_member_and_alone_is_the_network(run):
    for protocol in ("test", "unseen"):
        own = run.methods(protocol)
        assert own["amad_without_network"]["per_unit"] == own["relation"]["per_unit"]
        (weight,) = {vote["weight"] for vote in own["amad"]["votes"]}
        decided = {0.0: own["relation"], 1.0: own["amad_with_network"]}[weight]
        assert own["amad"]["per_unit"] == decided["per_unit"]
        voting = own["amad_with_network"]
        assert voting["mean"] != own["relation"]["mean"] != own["amad_alone"]["mean"]
        difference = voting["difference"]["linear"]["vus_pr"][0]
        both = [m["mean"]["vus_pr"] for m in (voting, own["linear"])]
        assert difference == pytest.approx(both[0] - both[1], abs=2e-6)
    whole = run.report["fleets"]["pumps"]["protocols"]["test"]["offline"]
    shared = whole["methods"]["amad_with_network"]["difference"]["amad_without_network"]
    assert whole["share_of_amad"] == shared


def test_a_second_run_finds_everything_done(run, monkeypatch):
    def refuse(*_):
        raise AssertionError("done twice")

    for kind in (jobs.NetworkJob, jobs.JudgeJob):
        monkeypatch.setattr(kind, "run", refuse)
    monkeypatch.setattr("pipelines.prepare.run", refuse)
    assert run.again(*METHODS, fleets=run.fleets[:1])["fleets"] == run.report["fleets"]
    assert run.again("pca")["fleets"] == run.both["fleets"]


def test_a_failing_method_stops_no_other(run, monkeypatch, capsys):
    def build(name, *rest):
        if name == "mahalanobis":
            raise ZeroDivisionError("no\nway")
        return jobs_build(name, *rest)

    jobs_build = jobs.build
    monkeypatch.setattr(jobs, "build", build)
    report = run.again("mahalanobis", "sensor_range", more=("--forms", "offline"))
    content = report["fleets"]["pumps"]["protocols"]["unseen"]["offline"]
    assert content["failed"] == {"mahalanobis": "ZeroDivisionError: no way"}
    assert set(content["methods"]) == {"random", "sensor_range"}
    assert "mahalanobis FAILED: ZeroDivisionError: no way" in run.latest_page()
    assert "FAILED" in capsys.readouterr().err


def test_a_method_that_turns_out_to_look_ahead_is_left_out(run, monkeypatch):
    class Late(Detector):
        def fit(self, train, calibration):
            super().fit(train, calibration)
            self.members[0].lookahead_rows = 50
            return self

    def late(name, params, fleet, store, bundle):
        if name != "ridge":
            return build(name, params, fleet, store, bundle)
        return Late(linear_members()[:1], params.detect, fleet, store.scaler)

    build = jobs.build
    monkeypatch.setattr(jobs, "build", late)
    report = run.again("ridge", more=("--protocols", "test"))
    forms = report["fleets"]["pumps"]["protocols"]["test"]
    assert "no online form" in forms["online"]["left_out"]["ridge"]
    assert "ridge" in forms["offline"]["methods"] and not forms["online"]["failed"]


def test_a_method_that_cannot_be_built_fails_by_itself(run, monkeypatch):
    monkeypatch.setitem(AMAD, "amad", replace(AMAD["amad"], changes={"model.skip": "magic"}))
    report = run.again("amad", "pca", more=("--forms", "offline", "--protocols", "test"))
    content = report["fleets"]["pumps"]["protocols"]["test"]["offline"]
    assert "model.skip" in content["failed"]["amad"] and "pca" in content["methods"]


def test_a_fleet_without_its_data_is_told_and_the_rest_goes_on(run, tmp_path):
    lost = write_fleet(tmp_path / "lost", "lost", 1)
    for file in lost.parent.glob("*.parquet"):
        file.unlink()
    report = main([
        "--fleet", str(lost), run.fleets[1], "--methods", "pca", "--seeds", "1", "--jobs", "1",
        "--params", run.params, "--out", str(tmp_path / "o.json"), "--home",
        str(run.folder / "home"), "--forms", "offline",
    ])  # fmt: skip
    assert "raw data should lie in" in report["fleets"]["lost"]["error"]
    assert "pca" in report["fleets"]["lone"]["protocols"]["test"]["offline"]["methods"]
    assert "Not judged" in (tmp_path / "o.md").read_text(encoding="utf-8")


def test_unknown_names_are_told_with_what_is_accepted(tmp_path):
    with pytest.raises(ConfigError, match=r"no method 'amda'; accepted: random.*criterion"):
        chosen_methods(["amda"])
    with pytest.raises(ConfigError, match="there is no fleet file"):
        main(["--fleet", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "o.json")])


def test_lists_are_written_on_end_or_by_repeating():
    end = options_of(["--fleet", "a", "b", "--methods", "l2", "pca", "--out", "o.json"])
    repeated = options_of(
        ["--fleet", "a", "--methods", "l2", "--fleet", "b", "--methods", "pca", "--out", "o.json"]
    )
    assert end == repeated


def test_groups_of_methods():
    assert chosen_methods(["baselines"]) == baseline_names()
    assert set(chosen_methods(["all"])) == {*baseline_names(), *AMAD}
    assert chosen_methods(["l2", "l2", "amad"]) == ["l2", "amad"]


def test_forms_of_amad_change_what_they_say():
    params = kit_params(members=["innovation", "two_sided", "amad"])
    online = settings_of("amad_with_network", "online", 9, params)
    assert online.detect.amad_weight == 1.0 and online.seed == 9
    assert online.detect.smoothing == "trailing" and online.model.direction == "past"
    offline = settings_of("amad_without_network", "offline", 9, params)
    assert offline.detect.members == ["innovation", "two_sided"]
    assert settings_of("amad_alone", "offline", 9, params).detect.members == ["amad"]
    assert is_random("amad_with_network", params)
    assert is_random("amad", params), "whether its network votes is to be decided"
    silent = kit_params(members=["innovation", "two_sided", "amad"], amad_weight=0.0)
    assert not is_random("amad", silent) and not is_random("amad_without_network", params)


def test_a_detector_that_waits_for_later_rows_has_no_online_form():
    params = kit_params(smoothing="trailing").detect
    members = linear_members()
    detector = Detector(members, params, kit_fleet(), None)
    assert looks_ahead(detector) is None
    members[0].lookahead_rows = 10
    assert "no online form" in looks_ahead(detector)


def test_two_fleets_of_one_name_are_refused(run, tmp_path):
    other = write_fleet(tmp_path, "pumps", 1)
    with pytest.raises(ConfigError, match="are both 'pumps'"):
        main(["--fleet", run.fleets[0], str(other), "--out", str(tmp_path / "o.json")])


def test_several_processes_give_the_same(run, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "get_context", lambda _: CONTEXT)  # that has imported torch
    report = main([
        "--fleet", run.fleets[1], "--methods", "pca", "--seeds", "1", "--jobs", "2",
        "--params", run.params, "--out", str(tmp_path / "o.json"), "--home", str(tmp_path),
        "--forms", "offline",
    ])  # fmt: skip
    found = report["fleets"]["lone"]["protocols"]["test"]["offline"]["methods"]
    for name in ("random", "pca"):
        assert found[name]["per_unit"] == run.both_methods("lone")[name]["per_unit"]


class Endless(NamedTuple):
    """A job that writes its process into a folder, and goes on until it is ended."""

    folder: Path
    number: int
    title: str = "endless"

    def done(self) -> bool:
        return False

    def run(self) -> None:
        (self.folder / str(os.getpid())).touch()
        time.sleep(600)


def _begin(endless):
    pool.get_context = lambda _: CONTEXT
    pool.run_all(endless, 2, "jobs")


def test_processes_end_when_the_run_is_killed(tmp_path):
    endless = [Endless(tmp_path, number) for number in range(2)]
    run = CONTEXT.Process(target=_begin, args=(endless,))
    run.start()
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, "both jobs have begun")
    workers = [int(path.name) for path in tmp_path.iterdir()]
    run.kill()
    run.join()
    wait_until(lambda: not any(map(psutil.pid_exists, workers)), "both workers are gone")


def test_only_the_home_is_written_to(run):
    raw = sorted(p.name for p in (run.folder / "raw").iterdir())
    assert raw == ["pumps.yaml", *(f"unit{i}.parquet" for i in range(4))]
    assert not (Settings().home / "data" / "pumps").exists()
