"""The network's share in simulated fleets of several sizes."""

import json
from pathlib import Path

import pytest
import yaml
from quality_kit import write_fleet, write_params

from amad.config import ConfigError
from bench.fleet_size import main as measure
from bench.fleet_size import resized, trainings
from bench.quality import plan
from bench.tables import main as write_page

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo fleet with six short days."""
    content = yaml.safe_load((ROOT / "conf/fleet/demo.yaml").read_text(encoding="utf-8"))
    content["name"] = "short"
    content["source"]["simulator"] |= {"days": 6, "hours_per_day": 0.3, "fault_free_days": 3}
    path = tmp_path_factory.mktemp("short") / "short.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_only_name_and_number_of_vehicles_change(short: Path, tmp_path: Path) -> None:
    before, after = (
        yaml.safe_load(path.read_text()) for path in (short, resized(short, 5, tmp_path))
    )
    assert after["source"]["simulator"].pop("vehicles") == 5
    before["source"]["simulator"].pop("vehicles")
    assert (after.pop("name"), before.pop("name")) == ("short-5", "short")
    assert after.pop("description") == "short with 5 vehicles"
    before.pop("description")
    assert after == before


def test_larger_fleets_are_trained_as_long_and_in_proportion() -> None:
    assert list(trainings([48, 12], 2500)) == [
        (12, "same", 2500), (48, "same", 2500), (48, "scaled", 10_000)
    ]  # fmt: skip


def test_a_fleet_that_is_not_simulated_is_told_so(tmp_path: Path) -> None:
    fleet = write_fleet(tmp_path / "raw", "trio", 3)
    with pytest.raises(ConfigError, match=r"trio\.yaml is not simulated"):
        measure(["--fleet", str(fleet), "--out", str(tmp_path / "a.json"), "--home", str(tmp_path)])


def test_each_size_has_the_share_of_its_own_run(
    short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "RANDOM_SEEDS", 2)
    measure([
        "--fleet", str(short), "--vehicles", "2", "3", "--seeds", "1", "--protocols", "test",
        "--out", str(tmp_path / "fleet_size.json"), "--home", str(tmp_path / "home"),
        "--params", str(write_params(tmp_path)), "--jobs", "1",
    ])  # fmt: skip
    runs = json.loads((tmp_path / "fleet_size.json").read_text())["runs"]
    assert [(run["vehicles"], run["training"]) for run in runs] == [
        (2, "same"), (3, "same"), (3, "scaled")
    ]  # fmt: skip
    for run in runs:
        page = tmp_path / f"home/sizes/{run['vehicles']}-{run['training']}.json"
        (fleet,) = json.loads(page.read_text())["fleets"].values()
        assert len(fleet["vehicles"]) == run["vehicles"]
        found = run["protocols"]["test"]
        with_it, without = (
            found["mean"][f"amad_{name}_network"] for name in ("with", "without")
        )  # fmt: skip
        assert found["share"][0] == pytest.approx(with_it - without, abs=1e-5)
    (tmp_path / "reading.md").write_text("# Results\n")
    write_page([
        "--results", str(tmp_path), "--reading", str(tmp_path / "reading.md"),
        "--out", str(tmp_path / "pages"),
    ])  # fmt: skip
    table = (tmp_path / "pages/network.md").read_text()
    assert "## The network's share in larger fleets" in table and "| 3 | 96 |" in table
