"""The arithmetic of bench.growth and bench.scale on figures that are known."""

import json
from pathlib import Path

import pytest

from bench import growth, mounts, scale, scoring
from bench.performance import main as write_pages


def fleet(vehicles: int, days: int, rows: int, **seconds: float) -> dict:
    """A measured fleet of 25 channels, whose stages take so many seconds and 1 kB per row."""
    stages = {n: {"cpu_seconds": s, "memory_mb": rows / 1000} for n, s in seconds.items()}
    return {
        "vehicles": vehicles, "days": days, "rows": rows, "channels": 25, "stages": stages,
        "bytes_per_row": {"raw": 100.0, "lake": 50.0, "store": 250.0},
    }  # fmt: skip


def linear(vehicles: int, days: int, rows: int) -> dict:
    """Each stage takes 100 ns per cell, 0.5 s, and 2 ms per vehicle-day or 90 ms per vehicle."""
    seconds = 1e-7 * 25 * rows + 2e-3 * vehicles * days + 0.5
    own = dict.fromkeys(scale.PER_VEHICLE, 1e-7 * 25 * rows + 9e-2 * vehicles + 0.5)
    return fleet(vehicles, days, rows, **(dict.fromkeys(growth.STAGES, seconds) | own))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    by_rows = [linear(12, 10, 400_000), linear(12, 100, 4_000_000)]
    by_vehicles = [linear(10, 4, 40_000), linear(100, 4, 400_000)]
    found = {"machine": json.loads((scale.RESULTS / "limits.json").read_text())["machine"]}
    for per, fleets in (("rows", by_rows), ("vehicles", by_vehicles)):
        found[per] = {"fleets": fleets, "growth": growth.growth(fleets, per)}
    (tmp_path / "growth.json").write_text(json.dumps(found))
    for name in ("limits", "gpu"):
        (tmp_path / f"{name}.json").write_text((scale.RESULTS / f"{name}.json").read_text())
    return tmp_path


def test_the_cost_model_finds_the_rates_that_made_the_figures(results: Path) -> None:
    found = scale.stage_costs(json.loads((results / "growth.json").read_text()))
    size = scale.Size(vehicles=1000, hours=2)
    for name, one in found.items():
        unit, seconds = ("vehicle", 9e-2) if name in scale.PER_VEHICLE else ("vehicle-day", 2e-3)
        assert one["unit"] == unit and one["seconds_per_unit"] == pytest.approx(seconds)
        assert one["seconds_per_cell"] == pytest.approx(1e-7)
        assert one["seconds_once"] == pytest.approx(0.5)
        units = size.vehicles * (1 if name in scale.PER_VEHICLE else 30)
        assert scale.seconds_of(one, size, 30) == pytest.approx(
            3e-6 * size.cells + seconds * units + 0.5
        )
        assert one["largest_error"] == pytest.approx(0, abs=1e-9)


def test_a_linear_stage_is_within_the_limit_and_a_square_one_is_not() -> None:
    fleets = [fleet(1, 1, 1000, ingest=1.0, fit=1.0), fleet(1, 10, 10_000, ingest=10.5, fit=100.0)]
    found = growth.growth(fleets, "rows")
    assert found["ingest"]["within_limit"] and not found["fit"]["within_limit"]
    assert found["ingest"]["cost_per_rows_times"] == pytest.approx(1.05)
    assert found["fit"]["memory_times"] == pytest.approx(10)


def test_what_is_measured_anew_replaces_its_stage_and_nothing_else() -> None:
    old = [fleet(1, 1, 1000, ingest=1.0, fit=2.0), fleet(9, 1, 9000, ingest=9.0)]
    new = fleet(1, 1, 1000, ingest=0.5) | {"bytes_per_row": {"raw": 90.0, "lake": 0.0}}
    first, second = growth.joined(old[::-1], [new])
    assert {name: one["cpu_seconds"] for name, one in first["stages"].items()} == {
        "ingest": 0.5, "fit": 2.0,
    }  # fmt: skip
    assert first["bytes_per_row"] == {"raw": 90.0, "lake": 50.0, "store": 250.0}
    assert second == old[1]


def test_the_page_has_a_table_of_a_night(results: Path) -> None:
    found = json.loads((results / "growth.json").read_text())
    fleets = [fleet(12, 1, 1_000_000, score=20.0), fleet(200, 1, 17_000_000, score=340.0)]
    found["night"] = {"fleets": fleets, "growth": growth.growth(fleets, "rows")}
    (results / "growth.json").write_text(json.dumps(found))
    write_pages(["--results", str(results), "--out", str(results / "pages")])
    page = (results / "pages/index.md").read_text()
    assert "| score | 20.0 | 20.0 | 1.00 | 1,000 | 17,000 |" in page


def test_the_page_tells_how_much_sooner_two_workers_are_done(results: Path) -> None:
    found = json.loads((results / "growth.json").read_text())
    found["workers"] = {
        "machine": found["machine"], "vehicles": 100, "seconds": {"1": [90.0, 80.0], "2": [50, 50]},
        "times_as_fast": 1.7, "times_as_fast_from_to": [1.6, 1.8],
    }  # fmt: skip
    (results / "growth.json").write_text(json.dumps(found))
    write_pages(["--results", str(results), "--out", str(results / "pages")])
    page = (results / "pages/index.md").read_text()
    assert "**1.70 times as fast**" in page and "2 turns (1.60 to 1.80)" in page


def test_each_stage_below_a_third_of_a_read_is_told_with_what_is_known(results: Path) -> None:
    committed = Path(__file__).resolve().parents[1] / "bench/results/data_plane.json"
    found = json.loads(committed.read_text())
    for one in found["stages"].values():
        one["reaches_a_third_of_read"] = False
    (results / "data_plane.json").write_text(json.dumps(found))
    write_pages(["--results", str(results), "--out", str(results / "pages")])
    page = (results / "pages/index.md").read_text()
    assert [line.split(":")[0][2:] for line in page.splitlines() if line.startswith("- ")] == list(
        found["stages"]
    )
    assert "- profile: it writes no rows" in page and "- prepare: a copy reaches " in page


def test_the_cost_of_a_vehicle_day_and_of_a_row_are_found_from_two_periods() -> None:
    of_day, of_row = 0.0304, 12e-6
    found = [
        {"rows_per_vehicle_day": n,
         "engines": [{"rows_per_second_of_cpu": n / (of_day + n * of_row)}]}
        for n in (1_440, 8_640, 86_400)
    ]  # fmt: skip
    cost = scoring.cost(found)
    assert (cost["ms_per_vehicle_day"], cost["us_per_row"]) == pytest.approx((30.4, 12))
    assert cost["rows_that_suffice"] == 3_800  # 3,800 / (0.0304 + 12e-6 * 3,800) = 50,000
    for one in found:  # a row alone costs 24e-6 s, more than 1 / 50,000
        one["engines"][0]["rows_per_second_of_cpu"] /= 2
    assert scoring.cost(found)["rows_that_suffice"] is None


def test_nodes_that_do_not_mount_the_disk_are_compared_with_those_that_do(results: Path) -> None:
    mounted, apart = [{"ingest": 2.0}, {"ingest": 4.0}], [{"ingest": 6.0}, {"ingest": 5.0}]
    found = mounts.compared(mounted, apart, 1000)
    report = json.loads((results / "growth.json").read_text())["machine"]
    report = {"machine": report, "rows": 1000, "channels": 9, "vehicle_days": 3, "stages": found}
    (results / "mounts.json").write_text(json.dumps(report))
    write_pages(["--results", str(results), "--out", str(results / "pages")])
    page = (results / "pages/index.md").read_text()
    assert "| ingest | 500 | 200 | 2.50 (1.25 to 3.00) |" in page


def test_a_day_is_counted_by_hand(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "described", lambda days: scale.describe(days, results / "lake"))
    found = scale.main(["--results", str(results), "--tables", "10"])
    assert found is not None
    day = next(d for d in found["per_day"] if (d["vehicles"], d["hours"]) == (1_000_000, 24))
    assert day["rows"] == 86_400_000_000
    assert day["lake_terabytes"] == pytest.approx(86.4e9 * 50 * 2 / 1e12)
    ingest = (86.4e9 * 50 * 1e-7 + 1e6 * 2e-3 + 0.5) / 3600
    assert day["core_hours"]["ingest"] == pytest.approx(ingest)
    assert day["cores_for_the_night"] == pytest.approx(3 * ingest / 4)
    assert found["tables_of_the_lake"][0]["vehicle_days"] == 10
    breaks = [one["vehicles"] for one in found["first_to_break"]]
    assert breaks == sorted(breaks)
    (results / "scale.json").write_text(json.dumps(found))
    write_pages(["--results", str(results), "--out", str(results / "pages")])
    assert "| 86,400,000,000 |" in (results / "pages/scale.md").read_text()
    assert "growth.png" in (results / "pages/index.md").read_text()
