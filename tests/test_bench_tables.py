"""One network a vehicle against one for all, and the pages that the tables are put on."""

import json
from pathlib import Path

import pytest
from quality_kit import write_fleet, write_params

from amad.evaluation import vote
from bench.carry_over_tables import headline
from bench.per_vehicle import SKIPS
from bench.per_vehicle import main as compare
from bench.tables import MARKER
from bench.tables import main as write_pages
from bench.vote import main as judge_votes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    fleet = write_fleet(folder / "raw", "trio", 3)
    compare([
        "--fleet", str(fleet), "--seeds", "1", "--out", str(folder / "per_vehicle.json"),
        "--home", str(folder / "home"), "--params", str(write_params(folder)),
    ])  # fmt: skip
    return folder


def test_both_kinds_are_judged_on_the_same_units(results: Path) -> None:
    found = json.loads((results / "per_vehicle.json").read_text())["fleets"]["trio"]
    assert (found["vehicles"], found["units"]) == (3, 2), "the last vehicle has no event"
    assert set(found["skip"]) == set(SKIPS)
    for own in found["skip"].values():
        mean, low, high = own["difference"]
        assert mean == pytest.approx(own["vehicle"] - own["fleet"], abs=1e-5)
        assert low <= mean <= high and 0 < own["fleet"] < 1
        assert all(seconds > 0 for seconds in own["train_seconds"].values())
    assert found["skip"]["none"]["difference"][0] != 0, "the networks differ"


def test_the_networks_of_vehicles_learn_from_one_vehicle_each(results: Path) -> None:
    singles = sorted(
        p.parent for p in results.glob("home/fleets/*/data/trio/single/*/*/store.json")
    )
    assert [path.name for path in singles] == ["unit0", "unit1", "unit2"]
    for path in singles:
        assert list(json.loads((path / "store.json").read_text())["vehicles"]) == [path.name]


def test_what_the_vote_is_worth_stands_beside_what_was_decided_without_labels(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vote, "CASES", 6)
    found = judge_votes([
        "--fleet", str(results / "raw" / "trio.yaml"), "--form", "offline", "online",
        "--out", str(results / "vote.json"), "--home", str(results / "home"),
        "--params", str(write_params(results)),
    ])["fleets"]["trio"]  # fmt: skip
    offline, online = found["offline"], found["online"]
    assert offline["vote"]["measured"] and online["vote"]["measured"], "it looks back alone"
    assert offline["vote"]["cases"] == 6 and offline["vehicles"] == 3
    assert offline["share"][0] != online["share"][0] != 0.0
    page = pages(results, {"random": method(0.1, 0.9), "amad": method(0.5, 0.9)})["network"]
    lines = [line for line in page.splitlines() if line.startswith("| trio | o")]
    share = "{:+.3f} [{:+.3f}, {:+.3f}]".format(*offline["share"])
    assert len(lines) == 2 and share in lines[0]
    assert f"| {'yes' if offline['vote']['weight'] else 'no'} |" in lines[0]


def method(vus_pr: float, adjusted: float) -> dict:
    names = ("vus_pr", "auc_pr", "vus_roc", "auc_roc", "best_f1", "range_f1", "event_f1")
    return {
        "mean": dict.fromkeys((*names, "affiliation_f1"), 0.5) | {"vus_pr": vus_pr},
        "interval": {"vus_pr": [vus_pr - 0.1, vus_pr + 0.1]},
        "operating_point": {
            "event_recall": 0.5, "normal_test": {"incidents_per_vehicle_day": 0.25},
            "alarm_budget": 0.5, "median_delay_rows": 3, "lookahead_seconds": 9,
        },
        "localisation": None, "severity_order": None, "by_fault": {},
        "fit_seconds": 1.0, "train_seconds": 2.0, "rows_per_second": 1000.0,
        "pa_k_curve": [adjusted, 0.1],
    }  # fmt: skip


def pages(results: Path, methods: dict) -> dict[str, str]:
    """The pages' text by name, of one fleet with these methods."""
    content = {"unit": "vehicle", "units": 3, "share_of_amad": None, "methods": methods}
    fleet = {
        "description": "Made up", "vehicles": ["a"], "channels": ["x"], "rows": {"test": 9},
        "buffer_rows": 5, "protocols": {"test": {"offline": content}},
    }  # fmt: skip
    (results / "quality.json").write_text(json.dumps({"fleets": {"made-up": fleet}}))
    (results / "reading.md").write_text(f"# Results\n\n{MARKER}\n")
    out = results / "pages"
    write_pages(
        ["--results", str(results), "--reading", str(results / "reading.md"), "--out", str(out)]
    )
    return {path.stem: path.read_text() for path in out.glob("*.md")}


def test_the_page_has_everything_at_a_glance_and_the_best_in_bold(results: Path) -> None:
    text = pages(results, {"ridge": method(0.6, 0.7), "random": method(0.1, 0.9)})
    assert "| ridge | **0.600** |" in text["methods"] and "| *random* | 0.100 |" in text["methods"]
    assert "| trio, 3 vehicles | linear |" in text["network"]
    assert "| ridge | 0.600 [0.500, 0.700] |" in text["made-up"]


def test_the_first_table_has_the_detector_the_best_others_and_the_floor() -> None:
    means = {"random": 0.1, "l2": 0.2, "amad": 0.5, "pca": 0.3, "cnn": 0.6, "ridge": 0.4}
    means |= {"linear": 0.35, "kmeans": 0.25}
    form = {
        "fleets": ["one"],
        "vus_pr": {name: {"one": mean} for name, mean in means.items()},
        "mean": {name: [mean, mean - 0.1, mean + 0.1] for name, mean in means.items()},
    }
    lines = headline({"protocols": {"test": {"online": form, "offline": form}}})
    names = [line.split("|")[1].strip() for line in lines[2:]]
    assert names == ["**amad**", "cnn", "ridge", "linear", "pca", "kmeans", "*random*"]
    assert lines[0] == "| VUS-PR, offline | one | mean, offline | mean, online |"
    assert lines[2] == "| **amad** | 0.500 | 0.500 [0.400, 0.600] | 0.500 [0.400, 0.600] |"


def test_point_adjustment_is_shown_beside_what_exposes_it_or_not_at_all(results: Path) -> None:
    methods = {"ridge": method(0.6, 0.7), "random": method(0.1, 0.9), "pca": method(0.3, 0.6)}
    assert "Point-adjusted" not in pages(results, methods)["methods"]
    text = pages(results, methods | {"untrained": method(0.2, 0.8)})["methods"]
    section = text[text.index("## Point-adjusted") :]
    assert "| random | 0.900 |" in section and "| ridge | 0.700 |" in section


def test_the_pages_of_results_are_those_that_the_measurements_make(tmp_path: Path) -> None:
    """An edit of a page alone would be lost with the next measurement."""
    root = Path(__file__).resolve().parent.parent
    measured = root / "bench" / "results"
    reading = root / "bench" / "reading.md"
    write_pages(["--results", str(measured), "--reading", str(reading), "--out", str(tmp_path)])
    made = {page.name: page.read_text(encoding="utf-8") for page in tmp_path.iterdir()}
    kept = {name: (root / "docs" / "results" / name).read_text(encoding="utf-8") for name in made}
    assert made == kept
