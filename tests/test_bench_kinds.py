"""The simulated fleets of kinds that nobody tuned on, and the benchmark over them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from quality_kit import write_params

from amad.config import load_fleet
from bench.kinds import __main__ as kinds
from bench.kinds import page as kinds_page
from bench.kinds.fleets import KINDS, Kind, write_fleet
from bench.quality import plan
from bench.tables import main as write_pages

# Within how many rows after a fault the slow states that it moved have come back.
FADES = {"wind": 80, "solar": 100, "pump": 300, "heating": 120, "press": 150}
UNSEEN = ("clip", "leak")  # may fall into a night, or a pause of the pump
METHODS = sorted(kinds.METHODS)


def stacked(kind: Kind, number: int, faults: list) -> np.ndarray:
    """The channels of a vehicle side by side (T, C)."""
    return np.stack(list(kind.channels(number, faults).values()), axis=1)


def by_name(*names: str) -> list[Kind]:
    return [kind for kind in KINDS if kind.name in names]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_same_seed_gives_the_same_rows_and_another_vehicle_others(kind: Kind) -> None:
    faults = kind.plan(1)
    assert faults == kind.plan(1) != kind.plan(0)
    first = stacked(kind, 1, faults)
    np.testing.assert_array_equal(first, stacked(kind, 1, faults))
    assert first.shape[0] == kind.rows and np.isfinite(first).all()
    assert (first != stacked(kind, 0, faults)).any(axis=0).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_faults_lie_in_the_test_part_apart_from_each_other_and_all_names_come(kind: Kind) -> None:
    plans = [kind.plan(number) for number in range(kind.vehicles)]
    for faults in plans:
        at = kind.train_rows + kind.calm
        for fault in faults:
            assert kind.lengths[0] <= fault.end - fault.first <= kind.lengths[1]
            assert fault.first - at >= kind.gaps[0]
            at = fault.end
        assert at < kind.rows
        assert kind.label(faults).sum() == sum(fault.end - fault.first for fault in faults)
    assert {fault.name for faults in plans for fault in faults} == set(kind.faults)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_fault_changes_its_labelled_rows_and_no_others_but_while_slow_states_fade(
    kind: Kind,
) -> None:
    fades = FADES.get(kind.name.removesuffix("_events"), 0)  # the machine is the same
    for number in (0, 1):
        faults = kind.plan(number)
        with_faults, without = stacked(kind, number, faults), stacked(kind, number, [])
        change = np.abs(with_faults - without) / without.std(axis=0)
        may_change = kind.label(faults) > 0
        for fault in faults:
            assert change[fault.rows].any() or fault.name in UNSEEN, fault
            may_change[fault.end : fault.end + fades] = True
        assert change[~may_change].max() < (0.001 if fades else 1e-9)
        assert not change[: faults[0].first].any(), "nothing is known of a fault before it"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_fleet_file_is_a_contract(kind: Kind, tmp_path: Path) -> None:
    kind = replace(kind, vehicles=1)
    file = write_fleet(kind, tmp_path / "raw", tmp_path)
    again = write_fleet(kind, tmp_path / "again", tmp_path)
    fleet = load_fleet(str(file))
    assert fleet.name == kind.name and fleet.period_seconds == kind.period_seconds
    assert [channel.name for channel in fleet.channels] == list(kind.channels(0, []))
    for path in (tmp_path / "raw" / kind.name).iterdir():
        assert path.read_bytes() == (tmp_path / "again" / kind.name / path.name).read_bytes()
    assert file == again


class Run:
    """The benchmark over two short fleets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.report = kinds.main([
            "--vehicles", "2", "--params", str(write_params(folder)),
            "--home", str(folder / "home"), "--out", str(folder / "kinds.json"),
        ])  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    short = {"rows": 3000, "train_rows": 1500, "calm": 50}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kinds, "KINDS", [replace(k, **short) for k in by_name("press", "states")])
        patch.setattr(plan, "RANDOM_SEEDS", 2)
        yield Run(tmp_path_factory.mktemp("kinds"))


@pytest.mark.slow
def test_the_written_report_has_every_method_on_every_fleet_in_both_forms(run: Run) -> None:
    written = json.loads((run.folder / "kinds.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(run.report)) and not written["errors"]
    assert sorted(written) == [
        "alarm_budget", "detector_scores", "errors", "fleets", "forms", "machine", "params_digest",
        "seeds",
    ]  # fmt: skip
    assert list(written["fleets"]) == ["press", "states"] and "cores" in written["machine"]
    press = written["fleets"]["press"]
    assert (press["vehicles"], press["channels"]) == (2, 8)
    assert press["faults"] == ["friction", "weak", "delay", "noise"] and press["events"] > 1
    assert sorted(written["forms"]) == ["offline", "online"]
    for found in written["forms"].values():
        assert found["fleets"] == ["press", "states"]
        for key in ("vus_pr", "false_alarms", "mean", "mean_without", "per_unit"):
            assert sorted(found[key]) == METHODS, found["not_judged"]
        assert list(found["difference"]) == ["amad_without_network"]
        assert set(found["per_unit"]["relation"]["states"]) == {"states0", "states1"}


@pytest.mark.slow
def test_the_page_says_what_the_figures_are_worth(run: Run, tmp_path: Path) -> None:
    (tmp_path / "reading.md").write_text("# Results\n")
    write_pages([
        "--results", str(run.folder), "--reading", str(tmp_path / "reading.md"),
        "--out", str(tmp_path / "pages"),
    ])  # fmt: skip
    page = (tmp_path / "pages/kinds.md").read_text(encoding="utf-8")
    assert "**A check of the mechanism, not a proof.**" in page
    assert "at most 2 each" in page
    for kind in by_name("press", "states"):
        assert f"- **{kind.name}**: {kind.what}. Vehicles: 2, " in page
    offline = page.split("## Offline\n\n")[1].splitlines()
    assert offline[0] == "| VUS-PR | press | states | mean | false alarms | highest |"
    assert "The test part of press is 5 minutes long in all" in page


def test_the_page_tells_where_the_detector_is_clearly_behind() -> None:
    found = {
        "fleets": ["a", "b"],
        "vus_pr": {"amad_without_network": {"a": 0.5, "b": 0.5}, "knn": {"a": 0.51, "b": 0.56}},
    }
    (line, _) = kinds_page._gaps(found)
    assert line.endswith("best other method: b (knn is ahead by 0.060).")
    found["vus_pr"]["knn"]["b"] = 0.515
    assert kinds_page._gaps(found)[0].endswith("nowhere.")
